/**
 * The port between the docket and whatever keeps it: every durable operation, batch-shaped, in terms of keys, task
 * names, encoded payloads and leases. A store knows no schemas and no handlers.
 *
 * **Details**
 *
 * The contract that every store keeps, and that one conformance suite checks:
 *
 * - *Atomic.* Each operation happens at once, as if nothing else ran.
 * - *Idempotent.* A write names the generation of the execution, and a worker's write names its lease as well. A write
 *   that comes late, twice, or from a worker that lost its lease changes nothing. So whoever misses a reply sends the
 *   same call again.
 * - *Fair.* Due executions are handed out in the order in which they became due. What a limit held back keeps its place.
 * - *Clean.* What is left of a settled execution disappears after the record's time to live.
 * - *Its own clock.* The store decides what is due and which lease has expired. Times that leave the store are epoch
 *   milliseconds on its clock; waits that it recommends are relative, so that a caller with a wrong clock is not misled.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import type * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import type { DatabaseSync } from "node:sqlite"
import type { Contract, Terms } from "./Admission.ts"
import type { StoreError } from "./DocketError.ts"
import type { Strike, StrikeSet } from "./Strike.ts"

/**
 * The states of an execution: `scheduled` (due later, or held back), `queued` (due now), `running`, and the settled
 * ones, `completed`, `failed` and `cancelled`.
 *
 * @category models
 * @since 0.1.0
 */
export type State = "scheduled" | "queued" | "running" | "completed" | "failed" | "cancelled"

/**
 * Tells whether a state is final.
 *
 * @category models
 * @since 0.1.0
 */
export const isSettled = (state: State): boolean => state === "completed" || state === "failed" || state === "cancelled"

/**
 * When an execution is due: at a moment (epoch milliseconds), or so many milliseconds after the store takes the
 * request. What lies in the past, and a delay of zero, is due at once.
 *
 * @category models
 * @since 0.1.0
 */
export type Due =
  { readonly _tag: "At"; readonly epochMillis: number } | { readonly _tag: "After"; readonly millis: number }

/**
 * Due at once.
 *
 * @category models
 * @since 0.1.0
 */
export const dueNow: Due = { _tag: "After", millis: 0 }

/**
 * What happened to a request to schedule: `scheduled` placed it, `already-scheduled` found the key live and left it as
 * it was, `replaced` displaced a schedule that had not started, `struck` was refused by a strike.
 *
 * @category models
 * @since 0.1.0
 */
export type Disposition = "scheduled" | "already-scheduled" | "replaced" | "struck"

/**
 * A request to schedule one execution.
 *
 * @category models
 * @since 0.1.0
 */
export interface ScheduleRequest {
  readonly key: string
  readonly task: string
  /** The payload as its schema encoded it: JSON text. */
  readonly payload: string
  readonly due: Due
  /** Whether a live key is replaced (`true`) or left as it is (`false`). */
  readonly replace: boolean
  /** The trace to which the run will link: a W3C `traceparent`, or empty. */
  readonly trace: string
  /** What the task's contract says of this payload; `undefined` when it is not at hand: a worker has to tell (`Determined`). */
  readonly terms: Terms | undefined
  /**
   * Whether the caller judged the payload, with its defaults, by the strikes that it knows, and none of them matched. A
   * worker judges it otherwise, and when the strikes in force are others by then.
   */
  readonly judged: boolean
  /** By which recurrence and payload an automatic task is scheduled: see `TaskFacts.chain`. */
  readonly chain?: string | undefined
}

/**
 * What became of a batch: one disposition for each request, in order, and the origin of what its key holds now; or those of
 * the first ones, when the caller does not know the strikes in force. It judges the rest by these, and asks again for
 * them. A batch of at most 100 requests is scheduled as a whole or not at all.
 *
 * @category models
 * @since 0.1.0
 */
export type ScheduleReply =
  | {
      readonly _tag: "Scheduled"
      readonly dispositions: ReadonlyArray<Disposition>
      readonly origins: ReadonlyArray<number>
    }
  | {
      readonly _tag: "StrikesChanged"
      readonly strikes: StrikeSet
      readonly dispositions: ReadonlyArray<Disposition>
      readonly origins: ReadonlyArray<number>
    }

