/** Executions that failed for good: they stay useful. */
import { assert } from "@effect/vitest"
import { Effect, Layer, Option, Queue, Schema } from "effect"
import { CurrentExecution, Docket, Perpetual, Retry, Task, TaskGroup, Worker } from "../src/index.ts"
import { beginning, infoOf, onEveryStore, onMemory, pass, start, stateOf, TestDocket } from "./support/dockets.ts"
import { follow, passUntil, statesIn } from "./support/runs.ts"
import { waitUntil } from "./support/waitUntil.ts"

class Rejected extends Schema.TaggedError<Rejected>()("Rejected", { by: Schema.String }) {
  override get message() {
    return `rejected by ${this.by}`
  }
}

const Charge = Task.make("charge", {
  payload: { id: Schema.String, by: Schema.String },
  success: Schema.Int,
  error: Rejected,
  key: ({ id }) => id,
  retry: Retry.linear({ attempts: 2 })
})
const Refund = Task.make("refund", { payload: { id: Schema.String }, key: ({ id }) => id })
const tasks = TaskGroup.make(Charge, Refund)

/** A bank that rejects everything for as long as it is shut. */
const makeBank = (options: Worker.Options = {}) => {
  let isShut = true
  const attempts: Array<readonly [key: string, attempt: number]> = []
  const handlers = tasks.toLayer({
    charge: Effect.fnUntraced(function* ({ by }) {
      const { attempt, key } = yield* CurrentExecution
      attempts.push([key, attempt])
      if (isShut) return yield* new Rejected({ by })
      return attempt
    }),
    refund: ({ id }) => (isShut ? Effect.die(new Error(`no refund of ${id}`)) : Effect.void)
  })
  return {
    attempts,
    setShut: (shut: boolean) => {
      isShut = shut
    },
    worker: Worker.layer(tasks, options).pipe(Layer.provide(handlers))
  }
}

/** Runs tasks that fail, one after the other. */
const failAll = Effect.fnUntraced(function* (docket: Docket["Service"], ids: ReadonlyArray<string>, by = "the bank") {
  for (const id of ids) yield* Effect.flip((yield* docket.add(Charge, { id, by })).result)
})

const keysOf = (executions: ReadonlyArray<{ readonly key: string }>) => executions.map(({ key }) => key)

const listed = (...args: Parameters<Docket["Service"]["failed"]["list"]>) =>
  Effect.flatMap(Docket, ({ failed }) => Effect.map(failed.list(...args), keysOf))

