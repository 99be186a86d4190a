/**
 * The store of a docket in Redis: each of the port's operations is one script, or a few for a large batch.
 */
import * as Arr from "effect/Array"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import * as SecureRandom from "effect/crypto/SecureRandom"
import { InvalidRequest, type StoreError } from "../../DocketError.ts"
import * as DocketStore from "../../DocketStore.ts"
import { batchSize, inBatches } from "./batches.ts"
import { cancel, clear } from "./scripts/cancel.ts"
import * as Connection from "./connection/Connection.ts"
import type { Keeping } from "./scripts/exchange.ts"
import * as Failed from "./scripts/failed.ts"
import * as Feed from "./Feed.ts"
import * as Keys from "./scripts/keys.ts"
import * as Read from "./scripts/read.ts"
import * as Record from "./scripts/record.ts"
import * as Redis from "./connection/Redis.ts"
import { decode as decodeScheduled, schedule } from "./scripts/schedule.ts"
import * as Session from "./Session.ts"
import * as Strikes from "./scripts/strikes.ts"
import { undoRetry } from "./scripts/undoRetry.ts"
import * as Workers from "./scripts/workers.ts"

/**
 * The time that scripts go by, epoch ms; empty for the server's clock. Tests set it to that of the `TestClock`.
 *
 * @category references
 * @since 0.1.0
 */
export const ScriptTime: Context.Reference<Effect.Effect<number | "">> = Context.Reference("effect-docket/ScriptTime", {
  defaultValue: (): Effect.Effect<number | ""> => Effect.succeed("")
})

