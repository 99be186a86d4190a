/**
 * The metrics of dockets and workers. This is the only place that names them.
 *
 * **Details**
 *
 * All are Effect metrics, so they are in the registry of whoever exports metrics. Labels have few values: docket, worker,
 * task, and where something was noticed; never a key, a time or an attempt. A worker without a name of its own counts under
 * its host's, since each start makes a new one. Of the tasks that a worker runs by its fallback the first 20 have series of
 * their own, of those that a producer schedules the first 200; the others share `(other)`. Durations have a label `unit`.
 *
 * | metric | kind | counts | labels |
 * | --- | --- | --- | --- |
 * | `docket_tasks_added` | counter | adds that were not struck, also of live keys | name, task |
 * | `docket_tasks_replaced` | counter | replaces | name, task |
 * | `docket_tasks_scheduled` | counter | requests that placed an execution | name, task |
 * | `docket_tasks_cancelled` | counter | requests to cancel, and replaces that displaced a schedule | name |
 * | `docket_tasks_stricken` | counter | executions that a strike refused | name, task, where, at a worker worker |
 * | `docket_tasks_started` | counter | runs that started | name, worker, task |
 * | `docket_tasks_redelivered` | counter | of these, runs of executions that another worker had held | name, worker, task |
 * | `docket_tasks_succeeded` | counter | runs that succeeded | name, worker, task |
 * | `docket_tasks_failed` | counter | runs that failed, also those that are retried | name, worker, task |
 * | `docket_tasks_completed` | counter | runs that ended, in any way | name, worker, task |
 * | `docket_tasks_retried` | counter | failed runs that are retried | name, worker, task |
 * | `docket_tasks_perpetuated` | counter | runs that were followed by the next one of their key | name, worker, task |
 * | `docket_tasks_superseded` | counter | runs whose key was scheduled anew meanwhile | name, worker, task, where |
 * | `docket_tasks_running` | gauge | runs under way | name, worker, task |
 * | `docket_task_duration` | histogram, s | how long runs took | name, worker, task |
 * | `docket_task_punctuality` | histogram, s | how long after their due time runs started | name, worker, task |
 * | `docket_redis_disruptions` | counter | lost connections to the store | name, worker |
 * | `docket_strikes_in_effect` | gauge | strikes in force | name |
 * | `docket_queue_depth` | gauge | executions that are due and not started | name |
 * | `docket_schedule_depth` | gauge | executions for later | name |
 * | `docket_recurring_failed` | gauge | recurring tasks whose last run failed | name |
 */
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import type { Delivery, Depth, Disposition, Outcome } from "../DocketStore.ts"

type Labels = Readonly<Record<string, string>>

const counter = (name: string, description: string) => (labels: Labels) =>
  Metric.counter(name, { description, attributes: labels, incremental: true })

const gauge = (name: string, description: string) => (labels: Labels) =>
  Metric.gauge(name, { description, attributes: labels })

// From a millisecond to an hour, in seconds.
const seconds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600]

const histogram = (name: string, description: string) => (labels: Labels) =>
  // What exports to OTLP takes the unit from here.
  Metric.histogram(name, { description, attributes: { ...labels, unit: "s" }, boundaries: seconds })

const added = counter("docket_tasks_added", "Adds that were not struck, also of live keys")
const replaced = counter("docket_tasks_replaced", "Replaces")
const scheduled = counter("docket_tasks_scheduled", "Requests that placed an execution")
const cancelled = counter("docket_tasks_cancelled", "Requests to cancel, and replaces that displaced a schedule")
const stricken = counter("docket_tasks_stricken", "Executions that a strike refused")
const started = counter("docket_tasks_started", "Runs that started")
const redelivered = counter("docket_tasks_redelivered", "Runs of executions that another worker had held")
const succeeded = counter("docket_tasks_succeeded", "Runs that succeeded")
const failed = counter("docket_tasks_failed", "Runs that failed, also those that are retried")
const completed = counter("docket_tasks_completed", "Runs that ended, in any way")
const retried = counter("docket_tasks_retried", "Failed runs that are retried")
const perpetuated = counter("docket_tasks_perpetuated", "Runs that were followed by the next one of their key")
const superseded = counter("docket_tasks_superseded", "Runs whose key was scheduled anew meanwhile")
const running = gauge("docket_tasks_running", "Runs under way")
const duration = histogram("docket_task_duration", "How long runs took, in seconds")
const punctuality = histogram("docket_task_punctuality", "How long after their due time runs started, in seconds")
const disruptions = counter("docket_redis_disruptions", "Lost connections to the store")
const strikesInEffect = gauge("docket_strikes_in_effect", "Strikes in force")
const queueDepth = gauge("docket_queue_depth", "Executions that are due and not started")
const recurringFailed = gauge("docket_recurring_failed", "Recurring tasks whose last run failed")
const scheduleDepth = gauge("docket_schedule_depth", "Executions for later")

// Names that no contract bounds come from whoever schedules by name. Each is some forty series at a worker.
const mostOthers = { producer: 200, worker: 20 } as const

/** What the names beyond these are counted under. */
const others = "(other)"

/**
 * Makes the metrics of each task once. The names that are not known beforehand share one after the first so many, so that
 * the series stay bounded.
 */
