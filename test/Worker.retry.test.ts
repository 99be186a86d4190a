/** What follows a failed attempt. */
import { assert } from "@effect/vitest"
import { Context, DateTime, Effect, Fiber, Layer, Predicate, Queue, Schedule, Schema } from "effect"
import {
  CurrentExecution,
  Docket,
  DocketError,
  Dockets,
  Middleware,
  Retry,
  StoreError,
  Task,
  TaskGroup,
  TaskTimedOut,
  Worker
} from "../src/index.ts"
import { beginning, infoOf, onEveryStore, onMemory, pass, start, stateOf, TestDocket } from "./support/dockets.ts"
import * as Faults from "./support/faults.ts"
import { collectLogs } from "./support/logs.ts"
import { changesIn, follow, passUntil, seen, type Seen, statesIn } from "./support/runs.ts"
import { waitUntil } from "./support/waitUntil.ts"

class Trouble extends Schema.TaggedError<Trouble>()("Trouble", { attempt: Schema.Int }) {
  override get message() {
    return `attempt ${this.attempt} did not go well`
  }
}

type Policy = NonNullable<Task.Options<{}, typeof Schema.Int, typeof Trouble>["retry"]>

const flaky = (retry?: Policy) =>
  Task.make("flaky", {
    payload: { id: Schema.String },
    success: Schema.Int,
    error: Trouble,
    key: ({ id }) => id,
    ...(retry === undefined ? {} : { retry })
  })

/** Runs a task with this policy whose attempts end as `end` says, and tells what its handler saw. */
const startFlaky = Effect.fnUntraced(function* (
  retry: Policy | undefined,
  end: (attempt: number) => Effect.Effect<number, Trouble>,
  options: Worker.Options = {}
) {
  const Flaky = flaky(retry)
  const tasks = TaskGroup.make(Flaky)
  const runs: Array<Seen> = []
  const handlers = tasks.toLayer({
    flaky: Effect.fnUntraced(function* () {
      const run = yield* seen
      runs.push(run)
      return yield* end(run.attempt)
    })
  })
  const worker = Worker.layer(tasks, options).pipe(Layer.provide(handlers))
  yield* start(worker)
  return { Flaky, runs, worker }
})

const fails = (attempt: number) => Effect.fail(new Trouble({ attempt }))
/** Fails until this attempt, which succeeds. */
const failsUntil = (last: number) => (attempt: number) => (attempt < last ? fails(attempt) : Effect.succeed(attempt))

const attemptsOf = (runs: ReadonlyArray<Seen>) => runs.map(({ attempt }) => attempt)
/** The times between the starts of runs. */
const gapsOf = (runs: ReadonlyArray<Seen>) => runs.slice(1).map(({ at }, i) => at - runs[i]!.at)

