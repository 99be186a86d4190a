/** The helpers that applications test with, used as an application uses them. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Clock, Context, DateTime, Deferred, Duration, Effect, Exit, Layer, Logger, Queue, Schema } from "effect"
import { TestClock } from "effect/testing"
import {
  CurrentDocket,
  CurrentExecution,
  Docket,
  Perpetual,
  Progress,
  Retry,
  Task,
  TaskGroup,
  TaskKey
} from "../../src/index.ts"
import { DocketTest } from "../../src/testing/index.ts"

const Welcome = Task.make("welcome", {
  payload: { customerId: Schema.Int, name: Schema.String, joined: Schema.optionalKey(Schema.DateTimeUtc) },
  success: Schema.String,
  key: ({ customerId }) => `welcome-${customerId}`
})
const FollowUp = Task.make("followUp", { payload: { customerId: Schema.Int } })
const Echo = Task.make("echo", { payload: Schema.String, success: Schema.String, key: (text) => text })
const tasks = TaskGroup.make(Welcome, FollowUp, Echo)

class Mailbox extends Context.Service<Mailbox, { readonly sent: Array<string> }>()("test/Mailbox") {}

const HandlersLive = tasks.toLayer({
  welcome: Effect.fn(function* ({ customerId, name }) {
    const { sent } = yield* Mailbox
    sent.push(`welcome ${name}`)
    const docket = yield* CurrentDocket
    yield* docket.add(FollowUp, { customerId }, { delay: "7 days", key: `follow-up-${customerId}` })
    return `Welcome, ${name}!`
  }),
  followUp: Effect.fn(function* ({ customerId }) {
    const { sent } = yield* Mailbox
    sent.push(`follow up ${customerId} on ${DateTime.formatIsoDateUtc(yield* DateTime.now)}`)
  }),
  echo: Effect.succeed
})

const layer = HandlersLive.pipe(
  Layer.provideMerge(Layer.sync(Mailbox, () => ({ sent: [] }))),
  Layer.provideMerge(DocketTest.layer)
)

/** What a failed assertion says. */
const complaint = <A, E, R>(assertion: Effect.Effect<A, E, R>) =>
  Effect.map(Effect.exit(assertion), (exit) => {
    assert(Exit.isFailure(exit), "the assertion holds")
    const defect = Cause.squash(exit.cause)
    assert(defect instanceof Error)
    return defect.message
  })

