/** What others may have put under a docket's keys: it is said what is wrong, and nothing else is held up by it. */
import { assert, it } from "@effect/vitest"
import { Effect, type Scope } from "effect"
import { Redis } from "ioredis"
import type { DocketStore } from "../../../src/DocketStore.ts"
import * as RedisStore from "../../../src/store/redis/RedisStore.ts"
import * as RedisServer from "../../support/RedisServer.ts"
import { after, openWorker, request, type TestWorker, withoutStrikes } from "../conformance/kit.ts"

const options = { name: "orders", executionTtlMillis: 900_000, failedTtlMillis: 3_600_000, failedMaximum: 100 }
const prefix = "{orders}:"

/** All that a record can have. */
const fields = `task state due gen entry attempt deliveries worker lease started completed error trace was aside cancel
  progress failures judged values slot waits round plans starts windows passed dropped`.split(/\s+/)

const junk: Readonly<Record<string, Buffer>> = {
  nothing: Buffer.alloc(0),
  "random bytes": Buffer.from([0xff, 0x00, 0xc3, 0x28, 0x0a, 0x7b, 0x22, 0x5b]),
  "a large number": Buffer.from("1e999"),
  "a word": Buffer.from("nil")
}

it.layer(RedisServer.RedisServer.layer(), { excludeTestServices: true })("Hostile data", (it) => {
  const test = (
    title: string,
    body: (redis: Redis, store: DocketStore["Service"], worker: TestWorker) => Effect.Effect<void, unknown, Scope.Scope>
  ) =>
    it.effect(title, () =>
      Effect.gen(function* () {
        const server = yield* RedisServer.RedisServer
        yield* server.cli("FLUSHALL")
        const redis = yield* Effect.acquireRelease(
          Effect.sync(() => new Redis(server.url)),
          (redis) => Effect.sync(() => redis.disconnect())
        )
        const store = yield* RedisStore.makeUrl(server.url, options)
        yield* body(redis, store, yield* openWorker(withoutStrikes(store), { leaseMillis: 50 }))
      })
    )

  const add = (store: DocketStore["Service"], key: string, delayMillis = 0) =>
    withoutStrikes(store).schedule([request(key, { due: after(delayMillis) })])

  for (const [what, bytes] of Object.entries(junk)) {
    test(`${what} in any field of a record of what waits, runs or is scheduled holds up nobody else`, (redis, store, worker) =>
      Effect.gen(function* () {
        const broken: Array<string> = []
        const attempt = <A>(field: string, doing: string, effect: Effect.Effect<A, unknown>) =>
          Effect.catch(Effect.asSome(effect), (error) => {
            broken.push(`${field}: ${doing}: ${String(error)}`)
            return Effect.succeedNone
          })
        for (const field of fields) {
          yield* Effect.promise(() => redis.flushall())
          const harm = (key: string) => Effect.promise(() => redis.hset(`${prefix}runs:${key}`, field, bytes))
          yield* add(store, "running")
          const [running] = yield* worker.take(1)
          yield* add(store, "queued")
          yield* add(store, "scheduled", 20)
          for (const key of ["running", "queued", "scheduled"]) yield* harm(key)
          yield* add(store, "other")
          yield* Effect.sleep(60)
          yield* attempt(field, "renew", worker.renew(running!))
          yield* attempt(field, "settle", worker.settle(running!))
          yield* Effect.promise(() => redis.zadd(`${prefix}leases`, "1", "running"))
          yield* attempt(field, "heartbeat", Effect.andThen(worker.session.heartbeat, worker.session.heartbeat))
          yield* attempt(field, "read", store.read(["running", "queued", "scheduled"]))
          yield* attempt(field, "snapshot", store.snapshot(10))
          const taken = new Set<string>()
          for (let i = 0; i < 3; i++) {
            const reply = yield* attempt(field, "exchange", worker.exchange({ take: 5 }))
            if (reply._tag === "Some") for (const { key } of reply.value.deliveries) taken.add(key)
          }
          if (!taken.has("other")) broken.push(`${field}: the other one was not handed out`)
          yield* attempt(field, "cancel", store.cancel(["running", "queued", "scheduled"]))
          yield* attempt(field, "schedule", add(store, "queued"))
          yield* attempt(field, "replace", withoutStrikes(store).schedule([request("scheduled", { replace: true })]))
        }
        assert.deepStrictEqual(broken, [])
      }))
  }

  const lists = [
    "front",
    "stream",
    "queue",
    "leases",
    "wake",
    "parked",
    "workers",
    "failed",
    "watchers",
    "strikes",
    "held",
    "release"
  ]
  for (const list of [...lists, "asked", "waiting", "overtaken", "runs:k", "payload:k", "result:k", "progress:k"]) {
    test(`something else where ${list} should be is named, and when it is gone the work goes on`, (redis, store, worker) =>
      Effect.gen(function* () {
        const isHash =
          list === "stream" || list === "front" || list === "wake" || list === "watchers" || list.includes("load")
        yield* Effect.promise<unknown>(() =>
          isHash ? redis.hset(prefix + list, "not", "what it was") : redis.set(prefix + list, "not what it was")
        )
        const said: Array<string> = []
        const attempt = <A>(effect: Effect.Effect<A, unknown>) =>
          Effect.match(effect, {
            onFailure: (error) => void said.push(String(error)),
            onSuccess: () => {}
          })
        yield* attempt(add(store, "k"))
        yield* attempt(add(store, "later", 10))
        yield* attempt(worker.exchange({ take: 1 }))
        yield* attempt(worker.session.heartbeat)
        for (const text of said) assert.match(text, /WRONGTYPE|wrong|not a|another type/i)
        yield* Effect.promise(() => redis.del(prefix + list))
        yield* Effect.sleep(60)
        yield* add(store, "k")
        yield* add(store, "later", 10)
        const taken = new Set<string>()
        for (let i = 0; i < 10 && taken.size < 2; i++) {
          yield* worker.session.heartbeat
          yield* Effect.sleep(20)
          for (const { key } of yield* worker.take(5)) taken.add(key)
        }
        assert.deepStrictEqual([...taken].toSorted(), ["k", "later"])
      }))
  }

  test("a payload of 50 MB is handed out as it was", (_, store, worker) =>
    Effect.gen(function* () {
      const payload = JSON.stringify("é".repeat(25_000_000))
      yield* withoutStrikes(store).schedule([request("large", { payload })])
      assert.isTrue((yield* worker.takeOne).payload === payload)
    }))
})
