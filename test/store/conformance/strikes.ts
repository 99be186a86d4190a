/** Strikes, as far as the store has to do with them: STR. */
import { assert } from "@effect/vitest"
import { Effect, Queue } from "effect"
import type { Outcome } from "../../../src/DocketStore.ts"
import { empty, Strike } from "../../../src/Strike.ts"
import {
  after,
  completed,
  determined,
  type Ended,
  failed,
  type Kit,
  keysOf,
  request,
  retry,
  settlement,
  takeAll,
  type Test
} from "./kit.ts"

const onTask = new Strike({ task: "send", operator: "==", value: null, hold: false })
const onField = new Strike({ field: "customer", operator: ">=", value: 7, hold: false })
const pause = new Strike({ operator: "==", value: null, hold: true })

const held = (strikes: string): Outcome => ({ _tag: "Held", strikes })
const judged = (strikes: string): Outcome => determined([], strikes)

/** Adds a key for a worker to judge. */
const addUnjudged = (kit: Kit, key: string, strikes: string) =>
  kit.store.scheduleKnowing([request(key, { judged: false })], strikes)

/** Lets the key wait under a strike that holds. */
const hold = Effect.fnUntraced(function* (kit: Kit, key: string) {
  const { version } = yield* kit.store.strike(pause)
  yield* addUnjudged(kit, key, version)
  const worker = yield* kit.worker()
  const { undetermined } = yield* worker.exchange({ take: 100 })
  const finished = undetermined.map((delivery) => settlement(delivery, held(version)))
  assert.deepStrictEqual(
    (yield* worker.exchange({ finished })).settled,
    finished.map(() => "applied")
  )
  return { worker, version }
})

