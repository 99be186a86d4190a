/**
 * Handles on executions: reading their records, and waiting for their results.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import type * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import {
  DocketError,
  KeyInUse,
  ResultNotKept,
  ResultTimeout,
  StoreError,
  TaskCancelled,
  TaskFailed,
  TaskTimedOut
} from "../../DocketError.ts"
import type { ResultError } from "../../DocketError.ts"
import * as DocketStore from "../../DocketStore.ts"
import type { Execution, ExecutionInfo } from "../../Execution.ts"
import type { ResultStore } from "../../ResultStore.ts"
import type * as Task from "../../Task.ts"
import { codecOf } from "../contract/codec.ts"
import { closed, failWith, invalid, waits } from "./docketError.ts"
import * as Durations from "../contract/durations.ts"
import { errorText } from "../contract/failureText.ts"
import * as Events from "./events.ts"
import { untilRead } from "./following.ts"
import * as GroupCommit from "./groupCommit.ts"
import { attemptOf, infoOf, pastRunOf } from "./info.ts"
import * as KeptResults from "./keptResults.ts"
import * as Stored from "../contract/stored.ts"

/** Where handles find their executions. */
export interface Source {
  readonly store: DocketStore.DocketStore["Service"]
  /** Reads one record; callers that read at the same time share a call. */
  readonly read: (key: string) => Effect.Effect<Option.Option<DocketStore.ExecutionRecord>, DocketError>
  /** Cancels an execution, as `Docket.cancel` does. */
  readonly cancel: (key: string) => Effect.Effect<void, DocketError>
  /** Whether the docket keeps results at all. */
  readonly keepsResults: boolean
  /** Where they are kept, if not in the docket's store. */
  readonly results: ResultStore | undefined
}

// Each may come with a large payload and result.
const readTogether = 20
const readsInFlight = 4

/** Makes the source of a docket's executions. */
export const makeSource: (
  store: DocketStore.DocketStore["Service"],
  options: Pick<Source, "cancel" | "keepsResults" | "results">
) => Effect.Effect<Source, never, Scope.Scope> = Effect.fnUntraced(function* (store, options) {
  const read = yield* GroupCommit.make({
    send: (keys: ReadonlyArray<string>) => failWith(store.read(keys)),
    maximumSize: readTogether,
    inFlight: readsInFlight,
    closed: closed("DocketStore.read"),
    ...waits("DocketStore.read", store.answerMillis)
  })
  return { ...options, store, read }
})

/** How the data of an execution is read. */
interface Decoder<A, E> {
  readonly success: (text: string | undefined) => Exit.Exit<A, Schema.SchemaError>
  /** Whether a success has no data, so that there is nothing to lose of it. */
  readonly isVoid: boolean
  /** Absent where there is none, or nothing is known of its type: an error is then reported as text. */
  readonly error?: (text: string) => Exit.Exit<E, Schema.SchemaError>
}

/** How a handle was come by. */
interface Scheduled {
  readonly disposition: DocketStore.Disposition | undefined
  /** The run that it is about; for a handle on a key, whichever is found first. */
  readonly origin: number | undefined
}

/** A handle with the types of its task. */
export const handle = <T extends Task.Any>(
  source: Source,
  task: T,
  key: string,
  scheduled: Scheduled
): Execution<Task.Success<T>, Task.Error<T>> => {
  const codec = codecOf(task)
  return new Handle<Task.Success<T>, Task.Error<T>>(source, key, task.name, scheduled, {
    success: codec.decodeSuccess,
    isVoid: codec.isVoid,
    ...(codec.hasErrors ? { error: codec.decodeError } : {})
  })
}

/** A handle on an execution whose contract is not at hand: its result is JSON data. */
export const handleNamed = (
  source: Source,
  task: string,
  key: string,
  scheduled: Scheduled
): Execution<unknown, never> =>
  new Handle<unknown, never>(source, key, task, scheduled, {
    success: (text) => (text === undefined ? Exit.succeed(undefined) : Stored.dataOf(text)),
    isVoid: false
  })

/** What the docket knows about a key. */
export const info = (source: Source, key: string): Effect.Effect<Option.Option<ExecutionInfo>, DocketError> =>
  Effect.map(source.read(key), Option.map(infoOf))

// A class, so that a handle costs a producer that only wants its key next to nothing.
class Handle<A, E> implements Execution<A, E> {
  readonly key: string
  readonly task: string
  readonly disposition: DocketStore.Disposition | undefined
  readonly #source: Source
  readonly #origin: number | undefined
  readonly #decoder: Decoder<A, E>

  constructor(source: Source, key: string, task: string, { disposition, origin }: Scheduled, decoder: Decoder<A, E>) {
    this.#source = source
    this.key = key
    this.task = task
    this.disposition = disposition
    this.#origin = origin
    this.#decoder = decoder
  }

