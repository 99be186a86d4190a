/**
 * What an operator sees of a docket: a snapshot, its workers, what is paused, and the executions that failed for good.
 */
import type * as DateTime from "effect/DateTime"
import type * as Effect from "effect/Effect"
import type { DocketError } from "./DocketError.ts"
import type { ExecutionInfo } from "./Execution.ts"

/**
 * A docket at a moment.
 *
 * @category models
 * @since 0.1.0
 */
export interface Snapshot {
  readonly docket: string
  readonly taken: DateTime.Utc
  /** All live executions: queued, scheduled and running. */
  readonly total: number
  /** Due and not started. */
  readonly queued: number
  /** For later, or held back. */
  readonly scheduled: number
  /** How many run; `running` may list fewer. */
  readonly runningTotal: number
  readonly running: ReadonlyArray<ExecutionInfo>
  /** Those to come: what is due first, then by due time. */
  readonly upcoming: ReadonlyArray<ExecutionInfo>
  readonly workers: ReadonlyArray<WorkerInfo>
}

/**
 * A worker that can take work.
 *
 * @category models
 * @since 0.1.0
 */
export interface WorkerInfo {
  readonly name: string
  /** Its last sign of life. */
  readonly lastSeen: DateTime.Utc
  /** The names of the tasks that it knows, sorted. */
  readonly tasks: ReadonlyArray<string>
}

/**
 * A worker that holds executions and was not heard of within its presence.
 *
 * @category models
 * @since 0.1.0
 */
export interface SilentWorker {
  readonly name: string
  /** Its last sign of life; nothing when that is more than an hour ago, or not known. */
  readonly lastSeen: DateTime.Utc | undefined
  /** How many executions it holds. */
  readonly held: number
  /** When others will have taken over all that it holds. */
  readonly until: DateTime.Utc
}

/**
 * What is paused.
 *
 * @category models
 * @since 0.1.0
 */
export interface Paused {
  /** Whether everything is. */
  readonly all: boolean
  /** The names of the tasks that are paused themselves, sorted. */
  readonly tasks: ReadonlyArray<string>
}

/**
 * Chooses failed executions. What is left out does not restrict; an empty filter chooses all.
 *
 * @category options
 * @since 0.1.0
 */
export interface FailedFilter {
  readonly keys?: ReadonlyArray<string> | undefined
  /** The task's name. */
  readonly task?: string | undefined
  /** A part of the error's text. */
  readonly error?: string | undefined
  /** Those that failed at this moment or later. */
  readonly since?: DateTime.DateTime.Input | undefined
  /** Those that failed before this moment. */
  readonly until?: DateTime.DateTime.Input | undefined
  /** The most to choose, newest first. Default: all. */
  readonly limit?: number | undefined
}

/**
 * How many failed executions run again, and how many a strike kept from it.
 *
 * @category models
 * @since 0.1.0
 */
export interface RetriedFailed {
  readonly retried: number
  readonly struck: number
}

/**
 * The executions of a docket that failed for good.
 *
 * @category models
 * @since 0.1.0
 */
export interface FailedExecutions {
  /** Lists them, newest first. */
  readonly list: (filter?: FailedFilter) => Effect.Effect<ReadonlyArray<ExecutionInfo>, DocketError>
  /**
   * Runs them again, at once, with the payload that they had and a fresh budget of attempts. What a strike refuses stays
   * failed, and is counted and logged. What one holds waits.
   */
  readonly retry: (filter: FailedFilter) => Effect.Effect<RetriedFailed, DocketError>
  /**
   * Recurring tasks whose last run failed, the newest failure first: as they are now, with the error of that run. Lists at
   * most `limit`. Default: 1,000.
   */
  readonly recurring: (options?: {
    readonly limit?: number | undefined
  }) => Effect.Effect<ReadonlyArray<ExecutionInfo>, DocketError>
  /** Forgets them. Returns how many. */
  readonly discard: (filter: FailedFilter) => Effect.Effect<number, DocketError>
}
