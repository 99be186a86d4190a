/**
 * Gates: one control and one value of it. A gate knows when it opens, and which lines wait at it; when it opens it has a turn.
 *
 * **Details**
 *
 * A gate's id is a letter for its kind (`s` for the slots of a concurrency limit, `r` for a rate limit, `d` for a debounce)
 * and the name of its control and value. Of each there is kept, while there is something to keep:
 *
 * | kept | holds |
 * | --- | --- |
 * | set `at:GATE` | the lines that wait at it, by the score of their heads |
 * | set `gates` | what has a turn: `g` and a gate that is open, or `l` and a line to be looked at anew, by the first one's score |
 * | set `opens` | the gates at which something waits that only time opens, by that time |
 * | hash `slots:GATE` | who has a slot, with the cost |
 * | set `starts:GATE` | the starts that a rate limit counts, `COST ID` by time |
 * | hash `used` | what these sum up to, by gate |
 * | hash `limits` | limit and window by kind and scope, as the session said that opened last |
 * | hash `round:GATE` | a round of a debounce: its `first` submission, `due`, `deadline` |
 * | set `windows`, hash `openers` | the cooldowns that are open, by their ends, and who opened them |
 * | set `ends` | when starts and rounds are of no use any more |
 */
import { type Control, nameOf, split } from "../../Admission.ts"
import { first, type Keep } from "./Keep.ts"

/** The id of a gate. */
export const idOf = (control: Control, value: string): string => kinds[control._tag] + nameOf(control.scope, value)

const kinds = { Concurrency: "s", RateLimit: "r", Debounce: "d", Cooldown: "c" } as const

/** The name of its control and value. */
export const nameIn = (gate: string): string => gate.slice(1)

interface Setting {
  readonly limit: number
  readonly perMillis: number
}

const unlimited: Setting = { limit: Number.POSITIVE_INFINITY, perMillis: 0 }

/** What is said of the limit of a gate. */
export const settingOf = ({ hashes }: Keep, gate: string): Setting => {
  const said = hashes.get("limits", scopeOf(gate))
  if (said === undefined) return unlimited
  const [limit, perMillis] = said.split(" ").map(Number)
  return { limit: limit ?? 0, perMillis: perMillis ?? 0 }
}

/** The kind and the scope of a gate. */
export const scopeOf = (gate: string): string => gate.charAt(0) + split(nameIn(gate)).scope

/** Says what holds for a limit from now on, and whether that is something else than before. */
export const setLimit = ({ hashes }: Keep, control: Control): boolean => {
  if (control._tag !== "Concurrency" && control._tag !== "RateLimit") return false
  const field = idOf(control, "")
  const said = `${control.limit} ${control._tag === "RateLimit" ? control.perMillis : 0}`
  if (hashes.get("limits", field) === said) return false
  hashes.put("limits", field, said)
  return true
}

/** How much of a gate is in use. What has left the window of a rate limit goes. */
const usedOf = (keep: Keep, gate: string, { perMillis }: Setting): number => {
  if (gate.startsWith("r")) {
    const starts = `starts:${gate}`
    for (let oldest = first(keep, starts); oldest !== undefined && oldest.score <= keep.now - perMillis;) {
      undo(keep, gate, oldest.member)
      oldest = first(keep, starts)
    }
  }
  return Number(keep.hashes.get("used", gate) ?? 0)
}

const use = ({ hashes }: Keep, gate: string, cost: number) => {
  const used = Number(hashes.get("used", gate) ?? 0) + cost
  if (used === 0) hashes.remove("used", gate)
  else hashes.put("used", gate, String(used))
}

/** How many starts are looked at for the time at which enough of them have left: after that it is looked again. */
const startsLookedAt = 100

/** When so much of a gate may be taken: now, later, or never unless someone gives back. */
export const opensAt = (keep: Keep, gate: string, cost: number): number => {
  const { hashes, now, sets } = keep
  if (gate.startsWith("d")) return Math.max(now, Number(hashes.get(`round:${gate}`, "due") ?? now))
  const setting = settingOf(keep, gate)
  let excess = usedOf(keep, gate, setting) + cost - Math.max(setting.limit, cost)
  if (excess <= 0) return now
  if (gate.startsWith("s")) return Number.POSITIVE_INFINITY
  let opens = now
  for (const { member, score } of sets.some(`starts:${gate}`, 0, startsLookedAt)) {
    opens = score + setting.perMillis
    excess -= costOf(member)
    if (excess <= 0) break
  }
  return opens
}

export const isOpen = (keep: Keep, gate: string, cost: number): boolean => opensAt(keep, gate, cost) <= keep.now

/** Takes a slot for a holder. */
export const takeSlot = (keep: Keep, gate: string, holder: string, cost: number): void => {
  keep.hashes.put(`slots:${gate}`, holder, String(cost))
  use(keep, gate, cost)
}

/** Gives a slot back. */
export const freeSlot = (keep: Keep, gate: string, holder: string): void => {
  const cost = keep.hashes.get(`slots:${gate}`, holder)
  if (cost === undefined) return
  keep.hashes.remove(`slots:${gate}`, holder)
  use(keep, gate, -Number(cost))
  wake(keep, gate)
}

