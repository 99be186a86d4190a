/**
 * Random programs, each played on the store in memory and on a Redis: what can be observed is the same on both.
 *
 * **Details**
 *
 * Everything in a program takes whole minutes, and the test's clock on Redis runs ahead by seconds at most, so that both
 * come to rest at the same states. Each is looked at when it has come to rest, after every command.
 */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Exit, Fiber, Layer, Logger, Option, Schema, Scope } from "effect"
import { TestClock } from "effect/testing"
import {
  CurrentExecution,
  Docket,
  type DocketError,
  Dockets,
  Perpetual,
  Retry,
  Task,
  TaskGroup,
  Worker
} from "../src/index.ts"
import { ScriptTime } from "../src/store/redis/RedisStore.ts"
import * as Faults from "./support/faults.ts"
import { assertNothingLeaks } from "./support/leaks.ts"
import { RedisServer } from "./support/RedisServer.ts"
import { realTime } from "./support/waitUntil.ts"

class Failed extends Schema.TaggedError<Failed>()("Failed", {}) {}

const minutes = Schema.Literals([0, 1, 2, 3])
const Once = Task.make("once", { payload: { minutes, fails: Schema.Boolean }, error: Failed })
const Patient = Task.make("patient", {
  payload: { minutes, failures: Schema.Literals([1, 2, 3]) },
  error: Failed,
  retry: Retry.linear({ attempts: 3, delay: "1 minute" })
})
const Hasty = Task.make("hasty", {
  payload: { minutes, failures: Schema.Literals([1, 2, 3]) },
  error: Failed,
  retry: Retry.linear({ attempts: 3 })
})
/** Goes on until it is cancelled or replaced. */
const Chain = Task.make("chain", {
  payload: { minutes, fails: Schema.Boolean },
  error: Failed,
  perpetual: { every: "2 minutes" }
})
/** Goes on for so many runs. */
const Countdown = Task.make("countdown", {
  payload: { minutes, left: Schema.Literals([0, 1, 2, 3]) },
  perpetual: { every: "1 minute" }
})
const tasks = TaskGroup.make(Once, Patient, Hasty, Chain, Countdown)

const keys = ["a", "b", "c"] as const
const Key = Schema.Literals(keys)
const Delay = Schema.Literals([0, 0, 1, 3])
const Request = Schema.Union([
  Schema.Struct({ task: Schema.tag("once"), payload: Once.payloadSchema }),
  Schema.Struct({ task: Schema.tag("patient"), payload: Patient.payloadSchema }),
  Schema.Struct({ task: Schema.tag("hasty"), payload: Hasty.payloadSchema }),
  Schema.Struct({ task: Schema.tag("chain"), payload: Chain.payloadSchema }),
  Schema.Struct({ task: Schema.tag("countdown"), payload: Countdown.payloadSchema })
])

const Command = Schema.Union([
  Schema.TaggedStruct("Add", { key: Key, request: Request, delay: Delay }),
  Schema.TaggedStruct("Replace", { key: Key, request: Request, delay: Delay }),
  Schema.TaggedStruct("Cancel", { key: Key }),
  Schema.TaggedStruct("Pass", { minutes: Schema.Literals([1, 2]) }),
  Schema.TaggedStruct("Pass", { minutes: Schema.Literals([1, 3]) }),
  Schema.TaggedStruct("Kill", {}),
  Schema.TaggedStruct("Restart", {})
])
type Command = typeof Command.Type

const Program = {
  workers: Schema.Literals([1, 2]),
  commands: Schema.Array(Command).check(Schema.isMinLength(5), Schema.isMaxLength(40))
}

/** What is known of the keys, and what their handlers saw, when everything has come to rest. */
type Observation = Readonly<Record<string, unknown>>

/** Waits until everything has come to rest, and gives what can be observed then. */
type Rest = (observe: Effect.Effect<Observation, DocketError>, step: number) => Effect.Effect<Observation, DocketError>

const redeliveryTimeout = "4 minutes"

