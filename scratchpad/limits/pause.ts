/**
 * Pausing a task, and the whole docket: `node scratchpad/limits/pause.ts`. In memory, nothing to install; it ends by itself.
 *
 * What is paused is scheduled as usual and waits; what runs already goes on.
 */
import { Effect, Layer, Logger, Schema } from "effect"
import { Docket, Task, TaskGroup, Worker } from "../../src/index.ts"
import { tell } from "./tell.ts"

const Mail = Task.make("mail", { payload: { to: Schema.String }, key: ({ to }) => `mail-${to}` })
const Bill = Task.make("bill", { payload: { to: Schema.String }, key: ({ to }) => `bill-${to}` })

const tasks = TaskGroup.make(Mail, Bill)

const HandlersLive = tasks.toLayer({
  mail: ({ to }) => tell(`mail to ${to}`),
  bill: ({ to }) => tell(`bill for ${to}`)
})

const program = Effect.gen(function* () {
  const docket = yield* Docket
  yield* tell("mail is paused")
  yield* docket.pause(Mail)
  for (const to of ["Ada", "Bo"]) {
    yield* docket.add(Mail, { to })
    yield* docket.add(Bill, { to })
  }
  yield* Effect.sleep("100 millis")
  yield* tell((yield* docket.explain("mail-Ada")).message)

  yield* tell("everything is paused")
  yield* docket.pause()
  yield* docket.add(Bill, { to: "Cy" })
  yield* docket.resume(Mail)
  yield* Effect.sleep("100 millis")
  const { scheduled } = yield* docket.snapshot()
  yield* tell(`${scheduled} wait`)

  yield* tell("all goes on")
  yield* docket.resume()
  yield* Effect.sleep("100 millis")
})

const WorkerLive = Worker.layer(tasks).pipe(
  Layer.provide(HandlersLive),
  Layer.provideMerge(Docket.layerMemory),
  // The worker logs all it does; this program tells the story itself.
  Layer.provide(Logger.layer([]))
)

program.pipe(Effect.provide([WorkerLive, Logger.layer([])]), Effect.runPromise)
