/**
 * A group of tasks: what a worker runs together, and the place where their handlers become a layer.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { type Pipeable, pipeArguments } from "effect/Pipeable"
import * as Predicate from "effect/Predicate"
import type * as Scope from "effect/Scope"
import * as Admission from "./Admission.ts"
import { handlerOf, type Implementation } from "./internal/contract/handlers.ts"
import type * as Task from "./Task.ts"
import type { TaskServices } from "./TaskContext.ts"

/**
 * The identifier of task groups.
 *
 * @category symbols
 * @since 0.1.0
 */
export const TypeId = "~effect-docket/TaskGroup"

/**
 * A group of tasks.
 *
 * @category models
 * @since 0.1.0
 */
export interface TaskGroup<in out Tasks extends Task.Any> extends Pipeable {
  readonly [TypeId]: typeof TypeId
  readonly tasks: ReadonlyMap<string, Tasks>
  /** This group with more tasks. */
  readonly add: <const More extends ReadonlyArray<Task.Any>>(...tasks: More) => TaskGroup<Tasks | More[number]>
  /** This group together with another one. */
  readonly merge: <Other extends Task.Any>(that: TaskGroup<Other>) => TaskGroup<Tasks | Other>
  /**
   * Provides the handlers of all tasks of the group, or of an effect that makes them.
   *
   * The services that the handlers use stay in the layer's requirements, apart from those that the worker provides for
   * each execution.
   */
  readonly toLayer: <const H extends HandlersOf<Tasks> & NoOthers<H, Tasks>, EX = never, RX = never>(
    handlers: H | Effect.Effect<H, EX, RX>
  ) => Layer.Layer<Task.Handlers<Tasks>, EX, Exclude<RX, Scope.Scope> | HandlerServices<H>>
  /** Provides the handler of one task of the group. */
  readonly toLayerHandler: <
    const Name extends Tasks["name"],
    H extends HandlersOf<Tasks>[Name],
    EX = never,
    RX = never
  >(
    name: Name,
    handler: H | Effect.Effect<H, EX, RX>
  ) => Layer.Layer<Task.Handler<Name>, EX, Exclude<RX, Scope.Scope> | HandlerServices<{ readonly [K in Name]: H }>>
  /** Types handlers that are written apart from `toLayer`. */
  readonly of: <const H extends HandlersOf<Tasks> & NoOthers<H, Tasks>>(handlers: H) => H
}

/**
 * The handlers that a union of tasks needs, by task name.
 *
 * @category type-level
 * @since 0.1.0
 */
export type HandlersOf<Tasks extends Task.Any> = { readonly [T in Tasks as T["name"]]: Task.HandlerFn<T> }

/** Refuses handlers of tasks that are not in the group, such as one whose name is misspelt. */
type NoOthers<H, Tasks extends Task.Any> = string extends keyof H
  ? unknown
  : { readonly [Name in Exclude<keyof H, Tasks["name"]>]: never }

/**
 * The services that handlers use, without those that the worker provides for each execution.
 *
 * @category type-level
 * @since 0.1.0
 */
export type HandlerServices<H> = {
  [K in keyof H]: H[K] extends (...args: Array<never>) => Effect.Effect<infer _A, infer _E, infer R>
    ? Exclude<R, TaskServices>
    : never
}[keyof H]

/**
 * The tasks of a group, as a union.
 *
 * @category type-level
 * @since 0.1.0
 */
export type Tasks<G> = G extends TaskGroup<infer T> ? T : never

/**
 * Groups tasks. Two different tasks of one name, and tasks that say different things of a control that they share, are
 * refused, here and in `add` and `merge`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = <const T extends ReadonlyArray<Task.Any>>(...tasks: T): TaskGroup<T[number]> =>
  fromTasks<T[number]>(tasks)

/**
 * Tells whether a value is a group of tasks.
 *
 * @category guards
 * @since 0.1.0
 */
export const isTaskGroup = (u: unknown): u is TaskGroup<Task.Any> => Predicate.hasProperty(u, TypeId)

const fromTasks = <T extends Task.Any>(tasks: Iterable<T>): TaskGroup<T> => {
  const byName = new Map<string, T>()
  for (const task of tasks) {
    const known = byName.get(task.name)
    if (known !== undefined && known !== task) {
      throw new RangeError(`Two different tasks are named "${task.name}": a group needs one name for each task`)
    }
    byName.set(task.name, task)
  }
  const disagreement = Admission.findDisagreement(byName.values())
  if (disagreement !== undefined) throw new RangeError(disagreement)
  // The signatures in `TaskGroup` check the handlers against their tasks and name what `build` needs and fails with.
  // Here they are functions by name, so the methods are written without those types.
  const group: Erased = {
    toLayer: (build) => layerOf([...byName.keys()], build),
    toLayerHandler: (name, build) =>
      layerOf(
        [name],
        Effect.map(Effect.isEffect(build) ? build : Effect.succeed(build), (run) => ({ [name]: run }))
      ),
    of: (handlers) => handlers
  }
  return {
    ...(group as unknown as Pick<TaskGroup<T>, keyof Erased>),
    [TypeId]: TypeId,
    tasks: byName,
    add: (...more) => fromTasks([...byName.values(), ...more]),
    merge: (that) => fromTasks([...byName.values(), ...that.tasks.values()]),
    pipe() {
      return pipeArguments(this, arguments)
    }
  }
}

type Run = Implementation["run"]
type Build<H> = H | Effect.Effect<H>

interface Erased {
  readonly toLayer: (build: Build<Record<string, Run>>) => Layer.Layer<never>
  readonly toLayerHandler: (name: string, build: Build<Run>) => Layer.Layer<never>
  readonly of: (handlers: unknown) => unknown
}

const layerOf = (names: ReadonlyArray<string>, build: Build<Record<string, Run>>): Layer.Layer<never> =>
  Layer.effectContext(
    Effect.gen(function* () {
      const context = yield* Effect.context<never>()
      const handlers = Effect.isEffect(build) ? yield* build : build
      let services: Context.Context<never> = Context.empty()
      for (const name of Object.keys(handlers)) {
        if (!names.includes(name)) {
          return yield* Effect.die(new RangeError(`There is a handler for "${name}", and no task of that name`))
        }
      }
      for (const name of names) {
        // Every object has what `Object` has, and a task may be named like it.
        const run = Object.hasOwn(handlers, name) || !(name in Object.prototype) ? handlers[name] : undefined
        if (typeof run !== "function") {
          return yield* Effect.die(new RangeError(`There is no handler for task "${name}"`))
        }
        services = Context.add(services, handlerOf(name), { run, context })
      }
      return services
    })
  )
