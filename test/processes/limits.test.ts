/** Concurrency limits over a fleet of processes, checked from a ledger outside Redis. `bench/fleet.ts` runs it in full. */
import { assert, it } from "@effect/vitest"
import { Effect, Option } from "effect"
import { RedisServer } from "../support/RedisServer.ts"
import { runFleet } from "./fleet.ts"
import { makeDocket, makeLedger } from "./kit.ts"

const ascending = (numbers: ReadonlyArray<number>) => numbers.toSorted((a, b) => a - b)

it.layer(RedisServer.layer(), { excludeTestServices: true })("A fleet of workers under concurrency limits", (it) => {
  it.effect(
    "CON-01, CON-07, CHS-01 never runs more than the limit, and ends everything, though workers are killed",
    () =>
      Effect.gen(function* () {
        const redis = yield* RedisServer
        const { path } = yield* makeLedger
        const { docket, env } = yield* makeDocket(redis)
        const leaseMillis = 1_500
        const outcome = yield* runFleet({
          docket,
          env,
          ledger: path,
          executions: 2_500,
          values: 50,
          millis: 20,
          workers: 3,
          concurrency: 30,
          leaseMillis,
          kills: 3,
          killEveryMillis: 1_000
        })
        assert.deepStrictEqual(outcome.excesses, [])
        assert.strictEqual(outcome.ended, 2_500)
        assert.isAbove(outcome.killed, 0)
        // What was killed began again when its lease had expired; the rest of the machine is given some time, too.
        assert.isBelow(outcome.longestTakeOver, leaseMillis + 5_000)
        assert.deepStrictEqual(yield* redis.cli("KEYS", "*slots:*"), "")
        assert.deepStrictEqual(yield* redis.cli("KEYS", "*waiting*"), "")
      })
  )

  it.effect("CON-03 starts the runs of each value in the order in which they arrived", () =>
    Effect.gen(function* () {
      const redis = yield* RedisServer
      const { path } = yield* makeLedger
      const { docket, env } = yield* makeDocket(redis)
      const outcome = yield* runFleet({
        docket,
        env,
        ledger: path,
        executions: 600,
        values: 20,
        millis: 10,
        workers: 2,
        concurrency: 20,
        leaseMillis: 60_000,
        kills: 0,
        killEveryMillis: 0
      })
      assert.deepStrictEqual(outcome.excesses, [])
      assert.strictEqual(outcome.began, 600)
      for (const [control, order] of outcome.order) {
        const inOrder = ascending(order)
        // One after the other, the handlers see it, too; processes that start at once may be told in another order.
        if (control.startsWith("limit1 ")) assert.deepStrictEqual(order, inOrder, control)
        const infos = yield* Effect.forEach(inOrder, (id) => docket.info(`e${id}`))
        const starts = infos.map((info) => Option.getOrThrow(info).started?.epochMilliseconds ?? 0)
        assert.deepStrictEqual(starts, ascending(starts), control)
      }
    })
  )
})
