/** A set of texts by score: any step takes about the square root of its size, and next to nothing at its ends. */
import type { Member } from "../admission/Keep.ts"

export interface SortedSet {
  readonly scores: Map<string, number>
  /** In order, in pieces that are split when they grow long; none is empty. */
  readonly pieces: Array<Array<Member>>
}

const longest = 512

export const make = (): SortedSet => ({ scores: new Map(), pieces: [] })

export const put = (self: SortedSet, member: string, score: number): void => {
  const known = self.scores.get(member)
  if (known === score) return
  if (known !== undefined) remove(self, member)
  self.scores.set(member, score)
  const item = { member, score }
  const index = Math.min(pieceOf(self, item), self.pieces.length - 1)
  const piece = self.pieces[index]
  if (piece === undefined) {
    self.pieces.push([item])
    return
  }
  piece.splice(rankIn(piece, item), 0, item)
  if (piece.length > longest) self.pieces.splice(index + 1, 0, piece.splice(longest / 2))
}

/** Tells whether it was there. */
export const remove = (self: SortedSet, member: string): boolean => {
  const score = self.scores.get(member)
  if (score === undefined) return false
  self.scores.delete(member)
  const item = { member, score }
  const index = pieceOf(self, item)
  const piece = self.pieces[index]!
  if (piece.length === 1) self.pieces.splice(index, 1)
  else piece.splice(rankIn(piece, item), 1)
  return true
}

export const size = ({ scores }: SortedSet): number => scores.size

/** The member at a rank, from 0. */
export const at = ({ pieces }: SortedSet, rank: number): Member | undefined => {
  for (const piece of pieces) {
    if (rank < piece.length) return piece[rank]
    rank -= piece.length
  }
  return undefined
}

/** How many have a lower score. */
export const countBelow = (self: SortedSet, score: number): number => {
  const item = { member: "", score }
  const index = pieceOf(self, item)
  let count = 0
  for (let i = 0; i < index; i++) count += self.pieces[i]!.length
  const piece = self.pieces[index]
  return piece === undefined ? count : count + rankIn(piece, item)
}

/** At most so many, in order, from a rank on. */
export const some = ({ pieces }: SortedSet, from: number, limit: number): ReadonlyArray<Member> => {
  const found: Array<Member> = []
  for (const piece of pieces) {
    if (from < piece.length) found.push(...piece.slice(from, from + limit - found.length))
    if (found.length >= limit) break
    from = Math.max(0, from - piece.length)
  }
  return found
}

const isBefore = (a: Member, b: Member) => a.score < b.score || (a.score === b.score && a.member < b.member)

/** The first piece whose last member does not come before this one; behind them all if there is none. */
const pieceOf = ({ pieces }: SortedSet, item: Member) =>
  lowest(pieces.length, (i) => !isBefore(pieces[i]!.at(-1)!, item))

const rankIn = (piece: ReadonlyArray<Member>, item: Member) => lowest(piece.length, (i) => !isBefore(piece[i]!, item))

const lowest = (length: number, isFrom: (index: number) => boolean) => {
  let low = 0
  for (let high = length; low < high;) {
    const middle = (low + high) >> 1
    if (isFrom(middle)) high = middle
    else low = middle + 1
  }
  return low
}
