/** What a server says that keeps a docket from its work reaches whoever asks, in its own words and with what to do. */
import { assert, it } from "@effect/vitest"
import { Effect, Layer, Queue, type Scope } from "effect"
import * as Fs from "node:fs/promises"
import * as Net from "node:net"
import * as Path from "node:path"
import { Docket, Dockets, Task, TaskGroup, Worker } from "../../../src/index.ts"
import * as RedisStore from "../../../src/store/redis/RedisStore.ts"
import * as docket from "../../cli/docket.ts"
import { collectLogs } from "../../support/logs.ts"
import * as RedisServer from "../../support/RedisServer.ts"
import { untilSuccess, waitUntil } from "../../support/waitUntil.ts"
import { add, options } from "./kit.ts"

/** Each with the advice that it comes with. */
const answers: ReadonlyArray<readonly [words: string, advice: string]> = [
  ["WRONGPASS invalid username-password pair or user is disabled.", "Give the user and password"],
  ["NOAUTH Authentication required.", "The server asks for a password"],
  ["NOPERM User few has no permissions to run the 'evalsha' command", "Allow the user what a docket needs"],
  ["READONLY You can't write against a read only replica.", "give the address of its primary"],
  ["BUSY Redis is busy running a script.", "SCRIPT KILL"],
  ["LOADING Redis is loading the dataset in memory", "wait until it has"],
  ["MOVED 42 127.0.0.1:7000", "write the scheme as redis+cluster"],
  ["CLUSTERDOWN Hash slot not served", "CLUSTER NODES"],
  ["MASTERDOWN Link with MASTER is down", "This replica has lost its primary"],
  ["ERR max number of clients reached", "raise its maxclients"],
  [
    "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.",
    "room and rights"
  ],
  ["OOM command not allowed when used memory > 'maxmemory'.", "raise its maxmemory"],
  ["NOREPLICAS Not enough good replicas to write.", "Too few replicas follow"]
]

/** What takes itself for a Redis, greets, and has one answer to everything else. */
const answering = (words: string) =>
  Effect.map(
    Effect.acquireRelease(
      Effect.promise(
        () =>
          new Promise<Net.Server>((resolve) => {
            const server = Net.createServer((socket) => {
              socket.on("error", () => {})
              socket.on("data", (data) => {
                for (const [, command] of data.toString().matchAll(/^\*\d+\r\n\$\d+\r\n(\w+)/gm)) {
                  const isGreeting = /^(?:hello|client)$/i.test(command!)
                  socket.write(isGreeting ? "%1\r\n+server\r\n+redis\r\n" : `-${words}\r\n`)
                }
              })
            })
            server.listen(0, "127.0.0.1", () => resolve(server))
          })
      ),
      (server) => Effect.sync(() => server.close())
    ),
    (server) => `redis://127.0.0.1:${(server.address() as Net.AddressInfo).port}`
  )

const tasks = TaskGroup.make(Task.make("work"))

for (const [words, advice] of answers) {
  const [code] = words.split(" ")
  it.live(`${code} reaches callers and the worker's log in the server's words, and with what to do`, () =>
    Effect.gen(function* () {
      const url = yield* answering(words)
      const store = yield* RedisStore.makeUrl(`${url}?commandTimeout=300`, options)
      const error = yield* Effect.flip(store.depth)
      assert.include(error.message, words.replace(/\.$/, ""))
      assert.include(error.advice, advice)
      assert.include(error.message, advice)

      const logs = yield* collectLogs
      const docket = yield* Dockets.make({ url })
      yield* Effect.forkScoped(
        Layer.build(
          Worker.layer(tasks, { reconnectionDelay: "100 millis" }).pipe(
            Layer.provide(tasks.toLayer({ work: () => Effect.void })),
            Layer.provide(Layer.succeed(Docket, docket)),
            Layer.provide(logs.layer)
          )
        )
      )
      yield* waitUntil(
        "the worker says why it waits",
        Effect.sync(() => logs.at("Warn").some((line) => line.includes(words.slice(0, 40)) && line.includes(advice)))
      )
    })
  )
}

it.live(
  "each answer is shown on the command line, and by the doctor, in the server's words and with what to do (CLI-05)",
  () =>
    Effect.forEach(
      answers,
      Effect.fnUntraced(function* ([words, advice]) {
        const url = yield* answering(words)
        const { code, stderr } = yield* docket.run(["snapshot", "--url", url])
        assert.strictEqual(code, 1)
        assert.include(stderr, words.replace(/\.$/, ""))
        assert.include(stderr, advice)
        const found = (yield* docket.run(["doctor", "--json", "--url", url])).stdout
        const finding = found
          .trim()
          .split("\n")
          .map((line) => JSON.parse(line))
          .find(({ verdict }) => verdict === "problem")
        assert.include(finding.found, words)
        assert.include(finding.advice, advice)
      }),
      { concurrency: 2 }
    ),
  120_000
)

type Server = RedisServer.RedisServer["Service"]

/** Real servers in the same straits: what the answers above imitate. */
const straits: ReadonlyArray<
  readonly [title: string, expected: RegExp, make: Effect.Effect<string, unknown, Scope.Scope>]
