/** Lists that someone deleted: what they held is found by its records, and put back. */
import { assert, it } from "@effect/vitest"
import { Effect, type Scope } from "effect"
import type { DocketStore, HeartbeatReply } from "../../../src/DocketStore.ts"
import * as RedisStore from "../../../src/store/redis/RedisStore.ts"
import * as RedisServer from "../../support/RedisServer.ts"
import { after, keysOf, openWorker, request, type TestWorker, withoutStrikes } from "../conformance/kit.ts"

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

  const scope = "task:send:concurrency0"
  const slots = `${prefix}slots:${scope}`
  const openLimited = (store: DocketStore["Service"], limit: number, leaseMillis = 60_000) =>
    openWorker(withoutStrikes(store), {
      leaseMillis,
      controls: new Map([["send", [{ _tag: "Concurrency", scope, limit }]]])
    })
  const limited = (key: string) => request(key, { values: [""] })
  const addLimited = (store: DocketStore["Service"], ...keys: ReadonlyArray<string>) =>
    withoutStrikes(store).schedule(keys.map(limited))

  test("CON-01 a limit whose slots were deleted while nobody waited holds again once a run ends", (server, store) =>
    Effect.gen(function* () {
      const worker = yield* openLimited(store, 2)
      yield* addLimited(store, "a", "b")
      const [a, b] = yield* worker.take(2)
      yield* server.cli("DEL", slots)
      yield* addLimited(store, "c")
      const [c] = yield* worker.take(1)
      yield* worker.settle(a!)
      yield* addLimited(store, "d")
      assert.deepStrictEqual(yield* worker.take(1), [])
      yield* worker.settle(b!)
      assert.deepStrictEqual(keysOf(yield* worker.take(1)), ["d"])
      yield* addLimited(store, "e")
      assert.deepStrictEqual(yield* worker.take(1), [])
      yield* worker.settle(c!)
      assert.deepStrictEqual(keysOf(yield* worker.take(1)), ["e"])
    }))

  test("CON-01 the slots of what runs are back with the next heartbeat, whatever else there is", (server, store, other) =>
    Effect.gen(function* () {
      yield* add(store, 2000, 60_000)
      const worker = yield* openLimited(store, 2)
      yield* other.session.heartbeat
      yield* addLimited(store, "a", "b")
      yield* worker.take(2)
      yield* server.cli("DEL", slots)
      assert.strictEqual((yield* other.session.heartbeat).repaired, 2)
      yield* addLimited(store, "c")
      assert.deepStrictEqual(yield* worker.take(1), [])
    }))

  test("CON-01 whoever has a slot is found again when the slots are gone, before anything more starts", (server, store) =>
    Effect.gen(function* () {
      const worker = yield* openLimited(store, 2)
      yield* addLimited(store, "runs", "overtaken")
      const [runs] = yield* worker.take(2)
      yield* withoutStrikes(store).schedule([{ ...limited("overtaken"), replace: true, due: after(60_000) }])
      yield* addLimited(store, "waits")
      assert.deepStrictEqual(yield* worker.take(1), [])
      const holders = Effect.map(server.cli("HKEYS", slots), (keys) => keys.split("\n").toSorted())
      assert.deepStrictEqual(yield* holders, ["1:overtaken", "1:runs"])
      yield* server.cli("DEL", slots)
      yield* worker.settle(runs!)
      assert.deepStrictEqual(yield* holders, ["1:overtaken"])
      assert.deepStrictEqual(keysOf(yield* worker.take(2)), ["waits"])
      assert.deepStrictEqual(yield* holders, ["1:overtaken", "1:waits"])
      yield* addLimited(store, "comes late")
      assert.deepStrictEqual(yield* worker.take(1), [])
    }))

  for (const lost of ["waiting", "lines", `at:s${scope}`, "line:*"]) {
    test(`CON-02 what waits in a line is found again when ${lost} is gone`, (server, store) =>
      Effect.gen(function* () {
        const worker = yield* openLimited(store, 1)
        yield* addLimited(store, "a", "b", "c")
        const [a] = yield* worker.take(5)
        const [key] = (yield* server.cli("KEYS", `*:${lost}`)).split("\n")
        yield* server.cli("DEL", key!)
        assert.isAbove(yield* heartbeats(worker), 0)
        assert.deepStrictEqual(yield* worker.take(5), [])
        yield* worker.settle(a!)
        const [b] = yield* worker.take(5)
        yield* worker.settle(b!)
        assert.deepStrictEqual([b?.key, ...keysOf(yield* worker.take(5))], ["b", "c"])
      }))
  }

  test("CON-09 RAT-02 one whose record is gone holds up nobody behind it", (server, store) =>
    Effect.gen(function* () {
      const worker = yield* openLimited(store, 1)
      yield* addLimited(store, "a", "gone", "c")
      const [a] = yield* worker.take(5)
      yield* server.cli("DEL", `${prefix}runs:gone`)
      yield* worker.settle(a!)
      assert.deepStrictEqual(keysOf(yield* worker.take(5)), ["c"])
    }))

  test("CON-07 one whose record is damaged passes on the slot that it was given", (server, store) =>
    Effect.gen(function* () {
      const worker = yield* openLimited(store, 1)
      yield* addLimited(store, "a", "b", "c")
      const [a] = yield* worker.take(5)
      yield* worker.settle(a!)
      yield* server.cli("HSET", `${prefix}runs:b`, "due", "never")
      assert.deepStrictEqual(keysOf(yield* worker.take(5)), ["c"])
      assert.strictEqual(yield* server.cli("HGET", `${prefix}runs:b`, "state"), "failed")
    }))

  test("CON-07 one whose record is damaged while it runs passes on its slot when its worker dies", (server, store) =>
    Effect.gen(function* () {
      const dies = yield* openLimited(store, 1, 1)
      const worker = yield* openLimited(store, 1)
      yield* addLimited(store, "a", "b")
      assert.deepStrictEqual(keysOf(yield* dies.take(5)), ["a"])
      yield* server.cli("HDEL", `${prefix}runs:a`, "task")
      yield* Effect.sleep(5)
      assert.strictEqual((yield* worker.session.heartbeat).reclaimed, 1)
      assert.deepStrictEqual(keysOf(yield* worker.take(5)), ["b"])
    }))

  test("a list that was deleted is told of when that is found, and once all of it is back", (server, store, worker) =>
    Effect.gen(function* () {
      yield* add(store, 30_000, 60_000)
      yield* worker.session.heartbeat
      yield* server.cli("DEL", `${prefix}queue`)
      const told = yield* Effect.forEach(Array.from({ length: 12 }), () =>
        Effect.map(worker.session.heartbeat, ({ repaired = 0 }) => repaired)
      )
      const [first = 0, second = 0, ...others] = told.filter((repaired) => repaired > 0)
      assert.strictEqual(first + second, 30_000)
      assert.isAbove(second, 0)
      assert.deepStrictEqual(others, [])
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
