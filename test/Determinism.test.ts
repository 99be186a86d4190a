/** A year and more of recurring work under a virtual clock: each run at its time, and the same history every time. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Schema, Stream } from "effect"
import { TestClock } from "effect/testing"
import { CurrentExecution, Docket, Perpetual, Retry, Task, TaskGroup, Worker } from "../src/index.ts"

const beginning = Date.UTC(2026, 0, 15, 12)
const days = 400

const second = 1000
const hour = 3600 * second
const day = 24 * hour

class Unavailable extends Schema.TaggedError<Unavailable>()("Unavailable", {}) {}

const retry = Retry.exponential<Unavailable>({ attempts: 4, minimum: "1 second" })

const Lisbon = Task.make("lisbon", {
  error: Unavailable,
  cron: { expression: "30 1 * * *", timeZone: "Europe/Lisbon" },
  retry
})
const NewYork = Task.make("newYork", {
  error: Unavailable,
  cron: { expression: "30 2 * * *", timeZone: "America/New_York" },
  retry
})
/** Runs after an hour, then after six, then after a day, and so on. */
const Tide = Task.make("tide", { perpetual: { every: "1 hour", automatic: true } })
/** Runs every day, and stops after a hundred runs. */
const Course = Task.make("course", { perpetual: { every: "1 day" }, key: () => "course" })
const tasks = TaskGroup.make(Lisbon, NewYork, Tide, Course)

const tides = [hour, 6 * hour, day]
const courseRuns = 100

/** How often the attempts of a day's run fail before one succeeds; all of them on some days. */
const failuresOn = (run: number) => (run % 50 === 0 ? 4 : run % 7 === 0 ? 3 : run % 3 === 0 ? 1 : 0)

interface Run {
  readonly task: string
  readonly at: number
  readonly due: number
  readonly attempt: number
  readonly generation: number
}

/** Runs the program for 400 days; gives its runs, and everything that the docket told of them. */
const program = Effect.gen(function* () {
  yield* TestClock.setTime(beginning)
  const runs: Array<Run> = []
  const events: Array<string> = []
  const count = { lisbon: 0, newYork: 0, tide: 0, course: 0 }

  const note = Effect.gen(function* () {
    const { attempt, due, generation, started, task } = yield* CurrentExecution
    runs.push({ task, at: started.epochMilliseconds, due: due.epochMilliseconds, attempt, generation })
    return attempt
  })
  const report = (city: "lisbon" | "newYork") =>
    Effect.fnUntraced(function* () {
      const attempt = yield* note
      if (attempt === 1) count[city]++
      yield* Effect.sleep("100 millis")
      if (attempt <= failuresOn(count[city])) return yield* new Unavailable()
    })
  const handlers = tasks.toLayer({
    lisbon: report("lisbon"),
    newYork: report("newYork"),
    tide: Effect.fnUntraced(function* () {
      yield* note
      const { every } = yield* Perpetual
      yield* every(tides[count.tide++ % tides.length]!)
      yield* Effect.sleep("3 minutes")
    }),
    course: Effect.fnUntraced(function* () {
      yield* note
      if (++count.course === courseRuns) yield* (yield* Perpetual).cancel
    })
  })

  yield* Effect.gen(function* () {
    const docket = yield* Docket
    yield* Effect.forkScoped(
      Stream.runForEach(docket.events, (event) =>
        Effect.sync(() => {
          if (event._tag !== "StateChanged") return
          const { completed, due, error, key, started, state } = event
          const times = [due, started, completed].map((time) => time?.epochMilliseconds ?? "")
          events.push([key, state, ...times, error ?? ""].join(" "))
        })
      )
    )
    yield* Effect.yieldNow
    yield* docket.add(Course)
    yield* Layer.build(Worker.layer(tasks, { name: "worker" }).pipe(Layer.provide(handlers)))
    yield* TestClock.adjust(days * day)
  }).pipe(Effect.provide(Docket.layerMemory), Effect.scoped)
  return { runs, events }
}).pipe(Effect.provide(TestClock.layer()))

interface Zone {
  /** Hours ahead of UTC. */
  readonly winter: number
  readonly summer: number
  /** When clocks go forward, and when they go back. */
  readonly forward: number
  readonly back: number
}
const lisbonZone: Zone = {
  winter: 0,
  summer: 1,
  forward: Date.UTC(2026, 2, 29, 1),
  back: Date.UTC(2026, 9, 25, 1)
}
const newYorkZone: Zone = {
  winter: -5,
  summer: -4,
  forward: Date.UTC(2026, 2, 8, 7),
  back: Date.UTC(2026, 10, 1, 6)
}

