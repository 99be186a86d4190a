/** Schemas and errors that throw. */
import { assert } from "@effect/vitest"
import { Effect, Layer, Logger, Schema, SchemaGetter } from "effect"
import { Docket, Middleware, Retry, Task, TaskGroup, Worker } from "../src/index.ts"
import { infoOf, onEveryStore, start } from "./support/dockets.ts"

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

/** Decodes to what throws as soon as anyone shows it. */
const unshown = {
  decode: SchemaGetter.transform(
    (_: string): unknown =>
      new Proxy(
        {},
        {
          ownKeys: () => {
            throw new Error("nobody is to know")
          },
          get: () => {
            throw new Error("nobody is to know")
          }
        }
      )
  ),
  encode: SchemaGetter.transform((_: unknown) => "it")
}

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

  // What a handler in JavaScript may do, or one with an `any`.
  const spoil = (effect: unknown) => effect as Effect.Effect<string>
  const revoked = () => {
    const { proxy, revoke } = Proxy.revocable(new Error("gone"), {})
    revoke()
    return proxy
  }
  const deep = () => {
    let error = new Error("the first")
    for (let depth = 0; depth < 10_000; depth++) error = new Error("the next", { cause: error })
    return error
  }
  const nasty = (field: "message" | "stack" | "cause" | "toJSON" | "name" | "_tag") =>
    Object.defineProperty(new Error("nasty"), field, {
      get: () => {
        throw new Error("nobody is to know")
      }
    })
  const ends: Readonly<Record<string, () => Effect.Effect<string, unknown>>> = {
    "returns a promise": () => spoil(Promise.resolve("fine")),
    "returns a number": () => spoil(5),
    "returns nothing": () => spoil(undefined),
    "returns what has no prototype": () => spoil(Object.create(null)),
    "returns a revoked proxy": () => spoil(revoked()),
    "yields a promise in the middle": () => Effect.flatMap(Effect.void, () => spoil(Promise.resolve("fine"))),
    "yields nothing in the middle": () => Effect.flatMap(Effect.void, () => spoil(undefined)),
    "yields a promise after a pause": () => Effect.flatMap(Effect.yieldNow, () => spoil(Promise.resolve("fine"))),
    "yields what has no prototype in the middle": () => Effect.flatMap(Effect.void, () => spoil(Object.create(null))),
    "has a finalizer that is no effect": () => Effect.ensuring(Effect.succeed("fine"), spoil(5)),
    "fails with an error whose message throws": () => Effect.fail(nasty("message")),
    "fails with an error whose stack throws": () => Effect.fail(nasty("stack")),
    "fails with an error whose cause throws": () => Effect.fail(nasty("cause")),
    "fails with an error whose toJSON throws": () => Effect.fail(nasty("toJSON")),
    "fails with an error whose name throws": () => Effect.fail(nasty("name")),
    "fails with an error whose tag throws": () => Effect.fail(nasty("_tag")),
    "fails with an error whose name is a symbol": () =>
      Effect.fail(Object.assign(new Error("odd"), { name: Symbol("odd") })),
    "fails with a revoked proxy": () => Effect.fail(revoked()),
    "dies of a revoked proxy": () => Effect.die(revoked()),
    "dies of an error ten thousand causes deep": () => Effect.die(deep())
  }
  const Retried = Task.make("retried", {
    payload: { what: Schema.String },
    success: Schema.String,
    error: Schema.Unknown,
    retry: Retry.linear({ attempts: 2 })
  })
  const Timed = Task.make("timed", { payload: { what: Schema.String }, success: Schema.String, timeout: "1 hour" })
  const odd = TaskGroup.make(Retried, Timed)
  const loud = Logger.make(() => {
    throw new Error("the log is full")
  })

  for (const [what, end] of Object.entries(ends)) {
    for (const [how, loggers] of [
      ["", [Logger.defaultLogger]],
      [", whatever the logger does", [loud]]
    ] as const) {
      it.effect(`STA-06, WRK-07 a run that ${what} has failed${how}, and the worker goes on`, () =>
        Effect.gen(function* () {
          const middleware = Middleware.make("around", (run) => run)
          const run = ({ what }: { readonly what: string }) => (what === "fine" ? Effect.succeed("fine") : end())
          const handlers = odd.toLayer({ retried: run, timed: (payload) => Effect.orDie(run(payload)) })
          for (const options of [{}, { middleware: [middleware] }]) {
            const worker = yield* start(
              Worker.layer(odd, { concurrency: 1, ...options }).pipe(
                Layer.provide(handlers),
                Layer.provide(Logger.layer(loggers))
              )
            )
            const docket = yield* Docket
            for (const Odd of [Retried, Timed]) {
              const execution = yield* docket.add(Odd, { what })
              yield* Effect.flip(execution.result)
              const info = yield* infoOf(execution.key)
              assert.strictEqual(info.state, "failed")
              assert.match(info.error ?? "", /.+: .+/)
              assert.strictEqual((yield* execution.attempts).length, Odd === Retried ? 2 : 1)
              assert.strictEqual(yield* worker.running, 0)
              assert.strictEqual(yield* (yield* docket.add(Odd, { what: "fine" })).result, "fine")
            }
            assert.isTrue((yield* worker.health).able)
            yield* worker.stop
          }
        })
      )
    }
  }

  it.effect("CTX-02 what a run acquired is released when its handler yields what is no effect", () =>
    Effect.gen(function* () {
      const released: Array<string> = []
      const handlers = oddities.toLayer({
        odd: () =>
          Effect.addFinalizer(() => Effect.sync(() => released.push("it"))).pipe(Effect.flatMap(() => spoil(undefined)))
      })
      yield* start(Worker.layer(oddities).pipe(Layer.provide(handlers)))
      const error = yield* Effect.flip((yield* (yield* Docket).add(Odd, { what: "" })).result)
      assert(error._tag === "TaskFailed")
      assert.include(error.error, "Not a valid effect")
      assert.deepStrictEqual(released, ["it"])
    })
  )

  it.effect("UNK-05 a payload that throws when it is shown does not keep its run from ending", () =>
    Effect.gen(function* () {
      const Shown = Task.make("shown", {
        payload: { what: Schema.String.pipe(Schema.decodeTo(Schema.Any, unshown)) },
        logged: ["what"],
        success: Schema.String
      })
      const group = TaskGroup.make(Shown)
      const handlers = group.toLayer({ shown: () => Effect.succeed("done") })
      yield* start(Worker.layer(group).pipe(Layer.provide(handlers)))
      const execution = yield* (yield* Docket).addNamed("shown", { what: "it" })
      assert.strictEqual(yield* execution.result, "done")
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
