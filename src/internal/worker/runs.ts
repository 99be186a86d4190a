/**
 * The executions that a worker runs: one supervised fiber each.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as FiberSet from "effect/FiberSet"
import * as Latch from "effect/Latch"
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
import { failureText } from "../failureText.ts"
import type { HandlerError } from "../handlers.ts"
import * as Signal from "../signal.ts"
import * as Deadline from "./deadline.ts"
import type { End } from "./intake.ts"
import { outcomeOf } from "./outcome.ts"
import type { Reporter, RunProgress } from "./progress.ts"
import type { Registry, Runnable } from "./registry.ts"
import * as RunLog from "./runLog.ts"
import * as Services from "./services.ts"
import * as Succession from "./succession.ts"

/** An execution that runs on this worker. */
export interface Run {
  readonly delivery: Delivery
  readonly annotations: Record<string, unknown>
  readonly progress: RunProgress
  /** Whether it has a slot of a concurrency limit. */
  readonly holdsSlot: boolean
  /** Whether the key was scheduled anew meanwhile. */
  superseded: boolean
  /** When its lease was last asked for, or its renewal: see `Leases.now`. The lease lives at least from then on. */
  renewed: number
  interruptReason: InterruptReason | undefined
  fiber: Fiber.Fiber<void> | undefined
}

/** The running executions of a worker. */
export interface Runs {
  /** Starts an execution, which was asked for at that moment (see `Leases.now`); `onEnd` is told how it ended. */
  readonly start: (delivery: Delivery, asked: number) => void
  readonly interrupt: (run: Run, reason: InterruptReason) => void
  /** Interrupts an execution that was cancelled, also when its delivery is still on the way. */
  readonly cancel: (key: string, generation: number) => void
  readonly find: (key: string, generation: number) => Run | undefined
  readonly all: () => ReadonlyArray<Run>
  readonly size: () => number
  /** Completes while something runs. */
  readonly awaitSome: Effect.Effect<void>
}

/** How many cancellations that no run was found for are remembered. */
const rememberedCancellations = 100

const runId = (key: string, generation: number) => `${generation} ${key}`

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
  const running = new Map<string, Run>()
  const some = yield* Latch.make(false)
  const fork = yield* FiberSet.makeRuntime<never>()
  const clock = yield* Clock.Clock
  // A run's lines cost as much as the run: they are not even put together when nobody would see them.
  const logsRuns = yield* LogLevel.isEnabled("Info")
  const workerAnnotations = yield* References.CurrentLogAnnotations

  const worker: Services.Worker = { docket, name: workerName }
  // What the handlers' layers were built with. Their clock and scheduler are the worker's; their scope and their
  // annotations are those of each execution.
  const bases = new WeakMap<Runnable, ReadonlyMap<string, unknown>>()
  const baseOf = (runnable: Runnable) => {
    const known = bases.get(runnable)
    if (known !== undefined) return known
    const built = Context.omit(Scope.Scope, References.CurrentLogAnnotations, Scheduler.Scheduler)(runnable.context)
    const base = Context.add(built, Clock.Clock, clock).mapUnsafe
    bases.set(runnable, base)
    return base
  }
  const none: ReadonlyMap<string, unknown> = new Map()

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
    const id = runId(delivery.key, delivery.generation)
    running.set(id, run)
    some.openUnsafe()
    run.fiber = fork(
      Effect.provideService(
        Effect.uninterruptibleMask((restore) => execute(run, runnable, restore)),
        References.CurrentLogAnnotations,
        run.annotations
      )
    )
    if (cancelledEarly.delete(id)) interrupt(run, "cancelled")
  }

  const interrupt = (run: Run, reason: InterruptReason) => {
    if (run.interruptReason !== undefined) return
    run.interruptReason = reason
    run.fiber?.interruptUnsafe()
  }

  // Cancellations and deliveries travel on different connections. Most that find no run are too late, not too early.
  const cancelledEarly = new Set<string>()
  const cancel = (key: string, generation: number) => {
    const id = runId(key, generation)
    const run = running.get(id)
    if (run !== undefined) return interrupt(run, "cancelled")
    cancelledEarly.add(id)
    for (const oldest of cancelledEarly) {
      if (cancelledEarly.size <= rememberedCancellations) break
      cancelledEarly.delete(oldest)
    }
  }

  // Uninterruptible but for the handler: from the claim to the recorded end nothing gets lost.
  const execute = Effect.fnUntraced(function* (
    run: Run,
    runnable: Runnable,
    restore: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  ) {
    const { delivery, progress } = run
    const { recurrence, timeoutMillis } = runnable.behaviour ?? {}
    const payload = runnable.decodePayload(delivery.payload)
    const call = () =>
      RunLog.describe(delivery, Exit.isSuccess(payload) ? payload.value : undefined, runnable.behaviour)
    const succession = recurrence === undefined ? Succession.none : Succession.make(recurrence, delivery)
    const deadline =
      timeoutMillis === undefined
        ? Deadline.none
        : Deadline.make({
            key: delivery.key,
            timeoutMillis,
            clock,
            onTimeout: () => {
              run.interruptReason ??= "timed-out"
            }
          })
    metrics.started(delivery)
    if (logsRuns) yield* RunLog.started(delivery, call())
    const began = clock.currentTimeMillisUnsafe()
    const exit = yield* Exit.isSuccess(payload)
      ? Tracing.run(
          delivery,
          run.annotations,
          Effect.scoped(handle(runnable, { run, payload: payload.value, succession, deadline }))
        ).pipe(restore, Effect.exit)
      : Effect.succeed(Exit.failCause(Signal.finalFailure(unreadable(delivery.task, failureText(payload.cause)))))
    const elapsed = clock.currentTimeMillisUnsafe() - began
    const decided = yield* outcomeOf(runnable, run, exit, () => succession.next(elapsed))
    const outcome = decided === undefined ? undefined : yield* refuseNext(delivery, decided)
    metrics.ended(delivery, elapsed, outcome)
    if (logsRuns || outcome?._tag !== "Completed") yield* RunLog.ended(call(), elapsed, exit, outcome)
    if (progress.reported()) yield* progress.flush
    running.delete(runId(delivery.key, delivery.generation))
    if (running.size === 0) some.closeUnsafe()
    onEnd({ delivery, outcome, reported: progress.reported(), call })
  })

  const handle = (runnable: Runnable, parts: Services.Parts) => {
    const handler = parts.deadline.limit(
      Effect.provideContext(
        Effect.suspend(() => runnable.run(parts.payload)),
        Services.over(baseOf(runnable), worker, parts)
      )
    )
    if (middleware.length === 0) return handler
    return Effect.provideContext(
      middleware.reduceRight<Effect.Effect<unknown, HandlerError | TaskTimedOut | MiddlewareFailed>>(
        (inner, { wrap }) => wrap(inner),
        handler
      ),
      Services.over(none, worker, parts)
    )
  }

  return {
    start,
    find: (key, generation) => running.get(runId(key, generation)),
    all: () => [...running.values()],
    size: () => running.size,
    awaitSome: some.await,
    interrupt,
    cancel
  }
})

const unreadable = (task: string, issue: string) => new InvalidPayload({ task, issue })
