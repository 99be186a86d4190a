/** What a run leaves behind: STA, GEN, WRK, TTL, recurrence, unknown tasks, isolation. */
import { assert } from "@effect/vitest"
import { Effect, Option, Queue } from "effect"
import type { Outcome } from "../../../src/DocketStore.ts"
import {
  after,
  beginning,
  at,
  cancelled,
  completed,
  failed,
  freshLease,
  keysOf,
  liveCount,
  openWorker,
  postponed,
  released,
  request,
  retry,
  settlement,
  takeAll,
  takeCancellation,
  type Test,
  ttlMillis
} from "./kit.ts"

export const running = (test: Test) => {
  for (const [outcome, state] of [
    [completed, "completed"],
    [failed, "failed"],
    [cancelled, "cancelled"]
  ] as const) {
    test(`STA-01 later work is seen to be scheduled, queued, running and ${state}, each once`, ({
      add,
      pass,
      watch,
      worker
    }) =>
      Effect.gen(function* () {
        const { name, settle, takeOne } = yield* worker()
        const feed = yield* watch("k")
        yield* add("k", { due: after(1_000) })
        yield* pass(1_500)
        const delivery = yield* takeOne
        yield* pass(2_000)
        yield* settle(delivery, outcome)
        // The marker: what follows the settled state is the next life of the key.
        yield* add("k")
        const none = { due: undefined, worker: undefined, started: undefined, completed: undefined, error: undefined }
        const event = {
          ...none,
          _tag: "Changed",
          key: "k",
          task: "send",
          isHeldBack: false,
          generation: 1,
          deliveries: 0
        } as const
        const due = 1_700_000_001_000
        const started = 1_700_000_001_500
        const events = yield* feed.take(5)
        assert.deepStrictEqual(events[0], { ...event, state: "scheduled", due })
        assert.deepStrictEqual(events[1], { ...event, state: "queued", due })
        assert.deepStrictEqual(events[2], { ...event, state: "running", deliveries: 1, worker: name, started })
        assert.strictEqual(events[3]?.state, state)
        assert.strictEqual(events[3]?.completed, 1_700_000_003_500)
        assert.strictEqual(events[3]?.error, state === "failed" ? "Boom: it went wrong" : undefined)
        assert.deepStrictEqual(events[4], { ...event, generation: 2, state: "queued", due: 1_700_000_003_500 })
      }))
  }

  test("STA-02 starting records the worker and the time", ({ add, pass, read, worker }) =>
    Effect.gen(function* () {
      const { name, takeOne } = yield* worker()
      yield* add("k")
      yield* pass(1_234)
      assert.strictEqual((yield* takeOne).started, 1_700_000_001_234)
      const { completed, deliveries, due, started, state, worker: by } = yield* read("k")
      assert.deepStrictEqual(
        { completed, deliveries, due, started, state, by },
        {
          completed: undefined,
          deliveries: 1,
          due: 1_700_000_000_000,
          started: 1_700_000_001_234,
          state: "running",
          by: name
        }
      )
    }))

  test("STA-03 settling records the time and what came of it", ({ add, pass, read, worker }) =>
    Effect.gen(function* () {
      const { name, settle, take } = yield* worker()
      yield* Effect.forEach(["completed", "nothing", "failed", "untyped"], (key) => add(key))
      const [first, second, third, fourth] = yield* take(4)
      yield* pass(777)
      yield* settle(first!, { _tag: "Completed", result: '{"n":1}' })
      yield* settle(second!, { _tag: "Completed", result: undefined })
      yield* settle(third!, { _tag: "Failed", error: "Boom: it went wrong", failure: '{"_tag":"Boom"}' })
      yield* settle(fourth!, { _tag: "Failed", error: "TypeError: no", failure: undefined })
      const ends = yield* Effect.forEach(["completed", "nothing", "failed", "untyped"], (key) =>
        Effect.map(read(key), ({ completed, error, failure, result, state, worker }) => {
          assert.strictEqual(completed, 1_700_000_000_777)
          assert.strictEqual(worker, name)
          return { error, failure, result, state }
        })
      )
      const none = { error: undefined, failure: undefined, result: undefined }
      assert.deepStrictEqual(ends, [
        { ...none, result: '{"n":1}', state: "completed" },
        { ...none, state: "completed" },
        { ...none, error: "Boom: it went wrong", failure: '{"_tag":"Boom"}', state: "failed" },
        { ...none, error: "TypeError: no", state: "failed" }
      ])
    }))

  for (const outcome of [completed, failed, cancelled]) {
    test(`STA-04 SCH-13 the record of an execution that ended as ${outcome._tag} goes when its time to live ends, and not before`, ({
      add,
      isUnknown,
      pass,
      read,
      worker
    }) =>
      Effect.gen(function* () {
        const { settle, take, takeOne } = yield* worker()
        yield* add("k")
        const delivery = yield* takeOne
        yield* pass(100_000)
        yield* settle(delivery, outcome)
        yield* pass(ttlMillis - 5_000)
        assert.isFalse(yield* isUnknown("k"))
        yield* pass(5_000)
        assert.isTrue(yield* isUnknown("k"))
        // Its key begins anew.
        assert.strictEqual(yield* add("k", { payload: "[2]" }), "scheduled")
        assert.strictEqual((yield* read("k")).payload, "[2]")
        assert.strictEqual((yield* take(5)).length, 1)
      }))
  }

  test("STA-04 a live record does not end, however long it waits or runs, nor when its key had settled before", ({
    add,
    pass,
    read,
    store,
    worker
  }) =>
    Effect.gen(function* () {
      const { renew, settle, take, takeOne } = yield* worker()
      // Each has had a settled life, whose time to live must not end the next one.
      yield* Effect.forEach(["later", "due", "running"], (key) => add(key))
      yield* Effect.forEach(yield* take(3), (delivery) => settle(delivery))
      yield* add("running")
      const running = yield* takeOne
      yield* add("later", { due: after(ttlMillis * 3) })
      yield* add("due")
      for (let n = 0; n < 20; n++) {
        yield* pass(ttlMillis / 10)
        assert.deepStrictEqual(yield* renew(running), ["held"])
      }
      const states = yield* Effect.forEach(["later", "due", "running"], (key) =>
        Effect.map(read(key), ({ state }) => state)
      )
      assert.deepStrictEqual(states, ["scheduled", "queued", "running"])
      assert.deepStrictEqual(yield* store.depth, { queued: 1, scheduled: 1, running: 1 })
      assert.strictEqual(yield* settle(running), "applied")
      assert.deepStrictEqual(keysOf(yield* take(5)), ["due"])
    }))

  for (const [what, outcome] of Object.entries({
    completed,
    failed,
    cancelled,
    "retried at once": retry(0),
    "retried later": retry(5_000),
    "given back": released,
    postponed: postponed(5_000),
    repeated: { _tag: "Completed", result: "1", next: { due: after(5_000) } },
    "repeated after a failure": { ...failed, next: { due: after(0), payload: "[2]" } }
  } as Record<string, Outcome>)) {
    test(`STA-05 a run that is ${what} is settled once, however often that is said`, ({
      add,
      pass,
      read,
      store,
      watch,
      worker
    }) =>
      Effect.gen(function* () {
        const { exchange, renew, settle, takeOne } = yield* worker()
        yield* add("k", { payload: "[1]" })
        const delivery = yield* takeOne
        assert.strictEqual(yield* settle(delivery, outcome), "applied")
        const record = yield* read("k")
        const depth = yield* store.depth
        const feed = yield* watch("k")
        yield* pass(1_000)
        assert.strictEqual(yield* settle(delivery, outcome), "lost")
        // Whoever gives up on the reply reports a failure instead.
        assert.strictEqual(yield* settle(delivery, failed), "lost")
        const { settled } = yield* exchange({
          finished: [settlement(delivery, cancelled), settlement(delivery, outcome)]
        })
        assert.deepStrictEqual(settled, ["lost", "lost"])
        assert.notStrictEqual((yield* renew(delivery))[0], "held")
        assert.deepStrictEqual(yield* read("k"), record)
        assert.deepStrictEqual(yield* store.depth, depth)
        // The next event is that of the replacement: nothing was announced a second time.
        yield* store.schedule([request("k", { replace: true, due: after(99_000) })])
        const event = yield* feed.next
        assert.deepStrictEqual([event.state, event.generation], ["scheduled", record.generation + 1])
      }))
  }

  test("STA-05 the same end twice in one call counts once", ({ add, worker }) =>
    Effect.gen(function* () {
      const { exchange, takeOne } = yield* worker()
      yield* add("k")
      const end = settlement(yield* takeOne)
      assert.deepStrictEqual((yield* exchange({ finished: [end, end] })).settled, ["applied", "lost"])
    }))

  test("STA-06 WRK-03 when all work is done nothing is left of it, however it ended", ({ pass, store, worker }) =>
    Effect.gen(function* () {
      const { exchange, settle, take } = yield* worker()
      const keys = Array.from({ length: 70 }, (_, index) => `k${index}`)
      yield* store.schedule(keys.map((key) => request(key)))
      const outcomes = [
        completed,
        failed,
        cancelled,
        retry(0),
        retry(1_000),
        released,
        { ...completed, next: { due: after(0) } }
      ]
      const deliveries = yield* take(70)
      const finished = deliveries.map((delivery, index) => settlement(delivery, outcomes[index % outcomes.length]))
      const { settled } = yield* exchange({ finished })
      assert.deepStrictEqual(
        settled,
        keys.map(() => "applied")
      )
      yield* pass(1_000)
      const again = yield* takeAll({ ...(yield* worker()) })
      assert.strictEqual(again.length, 40)
      yield* Effect.forEach(again, (delivery) => settle(delivery))
      assert.deepStrictEqual(yield* store.depth, { queued: 0, scheduled: 0, running: 0 })
      const { deliveries: none, nextDueMillis } = yield* exchange({ take: 5 })
      assert.deepStrictEqual(none, [])
      assert.strictEqual(nextDueMillis, undefined)
    }))

  test("a worker settles what it finished and claims more in one call", ({ add, read, store, worker }) =>
    Effect.gen(function* () {
      const { exchange, takeOne } = yield* worker()
      yield* add("a")
      yield* add("b")
      const lease = freshLease()
      const { deliveries, settled } = yield* exchange({ lease, finished: [settlement(yield* takeOne)], take: 5 })
      assert.deepStrictEqual(settled, ["applied"])
      assert.deepStrictEqual(
        deliveries.map(({ key, lease }) => [key, lease]),
        [["b", lease]]
      )
      assert.strictEqual((yield* read("a")).state, "completed")
      assert.deepStrictEqual(yield* store.depth, { queued: 0, scheduled: 0, running: 1 })
    }))

  test("an end that is due again at once can be claimed in the call that settles it", ({ add, worker }) =>
    Effect.gen(function* () {
      const { exchange, takeOne } = yield* worker()
      yield* add("k", { payload: "[1]" })
      const first = settlement(yield* takeOne, {
        _tag: "Completed",
        result: "1",
        next: { due: after(0), payload: "[2]" }
      })
      const [second] = (yield* exchange({ finished: [first], take: 1 })).deliveries
      assert.deepStrictEqual([second?.payload, second?.generation, second?.attempt], ["[2]", 2, 1])
      const [third] = (yield* exchange({ finished: [settlement(second!, retry(0))], take: 1 })).deliveries
      assert.deepStrictEqual([third?.payload, third?.generation, third?.attempt], ["[2]", 3, 2])
      const [fourth] = (yield* exchange({ finished: [settlement(third!, released)], take: 1 })).deliveries
      assert.deepStrictEqual([fourth?.payload, fourth?.generation, fourth?.attempt], ["[2]", 4, 2])
      assert.strictEqual(fourth?.deliveries, 1)
    }))

  test("PER-08, RES-09 a key that goes on with its next run tells how the last one ended, until it is scheduled anew", ({
    add,
    read,
    replace,
    store,
    worker
  }) =>
    Effect.gen(function* () {
      const { settle, takeOne } = yield* worker()
      const next = { due: after(0) }
      const left = Effect.map(read("k"), ({ failure, last, result }) => ({ failure, last, result }))
      yield* add("k")
      assert.isUndefined((yield* left).last)
      yield* settle(yield* takeOne, { _tag: "Completed", result: "1", next })
      const first = {
        failure: undefined,
        last: { generation: 1, state: "completed", error: undefined },
        result: "1"
      } as const
      assert.deepStrictEqual(yield* left, first)
      // Whatever comes before the end of this run says nothing of the last one.
      yield* settle(yield* takeOne, retry(0))
      assert.deepStrictEqual(yield* left, first)
      yield* settle(yield* takeOne, released)
      assert.deepStrictEqual(yield* left, first)
      const error = "Boom: it\nwent wrong"
      yield* settle(yield* takeOne, { _tag: "Failed", error, failure: "{}", next })
      const second = {
        failure: "{}",
        last: { generation: 4, state: "failed", error },
        result: undefined
      } as const
      assert.deepStrictEqual(yield* left, second)
      yield* settle(yield* takeOne, retry(0))
      assert.deepStrictEqual(yield* left, second)
      yield* replace("k")
      assert.isUndefined((yield* left).last)
      yield* settle(yield* takeOne, { ...completed, next })
      yield* settle(yield* takeOne, failed)
      yield* store.retryFailed(["k"])
      assert.isUndefined((yield* left).last)
    }))

  test("SCH-20 a schedule keeps its origin through retries, releases, the runs of a chain and a replacement of what waits", (kit) =>
    Effect.gen(function* () {
      const { settle, takeOne } = yield* kit.worker()
      const origin = Effect.map(kit.read("k"), ({ origin }) => origin)
      const schedule = (replace = false) =>
        Effect.map(kit.store.scheduleKnowing([request("k", { replace })], ""), ({ origins }) => origins[0]!)
      assert.strictEqual(yield* schedule(), 1)
      assert.strictEqual(yield* schedule(true), 1)
      yield* settle(yield* takeOne, retry(0))
      yield* settle(yield* takeOne, released)
      assert.strictEqual(yield* origin, 1)
      assert.strictEqual(yield* schedule(), 1)
      // It runs: the replacement is another.
      const first = yield* takeOne
      const replaced = yield* schedule(true)
      assert.strictEqual(replaced, first.generation + 1)
      assert.strictEqual(yield* origin, replaced)
      assert.strictEqual(yield* schedule(), replaced)
      const second = yield* takeOne
      yield* settle(second, { ...completed, next: { due: after(0) } })
      assert.strictEqual(yield* origin, replaced)
      yield* settle(yield* takeOne, failed)
      assert.strictEqual(yield* origin, replaced)
      yield* kit.store.retryFailed(["k"])
      const retried = yield* origin
      assert.isAbove(retried, replaced)
      yield* settle(yield* takeOne)
      assert.isAbove(yield* schedule(), retried)
    }))

  test("GEN-01 each schedule of a key has a higher generation than the one before", ({
    add,
    read,
    replace,
    store,
    worker
  }) =>
    Effect.gen(function* () {
      const { settle, takeOne } = yield* worker()
      const generations: Array<number> = []
      const note = Effect.map(read("k"), ({ generation }) => generations.push(generation))
      yield* add("k")
      yield* note
      yield* replace("k")
      yield* note
      yield* settle(yield* takeOne, retry(0))
      yield* note
      yield* settle(yield* takeOne, released)
      yield* note
      yield* settle(yield* takeOne, { _tag: "Completed", result: undefined, next: { due: after(0) } })
      yield* note
      yield* settle(yield* takeOne)
      yield* add("k")
      yield* note
      yield* store.cancel(["k"])
      yield* add("k")
      yield* note
      assert.deepStrictEqual(generations, [1, 2, 3, 4, 5, 6, 7])
    }))

  for (const [what, millis, state] of [
    ["at once", 0, "queued"],
    ["later", 4_000, "scheduled"]
  ] as const) {
    test(`RTY-06 EVT-06 a retry ${what} is the next attempt, with the same payload, and the error can be read meanwhile`, ({
      add,
      pass,
      read,
      watch,
      worker
    }) =>
      Effect.gen(function* () {
        const { settle, take, takeOne } = yield* worker()
        yield* add("k", { payload: "[1]", trace: "00-t" })
        const first = yield* takeOne
        const feed = yield* watch("k")
        assert.strictEqual(yield* settle(first, retry(millis)), "applied")
        const event = yield* feed.next
        assert.strictEqual(event.state, state)
        assert.strictEqual(event.generation, 2)
        assert.strictEqual(event.due, 1_700_000_000_000 + millis)
        const record = yield* read("k")
        assert.strictEqual(record.state, state)
        assert.strictEqual(record.attempt, 2)
        assert.strictEqual(record.deliveries, 0)
        assert.strictEqual(record.error, "Flaky: try again")
        assert.strictEqual(record.due, 1_700_000_000_000 + millis)
        if (millis > 0) {
          assert.deepStrictEqual(yield* take(5), [])
          yield* pass(millis)
        }
        const second = yield* takeOne
        assert.deepStrictEqual(
          [second.payload, second.trace, second.generation, second.attempt, second.deliveries],
          ["[1]", "00-t", 2, 2, 1]
        )
        yield* settle(second)
        const { error, state: end } = yield* read("k")
        assert.deepStrictEqual([end, error], ["completed", undefined])
      }))
  }

  test("CRN-04 a run says when its schedule was due at first, however often it was put off", ({
    add,
    pass,
    replace,
    worker
  }) =>
    Effect.gen(function* () {
      const { settle, takeOne } = yield* worker()
      const dues: Array<readonly [due: number, intended: number]> = []
      const note = Effect.map(takeOne, (delivery) => {
        dues.push([delivery.due - beginning, delivery.intended - beginning])
        return delivery
      })
      yield* add("k", { due: after(1_000) })
      yield* pass(1_000)
      yield* settle(yield* note, retry(2_000))
      yield* pass(2_000)
      yield* settle(yield* note, postponed(3_000))
      yield* pass(3_000)
      yield* settle(yield* note, released)
      yield* settle(yield* note, retry(0))
      // Its next run is another schedule, and so is whatever is added once it has ended.
      yield* settle(yield* note, { ...completed, next: { due: after(4_000) } })
      yield* pass(4_000)
      yield* settle(yield* note, retry(1_000))
      yield* replace("k", { due: after(500) })
      yield* pass(500)
      yield* settle(yield* note)
      assert.deepStrictEqual(dues, [
        [1_000, 1_000],
        [3_000, 1_000],
        [6_000, 1_000],
        [6_000, 1_000],
        [6_000, 1_000],
        [10_000, 10_000],
        [10_500, 10_500]
      ])
    }))

  test("a run that is given back goes to another worker as if it had not been delivered", ({
    add,
    read,
    watch,
    worker
  }) =>
    Effect.gen(function* () {
      const first = yield* worker()
      const second = yield* worker()
      yield* add("k", { payload: "[1]" })
      yield* first.settle(yield* first.takeOne, retry(0))
      const feed = yield* watch("k")
      assert.strictEqual(yield* first.settle(yield* first.takeOne, released), "applied")
      assert.deepStrictEqual(yield* feed.states(2), ["running", "queued"])
      const { attempt, deliveries, generation, state } = yield* read("k")
      assert.deepStrictEqual([attempt, deliveries, generation, state], [2, 0, 3, "queued"])
      const delivery = yield* second.takeOne
      assert.deepStrictEqual([delivery.attempt, delivery.deliveries, delivery.generation], [2, 1, 3])
    }))

  for (const [what, end] of [
    ["succeeded", completed],
    ["failed", failed]
  ] as const) {
    test(`PER-01 PER-07 PER-08 the next run of a key that ${what} is scheduled in the step that ends this one`, ({
      add,
      pass,
      read,
      store,
      watch,
      worker
    }) =>
      Effect.gen(function* () {
        const { name, settle, takeOne } = yield* worker()
        yield* add("k", { payload: "[1]", trace: "00-t" })
        yield* settle(yield* takeOne, retry(0))
        const delivery = yield* takeOne
        const feed = yield* watch("k")
        yield* pass(100)
        assert.strictEqual(yield* settle(delivery, { ...end, next: { due: after(5_000) } }), "applied")
        const [ended, next] = yield* feed.take(2)
        assert.strictEqual(ended?.state, end._tag === "Failed" ? "failed" : "completed")
        assert.strictEqual(ended?.generation, 2)
        assert.strictEqual(ended?.completed, 1_700_000_000_100)
        assert.strictEqual(ended?.worker, name)
        assert.strictEqual(ended?.error, end._tag === "Failed" ? "Boom: it went wrong" : undefined)
        assert.strictEqual(next?.state, "scheduled")
        assert.strictEqual(next?.generation, 3)
        assert.strictEqual(next?.due, 1_700_000_005_100)
        const record = yield* read("k")
        assert.strictEqual(record.state, "scheduled")
        assert.strictEqual(record.payload, "[1]")
        assert.strictEqual(record.attempt, 1)
        assert.strictEqual(record.deliveries, 0)
        assert.strictEqual(record.generation, 3)
        assert.strictEqual(record.due, 1_700_000_005_100)
        assert.strictEqual(record.result, end._tag === "Failed" ? undefined : '"done"')
        assert.deepStrictEqual(yield* store.depth, { queued: 0, scheduled: 1, running: 0 })
        // It has no time to live.
        yield* pass(5_000)
        const again = yield* takeOne
        assert.deepStrictEqual([again.payload, again.attempt, again.generation, again.trace], ["[1]", 1, 3, "00-t"])
      }))
  }

  test("PER-04 the next run can have another payload, which later runs keep", ({ add, worker }) =>
    Effect.gen(function* () {
      const { settle, takeOne } = yield* worker()
      const next = (payload?: string) =>
        ({ _tag: "Completed", result: undefined, next: { due: at(0), payload } }) as const
      yield* add("k", { payload: "[1]" })
      yield* settle(yield* takeOne, next("[2]"))
      const second = yield* takeOne
      yield* settle(second, next())
      const third = yield* takeOne
      assert.deepStrictEqual([second.payload, third.payload], ["[2]", "[2]"])
    }))

  test("WRK-02 work is split between the workers, and each execution is claimed by one of them", ({
    reopen,
    store,
    worker
  }) =>
    Effect.gen(function* () {
      const keys = Array.from({ length: 200 }, (_, index) => `k${index}`)
      yield* store.schedule(keys.map((key) => request(key)))
      const workers = [yield* worker(), yield* worker(), yield* openWorker(yield* reopen)]
      const claims: Array<string> = []
      while (claims.length < keys.length) {
        const taken = yield* Effect.forEach(workers, ({ take }) => take(7), { concurrency: "unbounded" })
        assert.isTrue(taken.some((deliveries) => deliveries.length > 0))
        for (const deliveries of taken) claims.push(...keysOf(deliveries))
        // Nobody comes away empty-handed while there is enough for all.
        if (keys.length - claims.length > 21) assert.isTrue(taken.every((deliveries) => deliveries.length === 7))
      }
      assert.deepStrictEqual(claims.toSorted(), keys.toSorted())
    }))

  test("WRK-04 any worker moves due work, once, however many try", ({ pass, read, store, watch, worker }) =>
    Effect.gen(function* () {
      const keys = Array.from({ length: 40 }, (_, index) => `k${index}`)
      yield* store.schedule(keys.map((key) => request(key, { due: after(1_000) })))
      const workers = [yield* worker(), yield* worker(), yield* worker()]
      const feed = yield* watch("k7")
      yield* pass(1_000)
      yield* Effect.forEach(workers, ({ exchange }) => exchange({}), { concurrency: "unbounded" })
      assert.strictEqual((yield* read("k7")).state, "queued")
      assert.deepStrictEqual(yield* store.depth, { queued: 40, scheduled: 0, running: 0 })
      const taken = yield* Effect.forEach(workers, takeAll, { concurrency: "unbounded" })
      assert.deepStrictEqual(keysOf(taken.flat()).toSorted(), keys.toSorted())
      assert.deepStrictEqual(yield* feed.states(2), ["queued", "running"])
    }))

  test("UNK-01 an execution whose task a worker does not know waits, unharmed, for one that does", ({
    add,
    read,
    store,
    worker
  }) =>
    Effect.gen(function* () {
      const old = yield* worker({ tasks: new Set(["send"]) })
      yield* add("new-1", { task: "new" })
      yield* add("new-2", { task: "new" })
      yield* add("known")
      yield* add("newer", { task: "newer" })
      // It holds no slot: a worker that asks for one gets the one that it knows.
      const reply = yield* old.exchange({ take: 1 })
      assert.deepStrictEqual(keysOf(reply.deliveries), ["known"])
      assert.deepStrictEqual(reply.unknown, [{ task: "new", waiting: 2 }])
      assert.deepStrictEqual((yield* old.exchange({ take: 1 })).unknown, [{ task: "newer", waiting: 1 }])
      // It is reported when it is met, not each time.
      assert.deepStrictEqual((yield* old.exchange({ take: 1 })).unknown, [])
      yield* add("new-3", { task: "new" })
      assert.deepStrictEqual((yield* old.exchange({ take: 1 })).unknown, [{ task: "new", waiting: 3 }])
      assert.deepStrictEqual(yield* store.depth, { queued: 4, scheduled: 0, running: 1 })
      const { attempt, deliveries, generation, state } = yield* read("new-1")
      assert.deepStrictEqual([attempt, deliveries, generation, state], [1, 0, 1, "queued"])
      const young = yield* worker({ tasks: new Set(["new"]) })
      const taken = yield* young.take(10)
      assert.deepStrictEqual(
        taken.map(({ attempt, deliveries, generation, key }) => ({ attempt, deliveries, generation, key })),
        ["new-1", "new-2", "new-3"].map((key) => ({ attempt: 1, deliveries: 1, generation: 1, key }))
      )
    }))

  test("UNK-01 many executions of unknown tasks do not keep a worker from the ones that it knows", ({
    store,
    worker
  }) =>
    Effect.gen(function* () {
      const unknown = Array.from({ length: 500 }, (_, index) => request(`u${index}`, { task: `new-${index % 5}` }))
      yield* store.schedule([...unknown, request("known")])
      const { exchange } = yield* worker()
      let waiting: Record<string, number> = {}
      let found: ReadonlyArray<string> = []
      // So many calls at most: a call looks at some of the waiting ones, not at all of them.
      for (let calls = 0; calls < 20 && found.length === 0; calls++) {
        const reply = yield* exchange({ take: 1 })
        for (const { task, waiting: count } of reply.unknown) waiting = { ...waiting, [task]: count }
        found = keysOf(reply.deliveries)
      }
      assert.deepStrictEqual(found, ["known"])
      assert.deepStrictEqual(Object.values(waiting), [100, 100, 100, 100, 100])
      assert.deepStrictEqual(yield* store.depth, { queued: 500, scheduled: 0, running: 1 })
      assert.strictEqual((yield* takeAll(yield* worker({ tasks: "any" }))).length, 500)
    }))

  test("UNK-02 a worker with a fallback takes what it does not know, on first delivery and on redelivery", (kit) =>
    Effect.gen(function* () {
      const { takeOne } = yield* kit.worker({ tasks: "any" })
      yield* kit.add("k", { task: "never heard of", payload: "[1]" })
      assert.strictEqual((yield* takeOne).task, "never heard of")
      yield* kit.pass(300_000)
      const fallback = yield* kit.worker({ tasks: "any" })
      yield* fallback.session.heartbeat
      const again = yield* fallback.takeOne
      assert.deepStrictEqual([again.task, again.payload, again.deliveries], ["never heard of", "[1]", 2])
    }))

  test("UNK-02 a worker with a fallback also takes what others set aside", ({ add, worker }) =>
    Effect.gen(function* () {
      yield* add("k", { task: "new" })
      yield* (yield* worker()).exchange({ take: 1 })
      assert.deepStrictEqual(keysOf(yield* (yield* worker({ tasks: "any" })).take(1)), ["k"])
    }))

  test("TTL-04 a docket that keeps nothing runs tasks as usual, and settled ones leave no record", ({ open, pass }) =>
    Effect.gen(function* () {
      const store = yield* open({ name: "keeps-nothing", executionTtlMillis: 0 })
      const { session, settle, take, takeOne } = yield* openWorker(store)
      const isGone = Effect.map(store.read(["k"]), ([record]) => Option.isNone(record!))
      for (const outcome of [completed, failed, cancelled]) {
        assert.deepStrictEqual(yield* store.schedule([request("k"), request("k")]), ["scheduled", "already-scheduled"])
        const delivery = yield* takeOne
        assert.deepStrictEqual(yield* store.schedule([request("k")]), ["already-scheduled"])
        assert.strictEqual(yield* settle(delivery, outcome), "applied")
        assert.isTrue(yield* isGone)
        assert.strictEqual(yield* settle(delivery, outcome), "lost")
        assert.isTrue(yield* isGone)
      }
      // Retries and recurrence.
      yield* store.schedule([request("k", { payload: "[1]" })])
      yield* settle(yield* takeOne, retry(1_000))
      assert.isFalse(yield* isGone)
      yield* pass(1_000)
      const second = yield* takeOne
      assert.strictEqual(second.attempt, 2)
      yield* settle(second, { _tag: "Completed", result: "1", next: { due: after(1_000), payload: "[2]" } })
      const [waiting] = yield* store.read(["k"])
      assert.strictEqual(Option.getOrThrow(waiting!).result, undefined)
      yield* pass(1_000)
      const third = yield* takeOne
      assert.deepStrictEqual([third.attempt, third.payload], [1, "[2]"])
      // Supersession.
      assert.deepStrictEqual(yield* store.schedule([request("k", { payload: "[3]", replace: true })]), ["replaced"])
      assert.strictEqual(yield* settle(third), "superseded")
      const fourth = yield* takeOne
      assert.strictEqual(fourth.payload, "[3]")
      yield* settle(fourth)
      assert.isTrue(yield* isGone)
      // Cancelling, waiting and running.
      yield* store.schedule([request("k", { due: after(1_000) })])
      yield* store.cancel(["k"])
      assert.isTrue(yield* isGone)
      yield* store.schedule([request("k")])
      const fifth = yield* takeOne
      yield* store.cancel(["k"])
      assert.deepStrictEqual(yield* takeCancellation(session), { key: "k", generation: fifth.generation })
      yield* settle(fifth, retry(0))
      assert.isTrue(yield* isGone)
      yield* pass(10_000)
      assert.deepStrictEqual(yield* take(5), [])
      assert.strictEqual(yield* liveCount(store), 0)
    }))

  test("TTL-04 CAN-07 whoever follows an execution of a docket that keeps nothing still hears of its end", ({ open }) =>
    Effect.gen(function* () {
      const store = yield* open({ name: "keeps-nothing-but-tells", executionTtlMillis: 0 })
      const { settle, takeOne } = yield* openWorker(store)
      const events = yield* store.watch("k")
      const states = (count: number) =>
        Effect.map(Effect.all(Array.from({ length: count }, () => Queue.take(events))), (taken) =>
          taken.map((event) => (event._tag === "Changed" ? event.state : event._tag))
        )
      yield* store.schedule([request("k")])
      yield* settle(yield* takeOne, failed)
      yield* store.schedule([request("k", { due: after(1_000) })])
      yield* store.cancel(["k"])
      assert.deepStrictEqual(yield* states(5), ["queued", "running", "failed", "scheduled", "cancelled"])
    }))

  test("ISO-01 dockets with different names share nothing", ({ add, open, read, store, watch, worker }) =>
    Effect.gen(function* () {
      const name = `isolated`
      const other = yield* open({ name })
      const here = yield* worker({ name: "same-name" })
      const there = yield* openWorker(other, { name: "same-name" })
      const feed = yield* watch("k")
      assert.strictEqual(yield* add("k", { payload: "[1]" }), "scheduled")
      assert.deepStrictEqual(yield* other.schedule([request("k", { payload: "[2]", task: "send" })]), ["scheduled"])
      const first = yield* here.takeOne
      const second = yield* there.takeOne
      assert.deepStrictEqual([first.payload, second.payload], ["[1]", "[2]"])
      // A cancel there is not heard here: the first request that arrives here is for the other key.
      yield* other.cancel(["k"])
      assert.deepStrictEqual(yield* takeCancellation(there.session), { key: "k", generation: 1 })
      yield* add("k2")
      yield* here.takeOne
      yield* store.cancel(["k2"])
      assert.deepStrictEqual(yield* takeCancellation(here.session), { key: "k2", generation: 1 })
      yield* there.settle(second, cancelled)
      assert.strictEqual((yield* read("k")).state, "running")
      yield* here.settle(first)
      assert.deepStrictEqual(yield* feed.states(3), ["queued", "running", "completed"])
      assert.deepStrictEqual(yield* other.depth, { queued: 0, scheduled: 0, running: 0 })
      assert.deepStrictEqual(yield* store.depth, { queued: 0, scheduled: 0, running: 1 })
    }))

  test("ISO-01 a docket whose name begins like another's shares nothing with it", ({ open }) =>
    Effect.gen(function* () {
      const stores = yield* Effect.forEach(["jobs", "jobs:runs", "jobs:runs:k", "Jobs", "jobs "], (name) =>
        open({ name })
      )
      yield* Effect.forEach(stores, (store, index) => store.schedule([request("k", { payload: String(index) })]))
      for (const [index, store] of stores.entries()) {
        const all = yield* takeAll(yield* openWorker(store))
        assert.deepStrictEqual(
          all.map(({ payload }) => payload),
          [String(index)]
        )
      }
    }))

  test("ISO-01 stores with the same name are one docket", ({ add, reopen, store }) =>
    Effect.gen(function* () {
      const elsewhere = yield* reopen
      yield* add("k")
      assert.deepStrictEqual(yield* elsewhere.schedule([request("k")]), ["already-scheduled"])
      const delivery = yield* (yield* openWorker(elsewhere)).takeOne
      assert.strictEqual(delivery.key, "k")
      assert.deepStrictEqual(yield* store.depth, { queued: 0, scheduled: 0, running: 1 })
    }))

  test("a feed tells of its own key only, from the moment it is opened, and ends with its scope", ({
    add,
    store,
    watch
  }) =>
    Effect.gen(function* () {
      yield* add("k", { due: after(1_000) })
      const feed = yield* watch("k")
      const another = yield* watch("k")
      yield* add("k2")
      yield* store.cancel(["k2", "k"])
      assert.deepStrictEqual(yield* feed.states(1), ["cancelled"])
      assert.deepStrictEqual(yield* another.states(1), ["cancelled"])
      const closed = yield* Effect.scoped(store.watch("k"))
      assert.strictEqual(closed.state._tag, "Done")
    }))
}
