/** What people see and do from outside: progress (PRG), attempts, failed executions, CLR, SNP, workers, all events. */
import { assert } from "@effect/vitest"
import { Effect, Fiber, Option, Queue } from "effect"
import type {
  FailedPlace,
  FailedReply,
  Delivery,
  Outcome,
  ProgressUpdate,
  TaskFacts
} from "../../../src/DocketStore.ts"
import {
  after,
  beginning,
  allSleep,
  cancelled,
  completed,
  failed,
  keysOf,
  type Ended,
  type Kit,
  leaseMillis,
  openWorker,
  postponed,
  released,
  request,
  retry,
  type Store,
  takeAll,
  takeOver,
  type Test,
  type TestWorker,
  ttlMillis
} from "./kit.ts"

const update = (delivery: Delivery, current: number, message?: string): ProgressUpdate => ({
  key: delivery.key,
  generation: delivery.generation,
  lease: delivery.lease,
  current,
  total: 10,
  message
})

/** Lets executions fail for good, one millisecond after the other. */
const failAll = Effect.fnUntraced(function* (kit: Kit, store: Store, keys: ReadonlyArray<string>) {
  const { settle, takeOne } = yield* openWorker(store)
  for (const key of keys) {
    yield* store.schedule([request(key, { payload: JSON.stringify(key), trace: key })])
    yield* settle(yield* takeOne, failed)
    yield* kit.pass(1)
  }
})

const list = (store: Store) => Effect.map(store.failed({ limit: 100 }), ({ records }) => keysOf(records))

