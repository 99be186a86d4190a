/** What handlers can ask for, and when it is made and released. */
import { assert } from "@effect/vitest"
import { Context, Effect, Fiber, Latch, Layer, Metric, Queue, Schema, type Scope } from "effect"
import {
  CurrentDocket,
  CurrentExecution,
  CurrentWorker,
  Docket,
  Task,
  TaskGroup,
  TaskKey,
  Worker
} from "../src/index.ts"
import { infoOf, onEveryStore, start, stateOf } from "./support/dockets.ts"

const First = Task.make("first", { payload: { id: Schema.Int }, success: Schema.String })
const Second = Task.make("second", { success: Schema.String })
const tasks = TaskGroup.make(First, Second)

/** A service that counts how often it is made, and says so when it is released. */
class Database extends Context.Service<Database, { readonly serial: number }>()("test/Database") {}
class Pool extends Context.Service<Pool, { readonly serial: number }>()("test/Pool") {}

const makeResources = () => {
  const log: Array<string> = []
  const made = { Database: 0, Pool: 0 }
  const PoolLive = Layer.effect(
    Pool,
    Effect.acquireRelease(
      Effect.sync(() => (log.push("pool made"), { serial: ++made.Pool })),
      () => Effect.sync(() => void log.push("pool released"))
    )
  )
  const DatabaseLive = Layer.effect(
    Database,
    Effect.andThen(
      Pool,
      Effect.acquireRelease(
        Effect.sync(() => (log.push("database made"), { serial: ++made.Database })),
        () => Effect.sync(() => void log.push("database released"))
      )
    )
  ).pipe(Layer.provideMerge(PoolLive))
  return { log, made, DatabaseLive }
}

