/** What a worker logs. */
import { assert, describe, it as test } from "@effect/vitest"
import { Effect, HashMap, HashSet, Latch, Layer, Queue, Redacted, Schema } from "effect"
import { CurrentExecution, Docket, Dockets, Perpetual, Retry, Task, TaskGroup, Worker } from "../src/index.ts"
import * as RunLog from "../src/internal/worker/runLog.ts"
import { onEveryStore, onMemory, pass, start, stateOf } from "./support/dockets.ts"
import * as Faults from "./support/faults.ts"
import { collectLogs } from "./support/logs.ts"
import { passUntil } from "./support/runs.ts"
import { waitUntil } from "./support/waitUntil.ts"

class Bounced extends Schema.TaggedError<Bounced>()("Bounced", { address: Schema.String }) {
  override get message() {
    return `bounced at ${this.address}`
  }
}

const Mail = Task.make("mail", {
  payload: { id: Schema.Int, to: Schema.String, copies: Schema.Array(Schema.String) },
  error: Bounced,
  key: ({ id }) => `mail-${id}`,
  logged: ["id"],
  loggedLength: ["copies"]
})

const mail = { id: 7, to: "ada@example.com", copies: ["bo", "cy"] }
const call = "mail(id=7, to=..., copies=[len 2]){mail-7}"
const tasks = TaskGroup.make(Mail)

/** Starts a worker whose lines are collected. */
const startLogged = Effect.fnUntraced(function* (
  handler: Effect.Effect<void, Bounced, CurrentExecution>,
  options: Worker.Options = {}
) {
  const logs = yield* collectLogs
  const worker = Worker.layer(tasks, { name: "ada", ...options }).pipe(
    Layer.provide(tasks.toLayer({ mail: () => handler })),
    Layer.provide(logs.layer)
  )
  return { logs, worker: yield* start(worker) }
})

/** The lines about runs: those with a mark. */
const runsIn = (lines: ReadonlyArray<{ readonly message: string }>) =>
  lines.map(({ message }) => message).filter((message) => /^[↪↬↩↫✗]/.test(message))

/** Without the time that it took, which is not the same on every store. */
const untimed = (lines: ReadonlyArray<string>) => lines.map((line) => line.replace(/\[ *\d+m?s\]/, "[t]"))

