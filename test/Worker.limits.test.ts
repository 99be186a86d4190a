/** Limits on when and how often tasks start, as their handlers see them. */
import { assert } from "@effect/vitest"
import { Deferred, Effect, Latch, Layer, Queue, References, Schema } from "effect"
import { Docket, Retry, Task, TaskGroup, Worker } from "../src/index.ts"
import {
  beginning,
  infoOf,
  onEveryStore,
  onMemory,
  onRedis,
  pass,
  type RunningWorker,
  start,
  stateOf
} from "./support/dockets.ts"
import * as MemoryStore from "../src/store/memory/MemoryStore.ts"
import { collectLogs } from "./support/logs.ts"
import { RedisServer } from "./support/RedisServer.ts"
import { passUntil, seen, type Seen } from "./support/runs.ts"
import { waitUntil } from "./support/waitUntil.ts"

const Payload = {
  id: Schema.String,
  customer: Schema.Int.pipe(
    Schema.withConstructorDefault(Effect.succeed(0)),
    Schema.withDecodingDefault(Effect.succeed(0))
  )
}

type Options = Omit<Task.Options<typeof Payload, typeof Schema.Void, typeof Schema.Never>, "payload" | "key">

const define = <const Name extends string>(name: Name, options: Options) =>
  Task.make(name, { payload: Payload, key: ({ id }) => id, ...options })

/** Starts a worker on one task, and tells which of its runs started, one after the other. */
const startWorker = Effect.fnUntraced(function* (
  options: Options,
  handler: (run: Seen) => Effect.Effect<void> = () => Effect.void,
  workerOptions: Worker.Options = {}
) {
  const Job = define("job", options)
  const tasks = TaskGroup.make(Job)
  const runs = yield* Queue.unbounded<Seen>()
  const handlers = tasks.toLayer({
    job: Effect.fnUntraced(function* () {
      const run = yield* seen
      yield* Queue.offer(runs, run)
      yield* handler(run)
    })
  })
  const layer = Worker.layer(tasks, workerOptions).pipe(Layer.provide(handlers))
  const worker = yield* start(layer)
  return { Job, handlers, layer, runs, tasks, worker }
})

const next = (runs: Queue.Dequeue<Seen>) => Effect.map(Queue.take(runs), ({ key }) => key)

const ids = (count: number) => Array.from({ length: count }, (_, n) => `job-${n}`)

onEveryStore("What a worker is asked about", (it) => {
  it.effect("ADM-07 is answered each time, however the worker's loops take turns", () =>
    Effect.gen(function* () {
      const options = { concurrency: { limit: 10, by: ({ id }: { readonly id: string }) => id } }
      const { runs } = yield* startWorker(options).pipe(
        // Each of its fibers lets others go on after a few steps.
        Effect.provideService(References.MaxOpsBeforeYield, 4)
      )
      const docket = yield* Docket
      const keys = ids(200)
      yield* Effect.forEach(keys, (id) => docket.addNamed("job", { id }, { key: id }))
      // No loan ends, since no time passes.
      const ran = yield* Queue.takeN(runs, keys.length)
      assert.deepStrictEqual(ran.map(({ key }) => key).toSorted(), keys.toSorted())
      for (const { deliveries } of ran) assert.strictEqual(deliveries, 1)
    })
  )
})

