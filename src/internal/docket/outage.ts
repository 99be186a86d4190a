/**
 * What is done while the store is away: it is said once, and tried again with growing pauses.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { StoreError } from "../../DocketError.ts"

const firstPause = Duration.millis(50)

/** Repeats calls to the store until they are answered. */
export interface Outage {
  /**
   * Makes a call until the store answers it. The call is told how often it failed before; a pause ends early when the
   * connection is made anew, and pauses grow from there again, since another connection may need a moment more. What is to
   * be given up can say so in a pause, with an answer of its own.
   */
  readonly untilAnswered: <A, R>(
    call: (failures: number) => Effect.Effect<A, StoreError, R>,
    reconnected: Effect.Effect<void>,
    givenUp?: Effect.Effect<A>
  ) => Effect.Effect<A, never, R>
  /** What the store said last, while it is away. */
  readonly problem: () => string | undefined
}

/** What a worker says of an outage. */
const ofWorker = "The worker goes on with what it runs, and tries again"

/** Makes the shared memory of an outage, so that several callers log and count it once. */
export const make = (longestPause: Duration.Duration, onLost: () => void, meanwhile = ofWorker): Outage => {
  /** What it failed with last, while it is away. */
  let away: StoreError | undefined
  /** What was advised on in this outage. */
  const advised = new Set<string | undefined>()
  /** Counts losses and returns: what a call that began before the last of them brings says nothing of the time since. */
  let turns = 0

  const lost = (error: StoreError, began: number) =>
    Effect.suspend(() => {
      if (began < turns) return Effect.void
      if (away === undefined) {
        turns++
        onLost()
      } else if (error.advice === undefined || advised.has(error.advice)) {
        away = error
        return Effect.void
      }
      away = error
      advised.add(error.advice)
      return Effect.logWarning(`${error.message}. ${meanwhile} at least every ${Duration.format(longestPause)}`)
    })

  const found = (began: number) =>
    Effect.suspend(() => {
      if (away === undefined || began < turns) return Effect.void
      away = undefined
      advised.clear()
      turns++
      return Effect.logInfo("The store answers again")
    })

  const answered = <A>(answer: A, began: number): Effect.Effect<A> =>
    away === undefined ? Effect.succeed(answer) : Effect.as(found(began), answer)

  return {
    problem: () => away?.message,

    untilAnswered: (call, reconnected, givenUp = Effect.never) => {
      const again = Effect.fnUntraced(function* (error: StoreError, began: number) {
        let last = { error, began }
        for (let failures = 1, pauses = 0; ; failures++) {
          yield* lost(last.error, last.began)
          const pause = Duration.min(Duration.times(firstPause, 2 ** Math.min(pauses, 20)), longestPause)
          const instead = yield* Effect.raceAllFirst([
            Effect.as(Effect.sleep(pause), pauses + 1),
            Effect.as(reconnected, 0),
            Effect.map(givenUp, (answer) => ({ answer }))
          ])
          if (typeof instead !== "number") return instead.answer
          pauses = instead
          const began = turns
          const result = yield* Effect.result(call(failures))
          if (Result.isSuccess(result)) return yield* answered(result.success, began)
          last = { error: result.failure, began }
        }
      })

      // Nearly every call is answered at once, so that case has few steps.
      return Effect.suspend(() => {
        const began = turns
        return Effect.matchEffect(call(0), {
          onSuccess: (answer) => answered(answer, began),
          onFailure: (error) => again(error, began)
        })
      })
    }
  }
}
