/** Which dockets are one, and which share nothing. */
import { assert, it } from "@effect/vitest"
import { Context, Effect, Layer, Option, Queue, Schema } from "effect"
import { TestClock } from "effect/testing"
import { Docket, Dockets, Task, TaskGroup, Worker } from "../src/index.ts"
import { onEveryStore, start, TestDocket } from "./support/dockets.ts"

const Work = Task.make("work", { payload: { text: Schema.String }, success: Schema.String, key: () => "k" })
const tasks = TaskGroup.make(Work)

const worker = (name: string) =>
  Worker.layer(tasks).pipe(
    Layer.provide(tasks.toLayer({ work: ({ text }) => Effect.succeed(`${text}, run for ${name}`) }))
  )

onEveryStore("Dockets", (it) => {
  it.effect("ISO-01 of different names share nothing: keys, executions, cancels, events and workers", () =>
    Effect.gen(function* () {
      const { open } = yield* TestDocket
      const orders = yield* open({ name: "orders" })
      const mails = yield* open({ name: "mails" })
      const order = yield* orders.add(Work, { text: "an order" })
      const mail = yield* mails.add(Work, { text: "a mail" })
      assert.strictEqual(order.disposition, "scheduled")
      assert.strictEqual(mail.disposition, "scheduled")

      const events = yield* mails.store.watch("k")
      yield* order.cancel
      const again = yield* orders.add(Work, { text: "another order" })
      yield* start(worker("orders")).pipe(Effect.provideService(Docket, orders))
      assert.strictEqual(yield* again.result, "another order, run for orders")
      assert.deepStrictEqual(yield* Queue.clear(events), [])
      assert.deepStrictEqual(yield* mails.store.depth, { queued: 1, scheduled: 0, running: 0 })

      yield* start(worker("mails")).pipe(Effect.provideService(Docket, mails))
      assert.strictEqual(yield* mail.result, "a mail, run for mails")
    })
  )

  it.effect("ISO-01 of one name and place are one, also when one's name begins with the other's", () =>
    Effect.gen(function* () {
      const { open } = yield* TestDocket
      const one = yield* open({ name: "orders" })
      const same = yield* open({ name: "orders" })
      const other = yield* open({ name: "orders:runs" })
      yield* one.add(Work, { text: "once" }, { delay: "1 hour" })
      assert.strictEqual((yield* same.add(Work, { text: "twice" })).disposition, "already-scheduled")
      assert(Option.isNone(yield* other.info("k")))
      yield* same.cancel("k")
      const info = yield* one.info("k")
      assert(Option.isSome(info))
      assert.strictEqual(info.value.state, "cancelled")
    })
  )
})

it.effect("MEM-01 a docket of a layer has data of its own, which end with the layer", () =>
  Effect.gen(function* () {
    const build = Effect.map(Layer.build(Layer.fresh(Docket.layerMemory)), Context.get(Docket))
    const [first, second] = [yield* build, yield* build]
    yield* first.add(Work, { text: "mine" }, { delay: "1 hour" })
    assert(Option.isNone(yield* second.info("k")))
    yield* Effect.scoped(Effect.flatMap(build, (docket) => docket.add(Work, { text: "soon gone" })))
    assert(Option.isNone(yield* (yield* build).info("k")))
  })
)

it.effect(
  "MEM-02 equal memory URLs share their data, different ones do not, and names separate dockets within one",
  () =>
    Effect.gen(function* () {
      const open = (url: string, name?: string) => Dockets.make({ url, name })
      const docket = yield* open("memory://here/a")
      yield* docket.add(Work, { text: "mine" }, { delay: "1 hour" })
      assert(Option.isSome(yield* (yield* open("memory://here/a")).info("k")))
      for (const other of [
        yield* open("memory://here/b"),
        yield* open("memory://there/a"),
        yield* open("memory://"),
        yield* open("memory://here/a", "another")
      ]) {
        assert(Option.isNone(yield* other.info("k")))
      }
    })
)

it.effect("MEM-01 the data of a memory URL are there until the last that opened it is closed", () =>
  Effect.gen(function* () {
    const open = Dockets.make({ url: "memory://for-a-while" })
    yield* Effect.scoped(
      Effect.gen(function* () {
        const docket = yield* open
        yield* Effect.scoped(Effect.flatMap(open, (other) => other.add(Work, { text: "kept" }, { delay: "1 hour" })))
        assert(Option.isSome(yield* docket.info("k")))
      })
    )
    assert(Option.isNone(yield* (yield* open).info("k")))
  })
)

it.effect("MEM-01, MEM-03 nothing goes on after a memory docket and its workers are closed", () =>
  Effect.gen(function* () {
    const ran: Array<string> = []
    const handlers = tasks.toLayer({ work: ({ text }) => Effect.sync(() => (ran.push(text), text)) })
    yield* Effect.scoped(
      Effect.gen(function* () {
        yield* Layer.build(Worker.layer(tasks).pipe(Layer.provide(handlers)))
        yield* (yield* Docket).add(Work, { text: "never" }, { delay: "1 hour" })
      }).pipe(Effect.provide(Docket.layerMemory))
    )
    yield* TestClock.adjust("1 day")
    assert.deepStrictEqual(ran, [])
  })
)
