/** What an operator sees of a docket. Nothing here changes anything. */
import type * as DocketStore from "../../DocketStore.ts"
import * as Executions from "./Executions.ts"
import * as Gate from "./Gate.ts"
import { query } from "./Connection.ts"
import * as Row from "./Row.ts"
import type { Step } from "./Step.ts"

/** The record of an execution. */
export const toRecord = (step: Step, row: Row.Row): DocketStore.ExecutionRecord => ({
  key: row.key,
  task: row.task,
  payload: Row.payloadOf(step, row),
  state: row.state,
  generation: row.generation,
  origin: row.origin,
  attempt: row.attempt,
  deliveries: row.deliveries,
  due: row.due,
  worker: row.worker ?? undefined,
  started: row.started ?? undefined,
  completed: row.completed ?? undefined,
  error: row.error ?? undefined,
  result: row.result ?? undefined,
  failure: row.failure ?? undefined,
  chain: row.chain ?? undefined,
  last: row.last === null ? undefined : lastOf(row.last),
  progress: row.progress === null ? undefined : progressOf(row.progress),
  hindrance: Gate.hindranceOf(step, row),
  trace: row.trace
})

// What `Operations.end` and `Executions.report` wrote; JSON leaves out what is undefined.
const lastOf = (json: string): DocketStore.LastRun => {
  const { error, generation, state } = JSON.parse(json) as DocketStore.LastRun
  return { generation, state, error }
}
const progressOf = (json: string): DocketStore.ProgressRecord => {
  const { current, message, total, updated } = JSON.parse(json) as DocketStore.ProgressRecord
  return { current, total, message, updated }
}

/** How many executions in the ready line come before one; nothing when it is not there. */
export const ahead = (step: Step, key: string): number | undefined => {
  const row = Row.lookup(step, key)
  if (row?.place !== "ready" && row?.place !== "turn") return undefined
  const first = row.place === "ready" ? step.docket.turn : 0
  return Math.min(mostAhead, first + Row.before(step, row, mostAhead))
}

const mostAhead = 10_000

/** Executions that failed for good, newest first. */
export const failed = (step: Step, { before, limit }: DocketStore.FailedPage): DocketStore.FailedReply => {
  const rows = Row.failed(step, before ?? { failed: Number.MAX_SAFE_INTEGER, key: "" }, limit)
  const last = rows.length === limit ? rows.at(-1) : undefined
  return {
    records: rows.map((row) => toRecord(step, row)),
    next: last === undefined ? undefined : { failed: last.completed ?? 0, key: last.key }
  }
}

/** Keys that recur and whose last run failed, the newest failure first. */
export const failedChains = (step: Step, limit: number): ReadonlyArray<DocketStore.ExecutionRecord> =>
  Row.failedChains(step, limit).map((row) => toRecord(step, row))

const byStart = query<[docket: number], { readonly key: string; readonly started: number }>(
  `SELECT key, started FROM docket_executions WHERE docket = ? AND place = 'running' ORDER BY started, seq`
)

/** The docket at this moment. */
export const snapshot = (step: Step, limit: number): DocketStore.SnapshotRecord => {
  const running = step.docket.running === 0 ? [] : step.sql.all(byStart, step.docket.id).slice(0, limit)
  const waiting: Array<Row.Row> = []
  for (const place of ["turn", "ready", "aside", "line", "held", "asked", "later"] as const) {
    if (waiting.length >= limit) break
    if (step.docket[place] > 0) waiting.push(...Row.firstOf(step, place, limit - waiting.length))
  }
  return {
    taken: step.now,
    depth: Executions.depth(step),
    running: running.flatMap(({ key }) => {
      const row = Row.lookup(step, key)
      return row === undefined ? [] : [toRecord(step, row)]
    }),
    waiting: waiting.map((row) => toRecord(step, row))
  }
}
