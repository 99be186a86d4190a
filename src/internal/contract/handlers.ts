/**
 * How handlers travel from the layer that provides them to the worker that runs them: one service for each task name.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Task from "../../Task.ts"

/** Stands for what some task's handler may fail with. Only the task's own schema can tell more. */
export interface HandlerError {
  readonly "~effect-docket/HandlerError": never
}

/**
 * A handler with the services that its layer was built with. It requires those, and what the worker provides for each
 * execution; whoever runs it provides both.
 */
export interface Implementation {
  readonly run: (payload: unknown) => Effect.Effect<unknown, HandlerError>
  readonly context: Context.Context<never>
}

/** The handler service of the task with this name. */
export const handlerOf = <Name extends string>(name: Name): Context.Key<Task.Handler<Name>, Implementation> =>
  Context.Service<Task.Handler<Name>, Implementation>(`effect-docket/Handler/${name}`)
