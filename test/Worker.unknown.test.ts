/** Tasks that a worker does not know, and payloads that it cannot read. */
import { assert } from "@effect/vitest"
import { Context, Effect, Layer, Queue, Schema } from "effect"
import { CurrentExecution, Docket, Task, TaskGroup, TaskKey, Worker } from "../src/index.ts"
import { infoOf, onEveryStore, pass, start, stateOf } from "./support/dockets.ts"
import { collectLogs } from "./support/logs.ts"
import { waitUntil } from "./support/waitUntil.ts"

const Known = Task.make("known", { success: Schema.String })
const New = Task.make("new", { payload: { text: Schema.String }, success: Schema.String })
const old = TaskGroup.make(Known)
const all = TaskGroup.make(Known, New)

const OldHandlers = old.toLayer({ known: () => Effect.succeed("known") })
const AllHandlers = all.toLayer({ known: () => Effect.succeed("known"), new: ({ text }) => Effect.succeed(text) })

onEveryStore("An execution whose task a worker does not know", (it) => {
  it.effect("UNK-01 waits for a worker that knows it, without an attempt, a delivery or a slot", () =>
    Effect.gen(function* () {
      yield* start(Worker.layer(old, { concurrency: 1 }).pipe(Layer.provide(OldHandlers)))
      const docket = yield* Docket
      const waiting = yield* Effect.forEach([1, 2, 3], (n) => docket.add(New, { text: `text ${n}` }, { key: `k-${n}` }))
      // Others go past it, though there is but one slot.
      for (const _ of [1, 2, 3]) assert.strictEqual(yield* (yield* docket.add(Known)).result, "known")
      yield* pass("1 minute", 3)
      for (const { key } of waiting) {
        assert.deepInclude(yield* infoOf(key), { state: "queued", attempt: 1, deliveries: 0, worker: undefined })
      }
      assert.deepStrictEqual(yield* docket.store.depth, { queued: 3, scheduled: 0, running: 0 })

      yield* start(Worker.layer(all, { name: "newer" }).pipe(Layer.provide(AllHandlers)))
      const texts = yield* Effect.forEach(waiting, ({ result }) => result)
      assert.deepStrictEqual(texts, ["text 1", "text 2", "text 3"])
      for (const { key } of waiting)
        assert.deepInclude(yield* infoOf(key), { attempt: 1, deliveries: 1, worker: "newer" })
    })
  )

  it.effect("UNK-01 finds a worker that knows it also when that one is idle already", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      yield* start(Worker.layer(all).pipe(Layer.provide(AllHandlers)))
      yield* Effect.all([1, 2, 3].map(() => start(Worker.layer(old).pipe(Layer.provide(OldHandlers)))))
      for (let n = 0; n < 20; n++) {
        const execution = yield* docket.add(New, { text: `text ${n}` })
        assert.strictEqual(yield* execution.result, `text ${n}`)
      }
    })
  )

  it.effect("UNK-01 is named in the log once a minute, with the number that wait and what to do", () =>
    Effect.gen(function* () {
      const logs = yield* collectLogs
      yield* start(Worker.layer(old).pipe(Layer.provide(OldHandlers), Layer.provide(logs.layer)))
      const docket = yield* Docket
      const warnings = () => logs.at("Warn").filter((line) => line.includes('"new"'))
      yield* docket.add(New, { text: "a" })
      yield* waitUntil(
        "the first warning",
        Effect.sync(() => warnings().length > 0)
      )
      yield* docket.add(New, { text: "b" })
      yield* docket.add(New, { text: "c" })
      yield* (yield* docket.add(Known)).result
      assert.strictEqual(warnings().length, 1)
      for (const part of ["1 wait", "--tasks", "Worker.layer"]) assert.include(warnings()[0], part)

      yield* pass("61 seconds")
      yield* docket.add(New, { text: "d" })
      yield* (yield* docket.add(Known)).result
      yield* waitUntil(
        "the second warning",
        Effect.sync(() => warnings().length > 1)
      )
      assert.strictEqual(warnings().length, 2)
      assert.include(warnings()[1], "4 wait")
      yield* start(Worker.layer(all).pipe(Layer.provide(AllHandlers)))
      yield* waitUntil(
        "all are run",
        Effect.map(docket.store.depth, ({ queued, running }) => queued + running === 0)
      )
    })
  )

  it.effect("UNK-01 can be cancelled and replaced while it waits", () =>
    Effect.gen(function* () {
      yield* start(Worker.layer(old).pipe(Layer.provide(OldHandlers)))
      const docket = yield* Docket
      const cancelled = yield* docket.add(New, { text: "a" }, { key: "cancelled" })
      const replaced = yield* docket.add(New, { text: "b" }, { key: "replaced" })
      yield* (yield* docket.add(Known)).result
      yield* cancelled.cancel
      assert.strictEqual(yield* stateOf("cancelled"), "cancelled")
      const replacement = yield* docket.replace(New, { text: "c" }, { key: "replaced" })
      assert.strictEqual(replacement.disposition, "replaced")
      yield* start(Worker.layer(all).pipe(Layer.provide(AllHandlers)))
      assert.strictEqual(yield* replaced.result, "c")
      assert.strictEqual(yield* stateOf("cancelled"), "cancelled")
    })
  )

  it.effect(
    "UNK-02, UNK-03 is run by a fallback, which gets the payload as it was stored and all that handlers can",
    () =>
      Effect.gen(function* () {
        class Audit extends Context.Service<Audit, { readonly lines: Array<string> }>()("test/Audit") {}
        const lines: Array<string> = []
        const fallback: Worker.Fallback<Audit | CurrentExecution | TaskKey> = Effect.fnUntraced(function* (payload) {
          const audit = yield* Audit
          const { task } = yield* CurrentExecution
          audit.lines.push(`${task}{${yield* TaskKey}}: ${payload}`)
          return { seen: task }
        })
        yield* start(
          Worker.layer(old, { fallback }).pipe(
            Layer.provide(OldHandlers),
            Layer.provide(Layer.succeed(Audit, { lines }))
          )
        )
        const docket = yield* Docket
        const execution = yield* docket.addNamed("legacy", { text: "hello" }, { key: "k" })
        assert.deepStrictEqual(yield* execution.result, { seen: "legacy" })
        assert.deepStrictEqual(lines, ['legacy{k}: {"text":"hello"}'])
        // UNK-04
        assert.strictEqual((yield* infoOf("k")).task, "legacy")
        // What the worker knows goes to its handler.
        assert.strictEqual(yield* (yield* docket.add(Known)).result, "known")
      })
  )

  it.effect("UNK-02 that waits already is run by a fallback as well", () =>
    Effect.gen(function* () {
      yield* start(Worker.layer(old).pipe(Layer.provide(OldHandlers)))
      const docket = yield* Docket
      const execution = yield* docket.addNamed("legacy", {})
      yield* (yield* docket.add(Known)).result
      yield* start(Worker.layer(old, { fallback: () => Effect.succeed("fell back") }).pipe(Layer.provide(OldHandlers)))
      assert.strictEqual(yield* execution.result, "fell back")
    })
  )

  it.effect("UNK-02 is failed by a worker that drops it, with that reason in its record", () =>
    Effect.gen(function* () {
      yield* start(Worker.layer(old, { fallback: Worker.drop }).pipe(Layer.provide(OldHandlers)))
      const docket = yield* Docket
      const error = yield* Effect.flip((yield* docket.add(New, { text: "a" }, { key: "k" })).result)
      assert(error._tag === "TaskFailed")
      assert.include(error.error, "UnknownTask")
      assert.deepInclude(yield* infoOf("k"), { state: "failed", task: "new" })
    })
  )
})

onEveryStore("A payload that the worker's contract cannot decode", (it) => {
  it.effect("UNK-05 fails its execution with the reason, without running the handler, and the worker goes on", () =>
    Effect.gen(function* () {
      const ran = yield* Queue.unbounded<string>()
      const handlers = all.toLayer({
        known: () => Effect.succeed("known"),
        new: ({ text }) => Effect.as(Queue.offer(ran, text), text)
      })
      yield* start(Worker.layer(all, { concurrency: 1 }).pipe(Layer.provide(handlers)))
      const docket = yield* Docket
      for (const payload of [{ text: 7 }, {}, null, "text", []]) {
        const execution = yield* docket.addNamed("new", payload)
        const error = yield* Effect.flip(execution.result)
        assert(error._tag === "TaskFailed")
        assert.include(error.error, "InvalidPayload")
        assert.deepInclude(yield* infoOf(execution.key), { state: "failed", attempt: 1, deliveries: 1 })
      }
      assert.strictEqual(yield* (yield* docket.add(New, { text: "fine" })).result, "fine")
      assert.deepStrictEqual(yield* Queue.clear(ran), ["fine"])
    })
  )
})
