/** Whatever key of a docket others delete, or put something else under: all that was added ends, and limits hold. */
import { assert, it } from "@effect/vitest"
import { Effect, Latch, Layer, Logger, Option, Schema } from "effect"
import { Redis } from "ioredis"
import { Docket, Dockets, Task, TaskGroup, Worker } from "../../../src/index.ts"
import * as RedisServer from "../../support/RedisServer.ts"
import { waitUntil } from "../../support/waitUntil.ts"
import { openWorker, withoutStrikes } from "../conformance/kit.ts"

const limit = 2

const Limited = Task.make("limited", {
  payload: { group: Schema.String },
  concurrency: { limit, by: ({ group }) => group }
})
const Plain = Task.make("plain")
const Paused = Task.make("paused")
const Strange = Task.make("strange")
const known = TaskGroup.make(Limited, Plain, Paused)
const all = TaskGroup.make(Limited, Plain, Paused, Strange)

/** The types of the keys that are not always there. */
const types: Readonly<Record<string, string>> = { release: "string", watchers: "string", overtaken: "hash" }

const typeOf = async (redis: Redis, key: string) => {
  const type = await redis.type(key)
  return type === "none" ? types[key.replace(/.*}:/, "")] : type
}

/** What is done to keys. */
const harms: Readonly<Record<string, (redis: Redis, key: string) => Promise<unknown>>> = {
  "was deleted": (redis, key) => redis.del(key),
  "is something else": async (redis, key) => {
    const multi = redis.multi().del(key)
    await ((await typeOf(redis, key)) === "string" ? multi.hset(key, "not", "it") : multi.set(key, "not it")).exec()
  },
  "has strange things in it": async (redis, key) => {
    switch (await typeOf(redis, key)) {
      case "string":
        return redis.set(key, "strange")
      case "hash":
        return redis.hset(key, "strange", "strange", "", "", "1:strange", "1", "2:", "x")
      case "list":
        return redis.rpush(key, "strange")
      case "set":
        return redis.sadd(key, "strange", "")
      case "stream":
        return redis.multi().xadd(key, "*", "strange", "").xadd(key, "*", "key", "strange", "a", "b").exec()
      default:
        return redis.zadd(key, "-inf", "strange", "+inf", "", 1, "odd")
    }
  }
}

/** Keys, or those that begin like that. */
const places =
  `stream turns queue leases held asked waiting gates opens lines line:* at:* slots:* limits contracts contract:*
  parked parked:* strikes release overtaken wake wake:* workers worker:* failed watchers`.split(/\s+/)

