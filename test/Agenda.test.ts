/** Scattering requests over a span of time. */
import { assert } from "@effect/vitest"
import { DateTime, type Duration, Effect, Fiber, Latch, Layer, Random, Schema } from "effect"
import { Agenda, Docket, Dockets, type Execution, StoreError, Task, TaskGroup, Worker } from "../src/index.ts"
import { beginning, infoOf, onEveryStore, onMemory, pass, start, TestDocket } from "./support/dockets.ts"
import { seen } from "./support/runs.ts"

const Flood = Task.make("flood", { payload: { id: Schema.Int }, success: Schema.Int })
const Find = Task.make("find", { payload: { name: Schema.String }, key: ({ name }) => name })
const tasks = TaskGroup.make(Flood, Find)

const second = 1000
const minute = 60 * second

const floods = (count: number) =>
  Agenda.make(Array.from({ length: count }, (_, id) => Task.request(Flood, { id }, { key: `flood-${id}` })))

/** When executions are due, in milliseconds since a moment, by default the beginning of the test. */
const duesOf = (executions: ReadonlyArray<Execution<unknown, unknown>>, since = beginning) =>
  Effect.forEach(executions, ({ key }) => Effect.map(infoOf(key), ({ due }) => due.epochMilliseconds - since))

/** Scatters over a span that begins at a moment in the future, so that it does not matter how long that takes. */
const scatterAt = Effect.fnUntraced(function* (
  agenda: Agenda.Agenda,
  options: Omit<Agenda.ScatterOptions, "start">,
  after: Duration.Input = "1 hour"
) {
  const start = DateTime.addDuration(DateTime.makeUnsafe(beginning), after)
  const executions = yield* Agenda.scatter(yield* Docket, agenda, { ...options, start })
  return yield* duesOf(executions, start.epochMilliseconds)
})

