/** What the store in a file knows of one execution: a row of `docket_executions`, by the names of its columns. */
import * as DocketStore from "../../DocketStore.ts"
import { query } from "./Connection.ts"
import type { Step } from "./Step.ts"

/**
 * Where an execution is. In each place `line`, `at` and `seq` say in which order.
 *
 * | place | state | line | at | left by |
 * | --- | --- | --- | --- | --- |
 * | `later` | `scheduled` | | when it is due | `moveDue` |
 * | `line` | `scheduled` | | | a claim: it waits in a line (see `admission/Lines.ts`) |
 * | `held` | `scheduled` | | | an exchange after a restore |
 * | `ready` | `queued` | | | a claim |
 * | `turn` | `queued` | | | a claim: it had its turn before, and comes by the place that it had |
 * | `aside` | `queued` | what a worker has to know for it | | an exchange of such a worker |
 * | `asked` | `queued` | | when its loan expires | a settlement, a heartbeat |
 * | `running` | `running` | | when its lease expires | a settlement, a heartbeat |
 * | `failed` | `failed` | | when its record ends | its time to live, or a newer one when there are too many |
 * | `settled` | a settled one | | when its record ends | its time to live |
 * | `nowhere` | any | | | the same step |
 */
export type Place =
  "later" | "line" | "held" | "ready" | "turn" | "aside" | "asked" | "running" | "failed" | "settled" | "nowhere"

export interface Row {
  readonly id: number
  readonly key: string
  place: Place
  line: string
  at: number
  seq: number
  /** Its place among all that became due, once it has had its turn and was not started: it keeps that. */
  kept: number | null
  state: DocketStore.State
  generation: number
  /** The generation with which it began. */
  origin: number
  /** Counts the schedules of the key, those that never ran included; not told as long as that is the generation. */
  schedules: number
  attempt: number
  deliveries: number
  due: number
  /** When it was due at first, if that is not the same any more. */
  intended: number | null
  started: number | null
  completed: number | null
  /** 1 if the present run was asked to stop. */
  cancelled: number
  worker: string | null
  /** The lease of the present run, or of the last one. */
  lease: string | null
  /** The lease whose settlement was the last to be applied: the same settlement sent again is known by it. */
  settledLease: string | null
  task: string
  /** What a worker has to know to run it, when that is more than its task. */
  needs: string | null
  trace: string
  /** The version of the strikes by which its payload was judged, and not matched. */
  judged: string
  /** What its task's contract says of its payload, as JSON; see `ScheduleRequest.terms`. */
  terms: string | null
  /** What admission has to do with it, as JSON (see `admission/Standing.ts`); nothing as long as that is nothing. */
  admission: string | null
  /** The error with which it had failed before it was retried by hand, as long as it has not begun since. */
  dead: string | null
  /** By which recurrence and payload it was scheduled, if it is of an automatic task. */
  chain: string | null
  /** `DocketStore.RunRecord`s, as JSON. */
  runs: string | null
  /** When the last run failed, of a key that goes on. */
  chainFailed: number | null
  /** Why it is lent to a worker that is to tell which run follows it: a control that dropped it, as JSON. */
  skipped: string | null
  /** What the last run of the key left, until this schedule begins, as JSON (see `Operations.ts`). */
  before: string | null
  /** `DocketStore.LastRun`, as JSON. */
  last: string | null
  /** `DocketStore.ProgressRecord`, as JSON. */
  progress: string | null
  error: string | null
  /** `DocketStore.AttemptRecord`s, as JSON. */
  attempts: string | null
  result: string | null
  failure: string | null
  /** Nothing when it is long, and kept apart. */
  payload: string | null
}

const columns =
  "id, key, place, line, at, seq, kept, state, generation, origin, schedules, attempt, deliveries, due, intended, started, " +
  "completed, cancelled, worker, lease, settledLease, task, needs, trace, judged, terms, admission, skipped, before, last, " +
  "dead, chain, runs, chainFailed, progress, error, attempts, result, failure, payload"

const byKey = query<[docket: number, key: string], Row>(
  `SELECT ${columns} FROM docket_executions WHERE docket = ? AND key = ?`
)
const inLine = query<[docket: number, place: string, line: string, limit: number], Row>(
  `SELECT ${columns} FROM docket_executions WHERE docket = ? AND place = ? AND line = ? ORDER BY at, seq LIMIT ?`
)
const inPlace = query<[docket: number, place: string, limit: number], Row>(
  `SELECT ${columns} FROM docket_executions WHERE docket = ? AND place = ? ORDER BY line, at, seq LIMIT ?`
)
const failedBefore = query<
  [docket: number, now: number, failed: number, sameTime: number, key: string, limit: number],
  Row
