/**
 * A docket in memory under a virtual clock: tests schedule, look at what is scheduled, let time pass, and look at what
 * came of it.
 *
 * **Example**
 *
 * ```ts
 * it.effect("welcomes a customer, and asks how it went a week later", () =>
 *   Effect.gen(function* () {
 *     yield* signUp({ customerId: 7, name: "Ada" }) // the code under test
 *     yield* DocketTest.assertScheduled(SendWelcome, { customerId: 7 })
 *     yield* DocketTest.advance(tasks, "7 days")
 *     yield* DocketTest.assertNothingScheduled
 *   }).pipe(Effect.provide(HandlersLive.pipe(Layer.provideMerge(DocketTest.layer))))
 * )
 * ```
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { TestClock } from "effect/testing"
import * as Admission from "../Admission.ts"
import * as Dockets from "../Docket.ts"
import { Docket } from "../Docket.ts"
import type { DocketError, ResultError } from "../DocketError.ts"
import type { DocketStore } from "../DocketStore.ts"
import type { ExecutionEvent } from "../Execution.ts"
import * as Durations from "../internal/contract/durations.ts"
import { parsePayload } from "../internal/docket/knownStrikes.ts"
import type { Expectation, Scheduled } from "../internal/testing/expectations.ts"
import * as Expectations from "../internal/testing/expectations.ts"
import type { CrashOptions, StoreCall } from "../internal/testing/life.ts"
import * as TestDocket from "../internal/testing/testDocket.ts"
import type * as Task from "../Task.ts"
import * as TaskGroup from "../TaskGroup.ts"
import * as Worker from "../Worker.ts"

export type { Expectation, Scheduled } from "../internal/testing/expectations.ts"
export type { CrashOptions, StoreCall } from "../internal/testing/life.ts"
export type { Employment } from "../internal/testing/testDocket.ts"

/**
 * What a test has beside its docket.
 *
 * @category services
 * @since 0.1.0
 */
export class DocketTest extends Context.Service<DocketTest, TestDocket.Surroundings>()(
  "effect-docket/testing/DocketTest"
) {}

/**
 * A docket in memory with a virtual clock of its own, for one test.
 *
 * **Details**
 *
 * Time begins at the start of 1970; `TestClock.setTime` of `effect/testing` sets it, `TestClock.adjust` moves it without
 * a worker. Records and results are kept until the test ends.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<Docket | DocketTest, DocketError> = Layer.effectContext(
  Effect.map(TestDocket.make, ({ docket, test }) => Context.make(Docket, docket).pipe(Context.add(DocketTest, test)))
).pipe(Layer.provideMerge(TestClock.layer()))

/**
 * Everything that happened to executions so far, in order.
 *
 * @category looking
 * @since 0.1.0
 */
export const history: Effect.Effect<ReadonlyArray<ExecutionEvent>, never, DocketTest> = Effect.flatMap(
  DocketTest,
  ({ history }) => history
)

/**
 * The options of the workers that a test runs.
 *
 * @category options
 * @since 0.1.0
 */
export type RunOptions = Omit<Worker.Options, "name" | "shutdownTimeout">

type Requirements<T extends Task.Any> = Docket | DocketTest | Task.Handlers<T>

/**
 * Runs what is due now, and what that makes due, in order.
 *
 * **Details**
 *
 * It completes when all has ended but what waits: for time to pass, or for something outside of this process. That goes
 * on in its own time.
 *
 * @category running
 * @since 0.1.0
 */
export const runAllDue = <T extends Task.Any>(
  tasks: TaskGroup.TaskGroup<T>,
  options?: RunOptions
): Effect.Effect<void, DocketError, Requirements<T>> => advance(tasks, 0, options)

/**
 * Lets time pass, and runs what falls due on the way when it is due, whoever schedules it: a handler, one that runs since
 * an earlier `advance`, or a fiber of the test.
 *
 * @category running
 * @since 0.1.0
 */
export const advance: <T extends Task.Any>(
  tasks: TaskGroup.TaskGroup<T>,
  duration: Duration.Input,
  options?: RunOptions
) => Effect.Effect<void, DocketError, Requirements<T>> = Effect.fnUntraced(function* <T extends Task.Any>(
  tasks: TaskGroup.TaskGroup<T>,
  duration: Duration.Input,
  options: RunOptions = {}
) {
  const test = yield* DocketTest
  const clock = yield* Clock.Clock
  const end = clock.currentTimeMillisUnsafe() + (yield* Durations.checked("duration", duration, 0))
  const workers = yield* test.employ((name) =>
    Worker.make(tasks, { concurrency: 100, ...options, name, shutdownTimeout: 0 })
  )
  while (true) {
    yield* workers.awaitRest
    const now = clock.currentTimeMillisUnsafe()
    if (now >= end) break
    yield* TestClock.adjust(Math.min(workers.nextWake(), end) - now)
  }
  yield* workers.retire
})

/**
 * Runs the handler of one task once, with the services of an execution. Gives what an awaited result would give, and the
 * first failure, whatever the task's retry policy says. It runs at once, whatever its limits, its `delay` or its `when`
 * say. What the handler schedules is on the test's docket.
 *
 * @category running
 * @since 0.1.0
 */
