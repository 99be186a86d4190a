/** Lines and gates: what keeps its place, its pace and its word behind limits (RAT, CON, ADM), as far as the store decides it. */
import { assert } from "@effect/vitest"
import { Effect, Option, type Scope } from "effect"
import type { Control } from "../../../src/Admission.ts"
import type { Delivery, Outcome } from "../../../src/DocketStore.ts"
import { Strike } from "../../../src/Strike.ts"
import {
  after,
  beginning,
  cancelled,
  completed,
  determined,
  failed,
  keysOf,
  type Kit,
  leaseMillis,
  postponed,
  released,
  request,
  type RequestOptions,
  retry,
  settlement,
  type Test,
  type TestWorker,
  type TestWorkerOptions
} from "./kit.ts"

const concurrency = (limit: number, scope = "task:send:concurrency0"): Control => ({
  _tag: "Concurrency",
  scope,
  limit
})
const rate = (limit: number, perMillis: number, scope = "task:send:rate0"): Control => ({
  _tag: "RateLimit",
  scope,
  limit,
  perMillis,
  onExceeded: "delay"
})
const dropping = (limit: number, perMillis: number): Control => ({
  _tag: "RateLimit",
  scope: "task:send:rate0",
  limit,
  perMillis,
  onExceeded: "drop"
})
const cooldown = (windowMillis: number): Control => ({ _tag: "Cooldown", scope: "task:send:cooldown0", windowMillis })
const debounce = (settleMillis: number): Control => ({
  _tag: "Debounce",
  scope: "task:send:debounce0",
  settleMillis,
  maximumMillis: undefined
})

/** A kit whose workers have these controls on the task `send`, and whose requests have a value for each. */
const under = (kit: Kit, ...controls: ReadonlyArray<Control>) => ({
  ...kit,
  worker: (options?: TestWorkerOptions) => kit.worker({ controls: new Map([["send", controls]]), ...options }),
  add: (key: string, options?: RequestOptions) => kit.add(key, { values: controls.map(() => ""), ...options }),
  replace: (key: string, options?: RequestOptions) => kit.replace(key, { values: controls.map(() => ""), ...options })
})

const pause = new Strike({ operator: "==", value: null, hold: true })

/** Answers what a worker is asked, and takes what it is given, until it is given nothing. */
const takeTelling = Effect.fnUntraced(function* (
  worker: TestWorker,
  tell: (key: string) => Outcome,
  options: { readonly take?: number; readonly strikes?: string } = {}
) {
  const all: Array<Delivery> = []
  const request = { take: 5, strikes: "", ...options }
  let reply = yield* worker.exchange(request)
  for (;;) {
    all.push(...reply.deliveries)
    if (reply.undetermined.length === 0) return all
    const finished = reply.undetermined.map((delivery) => settlement(delivery, tell(delivery.key)))
    reply = yield* worker.exchange({ ...request, finished })
  }
})

