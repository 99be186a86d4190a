/** Cancel an execution, whether it waits or runs. */
import { assert, it } from "@effect/vitest"
import { Deferred, Effect, Layer } from "effect"
import { Docket, Task, TaskGroup, Worker } from "../../src/index.ts"

const Import = Task.make("import")
const tasks = TaskGroup.make(Import)

it.effect("what waits never runs", () =>
  Effect.gen(function* () {
    let imports = 0
    const Handlers = tasks.toLayer({ import: () => Effect.sync(() => void imports++) })
    const docket = yield* Docket

    yield* docket.add(Import, {}, { key: "import", delay: "1 hour" })
    yield* docket.cancel("import")

    yield* Worker.runUntilFinished(tasks).pipe(Effect.provide(Handlers))
    assert.strictEqual(imports, 0)
  }).pipe(Effect.provide(Docket.layerMemory))
)

it.effect("what runs is interrupted, and cleans up", () =>
  Effect.gen(function* () {
    const started = yield* Deferred.make<void>()
    let cleanedUp = false
    const Handlers = tasks.toLayer({
      import: Effect.fnUntraced(function* () {
        yield* Effect.addFinalizer(() => Effect.sync(() => (cleanedUp = true)))
        yield* Deferred.succeed(started, undefined)
        return yield* Effect.never
      })
    })
    yield* Layer.build(Worker.layer(tasks).pipe(Layer.provide(Handlers)))
    const docket = yield* Docket

    const execution = yield* docket.add(Import)
    yield* Deferred.await(started)
    yield* execution.cancel

    const error = yield* Effect.flip(execution.result)
    assert.strictEqual(error._tag, "TaskCancelled")
    assert(cleanedUp)
  }).pipe(Effect.provide(Docket.layerMemory))
)
