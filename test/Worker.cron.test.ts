/** Tasks that run at calendar times, and tasks that nobody has to add. */
import { assert, it as test } from "@effect/vitest"
import { DateTime, Effect, Latch, Layer, Option, Queue, Schema } from "effect"
import {
  type CurrentExecution,
  type CurrentWorker,
  Docket,
  Dockets,
  Perpetual,
  type Recurrence,
  Retry,
  Task,
  TaskGroup,
  Worker
} from "../src/index.ts"
import { beginning, infoOf, onEveryStoreForMonths, onMemory, pass, start, stateOf } from "./support/dockets.ts"
import * as Faults from "./support/faults.ts"
import { passUntil, seen, type Seen } from "./support/runs.ts"
import { waitUntil } from "./support/waitUntil.ts"

class Unwell extends Schema.TaggedError<Unwell>()("Unwell", {}) {}

const reportOf = (cron: Recurrence.CronOptions, retry?: Retry.Policy<Unwell>) =>
  Task.make("report", {
    payload: { title: Schema.String.pipe(Schema.withConstructorDefault(Effect.succeed("daily"))) },
    success: Schema.Int,
    error: Unwell,
    cron,
    ...(retry === undefined ? {} : { retry })
  })

/** What the n-th run does, n from 1. */
type Step = (
  run: number,
  task: ReturnType<typeof reportOf>
) => Effect.Effect<unknown, Unwell, Perpetual | CurrentExecution | CurrentWorker>

const second = 1000
const minute = 60 * second
const hour = 60 * minute

/** A task that runs at calendar times, and what its handler saw. */
const makeCron = Effect.fnUntraced(function* (
  cron: Recurrence.CronOptions,
  step: Step = () => Effect.void,
  { retry, ...options }: { readonly retry?: Retry.Policy<Unwell> } & Worker.Options = {}
) {
  const Report = reportOf(cron, retry)
  const tasks = TaskGroup.make(Report)
  const runs: Array<Seen> = []
  const started = yield* Queue.unbounded<Seen>()
  const handlers = tasks.toLayer({
    report: Effect.fnUntraced(function* () {
      const run = yield* seen
      const n = runs.push(run)
      yield* Queue.offer(started, run)
      yield* step(n, Report)
      return n
    })
  })
  return { Report, runs, started, worker: Worker.layer(tasks, options).pipe(Layer.provide(handlers)) }
})

/** Times since the beginning, which is at noon. */
const timesOf = (runs: ReadonlyArray<Seen>) => runs.map(({ at }) => at)
const duesOf = (runs: ReadonlyArray<Seen>) => runs.map(({ due }) => due)

