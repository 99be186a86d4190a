/**
 * The executions that a worker runs: one supervised fiber each.
 */
import type * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberSet from "effect/FiberSet"
import * as LogLevel from "effect/LogLevel"
import * as References from "effect/References"
import * as Scheduler from "effect/Scheduler"
import * as Scope from "effect/Scope"
import type { Docket } from "../../Docket.ts"
import { InvalidPayload, type MiddlewareFailed, type TaskTimedOut } from "../../DocketError.ts"
import type { Delivery, Outcome } from "../../DocketStore.ts"
import type { Middleware } from "../../Middleware.ts"
import type { WorkerMetrics } from "../../observability/Metrics.ts"
import * as Tracing from "../../observability/Tracing.ts"
import type { InterruptReason } from "../../TaskContext.ts"
import { failureText } from "../contract/failureText.ts"
import type { HandlerError } from "../contract/handlers.ts"
import * as Signal from "../contract/signal.ts"
import * as Deadline from "./deadline.ts"
import * as Monotonic from "./monotonic.ts"
import { outcomeOf } from "./outcome.ts"
import type { Reporter } from "./progress.ts"
import type { Registry, Runnable } from "./registry.ts"
import type { End, Run } from "./run.ts"
import * as RunLog from "./runLog.ts"
import * as Services from "./services.ts"
import * as Succession from "./succession.ts"

/** What a run may fail with. */
type RunError = HandlerError | TaskTimedOut | MiddlewareFailed | InvalidPayload

/** The running executions of a worker. */
export interface Runs {
  /** Starts an execution, which was asked for at that moment (see `Monotonic.now`); `onEnd` is told how it ended. */
  readonly start: (delivery: Delivery, asked: number) => void
  readonly interrupt: (run: Run, reason: InterruptReason) => void
  /** Interrupts an execution that was cancelled, also when its delivery is still on the way. */
  readonly cancel: (key: string, generation: number) => void
  readonly has: (run: Run) => boolean
  readonly all: () => ReadonlyArray<Run>
  readonly size: () => number
}

/** How many cancellations that no run was found for are remembered. */
const rememberedCancellations = 100

const nameOf = (key: string, generation: number) => `${generation} ${key}`

