/** Scheduling and dispositions: SCH, DSP, and the order in which work is handed out. */
import { assert } from "@effect/vitest"
import { Effect, Option } from "effect"
import {
  after,
  at,
  awkward,
  cancelled,
  completed,
  failed,
  keysOf,
  live,
  openWorker,
  request,
  settlement,
  takeAll,
  takeCancellation,
  type Test
} from "./kit.ts"

export const scheduling = (test: Test) => {
  for (const [what, due] of [
    ["without a time", after(0)],
    ["with the present moment", at(0)],
    ["with a time in the past", at(-60_000)]
  ] as const) {
    test(`SCH-01 work that is added ${what} can be taken at once`, ({ add, read, store, watch, worker }) =>
      Effect.gen(function* () {
        const feed = yield* watch("k")
        assert.strictEqual(yield* add("k", { due, payload: '{"a":1}', trace: "00-1-2-01" }), "scheduled")
        const event = yield* feed.next
        assert.strictEqual(event.state, "queued")
        assert.strictEqual(event.generation, 1)
        assert.isDefined(event.due)
        const record = yield* read("k")
        assert.strictEqual(record.state, "queued")
        assert.strictEqual(record.worker, undefined)
        assert.deepStrictEqual(yield* store.depth, { queued: 1, scheduled: 0, running: 0 })
        const delivery = yield* (yield* worker()).takeOne
        assert.strictEqual(delivery.key, "k")
        assert.strictEqual(delivery.task, "send")
        assert.strictEqual(delivery.payload, '{"a":1}')
        assert.strictEqual(delivery.trace, "00-1-2-01")
        assert.strictEqual(delivery.generation, 1)
        assert.strictEqual(delivery.attempt, 1)
        assert.strictEqual(delivery.deliveries, 1)
        assert.strictEqual(delivery.due, record.due)
      }))
  }

  for (const [what, present] of [
    ["new keys", []],
    ["a key that is known", ["known"]]
  ] as const) {
    test(`DSP-01 of a key that comes twice in a batch the first request is taken, beside ${what}`, (kit) =>
      Effect.gen(function* () {
        const { add, read, store } = kit
        for (const key of present) yield* add(key, { due: after(60_000) })
        const requests = ["a", "b", "a", ...present, "c", "b"].map((key, i) => request(key, { payload: `[${i}]` }))
        const dispositions = yield* store.schedule(requests)
        assert.deepStrictEqual(
          dispositions,
          requests.map(({ key }, i) =>
            key === "known" || requests.findIndex((first) => first.key === key) < i ? "already-scheduled" : "scheduled"
          )
        )
        assert.strictEqual((yield* read("a")).payload, "[0]")
        assert.strictEqual((yield* read("b")).payload, "[1]")
        const taken = yield* (yield* kit.worker()).take(10)
        assert.deepStrictEqual(keysOf(taken), ["a", "b", "c"])
        const again = ["a", "d", "d"].map((key) => request(key, { replace: true, due: after(60_000) }))
        assert.deepStrictEqual(yield* store.schedule(again), ["replaced", "scheduled", "replaced"])
      }))
  }

  const payloads = [0, 1, 64, 65, 128, 200, 256, 257, 1_000].map((length) => "x".repeat(length))
  for (const payload of [...payloads, "é".repeat(31) + "x🙂".repeat(20), "\0".repeat(100), "12345"]) {
    const bytes = Buffer.byteLength(payload)
    test(`SCH-01 a payload of ${bytes} bytes (${payload.slice(0, 3)}) is kept as it was, whatever it follows`, (kit) =>
      Effect.gen(function* () {
        const { add, read, replace, store } = kit
        const session = yield* kit.worker()
        const expect = Effect.fnUntraced(function* (expected: string) {
          assert.strictEqual((yield* read("k")).payload, expected)
          const delivery = yield* session.takeOne
          assert.strictEqual(delivery.payload, expected)
          return delivery
        })
        yield* add("k", { payload })
        const first = yield* expect(payload)
        yield* session.settle(first, { _tag: "Retry", error: "Flaky: again", due: after(0) })
        let delivery = yield* expect(payload)
        for (const next of [...payloads, payload]) {
          yield* session.settle(delivery, { ...completed, next: { due: after(0), payload: next } })
          delivery = yield* expect(next)
        }
        yield* session.settle(delivery)
        assert.strictEqual((yield* read("k")).payload, payload)
        for (const next of [...payloads, payload]) {
          yield* replace("k", { payload: next, due: after(60_000) })
          assert.strictEqual((yield* read("k")).payload, next)
        }
        yield* store.cancel(["k"])
        assert.strictEqual((yield* read("k")).payload, payload)
      }))
  }

  for (const [what, due] of [
    ["with a delay", after(5_000)],
    ["for a moment", at(5_000)]
  ] as const) {
    test(`SCH-02 work that is added ${what} is handed out at that moment and not before`, ({
      add,
      pass,
      read,
      store,
      watch,
      worker
    }) =>
      Effect.gen(function* () {
        const feed = yield* watch("k")
        const early = yield* worker()
        assert.strictEqual(yield* add("k", { due }), "scheduled")
        const { due: announced, state } = yield* feed.next
        assert.strictEqual(state, "scheduled")
        assert.strictEqual(announced, 1_700_000_005_000)
        assert.strictEqual((yield* read("k")).state, "scheduled")
        assert.strictEqual((yield* read("k")).due, 1_700_000_005_000)
        assert.deepStrictEqual(yield* store.depth, { queued: 0, scheduled: 1, running: 0 })
        yield* pass(4_999)
        const reply = yield* early.exchange({ take: 10 })
        assert.deepStrictEqual(reply.deliveries, [])
        assert.strictEqual(reply.nextDueMillis, 1)
        yield* pass(1)
        const delivery = yield* early.takeOne
        assert.strictEqual(delivery.key, "k")
        assert.strictEqual(delivery.due, 1_700_000_005_000)
        assert.strictEqual(delivery.started, 1_700_000_005_000)
        assert.deepStrictEqual(yield* feed.states(2), ["queued", "running"])
      }))
  }

  test("SCH-02 a worker is told how long it is until the next execution is due", ({ add, pass, worker }) =>
    Effect.gen(function* () {
      const { exchange, session } = yield* worker()
      assert.strictEqual((yield* exchange({})).nextDueMillis, undefined)
      assert.strictEqual((yield* session.heartbeat).nextDueMillis, undefined)
      yield* add("later", { due: after(30_000) })
      yield* add("sooner", { due: after(10_000) })
      assert.strictEqual((yield* exchange({})).nextDueMillis, 10_000)
      yield* pass(4_000)
      assert.strictEqual((yield* exchange({ take: 1 })).nextDueMillis, 6_000)
      assert.strictEqual((yield* session.heartbeat).nextDueMillis, 6_000)
    }))

  test("SCH-04 a second task under a live key is refused like a repeat of the first", ({ add, read, worker }) =>
    Effect.gen(function* () {
      yield* add("k", { task: "send" })
      assert.strictEqual(yield* add("k", { task: "other" }), "already-scheduled")
      assert.strictEqual((yield* read("k")).task, "send")
      const all = yield* takeAll(yield* worker({ tasks: "any" }))
      assert.deepStrictEqual(
        all.map(({ task }) => task),
        ["send"]
      )
    }))

  for (const [state, prepare] of Object.entries(live)) {
    test(`SCH-05 DSP-01 adding under a key that is ${state} changes nothing`, (kit) =>
      Effect.gen(function* () {
        yield* prepare(kit)
        const before = yield* kit.read("k")
        const feed = yield* kit.watch("k")
        for (const due of [after(0), after(60_000)]) {
          const disposition = yield* kit.add("k", { task: "other", payload: "[2]", due, trace: "00-new" })
          assert.strictEqual(disposition, "already-scheduled")
        }
        assert.deepStrictEqual(yield* kit.read("k"), before)
        // The next event of the key is that of the replacement: the adds published none.
        yield* kit.replace("k", { due: after(77_000) })
        assert.strictEqual((yield* feed.next).generation, before.generation + 1)
      }))
  }

  for (const [state, outcome] of [
    ["completed", completed],
    ["failed", failed],
    ["cancelled", cancelled]
  ] as const) {
    test(`SCH-06 a key whose execution is ${state} is free, and runs again when it is added again`, ({
      add,
      read,
      worker
    }) =>
      Effect.gen(function* () {
        const { settle, takeOne } = yield* worker()
        yield* add("k", { payload: "[1]" })
        assert.strictEqual(yield* settle(yield* takeOne, outcome), "applied")
        assert.strictEqual((yield* read("k")).state, state)
        assert.strictEqual(yield* add("k", { payload: "[2]", trace: "00-new" }), "scheduled")
        const {
          attempt,
          completed,
          error,
          failure,
          generation,
          payload,
          result,
          started,
          state: again,
          trace,
          worker: by
        } = yield* read("k")
        assert.deepStrictEqual(
          { attempt, completed, error, failure, generation, payload, result, started, again, trace, by },
          {
            attempt: 1,
            completed: undefined,
            error: undefined,
            failure: undefined,
            generation: 2,
            payload: "[2]",
            result: undefined,
            started: undefined,
            again: "queued",
            trace: "00-new",
            by: undefined
          }
        )
        const delivery = yield* takeOne
        assert.strictEqual(delivery.payload, "[2]")
        assert.strictEqual(delivery.generation, 2)
        assert.strictEqual(delivery.deliveries, 1)
      }))
  }

  test("SCH-07 of many that add one key at the same moment, exactly one is told that it is scheduled", ({
    pass,
    reopen,
    store,
    worker
  }) =>
    Effect.gen(function* () {
      const stores = [store, yield* reopen, yield* reopen]
      const dispositions = yield* Effect.forEach(
        Array.from({ length: 60 }, (_, index) => index),
        (index) => stores[index % 3]!.schedule([request("k", { payload: `[${index}]`, due: after((index % 2) * 5) })]),
        { concurrency: "unbounded" }
      )
      const winners = dispositions.flatMap(([disposition], index) => (disposition === "scheduled" ? [index] : []))
      assert.strictEqual(winners.length, 1)
      assert.strictEqual(dispositions.filter(([disposition]) => disposition === "already-scheduled").length, 59)
      yield* pass(5)
      const all = yield* takeAll(yield* worker())
      assert.deepStrictEqual(
        all.map(({ payload }) => payload),
        [`[${winners[0]}]`]
      )
    }))

  for (const [what, text] of awkward) {
    test(`SCH-09 a key and a payload with ${what} come back unchanged`, ({ add, read, store, watch, worker }) =>
      Effect.gen(function* () {
        const payload = JSON.stringify({ text })
        const feed = yield* watch(text)
        const { exchange, name, renew, session, settle, takeOne } = yield* worker({ tasks: new Set([text]) })
        const options = { task: text, payload, due: after(0), trace: text }
        assert.strictEqual(yield* add(text, options), "scheduled")
        assert.strictEqual(yield* add(text, options), "already-scheduled")
        assert.strictEqual((yield* feed.next).state, "queued")
        const record = yield* read(text)
        assert.strictEqual(record.key, text)
        assert.strictEqual(record.task, text)
        assert.strictEqual(record.payload, payload)
        assert.strictEqual(record.trace, text)
        const delivery = yield* takeOne
        assert.strictEqual(delivery.key, text)
        assert.strictEqual(delivery.task, text)
        assert.strictEqual(delivery.payload, payload)
        assert.strictEqual(delivery.trace, text)
        assert.strictEqual((yield* feed.next).worker, name)
        assert.deepStrictEqual(yield* renew(delivery), ["held"])
        yield* store.cancel([text])
        assert.deepStrictEqual(yield* takeCancellation(session), { key: text, generation: 1 })
        const error = `Error: ${text}`
        assert.strictEqual(yield* settle(delivery, { _tag: "Failed", error, failure: payload }), "applied")
        assert.strictEqual((yield* feed.next).error, error)
        assert.strictEqual((yield* read(text)).error, error)
        assert.strictEqual((yield* read(text)).failure, payload)
        // As an unknown task, a successor's payload, and a result.
        yield* add(text, options)
        const unknowing = yield* openWorker(store)
        assert.deepStrictEqual((yield* unknowing.exchange({ take: 1 })).unknown, [{ task: text, waiting: 1 }])
        const again = yield* takeOne
        const next = { due: after(0), payload: `[${payload}]` }
        yield* exchange({ finished: [settlement(again, { _tag: "Completed", result: payload, next })] })
        assert.strictEqual((yield* read(text)).result, payload)
        assert.strictEqual((yield* takeOne).payload, `[${payload}]`)
      }))
  }

  test("SCH-09 keys that differ only in awkward characters are different keys", ({ store, worker }) =>
    Effect.gen(function* () {
      const keys = ["a", "a ", " a", "A", "a\n", "a\u0000", "a\u0000b", "a:b", "a\\", "{a}", "á", "a\u0301"]
      const dispositions = yield* store.schedule(keys.map((key) => request(key, { payload: JSON.stringify(key) })))
      assert.deepStrictEqual(
        dispositions,
        keys.map(() => "scheduled")
      )
      const all = yield* (yield* worker()).take(50)
      assert.deepStrictEqual(
        all.map(({ key, payload }) => [key, payload]),
        keys.map((key) => [key, JSON.stringify(key)])
      )
    }))

  test("SCH-10 a batch has one disposition for each request, in order, and the first request for a key wins", ({
    add,
    read,
    store,
    worker
  }) =>
    Effect.gen(function* () {
      const { takeOne } = yield* worker()
      yield* add("running")
      yield* takeOne
      yield* add("later", { due: after(1_000) })
      const dispositions = yield* store.schedule([
        request("new", { payload: "[1]" }),
        request("later", { payload: "[2]" }),
        request("new", { payload: "[3]", due: after(9_000) }),
        request("running", { payload: "[4]" }),
        request("later", { payload: "[5]", replace: true }),
        request("other", { payload: "[6]", due: after(9_000) }),
        request("free", { payload: "[7]", replace: true }),
        request("free", { payload: "[8]" })
      ])
      assert.deepStrictEqual(dispositions, [
        "scheduled",
        "already-scheduled",
        "already-scheduled",
        "already-scheduled",
        "replaced",
        "scheduled",
        "scheduled",
        "already-scheduled"
      ])
      const payloads = yield* Effect.forEach(["new", "later", "running", "other", "free"], (key) =>
        Effect.map(read(key), ({ payload }) => payload)
      )
      assert.deepStrictEqual(payloads, ["[1]", "[5]", "{}", "[6]", "[7]"])
    }))

  test("SCH-10 an empty batch, no keys to read and no keys to cancel are fine", ({ store }) =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* store.schedule([]), [])
      assert.deepStrictEqual(yield* store.read([]), [])
      yield* store.cancel([])
      assert.deepStrictEqual(yield* store.depth, { queued: 0, scheduled: 0, running: 0 })
    }))

  test("SCH-10 a batch of a thousand is scheduled whole, and handed out in its order", ({ store, worker }) =>
    Effect.gen(function* () {
      const keys = Array.from({ length: 1_000 }, (_, index) => `k${index}`)
      const dispositions = yield* store.schedule(keys.map((key) => request(key)))
      assert.deepStrictEqual(
        dispositions,
        keys.map(() => "scheduled")
      )
      assert.deepStrictEqual(yield* store.depth, { queued: 1_000, scheduled: 0, running: 0 })
      assert.deepStrictEqual(keysOf(yield* takeAll(yield* worker())), keys)
    }))

  test("SCH-12 any process on the docket can look an execution up", ({ add, reopen }) =>
    Effect.gen(function* () {
      const elsewhere = yield* reopen
      yield* add("k", { payload: "[1]", due: after(1_000), trace: "00-t" })
      const [none, record, twice] = yield* elsewhere.read(["unknown", "k", "k"])
      assert.deepStrictEqual(none, Option.none())
      assert.deepStrictEqual(record, twice)
      assert.deepStrictEqual(Option.getOrThrow(record!), {
        key: "k",
        task: "send",
        payload: "[1]",
        state: "scheduled",
        generation: 1,
        origin: 1,
        attempt: 1,
        deliveries: 0,
        due: 1_700_000_001_000,
        worker: undefined,
        started: undefined,
        completed: undefined,
        error: undefined,
        result: undefined,
        failure: undefined,
        last: undefined,
        chain: undefined,
        progress: undefined,
        hindrance: undefined,
        trace: "00-t"
      })
    }))

  test("SCH-13 looking up a key that nobody scheduled gives nothing", ({ add, isUnknown, worker }) =>
    Effect.gen(function* () {
      assert.isTrue(yield* isUnknown("k"))
      yield* add("other")
      assert.isTrue(yield* isUnknown("k"))
      const { settle, takeOne } = yield* worker()
      // Nor do writes that name it make a record.
      assert.notStrictEqual(yield* settle({ ...(yield* takeOne), key: "k" }), "applied")
      assert.isTrue(yield* isUnknown("k"))
    }))

  test("SCH-15 what was scheduled before any worker is run once, by workers that start together", ({
    pass,
    store,
    worker
  }) =>
    Effect.gen(function* () {
      const keys = Array.from({ length: 120 }, (_, index) => `k${index}`)
      yield* store.schedule(keys.map((key, index) => request(key, { due: after((index % 2) * 1_000) })))
      yield* pass(1_000)
      const claims = yield* Effect.forEach(Array.from({ length: 4 }), () => Effect.flatMap(worker(), takeAll), {
        concurrency: "unbounded"
      })
      assert.deepStrictEqual(keysOf(claims.flat()).toSorted(), keys.toSorted())
    }))

  test("DSP-02 a replace of a free key is told that it is scheduled", ({ read, replace, worker }) =>
    Effect.gen(function* () {
      const { settle, takeOne } = yield* worker()
      assert.strictEqual(yield* replace("k"), "scheduled")
      yield* settle(yield* takeOne)
      assert.strictEqual(yield* replace("k", { payload: "[2]" }), "scheduled")
      assert.strictEqual((yield* read("k")).generation, 2)
      assert.strictEqual((yield* takeOne).payload, "[2]")
    }))

  test("work is handed out in the order in which it was added", ({ add, worker }) =>
    Effect.gen(function* () {
      const keys = ["m", "a", "z", "b", "y"]
      yield* Effect.forEach(keys, (key) => add(key))
      const { take } = yield* worker()
      assert.deepStrictEqual(keysOf(yield* take(2)), ["m", "a"])
      assert.deepStrictEqual(keysOf(yield* take(2)), ["z", "b"])
      assert.deepStrictEqual(keysOf(yield* take(2)), ["y"])
    }))

  test("later work is handed out in the order in which it becomes due, however it was added", ({ add, pass, worker }) =>
    Effect.gen(function* () {
      yield* add("fourth", { due: after(4_000) })
      yield* add("first", { due: at(1_000) })
      yield* add("third", { due: after(3_000) })
      yield* add("second", { due: at(2_000) })
      yield* add("last", { due: after(50_000) })
      yield* pass(10_000)
      assert.deepStrictEqual(keysOf(yield* (yield* worker()).take(10)), ["first", "second", "third", "fourth"])
    }))

  test("work that became due goes before work that is added after that", ({ add, pass, worker }) =>
    Effect.gen(function* () {
      yield* add("due", { due: after(1_000) })
      yield* pass(2_000)
      yield* add("added")
      assert.deepStrictEqual(keysOf(yield* (yield* worker()).take(10)), ["due", "added"])
    }))

  test("more due work than one call moves is all handed out, in order", ({ pass, store, worker }) =>
    Effect.gen(function* () {
      const keys = Array.from({ length: 1_500 }, (_, index) => `k${index}`)
      yield* store.schedule(keys.map((key, index) => request(key, { due: after(1 + index) })).toReversed())
      yield* pass(1_500)
      assert.deepStrictEqual(keysOf(yield* takeAll(yield* worker())), keys)
    }))

  test("a claim hands back no more than was asked for", ({ store, worker }) =>
    Effect.gen(function* () {
      yield* store.schedule(["a", "b", "c"].map((key) => request(key)))
      const { exchange, take } = yield* worker()
      assert.deepStrictEqual((yield* exchange({ take: 0 })).deliveries, [])
      assert.strictEqual((yield* take(2)).length, 2)
      assert.deepStrictEqual(yield* store.depth, { queued: 1, scheduled: 0, running: 2 })
      assert.strictEqual((yield* take(5)).length, 1)
      assert.deepStrictEqual(yield* take(5), [])
    }))
}
