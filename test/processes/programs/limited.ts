/**
 * Tasks with concurrency limits of 1 to 5 for each value. Each run leaves a line in the ledger when it begins and one when
 * it ends; the order of the lines is that of the events, whichever process wrote them.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Config, Effect, Layer, Schema } from "effect"
import { appendFileSync } from "node:fs"
import { CurrentExecution, CurrentWorker, DocketLive, Task, TaskGroup, Worker } from "../../../src/index.ts"

const define = <const Name extends string>(name: Name, limit: number) =>
  Task.make(name, {
    payload: { id: Schema.Int, value: Schema.Int, millis: Schema.Int },
    concurrency: { limit, by: ({ value }) => value }
  })

/** The task with each limit, less one. */
export const limited = [
  define("limit1", 1),
  define("limit2", 2),
  define("limit3", 3),
  define("limit4", 4),
  define("limit5", 5)
] as const

const tasks = TaskGroup.make(...limited)

const write = (...words: ReadonlyArray<string | number>) =>
  Effect.sync(() => appendFileSync(process.env["LEDGER"]!, `${words.join(" ")}\n`))

const run = Effect.fnUntraced(function* ({ id, millis, value }: { id: number; millis: number; value: number }) {
  const { name } = yield* CurrentWorker
  const { task } = yield* CurrentExecution
  yield* write("began", id, name, task, value, performance.timeOrigin + performance.now())
  yield* Effect.sleep(millis)
  yield* write("ended", id, name, task, value, performance.timeOrigin + performance.now())
})

const Handlers = tasks.toLayer({ limit1: run, limit2: run, limit3: run, limit4: run, limit5: run })

const WorkerLive = Layer.unwrap(
  Effect.gen(function* () {
    const name = yield* Config.String("WORKER_NAME")
    const concurrency = yield* Config.Int("WORKER_CONCURRENCY")
    const redeliveryTimeout = yield* Config.Duration("WORKER_LEASE")
    return Worker.layer(tasks, { name, concurrency, redeliveryTimeout })
  })
)

if (process.argv[1] === import.meta.filename) {
  WorkerLive.pipe(Layer.provide(Handlers), Layer.provide(DocketLive), Layer.launch, NodeRuntime.runMain)
}
