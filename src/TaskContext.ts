/**
 * What a handler can ask for: services that the worker provides for each execution. Outside a handler they do not
 * exist, by type.
 */
import * as Context from "effect/Context"
import type * as DateTime from "effect/DateTime"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type { Docket } from "./Docket.ts"
import type { DocketError } from "./DocketError.ts"
import type * as Task from "./Task.ts"

/**
 * The key of the execution that runs.
 *
 * @category services
 * @since 0.1.0
 */
export class TaskKey extends Context.Service<TaskKey, string>()("effect-docket/TaskKey") {}

/**
 * The docket that the worker serves, to schedule more work on.
 *
 * @category services
 * @since 0.1.0
 */
export class CurrentDocket extends Context.Service<CurrentDocket, Docket["Service"]>()("effect-docket/CurrentDocket") {}

/**
 * Why a running execution was interrupted: somebody cancelled it, its timeout passed, its worker is shutting down and
 * gives it back, or the worker lost its lease on it, so that another worker may be running it already.
 *
 * @category models
 * @since 0.1.0
 */
export type InterruptReason = "cancelled" | "timed-out" | "shutting-down" | "lease-lost"

/**
 * The execution that runs.
 *
 * @category services
 * @since 0.1.0
 */
export class CurrentExecution extends Context.Service<
  CurrentExecution,
  {
    readonly key: string
    /** The name under which it was scheduled. */
    readonly task: string
    /** The decoded payload, for middleware, which does not know the task. */
    readonly payload: unknown
    /** The payload as it was stored: JSON text. */
    readonly encodedPayload: string
    /** The attempt that this run is, from 1. */
    readonly attempt: number
    /** How often this schedule was handed to a worker, this time included. */
    readonly deliveries: number
    /** Whether another worker held it before and did not finish. */
    readonly redelivered: boolean
    /** Counts the schedules of the key. */
    readonly generation: number
    /** When it was due. */
    readonly due: DateTime.Utc
    /**
     * When this run started: the moment of the claim, by the store's clock. Of two workers that hold the same key one
     * after the other, the later one has the later moment, so it can serve as a fencing number: a resource that remembers
     * the highest one can refuse what a worker that lost its lease still sends.
     */
    readonly started: DateTime.Utc
    /**
     * Names the worker's hold on this execution; no two holds share a token. The store takes nothing from a worker that
     * names a hold which has passed to another.
     */
    readonly lease: string
    /** Why the handler is being interrupted; none while it is not. Finalizers read it. */
    readonly interruptReason: Effect.Effect<Option.Option<InterruptReason>>
  }
>()("effect-docket/CurrentExecution") {}

/**
 * The worker that runs the execution.
 *
 * @category services
 * @since 0.1.0
 */
export class CurrentWorker extends Context.Service<CurrentWorker, { readonly name: string }>()(
  "effect-docket/CurrentWorker"
) {}

/**
 * How far the execution has come, for whoever watches it.
 *
 * **Details**
 *
 * A run starts at 0 of 100 without a message. Changes are published as they are made, at a bounded rate: when there are
 * more, the newest stands for those before it, and the last is never left out. Progress ends with the run.
 *
 * @category services
 * @since 0.1.0
 */
export class Progress extends Context.Service<
  Progress,
  {
    /** Sets what 100 % is, finite and at least 1; another total is a defect and changes nothing. */
    readonly setTotal: (total: number) => Effect.Effect<void>
    /** Adds to the current value, by default 1; less than 1, or what makes it infinite, is a defect and changes nothing. */
    readonly increment: (amount?: number) => Effect.Effect<void>
    /** Sets the message. Fails when it is larger than the docket takes (`maximumBytes`), and changes nothing then. */
    readonly setMessage: (message: string) => Effect.Effect<void, DocketError>
    readonly current: Effect.Effect<ProgressState>
    /** Publishes what has not been published yet, and completes when the store has it. */
    readonly sync: Effect.Effect<void, DocketError>
  }
>()("effect-docket/Progress") {}

/**
 * A progress at a moment.
 *
 * @category models
 * @since 0.1.0
 */
export interface ProgressState {
  readonly current: number
  readonly total: number
  readonly message: string | undefined
  /** When it last changed; nothing before the first change. */
  readonly updated: DateTime.Utc | undefined
}

/**
 * The recurrence of the execution that runs. It concerns the next run only, apart from the payload, which later runs
 * keep. For a task that does not recur these do nothing.
 *
 * @category services
 * @since 0.1.0
 */
export class Perpetual extends Context.Service<
  Perpetual,
  {
    /** Makes this run the last one. It ends like any other, and the key is free. */
    readonly cancel: Effect.Effect<void>
    /** Measures the next run from the start of this one by another interval. */
    readonly every: (interval: Duration.Input) => Effect.Effect<void>
    /** Schedules the next run this long after the end of this one, also if this run fails. */
    readonly after: (delay: Duration.Input) => Effect.Effect<void>
    /** Schedules the next run for a moment, also if this run fails. */
    readonly at: (moment: DateTime.DateTime) => Effect.Effect<void>
    /** Gives the next run, and those after it, another payload. The task is the one that runs. */
    readonly next: <T extends Task.Any>(task: T, payload: Task.PayloadInput<T>) => Effect.Effect<void, DocketError>
  }
>()("effect-docket/Perpetual") {}

/**
 * The timeout of the execution that runs.
 *
 * @category services
 * @since 0.1.0
 */
export class TaskTimeout extends Context.Service<
  TaskTimeout,
  {
    /** The time left; infinite for a task without a timeout. */
    readonly remaining: Effect.Effect<Duration.Duration>
    /** Moves the deadline by a duration, by default the task's timeout. Extensions add up. */
    readonly extend: (duration?: Duration.Input) => Effect.Effect<void>
  }
>()("effect-docket/TaskTimeout") {}

/**
 * The services that a worker provides for each execution, its scope included.
 *
 * @category type-level
 * @since 0.1.0
 */
export type TaskServices =
  TaskKey | CurrentDocket | CurrentExecution | CurrentWorker | Progress | Perpetual | TaskTimeout | Scope.Scope
