/** Runs with an end: until nothing is left, and at most so often for a key. */
import { assert } from "@effect/vitest"
import { Effect, Fiber, Latch, Layer, Queue, Schema } from "effect"
import { CurrentDocket, Docket, Dockets, Task, TaskGroup, TaskKey, Worker } from "../src/index.ts"
import { onEveryStore, onMemory, pass, start, stateOf } from "./support/dockets.ts"
import * as Faults from "./support/faults.ts"

const Work = Task.make("work", { payload: { id: Schema.String }, success: Schema.String, key: ({ id }) => id })
const Link = Task.make("link", { payload: { n: Schema.Int }, key: () => "chain" })
const tasks = TaskGroup.make(Work, Link)

/** A chain that schedules its next link under its own key, for ever. */
const makeHandlers = (options: Task.ScheduleOptions = {}) => {
  const ran: Array<string> = []
  const handlers = tasks.toLayer({
    work: ({ id }) => Effect.sync(() => (ran.push(id), id)),
    link: Effect.fnUntraced(function* ({ n }) {
      ran.push(`link ${n}`)
      const docket = yield* CurrentDocket
      yield* docket.replace(Link, { n: n + 1 }, options)
    })
  })
  return { ran, handlers }
}

onEveryStore("Worker.runUntilFinished", (it) => {
  it.effect("RUN-01, RUN-03 returns at once when there is nothing to do", () =>
    Effect.gen(function* () {
      const { handlers } = makeHandlers()
      yield* Worker.runUntilFinished(tasks).pipe(Effect.provide(handlers))
    })
  )

  it.effect("RUN-01 returns when everything that is due was run, failures included", () =>
    Effect.gen(function* () {
      const ran: Array<string> = []
      const handlers = tasks.toLayer({
        work: ({ id }) => (ran.push(id), id === "3" ? Effect.die("boom") : Effect.succeed(id)),
        link: () => Effect.void
      })
      const docket = yield* Docket
      const ids = Array.from({ length: 30 }, (_, i) => String(i))
      yield* Effect.forEach(ids, (id) => docket.add(Work, { id }))
      yield* Worker.runUntilFinished(tasks).pipe(Effect.provide(handlers))
      assert.sameMembers(ran, ids)
      assert.strictEqual(yield* stateOf("3"), "failed")
      assert.deepStrictEqual(yield* docket.store.depth, { queued: 0, scheduled: 0, running: 0 })
    })
  )

  it.effect("RUN-01 waits for what is scheduled for later", () =>
    Effect.gen(function* () {
      const { handlers, ran } = makeHandlers()
      const docket = yield* Docket
      const now = yield* docket.add(Work, { id: "now" })
      yield* docket.add(Work, { id: "later" }, { delay: "1 hour" })
      const running = yield* Effect.forkChild(Worker.runUntilFinished(tasks).pipe(Effect.provide(handlers)))
      yield* now.result
      yield* pass("59 minutes")
      assert(running.pollUnsafe() === undefined)
      assert.deepStrictEqual(ran, ["now"])
      yield* pass("1 minute")
      yield* Fiber.join(running)
      assert.deepStrictEqual(ran, ["now", "later"])
    })
  )

  it.effect("RUN-01 returns when what it waits for is cancelled by someone else, in every worker that waits", () =>
    Effect.gen(function* () {
      const { handlers } = makeHandlers()
      const docket = yield* Docket
      const later = yield* docket.add(Work, { id: "later" }, { delay: "1 hour" })
      const run = Worker.runUntilFinished(tasks).pipe(Effect.provide(handlers))
      const running = [yield* Effect.forkChild(run), yield* Effect.forkChild(run)]
      yield* pass("1 second", 4)
      yield* later.cancel
      // Long before it would have been due.
      yield* pass("2 seconds", 4)
      for (const fiber of running) yield* Fiber.join(fiber)
    })
  )

  it.effect("RUN-01 waits for what other workers still run", () =>
    Effect.gen(function* () {
      const started = yield* Latch.make()
      const gate = yield* Latch.make()
      const busy = tasks.toLayer({
        work: ({ id }) => Effect.as(Effect.andThen(started.open, gate.await), id),
        link: () => Effect.void
      })
      yield* start(Worker.layer(tasks).pipe(Layer.provide(busy)))
      const docket = yield* Docket
      yield* docket.add(Work, { id: "elsewhere" })
      yield* started.await
      const { handlers } = makeHandlers()
      const running = yield* Effect.forkChild(Worker.runUntilFinished(tasks).pipe(Effect.provide(handlers)))
      yield* pass("10 seconds", 10)
      assert(running.pollUnsafe() === undefined)
      yield* gate.open
      yield* docket.execution(Work, "elsewhere").result
      yield* pass("1 second")
      yield* Fiber.join(running)
    })
  )

  it.effect("RUN-01 runs what handlers schedule", () =>
    Effect.gen(function* () {
      const ran: Array<string> = []
      const handlers = tasks.toLayer({
        work: Effect.fnUntraced(function* ({ id }) {
          ran.push(id)
          const docket = yield* CurrentDocket
          if (id.length < 4)
            yield* docket.addAll([Task.request(Work, { id: `${id}l` }), Task.request(Work, { id: `${id}r` })])
          return id
        }),
        link: () => Effect.void
      })
      const docket = yield* Docket
      yield* docket.add(Work, { id: "-" })
      yield* Worker.runUntilFinished(tasks).pipe(Effect.provide(handlers))
      assert.strictEqual(ran.length, 15)
      assert.strictEqual(new Set(ran).size, 15)
    })
  )

  it.effect("RUN-02 can be interrupted, and leaves later work as it was", () =>
    Effect.gen(function* () {
      const { handlers } = makeHandlers()
      const docket = yield* Docket
      const now = yield* docket.add(Work, { id: "now" })
      yield* docket.add(Work, { id: "later" }, { delay: "1 day" })
      const running = yield* Effect.forkChild(Worker.runUntilFinished(tasks).pipe(Effect.provide(handlers)))
      yield* now.result
      // No time passes.
      yield* Fiber.interrupt(running)
      assert.strictEqual(yield* stateOf("later"), "scheduled")
    })
  )
})

