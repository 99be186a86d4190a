/** A store that fails, or whose replies are lost: nothing is lost and nothing is run twice. */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Exit, Fiber, Latch, Layer, Logger, Queue, Schema, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Docket, DocketError, Dockets, StoreError, Task, TaskGroup, Worker } from "../src/index.ts"
import * as Outage from "../src/internal/docket/outage.ts"
import { infoOf, onEveryStore, onRedis, pass, start, stateOf } from "./support/dockets.ts"
import * as Faults from "./support/faults.ts"
import { collectLogs } from "./support/logs.ts"
import { waitUntil } from "./support/waitUntil.ts"

const Work = Task.make("work", { payload: { id: Schema.Int }, success: Schema.Int, key: ({ id }) => `k-${id}` })
const tasks = TaskGroup.make(Work)

const ids = (count: number) => Array.from({ length: count }, (_, i) => i)

const makeWork = Effect.gen(function* () {
  const ran: Array<number> = []
  const started = yield* Queue.unbounded<number>()
  const gate = yield* Latch.make(true)
  const handlers = tasks.toLayer({
    work: Effect.fnUntraced(function* ({ id }) {
      ran.push(id)
      yield* Queue.offer(started, id)
      yield* gate.await
      return id
    })
  })
  return { ran, started, gate, handlers }
})

/** Lets time pass until a condition holds. */
const inTime = <E, R>(why: string, condition: Effect.Effect<boolean, E, R>) =>
  waitUntil(why, Effect.andThen(pass("100 millis"), condition))

/** A worker on a store with faults. */
const startOn = Effect.fnUntraced(function* <E>(faults: Faults.Faults, worker: Layer.Layer<Worker.Worker, E, Docket>) {
  return yield* start(worker).pipe(Effect.provideService(Docket, yield* Dockets.fromStore(faults.store)))
})

