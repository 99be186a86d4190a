/** What an operator sees of a docket and its workers, and clearing it. */
import { assert } from "@effect/vitest"
import { Context, Effect, Fiber, Latch, Layer, Option, Queue, Schema } from "effect"
import { Docket, Dockets, Perpetual, Task, TaskGroup, Worker } from "../src/index.ts"
import { beginning, infoOf, onEveryStore, onRedis, pass, start, stateOf, TestDocket } from "./support/dockets.ts"
import * as Faults from "./support/faults.ts"
import { collectLogs } from "./support/logs.ts"
import { follow, passUntil, statesIn } from "./support/runs.ts"
import { waitUntil } from "./support/waitUntil.ts"

const Dig = Task.make("dig", { payload: { id: Schema.String }, key: ({ id }) => id })
const Rake = Task.make("rake", { perpetual: { every: "1 hour", automatic: true } })
const tasks = TaskGroup.make(Dig, Rake)

/** Handlers that run until a gate is opened. */
const makeGarden = Effect.gen(function* () {
  const started = yield* Queue.unbounded<string>()
  const gate = yield* Latch.make()
  const handlers = tasks.toLayer({
    dig: ({ id }) => Effect.andThen(Queue.offer(started, id), gate.await),
    rake: () => Effect.void
  })
  const worker = (options: Worker.Options = {}) =>
    Worker.layer(tasks, { scheduleAutomaticTasks: false, ...options }).pipe(Layer.provide(handlers))
  return { started, gate, worker }
})

const dig = (id: string, options?: Task.ScheduleOptions) => Task.request(Dig, { id }, options)
const keysOf = (executions: ReadonlyArray<{ readonly key: string }>) => executions.map(({ key }) => key)
const namesOf = (workers: ReadonlyArray<{ readonly name: string }>) => workers.map(({ name }) => name)

