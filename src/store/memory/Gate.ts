/** Admission: whether an execution may start now, what it takes when it does, and who is next when it gives that back. */
import { type Control, nameOf, split } from "../../Admission.ts"
import type * as DocketStore from "../../DocketStore.ts"
import { type Entry, noStarts, type Start } from "./Entry.ts"
import * as Executions from "./Executions.ts"
import * as Line from "./Line.ts"

type Of<Tag extends Control["_tag"]> = Extract<Control, { readonly _tag: Tag }>

/** What became of an execution that was about to start. */
export type Verdict = "admitted" | "held-back" | "dropped"

interface Candidate {
  readonly executions: Executions.Executions
  readonly entry: Entry
  readonly step: Executions.Step
}

/** A control with the value that an execution has for it, and the name of both. */
interface Named<C extends Control = Control> {
  readonly control: C
  readonly name: string
}

/**
 * Lets an execution pass the controls of its task, or holds it back, or drops it. All are asked before it takes anything
 * from any of them.
 */
export const pass = (candidate: Candidate, controls: ReadonlyArray<Control>): Verdict => {
  const { entry, executions, step } = candidate
  const named = controls.map((control, i) => ({ control, name: nameOf(control.scope, entry.values?.[i] ?? "") }))
  const limit = named.find(isOf("Concurrency"))
  const rates = named.filter(isOf("RateLimit"))
  const cooldowns = named.filter(isOf("Cooldown"))
  const debounce = named.find(isOf("Debounce"))
  // Of a contract that has changed since.
  if (entry.admission.slot !== limit?.name) freeSlot(candidate)

  const open = cooldowns.find((cooldown) => isOpen(candidate, cooldown))
  if (open !== undefined) return drop(candidate, "Cooldown", open)
  if (debounce !== undefined && !entry.admission.passed) {
    const verdict = debounced(candidate, debounce)
    if (verdict !== "admitted") return verdict
  }
  const starts = rates.map((rate) => ({ rate, at: startOf(candidate, rate) }))
  leavePlans(candidate)
  const late = starts.filter(({ at }) => at > step.now)
  const dropping = late.find(({ rate }) => rate.control.onExceeded === "drop")
  if (dropping !== undefined && entry.attempt === 1) return drop(candidate, "RateLimit", dropping.rate)
  if (late.length > 0) {
    plan(
      candidate,
      rates,
      late.reduce((latest, { at }) => Math.max(latest, at), 0)
    )
    return "held-back"
  }
  if (limit !== undefined && !hasSlot(candidate, limit)) return "held-back"

  const { admission } = entry
  if (limit !== undefined) takeSlot(executions, limit, entry)
  admission.starts = new Map(rates.map((rate) => [rate.name, count(candidate, rate)]))
  // A redelivery does not open again what the execution has open.
  const opened = cooldowns.filter((cooldown) => openWindow(candidate, cooldown)).map(({ name }) => name)
  admission.windows = [...admission.windows, ...opened]
  if (admission.round !== undefined) executions.rounds.delete(admission.round)
  admission.round = undefined
  admission.passed = true
  return "admitted"
}

/** Takes from an execution that is not to start after all, or has ended, what it holds and what it waits for. */
export const leave = (executions: Executions.Executions, entry: Entry, step: Executions.Step): void => {
  if (entry.values === undefined) return
  const candidate = { executions, entry, step }
  const { admission } = entry
  leavePlans(candidate)
  if (admission.round !== undefined) {
    if (executions.rounds.get(admission.round)?.first === entry.key) executions.rounds.delete(admission.round)
    admission.round = undefined
  }
  if (admission.waits !== undefined) {
    const { waits } = admission
    Executions.detach(executions, entry)
    admission.waits = undefined
    handOn(executions, waits)
  }
  freeSlot(candidate)
}

/** Ends a run whose key goes on. One that does not count as a run gives back its starts and windows. */
export const end = (
  executions: Executions.Executions,
  entry: Entry,
  step: Executions.Step,
  { isUndone }: { readonly isUndone: boolean }
): void => {
  const { admission } = entry
  if (isUndone) {
    for (const [name, start] of admission.starts) executions.rates.get(name)?.starts.delete(start)
    for (const name of admission.windows) {
      // Another one may have opened it since.
      if (executions.windows.get(name)?.key === entry.key) executions.windows.delete(name)
    }
  }
  admission.starts = noStarts
  admission.windows = []
  leave(executions, entry, step)
}

/** Forgets what an earlier schedule of the key had to do with controls. */
export const forget = ({ admission }: Entry): void => {
  admission.starts = noStarts
  admission.windows = []
  admission.passed = false
  admission.dropped = undefined
}

/** Lets a running execution, whose key is scheduled anew, keep its slot until it ends. */
export const overtake = (executions: Executions.Executions, entry: Entry): void => {
  const { slot } = entry.admission
  if (slot === undefined) return
  executions.overtaken.set(holderOf(entry), { name: slot, lease: entry.lease, expires: entry.node?.at ?? 0 })
  entry.admission.slot = undefined
}

