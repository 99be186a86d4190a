/**
 * The steps of an execution from one place to the next. Each of them writes the record, keeps count, and publishes what it
 * changed.
 */
import type { Terms } from "../../Admission.ts"
import type * as DocketStore from "../../DocketStore.ts"
import { query } from "./Connection.ts"
import * as Events from "./Events.ts"
import * as Gate from "./Gate.ts"
import * as Row from "./Row.ts"
import type { Docket, Step } from "./Step.ts"

type Counted = Exclude<Row.Place, "settled" | "nowhere">

const isCounted = (place: Row.Place): place is Counted => place !== "settled" && place !== "nowhere"

/** Counts one more, or one less, in a place. */
export const tally = (docket: Docket, place: Row.Place, difference: 1 | -1): void => {
  if (isCounted(place)) docket[place] += difference
}

/** Moves an execution to a place, at its end or where it is kept for it, and writes its record. */
const move = (step: Step, row: Row.Row, place: Row.Place, at = 0, line = ""): void => {
  const { docket } = step
  if (row.place === "line") Gate.leaveLine(step, row)
  tally(docket, row.place, -1)
  tally(docket, place, 1)
  row.place = place
  row.line = line
  row.at = at
  row.seq = (place === "turn" || place === "line" ? row.kept : null) ?? ++docket.seq
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
    terms: encodeTerms(request.terms),
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

/** Terms as a row keeps them. */
export const encodeTerms = (terms: Terms | undefined): string | null =>
  terms === undefined ? null : JSON.stringify(terms)

/** Lets an execution wait until it is due: in the ready line when it is due already, else in the schedule. */
export const wait = (step: Step, row: Row.Row, due: DocketStore.Due): void => {
  row.due = dueTime(due, step.now)
  row.worker = null
  row.started = null
  row.completed = null
  row.progress = null
  row.cancelled = 0
  row.kept = null
  row.state = "scheduled"
  if (row.due <= step.now) return enqueue(step, row)
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

/** Moves what has become due to the ready line, and wakes gates: the earliest, if there are very many. */
export const moveDue = (step: Step): void => {
  Gate.wakeDue(step, batch)
  if (step.docket.later === 0) return
  for (const row of Row.due(step, "later", batch)) enqueue(step, row)
}

/** Puts an execution at the end of the ready line, or where its place is when it had its turn before. */
export const enqueue = (step: Step, row: Row.Row): void => {
  const isKnown = row.state === "queued"
  row.state = "queued"
  move(step, row, row.kept === null ? "ready" : "turn")
  if (!isKnown) Events.publishState(step, row)
}

/** What a worker has to know to run an execution. */
export const needsOf = ({ needs, task }: Row.Row): string => needs ?? task

/** Sets an execution aside, to wait for a worker that knows its task. */
export const setAside = (step: Step, row: Row.Row): void => {
  const isKnown = row.state === "queued"
  row.state = "queued"
  move(step, row, "aside", 0, needsOf(row))
  if (!isKnown) Events.publishState(step, row)
}

/** Gives what was set aside for a task its turn again: as much as a step moves, or as is asked for. */
export const putBack = (step: Step, task: string, atLeast: number): void => {
  for (const row of Row.first(step, "aside", task, Math.max(batch, atLeast))) enqueue(step, row)
}

/** Lets an execution wait until a strike is restored. */
export const hold = (step: Step, row: Row.Row): void => {
  row.worker = null
  row.started = null
  row.state = "scheduled"
  move(step, row, "held")
  Events.publishState(step, row)
}

/** Lets an execution that a strike holds go, with the next generation. */
export const letGo = (step: Step, row: Row.Row): void => {
  advance(row)
  enqueue(step, row)
}

/** Lets an execution wait that is in a line by now; `due` is when it runs, if that is known. */
export const heldBack = (step: Step, row: Row.Row, due: number | undefined): void => {
  const { docket } = step
  const isKnown = row.state === "scheduled"
  if (due !== undefined) putOffUntil(row, due)
  tally(docket, row.place, -1)
  tally(docket, "line", 1)
  row.place = "line"
  row.seq = row.kept ?? row.seq
  row.state = "scheduled"
  Row.save(step, row)
  if (!isKnown) Events.publishState(step, row)
}

/** Says of an execution in a line when it runs. */
export const putOffUntil = (row: Row.Row, due: number): void => {
  row.intended ??= row.due
  row.due = due
}

/** The generation that the next schedule of a key has. */
export const nextGeneration = ({ generation, schedules }: Row.Row): number => Math.max(schedules, generation) + 1

/** Begins the next generation of a key. */
export const advance = (row: Row.Row): void => {
  row.schedules = nextGeneration(row)
  row.generation = row.schedules
}

/** The one that has the next turn. */
export const nextReady = (step: Step): Row.Row | undefined => {
  const { docket } = step
  const turn = docket.turn === 0 ? undefined : Row.first(step, "turn", "", 1)[0]
  const ready = docket.ready === 0 ? undefined : Row.first(step, "ready", "", 1)[0]
  const other = turn === undefined || (ready !== undefined && Gate.scoreOf(ready) < Gate.scoreOf(turn)) ? ready : turn
  return Gate.nextHead(step, other === undefined ? Number.POSITIVE_INFINITY : Gate.scoreOf(other)) ?? other
}

/** What a worker is given to hold executions by. */
export interface Hold {
  readonly worker: string
  readonly lease: string
  readonly leaseMillis: number
}

/** Lends a queued execution to a worker that is to tell something about it. */
export const ask = (step: Step, row: Row.Row, { lease, leaseMillis }: Hold): void => {
  const isKnown = row.state === "queued"
  row.state = "queued"
  row.lease = lease
  move(step, row, "asked", step.now + leaseMillis)
  if (!isKnown) Events.publishState(step, row)
}

const startRow = query<ReadonlyArray<string | number | null>>(
  `UPDATE docket_executions SET place = 'running', line = '', at = ?, seq = ?, state = 'running', lease = ?, deliveries = ?,
    worker = ?, started = ?, dead = NULL
  WHERE id = ?`
)

/** Hands a queued execution to a worker. What controls noted of it was saved before. */
export const start = (step: Step, row: Row.Row, { lease, leaseMillis, worker }: Hold): void => {
  const { docket, now, sql } = step
  if (row.state === "scheduled") {
    row.state = "queued"
    Events.publishState(step, row)
  }
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

/** Takes a running execution from its worker, to be delivered again. */
export const reclaim = (step: Step, row: Row.Row): void => {
  row.worker = null
  row.started = null
  row.progress = null
  enqueue(step, row)
}

/** Settles an execution, and keeps its record for its time to live. */
export const settle = (step: Step, row: Row.Row, state: "completed" | "failed" | "cancelled"): void => {
  const { docket, now, options } = step
  row.before = null
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

/** Lets an execution be what the last run of its key left, which is in its row. */
export const restore = (step: Step, row: Row.Row, payload: string): void => {
  const { at } = row
  const isListed = row.state === "failed" && step.options.failedMaximum > 0
  Row.setPayload(step, row, payload)
  move(step, row, isListed ? "failed" : "settled", at)
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
  queued: docket.ready + docket.turn + docket.aside + docket.asked,
  scheduled: docket.later + docket.line + docket.held,
  running: docket.running
})

/** When something scheduled for later is due next, or a gate opens. */
export const nextDue = (step: Step): number | undefined => {
  const due = step.docket.later === 0 ? undefined : Row.earliest(step, "later")
  const opens = Gate.nextOpening(step)
  return due === undefined || opens === undefined ? (due ?? opens) : Math.min(due, opens)
}

/** Keeps and publishes how far a run has come. */
export const report = (step: Step, row: Row.Row, progress: DocketStore.ProgressRecord): void => {
  row.progress = JSON.stringify(progress)
  Row.save(step, row)
  Events.publishProgress(step, row, progress)
}
