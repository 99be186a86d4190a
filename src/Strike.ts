/**
 * Strikes: instructions that keep matching executions from being scheduled and from running, without a deploy.
 */
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"

/**
 * How a strike compares the field of a payload with its value.
 *
 * @category models
 * @since 0.1.0
 */
export const Operator = Schema.Literals(["==", "!=", ">", ">=", "<", "<=", "between"])

/**
 * How a strike compares the field of a payload with its value. `between` takes a pair and includes both ends.
 *
 * @category models
 * @since 0.1.0
 */
export type Operator = typeof Operator.Type

/**
 * A strike: on a task, on a field of the payload, or on a field of one task's payload.
 *
 * @category models
 * @since 0.1.0
 */
export class Strike extends Schema.Class<Strike>("effect-docket/Strike")({
  /** The task's name; absent for every task. */
  task: Schema.optionalKey(Schema.String),
  /** A path into the payload as it is stored, with dots between its parts; absent for every payload. */
  field: Schema.optionalKey(Schema.String),
  operator: Operator,
  value: Schema.Json,
  /** Whether matching executions wait until the strike is restored, rather than being refused and dropped. */
  hold: Schema.Boolean
}) {
  /** What identifies it: one that holds and one that refuses are two, so that neither hides or removes the other. */
  get id(): string {
    return contentOf([this.task ?? null, this.field ?? null, this.operator, this.value, this.hold])
  }

  /** As people read it, as in `sendWelcome customerId == 7`. */
  override toString(): string {
    const condition = this.field === undefined ? [] : [this.field, this.operator, JSON.stringify(this.value)]
    return [this.task ?? "(all tasks)", ...condition].join(" ")
  }
}

/**
 * The strikes in force, as a store keeps them.
 *
 * @category models
 * @since 0.1.0
 */
export interface StrikeSet {
  /** Changes with every change of the set; empty while there are no strikes. */
  readonly version: string
  readonly strikes: ReadonlyArray<Strike>
}

/**
 * No strikes.
 *
 * @category constructors
 * @since 0.1.0
 */
export const empty: StrikeSet = { version: "", strikes: [] }

/**
 * What strikes say of an execution: those that match it, and a comparison that made no sense.
 *
 * @category models
 * @since 0.1.0
 */
export interface Verdict {
  /** The strike that refuses it; one that holds it only if none refuses it. */
  readonly strike: Strike | undefined
  /** Strikes whose value cannot be compared with the payload's. They do not match. */
  readonly incomparable: ReadonlyArray<Strike>
}

/**
 * Judges an execution by its task's name and its payload, as it is encoded, with defaults filled in.
 *
 * **Details**
 *
 * Strikes are independent: one does not narrow, hide or remove another. Values are compared without conversion: 1 and
 * "1" differ; records are equal whatever the order of their fields. A payload without the field is matched by no operator.
 *
 * @category matching
 * @since 0.1.0
 */
export const judge = (strikes: ReadonlyArray<Strike>, task: string, payload: unknown): Verdict => {
  let found: Strike | undefined
  const incomparable: Array<Strike> = []
  for (const strike of strikes) {
    if (strike.task !== undefined && strike.task !== task) continue
    const matches = strike.field === undefined ? true : compare(strike, valueAt(payload, strike.field))
    if (matches === undefined) incomparable.push(strike)
    if (matches === true && (found === undefined || (found.hold && !strike.hold))) found = strike
  }
  return { strike: found, incomparable }
}

const missing = Symbol("missing")

const valueAt = (payload: unknown, path: string): unknown => {
  let value = payload
  for (const part of path.split(".")) {
    if (!Predicate.isObject(value) || !Object.hasOwn(value, part)) return missing
    value = Reflect.get(value, part)
  }
  return value
}

// Whether a value matches; undefined when the two cannot be compared.
const compare = ({ operator, value: expected }: Strike, value: unknown): boolean | undefined => {
  if (value === missing) return false
  switch (operator) {
    case "==":
      return equal(value, expected)
    case "!=":
      return !equal(value, expected)
    case "between": {
      if (!Array.isArray(expected) || expected.length !== 2) return undefined
      const low = order(value, expected[0])
      const high = order(value, expected[1])
      return low === undefined || high === undefined ? undefined : low >= 0 && high <= 0
    }
    default: {
      const sign = order(value, expected)
      if (sign === undefined) return undefined
      if (operator === ">") return sign > 0
      if (operator === ">=") return sign >= 0
      if (operator === "<") return sign < 0
      return sign <= 0
    }
  }
}

const equal = (a: unknown, b: unknown): boolean => a === b || contentOf(a) === contentOf(b)

/** JSON data as text in which the order of fields does not matter. */
const contentOf = (value: unknown): string =>
  JSON.stringify(value, (_, inner: unknown) =>
    Predicate.isObject(inner) && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).toSorted(([a], [b]) => (a < b ? -1 : 1)))
      : inner
  )

// Numbers and strings have an order, each among themselves.
const order = (a: unknown, b: unknown): number | undefined => {
  if (typeof a === "number" && typeof b === "number") return a - b
  if (typeof a === "string" && typeof b === "string") return a < b ? -1 : a > b ? 1 : 0
  return undefined
}
