/**
 * The executions of one docket in plain data: where each is, and the steps from one place to the next. Every step
 * publishes what it changed.
 *
 * **Details**
 *
 * | state | where | left by |
 * | --- | --- | --- |
 * | `scheduled` | the heap `schedule`, by due time | `moveDue` |
 * | `scheduled`, held back by a limit or a debounce | a line (see `admission/Lines.ts`) | a claim |
 * | `scheduled`, held by a strike | the line `held` | a restore |
 * | `queued` | the line `ready` | a claim |
 * | `queued`, after it had its turn | the set `turns`, by its place | a claim |
 * | `queued`, of a task that is not known | the line of its task in `aside` | a worker that knows it |
 * | `queued`, asked about | the line of its lease in `grants`, and the heap `asked` by expiry | a settlement, a reclaim |
 * | `running` | the line of its lease in `grants`, and the heap `leases` by expiry | a settlement, a reclaim |
 * | `failed` | the line `failed`, oldest first | the end of its time to live, or a newer one when there are too many |
 * | settled otherwise | the line `settled`, oldest first | the end of its time to live |
 */
import * as DocketStore from "../../DocketStore.ts"
import * as Admission from "../admission/Admission.ts"
import * as Gates from "../admission/Gates.ts"
import * as Keep from "../admission/Keep.ts"
import * as Lines from "../admission/Lines.ts"
import { type Candidate, scoreOf } from "../admission/Standing.ts"
import * as Strike from "../../Strike.ts"
import { advance, type Entry, makeEntry, recall } from "./Entry.ts"
import * as Events from "./Events.ts"
import * as Heap from "./Heap.ts"
import * as Line from "./Line.ts"
import * as Space from "./Keep.ts"

/** An execution that may be what took down its workers. */
export interface Suspect {
  readonly entry: Entry
  readonly lease: string
  /** When its first lease ends. By then it was renewed, or is over. */
  readonly expires: number
}

/** The time of a step, and how long what it settles is kept. */
export interface Step {
  readonly now: number
  readonly options: DocketStore.StoreOptions
}

/** A run whose key was scheduled anew. */
export interface Overtaken {
  readonly slots: ReadonlyArray<string>
  readonly lease: string
  /** Whether it was cancelled before. */
  readonly cancelled: boolean
  expires: number
}

export interface Executions {
  readonly entries: Map<string, Entry>
  readonly schedule: Heap.Heap<Entry>
  readonly ready: Line.Line<Entry>
  /** How many have become due. */
  arrivals: number
  readonly aside: Map<string, Line.Line<Entry>>
  readonly grants: Map<string, Line.Line<Entry>>
  readonly leases: Heap.Heap<Entry>
  readonly failed: Line.Line<Entry>
  readonly settled: Line.Line<Entry>
  readonly asked: Heap.Heap<Entry>
  /** Of those in the ready line, the ones about which a worker told in this step. */
  readonly determined: Array<Entry>
  readonly held: Line.Line<Entry>
  /** Lines and gates, and the set `turns`. */
  readonly space: Space.Space
  /** Runs whose keys were scheduled anew, by generation and key. */
  readonly overtaken: Map<string, Overtaken>
  /** By worker: the last of those whose workers died again and again that it was given. */
  readonly suspects: Map<string, Suspect>
  strikes: Strike.StrikeSet
  /** Counts the changes of the strikes. */
  strikesChanged: number
  readonly events: Events.Events
}

export const make = (): Executions => ({
  entries: new Map(),
  schedule: Heap.make(),
  ready: Line.make(),
  arrivals: 0,
  aside: new Map(),
  grants: new Map(),
  leases: Heap.make(),
  failed: Line.make(),
  settled: Line.make(),
  asked: Heap.make(),
  determined: [],
  held: Line.make(),
  space: Space.make(),
  overtaken: new Map(),
  suspects: new Map(),
  strikes: Strike.empty,
  strikesChanged: 0,
  events: Events.make()
})

/** Lines and gates at the time of a step. */
export const keepAt = ({ space: { hashes, sets } }: Executions, { now }: Step): Keep.Keep => ({ hashes, sets, now })

/** The class of what says nothing of it. */
const usualClass = 3

