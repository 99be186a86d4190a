/** A worker with the options of the environment, as an application would run it. */
import { NodeRuntime } from "@effect/platform-node"
import { Config, Effect, Layer } from "effect"
import { DocketLive, Worker } from "../../../src/index.ts"
import { Handlers, tasks } from "./tasks.ts"

const WorkerLive = Layer.unwrap(
  Effect.gen(function* () {
    const name = yield* Config.String("WORKER_NAME")
    const concurrency = yield* Config.Int("WORKER_CONCURRENCY")
    const redeliveryTimeout = yield* Config.Duration("WORKER_LEASE")
    return Worker.layer(tasks, { name, concurrency, redeliveryTimeout, reconnectionDelay: "200 millis" })
  })
)

WorkerLive.pipe(Layer.provide(Handlers), Layer.provide(DocketLive), Layer.launch, NodeRuntime.runMain)