onEveryStore("A handler", (it) => {
  it.effect("CTX-01 can ask for its docket, worker, execution and key", () =>
    Effect.gen(function* () {
      const handlers = tasks.toLayer({
        first: Effect.fnUntraced(function* ({ id }) {
          const docket = yield* CurrentDocket
          const worker = yield* CurrentWorker
          const { key, task } = yield* CurrentExecution
          if (id > 0) yield* docket.add(First, { id: id - 1 }, { key: `first-${id - 1}` })
          return `${docket.name === (yield* CurrentDocket).name} ${worker.name} ${task} ${key} ${yield* TaskKey}`
        }),
        second: () => Effect.succeed("")
      })
      yield* start(Worker.layer(tasks, { name: "ada" }).pipe(Layer.provide(handlers)))
      const docket = yield* Docket
      const execution = yield* docket.add(First, { id: 1 }, { key: "first-1" })
      assert.strictEqual(yield* execution.result, "true ada first first-1 first-1")
      assert.strictEqual(yield* docket.execution(First, "first-0").result, "true ada first first-0 first-0")
    })
  )

  it.effect("CTX-02 has its scope released in reverse order, however it ends, before the end is known", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      for (const [how, state] of [
        [Effect.succeed("done"), "completed"],
        [Effect.die("boom"), "failed"],
        [Effect.interrupt, "cancelled"]
      ] as const) {
        const log: Array<string> = []
        const resource = (name: string) =>
          Effect.acquireRelease(
            Effect.sync(() => void log.push(`${name} acquired`)),
            (_, exit) => Effect.sync(() => void log.push(`${name} released: ${exit._tag}`))
          )
        const handlers = tasks.toLayer({
          first: Effect.fnUntraced(function* () {
            yield* resource("a")
            yield* resource("b")
            return yield* how
          }),
          second: () => Effect.succeed("")
        })
        const worker = yield* start(Worker.layer(tasks).pipe(Layer.provide(handlers)))
        const execution = yield* docket.add(First, { id: 1 })
        yield* Effect.exit(execution.result)
        assert.strictEqual(yield* stateOf(execution.key), state)
        const tag = state === "completed" ? "Success" : "Failure"
        assert.deepStrictEqual(log, ["a acquired", "b acquired", `b released: ${tag}`, `a released: ${tag}`])
        yield* worker.stop
      }
    })
  )

  it.effect("CTX-02 has its scope released when it is cancelled", () =>
    Effect.gen(function* () {
      const log: Array<string> = []
      const started = yield* Latch.make()
      const handlers = tasks.toLayer({
        first: Effect.fnUntraced(function* () {
          yield* Effect.addFinalizer(() => Effect.sync(() => void log.push("a")))
          yield* Effect.addFinalizer(() => Effect.sync(() => void log.push("b")))
          yield* started.open
          return yield* Effect.never
        }),
        second: () => Effect.succeed("")
      })
      yield* start(Worker.layer(tasks).pipe(Layer.provide(handlers)))
      const docket = yield* Docket
      const execution = yield* docket.add(First, { id: 1 })
      yield* started.await
      yield* execution.cancel
      yield* Effect.flip(execution.result)
      assert.deepStrictEqual(log, ["b", "a"])
    })
  )

  it.effect("CTX-03, SHD-06 shares layers, made once for the worker and released after its last execution", () =>
    Effect.gen(function* () {
      const { DatabaseLive, log, made } = makeResources()
      const started = yield* Latch.make()
      const gate = yield* Latch.make()
      const handlers = tasks.toLayer({
        first: Effect.fnUntraced(function* ({ id }) {
          const { serial } = yield* Database
          if (id === 9) {
            yield* started.open
            yield* gate.await
            log.push("the last execution ended")
          }
          return `database ${serial}, pool ${(yield* Pool).serial}`
        }),
        second: () => Effect.map(Database, ({ serial }) => `database ${serial}`)
      })
      const worker = yield* start(Worker.layer(tasks).pipe(Layer.provide(handlers), Layer.provide(DatabaseLive)))
      const docket = yield* Docket
      const executions = yield* Effect.forEach([1, 2, 3], (id) => docket.add(First, { id }))
      for (const { result } of executions) assert.strictEqual(yield* result, "database 1, pool 1")
      assert.strictEqual(yield* (yield* docket.add(Second)).result, "database 1")

      yield* docket.add(First, { id: 9 })
      yield* started.await
      const stopping = yield* Effect.forkChild(worker.stop)
      yield* gate.open
      yield* Fiber.join(stopping)
      assert.deepStrictEqual(made, { Database: 1, Pool: 1 })
      assert.deepStrictEqual(log, [
        "pool made",
        "database made",
        "the last execution ended",
        "database released",
        "pool released"
      ])
    })
  )

  it.effect("CTX-03 shares what its layer makes from an effect, and that may use the docket", () =>
    Effect.gen(function* () {
      let made = 0
      const handlers = tasks.toLayer(
        Effect.gen(function* () {
          const docket = yield* Docket
          const serial = ++made
          return tasks.of({
            first: ({ id }) => Effect.succeed(`${serial}: ${id}`),
            second: Effect.fnUntraced(function* () {
              const execution = yield* docket.add(First, { id: 7 })
              return execution.disposition ?? ""
            })
          })
        })
      )
      yield* start(Worker.layer(tasks).pipe(Layer.provide(handlers)))
      const docket = yield* Docket
      for (const id of [1, 2]) assert.strictEqual(yield* (yield* docket.add(First, { id })).result, `1: ${id}`)
      assert.strictEqual(yield* (yield* docket.add(Second)).result, "scheduled")
    })
  )

  it.effect("CTX-03 has layers of its own in each worker", () =>
    Effect.gen(function* () {
      const { DatabaseLive, made } = makeResources()
      const handlers = tasks.toLayer({
        first: () => Effect.map(Database, ({ serial }) => `database ${serial}`),
        second: () => Effect.succeed("")
      })
      const worker = Worker.layer(tasks).pipe(Layer.provide(handlers), Layer.provide(DatabaseLive))
      const docket = yield* Docket
      for (const serial of [1, 2]) {
        const { stop } = yield* start(worker)
        const execution = yield* docket.add(First, { id: serial })
        assert.strictEqual(yield* execution.result, `database ${serial}`)
        yield* stop
      }
      assert.deepStrictEqual(made, { Database: 2, Pool: 2 })
    })
  )

  it.effect("CTX-04 has a scope of its own, which is one for all parts of an execution", () =>
    Effect.gen(function* () {
      const scopes = yield* Queue.unbounded<Scope.Scope>()
      const released = yield* Queue.unbounded<number>()
      const gates = [yield* Latch.make(), yield* Latch.make()]
      const part = Effect.flatMap(Effect.scope, (scope) => Queue.offer(scopes, scope))
      const handlers = tasks.toLayer({
        first: Effect.fnUntraced(function* ({ id }) {
          yield* Effect.addFinalizer(() => Queue.offer(released, id))
          yield* Effect.all([part, part], { concurrency: "unbounded" })
          yield* gates[id]!.await
          return "done"
        }),
        second: () => Effect.succeed("")
      })
      yield* start(Worker.layer(tasks).pipe(Layer.provide(handlers)))
      const docket = yield* Docket
      const [first, second] = yield* docket.addAll([Task.request(First, { id: 0 }), Task.request(First, { id: 1 })])
      assert.strictEqual(new Set(yield* Queue.takeN(scopes, 4)).size, 2)
      yield* gates[0]!.open
      yield* first.result
      assert.deepStrictEqual(yield* Queue.takeAll(released), [0])
      yield* gates[1]!.open
      yield* second.result
      assert.deepStrictEqual(yield* Queue.takeAll(released), [1])
    })
  )

  it.effect("DEP-03 that succeeds but whose finalizer dies has failed, and nobody sees it completed", () =>
    Effect.gen(function* () {
      const handlers = tasks.toLayer({
        first: Effect.fnUntraced(function* () {
          yield* Effect.addFinalizer(() => Effect.die(new Error("the disk is full")))
          return "done"
        }),
        second: () => Effect.succeed("")
      })
      const docket = yield* Docket
      const events = yield* docket.store.watch("k")
      const execution = yield* docket.add(First, { id: 1 }, { key: "k" })
      yield* start(Worker.layer(tasks).pipe(Layer.provide(handlers)))
      const error = yield* Effect.flip(execution.result)
      assert(error._tag === "TaskFailed")
      assert.strictEqual(error.error, "Error: the disk is full")
      const states = (yield* Queue.takeN(events, 3)).map((event) => event._tag === "Changed" && event.state)
      assert.deepStrictEqual(states, ["queued", "running", "failed"])
    })
  )

  it.effect("DEP-04 that succeeds but whose finalizer dies counts once, as one that failed", () =>
    Effect.gen(function* () {
      const handlers = tasks.toLayer({
        first: ({ id }) =>
          id === 0
            ? Effect.as(
                Effect.addFinalizer(() => Effect.die("late")),
                ""
              )
            : Effect.succeed(""),
        second: () => Effect.succeed("")
      })
      yield* Effect.gen(function* () {
        yield* start(Worker.layer(tasks).pipe(Layer.provide(handlers)))
        const docket = yield* Docket
        for (const id of [0, 1]) yield* Effect.exit((yield* docket.add(First, { id })).result)
        const counts: Record<string, number> = {}
        for (const { id, state } of yield* Metric.snapshot) {
          if (id.startsWith("docket_tasks_") && "count" in state) counts[id] = Number(state.count)
        }
        assert.deepInclude(counts, {
          docket_tasks_started: 2,
          docket_tasks_completed: 2,
          docket_tasks_succeeded: 1,
          docket_tasks_failed: 1
        })
      }).pipe(Effect.provideService(Metric.MetricRegistry, new Map()))
    })
  )

  it.effect("DEP-01 that fails, and whose finalizers die too, has an error that names them all", () =>
    Effect.gen(function* () {
      const handlers = tasks.toLayer({
        first: Effect.fnUntraced(function* () {
          yield* Effect.addFinalizer(() => Effect.die(new RangeError("the first to be acquired")))
          yield* Effect.addFinalizer(() => Effect.die(new TypeError("the second to be acquired")))
          return yield* Effect.die(new Error("the handler"))
        }),
        second: () => Effect.succeed("")
      })
      yield* start(Worker.layer(tasks).pipe(Layer.provide(handlers)))
      const docket = yield* Docket
      yield* Effect.flip((yield* docket.add(First, { id: 1 }, { key: "k" })).result)
      const { error } = yield* infoOf("k")
      assert.include(error, "Error: the handler")
      assert.include(error, "RangeError: the first to be acquired")
      assert.include(error, "TypeError: the second to be acquired")
    })
  )

  it.effect("DEP-02 does not go on when something that it acquires fails, and what it had is released", () =>
    Effect.gen(function* () {
      const log: Array<string> = []
      const handlers = tasks.toLayer({
        first: Effect.fnUntraced(function* () {
          yield* Effect.acquireRelease(
            Effect.sync(() => void log.push("a acquired")),
            () => Effect.sync(() => void log.push("a released"))
          )
          yield* Effect.acquireRelease(Effect.die(new Error("no b")), () =>
            Effect.sync(() => void log.push("b released"))
          )
          log.push("ran")
          return "done"
        }),
        second: () => Effect.succeed("")
      })
      yield* start(Worker.layer(tasks).pipe(Layer.provide(handlers)))
      const docket = yield* Docket
      const execution = yield* docket.add(First, { id: 1 })
      const error = yield* Effect.flip(execution.result)
      assert(error._tag === "TaskFailed")
      assert.strictEqual(error.error, "Error: no b")
      assert.deepStrictEqual(log, ["a acquired", "a released"])
    })
  )

  it.effect("keeps what it forks to itself: that ends with it", () =>
    Effect.gen(function* () {
      const forked = yield* Latch.make()
      const ended = yield* Latch.make()
      const handlers = tasks.toLayer({
        first: Effect.fnUntraced(function* () {
          yield* forked.open.pipe(
            Effect.andThen(Effect.never),
            Effect.onInterrupt(() => ended.open),
            Effect.forkScoped
          )
          yield* forked.await
          return "done"
        }),
        second: () => Effect.succeed("")
      })
      yield* start(Worker.layer(tasks).pipe(Layer.provide(handlers)))
      const docket = yield* Docket
      yield* (yield* docket.add(First, { id: 1 })).result
      yield* ended.await
    })
  )
})
