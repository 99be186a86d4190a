/** Cancelling what waits and what runs. */
import { assert } from "@effect/vitest"
import { Effect, Exit, Fiber, Latch, Layer, Option, Queue, Schema } from "effect"
import { CurrentExecution, Docket, Dockets, type DocketStore, Task, TaskGroup, Worker } from "../src/index.ts"
import { infoOf, onEveryStore, pass, start, stateOf, TestDocket } from "./support/dockets.ts"
import * as Faults from "./support/faults.ts"
import { waitUntil } from "./support/waitUntil.ts"

const Work = Task.make("work", { payload: { id: Schema.String }, success: Schema.String, key: ({ id }) => id })
const tasks = TaskGroup.make(Work)

/** Handlers that tell when they begin and how they end, and wait in between. */
const makeWork = Effect.gen(function* () {
  const started = yield* Queue.unbounded<string>()
  const ended = yield* Queue.unbounded<readonly [id: string, how: "done" | "interrupted"]>()
  const gate = yield* Latch.make()
  const handlers = tasks.toLayer({
    work: ({ id }) =>
      Queue.offer(started, id).pipe(
        Effect.andThen(gate.await),
        Effect.as(`${id} is done`),
        Effect.onExit((exit) => Queue.offer(ended, [id, Exit.isSuccess(exit) ? "done" : "interrupted"]))
      )
  })
  return { started, ended, gate, handlers, worker: Worker.layer(tasks).pipe(Layer.provide(handlers)) }
})

