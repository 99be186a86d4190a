import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Logger } from "effect"
import { type CommandCounts, type Counts, measureCounts } from "../../bench/counts.ts"
import { observe, total } from "../../bench/server.ts"
import { Docket, Dockets, Task, TaskGroup, Worker } from "../../src/index.ts"
import * as RedisServer from "../support/RedisServer.ts"

/**
 * What the docket asked of Redis 7.0 when this was recorded, with a little room: a round trip more or less depends on
 * which of two things happens first, and the memory on Redis' release. Whoever makes the docket ask for less lowers the
 * bounds; whoever makes it ask for more says in the commit why.
 */
const bounds: Counts = {
  enqueueConcurrent: { sent: 44, scriptCalls: 44, insideScripts: 3250 },
  enqueueBatch: { sent: 12, scriptCalls: 11, insideScripts: 3120 },
  processing: { sent: 95, scriptCalls: 80, insideScripts: 5850 },
  awaiting: { sent: 2400, scriptCalls: 320, insideScripts: 36_000 },
  bytesPerTask: 530
}

const assertWithin = (name: Exclude<keyof Counts, "bytesPerTask">, counts: Counts) => {
  for (const part of ["sent", "scriptCalls", "insideScripts"] satisfies ReadonlyArray<keyof CommandCounts>) {
    assert.isAtMost(counts[name][part], bounds[name][part], `${name}.${part}`)
  }
}

describe("What the docket asks of Redis for 1,000 tasks", () => {
  it.live("does not grow", () =>
    Effect.gen(function* () {
      const { url } = yield* RedisServer.make()
      const counts = yield* Effect.promise(() => measureCounts(url))
      assertWithin("enqueueConcurrent", counts)
      assertWithin("enqueueBatch", counts)
      assertWithin("processing", counts)
      assertWithin("awaiting", counts)
      assert.isAtMost(counts.bytesPerTask, bounds.bytesPerTask)
    })
  )
})

describe("What an idle fleet asks of Redis", () => {
  it.live("is at most three commands a second for each worker, its heartbeat included, and little within scripts", () =>
    Effect.gen(function* () {
      const { url } = yield* RedisServer.make()
      const server = yield* Effect.acquireRelease(
        Effect.promise(() => observe(url)),
        (server) => Effect.sync(server.close)
      )
      const docket = yield* Dockets.make({ url, name: "idle" })
      const seconds = 6
      for (let i = 0; i < 4; i++) {
        yield* Effect.provideService(Layer.build(Worker.layer(TaskGroup.make())), Docket, docket)
      }
      // Records for it to look at.
      yield* docket.addAll(Array.from({ length: 1000 }, () => Task.request(Task.make("idle"), {}, { delay: "1 hour" })))
      yield* Effect.sleep("1 second")
      const { insideScripts, sent } = yield* Effect.promise(() =>
        server.commandsDuring(() => new Promise((resolve) => setTimeout(resolve, seconds * 1000)))
      )
      assert.isAtMost(total(sent) / seconds / 4, 3)
      assert.isAtMost(insideScripts / seconds / 4, 160)
    }).pipe(Effect.provide(Logger.layer([])))
  )
})
