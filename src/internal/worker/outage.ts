/**
 * What a worker does while the store is away: it says so once, and tries again with growing pauses.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { StoreError } from "../../DocketError.ts"

const firstPause = Duration.millis(50)

/** Repeats calls to the store until they are answered. */
export interface Outage {
  /**
   * Makes a call until the store answers it. The call is told how often it failed before; a pause ends early when the
   * connection is made anew. What is to be given up can say so in a pause, with an answer of its own.
   */
  readonly untilAnswered: <A, R>(
    call: (failures: number) => Effect.Effect<A, StoreError, R>,
    reconnected: Effect.Effect<void>,
    givenUp?: Effect.Effect<A>
  ) => Effect.Effect<A, never, R>
}

/** Makes the shared memory of an outage, so that several callers log and count it once. */
export const make = (longestPause: Duration.Duration, onLost: () => void): Outage => {
  let away = false
  /** Counts losses and returns: what a call that began before the last of them brings says nothing of the time since. */
  let turns = 0

  const lost = (error: StoreError, began: number) =>
    Effect.suspend(() => {
      if (away || began < turns) return Effect.void
      away = true
      turns++
      onLost()
      return Effect.logWarning(
        `${error.message.replace(/\.+$/, "")}. The worker goes on with what it runs, and tries again at least every ${Duration.format(longestPause)}`
      )
    })

  const found = (began: number) =>
    Effect.suspend(() => {
      if (!away || began < turns) return Effect.void
      away = false
      turns++
      return Effect.logInfo("The store answers again")
    })

  return {
    untilAnswered: Effect.fnUntraced(function* (call, reconnected, givenUp = Effect.never) {
      for (let failures = 0; ; failures++) {
        const began = turns
        const answer = yield* Effect.result(call(failures))
        if (answer._tag === "Success") {
          yield* found(began)
          return answer.success
        }
        yield* lost(answer.failure, began)
        const pause = Duration.min(Duration.times(firstPause, 2 ** Math.min(failures, 20)), longestPause)
        const instead = yield* Effect.raceAllFirst([
          Effect.as(Effect.sleep(pause), undefined),
          Effect.as(reconnected, undefined),
          Effect.map(givenUp, (answer) => ({ answer }))
        ])
        if (instead !== undefined) return instead.answer
      }
    })
  }
}
