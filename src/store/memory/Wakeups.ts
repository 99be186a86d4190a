/** Idle workers that wait for work, and who of them is woken by it. */
import * as Latch from "effect/Latch"
import type { WorkerOptions } from "../../DocketStore.ts"
import type { Entry } from "./Entry.ts"
import * as Executions from "./Executions.ts"
import type * as Line from "./Line.ts"
import * as Operations from "./Operations.ts"

/** A worker, as far as waiting goes. */
export interface Sleeper {
  readonly worker: WorkerOptions
  /** The next due time that it was told, for which it has a timer of its own; infinite when there was none. */
  toldDue: number
}

export interface Waiter {
  readonly sleeper: Sleeper
  readonly latch: Latch.Latch
}

export interface Wakeups {
  /** Longest waiting first. */
  readonly waiters: Set<Waiter>
  /** Who was woken, and has not looked for work yet. */
  readonly woken: Set<Sleeper>
  /** Who is to go on when this step is over. */
  called: Array<Waiter>
}

export const make = (): Wakeups => ({ waiters: new Set(), woken: new Set(), called: [] })

/** Whether an exchange would find something for a worker. */
export const hasWork = (
  executions: Executions.Executions,
  worker: WorkerOptions,
  { now }: Executions.Step
): boolean => {
  if (Executions.readySize(executions) > 0 || Executions.nextDue(executions) <= now) return true
  for (const task of executions.aside.keys()) {
    if (Operations.knows(worker, task)) return true
  }
  return false
}

/** Whether a worker was told something that is no longer so: its timer is late, or there is nothing left to wait for. */
export const isOutdated = (executions: Executions.Executions, { toldDue }: Sleeper): boolean =>
  Executions.nextDue(executions) < toldDue || (Number.isFinite(toldDue) && Executions.isEmpty(executions))

/** Lets a worker wait, behind those that wait already. */
export const wait = (self: Wakeups, sleeper: Sleeper): Waiter => {
  const waiter: Waiter = { sleeper, latch: Latch.makeUnsafe() }
  self.waiters.add(waiter)
  return waiter
}

/** Counts no more on a worker that is gone. */
export const forget = (self: Wakeups, sleeper: Sleeper): void => {
  self.woken.delete(sleeper)
  for (const waiter of self.waiters) {
    if (waiter.sleeper === sleeper) self.waiters.delete(waiter)
  }
}

/** Calls one worker for each turn that none was called for. */
export const callForWork = (self: Wakeups, executions: Executions.Executions): void => {
  const waiting = self.waiters.size
  // Who was called before comes for the beginning of the line; what is new stands at its end.
  const uncalled = Math.min(Executions.readySize(executions) - self.woken.size, waiting)
  const turns = [
    ...lastOf(executions.ready, uncalled),
    ...["turns", "gates"].flatMap((set) => executions.space.sets.some(set, 0, waiting).map(({ member }) => member))
  ]
  for (const turn of turns.slice(0, Math.max(0, uncalled))) {
    const entry = typeof turn === "string" ? executions.entries.get(turn) : turn
    // A worker that does not know the task is better than none: it can tell that nobody does.
    if (entry === undefined || !call(self, whoKnows(self, Executions.needsOf(entry)))) callAnyone(self)
  }
  if (self.waiters.size === 0) return
  for (const [task, line] of executions.aside) {
    for (let left = line.size; left > 0; left--) {
      if (!call(self, whoKnows(self, task))) break
    }
  }
}

/** The last of a line, from its end on. */
const lastOf = (line: Line.Line<Entry>, count: number): ReadonlyArray<Entry> => {
  const last: Array<Entry> = []
  for (let spot = line.last; last.length < count && spot !== undefined; spot = spot.before) last.push(spot.value)
  return last
}

/** Calls a worker to set its timer, unless there is one that will look in time anyway. */
export const callForTime = (self: Wakeups, executions: Executions.Executions): void => {
  if (self.woken.size > 0) return
  const due = Executions.nextDue(executions)
  for (const { sleeper } of self.waiters) {
    if (sleeper.toldDue <= due) return
  }
  callAnyone(self)
}

/** Calls everyone, who may want to know that nothing is left. */
export const callAll = (self: Wakeups): void => {
  for (const waiter of self.waiters) call(self, waiter)
}

const callAnyone = (self: Wakeups) => call(self, self.waiters.values().next().value)

const whoKnows = (self: Wakeups, task: string): Waiter | undefined => {
  for (const waiter of self.waiters) {
    if (Operations.knows(waiter.sleeper.worker, task)) return waiter
  }
  return undefined
}

const call = (self: Wakeups, waiter: Waiter | undefined) => {
  if (waiter === undefined) return false
  self.waiters.delete(waiter)
  self.woken.add(waiter.sleeper)
  self.called.push(waiter)
  return true
}
