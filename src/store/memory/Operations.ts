/** What the port's operations do to the executions of a docket, one function for each. */
import * as DocketStore from "../../DocketStore.ts"
import * as Events from "./Events.ts"
import * as Strike from "../../Strike.ts"
import { type Control, noTerms } from "../../Admission.ts"
import * as Admission from "../admission/Admission.ts"
import { advance, type Entry, nextGeneration, remember } from "./Entry.ts"
import * as Executions from "./Executions.ts"
import * as Heap from "./Heap.ts"

/** Schedules a batch, if the caller knows the strikes in force. */
export const schedule = (
  executions: Executions.Executions,
  requests: ReadonlyArray<DocketStore.ScheduleRequest>,
  knownStrikes: string,
  step: Executions.Step
): DocketStore.ScheduleReply => {
  const { strikes } = executions
  if (strikes.version !== knownStrikes) return { _tag: "StrikesChanged", strikes, dispositions: [], origins: [] }
  // What became due before this batch did goes first.
  Executions.moveDue(executions, step)
  const origins: Array<number> = []
  const dispositions = requests.map((request) => {
    const present = Executions.lookup(executions, request.key, step)
    const isLive = present !== undefined && !DocketStore.isSettled(present.state) && !present.cancelled
    if (isLive && !request.replace) {
      origins.push(present.origin)
      return "already-scheduled"
    }
    const entry = present ?? add(executions, request.key)
    // What waits goes on, under another payload.
    const origin = isLive && present.state !== "running" ? present.origin : nextGeneration(entry)
    if (entry.state === "running") Executions.overtake(executions, entry)
    Executions.release(executions, entry, step)
    Executions.detach(executions, entry, step)
    if (present !== undefined && DocketStore.isSettled(present.state)) remember(entry)
    entry.task = request.task
    entry.needs = undefined
    entry.payload = request.payload
    entry.trace = request.trace
    entry.terms = request.terms
    entry.judged = request.judged ? strikes.version : ""
    entry.chain = request.chain
    scheduleAfresh(executions, entry, request.due, origin, step)
    origins.push(origin)
    return isLive ? "replaced" : "scheduled"
  })
  return { _tag: "Scheduled", dispositions, origins }
}

/** Adds an execution. Of an earlier one of the key, whose record is gone, a run may go on. */
const add = (executions: Executions.Executions, key: string): Entry => {
  const entry = Executions.add(executions, key)
  entry.generation = Executions.lastOvertaken(executions, key)
  return entry
}

/** Puts a strike in force. */
export const strike = (executions: Executions.Executions, strike: Strike.Strike): Strike.StrikeSet => {
  const others = executions.strikes.strikes.filter(({ id }) => id !== strike.id)
  if (others.length < executions.strikes.strikes.length) return executions.strikes
  return putInForce(executions, [...others, strike])
}

/** Takes strikes out of force, and lets go what is held, to be judged again. */
export const restore = (
  executions: Executions.Executions,
  strikes: ReadonlyArray<Strike.Strike>,
  step: Executions.Step
): Strike.StrikeSet => {
  const restored = new Set(strikes.map(({ id }) => id))
  const left = executions.strikes.strikes.filter(({ id }) => !restored.has(id))
  if (left.length === executions.strikes.strikes.length) return executions.strikes
  for (let spot = executions.held.first; spot !== undefined; spot = executions.held.first) {
    Executions.letGo(executions, spot.value, step)
  }
  return putInForce(executions, left)
}

const putInForce = (executions: Executions.Executions, strikes: ReadonlyArray<Strike.Strike>) => {
  const version = String(++executions.strikesChanged)
  executions.strikes = strikes.length === 0 ? Strike.empty : { version, strikes }
  return executions.strikes
}

/** Schedules a key of whose earlier runs nothing is to be kept. */
const scheduleAfresh = (
  executions: Executions.Executions,
  entry: Entry,
  due: DocketStore.Due,
  origin: number,
  step: Executions.Step
) => {
  entry.error = undefined
  entry.result = undefined
  entry.failure = undefined
  entry.last = undefined
  entry.dead = undefined
  entry.attempts = []
  startOver(entry, origin)
  Executions.wait(executions, entry, due, step)
}