onEveryStore("A snapshot", (it) => {
  it.effect("SNP-01 counts what is live, and lists what runs, what is to come, and the workers", () =>
    Effect.gen(function* () {
      const { gate, started, worker } = yield* makeGarden
      const docket = yield* Docket
      yield* pass("1 minute")
      yield* start(worker({ name: "ada", concurrency: 2 }))
      yield* docket.addAll([dig("a"), dig("b")])
      yield* Queue.takeN(started, 2)
      yield* docket.addAll([
        dig("due 1"),
        dig("late", { delay: "2 hours" }),
        dig("early", { delay: "1 hour" }),
        dig("due 2")
      ])
      const settled = yield* docket.add(Dig, { id: "settled" }, { delay: "1 day" })
      yield* settled.cancel

      const snapshot = yield* docket.snapshot()
      assert.strictEqual(snapshot.docket, docket.name)
      assert.isAtLeast(snapshot.taken.epochMilliseconds, beginning + 60_000)
      assert.deepInclude(snapshot, { total: 6, queued: 2, scheduled: 2, runningTotal: 2 })
      assert.sameMembers(keysOf(snapshot.running), ["a", "b"])
      for (const { key, started, state, task, worker } of snapshot.running) {
        assert.deepStrictEqual([task, state, worker], ["dig", "running", "ada"])
        assert.deepStrictEqual(started, (yield* infoOf(key)).started)
      }
      assert.deepStrictEqual(keysOf(snapshot.upcoming), ["due 1", "due 2", "early", "late"])
      assert.deepStrictEqual(
        snapshot.upcoming.map(({ state, worker }) => [state, worker]),
        [
          ["queued", undefined],
          ["queued", undefined],
          ["scheduled", undefined],
          ["scheduled", undefined]
        ]
      )
      assert.deepStrictEqual(namesOf(snapshot.workers), ["ada"])
      yield* gate.open
      yield* docket.clear
    })
  )

  it.effect("SNP-01 of an empty docket is empty", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      const { taken, ...rest } = yield* docket.snapshot()
      assert.isAtLeast(taken.epochMilliseconds, beginning)
      assert.deepStrictEqual(rest, {
        docket: docket.name,
        total: 0,
        queued: 0,
        scheduled: 0,
        runningTotal: 0,
        running: [],
        upcoming: [],
        workers: []
      })
    })
  )

  it.effect("lists as many as it is told, and counts them all", () =>
    Effect.gen(function* () {
      const { gate, started, worker } = yield* makeGarden
      yield* start(worker({ concurrency: 5 }))
      const docket = yield* Docket
      yield* docket.addAll(Array.from({ length: 5 }, (_, i) => dig(`running-${i}`)))
      yield* Queue.takeN(started, 5)
      yield* docket.addAll(Array.from({ length: 5 }, (_, i) => dig(`due-${i}`)))
      yield* docket.addAll(Array.from({ length: 5 }, (_, i) => dig(`later-${i}`, { delay: `${i + 1} hours` })))
      const snapshot = yield* docket.snapshot({ limit: 3 })
      assert.deepInclude(snapshot, { total: 15, queued: 5, scheduled: 5, runningTotal: 5 })
      assert.strictEqual(snapshot.running.length, 3)
      assert.deepStrictEqual(keysOf(snapshot.upcoming), ["due-0", "due-1", "due-2"])
      const longer = yield* docket.snapshot({ limit: 7 })
      assert.deepStrictEqual(keysOf(longer.upcoming), [
        "due-0",
        "due-1",
        "due-2",
        "due-3",
        "due-4",
        "later-0",
        "later-1"
      ])
      yield* gate.open
      yield* docket.clear
    })
  )

  it.effect("SNP-02 changes nothing", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      yield* docket.addAll([dig("now"), dig("soon", { delay: "1 minute" }), dig("late", { delay: "1 hour" })])
      yield* pass("2 minutes")
      const read = Effect.forEach(["now", "soon", "late"], infoOf)
      const before = yield* read
      const events = yield* follow(docket.execution(Dig, "soon").events)
      yield* Queue.take(events)
      const first = yield* docket.snapshot()
      const second = yield* docket.snapshot()
      assert.deepStrictEqual({ ...second, taken: first.taken }, first)
      assert.deepStrictEqual(yield* read, before)
      assert.deepStrictEqual(yield* Queue.clear(events), [])
      yield* docket.clear
    })
  )

  it.effect("SNP-03 lists tasks that neither this process nor a worker knows", () =>
    Effect.gen(function* () {
      const { worker } = yield* makeGarden
      const docket = yield* Docket
      yield* start(worker())
      yield* docket.addNamed("prune", { tree: "apple" }, { key: "apple" })
      yield* docket.addNamed("water", {}, { key: "beans", delay: "1 hour" })
      yield* waitUntil(
        "both are there",
        Effect.map(docket.snapshot(), ({ upcoming }) => upcoming.length === 2)
      )
      const { upcoming } = yield* docket.snapshot()
      assert.deepStrictEqual(
        upcoming.map(({ encodedPayload, key, task }) => [task, key, encodedPayload]),
        [
          ["prune", "apple", '{"tree":"apple"}'],
          ["water", "beans", "{}"]
        ]
      )
      yield* docket.clear
    })
  )

  it.effect("SNP-04 shows nothing of the docket's own work", () =>
    Effect.gen(function* () {
      const { worker } = yield* makeGarden
      const docket = yield* Docket
      yield* start(worker())
      yield* start(worker())
      yield* pass("10 minutes", 10)
      assert.deepInclude(yield* docket.snapshot(), { total: 0, running: [], upcoming: [] })
    })
  )
})

