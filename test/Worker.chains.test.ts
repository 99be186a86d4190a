/** Recurring tasks: one chain each, what is kept of their runs, and contracts that change. */
import { assert } from "@effect/vitest"
import { Effect, Layer, Option, Schema } from "effect"
import { Docket, type Recurrence, Task, TaskGroup, Worker } from "../src/index.ts"
import { beginning, infoOf, onEveryStore, pass, start } from "./support/dockets.ts"
import { collectLogs } from "./support/logs.ts"
import { waitUntil } from "./support/waitUntil.ts"

class Unwell extends Schema.TaggedError<Unwell>()("Unwell", {}) {}

const Sweep = Task.make("sweep", { error: Unwell, perpetual: { every: "1 minute", automatic: true } })
const Charge = Task.make("charge", {
  payload: { order: Schema.Int },
  success: Schema.Int,
  key: ({ order }) => `charge-${order}`
})
const Poll = Task.make("poll", { perpetual: { every: "1 minute", automatic: true }, key: () => "the poll" })
const tasks = TaskGroup.make(Sweep, Charge, Poll)

/** A worker whose sweeps go on as they are told, and how often it ran what. */
const makeWorker = (sweep: Effect.Effect<void, Unwell> = Effect.void) => {
  const runs: Array<string> = []
  const handlers = tasks.toLayer({
    sweep: () =>
      Effect.andThen(
        Effect.sync(() => runs.push("sweep")),
        sweep
      ),
    charge: ({ order }) => Effect.sync(() => runs.push(`charge ${order}`)),
    poll: () => Effect.sync(() => void runs.push("poll"))
  })
  return { runs, worker: Worker.layer(tasks, { name: "w" }).pipe(Layer.provide(handlers)) }
}

/** A worker of a release in which the report has this recurrence and title. */
const makeReport = (cron: Recurrence.CronOptions, title = "daily") => {
  const Report = Task.make("report", {
    payload: { title: Schema.String.pipe(Schema.withConstructorDefault(Effect.succeed(title))) },
    cron
  })
  const tasks = TaskGroup.make(Report)
  const titles: Array<string> = []
  const handlers = tasks.toLayer({ report: ({ title }) => Effect.sync(() => void titles.push(title)) })
  return { Report, titles, worker: Worker.layer(tasks).pipe(Layer.provide(handlers)) }
}

const dueOf = (key: string) => Effect.map(infoOf(key), ({ due }) => due.epochMilliseconds - beginning)

