/**
 * Workers: they take executions from a docket and run the handlers of their tasks.
 */
import { hostname } from "node:os"
import { pid } from "node:process"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type { Contract } from "./Admission.ts"
import * as BuiltIn from "./BuiltIn.ts"
import { Docket } from "./Docket.ts"
import { DocketError, InvalidRequest } from "./DocketError.ts"
import type { Depth, WorkerSession } from "./DocketStore.ts"
import { invalid } from "./internal/docket/docketError.ts"
import * as Durations from "./internal/contract/durations.ts"
import * as WholeNumbers from "./internal/contract/wholeNumbers.ts"
import { announce } from "./internal/worker/announcement.ts"
import { type Bounds, atMost, unbounded } from "./internal/worker/bounds.ts"
import * as Automatic from "./internal/worker/automatic.ts"
import { knownStrikes } from "./internal/docket/knownStrikes.ts"
import { withGuardedLoggers } from "./internal/worker/guardedLoggers.ts"
import * as Intake from "./internal/worker/intake.ts"
import * as Judgement from "./internal/worker/judgement.ts"
import * as Leases from "./internal/worker/leases.ts"
import * as Outage from "./internal/docket/outage.ts"
import * as Progress from "./internal/worker/progress.ts"
import { factsOf } from "./internal/contract/facts.ts"
import * as Registry from "./internal/worker/registry.ts"
import * as Runs from "./internal/worker/runs.ts"
import * as Vitals from "./internal/worker/vitals.ts"
import type { Middleware, Services } from "./Middleware.ts"
import * as Metrics from "./observability/Metrics.ts"
import * as Tracing from "./observability/Tracing.ts"
import type * as Task from "./Task.ts"
import type { TaskServices } from "./TaskContext.ts"
import type * as TaskGroup from "./TaskGroup.ts"

/**
 * The options of a worker.
 *
 * @category options
 * @since 0.1.0
 */
export interface Options<R = never, M extends Middleware<unknown> = Middleware<R>> {
  /**
   * The worker's name in records and logs. Default: host name, process id and a random part. With a name of more than 64
   * bytes what it runs takes more memory in Redis.
   */
  readonly name?: string | undefined
  /** How many executions run at once, at least 1. Default: 10. */
  readonly concurrency?: number | undefined
  /**
   * How long an execution whose worker fell silent is left alone before another worker takes it over. Running
   * executions renew their leases four times within it. Default: 5 minutes.
   */
  readonly redeliveryTimeout?: Duration.Input | undefined
  /** The longest pause between attempts to reach a store that is away; shorter ones come first. Default: 5 seconds. */
  readonly reconnectionDelay?: Duration.Input | undefined
  /** How often a bounded run looks whether other workers have finished what they run. Default: 250 milliseconds. */
  readonly minimumCheckInterval?: Duration.Input | undefined
  /**
   * How long a worker that is told to stop lets its executions run on, before it interrupts them and gives them back.
   * Default: 25 seconds, within the 30 that container platforms usually grant.
   */
  readonly shutdownTimeout?: Duration.Input | undefined
  /** After how many deliveries without an end an execution is failed, so that it cannot take down every worker. Default: 10. */
  readonly maxDeliveries?: number | undefined
  /** Whether the worker schedules the group's automatic tasks, now and when their chain was severed. Default: true. */
  readonly scheduleAutomaticTasks?: boolean | undefined
  /** Wraps every execution of this worker, the first one outermost. Default: none. */
  readonly middleware?: ReadonlyArray<M> | undefined
  /**
   * Whether the calls that the worker makes for itself (asking for work, renewing leases, heartbeats, progress) are spans
   * as well, where there is a tracer; there are many of them. Default: false.
   */
  readonly internalSpans?: boolean | undefined
  /** Runs executions of tasks that the group does not name. Default: they wait for a worker that knows them. */
  readonly fallback?: Fallback<R> | undefined
}

/**
 * The handler of last resort. It gets the payload as it was stored, JSON text, and can ask for everything that a handler
 * can; `CurrentExecution` has the task's name.
 *
 * @category models
 * @since 0.1.0
 */
export type Fallback<R = never> = (encodedPayload: string) => Effect.Effect<unknown, unknown, R>