/** Frees the slot of a run that was overtaken, if it is still under its lease. */
export const endOvertaken = (executions: Executions.Executions, run: DocketStore.Lease): void => {
  const holder = holderOf(run)
  if (executions.overtaken.get(holder)?.lease === run.lease) freeOvertaken(executions, holder)
}

const freeOvertaken = (executions: Executions.Executions, holder: string) => {
  const overtaken = executions.overtaken.get(holder)
  if (overtaken === undefined) return
  executions.overtaken.delete(holder)
  executions.limits.get(overtaken.name)?.holders.delete(holder)
  handOn(executions, overtaken.name)
}

/** The last generation of a key of which a run goes on that was overtaken. There are few. */
export const lastOvertaken = (executions: Executions.Executions, key: string): number => {
  let last = 0
  for (const holder of executions.overtaken.keys()) {
    const split = holder.indexOf(":")
    if (holder.slice(split + 1) === key) last = Math.max(last, Number(holder.slice(0, split)))
  }
  return last
}

/** Frees the slots of overtaken runs whose workers fell silent. */
export const reclaimOvertaken = (executions: Executions.Executions, { now }: Executions.Step): void => {
  for (const [holder, { expires }] of executions.overtaken) {
    if (expires <= now) freeOvertaken(executions, holder)
  }
}

/** What keeps an execution from starting, or dropped it. */
export const hindranceOf = (
  executions: Executions.Executions,
  entry: Entry,
  { now }: Executions.Step
): DocketStore.Hindrance | undefined => {
  const { dropped, plans, round, waits } = entry.admission
  const named = (name: string) => split(name, entry.values)
  if (dropped !== undefined && entry.state === "cancelled") {
    const expires = dropped.by === "Cooldown" ? (executions.windows.get(dropped.name)?.expires ?? 0) : 0
    return { _tag: "Dropped", by: dropped.by, ...named(dropped.name), until: expires > now ? expires : undefined }
  }
  if (entry.apart === "held") return { _tag: "Held" }
  if (entry.state === "queued" && entry.place?.line === executions.aside.get(Executions.needsOf(entry)))
    return { _tag: "UnknownTask" }
  if (entry.state !== "scheduled") return undefined
  if (waits !== undefined) {
    const limit = executions.limits.get(waits)
    let ahead = 0
    for (let place = limit?.line.first; place !== undefined && place !== entry.place; place = place.after) ahead++
    const holders = Array.from(limit?.holders.values() ?? []).slice(0, 100)
    return { _tag: "Concurrency", ...named(waits), limit: limit?.limit ?? 0, holders, ahead }
  }
  if (plans[0] !== undefined) return { _tag: "RateLimit", ...named(plans[0]) }
  if (round !== undefined) return { _tag: "Debounce", ...named(round) }
  return undefined
}

const isOf =
  <Tag extends Control["_tag"]>(tag: Tag) =>
  (named: Named): named is Named<Of<Tag>> =>
    named.control._tag === tag

const holderOf = ({ generation, key }: { readonly generation: number; readonly key: string }) => `${generation}:${key}`

const drop = (
  { entry, executions, step }: Candidate,
  by: "RateLimit" | "Cooldown" | "Debounce",
  { name }: Named
): Verdict => {
  leave(executions, entry, step)
  entry.admission.dropped = { by, name }
  Executions.settle(executions, entry, "cancelled", step)
  return "dropped"
}

// Cooldown: whether another execution's window is open.
const isOpen = ({ entry, executions, step }: Candidate, { name }: Named) => {
  const window = executions.windows.get(name)
  return window !== undefined && window.expires > step.now && !(window.key === entry.key && entry.admission.passed)
}

const openWindow = ({ entry, executions, step }: Candidate, { control, name }: Named<Of<"Cooldown">>) => {
  const window = executions.windows.get(name)
  if (window !== undefined && window.expires > step.now) return false
  executions.windows.set(name, { key: entry.key, expires: step.now + control.windowMillis })
  return true
}

// Debounce: the first submission waits for quiet, the others make it wait anew.
const debounced = (candidate: Candidate, debounce: Named<Of<"Debounce">>): Verdict => {
  const { entry, executions, step } = candidate
  const { control, name } = debounce
  const present = executions.rounds.get(name)
  const round = present === undefined || present.expires <= step.now ? undefined : present
  if (entry.admission.round === name && (round === undefined || round.first === entry.key)) {
    // A round of its own that has expired is long over.
    if (round === undefined || round.due <= step.now) return "admitted"
    later(candidate, round.due)
    return "held-back"
  }
  const due = step.now + control.settleMillis
  const expires = step.now + 10 * control.settleMillis
  if (round === undefined || round.first === entry.key) {
    const deadline = step.now + (control.maximumMillis ?? Number.POSITIVE_INFINITY)
    const first = { first: entry.key, due: Math.min(due, deadline), deadline, expires }
    executions.rounds.set(name, first)
    later(candidate, first.due)
    entry.admission.round = name
    return "held-back"
  }
  round.due = Math.min(due, round.deadline)
  round.expires = expires
  const first = executions.entries.get(round.first)
  // One that a rate limit makes wait beyond its round keeps its time.
  if (first?.admission.plans.length === 0) Executions.reschedule(executions, first, round.due)
  return drop(candidate, "Debounce", debounce)
}

