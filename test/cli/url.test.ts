/** What a docket's URL says, as the command understands it. */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { makeCertificates } from "../support/certificates.ts"
import { RedisCluster } from "../support/RedisCluster.ts"
import * as RedisSentinel from "../support/RedisSentinel.ts"
import * as RedisServer from "../support/RedisServer.ts"
import { realTime, waitUntil } from "../support/waitUntil.ts"
import { App, assertSentence } from "./app.ts"
import * as docket from "./docket.ts"

const snapshot = (url: string) => docket.run(["snapshot", "--docket", "orders", "--url", url])

/** Adds a task, runs it, and looks at it. */
const works = Effect.fnUntraced(function* (url: string) {
  const env = { DOCKET_NAME: "orders", DOCKET_URL: url }
  for (const args of [
    ["add", "trace", "--key", "k", "--payload", '{"message":"Hi"}'],
    ["worker", "--until-finished", "--tasks", docket.fixture("greetings.ts")],
    ["show", "k"]
  ]) {
    const { code, stderr, stdout } = yield* docket.run(args, { env })
    assert.strictEqual(code, 0, `${url} ${args.join(" ")}: ${stderr}`)
    if (args[0] === "show") assert.match(stdout, /^State +completed$/m)
  }
})

it.live("every scheme is understood, with and without TLS (URL-01)", () =>
  Effect.forEach(
    [
      "redis://127.0.0.1:1",
      "rediss://127.0.0.1:1",
      "valkey://127.0.0.1:1/3",
      "valkeys://127.0.0.1:1",
      "unix:///nowhere/redis.sock",
      "redis+cluster://127.0.0.1:1,127.0.0.1:2",
      "rediss+cluster://127.0.0.1:1",
      "redis+sentinel://127.0.0.1:1/orders",
      "rediss+sentinel://127.0.0.1:1/orders/3"
    ],
    Effect.fnUntraced(function* (url) {
      assertSentence(yield* snapshot(url), 1, `The docket's store at ${url} cannot be reached: `)
    }),
    { concurrency: 2 }
  )
)

it.live(
  "what is no URL of a store is refused, and what is wrong with it is said (URL-01, URL-03, URL-04, URL-06)",
  () =>
    Effect.forEach(
      [
        ["127.0.0.1:6379", "it is not a URL"],
        ["ftp://127.0.0.1", 'the scheme "ftp" is not one of redis'],
        ["redis://:50%@127.0.0.1", "write a percent sign as %25"],
        ["redis://127.0.0.1/orders", "has to end with the number of a database"],
        ["redis+cluster://127.0.0.1/1", "a cluster has no database but 0"],
        ["redis+sentinel://127.0.0.1", "it names no service"],
        ["redis+sentinel://,,/orders", "it names no host"],
        ["redis+sentinel://127.0.0.1/orders?db=3", "the database comes from its path"],
        ["redis://127.0.0.1?sentinel_password=x", 'the option "sentinel_password" is for Sentinels'],
        ["redis://127.0.0.1?commandTimeout=soon", 'the option "commandTimeout" has to be '],
        ["redis+cluster://127.0.0.1?protocol=4", 'the option "protocol" has to be '],
        ["redis+sentinel://127.0.0.1/orders?family=5", 'the option "family" has to be '],
        ["redis://127.0.0.1?patience=1", 'the option "patience" is not one of ']
      ] as const,
      Effect.fnUntraced(function* ([url, problem]) {
        assertSentence(yield* snapshot(url), 2, problem)
      }),
      { concurrency: 2 }
    )
)

it.live("the user, the password and the database come from the URL, percent-decoded (URL-02)", () =>
  Effect.gen(function* () {
    const redis = yield* RedisServer.make()
    yield* redis.cli("ACL", "SETUSER", "ada@shop", "on", ">p:ss/w%rd", "~*", "&*", "+@all")
    const url = redis.url.replace("redis://", "redis://ada%40shop:p%3Ass%2Fw%25rd@").replace(/\/0$/, "/7")
    yield* works(url)
    assert.strictEqual(yield* redis.cli("-n", "7", "EXISTS", "{orders}:runs:k"), "1")
    const doctor = yield* docket.run(["doctor", "--docket", "orders", "--url", url])
    assert.include(doctor.stdout, 'as user "ada@shop"')
    assert.notMatch(doctor.stdout + doctor.stderr, /w%25rd|w%rd/)
  })
)

