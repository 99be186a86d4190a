/**
 * Failed executions by what they failed with, and other counts by task.
 */
import type { ExecutionRecord } from "../DocketStore.ts"
import { knowsTask } from "../internal/docket/operations.ts"
import type { Look } from "./look.ts"

/** Failures that look alike. */
export interface FailureGroup {
  readonly task: string
  /** The error, without what differs. */
  readonly error: string
  readonly records: ReadonlyArray<ExecutionRecord>
  readonly first: number
  readonly last: number
}

/** An error's text without what is different each time: numbers, ids, quoted values. */
export const withoutDetails = (error: string): string =>
  (error.split("\n")[0] ?? "")
    .replace(/\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b/gi, "…")
    .replace(/"[^"]*"/g, '"…"')
    .replace(/\b[0-9a-f]{12,}\b/gi, "…")
    .replace(/(?<![\w.])\d[\d.,:]*(?!\w)/g, "…")

/** Groups failures, the largest first. */
export const failures = (records: ReadonlyArray<ExecutionRecord>): ReadonlyArray<FailureGroup> => {
  const groups = new Map<string, Array<ExecutionRecord>>()
  for (const record of records) {
    const id = JSON.stringify([record.task, withoutDetails(record.error ?? "")])
    const group = groups.get(id)
    if (group === undefined) groups.set(id, [record])
    else group.push(record)
  }
  return Array.from(groups.values(), (records) => {
    const times = records.map(({ completed, due }) => completed ?? due)
    const { error = "", task } = records[0]!
    return {
      task,
      error: records.every((record) => record.error === error) ? (error.split("\n")[0] ?? "") : withoutDetails(error),
      records,
      first: Math.min(...times),
      last: Math.max(...times)
    }
  }).toSorted((a, b) => b.records.length - a.records.length || b.last - a.last)
}

/** A task, as far as it is looked at. */
export interface TaskCounts {
  readonly task: string
  queued: number
  scheduled: number
  running: number
  failed: number
  /** Since when the oldest is due, epoch milliseconds. */
  oldest: number | undefined
  /** Whether a worker that is listed knows it. */
  readonly isKnown: boolean
  readonly isPaused: boolean
}

/** Counts by task, what waits longest first. */
export const byTask = (look: Look, known: Iterable<string>): ReadonlyArray<TaskCounts> => {
  const counts = new Map<string, TaskCounts>()
  const of = (task: string): TaskCounts => {
    const found = counts.get(task) ?? {
      task,
      queued: 0,
      scheduled: 0,
      running: 0,
      failed: 0,
      oldest: undefined,
      isKnown: look.workers.some((worker) => knowsTask(worker, task)),
      isPaused: look.strikes.some(
        (strike) => strike.hold && strike.field === undefined && (strike.task === undefined || strike.task === task)
      )
    }
    counts.set(task, found)
    return found
  }
  for (const task of known) of(task)
  for (const { tasks } of look.workers) for (const task of tasks) if (task !== "*") of(task)
  for (const { task } of look.running) of(task).running++
  for (const { task } of look.failed) of(task).failed++
  for (const { due, state, task } of look.waiting) {
    const found = of(task)
    if (state === "queued") {
      found.queued++
      found.oldest = Math.min(found.oldest ?? Infinity, due)
    } else {
      found.scheduled++
    }
  }
  return [...counts.values()].toSorted(
    (a, b) => (a.oldest ?? Infinity) - (b.oldest ?? Infinity) || b.failed - a.failed || (a.task < b.task ? -1 : 1)
  )
}
