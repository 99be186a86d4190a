import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import * as RedisServer from "../support/RedisServer.ts"
import { App, assertSentence, infoOf } from "./app.ts"
import * as docket from "./docket.ts"

const shopTasks = ["--tasks", docket.fixture("shop.ts")]

/** Text as it is on the screen. */
// eslint-disable-next-line no-control-regex
const plain = (text: string) => text.replace(/\u001b\[[0-9;?]*[A-Za-z]/g, "").replaceAll("\r", "")

const terminal = { columns: 80, rows: 24 }

it.layer(App.layer(), { excludeTestServices: true })("commands that change a docket", (it) => {
  it.effect("tasks trace, fail and sleep add built-in tasks, and print task, key and docket (CLI-15, SCH-17)", () =>
    Effect.gen(function* () {
      const shop = yield* (yield* App).shop
      const said = [
        yield* shop.lines("tasks", "trace"),
        yield* shop.lines("tasks", "fail", "oh no"),
        yield* shop.lines("tasks", "sleep", "0.01"),
        yield* shop.lines("tasks", "trace", "later", "--delay", "1 hour")
      ].flat()
      const uuid = "[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}"
      for (const [i, task] of ["trace", "fail", "sleep", "trace"].entries()) {
        assert.match(said[i]!, new RegExp(`^Added task "${task}" under key "${uuid}" to docket "${shop.name}"$`))
      }
      assert.strictEqual((yield* shop.docket.snapshot()).scheduled, 1)
      yield* shop.docket.cancel((yield* shop.docket.snapshot()).upcoming.at(-1)!.key)
      const worker = yield* shop.work
      assert.match(
        worker.stderr,
        /docket\.task\.trace\{.*\}: Howdy! \(key ".*", docket "shop-\d+", due \d+ ms ago, worker /
      )
      assert.include(worker.stderr, "Sleeping for 0.01 s")
      const [failed] = yield* shop.docket.failed.list()
      assert.strictEqual(failed?.attempt, 2)
      assert.include(failed?.error, "oh no")
    })
  )

  it.effect("add schedules a task by name, for now and for later (CLI-05)", () =>
    Effect.gen(function* () {
      const shop = yield* (yield* App).shop
      assert.deepStrictEqual(
        yield* shop.lines("add", "send", "--key", "k", "--payload", '{"id":7}', "--delay", "15m"),
        [`Added task "send" under key "k" to docket "${shop.name}", due in 0:15:00`]
      )
      assert.deepInclude(yield* infoOf(shop, "k"), { task: "send", encodedPayload: '{"id":7}', state: "scheduled" })
      assert.include((yield* shop.lines("add", "send", "--key", "k"))[0], "already: nothing was changed")
      assert.strictEqual((yield* infoOf(shop, "k")).encodedPayload, '{"id":7}')
      const [added] = yield* shop.json("add", "send", "--when", "2099-01-01T12:00:00+02:00")
      assert.deepInclude(added, { task: "send", docket: shop.name, disposition: "scheduled" })
      const { due } = yield* infoOf(shop, String(added!["key"]))
      assert.strictEqual(due.epochMilliseconds, Date.UTC(2099, 0, 1, 10))
    })
  )

  it.effect("add checks the payload against the task of a module, and fills in its defaults (CLI-05)", () =>
    Effect.gen(function* () {
      const shop = yield* (yield* App).shop
      const add = (payload: string) => shop.run(["add", "sendWelcome", ...shopTasks, "--payload", payload])
      assertSentence(yield* add('{"customerId":"7"}'), 2, /The payload does not fit task "sendWelcome": .*customerId/)
      assertSentence(yield* add("{}"), 2, /does not fit task "sendWelcome": .*customerId/)
      assertSentence(yield* add('{"customerId":7,"custmerId":7}'), 2, 'it has no field "custmerId", only customerId')
      assertSentence(yield* add("{"), 2, "--payload has to be JSON")
      assert.strictEqual((yield* shop.docket.snapshot()).total, 0)
      const added = yield* add('{"customerId":7,"since":"2026-01-01T00:00:00.000Z"}')
      assert.deepStrictEqual([added.code, added.stderr], [0, ""])
      assert.strictEqual(
        (yield* infoOf(shop, "welcome-7")).encodedPayload,
        '{"customerId":7,"since":"2026-01-01T00:00:00.000Z","greeting":"Hello"}'
      )
      assertSentence(
        yield* shop.run(["add", "sendWelcom", ...shopTasks]),
        3,
        /There is no task "sendWelcom" in .*shop\.ts, only sendWelcome, import/
      )
    })
  )

  it.effect("add says that no live worker knows the task (CLI-05)", () =>
    Effect.gen(function* () {
      const shop = yield* (yield* App).shop
      const worker = yield* shop.start(["worker", ...shopTasks])
      yield* worker.until("* sendWelcome(")
      const { code, stderr } = yield* shop.run(["add", "sendWelcom"])
      assert.deepStrictEqual(
        [code, stderr],
        [0, 'No live worker knows task "sendWelcom": it waits for one that does\n']
      )
    })
  )

  it.effect("replace puts a task in the place of what waits, and needs a key (CLI-05)", () =>
    Effect.gen(function* () {
      const shop = yield* (yield* App).shop
      yield* shop.docket.addNamed("one", {}, { key: "k", delay: "1 hour" })
      const replace = ["replace", "two", "--payload", '{"n":1}', "--key", "k"]
      assert.deepStrictEqual(yield* shop.lines(...replace), [
        `Replaced what waited under key "k" of docket "${shop.name}" by task "two"`
      ])
      assert.deepInclude(yield* infoOf(shop, "k"), { task: "two", encodedPayload: '{"n":1}', state: "queued" })
      assertSentence(yield* shop.run(["replace", "two"]), 2, "replace needs the key of what it replaces")
      const own = yield* shop.run(["replace", "sendWelcome", ...shopTasks, "--payload", '{"customerId":7}'])
      assert.strictEqual(own.code, 0, own.stderr)
      assert.strictEqual((yield* infoOf(shop, "welcome-7")).task, "sendWelcome")
    })
  )

  it.effect("refuses a delay together with a moment, and a moment that is none (CLI-05)", () =>
    Effect.gen(function* () {
      const shop = yield* (yield* App).shop
      const both = ["add", "one", "--delay", "1h", "--when", "2099-01-01"]
      assertSentence(yield* shop.run(both), 2, "Give either --delay or --when, not both")
      assertSentence(yield* shop.run(["add", "one", "--when", "tomorrow"]), 2, "--when has to be a moment, such as")
    })
  )

  it.effect("cancel tells for each key what happened, and exits 3 when one is unknown (CLI-05, CAN-06)", () =>
    Effect.gen(function* () {
      const shop = yield* (yield* App).shop
      yield* shop.docket.addNamed("one", {}, { key: "waits", delay: "1 hour" })
      const ended = yield* shop.run(["cancel", "waits", "unknown"])
      assert.deepStrictEqual([ended.code, ended.stdout], [3, 'Cancelled "waits"\n'])
      assert.match(ended.stderr, /^docket: There is no execution "unknown"[^\n]*\n$/)
      assert.strictEqual((yield* infoOf(shop, "waits")).state, "cancelled")
      assert.deepStrictEqual(yield* shop.lines("cancel", "waits"), ['"waits" is cancelled already, and stays so'])
    })
  )

  it.effect("clear prints how many executions it cleared, and from which docket (CLI-14, CLR-01)", () =>
    Effect.gen(function* () {
      const shop = yield* (yield* App).shop
      assert.deepStrictEqual(yield* shop.lines("clear"), [`Cleared 0 executions from docket "${shop.name}"`])
      yield* shop.docket.addNamed("one", {})
      yield* shop.docket.addNamed("one", {}, { delay: "1 hour" })
      assert.deepStrictEqual(yield* shop.lines("clear", "--yes"), [`Cleared 2 executions from docket "${shop.name}"`])
      assert.strictEqual((yield* shop.docket.snapshot()).total, 0)
    })
  )

  it.effect("clear asks with the number on a terminal, and changes nothing unless the answer is yes (CLI-14)", () =>
    Effect.gen(function* () {
      const shop = yield* (yield* App).shop
      yield* shop.docket.addNamed("one", {}, { delay: "1 hour" })
      for (const answer of ["n", "\r", "\u0003"]) {
        const clear = yield* shop.start(["clear"], { terminal })
        yield* clear.until(`Cancel 1 execution waiting in docket "${shop.name}"?`)
        yield* clear.type(answer)
        const ended = yield* clear.ended
        assert.strictEqual(ended.code, 1, ended.stdout)
        assert.include(plain(ended.stdout), "docket: Nothing was changed\n")
      }
      assert.strictEqual((yield* shop.docket.snapshot()).total, 1)
      const clear = yield* shop.start(["clear"], { terminal })
      yield* clear.until("Cancel 1 execution")
      yield* clear.type("y")
      const ended = yield* clear.ended
      assert.strictEqual(ended.code, 0, ended.stdout)
      assert.include(plain(ended.stdout), "Cleared 1 execution from")
    })
  )

  const withFailures = Effect.gen(function* () {
    const shop = yield* (yield* App).shop
    for (const n of [1, 2, 3]) yield* shop.docket.addNamed("fail", { message: `number ${n}` }, { key: `fail-${n}` })
    yield* shop.docket.addNamed("sendWelcome", { customerId: 13, greeting: "Hi" }, { key: "welcome-13" })
    yield* shop.work
    return shop
  })

  it.effect("failed ls lists what failed for good, with its error, by task, error and age (CLI-05)", () =>
    Effect.gen(function* () {
      const shop = yield* withFailures
      const lines = yield* shop.lines("failed", "ls", "--task", "sendWelcome")
      assert.match(lines[0]!, /^Failed +Task +Key +Attempts +Error$/)
      assert.match(lines[1]!, /^\d:\d\d:\d\d ago +sendWelcome +welcome-13 +1 +EmailBounced: unlucky@example\.com/)
      assert.strictEqual(lines.length, 2)
      const keys = (yield* shop.json("failed", "ls", "--error", "number 2")).map(({ key }) => key)
      assert.deepStrictEqual(keys, ["fail-2"])
      assert.deepStrictEqual(yield* shop.json("failed", "ls", "--older-than", "1h"), [])
      assert.strictEqual((yield* shop.json("failed", "ls", "--newer-than", "1h")).length, 4)
    })
  )

  it.effect("failed retry runs executions again by key, by filter, and all (CLI-05)", () =>
    Effect.gen(function* () {
      const shop = yield* withFailures
      const of = `of docket "${shop.name}"`
      assert.deepStrictEqual(yield* shop.lines("failed", "retry", "fail-1"), [`Retried 1 execution ${of}`])
      assert.strictEqual((yield* infoOf(shop, "fail-1")).state, "queued")
      const unknown = yield* shop.run(["failed", "retry", "fail-2", "nobody"])
      assert.deepStrictEqual([unknown.code, unknown.stdout], [3, `Retried 1 execution ${of}\n`])
      assert.include(unknown.stderr, 'There is no failed execution "nobody"')
      assert.deepStrictEqual(yield* shop.lines("failed", "retry", "--task", "sendWelcome"), [
        `Retried 1 execution ${of}`
      ])
      assert.deepStrictEqual(yield* shop.lines("failed", "retry", "--all"), [`Retried 1 execution ${of}`])
      assert.deepStrictEqual(yield* shop.json("failed", "ls"), [])
      for (const args of [[], ["fail-1", "--all"], ["--task", "fail", "--all"]]) {
        assertSentence(yield* shop.run(["failed", "retry", ...args]), 2, "Say which: give keys, or filters")
      }
    })
  )

  it.effect("failed discard asks with the number on a terminal, and forgets (CLI-05)", () =>
    Effect.gen(function* () {
      const shop = yield* withFailures
      const discard = yield* shop.start(["failed", "discard", "--task", "fail"], { terminal })
      yield* discard.until(`Forget 3 failed executions of docket "${shop.name}"?`)
      yield* discard.type("y")
      const ended = yield* discard.ended
      assert.include(plain(ended.stdout), "Discarded 3 executions of docket")
      assert.strictEqual((yield* shop.run(["show", "fail-1"])).code, 3)
      assert.deepStrictEqual(
        (yield* shop.json("failed", "ls")).map(({ key }) => key),
        ["welcome-13"]
      )
    })
  )

  it.effect("says in one sentence that Redis is away, or stands still, without the password (CLI-05, URL-02)", () =>
    Effect.gen(function* () {
      const { redis } = yield* App
      const guarded = yield* RedisServer.make({ config: ["--requirepass", "another"] })
      const away = yield* docket.run(["snapshot", "--url", "redis://:secret@127.0.0.1:1"])
      assertSentence(away, 1, "The docket's store at redis://:***@127.0.0.1:1 cannot be reached: connect ECONNREFUSED")
      const refused = yield* docket.run(["snapshot", "--url", guarded.url.replace("//", "//:secret@")])
      assertSentence(refused, 1, "WRONGPASS")
      assert.notInclude(refused.stderr, "secret")
      yield* redis.freeze
      const frozen = yield* Effect.ensuring(docket.run(["snapshot", "--url", redis.url]), redis.thaw)
      assertSentence(frozen, 1, "cannot be reached: it did not answer within 1s")
    })
  )
})