/** Plays a program on a docket; gives what was observed after each command. */
const play = Effect.fnUntraced(function* (
  docket: Docket["Service"],
  { commands, workers }: { readonly workers: number; readonly commands: ReadonlyArray<Command> },
  { pass, rest }: { readonly pass: Effect.Effect<void>; readonly rest: Rest }
) {
  const trace: Array<Observation> = []
  const starts: Record<string, Array<string>> = { a: [], b: [], c: [] }
  /** Keys that hold a chain which nobody ended. */
  const chains = new Set<string>()
  /** How many kills there had been when a scheduling of a key last started. */
  const started = new Map<string, number>()
  let kills = 0

  const run = Effect.fnUntraced(function* (minutes: number) {
    const { attempt, deliveries, encodedPayload, generation, key, task } = yield* CurrentExecution
    starts[key]!.push(`${task} ${encodedPayload}: generation ${generation}, attempt ${attempt}, delivery ${deliveries}`)
    const scheduling = `${key} ${generation}`
    if (started.get(scheduling) === kills) starts[key]!.push(`${scheduling} ran twice, and nobody was killed`)
    started.set(scheduling, kills)
    if (minutes > 0) yield* Effect.sleep(minutes * minute)
    return attempt
  })
  const failing = Effect.fnUntraced(function* (payload: { readonly minutes: number; readonly failures: number }) {
    if ((yield* run(payload.minutes)) <= payload.failures) return yield* new Failed()
  })
  const handlers = tasks.toLayer({
    once: Effect.fnUntraced(function* ({ fails, minutes }) {
      yield* run(minutes)
      if (fails) return yield* new Failed()
    }),
    patient: failing,
    hasty: failing,
    chain: Effect.fnUntraced(function* ({ fails, minutes }) {
      yield* run(minutes)
      if (fails) return yield* new Failed()
    }),
    countdown: Effect.fnUntraced(function* ({ left, minutes }) {
      yield* run(minutes)
      const { cancel, next } = yield* Perpetual
      if (left === 0) return yield* cancel
      yield* next(Countdown, { minutes, left: left === 3 ? 2 : left === 2 ? 1 : 0 })
    })
  })

  /** Starts the workers, which end together: by being told to, or by the death of their process. */
  const startWorkers = Effect.gen(function* () {
    const faults = Faults.make(docket.store)
    const outer = yield* Effect.scope
    const { executionTtlMillis, failedTtlMillis, heartbeatMillis } = docket.settings
    const mortal = yield* Dockets.fromStore(faults.store, {
      name: docket.name,
      executionTtl: executionTtlMillis,
      failedTtl: failedTtlMillis,
      heartbeatInterval: heartbeatMillis
    })
    const worker = Worker.layer(tasks, { redeliveryTimeout, shutdownTimeout: 0 }).pipe(
      Layer.provide(handlers),
      Layer.provide(Layer.succeed(Docket, mortal)),
      Layer.fresh
    )
    const scopes = yield* Effect.forEach(Array.from({ length: workers }), () => Scope.fork(outer))
    for (const scope of scopes) yield* Layer.buildWithScope(worker, scope)
    // All at once: one that is still there takes what another one gives back.
    const stop = Effect.forEach(scopes, (scope) => Scope.close(scope, Exit.void), { concurrency: "unbounded" })
    return { die: faults.vanish, stop }
  })
  let current = yield* startWorkers

  const observe = Effect.gen(function* () {
    const observation: Record<string, unknown> = {}
    for (const key of keys) {
      const info = yield* docket.info(key)
      const attempts = yield* docket.execution(Once, key).attempts
      observation[key] = Option.match(info, {
        onNone: () => "unknown",
        onSome: ({ attempt, deliveries, encodedPayload, error, generation, state, task }) => ({
          state,
          task,
          encodedPayload,
          generation,
          attempt,
          deliveries,
          error,
          failures: attempts.map(({ attempt, error }) => `${attempt}: ${error}`)
        })
      })
    }
    return { ...observation, starts: structuredClone(starts) }
  })

  const look = Effect.gen(function* () {
    const observation = yield* rest(observe, trace.length)
    trace.push(observation)
    for (const key of keys) {
      const { state } = observation[key] as { readonly state?: string }
      assert.notStrictEqual(state, "queued", `${key} is due and nobody runs it`)
      if (chains.has(key)) assert.include(["scheduled", "running"], state, `the chain of ${key} has broken`)
      assert.notMatch(starts[key]!.join("\n"), /ran twice/)
    }
  })

  const schedule = Effect.fnUntraced(function* ({
    _tag,
    delay,
    key,
    request
  }: Command & { readonly _tag: "Add" | "Replace" }) {
    const task = tasks.tasks.get(request.task)!
    const options = { key, delay: delay * minute }
    const { disposition } = yield* _tag === "Add"
      ? docket.add(task as typeof Once, request.payload as typeof Once.payloadSchema.Type, options)
      : docket.replace(task as typeof Once, request.payload as typeof Once.payloadSchema.Type, options)
    if (disposition === "already-scheduled") return
    if (request.task === "chain") chains.add(key)
    else chains.delete(key)
  })

  const passMinutes = Effect.fnUntraced(function* (count: number) {
    for (let i = 0; i < count; i++) {
      yield* pass
      yield* look
    }
  })

  for (const command of commands) {
    switch (command._tag) {
      case "Add":
      case "Replace":
        yield* schedule(command)
        break
      case "Cancel":
        chains.delete(command.key)
        yield* docket.cancel(command.key)
        break
      case "Pass":
        yield* passMinutes(command.minutes)
        break
      case "Kill":
        yield* current.die
        kills++
        current = yield* startWorkers
        break
      case "Restart":
        yield* current.stop
        current = yield* startWorkers
    }
    yield* look
  }

  // Whatever happened, every chain goes on: longer than a lease, its longest run and its interval together.
  const generations = Effect.forEach([...chains], (key) =>
    Effect.map(docket.info(key), (info) => Option.getOrThrow(info).generation)
  )
  const before = yield* generations
  yield* passMinutes(10)
  const after = yield* generations
  before.forEach((generation, i) => assert.isAbove(after[i]!, generation, "a chain does not go on"))

  // And everything else comes to an end.
  yield* Effect.forEach(chains, docket.cancel)
  chains.clear()
  yield* look
  yield* passMinutes(8)
  assert.deepStrictEqual(yield* docket.store.depth, { queued: 0, scheduled: 0, running: 0 })
  return trace
})

