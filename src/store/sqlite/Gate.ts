/** Admission, as far as the rows of executions have to do with it. The decisions are in `store/admission`. */
import { type Control, noTerms, type Terms } from "../../Admission.ts"
import type * as DocketStore from "../../DocketStore.ts"
import * as Admission from "../admission/Admission.ts"
import * as Gates from "../admission/Gates.ts"
import * as Lines from "../admission/Lines.ts"
import * as Standing from "../admission/Standing.ts"
import { query } from "./Connection.ts"
import * as Keep from "./Keep.ts"
import * as Row from "./Row.ts"
import type { Step } from "./Step.ts"

// Written by `update`, and by nothing else.
const standingOf = ({ admission }: Row.Row): Standing.Standing =>
  admission === null ? Standing.make() : (JSON.parse(admission) as Standing.Standing)

const nothing = JSON.stringify(Standing.make())

/** Decides something about an execution, and notes in its row what has come of it. */
const update = <A>(row: Row.Row, decide: (candidate: Standing.Candidate) => A): A => {
  const candidate = candidateOf(row)
  const decided = decide(candidate)
  const standing = JSON.stringify(candidate.standing)
  row.admission = standing === nothing ? null : standing
  return decided
}

/** The class of what says nothing of it. */
const usualClass = 3

const candidateOf = (row: Row.Row): Standing.Candidate => ({
  key: row.key,
  generation: row.generation,
  score: scoreOf(row),
  standing: standingOf(row)
})

/** What orders an execution among those that have their turn. */
export const scoreOf = ({ kept, seq }: Row.Row): number => Standing.scoreOf(usualClass, kept ?? seq)

/** What the contract of its task says of an execution, as far as anyone has told. */
export const termsOf = ({ terms }: Row.Row): Terms | undefined =>
  // Written from the terms of a request or of an answer.
  terms === null ? undefined : (JSON.parse(terms) as Terms)

/** Lets an execution pass the controls of its task. What has come of it is in the row, which is to be written. */
export const pass = (
  step: Step,
  row: Row.Row,
  controls: ReadonlyArray<Control>,
  start: { readonly line: string; readonly id: string }
): Admission.Verdict =>
  update(row, (candidate) =>
    Admission.pass(
      Keep.of(step),
      { ...candidate, ownLine: start.line, id: start.id, values: (termsOf(row) ?? noTerms).values },
      controls
    )
  )

/** Notes what control drops an execution. */
export const noteDropped = (row: Row.Row, dropped: Standing.Dropped): void =>
  update(row, ({ standing }) => {
    standing.dropped = dropped
  })

/** Whether an execution waits for quiet, as the first submission of a round. */
export const isDebounced = (row: Row.Row): boolean => row.place === "line" && !standingOf(row).quiet

/** Takes an execution from the line in which it waits. */
export const leaveLine = (step: Step, row: Row.Row): void => {
  if (row.admission !== null) update(row, (candidate) => Lines.leave(Keep.of(step), candidate))
}

/** Takes from an execution that is not to start after all, or has ended, what it holds and where it waits. */
export const leave = (step: Step, row: Row.Row): void => {
  if (row.admission !== null) update(row, (candidate) => Admission.leave(Keep.of(step), candidate))
}

/** Takes from a run whose key goes on what it holds. */
export const end = (step: Step, row: Row.Row, starts: "stay" | "undone" | "kept"): void => {
  if (row.admission !== null) update(row, (candidate) => Admission.end(Keep.of(step), candidate, starts))
}

/** Takes from a run whose worker is gone what it holds: its next start is another one. */
export const reclaim = (step: Step, row: Row.Row): void => {
  if (row.admission === null) return
  update(row, ({ standing }) => {
    standing.starts = []
  })
  leave(step, row)
}

/** Forgets what an earlier schedule of the key had to do with controls. */
export const forget = (row: Row.Row): void => {
  if (row.admission !== null) update(row, Admission.forget)
}

/** Takes note of what a worker says of its tasks, when its session opens. */
export const tell = (step: Step, worker: DocketStore.WorkerOptions): void =>
  Admission.tell(Keep.of(step), worker, (key) => Row.find(step, key)?.task)

/** Gives their turns to gates that have opened; at most so many. */
export const wakeDue = (step: Step, limit: number): void => {
  if (step.docket.opens > 0) Gates.wakeDue(Keep.of(step), limit)
}

/** When the next gate opens by itself. */
export const nextOpening = (step: Step): number | undefined => {
  const opens = step.docket.opens === 0 ? Number.POSITIVE_INFINITY : Gates.nextOpening(Keep.of(step))
  return Number.isFinite(opens) ? opens : undefined
}

