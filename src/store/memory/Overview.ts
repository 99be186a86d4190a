/** What an operator sees of a docket. Nothing here changes anything. */
import type * as DocketStore from "../../DocketStore.ts"
import type { Entry } from "./Entry.ts"
import * as Executions from "./Executions.ts"
import * as Gate from "./Gate.ts"
import type * as Heap from "./Heap.ts"

/** The record of an execution. */
export const toRecord = (
  executions: Executions.Executions,
  entry: Entry,
  step: Executions.Step
): DocketStore.ExecutionRecord => ({
  key: entry.key,
  task: entry.task,
  payload: entry.payload,
  state: entry.state,
  generation: entry.generation,
  attempt: entry.attempt,
  deliveries: entry.deliveries,
  due: entry.due,
  worker: entry.worker,
  started: entry.started,
  completed: entry.completed,
  error: entry.error,
  result: entry.result,
  failure: entry.failure,
  last: entry.last,
  progress: entry.progress,
  hindrance: Gate.hindranceOf(executions, entry, step),
  trace: entry.trace
})

/** How many executions in the ready line come before one; nothing when it is not there. */
export const ahead = (executions: Executions.Executions, key: string, step: Executions.Step): number | undefined => {
  const place = Executions.lookup(executions, key, step)?.place
  const { front, ready } = executions
  if (place === undefined || (place.line !== ready && place.line !== front)) return undefined
  let count = place.line === ready ? front.size : 0
  for (let before = place.before; before !== undefined && count < 10_000; before = before.before) count++
  return count
}

/** Executions that failed for good, newest first. */
export const failed = (
  executions: Executions.Executions,
  { limit, offset }: DocketStore.FailedPage,
  step: Executions.Step
): ReadonlyArray<DocketStore.ExecutionRecord> => {
  const records: Array<DocketStore.ExecutionRecord> = []
  let skip = offset
  for (let place = executions.failed.last; place !== undefined && records.length < limit; place = place.before) {
    if (place.value.expires > step.now && skip-- <= 0) records.push(toRecord(executions, place.value, step))
  }
  return records
}

/** The docket at this moment. */
export const snapshot = (
  executions: Executions.Executions,
  limit: number,
  step: Executions.Step
): DocketStore.SnapshotRecord => {
  const running = executions.leases.nodes.map(({ value }) => value)
  running.sort((a, b) => (a.started ?? 0) - (b.started ?? 0))
  const waiting: Array<Entry> = []
  const heldBack = Array.from(executions.limits.values(), ({ line }) => line)
  for (const line of [executions.front, executions.ready, ...executions.aside.values(), ...heldBack, executions.held]) {
    for (let place = line.first; place !== undefined && waiting.length < limit; place = place.after) {
      waiting.push(place.value)
    }
  }
  for (const { value } of executions.asked.nodes) if (waiting.length < limit) waiting.push(value)
  for (const entry of waiting.length < limit ? inOrder(executions.schedule) : []) {
    if (waiting.length >= limit) break
    waiting.push(entry)
  }
  return {
    taken: step.now,
    depth: Executions.depth(executions),
    running: running.slice(0, limit).map((entry) => toRecord(executions, entry, step)),
    waiting: waiting.map((entry) => toRecord(executions, entry, step))
  }
}

const inOrder = (heap: Heap.Heap<Entry>) =>
  heap.nodes.toSorted((a, b) => a.at - b.at || a.order - b.order).map(({ value }) => value)
