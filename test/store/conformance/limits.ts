/** Admission controls: ADM, CON, RAT, COO and DEB, as far as the store decides them. */
import { assert, type Vitest } from "@effect/vitest"
import { Effect, Option, Schema } from "effect"
import { TestClock } from "effect/testing"
import type { Control } from "../../../src/Admission.ts"
import type { Delivery, Outcome } from "../../../src/DocketStore.ts"
import { Strike } from "../../../src/Strike.ts"
import {
  after,
  beginning,
  cancelled,
  completed,
  contractsOf,
  determined,
  type Ended,
  failed,
  freshLease,
  Harness,
  keysOf,
  type Kit,
  leaseMillis,
  makeKit,
  openWorker,
  postponed,
  released,
  request,
  type RequestOptions,
  retry,
  settlement,
  takeAll,
  type Test,
  type TestWorker,
  ttlMillis
} from "./kit.ts"

const concurrency = (limit: number, scope = "task:send:concurrency0"): Control => ({
  _tag: "Concurrency",
  scope,
  limit
})
const rate = (limit: number, perMillis: number, onExceeded: "delay" | "drop" = "delay", scope = "task:send:rate0") =>
  ({ _tag: "RateLimit", scope, limit, perMillis, onExceeded }) as const satisfies Control
const cooldown = (windowMillis: number, scope = "task:send:cooldown0"): Control => ({
  _tag: "Cooldown",
  scope,
  windowMillis
})
const debounce = (settleMillis: number, maximumMillis?: number): Control => ({
  _tag: "Debounce",
  scope: "task:send:debounce0",
  settleMillis,
  maximumMillis
})

/** A kit whose workers have these controls on the task `send`, and whose requests have a value for each. */
const under = (kit: Kit, ...controls: ReadonlyArray<Control>) => ({
  ...kit,
  worker: (options?: Parameters<Kit["worker"]>[0]) =>
    kit.worker({ controls: new Map([["send", controls]]), ...options }),
  add: (key: string, options?: RequestOptions) => kit.add(key, { values: controls.map(() => ""), ...options }),
  replace: (key: string, options?: RequestOptions) => kit.replace(key, { values: controls.map(() => ""), ...options }),
  state: (key: string) => Effect.map(kit.read(key), ({ state }) => state),
  hindrance: (key: string) => Effect.map(kit.read(key), ({ hindrance }) => hindrance)
})

const of = (value: string) => ({ values: [value] })

/** Takes what there is, and tells of each that the worker is asked about that its terms have these values. */
const takeTelling = Effect.fnUntraced(function* (worker: TestWorker, values: ReadonlyArray<string>) {
  const all: Array<Delivery> = []
  let reply = yield* worker.exchange({ take: 5 })
  for (;;) {
    all.push(...reply.deliveries)
    if (reply.undetermined.length === 0) return all
    const finished = reply.undetermined.map((delivery) => settlement(delivery, determined(values)))
    reply = yield* worker.exchange({ finished, take: 5 })
  }
})

/** A strike on another task. */
const elsewhere = new Strike({ task: "other", operator: "==", value: null, hold: false })

const next: Ended = { ...completed, next: { due: after(0) } }

/** How a run may end, and the state of its execution then. */
const ends: Record<string, Outcome> = {
  completed,
  failed,
  cancelled,
  "retried at once": retry(0),
  "retried later": retry(60_000),
  "followed by another": next,
  postponed: postponed(60_000)
}

