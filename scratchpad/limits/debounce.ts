/**
 * A search index is rebuilt once nothing was edited for a second, and at the latest after three:
 * `node scratchpad/limits/debounce.ts`. In memory, nothing to install; it ends by itself.
 */
import { Effect, Layer, Logger, Schema } from "effect"
import { Docket, Task, TaskGroup, Worker } from "../../src/index.ts"
import { tell } from "./tell.ts"

const Rebuild = Task.make("rebuild", {
  payload: { index: Schema.String },
  debounce: { settle: "1 second", maximum: "3 seconds", by: ({ index }) => index }
})

const tasks = TaskGroup.make(Rebuild)

const HandlersLive = tasks.toLayer({ rebuild: ({ index }) => tell(`${index} is rebuilt`) })

const program = Effect.gen(function* () {
  const docket = yield* Docket
  const edit = Effect.fnUntraced(function* (index: string) {
    const { key } = yield* docket.add(Rebuild, { index })
    yield* tell(`${index} is edited`)
    return key
  })
  const first = yield* edit("articles")
  yield* Effect.sleep("500 millis")
  yield* edit("articles")
  yield* Effect.sleep("100 millis")
  yield* tell((yield* docket.explain(first)).message)
  yield* Effect.sleep("2 seconds")
  // A steady stream of edits does not keep it from being rebuilt.
  for (let n = 0; n < 9; n++) {
    yield* edit("comments")
    yield* Effect.sleep("500 millis")
  }
})

const WorkerLive = Worker.layer(tasks).pipe(
  Layer.provide(HandlersLive),
  Layer.provideMerge(Docket.layerMemory),
  // The worker logs all it does; this program tells the story itself.
  Layer.provide(Logger.layer([]))
)

program.pipe(Effect.provide([WorkerLive, Logger.layer([])]), Effect.runPromise)
