/** Sentinels, clusters and TLS: a docket on each of them, and what becomes of it when its server changes. */
import { assert, it } from "@effect/vitest"
import { Deferred, Duration, Effect, Exit, Fiber, Queue, Schedule, type Scope } from "effect"
import * as Net from "node:net"
import type { DocketStore, ExecutionEvent, StoreOptions } from "../../../src/DocketStore.ts"
import * as RedisStore from "../../../src/store/redis/RedisStore.ts"
import { makeCertificates } from "../../support/certificates.ts"
import * as RedisCluster from "../../support/RedisCluster.ts"
import * as RedisSentinel from "../../support/RedisSentinel.ts"
import * as RedisServer from "../../support/RedisServer.ts"
import { untilSuccess, waitUntil } from "../../support/waitUntil.ts"
import { cancelled, keysOf, openWorker } from "../conformance/kit.ts"
import * as Kit from "./kit.ts"

let dockets = 0
const options = (): StoreOptions => ({ ...Kit.options, name: `orders-${++dockets}` })

/** A key's whole life: added, waited for, taken, followed, cancelled and settled. */
const live = Effect.fnUntraced(function* (store: DocketStore["Service"], key: string) {
  const { session, settle, takeOne } = yield* openWorker(store)
  const feed = yield* store.watch(key)
  const woken = yield* Effect.forkScoped(session.awaitWork)
  assert.deepStrictEqual(yield* Kit.add(store, key), ["scheduled"])
  yield* Fiber.join(woken)
  const delivery = yield* takeOne
  assert.strictEqual(delivery.key, key)
  yield* store.cancel([key])
  assert.strictEqual((yield* Queue.take(session.cancellations)).key, key)
  assert.strictEqual(yield* settle(delivery, cancelled), "applied")
  const states = yield* Effect.forEach([1, 2, 3], () => Queue.take(feed))
  assert.deepStrictEqual(
    states.map((event) => (event._tag === "Changed" ? event.state : event._tag)),
    ["queued", "running", "cancelled"]
  )
  yield* session.leave
})

/** Whoever follows an execution hears that it runs, or of the gap in which that happened. */
const hearsOfStart = Effect.fnUntraced(function* (feed: Queue.Dequeue<ExecutionEvent>) {
  for (;;) {
    const event = yield* Queue.take(feed)
    if (event._tag === "Interrupted" || (event._tag === "Changed" && event.state === "running")) break
  }
})

/** Keeps an idle worker and a follower through a change of servers, and sees that both go on at the new one. */
const survives = Effect.fnUntraced(function* (
  url: string,
  change: (name: string) => Effect.Effect<void, unknown, Scope.Scope>
) {
  const settings = options()
  const store = yield* RedisStore.makeUrl(url, settings)
  const { exchange, session } = yield* openWorker(store)
  yield* session.heartbeat
  const feed = yield* store.watch("after")
  yield* Kit.add(store, "before")
  // A worker asks for work again and again, and looks after itself all the time.
  const waiting = yield* Effect.forkScoped(Effect.retry(session.awaitWork, Schedule.spaced(100)))
  yield* Effect.forkScoped(Effect.forever(Effect.delay(Effect.ignore(session.heartbeat), 500)))
  yield* change(settings.name)
  yield* untilSuccess("the new server takes work", Kit.add(store, "after"))
  yield* Fiber.join(waiting)
  const taken = new Set<string>()
  yield* waitUntil(
    "all of it is taken",
    Effect.map(
      Effect.suspend(() => Effect.orElseSucceed(exchange({ resent: true, take: 5 }), () => ({ deliveries: [] }))),
      ({ deliveries }) => {
        for (const { key } of deliveries) taken.add(key)
        return taken.has("after") && taken.has("before")
      }
    )
  )
  yield* hearsOfStart(feed)
  yield* Effect.scoped(live(store, "then"))
})

