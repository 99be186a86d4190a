/**
 * At most one report at a time for each customer: `node scratchpad/limits/concurrency.ts`. In memory, nothing to install;
 * it ends by itself.
 *
 * What finds the slot taken waits in the store, in order, and holds no slot of the worker: Bo's reports run beside Ada's.
 */
import { Effect, Layer, Logger, Schema } from "effect"
import { Docket, Task, TaskGroup, Worker } from "../../src/index.ts"
import { tell } from "./tell.ts"

const Report = Task.make("report", {
  payload: { customer: Schema.String, month: Schema.Int },
  key: ({ customer, month }) => `${customer}-${month}`,
  concurrency: { limit: 1, by: ({ customer }) => customer }
})

const tasks = TaskGroup.make(Report)

const HandlersLive = tasks.toLayer({
  report: Effect.fnUntraced(function* ({ customer, month }) {
    yield* tell(`${customer}, month ${month}: begins`)
    yield* Effect.sleep("500 millis")
    yield* tell(`${customer}, month ${month}: ends`)
  })
})

const program = Effect.gen(function* () {
  const docket = yield* Docket
  for (const month of [1, 2, 3]) {
    yield* docket.add(Report, { customer: "Ada", month })
    yield* docket.add(Report, { customer: "Bo", month })
  }
  yield* Effect.forkChild(
    Effect.gen(function* () {
      yield* Effect.sleep("100 millis")
      yield* tell((yield* docket.explain("Ada-3")).message)
    })
  )
  yield* Worker.runUntilFinished(tasks)
})

program.pipe(
  Effect.provide([HandlersLive.pipe(Layer.provideMerge(Docket.layerMemory)), Logger.layer([])]),
  Effect.runPromise
)
