/**
 * The steps of an execution from one place to the next. Each of them writes the record, keeps count, and publishes what it
 * changed.
 */
import type * as DocketStore from "../../DocketStore.ts"
import { query } from "./Connection.ts"
import * as Events from "./Events.ts"
import * as Row from "./Row.ts"
import type { Docket, Step } from "./Step.ts"

type Counted = Exclude<Row.Place, "settled" | "nowhere">

const isCounted = (place: Row.Place): place is Counted => place !== "settled" && place !== "nowhere"

/** Counts one more, or one less, in a place. */
export const tally = (docket: Docket, place: Row.Place, difference: 1 | -1): void => {
  if (isCounted(place)) docket[place] += difference
}

/** Moves an execution to a place, at its end, and writes its record. */
const move = (step: Step, row: Row.Row, place: Row.Place, at = 0, line = ""): void => {
  const { docket } = step
  tally(docket, row.place, -1)
  tally(docket, place, 1)
  row.place = place
  row.line = line
  row.at = at
  row.seq = ++docket.seq
  Row.save(step, row)
}

/** Takes an execution from where it is, for the rest of a step that puts it somewhere else. */
export const detach = (step: Step, row: Row.Row): void => move(step, row, "nowhere")

/** Adds an execution of a key that has none. */
export const add = (
  step: Step,
  request: DocketStore.ScheduleRequest,
  generation: number,
  judged: string
): "later" | "ready" => {
  const { docket, now } = step
  const due = dueTime(request.due, now)
  const place = due <= now ? "ready" : "later"
  const state = due <= now ? "queued" : "scheduled"
  Row.add(step, {
    key: request.key,
    place,
    at: due <= now ? 0 : due,
    seq: ++docket.seq,
    state,
    generation,
    due,
    task: request.task,
    trace: request.trace,
    judged,
    controlValues: request.values === undefined ? null : JSON.stringify(request.values),
    chain: request.chain ?? null,
    payload: request.payload
  })
  tally(docket, place, 1)
  if (docket.isFollowed === 1) {
    const { key, task } = request
    Events.publishState(step, { key, task, place, state, generation, deliveries: 0, due })
  }
  return place
}

/** Lets an execution wait until it is due: in the ready line when it is due already, else in the schedule. */
export const wait = (step: Step, row: Row.Row, due: DocketStore.Due): void => {
  row.due = dueTime(due, step.now)
  row.worker = null
  row.started = null
  row.completed = null
  row.progress = null
  row.cancelled = 0
  if (row.due <= step.now) return enqueue(step, row)
  row.state = "scheduled"
  move(step, row, "later", row.due)
  Events.publishState(step, row)
}

/** The moment that is meant: never before its time, and near enough for times to stay exact. */
const dueTime = (due: DocketStore.Due, now: number) =>
  due._tag === "At" ? wholeMillis(due.epochMillis) : now + wholeMillis(due.millis)

const wholeMillis = (millis: number) => Math.ceil(Math.min(Math.max(millis, -farAway), farAway))

/** The last moment that a date can name. */
const farAway = 8.64e15

/** Puts off an execution whose schedule stays the same: it is remembered when it was due at first. */
export const putOff = (step: Step, row: Row.Row, due: DocketStore.Due): void => {
  row.intended ??= row.due
  wait(step, row, due)
}

/** Lets a queued execution pause; its time stays the same. */
export const pause = (step: Step, row: Row.Row, until: number): void => {
  row.state = "scheduled"
  move(step, row, "later", until)
  Events.publishState(step, row)
}

/** The most that one step moves of what could be very many. */
export const batch = 200

/** Moves what has become due to the ready line: the earliest, if there are very many. */
export const moveDue = (step: Step): void => {
  if (step.docket.later === 0) return
  for (const row of Row.due(step, "later", batch)) enqueue(step, row)
}

/** Puts an execution at the end of the ready line, or of those that come first. */
export const enqueue = (step: Step, row: Row.Row, line: "ready" | "front" = "ready"): void => {
  row.state = "queued"
  move(step, row, line)
  Events.publishState(step, row)
}

/** What a worker has to know to run an execution. */
export const needsOf = ({ needs, task }: Row.Row): string => needs ?? task

/** Sets a queued execution aside, to wait for a worker that knows its task. */
export const setAside = (step: Step, row: Row.Row): void => move(step, row, "aside", 0, needsOf(row))

/** Puts what was set aside for a task back into the ready line: as much as a step moves, or as is asked for. */
export const putBack = (step: Step, task: string, atLeast: number): void => {
  for (const row of Row.first(step, "aside", task, Math.max(batch, atLeast))) move(step, row, "ready")
}

/** Lets an execution wait in a line, held back. */
export const holdBack = (step: Step, row: Row.Row, place: "waiting" | "held", line = ""): void => {
  row.worker = null
  row.started = null
  row.state = "scheduled"
  move(step, row, place, 0, line)
  Events.publishState(step, row)
}

/** Lets an execution that is held back go, with the next generation. */
export const letGo = (step: Step, row: Row.Row, line: "ready" | "front"): void => {
  row.generation++
  enqueue(step, row, line)
}

