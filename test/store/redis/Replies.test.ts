/** Each error reply with which a server turns a command away, and what becomes of that command. */
import { assert, it } from "@effect/vitest"
import { Effect, Fiber, Queue, type Scope } from "effect"
import type { StoreError } from "../../../src/DocketError.ts"
import type { DocketStore } from "../../../src/DocketStore.ts"
import * as RedisStore from "../../../src/store/redis/RedisStore.ts"
import * as RedisCluster from "../../support/RedisCluster.ts"
import * as RedisServer from "../../support/RedisServer.ts"
import { waitUntil } from "../../support/waitUntil.ts"
import { openWorker, settlement } from "../conformance/kit.ts"
import { add, options } from "./kit.ts"

it.layer(RedisServer.RedisServer.layer({ appendonly: true }), { excludeTestServices: true })("Replies", (it) => {
  const test = (
    title: string,
    body: (
      server: RedisServer.RedisServer["Service"],
      open: (query?: string) => Effect.Effect<DocketStore["Service"], unknown, Scope.Scope>
    ) => Effect.Effect<void, unknown, Scope.Scope>
  ) =>
    it.effect(title, () =>
      Effect.gen(function* () {
        const server = yield* RedisServer.RedisServer
        yield* server.cli("FLUSHALL")
        yield* Effect.scoped(body(server, (query = "") => RedisStore.makeUrl(`${server.url}${query}`, options)))
      })
    )

  /** Lets a script run until it is killed. */
  const busy = (server: RedisServer.RedisServer["Service"]) =>
    Effect.gen(function* () {
      yield* server.cli("CONFIG", "SET", "lua-time-limit", "5")
      const script = yield* Effect.forkScoped(Effect.ignore(server.cli("EVAL", "while true do end", "0")))
      yield* waitUntil(
        "the server is busy",
        Effect.match(server.cli("PING"), { onFailure: () => true, onSuccess: () => false })
      )
      return { end: Effect.andThen(server.cli("SCRIPT", "KILL"), Fiber.join(script)) }
    })

  test("BUSY: a command waits until the script that holds up the server has ended", (server, open) =>
    Effect.gen(function* () {
      const store = yield* open()
      yield* store.depth
      const { end } = yield* busy(server)
      const adding = yield* Effect.forkScoped(add(store, "k"))
      yield* Effect.sleep(200)
      assert.isUndefined(adding.pollUnsafe())
      yield* end
      assert.deepStrictEqual(yield* Fiber.join(adding), ["scheduled"])
    }))

  test("BUSY: a command that has waited for its time fails, and says why", (server, open) =>
    Effect.gen(function* () {
      const store = yield* open("?commandTimeout=300")
      yield* store.depth
      const { end } = yield* busy(server)
      assert.include((yield* Effect.flip(add(store, "k"))).message, "BUSY")
      yield* end
      assert.deepStrictEqual(yield* add(store, "k"), ["scheduled"])
    }))

  test("UNBLOCKED: a wait for work that the server ended is begun again on another connection", (server, open) =>
    Effect.gen(function* () {
      const { session } = yield* openWorker(yield* open())
      const blocked = Effect.map(server.cli("CLIENT", "LIST"), (list) => /id=(\d+) .*cmd=blpop/.exec(list)?.[1])
      const waiting = yield* Effect.forkScoped(Effect.retry(session.awaitWork, { times: 20 }))
      yield* waitUntil(
        "it blocks",
        Effect.map(blocked, (id) => id !== undefined)
      )
      const before = (yield* blocked)!
      yield* server.cli("CLIENT", "UNBLOCK", before, "ERROR")
      yield* waitUntil(
        "it blocks elsewhere",
        Effect.map(blocked, (id) => id !== undefined && id !== before)
      )
      yield* add(yield* open(), "k")
      yield* Fiber.join(waiting)
    }))

  test("NOSCRIPT: a script that the server has lost is loaded, and what was asked for is done once", (server, open) =>
    Effect.gen(function* () {
      const store = yield* open()
      const worker = yield* openWorker(store)
      yield* add(store, "a")
      yield* server.cli("SCRIPT", "FLUSH")
      const together = yield* Effect.all(
        ["a", "b"].map((key) => add(store, key)),
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(together, [["already-scheduled"], ["scheduled"]])
      yield* server.cli("SCRIPT", "FLUSH")
      const deliveries = yield* worker.take(5)
      assert.strictEqual(deliveries.length, 2)
      yield* server.cli("SCRIPT", "FLUSH")
      assert.deepStrictEqual(yield* worker.renew(...deliveries), ["held", "held"])
      yield* server.cli("SCRIPT", "FLUSH")
      yield* worker.session.heartbeat
    }))

  test("READONLY: a command fails, and the next one goes to whoever is the master by then", (server, open) =>
    Effect.gen(function* () {
      const store = yield* open()
      const { exchange, session } = yield* openWorker(store)
      yield* add(store, "a")
      // The master that it is to follow is not there, so it keeps its data.
      yield* server.cli("REPLICAOF", "127.0.0.1", "1")
      const take = exchange({ take: 5 })
      assert.include((yield* Effect.flip(add(store, "b"))).message, "READONLY")
      // The connection is replaced, which may be told first.
      for (const refused of [take, session.heartbeat]) {
        assert.match((yield* Effect.flip<unknown, StoreError, never>(refused)).message, /READONLY|closed/)
      }
      yield* server.cli("REPLICAOF", "NO", "ONE")
      assert.deepStrictEqual(yield* Effect.retry(add(store, "b"), { times: 20 }), ["scheduled"])
      assert.strictEqual((yield* Effect.retry(take, { times: 20 })).deliveries.length, 2)
    }).pipe(Effect.ensuring(Effect.ignore(server.cli("REPLICAOF", "NO", "ONE")))))

  test("OOM RES-06: while memory is full adding fails and says so, workers finish and keep what they have, and ends are heard of", (server, open) =>
    Effect.gen(function* () {
      const store = yield* open()
      const { exchange, renew, session, takeOne } = yield* openWorker(store)
      for (const key of ["a", "b", "c"]) yield* add(store, key)
      const first = yield* takeOne
      yield* server.cli("CONFIG", "SET", "maxmemory", "1mb")
      const error = yield* Effect.flip(add(store, "d"))
      assert.include(error.message, "OOM")
      assert.deepStrictEqual(yield* renew(first), ["held"])
      yield* session.heartbeat
      const reply = yield* exchange({ finished: [settlement(first)], take: 1 })
      assert.deepStrictEqual(reply.settled, ["applied"])
      const [second] = reply.deliveries
      assert(second?.key === "b")
      const feed = yield* store.watch("c")
      yield* store.cancel(["b", "c"])
      assert.propertyVal(yield* Queue.take(feed), "state", "cancelled")
      assert.deepStrictEqual(yield* renew(second), ["cancelled"])
      yield* server.cli("CONFIG", "SET", "maxmemory", "0")
      assert.deepStrictEqual(yield* add(store, "d"), ["scheduled"])
    }).pipe(Effect.ensuring(Effect.ignore(server.cli("CONFIG", "SET", "maxmemory", "0")))))
})

it.live("LOADING: a command waits until the server has read its data", () =>
  Effect.gen(function* () {
    const slowly = ["--key-load-delay", "500", "--loading-process-events-interval-bytes", "1024"]
    const server = yield* RedisServer.make({ appendonly: true, config: slowly })
    yield* server.cli("EVAL", "for i = 1, 2000 do redis.call('SET', i, i) end", "0")
    yield* server.kill
    const starting = yield* Effect.forkScoped(server.start)
    yield* waitUntil(
      "it reads its data",
      Effect.match(server.cli("GET", "k"), {
        onFailure: ({ message }) => message.includes("LOADING"),
        onSuccess: () => assert.fail("it was too fast")
      })
    )
    assert.deepStrictEqual(yield* add(yield* RedisStore.makeUrl(server.url, options), "k"), ["scheduled"])
    yield* Fiber.join(starting)
  })
)

it.live("MOVED: a command is sent to the node that has the docket's slot now", () =>
  Effect.gen(function* () {
    const cluster = yield* RedisCluster.make({ nodeTimeoutMillis: 500 })
    const store = yield* RedisStore.makeUrl(cluster.url, options)
    yield* add(store, "a")
    const owner = yield* cluster.ownerOf("{orders}:stream")
    const slot = Number(yield* owner.cli("CLUSTER", "KEYSLOT", "{orders}:stream"))
    const other = (yield* Effect.forEach(["a", "b", "c", "d", "e", "f", "g"], cluster.ownerOf)).find(
      (o) => o !== owner
    )!
    yield* cluster.migrate(slot, other, Effect.void)
    assert.match(String(yield* Effect.flip(owner.cli("EXISTS", "{orders}:stream"))), /MOVED/)
    assert.deepStrictEqual(yield* add(store, "a"), ["already-scheduled"])
    assert.deepStrictEqual(yield* add(store, "b"), ["scheduled"])
  })
)

it.live("CLUSTERDOWN: a command waits until the cluster is whole again", () =>
  Effect.gen(function* () {
    const cluster = yield* RedisCluster.make({ nodeTimeoutMillis: 500 })
    const store = yield* RedisStore.makeUrl(cluster.url, options)
    yield* add(store, "a")
    const owner = yield* cluster.ownerOf("{orders}:stream")
    const other = cluster.nodes.find((node) => node !== owner)!
    yield* other.kill
    yield* waitUntil(
      "the cluster is down",
      Effect.map(owner.cli("CLUSTER", "INFO"), (info) => info.includes("cluster_state:fail"))
    )
    const adding = yield* Effect.forkScoped(add(store, "b"))
    yield* Effect.sleep(300)
    assert.isUndefined(adding.pollUnsafe())
    yield* other.start
    assert.deepStrictEqual(yield* Fiber.join(adding), ["scheduled"])
  })
)