onMemory("Worker.runUntilFinished", (it) => {
  it.effect("RUN-01, MEM-03 a month of waiting takes no time in a test", () =>
    Effect.gen(function* () {
      const { handlers, ran } = makeHandlers()
      const docket = yield* Docket
      const now = yield* docket.add(Work, { id: "now" })
      yield* docket.add(Work, { id: "later" }, { delay: "30 days" })
      const running = yield* Effect.forkChild(Worker.runUntilFinished(tasks).pipe(Effect.provide(handlers)))
      yield* now.result
      yield* pass("30 days")
      yield* Fiber.join(running)
      assert.deepStrictEqual(ran, ["now", "later"])
    })
  )
})

onEveryStore("Worker.runAtMost", (it) => {
  it.effect("RUN-04 refuses a number of runs that is none, and names the key", () =>
    Effect.gen(function* () {
      const { handlers } = makeHandlers()
      const error = yield* Effect.flip(Worker.runAtMost(tasks, { chain: Number.NaN }).pipe(Effect.provide(handlers)))
      assert.include(
        error.message,
        'the number of runs of key "chain" has to be a whole number of at least 0; it was NaN'
      )
    })
  )

  it.effect("RUN-04, RUN-06 ends a chain that replaces its own key after so many runs", () =>
    Effect.gen(function* () {
      const { handlers, ran } = makeHandlers()
      const docket = yield* Docket
      yield* docket.add(Link, { n: 1 })
      yield* docket.add(Work, { id: "other" })
      yield* Worker.runAtMost(tasks, { chain: 3 }).pipe(Effect.provide(handlers))
      assert.sameMembers(ran, ["link 1", "link 2", "link 3", "other"])
      assert.strictEqual(yield* stateOf("chain"), "cancelled")
      assert.deepStrictEqual(yield* docket.store.depth, { queued: 0, scheduled: 0, running: 0 })
    })
  )

  it.effect("RUN-06 runs automatic tasks so often, also when the store takes them only after a while", () =>
    Effect.gen(function* () {
      const Sweep = Task.make("sweep", { perpetual: { every: "1 second", automatic: true } })
      const group = TaskGroup.make(Sweep)
      let runs = 0
      const handlers = group.toLayer({ sweep: () => Effect.sync(() => void runs++) })
      const faults = Faults.make((yield* Docket).store)
      faults.next("schedule", "refused", "refused", "refused")
      const running = yield* Worker.runAtMost(group, { sweep: 3 }).pipe(
        Effect.provide(handlers),
        Effect.provideService(Docket, yield* Dockets.fromStore(faults.store)),
        Effect.forkChild
      )
      yield* pass("10 seconds", 50)
      yield* Fiber.join(running)
      assert.strictEqual(runs, 3)
    })
  )

  it.effect("RUN-05 returns although the next link is weeks ahead, and cancels it", () =>
    Effect.gen(function* () {
      const { handlers, ran } = makeHandlers({ delay: "21 days" })
      const docket = yield* Docket
      yield* docket.add(Link, { n: 1 })
      yield* Worker.runAtMost(tasks, { chain: 1 }).pipe(Effect.provide(handlers))
      assert.deepStrictEqual(ran, ["link 1"])
      assert.strictEqual(yield* stateOf("chain"), "cancelled")
    })
  )

  it.effect("RUN-05 returns also when another handler schedules a key that has had its runs for weeks ahead", () =>
    Effect.gen(function* () {
      const ran: Array<string> = []
      const handlers = tasks.toLayer({
        work: Effect.fnUntraced(function* ({ id }) {
          ran.push(id)
          const docket = yield* CurrentDocket
          if (id === "other") yield* docket.add(Work, { id: "bounded" }, { delay: "21 days" })
          return id
        }),
        link: () => Effect.void
      })
      const docket = yield* Docket
      yield* docket.add(Work, { id: "bounded" })
      yield* docket.add(Work, { id: "other" })
      yield* Worker.runAtMost(tasks, { bounded: 1 }, { concurrency: 1 }).pipe(Effect.provide(handlers))
      assert.deepStrictEqual(ran, ["bounded", "other"])
      assert.strictEqual(yield* stateOf("bounded"), "cancelled")
    })
  )

  it.effect("RUN-05 cancels what waits under a key that may not run at all", () =>
    Effect.gen(function* () {
      const { handlers, ran } = makeHandlers()
      const docket = yield* Docket
      yield* docket.add(Work, { id: "due" })
      yield* docket.add(Work, { id: "later" }, { delay: "21 days" })
      yield* docket.add(Work, { id: "free" })
      yield* Worker.runAtMost(tasks, { due: 0, later: 0 }).pipe(Effect.provide(handlers))
      assert.deepStrictEqual(ran, ["free"])
      assert.strictEqual(yield* stateOf("due"), "cancelled")
      assert.strictEqual(yield* stateOf("later"), "cancelled")
    })
  )

  it.effect("RUN-04 a key that does not come up so often does not keep it from returning", () =>
    Effect.gen(function* () {
      const { handlers, ran } = makeHandlers()
      const docket = yield* Docket
      yield* docket.add(Work, { id: "once" })
      yield* Worker.runAtMost(tasks, { once: 5, never: 2 }).pipe(Effect.provide(handlers))
      assert.deepStrictEqual(ran, ["once"])
    })
  )
})

