/** What an operator sees of a docket. Nothing here changes anything. */
import * as DocketStore from "../../DocketStore.ts"
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
  origin: entry.origin,
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
  chain: entry.chain,
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
  { before, limit }: DocketStore.FailedPage,
  step: Executions.Step
): DocketStore.FailedReply => {
  const entries: Array<Entry> = []
  for (let place = executions.failed.last; place !== undefined; place = place.before) {
    const entry = place.value
    if (entry.expires <= step.now || (before !== undefined && byFailure(before, placeOf(entry)) >= 0)) continue
    // Those of one millisecond are in the order of their keys.
    if (entries.length >= limit && entries.at(-1)?.completed !== entry.completed) break
    entries.push(entry)
  }
  const page = entries.toSorted((a, b) => byFailure(placeOf(a), placeOf(b))).slice(0, limit)
  const last = page.length === limit ? page.at(-1) : undefined
  return {
    records: page.map((entry) => toRecord(executions, entry, step)),
    next: last === undefined ? undefined : placeOf(last)
  }
}

/** Keys that recur and whose last run failed, the newest failure first. */
export const failedChains = (
  executions: Executions.Executions,
  limit: number,
  step: Executions.Step
): ReadonlyArray<DocketStore.ExecutionRecord> =>
  chainsThatFailed(executions)
    .toSorted((a, b) => (b.runs.at(-1)?.ended ?? 0) - (a.runs.at(-1)?.ended ?? 0))
    .slice(0, limit)
    .map((entry) => toRecord(executions, entry, step))

/** Those of which the last run failed. */
export const chainsThatFailed = ({ entries }: Executions.Executions): ReadonlyArray<Entry> =>
  Array.from(entries.values()).filter(({ last, state }) => last?.state === "failed" && !DocketStore.isSettled(state))

const placeOf = ({ completed, key }: Entry): DocketStore.FailedPlace => ({ failed: completed ?? 0, key })

/** The newest first. */
const byFailure = (a: DocketStore.FailedPlace, b: DocketStore.FailedPlace): number =>
  b.failed - a.failed || (a.key < b.key ? 1 : a.key > b.key ? -1 : 0)

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
