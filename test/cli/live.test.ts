import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Crypto from "node:crypto"
import * as Fs from "node:fs/promises"
import * as Os from "node:os"
import * as Path from "node:path"
import * as Process from "../support/processes.ts"
import * as RedisServer from "../support/RedisServer.ts"
import { App, assertSentence, open } from "./app.ts"
import * as docket from "./docket.ts"

/** A gate that the fixture's `import` waits for, once it has made its steps. */
const makeGate = Effect.gen(function* () {
  const GATE = Path.join(Os.tmpdir(), `docket-gate-${Crypto.randomUUID()}`)
  yield* Effect.addFinalizer(() => Effect.promise(() => Fs.rm(GATE, { force: true })))
  return { env: { GATE }, open: Effect.promise(() => Fs.writeFile(GATE, "")) }
})

const worker = ["worker", "--tasks", docket.fixture("shop.ts"), "--name", "ada"]
const terminal = { columns: 80, rows: 24 }

it.layer(App.layer(), { excludeTestServices: true })("docket watch", (it) => {
  it.effect("prints each change until the execution is completed, when it is piped (CLI-20)", () =>
    Effect.gen(function* () {
      const shop = yield* (yield* App).shop
      const gate = yield* makeGate
      yield* shop.docket.addNamed("import", { steps: 2, stepMillis: 0 }, { key: "import-1" })
      const watch = yield* shop.start(["watch", "import-1"])
      yield* watch.until("queued, attempt 1")
      yield* shop.start(worker, { env: gate.env })
      yield* watch.until("progress 2/2 100 % file 2")
      yield* gate.open
      const { code, stderr, stdout } = yield* watch.ended
      assert.strictEqual(code, 0, stderr)
      const lines = stdout.trimEnd().split("\n")
      assert.strictEqual(lines[0], `import-1 in docket "${shop.name}", task import`)
      assert.match(stdout, /^\d\d:\d\d:\d\d running on ada, attempt 1$/m)
      assert.match(lines.at(-1)!, /^\d\d:\d\d:\d\d completed on ada after \d:\d\d:\d\d$/)
      assert.notInclude(stdout, "\u001b")
    })
  )

  it.effect("prints each change as an object with --json (CLI-20)", () =>
    Effect.gen(function* () {
      const shop = yield* (yield* App).shop
      yield* shop.docket.addNamed("fail", { message: "oh no" }, { key: "k" })
      const watch = yield* shop.start(["watch", "k", "--json"])
      yield* watch.until("queued")
      yield* shop.work
      const { code, stdout } = yield* watch.ended
      assert.strictEqual(code, 0)
      const events = stdout
        .trimEnd()
        .split("\n")
        .map((line) => JSON.parse(line))
      assert.deepInclude(events[0], { event: "state", key: "k", task: "fail", state: "queued", attempt: 1 })
      assert.deepInclude(events.at(-1), { event: "state", state: "failed", attempt: 2 })
      assert.include(events.at(-1).error, "oh no")
    })
  )

  for (const { error, key, state } of [
    { key: "welcome-7", state: "completed", error: undefined },
    { key: "welcome-13", state: "failed", error: "EmailBounced: unlucky@example.com" },
    { key: "later", state: "cancelled", error: undefined }
  ]) {
    it.effect(`shows an execution that is ${state} already, and exits with 0 (CLI-21, EVT-04)`, () =>
      Effect.gen(function* () {
        const shop = yield* (yield* App).shop
        yield* shop.docket.addNamed("sendWelcome", { customerId: 7, greeting: "Hi" }, { key: "welcome-7" })
        yield* shop.docket.addNamed("sendWelcome", { customerId: 13, greeting: "Hi" }, { key: "welcome-13" })
        yield* shop.docket.addNamed("sendWelcome", { customerId: 8, greeting: "Hi" }, { key: "later", delay: "1 hour" })
        yield* shop.docket.cancel("later")
        yield* shop.work
        const { code, stdout } = yield* shop.run(["watch", key])
        assert.strictEqual(code, 0)
        assert.include(stdout, ` ${state}`)
        if (error !== undefined) assert.include(stdout, error)
      })
    )
  }

  it.effect("an unknown key is an error (CLI-21)", () =>
    Effect.gen(function* () {
      const shop = yield* (yield* App).shop
      assertSentence(yield* shop.run(["watch", "nobody"]), 3, 'There is no execution "nobody"')
    })
  )

  it.effect("redraws state, worker, progress, message and elapsed time in a terminal (CLI-20)", () =>
    Effect.gen(function* () {
      const shop = yield* (yield* App).shop
      const gate = yield* makeGate
      yield* shop.docket.addNamed("import", { steps: 4, stepMillis: 0 }, { key: "import-1" })
      const watch = yield* Process.start(["watch", "import-1"], { terminal, env: shop.env })
      yield* watch.until("queued, attempt 1".slice(6))
      yield* shop.start(worker, { env: gate.env })
      yield* watch.until("100 % 4/4 0:00:0")
      yield* watch.until("file 4")
      yield* gate.open
      const { code, stdout } = yield* watch.ended
      assert.strictEqual(code, 0, stdout)
      for (const text of [shop.name, "import-1", "ada", "█", "completed"]) assert.include(stdout, text)
      // It goes up to draw the block again, rather than scroll.
      assert.match(stdout.replaceAll("\u001b", "ESC"), /ESC\[\d+A\rESC\[0J/)
    })
  )

  it.effect("survives a restart of Redis (REC, CLI-20)", () =>
    Effect.gen(function* () {
      const redis = yield* RedisServer.make({ appendonly: true })
      const shop = yield* open(redis.url, "shop")
      yield* shop.docket.addNamed("import", { steps: 1, stepMillis: 0 }, { key: "import-1" })
      const piped = yield* shop.start(["watch", "import-1"])
      const drawn = yield* shop.start(["watch", "import-1"], { terminal })
      const tail = yield* shop.start(["tail"])
      for (const running of [piped, drawn]) yield* running.until("queued")
      yield* tail.until("Following")
      yield* redis.kill
      yield* redis.start
      yield* tail.until("The connection was lost for a while")
      yield* shop.start(worker)
      assert.strictEqual((yield* piped.ended).code, 0)
      assert.strictEqual((yield* drawn.ended).code, 0)
      assert.include((yield* piped.ended).stdout, "completed on ada")
      yield* tail.until("completed import import-1")
    })
  )
})

it.layer(App.layer(), { excludeTestServices: true })("docket tail", (it) => {
  it.effect("prints a line for each change, and only those of a task if asked (EVT-03)", () =>
    Effect.gen(function* () {
      const shop = yield* (yield* App).shop
      const all = yield* shop.start(["tail"])
      const some = yield* shop.start(["tail", "--task", "fail", "--json"])
      for (const tail of [all, some]) yield* tail.until("Following")
      yield* shop.docket.addNamed("sendWelcome", { customerId: 7, greeting: "Hi" }, { key: "welcome-7" })
      yield* shop.docket.addNamed("fail", { message: "oh no" }, { key: "f" })
      yield* shop.work
      yield* all.until("completed sendWelcome welcome-7")
      yield* all.until("failed    fail f")
      yield* some.until('"failed"')
      const objects = (yield* some.stop).stdout
        .trimEnd()
        .split("\n")
        .map((line) => JSON.parse(line))
      assert.deepStrictEqual(
        objects.map(({ state, task }) => `${task} ${state}`),
        ["fail queued", "fail running", "fail queued", "fail running", "fail failed"]
      )
      const { stdout } = yield* all.stop
      assert.match(stdout, /^\d\d:\d\d:\d\d queued {4}sendWelcome welcome-7$/m)
      assert.match(stdout, /^\d\d:\d\d:\d\d failed {4}fail f after \d+ ms: .*oh no$/m)
    })
  )

  it.effect("draws what runs with its progress below the changes in a terminal (EVT-03)", () =>
    Effect.gen(function* () {
      const shop = yield* (yield* App).shop
      const gate = yield* makeGate
      const tail = yield* shop.start(["tail"], { terminal })
      yield* tail.until("Following")
      yield* shop.docket.addNamed("import", { steps: 3, stepMillis: 0 }, { key: "import-1" })
      yield* shop.start(worker, { env: gate.env })
      yield* tail.until("100 % 3/3")
      yield* gate.open
      yield* tail.until("completed")
    })
  )

  it.effect("ends when nobody reads it any more", () =>
    Effect.gen(function* () {
      const shop = yield* (yield* App).shop
      const bin = `'${process.execPath}' '${Process.bin}'`
      const tail = yield* Process.start([], {
        command: ["bash", "-c", `${bin} tail | head -1; exit \${PIPESTATUS[0]}`],
        env: shop.env
      })
      yield* tail.until("Following")
      yield* shop.docket.addNamed("one", {})
      yield* tail.until("queued")
      yield* shop.docket.addNamed("two", {})
      assert.strictEqual((yield* tail.ended).code, 0)
    })
  )
})
