/**
 * From what a store keeps to what users see.
 */
import * as DateTime from "effect/DateTime"
import type * as DocketStore from "../../DocketStore.ts"
import type { Attempt, ExecutionInfo, PastRun, ProgressChanged, StateChanged } from "../../Execution.ts"
import type { ProgressState } from "../../TaskContext.ts"

const moment = (epochMillis: number | undefined): DateTime.Utc | undefined =>
  epochMillis === undefined ? undefined : DateTime.makeUnsafe(epochMillis)

/** What a record says. */
export const infoOf = (record: DocketStore.ExecutionRecord): ExecutionInfo => ({
  key: record.key,
  task: record.task,
  encodedPayload: record.payload,
  state: record.state,
  attempt: record.attempt,
  deliveries: record.deliveries,
  generation: record.generation,
  due: DateTime.makeUnsafe(record.due),
  worker: record.worker,
  started: moment(record.started),
  completed: moment(record.completed),
  error: record.error,
  progress: record.state === "running" ? progressOf(record.progress) : undefined
})

/** What a run starts with, before its first report. */
const noProgress: ProgressState = { current: 0, total: 100, message: undefined, updated: undefined }

/** The progress of a running execution. */
export const progressOf = (progress: DocketStore.ProgressRecord | undefined): ProgressState =>
  progress === undefined ? noProgress : { ...progress, updated: DateTime.makeUnsafe(progress.updated) }

/** A failed attempt. */
export const attemptOf = (attempt: DocketStore.AttemptRecord): Attempt => ({
  ...attempt,
  started: DateTime.makeUnsafe(attempt.started),
  ended: DateTime.makeUnsafe(attempt.ended)
})

/** A run of a key that went on. */
export const pastRunOf = ({ ended, error, started, state, worker }: DocketStore.RunRecord): PastRun => ({
  worker,
  started: DateTime.makeUnsafe(started),
  ended: DateTime.makeUnsafe(ended),
  state,
  error
})

/** A change of state, from an event or from the record that holds the state. */
export const stateChanged = (
  source: Pick<DocketStore.ExecutionRecord, "key" | "task" | "state" | "worker" | "started" | "completed" | "error"> & {
    readonly due: number | undefined
  }
): StateChanged => ({
  _tag: "StateChanged",
  key: source.key,
  task: source.task,
  state: source.state,
  due: source.state === "scheduled" || source.state === "queued" ? moment(source.due) : undefined,
  worker: source.worker,
  started: moment(source.started),
  completed: moment(source.completed),
  error: source.state === "failed" ? source.error : undefined
})

/** A report of progress. */
export const progressChanged = (key: string, progress: DocketStore.ProgressRecord | undefined): ProgressChanged => {
  const { current, message, total, updated } = progressOf(progress)
  return { _tag: "ProgressChanged", key, current, total, message, updated }
}
