/** How workers share the work, and what they do with what their handlers do. */
import { assert, it } from "@effect/vitest"
import { Deferred, Effect, Latch, Layer, Queue, Schema } from "effect"
import { hostname } from "node:os"
import { CurrentWorker, Docket, Dockets, type DocketStore, Task, TaskGroup, Worker } from "../src/index.ts"
import { onEveryStore, pass, start, stateOf } from "./support/dockets.ts"

const Work = Task.make("work", { payload: { id: Schema.Int }, success: Schema.String })
const tasks = TaskGroup.make(Work)

const ids = (count: number) => Array.from({ length: count }, (_, i) => i)

const addAll = Effect.fnUntraced(function* (count: number, options?: Task.ScheduleOptions) {
  const docket = yield* Docket
  return yield* docket.addAll(ids(count).map((id) => Task.request(Work, { id }, options)))
})

/** Handlers that count how many of them run, and wait for a turn each. */
const makeCounting = Effect.gen(function* () {
  const started = yield* Queue.unbounded<number>()
  const turns = yield* Queue.unbounded<void>()
  let running = 0
  let most = 0
  const handlers = tasks.toLayer({
    work: ({ id }) =>
      Effect.acquireUseRelease(
        Effect.sync(() => {
          most = Math.max(most, ++running)
        }),
        () => Effect.as(Effect.andThen(Queue.offer(started, id), Queue.take(turns)), "done"),
        () => Effect.sync(() => running--)
      )
  })
  return { started, turns, handlers, most: () => most }
})