/**
 * A fallback that settles executions of unknown tasks as failed.
 *
 * @category fallbacks
 * @since 0.1.0
 */
export const drop: Fallback = () =>
  Effect.fail(
    new DocketError({
      reason: new InvalidRequest({ problem: "UnknownTask: the worker has no handler for it, and drops it" })
    })
  )

/**
 * Whether a worker is able to take work.
 *
 * @category models
 * @since 0.1.0
 */
export interface Health {
  /** Its loops are alive, and the store answers them in time. */
  readonly able: boolean
  /** It is able, and was not told to stop. */
  readonly ready: boolean
  /** Why it is not able; for people. */
  readonly problems: ReadonlyArray<string>
}

/**
 * A worker that is running.
 *
 * @category services
 * @since 0.1.0
 */
export class Worker extends Context.Service<
  Worker,
  {
    readonly name: string
    /** How many executions run now. */
    readonly running: Effect.Effect<number>
    /**
     * Whether it is able to take work now. With the default heartbeat it is not able any more at most seven seconds after
     * the store stopped to answer, and able again as soon as the store has answered.
     */
    readonly health: Effect.Effect<Health>
    /**
     * Completes when nothing in the docket is live: nothing due, nothing running anywhere, and nothing scheduled for
     * later, however far away. The worker goes on.
     */
    readonly finished: Effect.Effect<void>
    /**
     * Takes nothing more, and completes when everything that runs has ended and is settled. It has no time limit of its
     * own; closing the worker's scope does the same within the shutdown timeout.
     */
    readonly drain: Effect.Effect<void>
    /** Interrupts what runs and gives it back, so that another worker runs it. Use after `drain` has begun. */
    readonly giveBack: Effect.Effect<void>
  }
>()("effect-docket/Worker") {}

type Requirements<T extends Task.Any, R, M> = Task.Handlers<T> | Docket | Exclude<R | Services<M>, TaskServices>

/**
 * Starts a worker that runs until the scope closes. Then it takes nothing more, lets what runs end within the shutdown
 * timeout, gives the rest back, and leaves.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make: <T extends Task.Any, R = never, M extends Middleware<unknown> = never>(
  tasks: TaskGroup.TaskGroup<T>,
  options?: Options<R, M>
) => Effect.Effect<Worker["Service"], DocketError, Requirements<T, R, M> | Scope.Scope> = Effect.fnUntraced(function* <
  T extends Task.Any,
  R = never,
  M extends Middleware<unknown> = never
>(tasks: TaskGroup.TaskGroup<T>, options: Options<R, M> = {}) {
  return yield* start(tasks, options, unbounded)
})

/**
 * A worker as a layer: it runs for as long as the layer lives.
 *
 * **Example**
 *
 * ```ts
 * Worker.layer(tasks, { concurrency: 20 }).pipe(
 *   Layer.provide(HandlersLive),
 *   Layer.provide(DocketLive),
 *   Layer.launch,
 *   NodeRuntime.runMain
 * )
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = <T extends Task.Any, R = never, M extends Middleware<unknown> = never>(
  tasks: TaskGroup.TaskGroup<T>,
  options?: Options<R, M>
): Layer.Layer<Worker, DocketError, Requirements<T, R, M>> => Layer.effect(Worker, make(tasks, options))

/**
 * Runs a worker for ever, or until it is interrupted.
 *
 * @category running
 * @since 0.1.0
 */
export const run = <T extends Task.Any, R = never, M extends Middleware<unknown> = never>(
  tasks: TaskGroup.TaskGroup<T>,
  options?: Options<R, M>
): Effect.Effect<never, DocketError, Requirements<T, R, M>> =>
  Effect.scoped(Effect.andThen(make(tasks, options), Effect.never))

/**
 * Runs a worker until nothing in the docket is live: nothing due, nothing running anywhere, and nothing scheduled for
 * later, however far away.
 *
 * @category running
 * @since 0.1.0
 */
export const runUntilFinished = <T extends Task.Any, R = never, M extends Middleware<unknown> = never>(
  tasks: TaskGroup.TaskGroup<T>,
  options: Options<R, M> = {}
): Effect.Effect<void, DocketError, Requirements<T, R, M>> => runBounded(tasks, options, unbounded)