onEveryStore("A store that fails", (it) => {
  for (const fault of ["refused", "reply-lost"] as const) {
    it.effect(
      `REC-01 a worker goes on after exchanges whose ${fault === "refused" ? "request" : "reply"} was lost`,
      () =>
        Effect.gen(function* () {
          const { handlers, ran } = yield* makeWork
          const docket = yield* Docket
          const faults = Faults.make(docket.store)
          const executions = yield* docket.addAll(ids(40).map((id) => Task.request(Work, { id })))
          faults.next("exchange", fault, fault, fault)
          yield* startOn(faults, Worker.layer(tasks, { concurrency: 4 }).pipe(Layer.provide(handlers)))
          const results = yield* Effect.forkChild(Effect.forEach(executions, ({ result }) => result))
          yield* pass("10 seconds", 50)
          assert.deepStrictEqual(yield* Fiber.join(results), ids(40))
          assert.deepStrictEqual(
            ran.toSorted((a, b) => a - b),
            ids(40)
          )
        })
    )

    it.effect(`DEP-05, STA-05 a run whose settling was ${fault} is settled in the end, once`, () =>
      Effect.gen(function* () {
        const { gate, handlers, ran, started } = yield* makeWork
        yield* gate.close
        const logs = yield* collectLogs
        const docket = yield* Docket
        const faults = Faults.make(docket.store)
        yield* startOn(faults, Worker.layer(tasks).pipe(Layer.provide(handlers), Layer.provide(logs.layer)))
        const execution = yield* docket.add(Work, { id: 7 })
        yield* Queue.take(started)
        const events = yield* docket.store.watch("k-7")
        faults.next("exchange", fault, fault)
        yield* gate.open
        yield* pass("5 seconds", 25)
        assert.strictEqual(yield* execution.result, 7)
        assert.deepStrictEqual(ran, [7])
        assert.deepInclude(yield* infoOf("k-7"), { state: "completed", deliveries: 1 })
        const states = (yield* Queue.clear(events)).map((event) => event._tag === "Changed" && event.state)
        assert.deepStrictEqual(states, ["completed"])
        // It is not taken for one whose lease was lost.
        for (const line of logs.at("Warn")) assert.include(line, "the connection broke")
      })
    )
  }

  it.effect("REC-01 a worker whose store is away when it starts waits for it", () =>
    Effect.gen(function* () {
      const { handlers } = yield* makeWork
      const docket = yield* Docket
      const faults = Faults.make(docket.store)
      faults.next("open", "refused", "refused", "refused")
      const execution = yield* docket.add(Work, { id: 1 })
      const starting = yield* Effect.forkChild(startOn(faults, Worker.layer(tasks).pipe(Layer.provide(handlers))))
      yield* pass("5 seconds", 10)
      assert.strictEqual(yield* execution.result, 1)
      assert(starting.pollUnsafe() !== undefined)
      assert.strictEqual(faults.calls("open"), 4)
    })
  )

  it.effect("REC-02 an outage is logged once, with the delay, however long it lasts", () =>
    Effect.gen(function* () {
      const { handlers } = yield* makeWork
      const logs = yield* collectLogs
      const docket = yield* Docket
      const faults = Faults.make(docket.store)
      yield* startOn(
        faults,
        Worker.layer(tasks, { reconnectionDelay: "3 seconds" }).pipe(Layer.provide(handlers), Layer.provide(logs.layer))
      )
      const execution = yield* docket.add(Work, { id: 1 })
      yield* execution.result
      faults.setAway(true)
      const second = yield* docket.add(Work, { id: 2 })
      yield* pass("1 minute", 120)
      faults.setAway(false)
      yield* pass("5 seconds", 10)
      assert.strictEqual(yield* second.result, 2)
      const warnings = logs.at("Warn").filter((line) => line.includes("the connection broke"))
      assert.strictEqual(warnings.length, 1)
      assert.include(warnings[0], "3s")
      assert.strictEqual(logs.at("Info").filter((line) => line.includes("answers again")).length, 1)
    })
  )

  it.effect("REC-01 the pauses between attempts grow up to the reconnection delay", () =>
    Effect.gen(function* () {
      const { handlers } = yield* makeWork
      const docket = yield* Docket
      const faults = Faults.make(docket.store)
      faults.next("open", ...Array.from({ length: 100 }, () => "refused" as const))
      yield* Effect.forkChild(
        startOn(faults, Worker.layer(tasks, { reconnectionDelay: "5 seconds" }).pipe(Layer.provide(handlers)))
      )
      yield* pass("1 minute", 240)
      // 50 ms, doubled seven times, make 6.35 s; from then on every 5 s.
      assert.isAtLeast(faults.calls("open"), 15)
      assert.isAtMost(faults.calls("open"), 20)
      faults.next("open")
      yield* pass("6 seconds", 24)
    })
  )

  it.effect("REC-03 what runs during an outage goes on, and is settled after it", () =>
    Effect.gen(function* () {
      const { gate, handlers, ran, started } = yield* makeWork
      yield* gate.close
      const docket = yield* Docket
      const faults = Faults.make(docket.store)
      yield* startOn(faults, Worker.layer(tasks, { concurrency: 4 }).pipe(Layer.provide(handlers)))
      const executions = yield* docket.addAll(ids(4).map((id) => Task.request(Work, { id })))
      yield* Queue.takeN(started, 4)
      faults.next("exchange", ...Array.from({ length: 9 }, () => "refused" as const))
      yield* gate.open
      yield* pass("200 millis", 2)
      assert.strictEqual(yield* stateOf("k-0"), "running")
      yield* pass("20 seconds", 80)
      for (const [id, { result }] of executions.entries()) assert.strictEqual(yield* result, id)
      assert.sameMembers(ran, ids(4))
    })
  )

  it.effect("REC-05 a connection error of a handler's own is that handler's failure", () =>
    Effect.gen(function* () {
      const logs = yield* collectLogs
      const broken = new DocketError({
        reason: new StoreError({ operation: "another store", cause: new Error("no route to host") })
      })
      const handlers = tasks.toLayer({ work: ({ id }) => (id === 0 ? Effect.fail(broken) : Effect.succeed(id)) })
      yield* start(Worker.layer(tasks).pipe(Layer.provide(handlers), Layer.provide(logs.layer)))
      const docket = yield* Docket
      const [bad, good] = yield* docket.addAll([Task.request(Work, { id: 0 }), Task.request(Work, { id: 1 })])
      const error = yield* Effect.flip(bad.result)
      assert(error._tag === "TaskFailed")
      assert.include(error.error, "no route to host")
      assert.strictEqual(yield* good.result, 1)
      assert.deepStrictEqual(logs.at("Warn"), [])
    })
  )

  it.effect("a wait for a result ends with a typed error when the store fails, and can be begun again", () =>
    Effect.gen(function* () {
      const { handlers } = yield* makeWork
      const { store } = yield* Docket
      const faults = Faults.make(store)
      const docket = yield* Dockets.fromStore(faults.store)
      const execution = yield* docket.add(Work, { id: 1 })
      for (const operation of ["read", "watch"] as const) {
        faults.next(operation, "refused")
        const error = yield* Effect.flip(execution.result)
        assert(error._tag === "DocketError")
        assert.strictEqual(error.reason._tag, "StoreError")
      }
      yield* start(Worker.layer(tasks).pipe(Layer.provide(handlers)))
      assert.strictEqual(yield* execution.result, 1)
    })
  )
})