onEveryStore("The failed executions of a docket", (it) => {
  it.effect("are listed, newest first, with what is known of them", () =>
    Effect.gen(function* () {
      const { worker } = makeBank({ name: "teller" })
      yield* start(worker)
      const docket = yield* Docket
      yield* failAll(docket, ["a", "b", "c"])
      const list = yield* docket.failed.list()
      assert.deepStrictEqual(keysOf(list), ["c", "b", "a"])
      assert.deepStrictEqual(list[1], yield* infoOf("b"))
      assert.deepInclude(list[0], {
        task: "charge",
        state: "failed",
        attempt: 2,
        worker: "teller",
        encodedPayload: '{"id":"c","by":"the bank"}',
        error: "Rejected: rejected by the bank"
      })
      const elsewhere = yield* (yield* TestDocket).open()
      assert.deepStrictEqual(yield* elsewhere.failed.list(), list)
    })
  )

  it.effect("are those that failed for good: not what is retried, cancelled, completed or recurs", () =>
    Effect.gen(function* () {
      const Tick = Task.make("tick", { perpetual: { every: 0 }, key: () => "clock" })
      const Patient = Task.make("patient", {
        retry: Retry.linear({ attempts: 2, delay: "1 hour" }),
        key: () => "patient"
      })
      const Fine = Task.make("fine", { key: () => "fine" })
      const group = TaskGroup.make(Tick, Patient, Fine)
      let ticks = 0
      const handlers = group.toLayer({
        tick: Effect.fnUntraced(function* () {
          if (++ticks === 3) yield* (yield* Perpetual).cancel
          return yield* Effect.die("boom")
        }),
        patient: () => Effect.die("boom"),
        fine: () => Effect.void
      })
      yield* start(Worker.layer(group).pipe(Layer.provide(handlers)))
      const docket = yield* Docket
      const cancelled = yield* docket.add(Fine, {}, { key: "cancelled", delay: "1 hour" })
      yield* cancelled.cancel
      yield* (yield* docket.add(Fine)).result
      const patient = yield* docket.add(Patient)
      yield* waitUntil(
        "it waits for its second attempt",
        Effect.map(infoOf("patient"), ({ attempt }) => attempt === 2)
      )
      yield* docket.add(Tick)
      yield* waitUntil(
        "the clock has stopped",
        Effect.map(stateOf("clock"), (state) => state === "failed")
      )
      assert.deepStrictEqual(yield* listed(), ["clock"])
      yield* patient.cancel
    })
  )

  it.effect("can be chosen by key, task, a part of the error, time and number, and by several of these", () =>
    Effect.gen(function* () {
      const { worker } = makeBank()
      yield* start(worker)
      const docket = yield* Docket
      yield* failAll(docket, ["a", "b"])
      yield* Effect.flip((yield* docket.add(Refund, { id: "r" })).result)
      yield* pass("1 hour")
      const noon = beginning + 30 * 60_000
      yield* failAll(docket, ["c"])
      yield* failAll(docket, ["d"], "the branch")
      assert.deepStrictEqual(yield* listed(), ["d", "c", "r", "b", "a"])
      assert.deepStrictEqual(yield* listed({}), ["d", "c", "r", "b", "a"])
      assert.deepStrictEqual(yield* listed({ keys: ["a", "c", "unknown"] }), ["c", "a"])
      assert.deepStrictEqual(yield* listed({ keys: [] }), [])
      assert.deepStrictEqual(yield* listed({ task: "refund" }), ["r"])
      assert.deepStrictEqual(yield* listed({ error: "by the bank" }), ["c", "b", "a"])
      assert.deepStrictEqual(yield* listed({ since: noon }), ["d", "c"])
      assert.deepStrictEqual(yield* listed({ until: noon }), ["r", "b", "a"])
      assert.deepStrictEqual(yield* listed({ limit: 2 }), ["d", "c"])
      assert.deepStrictEqual(yield* listed({ limit: 0 }), [])
      assert.deepStrictEqual(yield* listed({ task: "charge", until: noon, limit: 1 }), ["b"])
      // A moment at which one failed counts as since, and not as until.
      const at = (yield* infoOf("c")).completed
      assert(at !== undefined)
      assert.include(yield* listed({ since: at }), "c")
      assert.notInclude(yield* listed({ until: at }), "c")
      const error = yield* Effect.flip(docket.failed.list({ since: "the day before yesterday" }))
      assert.strictEqual(error.reason._tag, "InvalidRequest")
    })
  )

  it.effect("can be retried: they run at once, with their payload, key and a fresh budget of attempts", () =>
    Effect.gen(function* () {
      const { attempts, setShut, worker } = makeBank()
      yield* start(worker)
      const docket = yield* Docket
      yield* failAll(docket, ["a", "b", "c"])
      setShut(false)
      attempts.length = 0
      const events = yield* docket.store.watch("b")
      assert.strictEqual((yield* docket.failed.retry({ keys: ["b"] })).retried, 1)
      const execution = docket.execution(Charge, "b")
      assert.strictEqual(yield* execution.result, 1)
      assert.deepStrictEqual(attempts, [["b", 1]])
      const states = (yield* Queue.takeN(events, 3)).map((event) => event._tag === "Changed" && event.state)
      assert.deepStrictEqual(states, ["queued", "running", "completed"])
      assert.deepInclude(yield* infoOf("b"), {
        state: "completed",
        attempt: 1,
        error: undefined,
        encodedPayload: '{"id":"b","by":"the bank"}'
      })
      assert.deepStrictEqual(yield* execution.attempts, [])
      assert.deepStrictEqual(yield* listed(), ["c", "a"])
    })
  )

  it.effect("can be retried all that match, or all, and fail again after as many attempts as ever", () =>
    Effect.gen(function* () {
      const { attempts, setShut, worker } = makeBank()
      yield* start(worker)
      const docket = yield* Docket
      yield* failAll(docket, ["a", "b"])
      yield* failAll(docket, ["c", "d"], "the branch")
      attempts.length = 0
      assert.strictEqual((yield* docket.failed.retry({ error: "the branch" })).retried, 2)
      yield* waitUntil(
        "they failed again",
        Effect.map(listed(), (keys) => keys.length === 4)
      )
      assert.sameDeepMembers(attempts, [
        ["c", 1],
        ["c", 2],
        ["d", 1],
        ["d", 2]
      ])
      setShut(false)
      assert.strictEqual((yield* docket.failed.retry({})).retried, 4)
      for (const id of ["a", "b", "c", "d"]) assert.strictEqual(yield* docket.execution(Charge, id).result, 1)
      assert.deepStrictEqual(yield* listed(), [])
      assert.strictEqual((yield* docket.failed.retry({})).retried, 0)
    })
  )

  it.effect("STR-08 stay failed when a strike matches them, and the answer says so", () =>
    Effect.gen(function* () {
      const { setShut, worker } = makeBank()
      yield* start(worker)
      const docket = yield* Docket
      yield* failAll(docket, ["a", "b"])
      yield* failAll(docket, ["c"], "the branch")
      setShut(false)
      const elsewhere = yield* (yield* TestDocket).open()
      yield* elsewhere.strike({ task: Charge, field: "by", value: "the bank" })
      assert.deepStrictEqual(yield* docket.failed.retry({}), { retried: 1, struck: 2 })
      yield* docket.execution(Charge, "c").result
      assert.deepStrictEqual(yield* listed(), ["b", "a"])
      assert.deepInclude(yield* infoOf("a"), { state: "failed", error: "Rejected: rejected by the bank" })
      yield* elsewhere.restore({ task: Charge, field: "by", value: "the bank" })
      assert.deepStrictEqual(yield* docket.failed.retry({}), { retried: 2, struck: 0 })
      yield* docket.execution(Charge, "a").result
    })
  )

  it.effect("are retried once, when two operators retry them at once, and not when their key is live again", () =>
    Effect.gen(function* () {
      const { attempts, setShut, worker } = makeBank()
      const bank = yield* start(worker)
      const docket = yield* Docket
      yield* failAll(docket, ["a", "b"])
      yield* bank.stop
      setShut(false)
      attempts.length = 0
      const elsewhere = yield* (yield* TestDocket).open()
      yield* docket.add(Charge, { id: "b", by: "another" }, { delay: "1 day" })
      const counts = yield* Effect.all([docket.failed.retry({}), elsewhere.failed.retry({})], {
        concurrency: "unbounded"
      })
      assert.strictEqual(counts[0].retried + counts[1].retried, 1)
      assert.strictEqual((yield* docket.failed.retry({ keys: ["a", "b"] })).retried, 0)
      yield* start(worker)
      assert.strictEqual(yield* docket.execution(Charge, "a").result, 1)
      assert.deepStrictEqual(attempts, [["a", 1]])
      assert.deepInclude(yield* infoOf("b"), { state: "scheduled", encodedPayload: '{"id":"b","by":"another"}' })
      yield* docket.clear
    })
  )

  it.effect("can be discarded, and are forgotten then", () =>
    Effect.gen(function* () {
      const { worker } = makeBank()
      yield* start(worker)
      const docket = yield* Docket
      yield* failAll(docket, ["a", "b", "c"])
      assert.strictEqual(yield* docket.failed.discard({ keys: ["a", "c", "unknown"] }), 2)
      assert.deepStrictEqual(yield* listed(), ["b"])
      assert(Option.isNone(yield* docket.info("a")))
      const error = yield* Effect.flip(docket.execution(Charge, "a").result)
      assert.strictEqual(error._tag, "ResultNotKept")
      assert.deepStrictEqual(yield* docket.execution(Charge, "a").attempts, [])
      assert.strictEqual(yield* docket.failed.discard({}), 1)
      assert.deepStrictEqual(yield* listed(), [])
    })
  )

  it.effect("are no longer listed once their key is scheduled again", () =>
    Effect.gen(function* () {
      const { setShut, worker } = makeBank()
      yield* start(worker)
      const docket = yield* Docket
      yield* failAll(docket, ["a", "b"])
      setShut(false)
      const again = yield* docket.add(Charge, { id: "a", by: "the bank" })
      assert.strictEqual(again.disposition, "scheduled")
      yield* again.result
      assert.deepStrictEqual(yield* listed(), ["b"])
    })
  )

  it.effect("can be listed, retried and discarded by the hundreds", () =>
    Effect.gen(function* () {
      const { setShut, worker } = makeBank({ concurrency: 50 })
      yield* start(worker)
      const docket = yield* Docket
      const all = yield* docket.addAll(
        Array.from({ length: 450 }, (_, i) => Task.request(Charge, { id: `k-${i}`, by: i % 3 === 0 ? "x" : "y" }))
      )
      yield* Effect.forEach(all, ({ result }) => Effect.flip(result), { concurrency: "unbounded" })
      assert.strictEqual((yield* listed()).length, 450)
      assert.strictEqual((yield* listed({ error: "by x", limit: 100 })).length, 100)
      setShut(false)
      assert.strictEqual(yield* docket.failed.discard({ error: "by x" }), 150)
      assert.strictEqual((yield* docket.failed.retry({})).retried, 300)
      yield* waitUntil(
        "all ran again",
        Effect.map(docket.store.depth, ({ queued, running }) => queued + running === 0)
      )
      assert.deepStrictEqual(yield* listed(), [])
      assert.strictEqual(yield* stateOf("k-1"), "completed")
    })
  )

  it.effect("are kept for seven days, longer than others that are settled, and can be retried until then", () =>
    Effect.gen(function* () {
      const { worker } = makeBank()
      const bank = yield* start(worker)
      const docket = yield* Docket
      yield* failAll(docket, ["a"])
      yield* bank.stop
      yield* pass("167 hours")
      assert.deepStrictEqual(yield* listed(), ["a"])
      assert.deepInclude(yield* Effect.flip(docket.execution(Charge, "a").result), { _tag: "Rejected", by: "the bank" })
      assert.strictEqual((yield* docket.execution(Charge, "a").attempts).length, 2)
      yield* pass("2 hours")
      assert.deepStrictEqual(yield* listed(), [])
      assert.strictEqual((yield* docket.failed.retry({})).retried, 0)
    })
  )

  it.effect("are kept for as long as the docket is told", () =>
    Effect.gen(function* () {
      const docket = yield* (yield* TestDocket).open({ failedTtl: "1 hour" })
      const { worker } = makeBank()
      yield* start(worker).pipe(Effect.provideService(Docket, docket))
      yield* failAll(docket, ["a"])
      yield* pass("55 minutes")
      assert.deepStrictEqual(keysOf(yield* docket.failed.list()), ["a"])
      yield* pass("10 minutes")
      assert.deepStrictEqual(yield* docket.failed.list(), [])
    })
  )

  it.effect("are kept up to a number, the oldest going first", () =>
    Effect.gen(function* () {
      const docket = yield* (yield* TestDocket).open({ failedMaximum: 3 })
      const { worker } = makeBank()
      yield* start(worker).pipe(Effect.provideService(Docket, docket))
      yield* failAll(docket, ["a", "b", "c", "d", "e"])
      assert.deepStrictEqual(keysOf(yield* docket.failed.list()), ["e", "d", "c"])
      // It is kept like any other that is settled.
      assert.strictEqual((yield* docket.info("b"))._tag, "Some")
      assert.strictEqual((yield* docket.failed.retry({ keys: ["a", "e"] })).retried, 1)
    })
  )

  it.effect("are none on a docket that keeps none", () =>
    Effect.gen(function* () {
      const { worker } = makeBank()
      for (const settings of [
        { name: "nothing", executionTtl: 0 },
        { name: "none", failedMaximum: 0 }
      ] as const) {
        const docket = yield* (yield* TestDocket).open(settings)
        const bank = yield* start(worker).pipe(Effect.provideService(Docket, docket))
        yield* Effect.exit((yield* docket.add(Charge, { id: "a", by: "the bank" })).result)
        assert.deepStrictEqual(yield* docket.failed.list(), [])
        assert.strictEqual((yield* docket.failed.retry({})).retried, 0)
        yield* bank.stop
      }
    })
  )

  it.effect("are kept on a docket that keeps nothing else, when it is told so", () =>
    Effect.gen(function* () {
      const docket = yield* (yield* TestDocket).open({ executionTtl: 0, failedTtl: "1 day" })
      const { setShut, worker } = makeBank()
      yield* start(worker).pipe(Effect.provideService(Docket, docket))
      const execution = yield* docket.add(Charge, { id: "a", by: "the bank" })
      const events = yield* follow(execution.events)
      yield* waitUntil(
        "it is listed",
        Effect.map(docket.failed.list(), (failed) => failed.length === 1)
      )
      const all: Array<string> = []
      while (all.at(-1) !== "failed") all.push(...statesIn([yield* Queue.take(events)]))
      setShut(false)
      assert.strictEqual((yield* docket.failed.retry({})).retried, 1)
      yield* waitUntil("it is gone", Effect.map(execution.info, Option.isNone))
      assert.deepStrictEqual(yield* docket.failed.list(), [])
    })
  )

  it.effect("UNK-06 are also those that were delivered too often", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      const { worker } = makeBank({ redeliveryTimeout: "1 minute", maxDeliveries: 1 })
      // Whoever holds it never comes back.
      const session = yield* docket.store.open({
        name: "gone",
        tasks: "any",
        contracts: new Map(),
        recurring: new Set(),
        leaseMillis: 60_000,
        maxDeliveries: 1,
        facts: new Map(),
        presenceMillis: 1000
      })
      const execution = yield* docket.add(Charge, { id: "a", by: "the bank" })
      yield* session.exchange({ lease: "gone-1", resent: false, finished: [], take: 1, strikes: "" })
      yield* start(worker)
      yield* Effect.flip(passUntil("10 seconds", execution.result))
      assert.deepStrictEqual(yield* listed({ error: "DeliveriesExhausted" }), ["a"])
    })
  )
})

onMemory("The failed executions of a docket", (it) => {
  it.effect("STA-04 are gone with their record at the end of their time", () =>
    Effect.gen(function* () {
      const { worker } = makeBank()
      yield* start(worker)
      const docket = yield* Docket
      yield* failAll(docket, ["a"])
      yield* pass("7 days")
      assert(Option.isNone(yield* docket.info("a")))
    })
  )
})
