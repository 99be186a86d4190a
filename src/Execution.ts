/**
 * A handle on one execution: what a producer gets back, and what a key is looked up as.
 */
import type * as DateTime from "effect/DateTime"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import type * as Stream from "effect/Stream"
import type { DocketError, ResultError, ResultTimeout } from "./DocketError.ts"
import type { Disposition, State } from "./DocketStore.ts"
import type { ProgressState } from "./TaskContext.ts"

/**
 * A handle on an execution whose task succeeds with `A` and fails with `E`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Execution<out A, out E> {
  readonly key: string
  /** The name of the task. */
  readonly task: string
  /** What happened to the request to schedule; none for a handle that was looked up. */
  readonly disposition: Disposition | undefined
  /** What the docket knows about it now; nothing when it was never scheduled or its record has expired. */
  readonly info: Effect.Effect<Option.Option<ExecutionInfo>, DocketError>
  /**
   * What the task succeeded with. Waits for the end of an unfinished execution, and answers at once after it.
   *
   * **Details**
   *
   * Fails with the task's own error if the task failed with it; with `TaskCancelled` if the execution was cancelled;
   * with `TaskFailed` if it failed in a way that the contract does not name; with `ResultNotKept` if there is no record
   * (any more), or the key was scheduled again before the result was read; and with `DocketError` if the store cannot be
   * reached. Interrupting the wait leaves the execution alone.
   */
  readonly result: Effect.Effect<A, E | ResultError>
  /** Like `result`, and fails with `ResultTimeout` when there is none within the duration. The execution goes on. */
  readonly resultWithin: (duration: Duration.Input) => Effect.Effect<A, E | ResultError | ResultTimeout>
  /**
   * Its present state, its present progress, and then each change as it happens.
   *
   * **Details**
   *
   * Nothing that happens after the first element is left out, apart from progress that newer progress stands for. The
   * stream ends when the execution is settled; that of a recurring one goes on with its next run. Without a record it is
   * empty.
   */
  readonly events: Stream.Stream<ExecutionEvent, DocketError>
  /**
   * The last runs of a recurring task, the oldest first and at most 20. They are kept as long as failures, from the time at
   * which the next run is due.
   */
  readonly runs: Effect.Effect<ReadonlyArray<PastRun>, DocketError>
  /** Its failed attempts, oldest first; the newest 20 are kept. */
  readonly attempts: Effect.Effect<ReadonlyArray<Attempt>, DocketError>
  /** Cancels it; see `Docket.cancel`. */
  readonly cancel: Effect.Effect<void, DocketError>
}

/**
 * A failed attempt of an execution.
 *
 * @category models
 * @since 0.1.0
 */
export interface Attempt {
  readonly attempt: number
  readonly worker: string
  readonly started: DateTime.Utc
  readonly ended: DateTime.Utc
  /** The error as text: its name, a colon, its message. */
  readonly error: string
}

/**
 * A change in the life of an execution.
 *
 * @category models
 * @since 0.1.0
 */
export type ExecutionEvent = StateChanged | ProgressChanged

/**
 * An execution has come to another state.
 *
 * @category models
 * @since 0.1.0
 */
export interface StateChanged {
  readonly _tag: "StateChanged"
  readonly key: string
  readonly task: string
  readonly state: State
  /** When it is due; set while it is scheduled or queued. */
  readonly due: DateTime.Utc | undefined
  /** The worker that runs it or ran it. */
  readonly worker: string | undefined
  readonly started: DateTime.Utc | undefined
  readonly completed: DateTime.Utc | undefined
  /** The error as text, of a failed execution. */
  readonly error: string | undefined
}

/**
 * A running execution has reported progress.
 *
 * @category models
 * @since 0.1.0
 */
export interface ProgressChanged extends ProgressState {
  readonly _tag: "ProgressChanged"
  readonly key: string
}

/**
 * The feed of a docket lost its connection for a while: what happened meanwhile is not in it.
 *
 * @category models
 * @since 0.1.0
 */
export interface FeedInterrupted {
  readonly _tag: "FeedInterrupted"
}

/**
 * A run of a recurring task that was followed by the next one.
 *
 * @category models
 * @since 0.1.0
 */
export interface PastRun {
  readonly worker: string
  readonly started: DateTime.Utc
  readonly ended: DateTime.Utc
  readonly state: "completed" | "failed"
  /** The error as text, of one that failed. */
  readonly error: string | undefined
}

/**
 * What a docket knows about an execution.
 *
 * @category models
 * @since 0.1.0
 */
export interface ExecutionInfo {
  readonly key: string
  readonly task: string
  /** The payload as it is stored: JSON text. */
  readonly encodedPayload: string
  readonly state: State
  /** The attempt that runs or comes next, or was the last; from 1. */
  readonly attempt: number
  /** How often the present schedule was handed to a worker. */
  readonly deliveries: number
  /** Counts the schedules of the key. */
  readonly generation: number
  readonly due: DateTime.Utc
  /** The worker that runs it or ran it last. */
  readonly worker: string | undefined
  readonly started: DateTime.Utc | undefined
  readonly completed: DateTime.Utc | undefined
  /** The last error as text: its name, a colon, its message. */
  readonly error: string | undefined
  /** How far a running execution has come; nothing for one that does not run. */
  readonly progress: ProgressState | undefined
}