onEveryStore("A worker logs", (it) => {
  it.effect("LOG-01 its name when it starts, and each task that it knows with its payload fields and defaults", () =>
    Effect.gen(function* () {
      const Greet = Task.make("greet", {
        payload: {
          name: Schema.String,
          title: Schema.optionalKey(Schema.String),
          greeting: Schema.String.pipe(Schema.withConstructorDefault(Effect.succeed("Hello")))
        }
      })
      const Text = Task.make("text", { payload: Schema.String })
      const Nothing = Task.make("nothing")
      const group = TaskGroup.make(Greet, Text, Nothing)
      const logs = yield* collectLogs
      const handlers = group.toLayer({ greet: () => Effect.void, text: () => Effect.void, nothing: () => Effect.void })
      yield* start(
        Worker.layer(group, { name: "ada", concurrency: 3 }).pipe(Layer.provide(handlers), Layer.provide(logs.layer))
      )
      const docket = yield* Docket
      assert.deepStrictEqual(logs.at("Info").slice(0, 4), [
        "Worker ada runs up to 3 executions at once, of the built-in trace, fail, sleep and these tasks:",
        '* greet(name, title?, greeting = "Hello")',
        "* text(payload)",
        "* nothing()"
      ])
      for (const { annotations } of logs.lines) {
        assert.deepInclude(annotations, { "docket.name": docket.name, "docket.worker": "ada" })
      }
    })
  )

  it.effect("LOG-02, LOG-04 the start of each run with its delay, and its end with its duration", () =>
    Effect.gen(function* () {
      const { logs } = yield* startLogged(Effect.void)
      const docket = yield* Docket
      yield* (yield* docket.add(Mail, mail)).result
      const runs = runsIn(logs.lines)
      assert.deepStrictEqual(untimed(runs), [`↪ [t] ${call}`, `↩ [t] ${call}`])
      assert.deepStrictEqual(runsIn(logs.lines.filter(({ level }) => level === "Info")), runs)
    })
  )

  it.effect(
    "LOG-02, LOG-07 further attempts with a mark of their own, and every failure as an error with its cause",
    () =>
      Effect.gen(function* () {
        const Flaky = Task.make("flaky", { error: Bounced, retry: Retry.linear({ attempts: 3 }), key: () => "k" })
        const group = TaskGroup.make(Flaky)
        const logs = yield* collectLogs
        const handlers = group.toLayer({
          flaky: Effect.fnUntraced(function* () {
            const { attempt } = yield* CurrentExecution
            return yield* new Bounced({ address: `attempt ${attempt}` })
          })
        })
        yield* start(Worker.layer(group).pipe(Layer.provide(handlers), Layer.provide(logs.layer)))
        const docket = yield* Docket
        yield* Effect.flip((yield* docket.add(Flaky)).result)
        assert.deepStrictEqual(untimed(runsIn(logs.lines)), [
          "↪ [t] flaky(){k}",
          "↫ [t] flaky(){k} failed, and will be retried",
          "↬ [t] flaky(){k}",
          "↫ [t] flaky(){k} failed, and will be retried",
          "↬ [t] flaky(){k}",
          "↩ [t] flaky(){k} failed"
        ])
        const errors = logs.lines.filter(({ level }) => level === "Error")
        assert.strictEqual(errors.length, 3)
        errors.forEach(({ cause }, i) => assert.include(cause, `bounced at attempt ${i + 1}`))
      })
  )

  it.effect("LOG-02 runs of a recurring task that is rescheduled, and its last one", () =>
    Effect.gen(function* () {
      const Tick = Task.make("tick", { perpetual: { every: 0 }, key: () => "clock" })
      const group = TaskGroup.make(Tick)
      const logs = yield* collectLogs
      let runs = 0
      const handlers = group.toLayer({
        tick: Effect.fnUntraced(function* () {
          if (++runs === 2) return yield* Effect.die("boom")
          if (runs === 3) yield* (yield* Perpetual).cancel
        })
      })
      yield* start(Worker.layer(group).pipe(Layer.provide(handlers), Layer.provide(logs.layer)))
      const docket = yield* Docket
      yield* docket.add(Tick)
      yield* waitUntil(
        "it has stopped",
        Effect.map(stateOf("clock"), (state) => state === "completed")
      )
      assert.deepStrictEqual(untimed(runsIn(logs.lines)), [
        "↪ [t] tick(){clock}",
        "↫ [t] tick(){clock}",
        "↪ [t] tick(){clock}",
        "↫ [t] tick(){clock} failed",
        "↪ [t] tick(){clock}",
        "↩ [t] tick(){clock}"
      ])
    })
  )

  it.effect("LOG-02 runs that were cancelled", () =>
    Effect.gen(function* () {
      const started = yield* Latch.make()
      const { logs } = yield* startLogged(Effect.andThen(started.open, Effect.never))
      const docket = yield* Docket
      const execution = yield* docket.add(Mail, mail)
      yield* started.await
      yield* execution.cancel
      yield* Effect.flip(execution.result)
      assert.deepStrictEqual(untimed(runsIn(logs.lines)), [`↪ [t] ${call}`, `✗ [t] ${call} cancelled`])
      assert.deepStrictEqual(logs.at("Error"), [])
    })
  )

  it.effect("LOG-02, GEN-02 runs that were superseded", () =>
    Effect.gen(function* () {
      const started = yield* Queue.unbounded<void>()
      const gate = yield* Latch.make()
      const { logs } = yield* startLogged(Effect.andThen(Queue.offer(started, undefined), gate.await))
      const docket = yield* Docket
      yield* docket.add(Mail, mail)
      yield* Queue.take(started)
      yield* docket.replace(Mail, mail, { delay: "1 hour" })
      yield* gate.open
      yield* waitUntil(
        "it is said",
        Effect.sync(() => logs.at("Info").some((line) => line.includes("superseded")))
      )
      const line = logs.lines.find(({ message }) => message.includes("superseded"))
      assert(line !== undefined)
      assert.strictEqual(line.message, `↬ ${call} was superseded while it ran`)
      assert.deepInclude(line.annotations, { "docket.task": "mail", "docket.key": "mail-7", "docket.worker": "ada" })
      yield* docket.clear
    })
  )

  it.effect("LOG-05 nothing of a payload that its task did not opt in, whatever becomes of the run", () =>
    Effect.gen(function* () {
      const Secretive = Task.make("secretive", {
        payload: {
          how: Schema.String,
          plain: Schema.String,
          nested: Schema.Struct({ deep: Schema.String }),
          token: Schema.RedactedFromValue(Schema.String)
        },
        retry: Retry.linear({ attempts: 2 }),
        logged: ["how", "token"]
      })
      const group = TaskGroup.make(Secretive)
      const logs = yield* collectLogs
      const handlers = group.toLayer({
        secretive: Effect.fnUntraced(function* ({ how, token }) {
          assert.strictEqual(Redacted.value(token), "hidden token")
          yield* Effect.log("using", token)
          if (how === "fails") return yield* Effect.die(new Error("boom"))
          if (how === "interrupts") return yield* Effect.interrupt
        })
      })
      yield* start(Worker.layer(group).pipe(Layer.provide(handlers), Layer.provide(logs.layer)))
      const docket = yield* Docket
      for (const how of ["succeeds", "fails", "interrupts"]) {
        const execution = yield* docket.add(Secretive, {
          how,
          plain: "hidden plain",
          nested: { deep: "hidden deep" },
          token: Redacted.make("hidden token")
        })
        yield* Effect.exit(execution.result)
      }
      const all = JSON.stringify(logs.lines)
      assert.notInclude(all, "hidden")
      assert(
        logs.at("Info").some((line) => line.includes('secretive(how="succeeds", plain=..., nested=..., token=...){'))
      )
    })
  )

  it.effect(
    "LOG-08 with annotations that tell the docket, the worker and the run, also in the lines of its handlers",
    () =>
      Effect.gen(function* () {
        const { logs } = yield* startLogged(Effect.log("sending"))
        const docket = yield* Docket
        const when = "2026-01-15T11:59:00.000Z"
        yield* (yield* docket.add(Mail, mail, { when })).result
        const ofRun = {
          "docket.name": docket.name,
          "docket.worker": "ada",
          "docket.task": "mail",
          "docket.key": "mail-7",
          "docket.when": when,
          "docket.attempt": 1
        }
        const lines = logs.lines.filter(({ message }) => message === "sending" || message.includes(call))
        assert.strictEqual(lines.length, 3)
        for (const { annotations } of lines) assert.deepInclude(annotations, ofRun)
      })
  )

  it.effect("LOG-08 with the annotations and the level of its surroundings", () =>
    Effect.gen(function* () {
      const { logs } = yield* startLogged(Effect.log("sending")).pipe(Effect.annotateLogs("app", "post office"))
      const docket = yield* Docket
      yield* (yield* docket.add(Mail, mail)).result
      assert.isAtLeast(logs.lines.length, 5)
      for (const { annotations } of logs.lines) assert.deepInclude(annotations, { app: "post office" })
    })
  )

  it.effect("LOG-08 with its name also when it says that the store is away", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      const faults = Faults.make(docket.store)
      const logs = yield* collectLogs
      const worker = Worker.layer(tasks, { name: "ada" }).pipe(
        Layer.provide(tasks.toLayer({ mail: () => Effect.void })),
        Layer.provide(logs.layer)
      )
      faults.next("open", "refused")
      yield* passUntil(
        "1 second",
        start(worker).pipe(Effect.provideService(Docket, yield* Dockets.fromStore(faults.store, { name: docket.name })))
      )
      const line = logs.lines.find(({ level }) => level === "Warn")
      assert.deepInclude(line?.annotations, { "docket.name": docket.name, "docket.worker": "ada" })
    })
  )

  it.effect("the end of a run whose policy or payload makes trouble of its own, and goes on", () =>
    Effect.gen(function* () {
      const Odd = Task.make("odd", {
        payload: { amount: Schema.BigInt },
        error: Bounced,
        logged: ["amount"],
        key: () => "odd",
        retry: Retry.linear<Bounced>({
          attempts: 3,
          while: () => {
            throw new TypeError("no such thing")
          }
        })
      })
      const group = TaskGroup.make(Odd)
      const logs = yield* collectLogs
      const handlers = group.toLayer({ odd: () => new Bounced({ address: "home" }) })
      yield* start(Worker.layer(group, { concurrency: 1 }).pipe(Layer.provide(handlers), Layer.provide(logs.layer)))
      const docket = yield* Docket
      for (let i = 0; i < 2; i++) {
        const error = yield* Effect.flip((yield* docket.add(Odd, { amount: 12n })).result)
        assert.strictEqual(error._tag, "Bounced")
      }
      assert.deepStrictEqual(untimed(runsIn(logs.lines)).slice(0, 2), [
        "↪ [t] odd(amount=12n){odd}",
        "↩ [t] odd(amount=12n){odd} failed"
      ])
      assert(logs.lines.some(({ cause, level }) => level === "Error" && cause.includes("no such thing")))
    })
  )
})