// Rate limit: when the execution may start, as far as one limit is concerned.
const startOf = ({ entry, executions, step }: Candidate, { control, name }: Named<Of<"RateLimit">>): number => {
  const rate = executions.rates.get(name)
  if (rate === undefined) return 0
  for (const start of rate.starts) {
    if (start.at > step.now - control.perMillis) break
    rate.starts.delete(start)
  }
  if (isCounted(rate, entry.admission.starts.get(name))) return 0
  const isPlanned = rate.plans.has(entry.key)
  if (isPlanned && rate.starts.size < control.limit) return 0
  // What was planned for a time that is over will start now, at the earliest.
  const others = Array.from(rate.plans).flatMap(([key, at]) => (key === entry.key ? [] : [Math.max(at, step.now)]))
  const all = [...Array.from(rate.starts, ({ at }) => at), ...others.toSorted((a, b) => a - b)]
  const oldest = all[all.length - control.limit]
  return oldest === undefined ? 0 : oldest + control.perMillis
}

const leavePlans = ({ entry, executions }: Candidate) => {
  for (const name of entry.admission.plans) executions.rates.get(name)?.plans.delete(entry.key)
  entry.admission.plans = []
}

const plan = (candidate: Candidate, rates: ReadonlyArray<Named<Of<"RateLimit">>>, at: number) => {
  const { entry, executions } = candidate
  later(candidate, at)
  for (const { control, name } of rates) rateOf(executions, name, at + 2 * control.perMillis).plans.set(entry.key, at)
  entry.admission.plans = rates.map(({ name }) => name)
}

const count = ({ entry, executions, step }: Candidate, { control, name }: Named<Of<"RateLimit">>): Start => {
  const rate = rateOf(executions, name, step.now + 2 * control.perMillis)
  const known = entry.admission.starts.get(name)
  if (isCounted(rate, known)) return known
  const start = { at: step.now }
  rate.starts.add(start)
  return start
}

const isCounted = ({ starts }: Executions.Rate, start: Start | undefined): start is Start =>
  start !== undefined && starts.has(start)

const rateOf = (executions: Executions.Executions, name: string, expires: number) => {
  const known = executions.rates.get(name)
  const rate = known ?? { starts: new Set(), plans: new Map(), expires }
  if (known === undefined) executions.rates.set(name, rate)
  rate.expires = Math.max(rate.expires, expires)
  return rate
}

/** Holds an execution back until a moment; it keeps no slot meanwhile. */
const later = (candidate: Candidate, due: number) => {
  const { entry, executions, step } = candidate
  leavePlans(candidate)
  freeSlot(candidate)
  entry.generation++
  Executions.putOff(executions, entry, { _tag: "At", epochMillis: due }, step)
}

// Concurrency: an execution that finds no slot stands in line for one.
const hasSlot = ({ entry, executions }: Candidate, { control, name }: Named<Of<"Concurrency">>): boolean => {
  const limit = executions.limits.get(name)
  if (limit === undefined) return true
  limit.limit = control.limit
  if (limit.holders.has(holderOf(entry))) return true
  if (limit.holders.size < control.limit && limit.line.size === 0) return true
  Executions.holdBack(executions, entry, "waiting", limit.line)
  entry.admission.waits = name
  handOn(executions, name)
  return false
}

const takeSlot = (executions: Executions.Executions, { control, name }: Named<Of<"Concurrency">>, entry: Entry) => {
  const known = executions.limits.get(name)
  const limit = known ?? { limit: control.limit, holders: new Map(), line: Line.make() }
  if (known === undefined) executions.limits.set(name, limit)
  limit.holders.set(holderOf(entry), entry.key)
  entry.admission.slot = name
}

const freeSlot = ({ entry, executions }: Candidate) => {
  const { slot } = entry.admission
  if (slot === undefined) return
  entry.admission.slot = undefined
  executions.limits.get(slot)?.holders.delete(holderOf(entry))
  handOn(executions, slot)
}

/** Gives free slots to those that wait longest, and forgets a limit that nobody has to do with. */
const handOn = (executions: Executions.Executions, name: string) => {
  const limit = executions.limits.get(name)
  if (limit === undefined) return
  while (limit.holders.size < limit.limit) {
    const next = limit.line.first?.value
    if (next === undefined) break
    next.admission.waits = undefined
    Executions.letGo(executions, next, executions.front)
    next.admission.slot = name
    limit.holders.set(holderOf(next), next.key)
  }
  if (limit.holders.size === 0 && limit.line.size === 0) executions.limits.delete(name)
}
