import { assert, it } from "@effect/vitest"
import { Effect, Redacted, Schema } from "effect"
import { Docket, Dockets, type ResultStore, Task, TaskGroup, Worker } from "../../src/index.ts"
import { waitUntil } from "../support/waitUntil.ts"
import { App, assertSentence, infoOf, open } from "./app.ts"
import * as docket from "./docket.ts"

const shopTasks = ["--tasks", docket.fixture("shop.ts")]

/** A table's lines, each as its cells. */
const cells = (lines: ReadonlyArray<string>) => lines.map((line) => line.split(/ {2,}/))

it.layer(App.layer(), { excludeTestServices: true })("commands that look at a docket", (it) => {
  it.effect("snapshot prints the docket, the time, the counts and a table, and needs no tasks (CLI-16, CLI-17)", () =>
    Effect.gen(function* () {
      const shop = yield* (yield* App).shop
      const gated = yield* shop.start(["worker", ...shopTasks, "--name", "ada"], { env: { GATE: "/nowhere" } })
      yield* shop.docket.addNamed("import", { steps: 1, stepMillis: 0 }, { key: "import-1" })
      yield* gated.until("↪")
      yield* shop.docket.addNamed("nobodyKnowsThis", {}, { key: "later", delay: "15 minutes" })
      yield* shop.docket.addNamed("nobodyKnowsThis", {}, { key: "much-later", when: "2099-12-31T23:59:59Z" })
      const [title, counts, empty, ...table] = yield* shop.lines("snapshot")
      assert.match(
        title!,
        new RegExp(`^Docket "${shop.name}" as of \\d{4}-\\d\\d-\\d\\d \\d\\d:\\d\\d:\\d\\d \\+00:00$`)
      )
      assert.deepStrictEqual([counts, empty], ["1 worker, 1/3 running", ""])
      assert.deepStrictEqual(
        cells(table).map((row) => row.map((cell) => cell.replace(/\d:\d\d:\d\d( ago|$)/, "H:MM:SS$1"))),
        [
          ["When", "Task", "Key", "Worker", "Started"],
          ["H:MM:SS ago", "import", "import-1", "ada", "H:MM:SS ago"],
          ["in H:MM:SS", "nobodyKnowsThis", "later"],
          ["2099-12-31 23:59:59 +00:00", "nobodyKnowsThis", "much-later"]
        ]
      )
    })
  )

  it.effect("snapshot --stats adds a table by task, most first, and none when there is nothing (CLI-18)", () =>
    Effect.gen(function* () {
      const shop = yield* (yield* App).shop
      assert.deepStrictEqual((yield* shop.lines("snapshot", "--stats")).slice(1), ["0 workers, 0/0 running"])
      yield* shop.docket.addNamed("one", {}, { when: "2099-01-01T00:00:00Z" })
      yield* shop.docket.addNamed("two", {}, { when: "2099-01-01T00:00:00Z" })
      yield* shop.docket.addNamed("two", {}, { when: "2099-01-02T00:00:00Z" })
      const lines = yield* shop.lines("snapshot", "--stats")
      assert.deepStrictEqual(cells(lines.slice(lines.lastIndexOf("") + 1)), [
        ["Task", "Total", "Running", "Queued", "Oldest Queued", "Latest Queued"],
        ["two", "", "2", "0", "2", "2099-01-01 00:00:00 +00:00", "2099-01-02 00:00:00 +00:00"].filter(
          (_, i) => i !== 1
        ),
        ["one", "1", "0", "1", "2099-01-01 00:00:00 +00:00", "2099-01-01 00:00:00 +00:00"]
      ])
      const [object, ...more] = yield* shop.json("snapshot", "--stats")
      assert.deepStrictEqual(more, [])
      assert.deepInclude(object, { docket: shop.name, total: 3, scheduled: 3, queued: 0, runningTotal: 0, running: [] })
      assert.deepStrictEqual(
        (object!["stats"] as ReadonlyArray<{ task: string }>).map(({ task }) => task),
        ["two", "one"]
      )
    })
  )

  it.effect("workers ls and for-task list workers with sorted tasks, and mark the one asked for (CLI-19, HBT-02)", () =>
    Effect.gen(function* () {
      const shop = yield* (yield* App).shop
      const none = yield* shop.run(["workers", "ls"])
      assert.deepStrictEqual([none.code, none.stdout], [0, ""])
      assert.include(none.stderr, "no live worker")
      const worker = yield* shop.start(["worker", ...shopTasks, "--name", "ada"])
      yield* worker.until("* sendWelcome(")
      const known = (yield* shop.lines("workers", "ls")).map((line) => line.replace(/\d:\d\d:\d\d/, "H:MM:SS"))
      assert.deepStrictEqual(cells(known), [
        ["Name", "Last Seen", "Tasks"],
        ["ada", "H:MM:SS ago", "fail, import, sendWelcome, sleep, trace"]
      ])
      const marked = yield* shop.lines("workers", "for-task", "import")
      assert.include(marked[1], "fail, *import*, sendWelcome")
      assert.deepStrictEqual(yield* shop.lines("workers", "for-task", "nope"), [])
      const [object] = yield* shop.json("workers", "ls")
      assert.deepInclude(object, { name: "ada", tasks: ["fail", "import", "sendWelcome", "sleep", "trace"] })
    })
  )

  it.effect("shows a worker without tasks as (none) (CLI-19)", () =>
    Effect.gen(function* () {
      const shop = yield* (yield* App).shop
      const session = yield* shop.docket.store.open({
        name: "idle",
        tasks: new Set(),
        contracts: new Map(),
        recurring: new Set(),
        leaseMillis: 60_000,
        maxDeliveries: 10,
        facts: new Map(),
        presenceMillis: 60_000
      })
      yield* session.heartbeat
      assert.include((yield* shop.lines("workers", "ls"))[1], "(none)")
    })
  )

  it.effect(
    "show tells record, payload, failed attempts, errors and result, and exits 3 for an unknown key (CLI-05)",
    () =>
      Effect.gen(function* () {
        const shop = yield* (yield* App).shop
        yield* shop.docket.addNamed("sendWelcome", { customerId: 7, greeting: "Hi" }, { key: "welcome-7" })
        yield* shop.docket.addNamed("sendWelcome", { customerId: 13, greeting: "Hi" }, { key: "welcome-13" })
        yield* shop.docket.addNamed("fail", { message: "oh no" }, { key: "twice" })
        yield* shop.work
        const completed = (yield* shop.lines("show", "welcome-7")).join("\n")
        for (const line of [
          /^State +completed$/m,
          /^Payload +\{"customerId":7,"greeting":"Hi"\}$/m,
          /^Result +"Hi, customer 7"$/m
        ]) {
          assert.match(completed, line)
        }
        const failed = (yield* shop.lines("show", "welcome-13")).join("\n")
        assert.match(failed, /^Error +EmailBounced: unlucky@example\.com does not take mail$/m)
        assert.match(failed, /^Failure +\{.*"address":"unlucky@example\.com".*\}$/m)
        const [twice] = yield* shop.json("show", "twice")
        assert.deepInclude(twice, {
          key: "twice",
          task: "fail",
          state: "failed",
          attempt: 2,
          payload: { message: "oh no" }
        })
        const attempts = twice!["attempts"] as ReadonlyArray<{ attempt: number; error: string }>
        assert.deepStrictEqual(
          attempts.map(({ attempt }) => attempt),
          [1, 2]
        )
        assert.include(attempts[0]!.error, "oh no")
        assert.include((yield* shop.lines("show", "twice")).join("\n"), "2 failed attempts, oldest first:")
        assertSentence(yield* shop.run(["show", "nobody"]), 3, 'There is no execution "nobody"')
      })
  )

  it.effect("show says of a result that is kept in a result store that it is there (CLI-05, RES-10)", () =>
    Effect.gen(function* () {
      const shop = yield* (yield* App).shop
      const results: ResultStore = { set: () => Effect.void, get: () => Effect.succeedNone }
      const docket = yield* Dockets.make({ url: shop.env["DOCKET_URL"]!, name: shop.name, results })
      const Answer = Task.make("answer", { key: () => "a", success: Schema.Int })
      const answers = TaskGroup.make(Answer)
      yield* docket.add(Answer)
      yield* Worker.runUntilFinished(answers).pipe(
        Effect.provide(answers.toLayer({ answer: () => Effect.succeed(42) })),
        Effect.provideService(Docket, docket)
      )
      assert.match((yield* shop.lines("show", "a")).join("\n"), /^Result +kept in a result store of the app's own$/m)
      const [object] = yield* shop.json("show", "a")
      assert.notProperty(object, "result")
    })
  )

  it.effect("show tells how far a running execution has come (CLI-20)", () =>
    Effect.gen(function* () {
      const shop = yield* (yield* App).shop
      yield* shop.docket.addNamed("import", { steps: 3, stepMillis: 0 }, { key: "import-1" })
      const worker = yield* shop.start(["worker", ...shopTasks], { env: { GATE: "/nowhere" } })
      yield* worker.until("↪")
      yield* waitUntil(
        "all steps are done",
        Effect.map(infoOf(shop, "import-1"), ({ progress }) => progress?.current === 3)
      )
      assert.match((yield* shop.lines("show", "import-1")).join("\n"), /^Progress +3\/3 file 3$/m)
    })
  )

  it.effect("ls filters by task, state, prefix and age (CLI-05)", () =>
    Effect.gen(function* () {
      const shop = yield* (yield* App).shop
      yield* shop.docket.addNamed("sendWelcome", { customerId: 13, greeting: "Hi" }, { key: "welcome-13" })
      yield* shop.work
      yield* shop.docket.addNamed("one", {}, { key: "a-1" })
      yield* shop.docket.addNamed("one", {}, { key: "b-1", delay: "1 hour" })
      yield* shop.docket.addNamed("two", {}, { key: "a-2" })
      const keys = Effect.fnUntraced(function* (...args: ReadonlyArray<string>) {
        return (yield* shop.json("ls", ...args)).map(({ key }) => key)
      })
      assert.deepStrictEqual(yield* keys(), ["a-1", "a-2", "b-1", "welcome-13"])
      assert.deepStrictEqual(yield* keys("--task", "one"), ["a-1", "b-1"])
      assert.deepStrictEqual(yield* keys("--prefix", "a-"), ["a-1", "a-2"])
      assert.deepStrictEqual(yield* keys("--state", "failed"), ["welcome-13"])
      assert.deepStrictEqual(yield* keys("--state", "scheduled"), ["b-1"])
      assert.deepStrictEqual(yield* keys("--older-than", "1h"), [])
      assert.deepStrictEqual(yield* keys("--newer-than", "1h"), ["a-1", "a-2", "welcome-13"])
      const lines = yield* shop.lines("ls", "--state", "failed")
      assert.match(lines[1]!, /^failed .* sendWelcome +welcome-13 +1 +EmailBounced: unlucky/)
    })
  )

  for (const columns of [80, 200]) {
    it.effect(
      `tables show keys in full in a terminal of ${columns} columns, and no line is longer (CLI-16, CLI-17)`,
      () =>
        Effect.gen(function* () {
          const shop = yield* (yield* App).shop
          yield* shop.docket.addNamed("fail", { message: "a sentence that is too long for its column ".repeat(9) })
          yield* shop.work
          const { key } = yield* shop.docket.addNamed("aTaskWithAName", {}, { when: "2099-12-31T23:59:59Z" })
          for (const command of [["snapshot"], ["snapshot", "--stats"], ["ls"], ["failed", "ls"]]) {
            const { code, stdout } = yield* shop.run(command, { terminal: { columns, rows: 24 } })
            assert.strictEqual(code, 0, stdout)
            // eslint-disable-next-line no-control-regex
            const lines = stdout.replace(/\u001b\[[\d;]*m/g, "").split(/\r?\n/)
            for (const line of lines) assert.isAtMost(line.length, columns, line)
            if (command[0] !== "failed") assert.include(stdout, key)
            else assert.match(lines[columns === 80 ? 3 : 1]!, /(^| )[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}( |$)/)
          }
        })
    )
  }

  it.effect("ls --state completed and cancelled look for what has ended, the latest first, in this docket only", () =>
    Effect.gen(function* () {
      const { redis } = yield* App
      // A name that would stand for others as well, if it were a pattern.
      const shop = yield* open(redis.url, "sh[o*]?")
      const other = yield* open(redis.url, "sho*?")
      for (const { docket, work } of [shop, other]) {
        yield* docket.addNamed("trace", { message: "never" }, { key: "called-off", delay: "1 hour" })
        yield* docket.cancel("called-off")
        for (const keys of [["trace-1", "trace-2"], ["last"]]) {
          for (const key of keys) yield* docket.addNamed("trace", { message: "Hi" }, { key })
          yield* work
        }
        yield* docket.addNamed("trace", { message: "waits" }, { key: "waits" })
      }
      const keys = Effect.fnUntraced(function* (...args: ReadonlyArray<string>) {
        return (yield* shop.json("ls", ...args)).map(({ key }) => key)
      })
      const completed = yield* keys("--state", "completed")
      assert.strictEqual(completed[0], "last")
      assert.sameMembers([...completed], ["last", "trace-1", "trace-2"])
      assert.deepStrictEqual(yield* keys("--state", "cancelled"), ["called-off"])
      assert.sameMembers([...(yield* keys("--state", "completed", "--prefix", "trace-"))], ["trace-1", "trace-2"])
      assert.deepStrictEqual(yield* keys("--state", "completed", "--task", "fail"), [])
      const some = yield* shop.run(["ls", "--state", "completed", "--limit", "2"])
      assert.deepStrictEqual([some.code, some.stdout.trimEnd().split("\n").length], [0, 3])
      assert.match(some.stderr, /^There may be more; --limit 20 /)
      yield* redis.cli("ACL", "SETUSER", "noscan", "on", ">secret", "~*", "&*", "+@all", "-scan")
      const url = redis.url.replace("redis://", "redis://noscan:secret@")
      const denied = yield* shop.run(["ls", "--state", "completed", "--url", url])
      assertSentence(denied, 1, "has no permissions to run the 'scan' command")
    })
  )

  it.effect("keys with quotes, line feeds and escapes stay on their line, and are unchanged in JSON (SCH-09)", () =>
    Effect.gen(function* () {
      const shop = yield* (yield* App).shop
      const key = 'a "quoted"\nkey\u001b[31m\\ 🎉'
      yield* shop.docket.addNamed("one", { text: key }, { key })
      for (const command of ["snapshot", "ls"]) {
        const output = (yield* shop.lines(command)).join("\n")
        assert.include(output, '"a \\"quoted\\"\\nkey\\u001b[31m\\\\ 🎉"')
        assert.notInclude(output, "\u001b")
      }
      const [listed] = yield* shop.json("ls")
      assert.deepInclude(listed, { key, payload: { text: key } })
      const [shown] = yield* shop.json("show", key)
      assert.deepInclude(shown, { key })
      const cancelled = yield* shop.run(["cancel", key])
      assert.deepStrictEqual([cancelled.code, cancelled.stderr], [0, ""])
    })
  )

  it.effect("show leaves out what is redacted, in every form (LOG-05)", () =>
    Effect.gen(function* () {
      const shop = yield* (yield* App).shop
      const Secret = Schema.RedactedFromValue(Schema.String)
      const Charge = Task.make("charge", {
        payload: { amount: Schema.Int, card: Secret },
        success: Schema.Struct({ receipt: Secret, amount: Schema.Int }),
        error: Secret
      })
      const tasks = TaskGroup.make(Charge)
      const card = Redacted.make("hidden card")
      const handlers = tasks.toLayer({
        charge: ({ amount, card }) => (amount > 0 ? Effect.succeed({ receipt: card, amount }) : Effect.fail(card))
      })
      yield* shop.docket.add(Charge, { amount: 5, card }, { key: "good" })
      yield* shop.docket.add(Charge, { amount: 0, card }, { key: "bad" })
      yield* shop.docket.addNamed("charge", { amount: "hidden", card: "hidden" }, { key: "unreadable" })
      yield* Worker.runUntilFinished(tasks).pipe(Effect.provide(handlers), Effect.provideService(Docket, shop.docket))
      const good = yield* shop.lines("show", "good")
      assert.include(good.join("\n"), '{"amount":5,"card":"<redacted>"}')
      assert.include(good.join("\n"), '{"receipt":"<redacted>","amount":5}')
      const [object] = yield* shop.json("show", "good")
      assert.deepInclude(object, {
        payload: { amount: 5, card: "<redacted>" },
        result: { receipt: "<redacted>", amount: 5 }
      })
      const shown = [
        good,
        object,
        yield* shop.lines("show", "bad"),
        yield* shop.json("show", "bad"),
        yield* shop.lines("failed", "ls"),
        yield* shop.lines("explain", "unreadable"),
        (yield* shop.json("show", "unreadable")).map(({ payload: _, ...others }) => others)
      ]
      assert.include(JSON.stringify(shown), "InvalidPayload")
      assert.notInclude(JSON.stringify(shown), "hidden")
    })
  )
})