onEveryStore("The chain of a recurring task", (it) => {
  it.effect("SCH-19 has one key, the task's name, however it is added", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      const early = yield* docket.add(Sweep)
      assert.strictEqual(early.key, "sweep")
      const { runs, worker } = makeWorker()
      yield* start(worker)
      for (const add of [
        docket.addNamed("sweep", {}),
        docket.addNamed("sweep", {}, { delay: "1 hour" }),
        docket.add(Sweep)
      ]) {
        const { disposition, key } = yield* add
        assert.deepStrictEqual([key, disposition], ["sweep", "already-scheduled"])
      }
      yield* pass("30 seconds")
      assert.strictEqual(runs.filter((run) => run === "sweep").length, 1)
      // Once now, and the chain goes on.
      assert.strictEqual((yield* docket.replace(Sweep)).disposition, "replaced")
      yield* waitUntil(
        "it ran again",
        Effect.sync(() => runs.filter((run) => run === "sweep").length === 2)
      )
    })
  )

  it.effect("SCH-19 has the key that its contract computes, if it does, also where workers schedule it", () =>
    Effect.gen(function* () {
      const { worker } = makeWorker()
      yield* start(worker)
      const docket = yield* Docket
      assert.strictEqual((yield* docket.add(Poll)).disposition, "already-scheduled")
      assert.isTrue(Option.isNone(yield* docket.info("poll")))
      assert.strictEqual((yield* infoOf("the poll")).task, "poll")
    })
  )

  it.effect("SCH-19 a task whose contract computes its key is not added by name without one", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      // Nobody has said anything of it yet.
      yield* (yield* docket.addNamed("charge", { order: 1 }, { delay: "1 hour" })).cancel
      const { runs, worker } = makeWorker()
      const running = yield* start(worker)
      yield* (yield* docket.add(Charge, { order: 7 })).result
      const refused = Effect.gen(function* () {
        const { message, reason } = yield* Effect.flip(docket.addNamed("charge", { order: 7 }))
        assert.strictEqual(reason._tag, "InvalidRequest")
        assert.include(message, '"charge"')
        assert.include(message, "--key")
      })
      yield* refused
      yield* running.stop
      yield* pass("1 minute")
      yield* refused
      assert.deepStrictEqual(
        runs.filter((run) => run.startsWith("charge")),
        ["charge 7"]
      )
      const named = yield* docket.addNamed("charge", { order: 8 }, { key: "charge-8", delay: "1 hour" })
      assert.strictEqual((yield* docket.add(Charge, { order: 8 })).disposition, "already-scheduled")
      yield* named.cancel
    })
  )

  it.effect("AUT-09 keeps how its last runs went, and is listed while the last one failed", () =>
    Effect.gen(function* () {
      let isWell = false
      let count = 0
      const { worker } = makeWorker(
        Effect.suspend(() => {
          count++
          return isWell ? Effect.void : Effect.fail(new Unwell())
        })
      )
      yield* start(worker)
      const docket = yield* Docket
      const failing = Effect.map(docket.failed.recurring(), (all) => all.map(({ error, key }) => [key, error]))
      const hasRun = (times: number) =>
        waitUntil(
          `it has run ${times} times`,
          Effect.map(
            docket.execution(Sweep, "sweep").runs,
            (runs) => runs.length >= Math.min(times, 20) && count >= times
          )
        )
      yield* hasRun(1)
      assert.deepStrictEqual(
        (yield* failing).map(([key]) => key),
        ["sweep"]
      )
      assert.match((yield* failing)[0]?.[1] ?? "", /^Unwell/)
      yield* pass("61 seconds")
      yield* hasRun(2)
      isWell = true
      yield* pass("61 seconds")
      yield* hasRun(3)
      assert.deepStrictEqual(yield* failing, [])
      const runs = yield* docket.execution(Sweep, "sweep").runs
      assert.deepStrictEqual(
        runs.map(({ state, worker }) => [state, worker]),
        [
          ["failed", "w"],
          ["failed", "w"],
          ["completed", "w"]
        ]
      )
      assert.match(runs[0]?.error ?? "", /^Unwell/)
      assert.isUndefined(runs[2]?.error)
      for (const { ended, started } of runs) {
        assert.isAtLeast(ended.epochMilliseconds, started.epochMilliseconds)
        assert.isAtLeast(started.epochMilliseconds, beginning)
      }
      isWell = false
      yield* pass("61 seconds")
      yield* hasRun(4)
      assert.strictEqual((yield* failing).length, 1)
      // What is cancelled runs no more.
      yield* docket.cancel("sweep")
      assert.deepStrictEqual(yield* failing, [])
    })
  )

  it.effect("AUT-06 follows the worker that started last when its contract has another recurrence or payload", () =>
    Effect.gen(function* () {
      const logs = yield* collectLogs
      const old = makeReport({ expression: "@yearly" })
      yield* start(old.worker)
      assert.isAbove(yield* dueOf("report"), 300 * 86_400_000)
      const { generation } = yield* infoOf("report")
      const same = yield* start(makeReport({ expression: "@yearly" }).worker)
      assert.strictEqual((yield* infoOf("report")).generation, generation)
      yield* same.stop

      const next = makeReport({ expression: "* * * * *" }, "each minute")
      yield* start(next.worker.pipe(Layer.provide(logs.layer)))
      yield* waitUntil(
        "it is due within a minute",
        Effect.map(dueOf("report"), (due) => due <= 60_000)
      )
      assert.isTrue(logs.at("Info").some((line) => line.includes("report was scheduled by another recurrence")))
      // Also when a worker that started before has run it, or looked at it.
      for (let minutes = 0; minutes < 4; minutes++) yield* pass("61 seconds")
      yield* waitUntil(
        "it runs each minute",
        Effect.sync(() => old.titles.length + next.titles.length >= 2)
      )
      assert.notInclude([...old.titles, ...next.titles], "daily")
      yield* waitUntil(
        "and goes on so",
        Effect.map(dueOf("report"), (due) => due < 86_400_000)
      )
    })
  )
})
