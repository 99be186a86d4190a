/** Await what a task succeeded or failed with, in any process. */
import { assert, it } from "@effect/vitest"
import { Effect, Layer, Schema } from "effect"
import { Docket, Task, TaskGroup, Worker } from "../../src/index.ts"

class Overdrawn extends Schema.TaggedError<Overdrawn>()("Overdrawn", { missing: Schema.Int }) {}

const Withdraw = Task.make("withdraw", {
  payload: { amount: Schema.Int },
  success: Schema.Struct({ balance: Schema.Int }),
  error: Overdrawn
})
const tasks = TaskGroup.make(Withdraw)

const Handlers = tasks.toLayer({
  withdraw: ({ amount }) =>
    amount > 100 ? Effect.fail(new Overdrawn({ missing: amount - 100 })) : Effect.succeed({ balance: 100 - amount })
})

const layer = Worker.layer(tasks).pipe(Layer.provide(Handlers), Layer.provideMerge(Docket.layerMemory))

it.effect("the result is the handler's success", () =>
  Effect.gen(function* () {
    const docket = yield* Docket
    const execution = yield* docket.add(Withdraw, { amount: 30 })
    const { balance } = yield* execution.result
    assert.strictEqual(balance, 70)
  }).pipe(Effect.provide(layer))
)

it.effect("a failure is the task's own error, with its fields", () =>
  Effect.gen(function* () {
    const docket = yield* Docket
    const execution = yield* docket.add(Withdraw, { amount: 130 })
    const missing = yield* execution.result.pipe(
      Effect.as(0),
      Effect.catchTag("Overdrawn", ({ missing }) => Effect.succeed(missing))
    )
    assert.strictEqual(missing, 30)
  }).pipe(Effect.provide(layer))
)
