/**
 * Recurrence: when the next run of a task is due that runs again and again under one key.
 */
import * as Cron from "effect/Cron"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as CronText from "./internal/contract/cronText.ts"
import * as Durations from "./internal/contract/durations.ts"

/**
 * When a task runs again. `Every` measures from start to start; `At` runs at the times of a calendar expression.
 *
 * @category models
 * @since 0.1.0
 */
export type Recurrence =
  | { readonly _tag: "Every"; readonly everyMillis: number; readonly automatic: boolean }
  | {
      readonly _tag: "At"
      readonly cron: Cron.Cron
      readonly skipped: Skipped
      readonly missed: Missed
      readonly automatic: boolean
    }

/**
 * What becomes of a time that does not come, because clocks go forward over it: with `later` it runs by as much later as
 * they move, so that 01:30 becomes 02:30 on that day; with `omit` it does not run on that day.
 *
 * @category models
 * @since 0.1.0
 */
export type Skipped = "later" | "omit"

/**
 * What becomes of times that passed while nobody could run: `skip` runs once for all of them and goes on with the next
 * time to come; `all` runs once for each, one after the other.
 *
 * @category models
 * @since 0.1.0
 */
export type Missed = "skip" | "all"

/**
 * The options of a task that runs at intervals.
 *
 * @category options
 * @since 0.1.0
 */
export interface PerpetualOptions {
  /** The time from the start of one run to the start of the next; a run that takes longer is followed at once. */
  readonly every: Duration.Input
  /** Whether workers schedule it when they start, under the task's name as key. Default: false. */
  readonly automatic?: boolean | undefined
}

/**
 * The options of a task that runs at calendar times.
 *
 * @category options
 * @since 0.1.0
 */
export interface CronOptions {
  /**
   * Five fields (minute, hour, day of month, month, day of week), or one of `@yearly`, `@annually`, `@monthly`,
   * `@weekly`, `@daily`, `@midnight`, `@hourly`. A range may go beyond the end of its field, as `22-2` in the hours and
   * `FRI-MON` in the days of the week. `L`, `W`, `#` and `?` are refused.
   */
  readonly expression: string
  /** The zone in which the expression is read, with its daylight-saving changes. Default: UTC. */
  readonly timeZone?: string | DateTime.TimeZone | undefined
  /**
   * Which of the two occurrences count when clocks go back and a time comes twice. Default: `both` where the expression
   * names every hour, or its minutes begin with `*`, so that what runs each few minutes does not pause for an hour; else
   * `earlier`.
   */
  readonly repeated?: "earlier" | "later" | "both" | undefined
  /** What becomes of a time that is skipped when clocks go forward. Default: `later`. */
  readonly skipped?: Skipped | undefined
  /** What becomes of times that passed while nobody could run. Default: `skip`. */
  readonly missed?: Missed | undefined
  /** Whether workers schedule it when they start, under the task's name as key. Default: true. */
  readonly automatic?: boolean | undefined
}

/**
 * A recurrence at intervals. A duration that is not finite, or negative, throws.
 *
 * @category constructors
 * @since 0.1.0
 */
export const every = (options: PerpetualOptions): Recurrence => {
  const everyMillis = Durations.millisOf(options.every)
  if (!Number.isFinite(everyMillis) || everyMillis < 0) {
    throw new RangeError(
      `perpetual: every has to be a finite duration of at least 0; it was ${Durations.shown(options.every)}`
    )
  }
  return { _tag: "Every", everyMillis, automatic: options.automatic ?? false }
}

const hasTimes = (cron: Cron.Cron): boolean => {
  try {
    Cron.next(cron, 0)
    return true
  } catch {
    return false
  }
}

const nicknames: ReadonlyMap<string, string> = new Map([
  ["@yearly", "0 0 1 1 *"],
  ["@annually", "0 0 1 1 *"],
  ["@monthly", "0 0 1 * *"],
  ["@weekly", "0 0 * * 0"],
  ["@daily", "0 0 * * *"],
  ["@midnight", "0 0 * * *"],
  ["@hourly", "0 * * * *"]
])

/**
 * A recurrence at calendar times. An expression or a time zone that is not valid throws, where the task is defined.
 *
 * @category constructors
 * @since 0.1.0
 */
export const cron = (options: CronOptions): Recurrence => {
  const expression = nicknames.get(options.expression) ?? options.expression
  const fields = CronText.read(expression)
  if (Result.isFailure(fields)) {
    throw new RangeError(`cron: ${JSON.stringify(options.expression)} ${fields.failure}`)
  }
  const { isFrequent, text } = fields.success
  const parsed = Cron.parse(text, options.timeZone ?? "UTC", {
    onDstOverlap: options.repeated ?? (isFrequent ? "both" : "earlier")
  })
  if (Result.isFailure(parsed)) {
    throw new RangeError(`cron: ${JSON.stringify(options.expression)} is not valid: ${parsed.failure.message}`)
  }
  if (!hasTimes(parsed.success)) {
    throw new RangeError(
      `cron: ${JSON.stringify(options.expression)} names days that its months do not have, so it would never run`
    )
  }
  return {
    _tag: "At",
    cron: parsed.success,
    skipped: options.skipped ?? "later",
    missed: options.missed ?? "skip",
    automatic: options.automatic ?? true
  }
}

/**
 * When the first run of a recurring task is due, as epoch milliseconds: at once at intervals, at the next time of a
 * calendar.
 *
 * @category arithmetic
 * @since 0.1.0
 */
export const first = (recurrence: Recurrence, now: number): number =>
  recurrence._tag === "Every" ? now : after(recurrence, now)

/**
 * The calendar time after a run, as epoch milliseconds: the first one that is later than the time the run was due for
 * and, with `skip`, later than now, so that one time never runs twice.
 *
 * @category arithmetic
 * @since 0.1.0
 */
export const next = (calendar: Calendar, { due, now }: { readonly due: number; readonly now: number }): number =>
  after(calendar, calendar.missed === "skip" ? Math.max(due, now) : due)

type Calendar = Extract<Recurrence, { readonly _tag: "At" }>

/** The first time of a calendar that is later than a moment. */
const after = ({ cron, skipped }: Calendar, moment: number): number => {
  const found = Cron.next(cron, moment).getTime()
  const change = skipped === "omit" ? forwardBefore(cron, moment, found) : undefined
  if (change === undefined || found - change.at >= change.by) return found
  // It stands for a time that did not come. The clocks show what comes next from the change on.
  return Cron.match(cron, change.at) ? change.at : Cron.next(cron, change.at).getTime()
}

/** When clocks last went forward between two moments, in the day before the second, and by how much. */
const forwardBefore = ({ tz }: Cron.Cron, from: number, to: number) => {
  const zone = Option.getOrUndefined(tz)
  if (zone === undefined) return undefined
  const offsetAt = (moment: number) => DateTime.zonedOffset(DateTime.makeZonedUnsafe(moment, { timeZone: zone }))
  let before = Math.max(from, to - Duration.toMillis("1 day"))
  let at = to
  const by = offsetAt(at) - offsetAt(before)
  if (by <= 0) return undefined
  while (at - before > 1) {
    const middle = Math.floor((before + at) / 2)
    if (offsetAt(middle) === offsetAt(to)) at = middle
    else before = middle
  }
  return { at, by }
}
