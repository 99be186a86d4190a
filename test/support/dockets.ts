/**
 * Runs one suite of tests against every kind of docket, under a `TestClock`: one in memory, one on a real Redis whose
 * scripts take their time from the clock of the test, and one in a file. Each test has a docket of its own.
 */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Context, Duration, Effect, Exit, Fiber, Layer, Scope } from "effect"
import { TestClock, TestConsole } from "effect/testing"
import { join } from "node:path"
import { Docket, type DocketError, Dockets, Worker } from "../../src/index.ts"
import { ScriptTime } from "../../src/store/redis/RedisStore.ts"
import { faultsOf, temporaryFolder } from "../store/sqliteHarness.ts"
import { assertNothingLeaks } from "./leaks.ts"
import { RedisServer } from "./RedisServer.ts"
import { realTime } from "./waitUntil.ts"

/** When each test begins. */
export const beginning = Date.UTC(2026, 0, 15, 12)

/** What a test is given besides its docket. */
export class TestDocket extends Context.Service<
  TestDocket,
  {
    readonly store: "memory" | "redis" | "sqlite"
    readonly url: string
    /** Opens the docket once more, as another process would; with a name, another docket at the same place. */
    readonly open: (settings?: Dockets.Settings) => Effect.Effect<Docket["Service"], DocketError, Scope.Scope>
    /** See {@link pass}. */
    readonly pass: (duration: Duration.Input, steps: number) => Effect.Effect<void>
  }
>()("effect-docket/test/TestDocket") {}

type Pass = (duration: Duration.Input, steps: number, docket: Docket["Service"]) => Effect.Effect<void>

/** How the tests of a suite are declared; like the `it` of `@effect/vitest`. */
export interface It<R = never> {
  readonly effect: <E>(title: string, body: () => Effect.Effect<void, E, R | Docket | TestDocket | Scope.Scope>) => void
}

/** Declares a suite once for each kind of docket. */
export const onEveryStore = (title: string, suite: (it: It) => void): void => {
  onMemory(title, suite)
  onRedis(title, suite)
  onSqlite(title, suite, "2 seconds")
}

/** The same for a suite in which months pass: a file answers so soon that all the heartbeats of a month happen in it. */
export const onEveryStoreForMonths = (title: string, suite: (it: It) => void): void => {
  onMemory(title, suite)
  onRedis(title, suite)
  onSqlite(title, suite, "100 days")
}

/** Declares a suite for dockets in memory. */
export const onMemory = (title: string, suite: (it: It) => void): void => {
  describe(`${title} (memory)`, () => {
    suite({
      effect: (title, body) =>
        it.effect(title, () =>
          Effect.scoped(
            runTest(body, {
              store: "memory",
              url: `memory://${freshName()}`,
              pass: (duration) => TestClock.adjust(duration)
            })
          )
        )
    })
  })
}

/**
 * Declares a suite for dockets on a Redis of the suite's own, and checks after each test what it left there. The tests
 * can ask for the server.
 */
export const onRedis = (title: string, suite: (it: It<RedisServer>) => void): void => {
  it.layer(RedisServer.layer(), { excludeTestServices: true })(`${title} (redis)`, (it) => {
    suite({
      effect: (title, body) =>
        it.effect(title, () =>
          Effect.gen(function* () {
            const redis = yield* RedisServer
            yield* redis.cli("FLUSHALL")
            yield* Effect.scoped(
              Effect.gen(function* () {
                yield* Effect.forkScoped(timeGoesOn(10, 10))
                const withServer = () => Effect.provideService(body(), RedisServer, redis)
                yield* runTest(withServer, { store: "redis", url: redis.url, pass: passInSteps })
              })
            )
            yield* assertNothingLeaks(redis)
          }).pipe(Effect.provide([TestClock.layer(), TestConsole.layer]))
        )
    })
  })
}

/** Declares a suite for dockets in files, and checks after each test what it left there. */
export const onSqlite = (title: string, suite: (it: It) => void, heartbeatInterval: Duration.Input): void => {
  it.layer(Layer.effect(Folder, temporaryFolder), { excludeTestServices: true })(`${title} (sqlite)`, (it) => {
    suite({
      effect: (title, body) =>
        it.effect(title, () =>
          Effect.gen(function* () {
            const path = join(yield* Folder, `${freshName()}.db`)
            yield* Effect.scoped(
              Effect.gen(function* () {
                yield* Effect.forkScoped(timeGoesOn(10, 10))
                const url = `sqlite:${path}?durability=normal`
                yield* runTest(body, { store: "sqlite", url, pass: passInSteps, heartbeatInterval })
              })
            )
            assert.deepStrictEqual(faultsOf(path), [])
          }).pipe(Effect.provide([TestClock.layer(), TestConsole.layer]))
        )
    })
  })
}