/** Begins the next schedule of a key, at its first attempt. */
const startOver = (entry: Entry, origin: number) => {
  advance(entry)
  entry.origin = origin
  entry.attempt = 1
  entry.deliveries = 0
  entry.intended = undefined
  entry.skipped = undefined
  Admission.forget(entry)
}

/** Cancels executions; returns the running ones, whose workers are to be told. */
export const cancel = (
  executions: Executions.Executions,
  keys: ReadonlyArray<string>,
  step: Executions.Step
): ReadonlyArray<Entry> => {
  const running: Array<Entry> = []
  for (const key of keys) {
    const entry = Executions.lookup(executions, key, step)
    if (entry === undefined || DocketStore.isSettled(entry.state) || entry.cancelled) continue
    if (entry.state === "running") {
      entry.cancelled = true
      running.push(entry)
    } else {
      settleAs(executions, entry, "cancelled", step)
    }
  }
  return running
}

/** Settles an execution, and gives back what it held. */
const settleAs = (
  executions: Executions.Executions,
  entry: Entry,
  state: "completed" | "failed" | "cancelled",
  step: Executions.Step
): void => {
  Executions.release(executions, entry, step)
  Executions.settle(executions, entry, state, step)
}

/** Cancels everything that waits; returns how many there were. */
export const clear = (executions: Executions.Executions, step: Executions.Step): number => {
  const waiting = Array.from(executions.entries.values()).filter(
    ({ state }) => state === "scheduled" || state === "queued"
  )
  for (const entry of waiting) settleAs(executions, entry, "cancelled", step)
  return waiting.length
}

/** Writes the end of a run. */
export const settle = (
  executions: Executions.Executions,
  worker: string,
  settlement: DocketStore.Settlement,
  step: Executions.Step
): DocketStore.SettlementStatus => {
  const { generation, key, lease, outcome } = settlement
  const entry = Executions.lookup(executions, key, step)
  const wasOvertaken =
    entry?.generation !== generation && Executions.endOvertaken(executions, { key, generation, lease }, step)
  if (entry === undefined) return wasOvertaken ? "superseded" : "lost"
  if (entry.generation !== generation) {
    if (entry.settledLease === lease) return "lost"
    const { deliveries, task } = entry
    announceEnd(executions, { key, task, generation, deliveries, worker, started: undefined }, outcome, step)
    return "superseded"
  }
  if (entry.lease !== lease || (entry.state !== "running" && entry.apart !== "asked")) return "lost"
  entry.settledLease = lease
  if (entry.apart === "asked") endAsked(executions, entry, outcome, step)
  else end(executions, entry, outcome, step)
  return "applied"
}

/** Goes by what a worker told of an execution that it was asked about. */
const endAsked = (
  executions: Executions.Executions,
  entry: Entry,
  outcome: DocketStore.Outcome,
  step: Executions.Step
): void => {
  switch (outcome._tag) {
    case "Determined":
      entry.terms = outcome.terms
      entry.judged = outcome.strikes
      Executions.takeBack(executions, entry, step)
      executions.determined.push(entry)
      return
    case "Held":
      // A strike that was restored meanwhile holds nothing any more.
      if (outcome.strikes !== executions.strikes.version) return Executions.takeBack(executions, entry, step)
      return Executions.hold(executions, entry, step)
    case "Unreadable":
      // Where it is now has nothing to do with what it needs.
      entry.needs = outcome.needs
      return Executions.takeBack(executions, entry, step)
    case "Failed":
      entry.error = outcome.error
      return settleAs(executions, entry, "failed", step)
    case "Cancelled":
      return refuse(executions, entry, step)
    case "Skipped":
      if (entry.skipped === undefined) return Executions.takeBack(executions, entry, step)
      if (outcome.next !== undefined) {
        announceEnd(executions, entry, { _tag: "Cancelled" }, step)
        return goOn(executions, entry, outcome.next, step)
      }
      entry.standing.dropped = entry.skipped
      return refuse(executions, entry, step)
    default:
      return Executions.takeBack(executions, entry, step)
  }
}

/** Ends an execution that is not to start. */
const refuse = (executions: Executions.Executions, entry: Entry, step: Executions.Step): void => {
  Executions.release(executions, entry, step)
  if (Executions.undo(executions, entry, step)) return
  if (entry.dead === undefined) return Executions.settle(executions, entry, "cancelled", step)
  // One that had failed, and was retried by hand, stays what it was.
  entry.error = entry.dead
  Executions.settle(executions, entry, "failed", step)
}

