/** A first-in, first-out line that anyone can leave from any place, each step in constant time. */

/** A place in a line, held by whoever stands there. */
export interface Place<A> {
  readonly value: A
  readonly line: Line<A>
  before: Place<A> | undefined
  after: Place<A> | undefined
}

export interface Line<A> {
  size: number
  first: Place<A> | undefined
  last: Place<A> | undefined
}

export const make = <A>(): Line<A> => ({ size: 0, first: undefined, last: undefined })

export const append = <A>(line: Line<A>, value: A): Place<A> => insert(line, value, line.last)

/** Stands behind a place of the line, or at its head. */
export const insert = <A>(line: Line<A>, value: A, before: Place<A> | undefined): Place<A> => {
  const after = before === undefined ? line.first : before.after
  const place: Place<A> = { value, line, before, after }
  if (before === undefined) line.first = place
  else before.after = place
  if (after === undefined) line.last = place
  else after.before = place
  line.size++
  return place
}

/** Leaves the line. A place is left once. */
export const leave = <A>({ after, before, line }: Place<A>): void => {
  if (before === undefined) line.first = after
  else before.after = after
  if (after === undefined) line.last = before
  else after.before = before
  line.size--
}
