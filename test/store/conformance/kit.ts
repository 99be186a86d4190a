/** What the tests of the store port are written with. */
import { assert } from "@effect/vitest"
import { Context, Effect, Fiber, Option, Queue, type Scope } from "effect"
import { TestClock } from "effect/testing"
import { type Contract, type Control, noTerms, type Terms } from "../../../src/Admission.ts"
import type { StoreError } from "../../../src/DocketError.ts"
import type {
  Delivery,
  Disposition,
  DocketStore,
  Due,
  ExchangeReply,
  ExchangeRequest,
  ExecutionEvent,
  ExecutionRecord,
  Lease,
  LeaseStatus,
  Outcome,
  ScheduleRequest,
  Settlement,
  SettlementStatus,
  StoreOptions,
  WorkerOptions,
  WorkerSession
} from "../../../src/DocketStore.ts"

/** A store, for tests in which there are no strikes unless they say so. */
export interface Store extends Omit<DocketStore["Service"], "schedule" | "retryFailed"> {
  readonly schedule: (requests: ReadonlyArray<ScheduleRequest>) => Effect.Effect<ReadonlyArray<Disposition>, StoreError>
  readonly retryFailed: (keys: ReadonlyArray<string>) => Effect.Effect<ReadonlyArray<boolean>, StoreError>
  /** The operations themselves. */
  readonly scheduleKnowing: DocketStore["Service"]["schedule"]
  readonly retryFailedKnowing: DocketStore["Service"]["retryFailed"]
}

/** A store as the tests use it. */
export const withoutStrikes = (store: DocketStore["Service"]): Store => ({
  ...store,
  scheduleKnowing: store.schedule,
  retryFailedKnowing: store.retryFailed,
  retryFailed: (keys) =>
    Effect.map(store.retryFailed(keys, ""), (reply) => {
      assert(reply._tag === "Retried", "there are strikes that this test does not know")
      return reply.answers
    }),
  schedule: (requests) =>
    Effect.map(store.schedule(requests, ""), (reply) => {
      assert(reply._tag === "Scheduled", "there are strikes that this test does not know")
      return reply.dispositions
    })
})

/** What the suite needs to know of the kind of store that it tests. */
export class Harness extends Context.Service<
  Harness,
  {
    /** Opens a docket as a process of its own would. */
    readonly open: (options: StoreOptions) => Effect.Effect<DocketStore["Service"], unknown, Scope.Scope>
    /** Lets time pass for the store, where it does not follow the test's clock: for what expires by itself. */
    readonly pass: (millis: number) => Effect.Effect<void, unknown>
    /** Completes once so many workers wait for work, over all dockets. */
    readonly whenWaiting: (workers: number) => Effect.Effect<void, unknown>
    /** Fails when something is left that no one owns. Called after each test, with everything closed. */
    readonly afterEach: Effect.Effect<void, unknown>
  }
>()("effect-docket/test/StoreHarness") {}

/** When tests begin: 2023-11-14T22:13:20Z. */
export const beginning = 1_700_000_000_000

/** How long records are kept in tests that do not say otherwise. */
export const ttlMillis = 900_000

/** How long leases live in tests that do not say otherwise. */
export const leaseMillis = 300_000

/** What a test is given: a docket of its own, and ways to use it. */
export interface Kit {
  readonly store: Store
  readonly harness: Harness["Service"]
  /** The same docket, opened once more. */
  readonly reopen: Effect.Effect<Store, unknown, Scope.Scope>
  /** Another docket, or this one with other options. */
  readonly open: (options: Partial<StoreOptions>) => Effect.Effect<Store, unknown, Scope.Scope>
  /** Opens a session. The worker knows the task `send`, unless told otherwise. */
  readonly worker: (options?: TestWorkerOptions) => Effect.Effect<TestWorker, unknown, Scope.Scope>
  /** Lets time pass. */
  readonly pass: (millis: number) => Effect.Effect<void, unknown>
  readonly add: (key: string, options?: RequestOptions) => Effect.Effect<Disposition, unknown>
  readonly replace: (key: string, options?: RequestOptions) => Effect.Effect<Disposition, unknown>
  /** The record of a key; fails when there is none. */
  readonly read: (key: string) => Effect.Effect<ExecutionRecord, unknown>
  readonly isUnknown: (key: string) => Effect.Effect<boolean, unknown>
  readonly watch: (key: string) => Effect.Effect<Feed, unknown, Scope.Scope>
}