/** Lets the key of a run that is over go on with the next one. */
const goOn = (executions: Executions.Executions, entry: Entry, next: DocketStore.Next, step: Executions.Step): void => {
  Admission.end(Executions.keepAt(executions, step), Executions.candidateOf(entry), "stay")
  if (next.chain !== undefined) entry.chain = next.chain
  if (next.payload !== undefined) {
    entry.payload = next.payload
    entry.terms = undefined
    entry.judged = ""
  }
  startOver(entry, entry.origin)
  Executions.wait(executions, entry, next.due, step)
}

/** Ends a run by whoever holds its lease. */
const end = (
  executions: Executions.Executions,
  entry: Entry,
  outcome: DocketStore.Outcome,
  step: Executions.Step
): void => {
  if (outcome._tag === "Failed" || outcome._tag === "Retry") noteAttempt(entry, outcome.error, step)
  switch (outcome._tag) {
    case "Completed":
    case "Failed": {
      entry.result = outcome._tag === "Completed" ? outcome.result : undefined
      entry.error = outcome._tag === "Failed" ? outcome.error : undefined
      entry.failure = outcome._tag === "Failed" ? outcome.failure : undefined
      if (outcome.next === undefined || entry.cancelled) {
        return settleAs(executions, entry, outcome._tag === "Completed" ? "completed" : "failed", step)
      }
      announceEnd(executions, entry, outcome, step)
      if (step.options.executionTtlMillis <= 0) {
        entry.result = undefined
        entry.error = undefined
        entry.failure = undefined
      }
      const { error, generation } = entry
      noteRun(entry, outcome, step)
      entry.last = { generation, state: outcome._tag === "Completed" ? "completed" : "failed", error }
      return goOn(executions, entry, outcome.next, step)
    }
    case "Cancelled":
      return settleAs(executions, entry, "cancelled", step)
    case "Retry":
      entry.error = outcome.error
  }
  // The run is to be followed by another of the same schedule.
  if (entry.cancelled) return settleAs(executions, entry, "cancelled", step)
  const starts = outcome._tag === "Retry" ? "stay" : outcome._tag === "Released" ? "kept" : "undone"
  Admission.end(Executions.keepAt(executions, step), Executions.candidateOf(entry), starts)
  advance(entry)
  if (outcome._tag !== "Retry") entry.deliveries--
  switch (outcome._tag) {
    case "Retry":
      entry.attempt++
      entry.deliveries = 0
      return Executions.putOff(executions, entry, outcome.due, step)
    case "Postponed":
      return Executions.putOff(executions, entry, outcome.due, step)
    case "Held":
      if (outcome.strikes !== executions.strikes.version) return Executions.reclaim(executions, entry, step)
      entry.progress = undefined
      return Executions.hold(executions, entry, step)
    case "Unreadable":
      entry.needs = outcome.needs
      return Executions.reclaim(executions, entry, step)
    case "Released":
    case "Determined":
    case "Skipped":
      return Executions.reclaim(executions, entry, step)
  }
}

const noteRun = (entry: Entry, outcome: DocketStore.Outcome, { now }: Executions.Step) => {
  const { generation, runs, started, worker } = entry
  const hasFailed = outcome._tag === "Failed"
  const run: DocketStore.RunRecord = {
    generation,
    worker: worker ?? "",
    started: started ?? now,
    ended: now,
    state: hasFailed ? "failed" : "completed",
    error: hasFailed ? outcome.error : undefined
  }
  entry.runs = [...runs, run].slice(-DocketStore.maximumRuns)
}

const noteAttempt = ({ attempt, attempts, started, worker }: Entry, error: string, step: Executions.Step) => {
  attempts.push({ attempt, worker: worker ?? "", started: started ?? step.now, ended: step.now, error })
  if (attempts.length > DocketStore.maximumAttempts) attempts.shift()
}

/** Publishes that a run ended whose key goes on. One that was given back or postponed has not ended. */
const announceEnd = (
  { events }: Executions.Executions,
  run: Parameters<typeof Events.publishEnd>[1],
  outcome: DocketStore.Outcome,
  { now: completed }: Executions.Step
): void => {
  switch (outcome._tag) {
    case "Completed":
      return Events.publishEnd(events, run, { state: "completed", completed, error: undefined })
    case "Failed":
    case "Retry":
      return Events.publishEnd(events, run, { state: "failed", completed, error: outcome.error })
    case "Cancelled":
      return Events.publishEnd(events, run, { state: "cancelled", completed, error: undefined })
  }
}