/**
 * An execution handed to a worker, under a lease.
 *
 * @category models
 * @since 0.1.0
 */
export interface Delivery {
  readonly key: string
  readonly task: string
  readonly payload: string
  /** Counts the schedules of the key. */
  readonly generation: number
  /** The lease under which the worker holds it; only writes that name it count. */
  readonly lease: string
  /** The attempt that this run is, from 1. */
  readonly attempt: number
  /** How often this schedule was handed out, this time included; above 1 for a redelivery. */
  readonly deliveries: number
  /** When it was due, epoch milliseconds. */
  readonly due: number
  /** When it was due at first, before a retry or a control of its task put it off, epoch milliseconds. */
  readonly intended: number
  /** When this run began, epoch milliseconds: the moment of the claim. */
  readonly started: number
  readonly trace: string
}

/**
 * An execution about which the store asks.
 *
 * @category models
 * @since 0.1.0
 */
export interface Undetermined extends Delivery {
  /** Why the store will not start it: it is only asked with which run the key goes on (`Skipped`). */
  readonly skipped?: "dropped" | undefined
}

/**
 * How a run ended, as far as the store is concerned.
 *
 * - `Completed`: it succeeded; `result` is the encoded success value, absent when there is none.
 * - `Failed`: it failed for good; `error` is text for people, `failure` the encoded typed error.
 * - `Cancelled`: it was cancelled, or may not run.
 * - `Retry`: this attempt failed and another follows.
 * - `Postponed`: it was not admitted; it is scheduled anew, at the same attempt, as if it had not been delivered.
 * - `Released`: it goes back to the ready stream as if it had not been delivered.
 * - `Held`: a strike holds it; it waits, as if it had not been delivered, until a strike is restored. It names the version
 *   of the strikes by which it was judged: when others are in force by now, it is judged again.
 * - `Determined`: it was handed out only for what the contract knows of it (see `ExchangeReply.undetermined`): its terms,
 *   and that no strike of this version matches. It has its turn at once.
 * - `Skipped`: it was handed out since the store will not start it, and its key recurs (see `Undetermined.skipped`). It ends
 *   as the store had decided; with `next` the key goes on with that run, as if this one had never been scheduled.
 * - `Unreadable`: the worker knows the task, but not this version of its payload. It goes back as if it had not been
 *   delivered, and waits for a worker that knows what it needs, like an execution of an unknown task.
 *
 * A run that ends for good can name its successor in `next`: the key is then scheduled again, at attempt 1, in the same
 * step that settles this run.
 *
 * @category models
 * @since 0.1.0
 */
export type Outcome =
  | { readonly _tag: "Completed"; readonly result: string | undefined; readonly next?: Next | undefined }
  | {
      readonly _tag: "Failed"
      readonly error: string
      readonly failure: string | undefined
      readonly next?: Next | undefined
    }
  | { readonly _tag: "Cancelled" }
  | { readonly _tag: "Retry"; readonly error: string; readonly due: Due }
  | { readonly _tag: "Postponed"; readonly due: Due }
  | { readonly _tag: "Released" }
  | { readonly _tag: "Held"; readonly strikes: string }
  | { readonly _tag: "Unreadable"; readonly needs: string }
  | { readonly _tag: "Determined"; readonly terms: Terms; readonly strikes: string }
  | { readonly _tag: "Skipped"; readonly next: Next | undefined }

/**
 * The next run of a key that recurs. Without a payload of its own it keeps the present one.
 *
 * @category models
 * @since 0.1.0
 */
export interface Next {
  readonly due: Due
  readonly payload?: string | undefined
  /** By which recurrence and payload an automatic task goes on: see `TaskFacts.chain`. */
  readonly chain?: string | undefined
}

/**
 * The end of one run, to be written by `exchange`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Settlement {
  readonly key: string
  readonly generation: number
  readonly lease: string
  /** Whether the run reported progress, so that there is some to delete. */
  readonly reported: boolean
  readonly outcome: Outcome
}

