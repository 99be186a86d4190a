/**
 * The services of one execution.
 */
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as References from "effect/References"
import * as Scope from "effect/Scope"
import type { Docket } from "../../Docket.ts"
import * as TaskContext from "../../TaskContext.ts"
import * as Stored from "../contract/stored.ts"
import type { Deadline } from "./deadline.ts"
import type { Run } from "./run.ts"
import type { Succession } from "./succession.ts"

/** What is the same for all executions of a worker. */
export interface Worker {
  readonly docket: Docket["Service"]
  readonly name: string
}

/** What belongs to one execution. */
export interface Parts {
  readonly run: Run
  readonly payload: unknown
  readonly succession: Succession
  readonly deadline: Deadline
  readonly scope: Scope.Closeable
  /** When the run began: see `Monotonic.now`. */
  readonly began: number
}

/** The services that are the same for many executions. */
export type Base = Context.Context<TaskContext.CurrentDocket | TaskContext.CurrentWorker>

/**
 * Makes what is the same for many executions: the first of these contexts, what the second adds to it, and the worker.
 * It is made for `over`, which adds a few services to it without a copy.
 */
export const base = (context: Context.Context<never>, added: Context.Context<never>, worker: Worker): Base =>
  Context.makeUnsafe(
    new Map([
      ...context.mapUnsafe,
      ...added.mapUnsafe,
      [TaskContext.CurrentDocket.key, worker.docket],
      [TaskContext.CurrentWorker.key, worker]
    ]),
    { maxDepth: 16 }
  )

/** The services of an execution over those that are the same for many. */
export const over = (
  base: Base,
  { deadline, payload, run, scope, succession }: Parts
): Context.Context<TaskContext.TaskServices> => {
  const keyed = Context.add(base, TaskContext.TaskKey, run.delivery.key)
  const progressing = Context.add(keyed, TaskContext.Progress, run.progress.service)
  const recurring = Context.add(progressing, TaskContext.Perpetual, succession.service)
  const limited = Context.add(recurring, TaskContext.TaskTimeout, deadline.service)
  const scoped = Context.add(limited, Scope.Scope, scope)
  const annotated = Context.add(scoped, References.CurrentLogAnnotations, run.annotations)
  return Context.add(annotated, TaskContext.CurrentExecution, new RunningExecution(run, payload))
}

type ExecutionService = TaskContext.CurrentExecution["Service"]

// A class, so that what a handler does not read is not computed.
class RunningExecution implements ExecutionService {
  readonly payload: unknown
  readonly #run: Run

  constructor(run: Run, payload: unknown) {
    this.#run = run
    this.payload = payload
  }

  get key() {
    return this.#run.delivery.key
  }
  get task() {
    return this.#run.delivery.task
  }
  get encodedPayload() {
    return Stored.jsonOf(this.#run.delivery.payload)
  }
  get attempt() {
    return this.#run.delivery.attempt
  }
  get deliveries() {
    return this.#run.delivery.deliveries
  }
  get redelivered() {
    return this.#run.delivery.deliveries > 1
  }
  get generation() {
    return this.#run.delivery.generation
  }
  get due() {
    return DateTime.makeUnsafe(this.#run.delivery.due)
  }
  get started() {
    return DateTime.makeUnsafe(this.#run.delivery.started)
  }
  get lease() {
    return this.#run.delivery.lease
  }
  get interruptReason() {
    return Effect.sync(() => Option.fromUndefinedOr(this.#run.interruptReason))
  }
}
