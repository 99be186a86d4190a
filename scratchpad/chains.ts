/**
 * Chains: a task that schedules what comes after it. `node scratchpad/chains.ts`. In memory, nothing to install; it ends
 * by itself.
 *
 * Each step is an execution of its own, with its own retries, and may run on another worker; what is done stays done.
 */
import { Clock, Console, Effect, Layer, Logger, Schema } from "effect"
import { CurrentDocket, CurrentExecution, Docket, Retry, Task, TaskGroup, TaskKey, Worker } from "../src/index.ts"

const retry = Retry.linear({ attempts: 3, delay: "200 millis" })

// One step after the other, each under a key made of the order's number.
const Charge = Task.make("charge", { payload: { order: Schema.Int }, key: ({ order }) => `charge-${order}`, retry })
const Pack = Task.make("pack", { payload: { order: Schema.Int }, key: ({ order }) => `pack-${order}`, retry })
const Ship = Task.make("ship", { payload: { order: Schema.Int }, key: ({ order }) => `ship-${order}`, retry })

// One page after the other under one key: each page replaces the key with the next one.
const Crawl = Task.make("crawl", { payload: { page: Schema.Int }, key: () => "crawl" })

const tasks = TaskGroup.make(Charge, Pack, Ship, Crawl)

const HandlersLive = tasks.toLayer({
  charge: Effect.fnUntraced(function* ({ order }) {
    yield* tell(`charge   order ${order}`)
    // Added again by a further attempt, the key is found taken: no step is taken twice.
    yield* (yield* CurrentDocket).add(Pack, { order })
  }),
  pack: Effect.fnUntraced(function* ({ order }) {
    const { attempt } = yield* CurrentExecution
    yield* tell(`pack     order ${order}, attempt ${attempt}`)
    if (order === 2 && attempt === 1) return yield* Effect.die(new Error("out of boxes"))
    yield* (yield* CurrentDocket).add(Ship, { order }, { delay: "500 millis" })
  }),
  ship: ({ order }) => tell(`ship     order ${order}`),
  crawl: Effect.fnUntraced(function* ({ page }) {
    yield* tell(`crawl    page ${page}, under the key "${yield* TaskKey}"`)
    if (page < 3) yield* (yield* CurrentDocket).replace(Crawl, { page: page + 1 }, { delay: "300 millis" })
  })
})

const program = Effect.gen(function* () {
  const docket = yield* Docket
  yield* docket.addAll([Task.request(Charge, { order: 1 }), Task.request(Charge, { order: 2 })])
  yield* docket.add(Crawl, { page: 1 })
  yield* Worker.runUntilFinished(tasks)
  yield* tell("all done")
})

const tell = Effect.fnUntraced(function* (text: string) {
  const elapsed = (yield* Clock.currentTimeMillis) - start
  yield* Console.log(`${(elapsed / 1000).toFixed(1)} s  ${text}`)
})

const start = Effect.runSync(Clock.currentTimeMillis)

program.pipe(
  Effect.provide([HandlersLive.pipe(Layer.provideMerge(Docket.layerMemory)), Logger.layer([])]),
  Effect.runPromise
)
