/** Tasks that run again and again under one key. */
import { assert } from "@effect/vitest"
import { DateTime, type Duration, Effect, Fiber, Latch, Layer, Option, Queue, Result, Schema, type Scope } from "effect"
import {
  type CurrentDocket,
  type CurrentExecution,
  type CurrentWorker,
  Docket,
  type DocketError,
  Dockets,
  Perpetual,
  Retry,
  Task,
  TaskGroup,
  Worker
} from "../src/index.ts"
import { beginning, infoOf, onEveryStore, onMemory, pass, start, stateOf, TestDocket } from "./support/dockets.ts"
import * as Faults from "./support/faults.ts"
import { collectLogs } from "./support/logs.ts"
import { follow, passUntil, seen, type Seen, statesIn } from "./support/runs.ts"
import { waitUntil } from "./support/waitUntil.ts"

class Overcast extends Schema.TaggedError<Overcast>()("Overcast", { run: Schema.Int }) {}

const tick = (every: Duration.Input, retry?: Retry.Policy<Overcast>) =>
  Task.make("tick", {
    payload: { text: Schema.String },
    success: Schema.Int,
    error: Overcast,
    key: () => "clock",
    perpetual: { every },
    ...(retry === undefined ? {} : { retry })
  })
type Tick = ReturnType<typeof tick>

/** What the n-th run does, n from 1; the number of the run is its result. */
type Step = (
  run: number,
  task: Tick
) => Effect.Effect<
  unknown,
  Overcast | DocketError,
  Perpetual | CurrentDocket | CurrentExecution | CurrentWorker | Scope.Scope
>

const stop = Effect.flatMap(Perpetual, ({ cancel }) => cancel)

/** Tells what the handlers of a perpetual task saw. */
const makeTick = Effect.fnUntraced(function* (
  step: Step,
  options: { readonly every?: Duration.Input; readonly retry?: Retry.Policy<Overcast> } & Worker.Options = {}
) {
  const { every = "1 minute", retry, ...workerOptions } = options
  const Tick = tick(every, retry)
  const tasks = TaskGroup.make(Tick)
  const runs: Array<Seen> = []
  const started = yield* Queue.unbounded<Seen>()
  const handlers = tasks.toLayer({
    tick: Effect.fnUntraced(function* () {
      const run = yield* seen
      const n = runs.push(run)
      yield* Queue.offer(started, run)
      yield* step(n, Tick)
      return n
    })
  })
  return { Tick, runs, started, worker: Worker.layer(tasks, workerOptions).pipe(Layer.provide(handlers)) }
})

const startTick = Effect.fnUntraced(function* (...args: Parameters<typeof makeTick>) {
  const made = yield* makeTick(...args)
  yield* start(made.worker)
  return made
})

const gapsOf = (runs: ReadonlyArray<Seen>) => runs.slice(1).map(({ at }, i) => at - runs[i]!.at)

/** Waits until the key has a state. */
const untilState = (key: string, state: string) =>
  waitUntil(
    `${key} is ${state}`,
    Effect.map(stateOf(key), (now) => now === state)
  )