onEveryStoreForMonths("A cron task", (it) => {
  it.effect(
    "CRN-01, CRN-03 runs at the times of its expression, the first one to come, never when a worker starts",
    () =>
      Effect.gen(function* () {
        const { runs, started, worker } = yield* makeCron({ expression: "*/20 * * * *" })
        yield* pass("7 seconds")
        yield* start(worker)
        yield* passUntil("1 minute", Queue.takeN(started, 3))
        assert.deepStrictEqual(duesOf(runs), [20 * minute, 40 * minute, hour])
        for (const { at, due } of runs) assert.isAtLeast(at, due)
        yield* (yield* Docket).clear
      })
  )

  it.effect("CRN-01 runs at the times that a nickname stands for", () =>
    Effect.gen(function* () {
      const { runs, started, worker } = yield* makeCron({ expression: "@daily" })
      yield* start(worker)
      yield* passUntil("2 hours", Queue.takeN(started, 3))
      assert.deepStrictEqual(
        duesOf(runs),
        [12, 36, 60].map((n) => n * hour)
      )
      yield* (yield* Docket).clear
    })
  )

  it.effect("CRN-02 follows its time zone through both changes of the clocks", () =>
    Effect.gen(function* () {
      const { runs, started, worker } = yield* makeCron({ expression: "30 2 * * 0", timeZone: "Europe/Lisbon" })
      yield* start(worker)
      yield* passUntil("1 day", Queue.takeN(started, 42))
      const utc = runs.map(({ due }) => new Date(beginning + due).toISOString().slice(0, 16))
      assert.strictEqual(utc[0], "2026-01-18T02:30")
      // Clocks go forward at 01:00 UTC on 29 March, and back at 01:00 UTC on 25 October.
      assert.deepStrictEqual(utc.slice(9, 12), ["2026-03-22T02:30", "2026-03-29T01:30", "2026-04-05T01:30"])
      assert.deepStrictEqual(utc.slice(39, 42), ["2026-10-18T01:30", "2026-10-25T02:30", "2026-11-01T02:30"])
      yield* (yield* Docket).clear
    })
  )

  for (const [skipped, days] of [
    ["later", [7, 8, 9]],
    ["omit", [7, 9, 10]]
  ] as const) {
    it.effect(`CRN-02 a time that does not come when clocks go forward, with "${skipped}"`, () =>
      Effect.gen(function* () {
        const { runs, started, worker } = yield* makeCron({
          expression: "30 2 7-10 3 *",
          timeZone: "America/New_York",
          skipped
        })
        yield* start(worker)
        yield* passUntil("1 day", Queue.takeN(started, 3))
        const hours = { 7: "07:30", 8: "07:30", 9: "06:30", 10: "06:30" }
        assert.deepStrictEqual(
          runs.map(({ due }) => new Date(beginning + due).toISOString().slice(5, 16)),
          days.map((day) => `03-${String(day).padStart(2, "0")}T${hours[day]}`)
        )
        yield* (yield* Docket).clear
      })
    )
  }

  it.effect("CRN-04 runs again at the next time after its end, whatever its outcome, and at no time twice", () =>
    Effect.gen(function* () {
      const { runs, started, worker } = yield* makeCron({ expression: "*/10 * * * *" }, (run) => {
        if (run === 1) return Effect.fail(new Unwell())
        return run === 2 ? Effect.die("boom") : Effect.void
      })
      yield* start(worker)
      yield* passUntil("30 seconds", Queue.takeN(started, 5))
      assert.deepStrictEqual(
        duesOf(runs),
        [10, 20, 30, 40, 50].map((n) => n * minute)
      )
      yield* (yield* Docket).clear
    })
  )

  it.effect("CRN-04 leaves out the times that pass while it runs", () =>
    Effect.gen(function* () {
      const { runs, started, worker } = yield* makeCron({ expression: "*/10 * * * *" }, (run) =>
        run === 1 ? Effect.sleep("25 minutes") : Effect.void
      )
      yield* start(worker)
      yield* passUntil("30 seconds", Queue.takeN(started, 3))
      assert.deepStrictEqual(
        duesOf(runs),
        [10, 40, 50].map((n) => n * minute)
      )
      yield* (yield* Docket).clear
    })
  )

  it.effect("CRN-04 runs once for all the times that passed while no worker was there, and then at the next", () =>
    Effect.gen(function* () {
      const { runs, started, worker } = yield* makeCron({ expression: "@hourly" })
      const first = yield* start(worker)
      yield* first.stop
      yield* pass("270 minutes", 10)
      yield* start(worker)
      yield* passUntil("5 minutes", Queue.takeN(started, 3))
      assert.deepStrictEqual(duesOf(runs), [hour, 5 * hour, 6 * hour])
      assert.isAtLeast(runs[0]!.at, 270 * minute)
      yield* (yield* Docket).clear
    })
  )

  it.effect("CRN-04 runs once for each of the times that passed, in their order, when it says so", () =>
    Effect.gen(function* () {
      const { runs, started, worker } = yield* makeCron({ expression: "@hourly", missed: "all" })
      const first = yield* start(worker)
      yield* first.stop
      yield* pass("270 minutes", 10)
      yield* start(worker)
      yield* passUntil("5 minutes", Queue.takeN(started, 6))
      assert.deepStrictEqual(
        duesOf(runs),
        [1, 2, 3, 4, 5, 6].map((n) => n * hour)
      )
      yield* (yield* Docket).clear
    })
  )

  it.effect("CRN-04, CRN-05 runs also for the times that pass until a late attempt, when it says so", () =>
    Effect.gen(function* () {
      const { runs, started, worker } = yield* makeCron(
        { expression: "*/10 * * * *", missed: "all" },
        (run) => (run <= 2 ? Effect.fail(new Unwell()) : Effect.void),
        { retry: Retry.linear({ attempts: 3, delay: "17 minutes" }) }
      )
      yield* start(worker)
      yield* passUntil("30 seconds", Queue.takeN(started, 7))
      assert.deepStrictEqual(
        runs.map(({ attempt }) => attempt),
        [1, 2, 3, 1, 1, 1, 1]
      )
      // The last attempt of the first run is about 44 minutes after the beginning.
      assert.deepStrictEqual(
        duesOf(runs).slice(3),
        [20, 30, 40, 50].map((n) => n * minute)
      )
      yield* (yield* Docket).clear
    })
  )

  it.effect("CRN-05 has its attempts before its next time, and its next time is of the calendar", () =>
    Effect.gen(function* () {
      const { runs, started, worker } = yield* makeCron(
        { expression: "*/10 * * * *" },
        () => Effect.fail(new Unwell()),
        {
          retry: Retry.linear({ attempts: 3, delay: "1 minute" })
        }
      )
      yield* start(worker)
      yield* passUntil("10 seconds", Queue.takeN(started, 6))
      assert.deepStrictEqual(
        runs.map(({ attempt }) => attempt),
        [1, 2, 3, 1, 2, 3]
      )
      assert.deepStrictEqual([runs[0]!.due, runs[3]!.due], [10 * minute, 20 * minute])
      yield* (yield* Docket).clear
    })
  )

  it.effect("CRN-05 runs at the time that its handler names, and then by its calendar again", () =>
    Effect.gen(function* () {
      const { runs, started, worker } = yield* makeCron({ expression: "*/10 * * * *" }, (run) =>
        Effect.flatMap(Perpetual, ({ after, at }) => {
          if (run === 1) return at(DateTime.makeUnsafe(beginning + 13 * minute))
          return run === 2 ? after("1 minute") : Effect.void
        })
      )
      yield* start(worker)
      yield* passUntil("10 seconds", Queue.takeN(started, 4))
      assert.deepStrictEqual([runs[0]!.due, runs[1]!.due, runs[3]!.due], [10 * minute, 13 * minute, 20 * minute])
      assert.isAtLeast(runs[2]!.due, 14 * minute)
      assert.isBelow(runs[2]!.due, 20 * minute)
      yield* (yield* Docket).clear
    })
  )

  it.effect("CRN-05 may stop, when it is not automatic, and may change its payload", () =>
    Effect.gen(function* () {
      const made = yield* makeCron({ expression: "@hourly", automatic: false }, (run, task) =>
        Effect.flatMap(Perpetual, ({ cancel, next }) =>
          run === 3 ? cancel : Effect.orDie(next(task, { title: `after ${run}` }))
        )
      )
      yield* start(made.worker)
      const docket = yield* Docket
      const execution = yield* docket.add(made.Report, { title: "first" }, { key: "mine" })
      yield* passUntil("5 minutes", Queue.takeN(made.started, 3))
      assert.strictEqual(yield* execution.result, 3)
      assert.strictEqual(yield* stateOf("mine"), "completed")
      yield* pass("5 hours", 5)
      assert.deepStrictEqual(
        made.runs.map(({ key, payload }) => [key, payload]),
        [
          ["mine", { title: "first" }],
          ["mine", { title: "after 1" }],
          ["mine", { title: "after 2" }]
        ]
      )
      assert.deepStrictEqual(duesOf(made.runs).slice(1), [hour, 2 * hour])
    })
  )
})

