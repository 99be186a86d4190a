/** Which waiting workers wake for what: WRK-02, and the port's promises about `awaitWork` and `heartbeat`. */
import { assert } from "@effect/vitest"
import { Effect, Fiber, Queue } from "effect"
import {
  after,
  allSleep,
  isAsleep,
  keysOf,
  type Kit,
  leaseMillis,
  released,
  request,
  retry,
  settlement,
  sleep,
  type Test,
  type TestWorker
} from "./kit.ts"

/** Lets workers wait for one execution each, as workers with one slot do; the queue has what they found. */
const allWork = Effect.fnUntraced(function* (kit: Kit, workers: ReadonlyArray<TestWorker>) {
  const found = yield* Queue.unbounded<{ readonly worker: string; readonly key: string }>()
  yield* Effect.forEach(workers, ({ name, session, take }) =>
    Effect.andThen(
      session.awaitWork,
      Effect.suspend(() => take(1))
    ).pipe(
      Effect.flatMap((deliveries) =>
        Queue.offerAll(
          found,
          deliveries.map(({ key }) => ({ worker: name, key }))
        )
      ),
      Effect.forever,
      Effect.forkScoped
    )
  )
  yield* kit.harness.whenWaiting(workers.length)
  return found
})

export const wakeups = (test: Test) => {
  test("new work wakes a waiting worker, and the others go on waiting", (kit) =>
    Effect.gen(function* () {
      const fibers = yield* allSleep(kit, [yield* kit.worker(), yield* kit.worker(), yield* kit.worker()])
      yield* kit.add("k")
      yield* Effect.raceAll(fibers.map(Fiber.join))
      yield* kit.harness.whenWaiting(2)
      assert.strictEqual(fibers.filter(isAsleep).length, 2)
    }))

  test("WRK-02 new work wakes as many waiting workers as it can feed", (kit) =>
    Effect.gen(function* () {
      const looked = yield* Queue.unbounded<ReadonlyArray<string>>()
      yield* Effect.forEach(
        [yield* kit.worker(), yield* kit.worker(), yield* kit.worker(), yield* kit.worker()],
        ({ session, take }) =>
          session.awaitWork.pipe(
            Effect.andThen(Effect.suspend(() => take(1))),
            Effect.andThen((deliveries) => Queue.offer(looked, keysOf(deliveries))),
            Effect.forkScoped
          )
      )
      yield* kit.harness.whenWaiting(4)
      yield* kit.store.schedule(["a", "b", "c"].map((key) => request(key)))
      const found = yield* Effect.all([Queue.take(looked), Queue.take(looked), Queue.take(looked)])
      assert.deepStrictEqual(found.flat().toSorted(), ["a", "b", "c"])
      // The fourth waits on.
      yield* kit.harness.whenWaiting(1)
      assert.strictEqual(yield* Queue.size(looked), 0)
    }))

  test("WRK-02 a burst is shared by the workers that waited", (kit) =>
    Effect.gen(function* () {
      const found = yield* allWork(kit, [yield* kit.worker(), yield* kit.worker(), yield* kit.worker()])
      const keys = Array.from({ length: 50 }, (_, index) => `k${index}`)
      yield* kit.store.schedule(keys.map((key) => request(key)))
      const claims = yield* Effect.forEach(keys, () => Queue.take(found))
      assert.deepStrictEqual(keysOf(claims).toSorted(), keys.toSorted())
      assert.strictEqual(new Set(claims.map(({ worker }) => worker)).size, 3)
    }))

  test("a worker that waits while there is work does not wait", ({ add, pass, worker }) =>
    Effect.gen(function* () {
      const { session, takeOne } = yield* worker()
      yield* add("k")
      yield* session.awaitWork
      yield* takeOne
      yield* add("later", { due: after(1_000) })
      yield* pass(1_000)
      yield* session.awaitWork
      assert.strictEqual((yield* takeOne).key, "later")
    }))

  test("work that arrives between a worker's look and its wait wakes it", (kit) =>
    Effect.gen(function* () {
      const worker = yield* kit.worker()
      for (let n = 0; n < 20; n++) {
        assert.deepStrictEqual(yield* worker.take(5), [])
        const [, delivery] = yield* Effect.all(
          [kit.add(`k${n}`), Effect.andThen(worker.session.awaitWork, worker.takeOne)],
          { concurrency: "unbounded" }
        )
        assert.strictEqual(delivery.key, `k${n}`)
        yield* worker.settle(delivery)
      }
    }))

  test("a wake-up for a worker that no longer waits goes to another", (kit) =>
    Effect.gen(function* () {
      for (let n = 0; n < 20; n++) {
        yield* Effect.scoped(
          Effect.gen(function* () {
            const workers = [yield* kit.worker(), yield* kit.worker()]
            const [leaver, stayer] = yield* allSleep(kit, workers)
            yield* Effect.all([kit.add(`k${n}`), Fiber.interrupt(leaver!)], { concurrency: "unbounded" })
            const exit = yield* Fiber.await(leaver!)
            // Either the first was awake already, and looks for work; or the second is.
            if (exit._tag === "Failure") yield* Fiber.join(stayer!)
            const heir = exit._tag === "Failure" ? workers[1]! : workers[0]!
            const delivery = yield* heir.takeOne
            assert.strictEqual(delivery.key, `k${n}`)
            yield* heir.settle(delivery)
          })
        )
      }
    }))

  test("a worker that stopped waiting before the work came takes no wake-up from another", (kit) =>
    Effect.gen(function* () {
      const workers = [yield* kit.worker(), yield* kit.worker(), yield* kit.worker()]
      const fibers = yield* allSleep(kit, workers)
      yield* Fiber.interrupt(fibers[0]!)
      yield* Fiber.interrupt(fibers[1]!)
      yield* kit.add("k")
      yield* Fiber.join(fibers[2]!)
    }))

  test("a worker that stopped waiting and waits again is woken", (kit) =>
    Effect.gen(function* () {
      const worker = yield* kit.worker()
      for (let n = 0; n < 5; n++) {
        const fibers = yield* allSleep(kit, [worker])
        yield* Fiber.interruptAll(fibers)
      }
      const fibers = yield* allSleep(kit, [worker])
      yield* kit.add("k")
      yield* Fiber.joinAll(fibers)
      assert.strictEqual((yield* worker.takeOne).key, "k")
    }))

  test("what a worker was woken for, that goes away without looking, is left to another", (kit) =>
    Effect.gen(function* () {
      const stayer = yield* kit.worker()
      yield* Effect.scoped(
        Effect.gen(function* () {
          const leaver = yield* kit.worker()
          const fibers = yield* allSleep(kit, [leaver])
          yield* kit.add("k")
          yield* Fiber.joinAll(fibers)
        })
      )
      // A heartbeat makes up for a wake-up that was lost.
      if (stayer.session.needsHeartbeat) assert.isTrue((yield* stayer.session.heartbeat).work)
      yield* stayer.session.awaitWork
      assert.strictEqual((yield* stayer.takeOne).key, "k")
    }))

  test("SCH-02 something that is due sooner than all else wakes a worker, which learns when", (kit) =>
    Effect.gen(function* () {
      const worker = yield* kit.worker()
      yield* worker.exchange({ take: 5 })
      for (const millis of [60_000, 10_000, 5_000]) {
        const fibers = yield* allSleep(kit, [worker])
        yield* kit.add(`in ${millis}`, { due: after(millis) })
        yield* Fiber.joinAll(fibers)
        assert.strictEqual((yield* worker.exchange({ take: 5 })).nextDueMillis, millis)
      }
      // Something later than that wakes nobody: what wakes the worker next is the work that is added after it.
      const fibers = yield* allSleep(kit, [worker])
      yield* kit.add("later", { due: after(30_000) })
      yield* kit.harness.whenWaiting(1)
      assert.isTrue(fibers.every(isAsleep))
      yield* kit.add("k")
      yield* Fiber.joinAll(fibers)
    }))

  test("SCH-02 a worker that only settles takes no wake-up from one that is about to wait", (kit) =>
    Effect.gen(function* () {
      const waiter = yield* kit.worker()
      const settler = yield* kit.worker()
      yield* kit.add("k")
      const delivery = yield* settler.takeOne
      yield* waiter.exchange({ take: 5 })
      // The one knows of nothing that comes later; the other, which learns of it, is about to stop.
      yield* kit.add("later", { due: after(5_000) })
      yield* settler.exchange({ finished: [settlement(delivery)], take: 0 })
      yield* waiter.session.awaitWork
      assert.strictEqual((yield* waiter.exchange({ take: 5 })).nextDueMillis, 5_000)
    }))

  test("SCH-02 replacing the next execution by a sooner one wakes a worker", (kit) =>
    Effect.gen(function* () {
      const worker = yield* kit.worker()
      yield* kit.add("k", { due: after(60_000) })
      assert.strictEqual((yield* worker.exchange({ take: 5 })).nextDueMillis, 60_000)
      const fibers = yield* allSleep(kit, [worker])
      yield* kit.replace("k", { due: after(2_000) })
      yield* Fiber.joinAll(fibers)
      assert.strictEqual((yield* worker.exchange({ take: 5 })).nextDueMillis, 2_000)
    }))

  test("RUN-01 cancelling the last that waits wakes a worker, which may have waited for nothing else", (kit) =>
    Effect.gen(function* () {
      const worker = yield* kit.worker()
      yield* kit.add("k", { due: after(60_000) })
      yield* worker.exchange({ take: 5 })
      const fibers = yield* allSleep(kit, [worker])
      yield* kit.store.cancel(["k"])
      yield* Fiber.joinAll(fibers)
      assert.strictEqual((yield* worker.exchange({ take: 5 })).nextDueMillis, undefined)
      assert.deepStrictEqual(yield* kit.store.depth, { queued: 0, scheduled: 0, running: 0 })
    }))

  for (const [what, outcome] of [
    ["gives back", released],
    ["has to retry", retry(0)]
  ] as const) {
    test(`SHD-05 what a worker that stops ${what} wakes another`, (kit) =>
      Effect.gen(function* () {
        const stopping = yield* kit.worker()
        const other = yield* kit.worker()
        yield* kit.add("k")
        const delivery = yield* stopping.takeOne
        yield* other.exchange({ take: 5 })
        const fibers = yield* allSleep(kit, [other])
        yield* stopping.exchange({ finished: [settlement(delivery, outcome)], take: 0 })
        yield* Fiber.joinAll(fibers)
        assert.strictEqual((yield* other.takeOne).key, "k")
      }))
  }

  test("WRK-02 due work that one worker moves and cannot take itself wakes others", (kit) =>
    Effect.gen(function* () {
      const mover = yield* kit.worker()
      const others = [yield* kit.worker(), yield* kit.worker()]
      yield* kit.store.schedule(["a", "b", "c"].map((key) => request(key, { due: after(1_000) })))
      yield* Effect.forEach(others, ({ exchange }) => exchange({}))
      const found = yield* allWork(kit, others)
      yield* kit.pass(1_000)
      const mine = yield* mover.take(1)
      const theirs = [yield* Queue.take(found), yield* Queue.take(found)]
      assert.deepStrictEqual(keysOf([...mine, ...theirs]).toSorted(), ["a", "b", "c"])
    }))

  test("RED-01 what is taken back from a dead worker wakes a worker that waits", (kit) =>
    Effect.gen(function* () {
      const dead = yield* kit.worker()
      const living = yield* kit.worker()
      const idle = yield* kit.worker()
      yield* kit.add("k")
      yield* dead.takeOne
      yield* idle.exchange({ take: 1 })
      const fibers = yield* allSleep(kit, [idle])
      yield* kit.pass(leaseMillis)
      assert.strictEqual((yield* living.session.heartbeat).reclaimed, 1)
      yield* Fiber.joinAll(fibers)
      assert.strictEqual((yield* idle.takeOne).key, "k")
    }))

  test("UNK-01 what one worker does not know soon reaches one that waits and does", (kit) =>
    Effect.gen(function* () {
      const old = yield* kit.worker({ tasks: new Set(["old"]) })
      const young = yield* kit.worker({ tasks: new Set(["old", "new"]) })
      const setAside = yield* old.session.awaitWork.pipe(
        Effect.andThen(Effect.suspend(() => old.exchange({ take: 1 }))),
        Effect.forkScoped
      )
      const woken = yield* Effect.forkScoped(young.session.awaitWork)
      yield* kit.harness.whenWaiting(2)
      yield* kit.add("k", { task: "new" })
      if (young.session.needsHeartbeat) {
        // The wake-up may have gone to the other worker: then this one learns of the work by its next heartbeat.
        yield* Effect.raceFirst(Fiber.join(woken), Fiber.join(setAside))
        assert.isTrue((yield* young.session.heartbeat).work)
      } else {
        yield* Fiber.join(woken)
      }
      assert.strictEqual((yield* young.takeOne).key, "k")
    }))

  test("UNK-01 due work that is moved by a worker that does not know it soon reaches one that waits and does", (kit) =>
    Effect.gen(function* () {
      const old = yield* kit.worker({ tasks: new Set(["old"]) })
      const young = yield* kit.worker({ tasks: new Set(["new"]) })
      yield* kit.add("k", { task: "new", due: after(1_000) })
      yield* Effect.forEach([old, young], ({ exchange }) => exchange({ take: 1 }))
      const fibers = yield* allSleep(kit, [young])
      yield* kit.pass(1_000)
      assert.deepStrictEqual((yield* old.exchange({ take: 1 })).unknown, [{ task: "new", waiting: 1 }])
      if (young.session.needsHeartbeat) assert.isTrue((yield* young.session.heartbeat).work)
      else yield* Fiber.joinAll(fibers)
      assert.strictEqual((yield* young.takeOne).key, "k")
    }))

  test("UNK-01 a worker that knows a task does not wait when something was set aside for it", ({ add, worker }) =>
    Effect.gen(function* () {
      const old = yield* worker({ tasks: new Set(["old"]) })
      yield* add("k", { task: "new" })
      assert.deepStrictEqual(yield* old.take(1), [])
      const young = yield* worker({ tasks: new Set(["new"]) })
      const beat = yield* young.session.heartbeat
      assert.isTrue(beat.work)
      assert.isFalse((yield* old.session.heartbeat).work)
      assert.strictEqual((yield* young.takeOne).key, "k")
    }))

  test("a heartbeat tells whether there is work, and how long it is until there will be", ({ add, pass, worker }) =>
    Effect.gen(function* () {
      const { session, settle, takeOne } = yield* worker()
      const nothing = {
        reclaimed: 0,
        work: false,
        nextDueMillis: undefined,
        nextExpiryMillis: undefined,
        depth: { queued: 0, scheduled: 0, running: 0 },
        failedChains: 0
      }
      assert.deepStrictEqual(yield* session.heartbeat, nothing)
      yield* add("later", { due: after(10_000) })
      const later = { nextDueMillis: 10_000, depth: { queued: 0, scheduled: 1, running: 0 }, failedChains: 0 }
      assert.deepStrictEqual(yield* session.heartbeat, { ...nothing, ...later })
      yield* add("k")
      assert.isTrue((yield* session.heartbeat).work)
      yield* settle(yield* takeOne)
      assert.isFalse((yield* session.heartbeat).work)
      yield* pass(10_000)
      assert.isTrue((yield* session.heartbeat).work)
    }))

  test("workers that wait do not keep each other's session from closing", (kit) =>
    Effect.gen(function* () {
      const worker = yield* kit.worker()
      const fiber = yield* sleep(worker)
      yield* kit.harness.whenWaiting(1)
      yield* Fiber.interrupt(fiber)
    }))
}