onEveryStore("The workers of a docket", (it) => {
  it.effect("HBT-01, HBT-02 are listed by name, with their last sign of life and the tasks that they know", () =>
    Effect.gen(function* () {
      const { worker } = yield* makeGarden
      const others = TaskGroup.make(Task.make("water"))
      const handlers = others.toLayer({ water: () => Effect.void })
      yield* start(worker({ name: "bo" }))
      yield* start(Worker.layer(others, { name: "ada" }).pipe(Layer.provide(handlers)))
      const docket = yield* Docket
      const workers = yield* docket.workers
      assert.deepStrictEqual(namesOf(workers), ["ada", "bo"])
      // The built-in ones are among them.
      assert.deepStrictEqual(
        workers.map(({ tasks }) => tasks),
        [
          ["fail", "sleep", "trace", "water"],
          ["dig", "fail", "rake", "sleep", "trace"]
        ]
      )
      const now = (yield* docket.snapshot()).taken.epochMilliseconds
      for (const { lastSeen } of workers) {
        assert.isAtLeast(lastSeen.epochMilliseconds, beginning)
        assert.isAtMost(lastSeen.epochMilliseconds, now)
      }
      const elsewhere = yield* (yield* TestDocket).open()
      assert.deepStrictEqual(namesOf(yield* elsewhere.workers), ["ada", "bo"])
    })
  )

  it.effect("HBT-02 are listed by a task that they know, given by contract or by name", () =>
    Effect.gen(function* () {
      const { worker } = yield* makeGarden
      yield* start(worker({ name: "bo" }))
      yield* start(worker({ name: "any", fallback: Worker.drop }))
      const docket = yield* Docket
      assert.deepStrictEqual(namesOf(yield* docket.taskWorkers(Dig)), ["any", "bo"])
      assert.deepStrictEqual(namesOf(yield* docket.taskWorkers("rake")), ["any", "bo"])
      // A worker with a fallback runs whatever comes.
      assert.deepStrictEqual(namesOf(yield* docket.taskWorkers("prune")), ["any"])
    })
  )

  it.effect("HBT-01 are listed for as long as they live, and have been seen of late", () =>
    Effect.gen(function* () {
      const { worker } = yield* makeGarden
      yield* start(worker({ name: "bo" }))
      const docket = yield* Docket
      yield* pass("1 hour", 20)
      yield* waitUntil(
        "it was seen after an hour",
        Effect.map(docket.workers, ([bo]) => (bo?.lastSeen.epochMilliseconds ?? 0) >= beginning + 3_600_000)
      )
    })
  )

  it.effect("HBT-04 are gone from the list at once when they end", () =>
    Effect.gen(function* () {
      const { worker } = yield* makeGarden
      const bo = yield* start(worker({ name: "bo" }))
      yield* start(worker({ name: "cy" }))
      const docket = yield* Docket
      yield* bo.stop
      assert.deepStrictEqual(namesOf(yield* docket.workers), ["cy"])
      assert.deepStrictEqual(namesOf(yield* docket.taskWorkers(Dig)), ["cy"])
    })
  )

  it.effect("HBT-03 are not listed while they stop, though they finish what they run", () =>
    Effect.gen(function* () {
      const { gate, started, worker } = yield* makeGarden
      const bo = yield* start(worker({ name: "bo", shutdownTimeout: "1 hour", redeliveryTimeout: "2 minutes" }))
      const docket = yield* Docket
      const execution = yield* docket.add(Dig, { id: "a" })
      yield* Queue.take(started)
      const stopping = yield* Effect.forkChild(bo.stop)
      yield* waitUntil(
        "it is off the list",
        Effect.map(docket.workers, (workers) => workers.length === 0)
      )
      assert.strictEqual(yield* stateOf("a"), "running")
      // Nor does a later heartbeat bring it back, and its leases live on.
      yield* pass("10 minutes", 60)
      assert.deepStrictEqual(yield* docket.workers, [])
      assert.deepInclude(yield* infoOf("a"), { state: "running", deliveries: 1 })
      yield* gate.open
      yield* Fiber.join(stopping)
      yield* execution.result
    })
  )

  it.effect("HBT-03 are not listed while they drain", () =>
    Effect.gen(function* () {
      const { gate, started, worker } = yield* makeGarden
      const docket = yield* Docket
      const { drain } = Context.get(yield* Layer.build(worker({ name: "bo" })), Worker.Worker)
      yield* docket.add(Dig, { id: "a" })
      yield* Queue.take(started)
      const draining = yield* Effect.forkChild(drain)
      yield* waitUntil(
        "it is off the list",
        Effect.map(docket.workers, (workers) => workers.length === 0)
      )
      yield* gate.open
      yield* Fiber.join(draining)
      assert.deepStrictEqual(yield* docket.workers, [])
    })
  )

  it.effect("HBT-05 end as they would, and say so, when they cannot be taken off the list", () =>
    Effect.gen(function* () {
      const { gate, worker } = yield* makeGarden
      yield* gate.open
      const docket = yield* Docket
      const faults = Faults.make(docket.store)
      const logs = yield* collectLogs
      faults.next("leave", "refused", "refused", "refused")
      yield* docket.add(Dig, { id: "a" })
      const { stop } = yield* start(worker({ name: "bo" })).pipe(
        Effect.provideService(Docket, yield* Dockets.fromStore(faults.store)),
        Effect.provide(logs.layer)
      )
      yield* docket.execution(Dig, "a").result
      yield* stop
      assert(logs.at("Warn").some((line) => line.includes("list")))
    })
  )
})