onEveryStore("Docket.cancel", (it) => {
  for (const [what, options] of [
    ["is due", {}],
    ["is scheduled for later", { delay: "1 hour" }]
  ] as const) {
    it.effect(`CAN-01 what ${what} never runs, and its record says that it was cancelled`, () =>
      Effect.gen(function* () {
        const { gate, started, worker } = yield* makeWork
        yield* gate.open
        const docket = yield* Docket
        yield* docket.add(Work, { id: "k" }, options)
        yield* docket.cancel("k")
        const info = yield* infoOf("k")
        assert.deepInclude(info, { state: "cancelled", worker: undefined, started: undefined, error: undefined })
        assert.isDefined(info.completed)
        assert.deepStrictEqual(JSON.parse(info.encodedPayload), { id: "k" })
        assert.deepStrictEqual(yield* docket.store.depth, { queued: 0, scheduled: 0, running: 0 })

        yield* start(worker)
        yield* pass("2 hours")
        const last = yield* docket.add(Work, { id: "last" })
        yield* last.result
        assert.deepStrictEqual(yield* Queue.takeAll(started), ["last"])
      })
    )
  }

  it.effect(
    "CAN-11 a cancel that its worker hears of before the claim is answered keeps the handler from starting",
    () =>
      Effect.gen(function* () {
        const ran: Array<string> = []
        const handlers = tasks.toLayer({ work: ({ id }) => Effect.sync(() => (ran.push(id), id)) })
        const docket = yield* Docket
        const faults = Faults.make(docket.store)
        yield* start(Worker.layer(tasks, { name: "one" }).pipe(Layer.provide(handlers))).pipe(
          Effect.provideService(Docket, yield* Dockets.fromStore(faults.store))
        )
        // What it hears, the worker of that name has heard before.
        const { cancellations } = yield* docket.store.open({
          name: "one",
          tasks: new Set(),
          contracts: new Map(),
          recurring: new Set(),
          facts: new Map(),
          leaseMillis: 1000,
          maxDeliveries: 1,
          presenceMillis: 1000
        })
        yield* pass("1 second")
        // In the time that the reply takes.
        faults.next("exchange", Effect.andThen(Effect.orDie(docket.cancel("k")), Queue.take(cancellations)))
        const execution = yield* docket.add(Work, { id: "k" })
        assert.strictEqual((yield* Effect.flip(execution.result))._tag, "TaskCancelled")
        assert.deepStrictEqual(ran, [])
        assert.strictEqual(yield* stateOf("k"), "cancelled")
      })
  )

  it.effect("CAN-11 what was cancelled during an outage does not begin when the claim is sent again", () =>
    Effect.gen(function* () {
      const ran: Array<string> = []
      const handlers = tasks.toLayer({ work: ({ id }) => Effect.sync(() => (ran.push(id), id)) })
      const docket = yield* Docket
      // Its messages do not arrive, either.
      const deaf = yield* Queue.unbounded<never>()
      const faults = Faults.make({
        ...docket.store,
        open: (options) => Effect.map(docket.store.open(options), (session) => ({ ...session, cancellations: deaf }))
      })
      yield* start(Worker.layer(tasks).pipe(Layer.provide(handlers))).pipe(
        Effect.provideService(Docket, yield* Dockets.fromStore(faults.store))
      )
      yield* pass("1 second")
      faults.next("exchange", "reply-lost", ...Array.from({ length: 1000 }, () => "refused" as const))
      const execution = yield* docket.add(Work, { id: "k" })
      yield* waitUntil(
        "the claim",
        Effect.map(stateOf("k"), (state) => state === "running")
      )
      yield* docket.cancel("k")
      faults.next("exchange")
      yield* pass("10 seconds", 10)
      assert.strictEqual((yield* Effect.flip(execution.result))._tag, "TaskCancelled")
      assert.deepStrictEqual(ran, [])
    })
  )

  it.effect("CAN-12 a cancel that came too late reaches no later schedule of the key", () =>
    Effect.gen(function* () {
      const { gate, started, worker } = yield* makeWork
      yield* gate.open
      const docket = yield* (yield* TestDocket).open({ executionTtl: 0 })
      const cancellations = yield* Queue.unbounded<DocketStore.Cancellation>()
      const open = (options: DocketStore.WorkerOptions) =>
        Effect.map(docket.store.open(options), (session) => ({ ...session, cancellations }))
      yield* start(worker).pipe(Effect.provideService(Docket, { ...docket, store: { ...docket.store, open } }))
      yield* docket.add(Work, { id: "k" })
      yield* Queue.take(started)
      yield* waitUntil("the end of the record", Effect.map(docket.info("k"), Option.isNone))
      // It is about a run of the first generation, which is over, and so is the next one of the key.
      yield* Queue.offer(cancellations, { key: "k", generation: 1, lease: "gone" })
      yield* pass("1 second")
      yield* gate.close
      yield* docket.add(Work, { id: "k" })
      yield* Queue.take(started)
      yield* pass("1 second")
      assert.deepInclude(yield* Effect.map(docket.info("k"), Option.getOrThrow), { state: "running", generation: 1 })
      yield* gate.open
    })
  )

  it.effect("CAN-12 a cancelled run ends though the message was lost and the key was added again", () =>
    Effect.gen(function* () {
      const { ended, gate, handlers, started } = yield* makeWork
      const docket = yield* Docket
      const deaf = yield* Queue.unbounded<never>()
      const open = (options: DocketStore.WorkerOptions) =>
        Effect.map(docket.store.open(options), (session) => ({ ...session, cancellations: deaf }))
      yield* start(Worker.layer(tasks, { redeliveryTimeout: "1 minute" }).pipe(Layer.provide(handlers))).pipe(
        Effect.provideService(Docket, { ...docket, store: { ...docket.store, open } })
      )
      yield* docket.add(Work, { id: "k" })
      yield* Queue.take(started)
      yield* docket.cancel("k")
      yield* docket.add(Work, { id: "k" })
      yield* Queue.take(started)
      yield* pass("20 seconds", 4)
      assert.deepStrictEqual(yield* Queue.take(ended), ["k", "interrupted"])
      assert.strictEqual(yield* stateOf("k"), "running")
      yield* gate.open
      assert.deepStrictEqual(yield* Queue.take(ended), ["k", "done"])
    })
  )

  it.effect("RPL-04 a replaced run is left alone though its replacement has run and left nothing", () =>
    Effect.gen(function* () {
      const { ended, gate, handlers, started } = yield* makeWork
      const docket = yield* (yield* TestDocket).open({ executionTtl: 0 })
      yield* start(Worker.layer(tasks, { redeliveryTimeout: "1 minute" }).pipe(Layer.provide(handlers))).pipe(
        Effect.provideService(Docket, docket)
      )
      yield* docket.add(Work, { id: "k" })
      yield* Queue.take(started)
      yield* docket.replace(Work, { id: "k" })
      yield* Queue.take(started)
      yield* docket.cancel("k")
      assert.deepStrictEqual(yield* Queue.take(ended), ["k", "interrupted"])
      yield* waitUntil("the end of the record", Effect.map(docket.info("k"), Option.isNone))
      yield* pass("3 minutes", 36)
      assert.deepStrictEqual(yield* Queue.clear(ended), [])
      yield* gate.open
      assert.deepStrictEqual(yield* Queue.take(ended), ["k", "done"])
    })
  )

  it.effect("CAN-02 what waits for a free slot never begins", () =>
    Effect.gen(function* () {
      const { gate, handlers, started } = yield* makeWork
      yield* start(Worker.layer(tasks, { concurrency: 1 }).pipe(Layer.provide(handlers)))
      const docket = yield* Docket
      yield* docket.add(Work, { id: "first" })
      yield* docket.add(Work, { id: "second" })
      const third = yield* docket.add(Work, { id: "third" })
      assert.strictEqual(yield* Queue.take(started), "first")
      yield* docket.cancel("second")
      yield* gate.open
      yield* third.result
      assert.deepStrictEqual(yield* Queue.takeAll(started), ["third"])
      assert.strictEqual(yield* stateOf("second"), "cancelled")
    })
  )

  it.effect("CAN-03 what runs is interrupted, and nothing else", () =>
    Effect.gen(function* () {
      const { ended, gate, started, worker } = yield* makeWork
      yield* start(worker)
      const docket = yield* Docket
      const [first, second] = yield* docket.addAll([Task.request(Work, { id: "a" }), Task.request(Work, { id: "b" })])
      yield* Queue.takeN(started, 2)
      yield* docket.cancel("a")
      assert.deepStrictEqual(yield* Queue.take(ended), ["a", "interrupted"])
      const error = yield* Effect.flip(first.result)
      assert.strictEqual(error._tag, "TaskCancelled")
      const info = yield* infoOf("a")
      assert.deepInclude(info, { state: "cancelled", error: undefined })
      assert.isDefined(info.completed)

      assert.strictEqual(yield* stateOf("b"), "running")
      yield* gate.open
      assert.strictEqual(yield* second.result, "b is done")
    })
  )

  it.effect("CAN-03 it is interrupted whichever worker runs it, and whoever cancels it", () =>
    Effect.gen(function* () {
      const { ended, started, worker } = yield* makeWork
      yield* Effect.all([start(worker), start(worker), start(worker)])
      const docket = yield* Docket
      const ids = Array.from({ length: 12 }, (_, i) => `k-${i}`)
      yield* Effect.forEach(ids, (id) => docket.add(Work, { id }))
      yield* Queue.takeN(started, ids.length)
      const elsewhere = yield* (yield* TestDocket).open()
      yield* Effect.forEach(ids, (id) => elsewhere.cancel(id), { concurrency: "unbounded" })
      const ends = yield* Queue.takeN(ended, ids.length)
      assert.sameDeepMembers(
        ends,
        ids.map((id) => [id, "interrupted"] as const)
      )
      for (const id of ids) yield* Effect.flip(docket.execution(Work, id).result)
    })
  )

  it.effect("CAN-03 its finalizers run to their end before it counts as cancelled, and can tell why", () =>
    Effect.gen(function* () {
      const started = yield* Latch.make()
      const cleaning = yield* Latch.make()
      const gate = yield* Latch.make()
      const reasons: Array<unknown> = []
      const handlers = tasks.toLayer({
        work: Effect.fnUntraced(function* () {
          const { interruptReason } = yield* CurrentExecution
          yield* Effect.addFinalizer(() =>
            Effect.gen(function* () {
              reasons.push(Option.getOrUndefined(yield* interruptReason))
              yield* cleaning.open
              yield* gate.await
            })
          )
          reasons.push(Option.getOrUndefined(yield* interruptReason))
          yield* started.open
          return yield* Effect.never
        })
      })
      yield* start(Worker.layer(tasks).pipe(Layer.provide(handlers)))
      const docket = yield* Docket
      const execution = yield* docket.add(Work, { id: "k" })
      yield* started.await
      yield* execution.cancel
      yield* cleaning.await
      assert.deepStrictEqual(reasons, [undefined, "cancelled"])
      assert.strictEqual(yield* stateOf("k"), "running")
      yield* gate.open
      yield* Effect.flip(execution.result)
      assert.strictEqual(yield* stateOf("k"), "cancelled")
    })
  )

  it.effect("CAN-04 a handler that had ended when the cancellation came completes, with its result", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      const faults = Faults.make(docket.store)
      const { ended, gate, started, worker } = yield* makeWork
      yield* start(worker).pipe(Effect.provideService(Docket, yield* Dockets.fromStore(faults.store)))
      const execution = yield* docket.add(Work, { id: "k" })
      yield* Queue.take(started)
      // The end of the run does not reach the store at first.
      faults.next("exchange", "refused")
      yield* gate.open
      assert.deepStrictEqual(yield* Queue.take(ended), ["k", "done"])
      yield* execution.cancel
      yield* pass("1 second")
      assert.strictEqual(yield* execution.result, "k is done")
      assert.strictEqual(yield* stateOf("k"), "completed")
    })
  )

  it.effect("CAN-04 what a handler does not let interrupt comes to its end before it counts as cancelled", () =>
    Effect.gen(function* () {
      const started = yield* Latch.make()
      const gate = yield* Latch.make()
      let isDone = false
      const handlers = tasks.toLayer({
        work: ({ id }) =>
          started.open.pipe(
            Effect.andThen(gate.await),
            Effect.andThen(Effect.sync(() => (isDone = true))),
            Effect.as(id),
            Effect.uninterruptible
          )
      })
      yield* start(Worker.layer(tasks).pipe(Layer.provide(handlers)))
      const docket = yield* Docket
      const execution = yield* docket.add(Work, { id: "k" })
      yield* started.await
      yield* execution.cancel
      assert.strictEqual(yield* stateOf("k"), "running")
      yield* gate.open
      // As any fiber that was asked to stop, it ends as interrupted.
      assert.strictEqual((yield* Effect.flip(execution.result))._tag, "TaskCancelled")
      assert(isDone)
    })
  )

  it.effect("CAN-06 cancelling what is unknown, settled or cancelled already succeeds, and changes nothing", () =>
    Effect.gen(function* () {
      const { gate, worker } = yield* makeWork
      yield* gate.open
      const docket = yield* Docket
      yield* docket.cancel("unknown")
      assert(Option.isNone(yield* docket.info("unknown")))

      yield* start(worker)
      const settled = yield* docket.add(Work, { id: "settled" })
      yield* settled.result
      const before = yield* infoOf("settled")
      yield* pass("1 second")
      yield* settled.cancel
      assert.deepStrictEqual(yield* infoOf("settled"), before)
      assert.strictEqual(yield* settled.result, "settled is done")

      yield* docket.add(Work, { id: "twice" }, { delay: "1 hour" })
      yield* docket.cancel("twice")
      const first = yield* infoOf("twice")
      yield* pass("1 second")
      yield* docket.cancel("twice")
      assert.deepStrictEqual(yield* infoOf("twice"), first)
    })
  )

  it.effect("CAN-06 cancelling twice what runs interrupts it once", () =>
    Effect.gen(function* () {
      const { ended, started, worker } = yield* makeWork
      yield* start(worker)
      const docket = yield* Docket
      const execution = yield* docket.add(Work, { id: "k" })
      yield* Queue.take(started)
      const events = yield* docket.store.watch("k")
      yield* Effect.all([execution.cancel, execution.cancel, docket.cancel("k")], { concurrency: "unbounded" })
      assert.deepStrictEqual(yield* Queue.take(ended), ["k", "interrupted"])
      yield* Effect.flip(execution.result)
      yield* execution.cancel
      // CAN-07: one event says so, and none follows.
      yield* docket.add(Work, { id: "k" }, { delay: "1 hour" })
      const states = (yield* Queue.takeN(events, 2)).map((event) => event._tag === "Changed" && event.state)
      assert.deepStrictEqual(states, ["cancelled", "scheduled"])
    })
  )

  it.effect("CAN-07 whoever waits for an execution that had not begun is told", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      const due = yield* docket.add(Work, { id: "due" })
      const later = yield* docket.add(Work, { id: "later" }, { delay: "1 hour" })
      const waiting = yield* Effect.forEach([due, later, due, later], ({ result }) =>
        Effect.forkChild(Effect.flip(result))
      )
      yield* docket.cancel("due")
      yield* docket.cancel("later")
      for (const fiber of waiting) assert.strictEqual((yield* Fiber.join(fiber))._tag, "TaskCancelled")
    })
  )

  it.effect("CAN-08 the key of what waited can be scheduled again at once", () =>
    Effect.gen(function* () {
      const { gate, worker } = yield* makeWork
      yield* gate.open
      const docket = yield* Docket
      yield* docket.add(Work, { id: "k" })
      yield* docket.cancel("k")
      const again = yield* docket.add(Work, { id: "k" })
      assert.strictEqual(again.disposition, "scheduled")
      yield* start(worker)
      assert.strictEqual(yield* again.result, "k is done")
    })
  )

  it.effect("CAN-08 the key of what runs can be scheduled again at once, while the old run still cleans up", () =>
    Effect.gen(function* () {
      const started = yield* Queue.unbounded<number>()
      const cleaned = yield* Latch.make()
      const gate = yield* Latch.make()
      const handlers = tasks.toLayer({
        work: Effect.fnUntraced(function* () {
          const { generation } = yield* CurrentExecution
          yield* Queue.offer(started, generation)
          if (generation > 1) return "the second run"
          return yield* Effect.onInterrupt(Effect.never, () => Effect.andThen(gate.await, cleaned.open))
        })
      })
      yield* start(Worker.layer(tasks).pipe(Layer.provide(handlers)))
      const docket = yield* Docket
      const first = yield* docket.add(Work, { id: "k" })
      yield* Queue.take(started)
      yield* first.cancel
      const second = yield* docket.add(Work, { id: "k" })
      assert.strictEqual(second.disposition, "scheduled")
      assert.strictEqual(yield* second.result, "the second run")
      yield* gate.open
      yield* cleaned.await
      // The end of the old run leaves the record of the new one alone.
      assert.strictEqual(yield* second.result, "the second run")
    })
  )

  it.effect("CAN-09 what is cancelled while its delivery is on the way to a worker is interrupted as well", () =>
    Effect.gen(function* () {
      const { ended, started, worker } = yield* makeWork
      const docket = yield* Docket
      const faults = Faults.make(docket.store)
      yield* start(worker).pipe(Effect.provideService(Docket, yield* Dockets.fromStore(faults.store)))
      yield* pass("1 second")
      const [claimed, arrived] = [yield* Latch.make(), yield* Latch.make()]
      faults.next("exchange", Effect.andThen(claimed.open, arrived.await))
      const execution = yield* docket.add(Work, { id: "k" })
      yield* claimed.await
      // It gets to the worker before the delivery does.
      yield* execution.cancel
      yield* pass("1 second", 4)
      yield* arrived.open
      assert.strictEqual((yield* Effect.flip(execution.result))._tag, "TaskCancelled")
      // It was not even begun, or it was interrupted.
      const begun = yield* Queue.clear(started)
      if (begun.length > 0) assert.deepStrictEqual(yield* Queue.take(ended), ["k", "interrupted"])
    })
  )

  it.effect("CAN-10 a handler that interrupts itself is cancelled", () =>
    Effect.gen(function* () {
      const handlers = tasks.toLayer({ work: () => Effect.interrupt })
      yield* start(Worker.layer(tasks).pipe(Layer.provide(handlers)))
      const docket = yield* Docket
      const execution = yield* docket.add(Work, { id: "k" })
      assert.strictEqual((yield* Effect.flip(execution.result))._tag, "TaskCancelled")
      assert.deepInclude(yield* infoOf("k"), { state: "cancelled", error: undefined })
    })
  )

  it.effect("a cancelled replacement of a running key leaves the running one alone", () =>
    Effect.gen(function* () {
      const { ended, gate, started, worker } = yield* makeWork
      yield* start(worker)
      const docket = yield* Docket
      yield* docket.add(Work, { id: "k" })
      yield* Queue.take(started)
      yield* docket.replace(Work, { id: "k" }, { delay: "1 hour" })
      yield* docket.cancel("k")
      assert.strictEqual(yield* stateOf("k"), "cancelled")
      yield* gate.open
      assert.deepStrictEqual(yield* Queue.take(ended), ["k", "done"])
      assert.strictEqual(yield* stateOf("k"), "cancelled")
    })
  )

  it.effect("cancelling a key of which an older run goes on as well interrupts the newer one", () =>
    Effect.gen(function* () {
      const { ended, gate, started, worker } = yield* makeWork
      yield* start(worker)
      const docket = yield* Docket
      yield* docket.add(Work, { id: "k" })
      yield* Queue.take(started)
      const newer = yield* docket.replace(Work, { id: "k" })
      yield* Queue.take(started)
      yield* docket.cancel("k")
      assert.deepStrictEqual(yield* Queue.take(ended), ["k", "interrupted"])
      assert.strictEqual((yield* Effect.flip(newer.result))._tag, "TaskCancelled")
      yield* gate.open
      assert.deepStrictEqual(yield* Queue.take(ended), ["k", "done"])
      assert.strictEqual(yield* stateOf("k"), "cancelled")
    })
  )
})