/**
 * Like {@link runUntilFinished}, with each of the named keys run at most so many times: then its further schedules are
 * cancelled, so that a recurring key ends.
 *
 * @category running
 * @since 0.1.0
 */
export const runAtMost = <T extends Task.Any, R = never, M extends Middleware<unknown> = never>(
  tasks: TaskGroup.TaskGroup<T>,
  runsByKey: Readonly<Record<string, number>>,
  options: Options<R, M> = {}
): Effect.Effect<void, DocketError, Requirements<T, R, M>> =>
  Effect.andThen(
    Effect.forEach(Object.entries(runsByKey), ([key, runs]) =>
      WholeNumbers.checked(`the number of runs of key ${JSON.stringify(key)}`, runs, 0)
    ),
    runBounded(tasks, options, atMost(runsByKey))
  )

const defaults = {
  concurrency: 10,
  redeliveryTimeout: "5 minutes",
  reconnectionDelay: "5 seconds",
  minimumCheckInterval: "250 millis",
  shutdownTimeout: "25 seconds",
  maxDeliveries: 10
} as const

const start = Effect.fnUntraced(function* <T extends Task.Any, R, M extends Middleware<unknown>>(
  tasks: TaskGroup.TaskGroup<T>,
  options: Options<R, M>,
  bounds: Bounds
): Effect.fn.Return<Worker["Service"], DocketError, Requirements<T, R, M> | Scope.Scope> {
  const id = SecureRandom.uuidV4Unsafe().slice(0, 8)
  const name = options.name ?? `${hostname()}#${pid}-${id}`
  return yield* withGuardedLoggers(startNamed(tasks, options, bounds, { id, name })).pipe(
    Effect.annotateLogs({ "docket.name": (yield* Docket).name, "docket.worker": name })
  )
})

