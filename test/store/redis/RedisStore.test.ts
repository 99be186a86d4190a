import { assert, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Inspectable, Option, Queue, Scope } from "effect"
import type { Outcome, Settlement, WorkerSession } from "../../../src/DocketStore.ts"
import { make as makeKeys } from "../../../src/store/redis/scripts/keys.ts"
import * as RedisStore from "../../../src/store/redis/RedisStore.ts"
import * as RedisServer from "../../support/RedisServer.ts"
import { keysOf, request, type Store, withoutStrikes } from "../conformance/kit.ts"
import * as Kit from "./kit.ts"
import { realTime, waitUntil } from "../../support/waitUntil.ts"

const options = { ...Kit.options, failedTtlMillis: 3_600_000 }

const openUrl = (url: string) => Effect.map(RedisStore.makeUrl(url, options), withoutStrikes)

const openWorker = (store: Store, tasks: ReadonlyArray<string> = ["send"]) =>
  store.open({
    name: `worker-${++workers}`,
    tasks: new Set(tasks),
    contracts: new Map(),
    recurring: new Set(),
    leaseMillis: 300_000,
    maxDeliveries: 10,
    facts: new Map(),
    presenceMillis: 10_000
  })
let workers = 0

const take = (session: WorkerSession, count: number, finished: ReadonlyArray<Settlement> = []) =>
  Effect.map(
    session.exchange({ lease: `lease-${++leases}`, resent: false, finished, take: count, strikes: "" }),
    (reply) => reply.deliveries
  )
let leases = 0

const settlement = (
  { generation, key, lease }: Pick<Settlement, "key" | "generation" | "lease">,
  outcome: Settlement["outcome"]
): Settlement => ({ key, generation, lease, reported: false, outcome })

