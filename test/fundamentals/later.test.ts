/** Schedule a task for later: after a delay, or at a moment. */
import { assert, it } from "@effect/vitest"
import { DateTime, Effect, Layer } from "effect"
import { TestClock } from "effect/testing"
import { Docket, Task, TaskGroup, Worker } from "../../src/index.ts"

const Remind = Task.make("remind")
const tasks = TaskGroup.make(Remind)

it.effect("a task with a delay runs when the delay has passed", () =>
  Effect.gen(function* () {
    let reminders = 0
    const Handlers = tasks.toLayer({ remind: () => Effect.sync(() => void reminders++) })
    yield* Layer.build(Worker.layer(tasks).pipe(Layer.provide(Handlers)))
    const docket = yield* Docket

    yield* docket.add(Remind, {}, { delay: "1 day" })
    yield* TestClock.adjust("23 hours")
    assert.strictEqual(reminders, 0)
    yield* TestClock.adjust("1 hour")
    assert.strictEqual(reminders, 1)
  }).pipe(Effect.provide(Docket.layerMemory))
)

it.effect("a task with a moment runs at that moment", () =>
  Effect.gen(function* () {
    let reminders = 0
    const Handlers = tasks.toLayer({ remind: () => Effect.sync(() => void reminders++) })
    yield* Layer.build(Worker.layer(tasks).pipe(Layer.provide(Handlers)))
    const docket = yield* Docket

    yield* docket.add(Remind, {}, { when: DateTime.makeUnsafe("1970-01-02T03:04:05Z") })
    yield* TestClock.setTime(Date.parse("1970-01-02T03:04:04Z"))
    assert.strictEqual(reminders, 0)
    yield* TestClock.setTime(Date.parse("1970-01-02T03:04:05Z"))
    assert.strictEqual(reminders, 1)
  }).pipe(Effect.provide(Docket.layerMemory))
)