/**
 * What became of a settlement: `applied`; `superseded` when the key was scheduled anew meanwhile (its record belongs to
 * the successor, the end was only announced); `lost` when the lease had passed to another worker, or the same settlement
 * was applied before.
 *
 * @category models
 * @since 0.1.0
 */
export type SettlementStatus = "applied" | "superseded" | "lost"

/**
 * What a worker asks of the store in one round trip.
 *
 * @category models
 * @since 0.1.0
 */
export interface ExchangeRequest {
  /** Names the leases that this call grants; unique per call. A call that is sent again keeps its id. */
  readonly lease: string
  /** Whether the call is sent again because its reply was lost: leases granted under this id are then handed out again. */
  readonly resent: boolean
  readonly finished: ReadonlyArray<Settlement>
  /** The most deliveries to hand back; 0 only settles. */
  readonly take: number
  /** The version of the strikes that the worker knows. */
  readonly strikes: string
}

/**
 * The store's answer to an exchange.
 *
 * @category models
 * @since 0.1.0
 */
export interface ExchangeReply {
  /** One for each settlement, in order. */
  readonly settled: ReadonlyArray<SettlementStatus>
  readonly deliveries: ReadonlyArray<Delivery>
  /**
   * Executions about which the store has to be told something: those whose terms are not known, or were found by another
   * contract than this worker's, those that were not judged by the strikes in force, and those of recurring tasks that it
   * will not start. They are under a lease, and queued, not running: the worker settles each as `Determined`, or as `Held`,
   * `Cancelled`, `Failed` or `Skipped`. They count against `take`.
   */
  readonly undetermined: ReadonlyArray<Undetermined>
  /** The strikes in force, when the worker knows others. */
  readonly strikes: StrikeSet | undefined
  /** Executions that a control dropped instead of starting them (cooldown, debounce, a rate limit that drops). */
  readonly dropped: ReadonlyArray<{ readonly key: string; readonly task: string }>
  /** Milliseconds until the next execution in the schedule queue is due; `undefined` when there is none. */
  readonly nextDueMillis: number | undefined
  /** Executions set aside in this call because the worker does not know their task, with all that wait for it now. */
  readonly unknown: ReadonlyArray<{ readonly task: string; readonly waiting: number }>
  /** Executions that were failed instead of delivered because they had been delivered `maxDeliveries` times. */
  readonly exhausted: ReadonlyArray<{ readonly key: string; readonly task: string; readonly deliveries: number }>
}

/**
 * A lease as its holder knows it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Lease {
  readonly key: string
  readonly generation: number
  readonly lease: string
}

/**
 * How far a running execution has come. Only the holder of its lease may say so.
 *
 * @category models
 * @since 0.1.0
 */
export interface ProgressUpdate extends Lease {
  readonly current: number
  readonly total: number
  readonly message: string | undefined
}

/**
 * What a renewal found: the lease is `held` for another period; the execution was `cancelled`, whether or not its key was
 * scheduled anew since; the key was replaced, and this run is `overtaken`: it is left alone, and holds what it has of a
 * limit for another period; or the lease is `lost`, since it has expired or the run was settled.
 *
 * @category models
 * @since 0.1.0
 */
export type LeaseStatus = "held" | "cancelled" | "overtaken" | "lost"

/**
 * What a heartbeat brings back.
 *
 * @category models
 * @since 0.1.0
 */
export interface HeartbeatReply {
  /** How many expired leases this call returned to the ready stream. */
  readonly reclaimed: number
  /**
   * How many executions were found that their records say are waiting or running, and that the store's lists had lost:
   * they are in these again. A store looks at some of its records with each heartbeat.
   */
  readonly repaired?: number | undefined
  /**
   * What was found where the store keeps something of its own, and was put aside: the names of these places, as people who
   * operate the store know them.
   */
  readonly misplaced?: ReadonlyArray<string> | undefined
  /** What else others were found to have done to the store's data: sentences for a log. */
  readonly notices?: ReadonlyArray<string> | undefined
  /** Whether an exchange would find something for this worker now. */
  readonly work: boolean
  /** Milliseconds until the next execution in the schedule queue is due; `undefined` when there is none. */
  readonly nextDueMillis: number | undefined
  /** Milliseconds until the next lease expires, unless it is renewed; `undefined` when there is none. */
  readonly nextExpiryMillis: number | undefined
  /** How many executions are live. */
  readonly depth: Depth
  /** How many keys recur whose last run failed. */
  readonly failedChains: number
}

