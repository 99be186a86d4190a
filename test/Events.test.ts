/** Following executions: one of them, and all of a docket. */
import { assert } from "@effect/vitest"
import { Effect, Exit, Fiber, Latch, Layer, Queue, Schema, Stream } from "effect"
import {
  Docket,
  Dockets,
  type DocketError,
  type Execution,
  type ExecutionEvent,
  type FeedInterrupted,
  Perpetual,
  Progress,
  Retry,
  Task,
  TaskGroup,
  Worker
} from "../src/index.ts"
import { infoOf, onEveryStore, pass, start, stateOf, TestDocket } from "./support/dockets.ts"
import { changesIn, follow, passUntil, statesIn } from "./support/runs.ts"
import { waitUntil } from "./support/waitUntil.ts"

class Spilled extends Schema.TaggedError<Spilled>()("Spilled", { what: Schema.String }) {
  override get message() {
    return `the ${this.what} was spilled`
  }
}

const Brew = Task.make("brew", {
  payload: { what: Schema.String },
  success: Schema.String,
  error: Spilled,
  key: ({ what }) => what
})
const Again = Task.make("again", { perpetual: { every: 0 }, key: () => "again" })
const Later = Task.make("later", { error: Spilled, retry: Retry.linear({ attempts: 2, delay: "1 minute" }) })
const Single = Task.make("single", { payload: { what: Schema.String }, concurrency: { limit: 1 } })
const tasks = TaskGroup.make(Brew, Again, Later, Single)

/** A worker whose brews wait for a gate and then end as they are told. */
const makeKitchen = Effect.fnUntraced(function* (
  brew: Effect.Effect<string, Spilled | DocketError, Progress> = Effect.succeed("done")
) {
  const started = yield* Queue.unbounded<string>()
  const gate = yield* Latch.make()
  let runs = 0
  const handlers = tasks.toLayer({
    brew: ({ what }) => Effect.andThen(Queue.offer(started, what), Effect.andThen(gate.await, brew)),
    again: Effect.fnUntraced(function* () {
      if (++runs === 20) yield* (yield* Perpetual).cancel
    }),
    later: () => new Spilled({ what: "milk" }),
    single: ({ what }) => Effect.andThen(Queue.offer(started, what), gate.await)
  })
  return { started, gate, worker: Worker.layer(tasks, { name: "cook" }).pipe(Layer.provide(handlers)) }
})

/** Follows an execution, and gives its first event, after which nothing may be missed. */
const followOne = Effect.fnUntraced(function* <A, E>(execution: Execution<A, E>) {
  const events = yield* follow(execution.events)
  return { first: yield* Queue.take(events), events }
})

/** Follows a docket, and returns when the feed is live. */
const followAll = Effect.fnUntraced(function* (docket: Docket["Service"]) {
  const events: Array<ExecutionEvent | FeedInterrupted> = []
  yield* Effect.forkScoped(Stream.runForEach(docket.events, (event) => Effect.sync(() => events.push(event))))
  const of = (key: string) =>
    events.filter((event): event is ExecutionEvent => event._tag !== "FeedInterrupted" && event.key === key)
  let probes = 0
  yield* waitUntil(
    "the feed is live",
    Effect.gen(function* () {
      const probe = yield* docket.addNamed("probe", {}, { key: `probe-${++probes}`, delay: "1 day" })
      yield* probe.cancel
      yield* Effect.yieldNow
      return events.length > 0
    })
  )
  return { events, of }
})

const never = 8.64e15