onEveryStore("Worker", (it) => {
  it.effect("WRK-01, WRK-05 a worker runs 10 executions at once, and no more", () =>
    Effect.gen(function* () {
      const { handlers, most, started, turns } = yield* makeCounting
      const worker = yield* start(Worker.layer(tasks).pipe(Layer.provide(handlers)))
      const executions = yield* addAll(35)
      yield* Queue.takeN(started, 10)
      yield* pass("1 minute")
      assert.strictEqual(yield* worker.running, 10)
      yield* Queue.offerAll(
        turns,
        ids(35).map(() => undefined)
      )
      yield* Effect.forEach(executions, ({ result }) => result)
      assert.strictEqual(most(), 10)
      assert.strictEqual(yield* worker.running, 0)
    })
  )

  for (const concurrency of [1, 2, 3, 7]) {
    it.effect(`WRK-01 a worker runs as many executions at once as it is told: ${concurrency}`, () =>
      Effect.gen(function* () {
        const { handlers, most, started, turns } = yield* makeCounting
        yield* start(Worker.layer(tasks, { concurrency }).pipe(Layer.provide(handlers)))
        const executions = yield* addAll(20)
        yield* Queue.takeN(started, concurrency)
        yield* Queue.offerAll(
          turns,
          ids(20).map(() => undefined)
        )
        yield* Effect.forEach(executions, ({ result }) => result)
        assert.strictEqual(most(), concurrency)
      })
    )
  }

  it.effect("WRK-01 a task that ends makes room for the next one at once", () =>
    Effect.gen(function* () {
      const { handlers, started, turns } = yield* makeCounting
      yield* start(Worker.layer(tasks, { concurrency: 2 }).pipe(Layer.provide(handlers)))
      yield* addAll(6)
      yield* Queue.takeN(started, 2)
      // Nobody moves the clock here, so no polling interval can be what the next one waits for.
      for (const _ of ids(4)) {
        yield* Queue.offer(turns, undefined)
        yield* Queue.take(started)
      }
      yield* Queue.offerAll(turns, [undefined, undefined])
    })
  )

  it.effect(
    "WRK-02 work is split between workers, each execution is run by one, and none is idle beside due work",
    () =>
      Effect.gen(function* () {
        const workers = new Set<string>()
        const ran: Array<number> = []
        const meeting = yield* Latch.make()
        const handlers = tasks.toLayer({
          work: Effect.fnUntraced(function* ({ id }) {
            const { name } = yield* CurrentWorker
            workers.add(name)
            ran.push(id)
            // Nobody goes on before all four workers have something to do.
            if (workers.size === 4) yield* meeting.open
            yield* meeting.await
            return name
          })
        })
        const worker = Worker.layer(tasks, { concurrency: 1 }).pipe(Layer.provide(handlers))
        yield* Effect.all([start(worker), start(worker), start(worker), start(worker)])
        const executions = yield* addAll(40)
        yield* Effect.forEach(executions, ({ result }) => result)
        assert.strictEqual(workers.size, 4)
        assert.deepStrictEqual(
          ran.toSorted((a, b) => a - b),
          ids(40)
        )
      })
  )

  it.effect("WRK-02 one that is added to idle workers is run by one of them, again and again", () =>
    Effect.gen(function* () {
      const ran: Array<number> = []
      const handlers = tasks.toLayer({ work: ({ id }) => Effect.sync(() => (ran.push(id), "done")) })
      const worker = Worker.layer(tasks).pipe(Layer.provide(handlers))
      yield* Effect.all([start(worker), start(worker), start(worker)])
      const docket = yield* Docket
      for (const id of ids(30)) yield* (yield* docket.add(Work, { id })).result
      assert.deepStrictEqual(ran, ids(30))
    })
  )

  it.effect("WRK-03 when all work is done, nothing is left of it", () =>
    Effect.gen(function* () {
      const { handlers, started, turns } = yield* makeCounting
      yield* start(Worker.layer(tasks).pipe(Layer.provide(handlers)))
      const docket = yield* Docket
      const executions = yield* addAll(25)
      yield* Queue.takeN(started, 10)
      assert.deepStrictEqual(yield* docket.store.depth, { queued: 15, scheduled: 0, running: 10 })
      yield* Queue.offerAll(
        turns,
        ids(25).map(() => undefined)
      )
      yield* Effect.forEach(executions, ({ result }) => result)
      assert.deepStrictEqual(yield* docket.store.depth, { queued: 0, scheduled: 0, running: 0 })
    })
  )

  it.effect("WRK-04 work that comes due is run once, however many workers move it", () =>
    Effect.gen(function* () {
      const ran: Array<number> = []
      const handlers = tasks.toLayer({ work: ({ id }) => Effect.sync(() => (ran.push(id), "done")) })
      const worker = Worker.layer(tasks).pipe(Layer.provide(handlers))
      yield* Effect.all([start(worker), start(worker), start(worker)])
      const executions = yield* addAll(250, { delay: "1 hour" })
      yield* pass("1 hour")
      yield* Effect.forEach(executions, ({ result }) => result)
      assert.deepStrictEqual(
        ran.toSorted((a, b) => a - b),
        ids(250)
      )
    })
  )

  it.effect("a worker runs what is due in the order in which it became due", () =>
    Effect.gen(function* () {
      const ran: Array<number> = []
      const handlers = tasks.toLayer({ work: ({ id }) => Effect.sync(() => (ran.push(id), "done")) })
      const docket = yield* Docket
      yield* docket.add(Work, { id: 3 }, { delay: "3 minutes" })
      yield* docket.add(Work, { id: 1 }, { delay: "1 minute" })
      yield* docket.add(Work, { id: 0 })
      yield* docket.add(Work, { id: 2 }, { delay: "2 minutes" })
      yield* pass("5 minutes")
      const last = yield* docket.add(Work, { id: 4 })
      yield* start(Worker.layer(tasks, { concurrency: 1 }).pipe(Layer.provide(handlers)))
      yield* last.result
      assert.deepStrictEqual(ran, ids(5))
    })
  )

  it.effect("WRK-07 a handler that fails, dies or is interrupted does not take its worker with it", () =>
    Effect.gen(function* () {
      const ends: ReadonlyArray<Effect.Effect<string, "no">> = [
        Effect.fail("no"),
        Effect.die(new Error("no")),
        Effect.interrupt,
        Effect.suspend(() => {
          throw new Error("no")
        }),
        Effect.succeed("yes")
      ]
      const Fragile = Task.make("fragile", {
        payload: { how: Schema.Int },
        success: Schema.String,
        error: Schema.Literal("no")
      })
      const group = TaskGroup.make(Fragile)
      const handlers = group.toLayer({
        fragile: ({ how }) => ends[how] ?? Effect.die("which?")
      })
      yield* start(Worker.layer(group, { concurrency: 1 }).pipe(Layer.provide(handlers)))
      const docket = yield* Docket
      const executions = yield* docket.addAll(ends.map((_, how) => Task.request(Fragile, { how }, { key: `k-${how}` })))
      assert.strictEqual(yield* executions[4]!.result, "yes")
      const states = yield* Effect.forEach(executions, ({ key }) => stateOf(key))
      assert.deepStrictEqual(states, ["failed", "failed", "cancelled", "failed", "completed"])
      assert.strictEqual(yield* Effect.flip(executions[0]!.result), "no")
    })
  )

  it.effect("WRK-07 a handler that throws before it makes an effect fails its execution, and nothing else", () =>
    Effect.gen(function* () {
      const handlers = tasks.toLayer({
        work: ({ id }) => {
          if (id === 0) throw new Error("thrown")
          return Effect.succeed("done")
        }
      })
      yield* start(Worker.layer(tasks).pipe(Layer.provide(handlers)))
      const [bad, good] = yield* addAll(2)
      const error = yield* Effect.flip(bad!.result)
      assert(error._tag === "TaskFailed")
      assert.strictEqual(error.error, "Error: thrown")
      assert.strictEqual(yield* good!.result, "done")
    })
  )

  it.effect("two groups make one, and one worker runs the tasks of both", () =>
    Effect.gen(function* () {
      const Other = Task.make("other", { success: Schema.Int })
      const others = TaskGroup.make(Other)
      const handlers = Layer.merge(
        tasks.toLayer({ work: () => Effect.succeed("done") }),
        others.toLayerHandler("other", () => Effect.succeed(7))
      )
      yield* start(Worker.layer(tasks.merge(others)).pipe(Layer.provide(handlers)))
      const docket = yield* Docket
      assert.strictEqual(yield* (yield* docket.add(Work, { id: 1 })).result, "done")
      assert.strictEqual(yield* (yield* docket.add(Other)).result, 7)
    })
  )
})

