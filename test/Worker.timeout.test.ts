/** Deadlines of runs. */
import { assert } from "@effect/vitest"
import { Clock, Duration, Effect, Exit, Fiber, Latch, Layer, Option, Schema, type Scope } from "effect"
import {
  CurrentExecution,
  type CurrentWorker,
  Docket,
  Middleware,
  Retry,
  Task,
  TaskGroup,
  TaskTimeout,
  Worker
} from "../src/index.ts"
import { beginning, infoOf, onEveryStore, onMemory, onRedis, pass, start, stateOf } from "./support/dockets.ts"
import { passUntil, seen, type Seen } from "./support/runs.ts"

type Handler = Effect.Effect<string, never, TaskTimeout | CurrentExecution | CurrentWorker | Scope.Scope>

const timed = (options: { readonly timeout?: Duration.Input; readonly retry?: Retry.Policy<unknown> }) =>
  Task.make("timed", { success: Schema.String, key: () => "k", ...options })

/** Runs a task whose handler may take so long, and tells what its handler saw. */
const startTimed = Effect.fnUntraced(function* (
  options: Parameters<typeof timed>[0],
  handler: Handler,
  workerOptions: Worker.Options = {}
) {
  const Timed = timed(options)
  const tasks = TaskGroup.make(Timed)
  const runs: Array<Seen> = []
  const handlers = tasks.toLayer({
    timed: Effect.fnUntraced(function* () {
      runs.push(yield* seen)
      return yield* handler
    })
  })
  yield* start(Worker.layer(tasks, workerOptions).pipe(Layer.provide(handlers)))
  return { Timed, runs }
})

