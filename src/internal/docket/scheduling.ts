/**
 * From a task with its payload and options to a request that the store understands.
 */
import * as Arr from "effect/Array"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Schema from "effect/Schema"
import * as SecureRandom from "effect/crypto/SecureRandom"
import type { DatabaseSync } from "node:sqlite"
import type { Terms } from "../../Admission.ts"
import { DocketError, InvalidPayload, InvalidRequest } from "../../DocketError.ts"
import { type Disposition, type DocketStore, type Due, dueNow, type ScheduleRequest } from "../../DocketStore.ts"
import { currentTrace, traceOf } from "../../observability/Tracing.ts"
import type * as Task from "../../Task.ts"
import { chainOf } from "../contract/facts.ts"
import { codecOf, type EncodedPayload, exitOf } from "../contract/codec.ts"
import { closed, failWith, invalid, waits } from "./docketError.ts"
import * as Durations from "../contract/durations.ts"
import { errorText } from "../contract/failureText.ts"
import * as Moments from "../contract/moments.ts"
import * as Size from "../contract/size.ts"
import * as Stored from "../contract/stored.ts"
import { isTaskName, taskNameRule } from "../contract/taskName.ts"
import * as GroupCommit from "./groupCommit.ts"
import type { KnownStrikes } from "./knownStrikes.ts"
import { scheduleJudged } from "./scheduleJudged.ts"

// Callers that add together leave in several calls, so that Redis works on one while the next is put together: with 50
// callers, groups of 25 and four under way took 75,000 to 95,000 adds a second where one group of 100 took 62,000 to 72,000
// (bench enqueue-50, two cores, Redis 7.0).
const groupSize = 25
const groupsInFlight = 4
// A batch has no callers that wait for each other. A call of a hundred keeps Redis busy for less than a millisecond.
const chunkSize = 100
const chunksInFlight = 2

/** Makes the keys of executions that have none; one for the process, so that keys sort in the order they were made. */
const KeySource = Context.Reference("effect-docket/KeySource", {
  defaultValue: () => SecureRandom.make(pooledBytes())
})

/** A request that is in order, and may be without a key. */
type Prepared = Omit<ScheduleRequest, "key"> & { readonly key: string | undefined }

/** A request, and what came of it. */
interface Scheduled {
  readonly request: ScheduleRequest
  readonly disposition: Disposition
  /** What a handle on it is about (see `ExecutionRecord.origin`); nothing for one that was struck. */
  readonly origin: number | undefined
}