onMemory("A worker logs", (it) => {
  it.effect("LOG-02, LOG-03 how long a run was late and how long it took, right-aligned in six places", () =>
    Effect.gen(function* () {
      const durations = [5, 99_999, 100_000, 3_600_000]
      const { logs } = yield* startLogged(Effect.suspend(() => Effect.sleep(durations.shift() ?? 0)))
      const docket = yield* Docket
      for (const late of [0, 1234, 12_345_678, 0]) {
        const now = (yield* docket.snapshot()).taken.epochMilliseconds
        const execution = yield* docket.add(Mail, mail, { when: now - late })
        yield* passUntil("1 hour", execution.result)
      }
      assert.deepStrictEqual(runsIn(logs.lines), [
        `↪ [   0ms] ${call}`,
        `↩ [   5ms] ${call}`,
        `↪ [1234ms] ${call}`,
        `↩ [99999ms] ${call}`,
        `↪ [12346s] ${call}`,
        `↩ [  100s] ${call}`,
        `↪ [   0ms] ${call}`,
        `↩ [ 3600s] ${call}`
      ])
    })
  )

  it.effect("LOG-02 no delay for a run that was due later than it thought", () =>
    Effect.gen(function* () {
      const { logs } = yield* startLogged(Effect.void)
      const docket = yield* Docket
      const execution = yield* docket.add(Mail, mail, { delay: "1 hour" })
      yield* passUntil("10 minutes", execution.result)
      yield* pass("1 hour")
      assert.deepStrictEqual(runsIn(logs.lines), [`↪ [   0ms] ${call}`, `↩ [   0ms] ${call}`])
    })
  )
})