/** Counts a start; returns what it is known by. */
export const start = (keep: Keep, gate: string, id: string, cost: number): string => {
  const member = `${cost} ${id}`
  keep.sets.put(`starts:${gate}`, member, keep.now)
  keep.sets.put("ends", gate, keep.now + 2 * settingOf(keep, gate).perMillis)
  use(keep, gate, cost)
  return member
}

/** Whether a start is counted still. */
export const isCounted = (keep: Keep, gate: string, member: string): boolean => {
  const at = keep.sets.score(`starts:${gate}`, member)
  return at !== undefined && at > keep.now - settingOf(keep, gate).perMillis
}

/** Counts a start no more. */
export const undo = (keep: Keep, gate: string, member: string): void => {
  if (keep.sets.remove(`starts:${gate}`, member)) use(keep, gate, -costOf(member))
}

const costOf = (member: string) => Number(member.slice(0, member.indexOf(" ")))

/** Gives a gate its turn if it is open and a line waits at it; else lets it be known when it opens. */
export const wake = (keep: Keep, gate: string): void => {
  const head = first(keep, `at:${gate}`)
  if (head !== undefined && isOpen(keep, gate, 1)) {
    keep.sets.put("gates", `g${gate}`, head.score)
    keep.sets.remove("opens", gate)
  } else shut(keep, gate, 1)
}

/** Takes its turn from a gate that is closed for what is first at it, and lets it be known when it opens for that. */
export const shut = (keep: Keep, gate: string, cost: number): void => {
  keep.sets.remove("gates", `g${gate}`)
  const opens = first(keep, `at:${gate}`) === undefined ? Number.POSITIVE_INFINITY : opensAt(keep, gate, cost)
  if (Number.isFinite(opens)) keep.sets.put("opens", gate, opens)
  else keep.sets.remove("opens", gate)
}

/** When the next gate opens by itself; infinite when there is none. */
export const nextOpening = (keep: Pick<Keep, "sets">): number => first(keep, "opens")?.score ?? Number.POSITIVE_INFINITY

/** Gives their turns to the gates that have opened, at most so many. */
export const wakeDue = (keep: Keep, limit: number): void => {
  for (const { member, score } of keep.sets.some("opens", 0, limit)) {
    if (score > keep.now) return
    keep.sets.remove("opens", member)
    wake(keep, member)
  }
}

/** Forgets some of what is of no use any more. */
export const sweep = (keep: Keep, limit: number): void => {
  const { hashes, now, sets } = keep
  for (const { member: gate, score } of sets.some("ends", 0, limit)) {
    if (score > now) break
    sets.remove("ends", gate)
    if (gate.startsWith("d")) hashes.clear(`round:${gate}`)
    else usedOf(keep, gate, settingOf(keep, gate))
  }
  for (const { member: name, score } of sets.some("windows", 0, limit)) {
    if (score > now) break
    closeWindow(keep, name)
  }
}

/** Whether a cooldown is open. */
export const isWindowOpen = ({ now, sets }: Keep, name: string): boolean => (sets.score("windows", name) ?? 0) > now

/** When a cooldown ends, if it is open. */
export const windowEnd = (keep: Keep, name: string): number | undefined =>
  isWindowOpen(keep, name) ? keep.sets.score("windows", name) : undefined

export const openWindow = ({ hashes, now, sets }: Keep, name: string, key: string, windowMillis: number): void => {
  sets.put("windows", name, now + windowMillis)
  hashes.put("openers", name, key)
}

/** Closes the window that an execution opened, unless another one has opened it since. */
export const undoWindow = (keep: Keep, name: string, key: string): void => {
  if (keep.hashes.get("openers", name) === key) closeWindow(keep, name)
}

const closeWindow = ({ hashes, sets }: Keep, name: string) => {
  sets.remove("windows", name)
  hashes.remove("openers", name)
}

/** A round of a debounce. */
export interface Round {
  /** The key of its first submission, which will run. */
  readonly first: string
  readonly due: number
  readonly deadline: number
}

/** The round of a debounce, if one is open. */
export const roundOf = ({ hashes, now, sets }: Keep, gate: string): Round | undefined => {
  const key = hashes.get(`round:${gate}`, "first")
  if (key === undefined || (sets.score("ends", gate) ?? 0) <= now) return undefined
  const [due, deadline] = ["due", "deadline"].map((field) => Number(hashes.get(`round:${gate}`, field)))
  return { first: key, due: due ?? 0, deadline: deadline ?? 0 }
}

/** Opens a round, or lets it last until another moment. */
export const putRound = ({ hashes, sets }: Keep, gate: string, round: Round, ends: number): void => {
  hashes.put(`round:${gate}`, "first", round.first)
  hashes.put(`round:${gate}`, "due", String(round.due))
  hashes.put(`round:${gate}`, "deadline", String(round.deadline))
  sets.put("ends", gate, ends)
}

/** Ends the round that an execution opened. */
export const endRound = (keep: Keep, gate: string, key: string): void => {
  if (keep.hashes.get(`round:${gate}`, "first") !== key) return
  keep.hashes.clear(`round:${gate}`)
  keep.sets.remove("ends", gate)
}
