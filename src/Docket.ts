/**
 * The docket: schedules tasks for now and for later, cancels and replaces them, and looks them up.
 */
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import type { DatabaseSync } from "node:sqlite"
import type { DocketError } from "./DocketError.ts"
import { InvalidRequest } from "./DocketError.ts"
import type { Disposition, DocketStore, ScheduleRequest } from "./DocketStore.ts"
import type { Execution, ExecutionEvent, ExecutionInfo, FeedInterrupted } from "./Execution.ts"
import type { Explanation } from "./Explanation.ts"
import { failWith, invalid } from "./internal/docket/docketError.ts"
import * as Durations from "./internal/contract/durations.ts"
import * as DurationText from "./internal/contract/durationText.ts"
import * as Events from "./internal/docket/events.ts"
import * as Executions from "./internal/docket/executions.ts"
import { explain } from "./internal/docket/explain.ts"
import { keepIn } from "./internal/docket/keptResults.ts"
import { failedExecutions, knowsTask, silentWorkersOf, takeSnapshot, workersOf } from "./internal/docket/operations.ts"
import { knownStrikes } from "./internal/docket/knownStrikes.ts"
import { makeScheduler } from "./internal/docket/scheduling.ts"
import { strikesOf } from "./internal/docket/strikes.ts"
import * as Size from "./internal/contract/size.ts"
import * as WholeNumbers from "./internal/contract/wholeNumbers.ts"
import type { ResultStore } from "./ResultStore.ts"
import type { FailedExecutions, Paused, SilentWorker, Snapshot, WorkerInfo } from "./Snapshot.ts"
import type { Strike } from "./Strike.ts"
import type * as StrikeList from "./StrikeList.ts"
import * as MemoryStore from "./store/memory/MemoryStore.ts"
import { instrumentDocket } from "./observability/instrumentDocket.ts"
import { openStore } from "./store/openStore.ts"
import type * as Option from "effect/Option"
import type * as Task from "./Task.ts"

/**
 * The settings of a docket. Processes that share a docket use the same.
 *
 * @category options
 * @since 0.1.0
 */
export interface Settings {
  /** The docket's name. Dockets of different names share nothing. Default: `docket`. */
  readonly name?: string | undefined
  /** How long a settled execution is kept, with its result; 0 keeps nothing. Default: 15 minutes. */
  readonly executionTtl?: Duration.Input | undefined
  /**
   * How long an execution that failed for good is kept, to be looked at and retried. Default: 7 days, or nothing when
   * `executionTtl` is 0.
   */
  readonly failedTtl?: Duration.Input | undefined
  /** How many failed executions are kept, from 0; the oldest go first. Default: 10,000. */
  readonly failedMaximum?: number | undefined
  /** Keeps the results of executions, in place of the docket's store. Default: none. */
  readonly results?: ResultStore | undefined
  /**
   * The largest payload, result, error and message of progress that the docket takes, in bytes as they are stored: what is
   * larger fails with `TooLarge`, where it is made. It does not limit what `results` keeps. Default: 4 MiB (4,194,304).
   */
  readonly maximumBytes?: number | undefined
  /** How often a worker announces itself. Default: 2 seconds. */
  readonly heartbeatInterval?: Duration.Input | undefined
  /** After how many missed heartbeats, at least 1, a worker is no longer listed. Default: 5. */
  readonly missedHeartbeats?: number | undefined
}

/**
 * The settings of a docket, and where it is kept.
 *
 * @category options
 * @since 0.1.0
 */
export interface Options extends Settings {
  /**
   * The store. The scheme picks its kind: `redis`, `rediss` (TLS), `valkey`, `valkeys`, `unix`, `sqlite` for a docket in a
   * file of this machine, as in `sqlite:./docket.db`, or `memory` for one that lives in this process. With `+sentinel` or `+cluster` behind one of the first four, as in
   * `redis+sentinel://a:26379,b:26379/main`, it names several servers. Default: `redis://localhost:6379/0`.
   */
  readonly url?: string | undefined
}

/**
 * The ways to schedule.
 *
 * @category models
 * @since 0.1.0
 */
