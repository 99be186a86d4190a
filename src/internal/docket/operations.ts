/**
 * What an operator does with a docket: looking at it, clearing it, and dealing with what failed.
 */
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import type { DocketError } from "../../DocketError.ts"
import type { DocketStore, ExecutionRecord } from "../../DocketStore.ts"
import type { FailedExecutions, FailedFilter, Snapshot, WorkerInfo } from "../../Snapshot.ts"
import { failWith } from "./docketError.ts"
import { infoOf } from "./info.ts"
import * as Moments from "../contract/moments.ts"
import * as PayloadVersion from "../contract/payloadVersion.ts"
import * as WholeNumbers from "../contract/wholeNumbers.ts"

type Store = DocketStore["Service"]

// A page is read in one call; large enough to need few, small enough not to hold up the store.
const pageSize = 200

/** The workers of a docket. */
export const workersOf = (store: Store): Effect.Effect<ReadonlyArray<WorkerInfo>, DocketError> =>
  Effect.map(failWith(store.workers), (workers) =>
    workers.map((worker) => ({
      ...worker,
      lastSeen: DateTime.makeUnsafe(worker.lastSeen),
      tasks: PayloadVersion.tasksAmong(worker.tasks)
    }))
  )

/** The workers that know a task; one that knows any task counts. */
export const knowsTask = ({ tasks }: Pick<WorkerInfo, "tasks">, task: string): boolean =>
  tasks.includes(task) || tasks.includes("*")

/** Takes a snapshot. */
export const takeSnapshot = Effect.fnUntraced(function* (docket: string, store: Store, limit: number) {
  const [record, workers] = yield* Effect.all([failWith(store.snapshot(limit)), workersOf(store)], { concurrency: 2 })
  const { queued, running, scheduled } = record.depth
  const snapshot: Snapshot = {
    docket,
    taken: DateTime.makeUnsafe(record.taken),
    total: queued + running + scheduled,
    queued,
    scheduled,
    runningTotal: running,
    running: record.running.map(infoOf),
    upcoming: record.waiting.map(infoOf),
    workers
  }
  return snapshot
})

/** What a docket keeps of executions that failed for good. */
export const failedExecutions = (store: Store): FailedExecutions => {
  const choose = Effect.fnUntraced(function* (filter: FailedFilter) {
    const since = filter.since === undefined ? undefined : yield* Moments.checked("since", filter.since)
    const until = filter.until === undefined ? undefined : yield* Moments.checked("until", filter.until)
    const limit = filter.limit === undefined ? Infinity : yield* WholeNumbers.checked("limit", filter.limit, 0)
    const keys = filter.keys === undefined ? undefined : new Set(filter.keys)
    const chosen: Array<ExecutionRecord> = []
    for (let offset = 0; chosen.length < limit; offset += pageSize) {
      const page = yield* failWith(store.failed({ limit: pageSize, offset }))
      for (const record of page) {
        const failed = record.completed ?? 0
        if (since !== undefined && failed < since) continue
        if (until !== undefined && failed >= until) continue
        if (keys !== undefined && !keys.has(record.key)) continue
        if (filter.task !== undefined && record.task !== filter.task) continue
        if (filter.error !== undefined && !(record.error ?? "").includes(filter.error)) continue
        chosen.push(record)
      }
      if (page.length < pageSize) break
    }
    return chosen.slice(0, limit)
  })

  const apply = (act: (keys: ReadonlyArray<string>) => ReturnType<Store["retryFailed"]>) =>
    Effect.fnUntraced(function* (filter: FailedFilter) {
      const keys = (yield* choose(filter)).map(({ key }) => key)
      let count = 0
      for (let i = 0; i < keys.length; i += pageSize) {
        const done = yield* failWith(act(keys.slice(i, i + pageSize)))
        count += done.filter(Boolean).length
      }
      return count
    })

  return {
    list: (filter = {}) => Effect.map(choose(filter), (records) => records.map(infoOf)),
    retry: apply(store.retryFailed),
    discard: apply(store.discardFailed)
  }
}
