/** What an operator sees of a docket. Nothing here changes anything. */
import type * as DocketStore from "../../DocketStore.ts"
import * as Executions from "./Executions.ts"
import type * as Heap from "./Heap.ts"

/** Executions that failed for good, newest first. */
export const failed = (
  { failed }: Executions.Executions,
  { limit, offset }: DocketStore.FailedPage,
  { now }: Executions.Step
): ReadonlyArray<DocketStore.ExecutionRecord> => {
  const records: Array<DocketStore.ExecutionRecord> = []
  let skip = offset
  for (let place = failed.last; place !== undefined && records.length < limit; place = place.before) {
    if (place.value.expires > now && skip-- <= 0) records.push(Executions.toRecord(place.value))
  }
  return records
}

/** The docket at this moment. */
export const snapshot = (
  executions: Executions.Executions,
  limit: number,
  { now }: Executions.Step
): DocketStore.SnapshotRecord => {
  const running = executions.leases.nodes.map(({ value }) => value)
  running.sort((a, b) => (a.started ?? 0) - (b.started ?? 0))
  const waiting: Array<Executions.Entry> = []
  for (const line of [executions.ready, ...executions.aside.values()]) {
    for (let place = line.first; place !== undefined && waiting.length < limit; place = place.after) {
      waiting.push(place.value)
    }
  }
  for (const entry of waiting.length < limit ? inOrder(executions.schedule) : []) {
    if (waiting.length >= limit) break
    waiting.push(entry)
  }
  return {
    taken: now,
    depth: Executions.depth(executions),
    running: running.slice(0, limit).map(Executions.toRecord),
    waiting: waiting.map(Executions.toRecord)
  }
}

const inOrder = (heap: Heap.Heap<Executions.Entry>) =>
  heap.nodes.toSorted((a, b) => a.at - b.at || a.order - b.order).map(({ value }) => value)