const byTask = <A>(
  make: (task: string) => A,
  most: number,
  isKnown: (task: string) => boolean = () => false
): ((task: string) => A) => {
  const made = new Map<string, A>()
  let unknown = 0
  const find = (task: string): A => {
    const found = made.get(task)
    if (found !== undefined) return found
    if (task !== others && !isKnown(task) && ++unknown > most) return find(others)
    const metrics = make(task)
    made.set(task, metrics)
    return metrics
  }
  return find
}

/** The metrics of a docket's producers. */
export const ofProducer: (docket: string) => Effect.Effect<ProducerMetrics> = Effect.fnUntraced(function* (docket) {
  const context = yield* Effect.context<never>()
  const name = { "docket.name": docket }
  const requests = byTask((task) => {
    const labels = { ...name, "docket.task": task }
    return {
      added: added(labels),
      replaced: replaced(labels),
      scheduled: scheduled(labels),
      stricken: stricken({ ...labels, "docket.where": "docket" })
    }
  }, mostOthers.producer)
  const cancels = cancelled(name)
  const strikes = strikesInEffect(name)
  return {
    requested: (task, disposition, replace) => {
      // Whoever refuses it counts it.
      if (disposition === "struck") return
      const of = requests(task)
      if (replace) of.replaced.updateUnsafe(1, context)
      else of.added.updateUnsafe(1, context)
      if (disposition !== "already-scheduled") of.scheduled.updateUnsafe(1, context)
      if (disposition === "replaced") cancels.updateUnsafe(1, context)
    },
    stricken: (task) => requests(task).stricken.updateUnsafe(1, context),
    cancelled: () => cancels.updateUnsafe(1, context),
    strikes: (count) => strikes.updateUnsafe(count, context)
  }
})

/** What a producer counts. */
export interface ProducerMetrics {
  readonly requested: (task: string, disposition: Disposition | undefined, replace: boolean) => void
  readonly stricken: (task: string) => void
  readonly cancelled: () => void
  readonly strikes: (count: number) => void
}

/** The metrics of a worker, which knows these tasks. */
export const ofWorker: (
  docket: string,
  worker: string,
  isKnown: (task: string) => boolean
) => Effect.Effect<WorkerMetrics> = Effect.fnUntraced(function* (docket, worker, isKnown) {
  const context = yield* Effect.context<never>()
  const name = { "docket.name": docket }
  const labels = { ...name, "docket.worker": worker }
  const tasks = byTask(
    (task) => {
      const all = { ...labels, "docket.task": task }
      return {
        started: started(all),
        redelivered: redelivered(all),
        succeeded: succeeded(all),
        failed: failed(all),
        completed: completed(all),
        retried: retried(all),
        perpetuated: perpetuated(all),
        running: running(all),
        duration: duration(all),
        punctuality: punctuality(all),
        supersededAtStart: superseded({ ...all, "docket.where": "worker" }),
        supersededAtEnd: superseded({ ...all, "docket.where": "on_complete" }),
        stricken: stricken({ ...all, "docket.where": "worker" })
      }
    },
    mostOthers.worker,
    isKnown
  )
  const disrupted = disruptions(labels)
  const queue = queueDepth(name)
  const schedule = scheduleDepth(name)
  const failedChains = recurringFailed(name)
  return {
    started: ({ deliveries, due, started, task }) => {
      const of = tasks(task)
      of.started.updateUnsafe(1, context)
      of.running.modifyUnsafe(1, context)
      of.punctuality.updateUnsafe((started - due) / 1000, context)
      if (deliveries > 1) of.redelivered.updateUnsafe(1, context)
    },
    ended: ({ task }, elapsedMillis, outcome) => {
      const of = tasks(task)
      of.running.modifyUnsafe(-1, context)
      of.completed.updateUnsafe(1, context)
      of.duration.updateUnsafe(elapsedMillis / 1000, context)
      if (outcome === undefined) return
      if (outcome._tag === "Completed") of.succeeded.updateUnsafe(1, context)
      if (outcome._tag === "Failed" || outcome._tag === "Retry") of.failed.updateUnsafe(1, context)
      if (outcome._tag === "Retry") of.retried.updateUnsafe(1, context)
    },
    perpetuated: (task) => tasks(task).perpetuated.updateUnsafe(1, context),
    superseded: (task, where) =>
      (where === "worker" ? tasks(task).supersededAtStart : tasks(task).supersededAtEnd).updateUnsafe(1, context),
    stricken: (task) => tasks(task).stricken.updateUnsafe(1, context),
    disrupted: () => disrupted.updateUnsafe(1, context),
    depth: ({ queued, scheduled }) => {
      queue.updateUnsafe(queued, context)
      schedule.updateUnsafe(scheduled, context)
    },
    failedChains: (count) => failedChains.updateUnsafe(count, context)
  }
})

/** What a worker counts. */
export interface WorkerMetrics {
  readonly started: (delivery: Delivery) => void
  readonly ended: (delivery: Delivery, elapsedMillis: number, outcome: Outcome | undefined) => void
  readonly perpetuated: (task: string) => void
  readonly superseded: (task: string, where: "worker" | "on_complete") => void
  readonly stricken: (task: string) => void
  readonly disrupted: () => void
  readonly depth: (depth: Depth) => void
  readonly failedChains: (count: number) => void
}
