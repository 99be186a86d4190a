/** Lists that someone deleted: what they held is found by its records, and put back. */
import { assert, it } from "@effect/vitest"
import { Effect, type Scope } from "effect"
import type { DocketStore, HeartbeatReply } from "../../../src/DocketStore.ts"
import * as RedisStore from "../../../src/store/redis/RedisStore.ts"
import * as RedisServer from "../../support/RedisServer.ts"
import { after, openWorker, request, type TestWorker, withoutStrikes } from "../conformance/kit.ts"

const options = { name: "orders*[x]", executionTtlMillis: 900_000, failedTtlMillis: 0, failedMaximum: 100 }
const prefix = "{orders*[x]}:"

it.layer(RedisServer.RedisServer.layer(), { excludeTestServices: true })("Repair", (it) => {
  const test = (
    title: string,
    body: (
      server: RedisServer.RedisServer["Service"],
      store: DocketStore["Service"],
      worker: TestWorker
    ) => Effect.Effect<void, unknown, Scope.Scope>
  ) =>
    it.effect(title, () =>
      Effect.gen(function* () {
        const server = yield* RedisServer.RedisServer
        yield* server.cli("FLUSHALL")
        // A docket whose name is almost the same is none of its business.
        yield* server.cli("HSET", "{orders*x}:runs:k", "state", "queued", "task", "send", "due", "1", "gen", "1")
        const store = yield* RedisStore.makeUrl(server.url, options)
        yield* body(server, store, yield* openWorker(withoutStrikes(store), { leaseMillis: 1000 }))
        assert.strictEqual(yield* server.cli("EXISTS", "{orders*x}:stream"), "0")
      })
    )

  /** Enough heartbeats to see every key; all that they repaired. */
  const heartbeats = ({ session }: TestWorker) =>
    Effect.map(
      Effect.forEach(Array.from({ length: 8 }), () => session.heartbeat),
      (replies: ReadonlyArray<HeartbeatReply>) => replies.reduce((sum, { repaired }) => sum + (repaired ?? 0), 0)
    )

  const add = (store: DocketStore["Service"], count: number, delayMillis = 0) =>
    withoutStrikes(store).schedule(
      Array.from({ length: count }, (_, i) => request(`k${i}`, { due: after(delayMillis) }))
    )

  test("what is due is found again when the stream is gone, and once", (server, store, worker) =>
    Effect.gen(function* () {
      yield* add(store, 100)
      yield* server.cli("DEL", `${prefix}stream`, `${prefix}wake`)
      assert.strictEqual((yield* worker.take(100)).length, 0)
      assert.strictEqual(yield* heartbeats(worker), 100)
      assert.strictEqual(yield* heartbeats(worker), 0)
      yield* worker.session.awaitWork
      assert.strictEqual((yield* worker.take(200)).length, 100)
    }))

  test("what is scheduled is found again when the queue is gone, and keeps its time", (server, store, worker) =>
    Effect.gen(function* () {
      yield* add(store, 20, 60_000)
      const due = yield* server.cli("ZRANGE", `${prefix}queue`, "0", "-1", "WITHSCORES")
      yield* server.cli("DEL", `${prefix}queue`)
      assert.strictEqual(yield* heartbeats(worker), 20)
      assert.strictEqual(yield* server.cli("ZRANGE", `${prefix}queue`, "0", "-1", "WITHSCORES"), due)
    }))

  test("what runs is under a lease again when the leases are gone", (server, store, worker) =>
    Effect.gen(function* () {
      yield* add(store, 5)
      const [held, ...orphans] = yield* worker.take(5)
      yield* server.cli("DEL", `${prefix}leases`)
      assert.strictEqual(yield* heartbeats(worker), 5)
      assert.strictEqual(yield* worker.settle(held!), "applied")
      yield* Effect.sleep(1100)
      assert.strictEqual((yield* worker.session.heartbeat).reclaimed, orphans.length)
      assert.strictEqual((yield* worker.take(10)).length, orphans.length)
    }))

  test("what was set aside is looked at again when its place is gone", (server, store, worker) =>
    Effect.gen(function* () {
      yield* withoutStrikes(store).schedule([request("k", { task: "other" })])
      assert.strictEqual((yield* worker.exchange({ take: 1 })).unknown.length, 1)
      yield* server.cli("DEL", `${prefix}parked`, `${prefix}parked:other`)
      assert.strictEqual(yield* heartbeats(worker), 1)
      const other = yield* openWorker(withoutStrikes(store), { tasks: new Set(["other"]) })
      assert.strictEqual((yield* other.take(5)).length, 1)
    }))

  test("ten orphans behind five thousand fresh leases are found by the first heartbeat", (_, store, worker) =>
    Effect.gen(function* () {
      yield* add(store, 5010)
      const orphans = yield* worker.take(10)
      const busy = yield* openWorker(withoutStrikes(store), { leaseMillis: 60_000 })
      for (let i = 0; i < 5; i++) assert.strictEqual((yield* busy.take(1000)).length, 1000)
      yield* Effect.sleep(1100)
      assert.strictEqual((yield* busy.session.heartbeat).reclaimed, 10)
      assert.sameMembers(
        (yield* busy.take(100)).map(({ key }) => key),
        orphans.map(({ key }) => key)
      )
    }))

  test("nothing is repaired where nothing is wrong", (_, store, worker) =>
    Effect.gen(function* () {
      yield* add(store, 50)
      yield* withoutStrikes(store).schedule([request("later", { due: after(60_000) })])
      const taken = yield* worker.take(20)
      for (const delivery of taken.slice(0, 10)) yield* worker.settle(delivery)
      assert.strictEqual(yield* heartbeats(worker), 0)
    }))

  test("keys of other types in the place of records keep nothing else from being repaired", (server, store, worker) =>
    Effect.gen(function* () {
      yield* add(store, 10)
      yield* server.cli("SET", `${prefix}runs:odd`, "not a record")
      yield* server.cli("SET", `${prefix}slots:odd`, "not slots")
      yield* server.cli("DEL", `${prefix}stream`)
      assert.strictEqual(yield* heartbeats(worker), 10)
    }))
})