export const strikes = (test: Test) => {
  test("STR-07 STR-12 the set in force is kept, and has each strike once", (kit) =>
    Effect.gen(function* () {
      const { store } = kit
      assert.deepStrictEqual(yield* store.strikes, empty)
      const first = yield* store.strike(onTask)
      assert.deepStrictEqual(first.strikes, [onTask])
      assert.notStrictEqual(first.version, "")
      assert.deepStrictEqual(yield* store.strike(onTask), first)
      const second = yield* store.strike(onField)
      assert.notStrictEqual(second.version, first.version)
      assert.sameDeepMembers([...second.strikes], [onTask, onField])
      assert.deepStrictEqual((yield* (yield* kit.reopen).strikes).version, second.version)
      assert.deepStrictEqual((yield* store.restore([pause])).version, second.version)
      const third = yield* store.restore([onTask, pause])
      assert.deepStrictEqual(third.strikes, [onField])
      assert.notInclude([first.version, second.version], third.version)
      assert.deepStrictEqual(yield* store.restore([onField]), empty)
      const again = yield* store.strike(onTask)
      assert.notInclude([first.version, second.version, third.version], again.version)
      yield* store.restore([onTask])
    }))

  test("STR-06 strikes that differ in any part are different strikes", ({ store }) =>
    Effect.gen(function* () {
      const all = [
        onTask,
        onField,
        pause,
        new Strike({ ...onTask, hold: true }),
        new Strike({ ...onField, task: "send" }),
        new Strike({ ...onField, value: "7" }),
        new Strike({ ...onField, operator: ">" }),
        new Strike({ task: 'say "hi"\n', field: "a.b\u0000", operator: "between", value: [1, [2, null]], hold: false })
      ]
      for (const strike of all) yield* store.strike(strike)
      assert.sameDeepMembers([...(yield* store.strikes).strikes], all)
      for (const [n, strike] of all.entries()) {
        assert.sameDeepMembers([...(yield* store.restore([strike])).strikes], all.slice(n + 1))
      }
    }))

  test("STR-08 a failed execution is not retried for a caller that knows other strikes", (kit) =>
    Effect.gen(function* () {
      const { settle, takeOne } = yield* kit.worker()
      yield* kit.add("k")
      yield* settle(yield* takeOne, failed)
      const set = yield* kit.store.strike(onTask)
      assert.deepStrictEqual(yield* kit.store.retryFailedKnowing(["k"], ""), {
        _tag: "StrikesChanged",
        strikes: set,
        answers: []
      })
      assert.strictEqual((yield* kit.read("k")).state, "failed")
      const reply = yield* kit.store.retryFailedKnowing(["k"], set.version)
      assert.deepStrictEqual(reply, { _tag: "Retried", answers: [true] })
      yield* kit.store.restore([onTask])
    }))

  test("STR-08 a retried execution that a worker refuses is failed again, as it was; one that has begun since is not", (kit) =>
    Effect.gen(function* () {
      const { exchange, settle, take, takeOne } = yield* kit.worker()
      yield* kit.add("k")
      yield* settle(yield* takeOne, failed)
      const set = yield* kit.store.strike(onField)
      const refuse = Effect.gen(function* () {
        const [asked] = (yield* exchange({ take: 1, strikes: set.version })).undetermined
        yield* exchange({ finished: [settlement(asked!, { _tag: "Cancelled" })], strikes: set.version })
      })
      yield* kit.store.retryFailedKnowing(["k"], set.version)
      yield* refuse
      const { error, state } = yield* kit.read("k")
      assert.deepStrictEqual([state, error], ["failed", "Boom: it went wrong"])
      assert.deepStrictEqual(keysOf((yield* kit.store.failed({ limit: 5 })).records), ["k"])
      yield* kit.store.restore([onField])
      assert.deepStrictEqual(yield* kit.store.retryFailed(["k"]), [true])
      yield* settle((yield* take(1))[0]!, retry(0))
      yield* kit.store.strike(onField)
      yield* refuse
      assert.strictEqual((yield* kit.read("k")).state, "cancelled")
      yield* kit.store.restore([onField])
    }))

  test("STR-10 ISO-01 strikes last through clears, and reach no other docket", (kit) =>
    Effect.gen(function* () {
      yield* kit.store.strike(onTask)
      yield* kit.store.clear
      assert.deepStrictEqual((yield* kit.store.strikes).strikes, [onTask])
      const other = yield* kit.open({ name: "unstruck" })
      assert.deepStrictEqual(yield* other.strikes, empty)
      yield* kit.store.restore([onTask])
    }))

  test("STR-11 nothing is scheduled for a caller that knows other strikes; it is told those in force", (kit) =>
    Effect.gen(function* () {
      const { store } = kit
      const set = yield* store.strike(onTask)
      for (const version of ["", "another"]) {
        const reply = yield* store.scheduleKnowing([request("a"), request("b")], version)
        assert.deepStrictEqual(reply, { _tag: "StrikesChanged", strikes: set, dispositions: [], origins: [] })
      }
      assert.isTrue(yield* kit.isUnknown("a"))
      // Also one that has nothing to schedule, since all of it is struck, it believes.
      assert.propertyVal(yield* store.scheduleKnowing([], "another"), "_tag", "StrikesChanged")
      const reply = yield* store.scheduleKnowing([request("a"), request("b")], set.version)
      assert.deepStrictEqual(reply, { _tag: "Scheduled", dispositions: ["scheduled", "scheduled"], origins: [1, 1] })
      yield* store.restore([onTask])
      assert.propertyVal(yield* store.scheduleKnowing([request("c")], set.version), "_tag", "StrikesChanged")
      assert.propertyVal(yield* store.scheduleKnowing([request("c")], ""), "_tag", "Scheduled")
    }))

  test("STR-11 a worker is told the strikes when it knows others, and whoever follows them hears of each change", (kit) =>
    Effect.gen(function* () {
      const changes = yield* (yield* kit.reopen).watchStrikes
      const { exchange } = yield* kit.worker()
      assert.strictEqual((yield* exchange({})).strikes, undefined)
      const set = yield* kit.store.strike(onField)
      yield* Queue.take(changes)
      assert.deepStrictEqual((yield* exchange({})).strikes, set)
      assert.strictEqual((yield* exchange({ strikes: set.version })).strikes, undefined)
      yield* kit.store.restore([onField])
      yield* Queue.take(changes)
      assert.deepStrictEqual((yield* exchange({ strikes: set.version })).strikes, empty)
    }))

  test("STR-09 what was scheduled before a strike is judged by a worker before it starts, and never reads running", (kit) =>
    Effect.gen(function* () {
      const { add, read, store, worker } = kit
      yield* Effect.forEach(["a", "b", "c"], (key) => add(key))
      const feed = yield* kit.watch("a")
      const { version } = yield* store.strike(onField)
      const { exchange } = yield* worker()
      const first = yield* exchange({ take: 5 })
      assert.deepStrictEqual(first.deliveries, [])
      assert.deepStrictEqual(keysOf(first.undetermined), ["a", "b", "c"])
      const [a, b, c] = first.undetermined
      const second = yield* exchange({
        finished: [
          settlement(a!, { _tag: "Cancelled" }),
          settlement(b!, judged(version)),
          settlement(c!, judged("the version before"))
        ],
        take: 5
      })
      assert.deepStrictEqual(second.settled, ["applied", "applied", "applied"])
      assert.deepStrictEqual(keysOf(second.deliveries), ["b"])
      assert.deepStrictEqual(keysOf(second.undetermined), ["c"])
      assert.deepStrictEqual(yield* feed.states(1), ["cancelled"])
      const record = yield* read("a")
      assert.deepStrictEqual([record.state, record.deliveries, record.worker], ["cancelled", 0, undefined])
      yield* store.restore([onField])
      assert.deepStrictEqual(yield* takeAll(yield* worker()), [])
    }))

  test("STR-09 what was judged by the strikes in force starts at once, also at its next attempts and runs", (kit) =>
    Effect.gen(function* () {
      const { read, store, worker } = kit
      const { version } = yield* store.strike(onField)
      yield* store.scheduleKnowing([request("a", { judged: true })], version)
      const { exchange, settle, takeOne } = yield* worker()
      yield* settle(yield* takeOne, { _tag: "Retry", error: "Flaky: 1", due: after(0) })
      const next: Ended = { ...completed, next: { due: after(0) } }
      yield* settle(yield* takeOne, next)
      const a = yield* takeOne
      assert.strictEqual(a.generation, 3)
      // With another payload it has to be judged again.
      yield* settle(a, { ...completed, next: { due: after(0), payload: "[2]" } })
      assert.deepStrictEqual(keysOf((yield* exchange({ take: 5 })).undetermined), ["a"])
      assert.strictEqual((yield* read("a")).state, "queued")
      yield* store.restore([onField])
    }))

  test("a strike that holds lets an execution wait, without a delivery, until a strike is restored", (kit) =>
    Effect.gen(function* () {
      const { worker } = yield* hold(kit, "a")
      const feed = yield* kit.watch("a")
      const record = yield* kit.read("a")
      assert.deepStrictEqual(
        [record.state, record.hindrance, record.deliveries, record.attempt],
        ["scheduled", { _tag: "Held" }, 0, 1]
      )
      assert.deepStrictEqual(yield* kit.store.depth, { queued: 0, scheduled: 1, running: 0 })
      assert.deepStrictEqual(keysOf((yield* kit.store.snapshot(5)).waiting), ["a"])
      yield* kit.pass(1_000)
      assert.isFalse((yield* worker.session.heartbeat).work)
      yield* kit.store.restore([pause])
      assert.isTrue((yield* worker.session.heartbeat).work)
      const a = yield* worker.takeOne
      assert.deepStrictEqual([a.key, a.generation, a.deliveries], ["a", record.generation + 1, 1])
      assert.deepStrictEqual(yield* feed.states(2), ["queued", "running"])
    }))

  test("what is held is judged again when any strike is restored", (kit) =>
    Effect.gen(function* () {
      const { worker } = yield* hold(kit, "a")
      yield* kit.store.strike(onField)
      yield* kit.store.restore([onField])
      const { deliveries, undetermined } = yield* worker.exchange({ take: 5 })
      assert.deepStrictEqual([deliveries, keysOf(undetermined)], [[], ["a"]])
      const { version } = yield* kit.store.strikes
      yield* worker.exchange({ finished: [settlement(undetermined[0]!, held(version))] })
      assert.strictEqual((yield* kit.read("a")).state, "scheduled")
      yield* kit.store.restore([pause])
      assert.deepStrictEqual(keysOf(yield* worker.take(5)), ["a"])
    }))

  test("STR-11 what was judged by a strike that was restored meanwhile is not held", (kit) =>
    Effect.gen(function* () {
      const { version } = yield* kit.store.strike(pause)
      yield* addUnjudged(kit, "asked", version)
      const worker = yield* kit.worker()
      const { undetermined } = yield* worker.exchange({ take: 5 })
      yield* kit.store.restore([pause])
      yield* kit.add("running")
      const running = yield* worker.takeOne
      const finished = [...undetermined, running].map((delivery) => settlement(delivery, held(version)))
      assert.deepStrictEqual(keysOf(undetermined), ["asked"])
      assert.deepStrictEqual((yield* worker.exchange({ finished })).settled, ["applied", "applied"])
      assert.sameMembers(keysOf(yield* takeAll(worker)), ["asked", "running"])
    }))

  test("many that are held are all let go, in their order", (kit) =>
    Effect.gen(function* () {
      const { store } = kit
      const keys = Array.from({ length: 350 }, (_, n) => `k${n}`)
      const { version } = yield* store.strike(pause)
      yield* store.scheduleKnowing(
        keys.map((key) => request(key, { judged: false })),
        version
      )
      const worker = yield* kit.worker()
      for (let left = keys.length; left > 0;) {
        const { undetermined } = yield* worker.exchange({ take: 100 })
        assert.isAbove(undetermined.length, 0)
        left -= undetermined.length
        yield* worker.exchange({ finished: undetermined.map((delivery) => settlement(delivery, held(version))) })
      }
      assert.deepStrictEqual(yield* store.depth, { queued: 0, scheduled: 350, running: 0 })
      yield* store.restore([pause])
      const all: Array<string> = []
      for (let n = 0; n < 12; n++) all.push(...keysOf(yield* worker.take(50)))
      assert.deepStrictEqual(all, keys)
    }))

  for (const [what, end] of Object.entries({
    cancelled: (kit: Kit) => kit.store.cancel(["a"]),
    cleared: (kit: Kit) => Effect.asVoid(kit.store.clear)
  })) {
    test(`CAN-02 CLR-01 what is held and ${what} never runs`, (kit) =>
      Effect.gen(function* () {
        const { worker } = yield* hold(kit, "a")
        yield* end(kit)
        assert.strictEqual((yield* kit.read("a")).state, "cancelled")
        assert.deepStrictEqual(yield* kit.store.depth, { queued: 0, scheduled: 0, running: 0 })
        yield* kit.store.restore([pause])
        assert.deepStrictEqual(yield* takeAll(worker), [])
      }))
  }

  test("RPL-01 what is held can be replaced", (kit) =>
    Effect.gen(function* () {
      const { version, worker } = yield* hold(kit, "a")
      const replaced = yield* kit.store.scheduleKnowing([request("a", { replace: true, payload: "[2]" })], version)
      assert.deepStrictEqual(replaced, { _tag: "Scheduled", dispositions: ["replaced"], origins: [1] })
      assert.strictEqual((yield* worker.takeOne).payload, "[2]")
      yield* kit.store.restore([pause])
      assert.deepStrictEqual(yield* takeAll(worker), [])
    }))

  test("a running execution that is held waits like any other", (kit) =>
    Effect.gen(function* () {
      const { settle, take, takeOne } = yield* kit.worker()
      yield* kit.add("a")
      assert.strictEqual(yield* settle(yield* takeOne, held("")), "applied")
      const record = yield* kit.read("a")
      assert.deepStrictEqual(
        [record.state, record.deliveries, record.worker, record.started],
        ["scheduled", 0, undefined, undefined]
      )
      yield* kit.store.strike(pause)
      yield* kit.store.restore([pause])
      assert.deepStrictEqual(keysOf(yield* take(5)), ["a"])
    }))
}