onMemory("A cron task, to the millisecond", (it) => {
  it.effect(
    "CRN-01, CRN-03 runs at the times of its expression, the first one to come, never when a worker starts",
    () =>
      Effect.gen(function* () {
        const { runs, worker } = yield* makeCron({ expression: "*/20 * * * *" })
        yield* pass("7 seconds")
        yield* start(worker)
        yield* pass("1 hour")
        assert.deepStrictEqual(timesOf(runs), [20 * minute, 40 * minute, hour])
      })
  )

  it.effect("CRN-03 does not run when a worker starts at one of its very times", () =>
    Effect.gen(function* () {
      const { runs, worker } = yield* makeCron({ expression: "@hourly" })
      yield* start(worker)
      yield* pass("59 minutes")
      assert.deepStrictEqual(runs, [])
      yield* pass("1 minute")
      assert.deepStrictEqual(timesOf(runs), [hour])
    })
  )

  it.effect("CRN-02 follows its time zone through both changes of the clocks", () =>
    Effect.gen(function* () {
      const { runs, worker } = yield* makeCron({ expression: "30 2 * * *", timeZone: "Europe/Lisbon" })
      yield* start(worker)
      yield* pass("300 days")
      const utc = runs.map(({ at }) => new Date(beginning + at).toISOString().slice(0, 16))
      assert.strictEqual(new Set(utc.map((time) => time.slice(0, 10))).size, utc.length)
      assert.strictEqual(utc.length, 300)
      // Clocks go forward at 01:00 UTC on 29 March, and back at 01:00 UTC on 25 October.
      assert.includeMembers(utc, ["2026-03-28T02:30", "2026-03-29T01:30", "2026-10-24T01:30", "2026-10-25T02:30"])
    })
  )

  it.effect("CRN-04 does not run twice at a time at which its run ends at once", () =>
    Effect.gen(function* () {
      const { runs, worker } = yield* makeCron({ expression: "* * * * *" })
      yield* start(worker)
      yield* pass("1 hour")
      assert.deepStrictEqual(
        timesOf(runs),
        Array.from({ length: 60 }, (_, i) => (i + 1) * minute)
      )
    })
  )

  it.effect("CRN-04 runs once for all the times that passed while no worker was there, and then at the next", () =>
    Effect.gen(function* () {
      const { runs, worker } = yield* makeCron({ expression: "@hourly" })
      const first = yield* start(worker)
      yield* first.stop
      yield* pass("270 minutes")
      yield* start(worker)
      yield* pass("90 minutes")
      assert.deepStrictEqual(duesOf(runs), [hour, 5 * hour, 6 * hour])
      assert.deepStrictEqual(timesOf(runs), [270 * minute, 5 * hour, 6 * hour])
    })
  )

  it.effect("CRN-04 runs once for each of the times that passed, one after the other, when it says so", () =>
    Effect.gen(function* () {
      const { runs, worker } = yield* makeCron({ expression: "@hourly", missed: "all" })
      const first = yield* start(worker)
      yield* first.stop
      yield* pass("270 minutes")
      yield* start(worker)
      yield* pass("90 minutes")
      assert.deepStrictEqual(
        duesOf(runs),
        [1, 2, 3, 4, 5, 6].map((n) => n * hour)
      )
      assert.deepStrictEqual(timesOf(runs).slice(0, 4), Array(4).fill(270 * minute))
    })
  )

  it.effect("CRN-05 has its attempts before its next time, and its next time is of the calendar", () =>
    Effect.gen(function* () {
      const { runs, worker } = yield* makeCron({ expression: "*/10 * * * *" }, () => Effect.fail(new Unwell()), {
        retry: Retry.linear({ attempts: 3, delay: "1 minute" })
      })
      yield* start(worker)
      yield* pass("22 minutes")
      assert.deepStrictEqual(
        timesOf(runs),
        [10, 11, 12, 20, 21, 22].map((n) => n * minute)
      )
      assert.deepStrictEqual(
        runs.map(({ attempt }) => attempt),
        [1, 2, 3, 1, 2, 3]
      )
    })
  )

  it.effect("CRN-05 runs at the time that its handler names, and then by its calendar again", () =>
    Effect.gen(function* () {
      const { runs, worker } = yield* makeCron({ expression: "*/10 * * * *" }, (run) =>
        Effect.flatMap(Perpetual, ({ after, at, every }) => {
          if (run === 1) return at(DateTime.makeUnsafe(beginning + 13 * minute))
          if (run === 2) return after("1 minute")
          return run === 3 ? every("3 minutes") : Effect.void
        })
      )
      yield* start(worker)
      yield* pass("30 minutes")
      assert.deepStrictEqual(
        timesOf(runs),
        [10, 13, 14, 17, 20, 30].map((n) => n * minute)
      )
    })
  )
})

