/** Admission: whether an execution may start now, what it takes when it does, and who is next when it gives that back. */
import { type Control, nameOf, split } from "../../Admission.ts"
import type * as DocketStore from "../../DocketStore.ts"
import { query } from "./Connection.ts"
import * as Executions from "./Executions.ts"
import * as Row from "./Row.ts"
import type { Step } from "./Step.ts"

type Of<Tag extends Control["_tag"]> = Extract<Control, { readonly _tag: Tag }>

/** What became of an execution that was about to start. */
export type Verdict = "admitted" | "held-back" | "dropped"

/** A control with the value that an execution has for it, and the name of both. */
interface Named<C extends Control = Control> {
  readonly control: C
  readonly name: string
}

/** What the controls of a task have to do with an execution; controls by the name of their scope and value. */
interface Admission {
  /** The limit of which it has a slot. */
  slot: string | null
  /** The limit for a slot of which it waits. */
  waits: string | null
  /** The rate limits in which it has a start in the future. */
  plans: ReadonlyArray<string>
  /** The debounce whose round it opened. */
  round: string | null
  /** The starts of its present run: the rate limits that count them, and the rows that do. */
  starts: ReadonlyArray<readonly [name: string, id: number]>
  /** The cooldowns that its present run opened. */
  windows: ReadonlyArray<string>
  /** Whether it was admitted before, in this schedule. */
  passed: boolean
  /** The control that dropped it. */
  dropped: { readonly by: "RateLimit" | "Cooldown" | "Debounce"; readonly name: string } | null
}

const noAdmission: Admission = {
  slot: null,
  waits: null,
  plans: [],
  round: null,
  starts: [],
  windows: [],
  passed: false,
  dropped: null
}

// Written by `write`, and by nothing else.
const admissionOf = ({ admission }: Row.Row): Admission =>
  admission === null ? { ...noAdmission } : (JSON.parse(admission) as Admission)

const write = (row: Row.Row, change: Partial<Admission>): void => {
  row.admission = JSON.stringify({ ...admissionOf(row), ...change })
}

/** The values of a task's controls, as far as anyone has found them. */
export const valuesOf = ({ controlValues }: Row.Row): ReadonlyArray<string> | undefined =>
  controlValues === null ? undefined : (JSON.parse(controlValues) as ReadonlyArray<string>)

/** Whether an execution has a slot of a limit. */
export const hasSlot = (row: Row.Row): boolean => row.admission !== null && admissionOf(row).slot !== null

/**
 * Lets an execution pass the controls of its task, or holds it back, or drops it. All are asked before it takes anything
 * from any of them.
 */
export const pass = (step: Step, row: Row.Row, controls: ReadonlyArray<Control>): Verdict => {
  const values = valuesOf(row)
  const named = controls.map((control, i) => ({ control, name: nameOf(control.scope, values?.[i] ?? "") }))
  const limit = named.find(isOf("Concurrency"))
  const rates = named.filter(isOf("RateLimit"))
  const cooldowns = named.filter(isOf("Cooldown"))
  const debounce = named.find(isOf("Debounce"))
  // Of a contract that has changed since.
  if (admissionOf(row).slot !== (limit?.name ?? null)) freeSlot(step, row)

  const open = cooldowns.find((cooldown) => isOpen(step, row, cooldown))
  if (open !== undefined) return drop(step, row, "Cooldown", open)
  if (debounce !== undefined && !admissionOf(row).passed) {
    const verdict = debounced(step, row, debounce)
    if (verdict !== "admitted") return verdict
  }
  const starts = rates.map((rate) => ({ rate, at: startOf(step, row, rate) }))
  leavePlans(step, row)
  const late = starts.filter(({ at }) => at > step.now)
  const dropping = late.find(({ rate }) => rate.control.onExceeded === "drop")
  if (dropping !== undefined && row.attempt === 1) return drop(step, row, "RateLimit", dropping.rate)
  if (late.length > 0) {
    const at = late.reduce((latest, { at }) => Math.max(latest, at), 0)
    plan(step, row, rates, at)
    return "held-back"
  }
  if (limit !== undefined && !findSlot(step, row, limit)) return "held-back"

  const { round, windows } = admissionOf(row)
  if (limit !== undefined) takeSlot(step, row, limit)
  if (round !== null) step.sql.run(closeRound, step.docket.id, round)
  write(row, {
    starts: rates.map((rate) => [rate.name, countStart(step, row, rate)]),
    // A redelivery does not open again what the execution has open.
    windows: [...windows, ...cooldowns.filter((cooldown) => openWindow(step, row, cooldown)).map(({ name }) => name)],
    round: null,
    passed: true
  })
  saveAdmission(step, row)
  return "admitted"
}