it.layer(RedisServer.RedisServer.layer(), { excludeTestServices: true })("RedisStore", (it) => {
  const test = (
    title: string,
    body: (server: RedisServer.RedisServer["Service"], store: Store) => Effect.Effect<void, unknown, Scope.Scope>
  ) =>
    it.effect(title, () =>
      Effect.gen(function* () {
        const server = yield* RedisServer.RedisServer
        yield* server.cli("FLUSHALL")
        yield* Effect.scoped(Effect.flatMap(openUrl(server.url), (store) => body(server, store)))
      })
    )

  test("scripts that the server has lost are loaded again", (server, store) =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* store.schedule([request("a")]), ["scheduled"])
      yield* server.cli("SCRIPT", "FLUSH")
      const all = yield* Effect.all(
        ["a", "b", "c"].map((key) => store.schedule([request(key)])),
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(all, [["already-scheduled"], ["scheduled"], ["scheduled"]])
      yield* server.cli("SCRIPT", "FLUSH")
      assert.strictEqual((yield* take(yield* openWorker(store), 5)).length, 3)
    }))

  test("URL-08 a user whose access is limited to the docket's prefix can do everything", (server) =>
    Effect.gen(function* () {
      const setUser = ["ACL", "SETUSER", "ada", "reset", "on", ">hunter2", "+@all", "~{orders}:*", "&{orders}:*"]
      yield* server.cli(...setUser)
      const url = server.url.replace("redis://", "redis://ada:hunter2@")
      const store = yield* openUrl(url)
      const old = yield* openWorker(store, ["other"])
      const session = yield* openWorker(store)
      const feed = yield* store.watch("k")
      yield* store.watchAll
      yield* session.heartbeat
      yield* store.schedule([request("k"), request("later", { due: { _tag: "After", millis: 50_000 } })])
      yield* store.schedule([request("later", { replace: true })])
      yield* take(old, 5)
      yield* session.awaitWork
      const [first] = yield* take(session, 1)
      yield* session.progress([{ ...first!, current: 1, total: 2, message: undefined }])
      const retry = settlement(first!, { _tag: "Retry", error: "Boom: x", due: { _tag: "After", millis: 0 } })
      yield* take(session, 0, [retry])
      for (const delivery of yield* take(session, 5)) {
        yield* store.cancel([delivery.key])
        yield* Queue.take(session.cancellations)
        yield* session.renew([delivery])
        yield* take(session, 0, [settlement(delivery, { _tag: "Failed", error: "Boom: y", failure: undefined })])
      }
      yield* store.attempts("k")
      assert.strictEqual((yield* store.failed({ limit: 5 })).records.length, 2)
      yield* store.retryFailed(["k"])
      yield* store.discardFailed(["later"])
      yield* store.snapshot(5)
      yield* store.workers
      yield* store.depth
      assert.strictEqual(yield* store.clear, 1)
      yield* session.leave
      assert.strictEqual((yield* Queue.take(feed))._tag, "Changed")
      assert.strictEqual(yield* server.cli("ACL", "LOG"), "")
      assert.deepStrictEqual(
        (yield* server.cli("KEYS", "*")).split("\n").filter((key) => !key.startsWith("{orders}:")),
        []
      )
    }))

  test("URL-09 operators find the stream, the queue, records and workers under their documented names", (server, store) =>
    Effect.gen(function* () {
      const session = yield* openWorker(store)
      yield* session.heartbeat
      yield* store.schedule([request("now"), request("later", { due: { _tag: "After", millis: 60_000 } })])
      assert.strictEqual(yield* server.cli("XLEN", "{orders}:stream"), "1")
      assert.strictEqual(yield* server.cli("ZRANGE", "{orders}:queue", "0", "-1"), "later")
      assert.strictEqual(yield* server.cli("HGET", "{orders}:runs:now", "state"), "queued")
      assert.strictEqual(yield* server.cli("ZCARD", "{orders}:workers"), "1")
      const [entry] = (yield* server.cli("XRANGE", "{orders}:stream", "-", "+")).split("\n")
      assert.strictEqual(yield* server.cli("HGET", "{orders}:runs:now", "id"), entry)
    }))

  test("a record is small, and keeps its compact encoding through a life with retries", (server, store) =>
    Effect.gen(function* () {
      const key = "0199a5f0-7b3c-7d4e-8f5a-6b7c8d9e0f1a"
      const record = `{orders}:runs:${key}`
      const fields = Effect.map(server.cli("HKEYS", record), (keys) => keys.split("\n").toSorted().join(" "))
      const trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
      yield* store.schedule([request(key)])
      assert.strictEqual(yield* fields, "due gen id p1 state task")
      yield* store.schedule([request(key, { replace: true, trace })])
      const session = yield* openWorker(store)
      const [first] = yield* take(session, 1)
      assert.strictEqual(yield* fields, "deliveries due gen id lease p1 started state task trace worker")
      const retry = settlement(first!, { _tag: "Retry", error: "Boom: x", due: { _tag: "After", millis: 0 } })
      const [second] = yield* take(session, 1, [retry])
      assert.strictEqual(yield* server.cli("OBJECT", "ENCODING", record), "listpack")
      yield* take(session, 0, [settlement(second!, { _tag: "Completed", result: "1" })])
      assert.strictEqual(yield* server.cli("OBJECT", "ENCODING", record), "listpack")
      assert.isAbove(Number(yield* server.cli("PTTL", record)), 890_000)
    }))

  test("nothing of a settled execution stays, whatever the lengths of its payloads were", (server, store) =>
    Effect.gen(function* () {
      const session = yield* openWorker(store)
      const [small, large] = ["[1]", JSON.stringify("x".repeat(300))]
      const runs = [small, large].flatMap((first) => [small, large].map((second) => [first, second] as const))
      for (const [i, [first, second]] of runs.entries()) {
        yield* store.schedule([request(`replaced-${i}`, { payload: first }), request(`next-${i}`, { payload: first })])
        yield* store.schedule([request(`replaced-${i}`, { payload: second, replace: true })])
      }
      const end: Outcome = { _tag: "Completed", result: undefined }
      const deliveries = yield* take(session, 2 * runs.length)
      const settlements = deliveries.map((delivery) => {
        const [kind, i] = delivery.key.split("-")
        if (kind === "replaced") return settlement(delivery, end)
        return settlement(delivery, {
          ...end,
          next: { due: { _tag: "After", millis: 0 }, payload: runs[Number(i)]![1] }
        })
      })
      const last = yield* take(session, runs.length, settlements)
      yield* take(
        session,
        0,
        last.map((delivery) => settlement(delivery, end))
      )
      const keys = (yield* server.cli("KEYS", "{orders}:*:*-*")).split("\n")
      assert.strictEqual(keys.filter((key) => key.startsWith("{orders}:payload:")).length, runs.length)
      for (const key of keys) assert.isAbove(Number(yield* server.cli("PTTL", key)), 0, key)
    }))

  test("a queued execution with a payload of 200 bytes costs at most 530 bytes", (server, store) =>
    Effect.gen(function* () {
      const used = Effect.map(server.cli("INFO", "memory"), (info) => Number(/used_memory:(\d+)/.exec(info)?.[1]))
      const payload = JSON.stringify("x".repeat(198))
      const key = (n: number) => `0199a5f0-7b3c-7d4e-8f5a-${String(n).padStart(12, "0")}`
      const batch = (from: number) =>
        store.schedule(Array.from({ length: 1_000 }, (_, n) => request(key(from + n), { payload })))
      yield* batch(0)
      const before = yield* used
      yield* Effect.forEach([1, 2, 3, 4, 5, 6, 7], (n) => batch(n * 1_000))
      assert.isAtMost(((yield* used) - before) / 7_000, 530)
    }))

  for (const name of ["", "a{b", "a}b", "{orders}"]) {
    test(`a docket cannot be named ${JSON.stringify(name)}`, (server) =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(RedisStore.makeUrl(server.url, { ...options, name }))
        assert.strictEqual(error._tag, "InvalidRequest")
        assert.include(error.message, "braces")
      }))
  }

  test("URL-02 no error shows a payload or a password", (server, store) =>
    Effect.gen(function* () {
      yield* server.cli("SET", "{orders}:stream", "not a stream")
      const secret = "payload-to-keep-quiet"
      const refused = yield* Effect.flip(store.schedule([request("k", { payload: secret })]))
      assert.include(refused.message, "DocketStore.schedule")
      assert.include(refused.message, "WRONGTYPE")
      yield* server.cli("DEL", "{orders}:stream")
      const url = server.url.replace("redis://", "redis://ada:hunter3@")
      const intruder = yield* openUrl(url)
      const unknown = yield* Effect.flip(intruder.schedule([request("k", { payload: secret })]))
      assert.include(unknown.message, "WRONGPASS")
      for (const error of [refused, unknown]) {
        const shown = [error.message, String(error), JSON.stringify(error), Inspectable.toStringUnknown(error)].join()
        assert.notInclude(shown + String(error.stack), secret)
        assert.notInclude(shown + String(error.stack), "hunter3")
        const cause = error.cause as Error
        assert.deepStrictEqual(
          Object.keys(cause).filter((name) => name !== "name" && name !== "code"),
          []
        )
      }
    }))

  test("a record that someone damaged keeps no other execution from being claimed", (server, store) =>
    Effect.gen(function* () {
      yield* store.schedule(["a", "b", "c", "d", "e"].map((key) => request(key)))
      yield* server.cli("HDEL", "{orders}:runs:a", "task")
      yield* server.cli("DEL", "{orders}:runs:b")
      yield* server.cli("HDEL", "{orders}:runs:c", "due")
      yield* server.cli("HDEL", "{orders}:runs:d", "gen")
      const session = yield* openWorker(store)
      const deliveries = yield* take(session, 10)
      assert.deepStrictEqual(
        deliveries.map(({ key }) => key),
        ["e"]
      )
      assert.deepStrictEqual(yield* store.schedule(["a", "b", "c", "d"].map((key) => request(key))), [
        "scheduled",
        "scheduled",
        "scheduled",
        "scheduled"
      ])
      assert.strictEqual((yield* take(session, 10)).length, 4)
    }))

  test("while nobody follows an execution nothing is published, also when another docket is followed", (server, store) =>
    Effect.gen(function* () {
      const other = yield* RedisStore.makeUrl(server.url, { ...options, name: "other" })
      yield* other.watch("k")
      yield* server.cli("CONFIG", "RESETSTAT")
      const session = yield* openWorker(store)
      yield* store.schedule([request("k")])
      const [delivery] = yield* take(session, 1)
      yield* take(session, 0, [settlement(delivery!, { _tag: "Completed", result: undefined })])
      assert.notMatch(yield* server.cli("INFO", "commandstats"), /cmdstat_p(?:ublish|ubsub)/)
      const feed = yield* store.watch("k")
      yield* store.schedule([request("other"), request("k")])
      const event = yield* Queue.take(feed)
      assert(event._tag === "Changed")
      assert.strictEqual(event.generation, 2)
      assert.match(yield* server.cli("INFO", "commandstats"), /cmdstat_publish:calls=2,/)
    }))

  test("design 5: a process that only adds opens one connection, and building a store opens none", (server, store) =>
    Effect.gen(function* () {
      assert.strictEqual(yield* clients(server), 0)
      yield* store.schedule([request("k")])
      yield* store.read(["k"])
      assert.strictEqual(yield* clients(server), 1)
    }))

  test("CHS-03 closing a session and a store closes their connections", (server) =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const store = yield* Scope.provide(openUrl(server.url), scope)
      yield* Effect.scoped(
        Effect.gen(function* () {
          yield* store.depth
          const session = yield* openWorker(store)
          const waiting = yield* Effect.forkScoped(session.awaitWork)
          yield* waitUntil("the worker blocks", blocks(server))
          assert.strictEqual(yield* clients(server), 3)
          yield* Fiber.interrupt(waiting)
        })
      )
      assert.strictEqual(yield* clients(server), 2)
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(yield* clients(server), 0)
    }))

  test("a token that was on its way to a worker that closes is not lost", (server, store) =>
    Effect.gen(function* () {
      for (let n = 0; n < 20; n++) {
        yield* Effect.scoped(
          Effect.gen(function* () {
            const leaving = yield* openWorker(store)
            yield* Effect.forkScoped(leaving.awaitWork)
            yield* waitUntil("the worker blocks", blocks(server))
            yield* store.schedule([request(`k${n}`)])
          })
        )
        assert.strictEqual(yield* server.cli("EXISTS", "{orders}:wake"), "1")
        const staying = yield* openWorker(store)
        yield* staying.awaitWork
        assert.strictEqual((yield* take(staying, 5)).length, 1)
        yield* staying.leave
      }
    }))

  const fail = Effect.fnUntraced(function* (store: Store, keys: ReadonlyArray<string>) {
    const session = yield* openWorker(store)
    yield* store.schedule(keys.map((key) => request(key)))
    for (const delivery of yield* take(session, keys.length)) {
      yield* take(session, 0, [settlement(delivery, { _tag: "Failed", error: "Boom: x", failure: undefined })])
      yield* realTime(2)
    }
  })

  test("a page of failed executions is full, also when records that come before or in it were lost", (server, store) =>
    Effect.gen(function* () {
      yield* fail(store, ["a", "b", "c", "d", "e"])
      yield* server.cli("DEL", "{orders}:runs:e")
      yield* server.cli("HDEL", "{orders}:runs:c", "p1")
      const first = yield* store.failed({ limit: 2 })
      assert.deepStrictEqual(keysOf(first.records), ["d", "b"])
      assert.deepStrictEqual(keysOf((yield* store.failed({ limit: 2, before: first.next })).records), ["a"])
      assert.deepStrictEqual(keysOf((yield* store.failed({ limit: 5 })).records), ["d", "b", "a"])
    }))

  test("CLR-01 clearing comes to an end, also when records of what waits were lost", (server, store) =>
    Effect.gen(function* () {
      const session = yield* openWorker(store)
      const later = { due: { _tag: "After", millis: 60_000 } } as const
      yield* store.schedule([request("aside", { task: "unknown" }), request("aside too", { task: "unknown" })])
      yield* take(session, 1)
      yield* store.schedule([request("due"), request("due too"), request("later", later), request("later too", later)])
      yield* server.cli("DEL", "{orders}:runs:aside", "{orders}:runs:due", "{orders}:runs:later")
      assert.strictEqual(yield* store.clear, 3)
      assert.deepStrictEqual(yield* store.depth, { queued: 0, scheduled: 0, running: 0 })
      assert.strictEqual(yield* server.cli("EXISTS", "{orders}:parked", "{orders}:parked:unknown"), "0")
    }))

  test("CLR-01 clearing leaves nothing that waited when it began, however much is added meanwhile", (_, store) =>
    Effect.gen(function* () {
      const later = { due: { _tag: "After", millis: 60_000 } } as const
      const keys = Array.from({ length: 2_000 }, (_, n) => `k${n}`)
      yield* store.schedule(keys.map((key) => request(key, later)))
      const [cleared] = yield* Effect.all(
        [
          store.clear,
          Effect.forEach(
            Array.from({ length: 50 }, (_, n) => n),
            (n) => store.schedule(Array.from({ length: 20 }, (_, m) => request(`new ${n} ${m}`)))
          )
        ],
        { concurrency: "unbounded" }
      )
      assert.isAtLeast(cleared, 2_000)
      assert.strictEqual((yield* store.depth).scheduled, 0)
    }))

  test("TTL-01 a progress ends with its run, and some time after a run that is never taken over", (server, store) =>
    Effect.gen(function* () {
      const session = yield* openWorker(store)
      yield* store.schedule([request("k")])
      const [delivery] = yield* take(session, 1)
      assert.strictEqual(yield* server.cli("EXISTS", "{orders}:progress:k"), "0")
      yield* session.progress([{ ...delivery!, current: 1, total: 2, message: "half" }])
      const left = Number(yield* server.cli("PTTL", "{orders}:progress:k"))
      assert.isAbove(left, 3_600_000)
      yield* session.progress([{ ...delivery!, current: 2, total: 2, message: undefined }])
      assert.isAbove(Number(yield* server.cli("PTTL", "{orders}:progress:k")), 3_600_000)
      const end = settlement(delivery!, { _tag: "Completed", result: undefined })
      yield* take(session, 0, [{ ...end, reported: true }])
      assert.strictEqual(yield* server.cli("EXISTS", "{orders}:progress:k"), "0")
    }))

  test("a large batch is one disposition for each request, in order", (_, store) =>
    Effect.gen(function* () {
      const requests = Array.from({ length: 1_234 }, (_, n) => request(`k${n % 1_000}`, { payload: String(n) }))
      const dispositions = yield* store.schedule(requests)
      assert.deepStrictEqual(
        dispositions,
        requests.map((_, n) => (n < 1_000 ? "scheduled" : "already-scheduled"))
      )
      const records = yield* store.read(requests.map(({ key }) => key))
      assert.deepStrictEqual(
        records.map((record) => Option.getOrThrow(record).payload),
        requests.map((_, n) => String(n % 1_000))
      )
      yield* store.cancel(requests.map(({ key }) => key))
      assert.deepStrictEqual(yield* store.depth, { queued: 0, scheduled: 0, running: 0 })
    }))

  it("every key and channel begins with the prefix", () => {
    const { eventsOf, cancel, wakeOf, ...keys } = makeKeys("orders")
    for (const key of [...Object.values(keys), ...eventsOf("k"), cancel("w"), wakeOf("w")]) {
      assert.isTrue(key.startsWith("{orders}:"), key)
    }
  })
})

/** How many connections the server has, but for the one that asks. */
const clients = (server: RedisServer.RedisServer["Service"]) =>
  Effect.map(server.cli("CLIENT", "LIST"), (list) => list.split("\n").filter((line) => !/cmd=client/.test(line)).length)

const blocks = (server: RedisServer.RedisServer["Service"]) =>
  Effect.map(server.cli("INFO", "clients"), (info) => !info.includes("blocked_clients:0"))
