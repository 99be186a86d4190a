/**
 * The step from a reason to the error that users see.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Duration from "effect/Duration"
import { DocketError, InvalidRequest, Overloaded, StoreError } from "../../DocketError.ts"

/** Fails with a `DocketError` for each of its reasons. */
export const failWith = <A, R>(effect: Effect.Effect<A, DocketError["reason"], R>): Effect.Effect<A, DocketError, R> =>
  Effect.mapError(effect, (reason) => new DocketError({ reason }))

/** A request that cannot be accepted; the sentence says what is wrong and what to do. */
export const invalid = (problem: string): DocketError => new DocketError({ reason: new InvalidRequest({ problem }) })

/** Whether an operation failed because the docket, or its store, is closed: nothing is answered any more. */
export const isClosed = ({ cause }: StoreError): boolean =>
  cause instanceof Error && /^The (?:docket|store) is closed$/.test(cause.message)

/** What an operation comes to once the docket is closed. */
export const closed = (operation: string): Exit.Exit<never, DocketError> =>
  Exit.fail(new DocketError({ reason: new StoreError({ operation, cause: new Error("The docket is closed") }) }))

/** What an operation comes to whose store takes too long: it may have been carried out if it was sent. */
export const late = (operation: string, limitMillis: number, wasSent: boolean): StoreError => {
  const limit = Duration.format(Duration.millis(limitMillis))
  const cause = new Error(
    wasSent
      ? `The store did not answer in time, which is ${limit}; nobody knows whether it has done what was asked`
      : `The store did not take this in time, which is ${limit}, since it was busy with what came before; nothing was sent`
  )
  return new StoreError({ operation, cause })
}

/** How callers that share calls wait for them: for as long as the store says, and not in any number. */
export const waits = (operation: string, limitMillis: number | undefined) => ({
  ...(limitMillis === undefined
    ? {}
    : {
        patience: {
          millis: limitMillis,
          over: (wasSent: boolean) => Exit.fail(new DocketError({ reason: late(operation, limitMillis, wasSent) }))
        }
      }),
  crowd: {
    maximum: maximumWaiting,
    refused: Exit.fail(new DocketError({ reason: new Overloaded({ operation, waiting: maximumWaiting }) }))
  }
})

/** What a producer of 10,000 a second asks for within ten seconds, and some hundred megabytes at most. */
export const maximumWaiting = 100_000