/** Prepares requests, and sends them to the store in groups. */
export const makeScheduler = Effect.fnUntraced(function* (
  store: DocketStore["Service"],
  strikes: KnownStrikes,
  { maximumBytes }: { readonly maximumBytes: number }
) {
  const random = yield* KeySource

  /** An execution of its own unless a key is given. */
  const withKey = (prepared: Prepared): Effect.Effect<ScheduleRequest> => {
    const { key } = prepared
    return key === undefined
      ? Effect.map(random.uuidV7(), (fresh) => ({ ...prepared, key: fresh }))
      : Effect.succeed({ ...prepared, key })
  }

  const sendTo = (
    store: Pick<DocketStore["Service"], "schedule">,
    prepared: ReadonlyArray<Prepared>
  ): Effect.Effect<ReadonlyArray<Scheduled>, DocketError> =>
    Effect.flatMap(Effect.forEach(prepared, withKey), (requests) =>
      Effect.map(failWith(scheduleJudged(store, strikes, requests)), ({ dispositions, origins }) =>
        // There is one disposition for each request.
        requests.map((request, i) => ({ request, disposition: dispositions[i]!, origin: origins[i] || undefined }))
      )
    )

  const send = (prepared: ReadonlyArray<Prepared>) => sendTo(store, prepared)

  const schedule = yield* GroupCommit.make({
    send,
    maximumSize: groupSize,
    inFlight: groupsInFlight,
    closed: closed("DocketStore.schedule"),
    ...waits("DocketStore.schedule", store.answerMillis)
  })

  // They arrive in the order in which they are sent, so the first request for a key wins also across chunks. Keys are made
  // with the chunk: Redis is at work on another meanwhile.
  const scheduleAll = (prepared: ReadonlyArray<Prepared>): Effect.Effect<ReadonlyArray<Scheduled>, DocketError> =>
    Effect.map(Effect.forEach(chunksOf(prepared, chunkSize), send, { concurrency: chunksInFlight }), Arr.flatten)

  /** Schedules in a transaction of the caller's, at once. */
  const within = (
    database: DatabaseSync
  ): { readonly schedule: typeof schedule; readonly scheduleAll: typeof scheduleAll } => {
    const { scheduleWithin } = store
    const scheduleAll = (prepared: ReadonlyArray<Prepared>): Effect.Effect<ReadonlyArray<Scheduled>, DocketError> =>
      scheduleWithin === undefined
        ? Effect.fail(invalid("Only a docket in a file, as at sqlite:./docket.db, can take part in a transaction"))
        : sendTo({ schedule: scheduleWithin(database) }, prepared)
    return { schedule: (prepared) => Effect.map(scheduleAll([prepared]), ([scheduled]) => scheduled!), scheduleAll }
  }

  // Few effects: this is most of what a batch costs a producer.
  const prepare = (
    task: Task.Any,
    input: unknown,
    options: Task.ScheduleOptions,
    replace: boolean
  ): Effect.Effect<Prepared, DocketError> =>
    Effect.withFiber((fiber) => {
      const finish = ({ payload, text }: EncodedPayload): Effect.Effect<Prepared, DocketError> => {
        const due = dueOf(options)
        if (Exit.isFailure(due)) return Effect.failCause(due.cause)
        const found = computed(task, payload, options.key)
        if (Exit.isFailure(found)) return Effect.failCause(found.cause)
        const { key, terms } = found.value
        const problem = key === undefined ? undefined : problemOfKey(task.name, key)
        if (problem !== undefined) return Effect.fail(invalid(problem))
        if (replace && key === undefined) {
          return Effect.fail(
            invalid(`replace needs a key for task "${task.name}": give options.key, or the task a key of its own`)
          )
        }
        const tooLarge = Size.check(maximumBytes, task.name, "payload", text)
        if (tooLarge !== undefined) return Effect.fail(new DocketError({ reason: tooLarge }))
        return Effect.succeed({
          key,
          task: task.name,
          payload: text,
          due: due.value,
          replace,
          trace: traceOf(fiber.context, isDueNow(due.value) && task.behaviour.recurrence === undefined),
          terms,
          judged: true,
          chain: chainOf(task)
        })
      }
      const encoded = codecOf(task).encodePayload(input)
      const exit = exitOf(encoded)
      if (exit !== undefined && Exit.isSuccess(exit)) return finish(exit.value)
      return Effect.flatMap(
        Effect.mapError(encoded, (error) => invalidPayload(task.name, error)),
        finish
      )
    })

  /** The key of a task that is added by name without one: what workers said of its contract tells. */
  const keyOf = Effect.fnUntraced(function* (task: string) {
    const facts = (yield* failWith(store.facts([task]))).get(task)
    if (facts?.key !== "computed") return facts?.key === "name" ? task : undefined
    return yield* invalid(
      `Task "${task}" has a key that its contract computes from the payload, so it cannot be added by its name alone: ` +
        "it might run twice. Give its key (the option key, or --key), or add it with its contract (docket.add, or --tasks)"
    )
  })

  const prepareNamed = Effect.fnUntraced(function* (task: string, payload: unknown, options: Task.ScheduleOptions) {
    if (!isTaskName(task)) return yield* invalid(taskNameRule(task))
    const due = yield* dueOf(options)
    const problem = options.key === undefined ? undefined : problemOfKey(task, options.key)
    if (problem !== undefined) return yield* invalid(problem)
    const json = encodeJson(payload)
    if (Exit.isFailure(json)) {
      return yield* new DocketError({
        reason: new InvalidPayload({ task, issue: "the payload of addNamed has to be JSON data" })
      })
    }
    const text = Stored.write(json.value, undefined)
    const tooLarge = Size.check(maximumBytes, task, "payload", text)
    if (tooLarge !== undefined) return yield* new DocketError({ reason: tooLarge })
    return {
      key: options.key ?? (yield* keyOf(task)),
      task,
      payload: text,
      due,
      replace: false,
      trace: yield* currentTrace,
      terms: undefined,
      // The contract is not at hand, and the payload may lack defaults: a worker judges it.
      judged: false
    }
  })

  return { prepare, prepareNamed, schedule, scheduleAll, within }
})

