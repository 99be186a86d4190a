/** Schemas and errors that throw. */
import { assert } from "@effect/vitest"
import { Effect, Layer, Logger, Schema, SchemaGetter } from "effect"
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

class Opaque extends Error {
  override get message(): string {
    throw new Error("nobody is to know")
  }
}

const Odd = Task.make("odd", { payload: { what: Schema.String }, success: Schema.Any })
const oddities = TaskGroup.make(Odd)

onEveryStore("What a run ends with", (it) => {
  it.effect("STA-06, WRK-07 and what throws when it is looked at fails the execution, and the slot is free", () =>
    Effect.gen(function* () {
      const circular: Record<string, unknown> = {}
      circular["self"] = circular
      const handlers = oddities.toLayer({
        odd: ({ what }) =>
          what === "opaque"
            ? Effect.die(new Opaque())
            : Effect.succeed(what === "big" ? 1n : what === "circular" ? circular : what)
      })
      yield* start(
        Worker.layer(oddities, { concurrency: 1 }).pipe(Layer.provide(handlers), Layer.provide(Logger.layer([])))
      )
      const docket = yield* Docket
      const fail = (what: string) =>
        Effect.flatMap(docket.add(Odd, { what }), ({ result }) => Effect.map(Effect.flip(result), String))
      assert.include(yield* fail("big"), "InvalidResult: the result does not fit the task's schema")
      assert.include(yield* fail("circular"), "It is no JSON data")
      assert.include(yield* fail("opaque"), "its own code throws")
      assert.strictEqual(yield* (yield* docket.add(Odd, { what: "fine" })).result, "fine")
    })
  )

  it.effect("a payload that is no JSON data is refused", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip((yield* Docket).add(Task.make("any", { payload: Schema.Any }), 1n))
      assert(error._tag === "DocketError")
      assert.strictEqual(error.reason._tag, "InvalidPayload")
    })
  )
})