const keepAdmission = query<[admission: string | null, id: number]>(
  `UPDATE docket_executions SET admission = ? WHERE id = ?`
)

const saveAdmission = ({ sql }: Step, row: Row.Row) => void sql.run(keepAdmission, row.admission, row.id)

/** Takes from an execution that is not to start after all, or has ended, what it holds and what it waits for. */
export const leave = (step: Step, row: Row.Row): void => {
  if (row.admission === null) return
  leavePlans(step, row)
  const { round, waits } = admissionOf(row)
  if (round !== null) {
    const { docket, sql } = step
    if (sql.get(findRound, docket.id, round)?.first === row.key) sql.run(closeRound, docket.id, round)
    write(row, { round: null })
  }
  if (waits !== null) {
    write(row, { waits: null })
    Executions.detach(step, row)
    handOn(step, waits)
  }
  freeSlot(step, row)
}

const forgetStart = query<[id: number]>(`DELETE FROM docket_starts WHERE id = ?`)
const closeWindow = query<[docket: number, name: string, key: string]>(
  `DELETE FROM docket_windows WHERE docket = ? AND name = ? AND key = ?`
)

/** Ends a run whose key goes on. One that does not count as a run gives back its starts and windows. */
export const end = (step: Step, row: Row.Row, { isUndone }: { readonly isUndone: boolean }): void => {
  if (row.admission === null) return
  const { starts, windows } = admissionOf(row)
  if (isUndone) {
    for (const [, id] of starts) step.sql.run(forgetStart, id)
    // Another one may have opened it since.
    for (const name of windows) step.sql.run(closeWindow, step.docket.id, name, row.key)
  }
  write(row, { starts: [], windows: [] })
  leave(step, row)
}

/** Forgets what an earlier schedule of the key had to do with controls. */
export const forget = (row: Row.Row): void => {
  row.admission = null
}

const noteOvertaken = query<
  [docket: number, key: string, generation: number, name: string, lease: string, expires: number]
>(`INSERT OR REPLACE INTO docket_overtaken (docket, key, generation, name, lease, expires) VALUES (?, ?, ?, ?, ?, ?)`)

/** Lets a running execution, whose key is scheduled anew, keep its slot until it ends. */
export const overtake = ({ docket, sql }: Step, row: Row.Row): void => {
  if (row.admission === null) return
  const { slot } = admissionOf(row)
  if (slot === null) return
  docket.overtaken++
  sql.run(noteOvertaken, docket.id, row.key, row.generation, slot, row.lease ?? "", row.at)
  write(row, { slot: null })
}

interface Overtaken {
  readonly key: string
  readonly generation: number
  readonly name: string
  readonly lease: string
  readonly expires: number
}