onEveryStore("The events of an execution", (it) => {
  it.effect("CON-04 tell that it waits for a slot, after it was due, and that it is due again", () =>
    Effect.gen(function* () {
      const { gate, started, worker } = yield* makeKitchen()
      const docket = yield* Docket
      yield* docket.add(Single, { what: "first" }, { key: "first" })
      const second = yield* docket.add(Single, { what: "second" }, { key: "second" })
      const { events, first } = yield* followOne(second)
      yield* start(worker)
      yield* Queue.take(started)
      const waits = yield* Queue.take(events)
      yield* gate.open
      const all = [first, waits]
      while (statesIn(all).at(-1) !== "completed") all.push(yield* Queue.take(events))
      assert.deepStrictEqual(statesIn(all), ["queued", "scheduled", "queued", "running", "completed"])
    })
  )

  it.effect("EVT-05, TTL-04 with a time to live of 0 end with it, also when its key is added again at once", () =>
    Effect.gen(function* () {
      const docket = yield* (yield* TestDocket).open({ executionTtl: 0 })
      const { gate, worker } = yield* makeKitchen()
      let isEnded = false
      // Added again before whoever follows it looks.
      const again = Effect.orDie(docket.add(Brew, { what: "tea" }, { delay: "1 hour" }))
      const store = {
        ...docket.store,
        read: (keys: ReadonlyArray<string>) => Effect.andThen(isEnded ? again : Effect.void, docket.store.read(keys))
      }
      const watching = yield* Dockets.fromStore(store, { executionTtl: 0 })
      yield* start(worker).pipe(Effect.provideService(Docket, docket))
      yield* docket.add(Brew, { what: "tea" })
      const events = yield* Effect.forkChild(Stream.runCollect(watching.execution(Brew, "tea").events))
      yield* pass("1 second")
      isEnded = true
      yield* gate.open
      assert.strictEqual(statesIn(yield* Fiber.join(events)).at(-1), "completed")
      yield* docket.clear
    })
  )

  it.effect("EVT-01 begin with its present state, and its present progress while it runs", () =>
    Effect.gen(function* () {
      const { gate, started, worker } = yield* makeKitchen(
        Effect.gen(function* () {
          const { setMessage, setTotal } = yield* Progress
          yield* setTotal(3)
          yield* setMessage("boiling")
          return yield* Effect.never
        })
      )
      const docket = yield* Docket
      const execution = yield* docket.add(Brew, { what: "tea" }, { delay: "1 minute" })
      const waiting = yield* followOne(execution)
      assert.deepInclude(waiting.first, { _tag: "StateChanged", key: "tea", task: "brew", state: "scheduled" })

      yield* start(worker)
      yield* passUntil("10 seconds", Queue.take(started))
      const early = yield* followOne(execution)
      assert.deepInclude(early.first, { _tag: "StateChanged", state: "running", worker: "cook" })
      assert.deepInclude(yield* Queue.take(early.events), {
        _tag: "ProgressChanged",
        key: "tea",
        current: 0,
        total: 100,
        message: undefined,
        updated: undefined
      })

      yield* gate.open
      yield* pass("1 second")
      yield* waitUntil(
        "it has reported",
        Effect.map(infoOf("tea"), ({ progress }) => progress?.message === "boiling")
      )
      const late = yield* followOne(execution)
      assert.deepInclude(late.first, { _tag: "StateChanged", state: "running" })
      const progress = yield* Queue.take(late.events)
      assert.deepInclude(progress, { _tag: "ProgressChanged", key: "tea", current: 0, total: 3, message: "boiling" })
      yield* execution.cancel
    })
  )

  it.effect("EVT-02, EVT-03 tell a whole life: each state once and in order, with what belongs to it", () =>
    Effect.gen(function* () {
      const { gate, worker } = yield* makeKitchen(
        Effect.gen(function* () {
          yield* (yield* Progress).increment(30)
          return "done"
        })
      )
      yield* start(worker)
      yield* gate.open
      const docket = yield* Docket
      const execution = yield* docket.add(Brew, { what: "tea" }, { delay: "1 hour" })
      const { events: rest, first } = yield* followOne(execution)
      yield* pass("59 minutes", 2)
      yield* passUntil("10 seconds", execution.result)
      const events: Array<ExecutionEvent> = [first]
      while (statesIn(events).at(-1) !== "completed") events.push(yield* Queue.take(rest))
      const [scheduled, queued, running, completed, ...others] = changesIn(events)
      assert.deepStrictEqual(others, [])
      assert(scheduled !== undefined && queued !== undefined && running !== undefined && completed !== undefined)
      const { completed: completedAt, due, started } = yield* infoOf("tea")
      assert(started !== undefined && completedAt !== undefined)
      const nothing = { due: undefined, worker: undefined, started: undefined, completed: undefined, error: undefined }
      const whose = { _tag: "StateChanged", key: "tea", task: "brew" } as const
      assert.deepStrictEqual(scheduled, { ...whose, ...nothing, state: "scheduled", due })
      assert.deepStrictEqual(queued, { ...whose, ...nothing, state: "queued", due })
      assert.deepStrictEqual(running, { ...whose, ...nothing, state: "running", worker: "cook", started })
      assert.deepStrictEqual(completed, {
        ...whose,
        ...nothing,
        state: "completed",
        worker: "cook",
        started,
        completed: completedAt
      })
      const reported = events.filter((event) => event._tag === "ProgressChanged")
      assert.strictEqual(reported.at(-1)?.current, 30)
      // Progress comes while it runs.
      assert.deepStrictEqual(events.at(-1), completed)
      assert.isBelow(events.indexOf(running), events.indexOf(reported[0]!))
    })
  )

  it.effect("EVT-02 tell the error of a failure, and no error otherwise", () =>
    Effect.gen(function* () {
      const { gate, started, worker } = yield* makeKitchen(Effect.fail(new Spilled({ what: "tea" })))
      yield* start(worker)
      const docket = yield* Docket
      const execution = yield* docket.add(Brew, { what: "tea" })
      yield* Queue.take(started)
      const collected = yield* Effect.forkChild(Stream.runCollect(execution.events))
      yield* gate.open
      const events = changesIn(yield* Fiber.join(collected))
      const failed = events.at(-1)
      assert.deepInclude(failed, { state: "failed", error: "Spilled: the tea was spilled" })
      assert.isDefined(failed?.completed)
      for (const event of events.slice(0, -1)) assert.isUndefined(event.error)
    })
  )

  for (const [state, end] of [
    ["completed", Effect.succeed("done")],
    ["failed", Effect.fail(new Spilled({ what: "tea" }))],
    ["cancelled", Effect.interrupt]
  ] as const) {
    it.effect(`EVT-04 of what is ${state} already are its final state, at once`, () =>
      Effect.gen(function* () {
        const { gate, worker } = yield* makeKitchen(end)
        yield* start(worker)
        yield* gate.open
        const docket = yield* Docket
        const execution = yield* docket.add(Brew, { what: "tea" })
        yield* Effect.exit(execution.result)
        const elsewhere = yield* (yield* TestDocket).open()
        for (const { events } of [execution, elsewhere.execution(Brew, "tea")]) {
          const all = yield* Stream.runCollect(events)
          const info = yield* infoOf("tea")
          assert.deepStrictEqual(all, [
            {
              _tag: "StateChanged",
              key: "tea",
              task: "brew",
              state,
              due: undefined,
              worker: info.worker,
              started: info.started,
              completed: info.completed,
              error: state === "failed" ? "Spilled: the tea was spilled" : undefined
            }
          ])
        }
      })
    )
  }

  it.effect("are none for a key that nobody scheduled", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      assert.deepStrictEqual(yield* Stream.runCollect(docket.execution(Brew, "nobody").events), [])
    })
  )

  it.effect("EVT-05 lose nothing between the first and the live ones, whenever one begins to follow", () =>
    Effect.gen(function* () {
      const { gate, worker } = yield* makeKitchen()
      yield* gate.open
      yield* start(worker)
      const docket = yield* Docket
      const elsewhere = yield* (yield* TestDocket).open()
      const order = ["queued", "running", "completed"]
      yield* Effect.forEach(
        Array.from({ length: 60 }, (_, i) => `tea-${i}`),
        Effect.fnUntraced(function* (what, i) {
          yield* docket.add(Brew, { what })
          for (let n = 0; n < i % 12; n++) yield* Effect.yieldNow
          const all = yield* Stream.runCollect(elsewhere.execution(Brew, what).events)
          const states = statesIn(all)
          assert.deepStrictEqual(states, order.slice(order.indexOf(states[0]!)))
        }),
        { concurrency: 6 }
      )
    })
  )

  it.effect("EVT-05 lose nothing of a key whose runs follow each other at once, and end when it stops", () =>
    Effect.gen(function* () {
      const { worker } = yield* makeKitchen()
      const docket = yield* Docket
      const execution = yield* docket.add(Again)
      const { events, first } = yield* followOne(execution)
      assert.deepInclude(first, { state: "queued" })
      yield* start(worker)
      const rest = yield* Queue.takeN(events, 59)
      const life = ["queued", "running", "completed"]
      assert.deepStrictEqual(
        statesIn([first, ...rest]),
        Array.from({ length: 20 }).flatMap(() => life)
      )
    })
  )

  it.effect("end with the execution, and those of one that recurs with its last run", () =>
    Effect.gen(function* () {
      const { gate, worker } = yield* makeKitchen()
      yield* gate.open
      const docket = yield* Docket
      const once = yield* docket.add(Brew, { what: "tea" })
      const again = yield* docket.add(Again)
      const both = yield* Effect.forkChild(
        Effect.all([Stream.runCollect(once.events), Stream.runCollect(again.events)], { concurrency: 2 })
      )
      yield* start(worker)
      const [brewed, recurred] = yield* Fiber.join(both)
      assert.strictEqual(statesIn(brewed).at(-1), "completed")
      assert.strictEqual(statesIn(recurred).at(-1), "completed")
      assert.strictEqual(yield* stateOf("again"), "completed")
    })
  )

  it.effect("CAN-07 tell of a cancellation, once, whether or not it had begun", () =>
    Effect.gen(function* () {
      const { started, worker } = yield* makeKitchen()
      const docket = yield* Docket
      const waits = yield* docket.add(Brew, { what: "tea" }, { delay: "1 hour" })
      const waiting = yield* followOne(waits)
      yield* waits.cancel
      yield* waits.cancel
      assert.deepStrictEqual(statesIn([waiting.first, yield* Queue.take(waiting.events)]), ["scheduled", "cancelled"])

      yield* start(worker)
      const runs = yield* docket.add(Brew, { what: "coffee" })
      yield* Queue.take(started)
      const running = yield* Effect.forkChild(Stream.runCollect(runs.events))
      yield* runs.cancel
      yield* runs.cancel
      const states = statesIn(yield* Fiber.join(running))
      assert.strictEqual(states.filter((state) => state === "cancelled").length, 1)
      assert.strictEqual(states.at(-1), "cancelled")
    })
  )

  it.effect("RPL-05 tell of no cancellation when it is replaced, but of its new schedule", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      const execution = yield* docket.add(Brew, { what: "tea" }, { delay: "1 hour" })
      const { events, first } = yield* followOne(execution)
      yield* docket.replace(Brew, { what: "tea" }, { delay: "2 hours" })
      yield* docket.replace(Brew, { what: "tea" })
      assert.deepStrictEqual(statesIn([first, ...(yield* Queue.takeN(events, 2))]), [
        "scheduled",
        "scheduled",
        "queued"
      ])
    })
  )

  it.effect("EVT-06 of a retry after a delay are scheduled and queued, never failed before the last", () =>
    Effect.gen(function* () {
      const { worker } = yield* makeKitchen()
      const docket = yield* Docket
      const execution = yield* docket.add(Later)
      const { events, first } = yield* followOne(execution)
      yield* start(worker)
      yield* Effect.flip(passUntil("30 seconds", execution.result))
      assert.deepStrictEqual(statesIn([first, ...(yield* Queue.takeN(events, 5))]), [
        "queued",
        "running",
        "scheduled",
        "queued",
        "running",
        "failed"
      ])
    })
  )

  it.effect("of many executions arrive each where they belong", () =>
    Effect.gen(function* () {
      const { gate, worker } = yield* makeKitchen()
      yield* gate.open
      const docket = yield* Docket
      const all = yield* docket.addAll(
        Array.from({ length: 40 }, (_, i) => Task.request(Brew, { what: `tea-${i}` }, { delay: "1 minute" }))
      )
      const followed = yield* Effect.forEach(all, followOne)
      yield* start(worker)
      yield* passUntil(
        "10 seconds",
        Effect.forEach(all, ({ result }) => result)
      )
      for (const [i, { events, first }] of followed.entries()) {
        const rest = yield* Queue.takeN(events, 3)
        assert.deepStrictEqual(statesIn([first, ...rest]), ["scheduled", "queued", "running", "completed"])
        for (const event of rest) assert.strictEqual(event.key, `tea-${i}`)
      }
    })
  )
})