/**
 * A request to interrupt a running execution: the run under this lease, and no other of its key.
 *
 * @category models
 * @since 0.1.0
 */
export interface Cancellation extends Lease {}

/**
 * A kind of JSON data.
 *
 * @category models
 * @since 0.1.0
 */
export type DataKind = "string" | "number" | "boolean" | "null" | "array" | "object"

/**
 * What a contract says of its task, for those who schedule or strike it by name. The worker that started last is believed.
 *
 * @category models
 * @since 0.1.0
 */
export interface TaskFacts {
  /**
   * What its key is when none is given: the contract computes it from the payload, it is the task's name, since the task
   * recurs, or each execution has one of its own.
   */
  readonly key: "computed" | "name" | "own"
  /**
   * The fields of its payload as it is stored, each with the kinds of data that it may have, or none when it may have any.
   * Absent when the payload is no struct.
   */
  readonly fields?: Readonly<Record<string, ReadonlyArray<DataKind>>> | undefined
  /** Of an automatic task: stands for its recurrence and the payload with which workers schedule it. */
  readonly chain?: string | undefined
}

/**
 * What a worker tells the store about itself when it opens its session.
 *
 * @category models
 * @since 0.1.0
 */
export interface WorkerOptions {
  readonly name: string
  /** The tasks that it can run, and what else an execution may need; `"any"` when it has a fallback for unknown ones. */
  readonly tasks: ReadonlySet<string> | "any"
  /**
   * The admission controls of its tasks, by task name; tasks without any are left out. What the session that opened last
   * says of a limit holds for the whole docket, also for what waits.
   */
  readonly contracts: ReadonlyMap<string, Contract>
  /** Those of its tasks that recur: when the store will not start a run, it asks which is the next. */
  readonly recurring: ReadonlySet<string>
  /** What its contracts say, by task name. The store keeps it for a week after the last heartbeat of any worker. */
  readonly facts: ReadonlyMap<string, TaskFacts>
  /** How long a lease lives unless it is renewed, in milliseconds. */
  readonly leaseMillis: number
  /** After so many deliveries an execution is failed instead of delivered. */
  readonly maxDeliveries: number
  /** How long the worker is listed after its last heartbeat, in milliseconds. */
  readonly presenceMillis: number
}

/**
 * A worker's connection to the store, for as long as its scope is open. It survives losses of the connection beneath
 * it: calls fail meanwhile, and `reconnected` tells when to try again.
 *
 * @category models
 * @since 0.1.0
 */
export interface WorkerSession {
  /**
   * One atomic round trip: settle what is finished, move what has become due to the ready stream, and claim up to
   * `take` executions.
   */
  readonly exchange: (request: ExchangeRequest) => Effect.Effect<ExchangeReply, StoreError>
  /**
   * Where results are kept elsewhere: keeps what is to be kept of an outcome, and gives the one to settle instead. A worker
   * calls it before it settles a run that completed.
   */
  readonly keep?: ((lease: Lease, outcome: Outcome) => Effect.Effect<Outcome, StoreError>) | undefined
  /**
   * Waits until there may be something to exchange. New work wakes as many waiting workers as it can feed. Safe to
   * interrupt: a wake-up that nobody waits for is passed on to another worker.
   */
  readonly awaitWork: Effect.Effect<void, StoreError>
  /** Extends leases by the lease time; one status for each, in order. */
  readonly renew: (leases: ReadonlyArray<Lease>) => Effect.Effect<ReadonlyArray<LeaseStatus>, StoreError>
  /**
   * Whether the store needs heartbeats to know that the worker is alive, and to find expired leases. A store in the
   * worker's own process does not: there `exchange` returns expired leases to the ready queue itself, and
   * `nextDueMillis` also counts the next expiry of a lease, so that a virtual clock need not stop at every heartbeat.
   */
  readonly needsHeartbeat: boolean
  /** Announces the worker, and returns expired leases of any worker to the ready stream (so many a call). */
  readonly heartbeat: Effect.Effect<HeartbeatReply, StoreError>
  /**
   * Keeps and publishes progress, the updates of one execution in the order given. It is deleted when the run ends, and
   * before another run of the key starts.
   */
  readonly progress: (updates: ReadonlyArray<ProgressUpdate>) => Effect.Effect<void, StoreError>
  /** Takes the worker off the list; its leases stay. */
  readonly leave: Effect.Effect<void, StoreError>
  /**
   * Requests to interrupt executions that this worker runs. Those that are sent while the connection is down are not
   * lost: `renew` reports them, and an exchange that is sent again does not hand out what was cancelled meanwhile.
   */
  readonly cancellations: Queue.Dequeue<Cancellation>
  /** Completes the next time that a lost connection is there again. */
  readonly reconnected: Effect.Effect<void>
}