>(
  `SELECT ${columns} FROM docket_executions WHERE docket = ? AND place = 'failed' AND line = '' AND at > ?
    AND (completed < ? OR (completed = ? AND key < ?))
  ORDER BY completed DESC, key DESC LIMIT ?`
)
const until = query<[docket: number, place: string, at: number, limit: number], Row>(
  `SELECT ${columns} FROM docket_executions WHERE docket = ? AND place = ? AND line = '' AND at <= ? ORDER BY at, seq LIMIT ?`
)
const underLease = query<[docket: number, place: string, lease: string], Row>(
  `SELECT ${columns} FROM docket_executions WHERE docket = ? AND place = ? AND line = '' AND lease = ? ORDER BY seq`
)
const byWorker = query<[docket: number, worker: string], Row>(
  `SELECT ${columns} FROM docket_executions WHERE docket = ? AND place = 'running' AND line = '' AND worker = ? ORDER BY seq`
)
const firstAt = query<[docket: number, place: string], { readonly at: number }>(
  `SELECT at FROM docket_executions WHERE docket = ? AND place = ? AND line = '' ORDER BY at LIMIT 1`
)
const nextLine = query<[docket: number, place: string, line: string], { readonly line: string }>(
  `SELECT line FROM docket_executions WHERE docket = ? AND place = ? AND line > ? ORDER BY line LIMIT 1`
)
const countLine = query<[docket: number, place: string, line: string], { readonly count: number }>(
  `SELECT count(*) AS count FROM docket_executions WHERE docket = ? AND place = ? AND line = ?`
)
const countBefore = query<
  [docket: number, place: string, line: string, seq: number, limit: number],
  { readonly count: number }
>(
  `SELECT count(*) AS count FROM (SELECT 1 FROM docket_executions WHERE docket = ? AND place = ? AND line = ? AND at = 0 AND seq < ? LIMIT ?)`
)
const failedChain = query<[docket: number, limit: number], Row>(
  `SELECT ${columns} FROM docket_executions WHERE docket = ? AND chainFailed IS NOT NULL ORDER BY chainFailed DESC LIMIT ?`
)
const countFailedChains = query<[docket: number], { readonly count: number }>(
  `SELECT count(*) AS count FROM docket_executions WHERE docket = ? AND chainFailed IS NOT NULL`
)
const longPayload = query<[execution: number], { readonly payload: string }>(
  `SELECT payload FROM docket_payloads WHERE execution = ?`
)
const keepLongPayload = query<[execution: number, payload: string]>(
  `INSERT OR REPLACE INTO docket_payloads (execution, payload) VALUES (?, ?)`
)
const forgetLongPayload = query<[execution: number]>(`DELETE FROM docket_payloads WHERE execution = ?`)

const insert = query<ReadonlyArray<string | number | null>, { readonly id: number }>(
  `INSERT INTO docket_executions (docket, key, place, line, at, seq, state, generation, origin, attempt, deliveries, due, cancelled,
    task, trace, judged, terms, chain, payload)
  VALUES (?, ?, ?, '', ?, ?, ?, ?, ?, 1, 0, ?, 0, ?, ?, ?, ?, ?, ?) RETURNING id`
)
const update = query<ReadonlyArray<string | number | null>>(
  `UPDATE docket_executions SET place = ?, line = ?, at = ?, seq = ?, kept = ?, state = ?, generation = ?, origin = ?, schedules = ?,
    attempt = ?, deliveries = ?, due = ?, intended = ?, started = ?, completed = ?, cancelled = ?, worker = ?, lease = ?,
    settledLease = ?, task = ?, needs = ?, trace = ?, judged = ?, terms = ?, admission = ?, skipped = ?, before = ?, last = ?,
    dead = ?, chain = ?, runs = ?, chainFailed = ?, progress = ?, error = ?, attempts = ?,
    result = ?, failure = ?, payload = ?
  WHERE id = ?`
)
const remove = query<[id: number]>(`DELETE FROM docket_executions WHERE id = ?`)

/** The execution of a key, unless its record has ended. */
export const lookup = (step: Step, key: string): Row | undefined => {
  const row = step.sql.get(byKey, step.docket.id, key)
  if (row === undefined || !DocketStore.isSettled(row.state) || row.at > step.now) return row
  return undefined
}

/** The execution of a key, also when its record has ended and was not removed yet. */
export const find = (step: Step, key: string): Row | undefined => step.sql.get(byKey, step.docket.id, key)

/** The first of a line. */
export const first = (step: Step, place: Place, line: string, limit: number): ReadonlyArray<Row> =>
  step.sql.all(inLine, step.docket.id, place, line, limit)

/** The first of a place, line by line. */
export const firstOf = (step: Step, place: Place, limit: number): ReadonlyArray<Row> =>
  step.sql.all(inPlace, step.docket.id, place, limit)

