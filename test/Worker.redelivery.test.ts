/** Leases: what keeps an execution with its worker, and what happens when the worker is gone. */
import { assert } from "@effect/vitest"
import { Clock, Effect, Fiber, Latch, Layer, Logger, Option, Queue, Schema } from "effect"
import { CurrentExecution, CurrentWorker, Docket, Dockets, Task, TaskGroup, Worker } from "../src/index.ts"
import { infoOf, onEveryStore, pass, start, stateOf, TestDocket } from "./support/dockets.ts"
import * as Faults from "./support/faults.ts"
import { collectLogs } from "./support/logs.ts"

const Work = Task.make("work", { payload: { id: Schema.String }, success: Schema.String, key: ({ id }) => id })
const tasks = TaskGroup.make(Work)

/** What a handler sees when it starts. */
interface Start {
  readonly worker: string
  readonly attempt: number
  readonly deliveries: number
  readonly redelivered: boolean
}

const makeWork = Effect.gen(function* () {
  const started = yield* Queue.unbounded<Start>()
  const gate = yield* Latch.make()
  const handlers = tasks.toLayer({
    work: Effect.fnUntraced(function* () {
      const { attempt, deliveries, redelivered } = yield* CurrentExecution
      const { name } = yield* CurrentWorker
      yield* Queue.offer(started, { worker: name, attempt, deliveries, redelivered })
      yield* gate.await
      return name
    })
  })
  return { started, gate, handlers }
})

/** A worker whose process can die. */
const startMortal = Effect.fnUntraced(function* <E>(worker: Layer.Layer<Worker.Worker, E, Docket>) {
  const faults = Faults.make((yield* Docket).store)
  yield* start(worker).pipe(Effect.provideService(Docket, yield* Dockets.fromStore(faults.store)))
  return faults
})