onEveryStore("A concurrency limit", (it) => {
  it.effect("CON-01, CON-03 lets so many run at once for each value, and all of a burst, oldest first", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      const gate = yield* Latch.make(false)
      let most = 0
      const now = new Map<string, number>()
      const { Job, runs } = yield* startWorker(
        { concurrency: { limit: 2, by: ({ customer }) => customer } },
        Effect.fnUntraced(function* ({ payload }) {
          const value = JSON.stringify((payload as { customer: number }).customer)
          const count = (now.get(value) ?? 0) + 1
          most = Math.max(most, count)
          now.set(value, count)
          yield* gate.await
          now.set(value, now.get(value)! - 1)
        }),
        { concurrency: 50 }
      )
      const requests = ids(60).map((id, n) => Task.request(Job, { id, customer: n % 3 }))
      const executions = yield* docket.addAll(requests)
      const first = yield* Effect.all(Array.from({ length: 6 }, () => next(runs)))
      assert.sameMembers(first, ids(6))
      assert.strictEqual((yield* docket.snapshot()).scheduled, 54)
      yield* gate.open
      yield* Effect.forEach(executions, ({ result }) => result, { concurrency: "unbounded" })
      assert.strictEqual(most, 2)
      const order = [...first, ...Array.from(yield* Queue.takeAll(runs), ({ key }) => key)]
      assert.lengthOf(order, 60)
      for (const customer of [0, 1, 2]) {
        const mine = order.filter((key) => Number(key.slice(4)) % 3 === customer).map((key) => Number(key.slice(4)))
        mine.forEach((n, place) => assert.isAtMost(Math.abs(place - (n - customer) / 3), 1))
      }
    })
  )

  it.effect(
    "CON-02, CON-04, ADM-03 an execution without a slot waits as scheduled, and holds no slot of the worker",
    () =>
      Effect.gen(function* () {
        const docket = yield* Docket
        const gate = yield* Latch.make(false)
        const { Job, runs } = yield* startWorker(
          { concurrency: { limit: 1, by: ({ customer }) => customer } },
          () => gate.await,
          {
            concurrency: 2
          }
        )
        yield* docket.add(Job, { id: "a" })
        assert.strictEqual(yield* next(runs), "a")
        const events = yield* docket.store.watch("b")
        yield* docket.addAll(["b", "c", "d"].map((id) => Task.request(Job, { id })))
        // The worker's other slot is free for another value.
        yield* docket.add(Job, { id: "other", customer: 1 })
        assert.strictEqual(yield* next(runs), "other")
        assert.strictEqual(yield* stateOf("b"), "scheduled")
        assert.strictEqual((yield* infoOf("b")).deliveries, 0)
        yield* gate.open
        yield* docket.execution(Job, "d").result
        assert.deepStrictEqual([yield* next(runs), yield* next(runs), yield* next(runs)], ["b", "c", "d"])
        yield* waitUntil(
          "b has ended",
          Effect.map(stateOf("b"), (state) => state === "completed")
        )
        const states = Array.from(yield* Queue.takeAll(events), (event) =>
          event._tag === "Changed" ? event.state : ""
        )
        assert.deepStrictEqual(states, ["queued", "scheduled", "queued", "running", "completed"])
      })
  )

  it.effect("CON-03 a run that fails, dies, is interrupted or cancelled frees its slot", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      const ends: Record<string, Effect.Effect<void>> = {
        dies: Effect.die("boom"),
        interrupts: Effect.interrupt,
        waits: Effect.never,
        "times out": Effect.never
      }
      const { Job, runs } = yield* startWorker(
        { concurrency: { limit: 1 }, timeout: "1 minute" },
        ({ key }) => ends[key] ?? Effect.void
      )
      yield* docket.addAll([...Object.keys(ends), "last"].map((id) => Task.request(Job, { id })))
      assert.deepStrictEqual([yield* next(runs), yield* next(runs), yield* next(runs)], ["dies", "interrupts", "waits"])
      yield* docket.cancel("waits")
      assert.strictEqual(yield* next(runs), "times out")
      yield* pass("1 minute")
      assert.strictEqual(yield* next(runs), "last")
    })
  )

  it.effect("CON-05 a waiting execution that is cancelled never runs", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      const gate = yield* Latch.make(false)
      const { Job, runs } = yield* startWorker({ concurrency: { limit: 1 } }, () => gate.await)
      yield* docket.addAll(["a", "b", "c"].map((id) => Task.request(Job, { id })))
      assert.strictEqual(yield* next(runs), "a")
      yield* waitUntil(
        "b waits",
        Effect.map(stateOf("b"), (state) => state === "scheduled")
      )
      yield* docket.cancel("b")
      assert.strictEqual(yield* stateOf("b"), "cancelled")
      yield* gate.open
      assert.strictEqual(yield* next(runs), "c")
      yield* docket.execution(Job, "c").result
      assert.strictEqual(yield* stateOf("b"), "cancelled")
    })
  )

  it.effect("CON-06 a slot is kept while its run goes on, however long", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      const gate = yield* Latch.make(false)
      const { Job, layer, runs } = yield* startWorker({ concurrency: { limit: 1 } }, () => gate.await, {
        redeliveryTimeout: "1 minute"
      })
      yield* docket.addAll(["a", "b"].map((id) => Task.request(Job, { id })))
      assert.strictEqual(yield* next(runs), "a")
      yield* start(layer)
      yield* pass("4 minutes", 120)
      assert.strictEqual(yield* Queue.size(runs), 0)
      yield* gate.open
      assert.strictEqual(yield* next(runs), "b")
    })
  )

  it.effect("CON-08, SHD-05 a worker that stops gives its slots back, and what it ran is the next to start", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      const gate = yield* Latch.make(false)
      const { Job, layer, runs, worker } = yield* startWorker({ concurrency: { limit: 1 } }, () => gate.await, {
        shutdownTimeout: "1 second"
      })
      yield* docket.addAll(["a", "b"].map((id) => Task.request(Job, { id })))
      assert.strictEqual(yield* next(runs), "a")
      yield* passUntil("500 millis", stopOf(worker))
      yield* start(layer)
      assert.strictEqual(yield* next(runs), "a")
      yield* gate.open
      assert.strictEqual(yield* next(runs), "b")
    })
  )

  it.effect("ADM-06, ADM-08 is of its task alone, unless several name one scope", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      const gate = yield* Latch.make(false)
      const runs = yield* Queue.unbounded<string>()
      const run = Effect.flatMap(seen, ({ key }) => Effect.andThen(Queue.offer(runs, key), gate.await))
      const tasks = TaskGroup.make(
        define("alone", { concurrency: { limit: 1 } }),
        define("also", { concurrency: { limit: 1 } }),
        define("print", { concurrency: { limit: 1, scope: "printer" } }),
        define("scan", { concurrency: { limit: 1, scope: "printer" } })
      )
      yield* start(
        Worker.layer(tasks).pipe(
          Layer.provide(tasks.toLayer({ alone: () => run, also: () => run, print: () => run, scan: () => run }))
        )
      )
      for (const task of tasks.tasks.values()) yield* docket.add(task, { id: task.name })
      assert.sameMembers(
        [yield* Queue.take(runs), yield* Queue.take(runs), yield* Queue.take(runs)],
        ["alone", "also", "print"]
      )
      yield* waitUntil(
        "scan waits",
        Effect.map(stateOf("scan"), (state) => state === "scheduled")
      )
      yield* gate.open
      assert.strictEqual(yield* Queue.take(runs), "scan")
    })
  )

  it.effect("ADM-07 the value comes from the decoded payload, defaults included, however it was given", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      const gate = yield* Latch.make(false)
      const { Job, runs } = yield* startWorker(
        { concurrency: { limit: 1, by: ({ customer }) => customer } },
        () => gate.await
      )
      yield* docket.addNamed("job", { id: "a" }, { key: "a" })
      assert.strictEqual(yield* next(runs), "a")
      yield* docket.add(Job, { id: "b" })
      yield* docket.addNamed("job", { id: "c", customer: 0 }, { key: "c" })
      yield* docket.addNamed("job", { id: "d", customer: 1 }, { key: "d" })
      assert.strictEqual(yield* next(runs), "d")
      for (const key of ["b", "c"]) {
        yield* waitUntil(
          `${key} waits`,
          Effect.map(stateOf(key), (state) => state === "scheduled")
        )
      }
      yield* gate.open
      assert.deepStrictEqual([yield* next(runs), yield* next(runs)], ["b", "c"])
    })
  )

  it.effect("ADM-01 is asked when an execution is about to start, not when it is scheduled", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      const gate = yield* Latch.make()
      const { Job, runs } = yield* startWorker({ concurrency: { limit: 1 } }, () => gate.await)
      const first = yield* docket.add(Job, { id: "first" })
      assert.strictEqual(yield* next(runs), "first")
      // All slots are taken, and nobody asks yet: it is scheduled for its time, and not held back.
      const later = yield* docket.add(Job, { id: "later" }, { delay: "1 minute" })
      assert.strictEqual(later.disposition, "scheduled")
      assert.strictEqual((yield* docket.explain("later"))._tag, "Due")
      yield* gate.open
      yield* first.result
      yield* passUntil("5 seconds", later.result)
      assert.strictEqual(yield* next(runs), "later")
      assert.strictEqual((yield* infoOf("later")).due.epochMilliseconds >= beginning + 60_000, true)
    })
  )

  it.effect("UNK-05 an execution whose values cannot be found fails, and the worker goes on", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      const { Job, runs } = yield* startWorker({ concurrency: { limit: 1, by: ({ customer }) => customer } })
      yield* docket.addNamed("job", { id: 7 }, { key: "bad" })
      yield* docket.add(Job, { id: "good" })
      assert.strictEqual(yield* next(runs), "good")
      yield* waitUntil(
        "it has failed",
        Effect.map(stateOf("bad"), (state) => state === "failed")
      )
      assert.match((yield* infoOf("bad")).error ?? "", /InvalidPayload: /)
    })
  )

  it.effect("RUN-01 a bounded run waits for what is held back, and for nothing else", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      const Job = define("job", { concurrency: { limit: 1 }, rateLimit: { limit: 2, per: "10 seconds" } })
      const tasks = TaskGroup.make(Job)
      const starts: Array<number> = []
      const handlers = tasks.toLayer({ job: () => Effect.map(seen, ({ at }) => void starts.push(at)) })
      yield* docket.addAll(ids(6).map((id) => Task.request(Job, { id })))
      yield* passUntil("1 second", Effect.provide(Worker.runUntilFinished(tasks), handlers))
      assert.lengthOf(starts, 6)
      starts.forEach((at, n) => {
        if (n >= 2) assert.isAtLeast(at - starts[n - 2]!, 10_000)
      })
    })
  )

  it.effect("PER-01, CON-03 a recurring task frees its slot between its runs", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      const { Job, runs } = yield* startWorker({ concurrency: { limit: 1 }, perpetual: { every: "10 seconds" } })
      yield* docket.addAll(["a", "b"].map((id) => Task.request(Job, { id })))
      yield* pass("35 seconds", 70)
      const all = Array.from(yield* Queue.takeAll(runs), ({ key }) => key)
      assert.isAtLeast(all.filter((key) => key === "a").length, 3)
      assert.isAtLeast(all.filter((key) => key === "b").length, 3)
    })
  )
})

