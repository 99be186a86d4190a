/**
 * What a store keeps lines, gates and limits in: ordered sets and hashes by name, each of which is there while it has
 * something in it. The decisions of this folder are made on these, so that they are the same on every store that has them.
 */

/** A member of an ordered set. */
export interface Member {
  readonly member: string
  readonly score: number
}

/** Ordered sets: members by score, then by their text. */
export interface Sets {
  /** Adds a member, or gives it another score. */
  readonly put: (set: string, member: string, score: number) => void
  /** Tells whether it was there. */
  readonly remove: (set: string, member: string) => boolean
  readonly score: (set: string, member: string) => number | undefined
  readonly size: (set: string) => number
  /** The member at this rank, from 0. */
  readonly at: (set: string, rank: number) => Member | undefined
  /** How many have a lower score. */
  readonly countBelow: (set: string, score: number) => number
  /** At most so many, the lowest first, from this rank on. */
  readonly some: (set: string, from: number, limit: number) => ReadonlyArray<Member>
}

/** Hashes: values by field. */
export interface Hashes {
  readonly get: (hash: string, field: string) => string | undefined
  readonly put: (hash: string, field: string, value: string) => void
  /** Tells whether it was there. */
  readonly remove: (hash: string, field: string) => boolean
  readonly size: (hash: string) => number
  readonly fields: (hash: string) => ReadonlyArray<string>
  readonly clear: (hash: string) => void
}

/** Both, at a moment of the store's clock. */
export interface Keep {
  readonly sets: Sets
  readonly hashes: Hashes
  readonly now: number
}

/** The member with the lowest score. */
export const first = ({ sets }: Pick<Keep, "sets">, set: string): Member | undefined => sets.at(set, 0)
