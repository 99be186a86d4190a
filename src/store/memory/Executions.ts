/**
 * The executions of one docket in plain data: where each is, and the steps from one place to the next. Every step
 * publishes what it changed.
 *
 * **Details**
 *
 * | state | where | left by |
 * | --- | --- | --- |
 * | `scheduled` | the heap `schedule`, by due time | `moveDue` |
 * | `scheduled`, waiting for a slot | the line of its limit in `limits` | the execution that frees a slot |
 * | `scheduled`, held by a strike | the line `held` | a restore |
 * | `queued` | the line `ready`, or `front` when it had its turn before, or the line of its task in `aside` | a claim |
 * | `queued`, asked about | the line of its lease in `grants`, and the heap `asked` by expiry | a settlement, a reclaim |
 * | `running` | the line of its lease in `grants`, and the heap `leases` by expiry | a settlement, a reclaim |
 * | `failed` | the line `failed`, oldest first | the end of its time to live, or a newer one when there are too many |
 * | settled otherwise | the line `settled`, oldest first | the end of its time to live |
 */
import * as DocketStore from "../../DocketStore.ts"
import * as Strike from "../../Strike.ts"
import { type Entry, makeEntry, type Start } from "./Entry.ts"
import * as Events from "./Events.ts"
import * as Heap from "./Heap.ts"
import * as Line from "./Line.ts"

/** A concurrency limit, for one value, while anyone has a slot. */
export interface Limit {
  limit: number
  /** Who has a slot, by generation and key. */
  readonly holders: Map<string, string>
  /** Who waits for one. */
  readonly line: Line.Line<Entry>
}

/** A rate limit, for one value. */
export interface Rate {
  /** The starts within the window, oldest first. */
  readonly starts: Set<Start>
  /** The starts to come, by key. */
  readonly plans: Map<string, number>
  /** When nothing of it matters any more. */
  expires: number
}

/** A cooldown, for one value, that was opened by the execution with this key. */
export interface Window {
  readonly key: string
  readonly expires: number
}

/** A round of a debounce, for one value. */
export interface Round {
  /** The key of its first submission, which will run. */
  readonly first: string
  due: number
  readonly deadline: number
  expires: number
}

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

export interface Executions {
  readonly entries: Map<string, Entry>
  readonly schedule: Heap.Heap<Entry>
  readonly ready: Line.Line<Entry>
  /** What comes before all that is ready. */
  readonly front: Line.Line<Entry>
  readonly aside: Map<string, Line.Line<Entry>>
  readonly grants: Map<string, Line.Line<Entry>>
  readonly leases: Heap.Heap<Entry>
  readonly failed: Line.Line<Entry>
  readonly settled: Line.Line<Entry>
  readonly asked: Heap.Heap<Entry>
  /** Of those in the ready line, the ones about which a worker told in this step. */
  readonly determined: Array<Entry>
  readonly held: Line.Line<Entry>
  readonly limits: Map<string, Limit>
  /** How many wait for a slot of a limit. */
  waiting: number
  readonly rates: Map<string, Rate>
  readonly windows: Map<string, Window>
  readonly rounds: Map<string, Round>
  /** The slots of runs whose keys were scheduled anew, by generation and key. */
  readonly overtaken: Map<string, { readonly name: string; readonly lease: string; expires: number }>
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
  front: Line.make(),
  aside: new Map(),
  grants: new Map(),
  leases: Heap.make(),
  failed: Line.make(),
  settled: Line.make(),
  asked: Heap.make(),
  determined: [],
  held: Line.make(),
  limits: new Map(),
  waiting: 0,
  rates: new Map(),
  windows: new Map(),
  rounds: new Map(),
  overtaken: new Map(),
  suspects: new Map(),
  strikes: Strike.empty,
  strikesChanged: 0,
  events: Events.make()
})

/** The execution of a key, unless its record has ended. */
export const lookup = (self: Executions, key: string, { now }: Step): Entry | undefined => {
  const entry = self.entries.get(key)
  if (entry === undefined || !DocketStore.isSettled(entry.state) || entry.expires > now) return entry
  forget(self, entry)
  return undefined
}

