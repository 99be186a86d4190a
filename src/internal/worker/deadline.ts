/**
 * The deadline of one run: a timeout that its handler can see and move.
 */
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { TaskTimedOut } from "../../DocketError.ts"
import type { TaskTimeout } from "../../TaskContext.ts"
import * as Durations from "../contract/durations.ts"
import * as Monotonic from "./monotonic.ts"

/** A deadline, as the handler and as the worker see it. */
export interface Deadline {
  readonly service: TaskTimeout["Service"]
  /** Runs a handler until the deadline, which counts from the start of the handler. */
  readonly limit: <A, E, R>(handler: Effect.Effect<A, E, R>) => Effect.Effect<A, E | TaskTimedOut, R>
}

/** For a task without a timeout. */
export const none: Deadline = {
  service: { remaining: Effect.succeed(Duration.infinity), extend: () => Effect.void },
  limit: (handler) => handler
}

/** Makes the deadline of a run; `onTimeout` is told right before the handler is interrupted. */
export const make = (options: {
  readonly key: string
  readonly timeoutMillis: number
  readonly clock: Clock.Clock
  readonly onTimeout: () => void
}): Deadline => {
  const { clock, key, onTimeout, timeoutMillis } = options
  let started = 0
  let allowed = timeoutMillis
  const remaining = () => started + allowed - Monotonic.now(clock)

  const expire = Effect.gen(function* () {
    while (remaining() > 0) yield* Effect.sleep(Duration.millis(remaining()))
    onTimeout()
    return yield* new TaskTimedOut({ key, timeoutMillis: allowed })
  })

  return {
    service: {
      remaining: Effect.sync(() => Duration.millis(Math.max(0, remaining()))),
      extend: (duration) =>
        Effect.map(Durations.given("TaskTimeout.extend", duration ?? timeoutMillis, { infinite: true }), (millis) => {
          allowed += millis
        })
    },
    limit: (handler) =>
      Effect.suspend(() => {
        started = Monotonic.now(clock)
        return Effect.raceFirst(handler, expire)
      })
  }
}
