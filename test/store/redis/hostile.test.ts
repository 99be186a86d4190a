/** What others may have put under a docket's keys: it is said what is wrong, and nothing else is held up by it. */
import { assert, it } from "@effect/vitest"
import { Context, Effect, Latch, Layer, Option, Schema, type Scope } from "effect"
import { Redis } from "ioredis"
import {
  CurrentExecution,
  Docket,
  type DocketError,
  Dockets,
  Retry,
  Task,
  TaskGroup,
  Worker
} from "../../../src/index.ts"
import { collectLogs } from "../../support/logs.ts"
import { oddStrings } from "../../support/oddStrings.ts"
import { waitUntil } from "../../support/waitUntil.ts"
import type { DocketStore } from "../../../src/DocketStore.ts"
import * as RedisStore from "../../../src/store/redis/RedisStore.ts"
import * as RedisServer from "../../support/RedisServer.ts"
import { Strike } from "../../../src/Strike.ts"
import { after, openWorker, request, settlement, type TestWorker, withoutStrikes } from "../conformance/kit.ts"

const options = { name: "orders", executionTtlMillis: 900_000, failedTtlMillis: 3_600_000, failedMaximum: 100 }
const prefix = "{orders}:"

/** All that a record can have. */
const fields = `task state due gen id attempt deliveries worker lease started completed error trace was aside cancel
  progress failures judged terms slot place line round quiet starts windows passed dropped needs intended before gens p1 p2 p3
  p4`.split(/\s+/)

const junk: Readonly<Record<string, Buffer | undefined>> = {
  "no value": undefined,
  nothing: Buffer.alloc(0),
  "random bytes": Buffer.from([0xff, 0x00, 0xc3, 0x28, 0x0a, 0x7b, 0x22, 0x5b]),
  "a large number": Buffer.from("1e999"),
  "a word": Buffer.from("nil")
}

