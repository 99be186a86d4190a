import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, Option, Scope } from "effect"
import { TestClock } from "effect/testing"
import { DocketStore, isSettled } from "../../src/DocketStore.ts"
import type { Entry } from "../../src/store/memory/Entry.ts"
import * as MemoryStore from "../../src/store/memory/MemoryStore.ts"
import { admissionFaults } from "./admissionFaults.ts"
import { Harness, suite } from "./conformance.ts"
import { after, openWorker, request } from "./conformance/kit.ts"

/** What is wrong with where a docket keeps its executions, and what it still holds for those who are gone. */
const faults = ({ executions, sessions, wakeups }: MemoryStore.Docket): ReadonlyArray<string> => {
  const { asked, aside, entries, events, failed, grants, held, leases, overtaken, ready, schedule, settled, space } =
    executions
  const { sets } = space
  const faults: Array<string> = []
  const expect = (condition: boolean, fault: string) => {
    if (!condition) faults.push(fault)
  }
  const linesOf = (entry: Entry) => {
    if (entry.apart === "asked") return [grants.get(entry.lease)]
    if (entry.apart === "held") return [held]
    if (entry.apart === "line" || entry.apart === "turn") return [undefined]
    switch (entry.state) {
      case "scheduled":
        return [undefined]
      case "queued":
        return [ready, aside.get(entry.task)]
      case "running":
        return [grants.get(entry.lease)]
      default:
        return [entry.state === "failed" ? failed : settled, settled]
    }
  }
  const counts = { queued: 0, scheduled: 0, running: 0, settled: 0 }
  for (const entry of entries.values()) {
    counts[isSettled(entry.state) ? "settled" : (entry.state as "queued" | "scheduled" | "running")]++
    expect(linesOf(entry).includes(entry.spot?.line), `${entry.key} is ${entry.state}, and stands in the wrong line`)
    const usual = entry.state === "scheduled" ? schedule : entry.state === "running" ? leases : undefined
    const heap = entry.apart === "asked" ? asked : entry.apart === undefined ? usual : undefined
    expect(
      heap === undefined
        ? entry.node === undefined
        : entry.node !== undefined && heap.nodes[entry.node.index] === entry.node,
      `${entry.key} is ${entry.state}, and in the wrong heap`
    )
  }
  const turns = sets.size("turns")
  const sizes = {
    queued: asked.nodes.length + turns + ready.size + [...aside.values()].reduce((sum, { size }) => sum + size, 0),
    scheduled: schedule.nodes.length + sets.size("waiting") + held.size,
    running: leases.nodes.length,
    settled: settled.size + failed.size
  }
  expect(JSON.stringify(counts) === JSON.stringify(sizes), `${JSON.stringify(counts)} are in ${JSON.stringify(sizes)}`)
  expect(
    [...aside.values(), ...grants.values()].every(({ size }) => size > 0),
    "there are empty lines"
  )
  for (const { apart, key, standing } of entries.values()) {
    expect((apart === "line") === (standing.line !== undefined), `${key} waits in a line, or not`)
    expect((sets.score("turns", key) !== undefined) === (apart === "turn"), `${key} has a turn, or not`)
    expect((sets.score("waiting", key) !== undefined) === (apart === "line"), `${key} waits, or not`)
  }
  const slots = new Map(Array.from(overtaken, ([holder, { slots }]) => [holder, slots]))
  faults.push(...admissionFaults(space, entries, slots))
  expect(events.byKey.size === 0 && events.all.size === 0, "someone still follows")
  expect(sessions.size === 0, "a session is still open")
  expect(wakeups.waiters.size === 0 && wakeups.woken.size === 0, "a worker still waits")
  return faults
}