onEveryStore("A failed attempt", (it) => {
  it.effect("RTY-01 is final for a task without a policy: logged with its cause, and the worker goes on", () =>
    Effect.gen(function* () {
      const logs = yield* collectLogs
      const Flaky = flaky()
      const tasks = TaskGroup.make(Flaky)
      const runs: Array<string> = []
      const handlers = tasks.toLayer({
        flaky: ({ id }) =>
          Effect.andThen(
            Effect.sync(() => runs.push(id)),
            id === "bad" ? fails(1) : Effect.succeed(7)
          )
      })
      yield* start(Worker.layer(tasks, { concurrency: 1 }).pipe(Layer.provide(handlers), Layer.provide(logs.layer)))
      const docket = yield* Docket
      const bad = yield* docket.add(Flaky, { id: "bad" })
      const error = yield* Effect.flip(bad.result)
      assert.deepInclude(error, { _tag: "Trouble", attempt: 1 })
      assert.strictEqual(yield* (yield* docket.add(Flaky, { id: "good" })).result, 7)
      yield* pass("1 hour")
      assert.deepStrictEqual(runs, ["bad", "good"])
      assert.deepInclude(yield* infoOf("bad"), { state: "failed", attempt: 1 })
      const errors = logs.lines.filter(({ level }) => level === "Error")
      assert.strictEqual(errors.length, 1)
      assert.include(errors[0]!.message, "flaky(id=...){bad} failed")
      assert.include(errors[0]!.cause, "attempt 1 did not go well")
    })
  )

  it.effect("RTY-02, RTY-11 is followed by others up to the number of the policy, and the last error stays", () =>
    Effect.gen(function* () {
      const { Flaky, runs } = yield* startFlaky(Retry.linear({ attempts: 3 }), fails)
      const docket = yield* Docket
      const error = yield* Effect.flip((yield* docket.add(Flaky, { id: "k" })).result)
      assert.deepInclude(error, { _tag: "Trouble", attempt: 3 })
      assert.deepStrictEqual(attemptsOf(runs), [1, 2, 3])
      assert.deepInclude(yield* infoOf("k"), {
        state: "failed",
        attempt: 3,
        error: "Trouble: attempt 3 did not go well"
      })
    })
  )

  it.effect("RTY-02 is followed by none when the policy has one attempt", () =>
    Effect.gen(function* () {
      const { Flaky, runs } = yield* startFlaky(Retry.exponential({ attempts: 1 }), fails)
      const docket = yield* Docket
      yield* Effect.flip((yield* docket.add(Flaky, { id: "k" })).result)
      assert.deepStrictEqual(attemptsOf(runs), [1])
    })
  )

  it.effect("RTY-03 is followed by the next one at once when the linear policy has no delay", () =>
    Effect.gen(function* () {
      const { Flaky, runs } = yield* startFlaky(Retry.linear({ attempts: 4 }), failsUntil(4))
      const docket = yield* Docket
      assert.strictEqual(yield* (yield* docket.add(Flaky, { id: "k" })).result, 4)
      assert.deepStrictEqual(attemptsOf(runs), [1, 2, 3, 4])
      // Each was due when the one before it ended, not later.
      for (const { at, due } of runs.slice(1)) assert.isAtMost(due, at)
    })
  )

  it.effect("RTY-04 is followed by one that is due twice as long after it, each time, up to the maximum", () =>
    Effect.gen(function* () {
      const policy = Retry.exponential({ attempts: 5, minimum: "1 second", maximum: "4 seconds" })
      const { Flaky, runs } = yield* startFlaky(policy, fails)
      const docket = yield* Docket
      const execution = yield* docket.add(Flaky, { id: "k" })
      yield* passUntil("500 millis", Effect.flip(execution.result))
      const ends = (yield* execution.attempts).map(({ ended }) => ended.epochMilliseconds - beginning)
      assert.deepStrictEqual(
        runs.slice(1).map(({ due }, i) => due - ends[i]!),
        [1000, 2000, 4000, 4000]
      )
    })
  )

  it.effect("RTY-05 is followed by another one for as long as it takes when the policy is unlimited", () =>
    Effect.gen(function* () {
      const policy = Retry.exponential({ attempts: "unlimited", minimum: "1 second", maximum: "10 seconds" })
      const { Flaky, runs } = yield* startFlaky(policy, failsUntil(40))
      const docket = yield* Docket
      const execution = yield* docket.add(Flaky, { id: "k" })
      assert.strictEqual(yield* passUntil("10 seconds", execution.result), 40)
      assert.deepStrictEqual(
        attemptsOf(runs),
        Array.from({ length: 40 }, (_, i) => i + 1)
      )
    })
  )

  it.effect("RTY-06 is followed by one with the next number, the same key and the same payload", () =>
    Effect.gen(function* () {
      const { Flaky, runs } = yield* startFlaky(Retry.linear({ attempts: 3 }), failsUntil(3))
      const docket = yield* Docket
      assert.strictEqual(yield* (yield* docket.add(Flaky, { id: "k" })).result, 3)
      assert.deepStrictEqual(
        runs.map(({ attempt, deliveries, key, payload }) => ({ attempt, deliveries, key, payload })),
        [1, 2, 3].map((attempt) => ({ attempt, deliveries: 1, key: "k", payload: { id: "k" } }))
      )
      assert.deepInclude(yield* infoOf("k"), { state: "completed", attempt: 3, encodedPayload: '{"id":"k"}' })
    })
  )

  it.effect("RTY-07 is followed by the next when the handler says, whatever the delay of the policy", () =>
    Effect.gen(function* () {
      const policy = Retry.linear({ attempts: 4, delay: "1 hour" })
      const { Flaky, runs } = yield* startFlaky(policy, (attempt) => {
        switch (attempt) {
          case 1:
            return Task.retryAfter("2 minutes")
          case 2:
            return Task.retryAt(DateTime.makeUnsafe(beginning + 10 * 60_000))
          case 3:
            return Task.retryAt(DateTime.makeUnsafe(beginning - 1))
          default:
            return Effect.succeed(attempt)
        }
      })
      const docket = yield* Docket
      const execution = yield* docket.add(Flaky, { id: "k" })
      assert.strictEqual(yield* passUntil("30 seconds", execution.result), 4)
      assert.isAtLeast(runs[1]!.due - runs[0]!.at, 2 * 60_000)
      assert.isBelow(runs[1]!.due - runs[0]!.at, 3 * 60_000)
      assert.strictEqual(runs[2]!.due, 10 * 60_000)
      assert.isAtLeast(runs[2]!.at, 10 * 60_000)
      // A time in the past means at once.
      assert.isBelow(runs[3]!.at - runs[2]!.at, 60_000)
    })
  )

  it.effect(
    "RTY-07 uses up an attempt also when the handler asked for it: after the last one the task has failed",
    () =>
      Effect.gen(function* () {
        const { Flaky, runs } = yield* startFlaky(Retry.linear({ attempts: 3, delay: "1 hour" }), () =>
          Task.retryAfter(0)
        )
        const docket = yield* Docket
        const error = yield* Effect.flip((yield* docket.add(Flaky, { id: "k" })).result)
        assert.strictEqual(error._tag, "TaskFailed")
        assert.deepStrictEqual(attemptsOf(runs), [1, 2, 3])
        assert.include((yield* infoOf("k")).error, "asked to be retried")
      })
  )

  it.effect("RTY-07 a handler without a policy may ask for any number of further attempts", () =>
    Effect.gen(function* () {
      const { Flaky, runs } = yield* startFlaky(undefined, (attempt) =>
        attempt < 25 ? Task.retryAfter("1 second") : Effect.succeed(attempt)
      )
      const docket = yield* Docket
      const execution = yield* docket.add(Flaky, { id: "k" })
      assert.strictEqual(yield* passUntil("1 second", execution.result), 25)
      assert.strictEqual(runs.length, 25)
    })
  )

  it.effect("RTY-07 a handler that asks for a retry in a part of it that runs beside others is retried", () =>
    Effect.gen(function* () {
      const { Flaky, runs } = yield* startFlaky(undefined, (attempt) =>
        attempt === 1
          ? Effect.as(
              Effect.all([Effect.never, Task.retryAfter("1 second")], { concurrency: "unbounded", discard: true }),
              0
            )
          : Effect.succeed(attempt)
      )
      const docket = yield* Docket
      const execution = yield* docket.add(Flaky, { id: "k" })
      assert.strictEqual(yield* passUntil("1 second", execution.result), 2)
      assert.deepStrictEqual(attemptsOf(runs), [1, 2])
    })
  )

  it.effect("RTY-08 reads scheduled until the next one, and was never failed", () =>
    Effect.gen(function* () {
      const { Flaky } = yield* startFlaky(Retry.linear({ attempts: 3, delay: "1 minute" }), failsUntil(3))
      const docket = yield* Docket
      const execution = yield* docket.add(Flaky, { id: "k" }, { delay: "1 second" })
      const events = yield* follow(execution.events)
      const first = yield* Queue.take(events)
      yield* pass("1 second")
      yield* waitUntil(
        "the first attempt has failed",
        Effect.map(infoOf("k"), ({ attempt }) => attempt === 2)
      )
      const waiting = yield* infoOf("k")
      assert.deepInclude(waiting, {
        state: "scheduled",
        worker: undefined,
        started: undefined,
        completed: undefined,
        error: "Trouble: attempt 1 did not go well"
      })
      assert.isAtLeast(waiting.due.epochMilliseconds, beginning + 61_000)
      assert.strictEqual(yield* passUntil("30 seconds", execution.result), 3)
      const rest = yield* Queue.takeN(events, 9)
      assert.deepStrictEqual(statesIn([first, ...rest]), [
        "scheduled",
        "queued",
        "running",
        "scheduled",
        "queued",
        "running",
        "scheduled",
        "queued",
        "running",
        "completed"
      ])
      for (const { error } of changesIn(rest)) assert.isUndefined(error)
    })
  )

  it.effect("RTY-08, EVT-06 reads queued and not scheduled when the next one follows at once", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      const Flaky = flaky()
      const execution = yield* docket.add(Flaky, { id: "k" })
      const events = yield* follow(execution.events)
      const first = yield* Queue.take(events)
      yield* startFlaky(Retry.linear({ attempts: 2 }), fails)
      assert.deepStrictEqual(statesIn([first, ...(yield* Queue.takeN(events, 4))]), [
        "queued",
        "running",
        "queued",
        "running",
        "failed"
      ])
    })
  )

  it.effect("holds no slot while the next one waits", () =>
    Effect.gen(function* () {
      const policy = Retry.linear({ attempts: "unlimited", delay: "1 hour" })
      const { Flaky, runs } = yield* startFlaky(policy, failsUntil(2), { concurrency: 1 })
      const docket = yield* Docket
      const ids = ["a", "b", "c"]
      const executions = yield* Effect.forEach(ids, (id) => docket.add(Flaky, { id }))
      // All have had their first attempt, in the one slot there is, though none has ended.
      yield* waitUntil(
        "each has failed once",
        Effect.sync(() => runs.length === 3)
      )
      yield* waitUntil(
        "all wait",
        Effect.map(docket.store.depth, ({ scheduled }) => scheduled === 3)
      )
      assert.deepStrictEqual(yield* docket.store.depth, { queued: 0, scheduled: 3, running: 0 })
      yield* passUntil(
        "10 minutes",
        Effect.forEach(executions, ({ result }) => result)
      )
      assert.sameMembers(
        runs.slice(3).map(({ key }) => key),
        ids
      )
    })
  )

  it.effect("RTY-09 is settled and followed in one step: a worker that dies before it loses nothing", () =>
    Effect.gen(function* () {
      const Flaky = flaky(Retry.linear({ attempts: 3, delay: "1 second" }))
      const tasks = TaskGroup.make(Flaky)
      const runs: Array<Seen> = []
      const makeWorker = (name: string, beforeEnd: Effect.Effect<void>) =>
        Worker.layer(tasks, { name, redeliveryTimeout: "1 minute" }).pipe(
          Layer.provide(
            tasks.toLayer({
              flaky: Effect.fnUntraced(function* () {
                const run = yield* seen
                runs.push(run)
                yield* beforeEnd
                return yield* fails(run.attempt)
              })
            })
          )
        )
      const docket = yield* Docket
      const faults = Faults.make(docket.store)
      yield* start(makeWorker("mortal", faults.vanish)).pipe(
        Effect.provideService(Docket, yield* Dockets.fromStore(faults.store))
      )
      const execution = yield* docket.add(Flaky, { id: "k" })
      yield* waitUntil(
        "it runs",
        Effect.sync(() => runs.length === 1)
      )
      yield* start(makeWorker("next", Effect.void))
      yield* Effect.flip(passUntil("10 seconds", execution.result))
      assert.deepStrictEqual(
        runs.map(({ attempt, deliveries, worker }) => [worker, attempt, deliveries]),
        [
          ["mortal", 1, 1],
          ["next", 1, 2],
          ["next", 2, 1],
          ["next", 3, 1]
        ]
      )
    })
  )

  for (const fault of ["refused", "reply-lost"] as const) {
    it.effect(`RTY-09 is followed once, when the call that settles it is ${fault}`, () =>
      Effect.gen(function* () {
        const Flaky = flaky(Retry.linear({ attempts: 3, delay: "1 second" }))
        const tasks = TaskGroup.make(Flaky)
        const runs: Array<Seen> = []
        const docket = yield* Docket
        const faults = Faults.make(docket.store)
        const handlers = tasks.toLayer({
          flaky: Effect.fnUntraced(function* () {
            const run = yield* seen
            runs.push(run)
            faults.next("exchange", fault, fault)
            return yield* fails(run.attempt)
          })
        })
        yield* start(Worker.layer(tasks).pipe(Layer.provide(handlers))).pipe(
          Effect.provideService(Docket, yield* Dockets.fromStore(faults.store))
        )
        const execution = yield* docket.add(Flaky, { id: "k" })
        yield* Effect.flip(passUntil("1 second", execution.result))
        assert.deepStrictEqual(attemptsOf(runs), [1, 2, 3])
        assert.deepStrictEqual(yield* docket.store.depth, { queued: 0, scheduled: 0, running: 0 })
      })
    )
  }

  it.effect("RTY-09 is not run again when its worker dies right after it was settled", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      const faults = Faults.make(docket.store)
      const mortal = yield* Dockets.fromStore(faults.store)
      const policy = Retry.linear({ attempts: 2, delay: "10 minutes" })
      const { Flaky, runs } = yield* startFlaky(
        policy,
        (attempt) =>
          Effect.andThen(
            Effect.sync(() => faults.next("exchange", "reply-lost")),
            fails(attempt)
          ),
        { name: "mortal", redeliveryTimeout: "1 minute" }
      ).pipe(Effect.provideService(Docket, mortal))
      const execution = yield* docket.add(Flaky, { id: "k" })
      yield* waitUntil(
        "it is settled",
        Effect.map(infoOf("k"), ({ attempt }) => attempt === 2)
      )
      yield* faults.vanish
      const next = yield* startFlaky(policy, fails, { name: "next", redeliveryTimeout: "1 minute" })
      yield* Effect.flip(passUntil("1 minute", execution.result))
      assert.deepStrictEqual(
        [...runs, ...next.runs].map(({ attempt, deliveries, worker }) => [worker, attempt, deliveries]),
        [
          ["mortal", 1, 1],
          ["next", 2, 1]
        ]
      )
    })
  )

  it.effect("RTY-10, LOG-07 is logged as an error with its cause, also when it is retried", () =>
    Effect.gen(function* () {
      const logs = yield* collectLogs
      const { Flaky } = yield* startFlaky(Retry.linear({ attempts: 3 }), fails).pipe(Effect.provide(logs.layer))
      const docket = yield* Docket
      yield* Effect.flip((yield* docket.add(Flaky, { id: "k" })).result)
      const errors = logs.lines.filter(({ level }) => level === "Error")
      assert.deepStrictEqual(
        errors.map(({ message }) => message.includes("will be retried")),
        [true, true, false]
      )
      errors.forEach(({ cause }, i) => assert.include(cause, `attempt ${i + 1} did not go well`))
    })
  )

  it.effect("RTY-13 is retried after a defect as after a typed failure", () =>
    Effect.gen(function* () {
      const { Flaky, runs } = yield* startFlaky(Retry.linear({ attempts: 3, while: () => false }), (attempt) =>
        attempt < 3 ? Effect.die(new RangeError("out of range")) : Effect.succeed(attempt)
      )
      const docket = yield* Docket
      assert.strictEqual(yield* (yield* docket.add(Flaky, { id: "k" })).result, 3)
      assert.deepStrictEqual(attemptsOf(runs), [1, 2, 3])
    })
  )

  it.effect("RTY-13, CAN-10 is not retried after an interruption", () =>
    Effect.gen(function* () {
      const { Flaky, runs } = yield* startFlaky(Retry.linear({ attempts: 3 }), () => Effect.interrupt)
      const docket = yield* Docket
      const error = yield* Effect.flip((yield* docket.add(Flaky, { id: "k" })).result)
      assert.strictEqual(error._tag, "TaskCancelled")
      assert.deepStrictEqual(attemptsOf(runs), [1])
    })
  )

  it.effect("CAN-05 is not retried when it was cancelled, whatever its handler makes of that", () =>
    Effect.gen(function* () {
      const { Flaky, runs } = yield* startFlaky(Retry.linear({ attempts: 3 }), (attempt) =>
        Effect.catchCause(Effect.never, () => fails(attempt))
      )
      const docket = yield* Docket
      const execution = yield* docket.add(Flaky, { id: "k" })
      yield* waitUntil(
        "it runs",
        Effect.sync(() => runs.length === 1)
      )
      yield* execution.cancel
      yield* Effect.exit(execution.result)
      yield* pass("1 minute")
      assert.deepStrictEqual(attemptsOf(runs), [1])
      assert.notInclude(["scheduled", "queued", "running"], yield* stateOf("k"))
    })
  )

  it.effect("is final when the policy does not want this error", () =>
    Effect.gen(function* () {
      const policy = Retry.linear<Trouble>({ attempts: "unlimited", while: ({ attempt }) => attempt < 3 })
      const { Flaky, runs } = yield* startFlaky(policy, fails)
      const docket = yield* Docket
      const error = yield* Effect.flip((yield* docket.add(Flaky, { id: "k" })).result)
      assert.deepInclude(error, { _tag: "Trouble", attempt: 3 })
      assert.deepStrictEqual(attemptsOf(runs), [1, 2, 3])
    })
  )

  for (const [what, policy] of [
    ["a policy", Retry.linear<Trouble>({ attempts: "unlimited" })],
    ["a schedule", Schedule.forever]
  ] as const) {
    it.effect(`is final when its task, with ${what}, does not want this error; a defect is not asked about`, () =>
      Effect.gen(function* () {
        const { Flaky, runs } = yield* startFlaky({ policy, while: ({ attempt }) => attempt < 3 }, (attempt) =>
          attempt === 1 ? Effect.die("boom") : fails(attempt)
        )
        const docket = yield* Docket
        const error = yield* Effect.flip((yield* docket.add(Flaky, { id: "k" })).result)
        assert.deepInclude(error, { _tag: "Trouble", attempt: 3 })
        assert.deepStrictEqual(attemptsOf(runs), [1, 2, 3])
      })
    )
  }

  const refusesSecond = Middleware.make("refusesSecond", (run) =>
    Effect.andThen(
      Effect.flatMap(CurrentExecution, ({ attempt }) => (attempt === 2 ? Effect.fail("no connection") : Effect.void)),
      run
    )
  )
  const broken = new DocketError({ reason: new StoreError({ operation: "add", cause: new Error("away") }) })
  const beforeFourth = ({ attempt }: Trouble) => attempt < 4
  for (const [what, retry] of [
    ["its task", { policy: Retry.linear<Trouble>({ attempts: 9 }), while: beforeFourth }],
    ["its policy", Retry.linear<Trouble>({ attempts: 9, while: beforeFourth })],
    ["its task, with a schedule", { policy: Schedule.recurs(8), while: beforeFourth }]
  ] as const) {
    it.effect(
      `TMO-05, RTY-12 is retried without asking the predicate of ${what} when it did not fail with its own error`,
      () =>
        Effect.gen(function* () {
          const Flaky = Task.make("flaky", { error: Trouble, key: () => "k", timeout: "1 second", retry })
          const group = TaskGroup.make(Flaky)
          const attempts: Array<number> = []
          const handlers = group.toLayer({
            flaky: Effect.fnUntraced(function* () {
              const { attempt } = yield* CurrentExecution
              attempts.push(attempt)
              if (attempt === 1) yield* Effect.never
              if (attempt === 3) yield* broken
              yield* new Trouble({ attempt })
            })
          })
          yield* start(Worker.layer(group, { middleware: [refusesSecond] }).pipe(Layer.provide(handlers)))
          const execution = yield* (yield* Docket).add(Flaky)
          const error = yield* Effect.flip(passUntil("500 millis", execution.result))
          assert.deepInclude(error, { _tag: "Trouble", attempt: 4 })
          assert.deepStrictEqual(attempts, [1, 3, 4])
          const errors = (yield* execution.attempts).map(({ error }) => error)
          for (const [i, tag] of ["TaskTimedOut", "MiddlewareFailed", "DocketError"].entries()) {
            assert.include(errors[i], tag)
          }
        })
    )
  }

  it.effect(
    "TMO-05 is a matter for a predicate where the task names timeouts among its errors, or names no errors at all",
    () =>
      Effect.gen(function* () {
        const asked: Array<string> = []
        const retry = Retry.linear({
          attempts: "unlimited",
          while: (error: unknown) => asked.push(Predicate.isTagged(error, "TaskTimedOut") ? "timed out" : "other") < 2
        })
        const Named = Task.make("named", { error: TaskTimedOut, timeout: "1 second", retry })
        const Unnamed = Task.make("unnamed", { timeout: "1 second", retry })
        const group = TaskGroup.make(Named, Unnamed)
        const handlers = group.toLayer({ named: () => Effect.never, unnamed: () => Effect.never })
        yield* start(Worker.layer(group).pipe(Layer.provide(handlers)))
        for (const Slow of [Named, Unnamed]) {
          const execution = yield* (yield* Docket).add(Slow)
          yield* Effect.flip(passUntil("500 millis", execution.result))
          assert.deepStrictEqual(asked, ["timed out", "timed out"])
          asked.length = 0
        }
      })
  )

  it.effect("is final when the handler says so, with its typed error", () =>
    Effect.gen(function* () {
      const { Flaky, runs } = yield* startFlaky(Retry.linear({ attempts: "unlimited" }), (attempt) =>
        attempt < 2 ? fails(attempt) : Task.doNotRetry(new Trouble({ attempt }))
      )
      const docket = yield* Docket
      const error = yield* Effect.flip((yield* docket.add(Flaky, { id: "k" })).result)
      assert.deepInclude(error, { _tag: "Trouble", attempt: 2 })
      assert.deepStrictEqual(attemptsOf(runs), [1, 2])
    })
  )

  it.effect("is final when the handler says so, also through what it wraps around its work", () =>
    Effect.gen(function* () {
      const { Flaky, runs } = yield* startFlaky(Retry.linear({ attempts: "unlimited" }), (attempt) =>
        Task.doNotRetry(new Trouble({ attempt })).pipe(
          Effect.ensuring(Effect.void),
          Effect.tapError(() => Effect.void),
          Effect.onError(() => Effect.void)
        )
      )
      const docket = yield* Docket
      yield* Effect.flip((yield* docket.add(Flaky, { id: "k" })).result)
      assert.deepStrictEqual(attemptsOf(runs), [1])
    })
  )

  it.effect("is followed as a schedule of Effect says, which sees the error and may end", () =>
    Effect.gen(function* () {
      const schedule = Schedule.spaced("1 second").pipe(
        Schedule.upTo({ times: 3 }),
        Schedule.setInputType<Trouble>(),
        Schedule.while(({ input }) => Effect.succeed(input._tag === "Trouble"))
      )
      const { Flaky, runs } = yield* startFlaky(schedule, fails)
      const docket = yield* Docket
      const execution = yield* docket.add(Flaky, { id: "k" })
      yield* Effect.flip(passUntil("1 second", execution.result))
      assert.deepStrictEqual(attemptsOf(runs), [1, 2, 3, 4])
    })
  )

  it.effect("RTY-07 is what the handler asks for, also where a schedule cannot do without an error", () =>
    Effect.gen(function* () {
      const schedule = Schedule.spaced("1 second").pipe(
        Schedule.setInputType<Trouble>(),
        Schedule.while(({ input }) => Effect.succeed(input.attempt < 9))
      )
      const { Flaky, runs } = yield* startFlaky(schedule, (attempt) =>
        attempt === 1 ? Task.retryAfter(0) : attempt === 2 ? fails(attempt) : Effect.succeed(attempt)
      )
      const docket = yield* Docket
      const execution = yield* docket.add(Flaky, { id: "k" })
      assert.strictEqual(yield* passUntil("1 second", execution.result), 3)
      assert.deepStrictEqual(attemptsOf(runs), [1, 2, 3])
    })
  )

  it.effect("starts its task's budget of attempts anew when the key is scheduled again", () =>
    Effect.gen(function* () {
      const { Flaky, runs } = yield* startFlaky(Retry.linear({ attempts: 2 }), fails)
      const docket = yield* Docket
      yield* Effect.flip((yield* docket.add(Flaky, { id: "k" })).result)
      yield* Effect.flip((yield* docket.add(Flaky, { id: "k" })).result)
      assert.deepStrictEqual(attemptsOf(runs), [1, 2, 1, 2])
    })
  )

  it.effect("is not retried when its key was replaced meanwhile: the replacement runs, at attempt 1", () =>
    Effect.gen(function* () {
      const { Flaky, runs } = yield* startFlaky(Retry.linear({ attempts: 5, delay: "1 hour" }), failsUntil(2))
      const docket = yield* Docket
      yield* docket.add(Flaky, { id: "k" })
      yield* waitUntil(
        "it waits for its second attempt",
        Effect.map(infoOf("k"), ({ attempt }) => attempt === 2)
      )
      const replacement = yield* docket.replace(Flaky, { id: "k" }, { delay: "1 minute" })
      assert.strictEqual(replacement.disposition, "replaced")
      assert.deepInclude(yield* infoOf("k"), { attempt: 1, error: undefined })
      yield* passUntil("1 minute", replacement.result)
      assert.deepStrictEqual(attemptsOf(runs), [1, 1, 2])
    })
  )
})