/**
 * Makes the store of the docket with this name. It opens connections when they are needed.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make: (
  options: DocketStore.StoreOptions
) => Effect.Effect<DocketStore.DocketStore["Service"], InvalidRequest, Redis.Redis | Scope.Scope> = Effect.fnUntraced(
  function* (options) {
    const { name } = options
    if (name === "" || /[{}]/.test(name)) {
      return yield* new InvalidRequest({
        problem: `The docket's name ${JSON.stringify(name)} cannot be used in Redis: it must not be empty or have braces`
      })
    }
    const redis = yield* Redis.Redis
    const now = yield* ScriptTime
    const keys = Keys.make(name)
    const keeping = keepingOf(options)
    const follow = yield* Feed.make(keys)
    const run = {
      schedule: redis.eval(schedule),
      strikes: redis.eval(Strikes.strikes),
      strike: redis.eval(Strikes.strike),
      restore: redis.eval(Strikes.restore),
      ahead: redis.eval(Read.ahead),
      cancel: redis.eval(cancel),
      clear: redis.eval(clear),
      read: redis.eval(Read.read),
      attempts: redis.eval(Read.attempts),
      runs: redis.eval(Read.runs),
      failed: redis.eval(Failed.failed),
      failedChains: redis.eval(Failed.failedChains),
      retryFailed: redis.eval(Failed.retryFailed),
      undoRetry: redis.eval(undoRetry),
      discardFailed: redis.eval(Failed.discardFailed),
      snapshot: redis.eval(Read.snapshot),
      workers: redis.eval(Workers.workers),
      facts: redis.eval(Workers.facts),
      silentWorkers: redis.eval(Workers.silentWorkers),
      forgetWorker: redis.eval(Workers.forgetWorker),
      depth: redis.eval(Read.depth)
    }

    // Also without requests: the caller may know strikes that are in force no more.
    const scheduleBatch = (requests: ReadonlyArray<DocketStore.ScheduleRequest>, strikes: string) =>
      Effect.flatMap(now, (now) =>
        Effect.map(run.schedule(keys, now, strikes, requests), (reply): DocketStore.ScheduleReply =>
          typeof reply === "string"
            ? { _tag: "Scheduled", ...decodeScheduled(reply, requests.length) }
            : { _tag: "StrikesChanged", strikes: Strikes.decode(reply), dispositions: [], origins: [] }
        )
      )

    const scheduleMany = Effect.fnUntraced(function* (
      requests: ReadonlyArray<DocketStore.ScheduleRequest>,
      strikes: string
    ): Effect.fn.Return<DocketStore.ScheduleReply, StoreError> {
      const dispositions: Array<DocketStore.Disposition> = []
      const origins: Array<number> = []
      for (const batch of Arr.chunksOf(requests, batchSize.schedule)) {
        const reply = yield* scheduleBatch(batch, strikes)
        dispositions.push(...reply.dispositions)
        origins.push(...reply.origins)
        if (reply._tag === "StrikesChanged") return { ...reply, dispositions, origins }
      }
      return { _tag: "Scheduled", dispositions, origins }
    })

    /** Goes on until nothing waits: what comes in meanwhile may stand before what waited at the beginning. */
    const clearFurther = (before: number): Effect.Effect<number, StoreError> =>
      Effect.flatMap(now, (now) =>
        Effect.flatMap(run.clear(keys, now, keeping.executionTtlMillis, batchSize.clear), ([cleared, waiting]) =>
          waiting > 0 ? clearFurther(before + cleared) : Effect.succeed(before + cleared)
        )
      )

    return DocketStore.DocketStore.of({
      answerMillis: redis.answerMillis,

      schedule: (requests, strikes) =>
        requests.length <= batchSize.schedule ? scheduleBatch(requests, strikes) : scheduleMany(requests, strikes),

      strikes: Effect.map(run.strikes(keys), Strikes.decode),

      strike: (strike) => Effect.map(run.strike(keys, freshVersion(), strike), Strikes.decode),

      restore: (strikes) => Effect.map(run.restore(keys, freshVersion(), strikes), Strikes.decode),

      watchStrikes: Effect.gen(function* () {
        const changes = yield* Effect.acquireRelease(Queue.unbounded<void>(), Queue.shutdown)
        const tell = () => {
          Queue.offerUnsafe(changes, undefined)
        }
        yield* redis.subscribe([keys.strikes], { onMessage: tell, onGap: tell })
        return changes
      }),

      ahead: (execution) =>
        Effect.map(run.ahead(keys, asStored(execution)), (count) => (count < 0 ? undefined : count)),

      cancel: (executions) =>
        Effect.asVoid(
          inBatches(executions, batchSize.cancel, (batch) =>
            Effect.flatMap(now, (now) =>
              Effect.as(run.cancel(keys, now, keeping.executionTtlMillis, batch.map(asStored)), [])
            )
          )
        ),

      clear: clearFurther(0),

      read: (executions) =>
        inBatches(executions, batchSize.read, (batch) =>
          Effect.flatMap(now, (now) =>
            Effect.map(
              run.read(keys, now, batch.map(asStored)),
              Arr.map((found, i) => Record.decode(batch[i] ?? "", found))
            )
          )
        ),

      attempts: (execution) => Effect.map(run.attempts(keys, asStored(execution)), Read.decodeAttempts),

      runs: (execution) => Effect.map(run.runs(keys, asStored(execution)), Read.decodeRuns),

      failedChains: (limit) =>
        Effect.map(run.failedChains(keys, limit), ([executions, records]) => Read.decodeRecords(executions, records)),

      failed: (page) =>
        Effect.flatMap(now, (now) =>
          Effect.map(run.failed(keys, now, keeping.failedTtlMillis, page), ([executions, records, next]) => ({
            records: Read.decodeRecords(executions, records),
            next: next === null ? undefined : { failed: Number(next[0]), key: next[1] }
          }))
        ),

      retryFailed: Effect.fnUntraced(function* (executions, strikes): Effect.fn.Return<
        DocketStore.RetryReply,
        StoreError
      > {
        const answers: Array<boolean> = []
        // Also without keys: the caller may know strikes that are in force no more.
        for (const batch of executions.length === 0 ? [[]] : Arr.chunksOf(executions, batchSize.schedule)) {
          const reply = yield* run.retryFailed(keys, yield* now, strikes, batch.map(asStored))
          if (typeof reply !== "string") return { _tag: "StrikesChanged", strikes: Strikes.decode(reply), answers }
          answers.push(...toAnswers(reply))
        }
        return { _tag: "Retried", answers }
      }),

      undoRetry: (retries) =>
        inBatches(retries, batchSize.schedule, (batch) =>
          Effect.flatMap(now, (now) =>
            Effect.map(
              run.undoRetry(
                keys,
                now,
                keeping,
                batch.map((retried) => ({ ...retried, key: asStored(retried.key), error: asStored(retried.error) }))
              ),
              toAnswers
            )
          )
        ),

      discardFailed: (executions) =>
        inBatches(executions, batchSize.cancel, (batch) =>
          Effect.map(run.discardFailed(keys, batch.map(asStored)), toAnswers)
        ),

      watch: (execution) => follow(keys.eventsOf(execution)),

      watchAll: follow([keys.events]),

      snapshot: (limit) =>
        Effect.flatMap(now, (now) => Effect.map(run.snapshot(keys, now, limit), Read.decodeSnapshot)),

      workers: Effect.flatMap(now, (now) => Effect.map(run.workers(keys, now), Arr.map(Workers.decode))),

      silentWorkers: Effect.flatMap(now, (now) =>
        Effect.map(run.silentWorkers(keys, now), Arr.map(Workers.decodeSilent))
      ),

      forgetWorker: (worker) =>
        Effect.flatMap(now, (now) =>
          Effect.map(run.forgetWorker(keys, now, keeping.executionTtlMillis, worker), (taken) =>
            taken < 0 ? undefined : taken
          )
        ),

      facts: (tasks) =>
        tasks !== "all" && tasks.length === 0
          ? Effect.succeed(new Map())
          : Effect.map(run.facts(keys, tasks === "all" ? [] : tasks), Workers.decodeFacts),

      depth: Effect.map(run.depth(keys), Read.decodeDepth),

      open: (worker) => Effect.provideService(Session.open({ keys, now, keeping, worker }), Redis.Redis, redis)
    })
  }
)

