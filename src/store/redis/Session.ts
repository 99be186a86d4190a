/**
 * A worker's connection to the store.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type { StoreError } from "../../DocketError.ts"
import type * as DocketStore from "../../DocketStore.ts"
import { batchSize, inBatches } from "./batches.ts"
import * as Contracts from "./scripts/contracts.ts"
import * as Exchange from "./scripts/exchange.ts"
import type * as Keys from "./scripts/keys.ts"
import { progress } from "./scripts/progress.ts"
import * as Read from "./scripts/read.ts"
import * as Redis from "./connection/Redis.ts"
import * as Repair from "./scripts/repair.ts"
import * as Repairs from "./Repairs.ts"
import * as Renew from "./scripts/renew.ts"
import * as Wakeups from "./Wakeups.ts"
import * as Workers from "./scripts/workers.ts"

export interface Options {
  readonly keys: Keys.Keys
  /** The time that scripts go by. */
  readonly now: Effect.Effect<number | "">
  readonly keeping: Exchange.Keeping
  readonly worker: DocketStore.WorkerOptions
}

/** Opens the session of a worker, which listens to its channel before this returns. */
export const open: (
  options: Options
) => Effect.Effect<DocketStore.WorkerSession, StoreError, Redis.Redis | Scope.Scope> = Effect.fnUntraced(function* ({
  keeping,
  keys,
  now,
  worker
}) {
  const redis = yield* Redis.Redis
  const cancellations = yield* Effect.acquireRelease(Queue.unbounded<DocketStore.Cancellation>(), Queue.shutdown)
  yield* redis.subscribe([keys.cancel(worker.name)], {
    onMessage: (message) => {
      const cancellation = decodeCancellation(message)
      if (Option.isSome(cancellation)) Queue.offerUnsafe(cancellations, cancellation.value)
    },
    // What was missed comes with the next renewal.
    onGap: () => {}
  })
  const said = Contracts.encode(worker)
  const { awaitWork } = yield* Wakeups.make(keys, worker.name)

  const caller: Exchange.Caller = {
    name: worker.name,
    leaseMillis: Math.ceil(worker.leaseMillis),
    maxDeliveries: worker.maxDeliveries,
    contract: said.digest
  }
  // A worker makes its calls again and again, and says in its log why it has to.
  const patienceMillis = 1000
  const run = {
    tell: redis.eval(Contracts.tell, patienceMillis),
    lookAnew: redis.eval(Contracts.lookAnew, patienceMillis),
    exchange: redis.eval(Exchange.exchange, patienceMillis),
    renew: redis.eval(Renew.renew, patienceMillis),
    progress: redis.eval(progress, patienceMillis),
    heartbeat: redis.eval(Workers.heartbeat, patienceMillis),
    leave: redis.eval(Workers.leave, patienceMillis),
    repair: redis.eval(Repair.repair, patienceMillis)
  }

  // What it says of tasks, a worker says once: who started last is believed.
  let isFirst = true

  const repairs = Repairs.make((step) => Effect.flatMap(now, (now) => run.repair(keys, now, step, caller.leaseMillis)))
  const { orMend } = repairs

  /** Says what the worker knows of its tasks, and lets what waits under other words be looked at anew. */
  const tell = Effect.fnUntraced(function* (isAgain: boolean) {
    const changed = yield* run.tell(keys, said, isAgain)
    if (changed.length === 0) return
    let cursor = "0"
    do {
      cursor = yield* run.lookAnew(keys, yield* now, cursor, changed)
    } while (cursor !== "0")
  }, orMend)
  yield* tell(false)

  const exchange = (request: DocketStore.ExchangeRequest): Effect.Effect<DocketStore.ExchangeReply, StoreError> =>
    Effect.flatMap(now, (now) =>
      Effect.flatMap(run.exchange(keys, now, caller, keeping, request), (reply) =>
        reply === null
          ? Effect.andThen(tell(true), exchange(request))
          : Effect.succeed(Exchange.decode(request.lease, reply))
      )
    )

  return {
    exchange: (request) => orMend(exchange(request)),

    awaitWork: orMend(awaitWork),

    renew: (leases) =>
      inBatches(leases, batchSize.renew, (batch) =>
        Effect.flatMap(now, (now) =>
          Effect.map(run.renew(keys, now, caller.leaseMillis, batch), (letters) => Array.from(letters, Renew.decode))
        )
      ).pipe(orMend),

    needsHeartbeat: true,

    heartbeat: Effect.gen(function* () {
      const [reclaimed, isWorkThere, nextDueMillis, nextExpiryMillis, depth, notices, failedChains] =
        yield* run.heartbeat(keys, yield* now, keeping.executionTtlMillis, worker, said.digest, isFirst)
      isFirst = false
      const { isWorkBack, ...found } = yield* repairs.some
      return {
        reclaimed,
        ...found,
        ...(notices.length > 0 ? { notices } : {}),
        work: isWorkThere === 1 || isWorkBack,
        nextDueMillis: nextDueMillis < 0 ? undefined : nextDueMillis,
        nextExpiryMillis: nextExpiryMillis < 0 ? undefined : nextExpiryMillis,
        depth: Read.decodeDepth(depth),
        failedChains
      }
    }).pipe(orMend),

    progress: (updates) =>
      Effect.asVoid(
        inBatches(updates, batchSize.renew, (batch) =>
          Effect.flatMap(now, (now) => Effect.as(run.progress(keys, now, batch), []))
        )
      ).pipe(orMend),

    leave: Effect.asVoid(run.leave(keys, worker.name)),

    cancellations,

    reconnected: redis.reconnected
  }
})

/** What comes in on a worker's channel. */
const decodeCancellation = Schema.decodeUnknownOption(
  Schema.fromJsonString(
    Schema.Struct({ key: Schema.String, generation: Schema.FiniteFromString, lease: Schema.String })
  )
)