class Ledger extends Context.Service<Ledger, { readonly entry: number }>()("test/Ledger") {}

onEveryStore("A failure in acquiring what a handler needs", (it) => {
  const Book = Task.make("book", { success: Schema.Int, retry: Retry.linear({ attempts: 3 }) })
  const tasks = TaskGroup.make(Book)

  it.effect("RTY-12 is retried like one of the handler, for a scoped resource", () =>
    Effect.gen(function* () {
      let asked = 0
      const handlers = tasks.toLayer({
        book: Effect.fnUntraced(function* () {
          return yield* Effect.acquireRelease(
            Effect.suspend(() => (++asked < 3 ? Effect.die(new Error("the ledger is locked")) : Effect.succeed(asked))),
            () => Effect.void
          )
        })
      })
      yield* start(Worker.layer(tasks).pipe(Layer.provide(handlers)))
      const docket = yield* Docket
      assert.strictEqual(yield* (yield* docket.add(Book)).result, 3)
    })
  )

  it.effect("RTY-12 is retried like one of the handler, for a layer that is made for each execution", () =>
    Effect.gen(function* () {
      let made = 0
      const LedgerLive = Layer.effect(
        Ledger,
        Effect.suspend(() => (++made < 3 ? Effect.die(new Error("no ledger yet")) : Effect.succeed({ entry: made })))
      )
      const handlers = tasks.toLayer({
        book: () => Effect.map(Ledger, ({ entry }) => entry).pipe(Effect.provide(LedgerLive, { local: true }))
      })
      yield* start(Worker.layer(tasks).pipe(Layer.provide(handlers)))
      const docket = yield* Docket
      assert.strictEqual(yield* (yield* docket.add(Book)).result, 3)
    })
  )

  it.effect("RTY-12 is retried like one of the handler, for a middleware", () =>
    Effect.gen(function* () {
      let asked = 0
      const turnstile = Middleware.make("turnstile", (run) =>
        Effect.suspend(() => (++asked < 3 ? Effect.andThen(Effect.fail("shut"), run) : run))
      )
      const handlers = tasks.toLayer({ book: () => Effect.map(CurrentExecution, ({ attempt }) => attempt) })
      yield* start(Worker.layer(tasks, { middleware: [turnstile] }).pipe(Layer.provide(handlers)))
      const docket = yield* Docket
      assert.strictEqual(yield* (yield* docket.add(Book)).result, 3)
    })
  )
})