/** The moments of a time of day: the first one where it comes twice; an hour later by the clock where it does not come. */
const daily = ({ back, forward, summer, winter }: Zone, timeOfDay: number) => {
  const moments: Array<number> = []
  for (let date = Date.UTC(2026, 0, 15); date <= beginning + (days + 1) * day; date += day) {
    const inSummer = date + timeOfDay - summer * hour
    const inWinter = date + timeOfDay - winter * hour
    moments.push(inSummer >= forward && inSummer < back ? inSummer : inWinter)
  }
  return moments.filter((moment) => moment > beginning && moment <= beginning + days * day)
}

/** The attempts of the n-th run of a city, n from 1. */
const attemptsFrom = (tick: number, run: number) => {
  const starts = [tick]
  for (let attempt = 1; attempt <= Math.min(failuresOn(run), 3); attempt++) {
    starts.push(starts.at(-1)! + 100 + second * 2 ** (attempt - 1))
  }
  return starts
}

const iso = (moments: ReadonlyArray<number>) => moments.map((moment) => new Date(moment).toISOString())

describe("400 days under a virtual clock", () => {
  it.effect(
    "CRN-02, CRN-04, RTY-04, PER-02, PER-03, PER-04, AUT-01 each run is at its time, and the history is always the same",
    () =>
      Effect.gen(function* () {
        const { events, runs } = yield* program
        const startsOf = (task: string) => runs.filter((run) => run.task === task)

        for (const [task, zone, timeOfDay] of [
          ["lisbon", lisbonZone, 1.5 * hour],
          ["newYork", newYorkZone, 2.5 * hour]
        ] as const) {
          const ticks = daily(zone, timeOfDay)
          assert.strictEqual(ticks.length, days)
          const expected = ticks.flatMap((tick, i) => attemptsFrom(tick, i + 1))
          assert.deepStrictEqual(iso(startsOf(task).map(({ at }) => at)), iso(expected))
          for (const { at, due } of startsOf(task)) assert.strictEqual(due, at)
          // One attempt after the other: a new run begins at the first.
          const attempts = ticks.flatMap((tick, i) => attemptsFrom(tick, i + 1).map((_, attempt) => attempt + 1))
          assert.deepStrictEqual(
            startsOf(task).map(({ attempt }) => attempt),
            attempts
          )
        }
        // The days on which the clocks change, spelled out: Lisbon goes from 01:00 to 02:00 and from 02:00 to 01:00.
        const lisbon = iso(
          startsOf("lisbon")
            .filter(({ attempt }) => attempt === 1)
            .map(({ at }) => at)
        )
        for (const moment of ["2026-03-28T01:30", "2026-03-29T01:30", "2026-03-30T00:30"]) {
          assert.include(lisbon, `${moment}:00.000Z`)
        }
        for (const moment of ["2026-10-24T00:30", "2026-10-25T00:30", "2026-10-26T01:30"]) {
          assert.include(lisbon, `${moment}:00.000Z`)
        }
        assert.notInclude(lisbon, "2026-10-25T01:30:00.000Z")
        // New York goes from 02:00 to 03:00 and from 02:00 to 01:00.
        const newYork = iso(
          startsOf("newYork")
            .filter(({ attempt }) => attempt === 1)
            .map(({ at }) => at)
        )
        for (const moment of ["2026-03-07T07:30", "2026-03-08T07:30", "2026-03-09T06:30"]) {
          assert.include(newYork, `${moment}:00.000Z`)
        }
        for (const moment of ["2026-10-31T06:30", "2026-11-01T07:30", "2026-11-02T07:30"]) {
          assert.include(newYork, `${moment}:00.000Z`)
        }

        const tide: Array<number> = []
        for (let at = beginning, n = 0; at <= beginning + days * day; at += tides[n++ % tides.length]!) tide.push(at)
        assert.deepStrictEqual(iso(startsOf("tide").map(({ at }) => at)), iso(tide))

        const course = Array.from({ length: courseRuns }, (_, n) => beginning + n * day)
        assert.deepStrictEqual(iso(startsOf("course").map(({ at }) => at)), iso(course))

        // No schedule of a key ran twice.
        const schedules = new Set(runs.map(({ generation, task }) => `${task} ${generation}`))
        assert.strictEqual(schedules.size, runs.length)

        const again = yield* program
        assert.deepStrictEqual(again.runs, runs)
        assert.deepStrictEqual(again.events, events)
        assert.isAtLeast(events.length, 3 * runs.length)
      })
  )
})