/**
 * What the store keeps about an execution.
 *
 * @category models
 * @since 0.1.0
 */
export interface ExecutionRecord {
  readonly key: string
  readonly task: string
  readonly payload: string
  readonly state: State
  readonly generation: number
  /**
   * The generation with which it began: it stays the same through retries, releases, the runs of a chain, and a replacement
   * of what waits. It is another for what is added when this has ended, or replaces it while it runs.
   */
  readonly origin: number
  readonly attempt: number
  readonly deliveries: number
  /** Epoch milliseconds. */
  readonly due: number
  readonly worker: string | undefined
  readonly started: number | undefined
  readonly completed: number | undefined
  /** The error as text: its name, a colon, its message. */
  readonly error: string | undefined
  /** The encoded success value of a completed execution. */
  readonly result: string | undefined
  /** The encoded typed error of a failed execution. */
  readonly failure: string | undefined
  /**
   * How the run ended that named this one its successor; nothing when this one was scheduled from outside. Until the end
   * of this run `result` and `failure` are what that one left.
   */
  readonly last: LastRun | undefined
  /** By which recurrence and payload an automatic task was scheduled: see `TaskFacts.chain`. */
  readonly chain: string | undefined
  /** What a running execution reported last; nothing before its first report. */
  readonly progress: ProgressRecord | undefined
  /** What keeps a scheduled or queued execution from starting, as far as the store decided so when it was last its turn. */
  readonly hindrance: Hindrance | undefined
  readonly trace: string
}

/**
 * How a run ended that named its successor: the key goes on with the next one.
 *
 * @category models
 * @since 0.1.0
 */
export interface LastRun {
  readonly generation: number
  readonly state: "completed" | "failed"
  readonly error: string | undefined
}

/**
 * Why an execution was not started when it was its turn: all slots of a concurrency limit were taken; a rate limit had
 * no start left; a debounce waits for quiet; a strike holds it; no worker that met it knew its task; or a control dropped
 * it, so that it is settled as cancelled.
 *
 * @category models
 * @since 0.1.0
 */
export type Hindrance =
  | {
      readonly _tag: "Concurrency"
      readonly scope: string
      readonly value: string
      readonly limit: number
      /** The keys of the executions that hold the slots, at most 100 of them. */
      readonly holders: ReadonlyArray<string>
      /** How many wait before this one. */
      readonly ahead: number
    }
  | {
      readonly _tag: "RateLimit"
      readonly scope: string
      readonly value: string
      /** When the limit has its next start, epoch milliseconds; absent when that is now. */
      readonly opens: number | undefined
      /** How many wait before this one. */
      readonly ahead: number
    }
  | {
      readonly _tag: "Debounce"
      readonly scope: string
      readonly value: string
      /** When it runs if nothing else is submitted, epoch milliseconds. */
      readonly until: number | undefined
    }
  | { readonly _tag: "Held" }
  | { readonly _tag: "UnknownTask" }
  | {
      readonly _tag: "Dropped"
      readonly by: "RateLimit" | "Cooldown" | "Debounce"
      readonly scope: string
      readonly value: string
      /** When the cooldown that dropped it ends, epoch milliseconds; absent once it has ended. */
      readonly until: number | undefined
    }

/**
 * A progress as the store keeps it.
 *
 * @category models
 * @since 0.1.0
 */