export interface Scheduling {
  /**
   * Schedules a task: for now, or for later with `delay` or `when`.
   *
   * **Details**
   *
   * A key that is live (scheduled, queued or running) is left as it is, and the handle's disposition says
   * `already-scheduled`. What a strike matches is not scheduled at all, and the disposition says `struck`. Fails with
   * `DocketError`: the payload does not fit, the options contradict each other, or the store failed; in the last case
   * the task may have been scheduled, and a key of your own makes it safe to try again.
   */
  readonly add: <T extends Task.Any>(
    task: T,
    ...args: Task.Arguments<T>
  ) => Effect.Effect<Execution<Task.Success<T>, Task.Error<T>>, DocketError>
  /**
   * Schedules a batch, made with `Task.request`, in as few round trips as possible; one handle for each request, in
   * order. Everything is checked before anything is scheduled. Within the batch the first request for a key wins.
   * Strikes refuse single requests, as with `add`.
   */
  readonly addAll: <const R extends ReadonlyArray<Task.Request>>(
    requests: R
  ) => Effect.Effect<
    { readonly [I in keyof R]: Execution<Task.Success<R[I]["task"]>, Task.Error<R[I]["task"]>> },
    DocketError
  >
  /**
   * Schedules a task by name, where its contract cannot be imported. The payload is JSON data as the task's schema
   * encodes it; the worker's contract decodes it. The result is JSON data as well. Of a task with earlier versions of
   * its payload this is the first one.
   */
  readonly addNamed: (
    task: string,
    payload: unknown,
    options?: Task.ScheduleOptions
  ) => Effect.Effect<Execution<unknown, never>, DocketError>
  /**
   * Schedules a task in the place of whatever its key holds. What waited under the key will not run; what runs already
   * is left alone, and the replacement runs besides it, when it is due. The key comes from the options or the task.
   * When a strike matches, nothing is replaced.
   */
  readonly replace: <T extends Task.Any>(
    task: T,
    ...args: Task.Arguments<T>
  ) => Effect.Effect<Execution<Task.Success<T>, Task.Error<T>>, DocketError>
}

/**
 * Schedules tasks, and steers what was scheduled.
 *
 * @category services
 * @since 0.1.0
 */
