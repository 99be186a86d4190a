/** Why an execution is not running: each kind of answer. */
import { assert } from "@effect/vitest"
import { type DateTime, Effect, Latch, Layer, Queue, Schema } from "effect"
import { CurrentExecution, Docket, type Explanation, Retry, Strike, Task, TaskGroup, Worker } from "../src/index.ts"
import { beginning, onEveryStore, pass, start, stateOf } from "./support/dockets.ts"
import { waitUntil } from "./support/waitUntil.ts"

const payload = { id: Schema.String, customer: Schema.optionalKey(Schema.Int), name: Schema.optionalKey(Schema.String) }
const define = <const Name extends string>(
  name: Name,
  options: Omit<Task.Options<typeof payload, typeof Schema.Void, typeof Schema.Never>, "payload" | "key"> = {}
) => Task.make(name, { payload, key: ({ id }) => id, ...options })

const Plain = define("plain")
const Flaky = define("flaky", { retry: Retry.linear({ attempts: 3, delay: "1 minute" }) })
const Single = define("single", { concurrency: { limit: 1, by: ({ customer }) => customer } })
const Shared = define("shared", { concurrency: { limit: 2, scope: "printer" } })
const Paced = define("paced", { rateLimit: { limit: 1, per: "1 minute" } })
const Picky = define("picky", { rateLimit: { limit: 1, per: "1 minute", onExceeded: "drop", scope: "mail" } })
const Cool = define("cool", { cooldown: { window: "1 minute", by: ({ customer }) => customer } })
const Named = define("named", { concurrency: { limit: 1, by: ({ name }) => name } })
const Calm = define("calm", { debounce: { settle: "1 minute" } })

const tasks = TaskGroup.make(Plain, Flaky, Single, Shared, Paced, Picky, Cool, Named, Calm)

/** A worker whose executions run until the gate is open. */
const startWorker = Effect.fnUntraced(function* (options: Worker.Options = {}) {
  const gate = yield* Latch.make(false)
  const runs = yield* Queue.unbounded<string>()
  const run = Effect.gen(function* () {
    const { attempt, key, task } = yield* CurrentExecution
    yield* Queue.offer(runs, key)
    if (task === "flaky" && attempt === 1) return yield* Effect.die(new Error("out of ink"))
    yield* gate.await
  })
  const all = { plain: () => run, flaky: () => run, single: () => run, shared: () => run, named: () => run }
  const handlers = tasks.toLayer({ ...all, paced: () => run, picky: () => run, cool: () => run, calm: () => run })
  yield* start(Worker.layer(tasks, options).pipe(Layer.provide(handlers)))
  return { gate, runs }
})

const explain = (key: string) => Effect.flatMap(Docket, (docket) => docket.explain(key))

/** Explains once the answer is of this kind. */
const explained = Effect.fnUntraced(function* <Tag extends Explanation.Explanation["_tag"]>(key: string, tag: Tag) {
  yield* waitUntil(
    `${key} is explained by ${tag}`,
    Effect.map(explain(key), ({ _tag }) => _tag === tag)
  )
  return (yield* explain(key)) as Extract<Explanation.Explanation, { readonly _tag: Tag }>
})

/** A moment in the minute in which tests begin, to the minute. */
const minutes = (moment: DateTime.Utc | undefined) =>
  moment === undefined ? undefined : Math.floor((moment.epochMilliseconds - beginning) / 60_000)