/** The head of the line that has the next turn, if that comes before a score. */
export const nextHead = (step: Step, score: number): Row.Row | undefined => {
  while (step.docket.gates > 0) {
    const keep = Keep.of(step)
    const turn = keep.sets.at("gates", 0)
    if (turn === undefined || turn.score > score) return undefined
    const head = Lines.headOf(keep, turn.member)
    if (head === undefined) continue
    const row = Row.find(step, head.key)
    if (row?.place === "line") return row
    // Of an execution that is gone.
    Lines.drop(keep, head.line, head.key)
  }
  return undefined
}

const noteOvertaken = query<
  [docket: number, key: string, generation: number, slots: string, lease: string, cancelled: number, expires: number]
>(
  `INSERT OR REPLACE INTO docket_overtaken (docket, key, generation, slots, lease, cancelled, expires)
  VALUES (?, ?, ?, ?, ?, ?, ?)`
)

/** Lets a running execution, whose key is scheduled anew, keep its lease and its slots until it ends. */
export const overtake = ({ docket, sql }: Step, row: Row.Row): void => {
  let slots: ReadonlyArray<string> = []
  if (row.admission !== null) {
    update(row, ({ standing }) => {
      slots = standing.slots
      standing.slots = []
    })
  }
  const { cancelled, generation, key, lease } = row
  docket.overtaken++
  sql.run(noteOvertaken, docket.id, key, generation, JSON.stringify(slots), lease ?? "", cancelled, row.at)
}

interface Overtaken {
  readonly key: string
  readonly generation: number
  readonly slots: string
  readonly lease: string
  readonly cancelled: number
}

const findOvertaken = query<[docket: number, key: string, generation: number], Overtaken>(
  `SELECT key, generation, slots, lease, cancelled FROM docket_overtaken WHERE docket = ? AND key = ? AND generation = ?`
)
const forgetOvertaken = query<[docket: number, key: string, generation: number]>(
  `DELETE FROM docket_overtaken WHERE docket = ? AND key = ? AND generation = ?`
)
const expiredOvertaken = query<[docket: number, now: number], Overtaken>(
  `SELECT key, generation, slots, lease, cancelled FROM docket_overtaken WHERE docket = ? AND expires <= ?`
)
const grantedOvertaken = query<[docket: number, lease: string], Overtaken>(
  `SELECT key, generation, slots, lease, cancelled FROM docket_overtaken WHERE docket = ? AND lease = ?`
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

/** Ends a run that was overtaken, if it is still under its lease; tells whether it was. */
export const endOvertaken = (step: Step, { generation, key, lease }: DocketStore.Lease): boolean => {
  if (step.docket.overtaken === 0) return false
  const overtaken = step.sql.get(findOvertaken, step.docket.id, key, generation)
  if (overtaken?.lease !== lease) return false
  freeOvertaken(step, overtaken)
  return true
}

/** Ends the runs of a lease that were overtaken before they began. */
export const endUnbegun = (step: Step, lease: string): void => {
  if (step.docket.overtaken === 0) return
  for (const overtaken of step.sql.all(grantedOvertaken, step.docket.id, lease)) freeOvertaken(step, overtaken)
}

const freeOvertaken = (step: Step, overtaken: Overtaken) => {
  const { generation, key, slots } = overtaken
  step.docket.overtaken--
  step.sql.run(forgetOvertaken, step.docket.id, key, generation)
  // Written by `overtake`.
  for (const gate of JSON.parse(slots) as ReadonlyArray<string>) {
    Gates.freeSlot(Keep.of(step), gate, Standing.holderOf(overtaken))
  }
}

/** Lets an overtaken run live on, and tells what it is to do; it is lost if another worker took it over. */
export const renewOvertaken = (
  { docket, sql }: Step,
  { generation, key, lease }: DocketStore.Lease,
  expires: number
): DocketStore.LeaseStatus => {
  if (docket.overtaken === 0) return "lost"
  const overtaken = sql.get(findOvertaken, docket.id, key, generation)
  if (overtaken?.lease !== lease) return "lost"
  sql.run(extendOvertaken, expires, docket.id, key, generation)
  return overtaken.cancelled === 1 ? "cancelled" : "overtaken"
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

/** What keeps an execution from starting, or dropped it. */
export const hindranceOf = (step: Step, row: Row.Row): DocketStore.Hindrance | undefined => {
  if (row.place === "held") return { _tag: "Held" }
  if (row.place === "aside") return { _tag: "UnknownTask" }
  if (row.admission === null) return undefined
  return Admission.hindranceOf(Keep.of(step), candidateOf(row), row.state)
}

const sweepSuspects = query<[docket: number, now: number]>(
  `DELETE FROM docket_suspects WHERE docket = ? AND expires <= ?`
)

/** Forgets what no longer matters: some of it, if it is very much. */
export const sweep = (step: Step, limit: number): void => {
  step.sql.run(sweepSuspects, step.docket.id, step.now)
  Gates.sweep(Keep.of(step), limit)
}