const minute = 60_000
const settings = { executionTtl: "1000 days", failedTtl: "1000 days", heartbeatInterval: "100 millis" } as const

/** Closes the scope of an effect while time goes on, since dead workers take theirs to end. */
const scopedInTime = <A, E>(effect: Effect.Effect<A, E, Scope.Scope>): Effect.Effect<A, E> =>
  Effect.gen(function* () {
    const scope = yield* Scope.make()
    const exit = yield* Effect.exit(Scope.provide(effect, scope))
    const hurry = yield* Effect.forkChild(Effect.forever(Effect.andThen(realTime(1), TestClock.adjust("5 seconds"))))
    yield* Scope.close(scope, exit)
    yield* Fiber.interrupt(hurry)
    return yield* exit
  })

const turns = Effect.forEach(Array.from({ length: 60 }), () => Effect.yieldNow, { discard: true })

type Played = Parameters<typeof play>[1]

const playInMemory = (program: Played) =>
  scopedInTime(
    Effect.gen(function* () {
      const docket = yield* Dockets.makeMemory(settings)
      const rest: Rest = (observe) => Effect.andThen(turns, observe)
      return yield* play(docket, program, { pass: Effect.andThen(TestClock.adjust(minute), turns), rest })
    })
  ).pipe(Effect.provide([TestClock.layer(), Logger.layer([])]))

const patienceMillis = 10_000

const playOnRedis = (url: string, program: Played, expected: ReadonlyArray<Observation>) =>
  scopedInTime(
    Effect.gen(function* () {
      const docket = yield* Effect.provideService(
        Dockets.make({ url, ...settings }),
        ScriptTime,
        Clock.currentTimeMillis
      )
      // Heartbeats find what was left by the dead, at their usual pace.
      yield* Effect.forkScoped(Effect.forever(Effect.andThen(realTime(10), TestClock.adjust(10))))
      const rest: Rest = Effect.fnUntraced(function* (observe, step) {
        const patience = Date.now() + patienceMillis
        while (true) {
          const observation = yield* observe
          if (equal(observation, expected[step])) return observation
          if (Date.now() > patience) {
            const difference = { step, observation, expected: expected[step] }
            throw new Error(`The stores differ: ${JSON.stringify(difference, null, 2)}`)
          }
          yield* realTime(1)
        }
      })
      // What the clock sent off has arrived when a later call was answered.
      const flush = Effect.ignore(docket.store.depth)
      const pass = Effect.andThen(TestClock.adjust(minute), flush)
      return yield* play(docket, program, { pass, rest })
    })
  ).pipe(Effect.provide([TestClock.layer(), Logger.layer([])]))

const equal = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b)

const seed = 2026

describe("Random programs", () => {
  it.effect.prop(
    "RTY-09, PER-07, PER-09, SCH-05, RPL-04, GEN-02 run no scheduling twice unless a worker died, break no chain, and come to an end",
    Program,
    (program) => Effect.asVoid(playInMemory(program)),
    { timeout: 120_000, arbitrary: { runs: 150, size: 40, seed } }
  )

  it.effect.prop(
    "MEM-03 have the same history each time they are played",
    Program,
    (program) =>
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* playInMemory(program), yield* playInMemory(program))
      }),
    { timeout: 120_000, arbitrary: { runs: 30, size: 40, seed } }
  )
})

it.layer(RedisServer.layer(), { excludeTestServices: true })("Random programs (redis)", (it) => {
  it.effect.prop(
    "MEM-01 come to the same states in memory and on Redis",
    Program,
    (program) =>
      Effect.gen(function* () {
        const redis = yield* RedisServer
        yield* redis.cli("FLUSHALL")
        const expected = yield* playInMemory(program)
        yield* playOnRedis(redis.url, program, expected)
        yield* assertNothingLeaks(redis)
      }),
    { timeout: 120_000, arbitrary: { runs: 25, size: 40, seed } }
  )
})
