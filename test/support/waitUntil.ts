/** Waiting, in real time, for what happens outside the reach of a test's clock. */
import { Clock, Effect } from "effect"

const pollMillis = 2
const patienceMillis = 20_000

/** Waits until a condition holds; the reason says what is missing when it does not come. */
export const waitUntil = Effect.fnUntraced(function* <E, R>(why: string, condition: Effect.Effect<boolean, E, R>) {
  for (let waited = 0; waited < patienceMillis; waited += pollMillis) {
    if (yield* condition) return
    yield* realTime(pollMillis)
  }
  return yield* Effect.die(new Error(`Still waiting until ${why}`))
})

/** Tries again and again until it succeeds. */
export const untilSuccess = <A, R>(why: string, effect: Effect.Effect<A, unknown, R>) =>
  waitUntil(why, Effect.match(effect, { onFailure: () => false, onSuccess: () => true }))

/** Lets real time pass, also under a `TestClock`. */
export const realTime = (millis: number): Effect.Effect<void> =>
  Effect.provideService(Effect.sleep(millis), Clock.Clock, liveClock)

const liveClock = Clock.Clock.defaultValue()