export class Docket extends Context.Service<
  Docket,
  Scheduling & {
    readonly name: string
    /**
     * Schedules within a transaction of yours on the file that the docket is kept in: what you write there and what you
     * schedule is there if and only if that transaction commits.
     *
     * **Details**
     *
     * Give the connection on which you have begun the transaction, at best with `BEGIN IMMEDIATE`. Fails with `DocketError`
     * when there is none, when the connection is one to another file, or when the docket is kept in no file (`sqlite:`).
     */
    readonly inTransaction: (database: DatabaseSync) => Scheduling
    /**
     * Cancels an execution. One that waits never runs; the handler of one that runs is interrupted, wherever that is.
     * The key is free at once. An unknown or settled key is left as it is.
     */
    readonly cancel: (key: string) => Effect.Effect<void, DocketError>
    /** A handle on the execution of a task under a key, whether or not there is one. */
    readonly execution: <T extends Task.Any>(task: T, key: string) => Execution<Task.Success<T>, Task.Error<T>>
    /** What the docket knows about a key, whatever its task; nothing when there is no record. */
    readonly info: (key: string) => Effect.Effect<Option.Option<ExecutionInfo>, DocketError>
    /** Why an execution is not running, as data and in one sentence. */
    readonly explain: (key: string) => Effect.Effect<Explanation, DocketError>
    /**
     * Every change in the docket, as it happens, from the moment at which the stream starts. A lost connection leaves a
     * `FeedInterrupted` where events may be missing.
     */
    readonly events: Stream.Stream<ExecutionEvent | FeedInterrupted, DocketError>
    /** The executions that failed for good: to list, to retry, to discard. */
    readonly failed: FailedExecutions
    /**
     * Puts a strike in force: matching executions are neither scheduled nor run, or wait with `hold`, in every process,
     * until it is restored. What runs already goes on. The same strike again changes nothing.
     *
     * **Details**
     *
     * A task's contract gives the strike its types: the field is one of the encoded payload, and the value fits it. Fails
     * with `DocketError`: the strike makes no sense, or the store failed.
     */
    readonly strike: <T extends Task.Any = never, const F extends StrikeList.Field<T> = never>(
      strike: StrikeList.Options | StrikeList.TaskOptions<T, F>
    ) => Effect.Effect<Strike, DocketError>
    /**
     * Takes a strike out of force: the one with the same task, field, operator and value. What it held goes on; what it
     * dropped stays dropped. A strike that is not in force changes nothing.
     */
    readonly restore: <T extends Task.Any = never, const F extends StrikeList.Field<T> = never>(
      strike: StrikeList.Options | StrikeList.TaskOptions<T, F>
    ) => Effect.Effect<void, DocketError>
    /** The strikes in force. */
    readonly strikes: Effect.Effect<ReadonlyArray<Strike>, DocketError>
    /**
     * Lets no execution of a task start, or none at all, until it is resumed. They are scheduled as usual, and wait; what
     * runs goes on. It is the strike that holds everything.
     */
    readonly pause: (task?: Task.Any | string) => Effect.Effect<void, DocketError>
    /** Lets the executions of a task go on, or those that a pause of everything keeps. */
    readonly resume: (task?: Task.Any | string) => Effect.Effect<void, DocketError>
    /** What is paused. */
    readonly paused: Effect.Effect<Paused, DocketError>
    /** Cancels everything that waits, and returns how many there were. What runs goes on. */
    readonly clear: Effect.Effect<number, DocketError>
    /** Looks at the docket. Lists at most `limit` running executions, and as many to come. Default: 1,000. */
    readonly snapshot: (options?: { readonly limit?: number | undefined }) => Effect.Effect<Snapshot, DocketError>
    /** The workers that can take work, by name. */
    readonly workers: Effect.Effect<ReadonlyArray<WorkerInfo>, DocketError>
    /**
     * Workers that hold executions and were not heard of within their presence: dead, or cut off. What they hold is run by
     * others when their leases end, or at once with `forgetWorker`.
     */
    readonly silentWorkers: Effect.Effect<ReadonlyArray<SilentWorker>, DocketError>
    /**
     * Gives back at once what a dead worker holds, and tells how many executions that were. Should the worker live after
     * all, what it runs is interrupted as with a lost lease. Fails with `InvalidRequest` when it was heard of just now: a
     * worker that lives is told to stop.
     */
    readonly forgetWorker: (name: string) => Effect.Effect<number, DocketError>
    /** The workers that know a task, given by contract or by name. */
    readonly taskWorkers: (task: Task.Any | string) => Effect.Effect<ReadonlyArray<WorkerInfo>, DocketError>
    /** The port beneath, for workers and tools. */
    readonly store: DocketStore["Service"]
    /** The settings in force, in milliseconds. */
    readonly settings: {
      readonly executionTtlMillis: number
      readonly failedTtlMillis: number
      readonly failedMaximum: number
      readonly maximumBytes: number
      /** Infinite where results are kept elsewhere. */
      readonly maximumResultBytes: number
      readonly heartbeatMillis: number
      readonly missedHeartbeats: number
    }
  }
>()("effect-docket/Docket") {
  /** The docket with these options, for as long as the layer lives. */
  static readonly layer = (options: Options = {}): Layer.Layer<Docket, DocketError> =>
    Layer.effect(Docket, make(options))

  /** The docket whose options come from configuration. */
  static readonly layerConfig = (
    options: Config.Wrap<Options>
  ): Layer.Layer<Docket, DocketError | Config.ConfigError> =>
    Layer.effect(Docket, Effect.flatMap(Config.unwrap(options), make))

  /**
   * A docket in memory, of its own for each time the layer is built. It behaves like one on Redis, follows the `Clock`,
   * and is gone with the layer.
   */
  static readonly layerMemory: Layer.Layer<Docket, DocketError> = Layer.effect(
    Docket,
    Effect.suspend(() => makeMemory())
  )
}

const unscheduled = { disposition: undefined, origin: undefined }

const defaults = {
  name: "docket",
  url: "redis://localhost:6379/0",
  executionTtl: "15 minutes",
  failedTtl: "7 days",
  failedMaximum: 10_000,
  maximumBytes: Size.defaultMaximumBytes,
  heartbeatInterval: "2 seconds",
  missedHeartbeats: 5,
  snapshotLimit: 1000
} as const

