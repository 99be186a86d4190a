/**
 * Deadlines and pauses of connections are in real time, whatever `Clock` the program runs with: the server knows no other.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"

const clock = Clock.Clock.defaultValue()

/** Runs an effect by the clock of the machine. */
export const inRealTime = Effect.provideService(Clock.Clock, clock)

/** The time, epoch ms. */
export const now = (): number => clock.currentTimeMillisUnsafe()