onEveryStore("A task with a timeout", (it) => {
  it.effect("TMO-01 is interrupted when it has run that long, and fails with the key and the duration", () =>
    Effect.gen(function* () {
      const interrupted = yield* Latch.make()
      const { Timed } = yield* startTimed(
        { timeout: "30 seconds" },
        Effect.onInterrupt(Effect.never, () => interrupted.open)
      )
      const docket = yield* Docket
      const execution = yield* docket.add(Timed)
      const error = yield* Effect.flip(passUntil("1 second", execution.result))
      yield* interrupted.await
      assert(error._tag === "TaskTimedOut")
      assert.deepInclude(error, { key: "k", timeoutMillis: 30_000 })
      assert.include((yield* infoOf("k")).error, '"k" did not end within 30000 ms')
      const { completed, started, state } = yield* infoOf("k")
      assert.strictEqual(state, "failed")
      assert(started !== undefined && completed !== undefined)
      assert.isAtLeast(completed.epochMilliseconds - started.epochMilliseconds, 30_000)
    })
  )

  it.effect("TMO-01 is left alone while it keeps within it", () =>
    Effect.gen(function* () {
      const { Timed } = yield* startTimed({ timeout: "30 minutes" }, Effect.as(Effect.sleep("20 minutes"), "done"))
      const docket = yield* Docket
      const execution = yield* docket.add(Timed)
      assert.strictEqual(yield* passUntil("1 minute", execution.result), "done")
    })
  )

  it.effect("TMO-01 keeps its worker: the next one runs", () =>
    Effect.gen(function* () {
      const { Timed } = yield* startTimed({ timeout: "30 seconds" }, Effect.never, { concurrency: 1 })
      const docket = yield* Docket
      const both = yield* docket.addAll([Task.request(Timed, {}, { key: "a" }), Task.request(Timed, {}, { key: "b" })])
      yield* passUntil(
        "1 second",
        Effect.forEach(both, ({ result }) => Effect.flip(result))
      )
      assert.strictEqual(yield* stateOf("a"), "failed")
      assert.strictEqual(yield* stateOf("b"), "failed")
    })
  )

  it.effect("TMO-02 has its time counted from the start of the handler, not of its middleware or its due time", () =>
    Effect.gen(function* () {
      const slow = Middleware.make("slow", (run) => Effect.andThen(Effect.sleep("10 minutes"), run))
      const { Timed } = yield* startTimed(
        { timeout: "1 minute" },
        Effect.gen(function* () {
          const { remaining } = yield* TaskTimeout
          return Duration.format(yield* remaining)
        }),
        { middleware: [slow] }
      )
      const docket = yield* Docket
      const execution = yield* docket.add(Timed, {}, { when: 0 })
      assert.strictEqual(yield* passUntil("1 minute", execution.result), "1m")
    })
  )

  it.effect("TMO-03 can read its time left, and extend its deadline by a duration or by the timeout", () =>
    Effect.gen(function* () {
      const { Timed } = yield* startTimed(
        { timeout: "10 minutes" },
        Effect.gen(function* () {
          const { extend, remaining } = yield* TaskTimeout
          yield* Effect.sleep("9 minutes")
          const before = yield* remaining
          yield* extend("5 minutes")
          const byDuration = Duration.subtract(yield* remaining, before)
          yield* extend()
          yield* extend()
          const byTimeout = Duration.subtract(yield* remaining, before)
          // The 10 minutes it had, 5 more, and twice 10: the last moment is at 35.
          yield* Effect.sleep("25 minutes")
          return `${Duration.format(byDuration)}, ${Duration.format(byTimeout)}`
        })
      )
      const docket = yield* Docket
      const execution = yield* docket.add(Timed)
      assert.strictEqual(yield* passUntil("1 minute", execution.result), "5m, 25m")
    })
  )

  it.effect("TMO-03 is interrupted at its new deadline, and the error tells how long it was allowed to take", () =>
    Effect.gen(function* () {
      const { Timed } = yield* startTimed(
        { timeout: "10 minutes" },
        Effect.gen(function* () {
          yield* (yield* TaskTimeout).extend("90 seconds")
          return yield* Effect.never
        })
      )
      const docket = yield* Docket
      const execution = yield* docket.add(Timed)
      const error = yield* Effect.flip(passUntil("30 seconds", execution.result))
      assert(error._tag === "TaskTimedOut")
      assert.strictEqual(error.timeoutMillis, 690_000)
      const { completed, started } = yield* infoOf("k")
      assert(started !== undefined && completed !== undefined)
      assert.isAtLeast(completed.epochMilliseconds - started.epochMilliseconds, 690_000)
    })
  )

  it.effect("TMO-03 has no deadline when it declares none, and extending changes nothing", () =>
    Effect.gen(function* () {
      const { Timed } = yield* startTimed(
        {},
        Effect.gen(function* () {
          const { extend, remaining } = yield* TaskTimeout
          yield* extend("1 second")
          yield* extend()
          yield* Effect.sleep("20 minutes")
          return Duration.isFinite(yield* remaining) ? "finite" : "infinite"
        })
      )
      const docket = yield* Docket
      const execution = yield* docket.add(Timed)
      assert.strictEqual(yield* passUntil("1 minute", execution.result), "infinite")
    })
  )

  it.effect("TMO-04 runs its finalizers before it is settled, and they are told why", () =>
    Effect.gen(function* () {
      const log: Array<string> = []
      const inFinalizer = yield* Latch.make()
      const gate = yield* Latch.make()
      const why = Effect.gen(function* () {
        const { interruptReason } = yield* CurrentExecution
        log.push(`interrupted: ${Option.getOrElse(yield* interruptReason, () => "not")}`)
      })
      const { Timed } = yield* startTimed(
        { timeout: "1 minute" },
        Effect.gen(function* () {
          yield* Effect.addFinalizer(() =>
            Effect.gen(function* () {
              yield* inFinalizer.open
              yield* gate.await
              log.push(`released: ${yield* stateOf("k").pipe(Effect.provideService(Docket, docket), Effect.orDie)}`)
            })
          )
          yield* why
          return yield* Effect.onInterrupt(Effect.never, () => why)
        })
      )
      const docket = yield* Docket
      const execution = yield* docket.add(Timed)
      yield* passUntil("1 second", inFinalizer.await)
      const result = yield* Effect.forkChild(Effect.flip(execution.result))
      yield* pass("10 seconds", 5)
      assert.strictEqual(yield* stateOf("k"), "running")
      yield* gate.open
      assert.strictEqual((yield* Fiber.join(result))._tag, "TaskTimedOut")
      assert.deepStrictEqual(log, ["interrupted: not", "interrupted: timed-out", "released: running"])
    })
  )

  it.effect("TMO-05 is retried as after any failure, and has its whole time again", () =>
    Effect.gen(function* () {
      const left: Array<string> = []
      const { Timed, runs } = yield* startTimed(
        { timeout: "1 minute", retry: Retry.linear({ attempts: 3, delay: "1 second" }) },
        Effect.gen(function* () {
          const { attempt } = yield* CurrentExecution
          left.push(Duration.format(yield* (yield* TaskTimeout).remaining))
          return attempt < 3 ? yield* Effect.never : "done"
        })
      )
      const docket = yield* Docket
      const execution = yield* docket.add(Timed)
      assert.strictEqual(yield* passUntil("5 seconds", execution.result), "done")
      assert.deepStrictEqual(
        runs.map(({ attempt }) => attempt),
        [1, 2, 3]
      )
      assert.deepStrictEqual(left, ["1m", "1m", "1m"])
      for (const { error } of yield* execution.attempts) assert.include(error, "TaskTimedOut")
    })
  )

  it.effect("TMO-05 that recurs goes on with its next run", () =>
    Effect.gen(function* () {
      const Patrol = Task.make("patrol", {
        timeout: "1 minute",
        perpetual: { every: "10 minutes" },
        key: () => "patrol"
      })
      const tasks = TaskGroup.make(Patrol)
      const third = yield* Latch.make()
      let runs = 0
      const handlers = tasks.toLayer({
        patrol: () => Effect.suspend(() => Effect.andThen(++runs === 3 ? third.open : Effect.void, Effect.never))
      })
      yield* start(Worker.layer(tasks).pipe(Layer.provide(handlers)))
      const docket = yield* Docket
      yield* docket.add(Patrol)
      yield* passUntil("1 minute", third.await)
      yield* docket.cancel("patrol")
    })
  )

  it.effect("that was cancelled before its deadline is cancelled, not timed out", () =>
    Effect.gen(function* () {
      const started = yield* Latch.make()
      const { Timed } = yield* startTimed({ timeout: "1 hour" }, Effect.andThen(started.open, Effect.never))
      const docket = yield* Docket
      const execution = yield* docket.add(Timed)
      yield* started.await
      yield* execution.cancel
      assert.strictEqual((yield* Effect.flip(execution.result))._tag, "TaskCancelled")
    })
  )

  it.effect("CAN-03 can be cancelled when it has timed out and its middleware goes on", () =>
    Effect.gen(function* () {
      const reporting = yield* Latch.make()
      const report = Middleware.make("report", (run) =>
        Effect.catchCause(run, () => Effect.andThen(reporting.open, Effect.never))
      )
      const { Timed } = yield* startTimed({ timeout: "30 seconds" }, Effect.never, { middleware: [report] })
      const docket = yield* Docket
      const execution = yield* docket.add(Timed)
      yield* passUntil("1 second", reporting.await)
      yield* execution.cancel
      assert.strictEqual((yield* Effect.flip(execution.result))._tag, "TaskCancelled")
    })
  )
})

