/** What whoever holds a handle learns: results, failures, and the record of an execution. */
import { assert } from "@effect/vitest"
import { Duration, Effect, Fiber, Latch, Layer, Option, Queue, Schema } from "effect"
import {
  CurrentDocket,
  CurrentExecution,
  Docket,
  Dockets,
  type DocketStore,
  type ResultStore,
  Task,
  TaskGroup,
  Worker
} from "../src/index.ts"
import { beginning, infoOf, onEveryStore, onMemory, pass, start, stateOf, TestDocket } from "./support/dockets.ts"
import { collectLogs } from "./support/logs.ts"
import { follow, passUntil, statesIn } from "./support/runs.ts"
import { waitUntil } from "./support/waitUntil.ts"

class OutOfStock extends Schema.TaggedError<OutOfStock>()("OutOfStock", {
  product: Schema.String,
  since: Schema.Date,
  missing: Schema.Int
}) {}

const Order = Task.make("order", {
  payload: { product: Schema.String },
  success: Schema.Struct({ id: Schema.Int, shipped: Schema.Date, note: Schema.Option(Schema.String) }),
  error: OutOfStock,
  key: ({ product }) => product
})
const Nothing = Task.make("nothing")
const tasks = TaskGroup.make(Order, Nothing)

const order = { id: 7, shipped: new Date(beginning), note: Option.some("with care") }

type OrderOutcome = Effect.Effect<typeof order, OutOfStock, CurrentDocket>

const makeWorker = (handler: OrderOutcome, nothing: Effect.Effect<void> = Effect.void) =>
  Worker.layer(tasks).pipe(Layer.provide(tasks.toLayer({ order: () => handler, nothing: () => nothing })))

/** A docket in which something happens right before its third read: a wait has then heard of the end, and looks what it left. */
const openLate = Effect.fnUntraced(function* (happens: Effect.Effect<unknown>) {
  const { store } = yield* Docket
  let reads = 0
  const read: DocketStore.DocketStore["Service"]["read"] = (keys) =>
    Effect.suspend(() => Effect.andThen(++reads === 3 ? happens : Effect.void, store.read(keys)))
  return yield* Dockets.fromStore({ ...store, read })
})

