/** What the port's operations do to the executions of a docket, one function for each. */
import * as Option from "effect/Option"
import type { Control } from "../../Admission.ts"
import * as DocketStore from "../../DocketStore.ts"
import type { Dropped } from "../admission/Standing.ts"
import * as Facts from "../facts.ts"
import type * as Strike from "../../Strike.ts"
import { query } from "./Connection.ts"
import * as Events from "./Events.ts"
import * as Executions from "./Executions.ts"
import * as Gate from "./Gate.ts"
import * as Row from "./Row.ts"
import { encodeStrikes, readySize, type Step, strikesOf, strikesVersion } from "./Step.ts"

/** Schedules a batch, if the caller knows the strikes in force. */
export const schedule = (
  step: Step,
  requests: ReadonlyArray<DocketStore.ScheduleRequest>,
  knownStrikes: string
): DocketStore.ScheduleReply => {
  const { docket } = step
  const version = strikesVersion(step)
  if (version !== knownStrikes)
    return { _tag: "StrikesChanged", strikes: strikesOf(step), dispositions: [], origins: [] }
  // What became due before this batch did goes first.
  Executions.moveDue(step)
  const dueBefore = requests.some(isForLater) ? (Executions.nextDue(step) ?? Infinity) : -Infinity
  const placed = requests.map((request) => scheduleOne(step, request, version))
  if (docket.later > 0 && dueBefore > -Infinity && (Executions.nextDue(step) ?? Infinity) < dueBefore) docket.token = 1
  return {
    _tag: "Scheduled",
    dispositions: placed.map(([disposition]) => disposition),
    origins: placed.map(([, origin]) => origin)
  }
}

const isForLater = ({ due }: DocketStore.ScheduleRequest) => due._tag === "At" || due.millis > 0

const scheduleOne = (
  step: Step,
  request: DocketStore.ScheduleRequest,
  version: string
): readonly [disposition: DocketStore.Disposition, origin: number] => {
  const judged = request.judged ? version : ""
  const found = Row.find(step, request.key)
  const isEnded = found !== undefined && DocketStore.isSettled(found.state) && found.at <= step.now
  if (isEnded) forget(step, found)
  if (found === undefined || isEnded) {
    // Of an earlier one of the key, whose record is gone, a run may go on.
    const generation = Gate.lastOvertaken(step, request.key) + 1
    Executions.add(step, request, generation, judged)
    return ["scheduled", generation]
  }
  const isLive = !DocketStore.isSettled(found.state) && found.cancelled === 0
  if (isLive && !request.replace) return ["already-scheduled", found.origin]
  // What waits goes on, under another payload.
  const origin = isLive && found.state !== "running" ? found.origin : Executions.nextGeneration(found)
  if (found.state === "running") Gate.overtake(step, found)
  Gate.leave(step, found)
  if (DocketStore.isSettled(found.state)) remember(step, found)
  found.task = request.task
  found.needs = null
  Row.setPayload(step, found, request.payload)
  found.trace = request.trace
  found.terms = Executions.encodeTerms(request.terms)
  found.judged = judged
  found.chain = request.chain ?? null
  scheduleAfresh(step, found, request.due, origin)
  return [isLive ? "replaced" : "scheduled", origin]
}

/** Removes an execution, and all that is known of it. */
const forget = (step: Step, row: Row.Row): void => {
  Executions.tally(step.docket, row.place, -1)
  Row.erase(step, row)
}

/** Puts a strike in force. */
export const strike = (step: Step, strike: Strike.Strike): Strike.StrikeSet => {
  const present = strikesOf(step)
  if (present.strikes.some(({ id }) => id === strike.id)) return present
  return putInForce(step, [...present.strikes, strike])
}

/** Takes strikes out of force; what is held is let go by the exchanges and heartbeats that follow, to be judged again. */
export const restore = (step: Step, strikes: ReadonlyArray<Strike.Strike>): Strike.StrikeSet => {
  const present = strikesOf(step)
  const restored = new Set(strikes.map(({ id }) => id))
  const left = present.strikes.filter(({ id }) => !restored.has(id))
  if (left.length === present.strikes.length) return present
  if (step.docket.held > 0) {
    step.docket.release = step.docket.seq
    step.docket.token = 1
    letHeldGo(step)
  }
  return putInForce(step, left)
}

const putInForce = (step: Step, strikes: ReadonlyArray<Strike.Strike>) => {
  step.docket.strikesChanged++
  step.docket.strikes = strikes.length === 0 ? null : encodeStrikes(strikes)
  return strikesOf(step)
}

