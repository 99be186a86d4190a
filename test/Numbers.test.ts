/** Durations, numbers and moments that are none, wherever they come in. */
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, type DateTime, type Duration, Effect, Exit, Layer, Option, Schedule } from "effect"
import {
  Agenda,
  Docket,
  type DocketError,
  DocketLive,
  Dockets,
  Middleware,
  Perpetual,
  Recurrence,
  Retry,
  Task,
  TaskGroup,
  TaskTimeout,
  Worker
} from "../src/index.ts"
import { millisOf } from "../src/internal/contract/moments.ts"
import { onEveryStore, onMemory, start } from "./support/dockets.ts"
import { collectLogs } from "./support/logs.ts"

/** As from a program whose types nobody checks. */
const unchecked = <A>(value: unknown): A => value as A

const noDurations: ReadonlyArray<readonly [shown: string, value: Duration.Input]> = [
  ["NaN", Number.NaN],
  ['{"seconds":"NaN"}', { seconds: Number.NaN }],
  ['["NaN",0]', [Number.NaN, 0]],
  ['[0,"NaN"]', [0, Number.NaN]],
  ['{"hours":1,"minutes":"NaN"}', { hours: 1, minutes: Number.NaN }],
  ["{}", {}],
  ['{"second":30}', unchecked({ second: 30 })],
  ['{"seconds":"30"}', unchecked({ seconds: "30" })],
  ["null", unchecked(null)],
  ["true", unchecked(true)],
  ['"5 minuts"', unchecked("5 minuts")]
]

const noMoments: ReadonlyArray<readonly [shown: string, value: DateTime.DateTime.Input]> = [
  ["NaN", Number.NaN],
  ["Invalid Date", new Date(Number.NaN)],
  ["2026-02-30", "2026-02-30"],
  ["2026-02-29T12:00:00Z", "2026-02-29T12:00:00Z"],
  ["2026-04-31T12:00+02:00", "2026-04-31T12:00+02:00"],
  ["2026-13-01", "2026-13-01"],
  ["30 Feb 2026", "30 Feb 2026"],
  ["Feb 30, 2026 12:00", "Feb 30, 2026 12:00"],
  ["Mon, 30 Feb 2026 12:00:00 GMT", "Mon, 30 Feb 2026 12:00:00 GMT"],
  ['{"year":2026,"month":2,"day":30}', { year: 2026, month: 2, day: 30 }],
  ['{"year":2026,"month":2,"day":3,"hour":25}', { year: 2026, month: 2, day: 3, hour: 25 }],
  ["{}", {}],
  ["soon", "soon"],
  ["null", unchecked(null)],
  ["true", unchecked(true)]
]

const noCounts = [Number.NaN, 1.5, -1, Infinity, unchecked<number>("3")]

const problem = <A, R>(effect: Effect.Effect<A, DocketError, R>) =>
  Effect.map(Effect.flip(effect), ({ message }) => message)

describe("A moment", () => {
  it("SCH-18 that exists is taken in every form", () => {
    const noon = Date.UTC(2028, 1, 29, 12)
    for (const form of [
      noon,
      new Date(noon),
      "2028-02-29T12:00:00Z",
      "2028-02-29T12:00:00.000Z",
      "2028-02-29T13:00:00+01:00",
      "2028-02-29T12:00",
      "+002028-02-29T12:00:00Z",
      "29 Feb 2028 12:00:00 GMT",
      "Tue, 29 Feb 2028 12:00:00 GMT",
      "Feb 29, 2028 12:00:00 GMT",
      "Tue Feb 29 2028 12:00:00 GMT+0000 (Coordinated Universal Time)",
      { year: 2028, month: 2, day: 29, hour: 12 },
      { epochMilliseconds: noon }
    ]) {
      assert.strictEqual(millisOf(form), noon, JSON.stringify(form))
    }
    assert.strictEqual(millisOf("2026"), Date.UTC(2026))
    assert.strictEqual(millisOf("2026-03"), Date.UTC(2026, 2))
  })
})

