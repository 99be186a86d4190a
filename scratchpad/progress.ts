/**
 * How far an execution has come: `node scratchpad/progress.ts`. In memory, nothing to install; it ends by itself.
 *
 * The handler reports every file; the store, and whoever follows, sees ten reports a second and always the last one.
 */
import { Console, Effect, Layer, Logger, Schema, Stream } from "effect"
import { Docket, type ExecutionEvent, Progress, Task, TaskGroup, Worker } from "../src/index.ts"

const Import = Task.make("import", { payload: { files: Schema.Int }, success: Schema.String })
const tasks = TaskGroup.make(Import)

const HandlersLive = tasks.toLayer({
  import: Effect.fnUntraced(function* ({ files }) {
    const progress = yield* Progress
    yield* progress.setTotal(files)
    for (let file = 1; file <= files; file++) {
      if (file % 100 === 0) yield* Effect.sleep("30 millis")
      yield* progress.increment()
      yield* progress.setMessage(`file-${file}.csv`)
    }
    return `${files} files`
  })
})

const program = Effect.gen(function* () {
  const docket = yield* Docket
  const execution = yield* docket.add(Import, { files: 5000 })
  yield* Layer.build(Worker.layer(tasks))
  // Its present state first, then each change, to the end. Any process on the docket can do this, given the key.
  yield* Stream.runForEach(docket.execution(Import, execution.key).events, show)
  yield* Console.log(`imported ${yield* execution.result}`)
}).pipe(Effect.scoped)

const width = 40

const show = (event: ExecutionEvent) => {
  if (event._tag === "StateChanged") return Console.log(event.state)
  const done = Math.round((width * event.current) / event.total)
  const bar = "█".repeat(done) + "░".repeat(width - done)
  return Console.log(`  ${bar} ${event.current} of ${event.total} ${event.message ?? ""}`)
}

program.pipe(
  Effect.provide([HandlersLive.pipe(Layer.provideMerge(Docket.layerMemory)), Logger.layer([])]),
  Effect.runPromise
)