/** Moves an execution that is scheduled for later to another time. */
export const reschedule = (step: Step, row: Row.Row, due: number): void => {
  if (row.place !== "later") return
  row.due = due
  move(step, row, "later", due)
}

/** What a worker is given to hold executions by. */
export interface Hold {
  readonly worker: string
  readonly lease: string
  readonly leaseMillis: number
}

/** Lends a queued execution to a worker that is to tell something about it. */
export const ask = (step: Step, row: Row.Row, { lease, leaseMillis }: Hold): void => {
  row.lease = lease
  move(step, row, "asked", step.now + leaseMillis)
}

/** Takes back what was lent to a worker. */
export const takeBack = (step: Step, row: Row.Row): void => move(step, row, "front")

const startRow = query<ReadonlyArray<string | number | null>>(
  `UPDATE docket_executions SET place = 'running', line = '', at = ?, seq = ?, state = 'running', lease = ?, deliveries = ?,
    worker = ?, started = ?, dead = NULL
  WHERE id = ?`
)

/** Hands a queued execution to a worker. What controls noted of it was saved before. */
export const start = (step: Step, row: Row.Row, { lease, leaseMillis, worker }: Hold): void => {
  const { docket, now, sql } = step
  tally(docket, row.place, -1)
  docket.running++
  row.place = "running"
  row.line = ""
  row.at = now + leaseMillis
  row.seq = ++docket.seq
  row.state = "running"
  row.lease = lease
  row.deliveries++
  row.worker = worker
  row.started = now
  sql.run(startRow, row.at, row.seq, lease, row.deliveries, worker, now, row.id)
  Events.publishState(step, row)
}

const extendLease = query<[at: number, id: number]>(`UPDATE docket_executions SET at = ? WHERE id = ?`)

/** Lets the lease, or the loan, of an execution live on until `expires`. */
export const extend = ({ sql }: Step, row: Row.Row, expires: number): void => {
  row.at = expires
  sql.run(extendLease, expires, row.id)
}

/** Takes a running execution from its worker, to be delivered again: before all others when it has a slot. */
export const reclaim = (step: Step, row: Row.Row, hasSlot: boolean): void => {
  row.worker = null
  row.started = null
  row.progress = null
  enqueue(step, row, hasSlot ? "front" : "ready")
}

/** Settles an execution, and keeps its record for its time to live. */
export const settle = (step: Step, row: Row.Row, state: "completed" | "failed" | "cancelled"): void => {
  const { docket, now, options } = step
  row.state = state
  row.chainFailed = null
  row.completed = now
  row.cancelled = 0
  row.progress = null
  const isListed = state === "failed" && options.failedMaximum > 0
  const expires = now + keptMillis(isListed, options)
  if (expires > now) {
    move(step, row, isListed ? "failed" : "settled", expires)
  } else {
    tally(docket, row.place, -1)
    Row.erase(step, row)
  }
  Events.publishState(step, row)
  for (const oldest of docket.failed > options.failedMaximum ? Row.first(step, "failed", "", batch) : []) {
    if (docket.failed <= options.failedMaximum) break
    const expires = (oldest.completed ?? now) + keptMillis(false, options)
    if (expires > now) {
      move(step, oldest, "settled", expires)
    } else {
      docket.failed--
      Row.erase(step, oldest)
    }
  }
}

/** How long a record is kept. */
export const keptMillis = (
  isListed: boolean,
  { executionTtlMillis, failedTtlMillis }: DocketStore.StoreOptions
): number => Math.ceil(Math.min(isListed && failedTtlMillis > 0 ? failedTtlMillis : executionTtlMillis, farAway / 2))

const oldestRecords = query<
  [docket: number, place: string, now: number, limit: number],
  { readonly id: number; readonly payload: string | null }
>(
  `SELECT id, payload FROM docket_executions WHERE docket = ? AND place = ? AND line = '' AND at <= ? ORDER BY at, seq LIMIT ?`
)

/** Deletes records that have ended, the oldest first; tells whether there may be more. */
export const sweep = (step: Step, limit: number): boolean => {
  const { docket, now, sql } = step
  let left = limit
  for (const place of ["settled", "failed"] as const) {
    if (place === "failed" && docket.failed === 0) continue
    for (const record of sql.all(oldestRecords, docket.id, place, now, left)) {
      Row.erase(step, record)
      tally(docket, place, -1)
      left--
    }
    if (left <= 0) return true
  }
  return false
}

/** Counts what is live. */
export const depth = ({ docket }: Step): DocketStore.Depth => ({
  queued: docket.ready + docket.front + docket.aside + docket.asked,
  scheduled: docket.later + docket.waiting + docket.held,
  running: docket.running
})

/** When something scheduled for later is due next. */
export const nextDue = (step: Step): number | undefined =>
  step.docket.later === 0 ? undefined : Row.earliest(step, "later")

/** Keeps and publishes how far a run has come. */
export const report = (step: Step, row: Row.Row, progress: DocketStore.ProgressRecord): void => {
  row.progress = JSON.stringify(progress)
  Row.save(step, row)
  Events.publishProgress(step, row, progress)
}
