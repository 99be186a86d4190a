/**
 * What has just been done: said on the page that comes next, with its undo.
 */
import type * as Effect from "effect/Effect"
import type { Caller } from "../http/Access.ts"
import type * as Problems from "../http/problems.ts"
import * as Keeping from "./keeping.ts"

/** How long something can be undone. */
export const undoMillis = 10_000

/** What a page says has been done. */
export interface Notice {
  readonly id: string
  readonly text: string
  readonly undo: { readonly label: string; readonly secondsLeft: number } | undefined
}

/** How something is undone; gives what is said then. */
export interface Undo {
  readonly label: string
  readonly run: Effect.Effect<string, Problems.Forbidden | Problems.NotFound | Problems.Unavailable, Caller>
}

/** What is kept of a notice. */
export interface Said {
  readonly text: string
  readonly undo: Undo | undefined
}

/** A notice waits so long for its page. */
export const make = (): Keeping.Keeper<Said> => Keeping.make<Said>(60_000)

/** What a page says. */
export const noticeOf = (id: string | null, found: Keeping.Kept<Said> | undefined, now: number): Notice | undefined => {
  if (id === null || found === undefined) return undefined
  const { text, undo } = found.value
  const secondsLeft = Math.ceil((found.at + undoMillis - now) / 1000)
  return { id, text, undo: undo === undefined || secondsLeft <= 0 ? undefined : { label: undo.label, secondsLeft } }
}
