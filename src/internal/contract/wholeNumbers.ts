/**
 * Numbers as they are given, where only whole ones make sense.
 */
import * as Effect from "effect/Effect"
import type { DocketError } from "../../DocketError.ts"
import { invalid } from "../docket/docketError.ts"

/** An option that counts something; refused when it is not whole, or less than the minimum. */
export const checked = (option: string, value: number, minimum: number): Effect.Effect<number, DocketError> =>
  Number.isInteger(value) && value >= minimum
    ? Effect.succeed(value)
    : Effect.fail(invalid(`${option} has to be a whole number of at least ${minimum}; it was ${value}`))
