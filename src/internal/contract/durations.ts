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
  const millis = Option.match(Duration.fromInput(input), { onNone: () => Number.NaN, onSome: Duration.toMillis })
  return millis > longestMillis ? Infinity : millis
}

/** A duration as an error shows it. */
export const shown = (input: Duration.Input): string => {
  const millis = millisOf(input)
  if (Number.isNaN(millis)) return `${JSON.stringify(input)}; write it as in "5 minutes"`
  return Number.isFinite(millis) ? `${millis} ms` : "longer than 30,000 years"
}

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
