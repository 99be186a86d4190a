/** What the port's operations do to the executions of a docket, one function for each. */
import * as DocketStore from "../../DocketStore.ts"
import * as Events from "./Events.ts"
import * as Executions from "./Executions.ts"
import * as Heap from "./Heap.ts"

/** Schedules a batch. */
export const schedule = (
  executions: Executions.Executions,
  requests: ReadonlyArray<DocketStore.ScheduleRequest>,
  step: Executions.Step
): ReadonlyArray<DocketStore.Disposition> => {
  // What became due before this batch did goes first.
  Executions.moveDue(executions, step)
  return requests.map((request) => {
    const present = Executions.lookup(executions, request.key, step)
    const isLive = present !== undefined && !DocketStore.isSettled(present.state) && !present.cancelled
    if (isLive && !request.replace) return "already-scheduled"
    const entry = present ?? Executions.add(executions, request.key)
    Executions.detach(executions, entry)
    entry.task = request.task
    entry.payload = request.payload
    entry.trace = request.trace
    scheduleAfresh(executions, entry, request.due, step)
    return isLive ? "replaced" : "scheduled"
  })
}

/** Schedules a key of whose earlier runs nothing is to be kept. */
const scheduleAfresh = (
  executions: Executions.Executions,
  entry: Executions.Entry,
  due: DocketStore.Due,
  step: Executions.Step
) => {
  entry.error = undefined
  entry.result = undefined
  entry.failure = undefined
  entry.attempts.length = 0
  startOver(entry)
  Executions.wait(executions, entry, due, step)
}

/** Begins the next schedule of a key, at its first attempt. */
const startOver = (entry: Executions.Entry) => {
  entry.generation++
  entry.attempt = 1
  entry.deliveries = 0
}

/** Cancels executions; returns the running ones, whose workers are to be told. */
export const cancel = (
  executions: Executions.Executions,
  keys: ReadonlyArray<string>,
  step: Executions.Step
): ReadonlyArray<Executions.Entry> => {
  const running: Array<Executions.Entry> = []
  for (const key of keys) {
    const entry = Executions.lookup(executions, key, step)
    if (entry === undefined || DocketStore.isSettled(entry.state) || entry.cancelled) continue
    if (entry.state === "running") {
      entry.cancelled = true
      running.push(entry)
    } else {
      Executions.settle(executions, entry, "cancelled", step)
    }
  }
  return running
}

/** Cancels everything that waits; returns how many there were. */
export const clear = (executions: Executions.Executions, step: Executions.Step): number => {
  let cleared = 0
  for (const entry of executions.entries.values()) {
    if (entry.state !== "scheduled" && entry.state !== "queued") continue
    Executions.settle(executions, entry, "cancelled", step)
    cleared++
  }
  return cleared
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
  if (entry === undefined) return "lost"
  if (entry.generation !== generation) {
    if (entry.settledLease === lease) return "lost"
    const { deliveries, task } = entry
    announceEnd(executions, { key, task, generation, deliveries, worker, started: undefined }, outcome, step)
    return "superseded"
  }
  if (entry.state !== "running" || entry.lease !== lease) return "lost"
  entry.settledLease = lease
  end(executions, entry, outcome, step)
  return "applied"
}

/** Ends a run by whoever holds its lease. */
const end = (
  executions: Executions.Executions,
  entry: Executions.Entry,
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
        return Executions.settle(executions, entry, outcome._tag === "Completed" ? "completed" : "failed", step)
      }
      announceEnd(executions, entry, outcome, step)
      if (step.options.executionTtlMillis <= 0) {
        entry.result = undefined
        entry.error = undefined
        entry.failure = undefined
      }
      if (outcome.next.payload !== undefined) entry.payload = outcome.next.payload
      startOver(entry)
      return Executions.wait(executions, entry, outcome.next.due, step)
    }
    case "Cancelled":
      return Executions.settle(executions, entry, "cancelled", step)
    case "Retry":
      entry.error = outcome.error
  }
  // The run is to be followed by another of the same schedule.
  if (entry.cancelled) return Executions.settle(executions, entry, "cancelled", step)
  entry.generation++
  switch (outcome._tag) {
    case "Retry":
      entry.attempt++
      entry.deliveries = 0
      return Executions.wait(executions, entry, outcome.due, step)
    case "Postponed":
      entry.deliveries--
      return Executions.wait(executions, entry, outcome.due, step)
    case "Released":
      entry.deliveries--
      return Executions.reclaim(executions, entry)
  }
}