export const limits = (test: Test) => {
  test("CON-01 CON-02 CON-04 an execution that finds all slots taken waits, and is scheduled until one is free", (kit) =>
    Effect.gen(function* () {
      const { add, hindrance, pass, read, store, watch, worker } = under(kit, concurrency(1))
      const { session, settle, take } = yield* worker()
      yield* Effect.forEach(["a", "b", "c"], (key) => add(key))
      const feed = yield* watch("b")
      const [a, ...others] = yield* take(5)
      assert.strictEqual(a?.key, "a")
      assert.deepStrictEqual(others, [])
      assert.deepStrictEqual(yield* store.depth, { queued: 0, scheduled: 2, running: 1 })
      assert.deepStrictEqual(yield* hindrance("c"), {
        _tag: "Concurrency",
        scope: "task:send:concurrency0",
        value: "",
        limit: 1,
        holders: ["a"],
        ahead: 1
      })
      const before = yield* read("b")
      assert.deepStrictEqual([before.state, before.attempt, before.deliveries], ["scheduled", 1, 0])
      // Nobody is told to look for work, and nobody finds any.
      yield* pass(60_000)
      yield* session.renew([a!])
      assert.deepStrictEqual(yield* take(5), [])
      assert.deepStrictEqual((yield* (yield* worker()).session.heartbeat).work, false)

      assert.strictEqual(yield* settle(a!), "applied")
      // Nothing is handed out ahead: it is the next, and its slot is nobody's until it starts.
      const next = yield* read("b")
      assert.deepStrictEqual([next.state, next.generation], ["scheduled", before.generation])
      assert.deepStrictEqual((yield* (yield* worker()).session.heartbeat).work, true)
      assert.deepStrictEqual(keysOf(yield* take(5)), ["b"])
      assert.deepStrictEqual(yield* feed.states(3), ["scheduled", "queued", "running"])
      assert.strictEqual((yield* read("b")).deliveries, 1)
    }))

  test("CON-01 a limit of several, over several workers and values", (kit) =>
    Effect.gen(function* () {
      const { add, worker } = under(kit, concurrency(2))
      const [first, second] = [yield* worker(), yield* worker()]
      for (const value of ['"x"', '"y"']) {
        for (const n of [1, 2, 3, 4]) yield* add(`${value}${n}`, of(value))
      }
      const all = [...(yield* first.take(3)), ...(yield* second.take(5))]
      assert.deepStrictEqual(keysOf(all), ['"x"1', '"x"2', '"y"1', '"y"2'])
      yield* first.settle(all[1]!)
      assert.deepStrictEqual(keysOf(yield* second.take(5)), ['"x"3'])
    }))

  for (const [end, outcome] of Object.entries(ends)) {
    test(`CON-03 a run that is ${end} lets the one that waits longest go, in the same step`, (kit) =>
      Effect.gen(function* () {
        const { add, state, worker } = under(kit, concurrency(1))
        const { exchange, take } = yield* worker()
        yield* Effect.forEach(["a", "b", "c"], (key) => add(key))
        const [a] = yield* take(5)
        const { deliveries } = yield* exchange({ finished: [settlement(a!, outcome)], take: 5 })
        assert.deepStrictEqual(keysOf(deliveries), ["b"])
        assert.strictEqual(yield* state("c"), "scheduled")
      }))
  }

  test("CON-03 in a burst on one value all run, each once, oldest first", (kit) =>
    Effect.gen(function* () {
      const { add, store, worker } = under(kit, concurrency(1))
      const { exchange, take } = yield* worker()
      const keys = Array.from({ length: 300 }, (_, n) => `k${n}`)
      yield* Effect.forEach(keys, (key) => add(key))
      const seen: Array<string> = []
      let some: ReadonlyArray<Delivery> = yield* take(10)
      while (some.length > 0) {
        assert.strictEqual(some.length, 1)
        seen.push(...keysOf(some))
        some = (yield* exchange({ finished: some.map((delivery) => settlement(delivery)), take: 10 })).deliveries
        // A call looks at so many entries; the rest follows.
        if (some.length === 0) some = yield* take(10)
      }
      assert.deepStrictEqual(seen, keys)
      assert.deepStrictEqual(yield* store.depth, { queued: 0, scheduled: 0, running: 0 })
    }))

  test("CON-03 PRI-02 the one that waits longest comes before what arrives later, however much is due", (kit) =>
    Effect.gen(function* () {
      const { add, worker } = under(kit, concurrency(2))
      const first = yield* worker()
      const second = yield* worker()
      yield* Effect.forEach(["a", "b", "c"], (key) => add(key))
      const [a, b] = yield* first.take(3)
      yield* Effect.forEach(["x", "y", "z"], (key) => add(key, of('"other"')))
      yield* add("d")
      yield* first.settle(a!)
      yield* first.settle(b!)
      assert.deepStrictEqual(keysOf(yield* second.take(1)), ["c"])
      assert.deepStrictEqual(keysOf(yield* first.take(9)), ["x", "y", "d"])
    }))

  for (const [what, outcome] of Object.entries({
    "has other strikes judge it": { _tag: "Held", strikes: "the version before" },
    "gives it back": released
  } satisfies Record<string, Outcome>)) {
    test(`CON-03 the one that waits longest still comes first when the worker that is to judge it ${what}`, (kit) =>
      Effect.gen(function* () {
        const { add, store, worker } = under(kit, concurrency(1))
        const { exchange, settle, take } = yield* worker()
        yield* Effect.forEach(["a", "b"], (key) => add(key))
        const [a] = yield* take(5)
        yield* settle(a!)
        yield* Effect.forEach(["x", "y"], (key) => add(key, of('"other"')))
        yield* store.strike(elsewhere)
        const { undetermined } = yield* exchange({ take: 1 })
        assert.deepStrictEqual(keysOf(undetermined), ["b"])
        yield* exchange({ finished: [settlement(undetermined[0]!, outcome)] })
        assert.strictEqual(yield* store.ahead("b"), 0)
        assert.deepStrictEqual(keysOf((yield* exchange({ take: 1 })).undetermined), ["b"])
        yield* store.restore([elsewhere])
      }))
  }

  test("CON-03 a retry of a limited task waits behind those that were there before", (kit) =>
    Effect.gen(function* () {
      const { add, worker } = under(kit, concurrency(1))
      const { settle, takeOne } = yield* worker()
      yield* Effect.forEach(["a", "b"], (key) => add(key))
      yield* settle(yield* takeOne, retry(0))
      const b = yield* takeOne
      assert.strictEqual(b.key, "b")
      yield* settle(b)
      const again = yield* takeOne
      assert.deepStrictEqual([again.key, again.attempt], ["a", 2])
    }))

  test("CON-05 cancelling what waits removes it: it is never let go, and leaves nothing behind", (kit) =>
    Effect.gen(function* () {
      const { add, read, store, take, worker } = yield* Effect.gen(function* () {
        const all = under(kit, concurrency(1))
        const worker = yield* all.worker()
        return { ...all, worker, take: worker.take }
      })
      yield* Effect.forEach(["a", "b", "c"], (key) => add(key))
      const [a] = yield* take(5)
      const feed = yield* kit.watch("b")
      yield* store.cancel(["b"])
      assert.strictEqual((yield* feed.next).state, "cancelled")
      const record = yield* read("b")
      assert.deepStrictEqual([record.state, record.hindrance], ["cancelled", undefined])
      yield* worker.settle(a!)
      assert.deepStrictEqual(keysOf(yield* take(5)), ["c"])
    }))

  test("CON-05 CON-09 cancelling the one that is next lets the one behind it go", (kit) =>
    Effect.gen(function* () {
      const { add, state, store, worker } = under(kit, concurrency(1))
      const { settle, take } = yield* worker()
      yield* Effect.forEach(["a", "b", "c"], (key) => add(key))
      const [a] = yield* take(5)
      yield* settle(a!)
      yield* store.cancel(["b"])
      assert.strictEqual(yield* state("b"), "cancelled")
      assert.deepStrictEqual(keysOf(yield* take(5)), ["c"])
    }))

  test("RPL-01 replacing what waits for a slot takes it out of the line", (kit) =>
    Effect.gen(function* () {
      const { add, replace, worker } = under(kit, concurrency(1))
      const { settle, take } = yield* worker()
      yield* Effect.forEach(["a", "b", "c"], (key) => add(key))
      const [a] = yield* take(5)
      assert.strictEqual(yield* replace("b", { due: after(60_000) }), "replaced")
      yield* settle(a!)
      assert.deepStrictEqual(keysOf(yield* take(5)), ["c"])
    }))

  test("RPL-04 CON-01 a run whose key was scheduled anew keeps its slot until it ends", (kit) =>
    Effect.gen(function* () {
      const { add, pass, replace, state, worker } = under(kit, concurrency(1))
      const { renew, settle, take } = yield* worker()
      yield* add("a")
      const [old] = yield* take(5)
      yield* replace("a")
      assert.deepStrictEqual(yield* take(5), [])
      for (let n = 0; n < 8; n++) {
        yield* pass(leaseMillis / 4)
        assert.deepStrictEqual(yield* renew(old!), ["overtaken"])
        yield* (yield* worker()).session.heartbeat
        assert.deepStrictEqual(yield* take(5), [])
      }
      assert.strictEqual(yield* state("a"), "scheduled")
      assert.strictEqual(yield* settle(old!), "superseded")
      assert.deepStrictEqual(keysOf(yield* take(5)), ["a"])
    }))

  for (const [how, values] of [
    ["with its values", [""]],
    ["by name", undefined]
  ] as const) {
    test(`RPL-04 CON-01 TTL-04 it keeps its slot also when the record is gone and the key is added ${how}`, (kit) =>
      Effect.gen(function* () {
        const store = yield* kit.open({ name: `keeps-no-generation-${how}`, executionTtlMillis: 0 })
        const controls = new Map([["send", [concurrency(2)]]])
        const { exchange, renew, settle, take, takeOne } = yield* openWorker(store, { controls })
        const add = (key: string, options?: RequestOptions & { readonly replace?: boolean }) =>
          store.schedule([request(key, { values: [""], ...options })])
        yield* add("a")
        const old = yield* takeOne
        yield* add("a", { replace: true })
        yield* settle(yield* takeOne)
        assert.isTrue(Option.isNone((yield* store.read(["a"]))[0]!))

        yield* add("a", { values })
        const asked = yield* exchange({ take: 1 })
        const finished = asked.undetermined.map((delivery) => settlement(delivery, determined([""])))
        const [another] = [...asked.deliveries, ...(yield* exchange({ finished, take: 1 })).deliveries]
        yield* add("b")
        assert.deepStrictEqual(yield* take(5), [])
        assert.deepStrictEqual(yield* renew(old, another!), ["overtaken", "held"])
        assert.strictEqual(yield* settle(old), "superseded")
        assert.deepStrictEqual(keysOf(yield* take(5)), ["b"])
        assert.strictEqual(yield* settle(another!), "applied")
      }))
  }

  test("CON-07 the slot of a run whose key was scheduled anew is free once its worker has died", (kit) =>
    Effect.gen(function* () {
      const { add, pass, store, worker } = under(kit, concurrency(1))
      yield* add("a")
      const { renew, take } = yield* worker()
      const [old] = yield* take(5)
      yield* store.cancel(["a"])
      yield* add("a")
      const heir = yield* worker()
      assert.deepStrictEqual(yield* heir.take(5), [])
      yield* pass(1_000)
      // Whoever waits for it comes in time: where heartbeats take back what has expired, they know when that is.
      const { nextDueMillis, nextExpiryMillis } = yield* heir.session.heartbeat
      assert.strictEqual(nextExpiryMillis ?? nextDueMillis, leaseMillis - 1_000)
      yield* pass(leaseMillis - 1_000)
      yield* heir.session.heartbeat
      assert.deepStrictEqual(keysOf(yield* heir.take(5)), ["a"])
      // If it lives after all, it learns that it has no slot any more.
      assert.deepStrictEqual(yield* renew(old!), ["lost"])
    }))

  for (const [what, scheduleAnew] of Object.entries({
    replaced: ({ replace }) => replace("a"),
    "cancelled and added again": ({ add, store }) => Effect.andThen(store.cancel(["a"]), add("a"))
  } satisfies Record<string, (kit: Pick<Kit, "add" | "replace" | "store">) => Effect.Effect<unknown, unknown>>)) {
    test(`CON-01 RED-01 a run that lost its lease leaves the slot to the one that took over, once its key is ${what}`, (kit) =>
      Effect.gen(function* () {
        const limited = under(kit, concurrency(2))
        const { add, pass, worker } = limited
        const stands = yield* worker()
        const heir = yield* worker()
        yield* add("a")
        const [lost] = yield* stands.take(5)
        yield* pass(leaseMillis)
        yield* heir.session.heartbeat
        const [taken] = yield* heir.take(5)
        assert.strictEqual(taken!.generation, lost!.generation)
        yield* scheduleAnew(limited)
        assert.strictEqual((yield* heir.take(5)).length, 1)
        yield* add("b")

        assert.deepStrictEqual(yield* stands.renew(lost!), ["lost"])
        assert.strictEqual(yield* stands.settle(lost!), "superseded")
        assert.deepStrictEqual(yield* heir.take(5), [])
        assert.deepStrictEqual(yield* heir.renew(taken!), [what === "replaced" ? "overtaken" : "cancelled"])
        assert.strictEqual(yield* heir.settle(taken!), "superseded")
        assert.deepStrictEqual(keysOf(yield* heir.take(5)), ["b"])
      }))
  }

  test("CON-07 CON-08 RED-06 what a dead worker ran is run by another in its slot, and those that wait follow", (kit) =>
    Effect.gen(function* () {
      const { add, hindrance, pass, worker } = under(kit, concurrency(1))
      yield* Effect.forEach(["a", "b"], (key) => add(key))
      const [dead] = yield* (yield* worker()).take(5)
      const heir = yield* worker()
      yield* pass(leaseMillis - 1)
      yield* heir.session.heartbeat
      assert.deepStrictEqual(yield* heir.take(5), [])
      yield* pass(1)
      yield* heir.session.heartbeat
      const [again, ...others] = yield* heir.take(5)
      assert.deepStrictEqual([again?.key, again?.deliveries, again?.generation], ["a", 2, dead!.generation])
      assert.deepStrictEqual(others, [])
      assert.propertyVal(yield* hindrance("b"), "ahead", 0)
      yield* heir.settle(again!)
      assert.deepStrictEqual(keysOf(yield* heir.take(5)), ["b"])
    }))

  test("CON-07 a slot that nobody can take over is passed on", (kit) =>
    Effect.gen(function* () {
      const { add, pass, worker } = under(kit, concurrency(1))
      yield* Effect.forEach(["a", "b"], (key) => add(key))
      yield* (yield* worker()).take(5)
      const heir = yield* worker({ maxDeliveries: 1 })
      yield* pass(leaseMillis)
      yield* heir.session.heartbeat
      const { deliveries, exhausted } = yield* heir.exchange({ take: 5 })
      assert.deepStrictEqual(keysOf(exhausted), ["a"])
      assert.deepStrictEqual(keysOf(deliveries), ["b"])
    }))

  test("CON-07 the slot of a cancelled run whose worker died is passed on", (kit) =>
    Effect.gen(function* () {
      const { add, pass, store, worker } = under(kit, concurrency(1))
      yield* Effect.forEach(["a", "b"], (key) => add(key))
      yield* (yield* worker()).take(5)
      yield* store.cancel(["a"])
      const heir = yield* worker()
      yield* pass(leaseMillis)
      yield* heir.session.heartbeat
      assert.deepStrictEqual(keysOf(yield* heir.take(5)), ["b"])
    }))

  test("UNK-01 CON-03 an execution that is set aside because its task is unknown gives its slot to the next", (kit) =>
    Effect.gen(function* () {
      const { add, worker } = under(kit, concurrency(1, "scope:both"))
      const controls = new Map([
        ["send", [concurrency(1, "scope:both")]],
        ["other", [concurrency(1, "scope:both")]]
      ])
      const able = yield* worker({ tasks: new Set(["send", "other"]), controls })
      yield* Effect.forEach(["a", "b"], (key) => add(key, { task: "other" }))
      yield* add("c")
      const [a] = yield* able.take(5)
      yield* able.settle(a!)
      const unable = yield* worker()
      const { deliveries, unknown } = yield* unable.exchange({ take: 5 })
      assert.deepStrictEqual(unknown, [{ task: "other", waiting: 1 }])
      assert.deepStrictEqual(keysOf(deliveries), ["c"])
      assert.deepStrictEqual(yield* able.take(5), [])
      yield* unable.settle(deliveries[0]!)
      assert.deepStrictEqual(keysOf(yield* able.take(5)), ["b"])
    }))

  test("ADM-12 a limit that was raised lets more go; one that was lowered holds from the next start on", (kit) =>
    Effect.gen(function* () {
      const { add } = under(kit, concurrency(1))
      const withLimit = (limit: number) => kit.worker({ controls: new Map([["send", [concurrency(limit)]]]) })
      const one = yield* withLimit(1)
      yield* Effect.forEach(["a", "b", "c", "d", "e", "f"], (key) => add(key))
      const [a] = yield* one.take(1)
      assert.deepStrictEqual(yield* one.take(3), [])
      const three = yield* withLimit(3)
      assert.strictEqual((yield* three.session.heartbeat).work, true)
      const more = yield* three.take(5)
      assert.deepStrictEqual(keysOf(more), ["b", "c"])
      // The worker of the earlier contract goes by the later one.
      yield* one.settle(a!)
      const [d] = yield* one.take(5)
      assert.strictEqual(d?.key, "d")
      const again = yield* withLimit(1)
      for (const delivery of more) yield* one.settle(delivery)
      assert.deepStrictEqual([yield* one.take(5), yield* three.take(5), yield* again.take(5)], [[], [], []])
      yield* one.settle(d!)
      assert.deepStrictEqual(keysOf(yield* three.take(5)), ["e"])
    }))

  test("ADM-08 tasks that name one scope share a limit, and a scope does not reach into another docket", (kit) =>
    Effect.gen(function* () {
      const shared = [concurrency(1, "scope:printer")]
      const controls = new Map([
        ["send", shared],
        ["print", shared]
      ])
      const tasks = new Set(["send", "print"])
      const { take } = yield* kit.worker({ tasks, controls })
      yield* kit.add("a", { values: [""] })
      yield* kit.add("b", { task: "print", values: [""] })
      assert.deepStrictEqual(keysOf(yield* take(5)), ["a"])
      const other = yield* kit.open({ name: "another-docket" })
      yield* other.schedule([request("b", { task: "print", values: [""] })])
      const there = yield* other.open({
        name: "w",
        tasks,
        contracts: contractsOf(controls),
        recurring: new Set(),
        leaseMillis,
        maxDeliveries: 10,
        facts: new Map(),
        presenceMillis: 10_000
      })
      const reply = yield* there.exchange({ lease: freshLease(), resent: false, finished: [], take: 5, strikes: "" })
      assert.deepStrictEqual(keysOf(reply.deliveries), ["b"])
    }))

  test("ADM-07 an execution without values is lent to a worker that can tell them, and is the next to run", (kit) =>
    Effect.gen(function* () {
      const { add, read, store, worker } = under(kit, concurrency(1))
      const { exchange } = yield* worker()
      yield* add("a", { values: undefined })
      yield* add("b", { values: undefined })
      yield* add("c", of('"x"'))
      const feed = yield* kit.watch("a")
      const first = yield* exchange({ take: 2 })
      assert.deepStrictEqual(first.deliveries, [])
      assert.deepStrictEqual(keysOf(first.undetermined), ["a", "b"])
      const lent = yield* read("a")
      assert.deepStrictEqual([lent.state, lent.deliveries], ["queued", 0])
      assert.deepStrictEqual(yield* store.depth, { queued: 3, scheduled: 0, running: 0 })
      const told = first.undetermined.map((delivery) => settlement(delivery, determined(['"x"'])))
      const second = yield* exchange({ finished: told, take: 3 })
      assert.deepStrictEqual(second.settled, ["applied", "applied"])
      assert.deepStrictEqual(keysOf(second.deliveries), ["a"])
      assert.strictEqual((yield* read("b")).state, "scheduled")
      // Said again, because the reply was lost.
      assert.deepStrictEqual((yield* exchange({ finished: told })).settled, ["lost", "lost"])
      assert.deepStrictEqual(yield* feed.states(1), ["running"])
      const record = yield* read("a")
      assert.deepStrictEqual([record.generation, record.deliveries], [1, 1])
    }))

  test("ADM-07 an execution with too few values, of an older contract, is asked about as well", (kit) =>
    Effect.gen(function* () {
      const { add, worker } = under(kit, concurrency(1), rate(1, 1_000))
      const { exchange } = yield* worker()
      yield* add("a", of('"x"'))
      assert.deepStrictEqual(keysOf((yield* exchange({ take: 2 })).undetermined), ["a"])
    }))

  test("RED-01 UNK-06 what was lent to a worker that died goes back, and counts like a delivery", (kit) =>
    Effect.gen(function* () {
      const { add, pass, read, worker } = under(kit, concurrency(1))
      const dead = yield* worker()
      yield* add("a", { values: undefined })
      const { undetermined } = yield* dead.exchange({ take: 2 })
      yield* pass(leaseMillis)
      const heir = yield* worker()
      yield* heir.session.heartbeat
      const again = yield* heir.exchange({ take: 2 })
      assert.deepStrictEqual(keysOf(again.undetermined), ["a"])
      const late = settlement(undetermined[0]!, determined(["1"]))
      assert.deepStrictEqual((yield* dead.exchange({ finished: [late] })).settled, ["lost"])
      assert.strictEqual((yield* read("a")).deliveries, 1)
      const told = settlement(again.undetermined[0]!, determined(["1"]))
      const { deliveries } = yield* heir.exchange({ finished: [told], take: 1 })
      assert.strictEqual(deliveries[0]?.deliveries, 2)
    }))

  test("a call that is sent again lends again what it had lent", (kit) =>
    Effect.gen(function* () {
      const { add, worker } = under(kit, concurrency(1))
      const { exchange } = yield* worker()
      yield* add("a", { values: undefined })
      yield* add("b", of("1"))
      const lease = freshLease()
      yield* exchange({ lease, take: 2 })
      const again = yield* exchange({ lease, take: 2, resent: true })
      assert.deepStrictEqual(keysOf(again.undetermined), ["a"])
      assert.deepStrictEqual(keysOf(again.deliveries), ["b"])
    }))

  test("CAN-01 CAN-08 what was lent can be cancelled, replaced and failed", (kit) =>
    Effect.gen(function* () {
      const { add, replace, state, store, worker } = under(kit, concurrency(1))
      const { exchange } = yield* worker()
      yield* Effect.forEach(["a", "b", "c", "d"], (key) => add(key, { values: undefined }))
      const { undetermined } = yield* exchange({ take: 4 })
      yield* store.cancel(["a"])
      assert.strictEqual(yield* replace("b", { due: after(60_000) }), "replaced")
      const [a, b, c, d] = undetermined
      const told = determined(["1"])
      const { settled } = yield* exchange({
        finished: [settlement(a!, told), settlement(b!, told), settlement(c!, failed), settlement(d!, cancelled)]
      })
      assert.deepStrictEqual(settled, ["lost", "superseded", "applied", "applied"])
      assert.deepStrictEqual(yield* Effect.forEach(["a", "b", "c", "d"], state), [
        "cancelled",
        "scheduled",
        "failed",
        "cancelled"
      ])
    }))

  test("a next run with another payload is asked about again", (kit) =>
    Effect.gen(function* () {
      const { add, worker } = under(kit, concurrency(1))
      const { exchange, takeOne } = yield* worker()
      yield* add("a", of("1"))
      const a = yield* takeOne
      const following = settlement(a, { ...completed, next: { due: after(0), payload: "[2]" } })
      const reply = yield* exchange({ finished: [following], take: 1 })
      assert.deepStrictEqual(reply.deliveries, [])
      assert.deepStrictEqual(
        reply.undetermined.map(({ payload }) => payload),
        ["[2]"]
      )
    }))

  test("RAT-01 RAT-02 what is over the limit starts at the moment at which a start leaves the window", (kit) =>
    Effect.gen(function* () {
      const { add, hindrance, pass, read, worker } = under(kit, rate(2, 10_000))
      const { session, take } = yield* worker()
      yield* add("a")
      yield* take(5)
      yield* pass(1_000)
      yield* Effect.forEach(["b", "c", "d", "e"], (key) => add(key))
      assert.deepStrictEqual(keysOf(yield* take(5)), ["b"])
      const records = yield* Effect.forEach(["c", "d", "e"], read)
      assert.deepStrictEqual(
        records.map(({ deliveries, due, state }) => [state, due - beginning, deliveries]),
        [
          ["scheduled", 1_000, 0],
          ["scheduled", 1_000, 0],
          ["scheduled", 1_000, 0]
        ]
      )
      assert.deepStrictEqual(yield* hindrance("d"), {
        _tag: "RateLimit",
        scope: "task:send:rate0",
        value: "",
        opens: beginning + 10_000,
        ahead: 1
      })
      assert.strictEqual((yield* session.heartbeat).nextDueMillis, 9_000)
      yield* pass(8_999)
      assert.deepStrictEqual(yield* take(5), [])
      yield* pass(1)
      assert.deepStrictEqual(keysOf(yield* take(5)), ["c"])
      yield* pass(1_000)
      assert.deepStrictEqual(keysOf(yield* take(5)), ["d"])
      yield* pass(9_000)
      assert.deepStrictEqual(keysOf(yield* take(5)), ["e"])
    }))

  test("CRN-04 RAT-02 what a rate limit holds back says when it was due", (kit) =>
    Effect.gen(function* () {
      const { add, pass, worker } = under(kit, rate(1, 10_000))
      const { settle, take, takeOne } = yield* worker()
      yield* add("a")
      yield* settle(yield* takeOne)
      yield* pass(2_000)
      yield* add("b")
      assert.deepStrictEqual(yield* take(5), [])
      yield* pass(8_000)
      const { due, intended, started } = yield* takeOne
      assert.deepStrictEqual(
        [due, intended, started].map((time) => time - beginning),
        [2_000, 2_000, 10_000]
      )
    }))

  for (const [when, millis] of [
    ["while the last ones still had to wait", 3_500],
    ["when all could have started", 6_500]
  ] as const) {
    test(`RAT-01 no more start at once than the limit allows when workers come back ${when}`, (kit) =>
      Effect.gen(function* () {
        const { add, pass, worker } = under(kit, rate(2, 1_000))
        const { take } = yield* worker()
        const keys = Array.from({ length: 12 }, (_, n) => `k${n}`)
        yield* Effect.forEach(keys, (key) => add(key))
        const starts: Array<number> = []
        let now = 0
        const step = Effect.fnUntraced(function* (millis: number) {
          yield* pass(millis)
          now += millis
          for (const _ of yield* take(20)) starts.push(now)
        })
        yield* step(0)
        yield* step(millis)
        for (let n = 0; n < 60; n++) yield* step(100)
        assert.strictEqual(starts.length, 12)
        starts.forEach((start, n) => {
          if (n >= 2) assert.isAtLeast(start - starts[n - 2]!, 1_000)
        })
      }))
  }

  test("RAT-01 RAT-02 what waits at a limit is older than a backlog, and makes room for no more than itself", (kit) =>
    Effect.gen(function* () {
      const { add, pass, worker } = under(kit, rate(1, 1_000))
      const { take } = yield* worker()
      const others = Effect.forEach(Array.from({ length: 30 }), (_, n) => add(`other ${n}`, of(`"${n}"`)))
      yield* Effect.forEach(["a", "b"], (key) => add(key))
      assert.deepStrictEqual(keysOf(yield* take(2)), ["a"])
      yield* others
      yield* Effect.forEach(["c", "d", "e", "f"], (key) => add(key))
      yield* pass(2_500)
      assert.deepStrictEqual(keysOf(yield* take(1)), ["b"])
      assert.strictEqual((yield* take(40)).length, 30)
      for (const key of ["c", "d", "e", "f"]) {
        assert.deepStrictEqual(yield* take(9), [])
        yield* pass(1_000)
        assert.deepStrictEqual(keysOf(yield* take(9)), [key])
      }
    }))

  test("RAT-02 in drop mode what is over the limit is cancelled", (kit) =>
    Effect.gen(function* () {
      const { add, hindrance, pass, read, worker } = under(kit, rate(1, 1_000, "drop"))
      const { exchange, take } = yield* worker()
      yield* Effect.forEach(["a", "b"], (key) => add(key))
      const feed = yield* kit.watch("b")
      const { deliveries, dropped } = yield* exchange({ take: 5 })
      assert.deepStrictEqual(keysOf(deliveries), ["a"])
      assert.deepStrictEqual(dropped, [{ key: "b", task: "send" }])
      const event = yield* feed.next
      assert.deepStrictEqual([event.state, event.error], ["cancelled", undefined])
      const record = yield* read("b")
      assert.deepStrictEqual([record.state, record.error, record.deliveries], ["cancelled", undefined, 0])
      assert.isDefined(record.completed)
      assert.deepStrictEqual(yield* hindrance("b"), {
        _tag: "Dropped",
        by: "RateLimit",
        scope: "task:send:rate0",
        value: "",
        until: undefined
      })
      yield* pass(1_000)
      yield* add("b")
      assert.deepStrictEqual(keysOf(yield* take(5)), ["b"])
    }))

  test("RAT-03 ADM-09 attempts and further runs count, and an attempt over the limit is never dropped", (kit) =>
    Effect.gen(function* () {
      const { add, pass, read, worker } = under(kit, rate(2, 1_000, "drop"))
      const { exchange, settle, take, takeOne } = yield* worker()
      yield* add("a")
      yield* settle(yield* takeOne, retry(0))
      const second = yield* takeOne
      yield* add("b")
      assert.deepStrictEqual(keysOf((yield* exchange({ take: 5 })).dropped), ["b"])
      yield* settle(second, retry(0))
      assert.deepStrictEqual(yield* take(5), [])
      const waiting = yield* read("a")
      assert.deepStrictEqual([waiting.state, waiting.attempt], ["scheduled", 3])
      yield* pass(1_000)
      assert.deepStrictEqual(keysOf(yield* take(5)), ["a"])
    }))

  for (const onExceeded of ["delay", "drop"] as const) {
    test(`RAT-01 ADM-10 a redelivery counts, and waits at the head of the line while the window is full (${onExceeded})`, (kit) =>
      Effect.gen(function* () {
        const { add, pass, worker } = under(kit, rate(2, 3 * leaseMillis, onExceeded))
        yield* Effect.forEach(["a", "b"], (key) => add(key))
        const dead = yield* worker()
        const [, b] = yield* dead.take(5)
        yield* dead.settle(b!)
        if (onExceeded === "delay") yield* Effect.forEach(["c", "d"], (key) => add(key))
        assert.deepStrictEqual(yield* dead.take(5), [])
        yield* pass(leaseMillis)
        const heir = yield* worker()
        yield* heir.session.heartbeat
        assert.deepStrictEqual(yield* heir.take(5), [])
        yield* pass(2 * leaseMillis)
        assert.deepStrictEqual(keysOf(yield* heir.take(1)), ["a"])
        assert.deepStrictEqual(keysOf(yield* heir.take(5)), onExceeded === "delay" ? ["c"] : [])
      }))
  }

  test("RAT-03 a start that was not admitted by the worker after all does not count", (kit) =>
    Effect.gen(function* () {
      const { add, worker } = under(kit, rate(1, 1_000))
      const { settle, take, takeOne } = yield* worker()
      yield* add("a")
      yield* settle(yield* takeOne, postponed(500))
      yield* add("b")
      assert.deepStrictEqual(keysOf(yield* take(5)), ["b"])
    }))

  test("RAT-01 RAT-03 the runs of a key count also when its record has ended since", (kit) =>
    Effect.gen(function* () {
      const { add, pass, read, worker } = under(kit, rate(1, 4 * ttlMillis))
      const { settle, take, takeOne } = yield* worker()
      yield* add("a")
      yield* settle(yield* takeOne)
      yield* pass(ttlMillis)
      assert.isTrue(yield* kit.isUnknown("a"))
      yield* add("a")
      assert.deepStrictEqual(yield* take(5), [])
      assert.propertyVal((yield* read("a")).hindrance, "opens", beginning + 4 * ttlMillis)
    }))

  test("TTL-04 RAT-01 RAT-03 where nothing is kept, each run of a key counts, and one that is given back but once", (kit) =>
    Effect.gen(function* () {
      const store = yield* kit.open({ name: "keeps-nothing-of-starts", executionTtlMillis: 0 })
      const controls = new Map([["send", [rate(4, 1_000_000)]]])
      const { settle, take, takeOne } = yield* openWorker(store, { controls })
      const add = store.schedule([request("a", { values: [""] })])
      for (let n = 0; n < 2; n++) {
        yield* add
        yield* settle(yield* takeOne)
      }
      yield* add
      // Given back, so that its start is the next one's, and redelivered, which is another start.
      yield* settle(yield* takeOne, released)
      yield* takeOne
      yield* kit.pass(leaseMillis)
      const heir = yield* openWorker(store, { controls })
      yield* heir.session.heartbeat
      const again = yield* heir.takeOne
      assert.strictEqual(again.deliveries, 2)
      yield* heir.settle(again)
      yield* add
      assert.deepStrictEqual(yield* take(5), [])
      const [waits] = (yield* store.read(["a"])).map(Option.getOrThrow)
      assert.propertyVal(waits!.hindrance, "opens", beginning + 1_000_000)
    }))

  test("RAT-01 ADM-02 a redelivery that one rate limit holds back counts in none until it starts", (kit) =>
    Effect.gen(function* () {
      const { worker } = under(kit, rate(2, 10 * leaseMillis), rate(1, leaseMillis / 2, "delay", "task:send:rate1"))
      const add = (key: string, value: string) => kit.add(key, { values: [value, ""] })
      yield* add("a", "x")
      yield* (yield* worker()).take(1)
      yield* kit.pass(leaseMillis - 1)
      const heir = yield* worker()
      yield* add("b", "y")
      const b = yield* heir.takeOne
      assert.strictEqual(b.key, "b")
      yield* heir.settle(b)
      yield* kit.pass(1)
      yield* heir.session.heartbeat
      assert.deepStrictEqual(yield* heir.take(5), [])
      yield* kit.pass(leaseMillis / 2)
      assert.deepStrictEqual(keysOf(yield* heir.take(5)), ["a"])
      yield* kit.pass(leaseMillis / 2)
      yield* add("c", "x")
      yield* add("d", "z")
      assert.deepStrictEqual(keysOf(yield* heir.take(5)), ["d"])
    }))

  test("RAT-04 several rate limits hold together, each on its own value", (kit) =>
    Effect.gen(function* () {
      const { pass, worker } = under(kit, rate(1, 1_000), rate(2, 5_000, "delay", "task:send:rate1"))
      const { take } = yield* worker()
      const add = (key: string, a: string, b: string) => kit.add(key, { values: [a, b] })
      yield* add("a", "1", "1")
      yield* add("b", "2", "1")
      yield* add("c", "3", "1")
      yield* add("d", "3", "2")
      yield* add("e", "1", "2")
      // "c" waits for its second limit, and so takes no start from "d" in the first.
      assert.deepStrictEqual(keysOf(yield* take(9)), ["a", "b", "d"])
      yield* pass(1_000)
      assert.deepStrictEqual(keysOf(yield* take(9)), ["e"])
      yield* pass(4_000)
      assert.deepStrictEqual(keysOf(yield* take(9)), ["c"])
    }))

  test("RAT-05 CAN-01 a cancelled execution leaves its place in a rate limit", (kit) =>
    Effect.gen(function* () {
      const { add, pass, store, worker } = under(kit, rate(1, 1_000))
      const { take } = yield* worker()
      yield* Effect.forEach(["a", "b"], (key) => add(key))
      yield* take(5)
      yield* store.cancel(["b"])
      yield* add("c")
      yield* take(5)
      yield* pass(1_000)
      assert.deepStrictEqual(keysOf(yield* take(5)), ["c"])
    }))

  for (const [other, controls] of [
    ["no limit", new Map()],
    ["other limits", new Map([["send", [1, 2].map((n) => rate(9, 1_000, "delay", `task:send:rate${n}`))]])]
  ] as const) {
    test(`RAT-05 what starts under a contract with ${other} leaves its place in the one that it had`, (kit) =>
      Effect.gen(function* () {
        const { add, pass, worker } = under(kit, rate(1, 1_000))
        const before = yield* worker()
        const after = yield* kit.worker({ controls })
        yield* Effect.forEach(["a", "b", "c"], (key) => add(key))
        yield* before.take(5)
        yield* pass(2_000)
        for (const delivery of yield* takeTelling(
          after,
          Array.from(controls.get("send") ?? [], () => "")
        ))
          yield* after.settle(delivery)
        yield* add("d")
        assert.deepStrictEqual(keysOf(yield* before.take(5)), ["d"])
      }))
  }

  test("DEB-04 a round ends when its first submission runs, also under a contract without a debounce", (kit) =>
    Effect.gen(function* () {
      const { add, pass, worker } = under(kit, debounce(1_000))
      const before = yield* worker()
      const after = yield* kit.worker()
      yield* add("a")
      yield* before.take(5)
      yield* pass(1_000)
      const [ran] = yield* takeTelling(after, [])
      assert(ran?.key === "a")
      yield* after.settle(ran)
      yield* add("b")
      assert.deepStrictEqual((yield* before.exchange({ take: 5 })).dropped, [])
      yield* pass(1_000)
      assert.deepStrictEqual(keysOf(yield* before.take(5)), ["b"])
    }))

  test("COO-01 COO-02 the first runs and opens a window; those that would start within it are dropped", (kit) =>
    Effect.gen(function* () {
      const { add, hindrance, pass, worker } = under(kit, cooldown(10_000))
      const { exchange, take } = yield* worker()
      yield* add("a")
      yield* add("b")
      yield* add("other", of('"x"'))
      const first = yield* exchange({ take: 5 })
      assert.deepStrictEqual(keysOf(first.deliveries), ["a", "other"])
      assert.deepStrictEqual(keysOf(first.dropped), ["b"])
      yield* pass(9_999)
      yield* add("c")
      assert.deepStrictEqual(keysOf((yield* exchange({ take: 5 })).dropped), ["c"])
      assert.deepStrictEqual(yield* hindrance("c"), {
        _tag: "Dropped",
        by: "Cooldown",
        scope: "task:send:cooldown0",
        value: "",
        until: beginning + 10_000
      })
      yield* pass(1)
      yield* add("d")
      assert.deepStrictEqual(keysOf(yield* take(5)), ["d"])
    }))

  test("COO-03 ADM-02 one cooldown that blocks is enough, and then the others are not opened", (kit) =>
    Effect.gen(function* () {
      const { worker } = under(kit, cooldown(10_000), cooldown(10_000, "task:send:cooldown1"))
      const { exchange } = yield* worker()
      yield* kit.add("a", { values: ["1", "1"] })
      yield* kit.add("b", { values: ["2", "1"] })
      yield* kit.add("c", { values: ["2", "2"] })
      const { deliveries, dropped } = yield* exchange({ take: 5 })
      assert.deepStrictEqual(keysOf(deliveries), ["a", "c"])
      assert.deepStrictEqual(keysOf(dropped), ["b"])
    }))

  test("COO-04 ADM-09 a run that fails leaves its window open; its own attempts and redeliveries pass", (kit) =>
    Effect.gen(function* () {
      const { add, pass, worker } = under(kit, cooldown(10 * leaseMillis))
      const dead = yield* worker()
      yield* add("a")
      yield* dead.settle(yield* dead.takeOne, retry(0))
      assert.strictEqual((yield* dead.takeOne).attempt, 2)
      yield* pass(leaseMillis)
      const heir = yield* worker()
      yield* heir.session.heartbeat
      const again = yield* heir.takeOne
      assert.strictEqual(again.deliveries, 2)
      yield* heir.settle(again, failed)
      yield* add("b")
      assert.deepStrictEqual(keysOf((yield* heir.exchange({ take: 5 })).dropped), ["b"])
      // The key is scheduled anew: that is another execution.
      yield* add("a")
      assert.deepStrictEqual(keysOf((yield* heir.exchange({ take: 5 })).dropped), ["a"])
    }))

  test("COO-01 RAT-03 a run that is given back closes the window that it opened, and nobody else's", (kit) =>
    Effect.gen(function* () {
      const { add, pass, worker } = under(kit, cooldown(1_000))
      const { exchange, settle, take, takeOne } = yield* worker()
      yield* add("a")
      const a = yield* takeOne
      yield* pass(2_000)
      yield* add("b")
      const b = yield* takeOne
      yield* settle(a, postponed(60_000))
      yield* add("c")
      assert.deepStrictEqual(keysOf((yield* exchange({ take: 5 })).dropped), ["c"])
      yield* settle(b, postponed(60_000))
      yield* add("d")
      assert.deepStrictEqual(keysOf(yield* take(5)), ["d"])
    }))

  test("COO-04 ADM-09 a redelivery that is given back closes the window that the execution opened", (kit) =>
    Effect.gen(function* () {
      const { add, pass, worker } = under(kit, cooldown(10 * leaseMillis), cooldown(1_000, "task:send:cooldown1"))
      yield* add("a")
      yield* (yield* worker()).takeOne
      yield* pass(leaseMillis)
      const heir = yield* worker()
      yield* heir.session.heartbeat
      yield* heir.settle(yield* heir.takeOne, postponed(60_000))
      yield* add("b")
      assert.deepStrictEqual(keysOf(yield* heir.take(5)), ["b"])
    }))

  test("DEB-01 DEB-02 DEB-03 the first submission runs once it has been quiet, with its own payload", (kit) =>
    Effect.gen(function* () {
      const { add, hindrance, pass, read, worker } = under(kit, debounce(1_000))
      const { exchange } = yield* worker()
      const submit = Effect.fnUntraced(function* (key: string) {
        yield* add(key, { payload: JSON.stringify(key) })
        return yield* exchange({ take: 5 })
      })
      assert.deepStrictEqual((yield* submit("a")).deliveries, [])
      assert.deepStrictEqual(yield* hindrance("a"), {
        _tag: "Debounce",
        scope: "task:send:debounce0",
        value: "",
        until: beginning + 1_000
      })
      yield* pass(600)
      assert.deepStrictEqual(keysOf((yield* submit("b")).dropped), ["b"])
      yield* pass(600)
      assert.deepStrictEqual(keysOf((yield* submit("c")).dropped), ["c"])
      const waiting = yield* read("a")
      assert.deepStrictEqual([waiting.state, waiting.due - beginning, waiting.deliveries], ["scheduled", 2_200, 0])
      yield* pass(999)
      assert.deepStrictEqual((yield* exchange({ take: 5 })).deliveries, [])
      yield* pass(1)
      const { deliveries } = yield* exchange({ take: 5 })
      assert.deepStrictEqual(
        deliveries.map(({ payload }) => payload),
        ['"a"']
      )
      const round = yield* submit("d")
      assert.deepStrictEqual([round.deliveries, round.dropped], [[], []])
      assert.strictEqual((yield* read("d")).due - beginning, 3_200)
    }))

  test("DEB-01 the maximum bounds the wait of the first submission", (kit) =>
    Effect.gen(function* () {
      const { add, pass, worker } = under(kit, debounce(1_000, 2_500))
      const { exchange } = yield* worker()
      const ran: Array<string> = []
      for (let n = 0; n < 12; n++) {
        yield* add(`k${n}`)
        const { deliveries } = yield* exchange({ take: 5 })
        ran.push(...deliveries.map(({ key }) => `${key} at ${n * 500}`))
        yield* pass(500)
      }
      assert.deepStrictEqual(ran, ["k0 at 2500", "k5 at 5000"])
    }))

  test("DEB-04 a round ends with its first submission when that one is cancelled", (kit) =>
    Effect.gen(function* () {
      const { add, pass, store, worker } = under(kit, debounce(1_000))
      const { exchange, take } = yield* worker()
      yield* add("a")
      yield* take(5)
      yield* store.cancel(["a"])
      yield* add("b")
      assert.deepStrictEqual((yield* exchange({ take: 5 })).dropped, [])
      yield* pass(1_000)
      assert.deepStrictEqual(keysOf(yield* take(5)), ["b"])
    }))

  test("DEB-02 ADM-09 a further attempt does not wait for quiet again", (kit) =>
    Effect.gen(function* () {
      const { add, pass, worker } = under(kit, debounce(1_000))
      const { settle, take, takeOne } = yield* worker()
      yield* add("a")
      yield* take(1)
      yield* pass(1_000)
      yield* settle(yield* takeOne, retry(0))
      assert.strictEqual((yield* takeOne).attempt, 2)
    }))

  test("ADM-02 an execution that one control holds back gives back what another gave it", (kit) =>
    Effect.gen(function* () {
      const { state, worker } = under(kit, concurrency(1), rate(1, 10_000))
      const { settle, take, takeOne } = yield* worker()
      const add = (key: string, slot: string, starts: string) => kit.add(key, { values: [slot, starts] })
      yield* add("a", "1", "1")
      yield* add("b", "1", "1")
      yield* add("c", "1", "2")
      const a = yield* takeOne
      // "b" is over the rate limit, and must not take the slot from "c", nor "c" a start while it waits for its slot.
      assert.deepStrictEqual(yield* take(5), [])
      assert.deepStrictEqual([yield* state("b"), yield* state("c")], ["scheduled", "scheduled"])
      yield* add("d", "2", "2")
      assert.deepStrictEqual(keysOf(yield* take(5)), ["d"])
      yield* settle(a)
      assert.deepStrictEqual(yield* take(5), [])
      // The slot went to "c", which found its start taken by "d", and is free again.
      yield* add("e", "1", "3")
      assert.deepStrictEqual(keysOf(yield* take(5)), ["e"])
    }))

  test("CLR-01 clearing removes what waits behind limits, and counts it", (kit) =>
    Effect.gen(function* () {
      const { add, state, store, worker } = under(kit, concurrency(1))
      const { settle, take } = yield* worker()
      yield* Effect.forEach(["a", "b", "c", "d"], (key) => add(key))
      const [a] = yield* take(5)
      const feed = yield* kit.watch("b")
      assert.strictEqual(yield* store.clear, 3)
      assert.deepStrictEqual(yield* feed.states(1), ["cancelled"])
      assert.strictEqual(yield* state("a"), "running")
      yield* settle(a!)
      assert.deepStrictEqual(yield* store.depth, { queued: 0, scheduled: 0, running: 0 })
    }))

  test("SNP-01 a snapshot shows what waits behind limits", (kit) =>
    Effect.gen(function* () {
      const { add, store, worker } = under(kit, concurrency(1))
      const { take } = yield* worker()
      yield* add("later", { due: after(60_000) })
      yield* Effect.forEach(["a", "b", "c"], (key) => add(key))
      yield* take(5)
      const { depth, running, waiting } = yield* store.snapshot(10)
      assert.deepStrictEqual(depth, { queued: 0, scheduled: 3, running: 1 })
      assert.deepStrictEqual(keysOf(running), ["a"])
      assert.deepStrictEqual(keysOf(waiting), ["b", "c", "later"])
    }))

  test("a failed execution that is retried passes its controls anew", (kit) =>
    Effect.gen(function* () {
      const { add, store, worker } = under(kit, concurrency(1), cooldown(1_000))
      const { exchange, settle, takeOne } = yield* worker()
      yield* add("a")
      yield* settle(yield* takeOne, failed)
      assert.deepStrictEqual(yield* store.retryFailed(["a"]), [true])
      assert.deepStrictEqual(keysOf((yield* exchange({ take: 5 })).dropped), ["a"])
    }))

  test("TTL-04 limits work when nothing is kept", (kit) =>
    Effect.gen(function* () {
      const store = yield* kit.open({ name: "keeps-nothing", executionTtlMillis: 0 })
      const session = yield* store.open({
        name: "w",
        tasks: new Set(["send"]),
        contracts: contractsOf(new Map([["send", [concurrency(1), cooldown(1_000)]]])),
        recurring: new Set(),
        leaseMillis,
        maxDeliveries: 10,
        facts: new Map(),
        presenceMillis: 10_000
      })
      const exchange = (finished: ReadonlyArray<Delivery>) =>
        session.exchange({
          lease: freshLease(),
          resent: false,
          finished: finished.map((delivery) => settlement(delivery)),
          take: 5,
          strikes: ""
        })
      yield* store.schedule(["a", "b", "c"].map((key) => request(key, { values: ["1", JSON.stringify(key)] })))
      yield* store.schedule([request("d", { values: ["2", '"a"'] })])
      const first = yield* exchange([])
      assert.deepStrictEqual([keysOf(first.deliveries), keysOf(first.dropped)], [["a"], ["d"]])
      assert.isTrue(Option.isNone((yield* store.read(["d"]))[0]!))
      const second = yield* exchange(first.deliveries)
      assert.deepStrictEqual(keysOf(second.deliveries), ["b"])
      const third = yield* exchange(second.deliveries)
      yield* exchange(third.deliveries)
      assert.deepStrictEqual(yield* store.depth, { queued: 0, scheduled: 0, running: 0 })
    }))
}

