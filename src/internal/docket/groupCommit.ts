/**
 * Group commit: callers that ask at the same time share one call.
 *
 * A lone request goes out at the end of the current turn; while the allowed number of calls is under way, further
 * requests gather, and leave together as soon as one of the calls returns.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberSet from "effect/FiberSet"
import type * as Scope from "effect/Scope"
import { monotonic, watchOver } from "../realTime.ts"

interface Waiting<A, B, E> {
  readonly item: A
  readonly resume: (exit: Exit.Exit<B, E>) => void
  readonly since: number
  /** Whether it was told that it has waited for too long. */
  isOver: boolean
}

interface Options<A, B, E> {
  /** Answers one value for each item, in order. */
  readonly send: (items: ReadonlyArray<A>) => Effect.Effect<ReadonlyArray<B>, E>
  readonly maximumSize: number
  /** How many groups may be under way. */
  readonly inFlight: number
  /** What callers are told once the scope is closed, those whose group is under way included. */
  readonly closed: Exit.Exit<never, E>
  /** How long a caller waits at most, from its call on and in real time, and what it is told then; absent for no limit. */
  readonly patience?: {
    readonly millis: number
    readonly over: (wasSent: boolean) => Exit.Exit<never, E>
  }
  /** How many callers may wait for a group to leave, and what a further one is told; absent for any number. */
  readonly crowd?: { readonly maximum: number; readonly refused: Exit.Exit<never, E> }
}

/**
 * Makes a function that sends items in groups of at most `maximumSize`, with at most `inFlight` groups under way.
 *
 * A caller that is interrupted before its group left takes its item back; later, the item is sent and the answer dropped.
 */
export const make: <A, B, E>(
  options: Options<A, B, E>
) => Effect.Effect<(item: A) => Effect.Effect<B, E>, never, Scope.Scope> = Effect.fnUntraced(function* <A, B, E>({
  closed,
  crowd,
  inFlight,
  maximumSize,
  patience,
  send
}: Options<A, B, E>) {
  const run = yield* FiberSet.makeRuntime<never>()
  const waiting = new Set<Waiting<A, B, E>>()
  const underWay = new Set<ReadonlyArray<Waiting<A, B, E>>>()
  let isTurnEnding = false
  let isClosed = false
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      isClosed = true
      for (const { resume } of waiting) resume(closed)
      waiting.clear()
    })
  )
  const begins =
    patience === undefined
      ? undefined
      : yield* watchOver(
          patience.millis,
          () => {
            for (const group of underWay) {
              const oldest = group.find(({ isOver }) => !isOver)
              if (oldest !== undefined) return oldest.since
            }
            return waiting.values().next().value?.since
          },
          (until) => {
            const end = (entry: Waiting<A, B, E>, wasSent: boolean) => {
              if (entry.isOver || entry.since > until) return
              entry.isOver = true
              waiting.delete(entry)
              entry.resume(patience.over(wasSent))
            }
            for (const group of underWay) for (const entry of group) end(entry, true)
            for (const entry of waiting) end(entry, false)
          }
        )

  const sendGroups = () => {
    while (underWay.size < inFlight && waiting.size > 0) {
      const group: Array<Waiting<A, B, E>> = []
      for (const entry of waiting) {
        if (group.length === maximumSize) break
        waiting.delete(entry)
        group.push(entry)
      }
      underWay.add(group)
      run(
        Effect.onExit(send(group.map(({ item }) => item)), (exit) =>
          Effect.sync(() => {
            underWay.delete(group)
            // `send` answers one value for each item, so there is one at every index.
            group.forEach(({ resume }, i) =>
              resume(isClosed && Exit.hasInterrupts(exit) ? closed : Exit.map(exit, (answers) => answers[i] as B))
            )
            sendAtEndOfTurn()
          })
        )
      )
    }
  }

  // Whoever is told the answer of one group may ask again in the same turn; so do callers that start together.
  const sendAtEndOfTurn = () => {
    if (isTurnEnding || underWay.size >= inFlight || waiting.size === 0) return
    isTurnEnding = true
    queueMicrotask(() => {
      isTurnEnding = false
      sendGroups()
    })
  }

  return (item: A) =>
    Effect.callback<B, E>((resume) => {
      if (isClosed) return resume(closed)
      if (crowd !== undefined && waiting.size >= crowd.maximum) return resume(crowd.refused)
      const entry: Waiting<A, B, E> = { item, resume, since: begins === undefined ? 0 : monotonic(), isOver: false }
      waiting.add(entry)
      begins?.()
      sendAtEndOfTurn()
      return Effect.sync(() => {
        waiting.delete(entry)
      })
    })
})
