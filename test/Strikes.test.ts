/** Strikes and pauses: what is struck is neither scheduled nor run, in any process, until it is restored. */
import { assert } from "@effect/vitest"
import { Effect, Layer, Option, Queue, Schema } from "effect"
import {
  CurrentExecution,
  Docket,
  type DocketError,
  Dockets,
  Perpetual,
  Strike,
  StrikeList,
  Task,
  TaskGroup,
  Worker
} from "../src/index.ts"
import { infoOf, onEveryStore, onMemory, onRedis, pass, start, stateOf, TestDocket } from "./support/dockets.ts"
import * as Faults from "./support/faults.ts"
import { collectLogs } from "./support/logs.ts"
import { follow, passUntil, statesIn } from "./support/runs.ts"
import { waitUntil } from "./support/waitUntil.ts"

const Greet = Task.make("greet", {
  payload: {
    name: Schema.String,
    customer: Schema.Struct({ id: Schema.Int }).pipe(
      Schema.withConstructorDefault(Effect.succeed({ id: 0 })),
      Schema.withDecodingDefault(Effect.succeed({ id: 0 }))
    ),
    tries: Schema.optionalKey(Schema.Int)
  },
  key: ({ name }) => name
})
const Other = Task.make("other", { payload: { customer: Schema.Struct({ id: Schema.Int }) } })
const tasks = TaskGroup.make(Greet, Other)

/** A worker that says what it runs. */
const startWorker = Effect.gen(function* () {
  const runs = yield* Queue.unbounded<string>()
  const say = Effect.flatMap(CurrentExecution, ({ key }) => Queue.offer(runs, key))
  const worker = yield* start(
    Worker.layer(tasks).pipe(Layer.provide(tasks.toLayer({ greet: () => say, other: () => say })))
  )
  return { ...worker, runs }
})

/** Opens the docket as another process would. */
const elsewhere = Effect.flatMap(TestDocket, ({ open }) => open())

const isUnscheduled = (key: string) =>
  Effect.map(
    Effect.flatMap(Docket, ({ info }) => info(key)),
    Option.isNone
  )

/** Lets time pass until a condition holds. */
const inTime = <E, R>(why: string, condition: Effect.Effect<boolean, E, R>) =>
  waitUntil(why, Effect.andThen(pass("100 millis"), condition))

/** Waits until an execution has this state. */
const reaches = (key: string, state: string) =>
  waitUntil(
    `${key} is ${state}`,
    Effect.map(stateOf(key), (actual) => actual === state)
  )

