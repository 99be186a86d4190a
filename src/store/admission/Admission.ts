/**
 * Whether an execution may start now, what it takes when it does, and where it waits when it may not. The same decisions on
 * every store that keeps ordered sets and hashes.
 */
import { type Contract, type Control, split } from "../../Admission.ts"
import type * as DocketStore from "../../DocketStore.ts"
import * as Gates from "./Gates.ts"
import { first, type Keep } from "./Keep.ts"
import * as Lines from "./Lines.ts"
import { type Candidate, type Dropped, holderOf } from "./Standing.ts"

type Of<Tag extends Control["_tag"]> = Extract<Control, { readonly _tag: Tag }>

/**
 * What became of an execution that was about to start: it is admitted; it waits in a line, since a debounce of its own perhaps
 * not before `due`; or it is to be dropped, and if that was the submission of a round, its first one is due later.
 */
export type Verdict =
  | { readonly _tag: "Admitted" }
  | { readonly _tag: "Waits"; readonly due: number | undefined }
  | {
      readonly _tag: "Dropped"
      readonly dropped: Dropped
      readonly postponed: { readonly key: string; readonly due: number } | undefined
    }

/** An execution that is about to start. */
export interface Starting extends Candidate {
  /** The line in which it waits where it has to. */
  readonly ownLine: string
  /** What its start is known by: nothing else has that id. */
  readonly id: string
  readonly values: ReadonlyArray<string>
}

interface Passing<C extends Control = Control> {
  readonly control: C
  readonly gate: string
}

/**
 * Lets an execution pass the controls of its task, or lets it wait, or says that it is to be dropped. All are asked before it
 * takes anything from any of them.
 */
export const pass = (keep: Keep, starting: Starting, controls: ReadonlyArray<Control>): Verdict => {
  const { key, standing, values } = starting
  const all = controls.map((control, i) => ({ control, gate: Gates.idOf(control, values[i] ?? "") }))
  const cooldowns = all.filter(isOf("Cooldown"))
  const debounce = all.find(isOf("Debounce"))
  const rates = all.filter(isOf("RateLimit"))
  const slots = all.filter(isOf("Concurrency"))

  // What began once in this schedule is not dropped any more, whoever has started since.
  if (!standing.passed) {
    const open = cooldowns.find(({ gate }) => Gates.isWindowOpen(keep, Gates.nameIn(gate)))
    if (open !== undefined) return drop("Cooldown", open.gate)
    if (debounce !== undefined && !standing.quiet) {
      const verdict = debounced(keep, starting, debounce)
      if (verdict !== undefined) return verdict
    }
    const full = rates.find(({ control, gate }) => control.onExceeded === "drop" && !Gates.isOpen(keep, gate, 1))
    if (full !== undefined) return drop("RateLimit", full.gate)
  }
  const gates = new Set([...slots, ...rates].map(({ gate }) => gate))
  for (const gate of gates) {
    if (!isBarred(keep, starting, gate)) continue
    waitAt(keep, starting, starting.ownLine, gate)
    return { _tag: "Waits", due: undefined }
  }

  standing.slots = Array.from(gates).filter((gate) => gate.startsWith("s"))
  for (const gate of standing.slots) Gates.takeSlot(keep, gate, holderOf(starting), 1)
  standing.starts = Array.from(gates)
    .filter((gate) => gate.startsWith("r"))
    .map((gate) => [gate, keptStart(keep, starting, gate) ?? Gates.start(keep, gate, starting.id, 1)] as const)
  for (const { control, gate } of cooldowns) {
    const name = Gates.nameIn(gate)
    if (Gates.isWindowOpen(keep, name)) continue
    Gates.openWindow(keep, name, key, control.windowMillis)
    standing.windows = [...standing.windows, name]
  }
  endRound(keep, starting)
  standing.passed = true
  Lines.leave(keep, starting)
  return { _tag: "Admitted" }
}

const isOf =
  <Tag extends Control["_tag"]>(tag: Tag) =>
  (passing: Passing): passing is Passing<Of<Tag>> =>
    passing.control._tag === tag

const drop = (
  by: Dropped["by"],
  gate: string,
  postponed?: { readonly key: string; readonly due: number }
): Verdict => ({
  _tag: "Dropped",
  dropped: { by, name: Gates.nameIn(gate) },
  postponed
})

/** The first submission waits for quiet, the others make it wait anew. */
const debounced = (keep: Keep, starting: Starting, { control, gate }: Passing<Of<"Debounce">>): Verdict | undefined => {
  const { key, standing } = starting
  const { now } = keep
  const round = Gates.roundOf(keep, gate)
  const quiet = now + control.settleMillis
  const ends = now + 10 * control.settleMillis
  // It waits apart from those of its line that have waited for quiet.
  const line = `${starting.ownLine}d`
  if (standing.round === gate && (round === undefined || round.first === key)) {
    // A round of its own that has expired is long over.
    if (round !== undefined && round.due > now) {
      waitAt(keep, starting, line, gate)
      return { _tag: "Waits", due: round.due }
    }
    standing.quiet = true
    Lines.leave(keep, starting)
    return undefined
  }
  if (round === undefined || round.first === key) {
    const deadline = now + (control.maximumMillis ?? Number.POSITIVE_INFINITY)
    const due = Math.min(quiet, deadline)
    Gates.putRound(keep, gate, { first: key, due, deadline }, ends)
    standing.round = gate
    waitAt(keep, starting, line, gate)
    return { _tag: "Waits", due }
  }
  const due = Math.min(quiet, round.deadline)
  Gates.putRound(keep, gate, { ...round, due }, ends)
  Gates.wake(keep, gate)
  return drop("Debounce", gate, { key: round.first, due })
}