onEveryStore("Whoever follows an execution", (it) => {
  it.effect("REC-04 a wait for a result, and its events, outlast reads that are lost", () =>
    Effect.gen(function* () {
      const { handlers } = yield* makeWork
      const logs = yield* collectLogs
      const faults = Faults.make((yield* Docket).store)
      const docket = yield* Effect.provide(Dockets.fromStore(faults.store), logs.layer)
      const execution = yield* docket.add(Work, { id: 1 })
      const follow = Effect.all([execution.result, Stream.runCollect(execution.events)], { concurrency: 2 })
      const following = yield* Effect.forkChild(Effect.provide(follow, logs.layer))
      yield* inTime(
        "both have looked",
        Effect.sync(() => faults.calls("read") >= 3)
      )
      // Both look again when they hear of the end.
      faults.next("read", "refused", "refused", "refused")
      yield* start(Worker.layer(tasks).pipe(Layer.provide(handlers)))
      yield* inTime(
        "both have ended",
        Effect.sync(() => following.pollUnsafe() !== undefined)
      )
      const [result, events] = yield* Fiber.join(following)
      assert.strictEqual(result, 1)
      const last = events.at(-1)
      assert(last?._tag === "StateChanged")
      assert.strictEqual(last.state, "completed")
      // It is said once.
      assert.lengthOf(logs.at("Warn"), 1)
    })
  )

  it.effect("a wait for a result ends when its docket is closed", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const docket = yield* Dockets.fromStore((yield* Docket).store).pipe(Scope.provide(scope))
      const execution = yield* docket.add(Work, { id: 1 })
      yield* Scope.close(scope, Exit.void)
      const error = yield* Effect.flip(execution.result)
      assert.include(error.message, "closed")
    })
  )
})

onRedis("A worker whose store is away", (it) => {
  it.effect("HLT-01 tells a health check why", () =>
    Effect.gen(function* () {
      const { handlers } = yield* makeWork
      const faults = Faults.make((yield* Docket).store)
      const worker = yield* startOn(faults, Worker.layer(tasks).pipe(Layer.provide(handlers)))
      yield* pass("1 second", 5)
      faults.setAway(true)
      yield* (yield* Docket).add(Work, { id: 1 })
      yield* inTime(
        "it is not able, and says why",
        Effect.map(
          worker.health,
          ({ able, problems }) => !able && problems.some((problem) => problem.includes("the connection broke"))
        )
      )
      faults.setAway(false)
      yield* inTime(
        "it is able again",
        Effect.map(worker.health, ({ able, problems }) => able && problems.length === 0)
      )
    })
  )
})