export interface RequestOptions extends Partial<Omit<ScheduleRequest, "key" | "replace">> {
  /** The values of its terms (see `termsOf`), or `undefined` when these are not known. */
  readonly values?: ReadonlyArray<string> | undefined
}

export interface TestWorkerOptions extends Partial<WorkerOptions> {
  /** The controls of its tasks, of which the contracts consist. */
  readonly controls?: ReadonlyMap<string, ReadonlyArray<Control>>
}

/** The terms of a contract that is told from others by the number of its controls. */
export const termsOf = (values: ReadonlyArray<string>): Terms =>
  values.length === 0 ? noTerms : { contract: fingerprintOf(values), values }

/** Such contracts. */
export const contractsOf = (controls: ReadonlyMap<string, ReadonlyArray<Control>>): ReadonlyMap<string, Contract> =>
  new Map(Array.from(controls, ([task, all]) => [task, { fingerprint: fingerprintOf(all), controls: all }]))

const fingerprintOf = (all: ReadonlyArray<unknown>) => `of ${all.length}`

/** What a worker answers that is asked about an execution. */
export const determined = (values: ReadonlyArray<string> = [], strikes = ""): Outcome => ({
  _tag: "Determined",
  terms: termsOf(values),
  strikes
})

export type Changed = Extract<ExecutionEvent, { readonly _tag: "Changed" }>

/** The changes of a key, one after the other. */
export interface Feed {
  readonly next: Effect.Effect<Changed>
  readonly take: (count: number) => Effect.Effect<ReadonlyArray<Changed>>
  readonly states: (count: number) => Effect.Effect<ReadonlyArray<string>>
}

export interface TestWorker {
  readonly name: string
  readonly session: WorkerSession
  readonly exchange: (request: Partial<ExchangeRequest>) => Effect.Effect<ExchangeReply, StoreError>
  /** Claims up to so many. */
  readonly take: (count: number) => Effect.Effect<ReadonlyArray<Delivery>, unknown>
  /** Claims one; fails when there is nothing to claim. */
  readonly takeOne: Effect.Effect<Delivery, unknown>
  readonly settle: (delivery: Delivery, outcome?: Outcome) => Effect.Effect<SettlementStatus, unknown>
  readonly renew: (...leases: ReadonlyArray<Lease>) => Effect.Effect<ReadonlyArray<LeaseStatus>, unknown>
}

/** The end of a run that may recur. */
export type Ended = Extract<Outcome, { readonly _tag: "Completed" | "Failed" }>

/** Due at a moment so many milliseconds after the beginning. */
export const at = (millis: number): Due => ({ _tag: "At", epochMillis: beginning + millis })

/** Due so many milliseconds from now. */
export const after = (millis: number): Due => ({ _tag: "After", millis })

export const completed: Ended = { _tag: "Completed", result: '"done"' }
export const failed: Ended = { _tag: "Failed", error: "Boom: it went wrong", failure: '{"_tag":"Boom"}' }
export const cancelled: Outcome = { _tag: "Cancelled" }
export const released: Outcome = { _tag: "Released" }
export const postponed = (millis: number): Outcome => ({ _tag: "Postponed", due: after(millis) })
export const retry = (millis: number): Outcome => ({ _tag: "Retry", error: "Flaky: try again", due: after(millis) })

export const request = (
  key: string,
  options: RequestOptions & { readonly replace?: boolean } = {}
): ScheduleRequest => {
  const { values, ...others } = { values: [], ...options }
  return {
    key,
    task: "send",
    payload: "{}",
    due: after(0),
    replace: false,
    trace: "",
    terms: values === undefined ? undefined : termsOf(values),
    judged: true,
    ...others
  }
}

export const settlement = (delivery: Delivery, outcome: Outcome = completed): Settlement => ({
  key: delivery.key,
  generation: delivery.generation,
  lease: delivery.lease,
  reported: true,
  outcome
})

export const keysOf = (deliveries: ReadonlyArray<{ readonly key: string }>) => deliveries.map(({ key }) => key)

let dockets = 0
let leases = 0

/** A lease id that no other call has. */
export const freshLease = () => `lease-${++leases}`

