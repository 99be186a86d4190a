import { assert, it } from "@effect/vitest"
import { Duration, Effect, Fiber, Layer, Logger, Queue, type Scope } from "effect"
import { afterAll, beforeAll, vi } from "vitest"
import type { DocketStore } from "../../../src/DocketStore.ts"
import { Docket, Dockets, Task, TaskGroup, Worker } from "../../../src/index.ts"
import * as RedisStore from "../../../src/store/redis/RedisStore.ts"
import * as RedisServer from "../../support/RedisServer.ts"
import { untilSuccess, waitUntil } from "../../support/waitUntil.ts"
import { openWorker } from "../conformance/kit.ts"
import { add, options } from "./kit.ts"

/** Fails when an effect takes longer. */
const within = <A, E, R>(millis: number, effect: Effect.Effect<A, E, R>) =>
  Effect.flatMap(Effect.timed(effect), ([took, value]) => {
    assert.isBelow(Duration.toMillis(took), millis)
    return Effect.succeed(value)
  })

const printed: Array<unknown> = []
beforeAll(() => {
  for (const method of ["log", "info", "warn", "error", "debug"] as const) {
    vi.spyOn(console, method).mockImplementation((...args) => void printed.push(args))
  }
})
afterAll(() => {
  vi.restoreAllMocks()
  assert.deepStrictEqual(printed, [])
})

