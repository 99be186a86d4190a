/** Leases and redelivery (RED, UNK-06), and calls whose reply was lost. */
import { assert } from "@effect/vitest"
import { Effect } from "effect"
import type { Outcome } from "../../../src/DocketStore.ts"
import { Strike } from "../../../src/Strike.ts"
import {
  after,
  cancelled,
  completed,
  determined,
  failed,
  freshLease,
  keysOf,
  leaseMillis,
  openWorker,
  postponed,
  released,
  request,
  retry,
  settlement,
  type Kit,
  takeOver,
  type Test
} from "./kit.ts"

/** Of another task. */
const elsewhere = new Strike({ task: "other", operator: "==", value: null, hold: false })

export const leases = (test: Test) => {
  test("RED-01 RED-06 what a dead worker held is run by another once its leases expire: same attempt, one delivery more", (kit) =>
    Effect.gen(function* () {
      const dead = yield* kit.worker()
      yield* kit.add("k", { payload: "[1]", trace: "00-t" })
      yield* dead.settle(yield* dead.takeOne, retry(0))
      const first = yield* dead.takeOne
      const feed = yield* kit.watch("k")
      const heir = yield* kit.worker()
      yield* kit.pass(leaseMillis - 1)
      assert.strictEqual((yield* heir.session.heartbeat).reclaimed, 0)
      assert.deepStrictEqual(yield* heir.take(5), [])
      yield* kit.pass(1)
      const beat = yield* heir.session.heartbeat
      assert.strictEqual(beat.reclaimed, 1)
      assert.isTrue(beat.work)
      assert.strictEqual((yield* kit.read("k")).state, "queued")
      const again = yield* heir.takeOne
      assert.deepStrictEqual(
        [again.key, again.payload, again.trace, again.generation, again.attempt, again.deliveries],
        ["k", "[1]", "00-t", first.generation, 2, 2]
      )
      assert.notStrictEqual(again.lease, first.lease)
      const events = yield* feed.take(2)
      assert.deepStrictEqual(
        events.map(({ generation, state, worker }) => [state, generation, worker]),
        [
          ["queued", 2, undefined],
          ["running", 2, heir.name]
        ]
      )
      // The dead worker was only slow: it can do nothing to the run that took over.
      const record = yield* kit.read("k")
      assert.strictEqual(record.worker, heir.name)
      assert.deepStrictEqual(yield* dead.renew(first), ["lost"])
      assert.strictEqual(yield* dead.settle(first, completed), "lost")
      assert.strictEqual(yield* dead.settle(first, retry(0)), "lost")
      assert.deepStrictEqual(yield* kit.read("k"), record)
      assert.strictEqual(yield* heir.settle(again), "applied")
      assert.deepStrictEqual(yield* feed.states(1), ["completed"])
    }))

  test("RED-01 an end that arrives after the lease was taken back, and before another run began, is refused", (kit) =>
    Effect.gen(function* () {
      const slow = yield* kit.worker()
      yield* kit.add("k")
      const delivery = yield* slow.takeOne
      const { heir, reclaimed } = yield* takeOver(kit)
      assert.strictEqual(reclaimed, 1)
      assert.strictEqual(yield* slow.settle(delivery), "lost")
      assert.deepStrictEqual(yield* slow.renew(delivery), ["lost"])
      assert.strictEqual((yield* kit.read("k")).state, "queued")
      assert.strictEqual((yield* heir.takeOne).deliveries, 2)
    }))

  const outcomes: ReadonlyArray<Outcome> = [
    completed,
    failed,
    retry(0),
    cancelled,
    released,
    postponed(60_000),
    { ...completed, next: { due: after(0), payload: "[2]" } },
    { ...failed, next: { due: after(60_000) } }
  ]
  for (const [what, isTaken] of [
    ["while it waits for another", false],
    ["while another has it", true]
  ] as const) {
    test(`RED-01 STA-05 CHS-01 nothing that a worker writes after it lost its lease is accepted ${what}`, (kit) =>
      Effect.gen(function* () {
        const slow = yield* kit.worker()
        yield* kit.add("k", { payload: "[1]" })
        const delivery = yield* slow.takeOne
        const { heir } = yield* takeOver(kit)
        const again = isTaken ? yield* heir.takeOne : undefined
        const before = yield* kit.read("k")
        for (const outcome of outcomes) {
          assert.strictEqual(yield* slow.settle(delivery, outcome), "lost", outcome._tag)
          assert.deepStrictEqual(yield* slow.renew(delivery), ["lost"], outcome._tag)
          yield* slow.session.progress([
            { key: "k", generation: delivery.generation, lease: delivery.lease, current: 1, total: 2, message: "late" }
          ])
          assert.deepStrictEqual(yield* kit.read("k"), before, outcome._tag)
        }
        assert.deepStrictEqual(yield* kit.store.attempts("k"), [])
        const held = again ?? (yield* heir.takeOne)
        assert.deepStrictEqual([held.payload, held.deliveries, held.attempt], ["[1]", 2, 1])
        assert.strictEqual(yield* heir.settle(held), "applied")
      }))
  }

  test("RED-02 RED-03 a lease that is renewed is not taken over, however long the run, whoever joins", (kit) =>
    Effect.gen(function* () {
      const { renew, settle, takeOne } = yield* kit.worker()
      yield* kit.add("k")
      const delivery = yield* takeOne
      for (let n = 0; n < 12; n++) {
        yield* kit.pass(leaseMillis / 4)
        assert.deepStrictEqual(yield* renew(delivery), ["held"])
        const joining = yield* kit.worker()
        assert.strictEqual((yield* joining.session.heartbeat).reclaimed, 0)
        assert.deepStrictEqual(yield* joining.take(5), [])
      }
      assert.strictEqual(yield* settle(delivery), "applied")
    }))

  test("RED-02 a renewal lasts for a whole lease time from when it was made", (kit) =>
    Effect.gen(function* () {
      const { renew, takeOne } = yield* kit.worker()
      const other = yield* kit.worker()
      yield* kit.add("k")
      const delivery = yield* takeOne
      yield* kit.pass(leaseMillis / 2)
      yield* renew(delivery)
      yield* kit.pass(leaseMillis - 1)
      assert.strictEqual((yield* other.session.heartbeat).reclaimed, 0)
      yield* kit.pass(1)
      assert.strictEqual((yield* other.session.heartbeat).reclaimed, 1)
    }))

  test("RED-02 a renewal tells of each lease what became of it", ({ add, replace, store, worker }) =>
    Effect.gen(function* () {
      const { renew, session, settle, take } = yield* worker()
      const keys = ["held", "cancelled", "overtaken", "settled", "retried"]
      yield* Effect.forEach(keys, (key) => add(key))
      const [held, cancelled, overtaken, settled, retried] = yield* take(5)
      yield* store.cancel(["cancelled"])
      yield* replace("overtaken")
      yield* settle(settled!)
      yield* settle(retried!, retry(0))
      const statuses = yield* renew(
        held!,
        cancelled!,
        overtaken!,
        settled!,
        retried!,
        { ...held!, lease: "another" },
        { ...held!, generation: 9 },
        { ...held!, key: "unknown" }
      )
      assert.deepStrictEqual(statuses, ["held", "cancelled", "overtaken", "lost", "lost", "lost", "lost", "lost"])
      assert.deepStrictEqual(yield* session.renew([]), [])
    }))

  test("RED-02 a cancelled run that is still being interrupted keeps its lease", (kit) =>
    Effect.gen(function* () {
      const { renew, settle, takeOne } = yield* kit.worker()
      const other = yield* kit.worker()
      yield* kit.add("k")
      const delivery = yield* takeOne
      yield* kit.store.cancel(["k"])
      for (let n = 0; n < 8; n++) {
        yield* kit.pass(leaseMillis / 4)
        assert.deepStrictEqual(yield* renew(delivery), ["cancelled"])
        yield* other.session.heartbeat
      }
      assert.strictEqual(yield* settle(delivery, completed), "applied")
      assert.strictEqual((yield* kit.read("k")).state, "completed")
    }))

  test("RED-01 each worker's leases live as long as that worker said", ({ add, pass, worker }) =>
    Effect.gen(function* () {
      const short = yield* worker({ leaseMillis: 1_000 })
      const long = yield* worker({ leaseMillis: 60_000 })
      yield* add("long")
      yield* long.takeOne
      yield* add("short")
      yield* short.takeOne
      yield* pass(1_000)
      assert.strictEqual((yield* long.session.heartbeat).reclaimed, 1)
      assert.deepStrictEqual(keysOf(yield* long.take(5)), ["short"])
      yield* pass(59_000)
      assert.strictEqual((yield* short.session.heartbeat).reclaimed, 1)
      assert.deepStrictEqual(keysOf(yield* short.take(5)), ["long"])
    }))

  test("RED-01 everything that a dead worker held is taken over, and once, whoever looks", (kit) =>
    Effect.gen(function* () {
      const keys = Array.from({ length: 300 }, (_, index) => `k${index}`)
      yield* kit.store.schedule(keys.map((key) => request(key)))
      const { take } = yield* kit.worker()
      let held = 0
      while (held < keys.length) held += (yield* take(50)).length
      yield* kit.pass(leaseMillis)
      const heirs = [yield* kit.worker(), yield* kit.worker()]
      let reclaimed = 0
      for (let calls = 0; calls < 20 && reclaimed < keys.length; calls++) {
        const beats = yield* Effect.forEach(heirs, ({ session }) => session.heartbeat, { concurrency: "unbounded" })
        for (const beat of beats) reclaimed += beat.reclaimed
      }
      assert.strictEqual(reclaimed, keys.length)
      assert.deepStrictEqual(yield* kit.store.depth, { queued: 300, scheduled: 0, running: 0 })
    }))

  test("RED-01 a worker that leaves keeps its leases until they are settled or expire", (kit) =>
    Effect.gen(function* () {
      const leaving = yield* Effect.scoped(
        Effect.gen(function* () {
          const { session, take } = yield* kit.worker()
          yield* session.heartbeat
          yield* kit.add("k")
          const deliveries = yield* take(1)
          yield* session.leave
          return deliveries
        })
      )
      assert.strictEqual(leaving.length, 1)
      assert.deepStrictEqual(yield* kit.store.depth, { queued: 0, scheduled: 0, running: 1 })
      const { heir, reclaimed } = yield* takeOver(kit)
      assert.strictEqual(reclaimed, 1)
      assert.deepStrictEqual(keysOf(yield* heir.take(5)), ["k"])
    }))

  test("UNK-06 an execution that was delivered too often without being settled is failed instead of run again", (kit) =>
    Effect.gen(function* () {
      yield* kit.add("poison")
      const feed = yield* kit.watch("poison")
      for (let delivery = 1; delivery <= 3; delivery++) {
        const victim = yield* kit.worker({ maxDeliveries: 3 })
        const { deliveries, exhausted } = yield* victim.exchange({ take: 5 })
        assert.deepStrictEqual(exhausted, [])
        assert.deepStrictEqual(
          deliveries.map(({ attempt, deliveries }) => [attempt, deliveries]),
          [[1, delivery]]
        )
        yield* kit.pass(leaseMillis)
        assert.strictEqual((yield* victim.session.heartbeat).reclaimed, 1)
      }
      yield* kit.add("healthy")
      const { exchange } = yield* kit.worker({ maxDeliveries: 3 })
      // It takes no slot of the call either.
      const { deliveries, exhausted } = yield* exchange({ take: 1 })
      assert.deepStrictEqual(keysOf(deliveries), ["healthy"])
      assert.deepStrictEqual(exhausted, [{ key: "poison", task: "send", deliveries: 3 }])
      const record = yield* kit.read("poison")
      assert.strictEqual(record.state, "failed")
      assert.match(record.error ?? "", /^DeliveriesExhausted: ./)
      assert.strictEqual(record.completed, 1_700_000_000_000 + 3 * leaseMillis)
      const states = yield* feed.states(6)
      assert.deepStrictEqual(states, ["running", "queued", "running", "queued", "running", "queued"])
      const end = yield* feed.next
      assert.strictEqual(end.state, "failed")
      assert.match(end.error ?? "", /^DeliveriesExhausted: ./)
      // Its key is free.
      assert.strictEqual(yield* kit.add("poison"), "scheduled")
    }))

  /** Executions that are one delivery away from being given up, and have to be delivered again. */
  const addSuspects = Effect.fnUntraced(function* (kit: Kit, ...keys: ReadonlyArray<string>) {
    yield* kit.store.schedule(keys.map((key) => request(key)))
    const dead = yield* kit.worker({ maxDeliveries: 2 })
    assert.deepStrictEqual(keysOf(yield* dead.take(keys.length)), [...keys])
    yield* kit.pass(leaseMillis)
    assert.strictEqual((yield* dead.session.heartbeat).reclaimed, keys.length)
  })

  test("UNK-06 a worker runs one at a time of those whose workers died again and again, beside all others", (kit) =>
    Effect.gen(function* () {
      yield* addSuspects(kit, "a", "b", "c")
      yield* kit.add("other")
      const first = yield* kit.worker({ maxDeliveries: 2 })
      const second = yield* kit.worker({ maxDeliveries: 2 })
      const [a, ...others] = yield* first.take(10)
      assert.strictEqual(a?.key, "a")
      assert.deepStrictEqual(keysOf(others), ["other"])
      assert.strictEqual((yield* kit.read("b")).state, "scheduled")
      yield* kit.pass(1000)
      assert.deepStrictEqual(yield* first.take(10), [])
      yield* kit.pass(1000)
      // Another worker is another process.
      assert.deepStrictEqual(keysOf(yield* second.take(10)), ["b"])
      yield* first.settle(a!)
      yield* kit.pass(1000)
      assert.deepStrictEqual(keysOf(yield* first.take(10)), ["c"])
    }))

  test("UNK-06 those that ran beside several that hang are not given up with them, with few deliveries and few workers", (kit) =>
    Effect.gen(function* () {
      const poison = ["p", "q", "r"]
      const innocent = ["a", "b", "c", "d", "e"]
      yield* kit.store.schedule(["p", "a", "b", "q", "c", "d", "r", "e"].map((key) => request(key)))
      const completedKeys: Array<string> = []
      const givenUp: Array<string> = []
      for (let round = 0; round < 30 && completedKeys.length + givenUp.length < 8; round++) {
        // As when all others hang: what is due piles up, and a new worker meets all of it.
        const worker = yield* kit.worker({ maxDeliveries: 4 })
        const { deliveries, exhausted } = yield* worker.exchange({ take: 10 })
        givenUp.push(...exhausted.map(({ key }) => key))
        if (!deliveries.some(({ key }) => poison.includes(key))) {
          for (const delivery of deliveries) yield* worker.settle(delivery)
          completedKeys.push(...keysOf(deliveries))
        }
        yield* kit.pass(leaseMillis)
        yield* worker.session.heartbeat
      }
      assert.sameMembers(givenUp, poison)
      assert.sameMembers(completedKeys, innocent)
    }))

  test("UNK-06 a suspect that goes on for longer than its first lease keeps no other from running", (kit) =>
    Effect.gen(function* () {
      yield* addSuspects(kit, "long", "next")
      const { renew, take } = yield* kit.worker({ maxDeliveries: 2 })
      const [long] = yield* take(10)
      assert.strictEqual(long?.key, "long")
      yield* kit.pass(leaseMillis - 1000)
      assert.deepStrictEqual(yield* renew(long!), ["held"])
      assert.deepStrictEqual(yield* take(10), [])
      yield* kit.pass(1000)
      assert.deepStrictEqual(keysOf(yield* take(10)), ["next"])
    }))

  test("UNK-06 an execution whose workers die while they judge it is given up as well, and alone", (kit) =>
    Effect.gen(function* () {
      const { version } = yield* kit.store.strike(elsewhere)
      const options = { maxDeliveries: 4 }
      const keys = ["a", "poison", "b"]
      yield* kit.store.scheduleKnowing(
        keys.map((key) => request(key, { judged: false })),
        version
      )
      const ended: Array<string> = []
      for (let round = 0; round < 30 && ended.length < keys.length; round++) {
        const { exchange, session } = yield* kit.worker(options)
        const { deliveries, exhausted, undetermined } = yield* exchange({ take: 10, strikes: version })
        ended.push(...exhausted.map(({ key }) => key))
        assert.deepStrictEqual(deliveries, [])
        if (keysOf(undetermined).includes("poison")) {
          // It takes down its process, before anything is told.
          yield* kit.pass(leaseMillis)
          yield* session.heartbeat
          continue
        }
        const finished = undetermined.map((delivery) => settlement(delivery, determined([], version)))
        for (const delivery of (yield* exchange({ finished, take: 10, strikes: version })).deliveries) {
          yield* exchange({ finished: [settlement(delivery)], strikes: version })
          ended.push(delivery.key)
        }
        yield* kit.pass(1000)
      }
      assert.sameMembers(ended, keys)
      assert.match((yield* kit.read("poison")).error ?? "", /^DeliveriesExhausted: delivered 4 times/)
      assert.strictEqual((yield* kit.read("a")).state, "completed")
      assert.strictEqual((yield* kit.read("b")).state, "completed")
      yield* kit.store.restore([elsewhere])
    }))

  test("UNK-06 retries and runs that are given back do not count towards the limit", ({ add, worker }) =>
    Effect.gen(function* () {
      const { exchange, settle, takeOne } = yield* worker({ maxDeliveries: 2 })
      yield* add("k")
      for (let n = 0; n < 6; n++) {
        const delivery = yield* takeOne
        assert.strictEqual(delivery.deliveries, 1)
        yield* settle(delivery, n % 2 === 0 ? retry(0) : { _tag: "Released" })
      }
      assert.deepStrictEqual((yield* exchange({ take: 1 })).exhausted, [])
    }))

  test("a call that is sent again, because its reply was lost, hands out the same deliveries", ({
    add,
    store,
    worker
  }) =>
    Effect.gen(function* () {
      const { exchange, settle, takeOne } = yield* worker()
      yield* Effect.forEach(["a", "b", "c", "d"], (key) => add(key, { payload: JSON.stringify(key), trace: key }))
      const finished = [settlement(yield* takeOne)]
      const call = { lease: freshLease(), finished, take: 2 }
      const lost = yield* exchange(call)
      assert.deepStrictEqual(lost.settled, ["applied"])
      assert.deepStrictEqual(keysOf(lost.deliveries), ["b", "c"])
      const depth = yield* store.depth
      for (let n = 0; n < 3; n++) {
        const again = yield* exchange({ ...call, resent: true })
        assert.deepStrictEqual(again.settled, ["lost"])
        assert.deepStrictEqual(again.deliveries, lost.deliveries)
        assert.deepStrictEqual(yield* store.depth, depth)
      }
      for (const delivery of lost.deliveries) assert.strictEqual(yield* settle(delivery), "applied")
      assert.deepStrictEqual(keysOf((yield* exchange({ take: 5 })).deliveries), ["d"])
    }))

  test("a call that is sent again, and had never arrived, is like a first one", ({ add, worker }) =>
    Effect.gen(function* () {
      const { exchange, takeOne } = yield* worker()
      yield* Effect.forEach(["a", "b"], (key) => add(key))
      const finished = [settlement(yield* takeOne)]
      const { deliveries, settled } = yield* exchange({ finished, take: 5, resent: true })
      assert.deepStrictEqual(settled, ["applied"])
      assert.deepStrictEqual(keysOf(deliveries), ["b"])
    }))

  test("a call that is sent again counts what it had granted against what it may take, and fills up", ({
    add,
    worker
  }) =>
    Effect.gen(function* () {
      const { exchange } = yield* worker()
      yield* add("a")
      const call = { lease: freshLease(), take: 2 }
      assert.deepStrictEqual(keysOf((yield* exchange(call)).deliveries), ["a"])
      yield* Effect.forEach(["b", "c"], (key) => add(key))
      const again = yield* exchange({ ...call, resent: true })
      assert.deepStrictEqual(keysOf(again.deliveries), ["a", "b"])
      assert.deepStrictEqual(
        again.deliveries.map(({ deliveries }) => deliveries),
        [1, 1]
      )
      const third = yield* exchange({ ...call, resent: true })
      assert.deepStrictEqual(keysOf(third.deliveries).toSorted(), ["a", "b"])
    }))

  test("a call that is sent again hands out only what is still held", (kit) =>
    Effect.gen(function* () {
      const { exchange, settle } = yield* kit.worker()
      yield* Effect.forEach(["settled", "replaced", "held"], (key) => kit.add(key))
      const call = { lease: freshLease(), take: 3 }
      const { deliveries } = yield* exchange(call)
      yield* settle(deliveries[0]!)
      yield* kit.replace("replaced", { due: after(leaseMillis * 9) })
      assert.deepStrictEqual(keysOf((yield* exchange({ ...call, resent: true })).deliveries), ["held"])
      yield* kit.pass(leaseMillis)
      const heir = yield* kit.worker()
      assert.strictEqual((yield* heir.session.heartbeat).reclaimed, 1)
      assert.deepStrictEqual(keysOf(yield* heir.take(5)), ["held"])
      assert.deepStrictEqual((yield* exchange({ ...call, resent: true })).deliveries, [])
    }))

  test("a call that is not marked as sent again never hands out what another holds", ({ add, reopen, worker }) =>
    Effect.gen(function* () {
      const first = yield* worker()
      const second = yield* openWorker(yield* reopen)
      yield* add("k")
      yield* first.takeOne
      assert.deepStrictEqual(yield* first.take(5), [])
      assert.deepStrictEqual(yield* second.take(5), [])
    }))

  test("a schedule that is sent again finds its own work, and doubles nothing", ({ pass, store, worker }) =>
    Effect.gen(function* () {
      const batch = [request("a"), request("b", { due: after(1_000) })]
      assert.deepStrictEqual(yield* store.schedule(batch), ["scheduled", "scheduled"])
      assert.deepStrictEqual(yield* store.schedule(batch), ["already-scheduled", "already-scheduled"])
      yield* pass(1_000)
      assert.strictEqual((yield* (yield* worker()).take(9)).length, 2)
    }))
}