describe("Assertions", () => {
  it.effect("TST-01 find an execution by task, key, and whole payload or some of its fields", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      const joined = yield* DateTime.now
      yield* docket.add(Welcome, { customerId: 7, name: "Ada", joined }, { delay: "1 hour" })
      yield* docket.add(Echo, "hello")
      yield* DocketTest.assertScheduled(Welcome)
      yield* DocketTest.assertScheduled(Welcome, { customerId: 7 })
      yield* DocketTest.assertScheduled(Welcome, { customerId: 7, name: "Ada", joined })
      yield* DocketTest.assertScheduled(Welcome, { name: "Ada" }, { key: "welcome-7", times: 1 })
      yield* DocketTest.assertScheduled("welcome", { customerId: 7 })
      yield* DocketTest.assertScheduled(Echo, "hello")
      yield* DocketTest.assertScheduled("echo", "hello")
      const Renamed = Task.make("renamed", {
        payload: { id: Schema.Int },
        earlier: [Task.earlier({ customer: Schema.Int }, ({ customer }) => ({ id: customer }))]
      })
      yield* docket.add(Renamed, { id: 7 })
      yield* docket.addNamed("renamed", { customer: 8 })
      yield* DocketTest.assertScheduled(Renamed, { id: 7 }, { times: 1 })
      yield* DocketTest.assertScheduled(Renamed, { id: 8 }, { times: 1 })
      yield* DocketTest.assertScheduled("renamed", { id: 7 })
      for (const wrong of [
        DocketTest.assertScheduled(FollowUp),
        DocketTest.assertScheduled(Welcome, { customerId: 8 }),
        DocketTest.assertScheduled(Welcome, {}, { key: "welcome-8" }),
        DocketTest.assertScheduled(Welcome, {}, { times: 2 }),
        DocketTest.assertScheduled(Echo, "bye")
      ]) {
        assert.include(yield* complaint(wrong), "Expected")
      }
      assert.deepStrictEqual(
        (yield* DocketTest.scheduled).flatMap(({ key, task }) => (task === "renamed" ? [] : [[task, key]])),
        [
          ["echo", "hello"],
          ["welcome", "welcome-7"]
        ]
      )
    }).pipe(Effect.provide(layer))
  )

  it.effect("TST-01 count what is due, for later or waits, and not what runs or has ended", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      yield* docket.addNamed("unknown", { n: 1 })
      yield* docket.add(Welcome, { customerId: 7, name: "Ada" })
      yield* docket.add(Welcome, { customerId: 8, name: "Grace" }, { delay: "1 hour" })
      yield* DocketTest.assertScheduledCount(3)
      yield* DocketTest.assertScheduledCount(2, Welcome)
      yield* DocketTest.runAllDue(tasks)
      yield* DocketTest.assertScheduledCount(3)
      yield* DocketTest.assertScheduled("unknown", { n: 1 })
      yield* DocketTest.assertScheduled(FollowUp, { customerId: 7 })
      yield* DocketTest.assertScheduledCount(1, "welcome")
    }).pipe(Effect.provide(layer))
  )

  it.effect("TST-02 tell that no such execution, so many, or none at all is scheduled", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      yield* DocketTest.assertNothingScheduled
      yield* docket.add(Welcome, { customerId: 7, name: "Ada" })
      yield* DocketTest.assertNotScheduled(FollowUp)
      yield* DocketTest.assertNotScheduled("followUp")
      yield* DocketTest.assertNotScheduled(Welcome, { customerId: 8 })
      yield* DocketTest.assertNotScheduled(Welcome, { customerId: 7 }, { key: "another" })
      assert.include(yield* complaint(DocketTest.assertNotScheduled(Welcome)), "Expected no execution")
      assert.include(
        yield* complaint(DocketTest.assertNothingScheduled),
        "Expected 0 scheduled executions, and found 1"
      )
      assert.include(yield* complaint(DocketTest.assertScheduledCount(2)), "found 1")
    }).pipe(Effect.provide(layer))
  )

  it.effect("TST-03 say what was looked for, and what is scheduled", () =>
    Effect.gen(function* () {
      const assertion = DocketTest.assertScheduled(Welcome, { customerId: 8 }, { key: "k" })
      const wanted = 'task "welcome" with key "k" with payload {"customerId":8}'
      assert.strictEqual(
        yield* complaint(assertion),
        `Expected an execution of ${wanted}, and found 0. Nothing is scheduled.`
      )
      yield* (yield* Docket).add(Welcome, { customerId: 7, name: "Ada" }, { delay: "1 hour" })
      assert.strictEqual(
        yield* complaint(assertion),
        `Expected an execution of ${wanted}, and found 0. Scheduled are:\n` +
          '  1970-01-01T01:00:00.000Z welcome{welcome-7} {"customerId":7,"name":"Ada"}'
      )
    }).pipe(Effect.provide(layer))
  )
})