/** An execution as lines and gates know it. */
export const candidateOf = ({ arrived, generation, key, place, standing }: Entry): Candidate => ({
  key,
  generation,
  standing,
  score: scoreOf(usualClass, place ?? arrived)
})

/** The execution of a key, unless its record has ended. */
export const lookup = (self: Executions, key: string, step: Step): Entry | undefined => {
  const entry = self.entries.get(key)
  if (entry === undefined || !DocketStore.isSettled(entry.state) || entry.expires > step.now) return entry
  forget(self, entry, step)
  return undefined
}

/** Removes records that have ended, the oldest first, and what controls keep no longer. */
export const sweep = (self: Executions, step: Step): void => {
  const { now } = step
  Gates.sweep(keepAt(self, step), 8)
  sweepMap(self.suspects, now)
  for (const line of [self.settled, self.failed]) {
    for (let left = sweepLimit; left > 0; left--) {
      const oldest = line.first?.value
      if (oldest === undefined || oldest.expires > now) break
      forget(self, oldest, step)
    }
  }
}

/** What one step spends on it at most: a step settles fewer, as a rule. */
const sweepLimit = 256

/** Looks at some, and at others the next time. */
const sweepMap = <A extends { readonly expires: number }>(map: Map<string, A>, now: number) => {
  let left = 8
  for (const [name, value] of map) {
    if (left-- === 0) break
    map.delete(name)
    if (value.expires > now) map.set(name, value)
  }
}

/** Removes an execution, and all that is known of it. */
export const forget = (self: Executions, entry: Entry, step: Step): void => {
  detach(self, entry, step)
  self.entries.delete(entry.key)
}

/** Adds an execution that is nowhere yet. */
export const add = (self: Executions, key: string): Entry => {
  const entry = makeEntry(key)
  self.entries.set(key, entry)
  return entry
}

/** Lets an execution wait until it is due: in the ready line when it is due already, else in the schedule. */
export const wait = (self: Executions, entry: Entry, due: DocketStore.Due, step: Step): void => {
  const { now } = step
  detach(self, entry, step)
  entry.place = undefined
  entry.due = due._tag === "At" ? wholeMillis(due.epochMillis) : now + wholeMillis(due.millis)
  entry.worker = undefined
  entry.started = undefined
  entry.completed = undefined
  entry.progress = undefined
  entry.cancelled = false
  entry.state = "scheduled"
  if (entry.due <= now) return enqueue(self, entry)
  entry.node = Heap.insert(self.schedule, entry.due, entry)
  Events.publishState(self.events, entry)
}

/** Never before its time, and near enough for times to stay exact. */
const wholeMillis = (millis: number) => Math.ceil(Math.min(Math.max(millis, -farAway), farAway))

/** The last moment that a date can name. */
const farAway = 8.64e15

/** Puts off an execution whose schedule stays the same: it is remembered when it was due at first. */
export const putOff = (self: Executions, entry: Entry, due: DocketStore.Due, step: Step): void => {
  entry.intended ??= entry.due
  wait(self, entry, due, step)
}

/** Lets an execution pause that had its turn; its time and its place stay the same. */
export const pause = (self: Executions, entry: Entry, until: number, step: Step): void => {
  detach(self, entry, step)
  entry.node = Heap.insert(self.schedule, until, entry)
  entry.state = "scheduled"
  Events.publishState(self.events, entry)
}

/** Moves what has become due to the ready line, and gives gates that have opened their turns. */
export const moveDue = (self: Executions, step: Step): void => {
  Gates.wakeDue(keepAt(self, step), Number.POSITIVE_INFINITY)
  for (;;) {
    const node = Heap.peek(self.schedule)
    if (node === undefined || node.at > step.now) return
    detach(self, node.value, step)
    enqueue(self, node.value)
  }
}

/** Puts an execution that is nowhere at the end of the ready line, or where its place is when it had its turn before. */
export const enqueue = (self: Executions, entry: Entry): void => {
  const isKnown = entry.state === "queued"
  line(self, entry)
  entry.state = "queued"
  if (!isKnown) Events.publishState(self.events, entry)
}

