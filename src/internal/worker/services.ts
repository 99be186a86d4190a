/**
 * The services of one execution, put together in one step: adding them one by one to a context would cost as much as the
 * rest of a small run.
 */
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { Scope } from "effect/Scope"
import type { Docket } from "../../Docket.ts"
import * as TaskContext from "../../TaskContext.ts"
import type { Deadline } from "./deadline.ts"
import type { Run } from "./runs.ts"
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
}

/** A context with the services of an execution, over those that are there already. */
export const over = (
  base: ReadonlyMap<string, unknown>,
  worker: Worker,
  { deadline, payload, run, succession }: Parts
): Context.Context<Exclude<TaskContext.TaskServices, Scope>> => {
  const services = new Map(base)
  services.set(TaskContext.CurrentDocket.key, worker.docket)
  services.set(TaskContext.CurrentWorker.key, worker)
  services.set(TaskContext.TaskKey.key, run.delivery.key)
  services.set(TaskContext.Progress.key, run.progress.service)
  services.set(TaskContext.Perpetual.key, succession.service)
  services.set(TaskContext.TaskTimeout.key, deadline.service)
  services.set(TaskContext.CurrentExecution.key, new RunningExecution(run, payload))
  return Context.makeUnsafe(services)
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
    return this.#run.delivery.payload
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