onEveryStoreForMonths("An automatic task", (it) => {
  const Sweep = Task.make("sweep", {
    payload: { depth: Schema.Int.pipe(Schema.withConstructorDefault(Effect.succeed(3))) },
    perpetual: { every: "10 minutes", automatic: true }
  })
  const Report = Task.make("report", { cron: { expression: "@hourly" } })
  const Manual = Task.make("manual", { perpetual: { every: "10 minutes" } })
  const OnDemand = Task.make("onDemand", { cron: { expression: "@hourly", automatic: false } })
  const tasks = TaskGroup.make(Sweep, Report, Manual, OnDemand)

  const makeTasks = Effect.fnUntraced(function* (step: Effect.Effect<void> = Effect.void) {
    const started = yield* Queue.unbounded<Seen>()
    const run = Effect.andThen(
      Effect.flatMap(seen, (run) => Queue.offer(started, run)),
      step
    )
    return {
      started,
      handlers: tasks.toLayer({ sweep: () => run, report: () => run, manual: () => run, onDemand: () => run })
    }
  })

  const untilScheduled = (key: string) =>
    waitUntil(
      `${key} is scheduled`,
      Effect.gen(function* () {
        const info = yield* (yield* Docket).info(key)
        return Option.isSome(info) && info.value.state === "scheduled"
      })
    )

  it.effect(
    "AUT-01, AUT-02 is scheduled when a worker starts, under its name: at intervals at once, else for its time",
    () =>
      Effect.gen(function* () {
        const { handlers, started } = yield* makeTasks()
        yield* start(Worker.layer(tasks).pipe(Layer.provide(handlers)))
        const docket = yield* Docket
        const first = yield* Queue.take(started)
        assert.deepInclude(first, { key: "sweep", payload: { depth: 3 }, generation: 1 })
        const report = yield* infoOf("report")
        assert.deepInclude(report, { state: "scheduled", task: "report", encodedPayload: "{}" })
        assert.strictEqual(report.due.epochMilliseconds, beginning + hour)
        assert(Option.isNone(yield* docket.info("manual")))
        assert(Option.isNone(yield* docket.info("onDemand")))
        const next = yield* passUntil("30 seconds", Queue.take(started))
        assert.deepInclude(next, { key: "sweep", generation: 2 })
        assert.isAtLeast(next.at - first.at, 10 * minute)
        yield* docket.clear
      })
  )

  it.effect("AUT-01, HLT-01 is scheduled once the store takes it; until then its worker runs what there is", () =>
    Effect.gen(function* () {
      const { handlers, started } = yield* makeTasks()
      const docket = yield* Docket
      const faults = Faults.make(docket.store)
      faults.next("schedule", ...Array.from({ length: 10_000 }, () => "refused" as const))
      const worker = yield* start(Worker.layer(tasks).pipe(Layer.provide(handlers))).pipe(
        Effect.provideService(Docket, yield* Dockets.fromStore(faults.store))
      )
      assert.isTrue((yield* worker.health).ready)
      yield* docket.add(Manual, {}, { key: "manual" })
      assert.strictEqual((yield* Queue.take(started)).key, "manual")
      yield* pass("30 seconds", 30)
      assert.isTrue((yield* worker.health).ready)
      assert(Option.isNone(yield* docket.info("sweep")))
      faults.next("schedule")
      yield* pass("10 seconds", 10)
      assert.deepInclude(yield* Queue.take(started), { key: "sweep", generation: 1 })
      yield* untilScheduled("report")
      yield* docket.clear
    })
  )

  it.effect("AUT-03 is scheduled once by many workers that start together", () =>
    Effect.gen(function* () {
      const { handlers, started } = yield* makeTasks()
      const worker = Worker.layer(tasks).pipe(Layer.provide(handlers))
      yield* Effect.all(
        Array.from({ length: 5 }, () => start(worker)),
        { concurrency: "unbounded" }
      )
      yield* untilScheduled("sweep")
      const docket = yield* Docket
      assert.deepStrictEqual(yield* docket.store.depth, { queued: 0, scheduled: 2, running: 0 })
      const all = [
        ...(yield* Queue.clear(started)),
        ...(yield* passUntil("30 seconds", Queue.takeN(started, 3)))
      ].filter(({ key }) => key === "sweep")
      assert.deepStrictEqual(
        all.map(({ generation }) => generation),
        all.map((_, i) => i + 1)
      )
      yield* docket.clear
    })
  )

  it.effect("AUT-05, AUT-07 is back within the minute when it was cancelled", () =>
    Effect.gen(function* () {
      const { handlers, started } = yield* makeTasks()
      yield* start(Worker.layer(tasks).pipe(Layer.provide(handlers)))
      const docket = yield* Docket
      yield* Queue.take(started)
      for (let round = 0; round < 3; round++) {
        yield* untilScheduled("sweep")
        yield* Effect.forEach(["sweep", "report"], docket.cancel)
        const before = yield* infoOf("report")
        assert.strictEqual(yield* stateOf("report"), "cancelled")
        const back = yield* passUntil("5 seconds", Queue.take(started))
        assert.strictEqual(back.key, "sweep")
        assert.isAtMost(back.at + beginning, (before.completed?.epochMilliseconds ?? 0) + 70 * second)
        yield* untilScheduled("report")
      }
      yield* docket.clear
    })
  )

  it.effect("AUT-05 is back also when it was cancelled while it ran", () =>
    Effect.gen(function* () {
      const { handlers, started } = yield* makeTasks(Effect.never)
      yield* start(Worker.layer(tasks).pipe(Layer.provide(handlers)))
      const docket = yield* Docket
      for (let round = 0; round < 2; round++) {
        yield* passUntil("5 seconds", Queue.take(started))
        yield* docket.cancel("sweep")
      }
      yield* passUntil("5 seconds", Queue.take(started))
      yield* docket.cancel("sweep")
      yield* docket.clear
    })
  )

  it.effect("AUT-05 is back when a worker that does not know it has dropped it", () =>
    Effect.gen(function* () {
      const others = TaskGroup.make(Task.make("other"))
      const dropper = yield* start(
        Worker.layer(others, { name: "dropper", fallback: Worker.drop }).pipe(
          Layer.provide(others.toLayer({ other: () => Effect.void }))
        )
      )
      const docket = yield* Docket
      yield* Effect.exit((yield* docket.add(Sweep, {}, { key: "sweep" })).result)
      assert.strictEqual(yield* stateOf("sweep"), "failed")
      const { handlers, started } = yield* makeTasks()
      yield* dropper.stop
      yield* start(Worker.layer(tasks).pipe(Layer.provide(handlers)))
      yield* Queue.take(started)
      yield* untilScheduled("sweep")
      yield* docket.clear
    })
  )

  it.effect("AUT-06 is left as it is when it is live: same run, same time, same payload", () =>
    Effect.gen(function* () {
      const { handlers, started } = yield* makeTasks()
      const docket = yield* Docket
      yield* docket.add(Sweep, { depth: 9 }, { key: "sweep", delay: "5 minutes" })
      const before = yield* infoOf("sweep")
      const worker = Worker.layer(tasks).pipe(Layer.provide(handlers))
      yield* start(worker)
      yield* untilScheduled("report")
      yield* start(worker)
      // Longer than workers take to look for what is missing.
      yield* pass("3 minutes", 6)
      assert.deepStrictEqual(yield* infoOf("sweep"), before)
      assert.deepStrictEqual(yield* Queue.clear(started), [])
      yield* docket.clear
    })
  )

  it.effect("AUT-06 is left alone while it runs", () =>
    Effect.gen(function* () {
      const gate = yield* Latch.make()
      const { handlers, started } = yield* makeTasks(gate.await)
      const worker = Worker.layer(tasks).pipe(Layer.provide(handlers))
      yield* start(worker)
      yield* Queue.take(started)
      yield* start(worker)
      yield* pass("3 minutes", 6)
      assert.deepInclude(yield* infoOf("sweep"), { state: "running", generation: 1 })
      assert.deepStrictEqual(yield* Queue.clear(started), [])
      yield* gate.open
      yield* untilScheduled("sweep")
      yield* (yield* Docket).clear
    })
  )

  it.effect("AUT-08 is left alone by a worker that is told so, which runs it all the same", () =>
    Effect.gen(function* () {
      const { handlers, started } = yield* makeTasks()
      yield* start(Worker.layer(tasks, { scheduleAutomaticTasks: false }).pipe(Layer.provide(handlers)))
      const docket = yield* Docket
      yield* pass("3 minutes", 6)
      for (const key of ["sweep", "report"]) assert(Option.isNone(yield* docket.info(key)))
      yield* docket.add(Sweep, {}, { key: "sweep" })
      yield* Queue.take(started)
      yield* untilScheduled("sweep")
      yield* docket.clear
    })
  )

  it.effect("is scheduled also when the store is away at first", () =>
    Effect.gen(function* () {
      const { handlers, started } = yield* makeTasks()
      const docket = yield* Docket
      const faults = Faults.make(docket.store)
      faults.next("schedule", "refused", "reply-lost")
      const starting = start(Worker.layer(tasks).pipe(Layer.provide(handlers))).pipe(
        Effect.provideService(Docket, yield* Dockets.fromStore(faults.store))
      )
      yield* passUntil("1 second", starting)
      const first = yield* Queue.take(started)
      assert.deepInclude(first, { key: "sweep", generation: 1 })
      yield* untilScheduled("sweep")
      yield* docket.clear
    })
  )
})