describe("How a worker tries again", () => {
  it.effect(
    "REC-01 the pauses begin anew once the connection was made anew, since not all connections are at once",
    () =>
      Effect.gen(function* () {
        const outage = Outage.make(Duration.seconds(5), () => {})
        const broken = new StoreError({ operation: "awaitWork", cause: new Error("the connection broke") })
        const reconnected = yield* Latch.make(false)
        const failed: Array<number> = []
        const call = outage.untilAnswered(
          (failures) =>
            Effect.andThen(
              Effect.sync(() => failed.push(failures)),
              Effect.fail(broken)
            ),
          reconnected.await
        )
        yield* Effect.forkChild(Effect.provide(call, Logger.layer([])))
        yield* TestClock.adjust("20 seconds")
        const before = failed.length
        yield* reconnected.open
        reconnected.closeUnsafe()
        yield* TestClock.adjust("200 millis")
        // At once, and after pauses of 50 and 100 ms.
        assert.deepStrictEqual(failed.slice(before), [before, before + 1, before + 2])
      })
  )
})

describe("What a worker says of an outage", () => {
  it.effect("REC-02 an answer that was on its way when the store was lost is no sign that it is back", () =>
    Effect.gen(function* () {
      const logs = yield* collectLogs
      const outage = Outage.make(Duration.seconds(5), () => {})
      const call = (answer: Effect.Effect<unknown, StoreError>) =>
        Effect.forkChild(outage.untilAnswered(() => answer, Effect.never).pipe(Effect.provide(logs.layer)))
      const broken = new StoreError({ operation: "exchange", cause: new Error("the connection broke") })
      const isBack = yield* Latch.make(false)
      const late = yield* Latch.make(false)
      const untilBack = Effect.suspend(() => (isBack.isOpen() ? Effect.void : Effect.fail(broken)))

      const [onItsWay, lateFailure] = [yield* call(late.await), yield* call(Effect.andThen(late.await, untilBack))]
      const exchange = yield* call(untilBack)
      yield* TestClock.adjust("1 second")
      yield* late.open
      yield* Fiber.join(onItsWay)
      const heartbeat = yield* call(untilBack)
      yield* TestClock.adjust("1 second")
      assert.lengthOf(logs.at("Warn"), 1)
      assert.lengthOf(logs.at("Info"), 0)

      yield* isBack.open
      yield* TestClock.adjust("5 seconds")
      yield* Effect.forEach([exchange, heartbeat, lateFailure], Fiber.join)
      assert.lengthOf(logs.at("Warn"), 1)
      assert.lengthOf(logs.at("Info"), 1)
    })
  )

  it.effect("REC-02 a failure that was on its way when the store was back is no sign that it is lost again", () =>
    Effect.gen(function* () {
      const logs = yield* collectLogs
      const outage = Outage.make(Duration.seconds(5), () => {})
      const call = (answer: Effect.Effect<unknown, StoreError>) =>
        Effect.forkChild(outage.untilAnswered(() => answer, Effect.never).pipe(Effect.provide(logs.layer)))
      const broken = new StoreError({ operation: "exchange", cause: new Error("the connection broke") })
      const late = yield* Latch.make(false)
      let failures = 0
      const failingOnce = Effect.suspend(() => (failures++ === 0 ? Effect.fail(broken) : Effect.void))
      let lateFailures = 0

      const first = yield* call(failingOnce)
      yield* TestClock.adjust(0)
      const second = yield* call(
        Effect.suspend(() => (lateFailures++ === 0 ? Effect.andThen(late.await, Effect.fail(broken)) : Effect.void))
      )
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(first)
      yield* late.open
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(second)
      assert.lengthOf(logs.at("Warn"), 1)
      assert.lengthOf(logs.at("Info"), 1)
    })
  )
})