onRedis("The workers of a docket", (it) => {
  it.effect("HBT-04, SNP-02 are gone from the list a few heartbeats after they died", () =>
    Effect.gen(function* () {
      const { worker } = yield* makeGarden
      const docket = yield* Docket
      const faults = Faults.make(docket.store)
      yield* start(worker({ name: "mortal" })).pipe(
        Effect.provideService(Docket, yield* Dockets.fromStore(faults.store))
      )
      assert.deepStrictEqual(namesOf(yield* docket.workers), ["mortal"])
      yield* faults.vanish
      assert.deepStrictEqual(namesOf((yield* docket.snapshot()).workers), ["mortal"])
      yield* passUntil(
        "100 millis",
        waitUntil(
          "it is forgotten",
          Effect.map(docket.workers, (workers) => workers.length === 0)
        )
      )
      assert.deepStrictEqual((yield* docket.snapshot()).workers, [])
    })
  )

  it.effect("HBT-03, HBT-05 are not listed while they cannot be heard, which is logged, and again afterwards", () =>
    Effect.gen(function* () {
      const { worker } = yield* makeGarden
      const docket = yield* Docket
      const faults = Faults.make(docket.store)
      const logs = yield* collectLogs
      yield* start(worker({ name: "bo", reconnectionDelay: "1 second" })).pipe(
        Effect.provideService(Docket, yield* Dockets.fromStore(faults.store)),
        Effect.provide(logs.layer)
      )
      faults.setAway(true)
      yield* passUntil(
        "100 millis",
        waitUntil(
          "it is off the list",
          Effect.map(docket.workers, (workers) => workers.length === 0)
        )
      )
      assert.strictEqual(logs.at("Warn").length, 1)
      faults.setAway(false)
      yield* passUntil(
        "100 millis",
        waitUntil(
          "it is listed again",
          Effect.map(docket.workers, (workers) => workers.length === 1)
        )
      )
    })
  )
})

