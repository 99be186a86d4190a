import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { readdirSync, readFileSync } from "node:fs"
import { probesOf } from "../../src/store/redis/Inspection.ts"
import * as Keys from "../../src/store/redis/scripts/keys.ts"
import { assertNothingLeaks } from "../support/leaks.ts"
import { RedisCluster } from "../support/RedisCluster.ts"
import * as RedisServer from "../support/RedisServer.ts"
import { App, open, type Shop } from "./app.ts"
import * as docket from "./docket.ts"

interface Finding {
  readonly verdict: string
  readonly check: string
  readonly found: string
  readonly advice?: string
}

/** What it finds, whatever the verdict. */
const findings = Effect.fnUntraced(function* ({ run }: Shop, ...args: ReadonlyArray<string>) {
  const { code, stderr, stdout } = yield* run(["doctor", "--json", ...args])
  assert.notInclude(stderr, "    at ")
  const found: ReadonlyArray<Finding> = stdout
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line))
  return { code, found, of: (check: string) => found.filter((finding) => finding.check === check) }
})

it.layer(App.layer(), { excludeTestServices: true })("docket doctor", (it) => {
  it.effect("finds a healthy docket healthy, and leaves nothing behind (TTL)", () =>
    Effect.gen(function* () {
      const healthy = yield* RedisServer.make({ appendonly: true })
      const shop = yield* open(healthy.url, "shop")
      const { code, stderr, stdout } = yield* shop.run(["doctor"])
      assert.strictEqual(code, 0, stderr)
      const checks = stdout
        .trimEnd()
        .split("\n")
        .map((line) => line.split(/ {2,}/).slice(0, 2))
      assert.deepStrictEqual(
        checks,
        [
          "connection",
          "server",
          "replication",
          "persistence",
          "memory",
          "rights",
          "clock",
          "workers",
          "backlog",
          "strikes",
          "failed"
        ].map((check) => ["ok", check])
      )
      assert.match(stdout, /redis:\/\/127\.0\.0\.1:\d+\/0 as user "default", in \d+ ms/)
      assert.match(stdout, /Redis \d+\.\d+\.\d+, standalone/)
      yield* assertNothingLeaks(healthy)
    })
  )

  it.effect("says what to do about a server that loses or evicts tasks", () =>
    Effect.gen(function* () {
      const config = ["--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"]
      const shop = yield* open((yield* RedisServer.make({ config })).url, "shop")
      const { code, of } = yield* findings(shop)
      assert.strictEqual(code, 1)
      const [persistence] = of("persistence")
      assert.deepInclude(persistence, { verdict: "warning" })
      assert.include(persistence?.advice, "appendonly yes")
      const [memory] = of("memory")
      assert.deepInclude(memory, { verdict: "problem" })
      assert.include(memory?.found, "maxmemory-policy allkeys-lru")
      assert.include(memory?.advice, "noeviction")
    })
  )

  it.effect("names the primary of a replica", () =>
    Effect.gen(function* () {
      const { redis } = yield* App
      const replica = yield* RedisServer.make({ config: ["--replicaof", "127.0.0.1", String(redis.port)] })
      const { code, of } = yield* findings(yield* open(replica.url, "shop"))
      assert.strictEqual(code, 1)
      assert.deepInclude(of("replication")[0], { verdict: "problem" })
      assert.include(of("replication")[0]?.advice, `127.0.0.1:${redis.port}`)
    })
  )

  it.effect("a user limited to the docket's pattern is allowed everything (URL-08)", () =>
    Effect.gen(function* () {
      const { redis, shop } = yield* App
      const { name, run } = yield* shop
      const pattern = [`~{${name}}:*`, `&{${name}}:*`]
      yield* redis.cli("ACL", "SETUSER", "limited", "on", ">secret", ...pattern, "+@all", "-@admin", "-@dangerous")
      const url = redis.url.replace("//", "//limited:secret@")
      const { code, stderr, stdout } = yield* run(["doctor", "--url", url])
      assert.strictEqual(code, 0, stdout)
      assert.match(stdout, /^ok +rights /m)
      assert.match(stdout, /^ok +connection +redis:\/\/limited:\*\*\*@.* as user "limited"/m)
      assert.notInclude(stdout + stderr, "secret")
    })
  )

  it.effect("names the commands, keys and channels that the user may not use, and the rule that allows them", () =>
    Effect.gen(function* () {
      const { redis, shop } = yield* App
      const opened = yield* shop
      const prefix = `{${opened.name}}:`
      yield* redis.cli(
        "ACL",
        "SETUSER",
        "few",
        "on",
        ">pw",
        `~${prefix}*`,
        `&${prefix}state:*`,
        "+@all",
        "-zadd",
        "-blpop"
      )
      const { code, of } = yield* findings(opened, "--url", redis.url.replace("//", "//few:pw@"))
      assert.strictEqual(code, 1)
      const rights = of("rights")
      const about = (command: string) => rights.find(({ found }) => found.startsWith(command))
      assert.include(about("ZADD")?.found, `${prefix}queue`)
      assert.include(about("PUBLISH")?.found, `${prefix}events`)
      assert.notInclude(about("PUBLISH")?.found, `${prefix}state`)
      assert.include(about("SUBSCRIBE")?.found, `${prefix}progress:…`)
      assert.include(about("BLPOP")?.found, `${prefix}wake:…`)
      for (const { advice, verdict } of rights) {
        assert.strictEqual(verdict, "problem")
        assert.include(advice, `~${prefix}* &${prefix}* `)
      }
    })
  )

  it.effect("tells how many workers there are, and which tasks wait that none of them knows (HBT-02)", () =>
    Effect.gen(function* () {
      const shop = yield* (yield* App).shop
      yield* shop.docket.addNamed("sendWelcom", {})
      yield* shop.docket.addNamed("sendWelcom", {}, { delay: "1 hour" })
      const without = yield* findings(shop)
      assert.strictEqual(without.code, 1)
      assert.deepInclude(without.of("workers")[0], { verdict: "problem" })
      const worker = yield* shop.start(["worker", "--tasks", docket.fixture("shop.ts"), "--name", "ada"])
      yield* worker.until("* sendWelcome(")
      const { code, of } = yield* findings(shop)
      assert.strictEqual(code, 1)
      assert.deepInclude(of("workers")[0], { verdict: "ok", found: "1 worker: ada" })
      assert.deepInclude(of("tasks")[0], {
        verdict: "problem",
        found: '2 executions of "sendWelcom" wait, and no live worker knows it'
      })
      assert.include(of("tasks")[0]?.advice, "misspelt")
    })
  )

  it.effect("tells the depth, how late the oldest is, and how many failed", () =>
    Effect.gen(function* () {
      const shop = yield* (yield* App).shop
      yield* shop.docket.addNamed("fail", { message: "oh no" })
      yield* shop.work
      yield* shop.docket.addNamed("sendWelcome", {}, { key: "welcome", when: "2020-01-01T00:00:00Z" })
      const { of } = yield* findings(shop)
      assert.deepInclude(of("failed")[0], { verdict: "warning", found: "1 execution failed for good" })
      assert.include(of("failed")[0]?.advice, "docket failed ls")
      assert.match(
        of("backlog")[0]!.found,
        /^1 due, 0 for later, 0 running; the oldest has been due for \d{5}:\d\d:\d\d$/
      )
    })
  )

  it.effect("says what to do when Redis is away, or does not know the user (CLI-05)", () =>
    Effect.gen(function* () {
      const { redis, shop } = yield* App
      const opened = yield* shop
      const away = yield* findings(opened, "--url", "redis://127.0.0.1:1")
      assert.deepStrictEqual([away.code, away.found.length], [1, 1])
      assert.include(away.found[0]?.found, "ECONNREFUSED")
      assert.include(away.found[0]?.advice, "Start Redis")
      const unknown = yield* findings(opened, "--url", redis.url.replace("//", "//nobody:secret@"))
      assert.include(unknown.found[0]?.found, "WRONGPASS")
      assert.notInclude(unknown.found[0]?.found, "secret")
      yield* redis.freeze
      const frozen = yield* Effect.ensuring(findings(opened), redis.thaw)
      assert.include(frozen.found[0]?.found, "does not answer")
    })
  )

  it("tries every kind of key, and every channel", () => {
    const keys = Keys.make("shop")
    const tried = new Set(probesOf(keys, "id").flatMap((probe) => probe.slice(1)))
    const kinds = Object.values(Keys.segments).map(
      (segment) => `${keys.prefix}${segment}${segment.endsWith(":") ? "id" : ""}`
    )
    assert.deepStrictEqual(
      [...Keys.fixed(keys), ...kinds].filter((key) => !tried.has(key)),
      []
    )
  })

  it.effect("tells what is struck or paused, and how it goes on (STR-12)", () =>
    Effect.gen(function* () {
      const shop = yield* (yield* App).shop
      yield* shop.docket.strike({ task: "one", field: "id", value: 7 })
      yield* shop.docket.pause("two")
      const { of } = yield* findings(shop)
      const found = of("strikes").map(({ advice, found, verdict }) => `${verdict}: ${found}; ${advice}`)
      assert.sameMembers(found, [
        "warning: one id == 7 is not run; docket restore, with the same task, field, operator and value, takes the strike back",
        "warning: two waits; docket resume two lets it go on"
      ])
    })
  )

  it("tries every command that the scripts call", () => {
    const folder = new URL("../../src/store/redis/scripts/", import.meta.url)
    const called = readdirSync(folder).flatMap((file) =>
      Array.from(
        readFileSync(new URL(file, folder), "utf8").matchAll(/\bp?call\('([A-Z]+)'/g),
        ([, command]) => command!
      )
    )
    const tried = new Set(probesOf(Keys.make("shop"), "id").map(([command]) => command))
    assert.deepStrictEqual(
      [...new Set(called)].filter((command) => !tried.has(command)),
      []
    )
  })
})

it.layer(RedisCluster.layer(), { excludeTestServices: true })("commands on a cluster", (it) => {
  it.effect("ask the node that has the docket, whichever that is (URL-10)", () =>
    Effect.gen(function* () {
      const { ownerOf, url } = yield* RedisCluster
      const owners = new Set<string>()
      for (const name of ["one", "two", "three", "four"]) {
        owners.add((yield* ownerOf(`{${name}}:`)).url)
        const shop = yield* open(url, name)
        yield* shop.docket.addNamed("trace", { message: "Hi" }, { key: "done" })
        yield* shop.work
        assert.deepStrictEqual(
          (yield* shop.json("ls", "--state", "completed")).map(({ key }) => key),
          ["done"]
        )
        const { code, of } = yield* findings(shop)
        assert.strictEqual(code, 0, name)
        assert.deepStrictEqual(
          of("rights").map(({ found, verdict }) => [verdict, found]),
          [["ok", "every command, key and channel that a docket uses"]]
        )
      }
      assert.isAbove(owners.size, 1)
    })
  )
})
