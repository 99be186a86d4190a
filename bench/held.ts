/**
 * What waiting behind a limit costs: the commands that Redis sees in ten seconds, and the CPU time it uses, from four idle
 * workers, while 0, 1,000 and 100,000 executions wait for the one slot of a concurrency limit, which a run holds.
 *
 *     node bench/held.ts
 */
import { Console, Effect, Latch, Layer, Logger, Schema } from "effect"
import { setTimeout as sleep } from "node:timers/promises"
import { Docket, Task, TaskGroup, Worker } from "../src/index.ts"
import * as RedisServer from "../test/support/RedisServer.ts"
import { observe, total } from "./server.ts"

const Hold = Task.make("hold", { payload: { id: Schema.Int }, concurrency: { limit: 1 } })
const tasks = TaskGroup.make(Hold)

const seconds = 10

const program = Effect.gen(function* () {
  const { url } = yield* RedisServer.make()
  const server = yield* Effect.promise(() => observe(url))
  const gate = yield* Latch.make(false)
  const docketLayer = Docket.layer({ url, name: "held" })
  yield* Effect.gen(function* () {
    const docket = yield* Docket
    const handlers = tasks.toLayer({ hold: () => gate.await })
    const worker = Worker.layer(tasks, { shutdownTimeout: 0 }).pipe(Layer.provide(handlers))
    for (let n = 0; n < 4; n++) yield* Layer.build(Layer.fresh(worker))
    yield* docket.add(Hold, { id: 0 })
    let waiting = 0
    for (const count of [0, 1_000, 100_000]) {
      const before = yield* Effect.promise(server.usedMemory)
      const added = count - waiting
      while (waiting < count) {
        const requests = Array.from({ length: Math.min(5_000, count - waiting) }, (_, i) =>
          Task.request(Hold, { id: waiting + i + 1 })
        )
        yield* docket.addAll(requests)
        waiting += requests.length
      }
      yield* docket.store.depth.pipe(
        Effect.repeat({ until: ({ queued, scheduled }) => queued === 0 && scheduled === waiting })
      )
      const after = yield* Effect.promise(server.usedMemory)
      yield* Effect.sleep("3 seconds")
      const cpu = yield* Effect.promise(server.cpuMicros)
      const { insideScripts, sent } = yield* Effect.promise(() => server.commandsDuring(() => sleep(seconds * 1000)))
      const used = (yield* Effect.promise(server.cpuMicros)) - cpu
      yield* Console.log(
        `${String(count).padStart(7)} wait: ${(total(sent) / seconds).toFixed(1)} commands a second, ` +
          `${(insideScripts / seconds).toFixed(1)} within scripts, ${(used / seconds / 1000).toFixed(2)} ms of CPU` +
          (added === 0 ? "" : `; ${Math.round((after - before) / added)} bytes each`)
      )
    }
    const info = yield* docket.snapshot({ limit: 1 })
    yield* Console.log(`${info.scheduled} wait, ${info.runningTotal} runs`)
  }).pipe(Effect.scoped, Effect.provide([docketLayer, Logger.layer([])]))
  server.close()
})

Effect.runPromise(Effect.scoped(program))
