/**
 * Middleware: what wraps every execution of a worker, such as a transaction, a feature flag or an audit record.
 */
import * as Cause from "effect/Cause"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { MiddlewareFailed } from "./DocketError.ts"
import * as Durations from "./internal/contract/durations.ts"
import * as Signal from "./internal/contract/signal.ts"

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
 * What a middleware asks for.
 *
 * @category type-level
 * @since 0.1.0
 */
export type Services<M> = M extends Middleware<infer R> ? R : never

/**
 * Stands for what an execution succeeds with: a middleware does not know the task, and hands it on.
 *
 * @category models
 * @since 0.1.0
 */
export interface Success {
  readonly "~effect-docket/Middleware/Success": never
}

/**
 * Stands for what an execution fails with: a middleware does not know the task, and hands it on.
 *
 * @category models
 * @since 0.1.0
 */
export interface Failure {
  readonly "~effect-docket/Middleware/Failure": never
}

/**
 * Names a middleware. It runs the effect that it is given, once, or fails: then the handler does not run.
 *
 * **Details**
 *
 * When the middleware itself fails, before the handler or after it, the execution fails with an error that names the
 * middleware, next to that of the handler if there is one, and the task's retries apply. A worker applies its middleware
 * in the order given, the first one outermost.
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
  wrap: (run: Effect.Effect<Success, Failure>) => Effect.Effect<Success, Failure | EM, R>
): Middleware<R> => {
  const failed = (cause: Cause.Cause<unknown>) => new MiddlewareFailed({ middleware: name, cause: Cause.squash(cause) })

  const around = (run: Effect.Effect<Success, Failure>): Effect.Effect<Success, Failure | MiddlewareFailed, R> =>
    Effect.suspend(() => {
      let inner: Exit.Exit<Success, Failure> | undefined
      const observed = Effect.onExit(run, (exit) =>
        Effect.sync(() => {
          inner = exit
        })
      )
      const wrapped = Effect.suspend(() => wrap(observed))
      return Effect.catchCause(wrapped, (cause): Effect.Effect<never, Failure | MiddlewareFailed> => {
        if (inner !== undefined && Exit.isFailure(inner)) {
          // A failure of the handler, on its way out, is the handler's own.
          const own = reasonsBeside(cause, inner.cause)
          return own.reasons.length === 0
            ? Effect.failCause(inner.cause)
            : Effect.failCause(Cause.combine(inner.cause, Cause.fail(failed(own))))
        }
        if (Cause.hasInterruptsOnly(cause)) return Effect.interrupt
        const refused = Signal.findNotAdmitted(cause)
        return refused === undefined ? Effect.fail(failed(cause)) : Effect.die(refused)
      })
    })

  // What it wraps has the types for which `Success` and `Failure` stand, and it can do nothing with either but hand it on.
  // What that asks for besides, the type of `wrap` asks for as well, and it runs in the same context.
  return { name, wrap: around as unknown as Middleware<R>["wrap"] }
}

/** The errors and defects of a cause that another one does not hold. */
const reasonsBeside = (cause: Cause.Cause<unknown>, other: Cause.Cause<unknown>): Cause.Cause<unknown> => {
  const known = new Set(other.reasons.map(valueOf))
  return Cause.fromReasons(
    cause.reasons.filter((reason) => !Cause.isInterruptReason(reason) && !known.has(valueOf(reason)))
  )
}

const valueOf = (reason: Cause.Reason<unknown>): unknown => {
  if (Cause.isFailReason(reason)) return reason.error
  return Cause.isDieReason(reason) ? reason.defect : reason
}

/**
 * Ends the execution before its handler has run: it may not start now, and is tried again after the delay. That is not a
 * failure and uses up no attempt. Default: 100 milliseconds.
 *
 * @category control
 * @since 0.1.0
 */
export const postpone = (delay: Duration.Input = "100 millis"): Effect.Effect<never> =>
  Effect.flatMap(Durations.given("Middleware.postpone", delay), (millis) =>
    Effect.die(new Signal.NotAdmitted(Math.max(0, Math.ceil(millis))))
  )