const startNamed = Effect.fnUntraced(function* <T extends Task.Any, R, M extends Middleware<unknown>>(
  tasks: TaskGroup.TaskGroup<T>,
  options: Options<R, M>,
  bounds: Bounds,
  { id, name }: { readonly id: string; readonly name: string }
): Effect.fn.Return<Worker["Service"], DocketError, Requirements<T, R, M> | Scope.Scope> {
  const docket = yield* Docket
  const context = yield* Effect.context<Requirements<T, R, M>>()
  const concurrency = yield* WholeNumbers.checked("concurrency", options.concurrency ?? defaults.concurrency, 1)
  const maxDeliveries = yield* WholeNumbers.checked("maxDeliveries", options.maxDeliveries ?? defaults.maxDeliveries, 1)
  const millisOf = (option: "redeliveryTimeout" | "reconnectionDelay" | "minimumCheckInterval", minimum: number) =>
    Durations.checked(option, options[option] ?? defaults[option], minimum)
  const leaseMillis = yield* millisOf("redeliveryTimeout", 1)
  const reconnectionDelay = yield* millisOf("reconnectionDelay", 0)
  const checkInterval = yield* millisOf("minimumCheckInterval", 0)
  // It may be infinite.
  const shutdownTimeout = options.shutdownTimeout ?? defaults.shutdownTimeout
  if (Number.isNaN(Durations.millisOf(shutdownTimeout))) {
    return yield* invalid(`shutdownTimeout has to be a duration; it was ${Durations.shown(shutdownTimeout)}`)
  }
  const { heartbeatMillis, missedHeartbeats } = docket.settings

  const registry = Registry.make(
    // A task of the group takes the place of a built-in one of its name.
    new Map([
      ...Registry.collect(BuiltIn.tasks, yield* Layer.build(BuiltIn.layer)),
      ...Registry.collect(tasks, context)
    ]),
    options.fallback && Registry.fallback(options.fallback, context)
  )
  const metrics = yield* Metrics.ofWorker(docket.name, options.name ?? hostname(), (task) => registry.names.has(task))
  const vitals = Vitals.make(yield* Clock.Clock)
  const outage = Outage.make(Duration.millis(reconnectionDelay), metrics.disrupted)
  const opened = yield* outage.untilAnswered(
    () =>
      docket.store.open({
        name,
        tasks: registry.any ? "any" : registry.names,
        contracts: contractsOf(tasks),
        recurring: recurringOf(tasks),
        facts: new Map(Array.from(tasks.tasks.values(), (task) => [task.name, factsOf(task)])),
        leaseMillis,
        maxDeliveries,
        presenceMillis: heartbeatMillis * missedHeartbeats
      }),
    Effect.never
  )
  const session =
    options.internalSpans === true
      ? Tracing.session(opened, { "docket.name": docket.name, "docket.worker": name })
      : opened
  const leaveOnce = once(leave(session))
  yield* Effect.addFinalizer(() => leaveOnce)
  yield* announce(name, concurrency, tasks.tasks.values())

  const strikes = knownStrikes(docket.store, docket.name)
  const judgement = Judgement.make({ store: docket.store, registry, strikes, metrics })
  const runs: Runs.Runs = yield* Runs.make({
    docket,
    workerName: name,
    registry,
    reporter: yield* Progress.make(session, docket.settings),
    metrics,
    // Their services are in the context that executions are forked with, or are those of each execution.
    middleware: (options.middleware ?? []) as ReadonlyArray<Middleware<unknown>> as ReadonlyArray<Middleware>,
    refuseNext: judgement.refuseNext,
    keep: session.keep,
    onEnd: (end) => intake.finish(end)
  })
  const heartbeat = vitals.pulse("The heartbeat", heartbeatMillis)
  /** Gives the time until the next heartbeat: a lease that expires before is taken back when it does. */
  const beat = Effect.gen(function* () {
    const reply = yield* outage.untilAnswered(() => session.heartbeat, session.reconnected)
    yield* intake.heard(reply)
    metrics.depth(reply.depth)
    metrics.failedChains(reply.failedChains)
    heartbeat.met()
    return Math.max(shortestBeat, Math.min(heartbeatMillis, (reply.nextExpiryMillis ?? heartbeatMillis) + 1))
  })
  const beatFrom = (delay: number): Effect.Effect<never> =>
    Effect.sync(heartbeat.expect).pipe(
      Effect.andThen(Effect.delay(beat, Duration.millis(delay))),
      Effect.flatMap(beatFrom)
    )
  // It listens for cancellations since its session is open; it is listed before it takes its first execution.
  if (session.needsHeartbeat) yield* outage.untilAnswered(() => session.heartbeat, session.reconnected)
  const intake: Intake.Intake = yield* Intake.make({
    session,
    concurrency,
    leasePrefix: id,
    outage,
    bounds,
    metrics,
    registry,
    strikes,
    judgement,
    runs,
    vitals
  })
  const renewal = vitals.pulse("The renewal of leases", leaseMillis / Leases.renewalsPerLease)
  yield* vitals.loop(
    "The loop that renews leases",
    Leases.keep({
      session,
      runs,
      unsettled: intake.unsettled,
      awaitHeld: intake.awaitHeld,
      leaseMillis,
      pulse: renewal
    })
  )
  const heartbeats = yield* session.needsHeartbeat
    ? vitals.loop("The loop that announces the worker", beatFrom(heartbeatMillis))
    : Effect.undefined

  const giveBack = Effect.sync(() => {
    for (const run of runs.all()) runs.interrupt(run, "shutting-down")
  })
  // It is listed only while it can take work; a heartbeat would bring it back.
  const stopHeartbeats = Effect.sync(() => {
    heartbeats?.forget()
    heartbeat.met()
  })
  const withdraw =
    heartbeats === undefined
      ? leaveOnce
      : Effect.andThen(Fiber.interrupt(heartbeats.fiber), Effect.andThen(stopHeartbeats, leaveOnce))
  const drain = Effect.sync(vitals.close).pipe(
    Effect.andThen(intake.close),
    Effect.andThen(withdraw),
    Effect.andThen(intake.awaitEmpty)
  )
  // The worker runs executions by now, so it has to stop in order also when it is told to while it waits for the store.
  yield* Effect.addFinalizer(() => stop({ drain, giveBack, shutdownTimeout }))

  const { seeded } = yield* Automatic.seed({
    tasks: options.scheduleAutomaticTasks === false ? [] : tasks.tasks.values(),
    store: docket.store,
    strikes,
    session,
    outage,
    bounds
  })
  const finished = Effect.andThen(
    seeded,
    awaitFinished({
      intake,
      dropExhausted: Effect.suspend(() => {
        const keys = bounds.exhaustedKeys()
        if (keys.length === 0) return Effect.void
        return outage.untilAnswered(() => docket.store.cancel(keys), session.reconnected)
      }),
      depth: outage.untilAnswered(() => docket.store.depth, session.reconnected),
      checkInterval
    })
  )
  return Worker.of({
    name,
    running: Effect.sync(runs.size),
    health: Effect.sync(() => {
      const health = vitals.health()
      const problem = outage.problem()
      return health.able || problem === undefined ? health : { ...health, problems: [...health.problems, problem] }
    }),
    finished,
    drain,
    giveBack
  })
})