const keys = ["a", "b", "c", "d", "e", "f", "g", "h"] as const
const Step = Schema.Union([
  Schema.TaggedStruct("Add", {
    key: Schema.Literals(keys),
    replace: Schema.Boolean,
    known: Schema.Boolean,
    delay: Schema.Literals([0, 0, 1_500])
  }),
  Schema.TaggedStruct("Cancel", { key: Schema.Literals(keys) }),
  Schema.TaggedStruct("Take", { worker: Schema.Literals([0, 1]), count: Schema.Literals([1, 3, 8]) }),
  Schema.TaggedStruct("Settle", {
    worker: Schema.Literals([0, 1]),
    which: Schema.Literals([0, 1, 2]),
    outcome: Schema.Literals(["Completed", "Retry", "Postponed", "Released", "Next"])
  }),
  Schema.TaggedStruct("Renew", { worker: Schema.Literals([0, 1]) }),
  Schema.TaggedStruct("Pass", { millis: Schema.Literals([100, 1_000, 4_000]) }),
  Schema.TaggedStruct("Open", {
    slots: Schema.Literals([1, 2, 3]),
    starts: Schema.Literals([2, 3, 5]),
    // Another contract, which finds other values.
    contract: Schema.Literals(["first", "first", "second"])
  }),
  Schema.TaggedStruct("Hold", {}),
  Schema.TaggedStruct("Restore", {}),
  Schema.TaggedStruct("Clear", {})
])

