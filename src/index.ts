/**
 * A distributed background task system for Effect, on Redis streams.
 */

/** Limits on when and how often tasks may start. */
export * as Admission from "./Admission.ts"
/** Requests that are collected, and then scattered over a span of time. */
export * as Agenda from "./Agenda.ts"
/** The tasks that every worker knows: `trace`, `fail` and `sleep`. */
export * as BuiltIn from "./BuiltIn.ts"
/** The docket: schedules tasks, and steers what was scheduled. */
export { Docket, DocketLive } from "./Docket.ts"
/** Constructors and options of dockets. */
export * as Dockets from "./Docket.ts"
/** Every error that a user can meet. */
export * from "./DocketError.ts"
/** The port beneath a docket, for those who write a store of their own. */
export * as DocketStore from "./DocketStore.ts"
/** Handles on executions. */
export type * from "./Execution.ts"
/** Why an execution is not running. */
export * as Explanation from "./Explanation.ts"
/** What wraps every execution of a worker. */
export * as Middleware from "./Middleware.ts"
/** When tasks recur. */
export * as Recurrence from "./Recurrence.ts"
/** A place of one's own for results. */
export type * from "./ResultStore.ts"
/** What follows a failed attempt. */
export * as Retry from "./Retry.ts"
/** What an operator sees of a docket. */
export type * from "./Snapshot.ts"
/** Instructions that keep executions from running. */
export * as Strike from "./Strike.ts"
/** Lists of strikes that work on their own. */
export * as StrikeList from "./StrikeList.ts"
/** Contracts of tasks. */
export * as Task from "./Task.ts"
/** What handlers can ask for. */
export * from "./TaskContext.ts"
/** Groups of tasks, and their handlers. */
export * as TaskGroup from "./TaskGroup.ts"
/** What a module of handlers exports for the `docket worker` command. */
export * as TaskModule from "./TaskModule.ts"
/** How spans look. */
export * as Telemetry from "./Telemetry.ts"
/** Workers: they run the handlers. */
export * as Worker from "./Worker.ts"