/** Whether a gate keeps an execution from starting: it is closed, or others wait there that come before it. */
const isBarred = (keep: Keep, starting: Starting, gate: string): boolean => {
  if (keptStart(keep, starting, gate) !== undefined) return false
  if (!Gates.isOpen(keep, gate, 1)) return true
  const head = first(keep, `at:${gate}`)
  return head !== undefined && head.score < starting.score
}

/** The start that a run which was given back has still. */
const keptStart = (keep: Keep, { standing }: Starting, gate: string): string | undefined =>
  standing.starts.find(([of, member]) => of === gate && Gates.isCounted(keep, gate, member))?.[1]

/** Lets an execution wait at a gate: the line as a whole whose head it is, else only itself, in its line. */
const waitAt = (keep: Keep, starting: Starting, line: string, gate: string) => {
  if (starting.standing.line === line) Lines.move(keep, line, gate)
  else {
    Lines.leave(keep, starting)
    Lines.enter(keep, starting, line, gate)
    // Where a line waits is for its head to say.
    if (first(keep, `line:${line}`)?.member === starting.key) Lines.move(keep, line, gate)
  }
  if (Gates.isOpen(keep, gate, 1)) Gates.wake(keep, gate)
  else Gates.shut(keep, gate, 1)
}

const endRound = (keep: Keep, { key, standing }: Candidate) => {
  if (standing.round !== undefined) Gates.endRound(keep, standing.round, key)
  standing.round = undefined
}

/** Takes from an execution that is not to start after all, or has ended, what it holds and where it waits. */
export const leave = (keep: Keep, candidate: Candidate): void => {
  Lines.leave(keep, candidate)
  endRound(keep, candidate)
  freeSlots(keep, candidate)
}

/** Gives back the slots of a run. */
export const freeSlots = (keep: Keep, candidate: Candidate): void => {
  const { slots } = candidate.standing
  candidate.standing.slots = []
  for (const gate of slots) Gates.freeSlot(keep, gate, holderOf(candidate))
}

/**
 * Takes from a run whose key goes on what it holds. Its starts and windows are undone if it does not count as a run, and kept,
 * for its next start, when it was given back.
 */
export const end = (keep: Keep, candidate: Candidate, starts: "stay" | "undone" | "kept"): void => {
  const { standing } = candidate
  if (starts === "undone") {
    for (const [gate, member] of standing.starts) {
      Gates.undo(keep, gate, member)
      Gates.wake(keep, gate)
    }
    for (const name of standing.windows) Gates.undoWindow(keep, name, candidate.key)
  }
  if (starts !== "kept") {
    standing.starts = []
    standing.windows = []
  }
  leave(keep, candidate)
}

/** Forgets what an earlier schedule of the key had to do with controls. */
export const forget = ({ standing }: Pick<Candidate, "standing">): void => {
  standing.starts = []
  standing.windows = []
  standing.quiet = false
  standing.passed = false
  standing.dropped = undefined
}

/**
 * Takes note of what a session says of its tasks: from now on that holds. What waits where something has changed is looked at
 * anew.
 */
export const tell = (
  keep: Keep,
  session: { readonly tasks: ReadonlySet<string> | "any"; readonly contracts: ReadonlyMap<string, Contract> },
  taskOf: (key: string) => string | undefined
): void => {
  const { hashes } = keep
  const tasks = new Set<string>()
  const scopes = new Set<string>()
  for (const [task, { controls, fingerprint }] of session.contracts) {
    if (hashes.get("contracts", task) !== fingerprint) tasks.add(task)
    hashes.put("contracts", task, fingerprint)
    for (const control of controls) if (Gates.setLimit(keep, control)) scopes.add(Gates.idOf(control, ""))
  }
  if (session.tasks !== "any") {
    for (const task of session.tasks) {
      if (!session.contracts.has(task) && hashes.remove("contracts", task)) tasks.add(task)
    }
  }
  if (tasks.size + scopes.size === 0) return
  for (const line of hashes.fields("lines")) {
    const gate = hashes.get("lines", line) ?? ""
    const head = first(keep, `line:${line}`)
    const task = head === undefined ? undefined : taskOf(head.member)
    if (scopes.has(Gates.scopeOf(gate)) || (task !== undefined && tasks.has(task))) Lines.move(keep, line, "")
  }
}

/** What keeps an execution from starting, or dropped it, as far as controls do. */
export const hindranceOf = (
  keep: Keep,
  { score, standing }: Candidate,
  state: DocketStore.State
): DocketStore.Hindrance | undefined => {
  if (standing.dropped !== undefined && state === "cancelled") {
    const { by, name } = standing.dropped
    const until = by === "Cooldown" ? Gates.windowEnd(keep, name) : undefined
    return { _tag: "Dropped", by, ...split(name), until }
  }
  const gate = standing.line === undefined ? undefined : keep.hashes.get("lines", standing.line)
  // One of a line that is to be looked at anew is the next, as far as anyone knows.
  if (gate === undefined || gate === "") return undefined
  const named = split(Gates.nameIn(gate))
  if (gate.startsWith("d")) return { _tag: "Debounce", ...named, until: Gates.roundOf(keep, gate)?.due }
  const ahead = Lines.ahead(keep, gate, score)
  if (gate.startsWith("r")) {
    const opens = Gates.opensAt(keep, gate, 1)
    return { _tag: "RateLimit", ...named, opens: opens > keep.now ? opens : undefined, ahead }
  }
  const holders = keep.hashes.fields(`slots:${gate}`).slice(0, holdersShown)
  return {
    _tag: "Concurrency",
    ...named,
    limit: Gates.settingOf(keep, gate).limit,
    holders: holders.map((holder) => holder.slice(holder.indexOf(":") + 1)),
    ahead
  }
}

const holdersShown = 100
