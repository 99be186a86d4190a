/** Schedule a task for now, and a worker runs it. */
import { assert, it } from "@effect/vitest"
import { Effect, Layer, Schema } from "effect"
import { Docket, Task, TaskGroup, Worker } from "../../src/index.ts"

const Greet = Task.make("greet", { payload: { name: Schema.String } })
const tasks = TaskGroup.make(Greet)

it.effect("a task that is added now runs with its payload", () =>
  Effect.gen(function* () {
    const greeted: Array<string> = []
    const Handlers = tasks.toLayer({ greet: ({ name }) => Effect.sync(() => void greeted.push(name)) })
    const docket = yield* Docket

    const execution = yield* docket.add(Greet, { name: "Ada" })
    assert.strictEqual(execution.disposition, "scheduled")

    yield* Worker.runUntilFinished(tasks).pipe(Effect.provide(Handlers))
    assert.deepStrictEqual(greeted, ["Ada"])
  }).pipe(Effect.provide(Docket.layerMemory))
)

it.effect("a batch is added in one step, with a handle for each request", () =>
  Effect.gen(function* () {
    const greeted: Array<string> = []
    const Handlers = tasks.toLayer({ greet: ({ name }) => Effect.sync(() => void greeted.push(name)) })
    const docket = yield* Docket

    const executions = yield* docket.addAll([
      Task.request(Greet, { name: "Ada" }),
      Task.request(Greet, { name: "Bo" }, { delay: "1 minute" })
    ])
    assert.deepStrictEqual(
      executions.map(({ disposition }) => disposition),
      ["scheduled", "scheduled"]
    )

    yield* Layer.build(Worker.layer(tasks).pipe(Layer.provide(Handlers)))
    yield* executions[0].result
    assert.deepStrictEqual(greeted, ["Ada"])
  }).pipe(Effect.provide(Docket.layerMemory))
)
