/** How large payloads, results, errors and messages of progress may be. */
import { assert } from "@effect/vitest"
import { ConfigProvider, Effect, Exit, Layer, Option, Schema } from "effect"
import {
  Docket,
  type DocketError,
  DocketLive,
  Dockets,
  Perpetual,
  Progress,
  type ResultStore,
  Retry,
  Task,
  TaskGroup,
  Worker
} from "../src/index.ts"
import { onEveryStore, onMemory, start, TestDocket } from "./support/dockets.ts"
import { waitUntil } from "./support/waitUntil.ts"

const Failure = Schema.Struct({ _tag: Schema.tag("Failure"), text: Schema.String })

const Grow = Task.make("grow", {
  payload: { text: Schema.String, times: Schema.Int.pipe(Schema.withConstructorDefault(Effect.succeed(1))) },
  success: Schema.String,
  error: Failure,
  key: () => "grow",
  retry: Retry.linear({ attempts: 3 })
})

const maximumBytes = 100
const text = "é".repeat(30)

const reasonOf = <A>(effect: Effect.Effect<A, DocketError>) =>
  Effect.map(Effect.flip(effect), ({ reason }) => (reason._tag === "TooLarge" ? { ...reason } : reason))

const open = (results?: ResultStore) =>
  Effect.flatMap(TestDocket, ({ open }) => open({ maximumBytes, ...(results === undefined ? {} : { results }) }))

const startOn = <E>(docket: Docket["Service"], worker: Layer.Layer<Worker.Worker, E, Docket>) =>
  start(Layer.provide(worker, Layer.succeed(Docket, docket)))

const grower = (handler: (payload: typeof Grow.payloadSchema.Type) => Effect.Effect<string, typeof Failure.Type>) => {
  const tasks = TaskGroup.make(Grow)
  return Worker.layer(tasks).pipe(Layer.provide(tasks.toLayer({ grow: handler })))
}

