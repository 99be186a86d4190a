import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { type CommandCounts, type Counts, measureCounts } from "../../bench/counts.ts"
import * as RedisServer from "../support/RedisServer.ts"

/**
 * What the docket asked of Redis 7.0 when this was recorded, with a little room: a round trip more or less depends on
 * which of two things happens first, and the memory on Redis' release. Whoever makes the docket ask for less lowers the
 * bounds; whoever makes it ask for more says in the commit why.
 */
const bounds: Counts = {
  enqueueConcurrent: { sent: 44, scriptCalls: 44, insideScripts: 4300 },
  enqueueBatch: { sent: 12, scriptCalls: 11, insideScripts: 4200 },
  processing: { sent: 80, scriptCalls: 60, insideScripts: 6700 },
  bytesPerTask: 650
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
      assert.isAtMost(counts.bytesPerTask, bounds.bytesPerTask)
    })
  )
})