onEveryStore("A strike", (it) => {
  it.effect("STR-01, STR-02, STR-08 on a task refuses all of it, writes nothing, and says so", () =>
    Effect.gen(function* () {
      const logs = yield* collectLogs
      yield* Effect.gen(function* () {
        const docket = yield* Docket
        yield* docket.strike({ task: Greet })
        const refused = yield* docket.add(Greet, { name: "Ada" })
        assert.strictEqual(refused.disposition, "struck")
        assert.isTrue(yield* isUnscheduled("Ada"))
        const allowed = yield* docket.add(Other, { customer: { id: 1 } })
        assert.strictEqual(allowed.disposition, "scheduled")
        const batch = yield* docket.addAll([
          Task.request(Greet, { name: "Bo" }),
          Task.request(Other, { customer: { id: 2 } }),
          Task.request(Greet, { name: "Cy" }, { delay: "1 day" })
        ])
        assert.deepStrictEqual(
          batch.map(({ disposition }) => disposition),
          ["struck", "scheduled", "struck"]
        )
        const named = yield* docket.addNamed("greet", { name: "Di" })
        assert.strictEqual(named.disposition, "struck")
      }).pipe(Effect.provide(logs.layer))
      assert.include(logs.at("Info"), "Striking greet")
      assert.include(logs.at("Warn"), "🗙 greet{Ada} was not scheduled: struck by greet")
      assert.lengthOf(logs.at("Warn"), 4)
    })
  )

  it.effect("LOG-09 is logged at INFO by each process that sees it, with task, field, operator and value", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      const strike = { task: "greet", field: "customer.id", operator: "between", value: [3, 7] } as const
      const text = "greet customer.id between [3,7]"
      const [here, producer, worker] = yield* Effect.all([collectLogs, collectLogs, collectLogs])
      yield* start(
        Worker.layer(tasks).pipe(Layer.provide(tasks.toLayer({ greet: () => Effect.void, other: () => Effect.void })))
      ).pipe(Effect.provide(worker.layer), Effect.provideService(Docket, yield* elsewhere))
      const there = yield* elsewhere.pipe(Effect.provide(producer.layer))
      /** Lets every process see what is in force. */
      const look = Effect.gen(function* () {
        yield* there.add(Greet, { name: "Ada" })
        yield* waitUntil(
          "the worker has run it",
          Effect.map(stateOf("Ada"), (state) => state === "completed")
        )
      })
      yield* docket.strike(strike).pipe(Effect.provide(here.layer))
      yield* look
      yield* docket.restore(strike).pipe(Effect.provide(here.layer))
      yield* look
      for (const logs of [here, producer, worker]) {
        const said = logs.at("Info").filter((line) => line.includes(text))
        assert.deepStrictEqual(said, [`Striking ${text}`, `Restoring ${text}`])
      }
    })
  )

  it.effect("STR-03, STR-04 on a field compares the payload with its defaults", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      const dispositions = (strike: StrikeList.Options) =>
        Effect.gen(function* () {
          yield* docket.strike(strike)
          const requests = [0, 1, 2, 3].map((id) =>
            Task.request(Greet, { name: `${id}`, ...(id === 0 ? {} : { customer: { id }, tries: id }) })
          )
          const added = yield* docket.addAll(requests)
          yield* docket.clear
          yield* docket.restore(strike)
          return added.map(({ disposition }) => (disposition === "struck" ? "x" : ".")).join("")
        })
      const field = "customer.id"
      assert.strictEqual(yield* dispositions({ field, value: 0 }), "x...")
      assert.strictEqual(yield* dispositions({ field, operator: "!=", value: 2 }), "xx.x")
      assert.strictEqual(yield* dispositions({ field, operator: ">", value: 1 }), "..xx")
      assert.strictEqual(yield* dispositions({ field, operator: ">=", value: 1 }), ".xxx")
      assert.strictEqual(yield* dispositions({ field, operator: "<", value: 1 }), "x...")
      assert.strictEqual(yield* dispositions({ field, operator: "<=", value: 1 }), "xx..")
      assert.strictEqual(yield* dispositions({ field, operator: "between", value: [1, 2] }), ".xx.")
      // A payload without the field is matched by no operator.
      assert.strictEqual(yield* dispositions({ field: "tries", operator: "!=", value: 7 }), ".xxx")
      assert.strictEqual(yield* dispositions({ field: "nobody", operator: "!=", value: 7 }), "....")
      assert.strictEqual(yield* dispositions({ task: "greet", field: "name", value: "2" }), "..x.")
      assert.strictEqual(yield* dispositions({ task: "other", field: "name", value: "2" }), "....")
      assert.strictEqual(yield* dispositions({ field: "customer", value: { id: 3 } }), "...x")
      const name = { first: "Ada", last: "Lovelace" }
      const swapped = { last: "Lovelace", first: "Ada" }
      const { strike } = Strike.judge(
        [new Strike.Strike({ field: "name", operator: "==", value: name, hold: false })],
        "t",
        {
          name: swapped
        }
      )
      assert.isDefined(strike)
      assert.strictEqual(
        strike?.id,
        new Strike.Strike({ field: "name", operator: "==", value: swapped, hold: false }).id
      )
    })
  )

  it.effect("STR-05 compares without conversion; what makes no sense does not match, and is said", () =>
    Effect.gen(function* () {
      const logs = yield* collectLogs
      yield* Effect.gen(function* () {
        const docket = yield* Docket
        yield* docket.strike({ field: "customer.id", value: "1" })
        yield* docket.strike({ field: "customer.id", operator: "<", value: "5" })
        yield* docket.strike({ field: "customer.id", operator: "between", value: [1] })
        const customer = { id: 1 }
        assert.strictEqual((yield* docket.add(Greet, { name: "a", customer })).disposition, "scheduled")
        assert.strictEqual((yield* docket.add(Greet, { name: "b", customer })).disposition, "scheduled")
      }).pipe(Effect.provide(logs.layer))
      // Once for each strike.
      assert.lengthOf(
        logs.at("Warn").filter((message) => message.includes("cannot be compared")),
        2
      )
    })
  )

  it.effect("STR-06, STR-07 is independent of others, idempotent, and restored exactly", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      const add = (name: string, id: number) =>
        Effect.map(docket.add(Greet, { name, customer: { id } }), ({ disposition }) => disposition)
      yield* docket.strike({ task: "greet" })
      yield* docket.strike({ task: "greet" })
      yield* docket.strike({ task: "greet", field: "customer.id", value: 7 })
      yield* docket.strike({ field: "customer.id", value: 8 })
      assert.lengthOf(yield* docket.strikes, 3)
      yield* docket.restore({ task: "greet" })
      assert.deepStrictEqual(
        [yield* add("a", 1), yield* add("b", 7), yield* add("c", 8)],
        ["scheduled", "struck", "struck"]
      )
      yield* docket.restore({ task: "greet", field: "customer.id", operator: "!=", value: 7 })
      yield* docket.restore({ task: "greet", field: "customer.id", value: "7" })
      yield* docket.restore({ field: "customer.id", value: 7 })
      assert.strictEqual(yield* add("b", 7), "struck")
      yield* docket.restore({ field: "customer.id", value: 8 })
      assert.strictEqual(yield* add("c", 8), "scheduled")
      yield* docket.restore({ task: "greet", field: "customer.id", value: 7 })
      assert.strictEqual(yield* add("b", 7), "scheduled")
      assert.deepStrictEqual(yield* docket.strikes, [])
    })
  )

  it.effect("RPL-08 on a replacement leaves the earlier schedule in place", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      yield* docket.add(Greet, { name: "Ada", customer: { id: 1 } }, { delay: "1 day" })
      yield* docket.strike({ field: "customer.id", value: 2 })
      const replaced = yield* docket.replace(Greet, { name: "Ada", customer: { id: 2 } })
      assert.strictEqual(replaced.disposition, "struck")
      const info = yield* infoOf("Ada")
      assert.deepStrictEqual(JSON.parse(info.encodedPayload), { name: "Ada", customer: { id: 1 } })
    })
  )

  it.effect("STR-10, STR-11 holds at once in every process, also in one that joins later", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      const other = yield* elsewhere
      yield* other.add(Greet, { name: "before" }, { delay: "1 day" })
      yield* docket.strike({ task: "greet" })
      assert.strictEqual((yield* other.add(Greet, { name: "a" })).disposition, "struck")
      const late = yield* elsewhere
      assert.strictEqual((yield* late.add(Greet, { name: "b" })).disposition, "struck")
      assert.deepStrictEqual(
        (yield* late.strikes).map(({ task }) => task),
        ["greet"]
      )
      yield* other.restore({ task: "greet" })
      assert.strictEqual((yield* docket.add(Greet, { name: "c" })).disposition, "scheduled")
      assert.strictEqual((yield* late.add(Greet, { name: "d" })).disposition, "scheduled")
    })
  )

  it.effect("STR-09 cancels what was scheduled before it, which does not run, also after a restore", () =>
    Effect.gen(function* () {
      const logs = yield* collectLogs
      yield* Effect.gen(function* () {
        const docket = yield* Docket
        yield* docket.add(Greet, { name: "Ada", customer: { id: 7 } })
        yield* docket.add(Greet, { name: "Bo", customer: { id: 8 } })
        yield* docket.addNamed("greet", { name: "Cy" }, { key: "Cy" })
        yield* docket.addNamed("greet", { name: "Di", customer: { id: 8 } }, { key: "Di" })
        const other = yield* elsewhere
        yield* other.strike({ field: "customer.id", operator: "<", value: 8 })
        const states = yield* follow(docket.execution(Greet, "Ada").events)
        const first = yield* Queue.take(states)
        const { runs } = yield* startWorker
        assert.sameMembers([yield* Queue.take(runs), yield* Queue.take(runs)], ["Bo", "Di"])
        yield* reaches("Ada", "cancelled")
        yield* reaches("Cy", "cancelled")
        yield* other.restore({ field: "customer.id", operator: "<", value: 8 })
        yield* docket.add(Greet, { name: "Eve" })
        assert.strictEqual(yield* Queue.take(runs), "Eve")
        assert.strictEqual(yield* stateOf("Ada"), "cancelled")
        assert.deepStrictEqual(statesIn([first, ...(yield* Queue.takeAll(states))]), ["queued", "cancelled"])
      }).pipe(Effect.provide(logs.layer))
      const warnings = logs.at("Warn").filter((message) => message.includes("🗙"))
      assert.sameMembers(warnings, [
        "🗙 greet{Ada} does not run: struck by (all tasks) customer.id < 8",
        "🗙 greet{Cy} does not run: struck by (all tasks) customer.id < 8"
      ])
    })
  )

  it.effect("AUT-04, AUT-07 keeps an automatic task from being started, until it is restored", () =>
    Effect.gen(function* () {
      const Tick = Task.make("tick", { perpetual: { every: "10 seconds", automatic: true } })
      const group = TaskGroup.make(Tick)
      const ticks = yield* Queue.unbounded<string>()
      const docket = yield* Docket
      yield* docket.strike({ task: Tick })
      const handlers = group.toLayer({ tick: () => Queue.offer(ticks, "tick") })
      yield* start(Worker.layer(group).pipe(Layer.provide(handlers)))
      yield* pass("5 minutes", 5)
      assert.isTrue(yield* isUnscheduled("tick"))
      yield* docket.restore({ task: "tick" })
      yield* pass("1 minute", 10)
      assert.strictEqual(yield* Queue.take(ticks), "tick")
    })
  )

  it.effect("STR-08 ends a chain where it would schedule its next run", () =>
    Effect.gen(function* () {
      const Chain = Task.make("chain", {
        payload: { n: Schema.Int },
        perpetual: { every: "1 second" },
        key: () => "chain"
      })
      const group = TaskGroup.make(Chain)
      const runs = yield* Queue.unbounded<number>()
      const handlers = group.toLayer({
        chain: Effect.fnUntraced(function* ({ n }) {
          yield* Queue.offer(runs, n)
          yield* (yield* Perpetual).next(Chain, { n: n + 1 })
        })
      })
      const docket = yield* Docket
      yield* docket.strike({ field: "n", operator: ">", value: 2 })
      yield* docket.add(Chain, { n: 0 })
      yield* start(Worker.layer(group).pipe(Layer.provide(handlers)))
      yield* pass("10 seconds", 50)
      yield* reaches("chain", "completed")
      assert.deepStrictEqual([...(yield* Queue.takeAll(runs))], [0, 1, 2])
    })
  )

  /** A chain whose runs wait to be let through, on a worker in a process of its own that runs other tasks as well. */
  const startChain = Effect.gen(function* () {
    const Chain = Task.make("chain", { perpetual: { every: "1 minute" }, key: () => "chain" })
    const group = TaskGroup.make(Chain, Other)
    const [runs, others, mayEnd] = yield* Effect.all([
      Queue.unbounded<number>(),
      Queue.unbounded<void>(),
      Queue.unbounded<void>()
    ])
    const handlers = group.toLayer({
      chain: Effect.fnUntraced(function* () {
        yield* Queue.offer(runs, (yield* CurrentExecution).generation)
        yield* Queue.take(mayEnd)
      }),
      other: () => Queue.offer(others, undefined)
    })
    const faults = Faults.make((yield* elsewhere).store)
    yield* start(Worker.layer(group).pipe(Layer.provide(handlers))).pipe(
      Effect.provideService(Docket, yield* Dockets.fromStore(faults.store))
    )
    const docket = yield* Docket
    yield* docket.add(Chain)
    assert.strictEqual(yield* Queue.take(runs), 1)
    yield* docket.strike({ task: Chain })
    // The worker learns of the strike when it asks for work.
    yield* docket.add(Other, { customer: { id: 1 } })
    yield* Queue.take(others)
    return { Chain, runs, mayEnd, faults }
  })

  it.effect("STR-11 that was restored while a run went on does not end its chain", () =>
    Effect.gen(function* () {
      const { Chain, mayEnd, runs } = yield* startChain
      const docket = yield* Docket
      yield* docket.restore({ task: "chain" })
      yield* Queue.offer(mayEnd, undefined)
      assert.strictEqual(yield* passUntil("10 seconds", Queue.take(runs)), 2)
      yield* docket.strike({ task: Chain })
      yield* Queue.offer(mayEnd, undefined)
      yield* reaches("chain", "scheduled")
      yield* pass("1 minute", 6)
      yield* reaches("chain", "cancelled")
    })
  )

  it.effect(
    "STR-08, STR-09 ends a chain also when the store cannot be asked for it, at the latest when it is due",
    () =>
      Effect.gen(function* () {
        const { faults, mayEnd, runs } = yield* startChain
        faults.next("strikes", "refused")
        yield* Queue.offer(mayEnd, undefined)
        yield* passUntil("10 seconds", reaches("chain", "cancelled"))
        assert.strictEqual(yield* Queue.size(runs), 0)
      })
  )

  it.effect("that holds lets executions wait, and a restore lets them go", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      const { runs } = yield* startWorker
      yield* docket.strike({ task: Greet, field: "customer.id", operator: "between", value: [5, 7], hold: true })
      const held = yield* docket.add(Greet, { name: "Ada", customer: { id: 7 } })
      assert.strictEqual(held.disposition, "scheduled")
      yield* docket.add(Greet, { name: "Bo", customer: { id: 8 } })
      assert.strictEqual(yield* Queue.take(runs), "Bo")
      yield* reaches("Ada", "scheduled")
      yield* pass("1 minute", 4)
      assert.strictEqual(yield* stateOf("Ada"), "scheduled")
      yield* docket.restore({ field: "customer.id", operator: "between", value: [5, 7], task: "greet" })
      assert.strictEqual(yield* Queue.take(runs), "Ada")
    })
  )

  it.effect("has to make sense", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      const problem = (strike: StrikeList.Options) =>
        Effect.map(Effect.flip(docket.strike(strike)), ({ reason }: DocketError) => reason._tag)
      assert.strictEqual(yield* problem({}), "InvalidRequest")
      assert.strictEqual(yield* problem({ task: "greet", value: 7 }), "InvalidRequest")
      assert.strictEqual(yield* problem({ field: "name" }), "InvalidRequest")
      assert.strictEqual(yield* problem({ field: "name", operator: "~" as "==", value: 7 }), "InvalidRequest")
      assert.strictEqual(yield* problem({ field: "name", value: new Map() as never }), "InvalidRequest")
      assert.deepStrictEqual(yield* docket.strikes, [])
    })
  )
})