const noteAttempt = (
  { attempt, attempts, started, worker }: Executions.Entry,
  error: string,
  step: Executions.Step
) => {
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

/** Whether a worker knows a task. */
export const knows = (worker: DocketStore.WorkerOptions, task: string): boolean =>
  worker.tasks === "any" || worker.tasks.has(task)

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
    if (knows(worker, task)) Executions.putBack(executions, task)
  }

  const deliveries = request.resent ? grantedBefore(executions, worker, request.lease, step) : []
  const unknown = new Map<string, number>()
  const exhausted: Array<DocketStore.ExchangeReply["exhausted"][number]> = []
  while (deliveries.length < request.take) {
    const entry = executions.ready.first?.value
    if (entry === undefined) break
    if (!knows(worker, entry.task)) {
      unknown.set(entry.task, Executions.setAside(executions, entry))
    } else if (entry.deliveries >= worker.maxDeliveries) {
      exhausted.push({ key: entry.key, task: entry.task, deliveries: entry.deliveries })
      entry.error = `DeliveriesExhausted: delivered ${entry.deliveries} times without being settled`
      Executions.settle(executions, entry, "failed", step)
    } else {
      Executions.start(
        executions,
        entry,
        { worker: worker.name, lease: request.lease, leaseMillis: worker.leaseMillis },
        step
      )
      deliveries.push(toDelivery(entry, step))
    }
  }
  return {
    settled,
    deliveries,
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
  for (let place = executions.grants.get(lease)?.first; place !== undefined; place = place.after) {
    Executions.extend(executions, place.value, step.now + worker.leaseMillis)
    deliveries.push(toDelivery(place.value, step))
  }
  return deliveries
}

const toDelivery = (entry: Executions.Entry, { now }: Executions.Step): DocketStore.Delivery => ({
  key: entry.key,
  task: entry.task,
  payload: entry.payload,
  generation: entry.generation,
  lease: entry.lease,
  attempt: entry.attempt,
  deliveries: entry.deliveries,
  due: entry.due,
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
  if (entry === undefined) return "lost"
  if (entry.generation !== generation) return "superseded"
  if (entry.state !== "running" || entry.lease !== lease) return "lost"
  Executions.extend(executions, entry, step.now + worker.leaseMillis)
  return entry.cancelled ? "cancelled" : "held"
}

/** Takes back what was not renewed in time; returns how many executions are to be delivered again. */
export const reclaimExpired = (executions: Executions.Executions, step: Executions.Step): number => {
  let reclaimed = 0
  for (;;) {
    const first = Heap.peek(executions.leases)
    if (first === undefined || first.at > step.now) return reclaimed
    if (first.value.cancelled) {
      Executions.settle(executions, first.value, "cancelled", step)
    } else {
      Executions.reclaim(executions, first.value)
      reclaimed++
    }
  }
}

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
  step: Executions.Step
): ReadonlyArray<boolean> => {
  Executions.moveDue(executions, step)
  return keys.map((key) => {
    const entry = Executions.lookup(executions, key, step)
    if (entry?.state !== "failed") return false
    scheduleAfresh(executions, entry, DocketStore.dueNow, step)
    return true
  })
}

/** Forgets failed executions. */
export const discardFailed = (
  executions: Executions.Executions,
  keys: ReadonlyArray<string>,
  step: Executions.Step
): ReadonlyArray<boolean> =>
  keys.map((key) => {
    const entry = Executions.lookup(executions, key, step)
    if (entry?.state !== "failed") return false
    Executions.forget(executions, entry)
    return true
  })