/** Lets go what strikes held until one was restored: some of it, if it is very much. */
const letHeldGo = (step: Step) => {
  const { docket } = step
  if (docket.release === 0) return
  let isMore = false
  for (const row of Row.first(step, "held", "", Executions.batch)) {
    isMore = row.seq <= docket.release
    if (!isMore) break
    Executions.letGo(step, row)
  }
  if (!isMore || docket.held === 0) docket.release = 0
}

/** Schedules a key of whose earlier runs nothing is to be kept. */
const scheduleAfresh = (step: Step, row: Row.Row, due: DocketStore.Due, origin: number) => {
  row.error = null
  row.result = null
  row.failure = null
  row.last = null
  row.chainFailed = null
  row.dead = null
  row.attempts = null
  startOver(row, origin)
  Executions.wait(step, row, due)
}

/** Begins the next schedule of a key, at its first attempt. */
const startOver = (row: Row.Row, origin: number) => {
  Executions.advance(row)
  row.origin = origin
  row.attempt = 1
  row.deliveries = 0
  row.intended = null
  row.skipped = null
  Gate.forget(row)
}

/** What a run leaves: these columns, and the payload. */
const left = [
  "task",
  "needs",
  "trace",
  "state",
  "generation",
  "origin",
  "attempt",
  "deliveries",
  "due",
  "intended",
  "worker",
  "started",
  "completed",
  "error",
  "result",
  "failure",
  "dead",
  "last",
  "chain",
  "runs",
  "chainFailed",
  "attempts",
  "admission",
  "lease",
  "terms",
  "judged",
  "at"
] as const

type Ran = Pick<Row.Row, (typeof left)[number]>

/** Notes what the last run of the key left, for one that is scheduled over it. */
const remember = (step: Step, row: Row.Row): void => {
  const ran = Object.fromEntries(left.map((column) => [column, row[column]]))
  row.before = JSON.stringify({ ran, payload: Row.payloadOf(step, row) })
}

/**
 * Ends an execution that never ran. What the last run of its key left is what it was, if it is kept still; otherwise the
 * execution reads as cancelled.
 */
const refuse = (step: Step, row: Row.Row): void => {
  // Written by `remember`.
  const before = row.before === null ? undefined : (JSON.parse(row.before) as { ran: Ran; payload: string })
  if (before === undefined || before.ran.at <= step.now) {
    if (row.dead === null) return settleAs(step, row, "cancelled")
    // One that had failed, and was retried by hand, stays what it was.
    row.error = row.dead
    return settleAs(step, row, "failed")
  }
  Gate.leave(step, row)
  row.state = "cancelled"
  row.completed = step.now
  Events.publishState(step, row)
  Executions.restore(step, Object.assign(row, before.ran, { before: null }), before.payload)
}

/** Cancels executions; tells whether there are running ones, whose workers are to be told. */
export const cancel = (step: Step, keys: ReadonlyArray<string>): void => {
  for (const key of keys) {
    const row = Row.lookup(step, key)
    if (row === undefined || DocketStore.isSettled(row.state) || row.cancelled === 1) continue
    if (row.state === "running") {
      row.cancelled = 1
      Row.save(step, row)
    } else {
      settleAs(step, row, "cancelled")
    }
  }
  callIfNothingWaits(step)
}

/** A worker that runs until all is finished may be asleep until work that is now gone. */
const callIfNothingWaits = ({ before, docket }: Step) => {
  const waiting = (d: typeof docket) => d.ready + d.turn + d.aside + d.asked + d.later + d.line + d.held
  if (waiting(docket) === 0 && waiting(before) > 0) docket.token = 1
}

/** Settles an execution, and gives back what it held. */
const settleAs = (step: Step, row: Row.Row, state: "completed" | "failed" | "cancelled"): void => {
  Gate.leave(step, row)
  Executions.settle(step, row, state)
}

/** Cancels some of what waits. Returns how many there were; fewer than a batch when nothing is left. */
export const clear = (step: Step): number => {
  let cleared = 0
  for (const place of ["line", "held", "asked", "turn", "ready", "aside", "later"] as const) {
    if (step.docket[place] === 0) continue
    for (const row of Row.firstOf(step, place, Executions.batch - cleared)) {
      settleAs(step, row, "cancelled")
      cleared++
    }
    if (cleared >= Executions.batch) break
  }
  callIfNothingWaits(step)
  return cleared
}