const findOvertaken = query<[docket: number, key: string, generation: number], Overtaken>(
  `SELECT key, generation, name, lease, expires FROM docket_overtaken WHERE docket = ? AND key = ? AND generation = ?`
)
const forgetOvertaken = query<[docket: number, key: string, generation: number]>(
  `DELETE FROM docket_overtaken WHERE docket = ? AND key = ? AND generation = ?`
)
const expiredOvertaken = query<[docket: number, now: number], Overtaken>(
  `SELECT key, generation, name, lease, expires FROM docket_overtaken WHERE docket = ? AND expires <= ?`
)
const extendOvertaken = query<[expires: number, docket: number, key: string, generation: number]>(
  `UPDATE docket_overtaken SET expires = ? WHERE docket = ? AND key = ? AND generation = ?`
)
const lastGeneration = query<[docket: number, key: string], { readonly generation: number | null }>(
  `SELECT max(generation) AS generation FROM docket_overtaken WHERE docket = ? AND key = ?`
)
const firstExpiry = query<[docket: number], { readonly expires: number | null }>(
  `SELECT min(expires) AS expires FROM docket_overtaken WHERE docket = ?`
)

/** Frees the slot of a run that was overtaken, if it is still under its lease. */
export const endOvertaken = (step: Step, { generation, key, lease }: DocketStore.Lease): void => {
  if (step.docket.overtaken === 0) return
  const overtaken = step.sql.get(findOvertaken, step.docket.id, key, generation)
  if (overtaken?.lease === lease) freeOvertaken(step, overtaken)
}

const freeOvertaken = (step: Step, { generation, key, name }: Overtaken) => {
  step.docket.overtaken--
  step.sql.run(forgetOvertaken, step.docket.id, key, generation)
  step.sql.run(leaveSlot, step.docket.id, name, key, generation)
  handOn(step, name)
}

/** Lets the slot of an overtaken run live on. Tells whether it has one, or whether another worker took the run over. */
export const renewOvertaken = (
  { docket, sql }: Step,
  { generation, key, lease }: DocketStore.Lease,
  expires: number
): "overtaken" | "lost" | undefined => {
  if (docket.overtaken === 0) return undefined
  const overtaken = sql.get(findOvertaken, docket.id, key, generation)
  if (overtaken === undefined) return undefined
  if (overtaken.lease !== lease) return "lost"
  sql.run(extendOvertaken, expires, docket.id, key, generation)
  return "overtaken"
}

/** The last generation of a key of which a run goes on that was overtaken. */
export const lastOvertaken = ({ docket, sql }: Step, key: string): number =>
  docket.overtaken === 0 ? 0 : (sql.get(lastGeneration, docket.id, key)?.generation ?? 0)

/** Frees the slots of overtaken runs whose workers fell silent. */
export const reclaimOvertaken = (step: Step): void => {
  if (step.docket.overtaken === 0) return
  for (const overtaken of step.sql.all(expiredOvertaken, step.docket.id, step.now)) freeOvertaken(step, overtaken)
}

/** When the first slot of an overtaken run expires. */
export const overtakenUntil = ({ docket, sql }: Step): number | undefined =>
  docket.overtaken === 0 ? undefined : (sql.get(firstExpiry, docket.id)?.expires ?? undefined)

const holdersOf = query<[docket: number, name: string, limit: number], { readonly key: string }>(
  `SELECT key FROM docket_slots WHERE docket = ? AND name = ? LIMIT ?`
)

/** What keeps an execution from starting, or dropped it. */
export const hindranceOf = (step: Step, row: Row.Row): DocketStore.Hindrance | undefined => {
  if (row.place === "held") return { _tag: "Held" }
  if (row.place === "aside") return { _tag: "UnknownTask" }
  if (row.admission === null) return undefined
  const { docket, now, sql } = step
  const { dropped, plans, round, waits } = admissionOf(row)
  const named = (name: string) => split(name, valuesOf(row))
  if (dropped !== null && row.state === "cancelled") {
    const expires = dropped.by === "Cooldown" ? (sql.get(findWindow, docket.id, dropped.name)?.expires ?? 0) : 0
    return { _tag: "Dropped", by: dropped.by, ...named(dropped.name), until: expires > now ? expires : undefined }
  }
  if (row.state !== "scheduled") return undefined
  if (waits !== null) {
    const holders = sql.all(holdersOf, docket.id, waits, 100).map(({ key }) => key)
    const limit = sql.get(findLimit, docket.id, waits)?.capacity ?? 0
    return { _tag: "Concurrency", ...named(waits), limit, holders, ahead: Row.before(step, row, 10_000) }
  }
  if (plans[0] !== undefined) return { _tag: "RateLimit", ...named(plans[0]) }
  if (round !== null) return { _tag: "Debounce", ...named(round) }
  return undefined
}

