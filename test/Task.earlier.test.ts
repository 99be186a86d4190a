/** Payloads whose schema has changed while executions wait, and deploys in which old and new processes run side by side. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Schema } from "effect"
import { Docket, Retry, Task, TaskGroup, Worker } from "../src/index.ts"
import { codecOf } from "../src/internal/contract/codec.ts"
import { infoOf, onEveryStore, pass, start, stateOf } from "./support/dockets.ts"
import * as Faults from "./support/faults.ts"
import { collectLogs } from "./support/logs.ts"
import { waitUntil } from "./support/waitUntil.ts"

const name = "welcome"
const key = () => "k"

// One task in the three versions of a program.
const First = Task.make(name, { payload: { name: Schema.String }, success: Schema.String, key })
const Second = Task.make(name, {
  payload: { name: Schema.String, locale: Schema.String },
  success: Schema.String,
  key,
  earlier: [Task.earlier({ name: Schema.String }, ({ name }) => ({ name, locale: "en" }))]
})
const Third = Task.make(name, {
  payload: {
    first: Schema.String,
    last: Schema.String,
    locale: Schema.String.pipe(Schema.withConstructorDefault(Effect.succeed("en"))),
    since: Schema.DateTimeUtc
  },
  success: Schema.String,
  key,
  earlier: [
    Task.earlier({ name: Schema.String }, ({ name }) => ({ ...split(name), since })),
    Task.earlier({ name: Schema.String, locale: Schema.String }, ({ locale, name }) => ({
      ...split(name),
      locale,
      since
    }))
  ]
})

const since = Schema.decodeSync(Schema.DateTimeUtcFromString)("2026-01-01T00:00:00Z")
const split = (name: string) => ({ first: name.split(" ")[0] ?? "", last: name.split(" ")[1] ?? "" })

const firstTasks = TaskGroup.make(First)
const secondTasks = TaskGroup.make(Second)
const thirdTasks = TaskGroup.make(Third)

const firstWorker = Worker.layer(firstTasks).pipe(
  Layer.provide(firstTasks.toLayer({ welcome: ({ name }) => Effect.succeed(`1: ${name}`) }))
)
const secondWorker = Worker.layer(secondTasks).pipe(
  Layer.provide(secondTasks.toLayer({ welcome: ({ locale, name }) => Effect.succeed(`2: ${name} (${locale})`) }))
)
const thirdWorker = Worker.layer(thirdTasks).pipe(
  Layer.provide(
    thirdTasks.toLayer({
      welcome: ({ first, last, locale, since }) =>
        Effect.succeed(`3: ${first}, ${last} (${locale}) ${since.epochMilliseconds}`)
    })
  )
)

onEveryStore("A task whose payload has earlier versions", (it) => {
  it.effect("STR-04, STR-09 is struck and held by the fields of the present version, whoever scheduled it", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      yield* docket.strike({ task: Third, field: "locale", value: "en" })
      yield* docket.strike({ task: Third, field: "first", value: "Grace", hold: true })
      // Producers of the first and second version do not know what these payloads are in the third.
      const struck = yield* docket.add(First, { name: "Ada Lovelace" }, { key: "a" })
      const held = yield* docket.add(Second, { name: "Grace Hopper", locale: "us" }, { key: "b" })
      const other = yield* docket.add(Second, { name: "Barbara Liskov", locale: "us" }, { key: "c" })
      yield* start(thirdWorker)
      assert.match(yield* other.result, /^3: Barbara/)
      assert.strictEqual((yield* Effect.flip(struck.result))._tag, "TaskCancelled")
      yield* waitUntil(
        "it is held",
        Effect.map(stateOf("b"), (state) => state === "scheduled")
      )
      yield* docket.restore({ task: Third, field: "first", value: "Grace" })
      assert.match(yield* held.result, /^3: Grace/)
    })
  )

  it.effect("UNK-05 runs what producers of all versions scheduled", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      const added = [
        yield* docket.add(First, { name: "Ada Lovelace" }, { key: "a" }),
        yield* docket.add(Second, { name: "Grace Hopper", locale: "us" }, { key: "b" }),
        yield* docket.add(Third, { first: "Barbara", last: "Liskov", since }, { key: "c" }),
        yield* docket.addNamed(name, { name: "Frances Allen" }, { key: "d" })
      ]
      yield* start(thirdWorker)
      assert.deepStrictEqual(yield* Effect.forEach(added, ({ result }) => result), [
        "3: Ada, Lovelace (en) 1767225600000",
        "3: Grace, Hopper (us) 1767225600000",
        "3: Barbara, Liskov (en) 1767225600000",
        "3: Frances, Allen (en) 1767225600000"
      ])
    })
  )

  it.effect("UNK-01 an execution newer than a worker reads waits for one that does, and the others run", () =>
    Effect.gen(function* () {
      const logs = yield* collectLogs
      const docket = yield* Docket
      yield* start(firstWorker.pipe(Layer.provide(logs.layer)))
      yield* start(secondWorker)
      // The versions of a payload are nobody's task.
      assert.deepStrictEqual(
        (yield* docket.workers).map(({ tasks }) => tasks.filter((task) => task.startsWith(name))),
        [[name], [name]]
      )
      const third = yield* docket.add(Third, { first: "Barbara", last: "Liskov", since }, { key: "c" })
      const second = yield* docket.add(Second, { name: "Grace Hopper", locale: "us" }, { key: "b" })
      const first = yield* docket.add(First, { name: "Ada Lovelace" }, { key: "a" })
      assert.include(["1: Ada Lovelace", "2: Ada Lovelace (en)"], yield* first.result)
      assert.strictEqual(yield* second.result, "2: Grace Hopper (us)")
      yield* pass("1 minute", 3)
      assert.deepInclude(yield* infoOf("c"), { state: "queued", attempt: 1, deliveries: 0, task: name })
      assert.deepStrictEqual(yield* docket.store.depth, { queued: 1, scheduled: 0, running: 0 })

      yield* start(thirdWorker)
      assert.strictEqual(yield* third.result, "3: Barbara, Liskov (en) 1767225600000")
      assert.deepInclude(yield* infoOf("c"), { attempt: 1, deliveries: 1 })
      for (const line of logs.at("Warn"))
        assert.match(line, /^This worker does not know version [23] of the payload of task "welcome"/)
    })
  )

  it.effect("UNK-01 waits also when the old worker is the only one, and is named in its log", () =>
    Effect.gen(function* () {
      const logs = yield* collectLogs
      const docket = yield* Docket
      yield* start(firstWorker.pipe(Layer.provide(logs.layer)))
      yield* docket.add(Third, { first: "Barbara", last: "Liskov", since }, { key: "c" })
      yield* (yield* docket.add(First, { name: "Ada Lovelace" }, { key: "a" })).result
      yield* pass("1 second")
      assert.strictEqual(yield* stateOf("c"), "queued")
      assert.match(
        logs.at("Warn").join(),
        /^This worker does not know version 3 of the payload of task "welcome": 1 wait/
      )
    })
  )

  it.effect("UNK-02 a fallback runs what is newer than its worker reads", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      yield* start(
        Worker.layer(firstTasks, { fallback: (payload) => Effect.succeed(payload) }).pipe(
          Layer.provide(firstTasks.toLayer({ welcome: ({ name }) => Effect.succeed(`1: ${name}`) }))
        )
      )
      const execution = yield* docket.add(Second, { name: "Grace Hopper", locale: "us" })
      assert.strictEqual(yield* execution.result, '{"name":"Grace Hopper","locale":"us"}')
    })
  )

  // Whoever asks is answered, and no answer makes it ask the same again: no more calls than it takes to settle a few.
  const few = 12
  const limited = { concurrency: { limit: 1 }, rateLimit: { limit: 100, per: "1 second" } } as const
  const limits = { plain: {}, limited }
  const versionsOf = (options: {} | typeof limited) => ({
    Old: Task.make(name, { payload: { name: Schema.String }, success: Schema.String, key, ...options }),
    New: Task.make(name, {
      payload: { name: Schema.String, locale: Schema.String },
      success: Schema.String,
      key,
      earlier: [Task.earlier({ name: Schema.String }, ({ name }) => ({ name, locale: "en" }))],
      ...options
    })
  })

  it.effect("UNK-02 a fallback runs what is newer than its worker reads, though the task has limits", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      const faults = Faults.make(docket.store)
      const { New, Old } = versionsOf(limited)
      const group = TaskGroup.make(Old)
      yield* start(
        Worker.layer(group, { fallback: (payload) => Effect.succeed(payload) }).pipe(
          Layer.provide(group.toLayer({ welcome: ({ name }) => Effect.succeed(`1: ${name}`) }))
        )
      ).pipe(Effect.provideService(Docket, { ...docket, store: faults.store }))
      const execution = yield* docket.add(New, { name: "Grace Hopper", locale: "us" })
      assert.strictEqual(yield* execution.result, '{"name":"Grace Hopper","locale":"us"}')
      yield* pass("1 second")
      assert.isAtMost(faults.calls("exchange"), few)
    })
  )

  for (const [kind, options] of Object.entries(limits)) {
    it.effect(`UNK-01 a task that is named like the version of another, ${kind} one, is not taken for it`, () =>
      Effect.gen(function* () {
        const docket = yield* Docket
        const faults = Faults.make(docket.store)
        const { New, Old } = versionsOf(options)
        const Namesake = Task.make(`${name} version 2`, { success: Schema.String })
        const group = TaskGroup.make(Old, Namesake)
        const handlers = group.toLayer({
          welcome: ({ name }) => Effect.succeed(`1: ${name}`),
          "welcome version 2": () => Effect.succeed("its namesake")
        })
        yield* start(Worker.layer(group).pipe(Layer.provide(handlers))).pipe(
          Effect.provideService(Docket, { ...docket, store: faults.store })
        )
        yield* docket.add(New, { name: "Grace Hopper", locale: "us" })
        assert.strictEqual(yield* (yield* docket.add(Namesake)).result, "its namesake")
        yield* pass("1 second")
        assert.strictEqual(yield* stateOf("k"), "queued")
        assert.isAtMost(faults.calls("exchange"), few)

        const newer = TaskGroup.make(New)
        const readers = newer.toLayer({ welcome: ({ locale, name }) => Effect.succeed(`${name} (${locale})`) })
        yield* start(Worker.layer(newer).pipe(Layer.provide(readers)))
        assert.strictEqual(yield* docket.execution(New, "k").result, "Grace Hopper (us)")
      })
    )
  }

  it.effect("UNK-05 a migration that does not fit or throws fails its execution, and the worker goes on", () =>
    Effect.gen(function* () {
      const Broken = Task.make(name, {
        payload: { n: Schema.Int },
        key,
        earlier: [
          Task.earlier({ text: Schema.String }, ({ text }) => {
            if (text === "throw") throw new Error("no such text")
            return { n: Number(text) }
          })
        ],
        retry: Retry.linear({ attempts: 3 })
      })
      const tasks = TaskGroup.make(Broken)
      yield* start(Worker.layer(tasks).pipe(Layer.provide(tasks.toLayer({ welcome: () => Effect.void }))))
      const docket = yield* Docket
      for (const text of ["throw", "1.5"]) {
        const execution = yield* docket.addNamed(name, { text }, { key: text })
        const error = yield* Effect.flip(execution.result)
        assert(error._tag === "TaskFailed")
      }
      assert.isUndefined(yield* (yield* docket.addNamed(name, { text: "7" }, { key: "7" })).result)
    })
  )
})

describe("Stored payloads", () => {
  const text = (task: Task.Any, input: unknown) => Effect.map(codecOf(task).encodePayload(input), ({ text }) => text)

  it.effect("say their version only when their task has earlier ones", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* text(First, { name: "Ada" }), '{"name":"Ada"}')
      assert.strictEqual(
        yield* text(Second, { name: "Ada", locale: "en" }),
        '{"~docket":{"version":2},"data":{"name":"Ada","locale":"en"}}'
      )
    })
  )

  it.effect("that are no objects have versions as well", () =>
    Effect.gen(function* () {
      const Note = Task.make("note", {
        payload: Schema.Array(Schema.String),
        earlier: [Task.earlier(Schema.String, (note) => [note])]
      })
      const { decodePayload } = codecOf(Note)
      const stored = yield* text(Note, ["a", "b"])
      assert.strictEqual(stored, '{"~docket":{"version":2},"data":["a","b"]}')
      assert.deepStrictEqual(yield* decodePayload(stored), ["a", "b"])
      assert.deepStrictEqual(yield* decodePayload('"a"'), ["a"])
    })
  )
})