export const makeKit = Effect.gen(function* () {
  const harness = yield* Harness
  yield* TestClock.setTime(beginning)
  const name = `docket-${++dockets}`
  const options: StoreOptions = { name, executionTtlMillis: ttlMillis, failedTtlMillis: 0, failedMaximum: 1_000 }
  const open = (options: StoreOptions) => Effect.map(harness.open(options), withoutStrikes)
  const store = yield* open(options)
  const schedule = (one: ScheduleRequest) =>
    Effect.map(store.schedule([one]), (dispositions) => {
      assert.strictEqual(dispositions.length, 1)
      return dispositions[0]!
    })
  const find = (key: string) =>
    Effect.map(store.read([key]), (records) => {
      assert.strictEqual(records.length, 1)
      return records[0]!
    })
  const kit: Kit = {
    store,
    harness,
    reopen: open(options),
    open: (others) => open({ ...options, ...others }),
    worker: (options) => openWorker(store, options),
    pass: (millis) => Effect.andThen(TestClock.adjust(millis), harness.pass(millis)),
    add: (key, options) => schedule(request(key, options)),
    replace: (key, options) => schedule(request(key, { ...options, replace: true })),
    read: (key) =>
      Effect.map(find(key), (record) => {
        assert(Option.isSome(record), `there is no record of ${JSON.stringify(key)}`)
        return record.value
      }),
    isUnknown: (key) => Effect.map(find(key), Option.isNone),
    watch: Effect.fnUntraced(function* (key) {
      const events = yield* store.watch(key)
      const next = Effect.map(Queue.take(events), (event) => {
        assert(event._tag === "Changed")
        assert.strictEqual(event.key, key)
        return event
      })
      const take = (count: number) => Effect.all(Array.from({ length: count }, () => next))
      return { next, take, states: (count) => Effect.map(take(count), (events) => events.map(({ state }) => state)) }
    })
  }
  return kit
})

let workers = 0

export const openWorker = Effect.fnUntraced(function* (
  store: Pick<Store, "open">,
  { controls = new Map(), ...options }: TestWorkerOptions = {}
): Effect.fn.Return<TestWorker, unknown, Scope.Scope> {
  const name = options.name ?? `worker-${++workers}`
  const session = yield* store.open({
    name,
    tasks: new Set(["send"]),
    contracts: contractsOf(controls),
    recurring: new Set(),
    facts: new Map(),
    leaseMillis,
    maxDeliveries: 10,
    presenceMillis: 10_000,
    ...options
  })
  const exchange = (request: Partial<ExchangeRequest>) =>
    session.exchange({ lease: freshLease(), resent: false, finished: [], take: 0, strikes: "", ...request })
  const take = (count: number) =>
    Effect.map(exchange({ take: count }), ({ deliveries }) => {
      assert.isAtMost(deliveries.length, count)
      return deliveries
    })
  return {
    name,
    session,
    exchange,
    take,
    takeOne: Effect.map(
      Effect.suspend(() => take(1)),
      (deliveries) => {
        assert(deliveries[0] !== undefined, "there was nothing to take")
        return deliveries[0]
      }
    ),
    settle: (delivery, outcome) =>
      Effect.map(exchange({ finished: [settlement(delivery, outcome)] }), ({ settled }) => {
        assert.strictEqual(settled.length, 1)
        return settled[0]!
      }),
    renew: (...leases) => session.renew(leases)
  }
})

/** Claims until there is nothing more to claim. */
export const takeAll = Effect.fnUntraced(function* (worker: TestWorker) {
  const all: Array<Delivery> = []
  for (;;) {
    const some = yield* worker.take(10)
    all.push(...some)
    if (some.length === 0) return all
  }
})

/** Lets a worker wait for work in a fiber of its own, whose end says that it was woken. */
export const sleep = (worker: TestWorker) => Effect.forkScoped(worker.session.awaitWork)

/** Whether a fiber still runs. */
export const isAsleep = (fiber: Fiber.Fiber<void, unknown>) => fiber.pollUnsafe() === undefined

/**
 * Lets workers sleep until they are woken from now on: a wake-up that earlier steps left for the next idle worker is
 * taken, and leads to a look for work.
 */
export const allSleep = Effect.fnUntraced(function* (kit: Kit, workers: ReadonlyArray<TestWorker>) {
  const fibers = yield* Effect.forEach(workers, sleep)
  const calm = Effect.as(kit.harness.whenWaiting(workers.length), true)
  const woken = Effect.suspend(() => Effect.as(Effect.raceAllFirst(fibers.map(Fiber.join)), false))
  while (!(yield* Effect.raceFirst(calm, woken))) {
    for (const [index, worker] of workers.entries()) {
      if (isAsleep(fibers[index]!)) continue
      yield* worker.exchange({})
      fibers[index] = yield* sleep(worker)
    }
  }
  return fibers
})