it.layer(RedisCluster.RedisCluster.layer({ replicas: 1 }), { excludeTestServices: true })("Cluster", (it) => {
  it.effect("URL-10 a docket lives in one slot, and all of its keys with it", () =>
    Effect.gen(function* () {
      const cluster = yield* RedisCluster.RedisCluster
      // Wherever the client begins, and wherever the docket is.
      for (const { port } of cluster.nodes.slice(0, 3)) {
        const settings = options()
        const store = yield* RedisStore.makeUrl(`redis+cluster://127.0.0.1:${port}`, settings)
        yield* Effect.scoped(live(store, "k"))
        const owner = yield* cluster.ownerOf(`{${settings.name}}:stream`)
        assert.notStrictEqual(yield* owner.cli("EXISTS", `{${settings.name}}:runs:k`), "0")
      }
    })
  )

  it.effect("when the master of its slot is killed a docket goes on at the replica", () =>
    Effect.gen(function* () {
      const cluster = yield* RedisCluster.RedisCluster
      yield* survives(cluster.url, (name) =>
        Effect.gen(function* () {
          const owner = yield* cluster.ownerOf(`{${name}}:stream`)
          yield* owner.kill
          yield* Effect.addFinalizer(() => Effect.orDie(owner.start))
        })
      )
    })
  )

  it.effect("when the master of its slot stands still a docket goes on at the replica", () =>
    Effect.gen(function* () {
      const cluster = yield* RedisCluster.RedisCluster
      yield* survives(cluster.url, (name) =>
        Effect.gen(function* () {
          const owner = yield* cluster.ownerOf(`{${name}}:stream`)
          yield* waitUntil(
            "it has a replica again",
            Effect.map(owner.cli("INFO", "replication"), (info) => info.includes("state=online"))
          )
          // Redis answers before the replica has a write, and a failover would lose it.
          yield* waitUntil(
            "the replica has all writes",
            Effect.map(owner.cli("INFO", "replication"), (info) => {
              const written = /master_repl_offset:(\d+)/.exec(info)?.[1]
              return written !== undefined && info.includes(`offset=${written},`)
            })
          )
          yield* owner.freeze
          yield* Effect.addFinalizer(() => owner.thaw)
        })
      )
    })
  )

  it.effect(
    "MOVED, ASK, TRYAGAIN: a docket follows when its slot moves to another node, and fails nothing halfway meanwhile",
    () =>
      Effect.gen(function* () {
        const cluster = yield* RedisCluster.RedisCluster
        yield* cluster.untilWhole
        const settings = options()
        const key = `{${settings.name}}:stream`
        const store = yield* RedisStore.makeUrl(cluster.url, settings)
        const { session, take } = yield* openWorker(store)
        yield* session.heartbeat
        const feed = yield* store.watch("k5")
        for (let i = 0; i < 10; i++) yield* Kit.add(store, `k${i}`)
        const from = yield* cluster.ownerOf(key)
        const owners = yield* Effect.forEach(["a", "b", "c", "d", "e", "f", "g"], (k) => cluster.ownerOf(k))
        const to = owners.find((node) => node !== from)!
        const slot = Number(yield* from.cli("CLUSTER", "KEYSLOT", key))
        // It asks all the time.
        const taking = yield* Effect.forkScoped(Effect.map(take(5), keysOf))
        const adding = yield* Effect.forkScoped(Effect.forEach(["x", "y", "z"], (key) => Kit.add(store, key)))
        yield* cluster.migrate(slot, to, Effect.sleep(20))
        const taken = yield* Fiber.join(taking)
        assert.deepStrictEqual(taken, ["k0", "k1", "k2", "k3", "k4"])
        assert.deepStrictEqual(yield* Fiber.join(adding), [["scheduled"], ["scheduled"], ["scheduled"]])
        assert.strictEqual((yield* take(20)).length, 8)
        yield* hearsOfStart(feed)
        assert.strictEqual(yield* cluster.ownerOf(key), to)
        yield* Effect.scoped(live(store, "then"))
      })
  )
})

