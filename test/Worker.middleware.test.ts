/** What wraps every execution of a worker, and what becomes of failures around a handler. */
import { assert } from "@effect/vitest"
import { Cause, Clock, Context, Effect, Exit, Latch, Layer, Option, Queue, Schema, type Scope } from "effect"
import {
  CurrentDocket,
  CurrentExecution,
  CurrentWorker,
  Docket,
  Dockets,
  Middleware,
  Retry,
  Task,
  TaskGroup,
  TaskKey,
  Worker
} from "../src/index.ts"
import { beginning, infoOf, onEveryStore, onMemory, pass, start, stateOf } from "./support/dockets.ts"
import * as Faults from "./support/faults.ts"
import { collectLogs } from "./support/logs.ts"
import { changesIn, follow, passUntil, statesIn } from "./support/runs.ts"
import { waitUntil } from "./support/waitUntil.ts"

class Sour extends Schema.TaggedError<Sour>()("Sour", { what: Schema.String }) {
  override get message() {
    return `the ${this.what} is sour`
  }
}

const Pour = Task.make("pour", {
  payload: { what: Schema.String },
  success: Schema.String,
  error: Sour,
  key: ({ what }) => what
})
const PourAgain = Task.make("pourAgain", { success: Schema.Int, retry: Retry.linear({ attempts: 3 }) })
const tasks = TaskGroup.make(Pour, PourAgain)

type Handler = Effect.Effect<string, Sour, CurrentExecution | CurrentWorker | CurrentDocket | TaskKey | Scope.Scope>

type Around = Middleware.Middleware<CurrentExecution | CurrentWorker | CurrentDocket | TaskKey | Scope.Scope>

const makeWorker = (handler: Handler, middleware: ReadonlyArray<Around>, options: Worker.Options = {}) =>
  Worker.layer(tasks, { ...options, middleware }).pipe(
    Layer.provide(
      tasks.toLayer({ pour: () => handler, pourAgain: () => Effect.map(CurrentExecution, ({ attempt }) => attempt) })
    )
  )

/** A middleware that says when it begins, and how what it wraps ended. */
const teller = (name: string, log: Array<string>) =>
  Middleware.make(name, (run) =>
    Effect.suspend(() => {
      log.push(`${name} begins`)
      return Effect.onExit(run, (exit) => Effect.sync(() => void log.push(`${name} ends: ${exit._tag}`)))
    })
  )

const tell = (log: Array<string>, line: string) => Effect.sync(() => void log.push(line))