onEveryStore("A perpetual task", (it) => {
  it.effect("PER-01 runs again under the same key and with the same payload, whether it succeeds or fails", () =>
    Effect.gen(function* () {
      const { Tick, runs, started } = yield* startTick((run) =>
        run % 2 === 0 ? Effect.fail(new Overcast({ run })) : run === 3 ? Effect.die("boom") : Effect.void
      )
      const docket = yield* Docket
      yield* docket.add(Tick, { text: "cuckoo" })
      yield* passUntil("10 seconds", Queue.takeN(started, 6))
      yield* docket.cancel("clock")
      for (const { attempt, key, payload } of runs) {
        assert.deepStrictEqual({ attempt, key, payload }, { attempt: 1, key: "clock", payload: { text: "cuckoo" } })
      }
    })
  )

  it.effect("PER-02 has starts that are never nearer than its interval, on the average", () =>
    Effect.gen(function* () {
      const { Tick, runs, started } = yield* startTick(() => Effect.sleep("20 seconds"))
      const docket = yield* Docket
      yield* docket.add(Tick, { text: "" })
      yield* passUntil("5 seconds", Queue.takeN(started, 5))
      yield* docket.cancel("clock")
      for (const gap of gapsOf(runs)) assert.isAtLeast(gap, 60_000)
    })
  )

  it.effect("PER-03 can stop itself: the run is completed with its result, and the key is free", () =>
    Effect.gen(function* () {
      const { Tick, runs } = yield* startTick((run) => (run % 3 === 0 ? stop : Effect.void), { every: 0 })
      const docket = yield* Docket
      const execution = yield* docket.add(Tick, { text: "" })
      yield* untilState("clock", "completed")
      assert.strictEqual(yield* execution.result, 3)
      yield* pass("1 hour")
      assert.strictEqual(runs.length, 3)
      assert.strictEqual((yield* docket.add(Tick, { text: "" })).disposition, "scheduled")
      yield* waitUntil(
        "it ran anew",
        Effect.sync(() => runs.length === 6)
      )
      yield* untilState("clock", "completed")
      assert.deepStrictEqual(yield* docket.store.depth, { queued: 0, scheduled: 0, running: 0 })
    })
  )

  it.effect("PER-03 can stop itself in a run that fails", () =>
    Effect.gen(function* () {
      const { Tick, runs } = yield* startTick((run) => Effect.andThen(stop, Effect.fail(new Overcast({ run }))))
      const docket = yield* Docket
      const error = yield* Effect.flip((yield* docket.add(Tick, { text: "" })).result)
      assert.deepInclude(error, { _tag: "Overcast", run: 1 })
      assert.strictEqual(yield* stateOf("clock"), "failed")
      yield* pass("1 hour")
      assert.strictEqual(runs.length, 1)
    })
  )

  it.effect("PER-04 can give the next run another payload, which later runs keep", () =>
    Effect.gen(function* () {
      const { Tick, runs, started } = yield* startTick(
        (run, task) =>
          run === 2 ? Effect.flatMap(Perpetual, ({ next }) => next(task, { text: 'second "hand"\n🕐' })) : Effect.void,
        { every: "1 second" }
      )
      const docket = yield* Docket
      yield* docket.add(Tick, { text: "hour hand" })
      yield* passUntil("1 second", Queue.takeN(started, 4))
      yield* docket.cancel("clock")
      assert.deepStrictEqual(
        runs.slice(0, 4).map(({ payload }) => payload),
        [{ text: "hour hand" }, { text: "hour hand" }, { text: 'second "hand"\n🕐' }, { text: 'second "hand"\n🕐' }]
      )
    })
  )

  it.effect("PER-04 cannot give the next run a payload that does not fit, or that of another task", () =>
    Effect.gen(function* () {
      const Other = Task.make("other", { payload: { n: Schema.Int } })
      const errors: Array<string> = []
      const { Tick, started } = yield* startTick(
        Effect.fnUntraced(function* (_run, task) {
          const { next } = yield* Perpetual
          const wrong = { text: 7 } as unknown as { readonly text: string }
          errors.push((yield* Effect.orDie(Effect.flip(next(task, wrong)))).reason._tag)
          errors.push((yield* Effect.orDie(Effect.flip(next(Other, { n: 1 })))).message)
        })
      )
      const docket = yield* Docket
      yield* docket.add(Tick, { text: "hour hand" })
      const second = yield* passUntil("10 seconds", Effect.andThen(Queue.take(started), Queue.take(started)))
      yield* docket.cancel("clock")
      assert.strictEqual(errors[0], "InvalidPayload")
      assert.include(errors[1], '"tick"')
      assert.include(errors[1], '"other"')
      assert.deepStrictEqual(second.payload, { text: "hour hand" })
    })
  )

  it.effect("PER-05 has all its attempts before the next run, which is at attempt 1 again", () =>
    Effect.gen(function* () {
      const { Tick, runs, started } = yield* startTick((run) => Effect.fail(new Overcast({ run })), {
        every: "1 minute",
        retry: Retry.linear({ attempts: 3, delay: "1 second" })
      })
      const docket = yield* Docket
      yield* docket.add(Tick, { text: "" })
      yield* passUntil("1 second", Queue.takeN(started, 7))
      yield* docket.cancel("clock")
      assert.deepStrictEqual(
        runs.slice(0, 7).map(({ attempt }) => attempt),
        [1, 2, 3, 1, 2, 3, 1]
      )
      assert.isAtLeast(runs[3]!.at - runs[2]!.at, 60_000)
    })
  )

  it.effect("PER-05 that stops retrying goes on with its next run", () =>
    Effect.gen(function* () {
      const { Tick, runs, started } = yield* startTick((run) => Task.doNotRetry(new Overcast({ run })), {
        retry: Retry.linear({ attempts: 9 })
      })
      const docket = yield* Docket
      yield* docket.add(Tick, { text: "" })
      yield* passUntil("10 seconds", Queue.takeN(started, 3))
      yield* docket.cancel("clock")
      assert.deepStrictEqual(
        runs.slice(0, 3).map(({ attempt }) => attempt),
        [1, 1, 1]
      )
    })
  )

  it.effect("PER-06 is logged when it fails, also when only what it needs could not be acquired", () =>
    Effect.gen(function* () {
      const logs = yield* collectLogs
      const { Tick, started } = yield* startTick((run) =>
        run === 1
          ? Effect.fail(new Overcast({ run }))
          : Effect.acquireRelease(Effect.die(new Error(`no telescope for run ${run}`)), () => Effect.void)
      ).pipe(Effect.provide(logs.layer))
      const docket = yield* Docket
      yield* docket.add(Tick, { text: "" })
      yield* passUntil("10 seconds", Queue.takeN(started, 3))
      yield* docket.cancel("clock")
      const errors = logs.lines.filter(({ level }) => level === "Error")
      assert.isAtLeast(errors.length, 2)
      assert.include(errors[0]!.cause, "Overcast")
      assert.include(errors[1]!.cause, "no telescope for run 2")
    })
  )

  it.effect("PER-07 goes on when its worker dies while it runs: the run is delivered again", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      const faults = Faults.make(docket.store)
      const mortal = yield* makeTick(() => faults.vanish, { name: "mortal", redeliveryTimeout: "10 seconds" })
      yield* start(mortal.worker).pipe(Effect.provideService(Docket, yield* Dockets.fromStore(faults.store)))
      yield* docket.add(mortal.Tick, { text: "" })
      yield* Queue.take(mortal.started)
      const next = yield* startTick(() => Effect.void, { name: "next", redeliveryTimeout: "10 seconds" })
      const [again, second] = yield* passUntil("5 seconds", Queue.takeN(next.started, 2))
      yield* docket.cancel("clock")
      assert.deepInclude(again, { deliveries: 2, generation: mortal.runs[0]!.generation })
      assert.deepInclude(second, { deliveries: 1, generation: mortal.runs[0]!.generation + 1 })
    })
  )

  it.effect("PER-07 goes on when its worker dies right after it ended: the run is not delivered again", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      const faults = Faults.make(docket.store)
      const options = { every: "10 minutes", redeliveryTimeout: "10 seconds" } as const
      const mortal = yield* makeTick(() => Effect.sync(() => faults.next("exchange", "reply-lost")), options)
      yield* start(mortal.worker).pipe(Effect.provideService(Docket, yield* Dockets.fromStore(faults.store)))
      yield* docket.add(mortal.Tick, { text: "" })
      yield* untilState("clock", "scheduled")
      yield* faults.vanish
      const next = yield* startTick(() => Effect.void, options)
      const second = yield* passUntil("5 seconds", Queue.take(next.started))
      yield* docket.cancel("clock")
      assert.strictEqual(mortal.runs.length, 1)
      assert.deepInclude(second, { deliveries: 1, generation: mortal.runs[0]!.generation + 1 })
      assert.isAtLeast(second.at - mortal.runs[0]!.at, 600_000)
    })
  )

  for (const fault of ["refused", "reply-lost"] as const) {
    it.effect(`PER-07 neither loses nor doubles a run when each call that settles one is ${fault}`, () =>
      Effect.gen(function* () {
        const docket = yield* Docket
        const faults = Faults.make(docket.store)
        const made = yield* makeTick(() => Effect.sync(() => faults.next("exchange", fault, fault)), {
          every: "10 seconds"
        })
        yield* start(made.worker).pipe(Effect.provideService(Docket, yield* Dockets.fromStore(faults.store)))
        yield* docket.add(made.Tick, { text: "" })
        yield* passUntil("1 second", Queue.takeN(made.started, 5))
        yield* docket.cancel("clock")
        assert.deepStrictEqual(
          made.runs.slice(0, 5).map(({ deliveries, generation }) => [generation, deliveries]),
          [1, 2, 3, 4, 5].map((generation) => [generation, 1])
        )
      })
    )
  }

  it.effect("PER-08 leaves the record of its next run as it is, and publishes its own end all the same", () =>
    Effect.gen(function* () {
      const { Tick, started } = yield* startTick(
        (run) => (run === 2 ? Effect.fail(new Overcast({ run })) : Effect.void),
        { every: "1 hour" }
      )
      const docket = yield* Docket
      const execution = yield* docket.add(Tick, { text: "" }, { delay: "1 second" })
      const events = yield* follow(execution.events)
      const first = yield* Queue.take(events)
      yield* passUntil("1 second", Queue.take(started))
      yield* untilState("clock", "scheduled")
      const info = yield* infoOf("clock")
      assert.deepInclude(info, { state: "scheduled", worker: undefined, started: undefined, completed: undefined })
      assert.isAtLeast(info.due.epochMilliseconds, beginning + 3_601_000)
      // Longer than a settled execution is kept.
      yield* pass("50 minutes", 10)
      assert.strictEqual(yield* stateOf("clock"), "scheduled")
      yield* passUntil("1 minute", Queue.take(started))
      yield* untilState("clock", "scheduled")
      yield* docket.cancel("clock")
      assert.deepStrictEqual(statesIn([first, ...(yield* Queue.takeN(events, 9))]), [
        "scheduled",
        "queued",
        "running",
        "completed",
        "scheduled",
        "queued",
        "running",
        "failed",
        "scheduled",
        "cancelled"
      ])
    })
  )

  it.effect("RES-09 ends the wait for its result with each run, and gives what that run came to", () =>
    Effect.gen(function* () {
      const gates = yield* Effect.forEach([1, 2, 3], () => Latch.make())
      const { Tick, started } = yield* startTick(
        (run) =>
          Effect.andThen(
            gates[run - 1]?.await ?? Effect.void,
            run === 2 ? Effect.fail(new Overcast({ run })) : Effect.void
          ),
        { every: "10 minutes" }
      )
      const docket = yield* Docket
      const execution = yield* docket.add(Tick, { text: "" })
      const results: Array<unknown> = []
      for (const gate of gates) {
        yield* passUntil("1 minute", Queue.take(started))
        const waiting = yield* Effect.forkChild(Effect.result(execution.result))
        yield* pass("1 second")
        yield* gate.open
        const result = yield* Fiber.join(waiting)
        results.push(result._tag === "Success" ? result.success : result.failure._tag)
      }
      yield* docket.cancel("clock")
      assert.deepStrictEqual(results, [1, "Overcast", 3])
    })
  )

  it.effect("RES-06, RES-09 ends the wait for the result of a run that ends while the wait begins", () =>
    Effect.gen(function* () {
      const gates = yield* Effect.forEach([1, 2, 3], () => Latch.make())
      const { Tick, runs, started } = yield* startTick(
        (run) =>
          Effect.andThen(
            gates[run - 1]?.await ?? Effect.void,
            [Effect.void, Effect.fail(new Overcast({ run })), Effect.die("boom")][run - 1] ?? Effect.void
          ),
        { every: "10 minutes" }
      )
      const docket = yield* Docket
      const faults = Faults.make(docket.store)
      const late = yield* Dockets.fromStore(faults.store)
      yield* docket.add(Tick, { text: "" })
      const results: Array<unknown> = []
      for (const gate of gates) {
        yield* passUntil("1 minute", Queue.take(started))
        const ended = Effect.provideService(untilState("clock", "scheduled"), Docket, docket)
        faults.next("watch", Effect.orDie(Effect.andThen(gate.open, ended)))
        const result = yield* Effect.result(late.execution(Tick, "clock").result)
        results.push(
          Result.match(result, {
            onSuccess: (run) => run,
            onFailure: (error) => (error._tag === "TaskFailed" ? error.error : error._tag)
          })
        )
      }
      assert.deepStrictEqual(results, [1, "Overcast", "Error: boom"])
      assert.strictEqual(runs.length, 3)
      yield* docket.cancel("clock")
    })
  )

  it.effect("PER-09 ends when its key is cancelled while it waits", () =>
    Effect.gen(function* () {
      const { Tick, runs, started } = yield* startTick(() => Effect.void)
      const docket = yield* Docket
      yield* docket.add(Tick, { text: "" })
      yield* Queue.take(started)
      yield* untilState("clock", "scheduled")
      yield* docket.cancel("clock")
      assert.strictEqual(yield* stateOf("clock"), "cancelled")
      yield* pass("1 hour", 6)
      assert.strictEqual(runs.length, 1)
    })
  )

  it.effect("PER-09 ends when its key is cancelled while it runs", () =>
    Effect.gen(function* () {
      const { Tick, runs, started } = yield* startTick(() => Effect.never)
      const docket = yield* Docket
      const execution = yield* docket.add(Tick, { text: "" })
      yield* Queue.take(started)
      yield* docket.cancel("clock")
      assert.strictEqual((yield* Effect.flip(execution.result))._tag, "TaskCancelled")
      yield* pass("1 hour", 6)
      assert.strictEqual(runs.length, 1)
      assert.deepStrictEqual(yield* docket.store.depth, { queued: 0, scheduled: 0, running: 0 })
    })
  )

  it.effect("PER-09 ends when it was cancelled, also when its handler does not let itself be interrupted", () =>
    Effect.gen(function* () {
      const gate = yield* Latch.make()
      const { Tick, runs, started } = yield* startTick(() => Effect.uninterruptible(gate.await))
      const docket = yield* Docket
      const execution = yield* docket.add(Tick, { text: "" })
      yield* Queue.take(started)
      yield* docket.cancel("clock")
      yield* gate.open
      yield* Effect.exit(execution.result)
      yield* pass("1 hour", 6)
      assert.strictEqual(runs.length, 1)
      assert.deepStrictEqual(yield* docket.store.depth, { queued: 0, scheduled: 0, running: 0 })
    })
  )

  it.effect("PER-09 ends when it was cancelled, also when its handler makes a success or a failure of that", () =>
    Effect.gen(function* () {
      const { Tick, runs, started } = yield* startTick((run) =>
        Effect.catchCause(Effect.never, () => (run === 1 ? Effect.void : Effect.fail(new Overcast({ run }))))
      )
      const docket = yield* Docket
      for (const run of [1, 2]) {
        const execution = yield* docket.add(Tick, { text: "" })
        yield* Queue.take(started)
        yield* docket.cancel("clock")
        yield* Effect.exit(execution.result)
        yield* pass("1 hour", 6)
        assert.strictEqual(runs.length, run)
        assert.deepStrictEqual(yield* docket.store.depth, { queued: 0, scheduled: 0, running: 0 })
      }
    })
  )

  it.effect("GEN-05 is one chain also after its key was replaced while it ran: only the newest run decides", () =>
    Effect.gen(function* () {
      const gate = yield* Latch.make()
      const { Tick, runs, started } = yield* startTick((run) => (run === 1 ? gate.await : Effect.void), {
        every: "10 minutes"
      })
      const docket = yield* Docket
      yield* docket.add(Tick, { text: "old" })
      yield* Queue.take(started)
      yield* docket.replace(Tick, { text: "new" }, { delay: "1 minute" })
      yield* gate.open
      const rest = yield* passUntil("30 seconds", Queue.takeN(started, 3))
      yield* docket.cancel("clock")
      for (const { payload } of rest) assert.deepStrictEqual(payload, { text: "new" })
      for (const gap of gapsOf(rest)) assert.isAtLeast(gap, 600_000)
      assert.strictEqual(runs.length, 4)
    })
  )

  it.effect("SHD-05 goes on with the same run elsewhere, when its worker gives it back", () =>
    Effect.gen(function* () {
      const first = yield* makeTick(() => Effect.never, { shutdownTimeout: 0 })
      const worker = yield* start(first.worker)
      const docket = yield* Docket
      yield* docket.add(first.Tick, { text: "" })
      yield* Queue.take(first.started)
      yield* worker.stop
      const second = yield* startTick(() => Effect.void)
      const [again, next] = yield* passUntil("10 seconds", Queue.takeN(second.started, 2))
      yield* docket.cancel("clock")
      assert.deepInclude(again, { attempt: 1, deliveries: 1 })
      assert.isAtLeast(next!.at - again!.at, 60_000)
    })
  )

  it.effect("TTL-04 runs as usual on a docket that keeps nothing", () =>
    Effect.gen(function* () {
      const docket = yield* (yield* TestDocket).open({ executionTtl: 0 })
      const { Tick, started, worker } = yield* makeTick((run, task) =>
        Effect.gen(function* () {
          const { cancel, next } = yield* Perpetual
          yield* next(task, { text: `run ${run + 1}` })
          if (run === 2) return yield* new Overcast({ run })
          if (run === 4) yield* cancel
        })
      )
      yield* start(worker).pipe(Effect.provideService(Docket, docket))
      const execution = yield* docket.add(Tick, { text: "run 1" })
      const all = yield* passUntil("10 seconds", Queue.takeN(started, 4))
      assert.deepStrictEqual(
        all.map(({ payload }) => payload),
        [1, 2, 3, 4].map((n) => ({ text: `run ${n}` }))
      )
      yield* waitUntil("it is gone", Effect.map(execution.info, Option.isNone))
      assert.deepStrictEqual(yield* docket.store.depth, { queued: 0, scheduled: 0, running: 0 })
    })
  )

  it.effect("does nothing for a task that does not recur to ask for another run", () =>
    Effect.gen(function* () {
      const Once = Task.make("once", { success: Schema.String })
      const tasks = TaskGroup.make(Once)
      const handlers = tasks.toLayer({
        once: Effect.fnUntraced(function* () {
          const { after, every, next } = yield* Perpetual
          yield* every("1 second")
          yield* after("1 second")
          yield* next(Once, {})
          return "done"
        })
      })
      yield* start(Worker.layer(tasks).pipe(Layer.provide(handlers)))
      const docket = yield* Docket
      const execution = yield* docket.add(Once, {}, { key: "k" })
      assert.strictEqual(yield* execution.result, "done")
      assert.strictEqual(yield* stateOf("k"), "completed")
    })
  )
})