const complete = query<
  [
    at: number,
    seq: number,
    completed: number,
    settledLease: string,
    result: string | null,
    docket: number,
    key: string,
    generation: number,
    lease: string
  ]
>(
  `UPDATE docket_executions SET place = 'settled', at = ?, seq = ?, state = 'completed', completed = ?, settledLease = ?,
    result = ?, progress = NULL, error = NULL, failure = NULL, chainFailed = NULL
  WHERE docket = ? AND key = ? AND generation = ? AND lease = ? AND place = 'running' AND cancelled = 0
    AND admission IS NULL`
)

/** Writes the end of a run. */
export const settle = (
  step: Step,
  worker: string,
  settlement: DocketStore.Settlement
): DocketStore.SettlementStatus => {
  const { docket, options } = step
  const { generation, key, lease, outcome } = settlement
  // As most runs end; what follows would do the same.
  if (outcome._tag === "Completed" && outcome.next === undefined && docket.isFollowed === 0) {
    const kept = Executions.keptMillis(false, options)
    const { now, sql } = step
    const seq = docket.seq + 1
    const result = outcome.result ?? null
    if (kept > 0 && sql.run(complete, now + kept, seq, now, lease, result, docket.id, key, generation, lease) === 1) {
      docket.seq = seq
      docket.running--
      return "applied"
    }
  }
  const row = Row.lookup(step, key)
  const wasOvertaken = row?.generation !== generation && Gate.endOvertaken(step, { key, generation, lease })
  if (row === undefined) return wasOvertaken ? "superseded" : "lost"
  if (row.generation !== generation) {
    if (row.settledLease === lease) return "lost"
    const { deliveries, task } = row
    announceEnd(step, { key, task, generation, deliveries, worker, started: null }, outcome)
    return "superseded"
  }
  if (row.lease !== lease || (row.place !== "running" && row.place !== "asked")) return "lost"
  row.settledLease = lease
  if (row.place === "asked") endAsked(step, row, outcome)
  else end(step, row, outcome)
  return "applied"
}

/** Goes by what a worker told of an execution that it was asked about. */
const endAsked = (step: Step, row: Row.Row, outcome: DocketStore.Outcome): void => {
  switch (outcome._tag) {
    case "Determined":
      row.terms = Executions.encodeTerms(outcome.terms)
      row.judged = outcome.strikes
      return Executions.enqueue(step, row)
    case "Held":
      // A strike that was restored meanwhile holds nothing any more.
      if (outcome.strikes !== strikesVersion(step)) return Executions.enqueue(step, row)
      return Executions.hold(step, row)
    case "Unreadable":
      // Where it is now has nothing to do with what it needs.
      row.needs = outcome.needs
      return Executions.enqueue(step, row)
    case "Failed":
      row.error = outcome.error
      return settleAs(step, row, "failed")
    case "Cancelled":
      return refuse(step, row)
    case "Skipped":
      if (row.skipped === null) return Executions.enqueue(step, row)
      if (outcome.next !== undefined) {
        announceEnd(step, row, { _tag: "Cancelled" })
        return goOn(step, row, outcome.next)
      }
      // Written by the exchange that lent it.
      Gate.noteDropped(row, JSON.parse(row.skipped) as Dropped)
      return refuse(step, row)
    default:
      return Executions.enqueue(step, row)
  }
}

/** Lets the key of a run that is over go on with the next one. */
const goOn = (step: Step, row: Row.Row, next: DocketStore.Next): void => {
  Gate.end(step, row, "stay")
  if (next.chain !== undefined) row.chain = next.chain
  if (next.payload !== undefined) {
    Row.setPayload(step, row, next.payload)
    row.terms = null
    row.judged = ""
  }
  startOver(row, row.origin)
  Executions.wait(step, row, next.due)
}

