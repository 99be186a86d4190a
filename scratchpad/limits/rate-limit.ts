/**
 * At most two messages a second, and at most one in three seconds to the same person: `node scratchpad/limits/rate-limit.ts`.
 * In memory, nothing to install; it ends by itself.
 *
 * What is over a limit is due at the very moment at which a start leaves the window. With `onExceeded: "drop"` it would be
 * dropped instead.
 */
import { Effect, Layer, Logger, Schema } from "effect"
import { Docket, Task, TaskGroup, Worker } from "../../src/index.ts"
import { tell } from "./tell.ts"

const Send = Task.make("send", {
  payload: { to: Schema.String, text: Schema.String },
  key: ({ text, to }) => `${to}: ${text}`,
  rateLimit: [
    { limit: 2, per: "1 second" },
    { limit: 1, per: "3 seconds", by: ({ to }) => to }
  ]
})

const tasks = TaskGroup.make(Send)

const HandlersLive = tasks.toLayer({ send: ({ text, to }) => tell(`to ${to}: ${text}`) })

const program = Effect.gen(function* () {
  const docket = yield* Docket
  for (const to of ["Ada", "Bo", "Cy", "Di"]) yield* docket.add(Send, { to, text: "hello" })
  yield* docket.add(Send, { to: "Ada", text: "hello again" })
  yield* Effect.forkChild(
    Effect.gen(function* () {
      yield* Effect.sleep("100 millis")
      yield* tell((yield* docket.explain("Ada: hello again")).message)
    })
  )
  yield* Worker.runUntilFinished(tasks)
})

program.pipe(
  Effect.provide([HandlersLive.pipe(Layer.provideMerge(Docket.layerMemory)), Logger.layer([])]),
  Effect.runPromise
)