const lease = 4_000
const window = 2_000
const holdAll = new Strike({ operator: "==", value: null, hold: true })

/**
 * Plays random programs on a limit of slots for each of some values and a rate limit for all, which change now and then,
 * and looks at each start whether it was allowed.
 */
const play = Effect.fnUntraced(function* (kit: Kit, steps: ReadonlyArray<typeof Step.Type>) {
  const { store } = kit
  let limits = { slots: 2, starts: 3 }
  let contract = "first"
  const open = () =>
    kit.worker({
      leaseMillis: lease,
      maxDeliveries: 1_000,
      contracts: new Map([
        ["send", { fingerprint: contract, controls: [concurrency(limits.slots), rate(limits.starts, window)] }]
      ])
    })
  const workers = [yield* open(), yield* open()]
  /** What runs: those whose workers have not settled them, and have renewed their leases in time. */
  const running = new Map<Delivery, { worker: number; expires: number; value: string }>()
  /** The starts that count, and of them those that runs given back can start on once more. */
  const starts = new Set<{ readonly key: string; readonly at: number }>()
  const startOf = new Map<Delivery, { readonly key: string; readonly at: number }>()
  const kept = new Map<string, { readonly key: string; readonly at: number }>()
  let strikes = ""
  let now = 0
  const valueOf = (key: string, of: string) =>
    of === "first" ? (key < "e" ? '"x"' : '"y"') : `"${key < "c" || key > "f"}"`
  const termsIn = (key: string, of = contract) => ({ contract: of, values: [valueOf(key, of), ""] })

  const start = (delivery: Delivery, worker: number, of: string) => {
    const { key } = delivery
    const value = valueOf(key, of)
    const beside = [...running.values()].filter((run) => run.value === value).length
    assert.isBelow(beside, limits.slots, `${key} starts beside ${beside} others of ${value}`)
    const own = kept.get(key)
    kept.delete(key)
    const isOwn = own !== undefined && starts.has(own) && own.at > now - window
    const start = isOwn ? own : { key, at: now }
    if (!isOwn) {
      const counted = [...starts].filter(({ at }) => at > now - window).length
      assert.isBelow(counted, limits.starts, `${key} starts after ${counted} others`)
      starts.add(start)
    }
    startOf.set(delivery, start)
    running.set(delivery, { worker, expires: now + lease, value })
  }

  const contractOf = ["first", "first"]
  const take = Effect.fnUntraced(function* (worker: number, count: number) {
    const self = workers[worker]!
    const of = contractOf[worker]!
    let finished: ReadonlyArray<Delivery> = []
    let taken = 0
    for (;;) {
      const reply = yield* self.exchange({
        finished: finished.map((delivery) =>
          settlement(
            delivery,
            strikes === ""
              ? { _tag: "Determined", terms: termsIn(delivery.key, of), strikes }
              : { _tag: "Held", strikes }
          )
        ),
        take: count,
        strikes
      })
      finished = reply.undetermined
      taken += reply.deliveries.length
      for (const delivery of reply.deliveries) start(delivery, worker, of)
      if (finished.length === 0) return taken
    }
  })

  const settle = Effect.fnUntraced(function* (worker: TestWorker, delivery: Delivery, outcome: Outcome) {
    running.delete(delivery)
    const status = yield* worker.settle(delivery, outcome)
    const start = startOf.get(delivery)
    if (status !== "applied" || start === undefined) return
    const { state } = yield* kit.read(delivery.key)
    if (state === "cancelled") return
    if (outcome._tag === "Postponed") starts.delete(start)
    if (outcome._tag === "Released") kept.set(delivery.key, start)
  })

  const outcomes: Record<string, Outcome> = {
    Completed: completed,
    Retry: retry(0),
    Postponed: postponed(1_000),
    Released: released,
    Next: next
  }

  const run = Effect.fnUntraced(function* (step: typeof Step.Type) {
    switch (step._tag) {
      case "Add": {
        const terms = step.known ? termsIn(step.key) : undefined
        const one = request(step.key, { replace: step.replace, due: after(step.delay), terms, judged: strikes === "" })
        const { dispositions } = yield* store.scheduleKnowing([one], strikes)
        // What was given back has its start no more once it is another schedule.
        if (dispositions[0] !== "already-scheduled") kept.delete(step.key)
        return
      }
      case "Cancel":
        kept.delete(step.key)
        return yield* store.cancel([step.key])
      case "Clear":
        kept.clear()
        return void (yield* store.clear)
      case "Take":
        return void (yield* take(step.worker, step.count))
      case "Settle": {
        const mine = [...running].filter(([, { worker }]) => worker === step.worker)
        const one = mine[step.which % Math.max(1, mine.length)]
        if (one !== undefined) yield* settle(workers[step.worker]!, one[0], outcomes[step.outcome]!)
        return
      }
      case "Renew": {
        const mine = [...running].filter(([, { worker }]) => worker === step.worker)
        yield* workers[step.worker]!.renew(...mine.map(([delivery]) => delivery))
        for (const [, hold] of mine) hold.expires = now + lease
        return
      }
      case "Open": {
        // The worker of the earlier release is gone, and what it ran with it.
        limits = step
        contract = step.contract
        for (const run of running.values()) run.worker = 0
        workers[1] = yield* open()
        contractOf[1] = contract
        // All go by the contract of today: the other one asks what it does not know.
        workers[0] = yield* open()
        contractOf[0] = contract
        return
      }
      case "Hold":
        strikes = (yield* store.strike(holdAll)).version
        return
      case "Restore":
        strikes = (yield* store.restore([holdAll])).version
        return
      case "Pass": {
        yield* kit.pass(step.millis)
        now += step.millis
        for (const [delivery, { expires }] of running) if (expires <= now) running.delete(delivery)
        yield* workers[0]!.session.heartbeat
      }
    }
  })

  for (const step of steps) yield* run(step)
  // In the end everything ends.
  yield* run({ _tag: "Restore" })
  for (let n = 0; n < 100; n++) {
    for (const [delivery, { worker }] of running) yield* settle(workers[worker]!, delivery, completed)
    yield* run({ _tag: "Pass", millis: 1_000 })
    const taken = yield* take(0, 8)
    if (taken === 0 && n > 12) break
  }
  assert.deepStrictEqual(yield* store.depth, { queued: 0, scheduled: 0, running: 0 })
  assert.deepStrictEqual(yield* takeAll(workers[0]!), [])
})

/** Random programs on limits. */
export const limitsModel = (it: Vitest.MethodsNonLive<Harness>, programs: number) => {
  it.effect.prop(
    "CON-01 RAT-01 ADM-12 no interleaving starts more than the limits allow, or keeps an execution for ever",
    { steps: Schema.Array(Step).check(Schema.isMinLength(10), Schema.isMaxLength(60)) },
    ({ steps }) =>
      Effect.gen(function* () {
        const harness = yield* Harness
        yield* Effect.scoped(Effect.flatMap(makeKit, (kit) => play(kit, steps)))
        yield* harness.afterEach
      }).pipe(Effect.provide(TestClock.layer())),
    { timeout: 120_000, arbitrary: { runs: programs, size: 60 } }
  )
}
