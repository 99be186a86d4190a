/**
 * Every error that a user of the docket can meet.
 *
 * **Details**
 *
 * Operations of a docket fail with {@link DocketError}, whose `reason` says why: use `Effect.catchReason` to handle one
 * of them. Whoever waits for a result meets, next to the task's own error, one of the errors in {@link ResultError}.
 */
import * as Schema from "effect/Schema"

/**
 * The store could not be reached, or refused the operation.
 *
 * @category reasons
 * @since 0.1.0
 */
export class StoreError extends Schema.TaggedError<StoreError>("effect-docket/StoreError")("StoreError", {
  /** The operation that failed, as in `DocketStore.schedule`. */
  operation: Schema.String,
  /** What the store's client reported, in its own words. It holds no password. */
  cause: Schema.Defect(),
  /** What to do about it, where that is known. */
  advice: Schema.optionalKey(Schema.String)
}) {
  override get message() {
    const found = `The docket's store failed in ${this.operation}: ${describe(this.cause).replace(/\.+$/, "")}`
    return this.advice === undefined ? found : `${found}. ${this.advice}`
  }
}

/**
 * So many callers wait for the store that a further one is refused at once: more is asked for than the store can do.
 *
 * @category reasons
 * @since 0.1.0
 */
export class Overloaded extends Schema.TaggedError<Overloaded>("effect-docket/Overloaded")("Overloaded", {
  /** The operation that was refused, as in `DocketStore.schedule`. */
  operation: Schema.String,
  /** How many callers wait. */
  waiting: Schema.Finite
}) {
  override get message() {
    return (
      `${this.waiting} callers wait for the docket's store in ${this.operation}, so this one was refused and nothing was ` +
      "sent: ask for less at a time, or for many together, as with addAll"
    )
  }
}

/**
 * A payload does not fit its task's schema.
 *
 * @category reasons
 * @since 0.1.0
 */
export class InvalidPayload extends Schema.TaggedError<InvalidPayload>("effect-docket/InvalidPayload")(
  "InvalidPayload",
  {
    task: Schema.String,
    /** What the schema found. */
    issue: Schema.String
  }
) {
  override get message() {
    return `The payload does not fit task "${this.task}": ${this.issue}`
  }
}

/**
 * Data is larger than the docket takes (see `maximumBytes` of its settings): a payload, which is then not scheduled; a
 * result or an error, whose run has then failed; or a message of progress, which is then not set.
 *
 * @category reasons
 * @since 0.1.0
 */
export class TooLarge extends Schema.TaggedError<TooLarge>("effect-docket/TooLarge")("TooLarge", {
  task: Schema.String,
  what: Schema.Literals(["payload", "result", "error", "progress message"]),
  /** Its size as it would be stored, in bytes. */
  sizeBytes: Schema.Finite,
  /** What the docket takes, in bytes. */
  maximumBytes: Schema.Finite
}) {
  override get message() {
    const advice =
      this.what === "result"
        ? "keep it elsewhere and succeed with where that is, give the docket a result store (its option results)"
        : "keep it elsewhere and say where that is"
    return (
      `The ${this.what} of task "${this.task}" takes ${this.sizeBytes} bytes, and the docket takes ${this.maximumBytes}: ` +
      `${advice}, or raise maximumBytes`
    )
  }
}

/**
 * A key, a task name or an option that a docket cannot accept, or a function of a contract that fails at a payload.
 *
 * @category reasons
 * @since 0.1.0
 */
export class InvalidRequest extends Schema.TaggedError<InvalidRequest>("effect-docket/InvalidRequest")(
  "InvalidRequest",
  {
    /** What is wrong, and what to do. */
    problem: Schema.String,
    /** What a function of the contract failed with, if that is the reason. */
    cause: Schema.optionalKey(Schema.Defect())
  }
) {
  override get message() {
    return this.problem
  }
}

/**
 * A key is that of another task's execution, so there is nothing to read of this task under it.
 *
 * @category reasons
 * @since 0.1.0
 */