it.layer(RedisSentinel.RedisSentinel.layer(), { excludeTestServices: true })("Sentinel", (it) => {
  it.effect("URL-03 a docket is at the master of its service, whichever Sentinel answers", () =>
    Effect.gen(function* () {
      const { master, sentinels } = yield* RedisSentinel.RedisSentinel
      const settings = options()
      const [first, second] = sentinels
      yield* first!.freeze
      yield* Effect.addFinalizer(() => first!.thaw)
      const url = `redis+sentinel://127.0.0.1:1,127.0.0.1:${first!.port},127.0.0.1:${second!.port}/orders`
      const store = yield* RedisStore.makeUrl(url, settings)
      yield* Effect.scoped(live(store, "k"))
      yield* first!.thaw
      assert.strictEqual(yield* (yield* master).cli("EXISTS", `{${settings.name}}:runs:k`), "1")
    })
  )

  it.effect("a service that no Sentinel knows is an error that names it", () =>
    Effect.gen(function* () {
      const { sentinels } = yield* RedisSentinel.RedisSentinel
      const url = `redis+sentinel://127.0.0.1:${sentinels[0]!.port}/nobody?commandTimeout=300`
      const error = yield* Effect.flip(Kit.add(yield* RedisStore.makeUrl(url, options()), "k"))
      assert.include(error.message, 'knows no service "nobody"')
    })
  )

  for (const [how, harm] of [
    ["is replaced by an operator", undefined],
    ["is killed", (server: RedisSentinel.Server) => server.kill],
    ["stands still", (server: RedisSentinel.Server) => server.freeze]
  ] as const) {
    it.effect(`URL-05 a docket follows when the master ${how}`, () =>
      Effect.gen(function* () {
        const sentinel = yield* RedisSentinel.RedisSentinel
        yield* sentinel.untilWhole
        yield* survives(sentinel.url, (name) =>
          Effect.gen(function* () {
            const old = yield* sentinel.master
            const heir = sentinel.servers.find((server) => server !== old)!
            // Redis answers before the replica has a write, and a failover would lose it.
            yield* waitUntil(
              "the replica has what was added",
              Effect.map(heir.cli("EXISTS", `{${name}}:runs:before`), (count) => count === "1")
            )
            yield* harm === undefined ? sentinel.failover : harm(old)
            yield* Effect.addFinalizer(() => Effect.andThen(old.thaw, Effect.orDie(old.start)))
            yield* sentinel.untilPromoted(old)
          })
        )
      })
    )
  }
})

it.live(
  "URL-05 a docket that greets a master which stands still turns to another as soon as the Sentinels name it",
  () =>
    Effect.gen(function* () {
      const greeted = yield* Deferred.make<void>()
      const still = yield* Effect.acquireRelease(
        Effect.promise(
          () =>
            new Promise<Net.Server>((resolve) => {
              const server = Net.createServer((socket) => {
                socket.on("error", () => {})
                // The Sentinel connects as well, and begins with something else.
                socket.on("data", (data) => {
                  if (/\r\nhello\r\n/i.test(data.toString())) Deferred.doneUnsafe(greeted, Exit.void)
                })
              })
              server.listen(0, "127.0.0.1", () => resolve(server))
            })
        ),
        (server) => Effect.sync(() => server.close())
      )
      const { port } = still.address() as Net.AddressInfo
      const other = yield* RedisServer.make()
      const sentinel = yield* RedisServer.make({
        file: [`sentinel monitor orders 127.0.0.1 ${port} 1`],
        config: ["--sentinel"]
      })
      // Without a second look it would wait for the answer for as long as for that of any command.
      const url = `redis+sentinel://127.0.0.1:${sentinel.port}/orders?commandTimeout=600000`
      const store = yield* RedisStore.makeUrl(url, options())
      const scheduling = yield* Effect.forkScoped(Kit.add(store, "k"))
      yield* Deferred.await(greeted)
      yield* sentinel.cli("SENTINEL", "REMOVE", "orders")
      yield* sentinel.cli("SENTINEL", "MONITOR", "orders", "127.0.0.1", String(other.port), "1")
      assert.deepStrictEqual(yield* Fiber.join(scheduling), ["scheduled"])
    })
)