onEveryStore("What is too large", (it) => {
  it.effect("SCH-08 a payload is refused with its size and the largest there may be, and nothing is scheduled", () =>
    Effect.gen(function* () {
      const docket = yield* open()
      const tooLarge = { task: "grow", what: "payload", maximumBytes }
      // {"text":"…","times":1}
      const sizeBytes = 21 + 80
      const payload = { text: "é".repeat(40) }
      assert.deepInclude(yield* reasonOf(docket.add(Grow, payload)), { ...tooLarge, sizeBytes })
      assert.deepInclude(yield* reasonOf(docket.replace(Grow, payload)), { ...tooLarge, sizeBytes })
      assert.deepInclude(
        yield* reasonOf(docket.addAll([Task.request(Grow, { text }), Task.request(Grow, payload)])),
        tooLarge
      )
      assert.deepInclude(yield* reasonOf(docket.addNamed("grow", { text: "é".repeat(50) })), {
        ...tooLarge,
        sizeBytes: 11 + 100
      })
      assert.deepStrictEqual(yield* docket.store.depth, { queued: 0, scheduled: 0, running: 0 })
      assert.strictEqual((yield* docket.add(Grow, { text })).disposition, "scheduled")
    })
  )

  it.effect("STA-03 a result fails its run with a sentence, once", () =>
    Effect.gen(function* () {
      const docket = yield* open()
      let runs = 0
      yield* startOn(
        docket,
        grower(({ text, times }) =>
          Effect.sync(() => {
            runs++
            return text.repeat(times)
          })
        )
      )
      const execution = yield* docket.add(Grow, { text, times: 2 })
      const error = yield* Effect.flip(execution.result)
      assert(error._tag === "TaskFailed")
      assert.match(
        error.error,
        /TooLarge: The result of task "grow" takes 122 bytes, and the docket takes 100: .*results/
      )
      assert.strictEqual(runs, 1)
      assert.strictEqual(yield* (yield* docket.add(Grow, { text, times: 1 })).result, text)
    })
  )

  it.effect("STA-03 an error is told as text, which is cut", () =>
    Effect.gen(function* () {
      const docket = yield* open()
      yield* startOn(
        docket,
        grower(({ text }) => Effect.fail({ _tag: "Failure", text: text.repeat(1000) } as const))
      )
      const execution = yield* docket.add(Grow, { text })
      const error = yield* Effect.flip(execution.result)
      assert(error._tag === "TaskFailed")
      assert.match(
        error.error,
        /^Failure: .*é… \(\d+ characters more\); .*TooLarge: The error of task "grow" takes 60\d{3} bytes/
      )
      assert.isBelow(error.error.length, 5000)
      for (const attempt of yield* execution.attempts) assert.isBelow(attempt.error.length, 5000)
    })
  )

  it.effect("PRG-01 a message of progress is refused where it is set, and the one before stays", () =>
    Effect.gen(function* () {
      const docket = yield* open()
      const tasks = TaskGroup.make(Grow)
      const ends: Array<Exit.Exit<unknown, DocketError>> = []
      yield* startOn(
        docket,
        Worker.layer(tasks).pipe(
          Layer.provide(
            tasks.toLayer({
              grow: Effect.fnUntraced(function* () {
                const { current, setMessage } = yield* Progress
                yield* setMessage("so far")
                ends.push(yield* Effect.exit(setMessage(text.repeat(2))))
                return (yield* current).message ?? ""
              })
            })
          )
        )
      )
      assert.strictEqual(yield* (yield* docket.add(Grow, { text })).result, "so far")
      const [end] = ends
      assert(end !== undefined && Exit.isFailure(end))
      const { reason } = yield* Effect.flip(end)
      assert.deepInclude({ ...reason }, { _tag: "TooLarge", what: "progress message", sizeBytes: 120, maximumBytes })
    })
  )

  it.effect("PER-04 the payload of a next run is refused where it is given", () =>
    Effect.gen(function* () {
      const docket = yield* open()
      const Chain = Task.make("chain", { payload: { text: Schema.String }, perpetual: { every: "1 hour" } })
      const tasks = TaskGroup.make(Chain)
      yield* startOn(
        docket,
        Worker.layer(tasks).pipe(
          Layer.provide(
            tasks.toLayer({
              chain: () => Effect.flatMap(Perpetual, ({ next }) => next(Chain, { text: text.repeat(2) }))
            })
          )
        )
      )
      const { key } = yield* docket.add(Chain, { text })
      yield* waitUntil(
        "the first run has failed",
        Effect.map(docket.info(key), (info) => Option.getOrThrow(info).error !== undefined)
      )
      const info = Option.getOrThrow(yield* docket.info(key))
      assert.strictEqual(info.state, "scheduled")
      assert.include(info.error, 'The payload of task "chain" takes 131 bytes')
      assert.include(info.encodedPayload, `"${text}"`)
    })
  )
})

onMemory("What is too large", (it) => {
  it.effect("is not a result that is kept in a store of the user's own", () =>
    Effect.gen(function* () {
      const kept = new Map<string, string>()
      const docket = yield* open({
        set: (name, text) => Effect.sync(() => void kept.set(name, text)),
        get: (name) => Effect.sync(() => Option.fromUndefinedOr(kept.get(name)))
      })
      yield* startOn(
        docket,
        grower(({ text }) => Effect.succeed(text.repeat(100)))
      )
      assert.strictEqual(yield* (yield* docket.add(Grow, { text })).result, text.repeat(100))
    })
  )

  it.effect("is more than 4 MiB unless a setting or the environment says otherwise", () =>
    Effect.gen(function* () {
      const { maximumBytes } = (yield* Docket).settings
      assert.strictEqual(maximumBytes, 4 * 1024 * 1024)
      const env = { DOCKET_URL: "memory://sizes", DOCKET_MAXIMUM_BYTES: "7" }
      const read = Effect.provide(
        Effect.map(Docket, ({ settings }) => settings.maximumBytes),
        Layer.provide(DocketLive, ConfigProvider.layer(ConfigProvider.fromUnknown(env)))
      )
      assert.strictEqual(yield* read, 7)
      for (const odd of [0, -1, 1.5, Number.NaN, Infinity]) {
        const error = yield* Effect.flip(Dockets.makeMemory({ maximumBytes: odd }))
        assert.include(error.message, `maximumBytes has to be a whole number of at least 1; it was ${odd}`)
      }
    })
  )
})