/** However soon leases expire, heartbeats do not follow each other faster; in milliseconds. */
const shortestBeat = 50

/** The contracts of those tasks that have controls. */
const contractsOf = <T extends Task.Any>(tasks: TaskGroup.TaskGroup<T>): ReadonlyMap<string, Contract> =>
  new Map(
    Array.from(tasks.tasks.values()).flatMap(({ behaviour: { controls }, name }) =>
      controls.controls.length === 0 ? [] : [[name, controls] as const]
    )
  )

const recurringOf = <T extends Task.Any>(tasks: TaskGroup.TaskGroup<T>): ReadonlySet<string> =>
  new Set(
    Array.from(tasks.tasks.values()).flatMap(({ behaviour, name }) =>
      behaviour.recurrence === undefined ? [] : [name]
    )
  )

// What could not be settled by now, because the store is away, comes back when its lease expires.
const lastWord = "5 seconds"

const stop = Effect.fnUntraced(function* (options: {
  readonly drain: Effect.Effect<void>
  readonly giveBack: Effect.Effect<void>
  readonly shutdownTimeout: Duration.Input
}) {
  const drained = yield* Effect.timeoutOption(options.drain, options.shutdownTimeout)
  if (Option.isSome(drained)) return
  yield* options.giveBack
  const settled = yield* Effect.timeoutOption(options.drain, lastWord)
  if (Option.isNone(settled)) {
    yield* Effect.logWarning(
      "The worker stops before everything that ran is settled; it runs again when its leases expire"
    )
  }
})

const leave = (session: WorkerSession) =>
  session.leave.pipe(
    Effect.timeout(lastWord),
    Effect.catchCause((cause) => Effect.logWarning("The worker could not take itself off the list", cause))
  )

/** What is done already is not done again. */
const once = (effect: Effect.Effect<void>): Effect.Effect<void> => {
  let isDone = false
  const note = Effect.sync(() => {
    isDone = true
  })
  return Effect.suspend(() => (isDone ? Effect.void : Effect.andThen(effect, note)))
}

const awaitFinished = Effect.fnUntraced(function* (options: {
  readonly intake: Intake.Intake
  /** Cancels what waits under keys that have had their runs, however far away. */
  readonly dropExhausted: Effect.Effect<void>
  readonly depth: Effect.Effect<Depth>
  readonly checkInterval: Duration.Input
}) {
  while (true) {
    yield* options.intake.awaitIdle
    yield* options.dropExhausted
    const depth = yield* options.depth
    if (depth.queued + depth.running + depth.scheduled === 0) return
    // Later work wakes this worker when it is due; what other workers hold or wait for does not.
    yield* depth.queued + depth.running > 0
      ? Effect.raceFirst(Effect.sleep(options.checkInterval), options.intake.awaitBusy)
      : options.intake.awaitBusy
  }
})

const runBounded = Effect.fnUntraced(function* <T extends Task.Any, R, M extends Middleware<unknown>>(
  tasks: TaskGroup.TaskGroup<T>,
  options: Options<R, M>,
  bounds: Bounds
): Effect.fn.Return<void, DocketError, Requirements<T, R, M> | Scope.Scope> {
  return yield* (yield* start(tasks, options, bounds)).finished
}, Effect.scoped)
