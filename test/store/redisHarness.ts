/** What the conformance suite needs to know of a store in Redis. */
import { assert } from "@effect/vitest"
import { Clock, Effect, Schedule } from "effect"
import { Redis } from "ioredis"
import * as RedisStore from "../../src/store/redis/RedisStore.ts"
import { Harness } from "./conformance.ts"

/** Keys that a docket always has, or that empty themselves. */
const fixed = new Set(["stream", "queue", "leases", "wake", "parked", "workers", "failed", "strikes"])

/** Keys for as long as something of theirs waits: sorted sets of the keys of executions. */
const gathering = new Set(["failed-chains", "parked", "waiting", "turns", "line", "held", "asked"])

/** The keys of executions that a key belongs to. */
const ownersOf = async (redis: Redis, key: string, segment: string, owner: string) => {
  if (gathering.has(segment)) return redis.zrange(key, "0", "-1")
  if (segment === "overtaken" || segment === "slots") {
    return (await redis.hkeys(key)).map((holder) => holder.slice(holder.indexOf(":") + 1))
  }
  return [owner]
}

/** The keys of lines, and of gates at which lines wait, to which a key belongs; nothing when it belongs to executions. */
const linesOf = async (redis: Redis, key: string, segment: string) => {
  const gate = (name: string) => `at:${name}`
  const line = (name: string) => `line:${name}`
  switch (segment) {
    case "lines":
      return Object.entries(await redis.hgetall(key)).flatMap(([name, at]) =>
        at === "" ? [line(name)] : [line(name), gate(at)]
      )
    case "at":
      return (await redis.zrange(key, "0", "-1")).map(line)
    case "gates":
      return (await redis.zrange(key, "0", "-1")).map((turn) => (turn.startsWith("l") ? line : gate)(turn.slice(1)))
    case "opens":
      return (await redis.zrange(key, "0", "-1")).map(gate)
    default:
      return undefined
  }
}

/**
 * Makes all that has a time to live so much older, but for what its owner refreshes in real time. The last second is
 * left to all: the test itself takes some of it.
 */
const age = `
for _, key in ipairs(redis.call('KEYS', '*')) do
  local left = redis.call('PTTL', key)
  if left >= 0 and not string.find(key, '}:watchers$') then
    local older = math.ceil(left / 1000) * 1000 - ARGV[1]
    if older <= 0 then redis.call('DEL', key) else redis.call('PEXPIRE', key, math.max(older, 1000)) end
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
      const [, segment = "", owner = ""] = /^([^:]*):?(.*)$/s.exec(rest) ?? []
      if (fixed.has(rest)) continue
      const lines = await linesOf(redis, key, segment)
      for (const name of lines ?? []) if ((await redis.exists(`${docket}:${name}`)) === 0) left.push(key)
      if (lines !== undefined) continue
      for (const execution of await ownersOf(redis, key, segment, owner)) {
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
      const { aside, gen, id: place, line, slot, state, task } = await redis.hgetall(key)
      const isIn = async (place: string) => (await redis.zscore(`${docket}:${place}`, execution)) !== null
      const places = {
        ready: (await redis.xrange(`${docket}:stream`, "-", "+")).some(
          ([id, [, member]]) => member === execution && id === place
        ),
        turn: await isIn("turns"),
        aside: await isIn(`parked:${task}`),
        asked: await isIn("asked"),
        held: await isIn("held"),
        waiting: (await isIn("waiting")) && (await isIn(`line:${line}`)),
        scheduled: await isIn("queue"),
        running: await isIn("leases"),
        hasSlot: (await redis.hexists(`${docket}:slots:${slot}`, `${gen}:${execution}`)) === 1
      }
      const expected = {
        ready: state === "queued" && aside === undefined,
        turn: aside === "n",
        aside: aside === "t",
        asked: aside === "a",
        held: aside === "h",
        waiting: aside === "w",
        scheduled: state === "scheduled" && aside === undefined,
        running: state === "running",
        hasSlot: slot !== undefined
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