// What a contract's functions fail with at a payload is told to whoever gave the payload.
const computed = (
  task: Task.Any,
  payload: unknown,
  given: string | undefined
): Exit.Exit<{ readonly key: string | undefined; readonly terms: Terms }, DocketError> => {
  let key = given
  try {
    // What recurs has one key, so that a second chain is not begun by whoever adds it once more.
    const { key: keyOf, recurrence } = task.behaviour
    if (key === undefined)
      key = keyOf === undefined ? (recurrence === undefined ? undefined : task.name) : keyOf(payload)
    if (keyOf !== undefined && key === undefined) return Exit.fail(invalid(keyIsNone(task.name, key)))
  } catch (cause) {
    return Exit.fail(uncomputed(`The key of task "${task.name}" cannot be computed from this payload`, cause))
  }
  try {
    return Exit.succeed({ key, terms: task.behaviour.controls.termsOf(payload) })
  } catch (cause) {
    const what = `The values by which the limits of task "${task.name}" tell executions apart`
    return Exit.fail(uncomputed(`${what} cannot be computed from this payload`, cause))
  }
}

const uncomputed = (what: string, cause: unknown): DocketError =>
  new DocketError({ reason: new InvalidRequest({ problem: `${what}: ${errorText(cause)}`, cause }) })

/** What keeps a text from being the key of an execution, and what to do about it. */
const problemOfKey = (task: string, key: unknown): string | undefined => {
  if (typeof key !== "string") return keyIsNone(task, key)
  if (key === "") return `The key of task "${task}" is empty`
  return key.isWellFormed()
    ? undefined
    : `The key ${JSON.stringify(key)} of task "${task}" has half of a character in it (a lone surrogate), which cannot be ` +
        "kept: was a text cut within an emoji? Cut it elsewhere, or replace what is left with key.toWellFormed()"
}

const keyIsNone = (task: string, key: unknown): string =>
  `The key of task "${task}" has to be a string; it is ${shownKey(key)}`

const shownKey = (key: unknown): string =>
  typeof key === "number" || typeof key === "boolean" || key === null ? String(key) : `of type ${typeof key}`

const encodeJson = Schema.encodeUnknownExit(Schema.fromJsonString(Schema.Json))

const invalidPayload = (task: string, error: Schema.SchemaError) =>
  new DocketError({ reason: new InvalidPayload({ task, issue: error.message }) })

const dueOf = (options: Task.ScheduleOptions): Exit.Exit<Due, DocketError> => {
  if (options.when !== undefined && options.delay !== undefined) {
    return Exit.fail(invalid("Give either delay or when, not both"))
  }
  if (options.when !== undefined) {
    const epochMillis = Moments.millisOf(options.when)
    return Number.isNaN(epochMillis)
      ? Exit.fail(invalid(`when is not a moment: ${Moments.shown(options.when)}`))
      : Exit.succeed({ _tag: "At", epochMillis })
  }
  if (options.delay === undefined) return Exit.succeed(dueNow)
  const millis = Math.ceil(Durations.millisOf(options.delay))
  return Number.isFinite(millis)
    ? Exit.succeed({ _tag: "After", millis: Math.max(0, millis) })
    : Exit.fail(invalid(`delay has to be a finite duration; it was ${Durations.shown(options.delay)}`))
}

const isDueNow = (due: Due) => due._tag === "After" && due.millis === 0

const chunksOf = <A>(items: ReadonlyArray<A>, size: number): ReadonlyArray<ReadonlyArray<A>> =>
  Array.from({ length: Math.ceil(items.length / size) }, (_, i) => items.slice(i * size, (i + 1) * size))

// Asking the system for 16 bytes at a time costs more than the rest of a key.
const pooledBytes = () => {
  let pool: Uint8Array = new Uint8Array(0)
  return (size: number): Uint8Array => {
    if (pool.length < size) pool = SecureRandom.randomBytesUnsafe(Math.max(size, 4096))
    const bytes = pool.slice(0, size)
    pool = pool.subarray(size)
    return bytes
  }
}