onEveryStore("Execution", (it) => {
  it.effect("RES-01 the result is what the handler succeeded with, in any process, with its type", () =>
    Effect.gen(function* () {
      yield* start(makeWorker(Effect.succeed(order)))
      const docket = yield* Docket
      const execution = yield* docket.add(Order, { product: "tea" })
      assert.deepStrictEqual(yield* execution.result, order)
      const elsewhere = yield* (yield* TestDocket).open()
      assert.deepStrictEqual(yield* elsewhere.execution(Order, "tea").result, order)
    })
  )

  it.effect("RES-02 a typed failure comes back as that error, with its fields", () =>
    Effect.gen(function* () {
      yield* start(makeWorker(Effect.fail(new OutOfStock({ product: "tea", since: new Date(0), missing: 3 }))))
      const docket = yield* Docket
      const execution = yield* docket.add(Order, { product: "tea" })
      const error = yield* Effect.flip(execution.result)
      assert(error._tag === "OutOfStock")
      assert.instanceOf(error, OutOfStock)
      assert.deepInclude(error, { product: "tea", since: new Date(0), missing: 3 })
      const elsewhere = yield* (yield* TestDocket).open()
      const again = yield* Effect.flip(elsewhere.execution(Order, "tea").result)
      assert.strictEqual(again._tag, "OutOfStock")
    })
  )

  it.effect("RES-02 a defect comes back as an error with its message", () =>
    Effect.gen(function* () {
      yield* start(makeWorker(Effect.die(new TypeError("tea is not a function"))))
      const docket = yield* Docket
      const error = yield* Effect.flip((yield* docket.add(Order, { product: "tea" })).result)
      assert(error._tag === "TaskFailed")
      assert.strictEqual(error.key, "tea")
      assert.strictEqual(error.error, "TypeError: tea is not a function")
      assert.include(error.message, "tea is not a function")
    })
  )

  it.effect("a handler may fail with an error of the docket, which comes back as text", () =>
    Effect.gen(function* () {
      const handler = Effect.gen(function* () {
        yield* (yield* CurrentDocket).add(Order, { product: "more" }, { key: "" })
        return order
      })
      yield* start(
        Worker.layer(tasks).pipe(Layer.provide(tasks.toLayer({ order: () => handler, nothing: () => Effect.void })))
      )
      const docket = yield* Docket
      const error = yield* Effect.flip((yield* docket.add(Order, { product: "tea" })).result)
      assert(error._tag === "TaskFailed")
      assert.include(error.error, "DocketError: ")
      assert.include(error.error, "is empty")
    })
  )

  it.effect("RES-03 the result of a cancelled execution says so", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      const execution = yield* docket.add(Order, { product: "tea" }, { delay: "1 hour" })
      yield* execution.cancel
      const error = yield* Effect.flip(execution.result)
      assert(error._tag === "TaskCancelled")
      assert.strictEqual(error.key, "tea")
    })
  )

  it.effect("RES-04 any number may wait, in any process, and all get the same", () =>
    Effect.gen(function* () {
      const gate = yield* Latch.make()
      yield* start(makeWorker(Effect.as(gate.await, order)))
      const docket = yield* Docket
      const elsewhere = yield* (yield* TestDocket).open()
      const execution = yield* docket.add(Order, { product: "tea" })
      const waiting = yield* Effect.forEach(Array.from({ length: 100 }), (_, i) =>
        Effect.forkChild(i % 2 === 0 ? execution.result : elsewhere.execution(Order, "tea").result)
      )
      yield* gate.open
      for (const fiber of waiting) assert.deepStrictEqual(yield* Fiber.join(fiber), order)
    })
  )

  it.effect("RES-05 a wait can be limited, and the execution goes on", () =>
    Effect.gen(function* () {
      const gate = yield* Latch.make()
      yield* start(makeWorker(Effect.as(gate.await, order)))
      const docket = yield* Docket
      const execution = yield* docket.add(Order, { product: "tea" })
      const waiting = yield* Effect.forkChild(Effect.flip(execution.resultWithin("5 seconds")))
      yield* pass("5 seconds", 5)
      const error = yield* Fiber.join(waiting)
      assert(error._tag === "ResultTimeout")
      assert.strictEqual(error.key, "tea")
      assert.strictEqual(error.waitedMillis, 5000)
      yield* gate.open
      assert.deepStrictEqual(yield* execution.resultWithin("5 seconds"), order)
    })
  )

  it.effect("RES-05 a wait with a limit that has passed already fails at once", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      const execution = yield* docket.add(Order, { product: "tea" }, { delay: "1 hour" })
      const error = yield* Effect.flip(execution.resultWithin(0))
      assert.strictEqual(error._tag, "ResultTimeout")
    })
  )

  it.effect("RES-06 no wait misses the end, whenever it begins", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      const elsewhere = yield* (yield* TestDocket).open()
      yield* start(makeWorker(Effect.succeed(order)))
      // The waits begin before the end, after it, and at every moment in between.
      yield* Effect.forEach(
        Array.from({ length: 60 }, (_, i) => `tea-${i}`),
        Effect.fnUntraced(function* (product, i) {
          const execution = yield* docket.add(Order, { product })
          for (let n = 0; n < i % 12; n++) yield* Effect.yieldNow
          const results = yield* Effect.all([execution.result, elsewhere.execution(Order, product).result], {
            concurrency: "unbounded"
          })
          assert.deepStrictEqual(results, [order, order])
        }),
        { concurrency: 6 }
      )
    })
  )

  it.effect("RES-06 a wait that begins before the execution is scheduled again gets the end of what runs", () =>
    Effect.gen(function* () {
      const gate = yield* Latch.make()
      yield* start(makeWorker(Effect.as(gate.await, order)))
      const docket = yield* Docket
      const execution = yield* docket.add(Order, { product: "tea" })
      const waiting = yield* Effect.forkChild(execution.result)
      yield* pass("1 second")
      assert(waiting.pollUnsafe() === undefined)
      yield* gate.open
      assert.deepStrictEqual(yield* Fiber.join(waiting), order)
    })
  )

  for (const [what, end] of [
    ["succeeded", Effect.succeed(order)],
    ["failed with an error of its own", Effect.fail(new OutOfStock({ product: "tea", since: new Date(0), missing: 3 }))]
  ] as const) {
    it.effect(`RES-02, RES-08 a wait for what ${what} says so when the key is scheduled again before it looks`, () =>
      Effect.gen(function* () {
        const gate = yield* Latch.make()
        const docket = yield* Docket
        const late = yield* openLate(Effect.andThen(gate.close, Effect.orDie(docket.add(Order, { product: "tea" }))))
        yield* start(makeWorker(Effect.andThen(gate.await, end)))
        yield* docket.add(Order, { product: "tea" })
        const waiting = yield* Effect.forkChild(Effect.flip(late.execution(Order, "tea").result))
        yield* pass("1 second")
        yield* gate.open
        const error = yield* Fiber.join(waiting)
        yield* gate.open
        if (what === "succeeded") {
          assert(error._tag === "ResultNotKept")
          assert.include(error.message, "again")
        } else {
          assert(error._tag === "TaskFailed")
          assert.match(error.error, /^OutOfStock/)
        }
      })
    )
  }

  it.effect("RES-02, RES-07 nothing is lost of what has no data when its key is scheduled again", () =>
    Effect.gen(function* () {
      for (const [key, handler] of [
        ["fine", Effect.void],
        ["broken", Effect.die(new TypeError("tea is not a function"))]
      ] as const) {
        const gate = yield* Latch.make()
        const docket = yield* Docket
        const late = yield* openLate(Effect.andThen(gate.close, Effect.orDie(docket.add(Nothing, {}, { key }))))
        const worker = yield* start(makeWorker(Effect.succeed(order), Effect.andThen(gate.await, handler)))
        yield* docket.add(Nothing, {}, { key })
        const waiting = yield* Effect.forkChild(Effect.result(late.execution(Nothing, key).result))
        yield* pass("1 second")
        yield* gate.open
        const result = yield* Fiber.join(waiting)
        yield* gate.open
        if (result._tag === "Success") assert.strictEqual(key, "fine")
        else
          assert.strictEqual(
            result.failure._tag === "TaskFailed" && result.failure.error,
            "TypeError: tea is not a function"
          )
        yield* worker.stop
      }
    })
  )

  it.effect("RES-08 a result that the store has lost is no empty success", () =>
    Effect.gen(function* () {
      yield* start(makeWorker(Effect.succeed(order)))
      const docket = yield* Docket
      yield* (yield* docket.add(Order, { product: "tea" })).result
      const read: DocketStore.DocketStore["Service"]["read"] = (keys) =>
        Effect.map(docket.store.read(keys), (records) =>
          records.map(Option.map((record) => ({ ...record, result: undefined })))
        )
      const forgetful = yield* Dockets.fromStore({ ...docket.store, read })
      assert.strictEqual((yield* Effect.flip(forgetful.execution(Order, "tea").result))._tag, "ResultNotKept")
    })
  )

  it.effect("RES-07 a handler that returns nothing has an empty result, not a missing one", () =>
    Effect.gen(function* () {
      yield* start(makeWorker(Effect.succeed(order)))
      const docket = yield* Docket
      const execution = yield* docket.add(Nothing)
      assert.isUndefined(yield* execution.result)
      const [record] = yield* docket.store.read([execution.key])
      assert(record !== undefined && Option.isSome(record))
      assert.isUndefined(record.value.result)
      assert.strictEqual(record.value.state, "completed")
    })
  )

  it.effect("RES-07 null, false, zero and the empty string are results", () =>
    Effect.gen(function* () {
      const Falsy = Task.make("falsy", {
        payload: { which: Schema.Int },
        success: Schema.Union([Schema.Null, Schema.Boolean, Schema.Number, Schema.String])
      })
      const values = [null, false, 0, ""]
      const group = TaskGroup.make(Falsy)
      const handlers = group.toLayer({ falsy: ({ which }) => Effect.succeed(values[which] ?? null) })
      yield* start(Worker.layer(group).pipe(Layer.provide(handlers)))
      const docket = yield* Docket
      for (const [which, value] of values.entries()) {
        const execution = yield* docket.add(Falsy, { which })
        assert.strictEqual(yield* execution.result, value)
      }
    })
  )

  it.effect("RES-08 the result of what was never scheduled is not kept", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      const error = yield* Effect.flip(docket.execution(Order, "nobody").result)
      assert(error._tag === "ResultNotKept")
      assert.strictEqual(error.key, "nobody")
    })
  )

  it.effect("SCH-20 a handle is about the run that its add made or found, and not about the next one of the key", () =>
    Effect.gen(function* () {
      const gate = yield* Latch.make()
      yield* start(makeWorker(Effect.as(gate.await, order)))
      const docket = yield* Docket
      const made = yield* docket.add(Order, { product: "tea" })
      const found = yield* docket.add(Order, { product: "tea" })
      assert.strictEqual(found.disposition, "already-scheduled")
      yield* gate.open
      yield* waitUntil(
        "it has ended",
        Effect.map(stateOf("tea"), (state) => state === "completed")
      )
      assert.deepStrictEqual(yield* found.result, order)
      yield* gate.close
      // The next one goes on.
      const next = yield* docket.add(Order, { product: "tea" })
      assert.strictEqual((yield* Effect.flip(made.result))._tag, "ResultNotKept")
      assert.strictEqual((yield* Effect.flip(found.result))._tag, "ResultNotKept")
      yield* gate.open
      assert.deepStrictEqual(yield* next.result, order)
    })
  )

  it.effect("SCH-20 RPL-05 a handle on what was replaced while it waited is about the replacement", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      const first = yield* docket.add(Order, { product: "tea" }, { delay: "1 hour" })
      yield* docket.replace(Order, { product: "tea" })
      yield* start(makeWorker(Effect.succeed(order)))
      assert.deepStrictEqual(yield* first.result, order)
    })
  )

  it.effect(
    "RES-02, RES-03, TTL-04 with a time to live of 0 a wait says what it heard of a failure or a cancellation",
    () =>
      Effect.gen(function* () {
        const docket = yield* (yield* TestDocket).open({ executionTtl: 0 })
        const gate = yield* Latch.make()
        const failure = new OutOfStock({ product: "tea", since: new Date(0), missing: 3 })
        const worker = makeWorker(Effect.andThen(gate.await, Effect.fail(failure)), gate.await)
        yield* start(worker).pipe(Effect.provideService(Docket, docket))
        const failing = yield* docket.add(Order, { product: "tea" })
        const ending = yield* docket.add(Nothing)
        const cancelled = yield* docket.add(Order, { product: "coffee" }, { delay: "1 hour" })
        const waits = yield* Effect.forEach([failing, cancelled], ({ result }) => Effect.forkChild(Effect.flip(result)))
        const end = yield* Effect.forkChild(ending.result)
        yield* pass("1 second")
        yield* cancelled.cancel
        yield* gate.open
        const [failed, wasCancelled] = yield* Effect.forEach(waits, Fiber.join)
        assert(failed?._tag === "TaskFailed")
        assert.match(failed.error, /^OutOfStock/)
        assert.strictEqual(wasCancelled?._tag, "TaskCancelled")
        assert.isUndefined(yield* Fiber.join(end))
      })
  )

  it.effect("RES-08, TTL-04 with a time to live of 0 nothing is kept, and a wait ends with an error that says so", () =>
    Effect.gen(function* () {
      const docket = yield* (yield* TestDocket).open({ executionTtl: 0 })
      const gate = yield* Latch.make()
      const worker = makeWorker(Effect.as(gate.await, order))
      yield* start(worker).pipe(Effect.provideService(Docket, docket))
      const execution = yield* docket.add(Order, { product: "tea" })
      const waiting = yield* Effect.forkChild(Effect.flip(execution.result))
      // While it is live its key is taken, as ever.
      assert.strictEqual((yield* docket.add(Order, { product: "tea" })).disposition, "already-scheduled")
      yield* gate.open
      assert.strictEqual((yield* Fiber.join(waiting))._tag, "ResultNotKept")
      assert.strictEqual((yield* Effect.flip(execution.result))._tag, "ResultNotKept")
      assert(Option.isNone(yield* execution.info))
      assert.strictEqual((yield* docket.add(Order, { product: "tea" })).disposition, "scheduled")
    })
  )

  it.effect("TTL-04 with a time to live of 0 cancelled and failed executions leave nothing either", () =>
    Effect.gen(function* () {
      const docket = yield* (yield* TestDocket).open({ executionTtl: 0 })
      const worker = makeWorker(Effect.die("boom"))
      yield* start(worker).pipe(Effect.provideService(Docket, docket))
      const failed = yield* docket.add(Order, { product: "tea" })
      yield* waitUntil("it has ended", Effect.map(failed.info, Option.isNone))
      assert.strictEqual((yield* Effect.flip(failed.result))._tag, "ResultNotKept")
      const cancelled = yield* docket.add(Order, { product: "coffee" }, { delay: "1 hour" })
      yield* cancelled.cancel
      assert(Option.isNone(yield* cancelled.info))
      assert.deepStrictEqual(yield* docket.store.depth, { queued: 0, scheduled: 0, running: 0 })
    })
  )

  it.effect("a result that does not fit its schema fails the execution, and says what is wrong", () =>
    Effect.gen(function* () {
      const wrong = { ...order, id: 0.5 }
      yield* start(makeWorker(Effect.succeed(wrong)))
      const docket = yield* Docket
      const error = yield* Effect.flip((yield* docket.add(Order, { product: "tea" })).result)
      assert(error._tag === "TaskFailed")
      assert.include(error.error, "does not fit")
      assert.strictEqual(yield* stateOf("tea"), "failed")
    })
  )

  it.effect("a result that this process's contract cannot read is an error, not a defect", () =>
    Effect.gen(function* () {
      const Older = Task.make("order", { success: Schema.Struct({ number: Schema.String }) })
      yield* start(makeWorker(Effect.succeed(order)))
      const docket = yield* Docket
      yield* (yield* docket.add(Order, { product: "tea" })).result
      const error = yield* Effect.flip(docket.execution(Older, "tea").result)
      assert.strictEqual(error._tag, "TaskFailed")
    })
  )

  it.effect("interrupting a wait leaves the execution alone", () =>
    Effect.gen(function* () {
      const gate = yield* Latch.make()
      yield* start(makeWorker(Effect.as(gate.await, order)))
      const docket = yield* Docket
      const execution = yield* docket.add(Order, { product: "tea" })
      const waiting = yield* Effect.forkChild(execution.result)
      yield* pass("1 second")
      yield* Fiber.interrupt(waiting)
      yield* gate.open
      assert.deepStrictEqual(yield* execution.result, order)
    })
  )

  it.effect("STA-01 immediate work is queued, runs and completes, in this order and once each", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      const events = yield* docket.store.watch("tea")
      const execution = yield* docket.add(Order, { product: "tea" })
      yield* start(makeWorker(Effect.succeed(order)))
      yield* execution.result
      assert.deepStrictEqual(yield* statesOf(events, 3), ["queued", "running", "completed"])
    })
  )

  it.effect("STA-01 later work is scheduled, queued, runs and fails, in this order and once each", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      const events = yield* docket.store.watch("tea")
      yield* start(makeWorker(Effect.die("boom")))
      const execution = yield* docket.add(Order, { product: "tea" }, { delay: "1 hour" })
      yield* pass("1 hour")
      yield* Effect.flip(execution.result)
      assert.deepStrictEqual(yield* statesOf(events, 4), ["scheduled", "queued", "running", "failed"])
    })
  )

  it.effect("STA-02, STA-03 the record names the worker and the times of the run", () =>
    Effect.gen(function* () {
      const gate = yield* Latch.make()
      const started = yield* Latch.make()
      const handlers = tasks.toLayer({
        order: () => Effect.as(Effect.andThen(started.open, gate.await), order),
        nothing: () => Effect.void
      })
      yield* start(Worker.layer(tasks, { name: "worker-7" }).pipe(Layer.provide(handlers)))
      yield* pass("1 minute")
      const docket = yield* Docket
      const execution = yield* docket.add(Order, { product: "tea" })
      yield* started.await
      const running = yield* infoOf("tea")
      assert.deepInclude(running, { state: "running", worker: "worker-7", completed: undefined, deliveries: 1 })
      const startedAt = running.started?.epochMilliseconds
      assert(startedAt !== undefined && startedAt >= beginning + 60_000)

      yield* pass("10 seconds")
      yield* gate.open
      yield* execution.result
      const settled = yield* infoOf("tea")
      assert.deepInclude(settled, { state: "completed", worker: "worker-7", attempt: 1, error: undefined })
      assert.strictEqual(settled.started?.epochMilliseconds, startedAt)
      const completedAt = settled.completed?.epochMilliseconds
      assert(completedAt !== undefined && completedAt >= startedAt + 10_000)
    })
  )

  for (const [what, failure, text] of [
    ["an Error", Effect.die(new RangeError("out of range")), "RangeError: out of range"],
    ["a typed error", Effect.fail(new OutOfStock({ product: "tea", since: new Date(0), missing: 1 })), /^OutOfStock: /],
    ["a string", Effect.die("just text"), "Error: just text"],
    ["nothing", Effect.die(undefined), /^Error: /],
    ["an object", Effect.die({ code: 42 }), /^Error: .*42/]
  ] as const) {
    it.effect(`STA-03 the record of what failed with ${what} has its name, a colon and its message`, () =>
      Effect.gen(function* () {
        yield* start(makeWorker(failure))
        const docket = yield* Docket
        yield* Effect.flip((yield* docket.add(Order, { product: "tea" })).result)
        const { completed, error, state } = yield* infoOf("tea")
        assert.strictEqual(state, "failed")
        assert.isDefined(completed)
        assert.isDefined(error)
        if (typeof text === "string") assert.strictEqual(error, text)
        else assert.match(error, text)
      })
    )
  }

  it.effect("DEP-01 when several things fail together, the error names them all", () =>
    Effect.gen(function* () {
      const handler = Effect.all(
        [
          Effect.die(new RangeError("the first")),
          Effect.fail(new OutOfStock({ product: "the second", since: new Date(0), missing: 1 }))
        ],
        { concurrency: "unbounded" }
      ).pipe(
        Effect.as(order),
        Effect.onError(() => Effect.die(new TypeError("the third")))
      )
      yield* start(makeWorker(handler))
      const docket = yield* Docket
      yield* Effect.flip((yield* docket.add(Order, { product: "tea" })).result)
      const { error } = yield* infoOf("tea")
      assert.include(error, "RangeError: the first")
      assert.include(error, "TypeError: the third")
    })
  )

  it.effect("a handler can see what it runs as", () =>
    Effect.gen(function* () {
      const seen = yield* Queue.unbounded<CurrentExecution["Service"]>()
      const handlers = tasks.toLayer({
        order: () =>
          Effect.as(
            Effect.flatMap(CurrentExecution, (execution) => Queue.offer(seen, execution)),
            order
          ),
        nothing: () => Effect.void
      })
      yield* start(Worker.layer(tasks).pipe(Layer.provide(handlers)))
      const docket = yield* Docket
      yield* (yield* docket.add(Order, { product: "tea" }, { when: beginning - 5000 })).result
      const execution = yield* Queue.take(seen)
      assert.deepInclude(execution, { key: "tea", task: "order", attempt: 1, deliveries: 1, redelivered: false })
      assert.strictEqual(execution.due.epochMilliseconds, beginning - 5000)
      assert.isAtLeast(execution.started.epochMilliseconds, beginning)
      assert.deepStrictEqual(JSON.parse(execution.encodedPayload), { product: "tea" })
      assert(Option.isNone(yield* execution.interruptReason))
    })
  )
})