onEveryStore("Agenda", (it) => {
  it.effect(
    "AGD-01 spreads requests of different tasks over a duration, in the order in which they were collected",
    () =>
      Effect.gen(function* () {
        const ran: Array<string> = []
        const note = Effect.flatMap(seen, ({ key }) => Effect.sync(() => ran.push(key)))
        const handlers = tasks.toLayer({ flood: () => note, find: () => Effect.asVoid(note) })
        const docket = yield* Docket
        let agenda = Agenda.make([Task.request(Find, { name: "spring" })])
        agenda = Agenda.add(agenda, Flood, { id: 1 }, { key: "first flood" })
        agenda = Agenda.add(agenda, Find, { name: "brook" })
        agenda = Agenda.add(agenda, Flood, { id: 2 }, { key: "second flood" })
        yield* Agenda.scatter(docket, agenda, { over: "30 minutes" })
        const running = yield* Effect.forkChild(
          Worker.runUntilFinished(tasks, { concurrency: 1 }).pipe(Effect.provide(handlers))
        )
        yield* pass("31 minutes", 62)
        yield* Fiber.join(running)
        assert.deepStrictEqual(ran, ["spring", "first flood", "brook", "second flood"])
      })
  )

  it.effect("AGD-02 places the first at the start, the last at the end, and the others at equal distances", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(
        yield* scatterAt(floods(5), { over: "1 minute" }),
        [0, 15, 30, 45, 60].map((n) => n * second)
      )
    })
  )

  it.effect("AGD-02 places a single one in the middle", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* scatterAt(floods(1), { over: "1 minute" }), [30 * second])
    })
  )

  it.effect("AGD-02 places two at both ends, also of a span that is shorter than they are many", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* scatterAt(floods(2), { over: "7 days" }), [0, 7 * 24 * 60 * minute])
      const tight = Agenda.make(Array.from({ length: 5 }, (_, id) => Task.request(Flood, { id })))
      assert.deepStrictEqual(yield* scatterAt(tight, { over: 2 }), [0, 1, 1, 2, 2])
    })
  )

  it.effect("AGD-01 sets aside the times in the options of its requests, and keeps their keys", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      const agenda = Agenda.make([
        Task.request(Flood, { id: 1 }, { key: "a", delay: "9 days" }),
        Task.request(Flood, { id: 2 }, { key: "b", when: 0 })
      ])
      const start = beginning + 60 * minute
      const executions = yield* Agenda.scatter(docket, agenda, { over: "1 minute", start })
      assert.deepStrictEqual(
        executions.map(({ key }) => key),
        ["a", "b"]
      )
      assert.deepStrictEqual(yield* duesOf(executions, start), [0, minute])
    })
  )

  it.effect("AGD-03 moves each time by up to the jitter, both ways, and never to before the start", () =>
    Effect.gen(function* () {
      const dues = yield* scatterAt(floods(200), { over: "199 minutes", jitter: "10 minutes" })
      const moved = dues.map((due, i) => due - i * minute)
      for (const distance of moved) assert.isAtMost(Math.abs(distance), 10 * minute)
      for (const due of dues) assert.isAtLeast(due, 0)
      assert(moved.some((distance) => distance > minute))
      assert(moved.some((distance) => distance < -minute))
      assert.isAbove(new Set(moved).size, 100)
    })
  )

  it.effect("AGD-03 moves the same way with the same seed, and not at all without jitter", () =>
    Effect.gen(function* () {
      const fresh = Agenda.make([1, 2, 3].map((id) => Task.request(Flood, { id })))
      const jittered = scatterAt(fresh, { over: "1 hour", jitter: "10 minutes" }).pipe(Random.withSeed("agenda"))
      assert.deepStrictEqual(yield* jittered, yield* jittered)
      assert.deepStrictEqual(yield* scatterAt(fresh, { over: "1 hour", jitter: 0 }), [0, 30 * minute, 60 * minute])
    })
  )

  it.effect(
    "AGD-04 refuses a span that is not finite and more than 0, and jitter or a start that cannot be meant",
    () =>
      Effect.gen(function* () {
        const docket = yield* Docket
        for (const options of [
          { over: 0 },
          { over: -5 },
          { over: "Infinity" },
          { over: "1 hour", start: Number.NaN },
          { over: "1 hour", jitter: "Infinity" },
          { over: "1 hour", jitter: -1 },
          { over: 8.64e15 }
        ] satisfies ReadonlyArray<Agenda.ScatterOptions>) {
          const error = yield* Effect.flip(Agenda.scatter(docket, floods(3), options))
          assert.strictEqual(error.reason._tag, "InvalidRequest")
        }
        assert.deepStrictEqual(yield* docket.store.depth, { queued: 0, scheduled: 0, running: 0 })
      })
  )

  it.effect("AGD-04 makes an empty list of an empty agenda", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      assert.deepStrictEqual(yield* Agenda.scatter(docket, Agenda.make(), { over: "1 hour" }), [])
      assert.deepStrictEqual(yield* docket.store.depth, { queued: 0, scheduled: 0, running: 0 })
    })
  )

  it.effect("AGD-05, AGD-06 gives a handle with a disposition for each, also when it is scattered again", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      const agenda = Agenda.make([
        Task.request(Find, { name: "spring" }),
        Task.request(Flood, { id: 1 }),
        Task.request(Flood, { id: 2 }, { key: "mine" })
      ])
      const first = yield* Agenda.scatter(docket, agenda, { over: "1 hour", start: beginning + minute })
      assert.deepStrictEqual(
        first.map(({ disposition, task }) => [task, disposition]),
        [
          ["find", "scheduled"],
          ["flood", "scheduled"],
          ["flood", "scheduled"]
        ]
      )
      const dues = yield* duesOf(first)
      yield* docket.cancel("mine")
      const second = yield* Agenda.scatter(docket, agenda, { over: "2 hours", start: beginning + minute })
      assert.deepStrictEqual(
        second.map(({ disposition }) => disposition),
        ["already-scheduled", "scheduled", "scheduled"]
      )
      assert.deepStrictEqual([second[0]!.key, second[2]!.key], ["spring", "mine"])
      assert.notStrictEqual(second[1]!.key, first[1]!.key)
      // What was live stays as it was.
      assert.deepStrictEqual((yield* duesOf(first)).slice(0, 2), dues.slice(0, 2))
      assert.deepStrictEqual(yield* docket.store.depth, { queued: 0, scheduled: 4, running: 0 })
      yield* docket.clear
    })
  )

  it.effect("AGD-07 schedules nothing when one of its payloads does not fit", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      const wrong = { id: "three" } as unknown as { readonly id: number }
      const agenda = Agenda.add(floods(150), Flood, wrong)
      const error = yield* Effect.flip(Agenda.scatter(docket, agenda, { over: "1 hour", start: beginning + minute }))
      assert(error.reason._tag === "InvalidPayload")
      assert.strictEqual(error.reason.task, "flood")
      assert.deepStrictEqual(yield* docket.store.depth, { queued: 0, scheduled: 0, running: 0 })
    })
  )

  it.effect("AGD-07 leaves what was scheduled when the store fails half-way, and can be scattered again", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      const isAnswered = yield* Latch.make()
      let calls = 0
      const failing = yield* Dockets.fromStore({
        ...docket.store,
        schedule: (requests, strikes) =>
          ++calls === 1
            ? Effect.tap(docket.store.schedule(requests, strikes), isAnswered.open)
            : Effect.andThen(
                isAnswered.await,
                Effect.fail(new StoreError({ operation: "schedule", cause: new Error("the connection broke") }))
              )
      })
      const options = { over: "1 hour", start: beginning + 60 * minute } as const
      const error = yield* Effect.flip(Agenda.scatter(failing, floods(250), options))
      assert.strictEqual(error.reason._tag, "StoreError")
      const { scheduled } = yield* docket.store.depth
      assert(scheduled > 0 && scheduled < 250)
      const again = yield* Agenda.scatter(docket, floods(250), options)
      assert.strictEqual(again.filter(({ disposition }) => disposition === "already-scheduled").length, scheduled)
      assert.deepStrictEqual(yield* docket.store.depth, { queued: 0, scheduled: 250, running: 0 })
      yield* docket.clear
    })
  )

  it.effect("AGD-01 can be scattered on any docket", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      const other = yield* (yield* TestDocket).open({ name: "other" })
      yield* Agenda.scatter(other, floods(3), { over: "1 hour", start: beginning + minute })
      assert.deepStrictEqual(yield* docket.store.depth, { queued: 0, scheduled: 0, running: 0 })
      assert.deepStrictEqual(yield* other.store.depth, { queued: 0, scheduled: 3, running: 0 })
      yield* other.clear
    })
  )
})