/** A process of its own, so to speak: its dockets live as long as the test has one of them open. */
const harness = Layer.effect(
  Harness,
  Effect.sync(() => {
    const memories: typeof MemoryStore.Memories.Service = new Map()
    const opened = new Set<MemoryStore.Docket>()
    return Harness.of({
      open: (options) =>
        MemoryStore.makeShared("memory://conformance", options).pipe(
          Effect.provideService(MemoryStore.Memories, memories),
          Effect.tap(() =>
            Effect.sync(() => memories.forEach(({ dockets }) => dockets.forEach((docket) => opened.add(docket))))
          )
        ),
      pass: () => Effect.void,
      whenWaiting: (workers) =>
        Effect.yieldNow.pipe(
          Effect.andThen(Effect.sync(() => [...opened].reduce((sum, { wakeups }) => sum + wakeups.waiters.size, 0))),
          Effect.repeat({ until: (waiting) => waiting === workers })
        ),
      afterEach: Effect.sync(() => {
        assert.strictEqual(memories.size, 0)
        for (const docket of opened) assert.deepStrictEqual(faults(docket), [])
        opened.clear()
      })
    })
  })
)

suite("memory", harness, { programs: 300 })

const options = { name: "docket", executionTtlMillis: 900_000, failedTtlMillis: 0, failedMaximum: 100 }

const keys = (store: DocketStore["Service"]) =>
  Effect.map(store.snapshot(100), ({ waiting }) => waiting.map(({ key }) => key))

