/** What the conformance suite needs to know of a store in Redis. */
import { assert } from "@effect/vitest"
import { Clock, Effect, Schedule } from "effect"
import { Redis } from "ioredis"
import * as RedisStore from "../../src/store/redis/RedisStore.ts"
import { Harness } from "./conformance.ts"

/** Keys that a docket always has, or that empty themselves. */
const fixed = new Set(["stream", "queue", "leases", "wake", "parked", "workers", "failed"])

/** Keys for as long as something of theirs waits: they hold the keys of executions. */
const gathering = new Set(["parked"])

/** Makes all that has a time to live so much older, but for what its owner refreshes in real time. */
const age = `
for _, key in ipairs(redis.call('KEYS', '*')) do
  local left = redis.call('PTTL', key)
  if left >= 0 and not string.find(key, '}:watchers$') then
    if left <= tonumber(ARGV[1]) then redis.call('DEL', key) else redis.call('PEXPIRE', key, left - ARGV[1]) end
  end
end`

/** Each test has the servers to itself: what is there when it ends is its own. */
export const makeHarness = Effect.fnUntraced(function* (
  /** Of the docket. */
  url: string,
  /** Of each server. */
  servers: ReadonlyArray<string>
) {
  const all = yield* Effect.forEach(servers, (server) =>
    Effect.acquireRelease(
      Effect.sync(() => new Redis(server)),
      (redis) => Effect.sync(() => redis.disconnect())
    )
  )

  const isLive = (state: string | null) => state === "scheduled" || state === "queued" || state === "running"

  const ownerless = async (redis: Redis) => {
    const left: Array<string> = []
    for (const key of await redis.keys("*")) {
      if ((await redis.pttl(key)) !== -1) continue
      const [, docket = "", rest = ""] = /^(\{[^}]*\}):(.*)$/s.exec(key) ?? []
      const [, segment = "", owner = ""] = /^([^:]*):(.*)$/s.exec(rest) ?? []
      if (fixed.has(rest)) continue
      const owners = gathering.has(segment) ? await redis.zrange(key, "0", "-1") : [owner]
      for (const execution of owners) {
        if (!isLive(await redis.hget(`${docket}:runs:${execution}`, "state"))) left.push(key)
      }
    }
    return left
  }

  /** What the places of a docket hold that its records do not say is there. */
  const misplaced = async (redis: Redis) => {
    const left: Array<string> = []
    for (const key of await redis.keys("*}:runs:*")) {
      const [, docket = "", execution = ""] = /^(\{[^}]*\}):runs:(.*)$/s.exec(key) ?? []
      const { entry, parked, state, task } = await redis.hgetall(key)
      const places = {
        ready: (await redis.xrange(`${docket}:stream`, "-", "+")).some(
          ([id, [, member]]) => member === execution && id === entry
        ),
        aside: (await redis.zscore(`${docket}:parked:${task}`, execution)) !== null,
        scheduled: (await redis.zscore(`${docket}:queue`, execution)) !== null,
        running: (await redis.zscore(`${docket}:leases`, execution)) !== null
      }
      const expected = {
        ready: state === "queued" && parked === undefined,
        aside: parked !== undefined,
        scheduled: state === "scheduled",
        running: state === "running"
      }
      if (JSON.stringify(places) !== JSON.stringify(expected))
        left.push(`${key} is ${state}, and in ${JSON.stringify(places)}`)
    }
    return left
  }

  const each = <A>(f: (redis: Redis) => Promise<A>) => Effect.promise(() => Promise.all(all.map(f)))

  return Harness.of({
    open: (options) =>
      RedisStore.makeUrl(url, options).pipe(Effect.provideService(RedisStore.ScriptTime, Clock.currentTimeMillis)),
    pass: (millis) => each((redis) => redis.eval(age, 0, String(millis))),
    whenWaiting: (workers) =>
      each((redis) => redis.client("LIST")).pipe(
        Effect.map(
          (clients) =>
            clients
              .join("\n")
              .split("\n")
              .filter((client) => / flags=\S*b\S* .*cmd=blpop/.test(client)).length
        ),
        Effect.repeat({ until: (waiting) => waiting === workers, schedule: Schedule.spaced(2) }),
        Effect.provideService(Clock.Clock, Clock.Clock.defaultValue())
      ),
    afterEach: Effect.gen(function* () {
      assert.deepStrictEqual((yield* each(ownerless)).flat(), [])
      assert.deepStrictEqual((yield* each(misplaced)).flat(), [])
    }).pipe(Effect.ensuring(each((redis) => redis.flushall())))
  })
})