export interface ProgressRecord {
  readonly current: number
  readonly total: number
  readonly message: string | undefined
  /** Epoch milliseconds. */
  readonly updated: number
}

/**
 * A failed attempt. A store keeps the newest {@link maximumAttempts} of an execution, as long as its record.
 *
 * @category models
 * @since 0.1.0
 */
export interface AttemptRecord {
  readonly attempt: number
  readonly worker: string
  /** Epoch milliseconds. */
  readonly started: number
  /** Epoch milliseconds. */
  readonly ended: number
  readonly error: string
}

/**
 * A run of a key that went on with a next one. A store keeps the newest {@link maximumRuns} of a key, until the next run is
 * due and as long as it keeps what failed.
 *
 * @category models
 * @since 0.1.0
 */
export interface RunRecord {
  readonly generation: number
  readonly worker: string
  /** Epoch milliseconds. */
  readonly started: number
  /** Epoch milliseconds. */
  readonly ended: number
  readonly state: "completed" | "failed"
  readonly error: string | undefined
}

/**
 * How many of its last runs a store keeps of a key that recurs.
 *
 * @category constants
 * @since 0.1.0
 */
export const maximumRuns = 20

/**
 * How many failed attempts a store keeps of an execution.
 *
 * @category constants
 * @since 0.1.0
 */
export const maximumAttempts = 20

/**
 * A change in an execution's life.
 *
 * `Changed` carries the state and what belongs to it, `Progressed` what a running execution reported. `Interrupted` says that the feed had a gap, because the connection
 * was lost and found again: whoever follows the execution reads its record once more.
 *
 * @category models
 * @since 0.1.0
 */
export type ExecutionEvent =
  | {
      readonly _tag: "Changed"
      readonly key: string
      readonly task: string
      readonly state: State
      /**
       * Whether it is scheduled since a limit or a strike holds it back whose turn it was, or queued since a limit let it go,
       * and so about to run.
       */
      readonly isHeldBack: boolean
      readonly generation: number
      readonly deliveries: number
      readonly due: number | undefined
      readonly worker: string | undefined
      readonly started: number | undefined
      readonly completed: number | undefined
      readonly error: string | undefined
    }
  | ({ readonly _tag: "Progressed"; readonly key: string; readonly generation: number } & ProgressRecord)
  | { readonly _tag: "Interrupted" }

/**
 * How much of a docket is live, by where it is.
 *
 * @category models
 * @since 0.1.0
 */
export interface Depth {
  /** Due and not started, those set aside for an unknown task included. */
  readonly queued: number
  /** For later, or held back by a control or a strike. */
  readonly scheduled: number
  /** Held by workers. */
  readonly running: number
}

/**
 * A docket at a moment.
 *
 * @category models
 * @since 0.1.0
 */
export interface SnapshotRecord {
  /** When it was taken, epoch milliseconds. */
  readonly taken: number
  readonly depth: Depth
  /** What runs, by start: no more than were asked for. */
  readonly running: ReadonlyArray<ExecutionRecord>
  /**
   * What waits: first what is due in its order, then what was set aside or is held back, then what comes later by its due
   * time.
   */
  readonly waiting: ReadonlyArray<ExecutionRecord>
}

/**
 * A worker that is listed.
 *
 * @category models
 * @since 0.1.0
 */
export interface WorkerRecord {
  readonly name: string
  /** Its last sign of life, epoch milliseconds. */
  readonly lastSeen: number
  /** The tasks that it knows, sorted. */
  readonly tasks: ReadonlyArray<string>
}

/**
 * The place of an execution among those that failed.
 *
 * @category models
 * @since 0.1.0
 */
export interface FailedPlace {
  /** When it failed, epoch milliseconds. */
  readonly failed: number
  readonly key: string
}

/**
 * A worker that holds executions and was not heard of within its presence: it is dead, or cut off.
 *
 * @category models
 * @since 0.1.0
 */
export interface SilentWorker {
  readonly name: string
  /** Its last sign of life, epoch milliseconds; nothing when that is more than an hour ago. */
  readonly lastSeen: number | undefined
  /** How many executions it holds. */
  readonly held: number
  /** When the last of its leases ends, at the latest, epoch milliseconds. Whatever it holds is run by others from then on. */
  readonly until: number
}