/**
 * Makes a docket that is open for as long as the scope is: for an app with several dockets.
 *
 * Fails when the name or the URL is malformed. A store that cannot be reached is not an error here: the operations fail
 * while it is away.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make: (options?: Options) => Effect.Effect<Docket["Service"], DocketError, Scope.Scope> =
  Effect.fnUntraced(function* (options: Options = {}) {
    const settings = yield* settingsOf(options)
    const store = yield* failWith(openStore(options.url ?? defaults.url, settings))
    return yield* assemble(store, settings, options.results)
  })

/**
 * Makes a docket in memory.
 *
 * @category constructors
 * @since 0.1.0
 */
export const makeMemory: (options?: Settings) => Effect.Effect<Docket["Service"], DocketError, Scope.Scope> =
  Effect.fnUntraced(function* (options: Settings = {}) {
    const settings = yield* settingsOf(options)
    return yield* assemble(yield* MemoryStore.make(settings), settings, options.results)
  })

/**
 * Makes a docket on a store that is open already, such as one of your own. The settings have to be those that the store
 * was opened with.
 *
 * @category constructors
 * @since 0.1.0
 */
export const fromStore: (
  store: DocketStore["Service"],
  options?: Settings
) => Effect.Effect<Docket["Service"], DocketError, Scope.Scope> = Effect.fnUntraced(function* (store, options = {}) {
  return yield* assemble(store, yield* settingsOf(options), options.results)
})

const assemble = Effect.fnUntraced(function* (
  docketStore: DocketStore["Service"],
  { name, ...settings }: { readonly name: string } & Docket["Service"]["settings"],
  results: ResultStore | undefined
) {
  const store = results === undefined ? docketStore : keepIn(results, docketStore, { name, ...settings })
  const source = yield* Executions.makeSource(store, {
    results,
    keepsResults: settings.executionTtlMillis > 0,
    cancel: (key) => docket.cancel(key)
  })
  const workers = workersOf(store)
  const strikes = knownStrikes(store, name)
  const { prepare, prepareNamed, within, ...own } = yield* makeScheduler(store, strikes, settings)

  /** Says what strikes had to do with a request. */
  const tell = (request: ScheduleRequest, disposition: Disposition) =>
    disposition === "struck" ? strikes.refused(request) : strikes.warn

  const scheduling = ({ schedule, scheduleAll }: typeof own): Scheduling => {
    const scheduleTask = <T extends Task.Any>(
      task: T,
      [payload, options]: Task.Arguments<T>,
      replace: boolean
    ): Effect.Effect<Execution<Task.Success<T>, Task.Error<T>>, DocketError> =>
      Effect.flatMap(prepare(task, payload, options ?? {}, replace), (prepared) =>
        Effect.flatMap(schedule(prepared), (scheduled) =>
          Effect.as(
            tell(scheduled.request, scheduled.disposition),
            Executions.handle(source, task, scheduled.request.key, scheduled)
          )
        )
      )

    return {
      add: (task, ...args) => scheduleTask(task, args, false),
      replace: (task, ...args) => scheduleTask(task, args, true),
      addAll: Effect.fnUntraced(function* <const R extends ReadonlyArray<Task.Request>>(requests: R) {
        const prepared = yield* Effect.forEach(requests, ({ options, payload, task }) =>
          prepare(task, payload, options, false)
        )
        const scheduled = yield* scheduleAll(prepared)
        for (const { disposition, request } of scheduled) {
          yield* tell(request, disposition)
        }
        const handles = requests.map(({ task }, i) =>
          Executions.handle(source, task, scheduled[i]!.request.key, scheduled[i]!)
        )
        // One handle for each request, made with that request's task.
        return handles as { [I in keyof R]: Execution<Task.Success<R[I]["task"]>, Task.Error<R[I]["task"]>> }
      }),
      addNamed: Effect.fnUntraced(function* (task: string, payload: unknown, options: Task.ScheduleOptions = {}) {
        const scheduled = yield* schedule(yield* prepareNamed(task, payload, options))
        yield* tell(scheduled.request, scheduled.disposition)
        return Executions.handleNamed(source, task, scheduled.request.key, scheduled)
      })
    }
  }

  const docket: Docket["Service"] = yield* instrumentDocket({
    name,
    store,
    settings,
    ...scheduling(own),
    inTransaction: (database) => scheduling(within(database)),
    cancel: (key) => failWith(store.cancel([key])),
    execution: (task, key) => Executions.handle(source, task, key, unscheduled),
    info: (key) => Executions.info(source, key),
    events: Events.ofDocket(store),
    failed: failedExecutions(store, strikes),
    explain: (key) => explain(store, key),
    ...strikesOf(name, store, strikes),
    clear: failWith(store.clear),
    snapshot: (options = {}) =>
      Effect.flatMap(WholeNumbers.checked("limit", options.limit ?? defaults.snapshotLimit, 0), (limit) =>
        takeSnapshot(name, store, limit)
      ),
    workers,
    silentWorkers: silentWorkersOf(store),
    forgetWorker: (name) =>
      Effect.flatMap(failWith(store.forgetWorker(name)), (taken) =>
        taken === undefined
          ? Effect.fail(invalid(`The worker "${name}" is alive, so nothing is taken from it: tell it to stop instead`))
          : Effect.succeed(taken)
      ),
    taskWorkers: (task) =>
      Effect.map(workers, (all) =>
        all.filter((worker) => knowsTask(worker, typeof task === "string" ? task : task.name))
      )
  })
  return docket
})

