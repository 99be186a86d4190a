/** Executions that a worker knows by task, and still cannot read: UNK, payload versions. */
import { assert } from "@effect/vitest"
import { Effect } from "effect"
import { type Control, noTerms } from "../../../src/Admission.ts"
import type { Outcome } from "../../../src/DocketStore.ts"
import { cancelled, completed, keysOf, settlement, type Test } from "./kit.ts"

const unreadable: Outcome = { _tag: "Unreadable", needs: "send\u00012" }
const newer = { tasks: new Set(["send", "send\u00012"]) }

const limited: ReadonlyArray<Control> = [{ _tag: "Concurrency", scope: "task:send:concurrency0", limit: 1 }]

export const needs = (test: Test) => {
  test("UNK-02 a worker that tells that none of its controls has a say is not asked again", (kit) =>
    Effect.gen(function* () {
      const { exchange, settle } = yield* kit.worker({ controls: new Map([["send", limited]]) })
      yield* kit.add("k")
      const { undetermined } = yield* exchange({ take: 1 })
      const told: Outcome = { _tag: "Determined", terms: noTerms, strikes: "" }
      const reply = yield* exchange({ take: 1, finished: [settlement(undetermined[0]!, told)] })
      assert.deepStrictEqual(keysOf(reply.undetermined), [])
      assert.deepStrictEqual(keysOf(reply.deliveries), ["k"])
      assert.strictEqual(yield* settle(reply.deliveries[0]!), "applied")
    }))

  test("UNK-01 what a worker cannot read waits for one that knows what it needs, as if it had not been delivered", ({
    add,
    pass,
    read,
    store,
    worker
  }) =>
    Effect.gen(function* () {
      const old = yield* worker()
      yield* add("k")
      assert.strictEqual(yield* old.settle(yield* old.takeOne, unreadable), "applied")
      const { deliveries: none, unknown } = yield* old.exchange({ take: 10 })
      assert.deepStrictEqual(keysOf(none), [])
      assert.deepStrictEqual(unknown, [{ task: "send\u00012", waiting: 1 }])
      yield* pass(60_000)
      assert.deepStrictEqual(keysOf(yield* old.take(10)), [])
      assert.deepInclude(yield* read("k"), { state: "queued", attempt: 1, deliveries: 0, task: "send" })
      assert.deepStrictEqual(yield* store.depth, { queued: 1, scheduled: 0, running: 0 })

      const { settle, takeOne } = yield* worker(newer)
      const delivery = yield* takeOne
      assert.deepInclude(delivery, { key: "k", task: "send", attempt: 1, deliveries: 1 })
      // Another attempt is not for the old worker either.
      yield* settle(delivery, { _tag: "Retry", error: "Boom: no", due: { _tag: "After", millis: 0 } })
      assert.deepStrictEqual(keysOf(yield* old.take(10)), [])
      assert.strictEqual(yield* settle(yield* takeOne, completed), "applied")
      assert.deepStrictEqual(yield* store.depth, { queued: 0, scheduled: 0, running: 0 })
    }))

  test("UNK-01 what cannot be read can be cancelled, replaced and cleared while it waits", ({
    add,
    read,
    replace,
    store,
    worker
  }) =>
    Effect.gen(function* () {
      const old = yield* worker()
      for (const key of ["cancelled", "replaced", "cleared"]) {
        yield* add(key)
        yield* old.settle(yield* old.takeOne, unreadable)
        assert.deepStrictEqual(keysOf(yield* old.take(10)), [])
      }
      yield* store.cancel(["cancelled"])
      assert.strictEqual((yield* read("cancelled")).state, "cancelled")
      // What takes its place is for any worker again.
      yield* replace("replaced")
      const delivery = yield* old.takeOne
      assert.deepInclude(delivery, { key: "replaced", deliveries: 1 })
      yield* old.settle(delivery)
      assert.strictEqual(yield* store.clear, 1)
      assert.deepStrictEqual(keysOf(yield* (yield* worker(newer)).take(10)), [])
    }))

  test("UNK-01 what was cancelled while a worker found that it cannot read it is cancelled", ({
    add,
    read,
    store,
    worker
  }) =>
    Effect.gen(function* () {
      const old = yield* worker()
      yield* add("k")
      const delivery = yield* old.takeOne
      yield* store.cancel(["k"])
      assert.strictEqual(yield* old.settle(delivery, unreadable), "applied")
      assert.strictEqual((yield* read("k")).state, "cancelled")
      assert.strictEqual(yield* old.settle(delivery, cancelled), "lost")
    }))
}