const stopOf = ({ stop }: RunningWorker) => stop

onEveryStore("A rate limit", (it) => {
  it.effect("RAT-01, RAT-02 starts what is over it at the moment at which a start leaves the window", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      const { Job, runs } = yield* startWorker({
        rateLimit: { limit: 2, per: "10 seconds", by: ({ customer }) => customer }
      })
      yield* docket.addAll(ids(5).map((id) => Task.request(Job, { id })))
      yield* docket.add(Job, { id: "other", customer: 1 })
      const first = [yield* next(runs), yield* next(runs), yield* next(runs)]
      assert.sameMembers(first, ["job-0", "job-1", "other"])
      yield* waitUntil(
        "the last waits",
        Effect.map(stateOf("job-4"), (state) => state === "scheduled")
      )
      const started = (yield* infoOf("job-0")).started!.epochMilliseconds
      const why = yield* docket.explain("job-2")
      assert(why._tag === "RateLimited" && why.until !== undefined)
      assert.strictEqual(why.until.epochMilliseconds - started, 10_000)
      yield* pass("9 seconds", 9)
      assert.strictEqual(yield* Queue.size(runs), 0)
      yield* pass("2 seconds", 4)
      assert.sameMembers([yield* next(runs), yield* next(runs)], ["job-2", "job-3"])
      yield* pass("10 seconds", 10)
      assert.strictEqual(yield* next(runs), "job-4")
    })
  )

  it.effect("RAT-02, ADM-04 drops what is over it when it is told to, quietly", () =>
    Effect.gen(function* () {
      const logs = yield* collectLogs
      yield* Effect.gen(function* () {
        const docket = yield* Docket
        const { Job, runs } = yield* startWorker({ rateLimit: { limit: 1, per: "1 minute", onExceeded: "drop" } })
        const [first, second] = yield* docket.addAll([Task.request(Job, { id: "a" }), Task.request(Job, { id: "b" })])
        yield* first.result
        assert.strictEqual((yield* Effect.flip(second.result))._tag, "TaskCancelled")
        assert.strictEqual((yield* infoOf("b")).error, undefined)
        assert.deepStrictEqual([yield* next(runs), yield* Queue.size(runs)], ["a", 0])
      }).pipe(Effect.provide(logs.layer))
      assert.deepStrictEqual([...logs.at("Warn"), ...logs.at("Error")], [])
      assert.lengthOf(
        logs.at("Info").filter((message) => message.includes("{b}")),
        1
      )
    })
  )

  it.effect("RAT-03 counts each attempt", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      const { Job, runs } = yield* startWorker(
        { rateLimit: { limit: 2, per: "1 minute", onExceeded: "drop" }, retry: Retry.linear({ attempts: 3 }) },
        ({ attempt }) => (attempt < 3 ? Effect.die("not yet") : Effect.void)
      )
      const execution = yield* docket.add(Job, { id: "a" })
      yield* passUntil("10 seconds", execution.result)
      const starts = Array.from(yield* Queue.takeAll(runs), ({ at }) => at)
      assert.lengthOf(starts, 3)
      assert.isAtLeast(starts[2]! - starts[0]!, 60_000)
    })
  )
})