const isOf =
  <Tag extends Control["_tag"]>(tag: Tag) =>
  (named: Named): named is Named<Of<Tag>> =>
    named.control._tag === tag

const drop = (step: Step, row: Row.Row, by: "RateLimit" | "Cooldown" | "Debounce", { name }: Named): Verdict => {
  leave(step, row)
  write(row, { dropped: { by, name } })
  Executions.settle(step, row, "cancelled")
  return "dropped"
}

// Cooldown: whether another execution's window is open.
const findWindow = query<[docket: number, name: string], { readonly key: string; readonly expires: number }>(
  `SELECT key, expires FROM docket_windows WHERE docket = ? AND name = ?`
)
const keepWindow = query<[docket: number, name: string, key: string, expires: number]>(
  `INSERT OR REPLACE INTO docket_windows (docket, name, key, expires) VALUES (?, ?, ?, ?)`
)

const isOpen = ({ docket, now, sql }: Step, row: Row.Row, { name }: Named) => {
  const window = sql.get(findWindow, docket.id, name)
  return window !== undefined && window.expires > now && !(window.key === row.key && admissionOf(row).passed)
}

const openWindow = ({ docket, now, sql }: Step, row: Row.Row, { control, name }: Named<Of<"Cooldown">>) => {
  const window = sql.get(findWindow, docket.id, name)
  if (window !== undefined && window.expires > now) return false
  sql.run(keepWindow, docket.id, name, row.key, now + control.windowMillis)
  return true
}

// Debounce: the first submission waits for quiet, the others make it wait anew.
interface Round {
  readonly first: string
  readonly due: number
  readonly deadline: number
  readonly expires: number
}

const findRound = query<[docket: number, name: string], Round>(
  `SELECT first, due, deadline, expires FROM docket_rounds WHERE docket = ? AND name = ?`
)
const keepRound = query<[docket: number, name: string, first: string, due: number, deadline: number, expires: number]>(
  `INSERT OR REPLACE INTO docket_rounds (docket, name, first, due, deadline, expires) VALUES (?, ?, ?, ?, ?, ?)`
)
const closeRound = query<[docket: number, name: string]>(`DELETE FROM docket_rounds WHERE docket = ? AND name = ?`)

const debounced = (step: Step, row: Row.Row, debounce: Named<Of<"Debounce">>): Verdict => {
  const { docket, now, sql } = step
  const { control, name } = debounce
  const present = sql.get(findRound, docket.id, name)
  const round = present === undefined || present.expires <= now ? undefined : present
  if (admissionOf(row).round === name && (round === undefined || round.first === row.key)) {
    // A round of its own that has expired is long over.
    if (round === undefined || round.due <= now) return "admitted"
    later(step, row, round.due)
    return "held-back"
  }
  const due = now + control.settleMillis
  const expires = now + 10 * control.settleMillis
  if (round === undefined || round.first === row.key) {
    const deadline = now + (control.maximumMillis ?? 8.64e15)
    const firstDue = Math.min(due, deadline)
    sql.run(keepRound, docket.id, name, row.key, firstDue, deadline, expires)
    write(row, { round: name })
    later(step, row, firstDue)
    return "held-back"
  }
  const settled = Math.min(due, round.deadline)
  sql.run(keepRound, docket.id, name, round.first, settled, round.deadline, expires)
  const first = Row.lookup(step, round.first)
  // One that a rate limit makes wait beyond its round keeps its time.
  if (first !== undefined && admissionOf(first).plans.length === 0) Executions.reschedule(step, first, settled)
  return drop(step, row, "Debounce", debounce)
}

