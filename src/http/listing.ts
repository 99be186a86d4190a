/**
 * Lists of executions, in pages.
 */
import * as Effect from "effect/Effect"
import type { Docket } from "../Docket.ts"
import { isSettled, type State } from "../DocketStore.ts"
import type { ExecutionInfo } from "../Execution.ts"
import { failWith } from "../internal/docket/docketError.ts"
import { infoOf } from "../internal/docket/info.ts"
import * as Problems from "./problems.ts"

/** What to list. What is left out does not restrict. */
export interface Query {
  readonly task?: string | undefined
  readonly state?: State | undefined
  /** What the key begins with. */
  readonly prefix?: string | undefined
  /** A part of the error's text. */
  readonly error?: string | undefined
  readonly worker?: string | undefined
  /** A part of the key, the task, the error or the payload. */
  readonly text?: string | undefined
  readonly limit?: number | undefined
  /** Where to go on: `next` of the page before. */
  readonly cursor?: string | undefined
}

/** A page of a list. */
export interface Page {
  readonly executions: ReadonlyArray<ExecutionInfo>
  /** Where the next page begins; absent at the end. */
  readonly next: string | undefined
  /** Whether there is more than was looked at. */
  readonly isPartial: boolean
}

/** So many of what runs, of what waits and of what failed are looked at. */
export const window = 5000

const defaultLimit = 100

/** Lists what failed, runs, waits and ended last, in this order. */
export const list = Effect.fnUntraced(function* (docket: Docket["Service"], query: Query) {
  const { limit = defaultLimit } = query
  const offset = query.cursor === undefined ? 0 : Number(query.cursor)
  if (!Number.isSafeInteger(offset) || offset < 0) {
    return yield* new Problems.InvalidRequest({
      detail: "The cursor is none: leave it out, or give `next` of the page before as it is"
    })
  }
  const { executions, isPartial } = yield* lookAt(docket, query.state)
  const fitting = executions.filter((info) => fits(info, query))
  const page = fitting.slice(offset, offset + limit)
  const next = fitting.length > offset + limit ? String(offset + limit) : undefined
  const found: Page = { executions: page, next, isPartial }
  return found
})

const lookAt = Effect.fnUntraced(function* (docket: Docket["Service"], state: State | undefined) {
  const isWanted = (...states: ReadonlyArray<State>) => state === undefined || states.includes(state)
  const { store } = docket
  const [failed, snapshot] = yield* Effect.all(
    [
      isWanted("failed") ? Effect.map(store.failed({ limit: window }), ({ records }) => records) : Effect.succeed([]),
      isWanted("running", "queued", "scheduled") ? store.snapshot(window) : Effect.succeed(undefined)
    ],
    { concurrency: 2 }
  ).pipe(
    failWith,
    Effect.mapError(({ message }) => new Problems.Unavailable({ detail: message }))
  )
  const { running = [], waiting = [] } = snapshot ?? {}
  const records = [...failed, ...running, ...waiting]
  return {
    executions: records.map(infoOf),
    isPartial: [failed, running, waiting].some(({ length }) => length >= window)
  }
})

const fits = (info: ExecutionInfo, { error, prefix, state, task, text, worker }: Query): boolean =>
  (task === undefined || info.task === task) &&
  (state === undefined || info.state === state) &&
  (prefix === undefined || info.key.startsWith(prefix)) &&
  (error === undefined || (info.error ?? "").includes(error)) &&
  (worker === undefined || info.worker === worker) &&
  (text === undefined ||
    [info.key, info.task, info.error ?? "", info.encodedPayload].some((part) => part.includes(text)))

/** When an execution last changed, as far as its record says. */
export const changedAt = ({ completed, due, started, state }: ExecutionInfo) =>
  (isSettled(state) ? completed : state === "running" ? started : due) ?? due