export const admission = (test: Test) => {
  test("RAT-02 RAT-06 one that starts late costs the others no more than its own lateness, and no order", (kit) =>
    Effect.gen(function* () {
      const { add, pass, worker } = under(kit, rate(1, 1_000))
      const { session, take } = yield* worker()
      yield* Effect.forEach(Array.from({ length: 10 }), (_, n) => add(`k${n}`))
      const starts: Array<string> = []
      for (let now = 0; starts.length < 10;) {
        for (const { key } of yield* take(5)) starts.push(`${key} at ${now}`)
        const { nextDueMillis } = yield* session.heartbeat
        if (nextDueMillis === undefined) break
        // The third is 200 ms late.
        const wait = starts.length === 2 ? nextDueMillis + 200 : nextDueMillis
        yield* pass(wait)
        now += wait
      }
      assert.deepStrictEqual(
        starts,
        Array.from({ length: 10 }, (_, n) => `k${n} at ${n * 1_000 + (n >= 2 ? 200 : 0)}`)
      )
    }))

  test("RAT-02 a window of several opens for each at its own moment, also after a time without workers", (kit) =>
    Effect.gen(function* () {
      const { add, pass, worker } = under(kit, rate(3, 1_000))
      const { session, take } = yield* worker()
      const starts: Array<number> = []
      let now = 0
      const step = Effect.fnUntraced(function* (millis: number) {
        yield* pass(millis)
        now += millis
        for (const _ of yield* take(20)) starts.push(now)
      })
      yield* Effect.forEach(Array.from({ length: 15 }), (_, n) => add(`k${n}`))
      yield* pass(100)
      now = 100
      for (const _ of yield* take(2)) starts.push(now)
      yield* step(300)
      yield* step(3_600)
      while (starts.length < 15) {
        const { nextDueMillis } = yield* session.heartbeat
        assert(nextDueMillis !== undefined)
        yield* step(nextDueMillis)
      }
      assert.deepStrictEqual(
        starts,
        [100, 100, 400, 4_000, 4_000, 4_000, 5_000, 5_000, 5_000, 6_000, 6_000, 6_000, 7_000, 7_000, 7_000]
      )
    }))

  for (const [what, change] of Object.entries({
    cancelled: ({ store }) => store.cancel(["b", "d"]),
    "replaced by later ones": ({ replace }) =>
      Effect.forEach(["b", "d"], (key) => replace(key, { due: after(60_000) })),
    "put off by whom they were lent to": Effect.fnUntraced(function* ({ pass, worker }) {
      const other = yield* worker()
      yield* pass(1_000)
      yield* other.settle(yield* other.takeOne, postponed(60_000))
      yield* other.settle(yield* other.takeOne, completed)
      yield* pass(1_000)
      yield* other.settle(yield* other.takeOne, postponed(60_000))
    })
  } satisfies Record<string, (kit: ReturnType<typeof under>) => Effect.Effect<unknown, unknown, Scope.Scope>>)) {
    test(`RAT-02 those behind do not miss executions that are ${what}`, (kit) =>
      Effect.gen(function* () {
        const limited = under(kit, rate(1, 1_000))
        const { add, pass, worker } = limited
        const { take } = yield* worker()
        yield* Effect.forEach(["a", "b", "c", "d", "e"], (key) => add(key))
        assert.deepStrictEqual(keysOf(yield* take(5)), ["a"])
        yield* change(limited)
        const starts: Array<string> = []
        for (let n = 0; n < 40; n++) {
          starts.push(...keysOf(yield* take(5)))
          yield* pass(100)
        }
        assert.deepStrictEqual(starts, what.startsWith("put off") ? ["e"] : ["c", "e"])
      }))
  }

  test("RAT-02 given back by a stopping worker, a run keeps its place and its start", (kit) =>
    Effect.gen(function* () {
      const { add, pass, worker } = under(kit, rate(2, 20_000))
      const stopping = yield* worker()
      const { take } = yield* worker()
      yield* Effect.forEach(["a", "b", "c", "d"], (key) => add(key))
      const [a, b] = yield* stopping.take(5)
      assert.deepStrictEqual([a?.key, b?.key], ["a", "b"])
      yield* pass(3_000)
      yield* stopping.settle(a!, released)
      yield* stopping.settle(b!, released)
      // They start at once, on the starts that they had, and no other does.
      assert.deepStrictEqual(keysOf(yield* take(5)), ["a", "b"])
      yield* pass(16_999)
      assert.deepStrictEqual(yield* take(5), [])
      yield* pass(1)
      assert.deepStrictEqual(keysOf(yield* take(5)), ["c", "d"])
    }))

  test("RAT-01 RAT-02 given back for longer than the window, a run starts anew, and first", (kit) =>
    Effect.gen(function* () {
      const { add, pass, worker } = under(kit, rate(1, 1_000))
      const { settle, take, takeOne } = yield* worker()
      yield* Effect.forEach(["a", "b", "c"], (key) => add(key))
      const a = yield* takeOne
      assert.deepStrictEqual(yield* take(5), [])
      yield* pass(1_000)
      const [b] = yield* take(5)
      assert.strictEqual(b?.key, "b")
      yield* settle(a, released)
      assert.deepStrictEqual(yield* take(5), [])
      yield* pass(1_000)
      const again = yield* take(5)
      assert.deepStrictEqual(
        again.map(({ deliveries, key }) => [key, deliveries]),
        [["a", 1]]
      )
      yield* pass(1_000)
      assert.deepStrictEqual(keysOf(yield* take(5)), ["c"])
    }))

  test("CON-08 given back, a run of a concurrency limit is the next to start at it", (kit) =>
    Effect.gen(function* () {
      const { add, worker } = under(kit, concurrency(1))
      const { exchange, takeOne, take } = yield* worker()
      yield* Effect.forEach(["a", "b"], (key) => add(key))
      const a = yield* takeOne
      assert.deepStrictEqual(yield* take(5), [])
      const { deliveries } = yield* exchange({ finished: [settlement(a, released)], take: 5 })
      assert.deepStrictEqual(keysOf(deliveries), ["a"])
    }))

  test("PRI-02 what waits behind a limit and what does not are claimed in the order of their arrival", (kit) =>
    Effect.gen(function* () {
      const { add, worker } = under(kit, concurrency(1))
      const { settle, take, takeOne } = yield* worker({ tasks: new Set(["send", "plain"]) })
      yield* Effect.forEach(["a", "b", "c"], (key) => add(key))
      const a = yield* takeOne
      yield* kit.add("p", { task: "plain" })
      assert.deepStrictEqual(keysOf(yield* take(1)), ["p"])
      yield* kit.add("q", { task: "plain" })
      yield* add("d")
      yield* kit.add("r", { task: "plain" })
      yield* settle(a)
      const [b] = yield* take(1)
      assert(b?.key === "b")
      yield* settle(b)
      assert.deepStrictEqual(keysOf(yield* take(1)), ["c"])
      assert.deepStrictEqual(keysOf(yield* take(5)), ["q", "r"])
    }))

  test("CON-09 RAT-02 an execution that needs two limits takes from neither while one is closed", (kit) =>
    Effect.gen(function* () {
      const { pass, store, worker } = under(kit, concurrency(1), rate(1, 1_000))
      const { settle, take, takeOne } = yield* worker()
      const add = (key: string, slot: string, starts: string) => kit.add(key, { values: [slot, starts] })
      yield* add("a", "1", "1")
      yield* add("b", "1", "1")
      yield* add("c", "1", "1")
      yield* add("d", "2", "1")
      const a = yield* takeOne
      assert.deepStrictEqual(yield* take(5), [])
      yield* settle(a)
      assert.deepStrictEqual(yield* take(5), [])
      yield* store.cancel(["b"])
      yield* pass(1_000)
      assert.deepStrictEqual(keysOf(yield* take(5)), ["c"])
      yield* pass(1_000)
      assert.deepStrictEqual(keysOf(yield* take(5)), ["d"])
      assert.deepStrictEqual(yield* store.depth, { queued: 0, scheduled: 0, running: 2 })
    }))

  test("ADM-08 RAT-02 two tasks that share a limit start in the order in which they came", (kit) =>
    Effect.gen(function* () {
      const shared = [rate(1, 1_000, "scope:api")]
      const { take } = yield* kit.worker({
        tasks: new Set(["send", "other"]),
        controls: new Map([
          ["send", shared],
          ["other", shared]
        ])
      })
      const tasks = ["send", "other", "other", "send", "other"]
      yield* Effect.forEach(tasks, (task, n) => kit.add(`k${n}`, { task, values: [""] }))
      const starts: Array<string> = []
      for (let n = 0; n < 5; n++) {
        starts.push(...keysOf(yield* take(5)))
        yield* kit.pass(1_000)
      }
      assert.deepStrictEqual(starts, ["k0", "k1", "k2", "k3", "k4"])
    }))

  for (const [what, control] of [
    ["cooldown", cooldown(1_000)],
    ["dropping rate limit", dropping(1, 1_000)]
  ] as const) {
    for (const [how, again] of Object.entries({
      "a retry": (worker, delivery) => worker.settle(delivery, retry(0)),
      "one that is given back": (worker, delivery) => worker.settle(delivery, released),
      "a redelivery": (_, __, kit) => kit.pass(leaseMillis)
    } satisfies Record<
      string,
      (worker: TestWorker, delivery: Delivery, kit: Kit) => Effect.Effect<unknown, unknown>
    >)) {
      test(`ADM-10 ${how} is not dropped by the next window of a ${what} that another has opened`, (kit) =>
        Effect.gen(function* () {
          const { add, pass, read, worker } = under(kit, control)
          const first = yield* worker()
          const second = yield* worker()
          yield* add("a")
          const a = yield* first.takeOne
          yield* pass(1_000)
          yield* add("b")
          const b = yield* second.takeOne
          yield* again(first, a, kit)
          yield* second.renew(b)
          yield* second.session.heartbeat
          yield* pass(1_000)
          const { deliveries, dropped } = yield* second.exchange({ take: 5 })
          assert.deepStrictEqual([keysOf(dropped), keysOf(deliveries)], [[], ["a"]])
          assert.strictEqual((yield* read("a")).state, "running")
        }))
    }
  }

  test("ADM-10 one that a strike held after its first start passes the cooldown that it had passed", (kit) =>
    Effect.gen(function* () {
      const { add, pass, store, worker } = under(kit, cooldown(1_000))
      const first = yield* worker()
      yield* add("a")
      yield* first.settle(yield* first.takeOne, retry(0))
      const { version } = yield* store.strike(pause)
      const holding: Outcome = { _tag: "Held", strikes: version }
      assert.deepStrictEqual(yield* takeTelling(first, () => holding, { strikes: version }), [])
      yield* pass(2_000)
      yield* store.restore([pause])
      yield* add("b")
      const keys = keysOf(yield* takeTelling(first, () => determined([""]), { take: 1 }))
      assert.deepStrictEqual(keys, ["a"])
      assert.deepStrictEqual(keysOf((yield* first.exchange({ take: 5 })).dropped), ["b"])
    }))

  test("ADM-11 of a task that recurs, a run that a control drops is asked about, and the key goes on", (kit) =>
    Effect.gen(function* () {
      const { add, pass, read, worker } = under(kit, cooldown(10_000))
      const recurring = new Set(["send"])
      const { exchange, takeOne } = yield* worker({ recurring })
      yield* add("other")
      yield* takeOne
      yield* add("a", { payload: "[1]" })
      const feed = yield* kit.watch("a")
      const asked = yield* exchange({ take: 5 })
      assert.deepStrictEqual([asked.deliveries, asked.dropped], [[], []])
      const [a] = asked.undetermined
      assert.deepStrictEqual([a?.key, a?.skipped, a?.payload], ["a", "dropped", "[1]"])
      assert.strictEqual((yield* read("a")).state, "queued")
      const skip = settlement(a!, { _tag: "Skipped", next: { due: after(60_000), payload: "[2]" } })
      assert.deepStrictEqual((yield* exchange({ finished: [skip], take: 5 })).settled, ["applied"])
      const next = yield* read("a")
      assert.deepStrictEqual(
        [next.state, next.due - beginning, next.payload, next.generation, next.attempt, next.deliveries],
        ["scheduled", 60_000, "[2]", 2, 1, 0]
      )
      assert.deepStrictEqual(yield* feed.states(2), ["cancelled", "scheduled"])
      assert.deepStrictEqual((yield* exchange({ finished: [skip] })).settled, ["lost"])
      yield* pass(60_000)
      const again = yield* takeTelling(yield* worker({ recurring }), () => determined([""]))
      assert.deepStrictEqual(keysOf(again), ["a"])
    }))

  test("ADM-11 a run that is dropped and has no next one is cancelled", (kit) =>
    Effect.gen(function* () {
      const { add, read, worker } = under(kit, cooldown(10_000))
      const { exchange, takeOne } = yield* worker({ recurring: new Set(["send"]) })
      yield* add("other")
      yield* takeOne
      yield* add("a")
      const { undetermined } = yield* exchange({ take: 5 })
      const finished = undetermined.map((delivery) => settlement(delivery, { _tag: "Skipped", next: undefined }))
      yield* exchange({ finished })
      const { hindrance, state } = yield* read("a")
      assert.strictEqual(state, "cancelled")
      assert.propertyVal(hindrance, "by", "Cooldown")
    }))

  test("ADM-12 what waits at a rate limit starts sooner once the limit is raised, and later once it is lowered", (kit) =>
    Effect.gen(function* () {
      const { add, pass, worker } = under(kit, rate(1, 10_000))
      const slow = yield* worker()
      yield* Effect.forEach(["a", "b", "c", "d", "e", "f"], (key) => add(key))
      assert.deepStrictEqual(keysOf(yield* slow.take(5)), ["a"])
      yield* pass(1_000)
      const fast = yield* kit.worker({ controls: new Map([["send", [rate(3, 10_000)]]]) })
      assert.deepStrictEqual(keysOf(yield* fast.take(5)), ["b", "c"])
      assert.strictEqual((yield* fast.session.heartbeat).nextDueMillis, 9_000)
      const slower = yield* worker()
      yield* pass(9_000)
      assert.deepStrictEqual(yield* fast.take(5), [])
      yield* pass(1_000)
      assert.deepStrictEqual(keysOf(yield* slower.take(5)), ["d"])
    }))

  for (const [what, controls, values, keys] of [
    ["removed limit", [], [], ["b", "c"]],
    ["an added one", [concurrency(1), rate(9, 1_000)], ["", ""], []],
    ["another `by`", [concurrency(1)], ["new"], ["b"]]
  ] as const) {
    test(`ADM-12 ${what} holds for what waits, and each keeps its place`, (kit) =>
      Effect.gen(function* () {
        const { add, worker } = under(kit, concurrency(1))
        const old = yield* worker()
        yield* Effect.forEach(["a", "b", "c"], (key) => add(key))
        assert.deepStrictEqual(keysOf(yield* old.take(5)), ["a"])
        const terms = { contract: controls.length === 0 ? "" : "another", values }
        const contracts = controls.length === 0 ? new Map() : new Map([["send", { fingerprint: "another", controls }]])
        const renewed = yield* kit.worker({ contracts })
        assert.strictEqual((yield* renewed.session.heartbeat).work, true)
        const told: Outcome = { _tag: "Determined", terms, strikes: "" }
        assert.deepStrictEqual(keysOf(yield* takeTelling(renewed, () => told)), Array.from<string>(keys))
      }))
  }

  test("ADM-14 a worker that does not know the task leaves its debounce as it is", (kit) =>
    Effect.gen(function* () {
      const { add, pass, worker } = under(kit, debounce(1_000))
      const able = yield* worker()
      const unable = yield* kit.worker({ tasks: new Set(["other"]) })
      yield* add("a")
      assert.deepStrictEqual(yield* able.take(5), [])
      yield* pass(1_000)
      assert.deepStrictEqual((yield* unable.exchange({ take: 5 })).unknown, [{ task: "send", waiting: 1 }])
      yield* add("b")
      const { deliveries, dropped } = yield* able.exchange({ take: 5 })
      assert.deepStrictEqual([keysOf(deliveries), keysOf(dropped)], [["a"], []])
      yield* pass(1_000)
      assert.deepStrictEqual(keysOf(yield* able.take(5)), ["b"])
    }))

  test("ADM-14 UNK-01 one that was set aside keeps its place in the line of its limit", (kit) =>
    Effect.gen(function* () {
      const { add, pass, worker } = under(kit, rate(1, 1_000))
      const able = yield* worker()
      const unable = yield* kit.worker({ tasks: new Set(["other"]) })
      yield* Effect.forEach(["a", "b", "c"], (key) => add(key))
      assert.deepStrictEqual(keysOf(yield* able.take(5)), ["a"])
      yield* pass(1_000)
      assert.strictEqual((yield* unable.exchange({ take: 1 })).unknown.length, 1)
      yield* add("d")
      const starts: Array<string> = []
      for (let n = 0; n < 4; n++) {
        starts.push(...keysOf(yield* able.take(5)))
        yield* pass(1_000)
      }
      assert.deepStrictEqual(starts, ["b", "c", "d"])
    }))

  test("ADM-13 a scope with a value never shares a limit with a scope of that name", (kit) =>
    Effect.gen(function* () {
      const controls = new Map([
        ["send", [concurrency(1, "scope:api")]],
        ["other", [concurrency(1, "scope:api:1")]]
      ])
      const { take } = yield* kit.worker({ tasks: new Set(["send", "other"]), controls })
      yield* kit.add("a", { values: ["1"] })
      yield* kit.add("b", { task: "other", values: [""] })
      assert.deepStrictEqual(keysOf(yield* take(5)), ["a", "b"])
    }))

  for (const [what, dropOrRefuse] of Object.entries({
    "dropped by a control": (worker) => worker.exchange({ take: 5 }),
    struck: (worker, version) => takeTelling(worker, () => cancelled, { strikes: version })
  } satisfies Record<string, (worker: TestWorker, version: string) => Effect.Effect<unknown, unknown>>)) {
    test(`SCH-21 ${what}, an execution that never ran leaves the last run of its key as it was`, (kit) =>
      Effect.gen(function* () {
        const { pass, read, store, worker } = under(kit, cooldown(10_000))
        const ran = yield* worker()
        yield* kit.add("a", { values: [""], payload: "[1]", trace: "00-old" })
        yield* ran.settle(yield* ran.takeOne, completed)
        const before = yield* read("a")
        yield* pass(1_000)
        const { version } = what === "struck" ? yield* store.strike(pause) : { version: "" }
        const replies = yield* store.scheduleKnowing(
          [request("a", { values: [""], payload: "[2]", judged: what !== "struck" })],
          version
        )
        assert.deepStrictEqual(replies.dispositions, ["scheduled"])
        assert.strictEqual((yield* read("a")).state, "queued")
        yield* dropOrRefuse(ran, version)
        assert.deepStrictEqual(yield* read("a"), before)
        if (what === "struck") yield* store.restore([pause])
        yield* pass(10_000)
        // The next schedule is told from the one that never ran.
        yield* kit.add("a", { values: [""], payload: "[3]" })
        const again = yield* ran.takeOne
        assert.deepStrictEqual([again.payload, again.generation], ["[3]", 3])
        assert.strictEqual(Option.getOrThrow((yield* store.read(["a"]))[0]!).result, undefined)
        yield* ran.settle(again, failed)
      }))
  }

  test("STR-01 what a strike held is let go at once, however many are then dropped", (kit) =>
    Effect.gen(function* () {
      const { add, store, worker } = under(kit, cooldown(10_000))
      const { exchange, session } = yield* worker()
      const { version } = yield* store.strike(pause)
      const keys = Array.from({ length: 450 }, (_, n) => `k${n}`)
      yield* store.scheduleKnowing(
        keys.map((key) => request(key, { values: [""], judged: false })),
        version
      )
      for (let left = keys.length; left > 0;) {
        const { undetermined } = yield* exchange({ take: 100, strikes: version })
        const finished = undetermined.map((delivery) => settlement(delivery, { _tag: "Held", strikes: version }))
        yield* exchange({ finished, strikes: version })
        left -= undetermined.length
      }
      yield* store.restore([pause])
      const dropped: Array<string> = []
      const started: Array<string> = []
      while (started.length + dropped.length < keys.length) {
        // There is no moment at which a worker would rest with some of them left.
        assert.strictEqual((yield* session.heartbeat).work, true)
        const reply = yield* exchange({ take: 100 })
        const finished = reply.undetermined.map((delivery) => settlement(delivery, determined([""])))
        const more = finished.length === 0 ? reply : yield* exchange({ finished, take: 100 })
        for (const { deliveries, dropped: some } of more === reply ? [reply] : [reply, more]) {
          started.push(...keysOf(deliveries))
          dropped.push(...keysOf(some))
        }
      }
      assert.deepStrictEqual([started, dropped.length], [["k0"], 449])
      yield* add("k0")
    }))
}
