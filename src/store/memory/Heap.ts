/** A binary heap by time whose nodes know their index, so that any of them can be removed in logarithmic time. */

export interface Node<A> {
  readonly value: A
  readonly at: number
  /** Nodes of one time leave in the order in which they came. */
  readonly order: number
  index: number
}

export interface Heap<A> {
  readonly nodes: Array<Node<A>>
  inserted: number
}

export const make = <A>(): Heap<A> => ({ nodes: [], inserted: 0 })

/** The earliest node. */
export const peek = <A>(heap: Heap<A>): Node<A> | undefined => heap.nodes[0]

export const insert = <A>(heap: Heap<A>, at: number, value: A): Node<A> => {
  const node: Node<A> = { value, at, order: heap.inserted++, index: heap.nodes.length }
  heap.nodes.push(node)
  rise(heap, node)
  return node
}

/** Removes a node. A node is removed once. */
export const remove = <A>(heap: Heap<A>, node: Node<A>): void => {
  const last = heap.nodes.pop()
  if (last === undefined || last === node) return
  put(heap, last, node.index)
  rise(heap, last)
  sink(heap, last)
}

const isBefore = <A>(a: Node<A>, b: Node<A>) => a.at < b.at || (a.at === b.at && a.order < b.order)

const put = <A>(heap: Heap<A>, node: Node<A>, index: number) => {
  heap.nodes[index] = node
  node.index = index
}

const rise = <A>(heap: Heap<A>, node: Node<A>) => {
  while (node.index > 0) {
    const { index } = node
    const parent = heap.nodes[(index - 1) >> 1]
    if (parent === undefined || !isBefore(node, parent)) return
    put(heap, node, parent.index)
    put(heap, parent, index)
  }
}

const sink = <A>(heap: Heap<A>, node: Node<A>) => {
  for (;;) {
    const { index } = node
    const left = heap.nodes[2 * index + 1]
    const right = heap.nodes[2 * index + 2]
    const child = left !== undefined && right !== undefined && isBefore(right, left) ? right : left
    if (child === undefined || !isBefore(child, node)) return
    put(heap, node, child.index)
    put(heap, child, index)
  }
}
