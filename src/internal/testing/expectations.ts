/**
 * What a test expects to be scheduled: found among what is, and put in words when it is not.
 */
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as Exit from "effect/Exit"
import * as Predicate from "effect/Predicate"
import type * as Task from "../../Task.ts"
import { codecOf } from "../contract/codec.ts"
import { parsePayload } from "../docket/knownStrikes.ts"
import { shown } from "../contract/redaction.ts"

/**
 * An execution that waits: due, for later, or held back.
 *
 * @category models
 * @since 0.1.0
 */
export interface Scheduled {
  readonly key: string
  readonly task: string
  /** The payload as it is stored: JSON text. */
  readonly encodedPayload: string
  /** The same, parsed. */
  readonly payload: unknown
  readonly due: DateTime.Utc
}

/**
 * Which executions a test looks for.
 *
 * @category options
 * @since 0.1.0
 */
export interface Expectation {
  readonly key?: string | undefined
  /** How many; default: at least one. */
  readonly times?: number | undefined
}

/** Tells whether a scheduled execution is one that a test looks for. */
export const matches =
  (task: Task.Any | string, payload: unknown, { key }: Expectation) =>
  (execution: Scheduled): boolean =>
    execution.task === nameOf(task) &&
    (key === undefined || execution.key === key) &&
    (payload === undefined || holds(payloadOf(task, execution), payload))

const nameOf = (task: Task.Any | string): string => (typeof task === "string" ? task : task.name)

/** The payload in the task's own types, as tests write it; as it is stored where the contract is not at hand. */
const payloadOf = (task: Task.Any | string, { encodedPayload, payload }: Scheduled): unknown => {
  if (typeof task === "string") return payload
  const exit = codecOf(task).decodePayload(encodedPayload)
  return Exit.isSuccess(exit) ? exit.value : payload
}

const holds = (payload: unknown, wanted: unknown): boolean =>
  isFields(wanted) && Predicate.isObject(payload)
    ? Object.entries(wanted).every(([name, value]) => Equal.equals(Reflect.get(payload, name), value))
    : Equal.equals(payload, wanted)

const isFields = (value: unknown): value is object =>
  Predicate.isObject(value) && !Array.isArray(value) && !Equal.isEqual(value) && !(value instanceof Date)

/** What a test looks for, in words. */
export const describe = (task: Task.Any | string, payload: unknown, { key }: Expectation): string =>
  [
    `task "${nameOf(task)}"`,
    ...(key === undefined ? [] : [`with key "${key}"`]),
    ...(payload === undefined ? [] : [`with payload ${JSON.stringify(payload)}`])
  ].join(" ")

/** Fails an assertion, and lists what is scheduled. */
export const fail = (problem: string, all: ReadonlyArray<Scheduled>): Effect.Effect<never> => {
  const lines = all.map(
    ({ due, encodedPayload, key, task }) =>
      `  ${DateTime.formatIso(due)} ${task}{${key}} ${JSON.stringify(parsePayload(shown(encodedPayload)))}`
  )
  return Effect.die(
    new Error(`${problem}. ${all.length === 0 ? "Nothing is scheduled." : `Scheduled are:\n${lines.join("\n")}`}`)
  )
}
