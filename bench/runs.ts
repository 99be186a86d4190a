/** Keeps count of the handlers' runs, so that work which was not done cannot look fast. */
import { firstId } from "./peers/Peer.ts"

export class Broken extends Error {}

/** Fails the scenario unless the condition holds. */
export const verify = (condition: boolean, problem: () => string): void => {
  if (!condition) throw new Broken(problem())
}

export interface Runs {
  /** Handed to the worker. */
  readonly onRun: (id: number) => void
  readonly count: () => number
  /** When the n-th run happened, by `performance.now()`; completes when it does. */
  readonly reached: (n: number) => Promise<number>
  /** Fails unless each of so many ids, from the first on, ran so often. */
  readonly verifyEach: (ids: number, timesOf?: (id: number) => number) => void
}

export const makeRuns = (capacity: number): Runs => {
  const times = new Uint8Array(capacity)
  const marks = new Map<number, (at: number) => void>()
  let count = 0
  let nextMark = Infinity
  return {
    onRun: (id) => {
      times[id - firstId]!++
      if (++count < nextMark) return
      marks.get(count)?.(performance.now())
      marks.delete(count)
      nextMark = Math.min(Infinity, ...marks.keys())
    },
    count: () => count,
    reached: (n) =>
      new Promise((resolve) => {
        marks.set(n, resolve)
        nextMark = Math.min(nextMark, n)
      }),
    verifyEach: (ids, timesOf = () => 1) => {
      for (let i = 0; i < capacity; i++) {
        const expected = i < ids ? timesOf(firstId + i) : 0
        verify(times[i] === expected, () => `task ${firstId + i} ran ${times[i]} times instead of ${expected}`)
      }
    }
  }
}

/** Fails when something takes too long. */
export const within = async <A>(millis: number, what: string, promise: Promise<A>): Promise<A> => {
  let timer: NodeJS.Timeout | undefined
  const tooLate = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Broken(`${what} took more than ${millis} ms`)), millis)
  })
  try {
    return await Promise.race([promise, tooLate])
  } finally {
    clearTimeout(timer)
  }
}
