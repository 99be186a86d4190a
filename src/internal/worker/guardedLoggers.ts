/**
 * Loggers of a user's own may throw, and so may what they are to show. Nothing that a worker does depends on its lines.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import * as Result from "effect/Result"

/** Runs an effect with the present loggers, none of which fails it: a line that cannot be shown goes without its cause. */
export const withGuardedLoggers = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.flatMap(Logger.CurrentLoggers, (loggers) =>
    Effect.provideService(effect, Logger.CurrentLoggers, new Set(Array.from(loggers, guarded)))
  )

const guarded = (logger: Logger.Logger<unknown, unknown>): Logger.Logger<unknown, void> =>
  Logger.make((options) => {
    const logged = Result.try(() => logger.log(options))
    if (Result.isFailure(logged)) Result.try(() => logger.log({ ...options, cause: Cause.empty }))
  })