/** Ends a run by whoever holds its lease. */
const end = (step: Step, row: Row.Row, outcome: DocketStore.Outcome): void => {
  if (outcome._tag === "Failed" || outcome._tag === "Retry") noteAttempt(step, row, outcome.error)
  const isCancelled = row.cancelled === 1
  switch (outcome._tag) {
    case "Completed":
    case "Failed": {
      row.result = outcome._tag === "Completed" ? (outcome.result ?? null) : null
      row.error = outcome._tag === "Failed" ? outcome.error : null
      row.failure = outcome._tag === "Failed" ? (outcome.failure ?? null) : null
      if (outcome.next === undefined || isCancelled) {
        return settleAs(step, row, outcome._tag === "Completed" ? "completed" : "failed")
      }
      announceEnd(step, row, outcome)
      if (step.options.executionTtlMillis <= 0) {
        row.result = null
        row.error = null
        row.failure = null
      }
      const { error, generation } = row
      const state = outcome._tag === "Completed" ? "completed" : "failed"
      noteRun(step, row, outcome)
      row.last = JSON.stringify({ generation, state, error: error ?? undefined } satisfies DocketStore.LastRun)
      return goOn(step, row, outcome.next)
    }
    case "Cancelled":
      return settleAs(step, row, "cancelled")
    case "Retry":
      row.error = outcome.error
  }
  // The run is to be followed by another of the same schedule.
  if (isCancelled) return settleAs(step, row, "cancelled")
  Gate.end(step, row, outcome._tag === "Retry" ? "stay" : outcome._tag === "Released" ? "kept" : "undone")
  Executions.advance(row)
  if (outcome._tag !== "Retry") row.deliveries--
  switch (outcome._tag) {
    case "Retry":
      row.attempt++
      row.deliveries = 0
      return Executions.putOff(step, row, outcome.due)
    case "Postponed":
      return Executions.putOff(step, row, outcome.due)
    case "Held":
      if (outcome.strikes !== strikesVersion(step)) return Executions.reclaim(step, row)
      row.progress = null
      return Executions.hold(step, row)
    case "Unreadable":
      row.needs = outcome.needs
      return Executions.reclaim(step, row)
    case "Released":
    case "Determined":
    case "Skipped":
      return Executions.reclaim(step, row)
  }
}

/** The failed attempts of an execution, oldest first. */
export const attemptsOf = ({ attempts }: Row.Row): ReadonlyArray<DocketStore.AttemptRecord> =>
  // Written by `noteAttempt`.
  attempts === null ? [] : (JSON.parse(attempts) as ReadonlyArray<DocketStore.AttemptRecord>)

/** The last runs of a key that recurs, oldest first. */
export const runsOf = ({ runs }: Row.Row): ReadonlyArray<DocketStore.RunRecord> =>
  // Written by `noteRun`; JSON leaves out what is undefined.
  runs === null
    ? []
    : (JSON.parse(runs) as ReadonlyArray<DocketStore.RunRecord>).map((run) => ({ ...run, error: run.error }))

const noteRun = ({ now }: Step, row: Row.Row, outcome: DocketStore.Outcome) => {
  const { generation, started, worker } = row
  const hasFailed = outcome._tag === "Failed"
  const run: DocketStore.RunRecord = {
    generation,
    worker: worker ?? "",
    started: started ?? now,
    ended: now,
    state: hasFailed ? "failed" : "completed",
    error: hasFailed ? outcome.error : undefined
  }
  row.runs = JSON.stringify([...runsOf(row), run].slice(-DocketStore.maximumRuns))
  row.chainFailed = hasFailed ? now : null
}

const noteAttempt = ({ now }: Step, row: Row.Row, error: string) => {
  const { attempt, started, worker } = row
  const noted = { attempt, worker: worker ?? "", started: started ?? now, ended: now, error }
  row.attempts = JSON.stringify([...attemptsOf(row), noted].slice(-DocketStore.maximumAttempts))
}

/** Publishes that a run ended whose key goes on. One that was given back or postponed has not ended. */
const announceEnd = (step: Step, run: Parameters<typeof Events.publishEnd>[1], outcome: DocketStore.Outcome): void => {
  const completed = step.now
  switch (outcome._tag) {
    case "Completed":
      return Events.publishEnd(step, run, { state: "completed", completed, error: undefined })
    case "Failed":
    case "Retry":
      return Events.publishEnd(step, run, { state: "failed", completed, error: outcome.error })
    case "Cancelled":
      return Events.publishEnd(step, run, { state: "cancelled", completed, error: undefined })
  }
}

/** Whether a worker knows a task. */
export const knows = (worker: DocketStore.WorkerOptions, task: string): boolean =>
  worker.tasks === "any" || worker.tasks.has(task)

/** Whether it may be what took down its workers. */
const isSuspect = ({ deliveries }: Row.Row, { maxDeliveries }: DocketStore.WorkerOptions) =>
  2 * deliveries >= maxDeliveries

/** How long such an execution waits, before it is seen whether another one still runs. */
const suspectPauseMillis = 1000