onEveryStore("A cooldown", (it) => {
  it.effect("COO-01, COO-02 runs the first, and drops those that would start within the window", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      const { Job, runs } = yield* startWorker({ cooldown: { window: "1 minute", by: ({ customer }) => customer } })
      yield* (yield* docket.add(Job, { id: "a" })).result
      const dropped = yield* docket.add(Job, { id: "b" })
      assert.strictEqual((yield* Effect.flip(dropped.result))._tag, "TaskCancelled")
      yield* (yield* docket.add(Job, { id: "c", customer: 1 })).result
      yield* pass("61 seconds", 3)
      yield* (yield* docket.add(Job, { id: "d" })).result
      assert.deepStrictEqual([yield* next(runs), yield* next(runs), yield* next(runs)], ["a", "c", "d"])
    })
  )

  it.effect("COO-04, ADM-09 its own further attempts pass", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      const { Job } = yield* startWorker(
        { cooldown: { window: "1 hour" }, retry: Retry.linear({ attempts: 3, delay: "1 second" }) },
        ({ attempt }) => (attempt < 3 ? Effect.die("not yet") : Effect.void)
      )
      const execution = yield* docket.add(Job, { id: "a" })
      yield* passUntil("1 second", execution.result)
    })
  )
})

onEveryStore("A debounce", (it) => {
  it.effect("DEB-01, DEB-02, DEB-03 runs the first submission once it has been quiet", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      const { Job, runs } = yield* startWorker({ debounce: { settle: "10 seconds" } })
      for (const id of ["a", "b", "c"]) {
        yield* docket.add(Job, { id })
        yield* pass("6 seconds", 3)
      }
      yield* waitUntil(
        "the others are dropped",
        Effect.map(stateOf("c"), (state) => state === "cancelled")
      )
      assert.strictEqual(yield* Queue.size(runs), 0)
      assert.strictEqual(yield* stateOf("a"), "scheduled")
      yield* pass("12 seconds", 6)
      const run = yield* Queue.take(runs)
      assert.strictEqual(run.key, "a")
      assert.isAtLeast(run.at, 22_000)
      yield* docket.add(Job, { id: "d" })
      yield* pass("11 seconds", 11)
      assert.strictEqual(yield* next(runs), "d")
    })
  )

  it.effect("DEB-01 runs now and then under a steady stream of submissions, with a maximum", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      const { Job, runs } = yield* startWorker({ debounce: { settle: "10 seconds", maximum: "30 seconds" } })
      for (const id of ids(24)) {
        yield* docket.add(Job, { id })
        yield* pass("5 seconds", 2)
      }
      const ran = yield* Queue.takeAll(runs)
      assert.isAtLeast(ran.length, 3)
      assert.strictEqual(ran[0].key, "job-0")
    })
  )
})

