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

interface Waiting<A, B, E> {
  readonly item: A
  readonly resume: (exit: Exit.Exit<B, E>) => void
}

/**
 * Makes a function that sends items in groups of at most `maximumSize`, with at most `inFlight` groups under way.
 *
 * `send` answers one value for each item, in order. A caller that is interrupted before its group left takes its item
 * back; later, the item is sent and the answer dropped.
 */
export const make: <A, B, E>(options: {
  readonly send: (items: ReadonlyArray<A>) => Effect.Effect<ReadonlyArray<B>, E>
  readonly maximumSize: number
  readonly inFlight: number
  /** What callers are told once the scope is closed, those whose group is under way included. */
  readonly closed: Exit.Exit<never, E>
}) => Effect.Effect<(item: A) => Effect.Effect<B, E>, never, Scope.Scope> = Effect.fnUntraced(function* <A, B, E>({
  closed,
  inFlight,
  maximumSize,
  send
}: {
  readonly send: (items: ReadonlyArray<A>) => Effect.Effect<ReadonlyArray<B>, E>
  readonly maximumSize: number
  readonly inFlight: number
  readonly closed: Exit.Exit<never, E>
}) {
  const run = yield* FiberSet.makeRuntime<never>()
  let waiting: Array<Waiting<A, B, E>> = []
  let underWay = 0
  let isTurnEnding = false
  let isClosed = false
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      isClosed = true
      for (const { resume } of waiting) resume(closed)
      waiting = []
    })
  )

  const sendGroups = () => {
    while (underWay < inFlight && waiting.length > 0) {
      const group = waiting.slice(0, maximumSize)
      waiting = waiting.slice(maximumSize)
      underWay++
      run(
        Effect.onExit(send(group.map(({ item }) => item)), (exit) =>
          Effect.sync(() => {
            underWay--
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
    if (isTurnEnding || underWay >= inFlight || waiting.length === 0) return
    isTurnEnding = true
    queueMicrotask(() => {
      isTurnEnding = false
      sendGroups()
    })
  }

  return (item: A) =>
    Effect.callback<B, E>((resume) => {
      if (isClosed) return resume(closed)
      const entry: Waiting<A, B, E> = { item, resume }
      waiting.push(entry)
      sendAtEndOfTurn()
      return Effect.sync(() => {
        waiting = waiting.filter((other) => other !== entry)
      })
    })
})
