/**
 * Why an execution is not running: as data, and as a sentence.
 */
import * as DateTime from "effect/DateTime"
import type { Strike } from "./Strike.ts"

/**
 * The control that holds an execution back, or dropped it.
 *
 * @category models
 * @since 0.1.0
 */
export interface ControlInfo {
  /** The scope that tasks share, if the control has one; otherwise it is the task's own. */
  readonly scope: string | undefined
  /** The value that the execution has for it, as JSON; absent when the control has one for all. */
  readonly value: string | undefined
}

/**
 * Why an execution is not running.
 *
 * - `Unknown`: there is no record of the key.
 * - `Settled`: it has ended.
 * - `Dropped`: a control dropped it when it was its turn; of a cooldown that is still open, `until` is the end.
 * - `Running`: it runs; `silent` is set when its worker fell silent.
 * - `Struck`: a strike matches it; when it is its turn, it is cancelled.
 * - `Held`: a strike holds it until that is restored, or resumed when it is a pause.
 * - `AwaitingSlot`: all slots of a concurrency limit are taken, by `holders` (at most 100), and others wait before it.
 * - `RateLimited`: a rate limit has no start for it, and others wait before it. The limit has its next start at `until`;
 *   without that, now.
 * - `Debouncing`: it runs once there was no other submission until then.
 * - `Retrying`: it failed, and waits for another attempt.
 * - `Due`: it is scheduled for later.
 * - `NoWorker`: it is due, and no worker that is listed knows its task.
 * - `Queued`: it is due, and others come first; at most 10,000 are counted.
 *
 * @category models
 * @since 0.1.0
 */
export type Explanation = {
  readonly key: string
  /** The sentence. */
  readonly message: string
} & Reason

/**
 * The data of an explanation.
 *
 * @category models
 * @since 0.1.0
 */
export type Reason =
  | { readonly _tag: "Unknown" }
  | {
      readonly _tag: "Settled"
      readonly task: string
      readonly state: "completed" | "failed" | "cancelled"
      readonly completed: DateTime.Utc | undefined
      readonly error: string | undefined
    }
  | {
      readonly _tag: "Dropped"
      readonly task: string
      readonly by: "RateLimit" | "Cooldown" | "Debounce"
      readonly control: ControlInfo
      readonly until: DateTime.Utc | undefined
    }
  | {
      readonly _tag: "Running"
      readonly task: string
      readonly worker: string
      readonly since: DateTime.Utc
      readonly attempt: number
      /** Set when the worker was not heard of within its presence: since when, if known, and when others take over. */
      readonly silent?: { readonly since: DateTime.Utc | undefined; readonly until: DateTime.Utc } | undefined
    }
  | { readonly _tag: "Struck"; readonly task: string; readonly strike: Strike }
  | { readonly _tag: "Held"; readonly task: string; readonly strike: Strike }
  | {
      readonly _tag: "AwaitingSlot"
      readonly task: string
      readonly control: ControlInfo
      readonly limit: number
      readonly holders: ReadonlyArray<string>
      readonly ahead: number
    }
  | {
      readonly _tag: "RateLimited"
      readonly task: string
      readonly control: ControlInfo
      readonly until: DateTime.Utc | undefined
      readonly ahead: number
    }
  | {
      readonly _tag: "Debouncing"
      readonly task: string
      readonly control: ControlInfo
      readonly until: DateTime.Utc
    }
  | {
      readonly _tag: "Retrying"
      readonly task: string
      readonly attempt: number
      readonly due: DateTime.Utc
      readonly error: string | undefined
    }
  | { readonly _tag: "Due"; readonly task: string; readonly due: DateTime.Utc }
  | { readonly _tag: "NoWorker"; readonly task: string }
  | { readonly _tag: "Queued"; readonly task: string; readonly ahead: number }

/**
 * Puts the sentence to a reason.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (key: string, reason: Reason): Explanation => ({
  ...reason,
  key,
  message: reason._tag === "Unknown" ? `There is no record of "${key}"` : `${reason.task}{${key}} ${sentence(reason)}`
})

const sentence = (reason: Exclude<Reason, { readonly _tag: "Unknown" }>): string => {
  switch (reason._tag) {
    case "Settled": {
      const when = reason.completed === undefined ? "" : ` at ${time(reason.completed)}`
      return `${reason.state === "failed" ? "failed" : `was ${reason.state}`}${when}${reason.error === undefined ? "" : `: ${reason.error}`}`
    }
    case "Dropped": {
      const by = `${controlNames[reason.by]}${of(reason.control)}`
      return `was dropped by a ${by}${reason.until === undefined ? "" : `, which ends at ${time(reason.until)}`}`
    }
    case "Running":
      return `runs on ${reason.worker} since ${time(reason.since)}${reason.attempt > 1 ? `, attempt ${reason.attempt}` : ""}${silence(reason)}`
    case "Struck":
      return `is struck by ${reason.strike}, and will be cancelled when it is its turn`
    case "Held":
      return isPause(reason.strike)
        ? `waits because ${reason.strike.task === undefined ? "the docket" : "its task"} is paused`
        : `is held by the strike ${reason.strike}`
    case "AwaitingSlot": {
      const { ahead, control, holders, limit } = reason
      const shown = holders.slice(0, 5).join(", ") + (holders.length > 5 ? ", …" : "")
      const slot = limit === 1 ? "the only slot" : `one of ${limit} slots`
      return `waits for ${slot}${of(control)}, held by ${shown}${ahead === 0 ? "" : `, behind ${others(ahead)}`}`
    }
    case "RateLimited": {
      const { ahead, control, until } = reason
      const opens = until === undefined ? "" : `, which has its next start at ${time(until)}`
      return `waits for a rate limit${of(control)}${opens}${ahead === 0 ? "" : `, behind ${others(ahead)}`}`
    }
    case "Debouncing":
      return `waits for quiet${of(reason.control)}, until ${time(reason.until)} if nothing else is submitted`
    case "Retrying": {
      const after = reason.error === undefined ? "" : `, after ${reason.error}`
      return `waits for attempt ${reason.attempt} at ${time(reason.due)}${after}`
    }
    case "Due":
      return `is due at ${time(reason.due)}`
    case "NoWorker":
      return "is due, but no live worker knows its task"
    case "Queued":
      return reason.ahead === 0 ? "is due, and the next to run" : `is due, behind ${others(reason.ahead)}`
  }
}

const silence = ({ silent, worker }: Extract<Reason, { readonly _tag: "Running" }>) => {
  if (silent === undefined) return ""
  const since = silent.since === undefined ? "any more" : `since ${time(silent.since)}`
  return `, but nothing was heard of that worker ${since}: another takes over by ${time(silent.until)}, or at once after docket workers forget ${worker}`
}

const controlNames = { RateLimit: "rate limit", Cooldown: "cooldown", Debounce: "debounce" }

const isPause = ({ field, hold }: Strike) => hold && field === undefined

const of = ({ scope, value }: ControlInfo) =>
  `${scope === undefined ? "" : ` of the scope "${scope}"`}${value === undefined ? "" : ` for ${value}`}`

const others = (count: number) => (count === 1 ? "1 other" : `${count >= 10_000 ? "at least " : ""}${count} others`)

const time = (moment: DateTime.Utc) => DateTime.formatIso(moment)