const findSuspect = query<
  [docket: number, worker: string],
  { readonly key: string; readonly lease: string; readonly expires: number }
>(`SELECT key, lease, expires FROM docket_suspects WHERE docket = ? AND worker = ?`)
const keepSuspect = query<[docket: number, worker: string, key: string, lease: string, expires: number]>(
  `INSERT OR REPLACE INTO docket_suspects (docket, worker, key, lease, expires) VALUES (?, ?, ?, ?, ?)`
)

/** Whether the worker has another suspect, in its first lease. Then this one is looked at again a second later. */
const isBesideAnother = (step: Step, row: Row.Row, { name }: DocketStore.WorkerOptions): boolean => {
  const { docket, now, sql } = step
  const other = sql.get(findSuspect, docket.id, name)
  if (other === undefined || other.expires <= now || other.key === row.key) return false
  const run = Row.lookup(step, other.key)
  if (run?.lease !== other.lease || !(run.place === "running" || run.place === "asked")) return false
  Executions.pause(step, row, Math.min(other.expires, now + suspectPauseMillis))
  return true
}

/** Settles, moves what is due, and claims. */
export const exchange = (
  step: Step,
  worker: DocketStore.WorkerOptions,
  request: DocketStore.ExchangeRequest
): DocketStore.ExchangeReply => {
  const { docket } = step
  const settled = request.finished.map((settlement) => settle(step, worker.name, settlement))
  Executions.moveDue(step)
  letHeldGo(step)
  if (docket.aside > 0) {
    for (const task of Row.lines(step, "aside")) if (knows(worker, task)) Executions.putBack(step, task, request.take)
  }

  const version = strikesVersion(step)
  const { deliveries, undetermined } = request.resent
    ? grantedBefore(step, worker, request.lease)
    : { deliveries: [], undetermined: [] }
  const unknown = new Set<string>()
  const exhausted: Array<DocketStore.ExchangeReply["exhausted"][number]> = []
  const dropped: Array<DocketStore.ExchangeReply["dropped"][number]> = []
  const hold = { worker: worker.name, lease: request.lease, leaseMillis: Math.ceil(worker.leaseMillis) }

  const markSuspect = (key: string) =>
    step.sql.run(keepSuspect, docket.id, worker.name, key, hold.lease, step.now + hold.leaseMillis)

  const ask = (row: Row.Row) => {
    if (isSuspect(row, worker)) markSuspect(row.key)
    Executions.ask(step, row, hold)
    undetermined.push(toUndetermined(step, row))
  }

  /** Lets an execution pass its controls; tells whether it may start. */
  const admit = (row: Row.Row, controls: ReadonlyArray<Control>): boolean => {
    const { key, task } = row
    const line = JSON.stringify([Executions.needsOf(row), row.terms])
    const verdict = Gate.pass(step, row, controls, { line, id: `${request.lease}:${key}` })
    if (verdict._tag === "Admitted") return true
    if (verdict._tag === "Waits") {
      Executions.heldBack(step, row, verdict.due)
      return false
    }
    const first = verdict.postponed && Row.lookup(step, verdict.postponed.key)
    if (verdict.postponed !== undefined && first !== undefined && Gate.isDebounced(first)) {
      Executions.putOffUntil(first, verdict.postponed.due)
      Row.save(step, first)
    }
    if (worker.recurring.has(task)) {
      row.skipped = JSON.stringify(verdict.dropped)
      ask(row)
    } else {
      Gate.noteDropped(row, verdict.dropped)
      refuse(step, row)
      dropped.push({ key, task })
    }
    return false
  }

  const consider = (row: Row.Row, wasTold: boolean) => {
    const { key, task } = row
    const needs = Executions.needsOf(row)
    const hadTurn = row.kept !== null
    row.kept ??= row.seq
    row.skipped = null
    if (!knows(worker, needs)) {
      unknown.add(needs)
      return Executions.setAside(step, row)
    }
    if (row.deliveries >= worker.maxDeliveries) {
      exhausted.push({ key, task, deliveries: row.deliveries })
      row.error = `DeliveriesExhausted: delivered ${row.deliveries} times without being settled; its workers died, or lost their leases`
      return settleAs(step, row, "failed")
    }
    if (isSuspect(row, worker) && isBesideAnother(step, row, worker)) return
    const terms = Gate.termsOf(row)
    // What a fallback runs has no terms, and the controls of the task have no say.
    const contract = wasTold && (terms?.contract ?? "") === "" ? undefined : worker.contracts.get(task)
    const isKnown = contract === undefined || terms?.contract === contract.fingerprint
    if (!isKnown || row.judged !== version) return ask(row)
    if (contract !== undefined && !admit(row, contract.controls)) return
    if (contract === undefined && !hadTurn) row.kept = null
    if (isSuspect(row, worker)) markSuspect(key)
    if (contract !== undefined || hadTurn || row.before !== null) {
      row.before = null
      if (row.place === "line") Gate.leaveLine(step, row)
      Row.save(step, row)
    }
    Executions.start(step, row, hold)
    deliveries.push(toDelivery(step, row))
  }
  const room = () => request.take - deliveries.length - undetermined.length

  // What was told in this call has its turn at once.
  for (const { key, outcome } of request.finished) {
    if (outcome._tag !== "Determined" || room() <= 0) continue
    const row = Row.lookup(step, key)
    if (row?.place === "turn") consider(row, true)
  }
  const isAnyTurn = () => docket.turn + docket.gates > 0
  for (let budget = request.take + Executions.batch; room() > 0 && budget > 0;) {
    const next = isAnyTurn() ? Executions.nextReady(step) : undefined
    const rows =
      next !== undefined ? [next] : docket.ready > 0 ? Row.first(step, "ready", "", Math.min(room(), budget)) : []
    if (rows.length === 0) break
    for (const row of rows) {
      budget--
      consider(row, false)
      // It may come before the others of these.
      if (isAnyTurn()) break
    }
  }
  if (readySize(docket) > 0) docket.token = 1
  return {
    settled,
    deliveries,
    undetermined,
    strikes: version === request.strikes ? undefined : strikesOf(step),
    dropped,
    nextDueMillis: nextDueMillis(step),
    unknown: Array.from(unknown, (task) => ({ task, waiting: Row.count(step, "aside", task) })),
    exhausted
  }
}