onEveryStore("The events of a docket", (it) => {
  it.effect("are the changes of all its executions, from when one begins to follow", () =>
    Effect.gen(function* () {
      const { gate, worker } = yield* makeKitchen(
        Effect.gen(function* () {
          const { setTotal, sync } = yield* Progress
          yield* setTotal(7)
          yield* Effect.orDie(sync)
          return "done"
        })
      )
      yield* gate.open
      const docket = yield* Docket
      const before = yield* docket.add(Brew, { what: "before" }, { when: never })
      const { events, of } = yield* followAll(docket)
      yield* start(worker)
      const elsewhere = yield* (yield* TestDocket).open()
      const now = yield* elsewhere.add(Brew, { what: "now" })
      const later = yield* docket.add(Brew, { what: "later" }, { delay: "1 minute" })
      const failing = yield* docket.add(Later, {}, { key: "failing" })
      yield* passUntil(
        "10 seconds",
        Effect.all([now.result, later.result, Effect.flip(failing.result)], { concurrency: "unbounded" })
      )
      yield* before.cancel
      yield* waitUntil(
        "the last event",
        Effect.sync(() => of("before").length > 0)
      )
      assert.deepStrictEqual(statesIn(of("before")), ["cancelled"])
      assert.deepStrictEqual(statesIn(of("now")), ["queued", "running", "completed"])
      assert.deepStrictEqual(statesIn(of("later")), ["scheduled", "queued", "running", "completed"])
      assert.deepStrictEqual(statesIn(of("failing")), ["queued", "running", "scheduled", "queued", "running", "failed"])
      assert(of("now").some((event) => event._tag === "ProgressChanged" && event.total === 7))
      assert.strictEqual(changesIn(of("now")).at(-1)?.task, "brew")
      assert(events.every(({ _tag }) => _tag !== "FeedInterrupted"))
    })
  )

  it.effect("ISO-01 are not those of another docket", () =>
    Effect.gen(function* () {
      const { gate, worker } = yield* makeKitchen()
      yield* gate.open
      yield* start(worker)
      const docket = yield* Docket
      const other = yield* (yield* TestDocket).open({ name: "another" })
      const here = yield* followAll(docket)
      const there = yield* followAll(other)
      yield* (yield* docket.add(Brew, { what: "tea" })).result
      yield* waitUntil(
        "the end is heard of",
        Effect.sync(() => statesIn(here.of("tea")).includes("completed"))
      )
      assert.deepStrictEqual(there.of("tea"), [])
    })
  )

  it.effect("go on for as long as one follows, and end with it", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      const exit = yield* Effect.exit(
        Stream.runDrain(docket.events).pipe(Effect.timeout("1 second"), (wait) => passUntil(100, wait))
      )
      assert(Exit.isFailure(exit))
    })
  )
})
