/**
 * Strikes: `node scratchpad/limits/strikes.ts`. In memory, nothing to install; it ends by itself.
 *
 * A strike keeps matching executions from being scheduled and from running, in every process and at once, until it is
 * restored. With `hold` they wait instead.
 */
import { Effect, Layer, Logger, Schema } from "effect"
import { Docket, Task, TaskGroup, Worker } from "../../src/index.ts"
import { tell } from "./tell.ts"

const Charge = Task.make("charge", {
  payload: { customer: Schema.Int, cents: Schema.Int },
  key: ({ cents, customer }) => `${customer}-${cents}`
})

const tasks = TaskGroup.make(Charge)

const HandlersLive = tasks.toLayer({
  charge: ({ cents, customer }) => tell(`customer ${customer} is charged ${cents} cents`)
})

const program = Effect.gen(function* () {
  const docket = yield* Docket
  const charge = Effect.fnUntraced(function* (customer: number, cents: number) {
    const { disposition } = yield* docket.add(Charge, { customer, cents })
    yield* tell(`charging customer ${customer} ${cents} cents: ${disposition}`)
    yield* Effect.sleep("100 millis")
  })

  // The task's contract gives the strike its types: another field, or a text as its value, would not compile.
  yield* docket.strike({ task: Charge, field: "customer", value: 7 })
  yield* charge(7, 100)
  yield* charge(8, 100)

  yield* docket.strike({ task: Charge, field: "cents", operator: ">", value: 10_000, hold: true })
  yield* charge(8, 20_000)
  yield* tell((yield* docket.explain("8-20000")).message)

  for (const strike of yield* docket.strikes) yield* tell(`in force: ${strike}${strike.hold ? " (holds)" : ""}`)
  yield* docket.restore({ task: Charge, field: "cents", operator: ">", value: 10_000 })
  yield* docket.restore({ task: Charge, field: "customer", value: 7 })
  yield* Effect.sleep("100 millis")
  yield* charge(7, 100)
})

const WorkerLive = Worker.layer(tasks).pipe(
  Layer.provide(HandlersLive),
  Layer.provideMerge(Docket.layerMemory),
  // The worker logs all it does; this program tells the story itself.
  Layer.provide(Logger.layer([]))
)

program.pipe(Effect.provide([WorkerLive, Logger.layer([])]), Effect.runPromise)