class Folder extends Context.Service<Folder, string>()("effect-docket/test/Folder") {}

const runTest = Effect.fnUntraced(function* <E>(
  body: () => Effect.Effect<void, E, Docket | TestDocket | Scope.Scope>,
  {
    heartbeatInterval = "100 millis",
    pass,
    store,
    url
  }: Pick<TestDocket["Service"], "store" | "url"> & {
    readonly pass: Pass
    readonly heartbeatInterval?: Duration.Input
  }
): Effect.fn.Return<void, E | DocketError, Scope.Scope> {
  yield* TestClock.setTime(beginning)
  const name = freshName()
  // On Redis a missed wake-up is made good by a heartbeat, for which time goes on at its usual pace.
  const open = (settings: Dockets.Settings = {}) =>
    Effect.provideService(
      Dockets.make({ url, name, heartbeatInterval, ...settings }),
      ScriptTime,
      Clock.currentTimeMillis
    )
  const run = Effect.gen(function* () {
    const docket = yield* open()
    yield* body().pipe(
      Effect.provideService(Docket, docket),
      Effect.provideService(
        TestDocket,
        TestDocket.of({ store, url, open, pass: (duration, steps) => pass(duration, steps, docket) })
      )
    )
  })
  yield* Effect.acquireUseRelease(Scope.make(), (scope) => Scope.provide(run, scope), closeSoon)
})

/** Closes the scope of a test. A worker that is still busy is given the time that it has for stopping. */
const closeSoon = Effect.fnUntraced(function* (scope: Scope.Closeable, exit: Exit.Exit<unknown, unknown>) {
  const hurry = yield* Effect.forkChild(timeGoesOn(1, 1000))
  yield* Scope.close(scope, exit)
  yield* Fiber.interrupt(hurry)
})

/** Moves the test's clock, again and again, as real time passes. */
const timeGoesOn = (realMillis: number, millis: number) =>
  Effect.forever(Effect.andThen(realTime(realMillis), TestClock.adjust(millis)))

// What is on its way to or from a store outside of this process arrives before the clock is moved, and what the clock sent off afterwards: the
// replies on a connection come in order, and workers share that of the docket.
const passInSteps = Effect.fnUntraced(function* (duration: Duration.Input, steps: number, docket: Docket["Service"]) {
  const flush = Effect.ignore(docket.store.depth)
  const step = Duration.toMillis(duration) / steps
  for (let i = 0; i < steps; i++) {
    yield* realTime(2)
    yield* flush
    yield* TestClock.adjust(step)
    yield* flush
  }
  yield* realTime(2)
})

/**
 * Lets time pass. In memory all that is due in between happens in its order; on Redis, whose replies take real time, it
 * does so only between the steps.
 */
export const pass = (duration: Duration.Input, steps = 1): Effect.Effect<void, never, TestDocket> =>
  Effect.flatMap(TestDocket, (docket) => docket.pass(duration, steps))

let names = 0
const freshName = () => `test-${++names}`

type WorkerService = Worker.Worker["Service"]

/** A worker that a test can stop before its end. */
export interface RunningWorker extends WorkerService {
  /** Tells it to stop, and waits until it has. */
  readonly stop: Effect.Effect<void>
}

/** Starts a worker, for as long as the test runs or until it is stopped. */
export const start = Effect.fnUntraced(function* <E, R>(
  layer: Layer.Layer<Worker.Worker, E, R>
): Effect.fn.Return<RunningWorker, E, R | Scope.Scope> {
  const scope = yield* Scope.fork(yield* Effect.scope)
  const worker = Context.get(yield* Layer.buildWithScope(layer, scope), Worker.Worker)
  return { ...worker, stop: Scope.close(scope, Exit.void) }
})

/** The state of an execution that has a record. */
export const stateOf = Effect.fnUntraced(function* (key: string) {
  const info = yield* (yield* Docket).info(key)
  assert(info._tag === "Some", `there is no record of ${JSON.stringify(key)}`)
  return info.value.state
})

/** What the docket knows about an execution that has a record. */
export const infoOf = Effect.fnUntraced(function* (key: string) {
  const info = yield* (yield* Docket).info(key)
  assert(info._tag === "Some", `there is no record of ${JSON.stringify(key)}`)
  return info.value
})