const line = (self: Executions, entry: Entry) => {
  if (entry.place !== undefined) {
    entry.apart = "turn"
    self.space.sets.put("turns", entry.key, candidateOf(entry).score)
  } else {
    entry.arrived = ++self.arrivals
    entry.spot = Line.append(self.ready, entry)
  }
}

/** What a worker has to know to run an execution. */
export const needsOf = ({ needs, task }: Entry): string => needs ?? task

/** Sets a queued execution aside, to wait for a worker that knows its task; tells how many wait like it. */
export const setAside = (self: Executions, entry: Entry, step: Step): number => {
  detach(self, entry, step)
  const isKnown = entry.state === "queued"
  entry.state = "queued"
  const line = lineOf(self.aside, needsOf(entry))
  entry.spot = Line.append(line, entry)
  if (!isKnown) Events.publishState(self.events, entry)
  return line.size
}

/** Gives what was set aside for a task its turn again. */
export const putBack = (self: Executions, task: string, step: Step): void => {
  const line = self.aside.get(task)
  for (let spot = line?.first; spot !== undefined; spot = line?.first) {
    detach(self, spot.value, step)
    enqueue(self, spot.value)
  }
}

/** Lets an execution wait until a strike is restored. */
export const hold = (self: Executions, entry: Entry, step: Step): void => {
  detach(self, entry, step)
  entry.apart = "held"
  entry.spot = Line.append(self.held, entry)
  entry.worker = undefined
  entry.started = undefined
  entry.state = "scheduled"
  Events.publishState(self.events, entry)
}

/** Lets an execution that a strike holds go, with the next generation. */
export const letGo = (self: Executions, entry: Entry, step: Step): void => {
  detach(self, entry, step)
  advance(entry)
  enqueue(self, entry)
}

/** Takes an execution, whose turn it is, from the ready line or from `turns`. */
export const leaveTurn = (self: Executions, entry: Entry): void => {
  if (entry.spot !== undefined) Line.leave(entry.spot)
  if (entry.apart === "turn") self.space.sets.remove("turns", entry.key)
  entry.spot = undefined
  entry.apart = undefined
}

/** Lets an execution wait that is in a line by now; `due` is when it runs, if that is known. */
export const heldBack = (self: Executions, entry: Entry, due: number | undefined): void => {
  entry.apart = "line"
  if (due !== undefined) putOffUntil(entry, due)
  if (entry.state === "scheduled") return
  entry.state = "scheduled"
  Events.publishState(self.events, entry)
}

/** Says of an execution in a line when it runs. */
export const putOffUntil = (entry: Entry, due: number): void => {
  entry.intended ??= entry.due
  entry.due = due
}

/** How much has a turn: executions, and gates or lines at which some wait. */
export const readySize = ({ ready, space: { sets } }: Executions): number =>
  ready.size + sets.size("turns") + sets.size("gates")

/** The one that has the next turn. */
export const nextReady = (self: Executions, step: Step): Entry | undefined => {
  const keep = keepAt(self, step)
  for (;;) {
    const turn = Keep.first(keep, "turns")
    const gate = Keep.first(keep, "gates")
    const ready = self.ready.first?.value
    const other = ready === undefined ? Number.POSITIVE_INFINITY : candidateOf(ready).score
    if (gate === undefined || gate.score > Math.min(turn?.score ?? other, other)) {
      return turn === undefined || turn.score > other ? ready : self.entries.get(turn.member)
    }
    const head = Lines.headOf(keep, gate.member)
    if (head !== undefined) return self.entries.get(head.key)
  }
}

/** Lends a queued execution to a worker that is to tell something about it. */
export const ask = (
  self: Executions,
  entry: Entry,
  hold: { readonly lease: string; readonly leaseMillis: number },
  step: Step
): void => {
  detach(self, entry, step)
  const isKnown = entry.state === "queued"
  entry.state = "queued"
  entry.lease = hold.lease
  entry.apart = "asked"
  entry.spot = Line.append(lineOf(self.grants, hold.lease), entry)
  entry.node = Heap.insert(self.asked, step.now + hold.leaseMillis, entry)
  if (!isKnown) Events.publishState(self.events, entry)
}

/** Takes back what was lent to a worker that has told, or has not told in time. */
export const takeBack = (self: Executions, entry: Entry, step: Step): void => {
  detach(self, entry, step)
  enqueue(self, entry)
}