// Rate limit: when the execution may start, as far as one limit is concerned.
const forgetStarts = query<[docket: number, name: string, until: number]>(
  `DELETE FROM docket_starts WHERE docket = ? AND name = ? AND at <= ?`
)
const startsOf = query<[docket: number, name: string], { readonly at: number }>(
  `SELECT at FROM docket_starts WHERE docket = ? AND name = ? ORDER BY at, id`
)
const findStart = query<[id: number], { readonly id: number }>(`SELECT id FROM docket_starts WHERE id = ?`)
const addStart = query<[docket: number, name: string, at: number, expires: number], { readonly id: number }>(
  `INSERT INTO docket_starts (docket, name, at, expires) VALUES (?, ?, ?, ?) RETURNING id`
)
const plansOf = query<[docket: number, name: string], { readonly key: string; readonly at: number }>(
  `SELECT key, at FROM docket_plans WHERE docket = ? AND name = ?`
)
const addPlan = query<[docket: number, name: string, key: string, at: number]>(
  `INSERT OR REPLACE INTO docket_plans (docket, name, key, at) VALUES (?, ?, ?, ?)`
)
const forgetPlan = query<[docket: number, name: string, key: string]>(
  `DELETE FROM docket_plans WHERE docket = ? AND name = ? AND key = ?`
)

const countedStart = ({ sql }: Step, row: Row.Row, name: string): number | undefined => {
  const known = admissionOf(row).starts.find(([rate]) => rate === name)
  return known === undefined ? undefined : sql.get(findStart, known[1])?.id
}

const startOf = (step: Step, row: Row.Row, { control, name }: Named<Of<"RateLimit">>): number => {
  const { docket, now, sql } = step
  sql.run(forgetStarts, docket.id, name, now - control.perMillis)
  if (countedStart(step, row, name) !== undefined) return 0
  const starts = sql.all(startsOf, docket.id, name).map(({ at }) => at)
  const plans = sql.all(plansOf, docket.id, name)
  if (plans.some(({ key }) => key === row.key) && starts.length < control.limit) return 0
  // What was planned for a time that is over will start now, at the earliest.
  const others = plans.filter(({ key }) => key !== row.key).map(({ at }) => Math.max(at, now))
  const all = [...starts, ...others.toSorted((a, b) => a - b)]
  const oldest = all[all.length - control.limit]
  return oldest === undefined ? 0 : oldest + control.perMillis
}

const leavePlans = ({ docket, sql }: Step, row: Row.Row) => {
  const { plans } = admissionOf(row)
  if (plans.length === 0) return
  for (const name of plans) sql.run(forgetPlan, docket.id, name, row.key)
  write(row, { plans: [] })
}

const plan = (step: Step, row: Row.Row, rates: ReadonlyArray<Named<Of<"RateLimit">>>, at: number) => {
  for (const { name } of rates) step.sql.run(addPlan, step.docket.id, name, row.key, at)
  freeSlot(step, row)
  write(row, { plans: rates.map(({ name }) => name) })
  later(step, row, at)
}

const countStart = (step: Step, row: Row.Row, { control, name }: Named<Of<"RateLimit">>): number => {
  const { docket, now, sql } = step
  return countedStart(step, row, name) ?? sql.get(addStart, docket.id, name, now, now + 2 * control.perMillis)?.id ?? 0
}

/** Holds an execution back until a moment; it keeps no slot meanwhile. */
const later = (step: Step, row: Row.Row, due: number) => {
  freeSlot(step, row)
  row.generation++
  Executions.putOff(step, row, { _tag: "At", epochMillis: due })
}

