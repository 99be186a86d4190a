/**
 * The time by which a worker measures: how old a lease is, how long a run takes, when something is to be looked at again.
 */
import type * as Clock from "effect/Clock"

/** Milliseconds from some moment on. No change of the date moves it, and it goes on while the process stands still. */
export const now = (clock: Clock.Clock): number => Number(clock.monotonicTimeNanosUnsafe()) / 1e6
