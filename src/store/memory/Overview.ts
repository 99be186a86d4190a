/** What an operator sees of a docket. Nothing here changes anything. */
import * as DocketStore from "../../DocketStore.ts"
import * as Admission from "../admission/Admission.ts"
import type { Entry } from "./Entry.ts"
import * as Executions from "./Executions.ts"
import type * as Heap from "./Heap.ts"
import type * as Line from "./Line.ts"
import type * as Keep from "../admission/Keep.ts"

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
  hindrance: hindranceOf(executions, entry, step),
  trace: entry.trace
})

/** What keeps an execution from starting, or dropped it. */
const hindranceOf = (
  executions: Executions.Executions,
  entry: Entry,
  step: Executions.Step
): DocketStore.Hindrance | undefined => {
  if (entry.apart === "held") return { _tag: "Held" }
  const isAside = entry.spot !== undefined && entry.spot.line === executions.aside.get(Executions.needsOf(entry))
  if (isAside) return { _tag: "UnknownTask" }
  return Admission.hindranceOf(Executions.keepAt(executions, step), Executions.candidateOf(entry), entry.state)
}

/** How many executions that have their turn come before one; nothing when it is not among them. */
export const ahead = (executions: Executions.Executions, key: string, step: Executions.Step): number | undefined => {
  const entry = Executions.lookup(executions, key, step)
  const { ready, space } = executions
  if (entry?.apart === "turn") return space.sets.countBelow("turns", Executions.candidateOf(entry).score)
  const spot = entry?.spot
  if (spot === undefined || spot.line !== ready) return undefined
  let count = space.sets.size("turns")
  for (let before = spot.before; before !== undefined && count < 10_000; before = before.before) count++
  return count
}

/** Executions that failed for good, newest first. */
export const failed = (
  executions: Executions.Executions,
  { before, limit }: DocketStore.FailedPage,
  step: Executions.Step
): DocketStore.FailedReply => {
  const entries: Array<Entry> = []
  for (let spot = executions.failed.last; spot !== undefined; spot = spot.before) {
    const entry = spot.value
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

/** Workers that hold executions and are not there any more, by name. */
export const silentWorkers = (
  { leases }: Executions.Executions,
  isAlive: (name: string) => boolean
): ReadonlyArray<DocketStore.SilentWorker> => {
  const silent = new Map<string, DocketStore.SilentWorker>()
  for (const { at, value } of leases.nodes) {
    const name = value.worker ?? ""
    if (isAlive(name)) continue
    const { held, until } = silent.get(name) ?? { held: 0, until: 0 }
    silent.set(name, { name, lastSeen: undefined, held: held + 1, until: Math.max(until, at) })
  }
  return Array.from(silent.values()).toSorted((a, b) => (a.name < b.name ? -1 : 1))
}

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
  const addAll = (keys: ReadonlyArray<Keep.Member>) => {
    for (const { member } of keys) {
      const entry = executions.entries.get(member)
      if (entry !== undefined && waiting.length < limit) waiting.push(entry)
    }
  }
  const addLines = (...lines: ReadonlyArray<Line.Line<Entry>>) => {
    for (const line of lines) {
      for (let spot = line.first; spot !== undefined && waiting.length < limit; spot = spot.after) {
        waiting.push(spot.value)
      }
    }
  }
  const { sets } = executions.space
  addAll(sets.some("turns", 0, limit))
  addLines(executions.ready, ...executions.aside.values())
  addAll(sets.some("waiting", 0, limit))
  addLines(executions.held)
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