const harm = (redis: Redis, key: string, fields: ReadonlyArray<string>, bytes: Buffer | undefined) => {
  const record = `${prefix}runs:${key}`
  return bytes === undefined
    ? redis.hdel(record, ...fields)
    : redis.hset(record, new Map(fields.map((field) => [field, bytes])))
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
    withoutStrikes(store).schedule([
      request(key, { due: after(delayMillis), payload: JSON.stringify("x".repeat(198)) })
    ])

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
          yield* add(store, "running")
          const [running] = yield* worker.take(1)
          yield* add(store, "queued")
          yield* add(store, "scheduled", 20)
          for (const key of ["running", "queued", "scheduled"])
            yield* Effect.promise(() => harm(redis, key, [field], bytes))
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
    "turns",
    "gates",
    "opens",
    "lines",
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
    test(`something else where ${list} should be is put aside, and the work goes on`, (redis, store, worker) =>
      Effect.gen(function* () {
        const isHash = list === "stream" || list === "wake" || list === "watchers" || list.includes("load")
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
        for (let i = 0; i < 3; i++) yield* attempt(worker.session.heartbeat)
        for (const text of said) assert.match(text, /WRONGTYPE|wrong|not a|another type/i)
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

  /** What heartbeats say of it. */
  const noticed = (worker: TestWorker) =>
    Effect.map(
      Effect.forEach(Array.from({ length: 8 }), () => worker.session.heartbeat),
      (replies) => replies.flatMap(({ notices = [] }) => notices)
    )

  test("something else in the place of one record keeps no other of its group from being added, cancelled or retried", (redis, store, worker) =>
    Effect.gen(function* () {
      const { cancel, discardFailed, failed, retryFailed, schedule, snapshot } = withoutStrikes(store)
      const misplace = Effect.promise(() => redis.set(`${prefix}runs:odd`, "not what it was"))
      yield* misplace
      const keys = ["a", "odd", "b"]
      assert.deepStrictEqual(yield* schedule(keys.map((key) => request(key))), ["scheduled", "scheduled", "scheduled"])
      assert.strictEqual(yield* Effect.promise(() => redis.get(`${prefix}misplaced:runs:odd`)), "not what it was")
      assert.deepStrictEqual(yield* noticed(worker), [
        `Something else was found in the place of a record, and put aside: "${prefix}runs:odd"`
      ])
      const fail = Effect.gen(function* () {
        for (const delivery of yield* worker.take(5)) {
          yield* worker.settle(delivery, { _tag: "Failed", error: "Boom: 1", failure: undefined })
        }
      })
      yield* fail
      yield* misplace
      assert.deepStrictEqual(yield* retryFailed(keys), [true, false, true])
      yield* misplace
      yield* snapshot(10)
      yield* cancel(keys)
      const states = yield* Effect.forEach(["a", "b"], (key) =>
        Effect.promise(() => redis.hget(`${prefix}runs:${key}`, "state"))
      )
      assert.deepStrictEqual(states, ["cancelled", "cancelled"])
      yield* schedule(keys.map((key) => request(key)))
      yield* fail
      yield* misplace
      assert.strictEqual((yield* failed({ limit: 5 })).records.length, 2)
      yield* misplace
      assert.deepStrictEqual(yield* discardFailed(keys), [true, false, true])
      yield* Effect.promise(() => redis.del(`${prefix}runs:odd`))
    }))

  for (const [what, bytes] of Object.entries(junk)) {
    test(`${what} for the state or the place of what waits or runs does not lose it, and is said`, (redis, store, worker) =>
      Effect.gen(function* () {
        for (const field of ["state", "id"]) {
          yield* Effect.promise(() => redis.flushall())
          yield* add(store, "running")
          yield* worker.take(1)
          yield* add(store, "queued")
          yield* add(store, "scheduled", 20)
          for (const key of ["running", "queued", "scheduled"])
            yield* Effect.promise(() => harm(redis, key, [field], bytes))
          const said = yield* noticed(worker)
          if (field === "state") assert.strictEqual(said.length, 3)
          const taken = new Set<string>()
          for (let i = 0; i < 20 && taken.size < 3; i++) {
            yield* Effect.sleep(10)
            yield* worker.session.heartbeat
            for (const { key } of yield* worker.take(5)) taken.add(key)
          }
          assert.sameMembers([...taken], ["running", "queued", "scheduled"], field)
        }
      }))
  }

  test("what is live and lacks its task, its time or its generation is failed, wherever it waits", (redis, store, worker) =>
    Effect.gen(function* () {
      for (const field of ["task", "due", "gen"]) {
        yield* add(store, `queued ${field}`)
        yield* add(store, `later ${field}`, 60_000)
        for (const key of [`queued ${field}`, `later ${field}`])
          yield* Effect.promise(() => redis.hdel(`${prefix}runs:${key}`, field))
        yield* Effect.promise(() => redis.del(`${prefix}stream`, `${prefix}queue`))
        yield* noticed(worker)
        assert.deepStrictEqual(yield* worker.take(5), [])
        for (const key of [`queued ${field}`, `later ${field}`]) {
          const error = yield* Effect.promise(() => redis.hget(`${prefix}runs:${key}`, "error"))
          assert.match(error ?? "", /^IncompleteRecord/, key)
        }
      }
    }))

  test("what is deleted while it waits for a slot, or under a strike, does not come back, and is said", (redis, store) =>
    Effect.gen(function* () {
      const control = { _tag: "Concurrency", scope: "task:send", limit: 1 } as const
      const kit = withoutStrikes(store)
      const worker = yield* openWorker(kit, { controls: new Map([["send", [control]]]) })
      yield* kit.schedule(["holds", "gone", "next"].map((key) => request(key, { values: [""] })))
      const [holds] = yield* worker.take(5)
      yield* Effect.promise(() => redis.del(`${prefix}runs:gone`))
      yield* worker.settle(holds!)
      assert.strictEqual(yield* Effect.promise(() => redis.exists(`${prefix}runs:gone`)), 0)
      const [next] = yield* worker.take(5)
      assert.strictEqual(next?.key, "next")
      assert.deepStrictEqual(yield* noticed(worker), [
        'Others deleted what was kept of "gone", which waited at a limit: it will not run'
      ])
      yield* worker.settle(next!)

      const pause = new Strike({ operator: "==", value: null, hold: true })
      const { version } = yield* store.strike(pause)
      yield* kit.scheduleKnowing([request("held", { judged: false, values: [""] })], version)
      const { undetermined } = yield* worker.exchange({ take: 1, strikes: version })
      yield* worker.exchange({
        finished: undetermined.map((delivery) => settlement(delivery, { _tag: "Held", strikes: version })),
        strikes: version
      })
      yield* Effect.promise(() => redis.del(`${prefix}runs:held`))
      yield* store.restore([pause])
      assert.deepStrictEqual(yield* worker.take(5), [])
      assert.strictEqual(yield* Effect.promise(() => redis.exists(`${prefix}runs:held`)), 0)
      assert.deepStrictEqual(yield* noticed(worker), [
        'Others deleted what was kept of "held", which a strike held: it will not run'
      ])
    }))

  test("an entry of the stream without a record is taken out, and is said", (redis, store, worker) =>
    Effect.gen(function* () {
      yield* Effect.promise(() => redis.xadd(`${prefix}stream`, "*", "key", "nobody"))
      yield* Effect.promise(() => redis.xadd(`${prefix}front`, "*", "note", "buy milk"))
      yield* add(store, "k")
      assert.strictEqual((yield* worker.takeOne).key, "k")
      assert.sameMembers(yield* noticed(worker), [
        'Something was due of which there is no record, and was taken out: "nobody"',
        'Something was due of which there is no record, and was taken out: "buy milk"'
      ])
      assert.strictEqual(yield* Effect.promise(() => redis.exists(`${prefix}runs:nobody`)), 0)
    }))

  test("what is no payload where a long one should be is handed out as none", (redis, store, worker) =>
    Effect.gen(function* () {
      yield* withoutStrikes(store).schedule([request("k", { payload: JSON.stringify("x".repeat(300)) })])
      yield* Effect.promise(async () => {
        await redis.del(`${prefix}payload:k`)
        await redis.hset(`${prefix}payload:k`, "not", "what it was")
      })
      const delivery = yield* worker.takeOne
      assert.strictEqual(delivery.payload, "")
      assert.strictEqual(yield* worker.settle(delivery), "applied")
      assert.isAbove(yield* Effect.promise(() => redis.pttl(`${prefix}payload:k`)), 0)
    }))

  test("a payload of 50 MB is handed out as it was", (_, store, worker) =>
    Effect.gen(function* () {
      const payload = JSON.stringify("é".repeat(25_000_000))
      yield* withoutStrikes(store).schedule([request("large", { payload })])
      assert.isTrue((yield* worker.takeOne).payload === payload)
    }))
})

const Work = Task.make("work", {
  payload: { text: Schema.String },
  success: Schema.Int,
  retry: Retry.linear({ attempts: 2 })
})
const Limited = Task.make("limited", { payload: { by: Schema.String }, concurrency: { limit: 1, by: ({ by }) => by } })
const tasks = TaskGroup.make(Work, Limited)

it.layer(RedisServer.RedisServer.layer(), { excludeTestServices: true })("A worker among hostile data", (it) => {
  interface Given {
    readonly redis: Redis
    readonly docket: Docket["Service"]
    readonly worker: Worker.Worker["Service"]
    readonly logs: Effect.Success<typeof collectLogs>
    /** While it is closed, what runs goes on running. */
    readonly gate: Latch.Latch
    /** The keys of all runs. */
    readonly runs: Array<string>
  }
  const test = (title: string, body: (given: Given) => Effect.Effect<void, unknown, Scope.Scope>, millis?: number) =>
    it.effect(
      title,
      () =>
        Effect.gen(function* () {
          const server = yield* RedisServer.RedisServer
          yield* server.cli("FLUSHALL")
          const redis = yield* Effect.acquireRelease(
            Effect.sync(() => new Redis(server.url)),
            (redis) => Effect.sync(() => redis.disconnect())
          )
          const logs = yield* collectLogs
          const gate = yield* Latch.make(true)
          const runs: Array<string> = []
          const run = Effect.andThen(
            Effect.map(CurrentExecution, ({ key }) => void runs.push(key)),
            gate.await
          )
          const handlers = tasks.toLayer({ work: ({ text }) => Effect.as(run, text.length), limited: () => run })
          yield* Effect.gen(function* () {
            const docket = yield* Dockets.make({
              url: server.url,
              name: "orders",
              maximumBytes: 100_000_000,
              heartbeatInterval: "50 millis"
            })
            const options = {
              concurrency: 20,
              redeliveryTimeout: "200 millis",
              reconnectionDelay: "100 millis"
            } as const
            const worker = yield* Effect.provideService(
              Layer.build(Worker.layer(tasks, options).pipe(Layer.provide(handlers))),
              Docket,
              docket
            )
            yield* body({ redis, docket, worker: Context.get(worker, Worker.Worker), logs, gate, runs })
          }).pipe(Effect.provide(logs.layer))
        }),
      millis
    )

  /** It takes what is added now, and is well. */
  const assertWell = Effect.fnUntraced(function* ({ docket, worker }: Given, when: string) {
    const well = yield* docket.add(Work, { text: "well" })
    assert.strictEqual(yield* Effect.timeout(well.result, "5 seconds"), 4, when)
    assert.deepStrictEqual((yield* worker.health).problems, [], when)
  })

  for (const [what, bytes] of Object.entries(junk)) {
    test(
      `goes on, and is well, with ${what} in any field of records, and in all of them`,
      (given) =>
        Effect.gen(function* () {
          const { docket, gate, redis } = given
          const look = (key: string) => Effect.all([docket.info(key), docket.explain(key), docket.snapshot()])
          for (const harmed of [...fields.map((field) => [field]), fields]) {
            gate.closeUnsafe()
            const name = harmed.length === 1 ? harmed[0]! : "all"
            const keys = ["running", "holds", "waits", "later"].map((key) => `${key} ${name}`)
            yield* docket.add(Work, { text: "" }, { key: keys[0]! })
            yield* docket.add(Limited, { by: name }, { key: keys[1]! })
            yield* docket.add(Limited, { by: name }, { key: keys[2]! })
            yield* docket.add(Work, { text: "" }, { key: keys[3]!, delay: "30 millis" })
            yield* waitUntil(
              `they run, and one waits (${name})`,
              Effect.map(
                Effect.promise(() => redis.hget(`${prefix}runs:${keys[2]!}`, "aside")),
                (aside) => aside === "w"
              )
            )
            for (const key of keys) {
              yield* Effect.promise(() => harm(redis, key, harmed, bytes))
            }
            yield* Effect.forEach(keys, look)
            yield* docket.cancel(keys[0]!)
            yield* gate.open
            yield* assertWell(given, name)
            yield* Effect.forEach(keys, look)
            for (const key of keys) yield* Effect.timeout(docket.replace(Work, { text: "" }, { key }), "5 seconds")
          }
          // What still runs under an older hold ends with it.
          yield* Effect.sleep(300)
          yield* assertWell(given, "in the end")
        }),
      60_000
    )
  }

  for (const due of ["", "nan", "inf", "-inf", "0x10", "+5", "12abc", " 12", "1e999", "99999999999999999999", "5.5"]) {
    test(`goes on with ${JSON.stringify(due)} for a due time, and says what is wrong`, (given) =>
      Effect.gen(function* () {
        const { docket, redis } = given
        yield* docket.add(Work, { text: "" }, { key: "k", delay: "300 millis" })
        yield* Effect.promise(() => redis.hset(`${prefix}runs:k`, "due", due))
        assert.isTrue(Option.isNone(yield* docket.info("k")) || Number.isFinite(Number(due)))
        yield* docket.explain("k")
        yield* waitUntil(
          "it has failed",
          Effect.map(
            Effect.promise(() => redis.hget(`${prefix}runs:k`, "error")),
            (error) => error?.includes("due time is missing or no number") === true
          )
        )
        yield* assertWell(given, "then")
      }))
  }

  test("a key of any characters, and of any length, is run under just that key", ({ docket, runs }) =>
    Effect.gen(function* () {
      const keys = [...oddStrings, "🦑".repeat(2_500), "}{".repeat(5_000), "\0", "{orders}:runs:x"]
      const executions = yield* Effect.forEach(keys, (key) => docket.add(Work, { text: key }, { key }))
      for (const [i, execution] of executions.entries()) {
        assert.strictEqual(yield* Effect.timeout(execution.result, "5 seconds"), keys[i]!.length)
        assert.isTrue(Option.isSome(yield* docket.info(keys[i]!)))
      }
      assert.sameMembers(runs, keys)
      for (const key of keys) {
        yield* docket.add(Work, { text: "" }, { key, delay: "1 hour" })
        yield* docket.cancel(key)
        assert.strictEqual(Option.getOrThrow(yield* docket.info(key)).state, "cancelled")
      }
    }))

  test("half of a character in a key is refused, with what to do, and stands for no other key", ({ docket }) =>
    Effect.gen(function* () {
      const half = "👩‍🚀".slice(0, 1)
      const adds: ReadonlyArray<Effect.Effect<unknown, DocketError>> = [
        docket.add(Work, { text: "" }, { key: half }),
        docket.replace(Work, { text: "" }, { key: half }),
        docket.addNamed("work", { text: "" }, { key: half }),
        docket.addAll([Task.request(Work, { text: "" }, { key: half })])
      ]
      for (const add of adds) {
        const { message, reason } = yield* Effect.flip(add)
        assert.strictEqual(reason._tag, "InvalidRequest")
        assert.include(message, '"\\ud83d"')
        assert.include(message, "toWellFormed")
      }
      // What Redis would keep in its place.
      yield* docket.add(Work, { text: "" }, { key: half.toWellFormed(), delay: "1 hour" })
      yield* docket.cancel(half)
      assert.isTrue(Option.isNone(yield* docket.info(half)))
      assert.strictEqual(Option.getOrThrow(yield* docket.info(half.toWellFormed())).state, "scheduled")
      assert.strictEqual((yield* Effect.flip(docket.addNamed(half, {}))).reason._tag, "InvalidRequest")
      assert.strictEqual((yield* Effect.flip(Dockets.makeMemory({ name: half }))).reason._tag, "InvalidRequest")
      assert.throws(() => Task.make(half), /surrogate/)
    }))

  test("half of a character in a payload, and in the value of a limit, is kept", ({ docket, runs }) =>
    Effect.gen(function* () {
      const half = "👩‍🚀".slice(0, 1)
      assert.strictEqual(yield* (yield* docket.add(Work, { text: half })).result, 1)
      yield* (yield* docket.add(Limited, { by: half })).result
      assert.strictEqual(runs.length, 2)
    }))

  test("a payload of 50 MB is run", ({ docket }) =>
    Effect.gen(function* () {
      const execution = yield* docket.add(Work, { text: "é".repeat(25_000_000) })
      assert.strictEqual(yield* Effect.timeout(execution.result, "20 seconds"), 25_000_000)
    }))

  test("what others did to records is named in the log", (given) =>
    Effect.gen(function* () {
      const { logs, redis } = given
      yield* Effect.promise(() => redis.xadd(`${prefix}stream`, "*", "key", "nobody"))
      yield* assertWell(given, "meanwhile")
      yield* waitUntil(
        "it is said",
        Effect.sync(() => logs.at("Warn").some((line) => line.includes('no record, and was taken out: "nobody"')))
      )
    }))

  test("what is in the place of a key is put aside, and named in the log", (given) =>
    Effect.gen(function* () {
      const { logs, redis } = given
      yield* Effect.promise(() => redis.set(`${prefix}queue`, "a shopping list"))
      yield* waitUntil(
        "it is said",
        Effect.sync(() => logs.at("Error").some((line) => line.includes(`put aside: ${prefix}queue`)))
      )
      assert.strictEqual(yield* Effect.promise(() => redis.get(`${prefix}misplaced:queue`)), "a shopping list")
      assert.isAbove(yield* Effect.promise(() => redis.ttl(`${prefix}misplaced:queue`)), 80_000)
      yield* assertWell(given, "then")
    }))
})
