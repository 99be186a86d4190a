/**
 * From a task with its payload and options to a request that the store understands.
 */
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as SecureRandom from "effect/crypto/SecureRandom"
import { DocketError, InvalidPayload, StoreError } from "../DocketError.ts"
import { type DocketStore, type Due, dueNow, type ScheduleRequest } from "../DocketStore.ts"
import { currentTrace } from "../observability/Tracing.ts"
import type * as Task from "../Task.ts"
import { codecOf } from "./codec.ts"
import { failWith, invalid } from "./docketError.ts"
import * as Durations from "./durations.ts"
import { isTaskName, taskNameRule } from "./taskName.ts"
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

/** Prepares requests, and sends them to the store in groups. */
export const makeScheduler = Effect.fnUntraced(function* (store: DocketStore["Service"], strikes: KnownStrikes) {
  const random = yield* KeySource

  const schedule = yield* GroupCommit.make({
    send: (requests: ReadonlyArray<ScheduleRequest>) => failWith(scheduleJudged(store, strikes, requests)),
    maximumSize: groupSize,
    inFlight: groupsInFlight,
    closed: Exit.fail(
      new DocketError({
        reason: new StoreError({ operation: "DocketStore.schedule", cause: new Error("The docket is closed") })
      })
    )
  })

  const scheduleAll = (requests: ReadonlyArray<ScheduleRequest>) =>
    Effect.map(
      // They arrive in the order in which they are sent, so the first request for a key wins also across chunks.
      Effect.forEach(chunksOf(requests, chunkSize), (chunk) => failWith(scheduleJudged(store, strikes, chunk)), {
        concurrency: chunksInFlight
      }),
      (dispositions) => dispositions.flat()
    )

  const prepare = Effect.fnUntraced(function* (
    task: Task.Any,
    input: unknown,
    options: Task.ScheduleOptions,
    replace: boolean
  ) {
    const { payload, text } = yield* Effect.mapError(codecOf(task).encodePayload(input), (error) =>
      invalidPayload(task.name, error)
    )
    const due = yield* dueOf(options)
    const key = options.key ?? task.behaviour.key?.(payload)
    if (replace && key === undefined) {
      return yield* invalid(
        `replace needs a key for task "${task.name}": give options.key, or the task a key of its own`
      )
    }
    const problem = key === undefined ? undefined : problemOfKey(task.name, key)
    if (problem !== undefined) return yield* invalid(problem)
    return {
      key: key ?? (yield* random.uuidV7()),
      task: task.name,
      payload: text,
      due,
      replace,
      trace: yield* currentTrace,
      values: task.behaviour.controls.valuesOf(payload),
      judged: true
    } satisfies ScheduleRequest
  })

  const prepareNamed = Effect.fnUntraced(function* (task: string, payload: unknown, options: Task.ScheduleOptions) {
    if (!isTaskName(task)) return yield* invalid(taskNameRule(task))
    const due = yield* dueOf(options)
    const problem = options.key === undefined ? undefined : problemOfKey(task, options.key)
    if (problem !== undefined) return yield* invalid(problem)
    const text = encodeJson(payload)
    if (Exit.isFailure(text)) {
      return yield* new DocketError({
        reason: new InvalidPayload({ task, issue: "the payload of addNamed has to be JSON data" })
      })
    }
    return {
      key: options.key ?? (yield* random.uuidV7()),
      task,
      payload: text.value,
      due,
      replace: false,
      trace: yield* currentTrace,
      values: undefined,
      // The contract is not at hand, and the payload may lack defaults: a worker judges it.
      judged: false
    } satisfies ScheduleRequest
  })

  return { prepare, prepareNamed, schedule, scheduleAll }
})

/** What keeps a text from being the key of an execution, and what to do about it. */
const problemOfKey = (task: string, key: string): string | undefined => {
  if (key === "") return `The key of task "${task}" is empty`
  return key.isWellFormed()
    ? undefined
    : `The key ${JSON.stringify(key)} of task "${task}" has half of a character in it (a lone surrogate), which cannot be ` +
        "kept: was a text cut within an emoji? Cut it elsewhere, or replace what is left with key.toWellFormed()"
}

const encodeJson = Schema.encodeUnknownExit(Schema.fromJsonString(Schema.Json))

const invalidPayload = (task: string, error: Schema.SchemaError) =>
  new DocketError({ reason: new InvalidPayload({ task, issue: error.message }) })

const dueOf = (options: Task.ScheduleOptions): Effect.Effect<Due, DocketError> => {
  if (options.when !== undefined && options.delay !== undefined) {
    return Effect.fail(invalid("Give either delay or when, not both"))
  }
  if (options.when !== undefined) {
    const when = DateTime.make(options.when)
    return Option.isSome(when)
      ? Effect.succeed({ _tag: "At", epochMillis: when.value.epochMilliseconds })
      : Effect.fail(invalid(`when is not a moment: ${String(options.when)}`))
  }
  if (options.delay === undefined) return Effect.succeed(dueNow)
  const millis = Math.ceil(Durations.millisOf(options.delay))
  return Number.isFinite(millis)
    ? Effect.succeed({ _tag: "After", millis: Math.max(0, millis) })
    : Effect.fail(invalid(`delay has to be a finite duration; it was ${Durations.shown(options.delay)}`))
}

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