/** Takes note of what a worker says of its tasks, when its session opens. */
export const tell = (
  executions: Executions.Executions,
  worker: DocketStore.WorkerOptions,
  step: Executions.Step
): void => Admission.tell(Executions.keepAt(executions, step), worker, (key) => executions.entries.get(key)?.task)

/** Whether a worker knows a task. */
export const knows = (worker: DocketStore.WorkerOptions, task: string): boolean =>
  worker.tasks === "any" || worker.tasks.has(task)

/** Whether it may be what took down its workers. */
const isSuspect = ({ deliveries }: Entry, { maxDeliveries }: DocketStore.WorkerOptions) =>
  2 * deliveries >= maxDeliveries

/** How long such an execution waits, before it is seen whether another one still runs. */
const suspectPauseMillis = 1000

/** Whether the worker has another suspect, in its first lease. Then this one is looked at again a second later. */
const isBesideAnother = (
  executions: Executions.Executions,
  entry: Entry,
  { name }: DocketStore.WorkerOptions,
  step: Executions.Step
): boolean => {
  const { now } = step
  const other = executions.suspects.get(name)
  if (other === undefined || other.expires <= now || other.entry === entry) return false
  const { apart, lease, state } = other.entry
  if (lease !== other.lease || !(state === "running" || apart === "asked")) return false
  Executions.pause(executions, entry, Math.min(other.expires, now + suspectPauseMillis), step)
  return true
}

/** Settles, takes back expired leases, moves what is due, and claims. */
export const exchange = (
  executions: Executions.Executions,
  worker: DocketStore.WorkerOptions,
  request: DocketStore.ExchangeRequest,
  step: Executions.Step
): DocketStore.ExchangeReply => {
  const settled = request.finished.map((settlement) => settle(executions, worker.name, settlement, step))
  reclaimExpired(executions, step)
  Executions.moveDue(executions, step)
  for (const task of executions.aside.keys()) {
    if (knows(worker, task)) Executions.putBack(executions, task, step)
  }

  const { deliveries, undetermined } = request.resent
    ? grantedBefore(executions, worker, request.lease, step)
    : { deliveries: [], undetermined: [] }
  const unknown = new Map<string, number>()
  const exhausted: Array<DocketStore.ExchangeReply["exhausted"][number]> = []
  const dropped: Array<DocketStore.ExchangeReply["dropped"][number]> = []
  const hold = { worker: worker.name, lease: request.lease, leaseMillis: worker.leaseMillis }

  const markSuspect = (entry: Entry) =>
    executions.suspects.set(worker.name, { entry, lease: request.lease, expires: step.now + worker.leaseMillis })

  const ask = (entry: Entry) => {
    if (isSuspect(entry, worker)) markSuspect(entry)
    Executions.ask(executions, entry, hold, step)
    undetermined.push({ ...toDelivery(entry, step), skipped: entry.skipped && "dropped" })
  }

  /** Lets an execution pass its controls; tells whether it may start. */
  const admit = (entry: Entry, controls: ReadonlyArray<Control>): boolean => {
    const { values } = entry.terms ?? noTerms
    const starting = {
      ...Executions.candidateOf(entry),
      ownLine: JSON.stringify([Executions.needsOf(entry), entry.terms]),
      id: `${request.lease}:${entry.key}`,
      values
    }
    const verdict = Admission.pass(Executions.keepAt(executions, step), starting, controls)
    if (verdict._tag === "Admitted") return true
    if (verdict._tag === "Waits") {
      if (entry.apart !== "line") Executions.leaveTurn(executions, entry)
      Executions.heldBack(executions, entry, verdict.due)
      return false
    }
    const first = verdict.postponed && executions.entries.get(verdict.postponed.key)
    if (verdict.postponed !== undefined && first?.apart === "line" && !first.standing.quiet) {
      Executions.putOffUntil(first, verdict.postponed.due)
    }
    const { key, task } = entry
    if (worker.recurring.has(task)) {
      entry.skipped = verdict.dropped
      ask(entry)
    } else {
      entry.standing.dropped = verdict.dropped
      refuse(executions, entry, step)
      dropped.push({ key, task })
    }
    return false
  }

  const consider = (entry: Entry, wasTold: boolean) => {
    const { key, task } = entry
    const needs = Executions.needsOf(entry)
    const hadTurn = entry.place !== undefined
    entry.place ??= entry.arrived
    entry.skipped = undefined
    if (!knows(worker, needs)) {
      unknown.set(needs, Executions.setAside(executions, entry, step))
    } else if (entry.deliveries >= worker.maxDeliveries) {
      exhausted.push({ key, task, deliveries: entry.deliveries })
      entry.error = `DeliveriesExhausted: delivered ${entry.deliveries} times without being settled; its workers died, or lost their leases`
      settleAs(executions, entry, "failed", step)
    } else if (isSuspect(entry, worker) && isBesideAnother(executions, entry, worker, step)) {
      return
    } else {
      // What a fallback runs has no terms, and the controls of the task have no say.
      const contract = wasTold && (entry.terms?.contract ?? "") === "" ? undefined : worker.contracts.get(task)
      const isKnown = contract === undefined || entry.terms?.contract === contract.fingerprint
      if (!isKnown || entry.judged !== executions.strikes.version) return ask(entry)
      if (contract !== undefined && !admit(entry, contract.controls)) return
      if (contract === undefined && !hadTurn) entry.place = undefined
      if (isSuspect(entry, worker)) markSuspect(entry)
      Executions.start(executions, entry, hold, step)
      deliveries.push(toDelivery(entry, step))
    }
  }
  const isRoom = () => deliveries.length + undetermined.length < request.take

  // What was told in this call has its turn at once.
  for (const entry of executions.determined.splice(0)) {
    if (isRoom() && entry.apart === "turn") consider(entry, true)
  }
  while (isRoom()) {
    const entry = Executions.nextReady(executions, step)
    if (entry === undefined) break
    consider(entry, false)
  }
  return {
    settled,
    deliveries,
    undetermined,
    strikes: executions.strikes.version === request.strikes ? undefined : executions.strikes,
    dropped,
    nextDueMillis: nextDueMillis(executions, step),
    unknown: Array.from(unknown, ([task, waiting]) => ({ task, waiting })),
    exhausted
  }
}

