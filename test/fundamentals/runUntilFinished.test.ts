/** Run a worker until nothing is left to do: for scripts, and for tests. */
import { assert, it } from "@effect/vitest"
import { Effect, Fiber, Schema } from "effect"
import { TestClock } from "effect/testing"
import { CurrentDocket, Docket, Task, TaskGroup, Worker } from "../../src/index.ts"

const Countdown = Task.make("countdown", { payload: { from: Schema.Int } })
const tasks = TaskGroup.make(Countdown)

it.effect("it also runs what is scheduled for later, and what handlers schedule", () =>
  Effect.gen(function* () {
    const counted: Array<number> = []
    const Handlers = tasks.toLayer({
      countdown: Effect.fnUntraced(function* ({ from }) {
        counted.push(from)
        const docket = yield* CurrentDocket
        if (from > 1) yield* docket.add(Countdown, { from: from - 1 }, { delay: "1 day" })
      })
    })
    const docket = yield* Docket
    const first = yield* docket.add(Countdown, { from: 3 })

    const worker = yield* Effect.forkChild(Worker.runUntilFinished(tasks).pipe(Effect.provide(Handlers)))
    yield* first.result
    yield* TestClock.adjust("2 days")
    yield* Fiber.join(worker)
    assert.deepStrictEqual(counted, [3, 2, 1])
  }).pipe(Effect.provide(Docket.layerMemory))
)