/** Removes records that have ended, the oldest first, and what controls keep no longer. */
export const sweep = (self: Executions, { now }: Step): void => {
  sweepMap(self.rates, now)
  sweepMap(self.windows, now)
  sweepMap(self.rounds, now)
  sweepMap(self.suspects, now)
  for (const line of [self.settled, self.failed]) {
    for (let left = sweepLimit; left > 0; left--) {
      const oldest = line.first?.value
      if (oldest === undefined || oldest.expires > now) break
      forget(self, oldest)
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
export const forget = (self: Executions, entry: Entry): void => {
  detach(self, entry)
  self.entries.delete(entry.key)
}

/** Adds an execution that is nowhere yet. */
export const add = (self: Executions, key: string): Entry => {
  const entry = makeEntry(key)
  self.entries.set(key, entry)
  return entry
}

/** Lets an execution wait until it is due: in the ready line when it is due already, else in the schedule. */
export const wait = (self: Executions, entry: Entry, due: DocketStore.Due, { now }: Step): void => {
  detach(self, entry)
  entry.due = due._tag === "At" ? wholeMillis(due.epochMillis) : now + wholeMillis(due.millis)
  entry.worker = undefined
  entry.started = undefined
  entry.completed = undefined
  entry.progress = undefined
  entry.cancelled = false
  if (entry.due <= now) return enqueue(self, entry)
  entry.node = Heap.insert(self.schedule, entry.due, entry)
  entry.state = "scheduled"
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

/** Lets a queued execution pause; its time stays the same. */
export const pause = (self: Executions, entry: Entry, until: number): void => {
  detach(self, entry)
  entry.node = Heap.insert(self.schedule, until, entry)
  entry.state = "scheduled"
  Events.publishState(self.events, entry)
}

/** Moves what has become due to the ready line. */
export const moveDue = (self: Executions, { now }: Step): void => {
  for (;;) {
    const node = Heap.peek(self.schedule)
    if (node === undefined || node.at > now) return
    detach(self, node.value)
    enqueue(self, node.value)
  }
}

/** Puts an execution that is nowhere at the end of the ready line. */
export const enqueue = (self: Executions, entry: Entry, line = self.ready): void => {
  entry.place = Line.append(line, entry)
  entry.state = "queued"
  Events.publishState(self.events, entry)
}

/** What a worker has to know to run an execution. */
export const needsOf = ({ needs, task }: Entry): string => needs ?? task

/** Sets a queued execution aside, to wait for a worker that knows its task; tells how many wait like it. */
export const setAside = (self: Executions, entry: Entry): number => {
  detach(self, entry)
  const line = lineOf(self.aside, needsOf(entry))
  entry.place = Line.append(line, entry)
  return line.size
}

/** Puts what was set aside for a task back into the ready line. */
export const putBack = (self: Executions, task: string): void => {
  for (let place = self.aside.get(task)?.first; place !== undefined; place = place.after) {
    detach(self, place.value)
    place.value.place = Line.append(self.ready, place.value)
  }
}

/** Lets an execution wait in a line, held back. */
export const holdBack = (self: Executions, entry: Entry, apart: "waiting" | "held", line: Line.Line<Entry>): void => {
  detach(self, entry)
  entry.apart = apart
  if (apart === "waiting") self.waiting++
  entry.place = Line.append(line, entry)
  entry.worker = undefined
  entry.started = undefined
  entry.state = "scheduled"
  Events.publishState(self.events, entry)
}

/** Lets an execution that is held back go, with the next generation. */
export const letGo = (self: Executions, entry: Entry, line: Line.Line<Entry>): void => {
  detach(self, entry)
  entry.generation++
  enqueue(self, entry, line)
}

/** How many are ready. */
export const readySize = ({ front, ready }: Executions): number => front.size + ready.size

/** The one that is claimed next. */
export const nextReady = ({ front, ready }: Executions): Entry | undefined => (front.first ?? ready.first)?.value

/** Moves an execution that is scheduled for later to another time. */
export const reschedule = (self: Executions, entry: Entry, due: number): void => {
  if (entry.node === undefined || entry.state !== "scheduled") return
  Heap.remove(self.schedule, entry.node)
  entry.due = due
  entry.node = Heap.insert(self.schedule, due, entry)
}

/** Lends a queued execution to a worker that is to tell something about it. */
export const ask = (
  self: Executions,
  entry: Entry,
  hold: { readonly lease: string; readonly leaseMillis: number },
  { now }: Step
): void => {
  detach(self, entry)
  entry.lease = hold.lease
  entry.apart = "asked"
  entry.place = Line.append(lineOf(self.grants, hold.lease), entry)
  entry.node = Heap.insert(self.asked, now + hold.leaseMillis, entry)
}

/** Takes back what was lent to a worker that has not told in time. */
export const takeBack = (self: Executions, entry: Entry): void => {
  detach(self, entry)
  entry.place = Line.append(self.front, entry)
}

/** Hands a queued execution to a worker. */
export const start = (
  self: Executions,
  entry: Entry,
  hold: { readonly worker: string; readonly lease: string; readonly leaseMillis: number },
  { now }: Step
): void => {
  detach(self, entry)
  entry.lease = hold.lease
  entry.place = Line.append(lineOf(self.grants, hold.lease), entry)
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
export const reclaim = (self: Executions, entry: Entry): void => {
  detach(self, entry)
  entry.worker = undefined
  entry.started = undefined
  entry.progress = undefined
  enqueue(self, entry, entry.admission.slot === undefined ? self.ready : self.front)
}

/** Settles an execution, and keeps its record for its time to live. */
export const settle = (
  self: Executions,
  entry: Entry,
  state: "completed" | "failed" | "cancelled",
  { now, options }: Step
): void => {
  detach(self, entry)
  entry.state = state
  entry.completed = now
  entry.cancelled = false
  entry.progress = undefined
  Events.publishState(self.events, entry)
  const isListed = state === "failed" && options.failedMaximum > 0
  keep(self, entry, isListed ? self.failed : self.settled, now + keptMillis(isListed, options), now)
  while (self.failed.size > options.failedMaximum) {
    const oldest = self.failed.first!.value
    detach(self, oldest)
    keep(self, oldest, self.settled, (oldest.completed ?? now) + keptMillis(false, options), now)
  }
}

const keptMillis = (isListed: boolean, { executionTtlMillis, failedTtlMillis }: DocketStore.StoreOptions) =>
  isListed && failedTtlMillis > 0 ? failedTtlMillis : executionTtlMillis

const keep = (self: Executions, entry: Entry, line: Line.Line<Entry>, expires: number, now: number) => {
  if (expires <= now) {
    self.entries.delete(entry.key)
  } else {
    entry.expires = expires
    entry.place = Line.append(line, entry)
  }
}

/** Takes an execution away from where it is. Until then its task, lease and state say where that is. */
export const detach = (self: Executions, entry: Entry): void => {
  const isHeld = entry.state === "running" || entry.apart === "asked"
  if (entry.place !== undefined) {
    Line.leave(entry.place)
    if (entry.place.line.size === 0) {
      if (isHeld) self.grants.delete(entry.lease)
      else if (entry.place.line === self.aside.get(needsOf(entry))) self.aside.delete(needsOf(entry))
    }
    entry.place = undefined
  }
  if (entry.node !== undefined) {
    const heap = entry.apart === "asked" ? self.asked : isHeld ? self.leases : self.schedule
    Heap.remove(heap, entry.node)
    entry.node = undefined
  }
  if (entry.apart === "waiting") self.waiting--
  entry.apart = undefined
}

const lineOf = (lines: Map<string, Line.Line<Entry>>, name: string) => {
  let line = lines.get(name)
  if (line === undefined) lines.set(name, (line = Line.make()))
  return line
}

/** Counts what is live. */
export const depth = (self: Executions): DocketStore.Depth => {
  let queued = readySize(self) + self.asked.nodes.length
  for (const line of self.aside.values()) queued += line.size
  const scheduled = self.schedule.nodes.length + self.waiting + self.held.size
  return { queued, scheduled, running: self.leases.nodes.length }
}

/** When time alone next makes work: something is due, or a lease expires. Infinite when nothing of the kind is ahead. */
export const nextDue = (self: Executions): number =>
  Math.min(
    Heap.peek(self.schedule)?.at ?? Number.POSITIVE_INFINITY,
    Heap.peek(self.leases)?.at ?? Number.POSITIVE_INFINITY,
    Heap.peek(self.asked)?.at ?? Number.POSITIVE_INFINITY,
    ...Array.from(self.overtaken.values(), ({ expires }) => expires)
  )

/** Whether nothing is live. */
export const isEmpty = (self: Executions): boolean =>
  readySize(self) === 0 &&
  self.aside.size === 0 &&
  self.schedule.nodes.length === 0 &&
  self.leases.nodes.length === 0 &&
  self.asked.nodes.length === 0 &&
  self.waiting === 0 &&
  self.held.size === 0

/** Keeps and publishes how far a run has come. */
export const report = (self: Executions, entry: Entry, progress: DocketStore.ProgressRecord): void => {
  entry.progress = progress
  Events.publishProgress(self.events, entry, progress)
}
