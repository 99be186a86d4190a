/** Large batches in several calls, so that none keeps Redis from other work for long. */
import * as Arr from "effect/Array"
import * as Effect from "effect/Effect"

/** How many executions a call takes at most: about a millisecond of work. */
export const batchSize = { schedule: 100, cancel: 200, clear: 200, read: 250, renew: 500 } as const

/** Does the same with each batch of items, two batches at a time, in order; gives what comes of each item. */
export const inBatches = <A, B, E>(
  items: ReadonlyArray<A>,
  size: number,
  f: (batch: ReadonlyArray<A>) => Effect.Effect<ReadonlyArray<B>, E>
): Effect.Effect<ReadonlyArray<B>, E> => {
  if (items.length === 0) return Effect.succeed([])
  if (items.length <= size) return f(items)
  return Effect.map(Effect.forEach(Arr.chunksOf(items, size), f, { concurrency: 2 }), Arr.flatten)
}