onEveryStore("Several controls", (it) => {
  it.effect("ADM-02 have all to be passed, and none is left with what another one holds back", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      const gate = yield* Deferred.make<void>()
      const { Job, runs } = yield* startWorker(
        { concurrency: { limit: 1 }, rateLimit: { limit: 1, per: "10 seconds", by: ({ customer }) => customer } },
        ({ key }) => (key === "a" ? Deferred.await(gate) : Effect.void)
      )
      yield* docket.add(Job, { id: "a", customer: 1 })
      assert.strictEqual(yield* next(runs), "a")
      // This one is over the rate limit when it gets the slot, and must not keep that from the next.
      yield* docket.add(Job, { id: "b", customer: 1 })
      yield* docket.add(Job, { id: "c", customer: 2 })
      yield* Deferred.succeed(gate, undefined)
      assert.strictEqual(yield* next(runs), "c")
      yield* pass("11 seconds", 11)
      const b = yield* Queue.take(runs)
      assert.strictEqual(b.key, "b")
      assert.isAtLeast(b.at, (yield* infoOf("a")).started!.epochMilliseconds - beginning + 10_000)
    })
  )
})

/** What a task with a rate limit and a debounce leaves in its store. */
const Kept: Options = {
  rateLimit: { limit: 1, per: "10 seconds" },
  debounce: { settle: "2 seconds", maximum: "1 hour" }
}