// The date is what the worker reads; the store goes by its own clock.
onRedis("A change of the date", (it) => {
  it.effect("TMO-01, PER-02 neither moves a deadline nor the next run", () =>
    Effect.gen(function* () {
      const clock = yield* Clock.Clock
      let shift = 0
      let runs = 0
      const dated: Clock.Clock = Object.assign(Object.create(clock), {
        currentTimeMillisUnsafe: () => clock.currentTimeMillisUnsafe() + shift
      })
      const Patrol = Task.make("patrol", { perpetual: { every: "1 hour" }, timeout: "30 seconds", key: () => "patrol" })
      const patrols = TaskGroup.make(Patrol)
      const ended = yield* Latch.make()
      const handlers = patrols.toLayer({
        patrol: () =>
          Effect.gen(function* () {
            runs++
            shift += 3_600_000
            yield* Effect.sleep("10 seconds")
            yield* ended.open
          })
      })
      yield* start(
        Worker.layer(patrols).pipe(Layer.provide(handlers), Layer.provide(Layer.succeed(Clock.Clock, dated)))
      )
      const execution = yield* (yield* Docket).add(Patrol)
      yield* passUntil("1 second", ended.await)
      yield* Effect.repeat(pass("100 millis"), {
        until: () => Effect.map(stateOf("patrol"), (state) => state === "scheduled")
      })
      const info = Option.getOrThrow(yield* execution.info)
      assert.isUndefined(info.error)
      assert.isAtLeast(info.due.epochMilliseconds, beginning + 3_600_000 - 1000)
      assert.strictEqual(runs, 1)
    })
  )
})

