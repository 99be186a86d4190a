/** What a producer sees when it schedules: keys, payloads, times and dispositions. */
import { assert, it } from "@effect/vitest"
import {
  Clock,
  ConfigProvider,
  DateTime,
  Effect,
  Exit,
  Fiber,
  Latch,
  Layer,
  Option,
  Queue,
  Schema,
  Scope
} from "effect"
import { Docket, DocketLive, Dockets, Task, TaskGroup, TaskKey, Worker } from "../src/index.ts"
import { beginning, infoOf, onEveryStore, onRedis, pass, start, stateOf, TestDocket } from "./support/dockets.ts"
import * as Faults from "./support/faults.ts"
import { oddStrings } from "./support/oddStrings.ts"

const Send = Task.make("send", {
  payload: { to: Schema.String, copies: Schema.Int.check(Schema.isGreaterThan(0)) }
})
const Ping = Task.make("ping")
const Echo = Task.make("echo", { payload: { text: Schema.String }, success: Schema.String })

const minute = 60_000

onEveryStore("Docket", (it) => {
  it.effect("SCH-01 what is added without a time, for the present or for the past is queued at once", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      const now = yield* Clock.currentTimeMillis
      const executions = [
        yield* docket.add(Ping),
        yield* docket.add(Ping, {}, { when: DateTime.makeUnsafe(now) }),
        yield* docket.add(Ping, {}, { when: DateTime.makeUnsafe(now - 30 * minute) }),
        yield* docket.add(Ping, {}, { delay: 0 }),
        yield* docket.add(Ping, {}, { delay: "-5 seconds" })
      ]
      for (const { disposition, key } of executions) {
        assert.strictEqual(disposition, "scheduled")
        assert.strictEqual(yield* stateOf(key), "queued")
      }
      assert.deepStrictEqual(yield* docket.store.depth, { queued: 5, scheduled: 0, running: 0 })
    })
  )

  it.effect("SCH-02 what is added for later is scheduled until its moment, however that is given", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      const tomorrow = beginning + 24 * 60 * minute
      for (const when of [
        tomorrow,
        new Date(tomorrow),
        new Date(tomorrow).toISOString(),
        DateTime.makeUnsafe(tomorrow)
      ]) {
        const { key } = yield* docket.add(Ping, {}, { when })
        const info = yield* infoOf(key)
        assert.strictEqual(info.state, "scheduled")
        assert.strictEqual(info.due.epochMilliseconds, tomorrow)
      }
      const before = yield* Clock.currentTimeMillis
      const { key } = yield* docket.add(Ping, {}, { delay: "90 seconds" })
      const info = yield* infoOf(key)
      assert.strictEqual(info.state, "scheduled")
      assert.isAtLeast(info.due.epochMilliseconds, before + 90_000)
      assert.isAtMost(info.due.epochMilliseconds, (yield* Clock.currentTimeMillis) + 90_000)
    })
  )

  it.effect("SCH-02 delayed work starts when it is due, and not before", () =>
    Effect.gen(function* () {
      const started = yield* Queue.unbounded<number>()
      const tasks = TaskGroup.make(Ping)
      const Handlers = tasks.toLayer({
        ping: () => Effect.flatMap(Clock.currentTimeMillis, (now) => Queue.offer(started, now))
      })
      yield* start(Worker.layer(tasks).pipe(Layer.provide(Handlers)))
      const docket = yield* Docket
      const { key } = yield* docket.add(Ping, {}, { when: beginning + 60 * minute })

      yield* pass("59 minutes")
      assert.strictEqual(yield* stateOf(key), "scheduled")
      yield* pass("1 minute")
      const at = yield* Queue.take(started)
      assert.isAtLeast(at, beginning + 60 * minute)
      assert.isAtMost(at, beginning + 60 * minute + 250)
    })
  )

  it.effect("SCH-02 earlier work that is added behind later work does not wait for it", () =>
    Effect.gen(function* () {
      const started = yield* Queue.unbounded<string>()
      const tasks = TaskGroup.make(Ping)
      const Handlers = tasks.toLayer({ ping: () => Effect.flatMap(TaskKey, (key) => Queue.offer(started, key)) })
      yield* start(Worker.layer(tasks).pipe(Layer.provide(Handlers)))
      const docket = yield* Docket
      yield* docket.add(Ping, {}, { key: "late", delay: "2 hours" })
      yield* pass("1 minute")
      yield* docket.add(Ping, {}, { key: "early", delay: "1 hour" })
      yield* pass("1 hour")
      assert.strictEqual(yield* Queue.take(started), "early")
      assert.strictEqual(yield* stateOf("late"), "scheduled")
      yield* pass("1 hour")
      assert.strictEqual(yield* Queue.take(started), "late")
    })
  )

  it.effect("SCH-03 without a key of its own, work gets a time-ordered UUID, also within one millisecond", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      const keys: Array<string> = []
      for (let i = 0; i < 200; i++) keys.push((yield* docket.add(Ping, {}, { delay: "1 hour" })).key)
      for (const key of keys) {
        assert.match(key, /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
      }
      assert.deepStrictEqual(keys.toSorted(), keys)
      assert.strictEqual(new Set(keys).size, keys.length)
    })
  )

  it.effect("SCH-03 keys sort in the order in which they were made, also over several dockets of a process", () =>
    Effect.gen(function* () {
      const { open } = yield* TestDocket
      const dockets = [yield* open(), yield* open({ name: "another" })]
      const keys: Array<string> = []
      for (let i = 0; i < 50; i++) keys.push((yield* dockets[i % 2]!.add(Ping, {}, { delay: "1 hour" })).key)
      assert.deepStrictEqual(keys.toSorted(), keys)
    })
  )

  it.effect("SCH-04 a key that another task holds is refused", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      yield* docket.add(Ping, {}, { key: "shared", delay: "1 hour" })
      const second = yield* docket.add(Echo, { text: "hello" }, { key: "shared" })
      assert.strictEqual(second.disposition, "already-scheduled")
      assert.strictEqual((yield* infoOf("shared")).task, "ping")
    })
  )

  it.effect("SCH-05 adding under a key that waits changes nothing, and says nothing", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      yield* docket.add(Echo, { text: "first" }, { key: "k", delay: "1 hour" })
      const before = yield* infoOf("k")
      const events = yield* docket.store.watch("k")

      const second = yield* docket.add(Echo, { text: "second" }, { key: "k", delay: "1 minute" })
      assert.strictEqual(second.disposition, "already-scheduled")
      assert.deepStrictEqual(yield* infoOf("k"), before)
      // The first that is heard of is the cancellation.
      yield* docket.cancel("k")
      const event = yield* Queue.take(events)
      assert(event._tag === "Changed")
      assert.strictEqual(event.state, "cancelled")
    })
  )

  it.effect("SCH-05, SCH-06 a key is taken while it runs, and free once that has ended", () =>
    Effect.gen(function* () {
      const turns = yield* Queue.unbounded<string>()
      const started = yield* Queue.unbounded<string>()
      const tasks = TaskGroup.make(Echo)
      const Handlers = tasks.toLayer({
        echo: ({ text }) => Effect.andThen(Queue.offer(started, text), Queue.take(turns))
      })
      yield* start(Worker.layer(tasks).pipe(Layer.provide(Handlers)))
      const docket = yield* Docket

      const first = yield* docket.add(Echo, { text: "first" }, { key: "k" })
      yield* Queue.take(started)
      const second = yield* docket.add(Echo, { text: "second" }, { key: "k" })
      assert.strictEqual(second.disposition, "already-scheduled")
      yield* Queue.offer(turns, "one")
      assert.strictEqual(yield* first.result, "one")

      const third = yield* docket.add(Echo, { text: "third" }, { key: "k" })
      assert.strictEqual(third.disposition, "scheduled")
      assert.strictEqual(yield* Queue.take(started), "third")
      yield* Queue.offer(turns, "two")
      assert.strictEqual(yield* third.result, "two")
    })
  )

  it.effect("SCH-07 of many processes that add one key at the same moment, one schedules it", () =>
    Effect.gen(function* () {
      const { open } = yield* TestDocket
      const dockets = yield* Effect.all(Array.from({ length: 10 }, () => open()))
      const executions = yield* Effect.forEach(dockets, (docket) => docket.add(Echo, { text: "hello" }, { key: "k" }), {
        concurrency: "unbounded"
      })
      const dispositions = executions.map(({ disposition }) => disposition)
      assert.strictEqual(dispositions.filter((disposition) => disposition === "scheduled").length, 1)
      assert.strictEqual(dispositions.filter((disposition) => disposition === "already-scheduled").length, 9)
    })
  )

  it.effect("SCH-08 a payload that does not fit is refused with a typed error, and nothing is sent", () =>
    Effect.gen(function* () {
      const faults = Faults.make((yield* Docket).store)
      const docket = yield* Dockets.fromStore(faults.store)
      // What the types let through, the schema still refuses.
      const refused = docket.add(Send, { to: "Ada", copies: 0 })
      const issue = yield* refused.pipe(
        Effect.andThen(Effect.die("it was accepted")),
        Effect.catchReason("DocketError", "InvalidPayload", ({ issue, task }) => Effect.succeed(`${task}: ${issue}`))
      )
      assert.include(issue, "send: ")
      assert.include(issue, "copies")
      yield* Effect.flip(docket.replace(Send, { to: "Ada", copies: -1 }, { key: "k" }))
      yield* Effect.flip(docket.addNamed("send", { to: () => "a function is no data" }))
      assert.strictEqual(faults.calls("schedule"), 0)
    })
  )

  it.effect("SCH-08 one bad payload in a batch keeps the whole batch from being scheduled", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      const error = yield* Effect.flip(
        docket.addAll([Task.request(Ping), Task.request(Send, { to: "Ada", copies: 0.5 }), Task.request(Ping)])
      )
      assert.strictEqual(error.reason._tag, "InvalidPayload")
      assert.deepStrictEqual(yield* docket.store.depth, { queued: 0, scheduled: 0, running: 0 })
    })
  )

  it.effect("a key, a name, a delay or a moment that makes no sense is refused with a typed error", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      const refused = [
        docket.add(Ping, {}, { key: "" }),
        docket.add(Ping, {}, { delay: "1 minute", when: beginning }),
        docket.add(Ping, {}, { delay: Infinity }),
        docket.add(Ping, {}, { delay: "999999999 weeks" }),
        // @ts-expect-error: no unit of time
        docket.add(Ping, {}, { delay: "5 minuts" }),
        docket.add(Ping, {}, { when: "next Tuesday" }),
        docket.replace(Ping, {}),
        docket.addNamed("", {}),
        docket.addNamed("ping", {}, { key: "" })
      ]
      for (const attempt of refused) {
        const error = yield* Effect.flip(attempt)
        assert.strictEqual(error.reason._tag, "InvalidRequest")
      }
      assert.strictEqual(
        (yield* Effect.flip(refused[4]!)).message,
        'delay has to be a finite duration; it was "5 minuts"; write it as in "5 minutes"'
      )
      assert.deepStrictEqual(yield* docket.store.depth, { queued: 0, scheduled: 0, running: 0 })
    })
  )

  it.effect("what a payload leaves out is filled in before its key is made and before it is stored", () =>
    Effect.gen(function* () {
      const Greet = Task.make("greet", {
        payload: {
          name: Schema.String,
          greeting: Schema.String.pipe(Schema.withConstructorDefault(Effect.succeed("Hello")))
        },
        key: ({ greeting, name }) => `${greeting}, ${name}`
      })
      const docket = yield* Docket
      const { key } = yield* docket.add(Greet, { name: "Ada" }, { delay: "1 hour" })
      assert.strictEqual(key, "Hello, Ada")
      assert.deepStrictEqual(JSON.parse((yield* infoOf(key)).encodedPayload), { name: "Ada", greeting: "Hello" })
    })
  )

  it.effect("a payload may be anything that a schema describes, and its handler gets what was given", () =>
    Effect.gen(function* () {
      class Point extends Schema.Class<Point>("Point")({ x: Schema.Number, y: Schema.Number }) {}
      const seen = yield* Queue.unbounded<unknown>()
      const see = (payload: unknown) => Queue.offer(seen, payload)
      const Text = Task.make("text", { payload: Schema.String })
      const Perhaps = Task.make("perhaps", { payload: Schema.NullOr(Schema.Number) })
      const Moment = Task.make("moment", { payload: Schema.Date })
      const Pair = Task.make("pair", { payload: Schema.Tuple([Schema.Int, Schema.Option(Schema.String)]) })
      const Place = Task.make("place", { payload: Point })
      const tasks = TaskGroup.make(Text, Perhaps, Moment, Pair, Place)
      const Handlers = tasks.toLayer({ text: see, perhaps: see, moment: see, pair: see, place: see })
      yield* start(Worker.layer(tasks, { concurrency: 1 }).pipe(Layer.provide(Handlers)))
      const docket = yield* Docket
      yield* docket.addAll([
        Task.request(Text, ""),
        Task.request(Perhaps, null),
        Task.request(Perhaps, 0),
        Task.request(Moment, new Date(beginning)),
        Task.request(Pair, [7, Option.some("seven")]),
        Task.request(Place, new Point({ x: 1, y: 2 }))
      ])
      yield* docket.add(Perhaps, null)
      assert.deepStrictEqual(yield* Queue.takeN(seen, 7), [
        "",
        null,
        0,
        new Date(beginning),
        [7, Option.some("seven")],
        new Point({ x: 1, y: 2 }),
        null
      ])
    })
  )

  it.effect("SCH-09 keys and payloads may hold anything, and come back unchanged", () =>
    Effect.gen(function* () {
      const tasks = TaskGroup.make(Echo)
      const Handlers = tasks.toLayer({
        echo: ({ text }) => Effect.map(TaskKey, (key) => JSON.stringify([key, text]))
      })
      const docket = yield* Docket
      const executions = yield* Effect.forEach(oddStrings, (odd) => docket.add(Echo, { text: odd }, { key: odd }))
      const events = yield* Effect.forEach(oddStrings, (odd) => docket.store.watch(odd))
      yield* start(Worker.layer(tasks).pipe(Layer.provide(Handlers)))

      for (const [i, odd] of oddStrings.entries()) {
        assert.strictEqual(executions[i]!.key, odd)
        assert.deepStrictEqual(JSON.parse(yield* executions[i]!.result), [odd, odd])
        const info = yield* infoOf(odd)
        assert.strictEqual(info.key, odd)
        assert.deepStrictEqual(JSON.parse(info.encodedPayload), { text: odd })
        const event = yield* Queue.take(events[i]!)
        assert(event._tag === "Changed")
        assert.strictEqual(event.key, odd)
        assert.strictEqual(event.state, "running")
      }
    })
  )

  it.effect("DSP-03 what a strike refuses is reported as struck, and nothing is written for it", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      yield* docket.strike({ task: "ping" })
      const [struck, scheduled] = yield* docket.addAll([
        Task.request(Ping, {}, { key: "struck" }),
        Task.request(Echo, { text: "hello" }, { key: "scheduled", delay: "1 hour" })
      ])
      assert.strictEqual(struck.disposition, "struck")
      assert.strictEqual(scheduled.disposition, "scheduled")
      assert.strictEqual((yield* docket.add(Ping, {}, { key: "struck" })).disposition, "struck")
      assert(Option.isNone(yield* docket.info("struck")))
      yield* docket.restore({ task: "ping" })
      assert.strictEqual((yield* docket.add(Ping, {}, { key: "struck" })).disposition, "scheduled")
    })
  )

  it.effect("SCH-10 a batch gets a disposition for each request, in order, and the first one for a key wins", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      yield* docket.add(Echo, { text: "before" }, { key: "taken", delay: "1 hour" })
      const executions = yield* docket.addAll([
        Task.request(Echo, { text: "one" }, { key: "a", delay: "1 hour" }),
        Task.request(Echo, { text: "two" }, { key: "taken", delay: "1 hour" }),
        Task.request(Ping, {}, { key: "b", delay: "1 hour" }),
        Task.request(Echo, { text: "three" }, { key: "a", delay: "1 hour" })
      ])
      assert.deepStrictEqual(
        executions.map(({ disposition, key, task }) => [key, task, disposition]),
        [
          ["a", "echo", "scheduled"],
          ["taken", "echo", "already-scheduled"],
          ["b", "ping", "scheduled"],
          ["a", "echo", "already-scheduled"]
        ]
      )
      assert.deepStrictEqual(JSON.parse((yield* infoOf("a")).encodedPayload), { text: "one" })
    })
  )

  it.effect("SCH-10 that holds for batches of any size, the empty one included", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      assert.deepStrictEqual(yield* docket.addAll([]), [])
      const requests = Array.from({ length: 450 }, (_, i) =>
        Task.request(Echo, { text: String(i) }, { key: `k-${i % 225}`, delay: "1 hour" })
      )
      const executions = yield* docket.addAll(requests)
      for (const [i, { disposition, key }] of executions.entries()) {
        assert.strictEqual(key, `k-${i % 225}`)
        assert.strictEqual(disposition, i < 225 ? "scheduled" : "already-scheduled")
      }
      assert.deepStrictEqual(JSON.parse((yield* infoOf("k-224")).encodedPayload), { text: "224" })
    })
  )

  it.effect("SCH-11 work can be scheduled by name, without the contract", () =>
    Effect.gen(function* () {
      const Remind = Task.make("remind", {
        payload: { at: Schema.Date, times: Schema.NumberFromString },
        success: Schema.Struct({ at: Schema.Date, times: Schema.Number })
      })
      const tasks = TaskGroup.make(Remind)
      yield* start(
        Worker.layer(tasks).pipe(Layer.provide(tasks.toLayer({ remind: (payload) => Effect.succeed(payload) })))
      )
      const docket = yield* Docket

      const execution = yield* docket.addNamed("remind", { at: "2026-02-03T04:05:06.000Z", times: "3" }, { key: "k" })
      assert.strictEqual(execution.disposition, "scheduled")
      // Without the contract the result is data; with it, it has its type.
      assert.deepStrictEqual(yield* execution.result, { at: "2026-02-03T04:05:06.000Z", times: 3 })
      const typed = yield* docket.execution(Remind, "k").result
      assert.strictEqual(typed.at.getTime(), Date.UTC(2026, 1, 3, 4, 5, 6))
    })
  )

  it.effect("SCH-12 any process can look up what is scheduled under a key", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      yield* docket.add(Echo, { text: "hello" }, { key: "k", when: beginning + 5 * minute })
      const elsewhere = yield* (yield* TestDocket).open()
      for (const info of [yield* elsewhere.info("k"), yield* elsewhere.execution(Echo, "k").info]) {
        assert(Option.isSome(info))
        assert.deepInclude(info.value, { key: "k", task: "echo", state: "scheduled", attempt: 1, error: undefined })
        assert.strictEqual(info.value.due.epochMilliseconds, beginning + 5 * minute)
        assert.deepStrictEqual(JSON.parse(info.value.encodedPayload), { text: "hello" })
      }
    })
  )

  it.effect("SCH-13 a key that nobody scheduled gives nothing", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      assert(Option.isNone(yield* docket.info("nobody")))
      assert(Option.isNone(yield* docket.execution(Ping, "nobody").info))
    })
  )

  it.effect("SCH-15 what was scheduled before any worker ran is all run by those that start together", () =>
    Effect.gen(function* () {
      const ran: Array<string> = []
      const tasks = TaskGroup.make(Echo)
      const Handlers = tasks.toLayer({ echo: ({ text }) => Effect.sync(() => (ran.push(text), text)) })
      const docket = yield* Docket
      const executions = yield* Effect.forEach(
        Array.from({ length: 60 }, (_, i) => String(i)),
        (text) => docket.add(Echo, { text })
      )
      yield* Effect.all(
        Array.from({ length: 4 }, () => start(Worker.layer(tasks).pipe(Layer.provide(Handlers)))),
        { concurrency: "unbounded" }
      )
      yield* Effect.forEach(executions, ({ result }) => result)
      assert.deepStrictEqual(
        ran.toSorted((a, b) => Number(a) - Number(b)),
        Array.from({ length: 60 }, (_, i) => String(i))
      )
    })
  )

  it.effect("a lone add makes one call to the store, and adds at the same moment share calls", () =>
    Effect.gen(function* () {
      const faults = Faults.make((yield* Docket).store)
      const docket = yield* Dockets.fromStore(faults.store)
      yield* docket.add(Echo, { text: "alone" }, { delay: "1 hour" })
      assert.strictEqual(faults.calls("schedule"), 1)

      const executions = yield* Effect.forEach(
        Array.from({ length: 50 }, (_, i) => `k-${i}`),
        (key) => docket.add(Echo, { text: key }, { key, delay: "1 hour" }),
        { concurrency: "unbounded" }
      )
      assert.isAtMost(faults.calls("schedule") - 1, 2)
      for (const [i, { disposition, key }] of executions.entries()) {
        assert.strictEqual(key, `k-${i}`)
        assert.strictEqual(disposition, "scheduled")
        assert.deepStrictEqual(JSON.parse((yield* infoOf(key)).encodedPayload), { text: key })
      }
    })
  )

  it.effect("adds that share a call and a key get a disposition each, the first one winning", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      const executions = yield* Effect.forEach(
        ["a", "b", "c"],
        (text) => docket.add(Echo, { text }, { key: "k", delay: "1 hour" }),
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(
        executions.map(({ disposition }) => disposition),
        ["scheduled", "already-scheduled", "already-scheduled"]
      )
      assert.deepStrictEqual(JSON.parse((yield* infoOf("k")).encodedPayload), { text: "a" })
    })
  )

  it.effect("an add that is interrupted before it was sent is not sent, and the others are", () =>
    Effect.gen(function* () {
      const faults = Faults.make((yield* Docket).store)
      const docket = yield* Dockets.fromStore(faults.store)
      const [busy, free] = [yield* Latch.make(), yield* Latch.make()]
      const add = (key: string) => docket.add(Echo, { text: key }, { key, delay: "1 hour" })
      // As many calls as there may be at once are held up, so that further adds have to wait.
      const held = Effect.andThen(busy.open, free.await)
      faults.next("schedule", held, held, held, held)
      const first = yield* Effect.forEach(["a", "b", "c", "d"], (key) =>
        Effect.tap(Effect.forkChild(add(key)), pass("1 milli"))
      )
      yield* busy.await
      const waiting = yield* Effect.forEach(["x", "y"], (key) => Effect.forkChild(add(key)))
      yield* pass("1 second")
      yield* Fiber.interrupt(waiting[0]!)
      yield* free.open
      for (const fiber of [...first, waiting[1]!]) {
        assert.strictEqual((yield* Fiber.join(fiber)).disposition, "scheduled")
      }
      assert(Option.isNone(yield* docket.info("x")))
      for (const key of ["a", "b", "c", "d", "y"]) assert.strictEqual(yield* stateOf(key), "scheduled")
    })
  )

  it.effect("SCH-14 a docket that was closed fails an add with a typed error, also one that is under way", () =>
    Effect.gen(function* () {
      const faults = Faults.make((yield* Docket).store)
      const scope = yield* Scope.make()
      const docket = yield* Dockets.fromStore(faults.store).pipe(Scope.provide(scope))
      faults.next("schedule", Effect.never)
      const underWay = yield* Effect.forkChild(Effect.flip(docket.add(Ping)))
      yield* pass("1 second")
      yield* Scope.close(scope, Exit.void)
      for (const error of [yield* Fiber.join(underWay), yield* Effect.flip(docket.add(Ping))]) {
        assert.strictEqual(error.reason._tag, "StoreError")
        assert.include(error.message, "closed")
      }
    })
  )

  it.effect("SCH-14 an add whose call fails says so, and the next one goes through", () =>
    Effect.gen(function* () {
      const faults = Faults.make((yield* Docket).store)
      const docket = yield* Dockets.fromStore(faults.store)
      faults.next("schedule", "refused")
      const add = docket.add(Echo, { text: "hello" }, { key: "k", delay: "1 hour" })
      const error = yield* Effect.flip(add)
      assert.strictEqual(error.reason._tag, "StoreError")
      assert.include(error.message, "the connection broke")
      assert.strictEqual((yield* add).disposition, "scheduled")
    })
  )

  it.effect("SCH-05 an add whose reply was lost can be sent again, thanks to its key", () =>
    Effect.gen(function* () {
      const faults = Faults.make((yield* Docket).store)
      const docket = yield* Dockets.fromStore(faults.store)
      faults.next("schedule", "reply-lost")
      const add = docket.add(Echo, { text: "hello" }, { key: "k", delay: "1 hour" })
      const error = yield* Effect.flip(add)
      assert.strictEqual(error.reason._tag, "StoreError")
      assert.strictEqual((yield* add).disposition, "already-scheduled")
      assert.deepStrictEqual(yield* docket.store.depth, { queued: 0, scheduled: 1, running: 0 })
    })
  )
})

