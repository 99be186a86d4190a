/**
 * Middleware: what wraps every execution of a worker, such as a transaction, a feature flag or an audit record.
 */
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { MiddlewareFailed } from "./DocketError.ts"
import * as Signal from "./internal/signal.ts"

/**
 * Wraps executions. It can ask for everything that a handler can, and shares the execution's scope with it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Middleware<out R = never> {
  readonly name: string
  readonly wrap: <A, E, RH>(run: Effect.Effect<A, E, RH>) => Effect.Effect<A, E | MiddlewareFailed, RH | R>
}

/**
 * Names a middleware. It runs the effect that it is given, once, or fails: then the handler does not run.
 *
 * **Details**
 *
 * When the middleware itself fails, before the handler or after it succeeded, the execution fails with an error that
 * names the middleware, and the task's retries apply. A worker applies its middleware in the order given, the first one
 * outermost.
 *
 * **Example**
 *
 * ```ts
 * const transaction = Middleware.make("transaction", (run) => Effect.flatMap(Sql, (sql) => sql.withTransaction(run)))
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = <EM = never, R = never>(
  name: string,
  wrap: <A, E, RH>(run: Effect.Effect<A, E, RH>) => Effect.Effect<A, E | EM, RH | R>
): Middleware<R> => ({
  name,
  wrap: <A, E, RH>(run: Effect.Effect<A, E, RH>) =>
    Effect.suspend(() => {
      let inner: Exit.Exit<A, E> | undefined
      const observed = Effect.onExit(run, (exit) =>
        Effect.sync(() => {
          inner = exit
        })
      )
      return Effect.catchCause(wrap(observed), (cause): Effect.Effect<never, E | MiddlewareFailed> => {
        // A failure of the handler, on its way out, is the handler's own.
        if (inner !== undefined && Exit.isFailure(inner)) return Effect.failCause(inner.cause)
        if (Cause.hasInterruptsOnly(cause)) return Effect.interrupt
        const refused = Signal.findNotAdmitted(cause)
        return refused === undefined
          ? Effect.fail(new MiddlewareFailed({ middleware: name, cause: Cause.squash(cause) }))
          : Effect.die(refused)
      })
    })
})

/**
 * Ends the execution before its handler has run: it may not start now, and is tried again after the delay. That is not a
 * failure and uses up no attempt. Default: 100 milliseconds.
 *
 * @category control
 * @since 0.1.0
 */
export const postpone = (delay: Duration.Input = "100 millis"): Effect.Effect<never> =>
  Effect.die(new Signal.NotAdmitted(Math.max(0, Math.ceil(Duration.toMillis(delay)))))
