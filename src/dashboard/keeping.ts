/**
 * What one page leaves for the next, for a while, in this process.
 */
import * as Clock from "effect/Clock"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"

/** The most that is kept: the oldest goes first. */
const maximum = 1000

/** Something that is kept. */
export interface Kept<A> {
  readonly value: A
  /** Since when, epoch milliseconds. */
  readonly at: number
}

/** Keeps what pages leave for each other under ids that nobody guesses. */
export const make = <A>(keptMillis: number) => {
  const kept = new Map<string, Kept<A>>()
  const forget = Effect.map(Clock.currentTimeMillis, (now) => {
    for (const [id, { at }] of kept) {
      if (now - at < keptMillis && kept.size <= maximum) break
      kept.delete(id)
    }
    return now
  })
  return {
    /** Keeps something; gives its id. */
    add: (value: A) =>
      Effect.map(forget, (at) => {
        const id = SecureRandom.uuidV4Unsafe()
        kept.set(id, { value, at })
        return id
      }),
    /** What is kept under an id. */
    find: (id: string | null) => Effect.map(forget, () => (id === null ? undefined : kept.get(id))),
    /** Takes it away. */
    take: (id: string | null) =>
      Effect.map(forget, () => {
        const found = id === null ? undefined : kept.get(id)
        if (id !== null) kept.delete(id)
        return found
      })
  }
}

/** Something that keeps. */
export interface Keeper<A> {
  readonly add: (value: A) => Effect.Effect<string>
  readonly find: (id: string | null) => Effect.Effect<Kept<A> | undefined>
  readonly take: (id: string | null) => Effect.Effect<Kept<A> | undefined>
}