/**
 * Which failed executions to list, the newest first.
 *
 * @category models
 * @since 0.1.0
 */
export interface FailedPage {
  readonly limit: number
  /** Where the page before ended: what fails meanwhile moves nothing. Absent for the first page. */
  readonly before?: FailedPlace | undefined
}

/**
 * A page of failed executions.
 *
 * @category models
 * @since 0.1.0
 */
export interface FailedReply {
  readonly records: ReadonlyArray<ExecutionRecord>
  /** Where the next page goes on; nothing when this was the last. */
  readonly next: FailedPlace | undefined
}

/**
 * What became of failed executions that were to run again: for each key whether it was one and is due again; or that of the
 * first ones, when the caller does not know the strikes in force. It judges the rest by these, and asks again for them. A
 * batch of at most 100 is answered as a whole or not at all.
 *
 * @category models
 * @since 0.1.0
 */
export type RetryReply =
  | { readonly _tag: "Retried"; readonly answers: ReadonlyArray<boolean> }
  | { readonly _tag: "StrikesChanged"; readonly strikes: StrikeSet; readonly answers: ReadonlyArray<boolean> }

/**
 * A failed execution that was retried, and what it had failed with.
 *
 * @category models
 * @since 0.1.0
 */
export interface Retried {
  readonly key: string
  /** The generation that the retry gave it: one more than it had. */
  readonly generation: number
  /** The error as text. */
  readonly error: string
  /** The encoded typed error, if there was one. */
  readonly failure: string | undefined
}

/**
 * The store of one docket.
 *
 * @category services
 * @since 0.1.0
 */