onEveryStore("An explanation", (it) => {
  it.effect("of a key that nobody scheduled", () =>
    Effect.gen(function* () {
      const found = yield* explain("nobody")
      assert.deepStrictEqual(found, { _tag: "Unknown", key: "nobody", message: 'There is no record of "nobody"' })
    })
  )

  it.effect("of one that is due later", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      yield* docket.add(Plain, { id: "a" }, { when: beginning + 3_600_000 })
      const found = yield* explain("a")
      assert(found._tag === "Due")
      assert.strictEqual(found.message, "plain{a} is due at 2026-01-15T13:00:00.000Z")
    })
  )

  it.effect("of one whose task no live worker knows", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      yield* docket.add(Plain, { id: "a" })
      assert.strictEqual(
        (yield* explained("a", "NoWorker")).message,
        "plain{a} is due, but no live worker knows its task"
      )
      yield* startWorker()
      yield* docket.addNamed("newer", {}, { key: "b" })
      yield* explained("b", "NoWorker")
      assert.strictEqual(yield* stateOf("b"), "queued")
    })
  )

  it.effect("of one that is due behind others", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      const { runs } = yield* startWorker({ concurrency: 1 })
      for (const id of ["a", "b", "c", "d"]) yield* docket.add(Plain, { id })
      assert.strictEqual(yield* Queue.take(runs), "a")
      assert.strictEqual((yield* explained("b", "Queued")).message, "plain{b} is due, and the next to run")
      const d = yield* explained("d", "Queued")
      assert.deepStrictEqual([d.ahead, d.message], [2, "plain{d} is due, behind 2 others"])
    })
  )

  it.effect("of one that runs, and of one that has ended", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      const { gate, runs } = yield* startWorker({ name: "w-1" })
      const execution = yield* docket.add(Plain, { id: "a" })
      yield* Queue.take(runs)
      const running = yield* explained("a", "Running")
      assert.deepStrictEqual([running.worker, running.attempt], ["w-1", 1])
      assert.match(running.message, /^plain\{a\} runs on w-1 since 2026-01-15T12:00/)
      yield* gate.open
      yield* execution.result
      const settled = yield* explained("a", "Settled")
      assert.strictEqual(settled.state, "completed")
      assert.match(settled.message, /^plain\{a\} was completed at 2026-01-15T12:00/)
    })
  )

  it.effect("of one that waits for another attempt", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      const { runs } = yield* startWorker()
      yield* docket.add(Flaky, { id: "a" })
      yield* Queue.take(runs)
      const found = yield* explained("a", "Retrying")
      assert.deepStrictEqual([found.attempt, found.error], [2, "Error: out of ink"])
      assert.match(found.message, /^flaky\{a\} waits for attempt 2 at 2026-01-15T12:01.*, after Error: out of ink$/)
    })
  )

  it.effect("of one that waits for a slot of a limit", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      const { runs } = yield* startWorker()
      for (const id of ["a", "b", "c"]) yield* docket.add(Single, { id, customer: 7 })
      for (const id of ["x", "y", "z"]) yield* docket.add(Shared, { id })
      assert.sameMembers([yield* Queue.take(runs), yield* Queue.take(runs), yield* Queue.take(runs)], ["a", "x", "y"])
      const { message: _, ...c } = yield* explained("c", "AwaitingSlot")
      assert.deepStrictEqual(c, {
        _tag: "AwaitingSlot",
        key: "c",
        task: "single",
        control: { scope: undefined, value: "7" },
        limit: 1,
        holders: ["a"],
        ahead: 1
      })
      assert.strictEqual(
        (yield* explain("c")).message,
        "single{c} waits for the only slot for 7, held by a, behind 1 other"
      )
      const z = yield* explained("z", "AwaitingSlot")
      assert.sameMembers([...z.holders], ["x", "y"])
      assert.match(z.message, /^shared\{z\} waits for one of 2 slots of the scope "printer", held by [xy], [xy]$/)
    })
  )

  it.effect("of one whose limit is for a long value, which it shows in short", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      const { gate, runs } = yield* startWorker()
      const name = "a very long name indeed, ".repeat(200)
      for (const id of ["a", "b"]) yield* docket.add(Named, { id, name })
      assert.strictEqual(yield* Queue.take(runs), "a")
      const { control, message } = yield* explained("b", "AwaitingSlot")
      assert.match(control.value ?? "", /^"a very long name indeed, .*…#[0-9a-f]{32}$/)
      assert.isBelow(message.length, 200)
      // Another one that begins like it is another value.
      yield* docket.add(Named, { id: "c", name: `${name}!` })
      assert.strictEqual(yield* Queue.take(runs), "c")
      yield* gate.open
    })
  )

  it.effect("of one that has failed, and of one that was cancelled", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      yield* startWorker()
      yield* docket.addNamed("named", { id: 7 }, { key: "bad" })
      const bad = yield* explained("bad", "Settled")
      assert.strictEqual(bad.state, "failed")
      assert.match(bad.message, /^named\{bad\} failed at 2026-01-15T12:0.*InvalidPayload/s)
      yield* docket.add(Plain, { id: "gone" }, { delay: "1 hour" })
      yield* docket.cancel("gone")
      assert.match((yield* explained("gone", "Settled")).message, /^plain\{gone\} was cancelled at 2026-01-15T12:0/)
    })
  )

  it.effect("of one that a rate limit makes wait, and of one that it dropped", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      yield* startWorker()
      for (const id of ["a", "b", "c"]) yield* docket.add(Paced, { id })
      const b = yield* explained("b", "RateLimited")
      const c = yield* explained("c", "RateLimited")
      assert.deepStrictEqual([b.ahead, c.ahead, c.until], [0, 1, b.until])
      assert.match(b.message, /^paced\{b\} waits for a rate limit, which has its next start at 2026-01-15T12:01/)
      assert.match(c.message, /, behind 1 other$/)
      for (const id of ["x", "y"]) yield* docket.add(Picky, { id })
      const y = yield* explained("y", "Dropped")
      assert.deepStrictEqual([y.by, y.control.scope, y.until], ["RateLimit", "mail", undefined])
      assert.strictEqual(y.message, 'picky{y} was dropped by a rate limit of the scope "mail"')
    })
  )

  it.effect("of one that a cooldown dropped", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      yield* startWorker()
      for (const id of ["a", "b"]) yield* docket.add(Cool, { id, customer: 7 })
      const found = yield* explained("b", "Dropped")
      assert.deepStrictEqual([found.by, found.control.value, minutes(found.until)], ["Cooldown", "7", 1])
      assert.match(found.message, /^cool\{b\} was dropped by a cooldown for 7, which ends at 2026-01-15T12:01/)
    })
  )

  it.effect("of one that waits for quiet, and of one that a debounce dropped", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      yield* startWorker()
      yield* docket.add(Calm, { id: "a" })
      const before = yield* explained("a", "Debouncing")
      yield* pass("10 seconds")
      yield* docket.add(Calm, { id: "b" })
      assert.propertyVal(yield* explained("b", "Dropped"), "by", "Debounce")
      const after = yield* explained("a", "Debouncing")
      assert.isAtLeast(after.until.epochMilliseconds - before.until.epochMilliseconds, 10_000)
      assert.match(after.message, /^calm\{a\} waits for quiet, until 2026-.* if nothing else is submitted$/)
    })
  )

  it.effect("of one whose worker fell silent: since when, and when another takes over", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      yield* docket.addNamed("gone", {}, { key: "a" })
      yield* Effect.scoped(
        Effect.gen(function* () {
          const session = yield* docket.store.open({
            name: "dead",
            tasks: new Set(["gone"]),
            contracts: new Map(),
            recurring: new Set(),
            facts: new Map(),
            leaseMillis: 300_000,
            maxDeliveries: 10,
            presenceMillis: 1000
          })
          yield* session.heartbeat
          yield* session.exchange({ lease: "l", resent: false, finished: [], take: 1, strikes: "" })
        })
      )
      yield* pass("10 seconds")
      const running = yield* explained("a", "Running")
      assert.match(running.message, /^gone\{a\} runs on dead since 2026-.*, but nothing was heard of that worker /)
      assert.match(running.message, /another takes over by 2026-.*, or at once after docket workers forget dead$/)
      assert.isDefined(running.silent)
      assert.strictEqual(yield* docket.forgetWorker("dead"), 1)
      assert.strictEqual((yield* docket.explain("a"))._tag, "NoWorker")
    })
  )

  it.effect("of one that is held or struck", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      yield* startWorker()
      yield* docket.strike({ field: "customer", value: 7, hold: true })
      yield* docket.add(Plain, { id: "a", customer: 7 })
      const held = yield* explained("a", "Held")
      assert.instanceOf(held.strike, Strike.Strike)
      assert.strictEqual(held.message, "plain{a} is held by the strike (all tasks) customer == 7")
      yield* docket.add(Plain, { id: "b" }, { delay: "1 hour" })
      yield* docket.pause(Plain)
      assert.strictEqual((yield* explained("b", "Held")).message, "plain{b} waits because its task is paused")
      yield* docket.resume(Plain)
      yield* docket.strike({ task: "plain" })
      const struck = yield* explained("b", "Struck")
      assert.strictEqual(struck.message, "plain{b} is struck by plain, and will be cancelled when it is its turn")
      yield* docket.restore({ task: "plain" })
      yield* docket.pause()
      assert.strictEqual((yield* explained("b", "Held")).message, "plain{b} waits because the docket is paused")
    })
  )
})