/** Those that failed for good before a moment, and at that moment those whose keys come before one; the newest first. */
export const failed = (
  { docket, now, sql }: Step,
  before: DocketStore.FailedPlace,
  limit: number
): ReadonlyArray<Row> => sql.all(failedBefore, docket.id, now, before.failed, before.failed, before.key, limit)

/** Keys that recur and whose last run failed, the newest failure first. */
export const failedChains = ({ docket, sql }: Step, limit: number): ReadonlyArray<Row> =>
  sql.all(failedChain, docket.id, limit)

/** How many those are. */
export const failedChainCount = ({ docket, sql }: Step): number => sql.get(countFailedChains, docket.id)?.count ?? 0

/** Those of a place whose time has come, the earliest first. */
export const due = (step: Step, place: Place, limit: number): ReadonlyArray<Row> =>
  step.sql.all(until, step.docket.id, place, step.now, limit)

/** What is held under a lease, in the order in which it was granted. */
export const granted = (step: Step, place: "running" | "asked", lease: string): ReadonlyArray<Row> =>
  step.sql.all(underLease, step.docket.id, place, lease)

/** What a worker runs, in the order in which it began. */
export const heldBy = ({ docket, sql }: Step, worker: string): ReadonlyArray<Row> =>
  sql.all(byWorker, docket.id, worker)

/** The earliest time of a place. */
export const earliest = (step: Step, place: Place): number | undefined =>
  step.sql.get(firstAt, step.docket.id, place)?.at

/** The lines of a place in which anyone stands. */
export const lines = (step: Step, place: "aside"): ReadonlyArray<string> => {
  const found: Array<string> = []
  for (let line = ""; ;) {
    const next = step.sql.get(nextLine, step.docket.id, place, line)
    if (next === undefined) return found
    line = next.line
    found.push(line)
  }
}

/** How many stand in a line. */
export const count = (step: Step, place: Place, line: string): number =>
  step.sql.get(countLine, step.docket.id, place, line)?.count ?? 0

/** How many stand before an execution, in its line; at most so many. */
export const before = (step: Step, { line, place, seq }: Row, limit: number): number =>
  step.sql.get(countBefore, step.docket.id, place, line, seq, limit)?.count ?? 0

/**
 * Payloads up to this length are kept in the record. SQLite writes a record as a whole whenever it changes, and a record
 * that does not fit its page in further ones.
 */
const inlinePayload = 1_000

/** The payload of an execution. */
export const payloadOf = ({ sql }: Step, row: Row): string => row.payload ?? sql.get(longPayload, row.id)?.payload ?? ""

/** Sets the payload of an execution; its record is saved afterwards. */
export const setPayload = ({ sql }: Step, row: Row, payload: string): void => {
  const wasLong = row.payload === null
  row.payload = payload.length > inlinePayload ? null : payload
  if (row.payload === null) sql.run(keepLongPayload, row.id, payload)
  else if (wasLong) sql.run(forgetLongPayload, row.id)
}

/** Adds an execution of a key that has none. */
export const add = (
  { docket, sql }: Step,
  row: Pick<
    Row,
    "key" | "place" | "at" | "seq" | "state" | "generation" | "due" | "task" | "trace" | "judged" | "terms" | "chain"
  > & { readonly payload: string }
): void => {
  const isLong = row.payload.length > inlinePayload
  const added = sql.get(
    insert,
    docket.id,
    row.key,
    row.place,
    row.at,
    row.seq,
    row.state,
    row.generation,
    row.generation,
    row.due,
    row.task,
    row.trace,
    row.judged,
    row.terms,
    row.chain,
    isLong ? null : row.payload
  )
  if (isLong && added !== undefined) sql.run(keepLongPayload, added.id, row.payload)
}

/** Writes all that may have changed of an execution. */
export const save = ({ sql }: Step, row: Row): void => {
  sql.run(
    update,
    row.place,
    row.line,
    row.at,
    row.seq,
    row.kept,
    row.state,
    row.generation,
    row.origin,
    row.schedules,
    row.attempt,
    row.deliveries,
    row.due,
    row.intended,
    row.started,
    row.completed,
    row.cancelled,
    row.worker,
    row.lease,
    row.settledLease,
    row.task,
    row.needs,
    row.trace,
    row.judged,
    row.terms,
    row.admission,
    row.skipped,
    row.before,
    row.last,
    row.dead,
    row.chain,
    row.runs,
    row.chainFailed,
    row.progress,
    row.error,
    row.attempts,
    row.result,
    row.failure,
    row.payload,
    row.id
  )
}

/** Deletes an execution, and all that is known of it. */
export const erase = ({ sql }: Step, { id, payload }: Pick<Row, "id" | "payload">): void => {
  if (payload === null) sql.run(forgetLongPayload, id)
  sql.run(remove, id)
}