onMemory("An automatic task", (it) => {
  it.effect("AUT-07 that runs often is back within the minute, however often it ran before", () =>
    Effect.gen(function* () {
      const Pulse = Task.make("pulse", { perpetual: { every: "1 second", automatic: true } })
      const tasks = TaskGroup.make(Pulse)
      const times: Array<number> = []
      const handlers = tasks.toLayer({ pulse: () => Effect.map(seen, ({ at }) => void times.push(at)) })
      yield* start(Worker.layer(tasks).pipe(Layer.provide(handlers)))
      yield* pass("1 hour")
      assert.strictEqual(times.length, 3601)
      yield* (yield* Docket).cancel("pulse")
      yield* pass("1 minute")
      assert.isAtLeast(times.length, 3602)
    })
  )

  it.effect("that runs often costs the store no call more once it is quiet", () =>
    Effect.gen(function* () {
      const Pulse = Task.make("pulse", { perpetual: { every: "1 second", automatic: true } })
      const tasks = TaskGroup.make(Pulse)
      let runs = 0
      const handlers = tasks.toLayer({
        pulse: () => Effect.flatMap(Perpetual, ({ after }) => (++runs < 3600 ? Effect.void : after("30 days")))
      })
      const faults = Faults.make((yield* Docket).store)
      yield* start(Worker.layer(tasks).pipe(Layer.provide(handlers))).pipe(
        Effect.provideService(Docket, yield* Dockets.fromStore(faults.store))
      )
      yield* pass("61 minutes")
      assert.strictEqual(runs, 3600)
      const calls = faults.calls("schedule")
      yield* pass("1 day")
      assert.isAtMost(faults.calls("schedule") - calls, 1)
    })
  )

  it.effect("AUT-05 is back in the minute after it stopped itself", () =>
    Effect.gen(function* () {
      const { runs, worker } = yield* makeCron({ expression: "@hourly" }, () =>
        Effect.flatMap(Perpetual, ({ cancel }) => cancel)
      )
      yield* start(worker)
      yield* pass("3 hours")
      assert.deepStrictEqual(
        timesOf(runs),
        [1, 2, 3].map((n) => n * hour)
      )
    })
  )
})

test("CRN-06, AUT-02, CTX-08 a task that cannot be meant is refused where it is defined", () => {
  const define = (options: Task.Options<{}, typeof Schema.Void, typeof Schema.Never>) => () => Task.make("t", options)
  assert.throws(define({ cron: { expression: "every day" } }), /"every day" needs five fields/)
  assert.throws(define({ cron: { expression: "* * * *" } }), /not valid|five fields/)
  assert.throws(define({ cron: { expression: "@daily", timeZone: "Europe/Atlantis" } }), /not valid/)
  assert.throws(define({ perpetual: { every: 1 }, cron: { expression: "@daily" } }), /choose one/)
  const payload = { id: Schema.Int }
  assert.throws(() => Task.make("t", { payload, cron: { expression: "@daily" } }), /"t" is automatic/)
  assert.throws(() => Task.make("t", { payload, perpetual: { every: 1, automatic: true } }), /"t" is automatic/)
  assert.doesNotThrow(() => Task.make("t", { payload, cron: { expression: "@daily", automatic: false } }))
  assert.doesNotThrow(() => Task.make("t", { payload, perpetual: { every: 1 } }))
})