onMemory("Execution", (it) => {
  it.effect("STA-04 a settled record is there for its time to live, and then gone", () =>
    Effect.gen(function* () {
      yield* start(makeWorker(Effect.succeed(order)))
      const docket = yield* Docket
      const execution = yield* docket.add(Order, { product: "tea" })
      yield* execution.result
      yield* pass("899 seconds")
      assert.strictEqual(yield* stateOf("tea"), "completed")
      yield* pass("1 second")
      assert(Option.isNone(yield* execution.info))
      assert.strictEqual((yield* Effect.flip(execution.result))._tag, "ResultNotKept")
    })
  )

  it.effect("STA-04 so is the record of what was cancelled", () =>
    Effect.gen(function* () {
      const docket = yield* (yield* TestDocket).open({ executionTtl: "1 minute" })
      const execution = yield* docket.add(Order, { product: "tea" }, { delay: "1 hour" })
      yield* execution.cancel
      yield* pass("59 seconds")
      assert.strictEqual((yield* Effect.flip(execution.result))._tag, "TaskCancelled")
      yield* pass("1 second")
      assert.strictEqual((yield* Effect.flip(execution.result))._tag, "ResultNotKept")
    })
  )
})

const statesOf = (events: Queue.Dequeue<unknown>, count: number) =>
  Effect.map(Queue.takeN(events, count), (all) => all.map((event) => (event as { readonly state?: string }).state))