onEveryStore("What is no duration, number or moment", (it) => {
  it.effect("SCH-18 is refused by who schedules, and nothing is scheduled", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      const Ping = Task.make("ping", { key: () => "ping" })
      for (const [shown, delay] of noDurations) {
        const said = `delay has to be a finite duration; it was ${shown}; write it as in "5 minutes"`
        assert.strictEqual(yield* problem(docket.add(Ping, {}, { delay })), said)
        assert.strictEqual(yield* problem(docket.replace(Ping, {}, { delay })), said)
        assert.strictEqual(yield* problem(docket.addAll([Task.request(Ping, {}, { delay })])), said)
        assert.strictEqual(yield* problem(docket.addNamed("ping", {}, { delay })), said)
      }
      for (const [shown, when] of noMoments) {
        const said = `when is not a moment: ${shown}; write it as in "2026-02-28T12:00:00Z"`
        assert.strictEqual(yield* problem(docket.add(Ping, {}, { when })), said)
        assert.strictEqual(yield* problem(docket.addNamed("ping", {}, { when })), said)
      }
      const agenda = Agenda.make([Task.request(Ping)])
      for (const [shown, odd] of noDurations) {
        if (odd === null) continue
        assert.include(yield* problem(Agenda.scatter(docket, agenda, { over: odd })), `it was ${shown};`)
        assert.include(yield* problem(Agenda.scatter(docket, agenda, { over: 1, jitter: odd })), `it was ${shown};`)
      }
      for (const [shown, odd] of noMoments) {
        assert.include(
          yield* problem(Agenda.scatter(docket, agenda, { over: 1, start: odd })),
          `start is not a moment: ${shown};`
        )
        assert.include(yield* problem(docket.failed.list({ since: odd })), `since is not a moment: ${shown};`)
        assert.include(yield* problem(docket.failed.retry({ until: odd })), `until is not a moment: ${shown};`)
      }
      for (const limit of noCounts) {
        const said = `limit has to be a whole number of at least 0; it was ${limit}`
        assert.strictEqual(yield* problem(docket.snapshot({ limit })), said)
        assert.strictEqual(yield* problem(docket.failed.list({ limit })), said)
        assert.strictEqual(yield* problem(docket.failed.discard({ limit })), said)
      }
      assert.deepStrictEqual(yield* docket.store.depth, { queued: 0, scheduled: 0, running: 0 })
    })
  )

  it.effect("SCH-18 RTY-01 of a policy of the user's own makes the failure final, and is told in the log", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      const answers: ReadonlyArray<unknown> = [
        Effect.succeedSome(Number.NaN),
        Effect.succeedSome(Infinity),
        Effect.succeedSome("5"),
        Effect.succeed(5),
        Effect.succeed(undefined),
        5,
        undefined
      ]
      const Odd = Task.make("odd", {
        key: () => "odd",
        retry: { [Retry.TypeId]: Retry.TypeId, next: () => unchecked(answers[which]) }
      })
      let which = 0
      const logs = yield* collectLogs
      const tasks = TaskGroup.make(Odd)
      yield* start(
        Worker.layer(tasks).pipe(
          Layer.provide(tasks.toLayer({ odd: () => Effect.die("it fails") })),
          Layer.provide(logs.layer)
        )
      )
      for (which = 0; which < answers.length; which++) {
        const error = yield* Effect.flip((yield* docket.add(Odd)).result)
        assert.include(error.message, "it fails")
        const told = logs.at("Error").filter((line) => line.startsWith("The retry policy of the task failed"))
        assert.strictEqual(told.length, which + 1)
      }
    })
  )

  it.effect("RTY-04 an exponential policy goes on for ever, also from nothing and beyond what numbers hold", () =>
    Effect.gen(function* () {
      for (const [policy, delays] of [
        [Retry.exponential({ attempts: "unlimited", minimum: 0 }), [0, 0, 0]],
        [Retry.exponential({ attempts: "unlimited", minimum: 0, jitter: 0.5 }), [0, 0, 0]],
        [Retry.exponential({ attempts: "unlimited", minimum: 1, maximum: 7 }), [7, 7, 7]],
        [Retry.fromSchedule(Schedule.spaced("-5 seconds")), [0, 0, 0]]
      ] as const) {
        const found = yield* Effect.forEach([1025, 2000, 100_000], (attempt) =>
          policy === undefined ? Effect.succeedNone : Retry.decide(policy, { attempt, error: Option.none() })
        )
        assert.deepStrictEqual(found.map(Option.getOrUndefined), [...delays])
      }
    })
  )
})

