import { assert, it } from "@effect/vitest"
import { Schema } from "effect"
import * as Heap from "../../../src/store/memory/Heap.ts"

it.prop(
  "gives the earliest first, those of one time in the order in which they came, whatever is taken from its middle",
  {
    steps: Schema.Array(
      Schema.Struct({
        at: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 9 })),
        remove: Schema.NullOr(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 99 })))
      })
    ).check(Schema.isMinLength(5), Schema.isMaxLength(80))
  },
  ({ steps }) => {
    const heap = Heap.make<number>()
    let expected: Array<{ readonly at: number; readonly value: number; readonly node: Heap.Node<number> }> = []
    for (const [value, { at, remove }] of steps.entries()) {
      expected.push({ at, value, node: Heap.insert(heap, at, value) })
      expected.sort((a, b) => a.at - b.at || a.value - b.value)
      if (remove !== null) {
        const victim = expected[remove % expected.length]!
        Heap.remove(heap, victim.node)
        expected = expected.filter((other) => other !== victim)
      }
      assert.strictEqual(Heap.peek(heap)?.value, expected[0]?.value)
    }
    for (const { value } of expected) {
      const first = Heap.peek(heap)!
      assert.strictEqual(first.value, value)
      Heap.remove(heap, first)
    }
    assert.strictEqual(Heap.peek(heap), undefined)
  },
  { arbitrary: { runs: 300, size: 80 } }
)
