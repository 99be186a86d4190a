/**
 * One alarm in two seconds for each machine, the others are dropped: `node scratchpad/limits/cooldown.ts`. In memory,
 * nothing to install; it ends by itself.
 */
import { Effect, Layer, Logger, Schema } from "effect"
import { Docket, Task, TaskGroup, Worker } from "../../src/index.ts"
import { tell } from "./tell.ts"

const Alarm = Task.make("alarm", {
  payload: { machine: Schema.String, celsius: Schema.Int },
  key: ({ celsius, machine }) => `${machine} at ${celsius}`,
  cooldown: { window: "2 seconds", by: ({ machine }) => machine }
})

const tasks = TaskGroup.make(Alarm)

const HandlersLive = tasks.toLayer({ alarm: ({ celsius, machine }) => tell(`${machine} is at ${celsius} °C`) })

const program = Effect.gen(function* () {
  const docket = yield* Docket
  for (const celsius of [90, 93, 97, 101, 104]) {
    yield* docket.add(Alarm, { machine: "press", celsius })
    if (celsius === 93) yield* docket.add(Alarm, { machine: "oven", celsius: 300 })
    yield* Effect.sleep("600 millis")
  }
  yield* tell((yield* docket.explain("press at 93")).message)
})

const WorkerLive = Worker.layer(tasks).pipe(
  Layer.provide(HandlersLive),
  Layer.provideMerge(Docket.layerMemory),
  // The worker logs all it does; this program tells the story itself.
  Layer.provide(Logger.layer([]))
)

program.pipe(Effect.provide([WorkerLive, Logger.layer([])]), Effect.runPromise)
