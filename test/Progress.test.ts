/** How far a running execution has come. */
import { assert } from "@effect/vitest"
import { Cause, Effect, Exit, Latch, Layer, Queue, Schema, Stream } from "effect"
import {
  CurrentExecution,
  type CurrentWorker,
  Docket,
  Dockets,
  type DocketError,
  type DocketStore,
  type ExecutionEvent,
  Progress,
  type ProgressChanged,
  Retry,
  StoreError,
  Task,
  TaskGroup,
  Worker
} from "../src/index.ts"
import { infoOf, onEveryStore, pass, start, stateOf, TestDocket } from "./support/dockets.ts"
import { follow, passUntil } from "./support/runs.ts"
import { waitUntil } from "./support/waitUntil.ts"

const Copy = Task.make("copy", {
  payload: { id: Schema.String },
  success: Schema.Int,
  key: ({ id }) => id,
  retry: Retry.linear({ attempts: 2 })
})
const tasks = TaskGroup.make(Copy)

type Handler = Effect.Effect<unknown, DocketError, Progress | CurrentExecution | CurrentWorker>

const makeCopier = (handler: Handler, options: Worker.Options = {}) =>
  Worker.layer(tasks, options).pipe(
    Layer.provide(
      tasks.toLayer({
        copy: Effect.fnUntraced(function* () {
          yield* handler
          return (yield* CurrentExecution).attempt
        })
      })
    )
  )

/** A handler that waits for a gate after what it does first. */
const makeGated = Effect.fnUntraced(function* (first: Handler) {
  const ready = yield* Latch.make()
  const gate = yield* Latch.make()
  return { ready, gate, handler: Effect.andThen(first, Effect.andThen(ready.open, gate.await)) satisfies Handler }
})

const progressIn = (events: Iterable<ExecutionEvent>): ReadonlyArray<ProgressChanged> =>
  [...events].filter((event) => event._tag === "ProgressChanged")

/** A store whose progress calls are counted, and fail or wait when they are told to. */
const makeWatched = Effect.fnUntraced(function* (
  progress: (
    call: number,
    updates: ReadonlyArray<DocketStore.ProgressUpdate>,
    through: Effect.Effect<void, StoreError>
  ) => Effect.Effect<void, StoreError>
) {
  const { store } = yield* Docket
  let calls = 0
  const watched = yield* Dockets.fromStore({
    ...store,
    open: (options) =>
      Effect.map(store.open(options), (session) => ({
        ...session,
        progress: (updates) => Effect.suspend(() => progress(++calls, updates, session.progress(updates)))
      }))
  })
  return { watched, calls: () => calls }
})

const refused = new StoreError({ operation: "progress", cause: new Error("the connection broke") })

