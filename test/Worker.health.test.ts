/** Whether a worker says in time that it cannot take work, and that it can again. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Latch, type Layer, Logger, Scope } from "effect"
import { HttpRouter } from "effect/http"
import { TestClock } from "effect/testing"
import { Docket, Dockets, type DocketStore, Task, TaskGroup, Worker } from "../src/index.ts"
import * as Health from "../src/observability/Health.ts"
import { collectLogs } from "./support/logs.ts"
import { RedisServer } from "./support/RedisServer.ts"
import { waitUntil } from "./support/waitUntil.ts"

const Hold = Task.make("hold")
const tasks = TaskGroup.make(Hold)
const HandlersLive = tasks.toLayer({ hold: () => Effect.never })

type Call = "exchange" | "renew" | "heartbeat"

/** A docket in memory that behaves like one far away; calls to it can be frozen, and one of its replies can be broken. */
const makeDocket = Effect.gen(function* () {
  const { store } = yield* Dockets.makeMemory()
  const gates = {
    exchange: yield* Latch.make(true),
    renew: yield* Latch.make(true),
    heartbeat: yield* Latch.make(true)
  }
  let broken: Call | undefined
  const through =
    (call: Call) =>
    <A, E>(effect: Effect.Effect<A, E>) =>
      Effect.suspend(() => (broken === call ? Effect.die(new Error("a bug")) : gates[call].whenOpen(effect)))
  const docket = yield* Dockets.fromStore({
    ...store,
    open: (options) =>
      Effect.map(store.open(options), (session): DocketStore.WorkerSession => ({
        ...session,
        needsHeartbeat: true,
        exchange: (request) => through("exchange")(session.exchange(request)),
        renew: (leases) => through("renew")(session.renew(leases)),
        heartbeat: through("heartbeat")(session.heartbeat)
      }))
  })
  return {
    docket,
    freeze: (...calls: ReadonlyArray<Call>) => Effect.forEach(calls, (call) => gates[call].close),
    thaw: Effect.forEach(Object.values(gates), (gate) => gate.open),
    break: (call: Call) => {
      broken = call
    }
  }
})

const startOn = (docket: Docket["Service"]) =>
  Worker.make(tasks, { name: "w", redeliveryTimeout: "40 seconds", shutdownTimeout: 0 }).pipe(
    Effect.provide(HandlersLive),
    Effect.provideService(Docket, docket)
  )

/** Lets time pass while the worker stops, which it may do only in its own time. */
const withinTime = Effect.fnUntraced(function* <A, E>(body: Effect.Effect<A, E, Scope.Scope>) {
  const scope = yield* Scope.make()
  const exit = yield* Effect.exit(Scope.provide(body, scope))
  const time = yield* Effect.forkChild(Effect.forever(TestClock.adjust("1 second")))
  yield* Scope.close(scope, exit)
  yield* Fiber.interrupt(time)
  return yield* exit
})

const able = { able: true, ready: true, problems: [] }