  get info() {
    return info(this.#source, this.key)
  }

  get result() {
    return resultOf(this.#source, this, this.#origin, this.#decoder)
  }

  resultWithin(duration: Duration.Input) {
    const waitedMillis = Durations.millisOf(duration)
    if (Number.isNaN(waitedMillis)) {
      return Effect.fail(invalid(`resultWithin needs a duration; it was given ${Durations.shown(duration)}`))
    }
    return Effect.timeoutOrElse(this.result, {
      duration: waitedMillis,
      orElse: () => Effect.fail(new ResultTimeout({ key: this.key, waitedMillis }))
    })
  }

  get events() {
    return Events.ofExecution(this.#source.store, this.key)
  }

  get attempts() {
    return Effect.map(failWith(this.#source.store.attempts(this.key)), (attempts) => attempts.map(attemptOf))
  }

  get runs() {
    return Effect.map(failWith(this.#source.store.runs(this.key)), (runs) => runs.map(pastRunOf))
  }

  get cancel() {
    return this.#source.cancel(this.key)
  }
}

/** How an execution ended, and what it left. */
interface End extends Pick<DocketStore.ExecutionRecord, "state" | "error" | "failure" | "result"> {
  /** Whether that was deleted, since the key was scheduled again. */
  readonly isCleared?: true
}

const resultOf = Effect.fnUntraced(function* <A, E>(
  source: Source,
  { key, task }: { readonly key: string; readonly task: string },
  schedule: number | undefined,
  decoder: Decoder<A, E>
): Effect.fn.Return<A, E | ResultError> {
  const first = yield* source.read(key)
  if (Option.isSome(first) && first.value.task !== task && (schedule ?? first.value.origin) === first.value.origin) {
    // What it left is of other types, and may fit these by chance.
    return yield* new DocketError({ reason: new KeyInUse({ key, task, usedBy: first.value.task }) })
  }
  const { generation = 1, origin = 1 } = Option.getOrUndefined(first) ?? {}
  const own = schedule ?? origin
  const end = endIn(first, own) ?? (yield* awaitEnd(source, key, own, generation))
  if (end === "gone") return yield* new ResultNotKept({ key })
  const { error, failure, isCleared = false, result, state } = end
  if (state === "cancelled") return yield* new TaskCancelled({ key })
  if (state === "completed") {
    if (isCleared && !decoder.isVoid) return yield* new ResultNotKept({ key })
    const text = yield* KeptResults.find(source.results, key, result)
    const value = decoder.success(text)
    if (Exit.isSuccess(value)) return value.value
    return yield* text === undefined ? new ResultNotKept({ key }) : unreadable(key, "result")
  }
  const timedOut = timeoutIn(key, error)
  if (timedOut !== undefined) return yield* timedOut
  if (failure === undefined || decoder.error === undefined) {
    return yield* new TaskFailed({ key, error: error ?? "Error: unknown" })
  }
  const typed = decoder.error(failure)
  return yield* Exit.isSuccess(typed) ? Effect.fail(typed.value) : unreadable(key, "error")
})

/** How the schedule with this origin ended, as far as the record tells; nothing while it goes on. */
const endIn = (found: Option.Option<DocketStore.ExecutionRecord>, origin: number): End | "gone" | undefined => {
  if (Option.isNone(found) || found.value.origin !== origin) return "gone"
  return DocketStore.isSettled(found.value.state) ? found.value : undefined
}

/** The timeout that a stored error tells of, if it is one. */
const timeoutIn = (key: string, error: string | undefined): TaskTimedOut | undefined => {
  const [start = "", end = ""] = errorText(new TaskTimedOut({ key, timeoutMillis: 0 })).split(/0(?= ms$)/)
  if (error?.startsWith(start) !== true) return undefined
  const timeoutMillis = Number.parseFloat(error.slice(start.length))
  return error.startsWith(`${start}${timeoutMillis}${end}`) ? new TaskTimedOut({ key, timeoutMillis }) : undefined
}

/** Waits for the end of what was seen unfinished in this generation. */
const awaitEnd = Effect.fnUntraced(function* (
  source: Source,
  key: string,
  origin: number,
  first: number
): Effect.fn.Return<End | "gone", DocketError, Scope.Scope> {
  // The feed is live before the record is read, so no end goes unnoticed.
  const { store } = source
  const events = yield* failWith(store.watch(key))
  const read = untilRead(store, Effect.mapError(source.read(key), reasonOf))
  let heard: End | undefined = undefined
  while (true) {
    const found: Option.Option<DocketStore.ExecutionRecord> = yield* failWith(read)
    const end = endIn(found, origin)
    // A docket that keeps nothing leaves only what was heard.
    if (end === "gone") return heard ?? end
    if (end !== undefined) return end
    const { failure, generation, last, result } = Option.getOrThrow(found)
    // It goes on. If that is with the next run of its chain, the record has what the run before left.
    if (last !== undefined && last.generation >= first) {
      return source.keepsResults ? { ...last, failure, result } : (heard ?? "gone")
    }
    heard = yield* takeEnd(events, generation)
  }
}, Effect.scoped)

// The end of the run of this generation, for when the record has nothing of it any more; nothing when the feed had a gap,
// or when the key goes on: then the record says with what.
const takeEnd = Effect.fnUntraced(function* (events: Queue.Dequeue<DocketStore.ExecutionEvent>, generation: number) {
  while (true) {
    const event = yield* Queue.take(events)
    if (event._tag === "Interrupted") return undefined
    if (event._tag === "Progressed" || event.generation < generation) continue
    if (DocketStore.isSettled(event.state)) {
      return { state: event.state, error: event.error, failure: undefined, result: undefined, isCleared: true } as const
    }
    if (event.generation > generation) return undefined
  }
})

/** Why a read failed, as the store's own reads say it. */
const reasonOf = ({ reason }: DocketError): StoreError =>
  reason._tag === "StoreError" ? reason : new StoreError({ operation: "DocketStore.read", cause: reason })

const unreadable = (key: string, what: "result" | "error") =>
  new TaskFailed({ key, error: `SchemaError: the stored ${what} does not fit this process's contract of the task` })
