/** Replace what is scheduled under a key: with another payload, another time, or both. */
import { assert, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { Docket, Task, TaskGroup, Worker } from "../../src/index.ts"

const Remind = Task.make("remind", {
  payload: { customerId: Schema.Int, text: Schema.String },
  key: ({ customerId }) => `remind-${customerId}`
})
const tasks = TaskGroup.make(Remind)

it.effect("only the replacement runs", () =>
  Effect.gen(function* () {
    const reminders: Array<string> = []
    const Handlers = tasks.toLayer({ remind: ({ text }) => Effect.sync(() => void reminders.push(text)) })
    const docket = yield* Docket

    yield* docket.add(Remind, { customerId: 7, text: "in a week" }, { delay: "7 days" })
    const execution = yield* docket.replace(Remind, { customerId: 7, text: "now" })
    assert.strictEqual(execution.disposition, "replaced")

    yield* Worker.runUntilFinished(tasks).pipe(Effect.provide(Handlers))
    assert.deepStrictEqual(reminders, ["now"])
  }).pipe(Effect.provide(Docket.layerMemory))
)