describe("A worker's health", () => {
  it.effect("HLT-01 is good while it idles, however long, and while it runs", () =>
    withinTime(
      Effect.gen(function* () {
        const { docket } = yield* makeDocket
        const worker = yield* startOn(docket)
        for (const wait of ["0 seconds", "1 second", "1 hour"] as const) {
          yield* TestClock.adjust(wait)
          assert.deepStrictEqual(yield* worker.health, able)
        }
        yield* docket.add(Hold)
        yield* TestClock.adjust("1 hour")
        assert.strictEqual(yield* worker.running, 1)
        assert.deepStrictEqual(yield* worker.health, able)
      })
    )
  )

  it.effect("HLT-01 is bad within ten seconds after the store stopped to answer, and good when it answers again", () =>
    withinTime(
      Effect.gen(function* () {
        const { docket, freeze, thaw } = yield* makeDocket
        const worker = yield* startOn(docket)
        yield* TestClock.adjust("3 seconds")
        yield* freeze("heartbeat", "exchange")
        yield* TestClock.adjust("2 seconds")
        assert.deepStrictEqual(yield* worker.health, able)
        yield* TestClock.adjust("8 seconds")
        const { able: isAble, problems, ready } = yield* worker.health
        assert.deepStrictEqual([isAble, ready], [false, false])
        assert.match(problems.join(), /^The heartbeat is \d+ s late$/)
        yield* thaw
        yield* TestClock.adjust("1 second")
        assert.deepStrictEqual(yield* worker.health, able)
      })
    )
  )

  it.effect("HLT-01 is bad when it no longer gets work, though its heartbeat goes on", () =>
    withinTime(
      Effect.gen(function* () {
        const { docket, freeze, thaw } = yield* makeDocket
        const worker = yield* startOn(docket)
        yield* TestClock.adjust("3 seconds")
        yield* freeze("exchange")
        yield* docket.add(Hold)
        yield* TestClock.adjust("10 seconds")
        assert.match((yield* worker.health).problems.join(), /^The store's answer to a request for work is \d+ s late$/)
        yield* thaw
        yield* TestClock.adjust("1 second")
        assert.deepStrictEqual(yield* worker.health, able)
      })
    )
  )

  it.effect("HLT-01 is bad when the leases of what runs are not renewed in time", () =>
    withinTime(
      Effect.gen(function* () {
        const { docket, freeze, thaw } = yield* makeDocket
        const worker = yield* startOn(docket)
        yield* docket.add(Hold)
        yield* freeze("renew")
        yield* TestClock.adjust("12 seconds")
        assert.deepStrictEqual(yield* worker.health, able)
        yield* TestClock.adjust("5 seconds")
        assert.match((yield* worker.health).problems.join(), /^The renewal of leases is \d+ s late$/)
        yield* thaw
        yield* TestClock.adjust("1 second")
        assert.deepStrictEqual(yield* worker.health, able)
      })
    )
  )

  for (const [call, problem] of [
    ["exchange", "The loop that takes work has ended"],
    ["renew", "The loop that renews leases has ended"],
    ["heartbeat", "The loop that announces the worker has ended"]
  ] as const) {
    it.effect(`HLT-01 is bad as soon as a loop was killed by a bug in ${call}, and the log says why`, () =>
      withinTime(
        Effect.gen(function* () {
          const { break: breakCall, docket } = yield* makeDocket
          const logs = yield* collectLogs
          const worker = yield* Effect.provide(startOn(docket), logs.layer)
          yield* docket.add(Hold)
          yield* TestClock.adjust("1 second")
          breakCall(call)
          yield* docket.add(Hold)
          yield* TestClock.adjust("10 seconds")
          assert.include((yield* worker.health).problems, problem)
          const [line] = logs.lines.filter(({ level }) => level === "Fatal")
          assert.include(line?.message, problem)
          assert.include(line?.cause, "a bug")
        })
      )
    )
  }

  it.effect("HLT-01 a worker that was told to stop is not ready, and still able", () =>
    withinTime(
      Effect.gen(function* () {
        const { docket } = yield* makeDocket
        const worker = yield* startOn(docket)
        yield* docket.add(Hold)
        yield* TestClock.adjust("1 second")
        const draining = yield* Effect.forkChild(worker.drain)
        yield* TestClock.adjust("20 seconds")
        assert.deepStrictEqual(yield* worker.health, { able: true, ready: false, problems: [] })
        yield* worker.giveBack
        yield* Fiber.join(draining)
      })
    )
  )
})

describe("The routes of the health and metrics servers", () => {
  const ask = (routes: Layer.Layer<never, never, HttpRouter.HttpRouter>, path: string) =>
    Effect.promise(async () => {
      const { dispose, handler } = HttpRouter.toWebHandler(routes, { disableLogger: true })
      const response = await handler(new Request(`http://localhost${path}`))
      const answer = [response.status, response.headers.get("content-type"), await response.text()]
      await dispose()
      return answer
    })

  it.effect("HLT-01 answer OK, or what is wrong", () =>
    Effect.gen(function* () {
      const good = Health.layerOf(Effect.succeed(able))
      const bad = Health.layerOf(Effect.succeed({ able: false, ready: false, problems: ["a", "b"] }))
      const stopping = Health.layerOf(Effect.succeed({ able: true, ready: false, problems: [] }))
      for (const path of ["/", "/health", "/ready"]) {
        assert.deepStrictEqual(yield* ask(good, path), [200, "text/plain", "OK"])
        assert.deepStrictEqual(yield* ask(bad, path), [503, "text/plain", "a\nb\n"])
      }
      assert.strictEqual((yield* ask(stopping, "/health"))[0], 200)
      assert.deepStrictEqual(yield* ask(stopping, "/ready"), [503, "text/plain", "The worker was told to stop\n"])
      assert.strictEqual((yield* ask(good, "/else"))[0], 404)
    })
  )
})

it.layer(RedisServer.layer(), { excludeTestServices: true })("A worker whose Redis is frozen", (it) => {
  it.effect(
    "HLT-01 turns red within ten seconds, and green within five after it goes on",
    () =>
      Effect.gen(function* () {
        const redis = yield* RedisServer
        const docket = yield* Dockets.make({ url: redis.url })
        const worker = yield* startOn(docket)
        const until = (wanted: boolean) =>
          waitUntil(
            `the worker is ${wanted ? "able" : "not able"}`,
            Effect.map(worker.health, ({ able }) => able === wanted)
          )
        yield* docket.add(Hold)
        yield* until(true)
        yield* redis.freeze
        yield* Effect.timeout(until(false), "10 seconds")
        yield* redis.thaw
        yield* Effect.timeout(until(true), "5 seconds")
        // Frozen for so long that the connection is given up.
        yield* redis.freeze
        yield* Effect.timeout(until(false), "10 seconds")
        yield* Effect.sleep("8 seconds")
        yield* redis.thaw
        yield* Effect.timeout(until(true), "5 seconds")
      }).pipe(Effect.provide(Logger.layer([]))),
    60_000
  )
})
