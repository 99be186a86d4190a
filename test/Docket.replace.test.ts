/** Replacing what a key holds. */
import { assert } from "@effect/vitest"
import { Effect, Fiber, Latch, Layer, Queue, Schema } from "effect"
import { CurrentDocket, CurrentExecution, Docket, Task, TaskGroup, Worker } from "../src/index.ts"
import { beginning, infoOf, onEveryStore, pass, start, stateOf } from "./support/dockets.ts"
import { waitUntil } from "./support/waitUntil.ts"

const Remind = Task.make("remind", {
  payload: { text: Schema.String },
  success: Schema.String,
  key: () => "reminder"
})
const Other = Task.make("other")
const tasks = TaskGroup.make(Remind, Other)

/** Handlers that report what they run. */
const reporting = Effect.gen(function* () {
  const ran = yield* Queue.unbounded<string>()
  const handlers = tasks.toLayer({
    remind: ({ text }) => Effect.as(Queue.offer(ran, text), text),
    other: () => Queue.offer(ran, "other")
  })
  return { ran, worker: Worker.layer(tasks).pipe(Layer.provide(handlers)) }
})

onEveryStore("Docket.replace", (it) => {
  it.effect("DSP-02, RPL-03 replacing a free key schedules it", () =>
    Effect.gen(function* () {
      const { ran, worker } = yield* reporting
      const docket = yield* Docket
      const execution = yield* docket.replace(Remind, { text: "new" })
      assert.strictEqual(execution.disposition, "scheduled")
      yield* start(worker)
      assert.strictEqual(yield* execution.result, "new")
      // A settled key is free as well.
      const again = yield* docket.replace(Remind, { text: "newer" })
      assert.strictEqual(again.disposition, "scheduled")
      assert.strictEqual(yield* again.result, "newer")
      assert.deepStrictEqual(yield* Queue.takeAll(ran), ["new", "newer"])
    })
  )

  it.effect("RPL-01 only the replacement runs, once, when the old one was due", () =>
    Effect.gen(function* () {
      const { ran, worker } = yield* reporting
      const docket = yield* Docket
      yield* docket.add(Remind, { text: "old" })
      const execution = yield* docket.replace(Remind, { text: "new" })
      assert.strictEqual(execution.disposition, "replaced")
      yield* start(worker)
      assert.strictEqual(yield* execution.result, "new")
      const last = yield* docket.add(Other)
      yield* last.result
      assert.deepStrictEqual(yield* Queue.takeAll(ran), ["new", "other"])
    })
  )

  it.effect("RPL-01, RPL-02 only the replacement runs when it comes before the old one's time", () =>
    Effect.gen(function* () {
      const { ran, worker } = yield* reporting
      yield* start(worker)
      const docket = yield* Docket
      yield* docket.add(Remind, { text: "old" }, { when: beginning + 7_200_000 })
      const execution = yield* docket.replace(Remind, { text: "new" }, { when: beginning + 3_600_000 })
      assert.strictEqual(execution.disposition, "replaced")
      yield* pass("1 hour")
      assert.strictEqual(yield* execution.result, "new")
      yield* pass("2 hours")
      assert.deepStrictEqual(yield* Queue.takeAll(ran), ["new"])
    })
  )

  it.effect("RPL-01, RPL-02 only the replacement runs when it comes after the old one's time", () =>
    Effect.gen(function* () {
      const { ran, worker } = yield* reporting
      yield* start(worker)
      const docket = yield* Docket
      yield* docket.add(Remind, { text: "old" }, { when: beginning + 3_600_000 })
      const execution = yield* docket.replace(Remind, { text: "new" }, { when: beginning + 7_200_000 })
      yield* pass("90 minutes")
      assert.strictEqual(yield* stateOf("reminder"), "scheduled")
      yield* pass("30 minutes")
      assert.strictEqual(yield* execution.result, "new")
      assert.deepStrictEqual(yield* Queue.takeAll(ran), ["new"])
    })
  )

  it.effect("RPL-01 the replacement may be another task", () =>
    Effect.gen(function* () {
      const { ran, worker } = yield* reporting
      const docket = yield* Docket
      yield* docket.add(Remind, { text: "old" })
      const execution = yield* docket.replace(Other, {}, { key: "reminder" })
      assert.strictEqual((yield* infoOf("reminder")).task, "other")
      yield* start(worker)
      yield* execution.result
      assert.deepStrictEqual(yield* Queue.takeAll(ran), ["other"])
    })
  )

  it.effect("RPL-05, RPL-06, GEN-01 a replaced schedule goes on under the new payload, and is not cancelled", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      const old = yield* docket.add(Remind, { text: "old" }, { delay: "1 hour" })
      const { generation } = yield* infoOf("reminder")
      const events = yield* docket.store.watch("reminder")
      yield* docket.replace(Remind, { text: "new" }, { delay: "2 hours" })
      yield* docket.replace(Remind, { text: "newer" })

      const info = yield* infoOf("reminder")
      assert.deepInclude(info, { state: "queued", attempt: 1, error: undefined })
      assert.deepStrictEqual(JSON.parse(info.encodedPayload), { text: "newer" })
      assert.strictEqual(info.generation, generation + 2)
      const states = (yield* Queue.takeN(events, 2)).map((event) => event._tag === "Changed" && event.state)
      assert.deepStrictEqual(states, ["scheduled", "queued"])

      // Whoever waited for the old one gets what its key ends with.
      const waiting = yield* Effect.forkChild(old.result)
      yield* start((yield* reporting).worker)
      assert.strictEqual(yield* Fiber.join(waiting), "newer")
    })
  )

  it.effect("RPL-04, GEN-03 a replacement of a running key runs beside it, and keeps its record", () =>
    Effect.gen(function* () {
      const started = yield* Queue.unbounded<string>()
      const ended = yield* Queue.unbounded<string>()
      const gates = { old: yield* Latch.make(), new: yield* Latch.make() }
      const handlers = tasks.toLayer({
        remind: Effect.fnUntraced(function* ({ text }) {
          yield* Queue.offer(started, text)
          yield* gates[text as "old" | "new"].await
          yield* Queue.offer(ended, text)
          return text
        }),
        other: () => Effect.void
      })
      yield* start(Worker.layer(tasks).pipe(Layer.provide(handlers)))
      const docket = yield* Docket
      yield* docket.add(Remind, { text: "old" })
      assert.strictEqual(yield* Queue.take(started), "old")
      const events = yield* docket.store.watch("reminder")

      const replacement = yield* docket.replace(Remind, { text: "new" })
      assert.strictEqual(replacement.disposition, "replaced")
      assert.strictEqual(yield* Queue.take(started), "new")
      const { generation } = yield* infoOf("reminder")

      // The older run ends while the newer one goes on.
      yield* gates.old.open
      assert.strictEqual(yield* Queue.take(ended), "old")
      while (true) {
        const event = yield* Queue.take(events)
        assert(event._tag === "Changed")
        if (event.state !== "completed") continue
        assert.isBelow(event.generation, generation)
        break
      }
      assert.strictEqual(yield* stateOf("reminder"), "running")
      assert.deepStrictEqual(JSON.parse((yield* infoOf("reminder")).encodedPayload), { text: "new" })

      yield* gates.new.open
      assert.strictEqual(yield* replacement.result, "new")
    })
  )

  it.effect("RPL-04 a replacement of a running key waits for its own time", () =>
    Effect.gen(function* () {
      const started = yield* Queue.unbounded<string>()
      const gate = yield* Latch.make()
      const handlers = tasks.toLayer({
        remind: ({ text }) => Effect.as(Effect.andThen(Queue.offer(started, text), gate.await), text),
        other: () => Effect.void
      })
      yield* start(Worker.layer(tasks).pipe(Layer.provide(handlers)))
      const docket = yield* Docket
      const old = yield* docket.add(Remind, { text: "old" })
      assert.strictEqual(yield* Queue.take(started), "old")
      const waiting = yield* Effect.forkChild(old.result)
      yield* pass("1 second")
      const replacement = yield* docket.replace(Remind, { text: "new" }, { delay: "1 hour" })
      yield* gate.open
      const last = yield* docket.add(Other)
      yield* last.result
      assert.strictEqual(yield* stateOf("reminder"), "scheduled")

      yield* pass("1 hour")
      assert.strictEqual(yield* replacement.result, "new")
      assert.deepStrictEqual(yield* Queue.takeAll(started), ["new"])
      // A handle is about its own run, whose result was not kept (SCH-20).
      assert.strictEqual((yield* Effect.flip(Fiber.join(waiting)))._tag, "ResultNotKept")
    })
  )

  it.effect("RPL-07 a handler that replaces its own key makes a chain that loses and doubles no link", () =>
    Effect.gen(function* () {
      const Link = Task.make("link", { payload: { n: Schema.Int }, key: () => "chain" })
      const chain = TaskGroup.make(Link)
      const links: Array<number> = []
      const handlers = chain.toLayer({
        link: Effect.fnUntraced(function* ({ n }) {
          links.push(n)
          if (n === 40) return
          const docket = yield* CurrentDocket
          yield* docket.replace(Link, { n: n + 1 }, n % 4 === 3 ? { delay: "1 minute" } : {})
        })
      })
      // Several workers, any of which may run a link while the one before it still ends.
      const worker = Worker.layer(chain).pipe(Layer.provide(handlers))
      yield* Effect.all([start(worker), start(worker), start(worker)])
      const docket = yield* Docket
      const execution = yield* docket.add(Link, { n: 1 })
      const waiting = yield* Effect.forkChild(execution.result)
      for (let i = 0; i < 40 && links.length < 40; i++) yield* pass("1 minute")
      // A handle is about its own run, whose result was not kept (SCH-20).
      assert.strictEqual((yield* Effect.flip(Fiber.join(waiting)))._tag, "ResultNotKept")
      yield* waitUntil(
        "the last link has run",
        Effect.sync(() => links.length === 40)
      )
      assert.deepStrictEqual(
        links,
        Array.from({ length: 40 }, (_, i) => i + 1)
      )
    })
  )

  it.effect("GEN-01 each schedule of a key has a higher generation, which its handler can see", () =>
    Effect.gen(function* () {
      const Count = Task.make("count", { success: Schema.Int, key: () => "count" })
      const group = TaskGroup.make(Count)
      const handlers = group.toLayer({
        count: () => Effect.map(CurrentExecution, ({ generation }) => generation)
      })
      yield* start(Worker.layer(group).pipe(Layer.provide(handlers)))
      const docket = yield* Docket
      const first = yield* (yield* docket.add(Count)).result
      const second = yield* (yield* docket.add(Count)).result
      yield* docket.add(Count, {}, { delay: "1 hour" })
      const third = yield* (yield* docket.replace(Count)).result
      assert.strictEqual(first, 1)
      assert.strictEqual(second, 2)
      assert.strictEqual(third, 4)
    })
  )

  it.effect("a replace takes the key of the options before that of the task", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      yield* docket.add(Remind, { text: "mine" }, { delay: "1 hour" })
      const execution = yield* docket.replace(Remind, { text: "another" }, { key: "another", delay: "1 hour" })
      assert.strictEqual(execution.key, "another")
      assert.strictEqual(execution.disposition, "scheduled")
      assert.deepStrictEqual(JSON.parse((yield* infoOf("reminder")).encodedPayload), { text: "mine" })
    })
  )
})
