/**
 * Durations as they are given. Their type admits `"5 minutes"` and no other words, but not every caller is checked.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { DocketError } from "../../DocketError.ts"
import { invalid } from "../docket/docketError.ts"

/** About 30,000 years. What comes later has no date, and nobody waits for it. */
export const longestMillis = 1e15

/** A duration in milliseconds: infinite when nobody waits that long, not a number when it is none. */
export const millisOf = (input: Duration.Input): number => {
  if (isNoNumber(input)) return Number.NaN
  const millis = Option.match(Duration.fromInput(input), { onNone: () => Number.NaN, onSome: Duration.toMillis })
  return millis > longestMillis ? Infinity : millis
}

const units = ["weeks", "days", "hours", "minutes", "seconds", "milliseconds", "microseconds", "nanoseconds"] as const

// `Duration` takes these for 0.
const isNoNumber = (input: Duration.Input): boolean => {
  if (typeof input === "number") return Number.isNaN(input)
  if (typeof input !== "object" || input === null || Duration.isDuration(input)) return false
  if (isTuple(input)) return input.some(Number.isNaN)
  const amounts = units.map((unit) => input[unit]).filter((amount) => amount !== undefined)
  return amounts.length === 0 || amounts.some((amount) => typeof amount !== "number" || Number.isNaN(amount))
}

const isTuple = (
  input: Exclude<Duration.Input, Duration.Duration | number | string | bigint>
): input is readonly [number, number] => Array.isArray(input)

/** A duration as an error shows it. */
export const shown = (input: Duration.Input): string => {
  const millis = millisOf(input)
  if (Number.isNaN(millis)) return `${textOf(input)}; write it as in "5 minutes"`
  return Number.isFinite(millis) ? `${millis} ms` : "longer than 30,000 years"
}

// JSON writes NaN as null.
const textOf = (input: unknown): string =>
  typeof input === "number"
    ? String(input)
    : JSON.stringify(input, (_, value: unknown) =>
        typeof value === "number" && !Number.isFinite(value) ? String(value) : value
      )

/** The duration that a handler or a middleware gives to a call, in milliseconds. A call with none that it can use dies. */
export const given = (
  call: string,
  input: Duration.Input,
  { infinite = false }: { readonly infinite?: boolean } = {}
): Effect.Effect<number> => {
  const millis = millisOf(input)
  return Number.isFinite(millis) || (infinite && millis === Infinity)
    ? Effect.succeed(millis)
    : Effect.die(new RangeError(`${call} needs a ${infinite ? "" : "finite "}duration; it was given ${shown(input)}`))
}

/** An option in whole milliseconds; refused when it is not finite, or less than the minimum. */
export const checked = (option: string, input: Duration.Input, minimum: number): Effect.Effect<number, DocketError> => {
  const millis = Math.ceil(millisOf(input))
  return Number.isFinite(millis) && millis >= minimum
    ? Effect.succeed(millis)
    : Effect.fail(invalid(`${option} has to be a finite duration of at least ${minimum} ms; it was ${shown(input)}`))
}