onRedis("Docket", (it) => {
  it.effect("SCH-14 a store that cannot be reached fails every operation with a typed error", () =>
    Effect.gen(function* () {
      // Nobody listens on port 1.
      const docket = yield* Dockets.make({ url: "redis://:secret@127.0.0.1:1/0" })
      const operations = [
        docket.add(Ping),
        docket.addAll([Task.request(Ping)]),
        docket.addNamed("ping", {}),
        docket.replace(Ping, {}, { key: "k" }),
        docket.cancel("k"),
        docket.info("k"),
        docket.execution(Ping, "k").result
      ]
      for (const operation of operations) {
        const error = yield* Effect.flip(Effect.asVoid(operation))
        assert(error._tag === "DocketError")
        assert.strictEqual(error.reason._tag, "StoreError")
        assert.notInclude(error.message, "secret")
      }
    })
  )
})

it.effect("SCH-16 a docket that is told nothing has the documented defaults", () =>
  Effect.gen(function* () {
    const { name, settings } = yield* Docket
    assert.strictEqual(name, "docket")
    assert.deepInclude(settings, { executionTtlMillis: 15 * minute, heartbeatMillis: 2000, missedHeartbeats: 5 })
  }).pipe(Effect.provide(DocketLive), Effect.provide(ConfigProvider.layer(ConfigProvider.fromUnknown({}))))
)

