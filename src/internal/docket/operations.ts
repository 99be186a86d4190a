/**
 * What an operator does with a docket: looking at it, clearing it, and dealing with what failed.
 */
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { DocketError } from "../../DocketError.ts"
import type { DocketStore, ExecutionRecord, FailedPlace, FailedReply } from "../../DocketStore.ts"
import type { FailedExecutions, FailedFilter, SilentWorker, Snapshot, WorkerInfo } from "../../Snapshot.ts"
import { failWith } from "./docketError.ts"
import { infoOf } from "./info.ts"
import * as Moments from "../contract/moments.ts"
import { type KnownStrikes, parsePayload } from "./knownStrikes.ts"
import type { Strike } from "../../Strike.ts"
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

/** The workers of a docket that hold something and fell silent. */
export const silentWorkersOf = (store: Store): Effect.Effect<ReadonlyArray<SilentWorker>, DocketError> =>
  Effect.map(failWith(store.silentWorkers), (workers) =>
    workers.map(({ held, lastSeen, name, until }) => ({
      name,
      lastSeen: lastSeen === undefined ? undefined : DateTime.makeUnsafe(lastSeen),
      held,
      until: DateTime.makeUnsafe(until)
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
export const failedExecutions = (store: Store, strikes: KnownStrikes): FailedExecutions => {
  const choose = Effect.fnUntraced(function* (filter: FailedFilter) {
    const since = filter.since === undefined ? undefined : yield* Moments.checked("since", filter.since)
    const until = filter.until === undefined ? undefined : yield* Moments.checked("until", filter.until)
    const limit = filter.limit === undefined ? Infinity : yield* WholeNumbers.checked("limit", filter.limit, 0)
    const keys = filter.keys === undefined ? undefined : new Set(filter.keys)
    const chosen: Array<ExecutionRecord> = []
    let before: FailedPlace | undefined = undefined
    while (chosen.length < limit) {
      const { next, records }: FailedReply = yield* failWith(store.failed({ limit: pageSize, before }))
      for (const record of records) {
        const failed = record.completed ?? 0
        if (since !== undefined && failed < since) continue
        if (until !== undefined && failed >= until) continue
        if (keys !== undefined && !keys.has(record.key)) continue
        if (filter.task !== undefined && record.task !== filter.task) continue
        if (filter.error !== undefined && !(record.error ?? "").includes(filter.error)) continue
        chosen.push(record)
      }
      if (next === undefined) break
      before = next
    }
    return chosen.slice(0, limit)
  })

  const keysOf = (filter: FailedFilter) => Effect.map(choose(filter), (records) => records.map(({ key }) => key))
  return {
    recurring: ({ limit = 1000 } = {}) =>
      Effect.map(failWith(store.failedChains(limit)), (records) => records.map(infoOf)),
    list: (filter = {}) => Effect.map(choose(filter), (records) => records.map(infoOf)),
    retry: Effect.fnUntraced(function* (filter) {
      const answers = yield* retryFailed(store, strikes, yield* keysOf(filter))
      return {
        retried: answers.filter((answer) => answer === "retried").length,
        struck: answers.filter((answer) => answer === "struck").length
      }
    }),
    discard: (filter) =>
      Effect.flatMap(keysOf(filter), (keys) =>
        Effect.map(failWith(store.discardFailed(keys)), (answers) => answers.filter(Boolean).length)
      )
  }
}

/** A store does so many at once, or none of them. */
const retriesTogether = 100

/**
 * Lets failed executions run again, unless a strike refuses them: these stay what they are. Tells what became of each; it
 * is `unknown` if it was none.
 */
export const retryFailed = Effect.fnUntraced(function* (
  store: Store,
  strikes: KnownStrikes,
  keys: ReadonlyArray<string>
): Effect.fn.Return<ReadonlyArray<"retried" | "struck" | "unknown">, DocketError> {
  const answers: Array<"retried" | "struck" | "unknown"> = []
  while (answers.length < keys.length) {
    const { strikes: inForce, version } = strikes.current()
    const batch = keys.slice(answers.length, answers.length + retriesTogether)
    const struck = new Map<string, Strike>()
    for (const record of inForce.length === 0 ? [] : yield* failWith(store.read(batch))) {
      if (Option.isNone(record) || record.value.state !== "failed") continue
      const { key, payload, task } = record.value
      const strike = strikes.judge(task, () => parsePayload(payload))
      if (strike !== undefined && !strike.hold) struck.set(key, strike)
    }
    yield* strikes.warn
    const sent = batch.filter((key) => !struck.has(key))
    const reply = yield* failWith(store.retryFailed(sent, version))
    if (reply._tag === "StrikesChanged") {
      yield* strikes.update(reply.strikes)
      continue
    }
    for (const [key, strike] of struck) {
      yield* Effect.logWarning(`🗙 {${key}} was not retried, and stays failed: struck by ${strike}`)
    }
    const done = new Set(sent.filter((_, i) => reply.answers[i]))
    answers.push(...batch.map((key) => (struck.has(key) ? "struck" : done.has(key) ? "retried" : "unknown")))
  }
  return answers
})