/** What an exchange granted whose reply was lost, in the same order, as far as it is still held. */
const grantedBefore = (
  executions: Executions.Executions,
  worker: DocketStore.WorkerOptions,
  lease: string,
  step: Executions.Step
) => {
  const deliveries: Array<DocketStore.Delivery> = []
  const undetermined: Array<DocketStore.Undetermined> = []
  Executions.endUnbegun(executions, lease, step)
  for (let spot = executions.grants.get(lease)?.first; spot !== undefined; spot = spot.after) {
    const entry = spot.value
    if (entry.cancelled) {
      settleAs(executions, entry, "cancelled", step)
      continue
    }
    Executions.extend(executions, entry, step.now + worker.leaseMillis)
    if (entry.apart !== "asked") deliveries.push(toDelivery(entry, step))
    else undetermined.push({ ...toDelivery(entry, step), skipped: entry.skipped && "dropped" })
  }
  return { deliveries, undetermined }
}

const toDelivery = (entry: Entry, { now }: Executions.Step): DocketStore.Delivery => ({
  key: entry.key,
  task: entry.task,
  payload: entry.payload,
  generation: entry.generation,
  lease: entry.lease,
  attempt: entry.attempt,
  deliveries: entry.deliveries,
  due: entry.due,
  intended: entry.intended ?? entry.due,
  started: entry.started ?? now,
  trace: entry.trace
})

/** Milliseconds until time alone makes work. */
export const nextDueMillis = (executions: Executions.Executions, { now }: Executions.Step): number | undefined => {
  const due = Executions.nextDue(executions)
  return Number.isFinite(due) ? Math.max(0, due - now) : undefined
}