onEveryStore("The failed attempts of an execution", (it) => {
  it.effect("can be read with their errors, workers and times, also after it succeeded", () =>
    Effect.gen(function* () {
      const { Flaky, runs } = yield* startFlaky(
        Retry.linear({ attempts: 5, delay: "1 minute" }),
        (attempt) => Effect.andThen(Effect.sleep("5 seconds"), failsUntil(3)(attempt)),
        { name: "ada" }
      )
      const docket = yield* Docket
      const execution = yield* docket.add(Flaky, { id: "k" })
      assert.deepStrictEqual(yield* execution.attempts, [])
      yield* passUntil("5 seconds", execution.result)
      const attempts = yield* execution.attempts
      assert.deepStrictEqual(
        attempts.map(({ attempt, error, started, worker }) => ({
          attempt,
          worker,
          error,
          at: started.epochMilliseconds - beginning
        })),
        [1, 2].map((attempt) => ({
          attempt,
          worker: "ada",
          error: `Trouble: attempt ${attempt} did not go well`,
          at: runs[attempt - 1]!.at
        }))
      )
      for (const { ended, started } of attempts) {
        assert.isAtLeast(ended.epochMilliseconds - started.epochMilliseconds, 5000)
      }
      const elsewhere = yield* (yield* TestDocket).open()
      assert.deepStrictEqual(yield* elsewhere.execution(Flaky, "k").attempts, attempts)
    })
  )

  it.effect("are kept up to the newest 20", () =>
    Effect.gen(function* () {
      const { Flaky } = yield* startFlaky(Retry.linear({ attempts: 25 }), fails)
      const docket = yield* Docket
      const execution = yield* docket.add(Flaky, { id: "k" })
      yield* Effect.flip(execution.result)
      assert.deepStrictEqual(
        (yield* execution.attempts).map(({ attempt }) => attempt),
        Array.from({ length: 20 }, (_, i) => i + 6)
      )
    })
  )

  it.effect("include the final one, and are gone when the key is scheduled anew", () =>
    Effect.gen(function* () {
      const { Flaky } = yield* startFlaky(Retry.linear({ attempts: 2 }), fails)
      const docket = yield* Docket
      const execution = yield* docket.add(Flaky, { id: "k" })
      yield* Effect.flip(execution.result)
      assert.strictEqual((yield* execution.attempts).length, 2)
      yield* docket.add(Flaky, { id: "k" }, { delay: "1 hour" })
      assert.deepStrictEqual(yield* execution.attempts, [])
      assert.deepStrictEqual(yield* docket.execution(Flaky, "nobody").attempts, [])
    })
  )
})

