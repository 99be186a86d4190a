/**
 * What a module of handlers exports for the `docket worker` command: a group of tasks together with its handlers.
 */
import type * as Layer from "effect/Layer"
import * as Predicate from "effect/Predicate"
import type { Docket } from "./Docket.ts"
import type * as Task from "./Task.ts"
import type * as TaskGroup from "./TaskGroup.ts"

/**
 * The identifier of task modules.
 *
 * @category symbols
 * @since 0.1.0
 */
export const TypeId = "~effect-docket/TaskModule"

/**
 * A group of tasks with a layer that provides all of their handlers.
 *
 * @category models
 * @since 0.1.0
 */
export interface TaskModule<in out Tasks extends Task.Any> {
  readonly [TypeId]: typeof TypeId
  readonly tasks: TaskGroup.TaskGroup<Tasks>
  readonly layer: Layer.Layer<Task.Handlers<Tasks>, unknown, Docket>
}

/**
 * Puts a group and its handlers together. Everything that the handlers need, apart from the docket, has to be provided
 * already, since the command has nothing to give.
 *
 * **Example**
 *
 * ```ts
 * export default TaskModule.make(tasks, HandlersLive.pipe(Layer.provide(MailerLive)))
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = <Tasks extends Task.Any, E, R extends Docket = never>(
  tasks: TaskGroup.TaskGroup<Tasks>,
  layer: Layer.Layer<Task.Handlers<Tasks>, E, R>
): TaskModule<Tasks> => ({ [TypeId]: TypeId, tasks, layer })

/**
 * Tells whether a value is a task module.
 *
 * @category guards
 * @since 0.1.0
 */
export const isTaskModule = (u: unknown): u is TaskModule<Task.Any> => Predicate.hasProperty(u, TypeId)
