/** Producers and workers in processes of their own, on a real Redis, some of them killed. */
import { assert, it } from "@effect/vitest"
import { Effect, Fiber, Schedule } from "effect"
import { Task } from "../../src/index.ts"
import { RedisServer } from "../support/RedisServer.ts"
import { waitUntil } from "../support/waitUntil.ts"
import { connections, makeDocket, makeLedger, patientResult, startCommand, startWorker } from "./kit.ts"
import { Refuse, Square } from "./programs/tasks.ts"

const ids = (count: number) => Array.from({ length: count }, (_, id) => id)

const squares = (count: number, millis: number) => ids(count).map((id) => Task.request(Square, { id, millis }))

const sorted = (numbers: ReadonlyArray<number>) => numbers.toSorted((a, b) => a - b)

it.layer(RedisServer.layer({ appendonly: true }), { excludeTestServices: true })("Processes", (it) => {
  it.effect("WRK-02, RES-01 a thousand tasks are run once each by two processes, with their results in a third", () =>
    Effect.gen(function* () {
      const redis = yield* RedisServer
      const ledger = yield* makeLedger
      const { docket, env } = yield* makeDocket(redis)
      const executions = yield* docket.addAll(squares(1000, 1))
      yield* startWorker({ env, ledger, name: "first" })
      yield* startWorker({ env, ledger, name: "second" })
      const results = yield* Effect.forEach(executions, ({ result }) => result, { concurrency: 50 })
      for (const [id, result] of results.entries()) {
        assert.deepInclude(result, { id, square: id * id })
        assert.include(["first", "second"], result.worker)
      }
      assert.deepStrictEqual(sorted(ledger.began()), ids(1000))
      assert.deepStrictEqual(sorted(ledger.ended()), ids(1000))
      assert.deepStrictEqual(ledger.workers(), new Set(["first", "second"]))
      assert.deepStrictEqual(yield* docket.store.depth, { queued: 0, scheduled: 0, running: 0 })

      const error = yield* Effect.flip((yield* docket.add(Refuse, { id: 7 })).result)
      assert(error._tag === "Refused")
      assert.strictEqual(error.id, 7)
    })
  )

  it.effect("RED-01, CHS-01 when a worker is killed half-way, another one runs what it held", () =>
    Effect.gen(function* () {
      const redis = yield* RedisServer
      const ledger = yield* makeLedger
      const { docket, env } = yield* makeDocket(redis)
      const executions = yield* docket.addAll(squares(400, 20))
      const options = { env, ledger, lease: "2 seconds" }
      const first = yield* startWorker({ ...options, name: "first" })
      yield* startWorker({ ...options, name: "second" })
      yield* ledger.untilEnded(150)
      yield* first.kill("SIGKILL")
      yield* Effect.forEach(executions, ({ result }) => result, { concurrency: 50 })
      assert.deepStrictEqual(sorted([...new Set(ledger.ended())]), ids(400))
      // What is run again is at most what the killed worker held.
      assert.isAtMost(ledger.began().length, 400 + 10)
      assert.deepStrictEqual(yield* docket.store.depth, { queued: 0, scheduled: 0, running: 0 })
    })
  )

  it.effect(
    "SHD-01, SHD-02, CHS-04 a worker that gets SIGTERM in the middle loses and repeats nothing, and exits with 0",
    () =>
      Effect.gen(function* () {
        const redis = yield* RedisServer
        const ledger = yield* makeLedger
        const { docket, env } = yield* makeDocket(redis)
        const executions = yield* docket.addAll(squares(400, 20))
        const first = yield* startCommand({ env, ledger, name: "first" })
        yield* ledger.untilEnded(100)
        yield* first.kill("SIGTERM")
        const { code, stderr, stdout } = yield* first.ended
        assert.strictEqual(code, 0, stderr)
        assert.include(stdout + stderr, "SIGTERM")
        assert.isBelow(ledger.ended().length, 400)
        assert.strictEqual(ledger.ended().length, ledger.began().length)

        yield* startCommand({ env, ledger, name: "second" })
        yield* Effect.forEach(executions, ({ result }) => result, { concurrency: 50 })
        assert.deepStrictEqual(sorted(ledger.began()), ids(400))
        assert.deepStrictEqual(sorted(ledger.ended()), ids(400))
      })
  )

  it.effect("SHD-01 an application that runs a worker as a layer stops like that as well", () =>
    Effect.gen(function* () {
      const redis = yield* RedisServer
      const ledger = yield* makeLedger
      const { docket, env } = yield* makeDocket(redis)
      yield* docket.addAll(squares(200, 20))
      const worker = yield* startWorker({ env, ledger, name: "embedded" })
      yield* ledger.untilEnded(50)
      yield* worker.kill("SIGTERM")
      assert.strictEqual((yield* worker.ended).signal, null)
      assert.strictEqual(ledger.ended().length, ledger.began().length)
      const { queued, running } = yield* docket.store.depth
      assert.strictEqual(running, 0)
      assert.strictEqual(queued, 200 - ledger.ended().length)
    })
  )

  it.effect(
    "REC-01, REC-03, REC-04, CHS-01 when Redis is stopped and started, the worker goes on, and nothing is lost",
    () =>
      Effect.gen(function* () {
        const redis = yield* RedisServer
        const ledger = yield* makeLedger
        const { docket, env } = yield* makeDocket(redis)
        const executions = yield* docket.addAll(squares(400, 20))
        const worker = yield* startWorker({ env, ledger, name: "only", lease: "5 seconds" })
        // These wait all along.
        const waiting = yield* Effect.forkChild(
          Effect.forEach(executions.slice(-20), patientResult, { concurrency: "unbounded" })
        )
        for (const [done, how] of [
          [100, redis.stop],
          [200, redis.kill]
        ] as const) {
          yield* ledger.untilEnded(done)
          yield* how
          yield* redis.start
        }
        const results = yield* Effect.forEach(executions, patientResult, { concurrency: 50 })
        assert.deepStrictEqual(
          results.map(({ id }) => id),
          ids(400)
        )
        assert.deepStrictEqual(
          (yield* Fiber.join(waiting)).map(({ id }) => id),
          ids(400).slice(-20)
        )
        assert.deepStrictEqual(sorted([...new Set(ledger.ended())]), ids(400))
        assert.deepStrictEqual(yield* docket.store.depth, { queued: 0, scheduled: 0, running: 0 })

        // CAN-09: it listens for cancellations again.
        const long = yield* docket.add(Square, { id: 400, millis: 600_000 })
        yield* waitUntil(
          "the long one runs",
          Effect.sync(() => ledger.began().includes(400))
        )
        yield* long.cancel
        assert.strictEqual((yield* Effect.flip(long.result))._tag, "TaskCancelled")
        yield* worker.kill("SIGTERM")
        yield* worker.ended
        assert.deepStrictEqual(ledger.workers(), new Set(["only"]))
      })
  )

  it.effect("CHS-03 the number of connections at the server does not grow with the work", () =>
    Effect.gen(function* () {
      const redis = yield* RedisServer
      const ledger = yield* makeLedger
      const untilConnections = (count: number) =>
        waitUntil(
          `there are ${count} connections`,
          Effect.map(connections(redis), (present) => present === count)
        )
      yield* untilConnections(0)
      const { docket, env } = yield* makeDocket(redis)
      const add = docket.addAll(squares(100, 1))
      const work = Effect.gen(function* () {
        yield* Effect.forEach(yield* add, patientResult, { concurrency: 20 })
      })
      yield* add
      // A process that only adds needs one.
      assert.strictEqual(yield* connections(redis), 1)
      // To wait for results takes a second one; a worker has one for commands, one to listen and one that blocks.
      const worker = yield* startWorker({ env, ledger, name: "only" })
      yield* work
      yield* untilConnections(5)
      for (let round = 0; round < 5; round++) yield* work
      yield* untilConnections(5)
      assert.strictEqual(yield* connections(redis), 5)

      yield* redis.stop
      yield* redis.start
      yield* Effect.retry(work, Schedule.spaced("50 millis"))
      yield* untilConnections(5)
      yield* work
      assert.strictEqual(yield* connections(redis), 5)

      yield* worker.kill("SIGTERM")
      yield* worker.ended
      yield* untilConnections(2)
    })
  )
})