class BucketFull extends Schema.TaggedError<BucketFull>()("BucketFull", {}) {
  override get message() {
    return "the bucket is full"
  }
}

/** A place for results of which the first so many calls fail. */
const makeResults = (failures = 0) => {
  const kept = new Map<string, { readonly text: string; readonly millis: number }>()
  let left = failures
  const results: ResultStore = {
    set: (name, text, timeToLive) =>
      Effect.suspend(() => {
        if (left-- > 0) return Effect.fail(new BucketFull())
        kept.set(name, { text, millis: Duration.toMillis(timeToLive) })
        return Effect.void
      }),
    get: (name) => Effect.sync(() => Option.map(Option.fromUndefinedOr(kept.get(name)), ({ text }) => text))
  }
  return { kept, results }
}

onEveryStore("A result store", (it) => {
  it.effect("RES-10 keeps the results instead, for whoever has it", () =>
    Effect.gen(function* () {
      const { kept, results } = makeResults()
      const docket = yield* (yield* TestDocket).open({ results, executionTtl: "1 hour" })
      yield* start(makeWorker(Effect.succeed(order))).pipe(Effect.provideService(Docket, docket))
      const execution = yield* docket.add(Order, { product: "tea" })
      assert.deepStrictEqual(yield* execution.result, order)
      assert.deepStrictEqual(
        Array.from(kept.values(), ({ millis, text }) => [millis, JSON.parse(text).id]),
        [[3_600_000, 7]]
      )
      const elsewhere = yield* (yield* TestDocket).open({ results })
      assert.deepStrictEqual(yield* elsewhere.execution(Order, "tea").result, order)
      // The docket's own store has nothing of it, and whoever lacks the other one is told.
      const [record] = yield* docket.store.read(["tea"])
      assert(record !== undefined && Option.isSome(record))
      assert.notInclude(record.value.result, "with care")
      const error = yield* Effect.flip((yield* Docket).execution(Order, "tea").result)
      assert(error._tag === "DocketError")
      assert.include(error.message, "result store")
      // An empty result is nothing to keep.
      assert.isUndefined(yield* (yield* docket.add(Nothing)).result)
      assert.strictEqual(kept.size, 1)
    })
  )

  it.effect("RES-10, RES-08 says so when a result is gone", () =>
    Effect.gen(function* () {
      const { kept, results } = makeResults()
      const docket = yield* (yield* TestDocket).open({ results })
      yield* start(makeWorker(Effect.succeed(order))).pipe(Effect.provideService(Docket, docket))
      const execution = yield* docket.add(Order, { product: "tea" })
      yield* execution.result
      kept.clear()
      assert.strictEqual((yield* Effect.flip(execution.result))._tag, "ResultNotKept")
    })
  )

  it.effect("RES-10, DEP-05 that fails is tried again, and nothing is completed before", () =>
    Effect.gen(function* () {
      const { kept, results } = makeResults(3)
      const logs = yield* collectLogs
      const docket = yield* (yield* TestDocket).open({ results })
      let runs = 0
      const counted = Effect.sync(() => {
        runs++
        return order
      })
      yield* start(makeWorker(counted)).pipe(Effect.provideService(Docket, docket), Effect.provide(logs.layer))
      const execution = yield* docket.add(Order, { product: "tea" })
      const events = yield* follow(execution.events)
      assert.deepStrictEqual(yield* passUntil("1 second", execution.result), order)
      assert.deepStrictEqual([runs, kept.size], [1, 1])
      assert.strictEqual(statesIn(yield* Queue.clear(events)).filter((state) => state === "completed").length, 1)
      assert(logs.at("Warn").some((line) => line.includes("the bucket is full")))
    })
  )

  it.effect("RES-10, DEP-05 that breaks is one that fails: the worker goes on, and can stop", () =>
    Effect.gen(function* () {
      const { kept, results } = makeResults()
      const breaks: Array<() => Effect.Effect<never>> = [
        () => Effect.promise(() => Promise.reject(new BucketFull())),
        () => Effect.die(new BucketFull()),
        () => Effect.interrupt,
        () => {
          throw new BucketFull()
        }
      ]
      const set: ResultStore["set"] = (...args) => breaks.shift()?.() ?? results.set(...args)
      const logs = yield* collectLogs
      const docket = yield* (yield* TestDocket).open({ results: { ...results, set } })
      const worker = yield* start(makeWorker(Effect.succeed(order))).pipe(
        Effect.provideService(Docket, docket),
        Effect.provide(logs.layer)
      )
      const execution = yield* docket.add(Order, { product: "tea" })
      assert.deepStrictEqual(yield* passUntil("1 second", execution.result), order)
      assert.deepStrictEqual([breaks.length, kept.size], [0, 1])
      yield* worker.stop
      assert(logs.at("Warn").some((line) => line.includes("the bucket is full")))
      assert.deepStrictEqual(logs.at("Error"), [])

      const broken = yield* (yield* TestDocket).open({ results: { ...results, get: () => Effect.die("gone") } })
      assert.strictEqual((yield* Effect.flip(broken.execution(Order, "tea").result))._tag, "DocketError")
    })
  )

  it.effect("RES-10, DEP-05 that refuses a result for good fails that execution, and holds up no other", () =>
    Effect.gen(function* () {
      const { results } = makeResults()
      const set: ResultStore["set"] = (name, ...rest) =>
        name.includes(":poison:") ? Effect.fail(new BucketFull()) : results.set(name, ...rest)
      const docket = yield* (yield* TestDocket).open({ results: { ...results, set } })
      const logs = yield* collectLogs
      yield* start(makeWorker(Effect.succeed(order))).pipe(
        Effect.provideService(Docket, docket),
        Effect.provide(logs.layer)
      )
      const [poison, tea] = yield* docket.addAll([
        Task.request(Order, { product: "poison" }),
        Task.request(Order, { product: "tea" })
      ])
      assert.deepStrictEqual(yield* tea.result, order)
      const error = yield* passUntil("10 seconds", Effect.flip(poison.result))
      assert(error._tag === "TaskFailed")
      assert.include(error.error, "the bucket is full")
    })
  )

  it.effect("RES-10, RED-02 what has ended is not run again while its result cannot be kept", () =>
    Effect.gen(function* () {
      const { results } = makeResults()
      let isFull = true
      const set: ResultStore["set"] = (...args) =>
        Effect.suspend(() => (isFull ? Effect.fail(new BucketFull()) : results.set(...args)))
      const docket = yield* (yield* TestDocket).open({ results: { ...results, set } })
      const logs = yield* collectLogs
      const ran: Array<string> = []
      const gates = yield* Effect.forEach([0, 1, 2, 3, 4, 5], () => Latch.make())
      const handlers = tasks.toLayer({
        order: Effect.fnUntraced(function* ({ product }) {
          ran.push(product)
          yield* gates[Number(product)]?.await ?? Effect.void
          return order
        }),
        nothing: () => Effect.void
      })
      const worker = Worker.layer(tasks, { redeliveryTimeout: "1 minute" }).pipe(Layer.provide(handlers))
      yield* start(worker).pipe(Effect.provideService(Docket, docket), Effect.provide(logs.layer))
      // There are more than the worker settles at a time.
      const executions = yield* docket.addAll(gates.map((_, i) => Task.request(Order, { product: String(i) })))
      for (const gate of gates) {
        yield* pass("1 second", 2)
        yield* gate.open
      }
      yield* pass("5 minutes", 60)
      isFull = false
      const all = Effect.forEach(executions, ({ result }) => result)
      assert.deepStrictEqual(
        yield* passUntil("1 second", all),
        gates.map(() => order)
      )
      assert.deepStrictEqual(ran.toSorted(), ["0", "1", "2", "3", "4", "5"])
      assert(!logs.at("Warn").some((line) => line.includes("lease")))
    })
  )
})
