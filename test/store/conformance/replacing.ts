/** Replacing: RPL, and what a superseded run may still do (GEN-03). */
import { assert } from "@effect/vitest"
import { Effect, Option } from "effect"
import {
  after,
  cancelled,
  completed,
  failed,
  freshLease,
  leaseMillis,
  live,
  openWorker,
  postponed,
  released,
  request,
  retry,
  takeAll,
  takeOver,
  type Test,
  ttlMillis,
  waiting
} from "./kit.ts"

export const replacing = (test: Test) => {
  for (const [state, prepare] of Object.entries(waiting)) {
    test(`RPL-01 RPL-05 RPL-06 of a key that is ${state} only the replacement runs, once, from attempt 1`, (kit) =>
      Effect.gen(function* () {
        yield* prepare(kit)
        const before = yield* kit.read("k")
        const feed = yield* kit.watch("k")
        assert.strictEqual(yield* kit.replace("k", { task: "other", payload: "[2]", trace: "00-new" }), "replaced")
        const event = yield* feed.next
        assert.strictEqual(event.state, "queued")
        assert.strictEqual(event.generation, before.generation + 1)
        const record = yield* kit.read("k")
        assert.strictEqual(record.state, "queued")
        assert.strictEqual(record.task, "other")
        assert.strictEqual(record.payload, "[2]")
        assert.strictEqual(record.trace, "00-new")
        assert.strictEqual(record.attempt, 1)
        assert.strictEqual(record.deliveries, 0)
        assert.strictEqual(record.error, undefined)
        assert.strictEqual(record.result, undefined)
        yield* kit.pass(120_000)
        const all = yield* takeAll(yield* kit.worker({ tasks: "any" }))
        assert.deepStrictEqual(
          all.map(({ attempt, deliveries, generation, payload, task }) => ({
            attempt,
            deliveries,
            generation,
            payload,
            task
          })),
          [{ attempt: 1, deliveries: 1, generation: before.generation + 1, payload: "[2]", task: "other" }]
        )
        assert.deepStrictEqual(yield* feed.states(1), ["running"])
        assert.deepStrictEqual(yield* kit.store.depth, { queued: 0, scheduled: 0, running: 1 })
      }))

    test(`RPL-01 RPL-05 a key that is ${state} can be replaced for a later time`, (kit) =>
      Effect.gen(function* () {
        yield* prepare(kit)
        const { generation } = yield* kit.read("k")
        const feed = yield* kit.watch("k")
        assert.strictEqual(yield* kit.replace("k", { payload: "[2]", due: after(600_000) }), "replaced")
        assert.strictEqual((yield* kit.read("k")).state, "scheduled")
        assert.deepStrictEqual(yield* kit.store.depth, { queued: 0, scheduled: 1, running: 0 })
        const { exchange, takeOne } = yield* kit.worker()
        yield* kit.pass(599_999)
        assert.deepStrictEqual((yield* exchange({ take: 5 })).deliveries, [])
        yield* kit.pass(1)
        const delivery = yield* takeOne
        assert.strictEqual(delivery.payload, "[2]")
        assert.strictEqual(delivery.generation, generation + 1)
        assert.deepStrictEqual(yield* feed.states(3), ["scheduled", "queued", "running"])
        assert.deepStrictEqual((yield* exchange({ take: 5 })).deliveries, [])
      }))
  }

  test("RPL-02 an earlier time and a later time are honoured", ({ add, pass, replace, store, worker }) =>
    Effect.gen(function* () {
      const { exchange, take } = yield* worker()
      yield* add("earlier", { due: after(50_000) })
      yield* add("later", { due: after(10_000) })
      assert.strictEqual(yield* replace("earlier", { due: after(5_000) }), "replaced")
      assert.strictEqual(yield* replace("later", { due: after(60_000) }), "replaced")
      assert.deepStrictEqual(yield* store.depth, { queued: 0, scheduled: 2, running: 0 })
      assert.strictEqual((yield* exchange({})).nextDueMillis, 5_000)
      yield* pass(5_000)
      assert.deepStrictEqual(
        (yield* take(5)).map(({ key }) => key),
        ["earlier"]
      )
      yield* pass(54_999)
      assert.deepStrictEqual(yield* take(5), [])
      yield* pass(1)
      assert.deepStrictEqual(
        (yield* take(5)).map(({ key }) => key),
        ["later"]
      )
    }))

  test("RPL-01 a key that is replaced again and again runs once, with the last payload", ({
    pass,
    replace,
    store,
    worker
  }) =>
    Effect.gen(function* () {
      for (let n = 0; n < 30; n++) {
        yield* replace("k", { payload: `[${n}]`, due: after([0, 5_000, 1_000][n % 3]!) })
      }
      assert.deepStrictEqual(yield* store.depth, { queued: 0, scheduled: 1, running: 0 })
      yield* pass(10_000)
      const all = yield* takeAll(yield* worker())
      assert.deepStrictEqual(
        all.map(({ generation, payload }) => [generation, payload]),
        [[30, "[29]"]]
      )
    }))

  test("RPL-04 replacing a running key leaves the run alone, and its end does not touch the replacement", ({
    add,
    pass,
    read,
    replace,
    store,
    watch,
    worker
  }) =>
    Effect.gen(function* () {
      const first = yield* worker()
      const second = yield* worker()
      yield* add("k", { payload: "[1]" })
      const old = yield* first.takeOne
      const feed = yield* watch("k")
      assert.strictEqual(yield* replace("k", { payload: "[2]", due: after(1_000) }), "replaced")
      assert.deepStrictEqual(yield* store.depth, { queued: 0, scheduled: 1, running: 0 })
      // Its worker is not asked to interrupt it; only its renewals say that it is overtaken.
      assert.deepStrictEqual(yield* first.renew(old), ["overtaken"])
      yield* pass(1_000)
      const fresh = yield* second.takeOne
      assert.strictEqual(fresh.payload, "[2]")
      assert.strictEqual(fresh.generation, old.generation + 1)
      const record = yield* read("k")
      assert.strictEqual(yield* first.settle(old, completed), "superseded")
      assert.deepStrictEqual(yield* read("k"), record)
      assert.deepStrictEqual(yield* second.renew(fresh), ["held"])
      assert.strictEqual(yield* second.settle(fresh, { _tag: "Completed", result: "2" }), "applied")
      assert.strictEqual((yield* read("k")).result, "2")
      const events = yield* feed.take(5)
      assert.deepStrictEqual(
        events.map(({ generation, state }) => [state, generation]),
        [
          ["scheduled", 2],
          ["queued", 2],
          ["running", 2],
          ["completed", 1],
          ["completed", 2]
        ]
      )
    }))

  test("RPL-04 a replacement that is due at once may run beside the older run", ({ add, replace, store, worker }) =>
    Effect.gen(function* () {
      const { settle, takeOne } = yield* worker()
      yield* add("k")
      const old = yield* takeOne
      assert.strictEqual(yield* replace("k"), "replaced")
      const fresh = yield* takeOne
      assert.notStrictEqual(fresh.lease, old.lease)
      assert.strictEqual(yield* settle(fresh), "applied")
      assert.strictEqual(yield* settle(old), "superseded")
      assert.deepStrictEqual(yield* store.depth, { queued: 0, scheduled: 0, running: 0 })
    }))

  test("RPL-07 a handler that replaces its own key, for now or for later, loses and doubles no link of the chain", ({
    pass,
    replace,
    store,
    worker
  }) =>
    Effect.gen(function* () {
      const { settle, take } = yield* worker()
      yield* replace("chain", { payload: "0" })
      const links: Array<string> = []
      for (let n = 1; n <= 20; n++) {
        const deliveries = yield* take(10)
        assert.strictEqual(deliveries.length, 1)
        links.push(deliveries[0]!.payload)
        const delay = (n % 3) * 500
        assert.strictEqual(yield* replace("chain", { payload: String(n), due: after(delay) }), "replaced")
        assert.strictEqual(yield* settle(deliveries[0]!), "superseded")
        yield* pass(delay)
      }
      assert.deepStrictEqual(
        links,
        Array.from({ length: 20 }, (_, n) => String(n))
      )
      const [last] = yield* take(10)
      assert.strictEqual(yield* settle(last!), "applied")
      assert.deepStrictEqual(yield* store.depth, { queued: 0, scheduled: 0, running: 0 })
    }))

  for (const [state, outcome, announced] of [
    ["completes", completed, "completed"],
    ["fails", failed, "failed"],
    ["is cancelled", cancelled, "cancelled"],
    ["would recur", { _tag: "Completed", result: "1", next: { due: after(0), payload: "[9]" } }, "completed"],
    ["would recur after a failure", { ...failed, next: { due: after(0), payload: "[9]" } }, "failed"]
  ] as const) {
    test(`GEN-03 a superseded run that ${state} announces its end, and leaves the record to its successor`, ({
      add,
      pass,
      read,
      replace,
      store,
      watch,
      worker
    }) =>
      Effect.gen(function* () {
        const { name, settle, takeOne } = yield* worker()
        yield* add("k", { payload: "[1]" })
        const old = yield* takeOne
        yield* replace("k", { payload: "[2]", due: after(1_000) })
        const feed = yield* watch("k")
        const record = yield* read("k")
        yield* pass(500)
        assert.strictEqual(yield* settle(old, outcome), "superseded")
        const event = yield* feed.next
        assert.strictEqual(event.state, announced)
        assert.strictEqual(event.generation, 1)
        assert.strictEqual(event.worker, name)
        assert.strictEqual(event.completed, 1_700_000_000_500)
        assert.strictEqual(event.error, announced === "failed" ? "Boom: it went wrong" : undefined)
        assert.deepStrictEqual(yield* read("k"), record)
        assert.deepStrictEqual(yield* store.depth, { queued: 0, scheduled: 1, running: 0 })
      }))
  }

  for (const [what, outcome, announced] of [
    ["retried", retry(0), ["failed"]],
    ["given back", released, []],
    ["postponed", postponed(0), []]
  ] as const) {
    test(`GEN-03 a superseded run that would be ${what} does not run again`, ({
      add,
      pass,
      read,
      replace,
      watch,
      worker
    }) =>
      Effect.gen(function* () {
        const { settle, take, takeOne } = yield* worker()
        yield* add("k", { payload: "[1]" })
        const old = yield* takeOne
        yield* replace("k", { payload: "[2]", due: after(1_000) })
        const feed = yield* watch("k")
        const record = yield* read("k")
        assert.strictEqual(yield* settle(old, outcome), "superseded")
        assert.deepStrictEqual(yield* read("k"), record)
        assert.deepStrictEqual(yield* take(5), [])
        yield* pass(1_000)
        assert.deepStrictEqual(
          (yield* take(5)).map(({ payload }) => payload),
          ["[2]"]
        )
        // What was given back or postponed has not ended: there is nothing to announce.
        assert.deepStrictEqual(yield* feed.states(announced.length + 1), [...announced, "queued"])
      }))
  }

  test("GEN-03 a superseded run does not bring back a record that has expired", ({
    add,
    isUnknown,
    pass,
    replace,
    store,
    worker
  }) =>
    Effect.gen(function* () {
      const { settle, takeOne } = yield* worker()
      yield* add("k")
      const old = yield* takeOne
      yield* replace("k")
      yield* settle(yield* takeOne)
      yield* pass(ttlMillis)
      assert.isTrue(yield* isUnknown("k"))
      for (const outcome of [completed, failed, cancelled, retry(0), released]) {
        assert.notStrictEqual(yield* settle(old, outcome), "applied")
        assert.isTrue(yield* isUnknown("k"))
      }
      assert.deepStrictEqual(yield* store.depth, { queued: 0, scheduled: 0, running: 0 })
    }))

  test("RPL-04 a replaced run is left alone, also when the record of its replacement is gone", (kit) =>
    Effect.gen(function* () {
      const store = yield* kit.open({ name: "keeps-nothing", executionTtlMillis: 0 })
      const { renew, settle, takeOne } = yield* openWorker(store)
      yield* store.schedule([request("k", { payload: "[1]" })])
      const old = yield* takeOne
      yield* store.schedule([request("k", { payload: "[2]", replace: true })])
      yield* settle(yield* takeOne)
      assert.isTrue(Option.isNone((yield* store.read(["k"]))[0]!))
      assert.deepStrictEqual(yield* renew(old), ["overtaken"])
      // A later schedule of the key is not taken for it.
      yield* store.schedule([request("k", { payload: "[3]" })])
      const fresh = yield* takeOne
      assert.isAbove(fresh.generation, old.generation)
      assert.deepStrictEqual(yield* renew(old, fresh), ["overtaken", "held"])
      assert.strictEqual(yield* settle(old), "superseded")
      assert.strictEqual(yield* settle(fresh), "applied")
    }))

  test("RPL-04 a run that was replaced before its claim was answered is not handed out when the claim is sent again", ({
    add,
    replace,
    worker
  }) =>
    Effect.gen(function* () {
      const { exchange, renew, settle } = yield* worker()
      yield* add("k", { payload: "[1]" })
      const lease = freshLease()
      const [unheard] = (yield* exchange({ lease, take: 1 })).deliveries
      yield* replace("k", { payload: "[2]" })
      const { deliveries } = yield* exchange({ lease, take: 1, resent: true })
      assert.deepStrictEqual(
        deliveries.map(({ payload }) => payload),
        ["[2]"]
      )
      assert.deepStrictEqual(yield* renew(unheard!), ["lost"])
      assert.strictEqual(yield* settle(deliveries[0]!), "applied")
    }))

  test("GEN-03 the lease of a superseded run is not reclaimed, nor does its end free its successor's", (kit) =>
    Effect.gen(function* () {
      const { takeOne } = yield* kit.worker()
      yield* kit.add("k", { payload: "[1]" })
      yield* takeOne
      yield* kit.replace("k", { payload: "[2]", due: after(leaseMillis * 2) })
      const { heir, reclaimed } = yield* takeOver(kit)
      assert.strictEqual(reclaimed, 0)
      assert.strictEqual((yield* kit.read("k")).state, "scheduled")
      assert.deepStrictEqual(yield* heir.take(5), [])
    }))

  test("GEN-05 when an old and a new run of a recurring key end, only the newest decides the next run", ({
    add,
    read,
    replace,
    store,
    worker
  }) =>
    Effect.gen(function* () {
      const { settle, takeOne } = yield* worker()
      yield* add("k", { payload: "[1]" })
      const old = yield* takeOne
      yield* replace("k", { payload: "[2]" })
      const fresh = yield* takeOne
      const next = (payload: string, millis: number) =>
        ({ _tag: "Completed", result: undefined, next: { due: after(millis), payload } }) as const
      assert.strictEqual(yield* settle(fresh, next("[4]", 2_000)), "applied")
      assert.strictEqual(yield* settle(old, next("[3]", 1_000)), "superseded")
      assert.deepStrictEqual(yield* store.depth, { queued: 0, scheduled: 1, running: 0 })
      const { due, generation, payload } = yield* read("k")
      assert.deepStrictEqual({ due, generation, payload }, { due: 1_700_000_002_000, generation: 3, payload: "[4]" })
    }))

  for (const [state, prepare] of Object.entries(live)) {
    test(`GEN-01 replacing a key that is ${state} raises its generation`, (kit) =>
      Effect.gen(function* () {
        yield* prepare(kit)
        const { generation } = yield* kit.read("k")
        yield* kit.replace("k", { due: after(10_000) })
        assert.strictEqual((yield* kit.read("k")).generation, generation + 1)
        yield* kit.replace("k")
        assert.strictEqual((yield* kit.read("k")).generation, generation + 2)
      }))
  }
}