> = [
  [
    "does not know the password",
    /WRONGPASS/,
    Effect.map(RedisServer.make({ config: ["--requirepass", "another"] }), ({ url }) => url.replace("//", "//:secret@"))
  ],
  [
    "asks for a password",
    /NOAUTH/,
    Effect.map(RedisServer.make({ config: ["--requirepass", "another"] }), ({ url }) => url)
  ],
  [
    "is a replica",
    /READONLY/,
    Effect.map(RedisServer.make({ config: ["--replicaof", "127.0.0.1", "1"] }), ({ url }) => url)
  ],
  [
    "is a node of a cluster that serves no slot",
    /CLUSTERDOWN/,
    Effect.map(RedisServer.make({ config: ["--cluster-enabled", "yes"] }), ({ url }) => url)
  ],
  [
    "has no room for another client",
    /max number of clients/,
    Effect.gen(function* () {
      const server = yield* RedisServer.make({ config: ["--maxclients", "1"] })
      const port = server.port
      const held = yield* Effect.acquireRelease(
        Effect.sync(() => Net.connect(port, "127.0.0.1")),
        (socket) => Effect.sync(() => socket.destroy())
      )
      const refused = Effect.callback<boolean>((resume) => {
        const socket = Net.connect(port, "127.0.0.1")
        socket.on("error", () => {})
        socket.once("data", (data) => resume(Effect.succeed(data.toString().includes("max number"))))
        socket.once("connect", () => socket.write("PING\r\n"))
        return Effect.sync(() => socket.destroy())
      })
      yield* waitUntil("the first one has the room", refused)
      held.on("error", () => {})
      return server.url
    })
  ]
]

for (const [title, expected, make] of straits) {
  it.live(`a server that ${title} says so to whoever adds`, () =>
    Effect.gen(function* () {
      const store = yield* RedisStore.makeUrl(`${(yield* make).replace(/\?.*/, "")}?commandTimeout=500`, options)
      const error = yield* Effect.flip(add(store, "k"))
      assert.match(error.message, expected)
      assert.isDefined(error.advice)
      assert.notInclude(error.message, "script:")
    })
  )
}

const withSnapshots = { config: ["--dbfilename", "occupied"] }

/** Lets no snapshot reach the disk, so that the server takes no more writes. */
const fillDisk = Effect.fnUntraced(function* (server: Server) {
  const directory = Path.dirname(server.socketPath)
  yield* Effect.promise(() => Fs.mkdir(Path.join(directory, "occupied")))
  yield* server.cli("CONFIG", "SET", "save", "3600 1")
  yield* server.cli("BGSAVE")
  yield* waitUntil(
    "the snapshot has failed",
    Effect.map(server.cli("INFO", "persistence"), (info) => info.includes("rdb_last_bgsave_status:err"))
  )
})

const relieve = (server: Server) => Effect.asVoid(server.cli("CONFIG", "SET", "save", ""))

it.live("MISCONF: while the server takes no writes all that only reads works, and following begins", () =>
  Effect.gen(function* () {
    const server = yield* RedisServer.make(withSnapshots)
    const store = yield* RedisStore.makeUrl(server.url, options)
    yield* add(store, "k")
    yield* fillDisk(server)
    assert.match((yield* Effect.flip(add(store, "other"))).message, /MISCONF .* room and rights/)
    const reads: Array<Effect.Effect<unknown, unknown, Scope.Scope>> = [
      store.read(["k"]),
      store.attempts("k"),
      store.ahead("k"),
      store.depth,
      store.snapshot(10),
      store.workers,
      store.strikes,
      store.failed({ limit: 10 }),
      store.watchStrikes
    ]
    yield* Effect.forEach(reads, (read) => read)
    const feed = yield* store.watch("k")
    yield* relieve(server)
    yield* waitUntil(
      "it is heard that something may have been missed",
      Effect.map(Queue.size(feed), (size) => size > 0)
    )
    assert.deepStrictEqual(yield* Queue.take(feed), { _tag: "Interrupted" })
    yield* store.cancel(["k"])
    assert.strictEqual((yield* Queue.take(feed))._tag, "Changed")
  })
)

it.live("the doctor says once that a server takes no writes, and that too few replicas have them", () =>
  Effect.gen(function* () {
    const server = yield* RedisServer.make(withSnapshots)
    const findings = (url: string) =>
      Effect.map(docket.run(["doctor", "--json", "--url", url]), ({ stdout }) =>
        stdout
          .trim()
          .split("\n")
          .map((line) => JSON.parse(line))
      )
    const alone = yield* findings(`${server.url}?replicas=1`)
    const problems = alone.filter(({ verdict }) => verdict === "problem")
    assert.deepStrictEqual(
      problems.map(({ check }) => check),
      ["replicas"]
    )
    assert.include(problems[0].found, "Only 0 of 1 replicas")
    assert.include(problems[0].advice, "Too few replicas follow")
    yield* fillDisk(server)
    const full = (yield* findings(server.url)).filter(({ verdict }) => verdict === "problem")
    assert.deepStrictEqual(
      full.map(({ check }) => check),
      ["persistence", "writes"]
    )
    assert.include(full[1].found, "MISCONF")
    assert.include(full[1].advice, "room and rights")
    yield* untilSuccess("it is relieved", relieve(server))
  })
)