onEveryStore("Clearing a docket", (it) => {
  it.effect("CLR-01 removes everything that waits, wherever it waits, and tells how many there were", () =>
    Effect.gen(function* () {
      const { started, worker } = yield* makeGarden
      const docket = yield* Docket
      assert.strictEqual(yield* docket.clear, 0)
      yield* docket.addAll([dig("now"), dig("soon", { delay: "1 minute" }), dig("late", { delay: "365 days" })])
      yield* docket.addNamed("unknown", {}, { key: "unknown" })
      assert.strictEqual(yield* docket.clear, 4)
      assert.strictEqual(yield* docket.clear, 0)
      assert.deepStrictEqual(yield* docket.store.depth, { queued: 0, scheduled: 0, running: 0 })
      yield* start(worker())
      yield* pass("2 minutes")
      // The key is free, and what runs is the new one only.
      yield* docket.add(Dig, { id: "late" })
      assert.strictEqual(yield* Queue.take(started), "late")
      yield* docket.cancel("late")
      assert.deepStrictEqual(yield* Queue.clear(started), [])
    })
  )

  it.effect("CLR-01 removes what was set aside because no worker knows it", () =>
    Effect.gen(function* () {
      const { worker } = yield* makeGarden
      yield* start(worker())
      const docket = yield* Docket
      yield* docket.addNamed("unknown", {}, { key: "unknown" })
      yield* pass("1 second")
      assert.strictEqual(yield* docket.clear, 1)
      assert.strictEqual(yield* stateOf("unknown"), "cancelled")
    })
  )

  it.effect("CLR-01 removes thousands", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      const many = Array.from({ length: 2500 }, (_, i) => dig(`k-${i}`, i % 2 === 0 ? {} : { delay: "1 hour" }))
      yield* docket.addAll(many)
      assert.strictEqual(yield* docket.clear, 2500)
      assert.deepStrictEqual(yield* docket.store.depth, { queued: 0, scheduled: 0, running: 0 })
    })
  )

  it.effect("CLR-02, CLR-03 leaves alone what runs, what is settled, and the workers", () =>
    Effect.gen(function* () {
      const { gate, started, worker } = yield* makeGarden
      yield* start(worker({ name: "bo", concurrency: 1, redeliveryTimeout: "1 minute" }))
      const docket = yield* Docket
      yield* gate.open
      yield* (yield* docket.add(Dig, { id: "done" })).result
      yield* Queue.take(started)
      gate.closeUnsafe()
      const running = yield* docket.add(Dig, { id: "running" })
      yield* Queue.take(started)
      yield* docket.addAll([dig("due"), dig("late", { delay: "1 hour" })])
      const before = yield* Effect.forEach(["done", "running"], infoOf)
      assert.strictEqual(yield* docket.clear, 2)
      assert.deepStrictEqual(yield* Effect.forEach(["done", "running"], infoOf), before)
      assert.deepStrictEqual(namesOf(yield* docket.workers), ["bo"])
      // Its lease lives on.
      yield* pass("5 minutes", 20)
      assert.deepInclude(yield* infoOf("running"), { state: "running", deliveries: 1 })
      yield* gate.open
      yield* running.result
      assert.strictEqual(yield* stateOf("running"), "completed")
    })
  )

  it.effect("CLR-02 leaves a recurring task that runs to go on with its next run", () =>
    Effect.gen(function* () {
      const Tick = Task.make("tick", { perpetual: { every: "1 minute" }, key: () => "clock" })
      const group = TaskGroup.make(Tick)
      const started = yield* Queue.unbounded<void>()
      const gate = yield* Latch.make()
      let runs = 0
      const handlers = group.toLayer({
        tick: Effect.fnUntraced(function* () {
          yield* Queue.offer(started, undefined)
          if (++runs === 1) yield* gate.await
          else yield* (yield* Perpetual).cancel
        })
      })
      yield* start(Worker.layer(group).pipe(Layer.provide(handlers)))
      const docket = yield* Docket
      yield* docket.add(Tick)
      yield* Queue.take(started)
      assert.strictEqual(yield* docket.clear, 0)
      yield* gate.open
      yield* passUntil("10 seconds", Queue.take(started))
      yield* waitUntil(
        "it has stopped",
        Effect.map(stateOf("clock"), (state) => state === "completed")
      )
    })
  )

  it.effect("CLR-04, CAN-07 leaves records that read cancelled, and tells whoever waits or follows", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      const [now, late] = yield* docket.addAll([dig("now"), dig("late", { delay: "1 hour" })])
      const waiting = yield* Effect.forkChild(Effect.flip(late.result))
      const events = yield* follow(now.events)
      assert.deepStrictEqual(statesIn([yield* Queue.take(events)]), ["queued"])
      yield* docket.clear
      assert.deepStrictEqual(statesIn([yield* Queue.take(events)]), ["cancelled"])
      assert.strictEqual((yield* Fiber.join(waiting))._tag, "TaskCancelled")
      for (const key of ["now", "late"]) {
        const info = yield* infoOf(key)
        assert.deepInclude(info, { state: "cancelled", encodedPayload: `{"id":"${key}"}` })
        assert.isDefined(info.completed)
      }
    })
  )

  it.effect("CLR-04, TTL-04 leaves nothing on a docket that keeps nothing", () =>
    Effect.gen(function* () {
      const docket = yield* (yield* TestDocket).open({ executionTtl: 0 })
      yield* docket.addAll([dig("now"), dig("late", { delay: "1 hour" })])
      assert.strictEqual(yield* docket.clear, 2)
      for (const key of ["now", "late"]) assert(Option.isNone(yield* docket.info(key)))
    })
  )

  it.effect("RUN-01 lets a bounded run end that waited for what was cleared", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      const handlers = tasks.toLayer({ dig: () => Effect.void, rake: () => Effect.void })
      const now = yield* docket.add(Dig, { id: "now" })
      yield* docket.add(Dig, { id: "late" }, { delay: "365 days" })
      const running = yield* Effect.forkChild(
        Worker.runUntilFinished(tasks, { scheduleAutomaticTasks: false }).pipe(Effect.provide(handlers))
      )
      yield* now.result
      assert.strictEqual(yield* docket.clear, 1)
      yield* passUntil("10 seconds", Fiber.join(running))
    })
  )

  it.effect("AUT-07 has its automatic tasks back within the minute", () =>
    Effect.gen(function* () {
      const { worker } = yield* makeGarden
      const docket = yield* Docket
      yield* start(worker({ scheduleAutomaticTasks: true }))
      const isScheduled = Effect.map(
        docket.info("rake"),
        (info) => Option.isSome(info) && info.value.state === "scheduled"
      )
      yield* waitUntil("its next run is scheduled", isScheduled)
      assert.strictEqual(yield* docket.clear, 1)
      yield* passUntil("5 seconds", waitUntil("it is back", isScheduled))
      yield* docket.clear
    })
  )
})