/** What an exchange granted whose reply was lost, in the same order, as far as it is still held. */
const grantedBefore = (step: Step, worker: DocketStore.WorkerOptions, lease: string) => {
  const granted = (place: "running" | "asked") => {
    const rows = Row.granted(step, place, lease)
    for (const row of rows) {
      // It has not begun.
      if (row.cancelled === 1) settleAs(step, row, "cancelled")
      else Executions.extend(step, row, step.now + Math.ceil(worker.leaseMillis))
    }
    return rows.filter(({ state }) => state !== "cancelled")
  }
  Gate.endUnbegun(step, lease)
  return {
    deliveries: granted("running").map((row) => toDelivery(step, row)),
    undetermined: granted("asked").map((row) => toUndetermined(step, row))
  }
}

const toUndetermined = (step: Step, row: Row.Row): DocketStore.Undetermined => ({
  ...toDelivery(step, row),
  skipped: row.skipped === null ? undefined : "dropped"
})

const toDelivery = (step: Step, row: Row.Row): DocketStore.Delivery => ({
  key: row.key,
  task: row.task,
  payload: Row.payloadOf(step, row),
  generation: row.generation,
  lease: row.lease ?? "",
  attempt: row.attempt,
  deliveries: row.deliveries,
  due: row.due,
  intended: row.intended ?? row.due,
  started: row.started ?? step.now,
  trace: row.trace
})

/** Milliseconds until something scheduled for later is due. */
const nextDueMillis = (step: Step): number | undefined => {
  const due = Executions.nextDue(step)
  return due === undefined ? undefined : Math.max(0, due - step.now)
}

/** Renews a lease. */
export const renew = (
  step: Step,
  worker: DocketStore.WorkerOptions,
  lease: DocketStore.Lease
): DocketStore.LeaseStatus => {
  const expires = step.now + Math.ceil(worker.leaseMillis)
  const row = Row.lookup(step, lease.key)
  // The key was scheduled anew, unless another worker took the run over, and was overtaken.
  if (row?.generation !== lease.generation) return Gate.renewOvertaken(step, lease, expires)
  if (row.place !== "running" || row.lease !== lease.lease) return "lost"
  Executions.extend(step, row, expires)
  return row.cancelled === 1 ? "cancelled" : "held"
}