onEveryStore("A pause", (it) => {
  it.effect("of a task lets it wait, and others run", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      const { runs } = yield* startWorker
      yield* docket.pause(Greet)
      assert.deepStrictEqual(yield* docket.paused, { all: false, tasks: ["greet"] })
      for (const name of ["a", "b", "c"]) yield* docket.add(Greet, { name })
      yield* docket.add(Other, { customer: { id: 1 } }, { key: "other" })
      assert.strictEqual(yield* Queue.take(runs), "other")
      for (const name of ["a", "b", "c"]) yield* reaches(name, "scheduled")
      yield* docket.resume("greet")
      assert.deepStrictEqual(
        [yield* Queue.take(runs), yield* Queue.take(runs), yield* Queue.take(runs)],
        ["a", "b", "c"]
      )
      assert.deepStrictEqual(yield* docket.paused, { all: false, tasks: [] })
    })
  )

  it.effect("of everything lets all wait, also what is due later, and lets what runs end", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      const other = yield* elsewhere
      const { runs } = yield* startWorker
      yield* docket.add(Greet, { name: "later" }, { delay: "30 seconds" })
      yield* other.pause()
      assert.isTrue((yield* docket.paused).all)
      yield* docket.add(Greet, { name: "now" })
      yield* pass("1 minute", 4)
      yield* reaches("now", "scheduled")
      yield* reaches("later", "scheduled")
      assert.strictEqual(yield* Queue.size(runs), 0)
      yield* docket.resume()
      assert.sameMembers([yield* Queue.take(runs), yield* Queue.take(runs)], ["now", "later"])
    })
  )

  it.effect("STR-06 and a strike on the same task are two things", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      yield* docket.strike({ task: Greet })
      yield* docket.pause(Greet)
      yield* docket.resume(Greet)
      assert.strictEqual((yield* docket.add(Greet, { name: "a" })).disposition, "struck")
      yield* docket.pause(Greet)
      yield* docket.restore({ task: "greet", hold: false })
      assert.deepStrictEqual((yield* docket.paused).tasks, ["greet"])
      yield* docket.restore({ task: "greet" })
      assert.deepStrictEqual(yield* docket.strikes, [])
    })
  )
})