onMemory("What is no duration, number or moment", (it) => {
  it.effect("SCH-18 is refused where a task is defined", () =>
    Effect.sync(() => {
      for (const [shown, odd] of noDurations) {
        if (odd === null) continue
        for (const define of [
          () => Task.make("odd", { timeout: odd }),
          () => Task.make("odd", { perpetual: { every: odd } }),
          () => Task.make("odd", { rateLimit: { limit: 1, per: odd } }),
          () => Task.make("odd", { cooldown: { window: odd } }),
          () => Task.make("odd", { debounce: { settle: odd } }),
          () => Task.make("odd", { debounce: { settle: 1, maximum: odd } }),
          () => Recurrence.every({ every: odd }),
          () => Retry.linear({ attempts: 2, delay: odd }),
          () => Retry.exponential({ attempts: 2, minimum: odd }),
          () => Retry.exponential({ attempts: 2, maximum: odd })
        ]) {
          assert.throws(define, `${shown}; write it as in "5 minutes"`)
        }
      }
      for (const odd of [...noCounts, 0]) {
        for (const define of [
          () => Task.make("odd", { concurrency: { limit: odd } }),
          () => Task.make("odd", { rateLimit: { limit: odd, per: 1 } }),
          () => Retry.linear({ attempts: odd }),
          () => Retry.exponential({ attempts: odd })
        ]) {
          assert.throws(define, `whole number of at least 1`)
        }
      }
      for (const jitter of [Number.NaN, -0.1, 1.1, Infinity]) {
        assert.throws(() => Retry.linear({ attempts: 2, jitter }), "jitter has to be between 0 and 1")
      }
    })
  )

  it.effect("SCH-18 is refused in the settings of dockets and workers, and in the environment", () =>
    Effect.gen(function* () {
      const tasks = TaskGroup.make(Task.make("ping"))
      const worker = (options: Worker.Options) =>
        Effect.scoped(Effect.asVoid(Worker.make(tasks, options))).pipe(
          Effect.provide(tasks.toLayer({ ping: () => Effect.void }))
        )
      for (const [shown, odd] of noDurations) {
        if (odd === null) continue
        for (const settings of [{ executionTtl: odd }, { failedTtl: odd }, { heartbeatInterval: odd }]) {
          assert.include(yield* problem(Effect.scoped(Dockets.makeMemory(settings))), `it was ${shown};`)
        }
        for (const options of [
          { redeliveryTimeout: odd },
          { reconnectionDelay: odd },
          { minimumCheckInterval: odd },
          { shutdownTimeout: odd }
        ]) {
          assert.include(yield* problem(worker(options)), `it was ${shown};`)
        }
      }
      for (const odd of noCounts) {
        for (const settings of [{ failedMaximum: odd }, { missedHeartbeats: odd }, { maximumBytes: odd }]) {
          assert.include(yield* problem(Effect.scoped(Dockets.makeMemory(settings))), "has to be a whole number")
        }
        for (const options of [{ concurrency: odd }, { maxDeliveries: odd }]) {
          assert.include(yield* problem(worker(options)), "has to be a whole number")
        }
      }
      for (const [variable, odd] of [
        ["DOCKET_EXECUTION_TTL", "NaN"],
        ["DOCKET_HEARTBEAT_INTERVAL", "NaN seconds"],
        ["DOCKET_FAILED_TTL", "5 minuts"],
        ["DOCKET_MISSED_HEARTBEATS", "1.5"],
        ["DOCKET_MAXIMUM_BYTES", "NaN"]
      ] as const) {
        const env = ConfigProvider.fromUnknown({ DOCKET_URL: "memory://numbers", [variable]: odd })
        const built = Layer.build(Layer.provide(DocketLive, ConfigProvider.layer(env)))
        assert.isTrue(Exit.isFailure(yield* Effect.exit(Effect.scoped(built))), variable)
      }
    })
  )

  it.effect("SCH-18 is refused where a handler or a middleware gives it, and ends the run there", () =>
    Effect.gen(function* () {
      const Odd = Task.make("odd", { timeout: "1 minute", perpetual: { every: "1 hour" } })
      const tasks = TaskGroup.make(Odd)
      const said: Array<string> = []
      const handlers = tasks.toLayer({
        odd: Effect.fnUntraced(function* () {
          const perpetual = yield* Perpetual
          const timeout = yield* TaskTimeout
          for (const [, odd] of noDurations) {
            if (odd === null) continue
            for (const call of [
              Task.retryAfter(odd),
              perpetual.every(odd),
              perpetual.after(odd),
              timeout.extend(odd),
              Middleware.postpone(odd)
            ]) {
              said.push(
                yield* Effect.catchDefect(Effect.as(call, "accepted"), (error) => Effect.succeed(String(error)))
              )
            }
          }
          for (const [, odd] of noMoments) {
            for (const call of [Task.retryAt(unchecked(odd)), perpetual.at(unchecked(odd))]) {
              said.push(
                yield* Effect.catchDefect(Effect.as(call, "accepted"), (error) => Effect.succeed(String(error)))
              )
            }
          }
        })
      })
      yield* start(Worker.layer(tasks).pipe(Layer.provide(handlers)))
      yield* (yield* (yield* Docket).add(Odd)).result
      assert.strictEqual(said.length, (noDurations.length - 1) * 5 + noMoments.length * 2)
      for (const line of said) assert.match(line, /^RangeError: \S+ needs a (finite )?(duration|moment); it was given /)
    })
  )
})