const named = (name?: string) =>
  Effect.map(
    start(Worker.layer(tasks, { name }).pipe(Layer.provide(tasks.toLayer({ work: () => Effect.succeed("done") })))),
    ({ name }) => name
  )

it.effect("WRK-06 a worker's own name tells its host and process, and no two workers share one", () =>
  Effect.gen(function* () {
    const [first, second] = [yield* named(), yield* named()]
    for (const name of [first, second]) {
      assert.include(name, hostname())
      assert.include(name, String(process.pid))
    }
    assert.notStrictEqual(first, second)
    assert.strictEqual(yield* named("ada"), "ada")
  }).pipe(Effect.provide(Docket.layerMemory))
)

it.effect("WRK-05 a worker that is told nothing has the documented defaults", () =>
  Effect.gen(function* () {
    const opened = yield* Deferred.make<DocketStore.WorkerOptions>()
    const docket = yield* Docket
    const store = {
      ...docket.store,
      open: (options: DocketStore.WorkerOptions) =>
        Effect.andThen(Deferred.succeed(opened, options), docket.store.open(options))
    }
    yield* named().pipe(Effect.provideService(Docket, yield* Dockets.fromStore(store)))
    const { leaseMillis, maxDeliveries, presenceMillis, tasks } = yield* Deferred.await(opened)
    assert.strictEqual(leaseMillis, 5 * 60_000)
    assert.strictEqual(maxDeliveries, 10)
    assert.strictEqual(presenceMillis, 5 * 2000)
    assert(tasks !== "any" && tasks.has("work"))
  }).pipe(Effect.provide(Docket.layerMemory))
)

it.effect("a worker with options that make no sense does not start", () =>
  Effect.gen(function* () {
    for (const options of [{ concurrency: 0 }, { concurrency: 1.5 }, { maxDeliveries: 0 }]) {
      const layer = Worker.layer(tasks, options).pipe(
        Layer.provide(tasks.toLayer({ work: () => Effect.succeed("done") }))
      )
      const error = yield* Effect.flip(start(layer))
      assert.strictEqual(error.reason._tag, "InvalidRequest")
    }
  }).pipe(Effect.provide(Docket.layerMemory))
)
