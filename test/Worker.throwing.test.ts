/** Payload schemas that throw. */
import { assert } from "@effect/vitest"
import { Effect, Layer, Schema, SchemaGetter } from "effect"
import { Docket, Task, TaskGroup, Worker } from "../src/index.ts"
import { onEveryStore, start } from "./support/dockets.ts"

const Brittle = Schema.String.pipe(
  Schema.decodeTo(Schema.String, {
    decode: SchemaGetter.transform((text: string) => {
      if (text === "glass") throw new Error("it broke")
      return text
    }),
    encode: SchemaGetter.transform((text: string) => text)
  })
)

const Drop = Task.make("drop", { payload: { what: Brittle }, success: Schema.String })
const tasks = TaskGroup.make(Drop)

onEveryStore("A payload schema", (it) => {
  it.effect("that throws fails its execution, and the worker goes on", () =>
    Effect.gen(function* () {
      const handlers = tasks.toLayer({ drop: ({ what }) => Effect.succeed(what) })
      yield* start(Worker.layer(tasks, { concurrency: 1 }).pipe(Layer.provide(handlers)))
      const docket = yield* Docket
      const error = yield* Effect.flip((yield* docket.add(Drop, { what: "glass" })).result)
      assert.strictEqual(error._tag, "TaskFailed")
      assert.strictEqual(yield* (yield* docket.add(Drop, { what: "wood" })).result, "wood")
    })
  )
})