onEveryStore("Redelivery", (it) => {
  it.effect("RED-01, RED-05, RED-06 another worker takes over what a dead one held, at the same attempt", () =>
    Effect.gen(function* () {
      const { gate, handlers, started } = yield* makeWork
      const options = { redeliveryTimeout: "1 minute" } as const
      const first = yield* startMortal(Worker.layer(tasks, { ...options, name: "first" }).pipe(Layer.provide(handlers)))
      const docket = yield* Docket
      const execution = yield* docket.add(Work, { id: "k" })
      assert.deepInclude(yield* Queue.take(started), { worker: "first", deliveries: 1, redelivered: false, attempt: 1 })
      yield* first.vanish

      yield* start(Worker.layer(tasks, { ...options, name: "second" }).pipe(Layer.provide(handlers)))
      yield* pass("59 seconds")
      assert.strictEqual(yield* stateOf("k"), "running")
      yield* pass("2 seconds")
      assert.deepInclude(yield* Queue.take(started), { worker: "second", deliveries: 2, redelivered: true, attempt: 1 })
      yield* gate.open
      assert.strictEqual(yield* execution.result, "second")
    })
  )

  it.effect("RED-01 a worker that is idle since long takes it over as well", () =>
    Effect.gen(function* () {
      const { gate, handlers, started } = yield* makeWork
      const options = { redeliveryTimeout: "1 minute" } as const
      const first = yield* startMortal(Worker.layer(tasks, { ...options, name: "first" }).pipe(Layer.provide(handlers)))
      const docket = yield* Docket
      const execution = yield* docket.add(Work, { id: "k" })
      yield* Queue.take(started)
      yield* start(Worker.layer(tasks, { ...options, name: "second" }).pipe(Layer.provide(handlers)))
      yield* pass("30 seconds", 3)
      yield* first.vanish
      yield* pass("90 seconds", 6)
      assert.strictEqual((yield* Queue.take(started)).worker, "second")
      yield* gate.open
      assert.strictEqual(yield* execution.result, "second")
    })
  )

  it.effect("RED-02, RED-03 a task may run much longer than the redelivery timeout, and is not run twice", () =>
    Effect.gen(function* () {
      const { gate, handlers, started } = yield* makeWork
      const worker = (name: string) =>
        Worker.layer(tasks, { name, redeliveryTimeout: "1 minute" }).pipe(Layer.provide(handlers))
      yield* start(worker("first"))
      const docket = yield* Docket
      const execution = yield* docket.add(Work, { id: "k" })
      yield* Queue.take(started)
      yield* start(worker("second"))
      yield* pass("10 minutes", 60)
      yield* gate.open
      assert.strictEqual(yield* execution.result, "first")
      assert.deepStrictEqual(yield* Queue.clear(started), [])
      assert.strictEqual((yield* infoOf("k")).deliveries, 1)
    })
  )

  it.effect("RED-02 leases are renewed four times per redelivery timeout, all of a worker's in one call", () =>
    Effect.gen(function* () {
      const { gate, handlers, started } = yield* makeWork
      const faults = yield* startMortal(
        Worker.layer(tasks, { redeliveryTimeout: "4 minutes" }).pipe(Layer.provide(handlers))
      )
      const docket = yield* Docket
      yield* docket.addAll(["a", "b", "c"].map((id) => Task.request(Work, { id })))
      yield* Queue.takeN(started, 3)
      yield* pass("4 minutes", 24)
      assert.isAtLeast(faults.calls("renew"), 3)
      assert.isAtMost(faults.calls("renew"), 5)
      yield* gate.open
    })
  )

  it.effect("RED-04 a renewal that fails is logged, and tried again in time", () =>
    Effect.gen(function* () {
      const { gate, handlers, started } = yield* makeWork
      const logs = yield* collectLogs
      const faults = yield* startMortal(
        Worker.layer(tasks, { name: "first", redeliveryTimeout: "1 minute" }).pipe(
          Layer.provide(handlers),
          Layer.provide(logs.layer)
        )
      )
      const docket = yield* Docket
      const execution = yield* docket.add(Work, { id: "k" })
      yield* Queue.take(started)
      yield* start(Worker.layer(tasks, { name: "second", redeliveryTimeout: "1 minute" }).pipe(Layer.provide(handlers)))
      faults.next("renew", "refused", "reply-lost")
      yield* pass("3 minutes", 36)
      assert.strictEqual(logs.at("Warn").filter((line) => line.includes("renew")).length, 2)
      yield* gate.open
      assert.strictEqual(yield* execution.result, "first")
      assert.deepStrictEqual(yield* Queue.clear(started), [])
    })
  )

  it.effect(
    "RED-01, RED-04, CHS-01 a worker that lost its lease interrupts its run, and its late outcome changes nothing",
    () =>
      Effect.gen(function* () {
        const { started } = yield* makeWork
        const interrupted = yield* Queue.unbounded<string>()
        const gate = yield* Latch.make()
        const logs = yield* collectLogs
        const handlers = tasks.toLayer({
          work: Effect.fnUntraced(function* () {
            const { attempt, deliveries, interruptReason, redelivered } = yield* CurrentExecution
            const { name } = yield* CurrentWorker
            yield* Queue.offer(started, { worker: name, attempt, deliveries, redelivered })
            const say = Effect.flatMap(interruptReason, (reason) =>
              Queue.offer(
                interrupted,
                Option.getOrElse(reason, () => "none")
              )
            )
            // It takes its time to end, so that it has no slot for what it lost.
            if (name === "first") yield* Effect.onInterrupt(Effect.never, () => Effect.andThen(say, gate.await))
            yield* gate.await
            return name
          })
        })
        // Its renewals do not come through, though it lives on.
        const faults = yield* startMortal(
          Worker.layer(tasks, { name: "first", concurrency: 1, redeliveryTimeout: "1 minute" }).pipe(
            Layer.provide(handlers),
            Layer.provide(logs.layer)
          )
        )
        const docket = yield* Docket
        const execution = yield* docket.add(Work, { id: "k" })
        yield* Queue.take(started)
        faults.next("renew", ...Array.from({ length: 8 }, () => "refused" as const))
        yield* start(
          Worker.layer(tasks, { name: "second", redeliveryTimeout: "1 minute" }).pipe(Layer.provide(handlers))
        )
        yield* pass("61 seconds", 12)
        assert.strictEqual((yield* Queue.take(started)).worker, "second")
        yield* pass("30 seconds", 6)
        assert.strictEqual(yield* Queue.take(interrupted), "lease-lost")
        assert.strictEqual(yield* stateOf("k"), "running")
        yield* gate.open
        assert.strictEqual(yield* execution.result, "second")
        assert(logs.at("Warn").some((line) => line.includes("lost its lease")))
      })
  )

  it.effect("CON-01, CON-07, RPL-04 a run whose key was scheduled anew ends before its slot is given to another", () =>
    Effect.gen(function* () {
      const Single = Task.make("single", { key: () => "k", concurrency: { limit: 1 } })
      const singles = TaskGroup.make(Single)
      const told = yield* Queue.unbounded<{ readonly what: string; readonly at: number }>()
      const tell = (what: string) => Effect.flatMap(Clock.currentTimeMillis, (at) => Queue.offer(told, { what, at }))
      const handlers = singles.toLayer({
        single: Effect.fnUntraced(function* () {
          const { interruptReason } = yield* CurrentExecution
          const { name } = yield* CurrentWorker
          yield* tell(`${name} starts`)
          const interrupted = Effect.flatMap(interruptReason, (reason) =>
            tell(`${name} is interrupted: ${Option.getOrElse(reason, () => "none")}`)
          )
          if (name === "first") yield* Effect.onInterrupt(Effect.never, () => interrupted)
        })
      })
      const worker = (name: string) =>
        Worker.layer(singles, { name, redeliveryTimeout: "1 minute" }).pipe(Layer.provide(handlers))
      const faults = yield* startMortal(worker("first"))
      const docket = yield* Docket
      yield* docket.add(Single)
      assert.strictEqual((yield* Queue.take(told)).what, "first starts")
      const again = yield* docket.replace(Single)
      yield* start(worker("second"))
      // It keeps its slot for as long as it renews it.
      yield* pass("3 minutes", 36)
      assert.deepStrictEqual(yield* Queue.clear(told), [])
      faults.setAway(true)
      yield* pass("62 seconds", 62)
      yield* again.result
      const ends = (yield* Queue.takeN(told, 2)).toSorted((a, b) => (a.what < b.what ? -1 : 1))
      assert.deepStrictEqual(
        ends.map(({ what }) => what),
        ["first is interrupted: lease-lost", "second starts"]
      )
      // In memory, where nothing is on its way, both happen at the same moment.
      assert.isAtMost(ends[0]!.at, ends[1]!.at)
    })
  )

  it.effect(
    "RED-02, REC-03 a worker that is cut off interrupts what it runs when the lease must have expired, and not before",
    () =>
      Effect.gen(function* () {
        const logs = yield* collectLogs
        const reasons = yield* Queue.unbounded<string>()
        const started = yield* Queue.unbounded<string>()
        const handlers = tasks.toLayer({
          work: Effect.fnUntraced(function* () {
            const execution = yield* CurrentExecution
            yield* Queue.offer(started, execution.lease)
            return yield* Effect.onInterrupt(Effect.never, () =>
              Effect.flatMap(execution.interruptReason, (reason) =>
                Queue.offer(
                  reasons,
                  Option.getOrElse(reason, () => "none")
                )
              )
            )
          })
        })
        const faults = yield* startMortal(
          Worker.layer(tasks, { redeliveryTimeout: "1 minute" }).pipe(
            Layer.provide(handlers),
            Layer.provide(logs.layer)
          )
        )
        yield* (yield* Docket).add(Work, { id: "k" })
        const first = yield* Queue.take(started)
        yield* pass("40 seconds", 8)
        faults.setAway(true)
        // The last renewal was after 30 seconds.
        yield* pass("49 seconds", 10)
        assert.deepStrictEqual(yield* Queue.clear(reasons), [])
        yield* pass("2 seconds", 2)
        assert.deepStrictEqual(yield* Queue.take(reasons), "lease-lost")
        faults.setAway(false)
        yield* pass("10 seconds", 10)
        assert.notStrictEqual(yield* Queue.take(started), first)
      })
  )

  it.effect(
    "RED-02, REC-03 a worker that takes up again what it lost keeps it, also when the run before ends last",
    () =>
      Effect.gen(function* () {
        const started = yield* Queue.unbounded<string>()
        const cleanUp = yield* Latch.make()
        const gate = yield* Latch.make()
        const handlers = tasks.toLayer({
          work: Effect.fnUntraced(function* () {
            const { deliveries, lease } = yield* CurrentExecution
            yield* Queue.offer(started, lease)
            if (deliveries === 1) yield* Effect.onInterrupt(Effect.never, () => cleanUp.await)
            yield* gate.await
            return `delivery ${deliveries}`
          })
        })
        const faults = yield* startMortal(
          Worker.layer(tasks, { redeliveryTimeout: "1 minute" }).pipe(Layer.provide(handlers))
        )
        const execution = yield* (yield* Docket).add(Work, { id: "k" })
        yield* Queue.take(started)
        faults.setAway(true)
        yield* pass("62 seconds", 12)
        faults.setAway(false)
        yield* pass("10 seconds", 10)
        yield* Queue.take(started)
        yield* cleanUp.open
        yield* pass("3 minutes", 36)
        assert.deepStrictEqual(yield* Queue.clear(started), [])
        yield* gate.open
        assert.strictEqual(yield* execution.result, "delivery 2")
      }).pipe(Effect.provide(Logger.layer([])))
  )

  it.effect("RED-04 a worker whose last renewal comes through keeps what it runs", () =>
    Effect.gen(function* () {
      const { gate, handlers, started } = yield* makeWork
      const faults = yield* startMortal(
        Worker.layer(tasks, { redeliveryTimeout: "1 minute" }).pipe(Layer.provide(handlers))
      )
      const execution = yield* (yield* Docket).add(Work, { id: "k" })
      yield* Queue.take(started)
      // All renewals in time fail; the one right before the end does not.
      faults.next("renew", "refused", "refused", "refused")
      yield* pass("70 seconds", 140)
      yield* gate.open
      yield* execution.result
      assert.deepStrictEqual(yield* Queue.clear(started), [])
    })
  )

  it.effect("UNK-06 an execution that takes down worker after worker is failed in the end", () =>
    Effect.gen(function* () {
      const { handlers, started } = yield* makeWork
      const options = { redeliveryTimeout: "1 minute", maxDeliveries: 3 } as const
      const docket = yield* Docket
      const poison = yield* docket.add(Work, { id: "poison" })
      for (const deliveries of [1, 2, 3]) {
        const worker = yield* startMortal(Worker.layer(tasks, options).pipe(Layer.provide(handlers)))
        assert.strictEqual((yield* Queue.take(started)).deliveries, deliveries)
        yield* worker.vanish
        yield* pass("61 seconds")
      }
      const logs = yield* collectLogs
      yield* start(Worker.layer(tasks, options).pipe(Layer.provide(handlers), Layer.provide(logs.layer)))
      const error = yield* Effect.flip(poison.result)
      assert(error._tag === "TaskFailed")
      assert.include(error.error, "DeliveriesExhausted")
      assert.deepStrictEqual(yield* Queue.clear(started), [])
      assert(logs.at("Error").some((line) => line.includes("work{poison}") && line.includes("3 times")))
    })
  )

  it.effect("a cancelled execution whose worker died is settled, and not run again", () =>
    Effect.gen(function* () {
      const { handlers, started } = yield* makeWork
      const options = { redeliveryTimeout: "1 minute" } as const
      const first = yield* startMortal(Worker.layer(tasks, options).pipe(Layer.provide(handlers)))
      const docket = yield* Docket
      const execution = yield* docket.add(Work, { id: "k" })
      yield* Queue.take(started)
      yield* first.vanish
      yield* execution.cancel
      yield* start(Worker.layer(tasks, options).pipe(Layer.provide(handlers)))
      const waiting = yield* Effect.forkChild(Effect.flip(execution.result))
      yield* pass("2 minutes", 6)
      assert.strictEqual((yield* Fiber.join(waiting))._tag, "TaskCancelled")
      assert.deepStrictEqual(yield* Queue.clear(started), [])
    })
  )

  it.effect("a producer that opens the docket elsewhere sees the same redelivery", () =>
    Effect.gen(function* () {
      const { gate, handlers, started } = yield* makeWork
      const elsewhere = yield* (yield* TestDocket).open()
      const first = yield* startMortal(
        Worker.layer(tasks, { name: "first", redeliveryTimeout: "1 minute" }).pipe(Layer.provide(handlers))
      )
      const execution = yield* elsewhere.add(Work, { id: "k" })
      yield* Queue.take(started)
      const waiting = yield* Effect.forkChild(execution.result)
      yield* first.vanish
      yield* start(Worker.layer(tasks, { name: "second", redeliveryTimeout: "1 minute" }).pipe(Layer.provide(handlers)))
      yield* gate.open
      yield* pass("61 seconds")
      assert.strictEqual(yield* Fiber.join(waiting), "second")
    })
  )
})