onEveryStore("A strike list", (it) => {
  it.effect("STR-13 works on its own, against plain values", () =>
    Effect.gen(function* () {
      const list = yield* StrikeList.make
      const strike = yield* list.strike({ field: "customer.id", operator: ">", value: 5 })
      assert.instanceOf(strike, Strike.Strike)
      assert.isTrue(yield* list.isStruck("anything", { customer: { id: 6 } }))
      assert.isFalse(yield* list.isStruck("anything", { customer: { id: 5 } }))
      assert.isFalse(yield* list.isStruck("anything", {}))
      yield* list.strike({ task: "report" })
      assert.deepStrictEqual(Option.map(yield* list.find("report", {}), String), Option.some("report"))
      yield* list.restore({ field: "customer.id", operator: ">", value: 5 })
      assert.isFalse(yield* list.isStruck("anything", { customer: { id: 6 } }))
      assert.lengthOf(yield* list.strikes, 1)
    })
  )

  it.effect("STR-11, STR-13 shares the strikes of a docket, and hears of changes", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      yield* docket.strike({ task: "greet" })
      const list = yield* StrikeList.follow(yield* elsewhere)
      assert.isTrue(yield* list.isStruck("greet", {}))
      yield* docket.restore({ task: "greet" })
      yield* waitUntil(
        "the list has heard of the restore",
        Effect.map(list.isStruck("greet", {}), (isStruck) => !isStruck)
      )
      yield* list.strike({ task: "greet" })
      assert.isTrue(yield* list.isStruck("greet", {}))
      assert.strictEqual((yield* docket.add(Greet, { name: "a" })).disposition, "struck")
      yield* list.restore({ task: "greet" })
      assert.strictEqual((yield* docket.add(Greet, { name: "a" })).disposition, "scheduled")
    })
  )

  it.effect("STR-13 hears of a change also when it cannot be read at once, and says so once", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      const faults = Faults.make((yield* elsewhere).store)
      const logs = yield* collectLogs
      const list = yield* Effect.provide(Effect.flatMap(Dockets.fromStore(faults.store), StrikeList.follow), logs.layer)
      faults.next("strikes", "refused", "refused", "refused")
      yield* docket.strike({ task: "greet" })
      yield* inTime("the list has heard of the strike", list.isStruck("greet", {}))
      assert.lengthOf(logs.at("Warn"), 1)
      yield* docket.restore({ task: "greet" })
      yield* inTime(
        "the list has heard of the restore",
        Effect.map(list.isStruck("greet", {}), (isStruck) => !isStruck)
      )
    })
  )
})

onMemory("A strike list without a store", (it) => {
  it.effect("STR-05 says when a comparison makes no sense", () =>
    Effect.gen(function* () {
      const logs = yield* collectLogs
      const list = yield* StrikeList.make
      yield* list.strike({ field: "n", operator: "<", value: "5" })
      assert.isFalse(yield* Effect.provide(list.isStruck("t", { n: 1 }), logs.layer))
      assert.lengthOf(logs.at("Warn"), 1)
    })
  )
})

onRedis("A strike list whose store cannot be reached", (it) => {
  it.effect("STR-13 says so when it is asked to strike", () =>
    Effect.gen(function* () {
      const closed = yield* Effect.scoped(Effect.flatMap(elsewhere, StrikeList.follow))
      const error = yield* Effect.flip(closed.strike({ task: "greet" }))
      assert.strictEqual(error.reason._tag, "StoreError")
      assert.isFalse(yield* closed.isStruck("greet", {}))
    })
  )
})