const settingsOf = Effect.fnUntraced(function* (options: Settings) {
  const name = options.name ?? defaults.name
  if (name === "" || /[{}]/.test(name) || !name.isWellFormed()) {
    return yield* failWith(
      Effect.fail(
        new InvalidRequest({
          problem: `A docket's name needs at least one character, and no braces or lone surrogates; it was ${JSON.stringify(name)}`
        })
      )
    )
  }
  const executionTtlMillis = yield* Durations.checked("executionTtl", options.executionTtl ?? defaults.executionTtl, 0)
  const maximumBytes = yield* WholeNumbers.checked("maximumBytes", options.maximumBytes ?? defaults.maximumBytes, 1)
  const failedTtl = options.failedTtl ?? (executionTtlMillis === 0 ? 0 : defaults.failedTtl)
  return {
    name,
    executionTtlMillis,
    failedTtlMillis: yield* Durations.checked("failedTtl", failedTtl, 0),
    failedMaximum: yield* WholeNumbers.checked("failedMaximum", options.failedMaximum ?? defaults.failedMaximum, 0),
    maximumBytes,
    maximumResultBytes: options.results === undefined ? maximumBytes : Infinity,
    heartbeatMillis: yield* Durations.checked(
      "heartbeatInterval",
      options.heartbeatInterval ?? defaults.heartbeatInterval,
      1
    ),
    missedHeartbeats: yield* WholeNumbers.checked(
      "missedHeartbeats",
      options.missedHeartbeats ?? defaults.missedHeartbeats,
      1
    )
  }
})

/**
 * The docket of the environment: `DOCKET_NAME`, `DOCKET_URL`, `DOCKET_EXECUTION_TTL`, `DOCKET_FAILED_TTL`,
 * `DOCKET_MAXIMUM_BYTES`, `DOCKET_HEARTBEAT_INTERVAL` and `DOCKET_MISSED_HEARTBEATS`, each with the default of {@link Options}. Durations are
 * written as in `15 minutes` or `15m`.
 *
 * @category layers
 * @since 0.1.0
 */
export const DocketLive: Layer.Layer<Docket, DocketError | Config.ConfigError> = Docket.layerConfig({
  name: Config.String("DOCKET_NAME").pipe(Config.withDefault(defaults.name)),
  url: Config.String("DOCKET_URL").pipe(Config.withDefault(defaults.url)),
  executionTtl: DurationText.config("DOCKET_EXECUTION_TTL").pipe(Config.withDefault(defaults.executionTtl)),
  failedTtl: DurationText.config("DOCKET_FAILED_TTL").pipe(Config.withDefault(undefined)),
  maximumBytes: Config.Int("DOCKET_MAXIMUM_BYTES").pipe(Config.withDefault(defaults.maximumBytes)),
  heartbeatInterval: DurationText.config("DOCKET_HEARTBEAT_INTERVAL").pipe(
    Config.withDefault(defaults.heartbeatInterval)
  ),
  missedHeartbeats: Config.Int("DOCKET_MISSED_HEARTBEATS").pipe(Config.withDefault(defaults.missedHeartbeats))
})