/** Renews a lease. */
export const renew = (
  executions: Executions.Executions,
  worker: DocketStore.WorkerOptions,
  { generation, key, lease }: DocketStore.Lease,
  step: Executions.Step
): DocketStore.LeaseStatus => {
  const entry = Executions.lookup(executions, key, step)
  if (entry?.generation !== generation) {
    // The key was scheduled anew, unless another worker took the run over, and was overtaken.
    const overtaken = executions.overtaken.get(`${generation}:${key}`)
    if (overtaken?.lease !== lease) return "lost"
    overtaken.expires = step.now + worker.leaseMillis
    return overtaken.cancelled ? "cancelled" : "overtaken"
  }
  if (entry.state !== "running" || entry.lease !== lease) return "lost"
  Executions.extend(executions, entry, step.now + worker.leaseMillis)
  return entry.cancelled ? "cancelled" : "held"
}

/** Takes back what was not renewed in time; returns how many executions are to be delivered again. */
export const reclaimExpired = (executions: Executions.Executions, step: Executions.Step): number => {
  Executions.reclaimOvertaken(executions, step)
  for (let first = Heap.peek(executions.asked); first !== undefined && first.at <= step.now;) {
    // It may have taken its worker down.
    first.value.deliveries++
    Executions.takeBack(executions, first.value, step)
    first = Heap.peek(executions.asked)
  }
  let reclaimed = 0
  for (;;) {
    const first = Heap.peek(executions.leases)
    if (first === undefined || first.at > step.now) return reclaimed
    if (reclaim(executions, first.value, step)) reclaimed++
  }
}

/** Takes a run from its worker; tells whether it is to be delivered again. */
const reclaim = (executions: Executions.Executions, entry: Entry, step: Executions.Step): boolean => {
  if (entry.cancelled) {
    settleAs(executions, entry, "cancelled", step)
    return false
  }
  // It has its place, and so is the next at its limits; where starts are counted, its next one is another.
  entry.standing.starts = []
  Executions.release(executions, entry, step)
  Executions.reclaim(executions, entry, step)
  return true
}

/** Takes all runs from a worker; returns how many are to be delivered again. */
export const takeFrom = (executions: Executions.Executions, worker: string, step: Executions.Step): number =>
  executions.leases.nodes
    .map(({ value }) => value)
    .filter((entry) => entry.worker === worker && reclaim(executions, entry, step)).length

/** Keeps what a run reports about itself, if it still holds its lease. */
export const report = (
  executions: Executions.Executions,
  { current, generation, key, lease, message, total }: DocketStore.ProgressUpdate,
  step: Executions.Step
): void => {
  const entry = Executions.lookup(executions, key, step)
  if (entry?.state !== "running" || entry.generation !== generation || entry.lease !== lease) return
  Executions.report(executions, entry, { current, total, message, updated: step.now })
}

/** Schedules failed executions again. */
export const retryFailed = (
  executions: Executions.Executions,
  keys: ReadonlyArray<string>,
  knownStrikes: string,
  step: Executions.Step
): DocketStore.RetryReply => {
  const { strikes } = executions
  if (strikes.version !== knownStrikes) return { _tag: "StrikesChanged", strikes, answers: [] }
  Executions.moveDue(executions, step)
  const answers = keys.map((key) => {
    const entry = Executions.lookup(executions, key, step)
    if (entry?.state !== "failed") return false
    const { error } = entry
    Executions.detach(executions, entry, step)
    remember(entry)
    scheduleAfresh(executions, entry, DocketStore.dueNow, nextGeneration(entry), step)
    entry.dead = error
    return true
  })
  return { _tag: "Retried", answers }
}

/** Takes back retries of what has not started since. */
export const undoRetry = (
  executions: Executions.Executions,
  retries: ReadonlyArray<DocketStore.Retried>,
  step: Executions.Step
): ReadonlyArray<boolean> =>
  retries.map(({ error, failure, generation, key }) => {
    const entry = Executions.lookup(executions, key, step)
    const waits = entry?.state === "queued" || entry?.state === "scheduled"
    if (entry === undefined || !waits || entry.generation !== generation || entry.deliveries > 0) return false
    entry.error = error
    entry.failure = failure
    settleAs(executions, entry, "failed", step)
    return true
  })

/** Forgets failed executions. */
export const discardFailed = (
  executions: Executions.Executions,
  keys: ReadonlyArray<string>,
  step: Executions.Step
): ReadonlyArray<boolean> =>
  keys.map((key) => {
    const entry = Executions.lookup(executions, key, step)
    if (entry?.state !== "failed") return false
    Executions.forget(executions, entry, step)
    return true
  })
