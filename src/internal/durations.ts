/**
 * Durations as they are given. Their type admits `"5 minutes"` and no other words, but not every caller is checked.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { DocketError } from "../DocketError.ts"
import { invalid } from "./docketError.ts"

/** A duration in milliseconds; not a number when it is none. */
export const millisOf = (input: Duration.Input): number =>
  Option.match(Duration.fromInput(input), { onNone: () => Number.NaN, onSome: Duration.toMillis })

/** A duration as an error shows it. */
export const shown = (input: Duration.Input): string => {
  const millis = millisOf(input)
  return Number.isNaN(millis) ? `${JSON.stringify(input)}; write it as in "5 minutes"` : `${millis} ms`
}

/** An option in whole milliseconds; refused when it is not finite, or less than the minimum. */
export const checked = (option: string, input: Duration.Input, minimum: number): Effect.Effect<number, DocketError> => {
  const millis = Math.ceil(millisOf(input))
  return Number.isFinite(millis) && millis >= minimum
    ? Effect.succeed(millis)
    : Effect.fail(invalid(`${option} has to be a finite duration of at least ${minimum} ms; it was ${shown(input)}`))
}