/** Takes back what was not renewed in time, as much as a step moves; returns how many are to be delivered again. */
const reclaimExpired = (step: Step): number => {
  Gate.reclaimOvertaken(step)
  for (const row of step.docket.asked > 0 ? Row.due(step, "asked", Executions.batch) : []) {
    // It may have taken its worker down.
    row.deliveries++
    Executions.enqueue(step, row)
  }
  let reclaimed = 0
  for (const row of step.docket.running > 0 ? Row.due(step, "running", Executions.batch) : []) {
    if (reclaim(step, row)) reclaimed++
  }
  return reclaimed
}

/** Takes a run from its worker; tells whether it is to be delivered again. */
const reclaim = (step: Step, row: Row.Row): boolean => {
  if (row.cancelled === 1) {
    settleAs(step, row, "cancelled")
    return false
  }
  // It has its place, and so is the next at its limits; where starts are counted, its next one is another.
  Gate.reclaim(step, row)
  Executions.reclaim(step, row)
  return true
}

/** How long the last sign of life of a worker that fell silent is known. */
const seenMillis = 3_600_000

const silent = query<[docket: number, now: number], DocketStore.SilentWorker & { readonly seen: number | null }>(
  `SELECT e.worker AS name, count(*) AS held, max(e.at) AS until, max(w.seen) AS seen FROM docket_executions AS e
  LEFT JOIN docket_workers AS w ON w.docket = e.docket AND w.name = e.worker
  WHERE e.docket = ? AND e.place = 'running' AND e.line = '' GROUP BY e.worker
  HAVING coalesce(max(w.until), 0) <= ? ORDER BY e.worker`
)

/** Workers that hold executions and are not listed any more, by name. */
export const silentWorkers = ({ docket, now, sql }: Step): ReadonlyArray<DocketStore.SilentWorker> =>
  sql
    .all(silent, docket.id, now)
    .map(({ held, name, seen, until }) => ({ name, lastSeen: seen ?? undefined, held, until }))

const isListed = query<[docket: number, name: string, now: number], { readonly name: string }>(
  `SELECT name FROM docket_workers WHERE docket = ? AND name = ? AND until > ?`
)

/** Takes from a worker what it holds, unless it is listed. */
export const forgetWorker = (step: Step, name: string): number | undefined => {
  const { docket, now, sql } = step
  if (sql.get(isListed, docket.id, name, now) !== undefined) return undefined
  const taken = Row.heldBy(step, name).filter((row) => reclaim(step, row)).length
  leave(step, name)
  if (taken > 0) docket.token = 1
  return taken
}

const announce = query<[docket: number, name: string, seen: number, until: number, tasks: string]>(
  `INSERT OR REPLACE INTO docket_workers (docket, name, seen, until, tasks) VALUES (?, ?, ?, ?, ?)`
)
const leaveList = query<[docket: number, name: string]>(`DELETE FROM docket_workers WHERE docket = ? AND name = ?`)
const forgetWorkers = query<[docket: number, now: number]>(`DELETE FROM docket_workers WHERE docket = ? AND until <= ?`)
const listWorkers = query<
  [docket: number, now: number],
  { readonly name: string; readonly seen: number; readonly tasks: string }
>(`SELECT name, seen, tasks FROM docket_workers WHERE docket = ? AND until > ? ORDER BY name`)

/** Announces a worker, and takes back what was not renewed in time. */
export const heartbeat = (
  step: Step,
  worker: DocketStore.WorkerOptions,
  realNow: number
): DocketStore.HeartbeatReply => {
  const { docket, now, sql } = step
  sql.run(forgetWorkers, docket.id, now - seenMillis)
  const presence = Math.max(1000, Math.ceil(worker.presenceMillis))
  const tasks = worker.tasks === "any" ? ["*"] : Array.from(worker.tasks).toSorted()
  sql.run(announce, docket.id, worker.name, now, now + presence, JSON.stringify(tasks))
  const reclaimed = reclaimExpired(step)
  Gate.sweep(step, Executions.batch)
  Executions.sweep(step, Executions.batch)
  Events.tidy(step, realNow)
  const isReady = readySize(docket) > 0
  // Makes up for a wake-up that was lost with whoever took it.
  if (isReady) docket.token = 1
  const untilDue = nextDueMillis(step)
  const expiries = [
    docket.running > 0 ? Row.earliest(step, "running") : undefined,
    docket.asked > 0 ? Row.earliest(step, "asked") : undefined,
    Gate.overtakenUntil(step)
  ].filter((at) => at !== undefined)
  return {
    reclaimed,
    work: isReady || untilDue === 0 || docket.release > 0 || isAnyAsideFor(step, worker),
    nextDueMillis: untilDue,
    nextExpiryMillis: expiries.length === 0 ? undefined : Math.max(0, Math.min(...expiries) - now),
    depth: Executions.depth(step),
    failedChains: Row.failedChainCount(step)
  }
}