export class KeyInUse extends Schema.TaggedError<KeyInUse>("effect-docket/KeyInUse")("KeyInUse", {
  key: Schema.String,
  /** The task that was asked about. */
  task: Schema.String,
  /** The task whose execution has the key. */
  usedBy: Schema.String
}) {
  override get message() {
    return (
      `The key "${this.key}" is that of an execution of task "${this.usedBy}", so task "${this.task}" has no result under it: ` +
      "give the two keys of their own"
    )
  }
}

/**
 * An operation of a docket failed.
 *
 * @category errors
 * @since 0.1.0
 */
export class DocketError extends Schema.TaggedError<DocketError>("effect-docket/DocketError")("DocketError", {
  reason: Schema.Union([StoreError, Overloaded, InvalidPayload, InvalidRequest, TooLarge, KeyInUse])
}) {
  override get message() {
    return this.reason.message
  }
}

/**
 * The execution was cancelled before it had a result.
 *
 * @category errors
 * @since 0.1.0
 */
export class TaskCancelled extends Schema.TaggedError<TaskCancelled>("effect-docket/TaskCancelled")("TaskCancelled", {
  key: Schema.String
}) {
  override get message() {
    return `The execution "${this.key}" was cancelled`
  }
}

/**
 * The execution failed in a way that its contract does not name: a defect, too many deliveries, a payload that the worker
 * could not read.
 *
 * @category errors
 * @since 0.1.0
 */
export class TaskFailed extends Schema.TaggedError<TaskFailed>("effect-docket/TaskFailed")("TaskFailed", {
  key: Schema.String,
  /** The stored error: its name, a colon, its message. */
  error: Schema.String
}) {
  override get message() {
    return `The execution "${this.key}" failed: ${this.error}`
  }
}

/**
 * A run took longer than its task's timeout. It is what the attempt failed with, and what whoever waits for the result of
 * the execution gets when that was the last attempt.
 *
 * @category errors
 * @since 0.1.0
 */
export class TaskTimedOut extends Schema.TaggedError<TaskTimedOut>("effect-docket/TaskTimedOut")("TaskTimedOut", {
  key: Schema.String,
  /** How long the run was allowed to take, extensions included, in milliseconds. */
  timeoutMillis: Schema.Finite
}) {
  override get message() {
    return `The execution "${this.key}" did not end within ${this.timeoutMillis} ms`
  }
}

/**
 * A worker's middleware failed, so the execution has failed whatever its handler did.
 *
 * @category errors
 * @since 0.1.0
 */
export class MiddlewareFailed extends Schema.TaggedError<MiddlewareFailed>("effect-docket/MiddlewareFailed")(
  "MiddlewareFailed",
  {
    /** The middleware's name. */
    middleware: Schema.String,
    cause: Schema.Defect()
  }
) {
  override get message() {
    return `The middleware "${this.middleware}" failed: ${describe(this.cause)}`
  }
}

/**
 * There is no result to read: the key was never scheduled, or was scheduled again before anyone looked; its record has
 * expired; or the docket keeps no results.
 *
 * @category errors
 * @since 0.1.0
 */
export class ResultNotKept extends Schema.TaggedError<ResultNotKept>("effect-docket/ResultNotKept")("ResultNotKept", {
  key: Schema.String
}) {
  override get message() {
    return (
      `There is no result for the execution "${this.key}": it was never scheduled, or again since; its record has ` +
      "expired; or the docket keeps none (executionTtl is 0)"
    )
  }
}

/**
 * The wait for a result ended before the execution did. The execution goes on.
 *
 * @category errors
 * @since 0.1.0
 */
export class ResultTimeout extends Schema.TaggedError<ResultTimeout>("effect-docket/ResultTimeout")("ResultTimeout", {
  key: Schema.String,
  /** How long the wait was, in milliseconds. */
  waitedMillis: Schema.Finite
}) {
  override get message() {
    return `The execution "${this.key}" had no result within ${this.waitedMillis} ms`
  }
}

/**
 * What waiting for a result can fail with, next to the task's own error.
 *
 * @category errors
 * @since 0.1.0
 */
export type ResultError = TaskCancelled | TaskFailed | TaskTimedOut | ResultNotKept | DocketError

const describe = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause))