onMemory("The time of the next attempt", (it) => {
  const startsAt = Effect.fnUntraced(function* (
    retry: Policy,
    end: (attempt: number) => Effect.Effect<number, Trouble>
  ) {
    const { Flaky, runs } = yield* startFlaky(retry, end)
    const docket = yield* Docket
    const result = yield* Effect.forkChild(Effect.exit((yield* docket.add(Flaky, { id: "k" })).result))
    yield* pass("1 day")
    yield* Fiber.join(result)
    return gapsOf(runs)
  })

  it.effect("RTY-03 is one delay after the failure, with the linear policy", () =>
    Effect.gen(function* () {
      const policy = Retry.linear({ attempts: 4, delay: "90 seconds" })
      assert.deepStrictEqual(yield* startsAt(policy, fails), [90_000, 90_000, 90_000])
    })
  )

  it.effect("RTY-03 counts from the end of the attempt, not from its start", () =>
    Effect.gen(function* () {
      const policy = Retry.linear({ attempts: 3, delay: "90 seconds" })
      const gaps = yield* startsAt(policy, (attempt) => Effect.andThen(Effect.sleep("10 seconds"), fails(attempt)))
      assert.deepStrictEqual(gaps, [100_000, 100_000])
    })
  )

  it.effect("RTY-04 doubles with the exponential policy, up to the maximum", () =>
    Effect.gen(function* () {
      const policy = Retry.exponential({ attempts: 5, minimum: "25 millis" })
      assert.deepStrictEqual(yield* startsAt(policy, fails), [25, 50, 100, 200])
    })
  )

  it.effect("RTY-04 is 1 to 64 seconds after the failure, by default", () =>
    Effect.gen(function* () {
      const seconds = [1, 2, 4, 8, 16, 32, 64, 64]
      assert.deepStrictEqual(
        yield* startsAt(Retry.exponential({ attempts: 9 }), fails),
        seconds.map((second) => second * 1000)
      )
    })
  )

  it.effect("RTY-05 never leaves its bounds, however many attempts there were", () =>
    Effect.gen(function* () {
      const policy = Retry.exponential({ attempts: "unlimited", minimum: "1 second", maximum: "1 minute", jitter: 0.5 })
      const gaps = yield* startsAt(policy, failsUntil(500))
      assert.strictEqual(gaps.length, 499)
      for (const gap of gaps) {
        assert.isAtLeast(gap, 1000)
        assert.isAtMost(gap, 60_000)
      }
    })
  )

  it.effect("RTY-07 is the one that the handler asks for", () =>
    Effect.gen(function* () {
      const policy = Retry.linear({ attempts: 4, delay: "1 hour" })
      const gaps = yield* startsAt(policy, (attempt) => {
        switch (attempt) {
          case 1:
            return Task.retryAfter("2 minutes")
          case 2:
            return Task.retryAt(DateTime.makeUnsafe(beginning + 10 * 60_000))
          case 3:
            return Task.retryAt(DateTime.makeUnsafe(beginning - 1))
          default:
            return Effect.succeed(attempt)
        }
      })
      assert.deepStrictEqual(gaps, [2 * 60_000, 8 * 60_000, 0])
    })
  )

  it.effect("is that of the schedule's step, with a schedule of Effect", () =>
    Effect.gen(function* () {
      const gaps = yield* startsAt(Schedule.exponential("100 millis").pipe(Schedule.upTo({ times: 4 })), fails)
      assert.deepStrictEqual(gaps, [100, 200, 400, 800])
    })
  )
})
