/** Ordered sets and hashes in plain data. */
import type { Hashes, Sets } from "../admission/Keep.ts"
import * as SortedSet from "./SortedSet.ts"

export interface Space {
  readonly sets: Sets
  readonly hashes: Hashes
}

export const make = (): Space => {
  const sets = new Map<string, SortedSet.SortedSet>()
  const hashes = new Map<string, Map<string, string>>()
  return {
    sets: {
      put: (name, member, score) => {
        let set = sets.get(name)
        if (set === undefined) sets.set(name, (set = SortedSet.make()))
        SortedSet.put(set, member, score)
      },
      remove: (name, member) => {
        const set = sets.get(name)
        if (set === undefined || !SortedSet.remove(set, member)) return false
        if (SortedSet.size(set) === 0) sets.delete(name)
        return true
      },
      score: (name, member) => sets.get(name)?.scores.get(member),
      size: (name) => sets.get(name)?.scores.size ?? 0,
      at: (name, rank) => {
        const set = sets.get(name)
        return set === undefined ? undefined : SortedSet.at(set, rank)
      },
      countBelow: (name, score) => {
        const set = sets.get(name)
        return set === undefined ? 0 : SortedSet.countBelow(set, score)
      },
      some: (name, from, limit) => {
        const set = sets.get(name)
        return set === undefined ? [] : SortedSet.some(set, from, limit)
      }
    },
    hashes: {
      get: (name, field) => hashes.get(name)?.get(field),
      put: (name, field, value) => {
        let hash = hashes.get(name)
        if (hash === undefined) hashes.set(name, (hash = new Map()))
        hash.set(field, value)
      },
      remove: (name, field) => {
        const hash = hashes.get(name)
        if (hash === undefined || !hash.delete(field)) return false
        if (hash.size === 0) hashes.delete(name)
        return true
      },
      size: (name) => hashes.get(name)?.size ?? 0,
      fields: (name) => Array.from(hashes.get(name)?.keys() ?? []),
      clear: (name) => void hashes.delete(name)
    }
  }
}