it.effect("DocketLive reads the environment", () =>
  Effect.gen(function* () {
    const { name, settings } = yield* Docket
    assert.strictEqual(name, "orders")
    assert.deepInclude(settings, {
      executionTtlMillis: 0,
      failedTtlMillis: 90_000,
      heartbeatMillis: 500,
      missedHeartbeats: 3
    })
  }).pipe(
    Effect.provide(DocketLive),
    Effect.provide(
      ConfigProvider.layer(
        ConfigProvider.fromEnv({
          env: {
            DOCKET_NAME: "orders",
            DOCKET_URL: "memory://",
            DOCKET_EXECUTION_TTL: "0 seconds",
            DOCKET_FAILED_TTL: "1:30",
            DOCKET_HEARTBEAT_INTERVAL: "500ms",
            DOCKET_MISSED_HEARTBEATS: "3"
          }
        })
      )
    )
  )
)

it.effect("a docket with a name, a URL or a setting that cannot be is refused", () =>
  Effect.gen(function* () {
    for (const options of [
      { name: "" },
      { name: "{orders}" },
      { url: "ftp://localhost" },
      { url: "no url at all" },
      { executionTtl: -1 },
      { executionTtl: "1 fortnight" as "1 week" },
      { heartbeatInterval: Infinity },
      { missedHeartbeats: 0 },
      { missedHeartbeats: 1.5 },
      { failedMaximum: -1 },
      { failedMaximum: Number.NaN }
    ]) {
      const error = yield* Effect.flip(Dockets.make(options))
      assert.strictEqual(error.reason._tag, "InvalidRequest")
    }
  })
)