it.live(
  "URL-05 a Sentinel that has not heard of the last failover leads nobody back, unless no other knows better",
  () =>
    Effect.gen(function* () {
      const [old, present] = [yield* RedisServer.make(), yield* RedisServer.make()]
      // They do not know each other, so that each keeps to what it has heard.
      const startSentinel = ({ port }: RedisSentinel.Server, epoch: number) =>
        RedisServer.make({
          file: [`sentinel monitor orders 127.0.0.1 ${port} 1`, `sentinel config-epoch orders ${epoch}`],
          config: ["--sentinel"]
        })
      const [informed, behind] = [yield* startSentinel(present, 2), yield* startSentinel(old, 1)]
      const settings = options()
      const url = `redis+sentinel://127.0.0.1:${informed.port},127.0.0.1:${behind.port}/orders`
      const store = yield* RedisStore.makeUrl(url, settings)
      const isAt = (server: RedisSentinel.Server, key: string) =>
        Effect.map(server.cli("EXISTS", `{${settings.name}}:runs:${key}`), (count) => count === "1")
      // It begins with another one each time.
      for (const key of ["a", "b", "c", "d"]) {
        yield* untilSuccess("it is scheduled", Kit.add(store, key))
        assert.isTrue(yield* isAt(present, key))
        yield* present.cli("CLIENT", "KILL", "TYPE", "normal")
      }
      yield* informed.kill
      yield* present.kill
      yield* untilSuccess("it is scheduled", Kit.add(store, "e"))
      assert.isTrue(yield* isAt(old, "e"))
      // Its users may be allowed to ask for the master only.
      yield* behind.cli("ACL", "SETUSER", "default", "-sentinel|master")
      yield* old.cli("CLIENT", "KILL", "TYPE", "normal")
      yield* untilSuccess("it is scheduled", Kit.add(store, "f"))
      assert.isTrue(yield* isAt(old, "f"))
    })
)

it.live("a write that has to be on a replica fails when it is not, and can be sent again", () =>
  Effect.gen(function* () {
    const master = yield* RedisServer.make()
    const following = ["--replicaof", `127.0.0.1 ${master.port}`, "--repl-diskless-sync-delay", "0"]
    const replica = yield* RedisServer.make({ config: following })
    yield* waitUntil(
      "the replica follows",
      Effect.map(master.cli("INFO", "replication"), (info) => info.includes("state=online"))
    )
    const store = yield* RedisStore.makeUrl(`${master.url}?replicas=1`, options())
    assert.deepStrictEqual(yield* Kit.add(store, "a"), ["scheduled"])
    yield* replica.freeze
    const error = yield* Effect.flip(Kit.add(store, "b"))
    assert.include(error.message, "Only 0 of 1 replicas")
    yield* replica.thaw
    yield* untilSuccess("the replica follows again", Kit.add(store, "b"))
    assert.deepStrictEqual(yield* Kit.add(store, "b"), ["already-scheduled"])
  })
)

it.live("while no replica has what is written, all that only reads is answered at once", () =>
  Effect.gen(function* () {
    const master = yield* RedisServer.make()
    const store = yield* RedisStore.makeUrl(`${master.url}?replicas=1`, options())
    // Each of them would keep for a second what comes after it on its connection.
    yield* Effect.forkScoped(Effect.forever(Effect.ignore(Kit.add(store, "k"))))
    yield* untilSuccess(
      "it is written",
      Effect.flatMap(store.read(["k"]), ([found]) => Effect.fromOption(found!))
    )
    const reads: Array<Effect.Effect<unknown, unknown, Scope.Scope>> = [
      store.read(["k"]),
      store.attempts("k"),
      store.ahead("k"),
      store.depth,
      store.snapshot(10),
      store.workers,
      store.strikes,
      store.failed({ limit: 10, before: undefined }),
      store.watch("k"),
      store.watchAll,
      store.watchStrikes
    ]
    const [took] = yield* Effect.timed(Effect.forEach(reads, (read) => read))
    assert.isBelow(Duration.toMillis(took), 1000)
    assert.match((yield* Effect.flip(Kit.add(store, "k"))).message, /Only 0 of 1 replicas.*Too few replicas follow/)
  })
)