/** Makes the place where executions run. Closing the scope interrupts what still runs. */
export const make: (options: {
  readonly docket: Docket["Service"]
  readonly workerName: string
  readonly registry: Registry
  readonly reporter: Reporter
  readonly metrics: WorkerMetrics
  /** The first one outermost. */
  readonly middleware: ReadonlyArray<Middleware>
  /** Takes the next run from an outcome when a strike refuses it. */
  readonly refuseNext: (delivery: Delivery, outcome: Outcome) => Effect.Effect<Outcome>
  readonly onEnd: (end: End) => void
}) => Effect.Effect<Runs, never, Scope.Scope> = Effect.fnUntraced(function* (options) {
  const { docket, metrics, middleware, onEnd, refuseNext, registry, reporter, workerName } = options
  // One execution may be here twice, under a lease that was lost and under the next one.
  const running = new Set<Run>()
  const fibers = yield* FiberSet.make<void>()
  const clock = yield* Clock.Clock
  // A run's lines cost as much as the run: they are not even put together when nobody would see them.
  const logsRuns = yield* LogLevel.isEnabled("Info")
  const context = yield* Effect.context<never>()
  const workerAnnotations = yield* References.CurrentLogAnnotations

  const worker: Services.Worker = { docket, name: workerName }
  // What the handlers' layers were built with. Their clock and scheduler are the worker's; their scope and their
  // annotations are those of each execution.
  const ownOf = (runnable: Runnable): Context.Context<never> =>
    Context.add(
      Context.omit(Scope.Scope, References.CurrentLogAnnotations, Scheduler.Scheduler)(runnable.context),
      Clock.Clock,
      clock
    )
  // With middleware, its own services are provided to a handler at the last.
  const plain = Services.base(context, Context.empty(), worker)
  const bases = new WeakMap<Runnable, Services.Base>()
  const baseOf = (runnable: Runnable) => {
    if (middleware.length > 0) return plain
    const known = bases.get(runnable)
    if (known !== undefined) return known
    const base = Services.base(context, ownOf(runnable), worker)
    bases.set(runnable, base)
    return base
  }

  const start = (delivery: Delivery, asked: number) => {
    const runnable = registry.find(delivery.task, delivery.payload)
    if (runnable === undefined) {
      // The store hands out only what the worker named, so this is for a store that breaks its word.
      const error = `UnknownTask: this worker has no task "${delivery.task}"`
      return onEnd({ delivery, outcome: { _tag: "Failed", error, failure: undefined }, reported: false })
    }
    const run: Run = {
      delivery,
      annotations: { ...workerAnnotations, ...RunLog.annotations(delivery) },
      progress: reporter.start(delivery),
      holdsSlot: runnable.behaviour?.controls.controls.some(({ _tag }) => _tag === "Concurrency") ?? false,
      superseded: false,
      renewed: asked,
      interruptReason: undefined,
      fiber: undefined
    }
    running.add(run)
    run.fiber = execute(run, runnable)
    FiberSet.addUnsafe(fibers, run.fiber)
    if (cancelledEarly.size > 0 && cancelledEarly.delete(nameOf(delivery.key, delivery.generation))) {
      interrupt(run, "cancelled")
    }
  }

  const interrupt = (run: Run, reason: InterruptReason) => {
    // Middleware may go on after its handler has timed out.
    if (run.interruptReason !== undefined && run.interruptReason !== "timed-out") return
    run.interruptReason = reason
    run.fiber?.interruptUnsafe()
  }

  // Cancellations and deliveries travel on different connections. Most that find no run are too late, not too early.
  const cancelledEarly = new Set<string>()
  const cancel = (key: string, generation: number) => {
    const found = [...running].filter(({ delivery }) => delivery.key === key && delivery.generation === generation)
    for (const run of found) interrupt(run, "cancelled")
    if (found.length > 0) return
    cancelledEarly.add(nameOf(key, generation))
    for (const oldest of cancelledEarly) {
      if (cancelledEarly.size <= rememberedCancellations) break
      cancelledEarly.delete(oldest)
    }
  }

  const execute = (run: Run, runnable: Runnable) => {
    const { recurrence, timeoutMillis } = runnable.behaviour ?? {}
    const payload = runnable.decodePayload(run.delivery.payload)
    const parts: Services.Parts = {
      run,
      payload: Exit.isSuccess(payload) ? payload.value : undefined,
      succession:
        recurrence === undefined
          ? Succession.none
          : Succession.make(recurrence, run.delivery, { ...docket.settings, chain: runnable.chain }),
      deadline:
        timeoutMillis === undefined
          ? Deadline.none
          : Deadline.make({
              key: run.delivery.key,
              timeoutMillis,
              clock,
              onTimeout: () => {
                run.interruptReason ??= "timed-out"
              }
            }),
      scope: Scope.makeUnsafe()
    }
    const handled: Effect.Effect<unknown, RunError> = Exit.isSuccess(payload)
      ? Tracing.run(
          run.delivery,
          run.annotations,
          Effect.onExit(handle(runnable, parts), (exit) => Scope.close(parts.scope, exit))
        )
      : Effect.failCause(Signal.finalFailure(unreadable(run.delivery.task, failureText(payload.cause))))
    // Its fiber starts with all services in place: each change of a fiber's context would cost as much as a small run.
    const services = Services.over(baseOf(runnable), parts)
    // Uninterruptible but for the handler: from the claim to the recorded end nothing gets lost.
    return Effect.runForkWith(services)(
      Effect.uninterruptibleMask((restore) => follow(runnable, parts, restore(handled)))
    )
  }

  /** Runs a handler, and sees to what comes before and after. */
  const follow = Effect.fnUntraced(function* (
    runnable: Runnable,
    parts: Services.Parts,
    handled: Effect.Effect<unknown, RunError>
  ) {
    const { payload, run, succession } = parts
    const { delivery, progress } = run
    const call = () => RunLog.describe(delivery, payload, runnable.behaviour)
    metrics.started(delivery)
    if (logsRuns) yield* asWorker(run, RunLog.started(delivery, call()))
    const began = Monotonic.now(clock)
    const exit = yield* Effect.exit(handled)
    const elapsed = Math.round(Monotonic.now(clock) - began)
    const outcome = yield* Effect.suspend(() =>
      outcomeOf(runnable, run, exit, () => succession.next(elapsed), docket.settings)
    ).pipe(
      Effect.flatMap((decided) => (decided === undefined ? Effect.undefined : refuseNext(delivery, decided))),
      // What a schema, a policy or an error throws while it is looked at must not cost the worker a slot.
      Effect.catchCause((cause) => Effect.succeed(failedBy(cause)))
    )
    metrics.ended(delivery, elapsed, outcome)
    if (logsRuns || outcome?._tag !== "Completed") {
      yield* asWorker(run, RunLog.ended(call(), elapsed, exit, outcome, runnable.encodeError))
    }
    if (progress.reported()) yield* progress.flush
    running.delete(run)
    onEnd({ delivery, outcome, reported: progress.reported(), call })
  })

  /** The lines of a run are the worker's, whatever its handler's layers log with. */
  const asWorker = (run: Run, lines: Effect.Effect<void>) =>
    Effect.provideContext(lines, Context.add(context, References.CurrentLogAnnotations, run.annotations))

  const handle = (runnable: Runnable, parts: Services.Parts) => {
    const handler = parts.deadline.limit(Effect.suspend(() => runnable.run(parts.payload)))
    if (middleware.length === 0) return handler
    return middleware.reduceRight<Effect.Effect<unknown, HandlerError | TaskTimedOut | MiddlewareFailed>>(
      (inner, { wrap }) => wrap(inner),
      Effect.provideContext(handler, ownOf(runnable))
    )
  }

  return {
    start,
    has: (run) => running.has(run),
    all: () => [...running],
    size: () => running.size,
    interrupt,
    cancel
  }
})

const failedBy = (cause: Cause.Cause<never>): Outcome => ({
  _tag: "Failed",
  error: failureText(cause),
  failure: undefined
})

const unreadable = (task: string, issue: string) => new InvalidPayload({ task, issue })