onMemory("The time of the next run", (it) => {
  /** When runs started, in seconds. */
  const startsAt = Effect.fnUntraced(function* (
    count: number,
    every: Duration.Input,
    step: Step,
    retry?: Retry.Policy<Overcast>
  ) {
    const { Tick, runs, started } = yield* startTick(step, { every, ...(retry === undefined ? {} : { retry }) })
    yield* (yield* Docket).add(Tick, { text: "" })
    yield* passUntil("1 second", Queue.takeN(started, count))
    return runs.slice(0, count).map(({ at }) => at / 1000)
  })

  it.effect("PER-02 is measured from start to start", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* startsAt(4, "1 minute", () => Effect.sleep("20 seconds")), [0, 60, 120, 180])
    })
  )

  it.effect("PER-02 is at once when the run took longer, or the interval is zero", () =>
    Effect.gen(function* () {
      const durations = [20, 90, 60, 0, 150, 0]
      assert.deepStrictEqual(
        yield* startsAt(7, "1 minute", (run) => Effect.sleep(`${durations[run - 1] ?? 0} seconds`)),
        [0, 60, 150, 210, 270, 420, 480]
      )
    })
  )

  it.effect("PER-02 is at once when the interval is zero", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* startsAt(4, 0, () => Effect.sleep("7 seconds")), [0, 7, 14, 21])
    })
  )

  it.effect("PER-04 is by another interval when the handler says so, for the next run only", () =>
    Effect.gen(function* () {
      const step: Step = (run) =>
        Effect.andThen(
          Effect.sleep("10 seconds"),
          run === 2 ? Effect.flatMap(Perpetual, ({ every }) => every("5 minutes")) : Effect.void
        )
      assert.deepStrictEqual(yield* startsAt(5, "1 minute", step), [0, 60, 360, 420, 480])
    })
  )

  it.effect("PER-04 is a delay after the end when the handler says so, for the next run only", () =>
    Effect.gen(function* () {
      const step: Step = (run) =>
        Effect.andThen(
          run === 2 ? Effect.flatMap(Perpetual, ({ after }) => after("5 minutes")) : Effect.void,
          Effect.sleep("10 seconds")
        )
      assert.deepStrictEqual(yield* startsAt(4, "1 minute", step), [0, 60, 370, 430])
    })
  )

  it.effect("PER-04 is a moment when the handler says so, also when its run fails; one in the past means at once", () =>
    Effect.gen(function* () {
      const at = (seconds: number) =>
        Effect.flatMap(Perpetual, ({ at }) => at(DateTime.makeUnsafe(beginning + seconds * 1000)))
      const step: Step = (run) => {
        if (run === 1) return Effect.andThen(at(1000), Effect.fail(new Overcast({ run })))
        return run === 2 ? at(5) : Effect.void
      }
      assert.deepStrictEqual(yield* startsAt(4, "1 minute", step), [0, 1000, 1000, 1060])
    })
  )

  it.effect("PER-05 is measured from the start of the last attempt", () =>
    Effect.gen(function* () {
      const policy = Retry.linear<Overcast>({ attempts: 2, delay: "10 seconds" })
      const step: Step = (run) => Effect.andThen(Effect.sleep("5 seconds"), Effect.fail(new Overcast({ run })))
      assert.deepStrictEqual(yield* startsAt(5, "1 minute", step, policy), [0, 15, 75, 90, 150])
    })
  )

  it.effect("PER-07 is that of the run that was delivered again", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      const faults = Faults.make(docket.store)
      const mortal = yield* makeTick(() => faults.vanish, { redeliveryTimeout: "10 seconds" })
      yield* start(mortal.worker).pipe(Effect.provideService(Docket, yield* Dockets.fromStore(faults.store)))
      yield* docket.add(mortal.Tick, { text: "" })
      yield* Queue.take(mortal.started)
      const next = yield* startTick(() => Effect.void, { redeliveryTimeout: "10 seconds" })
      yield* passUntil("1 second", Queue.takeN(next.started, 2))
      assert.deepStrictEqual(
        next.runs.slice(0, 2).map(({ at }) => at / 1000),
        [10, 70]
      )
    })
  )
})