it.live(
  "Sentinels lead to the master: stray commas, brackets, passwords of both, TLS, a database (URL-03, URL-04, URL-05)",
  () =>
    Effect.gen(function* () {
      const tls = yield* makeCertificates
      const { failover, master, untilPromoted, url } = yield* RedisSentinel.make({
        passwords: { data: "d@ta/pass", sentinel: "sent&nel" },
        tls
      })
      // Nobody is at the first two.
      const given = url.replace("@", "@,[::1]:1,127.0.0.1:1,").replace("/orders?", "/orders/3?")
      assert.include(given, "/orders/3?")
      yield* works(given)
      const first = yield* master
      yield* failover
      yield* untilPromoted(first)
      yield* works(given)
      const refused = yield* snapshot(given.replace("sentinel_password=sent", "sentinel_password=wrong"))
      assertSentence(refused, 1, /WRONGPASS|NOAUTH/)
      assert.notMatch(refused.stderr, /wrong%26|d%40ta|d@ta/)
    }),
  60_000
)

it.live("a cluster is reached through any of its nodes (URL-10)", () =>
  Effect.gen(function* () {
    const { nodes } = yield* RedisCluster
    for (const { port } of nodes) yield* works(`redis+cluster://127.0.0.1:${port}`)
  }).pipe(Effect.provide(RedisCluster.layer()))
)

it.layer(App.layer(), { excludeTestServices: true })("commands that wait", (it) => {
  it.effect("are not cut short by the time limit of their other commands (URL-07)", () =>
    Effect.gen(function* () {
      const { redis, shop } = yield* App
      const opened = yield* shop
      const env = { DOCKET_URL: `${redis.url}?commandTimeout=200` }
      const tail = yield* opened.start(["tail"], { env })
      const worker = yield* opened.start(["worker", "--tasks", docket.fixture("greetings.ts")], { env })
      yield* tail.until("Following")
      yield* worker.until("* greet")
      // Several times as long as the limit.
      yield* realTime(1000)
      yield* opened.docket.addNamed("trace", { message: "Hi" }, { key: "k" })
      yield* tail.until("completed trace k")
      for (const waiting of [tail, worker]) {
        const { stderr, stdout } = yield* waiting.stop
        assert.notMatch(stdout + stderr, /connection was lost|WARNING|cannot be reached/)
      }
    })
  )

  it.effect("leave keys and listen to channels that operators know (URL-08, URL-09)", () =>
    Effect.gen(function* () {
      const { redis, shop } = yield* App
      const opened = yield* shop
      const prefix = `{${opened.name}}:`
      yield* opened.lines("add", "unknown", "--key", "due")
      yield* opened.lines("add", "unknown", "--key", "later", "--delay", "1h")
      yield* opened.lines("strike", "unknown", "customerId", "==", "int:7")
      const worker = yield* opened.start(["worker", "--name", "ada", "--tasks", docket.fixture("greetings.ts")])
      yield* worker.until("* greet")
      yield* opened.start(["watch", "later"])
      const channels = Effect.map(redis.cli("PUBSUB", "CHANNELS", `${prefix}*`), (lines) => lines.split("\n"))
      const wanted = [`${prefix}state:later`, `${prefix}progress:later`, `${prefix}cancel:ada`]
      yield* waitUntil(
        "both listen",
        Effect.map(channels, (channels) => wanted.every((channel) => channels.includes(channel)))
      )
      const keys = (yield* redis.cli("KEYS", `${prefix}*`)).split("\n")
      for (const key of ["queue", "runs:due", "runs:later", "strikes", "workers"]) assert.include(keys, prefix + key)
      yield* opened.lines("restore", "unknown", "customerId", "==", "int:7")
    })
  )
})