describe("MemoryStore", () => {
  it.effect("MEM-02 equal URLs share their data, different ones are separate, and names separate dockets", () =>
    Effect.gen(function* () {
      const here = yield* MemoryStore.makeShared("memory://", options)
      yield* here.schedule([request("k")], "")
      for (const url of ["memory://", "memory:///", "memory://?a=b"]) {
        assert.deepStrictEqual(yield* keys(yield* MemoryStore.makeShared(url, options)), ["k"], url)
      }
      for (const url of ["memory://a", "memory://b", "memory://a/b", "memory://a/c", "memory:///c"]) {
        const store = yield* MemoryStore.makeShared(url, options)
        assert.deepStrictEqual(yield* keys(store), [], url)
        yield* store.schedule([request("k")], "")
      }
      assert.deepStrictEqual(yield* keys(yield* MemoryStore.makeShared("memory://a/b", options)), ["k"])
      assert.deepStrictEqual(yield* keys(yield* MemoryStore.makeShared("memory://", { ...options, name: "other" })), [])
    }).pipe(Effect.provideService(MemoryStore.Memories, new Map()))
  )

  it.effect("MEM-01 the data of a URL ends with the last scope that has it open", () =>
    Effect.gen(function* () {
      const memories: typeof MemoryStore.Memories.Service = new Map()
      const open = MemoryStore.makeShared("memory://", options).pipe(
        Effect.provideService(MemoryStore.Memories, memories)
      )
      const first = yield* Scope.make()
      const second = yield* Scope.make()
      const store = yield* Scope.provide(open, first)
      yield* store.schedule([request("k")], "")
      const again = yield* Scope.provide(open, second)
      yield* Scope.close(first, Exit.void)
      assert.deepStrictEqual(yield* keys(again), ["k"])
      yield* Scope.close(second, Exit.void)
      assert.strictEqual(memories.size, 0)
      assert.deepStrictEqual(yield* keys(yield* open), [])
    })
  )

  it.effect("MEM-01 stores that are made without a URL share nothing", () =>
    Effect.gen(function* () {
      const store = yield* MemoryStore.make(options)
      yield* store.schedule([request("k")], "")
      assert.deepStrictEqual(yield* keys(yield* MemoryStore.make(options)), [])
      assert.deepStrictEqual(yield* keys(store), ["k"])
    })
  )

  it.effect("MEM-01 stores that are opened anywhere in the process find each other, without being given anything", () =>
    Effect.gen(function* () {
      const store = yield* DocketStore
      yield* store.schedule([request("k")], "")
      assert.deepStrictEqual(yield* keys(yield* MemoryStore.makeShared("memory://found", options)), ["k"])
    }).pipe(Effect.provide(MemoryStore.layerShared("memory://found", options)))
  )

  it.effect("MEM-03 a month passes in no time", () =>
    Effect.gen(function* () {
      const store = yield* MemoryStore.make(options)
      const { settle, take } = yield* openWorker(store, { leaseMillis: 1e12 })
      yield* store.schedule([request("monthly", { due: after(0) })], "")
      const day = 86_400_000
      for (let n = 0; n < 30; n++) {
        const [delivery] = yield* take(10)
        assert(delivery !== undefined)
        assert.strictEqual(delivery.started, n * day)
        yield* settle(delivery, { _tag: "Completed", result: undefined, next: { due: after(day) } })
        yield* TestClock.adjust(day - 1)
        assert.deepStrictEqual(yield* take(10), [])
        yield* TestClock.adjust(1)
      }
    })
  )

  it.effect("without heartbeats, leases that expire are handed out, and workers learn when that will be", () =>
    Effect.gen(function* () {
      const store = yield* MemoryStore.make(options)
      const dead = yield* openWorker(store, { leaseMillis: 5_000 })
      const living = yield* openWorker(store)
      assert.isFalse(living.session.needsHeartbeat)
      yield* living.exchange({ take: 1 })
      const fiber = yield* Effect.forkScoped(living.session.awaitWork)
      yield* Effect.yieldNow
      yield* store.schedule([request("k")], "")
      yield* dead.takeOne
      // It is woken to learn that it may have to take over.
      yield* Fiber.join(fiber)
      assert.strictEqual((yield* living.exchange({ take: 1 })).nextDueMillis, 5_000)
      yield* TestClock.adjust(4_999)
      assert.deepStrictEqual(yield* living.take(1), [])
      yield* TestClock.adjust(1)
      assert.strictEqual((yield* living.takeOne).deliveries, 2)
    })
  )

  it.effect("UNK-01 work wakes a worker that knows its task before one that has waited for longer", () =>
    Effect.gen(function* () {
      const store = yield* MemoryStore.make(options)
      const old = yield* openWorker(store, { tasks: new Set(["old"]) })
      const young = yield* openWorker(store, { tasks: new Set(["new"]) })
      const first = yield* Effect.forkScoped(old.session.awaitWork)
      const second = yield* Effect.forkScoped(young.session.awaitWork)
      yield* Effect.yieldNow
      yield* store.schedule([request("k", { task: "new" })], "")
      yield* Fiber.join(second)
      assert.strictEqual(first.pollUnsafe(), undefined)
      // With nobody left that knows it, one that does not can at least say so.
      yield* store.schedule([request("k2", { task: "new" })], "")
      yield* Fiber.join(first)
    })
  )

  it.effect("RUN-01 everyone who waits is woken when nothing is left", () =>
    Effect.gen(function* () {
      const store = yield* MemoryStore.make(options)
      const busy = yield* openWorker(store)
      const idle = yield* Effect.all([openWorker(store), openWorker(store)])
      yield* store.schedule([request("k")], "")
      const delivery = yield* busy.takeOne
      yield* Effect.forEach(idle, ({ exchange }) => exchange({ take: 1 }))
      const fibers = yield* Effect.forEach(idle, ({ session }) => Effect.forkScoped(session.awaitWork))
      yield* Effect.yieldNow
      yield* busy.settle(delivery)
      yield* Fiber.joinAll(fibers)
    })
  )

  it.effect("records that have expired take no room, even if nobody asks for them", () =>
    Effect.gen(function* () {
      const memories: typeof MemoryStore.Memories.Service = new Map()
      const store = yield* MemoryStore.makeShared("memory://", options).pipe(
        Effect.provideService(MemoryStore.Memories, memories)
      )
      const batch = Array.from({ length: 200 }, (_, index) => request(`k${index}`, { due: after(1_000) }))
      yield* store.schedule(batch, "")
      yield* store.clear
      const entries = memories.get("")?.dockets.get("docket")?.executions.entries
      assert.strictEqual(entries?.size, 200)
      yield* TestClock.adjust(options.executionTtlMillis)
      yield* store.depth
      assert.strictEqual(entries?.size, 0)
      assert.isTrue(Option.isNone((yield* store.read(["k1"]))[0]!))
    })
  )
})