describe("Running", () => {
  it.effect("what falls due as time passes runs when it is due, in order", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      const { sent } = yield* Mailbox
      yield* docket.add(Welcome, { customerId: 8, name: "Grace" }, { delay: "2 days" })
      const ada = yield* docket.add(Welcome, { customerId: 7, name: "Ada" }, { delay: "1 day" })
      yield* DocketTest.runAllDue(tasks)
      assert.deepStrictEqual(sent, [])
      yield* DocketTest.advance(tasks, "8 days")
      assert.strictEqual(yield* ada.result, "Welcome, Ada!")
      assert.deepStrictEqual(sent, ["welcome Ada", "welcome Grace", "follow up 7 on 1970-01-09"])
      yield* DocketTest.assertScheduledCount(1)
      yield* DocketTest.advance(tasks, "1 day")
      yield* DocketTest.assertNothingScheduled
      assert.strictEqual(sent.at(-1), "follow up 8 on 1970-01-10")
    }).pipe(Effect.provide(layer))
  )

  it.effect("what is due runs with all that it makes due, also across promises", () =>
    Effect.gen(function* () {
      const Countdown = Task.make("countdown", { payload: { from: Schema.Int } })
      const group = TaskGroup.make(Countdown)
      const seen: Array<number> = []
      const handlers = group.toLayer({
        countdown: Effect.fn(function* ({ from }) {
          yield* Effect.promise(() => Promise.resolve().then(() => Promise.resolve()))
          for (let i = 0; i < 20; i++) yield* Effect.yieldNow
          seen.push(from)
          if (from > 1) yield* (yield* CurrentDocket).add(Countdown, { from: from - 1 })
        })
      })
      yield* (yield* Docket).add(Countdown, { from: 100 })
      yield* Effect.provide(DocketTest.runAllDue(group), handlers)
      assert.deepStrictEqual(
        seen,
        Array.from({ length: 100 }, (_, i) => 100 - i)
      )
    }).pipe(Effect.provide(DocketTest.layer))
  )

  it.effect("a handler that sleeps goes on as time passes, under whichever worker comes after its own", () =>
    Effect.gen(function* () {
      const Slow = Task.make("slow", { success: Schema.Int })
      const group = TaskGroup.make(Slow)
      const handlers = group.toLayer({
        slow: () => Effect.as(Effect.sleep("1 hour"), 1)
      })
      const execution = yield* (yield* Docket).add(Slow)
      const states = () =>
        Effect.map(DocketTest.history, (events) => events.map((event) => "state" in event && event.state))
      yield* Effect.gen(function* () {
        yield* DocketTest.runAllDue(group)
        assert.deepStrictEqual(yield* states(), ["queued", "running"])
        yield* DocketTest.advance(group, "30 minutes")
        assert.deepStrictEqual(yield* states(), ["queued", "running"])
        yield* DocketTest.advance(group, "30 minutes")
        assert.deepStrictEqual(yield* states(), ["queued", "running", "completed"])
      }).pipe(Effect.provide(handlers))
      assert.strictEqual(yield* execution.result, 1)
    }).pipe(Effect.provide(DocketTest.layer))
  )

  const Relay = Task.make("relay", { payload: { wait: Schema.DurationFromMillis } })
  const Limited = Task.make("limited", { concurrency: { limit: 1 }, payload: { wait: Schema.DurationFromMillis } })
  const Leaf = Task.make("leaf")

  /** When things happen, in seconds since the test began. */
  const timed = Effect.gen(function* () {
    const at: Array<readonly [what: string, second: number]> = []
    const note = (what: string) =>
      Effect.map(Clock.currentTimeMillis, (now) => {
        at.push([what, now / 1000])
      })
    const group = TaskGroup.make(Relay, Limited, Leaf)
    const handlers = group.toLayer({
      relay: Effect.fn(function* ({ wait }) {
        yield* Effect.sleep(wait)
        yield* note("relay")
        const docket = yield* CurrentDocket
        yield* docket.add(Leaf)
        yield* docket.add(Leaf, {}, { delay: "10 seconds" })
      }),
      limited: ({ wait }) => Effect.andThen(note("limited"), Effect.sleep(wait)),
      leaf: () => note("leaf")
    })
    return { at, group, handlers }
  })

  it.effect("TST what a handler schedules that began in an earlier advance runs when it is due", () =>
    Effect.gen(function* () {
      const { at, group, handlers } = yield* timed
      yield* Effect.gen(function* () {
        yield* (yield* Docket).add(Relay, { wait: Duration.minutes(1) })
        yield* DocketTest.runAllDue(group)
        yield* DocketTest.advance(group, "5 minutes")
      }).pipe(Effect.provide(handlers))
      assert.deepStrictEqual(at, [
        ["relay", 60],
        ["leaf", 60],
        ["leaf", 70]
      ])
    }).pipe(Effect.provide(DocketTest.layer))
  )

  it.effect("TST what a fiber of the test schedules or lets go meanwhile runs when it is due", () =>
    Effect.gen(function* () {
      const { at, group, handlers } = yield* timed
      yield* Effect.gen(function* () {
        const docket = yield* Docket
        yield* Effect.provide(docket.pause(Leaf), Logger.layer([]))
        yield* docket.add(Leaf)
        yield* Effect.gen(function* () {
          yield* Effect.sleep("1 minute")
          yield* docket.add(Limited, { wait: Duration.zero })
          yield* Effect.sleep("1 minute")
          yield* docket.resume(Leaf)
        }).pipe(Effect.provide(Logger.layer([])), Effect.forkChild)
        yield* DocketTest.advance(group, "5 minutes")
      }).pipe(Effect.provide(handlers))
      assert.deepStrictEqual(at, [
        ["limited", 60],
        ["leaf", 120]
      ])
    }).pipe(Effect.provide(DocketTest.layer))
  )

  it.effect("TST what waits for a slot runs when the run of an earlier advance frees it", () =>
    Effect.gen(function* () {
      const { at, group, handlers } = yield* timed
      yield* Effect.gen(function* () {
        const docket = yield* Docket
        yield* docket.add(Limited, { wait: Duration.minutes(1) })
        yield* DocketTest.runAllDue(group)
        yield* docket.add(Limited, { wait: Duration.zero })
        yield* DocketTest.advance(group, "5 minutes")
      }).pipe(Effect.provide(handlers))
      assert.deepStrictEqual(at, [
        ["limited", 0],
        ["limited", 60]
      ])
    }).pipe(Effect.provide(DocketTest.layer))
  )

  it.effect("a test may end while handlers run, and they are interrupted", () =>
    Effect.gen(function* () {
      const Endless = Task.make("endless")
      const group = TaskGroup.make(Endless)
      const interrupted = yield* Deferred.make<void>()
      const handlers = group.toLayer({
        endless: () => Effect.onInterrupt(Effect.never, () => Deferred.succeed(interrupted, undefined))
      })
      yield* Effect.gen(function* () {
        yield* (yield* Docket).add(Endless)
        yield* DocketTest.runAllDue(group)
      }).pipe(Effect.provide(handlers), Effect.provide(DocketTest.layer))
      assert.isTrue(yield* Deferred.isDone(interrupted))
    })
  )

  it.effect("retries and recurring tasks follow the clock", () =>
    Effect.gen(function* () {
      const Flaky = Task.make("flaky", { error: Schema.String, retry: Retry.exponential({ attempts: 3 }) })
      const Tick = Task.make("tick", { perpetual: { every: "1 hour", automatic: true } })
      const group = TaskGroup.make(Flaky, Tick)
      let ticks = 0
      const handlers = group.toLayer({
        flaky: () => Effect.fail("no"),
        tick: Effect.fn(function* () {
          if (++ticks === 24) yield* (yield* Perpetual).cancel
        })
      })
      const execution = yield* (yield* Docket).add(Flaky)
      yield* Effect.provide(DocketTest.advance(group, "30 minutes", { scheduleAutomaticTasks: false }), handlers)
      assert.strictEqual(yield* Effect.flip(execution.result), "no")
      assert.strictEqual((yield* execution.attempts).length, 3)
      assert.strictEqual(ticks, 0)
      yield* Effect.provide(DocketTest.advance(group, "23 hours"), handlers)
      assert.strictEqual(ticks, 24)
    }).pipe(Effect.provide(DocketTest.layer))
  )

  it.effect("tests side by side share nothing", () =>
    Effect.gen(function* () {
      const one = Effect.gen(function* () {
        const { sent } = yield* Mailbox
        yield* (yield* Docket).add(Welcome, { customerId: 1, name: "Ada" })
        yield* DocketTest.advance(tasks, "7 days")
        yield* DocketTest.assertNothingScheduled
        return [sent.length, yield* TestClock.testClockWith((clock) => clock.currentTimeMillis)]
      }).pipe(Effect.provide(Layer.fresh(layer)))
      const week = 7 * 24 * 3600 * 1000
      assert.deepStrictEqual(yield* Effect.all([one, one, one], { concurrency: 3 }), [
        [2, week],
        [2, week],
        [2, week]
      ])
    })
  )
})

