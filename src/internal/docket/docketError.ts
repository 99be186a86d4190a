/**
 * The step from a reason to the error that users see.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { DocketError, InvalidRequest, StoreError } from "../../DocketError.ts"

/** Fails with a `DocketError` for each of its reasons. */
export const failWith = <A, R>(effect: Effect.Effect<A, DocketError["reason"], R>): Effect.Effect<A, DocketError, R> =>
  Effect.mapError(effect, (reason) => new DocketError({ reason }))

/** A request that cannot be accepted; the sentence says what is wrong and what to do. */
export const invalid = (problem: string): DocketError => new DocketError({ reason: new InvalidRequest({ problem }) })

/** What an operation comes to once the docket is closed. */
export const closed = (operation: string): Exit.Exit<never, DocketError> =>
  Exit.fail(new DocketError({ reason: new StoreError({ operation, cause: new Error("The docket is closed") }) }))