onEveryStore("Middleware", (it) => {
  it.effect("CTX-05 wraps every execution, in the order given, and ends in reverse order", () =>
    Effect.gen(function* () {
      const log: Array<string> = []
      const handler = Effect.as(tell(log, "handler"), "done")
      yield* start(makeWorker(handler, [teller("outer", log), teller("inner", log)]))
      const docket = yield* Docket
      const lines = ["outer begins", "inner begins", "handler", "inner ends: Success", "outer ends: Success"]
      for (const what of ["milk", "tea"]) {
        yield* (yield* docket.add(Pour, { what })).result
        assert.deepStrictEqual(log.splice(0), lines)
      }
      yield* (yield* docket.add(PourAgain)).result
      assert.deepStrictEqual(
        log,
        lines.filter((line) => line !== "handler")
      )
    })
  )

  it.effect("CTX-05 one that throws fails its execution, and the worker goes on", () =>
    Effect.gen(function* () {
      let calls = 0
      const rude = Middleware.make("rude", (run) => {
        if (++calls === 1) throw new Error("not today")
        return run
      })
      yield* start(makeWorker(Effect.succeed("done"), [rude], { concurrency: 1 }))
      const docket = yield* Docket
      const error = yield* Effect.flip((yield* docket.add(Pour, { what: "milk" })).result)
      assert.strictEqual(error._tag, "TaskFailed")
      assert.strictEqual(yield* (yield* docket.add(Pour, { what: "tea" })).result, "done")
    })
  )

  it.effect("CTX-05 can read the execution with its payload, and all that a handler can ask for", () =>
    Effect.gen(function* () {
      const seen: Array<unknown> = []
      const reader = Middleware.make("reader", (run) =>
        Effect.gen(function* () {
          const { attempt, key, payload, task } = yield* CurrentExecution
          const { name } = yield* CurrentWorker
          seen.push([task, key, yield* TaskKey, attempt, payload, name, (yield* CurrentDocket).name])
          return yield* run
        })
      )
      yield* start(makeWorker(Effect.succeed("done"), [reader], { name: "ada" }))
      const docket = yield* Docket
      yield* (yield* docket.add(Pour, { what: "milk" })).result
      assert.deepStrictEqual(seen, [["pour", "milk", "milk", 1, { what: "milk" }, "ada", docket.name]])
    })
  )

  it.effect("CTX-05 may use services of the worker's, made once for all executions", () =>
    Effect.gen(function* () {
      class Till extends Context.Service<Till, { readonly serial: number }>()("test/Till") {}
      let made = 0
      const used: Array<number> = []
      const charging = Middleware.make("charging", (run) =>
        Effect.gen(function* () {
          used.push((yield* Till).serial)
          return yield* run
        })
      )
      const handlers = tasks.toLayer({ pour: () => Effect.succeed("done"), pourAgain: () => Effect.succeed(1) })
      yield* start(
        Worker.layer(tasks, { middleware: [charging] }).pipe(
          Layer.provide(handlers),
          Layer.provide(
            Layer.effect(
              Till,
              Effect.sync(() => ({ serial: ++made }))
            )
          )
        )
      )
      const docket = yield* Docket
      for (const what of ["milk", "tea"]) yield* (yield* docket.add(Pour, { what })).result
      assert.deepStrictEqual(used, [1, 1])
    })
  )

  it.effect("CTX-04, CTX-05 shares the scope of the execution with the handler, and with no other execution", () =>
    Effect.gen(function* () {
      const log: Array<string> = []
      const scopes: Array<Scope.Scope> = []
      const note = (who: string) =>
        Effect.gen(function* () {
          const key = yield* TaskKey
          scopes.push(yield* Effect.scope)
          yield* Effect.addFinalizer(() => tell(log, `${who} of ${key} released`))
        })
      const opener = Middleware.make("opener", (run) => Effect.andThen(note("opener"), run))
      yield* start(makeWorker(Effect.as(note("handler"), "done"), [opener]))
      const docket = yield* Docket
      for (const what of ["milk", "tea"]) {
        yield* (yield* docket.add(Pour, { what })).result
        assert.deepStrictEqual(log.splice(0), [`handler of ${what} released`, `opener of ${what} released`])
      }
      assert.strictEqual(scopes[0], scopes[1])
      assert.notStrictEqual(scopes[1], scopes[2])
      assert.strictEqual(scopes[2], scopes[3])
    })
  )

  it.effect("CTX-05 hands on to the handler what it sets for it: references, and annotations of log lines", () =>
    Effect.gen(function* () {
      const Tenant = Context.Reference("test/Tenant", { defaultValue: () => "nobody" })
      const tenancy = Middleware.make("tenancy", (run) =>
        run.pipe(Effect.provideService(Tenant, "ada"), Effect.annotateLogs("tenant", "ada"))
      )
      const logs = yield* collectLogs
      const handler = Effect.gen(function* () {
        yield* Effect.log("pouring")
        return yield* Tenant
      })
      yield* start(makeWorker(handler, [tenancy])).pipe(Effect.provide(logs.layer))
      const docket = yield* Docket
      assert.strictEqual(yield* (yield* docket.add(Pour, { what: "milk" })).result, "ada")
      const line = logs.lines.find(({ message }) => message === "pouring")
      assert.deepInclude(line?.annotations, { tenant: "ada", "docket.task": "pour", "docket.key": "milk" })
    })
  )

  for (const [how, failure] of [
    ["fails", Effect.fail("the shop is shut")],
    ["dies", Effect.die(new Error("the shop is shut"))]
  ] as const) {
    it.effect(`CTX-06, DEP-02 that ${how} keeps the handler from running, and the error names it`, () =>
      Effect.gen(function* () {
        const log: Array<string> = []
        const door = Middleware.make("door", (run) => Effect.andThen(failure, run))
        yield* start(
          makeWorker(Effect.as(tell(log, "handler"), "done"), [teller("outer", log), door, teller("inner", log)])
        )
        const docket = yield* Docket
        const error = yield* Effect.flip((yield* docket.add(Pour, { what: "milk" })).result)
        assert(error._tag === "TaskFailed")
        assert.include(error.error, 'MiddlewareFailed: The middleware "door" failed: ')
        assert.include(error.error, "the shop is shut")
        assert.deepStrictEqual(log, ["outer begins", "outer ends: Failure"])
      })
    )
  }

  it.effect("CTX-06 that throws before it makes an effect is named as well", () =>
    Effect.gen(function* () {
      const broken = Middleware.make("broken", () => {
        throw new TypeError("no such thing")
      })
      yield* start(makeWorker(Effect.succeed("done"), [broken]))
      const docket = yield* Docket
      const error = yield* Effect.flip((yield* docket.add(Pour, { what: "milk" })).result)
      assert(error._tag === "TaskFailed")
      assert.include(error.error, 'The middleware "broken" failed: no such thing')
    })
  )

  it.effect("CTX-06 that fails is retried as the task's policy says", () =>
    Effect.gen(function* () {
      let asked = 0
      const door = Middleware.make("door", (run) =>
        Effect.suspend(() => (++asked < 3 ? Effect.andThen(Effect.fail("shut"), run) : run))
      )
      yield* start(makeWorker(Effect.succeed("done"), [door]))
      const docket = yield* Docket
      const execution = yield* docket.add(PourAgain)
      assert.strictEqual(yield* execution.result, 3)
      for (const { error } of yield* execution.attempts) assert.include(error, 'middleware "door" failed: shut')
    })
  )

  it.effect("leaves a failure of the handler as it is: typed, final if it said so, or a request to retry", () =>
    Effect.gen(function* () {
      const log: Array<string> = []
      const middleware = [teller("outer", log), teller("inner", log)]
      yield* start(makeWorker(Effect.fail(new Sour({ what: "milk" })), middleware))
      const docket = yield* Docket
      const error = yield* Effect.flip((yield* docket.add(Pour, { what: "milk" })).result)
      assert.deepInclude(error, { _tag: "Sour", what: "milk" })
      assert.strictEqual((yield* infoOf("milk")).error, "Sour: the milk is sour")
      assert.deepStrictEqual(log.slice(2), ["inner ends: Failure", "outer ends: Failure"])
    })
  )

  it.effect("leaves what a handler says of retries as it is", () =>
    Effect.gen(function* () {
      const Stubborn = Task.make("stubborn", { error: Sour, retry: Retry.linear({ attempts: 9 }), key: () => "k" })
      const group = TaskGroup.make(Stubborn)
      const attempts: Array<number> = []
      const handlers = group.toLayer({
        stubborn: Effect.fnUntraced(function* () {
          const { attempt } = yield* CurrentExecution
          attempts.push(attempt)
          return yield* attempt === 1 ? Task.retryAfter(0) : Task.doNotRetry(new Sour({ what: "milk" }))
        })
      })
      const middleware = [teller("outer", []), teller("inner", [])]
      yield* start(Worker.layer(group, { middleware }).pipe(Layer.provide(handlers)))
      const docket = yield* Docket
      const error = yield* Effect.flip((yield* docket.add(Stubborn)).result)
      assert.strictEqual(error._tag, "Sour")
      assert.deepStrictEqual(attempts, [1, 2])
    })
  )

  it.effect("TMO-01 leaves a timeout of the handler as it is", () =>
    Effect.gen(function* () {
      const Slow = Task.make("slow", { timeout: "10 seconds", key: () => "k" })
      const group = TaskGroup.make(Slow)
      const log: Array<string> = []
      const handlers = group.toLayer({ slow: () => Effect.never })
      yield* start(Worker.layer(group, { middleware: [teller("outer", log)] }).pipe(Layer.provide(handlers)))
      const docket = yield* Docket
      const error = yield* Effect.flip(passUntil("1 second", (yield* docket.add(Slow)).result))
      assert(error._tag === "TaskTimedOut")
      assert.deepStrictEqual([error.key, error.timeoutMillis], ["k", 10_000])
      assert.deepStrictEqual(log, ["outer begins", "outer ends: Failure"])
    })
  )

  it.effect("CAN-03 ends with a handler that was cancelled", () =>
    Effect.gen(function* () {
      const log: Array<string> = []
      const started = yield* Latch.make()
      yield* start(makeWorker(Effect.andThen(started.open, Effect.never), [teller("outer", log)]))
      const docket = yield* Docket
      const execution = yield* docket.add(Pour, { what: "milk" })
      yield* started.await
      yield* execution.cancel
      assert.strictEqual((yield* Effect.flip(execution.result))._tag, "TaskCancelled")
      assert.deepStrictEqual(log, ["outer begins", "outer ends: Failure"])
    })
  )

  it.effect("ADM-05 puts an execution off by 100 milliseconds unless it says otherwise", () =>
    Effect.gen(function* () {
      let tries = 0
      const gatekeeper = Middleware.make("gatekeeper", (run) => (++tries < 3 ? Middleware.postpone() : run))
      const dues: Array<number> = []
      const worker = makeWorker(Effect.succeed("done"), [gatekeeper])
      const docket = yield* Docket
      const events = yield* follow(docket.events)
      yield* start(worker)
      const execution = yield* docket.add(Pour, { what: "milk" })
      assert.strictEqual(yield* passUntil("50 millis", execution.result), "done")
      const changes = changesIn(yield* Queue.clear(events))
      for (const { due, started, state } of changes) {
        if (state === "running") dues.push(started!.epochMilliseconds)
        if (state === "scheduled") dues.push(due!.epochMilliseconds)
      }
      // It is due 100 ms after the run that it did not let begin.
      assert.strictEqual(dues.length, 5)
      assert.isAtLeast(dues[1]! - dues[0]!, 100)
      assert.isAtLeast(dues[3]! - dues[2]!, 100)
      assert.isBelow(dues[1]! - dues[0]!, 1_000)
    })
  )

  it.effect("CTX-07 may put an execution off: that is no failure, and the handler runs once it is let in", () =>
    Effect.gen(function* () {
      const times: Array<number> = []
      const gatekeeper = Middleware.make("gatekeeper", (run) =>
        Effect.gen(function* () {
          times.push((yield* Clock.currentTimeMillis) - beginning)
          return yield* times.length < 4 ? Effect.andThen(Middleware.postpone("1 minute"), run) : run
        })
      )
      const runs: Array<number> = []
      const handler = Effect.gen(function* () {
        const { attempt, deliveries } = yield* CurrentExecution
        runs.push(attempt, deliveries)
        return "done"
      })
      const logs = yield* collectLogs
      // More deliveries than a task may have that takes its workers down.
      yield* start(makeWorker(handler, [teller("outer", []), gatekeeper], { maxDeliveries: 2 })).pipe(
        Effect.provide(logs.layer)
      )
      const docket = yield* Docket
      const execution = yield* docket.add(Pour, { what: "milk" })
      const events = yield* follow(execution.events)
      yield* waitUntil(
        "it is put off",
        Effect.map(stateOf("milk"), (state) => state === "scheduled")
      )
      assert.deepInclude(yield* infoOf("milk"), { attempt: 1, deliveries: 0, error: undefined, worker: undefined })
      assert.strictEqual(yield* passUntil("10 seconds", execution.result), "done")
      assert.deepStrictEqual(runs, [1, 1])
      for (const [i, time] of times.slice(1).entries()) assert.isAtLeast(time - times[i]!, 60_000)
      assert.deepStrictEqual(yield* execution.attempts, [])
      assert.deepStrictEqual(logs.at("Error"), [])
      assert.notInclude(statesIn(yield* Queue.clear(events)), "failed")
    })
  )

  it.effect(
    "DEP-03 that fails after the handler succeeded makes the execution failed, and nobody sees it completed",
    () =>
      Effect.gen(function* () {
        const commit = Middleware.make("commit", (run) => Effect.tap(run, () => Effect.fail("the disk is full")))
        const docket = yield* Docket
        const execution = yield* docket.add(Pour, { what: "milk" })
        const events = yield* follow(execution.events)
        const first = yield* Queue.take(events)
        yield* start(makeWorker(Effect.succeed("done"), [commit]))
        const error = yield* Effect.flip(execution.result)
        assert(error._tag === "TaskFailed")
        assert.include(error.error, 'The middleware "commit" failed: the disk is full')
        assert.deepStrictEqual(statesIn([first, ...(yield* Queue.takeN(events, 2))]), ["queued", "running", "failed"])
      })
  )

  it.effect("DEP-01 that fails together with the handler: the error and the log name both", () =>
    Effect.gen(function* () {
      const rollback = Middleware.make("rollback", (run) =>
        Effect.onError(run, () => Effect.die(new RangeError("nothing to roll back")))
      )
      const logs = yield* collectLogs
      const handler: Handler = Effect.andThen(
        Effect.addFinalizer(() => Effect.die(new TypeError("the glass broke"))),
        Effect.fail(new Sour({ what: "milk" }))
      )
      yield* start(makeWorker(handler, [rollback])).pipe(Effect.provide(logs.layer))
      const docket = yield* Docket
      yield* Effect.flip((yield* docket.add(Pour, { what: "milk" })).result)
      const text = (yield* infoOf("milk")).error
      const logged = logs.lines.find(({ level }) => level === "Error")?.cause
      for (const part of ["the milk is sour", "rollback", "nothing to roll back", "the glass broke"]) {
        assert.include(text, part)
        assert.include(logged, part)
      }
    })
  )

  it.effect("DEP-01 when things that it acquires together fail together, the error names each", () =>
    Effect.gen(function* () {
      const broken = (what: string) => Effect.die(new Error(`no ${what}`))
      const parts = ["jug", "glass", "tray"]
      const handler = Effect.as(
        Effect.all(
          parts.map((part) => Effect.exit(broken(part))),
          { concurrency: "unbounded" }
        ).pipe(
          Effect.flatMap((exits) =>
            Effect.failCause(
              exits.reduce<Cause.Cause<never>>(
                (all, exit) => (Exit.isFailure(exit) ? Cause.combine(all, exit.cause) : all),
                Cause.empty
              )
            )
          )
        ),
        "done"
      )
      const logs = yield* collectLogs
      yield* start(makeWorker(handler, [])).pipe(Effect.provide(logs.layer))
      const docket = yield* Docket
      yield* Effect.flip((yield* docket.add(Pour, { what: "milk" })).result)
      const text = (yield* infoOf("milk")).error
      const logged = logs.lines.find(({ level }) => level === "Error")?.cause
      for (const part of parts) {
        assert.include(text, `no ${part}`)
        assert.include(logged, `no ${part}`)
      }
    })
  )

  for (const fault of ["refused", "reply-lost"] as const) {
    it.effect(
      `DEP-05 an end that could not be stored is stored later, with its result, when the call was ${fault}`,
      () =>
        Effect.gen(function* () {
          const docket = yield* Docket
          const faults = Faults.make(docket.store)
          let runs = 0
          const handler = Effect.sync(() => {
            faults.next("exchange", fault, fault, fault)
            return `run ${++runs}`
          })
          yield* start(makeWorker(handler, [])).pipe(
            Effect.provideService(Docket, yield* Dockets.fromStore(faults.store))
          )
          const execution = yield* docket.add(Pour, { what: "milk" })
          assert.strictEqual(yield* passUntil("1 second", execution.result), "run 1")
          yield* pass("1 minute")
          assert.strictEqual(runs, 1)
          assert.deepStrictEqual(yield* docket.store.depth, { queued: 0, scheduled: 0, running: 0 })
        })
    )
  }

  it.effect("UNK-02 wraps executions of a fallback as well", () =>
    Effect.gen(function* () {
      const seen: Array<string> = []
      const reader = Middleware.make("reader", (run) =>
        Effect.gen(function* () {
          seen.push((yield* CurrentExecution).task)
          return yield* run
        })
      )
      yield* start(makeWorker(Effect.succeed("done"), [reader], { fallback: () => Effect.succeed("fell back") }))
      const docket = yield* Docket
      assert.strictEqual(yield* (yield* docket.addNamed("legacy", {})).result, "fell back")
      assert.deepStrictEqual(seen, ["legacy"])
    })
  )

  it.effect("sees why what it wraps was interrupted", () =>
    Effect.gen(function* () {
      const started = yield* Latch.make()
      const reasons = yield* Queue.unbounded<string>()
      const asking = Middleware.make("asking", (run) =>
        Effect.onInterrupt(run, () =>
          Effect.gen(function* () {
            const { interruptReason } = yield* CurrentExecution
            yield* Queue.offer(
              reasons,
              Option.getOrElse(yield* interruptReason, () => "none")
            )
          })
        )
      )
      const worker = yield* start(
        makeWorker(Effect.andThen(started.open, Effect.never), [asking], { shutdownTimeout: 0 })
      )
      const docket = yield* Docket
      const execution = yield* docket.add(Pour, { what: "milk" })
      yield* started.await
      yield* execution.cancel
      assert.strictEqual(yield* Queue.take(reasons), "cancelled")
      yield* Effect.exit(execution.result)
      started.closeUnsafe()
      yield* docket.add(Pour, { what: "milk" })
      yield* started.await
      yield* worker.stop
      assert.strictEqual(yield* Queue.take(reasons), "shutting-down")
    })
  )
})

onMemory("Middleware", (it) => {
  it.effect("CTX-07, ADM-05 puts an execution off by 100 milliseconds unless it says otherwise", () =>
    Effect.gen(function* () {
      const times: Array<number> = []
      const gatekeeper = Middleware.make("gatekeeper", (run) =>
        Effect.gen(function* () {
          times.push((yield* Clock.currentTimeMillis) - beginning)
          return yield* times.length < 4 ? Effect.andThen(Middleware.postpone(), run) : run
        })
      )
      yield* start(makeWorker(Effect.succeed("done"), [gatekeeper]))
      const docket = yield* Docket
      const execution = yield* docket.add(Pour, { what: "milk" })
      yield* passUntil("50 millis", execution.result)
      assert.deepStrictEqual(times, [0, 100, 200, 300])
    })
  )
})
