/**
 * Deadlines and pauses of connections are in real time, whatever `Clock` the program runs with: the server knows no other.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import type * as Scope from "effect/Scope"

const clock = Clock.Clock.defaultValue()

/** Runs an effect by the clock of the machine. */
export const inRealTime = Effect.provideService(Clock.Clock, clock)

/** The time, epoch ms. */
export const now = (): number => clock.currentTimeMillisUnsafe()

/** Milliseconds from some moment on, which no change of the date moves. */
export const monotonic = (): number => Number(clock.monotonicTimeNanosUnsafe()) / 1e6

/**
 * Watches over what may take so long and no longer, with one timer for all of it. `oldest` tells when the one that has
 * waited for longest began, if there is any, and `end` ends those that began at that moment or before. Gives back what to
 * call when one begins.
 */
export const watchOver: (
  limitMillis: number,
  oldest: () => number | undefined,
  end: (until: number) => void
) => Effect.Effect<() => void, never, Scope.Scope> = Effect.fnUntraced(function* (limitMillis, oldest, end) {
  const busy = Latch.makeUnsafe(false)
  yield* busy.await.pipe(
    Effect.flatMap(() => {
      const since = oldest()
      if (since === undefined) {
        busy.closeUnsafe()
        return Effect.void
      }
      const left = since + limitMillis - monotonic()
      if (left > 0) return Effect.sleep(left)
      end(monotonic() - limitMillis)
      return Effect.void
    }),
    Effect.forever,
    inRealTime,
    Effect.forkScoped
  )
  return () => void busy.openUnsafe()
})