onEveryStore("Progress", (it) => {
  it.effect(
    "PRG-01 is not there before the start, begins at 0 of 100 without a message, and has the time of its last change",
    () =>
      Effect.gen(function* () {
        const first = yield* makeGated(Effect.void)
        const second = yield* Latch.make()
        const after: Array<unknown> = []
        const handler: Handler = Effect.gen(function* () {
          yield* first.handler
          const { current, increment, setMessage, setTotal, sync } = yield* Progress
          after.push(yield* current)
          yield* setTotal(8)
          yield* increment()
          yield* increment(2)
          yield* setMessage("copying")
          yield* sync
          after.push(yield* current)
          yield* second.await
        })
        const docket = yield* Docket
        const execution = yield* docket.add(Copy, { id: "k" })
        assert.isUndefined((yield* infoOf("k")).progress)
        yield* start(makeCopier(handler))
        yield* first.ready.await
        const nothing = { current: 0, total: 100, message: undefined, updated: undefined }
        assert.deepStrictEqual((yield* infoOf("k")).progress, nothing)

        yield* pass("1 minute")
        yield* first.gate.open
        yield* waitUntil(
          "it has reported",
          Effect.map(infoOf("k"), ({ progress }) => progress?.message === "copying")
        )
        const { progress, started } = yield* infoOf("k")
        assert(progress?.updated !== undefined && started !== undefined)
        assert.deepInclude(progress, { current: 3, total: 8, message: "copying" })
        assert.isAtLeast(progress.updated.epochMilliseconds - started.epochMilliseconds, 60_000)
        yield* second.open
        yield* execution.result
        assert.deepStrictEqual(after[0], nothing)
        assert.deepInclude(after[1], { current: 3, total: 8, message: "copying" })
      })
  )

  it.effect("PRG-02 counts every increment, by any amount, however many run at once", () =>
    Effect.gen(function* () {
      const gated = yield* makeGated(
        Effect.gen(function* () {
          const { increment, setTotal, sync } = yield* Progress
          yield* setTotal(10_000)
          yield* Effect.forEach(
            Array.from({ length: 1000 }, (_, i) => (i % 3) + 1),
            (amount) => Effect.andThen(Effect.yieldNow, increment(amount)),
            { concurrency: "unbounded", discard: true }
          )
          yield* sync
        })
      )
      yield* start(makeCopier(gated.handler))
      const docket = yield* Docket
      const execution = yield* docket.add(Copy, { id: "k" })
      yield* passUntil("1 second", gated.ready.await)
      assert.strictEqual((yield* infoOf("k")).progress?.current, 1999)
      yield* gated.gate.open
      yield* execution.result
    })
  )

  it.effect("PRG-03 refuses a total and an increment below 1, and changes nothing", () =>
    Effect.gen(function* () {
      const refusals: Array<string> = []
      const gated = yield* makeGated(
        Effect.gen(function* () {
          const { increment, setTotal, sync } = yield* Progress
          yield* setTotal(5)
          yield* increment(2)
          for (const wrong of [
            setTotal(0),
            setTotal(-1),
            setTotal(Number.NaN),
            setTotal(Infinity),
            increment(Infinity),
            increment(0),
            increment(-3),
            increment(0.5),
            increment(Number.NaN)
          ]) {
            const exit = yield* Effect.exit(wrong)
            refusals.push(Exit.isFailure(exit) ? String(Cause.squash(exit.cause)) : "accepted")
          }
          yield* sync
        })
      )
      yield* start(makeCopier(gated.handler))
      const docket = yield* Docket
      const execution = yield* docket.add(Copy, { id: "k" })
      yield* gated.ready.await
      assert.deepInclude((yield* infoOf("k")).progress, { current: 2, total: 5 })
      assert.strictEqual(refusals.length, 9)
      for (const refusal of refusals) assert.match(refusal, /RangeError: .* at least 1; it was/)
      yield* gated.gate.open
      yield* execution.result
    })
  )

  it.effect(
    "PRG-04 is published with its full state, in the order of its changes, to whoever follows the execution",
    () =>
      Effect.gen(function* () {
        const steps = yield* Queue.unbounded<void>()
        const handler: Handler = Effect.gen(function* () {
          const { increment, setMessage, setTotal, sync } = yield* Progress
          for (const change of [setTotal(4), increment(), setMessage("half"), increment(3)]) {
            yield* Queue.take(steps)
            yield* change
            yield* sync
          }
          yield* Queue.take(steps)
        })
        yield* start(makeCopier(handler))
        const docket = yield* Docket
        const elsewhere = yield* (yield* TestDocket).open()
        yield* docket.add(Copy, { id: "k" })
        yield* waitUntil(
          "it runs",
          Effect.map(stateOf("k"), (state) => state === "running")
        )
        const followed = yield* Effect.forEach([docket, elsewhere], (docket) =>
          follow(docket.execution(Copy, "k").events)
        )
        for (const events of followed) yield* Queue.takeN(events, 2)
        const seen: Array<unknown> = []
        for (let step = 0; step < 4; step++) {
          yield* Queue.offer(steps, undefined)
          const [here, there] = yield* Effect.forEach(followed, Queue.take)
          assert.deepStrictEqual(here, there)
          assert(here?._tag === "ProgressChanged" && here.updated !== undefined)
          seen.push([here.key, here.current, here.total, here.message])
        }
        yield* Queue.offer(steps, undefined)
        assert.deepStrictEqual(seen, [
          ["k", 0, 4, undefined],
          ["k", 1, 4, undefined],
          ["k", 1, 4, "half"],
          ["k", 4, 4, "half"]
        ])
      })
  )

  it.effect("PRG-05 can be read by key in any process", () =>
    Effect.gen(function* () {
      const gated = yield* makeGated(
        Effect.gen(function* () {
          const { setMessage, sync } = yield* Progress
          yield* setMessage('"quoted"\nand\tmore 🕐')
          yield* sync
        })
      )
      yield* start(makeCopier(gated.handler))
      const docket = yield* Docket
      const execution = yield* docket.add(Copy, { id: "k" })
      yield* gated.ready.await
      const elsewhere = yield* (yield* TestDocket).open()
      const info = yield* elsewhere.info("k")
      assert(info._tag === "Some")
      assert.strictEqual(info.value.progress?.message, '"quoted"\nand\tmore 🕐')
      yield* gated.gate.open
      yield* execution.result
    })
  )

  for (const [state, end] of [
    ["completed", Effect.void],
    ["failed", Task.doNotRetry("no" as never)],
    ["cancelled", Effect.interrupt]
  ] as const) {
    it.effect(`PRG-06 ends with its run, when that is ${state}`, () =>
      Effect.gen(function* () {
        const gated = yield* makeGated(
          Effect.gen(function* () {
            const { increment, sync } = yield* Progress
            yield* increment(7)
            yield* sync
          })
        )
        yield* start(makeCopier(Effect.andThen(gated.handler, end)))
        const docket = yield* Docket
        const execution = yield* docket.add(Copy, { id: "k" })
        yield* gated.ready.await
        assert.strictEqual((yield* infoOf("k")).progress?.current, 7)
        yield* gated.gate.open
        yield* Effect.exit(execution.result)
        assert.strictEqual(yield* stateOf("k"), state)
        assert.isUndefined((yield* infoOf("k")).progress)
      })
    )
  }

  it.effect("PRG-06 begins anew with the next attempt", () =>
    Effect.gen(function* () {
      const second = yield* makeGated(Effect.void)
      const handler: Handler = Effect.gen(function* () {
        const { current, increment, sync } = yield* Progress
        if ((yield* CurrentExecution).attempt === 1) {
          yield* increment(7)
          yield* sync
          return yield* Effect.die("once more")
        }
        assert.deepInclude(yield* current, { current: 0, total: 100, updated: undefined })
        yield* second.handler
      })
      yield* start(makeCopier(handler))
      const docket = yield* Docket
      const execution = yield* docket.add(Copy, { id: "k" })
      yield* second.ready.await
      assert.deepStrictEqual((yield* infoOf("k")).progress, {
        current: 0,
        total: 100,
        message: undefined,
        updated: undefined
      })
      yield* second.gate.open
      assert.strictEqual(yield* execution.result, 2)
    })
  )

  it.effect("GEN-04 of a run that was superseded leaves that of its successor alone", () =>
    Effect.gen(function* () {
      const old = yield* makeGated(Effect.void)
      const young = yield* makeGated(
        Effect.gen(function* () {
          const { increment, sync } = yield* Progress
          yield* increment(2)
          yield* sync
        })
      )
      const oldEnded = yield* Latch.make()
      const handler: Handler = Effect.gen(function* () {
        if ((yield* CurrentExecution).generation > 1) return yield* young.handler
        yield* old.handler
        const { increment, sync } = yield* Progress
        yield* increment(50)
        yield* sync
        yield* oldEnded.open
      })
      yield* start(makeCopier(handler))
      const docket = yield* Docket
      yield* docket.add(Copy, { id: "k" })
      yield* old.ready.await
      const execution = yield* docket.replace(Copy, { id: "k" })
      yield* young.ready.await
      yield* old.gate.open
      yield* oldEnded.await
      yield* pass("1 second", 4)
      assert.strictEqual((yield* infoOf("k")).progress?.current, 2)
      yield* young.gate.open
      yield* execution.result
    })
  )

  it.effect("reported thousands of times makes few calls of the store, and the last report is not lost", () =>
    Effect.gen(function* () {
      const { calls, watched } = yield* makeWatched((_call, _updates, through) => through)
      const gated = yield* makeGated(
        Effect.gen(function* () {
          const { increment, setMessage, setTotal } = yield* Progress
          yield* setTotal(5000)
          for (let i = 1; i <= 5000; i++) {
            yield* increment()
            yield* setMessage(`file ${i}`)
            // Five seconds of reports, a thousand in each.
            if (i % 100 === 0) yield* Effect.sleep("100 millis")
          }
        })
      )
      yield* start(makeCopier(gated.handler)).pipe(Effect.provideService(Docket, watched))
      const docket = yield* Docket
      const execution = yield* docket.add(Copy, { id: "k" })
      yield* passUntil("100 millis", gated.ready.await)
      yield* pass("1 second")
      yield* waitUntil(
        "the last report has arrived",
        Effect.map(infoOf("k"), ({ progress }) => progress?.current === 5000)
      )
      assert.deepInclude((yield* infoOf("k")).progress, { current: 5000, total: 5000, message: "file 5000" })
      assert.isAtMost(calls(), 60)
      yield* gated.gate.open
      yield* execution.result
    })
  )

  it.effect("of many executions goes to the store together", () =>
    Effect.gen(function* () {
      const sizes: Array<number> = []
      const { watched } = yield* makeWatched((_call, updates, through) =>
        Effect.andThen(
          Effect.sync(() => sizes.push(updates.length)),
          through
        )
      )
      const go = yield* Latch.make()
      const done = yield* Latch.make()
      const handler: Handler = Effect.gen(function* () {
        yield* go.await
        const { increment } = yield* Progress
        yield* increment(3)
        yield* done.await
      })
      yield* start(makeCopier(handler, { concurrency: 40 })).pipe(Effect.provideService(Docket, watched))
      const docket = yield* Docket
      const all = yield* docket.addAll(Array.from({ length: 40 }, (_, i) => Task.request(Copy, { id: `k-${i}` })))
      yield* waitUntil(
        "all run",
        Effect.map(docket.store.depth, ({ running }) => running === 40)
      )
      yield* go.open
      yield* pass("1 second", 4)
      yield* waitUntil(
        "all have reported",
        Effect.map(docket.snapshot(), ({ running }) => running.every(({ progress }) => progress?.current === 3))
      )
      assert.strictEqual(
        sizes.reduce((sum, size) => sum + size, 0),
        40
      )
      assert.isAtMost(sizes.length, 4)
      yield* done.open
      yield* Effect.forEach(all, ({ result }) => result)
    })
  )

  it.effect("reported right before the end is published before the end", () =>
    Effect.gen(function* () {
      const gated = yield* makeGated(Effect.void)
      const handler = Effect.andThen(
        gated.handler,
        Effect.gen(function* () {
          const { increment, setMessage } = yield* Progress
          for (let i = 0; i < 50; i++) yield* increment()
          yield* setMessage("all")
        })
      )
      yield* start(makeCopier(handler))
      const docket = yield* Docket
      const execution = yield* docket.add(Copy, { id: "k" })
      yield* gated.ready.await
      const events = yield* follow(execution.events)
      yield* Queue.takeN(events, 2)
      yield* gated.gate.open
      yield* execution.result
      const rest: Array<ExecutionEvent> = []
      while (rest.at(-1)?._tag !== "StateChanged") rest.push(yield* Queue.take(events))
      assert.deepInclude(progressIn(rest).at(-1), { current: 50, message: "all" })
    })
  )

  it.effect("that the store refuses is sent again, as it is by then", () =>
    Effect.gen(function* () {
      const { calls, watched } = yield* makeWatched((call, _updates, through) =>
        call <= 3 ? Effect.fail(refused) : through
      )
      const gated = yield* makeGated(
        Effect.gen(function* () {
          const { increment } = yield* Progress
          yield* increment()
          yield* Effect.sleep("150 millis")
          yield* increment()
        })
      )
      yield* start(makeCopier(gated.handler)).pipe(Effect.provideService(Docket, watched))
      const docket = yield* Docket
      const execution = yield* docket.add(Copy, { id: "k" })
      yield* passUntil("50 millis", gated.ready.await)
      yield* pass("1 second", 10)
      yield* waitUntil(
        "it has arrived",
        Effect.map(infoOf("k"), ({ progress }) => progress?.current === 2)
      )
      assert.isAtLeast(calls(), 4)
      yield* gated.gate.open
      assert.strictEqual(yield* execution.result, 1)
    })
  )

  it.effect("that the store does not take keeps no run from its end", () =>
    Effect.gen(function* () {
      const { watched } = yield* makeWatched(() => Effect.fail(refused))
      yield* start(makeCopier(Effect.flatMap(Progress, ({ increment }) => increment()))).pipe(
        Effect.provideService(Docket, watched)
      )
      const docket = yield* Docket
      assert.strictEqual(yield* (yield* docket.add(Copy, { id: "k" })).result, 1)
    })
  )

  it.effect("is in the store when sync completes, also when a call was under way, and sync says when it is not", () =>
    Effect.gen(function* () {
      const underWay = yield* Latch.make()
      const gate = yield* Latch.make()
      const arrived: Array<number> = []
      const { watched } = yield* makeWatched((call, updates, through) =>
        call === 3
          ? Effect.fail(refused)
          : Effect.andThen(
              call === 1 ? Effect.andThen(underWay.open, gate.await) : Effect.void,
              Effect.tap(through, () => Effect.sync(() => arrived.push(...updates.map(({ current }) => current))))
            )
      )
      const log: Array<string> = []
      const handler: Handler = Effect.gen(function* () {
        const { increment, sync } = yield* Progress
        yield* increment()
        yield* underWay.await
        yield* Effect.forkChild(Effect.andThen(Effect.yieldNow, gate.open))
        yield* sync
        log.push(`first: ${arrived}`)
        yield* increment()
        yield* sync
        log.push(`second: ${arrived}`)
        yield* increment()
        log.push(`third: ${(yield* Effect.result(sync))._tag}`)
        yield* sync
        log.push(`fourth: ${arrived}`)
      })
      yield* start(makeCopier(handler)).pipe(Effect.provideService(Docket, watched))
      const docket = yield* Docket
      yield* (yield* docket.add(Copy, { id: "k" })).result
      assert.deepStrictEqual(log, ["first: 1", "second: 1,2", "third: Failure", "fourth: 1,2,3"])
    })
  )

  it.effect("of others is not lost when a handler is interrupted that publishes it", () =>
    Effect.gen(function* () {
      const publishing = yield* Latch.make()
      const { watched } = yield* makeWatched((call, _updates, through) =>
        call === 2 ? Effect.andThen(publishing.open, Effect.never) : through
      )
      const go = yield* Latch.make()
      const gate = yield* Latch.make()
      const handler: Handler = Effect.gen(function* () {
        const { key } = yield* CurrentExecution
        const { increment, sync } = yield* Progress
        // The first report of a worker leaves at once; what comes soon after it gathers.
        if (key === "first") yield* increment()
        yield* go.await
        yield* increment(4)
        if (key === "impatient") yield* sync
        yield* gate.await
      })
      yield* start(makeCopier(handler)).pipe(Effect.provideService(Docket, watched))
      const docket = yield* Docket
      const [first, other, impatient] = yield* docket.addAll([
        Task.request(Copy, { id: "first" }),
        Task.request(Copy, { id: "other" }),
        Task.request(Copy, { id: "impatient" })
      ])
      yield* waitUntil(
        "all run",
        Effect.map(docket.store.depth, ({ running }) => running === 3)
      )
      yield* go.open
      yield* publishing.await
      yield* impatient.cancel
      yield* Effect.exit(impatient.result)
      yield* pass("1 second", 10)
      yield* waitUntil(
        "the report of the other one arrived",
        Effect.map(infoOf("other"), ({ progress }) => progress?.current === 4)
      )
      yield* gate.open
      yield* Effect.all([first.result, other.result])
    })
  )

  it.effect("is not among the events of one that reports nothing", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      const execution = yield* docket.add(Copy, { id: "k" })
      const events = yield* follow(execution.events)
      yield* Queue.take(events)
      yield* start(makeCopier(Effect.void))
      yield* execution.result
      assert.deepStrictEqual(progressIn(yield* Queue.takeN(events, 2)), [])
      assert.deepStrictEqual(progressIn(yield* Stream.runCollect(execution.events)), [])
    })
  )
})
