import { hostname } from "node:os"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Metric, Schema } from "effect"
import { TestClock } from "effect/testing"
import { Docket, Dockets, Perpetual, Retry, Task, TaskGroup, Worker } from "../src/index.ts"
import * as Faults from "./support/faults.ts"

const Good = Task.make("good", { payload: { n: Schema.Int }, key: ({ n }) => `good-${n}` })
const Bad = Task.make("bad", { error: Schema.String, retry: Retry.linear({ attempts: 2 }) })
const Tick = Task.make("tick", { perpetual: { every: "1 minute" }, key: () => "tick" })
const tasks = TaskGroup.make(Good, Bad, Tick)

const HandlersLive = Layer.unwrap(
  Effect.sync(() => {
    let ticks = 0
    return tasks.toLayer({
      good: () => Effect.sleep("250 millis"),
      bad: () => Effect.fail("no"),
      tick: Effect.fnUntraced(function* () {
        if (++ticks === 2) yield* (yield* Perpetual).cancel
      })
    })
  })
)

/** A docket in memory, and a registry that nobody else counts in. */
const Fresh = Docket.layerMemory.pipe(Layer.provideMerge(Layer.sync(Metric.MetricRegistry, () => new Map())))

/** The state of a metric, by the values of its labels other than docket and worker. */
const stateOf = Effect.fnUntraced(function* (name: string) {
  const states: Record<string, Metric.Metric.Snapshot["state"]> = {}
  for (const { attributes, id, state } of yield* Metric.snapshot) {
    if (id !== name) continue
    const { "docket.name": _name, "docket.worker": _worker, unit: _unit, ...labels } = attributes ?? {}
    states[Object.values(labels).join(" ")] = state
  }
  return states
})

const countOf = (name: string) =>
  Effect.map(stateOf(name), (states) =>
    Object.fromEntries(
      Object.entries(states).map(([labels, state]) => [labels, "count" in state ? state.count : state])
    )
  )