const scenario = Effect.fnUntraced(function* (url: string, place: string, harm: (typeof harms)[string]) {
  const redis = yield* Effect.acquireRelease(
    Effect.sync(() => new Redis(url)),
    (redis) => Effect.sync(() => redis.disconnect())
  )
  const docket = yield* Dockets.make({ url, name: place.replace("*", "any"), heartbeatInterval: "50 millis" })
  const prefix = `{${docket.name}}:`
  const gate = yield* Latch.make()
  const running = new Map<string, number>()
  let most = 0
  const work = (group: string) =>
    Effect.acquireUseRelease(
      Effect.sync(() => {
        const count = (running.get(group) ?? 0) + 1
        running.set(group, count)
        most = Math.max(most, count)
      }),
      () => Effect.andThen(gate.await, Effect.sleep(5)),
      () => Effect.sync(() => running.set(group, running.get(group)! - 1))
    )
  const handlers = all.toLayer({
    limited: ({ group }) => work(group),
    plain: () => Effect.void,
    paused: () => Effect.void,
    strange: () => Effect.void
  })
  const startWorker = <T extends Task.Any>(tasks: TaskGroup.TaskGroup<T>, concurrency: number) =>
    Layer.build(
      Worker.layer(tasks, { concurrency, redeliveryTimeout: "1 second" }).pipe(
        Layer.provide(handlers),
        Layer.provide(Logger.layer([]))
      )
    ).pipe(Effect.provideService(Docket, docket))

  // Something in every place: lent to a worker that dies; with a slot, from another that died; held back by a limit and by
  // a strike; set aside; scheduled; due; before all others once the loan is over.
  yield* docket.pause(Paused)
  const keys: Array<string> = []
  const note = <A extends { readonly key: string }, E>(added: Effect.Effect<A, E>) =>
    Effect.map(added, ({ key }) => void keys.push(key))
  const contracts = new Map([["limited", Limited.behaviour.controls]])
  const tasks = new Set(["limited", "plain"])
  const store = withoutStrikes(docket.store)
  for (let i = 0; i < 2; i++) yield* note(docket.addNamed("limited", { group: "a" }))
  const lent = yield* (yield* openWorker(store, {
    contracts,
    tasks,
    leaseMillis: 1_000
  })).exchange({ take: 2 })
  assert.strictEqual(lent.undetermined.length, 2)
  for (let i = 0; i < 2; i++) yield* note(docket.add(Limited, { group: "b" }))
  const dead = yield* openWorker(store, { contracts, tasks, leaseMillis: 1 })
  assert.strictEqual((yield* dead.take(2)).length, 2)
  for (let i = 0; i < 3; i++) yield* note(docket.add(Strange))
  for (const group of ["c", "d", "b", "c", "d", "c", "d", "c", "d", "b", "a"]) {
    yield* note(docket.add(Limited, { group }))
  }
  // One more than the limits allow: so it looks at all of these, the last of which it can run.
  yield* startWorker(known, 7)
  yield* waitUntil(
    `it is busy (${place})`,
    Effect.sync(() => [...running.values()].reduce((sum, count) => sum + count, 0) === 7)
  )
  for (let i = 0; i < 4; i++) yield* note(docket.add(Plain))
  for (let i = 0; i < 4; i++) yield* note(docket.add(Plain, {}, { delay: "300 millis" }))
  for (let i = 0; i < 3; i++) yield* note(docket.add(Paused))

  if (place === "turns") {
    yield* waitUntil(
      "the loan is over",
      Effect.map(
        Effect.promise(() => redis.zcard(`${prefix}turns`)),
        (length) => length === 2
      )
    )
  }
  const present = yield* Effect.promise(() => redis.keys(`${prefix}*`))
  const harmed = place.endsWith("*")
    ? present.filter((key) => key.startsWith(prefix + place.slice(0, -1)))
    : [prefix + place]
  yield* Effect.promise(() => Promise.all(harmed.map((key) => harm(redis, key))))

  yield* startWorker(all, 8)
  for (const group of ["c", "d", "b", "a"]) yield* note(Effect.retry(docket.add(Limited, { group }), { times: 20 }))
  // As long as nothing ends, nothing more may start.
  yield* Effect.sleep(200)
  yield* gate.open
  yield* Effect.retry(docket.resume(Paused), { times: 20 })
  const states = Effect.forEach(keys, (key) =>
    Effect.map(docket.info(key), (info) => (Option.isSome(info) ? info.value.state : "gone"))
  )
  const left: Effect.Effect<string> = Effect.map(Effect.orDie(states), (states) =>
    states
      .map((state, i) => (state === "completed" ? "" : `${i}:${state}`))
      .join(" ")
      .trim()
  )
  yield* waitUntil(
    `all have ended (${place})`,
    Effect.map(left, (left) => left === "")
  ).pipe(Effect.onError(() => Effect.flatMap(left, (left) => Effect.log(`${place}: left ${left}`))))
  assert.isAtMost(most, limit, place)
  return harmed
})

for (const [what, harm] of Object.entries(harms)) {
  it.live(
    `when a key ${what}, all that was added ends, and limits hold`,
    () =>
      Effect.gen(function* () {
        const { url } = yield* RedisServer.make()
        yield* Effect.forEach(places, (place) => Effect.scoped(scenario(url, place, harm)), { concurrency: 4 })
      }).pipe(Effect.provide(Logger.layer([]))),
    120_000
  )
}
