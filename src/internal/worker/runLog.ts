/**
 * The log lines of runs: one when a run starts, one when it ends.
 */
import * as Cause from "effect/Cause"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Formatter from "effect/Formatter"
import * as HashSet from "effect/HashSet"
import * as Predicate from "effect/Predicate"
import * as Redacted from "effect/Redacted"
import type { Delivery, Outcome } from "../../DocketStore.ts"
import { lookOr } from "../contract/looking.ts"
import type * as Task from "../../Task.ts"
import { described, type Encode } from "../contract/failureText.ts"

/** What log lines about a run carry, besides what all lines of its worker do. */
export const annotations = ({ attempt, due, key, task }: Delivery) => ({
  "docket.task": task,
  "docket.key": key,
  "docket.when": isoOf(due),
  "docket.attempt": attempt
})

// Many that are due at the same time run one after the other, and writing a date costs a twentieth of a small run.
let lastDue = 0
let lastIso = DateTime.formatIso(DateTime.makeUnsafe(lastDue))
const isoOf = (epochMillis: number): string => {
  if (epochMillis !== lastDue) {
    lastIso = DateTime.formatIso(DateTime.makeUnsafe(epochMillis))
    lastDue = epochMillis
  }
  return lastIso
}

/** A run as it appears in logs: the task's name, its payload fields in parentheses, and its key in braces. */
export const describe = (
  { key, task }: Pick<Delivery, "key" | "task">,
  payload: unknown,
  behaviour: Task.Behaviour | undefined
): string => {
  const fields = lookOr(() => fieldsOf(payload, behaviour), ["..."])
  return `${task}(${fields.join(", ")}){${key}}`
}

const fieldsOf = (payload: unknown, behaviour: Task.Behaviour | undefined): ReadonlyArray<string> =>
  Predicate.isObject(payload)
    ? Object.entries(payload).map(([name, value]) => `${name}=${lookOr(() => shown(name, value, behaviour), "...")}`)
    : []

const shown = (name: string, value: unknown, behaviour: Task.Behaviour | undefined): string => {
  if (Redacted.isRedacted(value) || behaviour === undefined) return "..."
  if (behaviour.logged.has(name)) return Formatter.format(value)
  if (behaviour.loggedLength.has(name)) return lengthOf(value, behaviour.tuples.has(name)) ?? Formatter.format(value)
  return "..."
}

const lengthOf = (value: unknown, isTuple: boolean): string | undefined => {
  if (Predicate.isString(value)) return `[len ${value.length}]`
  if (!Predicate.isIterable(value)) return undefined
  if (HashSet.isHashSet(value)) return `{len ${HashSet.size(value)}}`
  if (Predicate.hasProperty(value, "size")) return `{len ${value.size}}`
  if (Predicate.hasProperty(value, "length")) return isTuple ? `(len ${value.length})` : `[len ${value.length}]`
  return undefined
}

/** A duration, right-aligned in six places: whole milliseconds below 100 seconds, whole seconds from there on. */
export const duration = (millis: number): string =>
  (millis < 100_000 ? `${Math.round(millis)}ms` : `${Math.round(millis / 1000)}s`).padStart(6)

/** Says that a run starts, and how far behind its due time. */
export const started = (delivery: Delivery, call: string): Effect.Effect<void> =>
  Effect.logInfo(
    `${delivery.attempt > 1 ? "↬" : "↪"} [${duration(Math.max(0, delivery.started - delivery.due))}] ${call}`
  )

/** Says how a run ended, after which time. */
export const ended = (
  call: string,
  elapsedMillis: number,
  exit: Exit.Exit<unknown, unknown>,
  outcome: Outcome | undefined,
  encodeError: Encode
): Effect.Effect<void> => {
  const took = `[${duration(elapsedMillis)}]`
  switch (outcome?._tag) {
    case undefined:
      return Effect.logWarning(`✗ ${took} ${call} lost its lease and was interrupted; another worker may be running it`)
    case "Completed":
      return Effect.logInfo(`${outcome.next === undefined ? "↩" : "↫"} ${took} ${call}`)
    case "Cancelled":
      return Effect.logInfo(`✗ ${took} ${call} cancelled`)
    case "Released":
      return Effect.logInfo(`↫ ${took} ${call} given back, since this worker is shutting down`)
    case "Held":
    case "Determined":
    case "Skipped":
    case "Unreadable":
      return Effect.logInfo(`↫ ${took} ${call} given back`)
    case "Postponed":
      return Effect.logInfo(`↫ ${took} ${call} not admitted, tries again later`)
    case "Retry":
    case "Failed": {
      const mark = outcome._tag === "Retry" || outcome.next !== undefined ? "↫" : "↩"
      const again = outcome._tag === "Retry" ? ", and will be retried" : ""
      // The cause names every failure; a result that does not fit its schema has no cause.
      const cause = Exit.isFailure(exit) ? described(exit.cause, encodeError) : Cause.fail(outcome.error)
      return Effect.logError(`${mark} ${took} ${call} failed${again}`, cause)
    }
  }
}
