/** Cancelling: CAN, for each place where an execution can be. */
import { assert } from "@effect/vitest"
import { Effect, Queue } from "effect"
import {
  after,
  cancelled,
  completed,
  failed,
  freshLease,
  keysOf,
  live,
  openWorker,
  postponed,
  released,
  request,
  retry,
  takeAll,
  takeCancellation,
  takeOver,
  type Test,
  ttlMillis,
  waiting
} from "./kit.ts"

export const cancelling = (test: Test) => {
  for (const [state, prepare] of Object.entries(waiting)) {
    test(`CAN-01 CAN-02 CAN-07 a key that is ${state} never runs once it is cancelled`, (kit) =>
      Effect.gen(function* () {
        yield* prepare(kit)
        const before = yield* kit.read("k")
        const feed = yield* kit.watch("k")
        yield* kit.pass(10)
        yield* kit.store.cancel(["k"])
        const event = yield* feed.next
        assert.strictEqual(event.state, "cancelled")
        assert.strictEqual(event.generation, before.generation)
        assert.isDefined(event.completed)
        assert.strictEqual(event.error, undefined)
        const record = yield* kit.read("k")
        assert.strictEqual(record.state, "cancelled")
        assert.strictEqual(record.payload, "[1]")
        assert.strictEqual(record.completed, event.completed)
        assert.strictEqual(record.generation, before.generation)
        assert.deepStrictEqual(yield* kit.store.depth, { queued: 0, scheduled: 0, running: 0 })
        yield* kit.pass(120_000)
        assert.deepStrictEqual(yield* takeAll(yield* kit.worker({ tasks: "any" })), [])
        assert.strictEqual((yield* kit.read("k")).state, "cancelled")
      }))

    test(`CAN-08 a key that is ${state} can be scheduled anew as soon as it is cancelled`, (kit) =>
      Effect.gen(function* () {
        yield* prepare(kit)
        const { generation } = yield* kit.read("k")
        yield* kit.store.cancel(["k"])
        const feed = yield* kit.watch("k")
        assert.strictEqual(yield* kit.add("k", { payload: "[2]" }), "scheduled")
        const all = yield* takeAll(yield* kit.worker())
        assert.deepStrictEqual(
          all.map(({ attempt, deliveries, generation, payload }) => ({ attempt, deliveries, generation, payload })),
          [{ attempt: 1, deliveries: 1, generation: generation + 1, payload: "[2]" }]
        )
        assert.deepStrictEqual(yield* feed.states(2), ["queued", "running"])
      }))
  }

  test("CAN-02 an execution that has just become due, and was not looked at since, can still be cancelled", ({
    add,
    pass,
    store,
    worker
  }) =>
    Effect.gen(function* () {
      yield* add("k", { due: after(1_000) })
      yield* pass(2_000)
      yield* store.cancel(["k"])
      assert.deepStrictEqual(yield* (yield* worker()).take(5), [])
    }))

  test("CAN-01 a cancelled record goes when its time to live ends", ({ add, isUnknown, pass, store }) =>
    Effect.gen(function* () {
      yield* add("k", { due: after(10_000_000) })
      yield* store.cancel(["k"])
      yield* pass(ttlMillis - 5_000)
      assert.isFalse(yield* isUnknown("k"))
      yield* pass(5_000)
      assert.isTrue(yield* isUnknown("k"))
    }))

  test("CAN-01 cancelling some of many leaves the others, in their order", ({ store, worker, add }) =>
    Effect.gen(function* () {
      yield* Effect.forEach(["a", "b", "c", "d", "e"], (key) => add(key))
      yield* store.cancel(["d", "a", "unknown"])
      const all = yield* takeAll(yield* worker())
      assert.deepStrictEqual(
        all.map(({ key }) => key),
        ["b", "c", "e"]
      )
    }))

  test("CAN-03 cancelling a running execution asks the worker that runs it, and no other, to interrupt it", ({
    add,
    read,
    store,
    watch,
    worker
  }) =>
    Effect.gen(function* () {
      const first = yield* worker()
      const second = yield* worker()
      yield* add("k")
      const delivery = yield* first.takeOne
      yield* add("other")
      yield* second.takeOne
      const feed = yield* watch("k")
      yield* store.cancel(["k"])
      yield* store.cancel(["other"])
      assert.deepStrictEqual(yield* takeCancellation(first.session), { key: "k", generation: 1 })
      // The first that the other worker hears of is its own.
      assert.deepStrictEqual(yield* takeCancellation(second.session), { key: "other", generation: 1 })
      assert.strictEqual((yield* read("k")).state, "running")
      assert.deepStrictEqual(yield* first.renew(delivery), ["cancelled"])
      assert.strictEqual(yield* first.settle(delivery, cancelled), "applied")
      // The first event after the cancel is that of the end.
      const event = yield* feed.next
      assert.strictEqual(event.state, "cancelled")
      assert.strictEqual(event.generation, 1)
      assert.isDefined(event.completed)
      const record = yield* read("k")
      assert.strictEqual(record.state, "cancelled")
      assert.strictEqual(record.completed, event.completed)
      assert.strictEqual(record.worker, first.name)
    }))

  test("CAN-03 a cancel from another process reaches the worker", ({ add, reopen, worker }) =>
    Effect.gen(function* () {
      const { session, takeOne } = yield* worker()
      const elsewhere = yield* reopen
      yield* add("k")
      yield* takeOne
      yield* elsewhere.cancel(["k"])
      assert.deepStrictEqual(yield* takeCancellation(session), { key: "k", generation: 1 })
    }))

  test("CAN-03 cancelling several running executions at once asks for each", ({ add, store, worker }) =>
    Effect.gen(function* () {
      const { session, take } = yield* worker()
      yield* Effect.forEach(["a", "b", "c"], (key) => add(key))
      yield* take(3)
      yield* store.cancel(["c", "a"])
      const asked = [yield* takeCancellation(session), yield* takeCancellation(session)]
      assert.deepStrictEqual(asked.map(({ key }) => key).toSorted(), ["a", "c"])
    }))

  test("CAN-03 the request names the generation that runs", ({ add, store, worker }) =>
    Effect.gen(function* () {
      const { session, settle, takeOne } = yield* worker()
      yield* add("k")
      yield* settle(yield* takeOne, retry(0))
      assert.strictEqual((yield* takeOne).generation, 2)
      yield* store.cancel(["k"])
      assert.deepStrictEqual(yield* takeCancellation(session), { key: "k", generation: 2 })
    }))

  for (const [outcome, state] of [
    [completed, "completed"],
    [failed, "failed"]
  ] as const) {
    test(`CAN-04 a run that was cancelled and nevertheless ends by itself is ${state}`, ({
      add,
      read,
      store,
      watch,
      worker
    }) =>
      Effect.gen(function* () {
        const { settle, takeOne } = yield* worker()
        yield* add("k")
        const delivery = yield* takeOne
        const feed = yield* watch("k")
        yield* store.cancel(["k"])
        assert.strictEqual(yield* settle(delivery, outcome), "applied")
        assert.deepStrictEqual(yield* feed.states(1), [state])
        const record = yield* read("k")
        assert.strictEqual(record.state, state)
        assert.strictEqual(record.result, state === "completed" ? '"done"' : undefined)
        assert.strictEqual(record.error, state === "failed" ? "Boom: it went wrong" : undefined)
      }))
  }

  for (const [what, outcome] of [
    ["retried at once", retry(0)],
    ["retried later", retry(1_000)],
    ["given back", released],
    ["postponed", postponed(1_000)]
  ] as const) {
    test(`CAN-05 a cancelled run is not ${what}`, ({ add, pass, read, store, watch, worker }) =>
      Effect.gen(function* () {
        const { settle, take, takeOne } = yield* worker()
        yield* add("k")
        const delivery = yield* takeOne
        const feed = yield* watch("k")
        yield* store.cancel(["k"])
        assert.strictEqual(yield* settle(delivery, outcome), "applied")
        assert.deepStrictEqual(yield* feed.states(1), ["cancelled"])
        const record = yield* read("k")
        assert.strictEqual(record.state, "cancelled")
        assert.isDefined(record.completed)
        yield* pass(10_000)
        assert.deepStrictEqual(yield* take(5), [])
        assert.deepStrictEqual(yield* store.depth, { queued: 0, scheduled: 0, running: 0 })
      }))
  }

  for (const end of [completed, failed] as const) {
    test(`CAN-05 PER-09 a cancelled run that ${end._tag === "Failed" ? "failed" : "completed"} does not recur`, ({
      add,
      pass,
      read,
      store,
      worker
    }) =>
      Effect.gen(function* () {
        const { settle, take, takeOne } = yield* worker()
        yield* add("k")
        const delivery = yield* takeOne
        yield* store.cancel(["k"])
        assert.strictEqual(yield* settle(delivery, { ...end, next: { due: after(1_000) } }), "applied")
        assert.strictEqual((yield* read("k")).state, end._tag === "Failed" ? "failed" : "completed")
        yield* pass(10_000)
        assert.deepStrictEqual(yield* take(5), [])
        assert.deepStrictEqual(yield* store.depth, { queued: 0, scheduled: 0, running: 0 })
      }))
  }

  test("CAN-05 a cancelled run whose worker died is cancelled, and not run again", (kit) =>
    Effect.gen(function* () {
      const { takeOne } = yield* kit.worker()
      yield* kit.add("k")
      yield* takeOne
      const feed = yield* kit.watch("k")
      yield* kit.store.cancel(["k"])
      const { heir, reclaimed } = yield* takeOver(kit)
      assert.strictEqual(reclaimed, 0)
      assert.deepStrictEqual(yield* feed.states(1), ["cancelled"])
      const record = yield* kit.read("k")
      assert.strictEqual(record.state, "cancelled")
      assert.isDefined(record.completed)
      assert.deepStrictEqual(yield* heir.take(5), [])
      assert.deepStrictEqual(yield* kit.store.depth, { queued: 0, scheduled: 0, running: 0 })
    }))

  for (const [state, outcome] of [
    ["completed", completed],
    ["failed", failed],
    ["cancelled", cancelled]
  ] as const) {
    test(`CAN-06 cancelling an execution that is ${state} leaves it so`, ({ add, pass, read, store, watch, worker }) =>
      Effect.gen(function* () {
        const { settle, takeOne } = yield* worker()
        yield* add("k")
        yield* settle(yield* takeOne, outcome)
        const record = yield* read("k")
        assert.strictEqual(record.state, state)
        const feed = yield* watch("k")
        yield* pass(1_000)
        yield* store.cancel(["k", "k"])
        assert.deepStrictEqual(yield* read("k"), record)
        // The next event is that of the next add: the cancels published none.
        yield* add("k")
        assert.strictEqual((yield* feed.next).state, "queued")
      }))
  }

  test("CAN-06 a second cancel keeps the time of the first, and publishes nothing", ({
    add,
    pass,
    read,
    store,
    watch
  }) =>
    Effect.gen(function* () {
      yield* add("k", { due: after(60_000) })
      yield* store.cancel(["k"])
      const record = yield* read("k")
      assert.strictEqual(record.completed, 1_700_000_000_000)
      const feed = yield* watch("k")
      yield* pass(1_000)
      yield* store.cancel(["k"])
      assert.deepStrictEqual(yield* read("k"), record)
      yield* add("k")
      assert.strictEqual((yield* feed.next).state, "queued")
    }))

  test("CAN-06 a second cancel does not make the record live longer", ({ add, isUnknown, pass, store }) =>
    Effect.gen(function* () {
      yield* add("k", { due: after(60_000) })
      yield* store.cancel(["k"])
      yield* pass(ttlMillis / 2)
      yield* store.cancel(["k"])
      yield* pass(ttlMillis / 2)
      assert.isTrue(yield* isUnknown("k"))
    }))

  test("CAN-06 a second cancel of a running execution asks its worker no second time", ({ add, store, worker }) =>
    Effect.gen(function* () {
      const { session, take } = yield* worker()
      yield* add("k")
      yield* add("other")
      yield* take(2)
      yield* store.cancel(["k"])
      yield* store.cancel(["k"])
      yield* store.cancel(["other"])
      assert.strictEqual((yield* takeCancellation(session)).key, "k")
      assert.strictEqual((yield* takeCancellation(session)).key, "other")
    }))

  test("CAN-06 cancelling an unknown key does nothing, and leaves no record", ({ isUnknown, store }) =>
    Effect.gen(function* () {
      yield* store.cancel(["unknown"])
      assert.isTrue(yield* isUnknown("unknown"))
    }))

  test("CAN-07 each cancel that changes something publishes one event, in a batch too", ({ add, store, watch }) =>
    Effect.gen(function* () {
      yield* add("due")
      yield* add("later", { due: after(1_000) })
      const due = yield* watch("due")
      const later = yield* watch("later")
      yield* store.cancel(["later", "due", "later", "due"])
      yield* add("due")
      yield* add("later")
      assert.deepStrictEqual(yield* due.states(2), ["cancelled", "queued"])
      assert.deepStrictEqual(yield* later.states(2), ["cancelled", "queued"])
    }))

  for (const replace of [false, true]) {
    test(`CAN-08 a running key that is cancelled can be ${replace ? "replaced" : "added"} at once, and the new schedule runs`, ({
      add,
      read,
      replace: replaceKey,
      store,
      watch,
      worker
    }) =>
      Effect.gen(function* () {
        const { renew, session, settle, take, takeOne } = yield* worker()
        yield* add("k", { payload: "[1]" })
        const old = yield* takeOne
        yield* store.cancel(["k"])
        assert.deepStrictEqual(yield* takeCancellation(session), { key: "k", generation: 1 })
        const feed = yield* watch("k")
        assert.strictEqual(yield* (replace ? replaceKey : add)("k", { payload: "[2]" }), "scheduled")
        assert.strictEqual(yield* add("k", { payload: "[3]" }), "already-scheduled")
        assert.deepStrictEqual(yield* store.depth, { queued: 1, scheduled: 0, running: 0 })
        const fresh = yield* takeOne
        assert.strictEqual(fresh.payload, "[2]")
        assert.strictEqual(fresh.generation, 2)
        // CAN-12: though the message was about the old run, and may be lost.
        assert.deepStrictEqual(yield* renew(old, fresh), ["cancelled", "held"])
        assert.strictEqual(yield* settle(old, cancelled), "superseded")
        assert.strictEqual((yield* read("k")).state, "running")
        assert.strictEqual(yield* settle(fresh), "applied")
        assert.strictEqual((yield* read("k")).state, "completed")
        assert.deepStrictEqual(
          (yield* feed.take(4)).map(({ generation, state }) => [state, generation]),
          [
            ["queued", 2],
            ["running", 2],
            ["cancelled", 1],
            ["completed", 2]
          ]
        )
        assert.deepStrictEqual(yield* take(5), [])
      }))
  }

  test("CAN-09 a worker that has just opened its session hears of a cancel of the first thing that it takes", ({
    add,
    store,
    worker
  }) =>
    Effect.gen(function* () {
      yield* add("k")
      const { session, takeOne } = yield* worker()
      yield* takeOne
      yield* store.cancel(["k"])
      assert.deepStrictEqual(yield* takeCancellation(session), { key: "k", generation: 1 })
    }))

  test("CAN-12 a cancel names the hold that it is about, also when the generation comes again", (kit) =>
    Effect.gen(function* () {
      const store = yield* kit.open({ name: "keeps-nothing", executionTtlMillis: 0 })
      const { session, settle, takeOne } = yield* openWorker(store)
      yield* store.schedule([request("k")])
      const old = yield* takeOne
      yield* store.cancel(["k"])
      yield* settle(old, cancelled)
      yield* store.schedule([request("k")])
      const fresh = yield* takeOne
      assert.strictEqual(fresh.generation, old.generation)
      const { generation, key, lease } = old
      assert.deepStrictEqual(yield* Queue.take(session.cancellations), { key, generation, lease })
      assert.notStrictEqual(fresh.lease, lease)
      yield* settle(fresh)
    }))

  test("CAN-12 a cancel reaches both of two workers that were given one name", ({ add, store, worker }) =>
    Effect.gen(function* () {
      const one = yield* worker({ name: "twin" })
      const other = yield* worker({ name: "twin" })
      yield* add("k")
      const { generation, key, lease } = yield* one.takeOne
      yield* store.cancel(["k"])
      for (const { session } of [one, other]) {
        assert.deepStrictEqual(yield* Queue.take(session.cancellations), { key, generation, lease })
      }
    }))

  test("CAN-11 what was cancelled before its claim was answered is not handed out when the claim is sent again", ({
    add,
    read,
    store,
    watch,
    worker
  }) =>
    Effect.gen(function* () {
      const { exchange, session, settle, take } = yield* worker()
      yield* add("k")
      yield* add("other")
      const lease = freshLease()
      yield* exchange({ lease, take: 2 })
      const feed = yield* watch("k")
      yield* store.cancel(["k"])
      const { deliveries } = yield* exchange({ lease, take: 2, resent: true })
      assert.deepStrictEqual(keysOf(deliveries), ["other"])
      assert.strictEqual((yield* read("k")).state, "cancelled")
      assert.deepStrictEqual(yield* feed.states(1), ["cancelled"])
      yield* settle(deliveries[0]!)
      assert.deepStrictEqual(yield* store.depth, { queued: 0, scheduled: 0, running: 0 })
      assert.deepStrictEqual(yield* take(5), [])
      assert.deepStrictEqual(yield* session.renew([]), [])
    }))

  test("CAN-10 a run that says that it was cancelled is cancelled, without anyone having asked", ({
    add,
    read,
    worker
  }) =>
    Effect.gen(function* () {
      const { settle, take, takeOne } = yield* worker()
      yield* add("k")
      assert.strictEqual(yield* settle(yield* takeOne, cancelled), "applied")
      assert.strictEqual((yield* read("k")).state, "cancelled")
      assert.deepStrictEqual(yield* take(5), [])
    }))

  test("a session that is closed ends its feed of cancellations", ({ worker }) =>
    Effect.gen(function* () {
      const { session } = yield* Effect.scoped(worker())
      assert.strictEqual(session.cancellations.state._tag, "Done")
      assert.strictEqual(yield* Queue.size(session.cancellations), 0)
    }))

  for (const [state, prepare] of Object.entries(live)) {
    test(`CAN-08 of a key that is ${state}, a cancel and an add at the same moment leave one schedule or none`, (kit) =>
      Effect.gen(function* () {
        yield* prepare(kit)
        const [, disposition] = yield* Effect.all([kit.store.cancel(["k"]), kit.add("k", { payload: "[2]" })], {
          concurrency: "unbounded"
        })
        const added = disposition === "scheduled"
        const all = yield* takeAll(yield* kit.worker())
        assert.deepStrictEqual(
          all.map(({ payload }) => payload),
          added ? ["[2]"] : []
        )
      }))
  }
}