/** The next request to interrupt an execution of a worker. */
export const takeCancellation = (session: WorkerSession) =>
  Effect.map(Queue.take(session.cancellations), ({ generation, key }) => ({ key, generation }))

/** Takes from a worker that died what it held: opens another, once the leases have expired. */
export const takeOver = Effect.fnUntraced(function* (kit: Kit) {
  yield* kit.pass(leaseMillis)
  const heir = yield* kit.worker()
  const { reclaimed } = yield* heir.session.heartbeat
  return { heir, reclaimed }
})

type Prepare = (kit: Kit) => Effect.Effect<void, unknown, Scope.Scope>

const run = (outcome: Outcome): Prepare =>
  Effect.fnUntraced(function* ({ add, worker }) {
    const { settle, takeOne } = yield* worker()
    yield* add("k", { payload: "[1]", trace: "00-old" })
    assert.strictEqual(yield* settle(yield* takeOne, outcome), "applied")
  })

/** Ways to let the key `k` wait, by the name of its situation. */
export const waiting: Record<string, Prepare> = {
  "scheduled for later": ({ add }) => add("k", { payload: "[1]", trace: "00-old", due: after(60_000) }),
  due: ({ add }) => add("k", { payload: "[1]", trace: "00-old" }),
  "due since it was scheduled for later": Effect.fnUntraced(function* ({ add, pass, worker }) {
    yield* add("k", { payload: "[1]", trace: "00-old", due: after(60_000) })
    yield* pass(60_000)
    yield* (yield* worker()).exchange({})
  }),
  "waiting for a later attempt": run(retry(60_000)),
  "due for another attempt": run(retry(0)),
  "waiting for its next run": run({ _tag: "Completed", result: "1", next: { due: after(60_000) } }),
  "due for its next run": run({ _tag: "Failed", error: "Boom: 1", failure: undefined, next: { due: after(0) } }),
  "given back": run(released),
  postponed: run(postponed(60_000)),
  "due again since it was not admitted": run(postponed(0)),
  "set aside for want of a worker that knows its task": Effect.fnUntraced(function* ({ add, worker }) {
    const { exchange } = yield* worker({ tasks: new Set(["other"]) })
    yield* add("k", { payload: "[1]", trace: "00-old" })
    assert.deepStrictEqual((yield* exchange({ take: 1 })).unknown, [{ task: "send", waiting: 1 }])
  }),
  "taken back from a worker that died": Effect.fnUntraced(function* (kit) {
    const { takeOne } = yield* kit.worker()
    yield* kit.add("k", { payload: "[1]", trace: "00-old" })
    yield* takeOne
    assert.strictEqual((yield* takeOver(kit)).reclaimed, 1)
  })
}

/** Ways to let the key `k` be live. */
export const live: Record<string, Prepare> = {
  ...waiting,
  running: Effect.fnUntraced(function* ({ add, worker }) {
    const { takeOne } = yield* worker()
    yield* add("k", { payload: "[1]", trace: "00-old" })
    yield* takeOne
  })
}

/** Strings that are easily mangled. */
export const awkward: ReadonlyArray<readonly [what: string, text: string]> = [
  ["double quotes", 'say "hi" ""'],
  ["single quotes and backticks", "it's `that`"],
  ["backslashes", "a\\b\\\\c\\"],
  ["line feeds", "a\nb\n"],
  ["carriage returns and tabs", "a\r\nb\t"],
  ["control characters", "\u0000\u0001\u001b[31m\u007f\u0085"],
  ["an emoji", "👩‍🚀 🇵🇹 é e\u0301"],
  ["line and paragraph separators", "a\u2028b\u2029"],
  ["what Redis reads as a pattern or a hash tag", "{x}*?[a-z]:{}:stream"],
  ["what Lua and JSON read as something else", "%d %s null nil -1 1e400 __proto__"],
  ["only digits", "007"],
  ["only a space", " "],
  ["10 kB", "0123456789".repeat(1_024)]
]

/** The live ones, all told. */
export const liveCount = (store: Store) =>
  Effect.map(store.depth, ({ queued, running, scheduled }) => queued + running + scheduled)

export type Test = (title: string, body: (kit: Kit) => Effect.Effect<void, unknown, Scope.Scope>) => void