// Concurrency: an execution that finds no slot stands in line for one.
const findLimit = query<[docket: number, name: string], { readonly capacity: number }>(
  `SELECT capacity FROM docket_limits WHERE docket = ? AND name = ?`
)
const keepLimit = query<[docket: number, name: string, capacity: number]>(
  `INSERT OR REPLACE INTO docket_limits (docket, name, capacity) VALUES (?, ?, ?)`
)
const forgetLimit = query<[docket: number, name: string]>(`DELETE FROM docket_limits WHERE docket = ? AND name = ?`)
const findHolder = query<[docket: number, name: string, key: string, generation: number], { readonly key: string }>(
  `SELECT key FROM docket_slots WHERE docket = ? AND name = ? AND key = ? AND generation = ?`
)
const countHolders = query<[docket: number, name: string], { readonly count: number }>(
  `SELECT count(*) AS count FROM docket_slots WHERE docket = ? AND name = ?`
)
const enterSlot = query<[docket: number, name: string, key: string, generation: number]>(
  `INSERT OR IGNORE INTO docket_slots (docket, name, key, generation) VALUES (?, ?, ?, ?)`
)
const leaveSlot = query<[docket: number, name: string, key: string, generation: number]>(
  `DELETE FROM docket_slots WHERE docket = ? AND name = ? AND key = ? AND generation = ?`
)

const findSlot = (step: Step, row: Row.Row, { control, name }: Named<Of<"Concurrency">>): boolean => {
  const { docket, sql } = step
  const limit = sql.get(findLimit, docket.id, name)
  if (limit === undefined) return true
  if (limit.capacity !== control.limit) sql.run(keepLimit, docket.id, name, control.limit)
  if (sql.get(findHolder, docket.id, name, row.key, row.generation) !== undefined) return true
  const holders = sql.get(countHolders, docket.id, name)?.count ?? 0
  if (holders < control.limit && Row.first(step, "waiting", name, 1).length === 0) return true
  write(row, { waits: name })
  Executions.holdBack(step, row, "waiting", name)
  handOn(step, name)
  return false
}

const takeSlot = ({ docket, sql }: Step, row: Row.Row, { control, name }: Named<Of<"Concurrency">>) => {
  if (sql.get(findLimit, docket.id, name) === undefined) sql.run(keepLimit, docket.id, name, control.limit)
  sql.run(enterSlot, docket.id, name, row.key, row.generation)
  write(row, { slot: name })
}

const freeSlot = (step: Step, row: Row.Row) => {
  const { slot } = admissionOf(row)
  if (slot === null) return
  write(row, { slot: null })
  step.sql.run(leaveSlot, step.docket.id, slot, row.key, row.generation)
  handOn(step, slot)
}

/** Gives free slots to those that wait longest, and forgets a limit that nobody has to do with. */
const handOn = (step: Step, name: string) => {
  const { docket, sql } = step
  const limit = sql.get(findLimit, docket.id, name)
  if (limit === undefined) return
  let holders = sql.get(countHolders, docket.id, name)?.count ?? 0
  while (holders < limit.capacity) {
    const next = Row.first(step, "waiting", name, 1)[0]
    if (next === undefined) break
    write(next, { waits: null, slot: name })
    Executions.letGo(step, next, "front")
    sql.run(enterSlot, docket.id, name, next.key, next.generation)
    holders++
  }
  if (holders === 0 && Row.first(step, "waiting", name, 1).length === 0) sql.run(forgetLimit, docket.id, name)
}

const sweeps = ["docket_starts", "docket_windows", "docket_rounds"].map((table) =>
  query<[docket: number, now: number]>(`DELETE FROM ${table} WHERE docket = ? AND expires <= ?`)
)
const sweepSuspects = query<[docket: number, now: number]>(
  `DELETE FROM docket_suspects WHERE docket = ? AND expires <= ?`
)

/** Forgets what no longer matters. */
export const sweep = ({ docket, now, sql }: Step): void => {
  for (const sweep of [...sweeps, sweepSuspects]) sql.run(sweep, docket.id, now)
}