export const operating = (test: Test) => {
  test("PRG-04 PRG-05 what a run reports can be read by its key, and is published in the order it was made", ({
    add,
    pass,
    read,
    reopen,
    store,
    worker
  }) =>
    Effect.gen(function* () {
      const { session, takeOne } = yield* worker()
      yield* add("k")
      const delivery = yield* takeOne
      assert.strictEqual((yield* read("k")).progress, undefined)
      const events = yield* store.watch("k")
      yield* pass(5)
      yield* session.progress([update(delivery, 1), update(delivery, 2, 'say "hi"\n👋')])
      yield* pass(5)
      yield* session.progress([update(delivery, 3)])
      const progress = { current: 3, total: 10, message: undefined, updated: 1_700_000_000_010 }
      assert.deepStrictEqual((yield* read("k")).progress, progress)
      const [elsewhere] = yield* (yield* reopen).read(["k"])
      assert.deepStrictEqual(Option.getOrThrow(elsewhere!).progress, progress)
      const event = { _tag: "Progressed", key: "k", generation: 1, total: 10, message: undefined } as const
      assert.deepStrictEqual(
        [yield* Queue.take(events), yield* Queue.take(events), yield* Queue.take(events)],
        [
          { ...event, current: 1, updated: 1_700_000_000_005 },
          { ...event, current: 2, message: 'say "hi"\n👋', updated: 1_700_000_000_005 },
          { ...event, current: 3, updated: 1_700_000_000_010 }
        ]
      )
      yield* session.progress([])
    }))

  test("PRG-05 the progress of several runs is kept apart", ({ add, read, worker }) =>
    Effect.gen(function* () {
      const { session, take } = yield* worker()
      yield* Effect.forEach(["a", "b"], (key) => add(key))
      const [a, b] = yield* take(2)
      yield* session.progress([update(a!, 1), update(b!, 5, "half"), update(a!, 2)])
      assert.strictEqual((yield* read("a")).progress?.current, 2)
      assert.deepStrictEqual((yield* read("b")).progress, {
        current: 5,
        total: 10,
        message: "half",
        updated: 1_700_000_000_000
      })
    }))

  for (const [what, outcome] of Object.entries({
    completed,
    failed,
    cancelled,
    retried: retry(0),
    "given back": released,
    postponed: postponed(0),
    repeated: { ...completed, next: { due: after(0) } }
  } as Record<string, Outcome>)) {
    test(`PRG-06 GEN-04 progress ends with a run that is ${what}, and the next run begins without`, ({
      add,
      read,
      worker
    }) =>
      Effect.gen(function* () {
        const { session, settle, take, takeOne } = yield* worker()
        yield* add("k")
        const delivery = yield* takeOne
        yield* session.progress([update(delivery, 7)])
        yield* settle(delivery, outcome)
        assert.strictEqual((yield* read("k")).progress, undefined)
        yield* add("k")
        yield* take(1)
        assert.strictEqual((yield* read("k")).progress, undefined)
      }))
  }

  test("PRG-06 progress ends with a run whose worker died", (kit) =>
    Effect.gen(function* () {
      const { session, takeOne } = yield* kit.worker()
      yield* kit.add("k")
      yield* session.progress([update(yield* takeOne, 7)])
      const { heir } = yield* takeOver(kit)
      yield* heir.takeOne
      assert.strictEqual((yield* kit.read("k")).progress, undefined)
    }))

  test("GEN-04 a superseded run does not touch the progress of its successor, nor does one that lost its lease", (kit) =>
    Effect.gen(function* () {
      const slow = yield* kit.worker()
      yield* kit.add("k")
      const first = yield* slow.takeOne
      yield* slow.session.progress([update(first, 1)])
      yield* kit.replace("k")
      assert.strictEqual((yield* kit.read("k")).progress, undefined)
      const second = yield* slow.takeOne
      assert.strictEqual((yield* kit.read("k")).progress, undefined)
      const { heir } = yield* takeOver(kit)
      const third = yield* heir.takeOne
      const events = yield* kit.store.watch("k")
      yield* slow.session.progress([update(first, 2), update(second, 3), { ...update(third, 4), lease: "another" }])
      assert.strictEqual((yield* kit.read("k")).progress, undefined)
      yield* slow.settle(first)
      yield* heir.session.progress([update(third, 5)])
      assert.strictEqual((yield* kit.read("k")).progress?.current, 5)
      yield* slow.settle(second)
      assert.strictEqual((yield* kit.read("k")).progress?.current, 5)
      // Nothing of what does not count was published: after the end of the first run comes the progress that counts.
      assert.strictEqual((yield* Queue.take(events))._tag, "Changed")
      const event = yield* Queue.take(events)
      assert(event._tag === "Progressed")
      assert.strictEqual(event.current, 5)
    }))

  for (const [what, end] of [
    ["ends first", true],
    ["ends last", false]
  ] as const) {
    test(`GEN-04 TTL-02 of the progress of a superseded run that ${what} nothing is left`, ({
      add,
      read,
      replace,
      worker
    }) =>
      Effect.gen(function* () {
        const { session, settle, takeOne } = yield* worker()
        yield* add("k")
        const old = yield* takeOne
        yield* session.progress([update(old, 1)])
        yield* replace("k")
        const fresh = yield* takeOne
        for (const delivery of end ? [old, fresh] : [fresh, old]) yield* settle(delivery)
        const { progress, state } = yield* read("k")
        assert.deepStrictEqual([progress, state], [undefined, "completed"])
      }))
  }

  test("PRG-06 a run that has ended, or that never was, reports nothing", ({ add, isUnknown, read, worker }) =>
    Effect.gen(function* () {
      const { session, settle, takeOne } = yield* worker()
      yield* add("k")
      const delivery = yield* takeOne
      yield* settle(delivery)
      yield* session.progress([update(delivery, 1), { ...update(delivery, 1), key: "unknown" }])
      assert.strictEqual((yield* read("k")).progress, undefined)
      assert.isTrue(yield* isUnknown("unknown"))
    }))

  test("failed attempts are kept with their worker, times and error, the oldest first", ({
    add,
    pass,
    read,
    store,
    worker
  }) =>
    Effect.gen(function* () {
      const one = yield* worker()
      const two = yield* worker()
      yield* add("k")
      assert.deepStrictEqual(yield* store.attempts("k"), [])
      assert.deepStrictEqual(yield* store.attempts("unknown"), [])
      const first = yield* one.takeOne
      yield* pass(10)
      yield* one.settle(first, { _tag: "Retry", error: 'Flaky: "1"\n', due: after(90) })
      yield* pass(90)
      yield* two.settle(yield* two.takeOne, { _tag: "Retry", error: "Flaky: 2", due: after(0) })
      // What is given back or postponed was no attempt.
      yield* two.settle(yield* two.takeOne, released)
      yield* two.settle(yield* two.takeOne, postponed(0))
      const third = yield* one.takeOne
      yield* pass(5)
      yield* one.settle(third, failed)
      assert.strictEqual((yield* read("k")).state, "failed")
      const start = 1_700_000_000_000
      assert.deepStrictEqual(yield* store.attempts("k"), [
        { attempt: 1, worker: one.name, started: start, ended: start + 10, error: 'Flaky: "1"\n' },
        { attempt: 2, worker: two.name, started: start + 100, ended: start + 100, error: "Flaky: 2" },
        { attempt: 3, worker: one.name, started: start + 100, ended: start + 105, error: "Boom: it went wrong" }
      ])
    }))

  test("of very many failed attempts the newest 20 are kept", ({ add, store, worker }) =>
    Effect.gen(function* () {
      const { settle, takeOne } = yield* worker()
      yield* add("k")
      for (let attempt = 1; attempt <= 25; attempt++) {
        yield* settle(yield* takeOne, { _tag: "Retry", error: `Flaky: ${attempt}`, due: after(0) })
      }
      const attempts = yield* store.attempts("k")
      assert.deepStrictEqual(
        attempts.map(({ attempt, error }) => [attempt, error]),
        Array.from({ length: 20 }, (_, index) => [index + 6, `Flaky: ${index + 6}`])
      )
    }))

  test("failed attempts stay when a later one succeeds, and go with the record", ({ add, pass, store, worker }) =>
    Effect.gen(function* () {
      const { settle, takeOne } = yield* worker()
      yield* add("k")
      yield* settle(yield* takeOne, retry(0))
      // However long it waits: the record is live.
      yield* pass(ttlMillis * 2)
      assert.strictEqual((yield* store.attempts("k")).length, 1)
      yield* settle(yield* takeOne)
      assert.strictEqual((yield* store.attempts("k")).length, 1)
      yield* pass(ttlMillis)
      assert.deepStrictEqual(yield* store.attempts("k"), [])
    }))

  test("failed attempts stay when the key recurs, and a new schedule of the key begins without", (kit) =>
    Effect.gen(function* () {
      const { settle, takeOne } = yield* kit.worker()
      const errors = Effect.map(kit.store.attempts("k"), (attempts) => attempts.map(({ error }) => error))
      yield* kit.add("k")
      yield* settle(yield* takeOne, { ...failed, next: { due: after(0) } })
      assert.deepStrictEqual(yield* errors, ["Boom: it went wrong"])
      yield* settle(yield* takeOne, failed)
      assert.deepStrictEqual(yield* errors, ["Boom: it went wrong", "Boom: it went wrong"])
      assert.deepStrictEqual(yield* kit.store.retryFailed(["k"]), [true])
      assert.deepStrictEqual(yield* errors, [])
      yield* settle(yield* takeOne, retry(60_000))
      assert.deepStrictEqual(yield* errors, ["Flaky: try again"])
      yield* kit.replace("k")
      assert.deepStrictEqual(yield* errors, [])
      yield* settle(yield* takeOne, failed)
      yield* kit.add("k")
      assert.deepStrictEqual(yield* errors, [])
    }))

  test("an end that does not count is no attempt", ({ add, replace, store, worker }) =>
    Effect.gen(function* () {
      const { settle, takeOne } = yield* worker()
      yield* add("k")
      const old = yield* takeOne
      yield* settle(old, retry(0))
      yield* settle(old, retry(0))
      yield* settle(old, failed)
      assert.strictEqual((yield* store.attempts("k")).length, 1)
      const second = yield* takeOne
      yield* replace("k")
      yield* settle(second, failed)
      const third = yield* takeOne
      const before = yield* store.attempts("k")
      assert.isTrue(before.every(({ attempt }) => attempt === 1))
      yield* settle(third, completed)
      assert.deepStrictEqual(yield* store.attempts("k"), before)
    }))

  test("executions that failed for good are listed, the newest first, a page at a time", (kit) =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* list(kit.store), [])
      yield* failAll(kit, kit.store, ["a", "b", "c", "d", "e"])
      assert.deepStrictEqual(yield* list(kit.store), ["e", "d", "c", "b", "a"])
      const first = yield* kit.store.failed({ limit: 2 })
      assert.deepStrictEqual(keysOf(first.records), ["e", "d"])
      const second = yield* kit.store.failed({ limit: 2, before: first.next })
      assert.deepStrictEqual(keysOf(second.records), ["c", "b"])
      const third = yield* kit.store.failed({ limit: 2, before: second.next })
      assert.deepStrictEqual([keysOf(third.records), third.next], [["a"], undefined])
      const [newest] = first.records
      assert.deepStrictEqual(newest, yield* kit.read("e"))
      assert.strictEqual(newest?.error, "Boom: it went wrong")
    }))

  test("pages of failed executions list each once, whatever fails, is retried or discarded meanwhile", (kit) =>
    Effect.gen(function* () {
      const { settle, take } = yield* kit.worker()
      const failTogether = Effect.fnUntraced(function* (...keys: ReadonlyArray<string>) {
        yield* Effect.forEach(keys, (key) => kit.add(key))
        for (const delivery of yield* take(keys.length)) yield* settle(delivery, failed)
      })
      // Within one millisecond, and in no order.
      yield* failTogether("b", "é", "a", "d", "c", "e")
      yield* kit.pass(1)
      yield* failTogether("f")
      const seen: Array<string> = []
      let next: FailedPlace | undefined = undefined
      const meanwhile = [failTogether("g", "h"), kit.store.retryFailed(["d"]), kit.store.discardFailed(["f"])]
      for (let page = 0; page < 8; page++) {
        const reply: FailedReply = yield* kit.store.failed({ limit: 2, before: next })
        seen.push(...keysOf(reply.records))
        if (reply.next === undefined) break
        next = reply.next
        yield* meanwhile[page] ?? Effect.void
      }
      assert.deepStrictEqual(
        seen.filter((key) => key !== "d"),
        ["f", "é", "e", "c", "b", "a"]
      )
      assert.strictEqual(new Set(seen).size, seen.length)
    }))

  test("only what failed for good is listed, and only as long as that is its state", (kit) =>
    Effect.gen(function* () {
      const { settle, take, takeOne } = yield* kit.worker()
      const keys = ["completed", "cancelled", "retried", "recurring", "failed"]
      yield* Effect.forEach(keys, (key) => kit.add(key))
      const outcomes = [completed, cancelled, retry(60_000), { ...failed, next: { due: after(60_000) } }, failed]
      for (const [index, delivery] of (yield* take(5)).entries()) yield* settle(delivery, outcomes[index])
      assert.deepStrictEqual(yield* list(kit.store), ["failed"])
      assert.strictEqual(yield* kit.add("failed"), "scheduled")
      assert.deepStrictEqual(yield* list(kit.store), [])
      yield* settle(yield* takeOne)
      assert.deepStrictEqual(yield* list(kit.store), [])
    }))

  test("AUT-09 the last runs of a key that recurs are kept, and it is listed while the last one failed", (kit) =>
    Effect.gen(function* () {
      const { name, session, settle, takeOne } = yield* kit.worker()
      const end = (outcome: Ended) =>
        Effect.gen(function* () {
          const delivery = yield* takeOne
          yield* kit.pass(5)
          yield* settle(delivery, { ...outcome, next: { due: after(0) } })
        })
      const listed = Effect.map(kit.store.failedChains(10), keysOf)
      yield* kit.add("once")
      yield* settle(yield* takeOne, failed)
      yield* kit.add("k")
      assert.deepStrictEqual(yield* kit.store.runs("k"), [])
      yield* end(failed)
      assert.deepStrictEqual(yield* listed, ["k"])
      const chains = Effect.map(session.heartbeat, ({ failedChains }) => failedChains)
      assert.strictEqual(yield* chains, 1)
      assert.deepStrictEqual(yield* kit.store.runs("k"), [
        {
          generation: 1,
          worker: name,
          started: beginning,
          ended: beginning + 5,
          state: "failed",
          error: "Boom: it went wrong"
        }
      ])
      yield* end(completed)
      assert.deepStrictEqual(yield* listed, [])
      assert.strictEqual(yield* chains, 0)
      for (let run = 0; run < 25; run++) yield* end(run % 2 === 0 ? failed : completed)
      const runs = yield* kit.store.runs("k")
      assert.deepStrictEqual(
        runs.map(({ generation }) => generation),
        Array.from({ length: 20 }, (_, i) => i + 8)
      )
      assert.deepStrictEqual(yield* listed, ["k"])
      // They are those of the chain, also when it begins anew.
      yield* kit.store.cancel(["k"])
      assert.deepStrictEqual(yield* listed, [])
      assert.strictEqual(yield* chains, 0)
      yield* kit.add("k")
      assert.strictEqual((yield* kit.store.runs("k")).length, 20)
      yield* end(failed)
      yield* kit.replace("k")
      assert.deepStrictEqual(yield* listed, [])
      yield* end(failed)
      yield* settle(yield* takeOne, completed)
      assert.deepStrictEqual(yield* listed, [])
      assert.strictEqual(yield* chains, 0)
    }))

  test("AUT-06 an automatic task keeps by which recurrence it was scheduled, and what workers said of it is believed", (kit) =>
    Effect.gen(function* () {
      const chain = Effect.map(kit.read("k"), ({ chain }) => chain)
      yield* kit.add("k", { chain: "first" })
      assert.strictEqual(yield* chain, "first")
      const { settle, takeOne } = yield* kit.worker()
      yield* settle(yield* takeOne, retry(0))
      assert.strictEqual(yield* chain, "first")
      yield* settle(yield* takeOne, { ...completed, next: { due: after(0) } })
      assert.strictEqual(yield* chain, "first")
      yield* settle(yield* takeOne, { ...completed, next: { due: after(0), chain: "second" } })
      assert.strictEqual(yield* chain, "second")
      yield* kit.replace("k")
      assert.isUndefined(yield* chain)

      const facts = (key: TaskFacts["key"]): TaskFacts => ({ key, fields: { id: ["number"] }, chain: key })
      assert.strictEqual((yield* kit.store.facts("all")).size, 0)
      for (const [task, said] of [
        ["send", facts("own")],
        ["send", facts("name")],
        ["other", facts("computed")]
      ] as const) {
        const { session } = yield* kit.worker({ facts: new Map([[task, said]]) })
        yield* session.heartbeat
      }
      assert.deepStrictEqual(Array.from(yield* kit.store.facts(["send", "nobody"])), [["send", facts("name")]])
      assert.sameMembers(Array.from((yield* kit.store.facts("all")).keys()), ["send", "other"])
    }))

  test("an execution that was delivered too often is listed among the failed", (kit) =>
    Effect.gen(function* () {
      const { takeOne } = yield* kit.worker()
      yield* kit.add("poison")
      yield* takeOne
      yield* kit.pass(leaseMillis)
      const last = yield* kit.worker({ maxDeliveries: 1 })
      yield* last.session.heartbeat
      assert.strictEqual((yield* last.exchange({ take: 1 })).exhausted.length, 1)
      assert.deepStrictEqual(yield* list(kit.store), ["poison"])
    }))

  test("failed executions can be kept longer than others", (kit) =>
    Effect.gen(function* () {
      const store = yield* kit.open({ name: "keeps-failed", failedTtlMillis: ttlMillis * 10 })
      const { settle, takeOne } = yield* openWorker(store)
      yield* failAll(kit, store, ["a"])
      yield* store.schedule([request("completed")])
      yield* settle(yield* takeOne)
      yield* kit.pass(ttlMillis * 9)
      assert.deepStrictEqual(yield* list(store), ["a"])
      const [a, done] = yield* store.read(["a", "completed"])
      assert.strictEqual(Option.getOrThrow(a!).payload, '"a"')
      assert.strictEqual(Option.getOrThrow(a!).failure, '{"_tag":"Boom"}')
      assert.isTrue(Option.isNone(done!))
      assert.strictEqual((yield* store.attempts("a")).length, 1)
      yield* kit.pass(ttlMillis)
      assert.deepStrictEqual(yield* list(store), [])
      assert.isTrue(Option.isNone((yield* store.read(["a"]))[0]!))
      assert.deepStrictEqual(yield* store.attempts("a"), [])
    }))

  test("failed executions without a time to live of their own end like others", (kit) =>
    Effect.gen(function* () {
      yield* failAll(kit, kit.store, ["a"])
      yield* kit.pass(ttlMillis)
      assert.deepStrictEqual(yield* list(kit.store), [])
      assert.deepStrictEqual(yield* kit.store.retryFailed(["a"]), [false])
    }))

  test("TTL-04 a docket that keeps nothing else can keep what failed", (kit) =>
    Effect.gen(function* () {
      const store = yield* kit.open({ name: "only-failed", executionTtlMillis: 0, failedTtlMillis: ttlMillis })
      yield* failAll(kit, store, ["a"])
      assert.deepStrictEqual(yield* list(store), ["a"])
      assert.deepStrictEqual(yield* store.retryFailed(["a"]), [true])
      const { settle, takeOne } = yield* openWorker(store)
      yield* settle(yield* takeOne)
      assert.isTrue(Option.isNone((yield* store.read(["a"]))[0]!))
      assert.deepStrictEqual(yield* list(store), [])
    }))

  test("of too many failed executions the oldest are listed no more", (kit) =>
    Effect.gen(function* () {
      const store = yield* kit.open({ name: "few-failed", failedMaximum: 3, failedTtlMillis: ttlMillis * 10 })
      yield* failAll(kit, store, ["a", "b", "c", "d", "e"])
      assert.deepStrictEqual(yield* list(store), ["e", "d", "c"])
      // What is no longer listed is kept no longer than anything else.
      yield* kit.pass(ttlMillis)
      const records = yield* store.read(["a", "b", "c"])
      assert.deepStrictEqual(records.map(Option.isSome), [false, false, true])
      assert.deepStrictEqual(yield* list(store), ["e", "d", "c"])
    }))

  test("what a failed execution left that is listed no more is not found in the next life of its key", (kit) =>
    Effect.gen(function* () {
      const store = yield* kit.open({ name: "few-lives", failedMaximum: 1, failedTtlMillis: ttlMillis * 10 })
      yield* failAll(kit, store, ["a", "b"])
      // It is still kept like others, and can be retried.
      assert.strictEqual(Option.getOrThrow((yield* store.read(["a"]))[0]!).failure, '{"_tag":"Boom"}')
      yield* kit.pass(ttlMillis)
      yield* store.schedule([request("a")])
      const { settle, takeOne } = yield* openWorker(store)
      yield* settle(yield* takeOne, { _tag: "Completed", result: undefined })
      const { failure, result, state } = Option.getOrThrow((yield* store.read(["a"]))[0]!)
      assert.deepStrictEqual([state, result, failure], ["completed", undefined, undefined])
      assert.deepStrictEqual(yield* store.attempts("a"), [])
    }))

  test("a docket that lists no failed executions keeps them like others", (kit) =>
    Effect.gen(function* () {
      const store = yield* kit.open({ name: "lists-none", failedMaximum: 0, failedTtlMillis: ttlMillis * 10 })
      yield* failAll(kit, store, ["a"])
      assert.deepStrictEqual(yield* list(store), [])
      assert.isTrue(Option.isSome((yield* store.read(["a"]))[0]!))
      yield* kit.pass(ttlMillis)
      assert.isTrue(Option.isNone((yield* store.read(["a"]))[0]!))
    }))

  test("DSH-02: a retry is taken back as long as it has not started, nor been scheduled otherwise", (kit) =>
    Effect.gen(function* () {
      const store = yield* kit.open({ name: "undone", failedTtlMillis: ttlMillis * 4 })
      yield* failAll(kit, store, ["a", "b", "c", "d"])
      const before = Option.getOrThrow((yield* store.read(["a"]))[0]!)
      const retried = (key: string) => ({
        key,
        generation: before.generation + 1,
        error: before.error ?? "",
        failure: before.failure
      })
      assert.deepStrictEqual(yield* store.undoRetry([retried("a")]), [false])
      yield* store.retryFailed(["a", "b", "c"])
      const worker = yield* openWorker(store)
      const started = yield* worker.takeOne
      assert.strictEqual(started.key, "a")
      yield* store.schedule([request("b", { replace: true })])
      const retries = ["a", "b", "c", "d", "nobody"].map(retried)
      assert.deepStrictEqual(yield* store.undoRetry(retries), [false, false, true, false, false])
      assert.deepStrictEqual(yield* store.undoRetry(retries), [false, false, false, false, false])

      assert.sameMembers(yield* list(store), ["c", "d"])
      const { attempts, ...record } = {
        attempts: yield* store.attempts("c"),
        ...Option.getOrThrow((yield* store.read(["c"]))[0]!)
      }
      assert.deepStrictEqual([record.state, record.error, record.failure], ["failed", before.error, before.failure])
      assert.deepStrictEqual(attempts, [])
      assert.deepStrictEqual(yield* store.depth, { queued: 1, scheduled: 0, running: 1 })
      // It is like any failed execution: kept as long, and retried again.
      assert.deepStrictEqual(yield* store.retryFailed(["c"]), [true])
      yield* worker.settle(started)
      assert.sameMembers([(yield* worker.takeOne).key, (yield* worker.takeOne).key], ["b", "c"])
    }))

  test("a failed execution that is retried runs again, at once, with its payload, from attempt 1", (kit) =>
    Effect.gen(function* () {
      const { settle, takeOne } = yield* kit.worker()
      yield* kit.add("k", { payload: "[1]", trace: "00-t" })
      yield* settle(yield* takeOne, retry(0))
      yield* settle(yield* takeOne, failed)
      const feed = yield* kit.watch("k")
      assert.deepStrictEqual(yield* kit.store.retryFailed(["k"]), [true])
      assert.deepStrictEqual(yield* kit.store.retryFailed(["k"]), [false])
      assert.deepStrictEqual(yield* list(kit.store), [])
      const { completed, error, failure, generation, state } = yield* kit.read("k")
      assert.deepStrictEqual(
        { completed, error, failure, generation, state },
        { completed: undefined, error: undefined, failure: undefined, generation: 3, state: "queued" }
      )
      // Its record is live again.
      yield* kit.pass(ttlMillis * 2)
      const delivery = yield* takeOne
      assert.deepStrictEqual(
        [delivery.payload, delivery.trace, delivery.task, delivery.generation, delivery.attempt, delivery.deliveries],
        ["[1]", "00-t", "send", 3, 1, 1]
      )
      assert.deepStrictEqual(yield* feed.states(2), ["queued", "running"])
      yield* settle(delivery)
      assert.strictEqual((yield* kit.read("k")).state, "completed")
    }))

  for (const [what, act] of [
    ["retried", (store: Store, keys: ReadonlyArray<string>) => store.retryFailed(keys)],
    ["discarded", (store: Store, keys: ReadonlyArray<string>) => store.discardFailed(keys)]
  ] as const) {
    test(`only failed executions can be ${what}; for each key it is told whether it was one`, (kit) =>
      Effect.gen(function* () {
        const { settle, take } = yield* kit.worker()
        const keys = ["queued", "running", "completed", "cancelled", "failed", "failed too"]
        yield* Effect.forEach(keys.slice(1), (key) => kit.add(key))
        for (const [index, delivery] of (yield* take(5)).entries()) {
          const outcome = [undefined, completed, cancelled, failed, failed][index]
          if (outcome !== undefined) yield* settle(delivery, outcome)
        }
        yield* kit.add("queued")
        yield* kit.add("scheduled", { due: after(60_000) })
        const others = ["queued", "running", "completed", "cancelled", "scheduled"]
        const before = yield* kit.store.read(others)
        const told = yield* act(kit.store, ["failed", "unknown", ...others, "failed too", "failed"])
        assert.deepStrictEqual(told, [true, false, false, false, false, false, false, true, false])
        assert.deepStrictEqual(yield* kit.store.read(others), before)
        assert.deepStrictEqual(yield* list(kit.store), [])
        assert.deepStrictEqual(yield* act(kit.store, []), [])
      }))
  }

  test("a failed execution that is discarded is forgotten, and its key is free", (kit) =>
    Effect.gen(function* () {
      yield* failAll(kit, kit.store, ["a", "b"])
      assert.deepStrictEqual(yield* kit.store.discardFailed(["a"]), [true])
      assert.isTrue(yield* kit.isUnknown("a"))
      assert.deepStrictEqual(yield* kit.store.attempts("a"), [])
      assert.deepStrictEqual(yield* list(kit.store), ["b"])
      assert.strictEqual(yield* kit.add("a", { payload: "[2]" }), "scheduled")
      assert.strictEqual((yield* (yield* kit.worker()).takeOne).payload, "[2]")
    }))

  test("retrying a failed execution wakes a worker", (kit) =>
    Effect.gen(function* () {
      yield* failAll(kit, kit.store, ["a"])
      const worker = yield* kit.worker()
      yield* worker.exchange({ take: 1 })
      const fibers = yield* allSleep(kit, [worker])
      yield* kit.store.retryFailed(["a"])
      yield* Fiber.joinAll(fibers)
      assert.strictEqual((yield* worker.takeOne).key, "a")
    }))

  test("CLR-01 CLR-02 CLR-04 clearing cancels all that waits, wherever it waits, and leaves what runs", (kit) =>
    Effect.gen(function* () {
      const { exchange, settle, takeOne } = yield* kit.worker()
      assert.strictEqual(yield* kit.store.clear, 0)
      yield* kit.add("running")
      const running = yield* takeOne
      yield* kit.add("completed")
      yield* settle(yield* takeOne)
      yield* kit.add("retried")
      yield* settle(yield* takeOne, retry(60_000))
      yield* kit.add("aside", { task: "unknown" })
      yield* exchange({ take: 1 })
      yield* kit.add("due", { payload: "[1]" })
      yield* kit.add("overdue", { due: after(10) })
      yield* kit.pass(20)
      yield* kit.add("later", { due: after(60_000) })
      const feed = yield* kit.watch("later")
      const settled = yield* kit.store.read(["completed"])
      assert.strictEqual(yield* kit.store.clear, 5)
      assert.strictEqual(yield* kit.store.clear, 0)
      assert.deepStrictEqual(yield* kit.store.depth, { queued: 0, scheduled: 0, running: 1 })
      for (const key of ["retried", "aside", "due", "overdue", "later"]) {
        const { completed, state } = yield* kit.read(key)
        assert.deepStrictEqual([key, state, completed], [key, "cancelled", 1_700_000_000_020])
      }
      assert.strictEqual((yield* kit.read("due")).payload, "[1]")
      assert.strictEqual((yield* feed.next).state, "cancelled")
      assert.deepStrictEqual(yield* kit.store.read(["completed"]), settled)
      assert.deepStrictEqual((yield* kit.store.read(["running"])).map(Option.isSome), [true])
      assert.strictEqual(yield* settle(running), "applied")
      assert.strictEqual((yield* kit.read("running")).state, "completed")
      yield* kit.pass(100_000)
      assert.deepStrictEqual(yield* takeAll(yield* kit.worker({ tasks: "any" })), [])
      assert.strictEqual(yield* kit.add("due"), "scheduled")
      yield* kit.pass(ttlMillis)
      assert.isTrue(yield* kit.isUnknown("later"))
    }))

  test("CLR-04 a docket that keeps nothing keeps nothing of what was cleared", ({ open }) =>
    Effect.gen(function* () {
      const store = yield* open({ name: "clears-all", executionTtlMillis: 0 })
      yield* store.schedule([request("a"), request("b", { due: after(1_000) })])
      assert.strictEqual(yield* store.clear, 2)
      assert.deepStrictEqual((yield* store.read(["a", "b"])).map(Option.isNone), [true, true])
    }))

  test("CLR-01 clearing thousands leaves none", ({ store }) =>
    Effect.gen(function* () {
      const keys = Array.from({ length: 2_500 }, (_, index) => `k${index}`)
      yield* store.schedule(keys.map((key, index) => request(key, { due: after((index % 2) * 60_000) })))
      assert.strictEqual(yield* store.clear, 2_500)
      assert.deepStrictEqual(yield* store.depth, { queued: 0, scheduled: 0, running: 0 })
    }))

  test("CLR-03 clearing leaves workers and failed executions", (kit) =>
    Effect.gen(function* () {
      yield* failAll(kit, kit.store, ["a"])
      const { name, session } = yield* kit.worker()
      yield* session.heartbeat
      yield* kit.add("k")
      yield* kit.store.clear
      assert.include(
        (yield* kit.store.workers).map(({ name }) => name),
        name
      )
      assert.deepStrictEqual(yield* list(kit.store), ["a"])
    }))

  test("RUN-01 clearing the last that waits wakes a worker, which may have waited for nothing else", (kit) =>
    Effect.gen(function* () {
      const worker = yield* kit.worker()
      yield* kit.add("k", { due: after(60_000) })
      yield* worker.exchange({ take: 5 })
      const fibers = yield* allSleep(kit, [worker])
      yield* kit.store.clear
      yield* Fiber.joinAll(fibers)
    }))

  test("SNP-01 SNP-02 a snapshot shows what runs and what waits, in order, and changes nothing", (kit) =>
    Effect.gen(function* () {
      const { exchange, name, take } = yield* kit.worker({ leaseMillis: leaseMillis * 2 })
      const other = yield* kit.worker()
      assert.deepStrictEqual(yield* kit.store.snapshot(10), {
        taken: 1_700_000_000_000,
        depth: { queued: 0, scheduled: 0, running: 0 },
        running: [],
        waiting: []
      })
      // In the order of their starts, which is not that of their leases' ends.
      for (const [key, worker] of [
        ["z", { take }],
        ["a", other]
      ] as const) {
        yield* kit.add(key)
        yield* worker.take(1)
        yield* kit.pass(1)
      }
      yield* kit.add("aside", { task: "unknown" })
      yield* exchange({ take: 1 })
      yield* kit.add("last", { due: after(3_000) })
      yield* kit.add("next", { due: after(2_000) })
      yield* kit.add("due-1")
      yield* kit.add("due-2")
      const snapshot = yield* kit.store.snapshot(10)
      assert.strictEqual(snapshot.taken, 1_700_000_000_002)
      assert.deepStrictEqual(snapshot.depth, { queued: 3, scheduled: 2, running: 2 })
      assert.deepStrictEqual(keysOf(snapshot.running), ["z", "a"])
      assert.deepStrictEqual(keysOf(snapshot.waiting), ["due-1", "due-2", "aside", "next", "last"])
      assert.strictEqual(snapshot.running[0]?.worker, name)
      assert.deepStrictEqual(snapshot.running[0], yield* kit.read("z"))
      assert.deepStrictEqual(snapshot.waiting[3], yield* kit.read("next"))
      assert.deepStrictEqual(yield* kit.store.snapshot(10), snapshot)
      // However few are shown, all are counted.
      const small = yield* kit.store.snapshot(1)
      assert.deepStrictEqual([keysOf(small.running), keysOf(small.waiting)], [["z"], ["due-1"]])
      assert.deepStrictEqual(small.depth, snapshot.depth)
      assert.deepStrictEqual(keysOf((yield* kit.store.snapshot(4)).waiting), ["due-1", "due-2", "aside", "next"])
      const none = yield* kit.store.snapshot(0)
      assert.deepStrictEqual([none.running, none.waiting, none.depth], [[], [], snapshot.depth])
      assert.deepStrictEqual(keysOf(yield* take(5)), ["due-1", "due-2"])
    }))

  test("ASK-04 what a worker that fell silent holds is told, and given back at once when it is forgotten", (kit) =>
    Effect.gen(function* () {
      const silent = Effect.map(kit.store.silentWorkers, (workers) => workers.map(({ held, name }) => [name, held]))
      const lease = yield* Effect.scoped(
        Effect.gen(function* () {
          const { session, take } = yield* kit.worker({ name: "dead", presenceMillis: 5_000 })
          yield* session.heartbeat
          for (const key of ["a", "b", "c"]) yield* kit.add(key)
          const [first] = yield* take(3)
          assert.deepStrictEqual(yield* silent, [])
          assert.isUndefined(yield* kit.store.forgetWorker("dead"))
          yield* kit.store.cancel(["c"])
          return first!
        })
      )
      yield* kit.pass(5_001)
      const alive = yield* kit.worker({ name: "alive" })
      yield* alive.session.heartbeat
      yield* kit.add("mine")
      yield* alive.takeOne
      assert.deepStrictEqual(yield* silent, [["dead", 3]])
      const [worker] = yield* kit.store.silentWorkers
      assert.strictEqual(worker?.until, beginning + leaseMillis)
      const feed = yield* kit.watch("c")
      assert.strictEqual(yield* kit.store.forgetWorker("dead"), 2)
      assert.deepStrictEqual(yield* silent, [])
      assert.strictEqual(yield* kit.store.forgetWorker("dead"), 0)
      assert.strictEqual(yield* kit.store.forgetWorker("nobody"), 0)
      assert.deepStrictEqual(yield* feed.states(1), ["cancelled"])
      assert.sameMembers(keysOf(yield* alive.take(5)).slice(), ["a", "b"])
      // Should it live after all, it has lost what it held.
      assert.deepStrictEqual(yield* alive.renew(lease), ["lost"])
    }))

  test("workers are listed by name, with their tasks, until they leave", (kit) =>
    Effect.gen(function* () {
      const beat = (worker: TestWorker) => worker.session.heartbeat
      const b = yield* kit.worker({ name: "b", tasks: new Set(["send", "archive"]) })
      const a = yield* kit.worker({ name: "a", tasks: new Set(["bill"]) })
      yield* Effect.forEach([b, a], beat)
      assert.deepStrictEqual(yield* kit.store.workers, [
        { name: "a", lastSeen: 1_700_000_000_000, tasks: ["bill"] },
        { name: "b", lastSeen: 1_700_000_000_000, tasks: ["archive", "send"] }
      ])
      yield* kit.pass(5_000)
      yield* beat(a)
      assert.strictEqual((yield* kit.store.workers)[0]?.lastSeen, 1_700_000_005_000)
      yield* a.session.leave
      assert.deepStrictEqual(
        (yield* kit.store.workers).map(({ name }) => name),
        ["b"]
      )
      // Only a store that needs heartbeats can miss them.
      yield* kit.pass(10_001)
      assert.strictEqual((yield* kit.store.workers).length, b.session.needsHeartbeat ? 0 : 1)
    }))

  test("HBT-04 each worker is listed as long as it said itself, whoever else is heard of", (kit) =>
    Effect.gen(function* () {
      const names = Effect.map(kit.store.workers, (workers) => workers.map(({ name }) => name))
      const patient = yield* kit.worker({ name: "patient", presenceMillis: 60_000 })
      const brief = yield* kit.worker({ name: "brief", presenceMillis: 5_000 })
      if (!brief.session.needsHeartbeat) return
      yield* patient.session.heartbeat
      yield* kit.pass(30_000)
      yield* brief.session.heartbeat
      assert.deepStrictEqual(yield* names, ["brief", "patient"])
      yield* kit.pass(5_001)
      assert.deepStrictEqual(yield* names, ["patient"])
      yield* brief.session.heartbeat
      yield* patient.session.leave
      assert.deepStrictEqual(yield* names, ["brief"])
    }))

  test("HBT-01 a worker that comes back under its name is listed with the tasks that it knows now", (kit) =>
    Effect.gen(function* () {
      yield* Effect.scoped(
        Effect.gen(function* () {
          const { session } = yield* kit.worker({ name: "w", tasks: new Set(["send", "old"]) })
          yield* session.heartbeat
        })
      )
      for (const tasks of [["new", "send"], []]) {
        yield* Effect.scoped(
          Effect.gen(function* () {
            const { session } = yield* kit.worker({ name: "w", tasks: new Set(tasks) })
            yield* session.heartbeat
            assert.deepStrictEqual(
              (yield* kit.store.workers).map((worker) => worker.tasks),
              [tasks]
            )
          })
        )
      }
    }))

  test("ISO-01 workers, failed executions and feeds of one docket are not seen from another", (kit) =>
    Effect.gen(function* () {
      const other = yield* kit.open({ name: "unseen" })
      const events = yield* other.watchAll
      yield* failAll(kit, kit.store, ["k"])
      yield* (yield* kit.worker()).session.heartbeat
      assert.deepStrictEqual(yield* other.workers, [])
      assert.deepStrictEqual(yield* list(other), [])
      assert.deepStrictEqual(yield* other.retryFailed(["k"]), [false])
      assert.deepStrictEqual(yield* other.attempts("k"), [])
      yield* other.schedule([request("own")])
      const event = yield* Queue.take(events)
      assert(event._tag === "Changed")
      assert.strictEqual(event.key, "own")
    }))

  test("EVT-03 whoever follows the docket hears of every execution, in order", ({ add, store, worker }) =>
    Effect.gen(function* () {
      const { session, settle, takeOne } = yield* worker()
      const events = yield* store.watchAll
      const one = yield* store.watch("a")
      yield* add("a")
      yield* add("b", { task: "other", due: after(1_000) })
      const delivery = yield* takeOne
      yield* session.progress([update(delivery, 1)])
      yield* settle(delivery)
      yield* store.cancel(["b"])
      const heard = yield* Effect.all(Array.from({ length: 6 }, () => Queue.take(events)))
      assert.deepStrictEqual(
        heard.map((event) =>
          event._tag === "Changed" ? [event.key, event.task, event.state] : event._tag === "Progressed" ? event.key : ""
        ),
        [
          ["a", "send", "queued"],
          ["b", "other", "scheduled"],
          ["a", "send", "running"],
          "a",
          ["a", "send", "completed"],
          ["b", "other", "cancelled"]
        ]
      )
      assert.strictEqual((yield* Queue.take(one))._tag, "Changed")
      const closed = yield* Effect.scoped(store.watchAll)
      assert.strictEqual(closed.state._tag, "Done")
    }))
}