onMemory("A task with a timeout", (it) => {
  const outcomeOf = Effect.fnUntraced(function* (handler: Handler) {
    const { Timed } = yield* startTimed({ timeout: "30 seconds" }, handler)
    const docket = yield* Docket
    const result = yield* Effect.forkChild(Effect.exit((yield* docket.add(Timed)).result))
    yield* pass("1 minute")
    const exit = yield* Fiber.join(result)
    return Exit.isSuccess(exit) ? exit.value : "timed out"
  })

  it.effect("TMO-01 is interrupted at its deadline, not before and not after", () =>
    Effect.gen(function* () {
      const { Timed } = yield* startTimed({ timeout: "30 seconds" }, Effect.never)
      const docket = yield* Docket
      const execution = yield* docket.add(Timed)
      const result = yield* Effect.forkChild(Effect.flip(execution.result))
      yield* pass(29_999)
      assert.strictEqual(yield* stateOf("k"), "running")
      yield* pass(1)
      yield* Fiber.join(result)
      const { completed, started } = yield* infoOf("k")
      assert(started !== undefined && completed !== undefined)
      assert.strictEqual(completed.epochMilliseconds - started.epochMilliseconds, 30_000)
    })
  )

  it.effect("keeps its value when it ends at its deadline", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* outcomeOf(Effect.as(Effect.sleep("30 seconds"), "done")), "done")
    })
  )

  it.effect("keeps its value when it ends at its deadline after a few steps more", () =>
    Effect.gen(function* () {
      const steps = Effect.gen(function* () {
        yield* Effect.sleep("30 seconds")
        for (let i = 0; i < 5; i++) yield* Effect.yieldNow
        return "done"
      })
      assert.strictEqual(yield* outcomeOf(steps), "done")
    })
  )

  it.effect("keeps its value when it ends right before its deadline, however long its finalizers take", () =>
    Effect.gen(function* () {
      const handler = Effect.gen(function* () {
        yield* Effect.addFinalizer(() => Effect.sleep("10 seconds"))
        yield* Effect.sleep(29_999)
        return "done"
      })
      assert.strictEqual(yield* outcomeOf(handler), "done")
    })
  )

  it.effect("loses its value when it ends a millisecond after its deadline", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* outcomeOf(Effect.as(Effect.sleep(30_001), "done")), "timed out")
    })
  )

  it.effect("TMO-03 may extend its deadline up to the last millisecond", () =>
    Effect.gen(function* () {
      const handler = Effect.gen(function* () {
        yield* Effect.sleep(29_999)
        yield* (yield* TaskTimeout).extend("10 seconds")
        yield* Effect.sleep(10_001)
        return "done"
      })
      assert.strictEqual(yield* outcomeOf(handler), "done")
    })
  )
})