onEveryStore("Worker.finished", (it) => {
  it.effect("completes when nothing is left, as often as that happens, and the worker goes on", () =>
    Effect.gen(function* () {
      const { handlers, ran } = makeHandlers()
      const worker = yield* start(Worker.layer(tasks).pipe(Layer.provide(handlers)))
      const docket = yield* Docket
      for (const id of ["a", "b", "c"]) {
        yield* docket.add(Work, { id })
        yield* worker.finished
        assert.strictEqual(ran.at(-1), id)
      }
    })
  )
})

onEveryStore("Worker.run", (it) => {
  it.effect("goes on for ever, until it is interrupted", () =>
    Effect.gen(function* () {
      const keys = yield* Queue.unbounded<string>()
      const handlers = tasks.toLayer({
        work: ({ id }) =>
          Effect.as(
            Effect.flatMap(TaskKey, (key) => Queue.offer(keys, key)),
            id
          ),
        link: () => Effect.void
      })
      const running = yield* Effect.forkChild(Worker.run(tasks).pipe(Effect.provide(handlers)))
      const docket = yield* Docket
      for (const id of ["a", "b", "c"]) {
        yield* docket.add(Work, { id })
        assert.strictEqual(yield* Queue.take(keys), id)
      }
      assert(running.pollUnsafe() === undefined)
      yield* Fiber.interrupt(running)
      yield* docket.add(Work, { id: "d" })
      assert.strictEqual(yield* stateOf("d"), "queued")
    })
  )
})