describe("A run in a log line", () => {
  const describeWith = (
    payload: Schema.Struct.Fields,
    value: Readonly<Record<string, unknown>>,
    options: { readonly logged?: ReadonlyArray<string>; readonly loggedLength?: ReadonlyArray<string> }
  ) => {
    const { behaviour } = Task.make("t", { payload, ...options } as Task.Options<
      {},
      typeof Schema.Void,
      typeof Schema.Never
    >)
    return RunLog.describe({ key: "k", task: "t" }, value, behaviour)
  }

  test("LOG-04, LOG-05 has its fields in order, each as three dots unless it was opted in", () => {
    const payload = { a: Schema.String, b: Schema.Int, c: Schema.Boolean }
    const value = { a: 'say "hi"\n', b: 7, c: false }
    assert.strictEqual(describeWith(payload, value, {}), "t(a=..., b=..., c=...){k}")
    assert.strictEqual(
      describeWith(payload, value, { logged: ["a", "c"] }),
      't(a="say \\"hi\\"\\n", b=..., c=false){k}'
    )
  })

  test("LOG-06 has the length of what was opted in by length, and the value of what has none", () => {
    const payload = {
      list: Schema.Array(Schema.String),
      tuple: Schema.Tuple([Schema.String, Schema.Int]),
      maybe: Schema.optionalKey(Schema.Tuple([Schema.Int])),
      set: Schema.ReadonlySet(Schema.Int),
      map: Schema.ReadonlyMap(Schema.String, Schema.Int),
      hashSet: Schema.HashSet(Schema.Int),
      hashMap: Schema.HashMap(Schema.String, Schema.Int),
      text: Schema.String,
      number: Schema.Int,
      box: Schema.Struct({ size: Schema.Int })
    }
    const value = {
      list: ["a", "b"],
      tuple: ["a", 1],
      maybe: [1],
      set: new Set([1, 2]),
      map: new Map([["a", 1]]),
      hashSet: HashSet.make(1, 2, 3),
      hashMap: HashMap.make(["a", 1]),
      text: "four",
      number: 7,
      box: { size: 9 }
    }
    assert.strictEqual(
      describeWith(payload, value, { loggedLength: Object.keys(payload) }),
      "t(list=[len 2], tuple=(len 2), maybe=(len 1), set={len 2}, map={len 1}, hashSet={len 3}, hashMap={len 1}, " +
        'text=[len 4], number=7, box={"size":9}){k}'
    )
  })

  test("has no value that is redacted, at any depth", () => {
    const payload = {
      token: Schema.Redacted(Schema.String),
      deep: Schema.Struct({ token: Schema.Redacted(Schema.String) })
    }
    const value = { token: Redacted.make("hidden"), deep: { token: Redacted.make("hidden") } }
    const line = describeWith(payload, value, { logged: ["token", "deep"] })
    assert.strictEqual(line, 't(token=..., deep={"token":<redacted>}){k}')
  })

  test("has values of any kind, and never fails for one", () => {
    const circular: Record<string, unknown> = {}
    circular.self = circular
    const value = { a: 12n, b: circular, c: undefined, d: Symbol("s"), e: new Date(0) }
    const payload = { a: Schema.Any, b: Schema.Any, c: Schema.Any, d: Schema.Any, e: Schema.Any }
    assert.strictEqual(
      describeWith(payload, value, { logged: Object.keys(payload) }),
      't(a=12n, b={"self":[Circular]}, c=undefined, d=Symbol(s), e=1970-01-01T00:00:00.000Z){k}'
    )
  })

  test("has no fields when its payload has none", () => {
    for (const payload of ["text", 7, null, undefined, {}]) {
      assert.strictEqual(RunLog.describe({ key: "k", task: "t" }, payload, undefined), "t(){k}")
    }
  })
})