/** Whether something was set aside that a worker knows. */
export const isAnyAsideFor = (step: Step, worker: DocketStore.WorkerOptions): boolean =>
  step.docket.aside > 0 && Row.lines(step, "aside").some((task) => knows(worker, task))

/** Takes a worker off the list. */
export const leave = ({ docket, sql }: Step, worker: string): void => void sql.run(leaveList, docket.id, worker)

/** The workers that are listed, by name. */
export const workers = ({ docket, now, sql }: Step): ReadonlyArray<DocketStore.WorkerRecord> =>
  // Written by `heartbeat`.
  sql
    .all(listWorkers, docket.id, now)
    .map(({ name, seen, tasks }) => ({ name, lastSeen: seen, tasks: JSON.parse(tasks) as ReadonlyArray<string> }))

const sayFacts = query<[docket: number, task: string, facts: string]>(
  `INSERT OR REPLACE INTO docket_facts (docket, task, facts) VALUES (?, ?, ?)`
)
const allFacts = query<[docket: number], { readonly task: string; readonly facts: string }>(
  `SELECT task, facts FROM docket_facts WHERE docket = ?`
)

/** Keeps what a worker says of its tasks when it starts. */
export const say = ({ docket, sql }: Step, worker: DocketStore.WorkerOptions): void => {
  for (const [task, facts] of worker.facts) sql.run(sayFacts, docket.id, task, Facts.encode(facts))
}

/** What workers said of tasks. */
export const facts = (
  { docket, sql }: Step,
  tasks: ReadonlyArray<string> | "all"
): ReadonlyMap<string, DocketStore.TaskFacts> =>
  new Map(
    sql.all(allFacts, docket.id).flatMap(({ facts, task }) => {
      const said = tasks === "all" || tasks.includes(task) ? Facts.decode(facts) : Option.none()
      return Option.isSome(said) ? [[task, said.value] as const] : []
    })
  )

const cancelledRuns = query<
  [docket: number, worker: string],
  { readonly key: string; readonly generation: number; readonly lease: string }
>(`SELECT key, generation, lease FROM docket_executions WHERE docket = ? AND worker = ? AND cancelled = 1`)

/** The runs of a worker that are to be interrupted. */
export const cancelledRunsOf = ({ docket, sql }: Step, worker: string) => sql.all(cancelledRuns, docket.id, worker)

/** Keeps what a run reports about itself, if it still holds its lease. */
export const report = (step: Step, update: DocketStore.ProgressUpdate): void => {
  const { current, generation, key, lease, message, total } = update
  const row = Row.lookup(step, key)
  if (row?.place !== "running" || row.generation !== generation || row.lease !== lease) return
  Executions.report(step, row, { current, total, message, updated: step.now })
}

/** Schedules failed executions again. */
export const retryFailed = (step: Step, keys: ReadonlyArray<string>, knownStrikes: string): DocketStore.RetryReply => {
  if (strikesVersion(step) !== knownStrikes) return { _tag: "StrikesChanged", strikes: strikesOf(step), answers: [] }
  Executions.moveDue(step)
  const answers = keys.map((key) => {
    const row = Row.lookup(step, key)
    if (row?.state !== "failed") return false
    const { error } = row
    remember(step, row)
    scheduleAfresh(step, row, DocketStore.dueNow, Executions.nextGeneration(row))
    row.dead = error
    Row.save(step, row)
    return true
  })
  return { _tag: "Retried", answers }
}

/** Takes back retries of what has not started since. */
export const undoRetry = (step: Step, retries: ReadonlyArray<DocketStore.Retried>): ReadonlyArray<boolean> =>
  retries.map(({ error, failure, generation, key }) => {
    const row = Row.lookup(step, key)
    const waits = row?.state === "queued" || row?.state === "scheduled"
    if (row === undefined || !waits || row.generation !== generation || row.deliveries > 0) return false
    row.error = error
    row.failure = failure ?? null
    settleAs(step, row, "failed")
    return true
  })

/** Forgets failed executions. */
export const discardFailed = (step: Step, keys: ReadonlyArray<string>): ReadonlyArray<boolean> =>
  keys.map((key) => {
    const row = Row.lookup(step, key)
    if (row?.state !== "failed") return false
    forget(step, row)
    return true
  })
