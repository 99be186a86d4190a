/** What a docket leaves in Redis, as operators see it there. */
import { assert } from "@effect/vitest"
import { Effect, Latch, Layer, Schema } from "effect"
import { Docket, Task, TaskGroup, Worker } from "../src/index.ts"
import { onRedis, start, TestDocket } from "./support/dockets.ts"
import { RedisServer } from "./support/RedisServer.ts"
import { waitUntil } from "./support/waitUntil.ts"

const Work = Task.make("work", { payload: { text: Schema.String }, success: Schema.String, key: () => "k" })
const tasks = TaskGroup.make(Work)

const ttl = Effect.fnUntraced(function* (key: string) {
  const redis = yield* RedisServer
  return Number(yield* redis.cli("TTL", key))
})

const keys = Effect.gen(function* () {
  const redis = yield* RedisServer
  const all = yield* redis.cli("KEYS", "*")
  return all === "" ? [] : all.split("\n")
})

onRedis("Docket", (it) => {
  it.effect("STA-04, TTL-01 a record has no time to live while it is live, and 15 minutes once it is settled", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      const prefix = `{${docket.name}}:`
      const gate = yield* Latch.make()
      const execution = yield* docket.add(Work, { text: "hello".repeat(60) })
      for (const key of ["runs:k", "payload:k"]) assert.strictEqual(yield* ttl(prefix + key), -1)

      const handlers = tasks.toLayer({ work: ({ text }) => Effect.as(gate.await, text) })
      yield* start(Worker.layer(tasks).pipe(Layer.provide(handlers)))
      yield* waitUntil(
        "it runs",
        Effect.map(docket.store.depth, ({ running }) => running === 1)
      )
      assert.strictEqual(yield* ttl(`${prefix}runs:k`), -1)
      yield* gate.open
      yield* execution.result
      const settled = (yield* keys).filter((key) => key.endsWith(":k"))
      assert.include(settled, `${prefix}runs:k`)
      assert.include(settled, `${prefix}payload:k`)
      for (const key of settled) {
        assert.isAtLeast(yield* ttl(key), 890)
        assert.isAtMost(yield* ttl(key), 900)
      }
    })
  )

  it.effect("TTL-04 with a time to live of 0 a settled execution leaves nothing at once", () =>
    Effect.gen(function* () {
      const docket = yield* (yield* TestDocket).open({ executionTtl: 0 })
      const handlers = tasks.toLayer({ work: ({ text }) => Effect.succeed(text) })
      const worker = yield* start(Worker.layer(tasks).pipe(Layer.provide(handlers))).pipe(
        Effect.provideService(Docket, docket)
      )
      yield* docket.add(Work, { text: "hello" })
      yield* worker.finished
      yield* worker.stop
      assert.deepStrictEqual(
        (yield* keys).filter((key) => key.endsWith(":k")),
        []
      )
    })
  )

  it.effect("URL-08 every key begins with the docket's name in braces", () =>
    Effect.gen(function* () {
      const docket = yield* (yield* TestDocket).open({ name: "orders" })
      const handlers = tasks.toLayer({ work: ({ text }) => Effect.succeed(text) })
      yield* start(Worker.layer(tasks).pipe(Layer.provide(handlers))).pipe(Effect.provideService(Docket, docket))
      yield* (yield* docket.add(Work, { text: "hello" })).result
      yield* docket.add(Work, { text: "later" }, { key: "later", delay: "1 hour" })
      const all = yield* keys
      assert.include(all, "{orders}:queue")
      for (const key of all) assert(key.startsWith("{orders}:"), key)
    })
  )

  it.effect(
    "TTL-03 a worker's registration ends by itself when it is not renewed, and at once when the worker ends",
    () =>
      Effect.gen(function* () {
        const docket = yield* (yield* TestDocket).open({ heartbeatInterval: "1 second", missedHeartbeats: 4 })
        const handlers = tasks.toLayer({ work: ({ text }) => Effect.succeed(text) })
        const worker = yield* start(Worker.layer(tasks, { name: "ada" }).pipe(Layer.provide(handlers))).pipe(
          Effect.provideService(Docket, docket)
        )
        const redis = yield* RedisServer
        const own = (yield* keys).filter((key) => key.endsWith(":ada"))
        assert.isAbove(own.length, 0)
        // It is listed for four seconds; when it was last heard of is known for an hour more.
        for (const key of own) assert(((seconds) => seconds > 0 && seconds <= 3604)(yield* ttl(key)), key)
        const [until = 0, now = 0] = [
          yield* redis.cli("ZSCORE", `{${docket.name}}:workers`, "ada"),
          (yield* redis.cli("TIME")).split("\n")[0]
        ].map(Number)
        assert.isAtMost(until, (now + 1) * 1000 + 4000)
        assert.strictEqual(yield* redis.cli("ZRANGE", `{${docket.name}}:workers`, "0", "-1"), "ada")
        yield* worker.stop
        assert.deepStrictEqual(
          (yield* keys).filter((key) => key.endsWith(":ada")),
          []
        )
        assert.strictEqual(yield* redis.cli("ZRANGE", `{${docket.name}}:workers`, "0", "-1"), "")
      })
  )
})