onMemory("Agenda", (it) => {
  it.effect("AGD-01 begins now unless it is given a start, and each runs at its time", () =>
    Effect.gen(function* () {
      const times: Array<number> = []
      const note = Effect.flatMap(seen, ({ at }) => Effect.sync(() => times.push(at)))
      const handlers = tasks.toLayer({ flood: () => note, find: () => Effect.asVoid(note) })
      yield* start(Worker.layer(tasks).pipe(Layer.provide(handlers)))
      yield* pass("10 minutes")
      yield* Agenda.scatter(yield* Docket, floods(4), { over: "30 minutes" })
      yield* pass("1 hour")
      assert.deepStrictEqual(
        times,
        [10, 20, 30, 40].map((n) => n * minute)
      )
    })
  )

  it.effect("AGD-01 that begins in the past runs what has passed at once", () =>
    Effect.gen(function* () {
      const times: Array<number> = []
      const note = Effect.flatMap(seen, ({ at }) => Effect.sync(() => times.push(at)))
      const handlers = tasks.toLayer({ flood: () => note, find: () => Effect.asVoid(note) })
      yield* start(Worker.layer(tasks).pipe(Layer.provide(handlers)))
      yield* Agenda.scatter(yield* Docket, floods(4), { over: "30 minutes", start: beginning - 15 * minute })
      yield* pass("1 hour")
      assert.deepStrictEqual(
        times,
        [0, 0, 5, 15].map((n) => n * minute)
      )
    })
  )
})

onMemory("An agenda", (it) => {
  it.effect(
    "AGD-01 grows by one request without a copy of the others, and stays as it is when another goes on from it",
    () =>
      Effect.sync(() => {
        const many = 300_000
        let agenda = Agenda.make()
        for (let id = 0; id < many; id++) agenda = Agenda.add(agenda, Flood, { id })
        const one = Agenda.add(agenda, Flood, { id: -1 })
        const other = Agenda.add(agenda, Flood, { id: -2 })
        assert.strictEqual(agenda.requests.length, many)
        const last = ({ requests }: Agenda.Agenda) => requests.slice(-2).map(({ payload }) => payload)
        assert.deepStrictEqual(last(one), [{ id: many - 1 }, { id: -1 }])
        assert.deepStrictEqual(last(other), [{ id: many - 1 }, { id: -2 }])
        const byHand = Agenda.add({ requests: one.requests }, Flood, { id: -3 })
        assert.deepStrictEqual(last(byHand), [{ id: -1 }, { id: -3 }])
      })
  )
})
