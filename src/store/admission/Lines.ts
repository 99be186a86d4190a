/**
 * Lines: executions that differ in nothing that decides whether they may start, in order. A line waits at one gate as a
 * whole, or has its turn among `gates`, to be looked at anew.
 *
 * **Details**
 *
 * | kept | holds |
 * | --- | --- |
 * | set `line:LINE` | who stands in it, keys by score |
 * | set `waiting` | all who stand in lines, keys by score |
 * | hash `lines` | the gate at which each line waits; empty for one that has its turn |
 */
import * as Gates from "./Gates.ts"
import { first, type Keep } from "./Keep.ts"
import type { Candidate } from "./Standing.ts"

/** Lets an execution wait in a line; a line that is new waits at the gate. */
export const enter = (keep: Keep, { key, score, standing }: Candidate, line: string, gate: string): void => {
  standing.line = line
  keep.sets.put(`line:${line}`, key, score)
  keep.sets.put("waiting", key, score)
  const where = keep.hashes.get("lines", line)
  if (where === undefined) return move(keep, line, gate)
  stand(keep, line, where)
  if (where !== "") Gates.wake(keep, where)
}

/** Takes an execution out of the line in which it waits; what that leaves empty goes. */
export const leave = (keep: Keep, { key, standing }: Candidate): void => {
  const { line } = standing
  if (line === undefined) return
  standing.line = undefined
  drop(keep, line, key)
}

/** Takes a key out of a line. */
export const drop = (keep: Keep, line: string, key: string): void => {
  keep.sets.remove(`line:${line}`, key)
  keep.sets.remove("waiting", key)
  const where = keep.hashes.get("lines", line)
  if (where === undefined) return
  stand(keep, line, where)
  if (where !== "") Gates.wake(keep, where)
}

/** Lets a line wait at another gate, or gives it a turn. */
export const move = (keep: Keep, line: string, gate: string): void => {
  const where = keep.hashes.get("lines", line)
  if (where === gate) return
  if (where !== undefined) off(keep, line, where)
  keep.hashes.put("lines", line, gate)
  stand(keep, line, gate)
}

/** Gives a line its place where it is, by its head; one without any goes. */
const stand = (keep: Keep, line: string, where: string) => {
  const head = first(keep, `line:${line}`)
  if (head === undefined) {
    keep.hashes.remove("lines", line)
    off(keep, line, where)
  } else if (where === "") keep.sets.put("gates", `l${line}`, head.score)
  else keep.sets.put(`at:${where}`, line, head.score)
}

const off = (keep: Keep, line: string, where: string) => {
  if (where === "") keep.sets.remove("gates", `l${line}`)
  else if (keep.sets.remove(`at:${where}`, line)) Gates.wake(keep, where)
}

/** The head of what has the next turn: its key, its line, and the gate by whose turn it comes. */
export interface Head {
  readonly key: string
  readonly line: string
}

/** The head of the line that has the next turn; nothing when a gate was closed, and has its turn no more. */
export const headOf = (keep: Keep, turn: string): Head | undefined => {
  const id = turn.slice(1)
  const line = turn.startsWith("l") ? id : lineAt(keep, id)
  const head = line === undefined ? undefined : first(keep, `line:${line}`)
  return line === undefined || head === undefined ? undefined : { key: head.member, line }
}

const lineAt = (keep: Keep, gate: string) => {
  if (Gates.isOpen(keep, gate, 1)) {
    const line = first(keep, `at:${gate}`)
    if (line !== undefined) return line.member
  }
  Gates.shut(keep, gate, 1)
  return undefined
}

/** At most so many lines at a gate are looked at to count who waits there. */
const linesCounted = 100

/** How many come before an execution at the gate where its line waits. */
export const ahead = (keep: Keep, gate: string, score: number): number =>
  keep.sets
    .some(`at:${gate}`, 0, linesCounted)
    .reduce((count, { member }) => count + keep.sets.countBelow(`line:${member}`, score), 0)