describe("Running one handler", () => {
  it.effect("TST-04 gives its result, with the services of the test and those of an execution", () =>
    Effect.gen(function* () {
      const result = yield* DocketTest.runOne(Welcome, { customerId: 7, name: "Ada" })
      assert.strictEqual(result, "Welcome, Ada!")
      assert.deepStrictEqual((yield* Mailbox).sent, ["welcome Ada"])
      yield* DocketTest.assertScheduled(FollowUp, { customerId: 7 }, { times: 1 })
      yield* DocketTest.assertScheduledCount(1)
    }).pipe(Effect.provide(layer))
  )

  it.effect("TST-04 gives its first failure, whatever is to follow it", () =>
    Effect.gen(function* () {
      class Refused extends Schema.TaggedError<Refused>()("Refused", { n: Schema.Int }) {}
      const Refuse = Task.make("refuse", {
        payload: { n: Schema.Int },
        error: Refused,
        retry: Retry.linear({ attempts: 5 })
      })
      const Again = Task.make("again")
      const Facts = Task.make("facts", { success: Schema.Array(Schema.String) })
      const group = TaskGroup.make(Refuse, Again, Facts)
      const handlers = group.toLayer({
        refuse: ({ n }) => Effect.fail(new Refused({ n })),
        again: () => Task.retryAfter("1 hour"),
        facts: Effect.fn(function* () {
          yield* (yield* Progress).increment(5)
          const { attempt, key, task } = yield* CurrentExecution
          return [task, key, yield* TaskKey, String(attempt)]
        })
      })
      yield* Effect.gen(function* () {
        const error = yield* Effect.flip(DocketTest.runOne(Refuse, { n: 7 }))
        assert(error._tag === "Refused")
        assert.strictEqual(error.n, 7)
        assert.strictEqual((yield* Effect.flip(DocketTest.runOne(Again)))._tag, "TaskFailed")
        assert.deepStrictEqual(yield* DocketTest.runOne(Facts, {}, { key: "k" }), ["facts", "k", "k", "1"])
      }).pipe(Effect.provide(handlers))
    }).pipe(Effect.provide(DocketTest.layer))
  )
})

