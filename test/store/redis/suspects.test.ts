/** Executions that died together again and again: one of them may be what takes down its process. */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import * as RedisStore from "../../../src/store/redis/RedisStore.ts"
import * as RedisServer from "../../support/RedisServer.ts"
import { waitUntil } from "../../support/waitUntil.ts"
import { keysOf, openWorker, request, withoutStrikes } from "../conformance/kit.ts"
import { options } from "./kit.ts"

it.live(
  "UNK-06 from half of maxDeliveries on a worker runs them one after the other, so that only one of them is given up",
  () =>
    Effect.gen(function* () {
      const server = yield* RedisServer.make()
      const store = withoutStrikes(yield* RedisStore.makeUrl(server.url, options))
      const open = Effect.suspend(() => openWorker(store, { leaseMillis: 20, maxDeliveries: 4 }))
      const keys = ["a", "b", "poison", "c"]
      yield* store.schedule(keys.map((key) => request(key)))
      const watch = yield* open
      const reclaim = (count: number) => {
        let reclaimed = 0
        return waitUntil(
          `${count} are taken back`,
          Effect.map(watch.session.heartbeat, (reply) => (reclaimed += reply.reclaimed) === count)
        )
      }
      // At first all of them come back at once.
      for (let deliveries = 1; deliveries <= 2; deliveries++) {
        assert.sameMembers(keysOf(yield* (yield* open).take(10)).slice(), keys)
        yield* reclaim(keys.length)
      }
      // The poison takes down its process; what runs alone ends.
      const ended: Array<string> = []
      yield* waitUntil(
        "the others have ended, and the poison was given up",
        Effect.gen(function* () {
          yield* watch.session.heartbeat
          const { deliveries, exhausted } = yield* watch.exchange({ take: 10 })
          assert.isAtMost(deliveries.length, 1)
          for (const delivery of deliveries) {
            if (delivery.key === "poison") continue
            assert.strictEqual(yield* watch.settle(delivery), "applied")
            ended.push(delivery.key)
          }
          ended.push(...exhausted.map(({ key }) => key))
          return ended.length === keys.length
        })
      )
      assert.sameMembers(ended, keys)
    })
)
