/**
 * The executions that a worker runs: one supervised fiber each.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberSet from "effect/FiberSet"
import * as Inspectable from "effect/Inspectable"
import * as LogLevel from "effect/LogLevel"
import * as References from "effect/References"
import * as Result from "effect/Result"
import * as Scheduler from "effect/Scheduler"
import * as Scope from "effect/Scope"
import type { Docket } from "../../Docket.ts"
import { InvalidPayload, type MiddlewareFailed, type TaskTimedOut } from "../../DocketError.ts"
import type { Cancellation, Delivery, Outcome, WorkerSession } from "../../DocketStore.ts"
import type { Middleware } from "../../Middleware.ts"
import type { WorkerMetrics } from "../../observability/Metrics.ts"
import * as Tracing from "../../observability/Tracing.ts"
import type { InterruptReason, TaskServices } from "../../TaskContext.ts"
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

/** How often a result is tried to be kept elsewhere, and the pauses in between. */
const mostTries = 100
const firstPauseMillis = 50
const longestPauseMillis = 5000

/** What a run may fail with. */
type RunError = HandlerError | TaskTimedOut | MiddlewareFailed | InvalidPayload

/** The running executions of a worker. */
export interface Runs {
  /** Starts an execution, which was asked for at that moment (see `Monotonic.now`); `onEnd` is told how it ended. */
  readonly start: (delivery: Delivery, asked: number) => void
  readonly interrupt: (run: Run, reason: InterruptReason) => void
  /** Interrupts the run that was cancelled, if it is here. */
  readonly cancel: (cancellation: Cancellation) => void
  readonly has: (run: Run) => boolean
  readonly all: () => ReadonlyArray<Run>
  readonly size: () => number
}

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
  /** Keeps results elsewhere; see `WorkerSession`. */
  readonly keep: WorkerSession["keep"]
  readonly onEnd: (end: End) => void
}) => Effect.Effect<Runs, never, Scope.Scope> = Effect.fnUntraced(function* (options) {
  const { docket, keep, metrics, middleware, onEnd, refuseNext, registry, reporter, workerName } = options
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
      overtaken: false,
      renewed: asked,
      interruptReason: undefined,
      fiber: undefined
    }
    running.add(run)
    execute(run, runnable)
  }

  const interrupt = (run: Run, reason: InterruptReason) => {
    // Middleware may go on after its handler has timed out.
    if (run.interruptReason !== undefined && run.interruptReason !== "timed-out") return
    run.interruptReason = reason
    run.fiber?.interruptUnsafe()
  }

  const cancel = ({ key, lease }: Cancellation) => {
    for (const run of running) {
      if (run.delivery.key === key && run.delivery.lease === lease) interrupt(run, "cancelled")
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
      scope: Scope.makeUnsafe(),
      began: Monotonic.now(clock)
    }
    const closed = <A, E>(handled: Effect.Effect<A, E, TaskServices>) =>
      Effect.onExit(handled, (exit) => Scope.close(parts.scope, exit))
    const handled: Effect.Effect<unknown, RunError, TaskServices> = Exit.isSuccess(payload)
      ? Tracing.run(run.delivery, run.annotations, closed(handle(runnable, parts)))
      : Effect.failCause(Signal.finalFailure(unreadable(run.delivery.task, failureText(payload.cause))))
    // Its fiber starts with all services in place: each change of a fiber's context would cost as much as a small run.
    const services = Services.over(baseOf(runnable), parts)

    // Uninterruptible but for the handler: from the claim to the recorded end nothing gets lost. But what is no effect ends
    // a fiber on the spot, wherever a handler or a finalizer yields it, and nothing that was to follow in it is done.
    const fork = (
      steps: (
        restore: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
      ) => Effect.Effect<void, never, TaskServices>,
      onLost: (cause: Cause.Cause<never>) => void
    ) => {
      const forked = Result.try(() => Effect.runForkWith(services)(Effect.uninterruptibleMask(steps)))
      if (Result.isFailure(forked)) return onLost(Cause.die(forked.failure))
      run.fiber = forked.success
      FiberSet.addUnsafe(fibers, run.fiber)
      run.fiber.addObserver((exit) => {
        if (running.has(run)) onLost(Exit.isFailure(exit) ? exit.cause : Cause.empty)
      })
      // It came before there was a fiber.
      if (run.interruptReason !== undefined && run.interruptReason !== "timed-out") run.fiber.interruptUnsafe()
    }
    fork(
      (restore) => follow(runnable, parts, restore(handled)),
      (cause) =>
        fork(
          () => Effect.flatMap(Effect.exit(closed(Effect.failCause(cause))), (exit) => conclude(runnable, parts, exit)),
          (cause) => end(run, failedBy(cause))
        )
    )
  }

  /** Runs a handler, and sees to what comes before and after. */
  const follow = Effect.fnUntraced(function* (
    runnable: Runnable,
    parts: Services.Parts,
    handled: Effect.Effect<unknown, RunError, TaskServices>
  ) {
    const { run } = parts
    metrics.started(run.delivery)
    if (logsRuns) yield* asWorker(run, () => RunLog.started(run.delivery, callOf(runnable, parts)))
    yield* conclude(runnable, parts, yield* Effect.exit(handled))
  })

  const conclude = Effect.fnUntraced(function* (
    runnable: Runnable,
    { began, payload, run, succession }: Services.Parts,
    exit: Exit.Exit<unknown, unknown>
  ) {
    const { delivery, progress } = run
    const elapsed = Math.round(Monotonic.now(clock) - began)
    const outcome = yield* Effect.suspend(() =>
      outcomeOf(runnable, run, exit, () => succession.next(elapsed), docket.settings)
    ).pipe(
      Effect.flatMap((decided) =>
        decided === undefined
          ? Effect.undefined
          : Effect.catchCause(refuseNext(delivery, decided), () => Effect.succeed(decided))
      ),
      // What a schema, a policy or an error throws while it is looked at must not cost the worker a slot.
      Effect.catchCause((cause) => Effect.succeed(failedBy(cause)))
    )
    const settled = outcome?._tag === "Completed" && keep !== undefined ? yield* kept(run, outcome, keep) : outcome
    const call = () => callOf(runnable, { run, payload })
    metrics.ended(delivery, elapsed, settled)
    if (logsRuns || settled?._tag !== "Completed") {
      yield* asWorker(run, () => RunLog.ended(call(), elapsed, exit, settled, runnable.encodeError))
    }
    if (progress.reported()) yield* Effect.ignoreCause(progress.flush)
    end(run, settled, call)
  })

  /** Keeps a result elsewhere, in so many tries. Whoever is interrupted meanwhile has no result. */
  const kept = Effect.fnUntraced(function* (
    run: Run,
    outcome: Extract<Outcome, { readonly _tag: "Completed" }>,
    keep: NonNullable<WorkerSession["keep"]>
  ) {
    // One that was interrupted, and completed all the same, cannot be interrupted any more.
    const wait =
      run.interruptReason === undefined ? Effect.interruptible : <A, E, R>(effect: Effect.Effect<A, E, R>) => effect
    let pauseMillis = firstPauseMillis
    for (let tries = 1; ; tries++) {
      const exit = yield* Effect.exit(wait(keep(run.delivery, outcome)))
      if (Exit.isSuccess(exit)) return exit.value
      if (run.interruptReason === "lease-lost") return undefined
      if (run.interruptReason === "shutting-down") return { _tag: "Released" } as const
      if (run.interruptReason === "cancelled") return { _tag: "Cancelled" } as const
      if (tries === mostTries) return { ...failedBy(exit.cause), next: outcome.next }
      if (tries === 1) {
        yield* asWorker(run, () =>
          Effect.logWarning(`${failureText(exit.cause)}. The execution is not completed before its result is kept`)
        )
      }
      yield* Effect.exit(wait(Effect.sleep(pauseMillis)))
      pauseMillis = Math.min(2 * pauseMillis, longestPauseMillis)
    }
  })

  const end = (run: Run, outcome: Outcome | undefined, call?: () => string) => {
    running.delete(run)
    onEnd({ delivery: run.delivery, outcome, reported: run.progress.reported(), ...(call && { call }) })
  }

  const callOf = (runnable: Runnable, { payload, run }: Pick<Services.Parts, "run" | "payload">) =>
    RunLog.describe(run.delivery, payload, runnable.behaviour)

  /**
   * The lines of a run are the worker's, whatever its handler's layers log with. Whatever they show, and whoever takes them,
   * they do not keep a run from being settled.
   */
  const asWorker = (run: Run, lines: () => Effect.Effect<void>) =>
    Effect.ignoreCause(
      Effect.provideContext(
        Effect.suspend(lines),
        Context.add(context, References.CurrentLogAnnotations, run.annotations)
      )
    )

  const handle = (runnable: Runnable, { deadline, payload, run }: Services.Parts) => {
    const handler = deadline.limit(
      Effect.suspend(() => {
        // It was cancelled, or is given back, before its first step.
        if (run.interruptReason !== undefined) return Effect.interrupt
        const effect = runnable.run(payload)
        return Effect.isEffect(effect) ? effect : Effect.die(new NoEffect(run.delivery.task, effect))
      })
    )
    if (middleware.length === 0) return handler
    return Effect.suspend(() =>
      middleware.reduceRight<Effect.Effect<unknown, HandlerError | TaskTimedOut | MiddlewareFailed, TaskServices>>(
        (inner, { wrap }) => wrap(inner),
        Effect.provideContext(handler, ownOf(runnable))
      )
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

const failedBy = (cause: Cause.Cause<unknown>): Outcome => ({
  _tag: "Failed",
  error: failureText(cause),
  failure: undefined
})

/** What a handler gave is no Effect: it is not written in TypeScript, or something in it is `any`. */
class NoEffect extends Error {
  override readonly name = "NoEffect"
  constructor(task: string, given: unknown) {
    super(`the handler of task "${task}" has to return an Effect; it returned ${Inspectable.toStringUnknown(given, 0)}`)
  }
}

const unreadable = (task: string, issue: string) => new InvalidPayload({ task, issue })