/**
 * Makes the store of a docket over connections of its own, to the Redis at a URL. `Connection.parse` says how that reads.
 *
 * @category constructors
 * @since 0.1.0
 */
export const makeUrl: (
  url: string,
  options: DocketStore.StoreOptions
) => Effect.Effect<DocketStore.DocketStore["Service"], InvalidRequest, Scope.Scope> = Effect.fnUntraced(
  function* (url, options) {
    const connection = yield* Connection.parse(url)
    const key = Keys.make(options.name).prefix
    const redis = yield* Redis.make({ connection, connectionName: `docket:${options.name}`, key })
    return yield* Effect.provideService(make(options), Redis.Redis, redis)
  }
)

/**
 * The key of an execution as Redis keeps it. It would get another character for each lone surrogate, and could be that of
 * another execution; none has an empty one.
 */
const asStored = (key: string): string => (key.isWellFormed() ? key : "")

/** Strikes of two versions differ, also those of a docket that had none in between. */
const freshVersion = () => SecureRandom.uuidV4Unsafe()

const toAnswers = (letters: string): ReadonlyArray<boolean> => Array.from(letters, (letter) => letter === "y")

const keepingOf = ({ executionTtlMillis, failedMaximum, failedTtlMillis }: DocketStore.StoreOptions): Keeping => ({
  executionTtlMillis: wholeMillis(executionTtlMillis),
  failedTtlMillis: wholeMillis(failedMaximum > 0 && failedTtlMillis > 0 ? failedTtlMillis : executionTtlMillis),
  failedMaximum
})

/** What Redis takes as a time to live; at least one for what is to live at all. */
const wholeMillis = (millis: number): number => Math.ceil(Math.min(Math.max(millis, 0), 1e15))