onRedis("What controls keep", (it) => {
  it.effect("RAT-05, DEB-04 expires two windows after the last start, and ten settle times after a submission", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      const redis = yield* RedisServer
      const lives = Effect.fnUntraced(function* (kind: string) {
        const place = kind === "at:r" ? kind : `${kind}:`
        const key = `{${docket.name}}:${place}task:job:${kind === "debounce" ? "debounce0" : "rate0"}`
        return Number(yield* redis.cli("PTTL", key))
      })
      const gone = -2
      const { Job, runs } = yield* startWorker(Kept)
      yield* docket.add(Job, { id: "a" })
      yield* waitUntil(
        "it waits for quiet",
        Effect.map(docket.explain("a"), ({ _tag }) => _tag === "Debouncing")
      )
      const round = yield* lives("debounce")
      assert.isAbove(round, 0)
      assert.isAtMost(round, 20_000)
      assert.strictEqual(yield* lives("starts"), gone)
      assert.strictEqual(yield* passUntil("500 millis", next(runs)), "a")
      // The round went when it began to run.
      assert.strictEqual(yield* lives("debounce"), gone)
      const starts = yield* lives("starts")
      assert.isAbove(starts, 10_000)
      assert.isAtMost(starts, 20_000)
      // One that waits stands in its line for as long as it waits.
      yield* docket.add(Job, { id: "b" })
      yield* passUntil(
        "500 millis",
        waitUntil(
          "it waits for the window",
          Effect.map(docket.explain("b"), ({ _tag }) => _tag === "RateLimited")
        )
      )
      assert.strictEqual(yield* lives("at:r"), -1)
      yield* docket.cancel("b")
      assert.strictEqual(yield* lives("at:r"), gone)
    })
  )
})

onMemory("What controls keep", (it) => {
  it.effect("RAT-05, DEB-04 expires two windows after the last start, and ten settle times after a submission", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      const memories = yield* MemoryStore.Memories
      const kept = [...memories.values()].flatMap(({ dockets }) => dockets.get(docket.name) ?? [])[0]!.executions
      const { Job } = yield* startWorker(Kept)
      yield* docket.add(Job, { id: "a" })
      yield* pass("1 second")
      const { sets } = kept.space
      const ends = () => sets.some("ends", 0, 9).map(({ member, score }) => [member.charAt(0), score - beginning])
      assert.deepStrictEqual(ends(), [["d", 20_000]])
      yield* pass("1 second")
      assert.deepStrictEqual(ends(), [["r", 22_000]])
      yield* pass("20 seconds")
      // Whatever is done next finds it gone.
      yield* docket.snapshot()
      assert.deepStrictEqual(ends(), [])
    })
  )
})
