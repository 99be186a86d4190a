/** A key keeps the same work from being scheduled twice. */
import { assert, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { Docket, Task, TaskGroup, Worker } from "../../src/index.ts"

const Invoice = Task.make("invoice", {
  payload: { orderId: Schema.Int },
  key: ({ orderId }) => `invoice-${orderId}`
})
const tasks = TaskGroup.make(Invoice)

it.effect("work that is added twice under a key runs once", () =>
  Effect.gen(function* () {
    const invoiced: Array<number> = []
    const Handlers = tasks.toLayer({ invoice: ({ orderId }) => Effect.sync(() => void invoiced.push(orderId)) })
    const docket = yield* Docket

    const first = yield* docket.add(Invoice, { orderId: 7 })
    const second = yield* docket.add(Invoice, { orderId: 7 })
    assert.strictEqual(first.key, "invoice-7")
    assert.strictEqual(first.disposition, "scheduled")
    assert.strictEqual(second.disposition, "already-scheduled")

    yield* Worker.runUntilFinished(tasks).pipe(Effect.provide(Handlers))
    assert.deepStrictEqual(invoiced, [7])

    // Once it has run, the key is free.
    const third = yield* docket.add(Invoice, { orderId: 7 })
    assert.strictEqual(third.disposition, "scheduled")
  }).pipe(Effect.provide(Docket.layerMemory))
)

it.effect("a key can also be given with the request", () =>
  Effect.gen(function* () {
    const docket = yield* Docket
    const execution = yield* docket.add(Invoice, { orderId: 7 }, { key: "order-7", delay: "1 hour" })
    assert.strictEqual(execution.key, "order-7")
  }).pipe(Effect.provide(Docket.layerMemory))
)