it.layer(RedisServer.RedisServer.layer({ appendonly: true }), { excludeTestServices: true })("Redis", (it) => {
  const test = (
    title: string,
    body: (
      server: RedisServer.RedisServer["Service"],
      open: Effect.Effect<DocketStore["Service"], unknown, Scope.Scope>
    ) => Effect.Effect<void, unknown, Scope.Scope>,
    query = ""
  ) =>
    it.effect(title, () =>
      Effect.gen(function* () {
        const server = yield* RedisServer.RedisServer
        yield* server.thaw
        yield* server.start
        yield* server.cli("FLUSHALL")
        yield* Effect.scoped(body(server, RedisStore.makeUrl(`${server.url}${query}`, options)))
      })
    )

  test("SCH-14 what is under way when the server dies fails at once", (server, open) =>
    Effect.gen(function* () {
      const store = yield* open
      yield* store.depth
      yield* server.freeze
      const adding = yield* Effect.forkScoped(Effect.flip(add(store, "k")))
      yield* Effect.sleep(20)
      yield* within(500, Effect.andThen(server.kill, Fiber.join(adding)))
    }))

  test("SCH-14 while the server is away operations fail soon, and say why; once it is back they succeed", (server, open) =>
    Effect.gen(function* () {
      const store = yield* open
      yield* add(store, "a")
      yield* server.kill
      for (let n = 0; n < 6; n++) {
        const error = yield* within(1_500, Effect.flip(add(store, "b")))
        assert.strictEqual(error._tag, "StoreError")
        assert.match(error.message, /ECONNREFUSED|closed/)
      }
      yield* server.start
      // The pause between attempts is at most a second.
      assert.deepStrictEqual(yield* within(1_500, add(store, "a")), ["already-scheduled"])
    }))

  test("a store can be built while the server is away", (server, open) =>
    Effect.gen(function* () {
      yield* server.kill
      const store = yield* within(200, open)
      yield* Effect.flip(openWorker(store))
      yield* server.start
      assert.deepStrictEqual(yield* add(store, "k"), ["scheduled"])
    }))

  test(
    "a server that stands still is given up after the deadline, and does no harm when it goes on",
    (server, open) =>
      Effect.gen(function* () {
        const store = yield* open
        yield* add(store, "a")
        yield* server.freeze
        const error = yield* within(1_000, Effect.flip(add(store, "b")))
        assert.include(error.message, "did not answer in time")
        // Nor does a new connection hang, which the system accepts and nobody answers.
        yield* within(1_500, Effect.flip(add(store, "c")))
        yield* server.thaw
        yield* untilSuccess("the store answers", add(store, "d"))
        yield* waitUntil(
          "the given up connections are gone",
          Effect.map(clients(server), (n) => n === 1)
        )
      }),
    "?commandTimeout=400"
  )

  test("SCH-14 the time limit of an add counts from its call, however many callers wait before it", (server) =>
    Effect.gen(function* () {
      const docket = yield* Dockets.make({ url: `${server.url}?commandTimeout=500`, name: "orders" })
      const task = Task.make("task")
      yield* docket.add(task)
      yield* server.freeze
      // Four groups of 25 are under way at a time.
      const adds = Effect.forEach(Array.from({ length: 1000 }), () => Effect.flip(docket.add(task)), {
        concurrency: "unbounded"
      })
      const errors = yield* within(1_500, adds)
      assert.isTrue(errors.every(({ reason }) => reason._tag === "StoreError"))
      assert.include(errors.at(-1)?.message, "nothing was sent")
      yield* server.thaw
      yield* untilSuccess("the store answers", docket.add(task))
    }))

  test(
    "SCH-14 a call that finds no connection, or a server that refuses it, has one deadline for all of it",
    (server, open) =>
      Effect.gen(function* () {
        const store = yield* open
        yield* store.depth
        // Its first command after the greeting is refused for as long as the script runs.
        yield* server.cli("CONFIG", "SET", "lua-time-limit", "10")
        const busy = yield* Effect.forkScoped(Effect.ignore(server.cli("EVAL", "while true do end", "0")))
        yield* untilSuccess("the server is busy", Effect.flip(server.cli("PING")))
        const error = yield* within(1_000, Effect.flip(add(store, "k")))
        assert.match(error.message, /BUSY .* SCRIPT KILL or FUNCTION KILL/)
        yield* server.cli("SCRIPT", "KILL")
        yield* Fiber.join(busy)
        assert.deepStrictEqual(yield* add(store, "k"), ["scheduled"])
      }),
    "?commandTimeout=500"
  )

  test("a script that the server does not know, or knows no longer, is sent with the call itself", (server) =>
    Effect.gen(function* () {
      // Between a script that is loaded and its call, it could be forgotten again.
      yield* server.cli("ACL", "SETUSER", "few", "on", ">secret", "~*", "&*", "+@all", "-script")
      const store = yield* RedisStore.makeUrl(server.url.replace("//", "//few:secret@"), options)
      for (const key of ["a", "b", "c"]) {
        yield* server.cli("SCRIPT", "FLUSH")
        assert.deepStrictEqual(yield* add(store, key), ["scheduled"])
      }
    }))

  test("REC-04 a feed goes on after the connection was lost, and says that there was a gap", (server, open) =>
    Effect.gen(function* () {
      const store = yield* open
      const feed = yield* store.watch("k")
      const all = yield* store.watchAll
      yield* server.kill
      yield* server.start
      assert.deepStrictEqual(yield* Queue.take(feed), { _tag: "Interrupted" })
      assert.deepStrictEqual(yield* Queue.take(all), { _tag: "Interrupted" })
      yield* untilSuccess("the store answers", add(store, "k"))
      const event = yield* Queue.take(feed)
      assert(event._tag === "Changed")
      assert.strictEqual(event.state, "queued")
      assert.strictEqual((yield* Queue.take(all))._tag, "Changed")
    }))

  test("REC-04 a feed goes on at once after the server lost its data too", (server, open) =>
    Effect.gen(function* () {
      const store = yield* open
      const feed = yield* store.watch("k")
      yield* server.cli("FLUSHALL")
      yield* server.cli("CLIENT", "KILL", "TYPE", "pubsub")
      assert.deepStrictEqual(yield* Queue.take(feed), { _tag: "Interrupted" })
      yield* add(store, "k")
      assert.strictEqual((yield* within(1_000, Queue.take(feed)))._tag, "Changed")
    }))

  test("RES-06 EVT-05 a feed says that there was a gap when nothing was published for a while", (server, open) =>
    Effect.gen(function* () {
      const store = yield* open
      const feed = yield* store.watch("k")
      // As it ends by itself when it cannot be renewed in time.
      yield* server.cli("DEL", "{orders}:watchers")
      yield* add(store, "k")
      // Whoever else follows something sets it anew.
      const other = yield* open
      yield* other.watch("other")
      yield* store.watch("another")
      assert.deepStrictEqual(yield* Queue.take(feed), { _tag: "Interrupted" })
      yield* store.cancel(["k"])
      const event = yield* Queue.take(feed)
      assert(event._tag === "Changed")
      assert.strictEqual(event.state, "cancelled")
    }))

  test("`reconnected` does not wait for a subscription that was given up meanwhile", (server, open) =>
    Effect.gen(function* () {
      const store = yield* open
      const { session } = yield* Effect.scoped(openWorker(store))
      const watching = yield* Effect.forkScoped(Effect.scoped(Effect.andThen(store.watch("k"), Effect.never)))
      yield* waitUntil(
        "two connections are open",
        Effect.map(clients(server), (n) => n === 2)
      )
      const back = yield* Effect.forkScoped(session.reconnected)
      yield* Effect.yieldNow
      yield* server.kill
      yield* Effect.flip(store.depth)
      yield* Fiber.interrupt(watching)
      yield* Effect.sleep(300)
      yield* server.start
      yield* within(3_000, Fiber.join(back))
    }))

  test("CAN-09 after a reconnection a worker hears cancellations again", (server, open) =>
    Effect.gen(function* () {
      const store = yield* open
      const { session, takeOne } = yield* openWorker(store)
      yield* add(store, "k")
      yield* takeOne
      const back = yield* Effect.forkScoped(session.reconnected)
      yield* Effect.yieldNow
      yield* server.kill
      yield* server.start
      yield* within(3_000, Fiber.join(back))
      yield* store.cancel(["k"])
      assert.strictEqual((yield* Queue.take(session.cancellations)).key, "k")
    }))

  test("CHN-01 a recurring task that the server has lost is back with the connection", (server) =>
    Effect.gen(function* () {
      const docket = yield* Dockets.make({ url: server.url, name: "orders" })
      const tasks = TaskGroup.make(Task.make("tick", { perpetual: { every: "1 hour", automatic: true } }))
      yield* Layer.build(
        Worker.layer(tasks).pipe(
          Layer.provide(tasks.toLayer({ tick: () => Effect.void })),
          Layer.provide(Layer.succeed(Docket, docket)),
          Layer.provide(Logger.layer([]))
        )
      )
      yield* untilSuccess("it is there", Effect.flatMap(docket.info("tick"), Effect.fromOption))
      // As a failover does whose replica had nothing of it.
      yield* server.cli("DEL", "{orders}:runs:tick", "{orders}:queue", "{orders}:stream", "{orders}:leases")
      yield* server.cli("CLIENT", "KILL", "TYPE", "normal")
      yield* within(5_000, untilSuccess("it is back", Effect.flatMap(docket.info("tick"), Effect.fromOption)))
    }))

  test("`reconnected` says nothing while the connection stands, and each loss is told once", (server, open) =>
    Effect.gen(function* () {
      const { session } = yield* openWorker(yield* open)
      yield* session.heartbeat
      let times = 0
      yield* session.reconnected.pipe(Effect.andThen(Effect.sync(() => times++)), Effect.forever, Effect.forkScoped)
      yield* Effect.sleep(300)
      assert.strictEqual(times, 0)
      for (const expected of [1, 2]) {
        yield* server.kill
        yield* server.start
        yield* waitUntil(
          "the loss is told",
          Effect.sync(() => times === expected)
        )
        yield* session.heartbeat
      }
      yield* Effect.sleep(300)
      assert.strictEqual(times, 2)
    }))

  test("a wait for work ends when its connection is lost, and can be begun again", (server, open) =>
    Effect.gen(function* () {
      const store = yield* open
      const { session } = yield* openWorker(store)
      const waiting = yield* Effect.forkScoped(Effect.flip(session.awaitWork))
      yield* waitUntil("the worker blocks", blocks(server))
      yield* server.kill
      assert.strictEqual((yield* within(1_000, Fiber.join(waiting)))._tag, "StoreError")
      yield* server.start
      const again = yield* Effect.forkScoped(Effect.retry(session.awaitWork, { times: 20 }))
      yield* waitUntil("the worker blocks again", blocks(server))
      yield* untilSuccess("the store answers", add(store, "k"))
      yield* Fiber.join(again)
    }))

  for (const [what, harm] of [
    ["stands still", (server: RedisServer.RedisServer["Service"]) => server.freeze],
    ["is gone", (server: RedisServer.RedisServer["Service"]) => server.kill]
  ] as const) {
    test(`SHD-04 a store closes promptly while its server ${what}`, (server, open) =>
      Effect.gen(function* () {
        yield* Effect.scoped(
          Effect.gen(function* () {
            const store = yield* open
            const { session } = yield* openWorker(store)
            yield* store.watch("k")
            yield* store.depth
            yield* Effect.forkScoped(session.awaitWork)
            yield* waitUntil("the worker blocks", blocks(server))
            yield* harm(server)
            yield* Effect.forkScoped(Effect.ignore(store.depth))
            yield* Effect.forkScoped(session.reconnected)
            yield* Effect.sleep(100)
          })
        ).pipe((closed) => within(2_500, closed))
        yield* server.thaw
        yield* server.start
        yield* waitUntil(
          "all connections are gone",
          Effect.map(clients(server), (n) => n === 0)
        )
      }))
  }

  test("CHS-03 the number of connections is the same after many losses", (server, open) =>
    Effect.gen(function* () {
      const store = yield* open
      const { session } = yield* openWorker(store)
      yield* store.watchAll
      yield* Effect.forkScoped(Effect.forever(Effect.ignore(session.awaitWork)))
      yield* Effect.forkScoped(Effect.forever(session.reconnected))
      yield* store.depth
      const isWhole = Effect.map(clients(server), (n) => n === 3)
      yield* waitUntil("all connections are open", isWhole)
      for (let n = 0; n < 5; n++) {
        yield* server.cli("CLIENT", "KILL", "TYPE", "normal")
        yield* server.cli("CLIENT", "KILL", "TYPE", "pubsub")
        yield* untilSuccess("the store answers", store.depth)
        yield* waitUntil("all connections are there again", isWhole)
      }
      yield* Effect.sleep(1_500)
      assert.isTrue(yield* isWhole)
    }))

  test("a server that was made a replica is asked for by a new connection", (server, open) =>
    Effect.gen(function* () {
      const store = yield* open
      yield* add(store, "a")
      const id = Effect.map(server.cli("CLIENT", "LIST"), (list) => /id=(\d+) .*cmd=evalsha/.exec(list)?.[1])
      const before = yield* id
      yield* server.cli("REPLICAOF", "127.0.0.1", "1")
      assert.include((yield* Effect.flip(add(store, "b"))).message, "READONLY")
      yield* server.cli("REPLICAOF", "NO", "ONE")
      yield* untilSuccess("the store answers", add(store, "b"))
      assert.notStrictEqual(yield* id, before)
    }))

  test("URL-01 a store can be reached by its socket, and with RESP 2", (server, open) =>
    Effect.gen(function* () {
      const bySocket = yield* RedisStore.makeUrl(`unix://${server.socketPath}?db=0`, options)
      const older = yield* RedisStore.makeUrl(`${server.url}?protocol=2`, options)
      yield* add(yield* open, "k")
      const feed = yield* older.watch("k")
      assert.deepStrictEqual(yield* add(bySocket, "k"), ["already-scheduled"])
      const { session, takeOne } = yield* openWorker(older)
      yield* session.awaitWork
      assert.strictEqual((yield* takeOne).key, "k")
      const event = yield* Queue.take(feed)
      assert(event._tag === "Changed")
      assert.strictEqual(event.state, "running")
    }))
})

/** How many connections the server has, but for the one that asks. */
const clients = (server: RedisServer.RedisServer["Service"]) =>
  Effect.map(server.cli("CLIENT", "LIST"), (list) => list.split("\n").filter((line) => !/cmd=client/.test(line)).length)

const blocks = (server: RedisServer.RedisServer["Service"]) =>
  Effect.map(server.cli("INFO", "clients"), (info) => !info.includes("blocked_clients:0"))
