/** A worker with a recurring task, killed at each step of a run's end. */
import { assert, it } from "@effect/vitest"
import { Effect, Option } from "effect"
import { RedisServer } from "../support/RedisServer.ts"
import { waitUntil } from "../support/waitUntil.ts"
import { makeDocket, makeLedger, startRecurring } from "./kit.ts"
import { Tick } from "./programs/recurring.ts"

it.layer(RedisServer.layer(), { excludeTestServices: true })("A recurring task", (it) => {
  const runsOfTheThird = { handler: 2, before: 2, after: 1 }
  for (const [step, expected] of Object.entries(runsOfTheThird)) {
    it.effect(`PER-07 neither loses nor doubles its next run when its worker is killed: ${step}`, () =>
      Effect.gen(function* () {
        const { docket, env } = yield* makeDocket(yield* RedisServer)
        const ledger = yield* makeLedger
        yield* docket.add(Tick, { n: 1 })
        const first = yield* startRecurring({ env, ledger, killAt: step })
        assert.strictEqual((yield* first.ended).signal, "SIGKILL")
        yield* startRecurring({ env, ledger, killAt: "never" })
        yield* waitUntil(
          "the chain has ended",
          Effect.map(
            docket.info("tick"),
            Option.exists(({ state }) => state === "completed")
          )
        )
        const runs = ledger.ended()
        const times = (n: number) => runs.filter((other) => other === n).length
        assert.deepStrictEqual([1, 2, 3, 4, 5, 6].map(times), [1, 1, expected, 1, 1, 1])
        assert.deepStrictEqual(yield* docket.store.depth, { queued: 0, running: 0, scheduled: 0 })
      })
    )
  }
})