describe("Running one handler of a task that would wait", () => {
  it.effect("TST-04 runs it at once, whatever its limits and its delay say", () =>
    Effect.gen(function* () {
      const Settle = Task.make("settle", { success: Schema.Int, debounce: { settle: "1 hour" } })
      const group = TaskGroup.make(Settle)
      const result = yield* DocketTest.runOne(Settle, {}, { delay: "1 day" }).pipe(
        Effect.provide(group.toLayer({ settle: () => Effect.succeed(42) }))
      )
      assert.strictEqual(result, 42)
    }).pipe(Effect.provide(DocketTest.layer))
  )
})

describe("A worker that crashes", () => {
  const Charge = Task.make("charge", { payload: { orderId: Schema.Int }, key: ({ orderId }) => `charge-${orderId}` })
  const Receipt = Task.make("receipt", { payload: { orderId: Schema.Int }, key: ({ orderId }) => `receipt-${orderId}` })
  const group = TaskGroup.make(Charge, Receipt)

  /** Charges without looking, and writes down what happens. */
  const run = (call: DocketTest.StoreCall, when: "before" | "after") =>
    Effect.gen(function* () {
      const did: Array<string> = []
      const handlers = group.toLayer({
        charge: Effect.fn(
          function* ({ orderId }) {
            const { deliveries } = yield* CurrentExecution
            did.push(`charge ${deliveries}`)
            yield* (yield* Progress).increment(1)
            yield* Effect.sleep("2 minutes")
            yield* (yield* CurrentDocket).add(Receipt, { orderId })
            yield* (yield* CurrentDocket).cancel("reminder")
            did.push("done")
          },
          Effect.onInterrupt(() => Effect.sync(() => did.push("interrupted")))
        ),
        receipt: () => Effect.sync(() => did.push("receipt"))
      })
      yield* Effect.gen(function* () {
        yield* (yield* Docket).add(Charge, { orderId: 7 })
        yield* DocketTest.crashAt(call, { when })
        yield* DocketTest.advance(group, "20 minutes")
        yield* DocketTest.assertNothingScheduled
      }).pipe(Effect.provide(handlers))
      return did.join(", ")
    }).pipe(Effect.provide(DocketTest.layer))

  const whole = "charge 1, done, receipt"

  for (const [call, when, expected] of [
    ["claim", "before", whole],
    ["claim", "after", "charge 2, done, receipt"],
    ["progress", "before", "charge 1, charge 2, done, receipt"],
    ["progress", "after", "charge 1, charge 2, done, receipt"],
    ["renew", "before", "charge 1, charge 2, done, receipt"],
    ["renew", "after", "charge 1, charge 2, done, receipt"],
    ["schedule", "before", "charge 1, charge 2, done, receipt"],
    ["schedule", "after", "charge 1, receipt, charge 2, done, receipt"],
    ["cancel", "before", "charge 1, receipt, charge 2, done, receipt"],
    ["settle", "before", "charge 1, done, receipt, charge 2, done, receipt"],
    ["settle", "after", whole]
  ] as const) {
    it.effect(`${when} its call to ${call} leaves what it ran to the next one`, () =>
      Effect.gen(function* () {
        assert.strictEqual(yield* run(call, when), expected)
      })
    )
  }

  it.effect("counts every call for each crash, also the one at which another crash came", () =>
    Effect.gen(function* () {
      const deliveries: Array<number> = []
      const handlers = group.toLayer({
        charge: () => Effect.map(CurrentExecution, (execution) => void deliveries.push(execution.deliveries)),
        receipt: () => Effect.void
      })
      yield* Effect.gen(function* () {
        yield* (yield* Docket).add(Charge, { orderId: 7 })
        // Both are counted from now: the first and the second call that settles.
        yield* DocketTest.crashAt("settle", { when: "before" })
        yield* DocketTest.crashAt("settle", { when: "before", nth: 2 })
        yield* DocketTest.advance(group, "20 minutes")
        yield* DocketTest.assertNothingScheduled
      }).pipe(Effect.provide(handlers))
      assert.deepStrictEqual(deliveries, [1, 2, 3])
    }).pipe(Effect.provide(DocketTest.layer))
  )

  it.effect("fails the test when the crash did not come", () =>
    Effect.gen(function* () {
      const exit = yield* DocketTest.crashAt("settle", { when: "before" }).pipe(
        Effect.provide(DocketTest.layer),
        Effect.exit
      )
      assert(Exit.isFailure(exit))
      assert.include(Cause.pretty(exit.cause), 'No worker crashed before a "settle" call')
    })
  )

  it.effect("does not come back when its clock or its promises go on", () =>
    Effect.gen(function* () {
      const Wait = Task.make("wait")
      const group = TaskGroup.make(Wait)
      const gate = yield* Queue.unbounded<void>()
      let went = 0
      const handlers = group.toLayer({
        wait: Effect.fn(function* () {
          const { redelivered } = yield* CurrentExecution
          if (redelivered) return
          yield* (yield* Progress).increment(1)
          yield* Queue.take(gate)
          yield* Effect.yieldNow
          went++
        })
      })
      yield* Effect.gen(function* () {
        yield* (yield* Docket).add(Wait)
        yield* DocketTest.crashAt("progress", { when: "before" })
        yield* DocketTest.runAllDue(group)
        yield* Queue.offer(gate, undefined)
        yield* DocketTest.advance(group, "10 minutes")
        yield* DocketTest.assertNothingScheduled
        assert.strictEqual(went, 0)
      }).pipe(Effect.provide(handlers))
    }).pipe(Effect.provide(DocketTest.layer))
  )
})