export class DocketStore extends Context.Service<
  DocketStore,
  {
    /**
     * How long a call takes at most, in milliseconds of real time: whoever has no answer then is told so. Absent where
     * nothing can keep the store from answering.
     */
    readonly answerMillis?: number
    /**
     * Schedules a batch, for a caller that knows the strikes of this version and has left out what they refuse. Within a
     * batch the first request for a key wins.
     */
    readonly schedule: (
      requests: ReadonlyArray<ScheduleRequest>,
      strikes: string
    ) => Effect.Effect<ScheduleReply, StoreError>
    /**
     * The same within a transaction that the caller has open, on a connection of the caller's to the database of the docket:
     * what it schedules is there if and only if that transaction commits. Absent where a docket is in no database.
     */
    readonly scheduleWithin?: (
      database: DatabaseSync
    ) => (requests: ReadonlyArray<ScheduleRequest>, strikes: string) => Effect.Effect<ScheduleReply, StoreError>
    /** The strikes in force. */
    readonly strikes: Effect.Effect<StrikeSet, StoreError>
    /** Puts a strike in force; one with the same id is replaced. Returns the set. */
    readonly strike: (strike: Strike) => Effect.Effect<StrikeSet, StoreError>
    /**
     * Takes strikes out of force, and returns the set; strikes that are not in force change nothing. Executions that any
     * strike holds go back to the ready stream, to be judged again.
     */
    readonly restore: (strikes: ReadonlyArray<Strike>) => Effect.Effect<StrikeSet, StoreError>
    /**
     * Tells of changes of the strikes, from when this returns: there is something in the queue after each of them, and
     * after a gap in which there may have been some.
     */
    readonly watchStrikes: Effect.Effect<Queue.Dequeue<void>, StoreError, Scope.Scope>
    /** How many executions in the ready stream come before this one; nothing when it is not there. At most 10,000. */
    readonly ahead: (key: string) => Effect.Effect<number | undefined, StoreError>
    /**
     * Cancels executions. One that waits is removed and reads `cancelled`; one that runs is reported to its worker and
     * its key is free from then on. Unknown and settled keys are left as they are.
     */
    readonly cancel: (keys: ReadonlyArray<string>) => Effect.Effect<void, StoreError>
    /** Reads records; nothing for a key without one, or whose record lacks its task, payload or time. */
    readonly read: (
      keys: ReadonlyArray<string>
    ) => Effect.Effect<ReadonlyArray<Option.Option<ExecutionRecord>>, StoreError>
    /** Follows an execution. The feed is live when this returns: what changes from then on is in the queue. */
    readonly watch: (key: string) => Effect.Effect<Queue.Dequeue<ExecutionEvent>, StoreError, Scope.Scope>
    /** Follows all executions of the docket; otherwise like `watch`. */
    readonly watchAll: Effect.Effect<Queue.Dequeue<ExecutionEvent>, StoreError, Scope.Scope>
    /** The failed attempts of an execution, oldest first. */
    readonly attempts: (key: string) => Effect.Effect<ReadonlyArray<AttemptRecord>, StoreError>
    /** The last runs of a key that recurs, oldest first: those that were followed by another. */
    readonly runs: (key: string) => Effect.Effect<ReadonlyArray<RunRecord>, StoreError>
    /** Keys that recur and whose last run failed, at most so many, the newest failure first. */
    readonly failedChains: (limit: number) => Effect.Effect<ReadonlyArray<ExecutionRecord>, StoreError>
    /** Executions that failed for good and are still kept, newest first. */
    readonly failed: (page: FailedPage) => Effect.Effect<FailedReply, StoreError>
    /**
     * Schedules failed executions again, due at once, at attempt 1, with the payload that they had, for a caller that
     * knows the strikes of this version and has left out what they refuse. One that a worker refuses all the same, before
     * it has begun, is failed again as it was.
     */
    readonly retryFailed: (keys: ReadonlyArray<string>, strikes: string) => Effect.Effect<RetryReply, StoreError>
    /**
     * Takes back retries of executions that have not started since: they are failed executions again, of this moment, with
     * the error that they had; their attempts are forgotten. Tells for each whether it had not started, nor been scheduled
     * otherwise.
     */
    readonly undoRetry: (retries: ReadonlyArray<Retried>) => Effect.Effect<ReadonlyArray<boolean>, StoreError>
    /** Forgets failed executions. Tells for each key whether it was one. */
    readonly discardFailed: (keys: ReadonlyArray<string>) => Effect.Effect<ReadonlyArray<boolean>, StoreError>
    /**
     * Cancels everything that waits, and returns how many there were. Running executions, settled records and workers
     * stay as they are.
     */
    readonly clear: Effect.Effect<number, StoreError>
    /** Looks at the docket, listing at most `limit` running and `limit` waiting executions. */
    readonly snapshot: (limit: number) => Effect.Effect<SnapshotRecord, StoreError>
    /** The workers that were heard of within their presence, by name; others are forgotten. */
    readonly workers: Effect.Effect<ReadonlyArray<WorkerRecord>, StoreError>
    /** Workers that hold executions and were not heard of within their presence, by name. */
    readonly silentWorkers: Effect.Effect<ReadonlyArray<SilentWorker>, StoreError>
    /**
     * Takes from a worker what it holds, to be delivered again at once, unless it was heard of within its presence. Tells
     * how many executions that were; nothing when it is alive.
     */
    readonly forgetWorker: (name: string) => Effect.Effect<number | undefined, StoreError>
    /** What workers said of tasks: of these, or of all. What no worker has said anything of is left out. */
    readonly facts: (tasks: ReadonlyArray<string> | "all") => Effect.Effect<ReadonlyMap<string, TaskFacts>, StoreError>
    /** Counts what is live. */
    readonly depth: Effect.Effect<Depth, StoreError>
    /** Opens a worker's session. It listens for cancellations before this returns. */
    readonly open: (options: WorkerOptions) => Effect.Effect<WorkerSession, StoreError, Scope.Scope>
  }
>()("effect-docket/DocketStore") {}

/**
 * What a store's constructor is told about the docket that it keeps.
 *
 * @category models
 * @since 0.1.0
 */
export interface StoreOptions {
  /** The docket's name. */
  readonly name: string
  /** How long a settled execution is kept, in milliseconds; 0 keeps nothing. */
  readonly executionTtlMillis: number
  /** How long an execution that failed for good is kept, in milliseconds; 0 as long as any other settled one. */
  readonly failedTtlMillis: number
  /** The most failed executions that are listed; the oldest are forgotten first. */
  readonly failedMaximum: number
}
