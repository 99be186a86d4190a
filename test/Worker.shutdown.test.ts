/** What happens when a worker is told to stop. */
import { assert } from "@effect/vitest"
import { Effect, Exit, Fiber, Latch, Layer, Option, Queue, Schema, Scope } from "effect"
import { CurrentExecution, CurrentWorker, Docket, Dockets, Task, TaskGroup, Worker } from "../src/index.ts"
import { infoOf, onEveryStore, pass, start, stateOf } from "./support/dockets.ts"
import * as Faults from "./support/faults.ts"
import { waitUntil } from "./support/waitUntil.ts"

const Work = Task.make("work", { payload: { id: Schema.String }, success: Schema.String, key: ({ id }) => id })
const tasks = TaskGroup.make(Work)

const makeWork = Effect.gen(function* () {
  const started = yield* Queue.unbounded<string>()
  const gate = yield* Latch.make()
  const handlers = tasks.toLayer({
    work: Effect.fnUntraced(function* ({ id }) {
      yield* Queue.offer(started, id)
      yield* gate.await
      return (yield* CurrentWorker).name
    })
  })
  return { started, gate, handlers }
})

onEveryStore("A worker that is told to stop", (it) => {
  it.effect("SHD-01 lets what runs finish, takes nothing more, and then ends", () =>
    Effect.gen(function* () {
      const { gate, handlers, started } = yield* makeWork
      const worker = yield* start(Worker.layer(tasks, { name: "first", concurrency: 2 }).pipe(Layer.provide(handlers)))
      const docket = yield* Docket
      const [a, b, c] = yield* docket.addAll(["a", "b", "c"].map((id) => Task.request(Work, { id })))
      yield* Queue.takeN(started, 2)
      const stopping = yield* Effect.forkChild(worker.stop)
      yield* pass("1 second")
      assert(stopping.pollUnsafe() === undefined)
      yield* gate.open
      yield* Fiber.join(stopping)
      assert.strictEqual(yield* a!.result, "first")
      assert.strictEqual(yield* b!.result, "first")
      assert.strictEqual(yield* stateOf("c"), "queued")

      // What it left is there for another one, as is what comes while nobody is there.
      const d = yield* docket.add(Work, { id: "d" })
      yield* start(Worker.layer(tasks, { name: "second" }).pipe(Layer.provide(handlers)))
      assert.strictEqual(yield* c!.result, "second")
      assert.strictEqual(yield* d.result, "second")
    })
  )

  it.effect("SHD-01 gives back what was on its way to it, without running it", () =>
    Effect.gen(function* () {
      const { handlers, started } = yield* makeWork
      const docket = yield* Docket
      const faults = Faults.make(docket.store)
      const worker = yield* start(Worker.layer(tasks).pipe(Layer.provide(handlers))).pipe(
        Effect.provideService(Docket, yield* Dockets.fromStore(faults.store))
      )
      yield* pass("1 second")
      const [claimed, arrived] = [yield* Latch.make(), yield* Latch.make()]
      faults.next("exchange", Effect.andThen(claimed.open, arrived.await))
      yield* docket.add(Work, { id: "k" })
      yield* claimed.await
      const stopping = yield* Effect.forkChild(worker.stop)
      yield* pass("1 second")
      yield* arrived.open
      yield* Fiber.join(stopping)
      assert.deepStrictEqual(yield* Queue.clear(started), [])
      assert.deepInclude(yield* infoOf("k"), { state: "queued", attempt: 1, deliveries: 0 })
    })
  )

  it.effect("SHD-04 ends at once when nothing runs, also when something is scheduled for later", () =>
    Effect.gen(function* () {
      const { gate, handlers } = yield* makeWork
      yield* gate.open
      const docket = yield* Docket
      yield* docket.add(Work, { id: "later" }, { delay: "1 day" })
      const worker = yield* start(Worker.layer(tasks).pipe(Layer.provide(handlers)))
      yield* (yield* docket.add(Work, { id: "now" })).result
      // No time passes, so it waits for nothing that takes any.
      yield* worker.stop
      assert.strictEqual(yield* stateOf("later"), "scheduled")
    })
  )

  it.effect("SHD-04 ends at once also while the store is away", () =>
    Effect.gen(function* () {
      const { handlers } = yield* makeWork
      const docket = yield* Docket
      const faults = Faults.make(docket.store)
      const worker = yield* start(Worker.layer(tasks).pipe(Layer.provide(handlers))).pipe(
        Effect.provideService(Docket, yield* Dockets.fromStore(faults.store))
      )
      yield* pass("1 second")
      const before = faults.calls("exchange")
      faults.next("exchange", ...Array.from({ length: 100 }, () => "refused" as const))
      yield* docket.add(Work, { id: "k" })
      yield* waitUntil(
        "the worker looks for work",
        Effect.sync(() => faults.calls("exchange") > before)
      )
      const stopping = yield* Effect.forkChild(worker.stop)
      yield* pass("1 second", 4)
      yield* waitUntil(
        "it has stopped",
        Effect.sync(() => stopping.pollUnsafe() !== undefined)
      )
      assert.strictEqual(yield* stateOf("k"), "queued")
    })
  )

  it.effect("SHD-05 interrupts what still runs after the shutdown timeout, and another worker runs it", () =>
    Effect.gen(function* () {
      const { gate, handlers, started } = yield* makeWork
      const first = yield* start(
        Worker.layer(tasks, { name: "first", shutdownTimeout: "10 seconds" }).pipe(Layer.provide(handlers))
      )
      const docket = yield* Docket
      const execution = yield* docket.add(Work, { id: "k" })
      yield* Queue.take(started)
      const events = yield* docket.store.watch("k")
      const stopping = yield* Effect.forkChild(first.stop)
      yield* pass("9 seconds")
      assert.strictEqual(yield* stateOf("k"), "running")
      yield* pass("1 second")
      yield* Fiber.join(stopping)
      assert.deepInclude(yield* infoOf("k"), { state: "queued", worker: undefined, error: undefined, attempt: 1 })

      yield* start(Worker.layer(tasks, { name: "second" }).pipe(Layer.provide(handlers)))
      yield* Queue.take(started)
      yield* gate.open
      assert.strictEqual(yield* execution.result, "second")
      const states = (yield* Queue.takeN(events, 3)).map((event) => event._tag === "Changed" && event.state)
      assert.deepStrictEqual(states, ["queued", "running", "completed"])
    })
  )

  for (const [how, schedule] of [
    ["refuses", "refused"],
    ["does not answer", Effect.never]
  ] as const) {
    it.effect(`SHD-01, SHD-05 lets what runs finish, also while the store ${how} its automatic tasks`, () =>
      Effect.gen(function* () {
        const { gate, started } = yield* makeWork
        const Sweep = Task.make("sweep", { perpetual: { every: "10 minutes", automatic: true } })
        const both = tasks.add(Sweep)
        const finished = yield* Latch.make()
        const handlers = both.toLayer({
          sweep: () => Effect.void,
          work: Effect.fnUntraced(function* ({ id }) {
            yield* Queue.offer(started, id)
            yield* gate.await
            if (id === "slow") yield* Effect.never
            yield* finished.open
            return id
          })
        })
        const docket = yield* Docket
        const faults = Faults.make(docket.store)
        faults.next("schedule", ...Array.from({ length: 100 }, () => schedule))
        yield* docket.addAll(["quick", "slow"].map((id) => Task.request(Work, { id })))
        const scope = yield* Scope.fork(yield* Effect.scope)
        const starting = yield* Worker.layer(both, { shutdownTimeout: "10 seconds" }).pipe(
          Layer.provide(handlers),
          Layer.buildWithScope(scope),
          Effect.provideService(Docket, yield* Dockets.fromStore(faults.store)),
          Effect.forkChild
        )
        yield* Queue.takeN(started, 2)
        const stopping = yield* Effect.forkChild(
          Effect.andThen(Fiber.interrupt(starting), Scope.close(scope, Exit.void))
        )
        yield* pass("1 second")
        yield* gate.open
        yield* finished.await
        yield* pass("9 seconds")
        yield* Fiber.join(stopping)
        assert.strictEqual(yield* stateOf("quick"), "completed")
        assert.deepInclude(yield* infoOf("slow"), { state: "queued", worker: undefined, attempt: 1 })
        yield* docket.clear
      })
    )
  }

  it.effect("SHD-05 lets a handler clean up before it gives its execution back, and tells it why", () =>
    Effect.gen(function* () {
      const { started } = yield* makeWork
      const cleaned: Array<string> = []
      const handlers = tasks.toLayer({
        work: Effect.fnUntraced(function* ({ id }) {
          const { interruptReason } = yield* CurrentExecution
          yield* Effect.addFinalizer(() =>
            Effect.map(interruptReason, (reason) => {
              cleaned.push(`${id}: ${Option.getOrElse(reason, () => "none")}`)
            })
          )
          yield* Queue.offer(started, id)
          return yield* Effect.never
        })
      })
      const worker = yield* start(Worker.layer(tasks, { shutdownTimeout: 0 }).pipe(Layer.provide(handlers)))
      const docket = yield* Docket
      yield* docket.addAll(["a", "b"].map((id) => Task.request(Work, { id })))
      yield* Queue.takeN(started, 2)
      yield* worker.stop
      assert.sameMembers(cleaned, ["a: shutting-down", "b: shutting-down"])
      assert.strictEqual(yield* stateOf("a"), "queued")
      assert.strictEqual(yield* stateOf("b"), "queued")
    })
  )

  it.effect("SHD-05 gives executions back in front of an attempt: neither it nor a delivery is used up", () =>
    Effect.gen(function* () {
      const { gate, handlers, started } = yield* makeWork
      const docket = yield* Docket
      const execution = yield* docket.add(Work, { id: "k" })
      for (let i = 0; i < 3; i++) {
        const worker = yield* start(
          Worker.layer(tasks, { shutdownTimeout: 0, maxDeliveries: 2 }).pipe(Layer.provide(handlers))
        )
        yield* Queue.take(started)
        yield* worker.stop
      }
      yield* gate.open
      yield* start(Worker.layer(tasks, { name: "last", maxDeliveries: 2 }).pipe(Layer.provide(handlers)))
      assert.strictEqual(yield* execution.result, "last")
      assert.deepInclude(yield* infoOf("k"), { attempt: 1, deliveries: 1 })
    })
  )

  it.effect("SHD-05 does not give back what was cancelled meanwhile", () =>
    Effect.gen(function* () {
      const { gate, started } = yield* makeWork
      const interrupted = yield* Latch.make()
      const handlers = tasks.toLayer({
        work: ({ id }) =>
          Effect.onInterrupt(Effect.andThen(Queue.offer(started, id), Effect.never), () =>
            Effect.andThen(interrupted.open, gate.await)
          )
      })
      const worker = yield* start(Worker.layer(tasks).pipe(Layer.provide(handlers)))
      const docket = yield* Docket
      const execution = yield* docket.add(Work, { id: "k" })
      yield* Queue.take(started)
      yield* execution.cancel
      yield* interrupted.await
      const stopping = yield* Effect.forkChild(worker.stop)
      yield* gate.open
      yield* Fiber.join(stopping)
      assert.strictEqual(yield* stateOf("k"), "cancelled")
    })
  )

  it.effect("SHD-03 has installed no signal handlers", () =>
    Effect.gen(function* () {
      const { handlers } = yield* makeWork
      const count = () => process.listenerCount("SIGTERM") + process.listenerCount("SIGINT")
      const before = count()
      const worker = yield* start(Worker.layer(tasks).pipe(Layer.provide(handlers)))
      assert.strictEqual(count(), before)
      yield* worker.stop
    })
  )

  it.effect("SHD-05 gives back at once when it is told so before the shutdown timeout", () =>
    Effect.gen(function* () {
      const { handlers, started } = yield* makeWork
      const worker = yield* start(Worker.layer(tasks).pipe(Layer.provide(handlers)))
      const docket = yield* Docket
      yield* docket.add(Work, { id: "k" })
      yield* Queue.take(started)
      const draining = yield* Effect.forkChild(worker.drain)
      yield* pass("1 second")
      assert(draining.pollUnsafe() === undefined)
      yield* worker.giveBack
      // No time passes.
      yield* Fiber.join(draining)
      assert.strictEqual(yield* worker.running, 0)
      assert.strictEqual(yield* stateOf("k"), "queued")
    })
  )
})