/** Hands a queued execution to a worker. */
export const start = (
  self: Executions,
  entry: Entry,
  hold: { readonly worker: string; readonly lease: string; readonly leaseMillis: number },
  step: Step
): void => {
  const { now } = step
  if (entry.state === "scheduled") {
    entry.state = "queued"
    Events.publishState(self.events, entry)
  }
  detach(self, entry, step)
  entry.before = undefined
  entry.lease = hold.lease
  entry.spot = Line.append(lineOf(self.grants, hold.lease), entry)
  entry.node = Heap.insert(self.leases, now + hold.leaseMillis, entry)
  entry.deliveries++
  entry.dead = undefined
  entry.worker = hold.worker
  entry.started = now
  entry.state = "running"
  Events.publishState(self.events, entry)
}

/** Lets the lease of a running execution live on until `expires`. */
export const extend = (self: Executions, entry: Entry, expires: number): void => {
  const heap = entry.apart === "asked" ? self.asked : self.leases
  if (entry.node !== undefined) Heap.remove(heap, entry.node)
  entry.node = Heap.insert(heap, expires, entry)
}

/** Takes a running execution from its worker, to be delivered again. */
export const reclaim = (self: Executions, entry: Entry, step: Step): void => {
  detach(self, entry, step)
  entry.worker = undefined
  entry.started = undefined
  entry.progress = undefined
  enqueue(self, entry)
}

/** Settles an execution, and keeps its record for its time to live. */
export const settle = (
  self: Executions,
  entry: Entry,
  state: "completed" | "failed" | "cancelled",
  step: Step
): void => {
  const { now, options } = step
  detach(self, entry, step)
  entry.before = undefined
  entry.state = state
  entry.completed = now
  entry.cancelled = false
  entry.progress = undefined
  Events.publishState(self.events, entry)
  const isListed = state === "failed" && options.failedMaximum > 0
  keep(self, entry, isListed ? self.failed : self.settled, now + keptMillis(isListed, options), now)
  while (self.failed.size > options.failedMaximum) {
    const oldest = self.failed.first!.value
    detach(self, oldest, step)
    keep(self, oldest, self.settled, (oldest.completed ?? now) + keptMillis(false, options), now)
  }
}

/**
 * Ends an execution that never ran: what the last run of its key left is what it was. Tells whether that is kept still; if not
 * nothing has changed.
 */
export const undo = (self: Executions, entry: Entry, step: Step): boolean => {
  const { before } = entry
  if (before === undefined || before.expires <= step.now) return false
  detach(self, entry, step)
  entry.state = "cancelled"
  entry.completed = step.now
  Events.publishState(self.events, entry)
  recall(entry, before)
  const line = before.state === "failed" && step.options.failedMaximum > 0 ? self.failed : self.settled
  let older = line.last
  while (older !== undefined && (older.value.completed ?? 0) > (entry.completed ?? 0)) older = older.before
  entry.spot = Line.insert(line, entry, older)
  return true
}

const keptMillis = (isListed: boolean, { executionTtlMillis, failedTtlMillis }: DocketStore.StoreOptions) =>
  isListed && failedTtlMillis > 0 ? failedTtlMillis : executionTtlMillis

const keep = (self: Executions, entry: Entry, line: Line.Line<Entry>, expires: number, now: number) => {
  if (expires <= now) {
    self.entries.delete(entry.key)
  } else {
    entry.expires = expires
    entry.spot = Line.append(line, entry)
  }
}

/** Takes an execution away from where it is. Until then its task, lease and state say where that is. */
export const detach = (self: Executions, entry: Entry, step: Step): void => {
  const isHeld = entry.state === "running" || entry.apart === "asked"
  if (entry.spot !== undefined) {
    Line.leave(entry.spot)
    if (entry.spot.line.size === 0) {
      if (isHeld) self.grants.delete(entry.lease)
      else if (entry.spot.line === self.aside.get(needsOf(entry))) self.aside.delete(needsOf(entry))
    }
    entry.spot = undefined
  }
  if (entry.node !== undefined) {
    const heap = entry.apart === "asked" ? self.asked : isHeld ? self.leases : self.schedule
    Heap.remove(heap, entry.node)
    entry.node = undefined
  }
  if (entry.apart === "turn") self.space.sets.remove("turns", entry.key)
  if (entry.standing.line !== undefined) Lines.leave(keepAt(self, step), candidateOf(entry))
  entry.apart = undefined
}