it.live("STA-05 CHS-01 a write is not made again when nobody can tell whether a replica has it", () =>
  Effect.gen(function* () {
    const master = yield* RedisServer.make()
    const following = ["--replicaof", `127.0.0.1 ${master.port}`, "--repl-diskless-sync-delay", "0"]
    const replica = yield* RedisServer.make({ config: following })
    const sentinel = yield* RedisServer.make({
      file: [`sentinel monitor orders 127.0.0.1 ${master.port} 1`, "sentinel down-after-milliseconds orders 600000"],
      config: ["--sentinel"]
    })
    yield* waitUntil(
      "the replica follows",
      Effect.map(master.cli("INFO", "replication"), (info) => info.includes("state=online"))
    )
    const store = yield* RedisStore.makeUrl(`redis+sentinel://127.0.0.1:${sentinel.port}/orders?replicas=1`, options())
    const { exchange } = yield* openWorker(store)
    // The server knows the script from then on.
    yield* exchange({})
    yield* Kit.add(store, "k")
    yield* replica.freeze
    const taking = yield* Effect.forkScoped(Effect.flip(exchange({ lease: "mine", take: 1 })))
    const waiting = Effect.map(master.cli("CLIENT", "LIST"), (list) => /id=(\d+) .* flags=b .*cmd=wait/.exec(list)?.[1])
    yield* waitUntil(
      "the master waits for the replica",
      Effect.map(waiting, (id) => id !== undefined)
    )
    // As when it becomes a replica itself.
    yield* master.cli("CLIENT", "UNBLOCK", (yield* waiting)!, "ERROR")
    assert.include((yield* Fiber.join(taking)).message, "UNBLOCKED")
    yield* replica.thaw
    yield* untilSuccess("the replica follows again", Kit.add(store, "k"))
    assert.deepStrictEqual(keysOf((yield* exchange({ lease: "mine", take: 1, resent: true })).deliveries), ["k"])
  })
)

it.live("URL-04 URL-05 Sentinels and data nodes have passwords of their own, and TLS", () =>
  Effect.gen(function* () {
    const tls = yield* makeCertificates
    const { url } = yield* RedisSentinel.make({ passwords: { data: "d@ta/pass", sentinel: "sent&nel" }, tls })
    yield* live(yield* RedisStore.makeUrl(url, options()), "k")
    const error = yield* Effect.flip(
      Kit.add(yield* RedisStore.makeUrl(`${url.replace("=sent", "=")}&commandTimeout=300`, options()), "k")
    )
    assert.match(error.message, /WRONGPASS|NOAUTH/)
    assert.notInclude(error.message, "nel")
  })
)

it.live("URL-01 a docket on a cluster with TLS", () =>
  Effect.gen(function* () {
    const tls = yield* makeCertificates
    const cluster = yield* RedisCluster.make({ tls })
    yield* live(yield* RedisStore.makeUrl(cluster.url, options()), "k")
  })
)

it.live("URL-01 a server with TLS is trusted by its authority only, and can ask for a certificate", () =>
  Effect.gen(function* () {
    const tls = yield* makeCertificates
    const server = yield* RedisServer.make({ tls })
    yield* server.cli("CONFIG", "SET", "tls-auth-clients", "yes")
    const plain = server.url.replace(/\?.*/, "")
    const full = `${server.url}&cert=${encodeURIComponent(tls.cert)}&key=${encodeURIComponent(tls.key)}`
    for (const url of [full, full.replace("127.0.0.1", "localhost").replace("rediss", "valkeys")]) {
      yield* Effect.scoped(live(yield* RedisStore.makeUrl(url, options()), "k"))
    }
    const refused = (url: string) =>
      Effect.flatMap(RedisStore.makeUrl(url, options()), (store) => Effect.flip(Kit.add(store, "k")))
    assert.match((yield* refused(plain)).message, /certificate/)
    assert.match((yield* refused(server.url)).message, /certificate|closed|ECONNRESET/)
    yield* server.cli("CONFIG", "SET", "tls-auth-clients", "no")
    yield* Effect.scoped(live(yield* RedisStore.makeUrl(server.url, options()), "k"))
    yield* Effect.scoped(live(yield* RedisStore.makeUrl(`${plain}?rejectUnauthorized=false`, options()), "k"))
  })
)