export const runOne = <T extends Task.Any>(
  task: T,
  ...args: Task.Arguments<T>
): Effect.Effect<Task.Success<T>, Task.Error<T> | ResultError, Docket | Task.Handlers<T>> =>
  Effect.scoped(
    Effect.gen(function* () {
      const own = yield* Dockets.makeMemory()
      const docket = { ...(yield* Docket), store: settingOnce(own.store) }
      const once = alone(task)
      yield* Worker.make(TaskGroup.make(once), {
        name: "worker",
        shutdownTimeout: 0,
        scheduleAutomaticTasks: false
      }).pipe(Effect.provideService(Docket, docket))
      const [payload, { key } = {}] = args
      const [execution] = yield* own.addAll([{ task: once, payload, options: { key } }])
      return yield* execution.result
    })
  )

/** The task without what would hold a single run back, or follow it. */
const alone = <T extends Task.Any>(task: T): T => ({
  ...task,
  behaviour: { ...task.behaviour, retry: undefined, controls: Admission.none }
})

/** The store for one run of one execution: a handler that asks to be retried has failed. */
const settingOnce = (store: DocketStore["Service"]): DocketStore["Service"] => ({
  ...store,
  open: (worker) =>
    Effect.map(store.open(worker), (session) => ({
      ...session,
      exchange: (request) =>
        session.exchange({
          ...request,
          finished: request.finished.map(({ outcome, ...settlement }) => ({
            ...settlement,
            outcome: outcome._tag === "Retry" ? { _tag: "Failed", error: outcome.error, failure: undefined } : outcome
          }))
        })
    }))
})

/**
 * Lets a worker crash at a call to the store, as if its process were killed there: nothing that it began goes on, no
 * finalizer runs, and what it ran is run again by the next worker when its lease has expired. Default for that: 5 minutes.
 *
 * **Details**
 *
 * A handler that is right when its worker crashes at any of these calls is idempotent. A crash that did not happen by the
 * end of the test fails the test.
 *
 * **Example**
 *
 * ```ts
 * it.effect("charges once, also when the worker dies before it could say so", () =>
 *   Effect.gen(function* () {
 *     yield* (yield* Docket).add(Charge, { orderId: 7 })
 *     yield* DocketTest.crashAt("settle", { when: "before" })
 *     yield* DocketTest.advance(tasks, "5 minutes") // until the lease of the dead worker has expired
 *     assert.deepStrictEqual(yield* charges, [7])
 *   }).pipe(Effect.provide(HandlersLive.pipe(Layer.provideMerge(DocketTest.layer))))
 * )
 * ```
 *
 * @category running
 * @since 0.1.0
 */
export const crashAt = (call: StoreCall, options: CrashOptions): Effect.Effect<void, never, DocketTest> =>
  Effect.flatMap(DocketTest, ({ crashAt }) => crashAt(call, options))

/**
 * What is scheduled now: what is due first, then by due time. Running and settled executions do not count.
 *
 * @category looking
 * @since 0.1.0
 */
export const scheduled: Effect.Effect<ReadonlyArray<Scheduled>, DocketError, Docket> = Effect.gen(function* () {
  const docket = yield* Docket
  const { upcoming } = yield* docket.snapshot({ limit: 1_000_000 })
  return upcoming.map(({ due, encodedPayload, key, task }) => ({
    key,
    task,
    encodedPayload,
    payload: parsePayload(encodedPayload),
    due
  }))
})

/**
 * The payload that a test looks for: some fields of a struct, or else the whole.
 *
 * @category type-level
 * @since 0.1.0
 */
export type ExpectedPayload<T extends Task.Any | string> = T extends Task.Any
  ? Task.Payload<T> extends object
    ? Partial<Task.Payload<T>>
    : Task.Payload<T>
  : unknown

/**
 * Asserts that an execution of a task is scheduled whose payload has these fields. Give a task by contract or by name;
 * with a name, the payload is compared as it is stored.
 *
 * A failed assertion is a defect that says what was looked for and what is scheduled.
 *
 * @category asserting
 * @since 0.1.0
 */
export const assertScheduled = <T extends Task.Any | string>(
  task: T,
  payload?: ExpectedPayload<T>,
  expectation: Expectation = {}
): Effect.Effect<void, DocketError, Docket> =>
  Effect.flatMap(scheduled, (all) => {
    const found = all.filter(Expectations.matches(task, payload, expectation))
    const { times } = expectation
    if (times === undefined ? found.length > 0 : found.length === times) return Effect.void
    const wanted = times === undefined ? "an execution" : times === 0 ? "no execution" : `${times} executions`
    return Expectations.fail(
      `Expected ${wanted} of ${Expectations.describe(task, payload, expectation)}, and found ${found.length}`,
      all
    )
  })

/**
 * Asserts that no such execution is scheduled.
 *
 * @category asserting
 * @since 0.1.0
 */
export const assertNotScheduled = <T extends Task.Any | string>(
  task: T,
  payload?: ExpectedPayload<T>,
  expectation: Pick<Expectation, "key"> = {}
): Effect.Effect<void, DocketError, Docket> => assertScheduled(task, payload, { ...expectation, times: 0 })

/**
 * Asserts how many executions are scheduled: of all tasks, or of one.
 *
 * @category asserting
 * @since 0.1.0
 */
export const assertScheduledCount = (
  count: number,
  task?: Task.Any | string
): Effect.Effect<void, DocketError, Docket> =>
  task === undefined
    ? Effect.flatMap(scheduled, (all) =>
        all.length === count
          ? Effect.void
          : Expectations.fail(
              `Expected ${count} scheduled ${count === 1 ? "execution" : "executions"}, and found ${all.length}`,
              all
            )
      )
    : assertScheduled(task, undefined, { times: count })

/**
 * Asserts that nothing is scheduled.
 *
 * @category asserting
 * @since 0.1.0
 */
export const assertNothingScheduled: Effect.Effect<void, DocketError, Docket> = assertScheduledCount(0)