const lineOf = (lines: Map<string, Line.Line<Entry>>, name: string) => {
  let line = lines.get(name)
  if (line === undefined) lines.set(name, (line = Line.make()))
  return line
}

/** Counts what is live. */
export const depth = (self: Executions): DocketStore.Depth => {
  const { sets } = self.space
  let queued = self.ready.size + sets.size("turns") + self.asked.nodes.length
  for (const line of self.aside.values()) queued += line.size
  const scheduled = self.schedule.nodes.length + sets.size("waiting") + self.held.size
  return { queued, scheduled, running: self.leases.nodes.length }
}

/** When time alone next makes work: something is due, or a lease expires. Infinite when nothing of the kind is ahead. */
export const nextDue = (self: Executions): number =>
  Math.min(
    Heap.peek(self.schedule)?.at ?? Number.POSITIVE_INFINITY,
    Heap.peek(self.leases)?.at ?? Number.POSITIVE_INFINITY,
    Heap.peek(self.asked)?.at ?? Number.POSITIVE_INFINITY,
    Gates.nextOpening(self.space),
    ...Array.from(self.overtaken.values(), ({ expires }) => expires)
  )

/** Whether nothing is live. */
export const isEmpty = (self: Executions): boolean =>
  readySize(self) === 0 &&
  self.aside.size === 0 &&
  self.schedule.nodes.length === 0 &&
  self.leases.nodes.length === 0 &&
  self.asked.nodes.length === 0 &&
  self.space.sets.size("waiting") === 0 &&
  self.held.size === 0

/** Lets a running execution, whose key is scheduled anew, keep its lease and its slots until it ends. */
export const overtake = (self: Executions, entry: Entry): void => {
  const { cancelled, generation, key, lease, node } = entry
  const { slots } = entry.standing
  self.overtaken.set(`${generation}:${key}`, { slots, lease, cancelled, expires: node?.at ?? 0 })
  entry.standing.slots = []
}

/** Ends a run that was overtaken, if it is still under its lease; tells whether it was. */
export const endOvertaken = (self: Executions, { generation, key, lease }: DocketStore.Lease, step: Step): boolean => {
  const holder = `${generation}:${key}`
  if (self.overtaken.get(holder)?.lease !== lease) return false
  freeOvertaken(self, holder, step)
  return true
}

/** Ends the runs of a lease that were overtaken before they began. */
export const endUnbegun = (self: Executions, lease: string, step: Step): void => {
  for (const [holder, overtaken] of self.overtaken) {
    if (overtaken.lease === lease) freeOvertaken(self, holder, step)
  }
}

const freeOvertaken = (self: Executions, holder: string, step: Step) => {
  const slots = self.overtaken.get(holder)?.slots ?? []
  self.overtaken.delete(holder)
  for (const gate of slots) Gates.freeSlot(keepAt(self, step), gate, holder)
}

/** The last generation of a key of which a run goes on that was overtaken. There are few. */
export const lastOvertaken = (self: Executions, key: string): number => {
  let last = 0
  for (const holder of self.overtaken.keys()) {
    const split = holder.indexOf(":")
    if (holder.slice(split + 1) === key) last = Math.max(last, Number(holder.slice(0, split)))
  }
  return last
}

/** Frees the slots of overtaken runs whose workers fell silent. */
export const reclaimOvertaken = (self: Executions, step: Step): void => {
  for (const [holder, { expires }] of self.overtaken) {
    if (expires <= step.now) freeOvertaken(self, holder, step)
  }
}

/** Takes from an execution that is not to start after all, or has ended, what it holds and where it waits. */
export const release = (self: Executions, entry: Entry, step: Step): void =>
  Admission.leave(keepAt(self, step), candidateOf(entry))

/** Keeps and publishes how far a run has come. */
export const report = (self: Executions, entry: Entry, progress: DocketStore.ProgressRecord): void => {
  entry.progress = progress
  Events.publishProgress(self.events, entry, progress)
}