describe("Metrics", () => {
  it.effect("MET-01 MET-02 count what is asked of a docket", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      yield* docket.add(Good, { n: 1 })
      yield* docket.add(Good, { n: 1 })
      yield* docket.addAll([Task.request(Good, { n: 3 }), Task.request(Bad)])
      yield* docket.replace(Good, { n: 1 })
      yield* docket.replace(Good, { n: 2 })
      yield* docket.cancel("good-1")
      yield* docket.execution(Good, "unknown").cancel
      assert.deepStrictEqual(yield* countOf("docket_tasks_added"), { good: 3, bad: 1 })
      assert.deepStrictEqual(yield* countOf("docket_tasks_replaced"), { good: 2 })
      assert.deepStrictEqual(yield* countOf("docket_tasks_scheduled"), { good: 4, bad: 1 })
      assert.deepStrictEqual(yield* countOf("docket_tasks_cancelled"), { "": 3 })
    }).pipe(Effect.provide(Fresh))
  )

  it.effect(
    "MET-03 MET-05 MET-06 MET-10 RTY-10 PER-10 DEP-04 count the runs of users' tasks, how long they took and how late they were",
    () =>
      Effect.gen(function* () {
        const docket = yield* Docket
        yield* docket.add(Good, { n: 1 })
        yield* TestClock.adjust("2 seconds")
        yield* docket.addAll([Task.request(Bad), Task.request(Tick)])
        const worker = yield* Effect.forkChild(Worker.runUntilFinished(tasks))
        yield* TestClock.adjust("5 minutes")
        yield* Fiber.join(worker)
        assert.deepStrictEqual(yield* countOf("docket_tasks_started"), { good: 1, bad: 2, tick: 2 })
        assert.deepStrictEqual(yield* countOf("docket_tasks_completed"), { good: 1, bad: 2, tick: 2 })
        assert.deepStrictEqual(yield* countOf("docket_tasks_succeeded"), { good: 1, tick: 2 })
        assert.deepStrictEqual(yield* countOf("docket_tasks_failed"), { bad: 2 })
        assert.deepStrictEqual(yield* countOf("docket_tasks_retried"), { bad: 1 })
        assert.deepStrictEqual(yield* countOf("docket_tasks_perpetuated"), { tick: 1 })
        assert.deepStrictEqual(yield* stateOf("docket_tasks_running"), {
          good: { value: 0 },
          bad: { value: 0 },
          tick: { value: 0 }
        })
        const { good: took } = yield* stateOf("docket_task_duration")
        assert(took !== undefined && "sum" in took)
        assert.deepStrictEqual([took.count, took.sum], [1, 0.25])
        const { good: late } = yield* stateOf("docket_task_punctuality")
        assert(late !== undefined && "sum" in late)
        assert.deepStrictEqual([late.count, late.sum], [1, 2])
      }).pipe(Effect.provide([HandlersLive, Fresh]))
  )

  it.effect("MET-04 count what strikes refuse, and runs whose key was scheduled anew, by where that was noticed", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      yield* docket.add(Good, { n: 1 }, { delay: "1 minute" })
      yield* docket.strike({ task: "good", field: "n", operator: "==", value: 1 })
      yield* docket.add(Good, { n: 1 }, { key: "another" })
      yield* docket.add(Good, { n: 2 })
      yield* docket.add(Tick)
      const worker = yield* Effect.forkChild(Worker.runAtMost(tasks, { tick: 2 }))
      yield* TestClock.adjust(100)
      yield* docket.replace(Good, { n: 2 }, { delay: "2 minutes" })
      yield* TestClock.adjust("5 minutes")
      yield* Fiber.join(worker)
      assert.deepStrictEqual(yield* countOf("docket_tasks_stricken"), { "good docket": 1, "good worker": 1 })
      assert.deepStrictEqual(yield* countOf("docket_tasks_superseded"), { "good worker": 1 })
      assert.deepStrictEqual(yield* countOf("docket_tasks_perpetuated"), { tick: 1 })
    }).pipe(Effect.provide([HandlersLive, Fresh]))
  )

  it.effect("MET-07 MET-08 count lost connections and strikes, and tell what waits with each heartbeat", () =>
    Effect.gen(function* () {
      const memory = yield* Docket
      const faults = Faults.make(memory.store)
      const docket = yield* Dockets.fromStore({
        ...faults.store,
        // A docket in memory needs no heartbeats.
        open: (options) => Effect.map(faults.store.open(options), (session) => ({ ...session, needsHeartbeat: true }))
      })
      yield* Effect.gen(function* () {
        yield* docket.strike({ task: "good", field: "n", operator: "==", value: 1 })
        yield* docket.addNamed("unknown", {})
        yield* docket.add(Good, { n: 2 }, { delay: "1 day" })
        yield* Worker.make(tasks, { shutdownTimeout: 0 })
        yield* TestClock.adjust("3 seconds")
        assert.deepStrictEqual(yield* stateOf("docket_queue_depth"), { "": { value: 1 } })
        assert.deepStrictEqual(yield* stateOf("docket_schedule_depth"), { "": { value: 1 } })
        assert.deepStrictEqual(yield* stateOf("docket_strikes_in_effect"), { "": { value: 1 } })
        // However many calls fail, it is one outage.
        faults.setAway(true)
        yield* TestClock.adjust("20 seconds")
        faults.setAway(false)
        yield* TestClock.adjust("20 seconds")
        assert.deepStrictEqual(yield* countOf("docket_redis_disruptions"), { "": 1 })
      }).pipe(Effect.scoped, Effect.provideService(Docket, docket))
    }).pipe(Effect.provide([HandlersLive, Fresh]))
  )

  it.effect("MET-09 no label has unbounded values", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      yield* docket.add(Good, { n: 77 })
      const worker = yield* Effect.forkChild(Worker.runUntilFinished(tasks, { name: "w" }))
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(worker)
      const labels = (yield* Metric.snapshot)
        .filter(({ id }) => id.startsWith("docket_"))
        .flatMap(({ attributes }) => Object.entries(attributes ?? {}))
      assert.isAbove(labels.length, 0)
      for (const [name, value] of labels) {
        assert.include(["docket.name", "docket.worker", "docket.task", "docket.where", "unit"], name)
        assert.include(["docket", "w", "good", "docket", "worker", "on_complete", "s"], value)
      }
    }).pipe(Effect.provide([HandlersLive, Fresh]))
  )

  it.effect(
    "MET-09 names that no contract bounds share their series after some, and the worker's own tasks never do",
    () =>
      Effect.gen(function* () {
        const docket = yield* Docket
        for (let i = 0; i < 300; i++) yield* docket.addNamed(`tenant-${i}`, {})
        yield* docket.add(Good, { n: 1 })
        const fallback = () => Effect.void
        const worker = yield* Effect.forkChild(Worker.runUntilFinished(tasks, { fallback }))
        yield* TestClock.adjust("1 second")
        yield* Fiber.join(worker)
        const started = yield* countOf("docket_tasks_started")
        assert.strictEqual(started["good"], 1)
        assert.strictEqual(started["(other)"], 280)
        assert.strictEqual(Object.keys(started).length, 22)
        const added = yield* countOf("docket_tasks_added")
        assert.strictEqual(added["(other)"], 101)
        assert.strictEqual(Object.keys(added).length, 201)
      }).pipe(Effect.provide([HandlersLive, Fresh]))
  )

  it.effect("MET-03, MET-09 a worker without a name counts under its host's, whenever it starts", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      for (let n = 0; n < 3; n++) {
        yield* docket.add(Good, { n })
        const worker = yield* Effect.forkChild(Worker.runUntilFinished(tasks))
        yield* TestClock.adjust("1 second")
        yield* Fiber.join(worker)
      }
      const workers = (yield* Metric.snapshot).map(({ attributes }) => attributes?.["docket.worker"])
      assert.deepStrictEqual(new Set(workers.filter((name) => name !== undefined)), new Set([hostname()]))
      assert.deepStrictEqual(yield* countOf("docket_tasks_started"), { good: 3 })
    }).pipe(Effect.provide([HandlersLive, Fresh]))
  )

  it.effect("MET-06 durations say their unit to whatever exports them", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      yield* docket.add(Good, { n: 1 })
      const worker = yield* Effect.forkChild(Worker.runUntilFinished(tasks))
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(worker)
      const units = (yield* Metric.snapshot).flatMap(({ attributes, id, type }) =>
        type === "Histogram" ? [[id, attributes?.["unit"]]] : []
      )
      assert.sameDeepMembers(units, [
        ["docket_task_duration", "s"],
        ["docket_task_punctuality", "s"]
      ])
    }).pipe(Effect.provide([HandlersLive, Fresh]))
  )
})
