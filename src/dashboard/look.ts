/**
 * What the pages show of a docket. It is looked at once for all tabs, and at most so often.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Semaphore from "effect/Semaphore"
import type { Docket } from "../Docket.ts"
import { type DocketError, StoreError } from "../DocketError.ts"
import type { Depth, ExecutionRecord } from "../DocketStore.ts"
import { failWith } from "../internal/docket/docketError.ts"
import { workersOf } from "../internal/docket/operations.ts"
import type { WorkerInfo } from "../Snapshot.ts"
import type { Strike } from "../Strike.ts"

/** What is known of a docket at a moment. */
export interface Look {
  /** On the store's clock, epoch milliseconds. */
  readonly taken: number
  readonly latencyMillis: number
  readonly depth: Depth
  /** Of each at most {@link listed}. */
  readonly running: ReadonlyArray<ExecutionRecord>
  readonly waiting: ReadonlyArray<ExecutionRecord>
  readonly failed: ReadonlyArray<ExecutionRecord>
  /** What was completed or cancelled last, as far as that is kept. */
  readonly settled: ReadonlyArray<ExecutionRecord>
  readonly workers: ReadonlyArray<WorkerInfo>
  readonly strikes: ReadonlyArray<Strike>
}

/** So many of what runs, waits and failed are listed. */
export const listed = 1000

/** A look that failed. */
export interface Blind {
  readonly error: DocketError
  /** Since when the store does not answer, on this machine's clock. */
  readonly since: number
  /** The last look that there was. */
  readonly last: Look | undefined
}

/** How a docket looks, or why that cannot be said. */
export type Seen = Result.Result<Look, Blind>

const take = Effect.fnUntraced(function* ({ store }: Docket["Service"]): Effect.fn.Return<Look, DocketError> {
  const before = yield* Clock.currentTimeMillis
  const snapshot = yield* failWith(store.snapshot(listed))
  const latencyMillis = (yield* Clock.currentTimeMillis) - before
  const [{ records: failed }, workers, { strikes }] = yield* Effect.all(
    [failWith(store.failed({ limit: listed })), workersOf(store), failWith(store.strikes)],
    { concurrency: 3 }
  )
  return { ...snapshot, latencyMillis, failed, settled: [], workers, strikes }
})

/** How long the store may take to answer. */
const patience = "3 seconds"

/** Looks at a docket. */
export interface Watch {
  /** How the docket looks, as of at most so many milliseconds ago. */
  readonly look: (maximumAgeMillis: number) => Effect.Effect<Seen>
  /** The next look is a new one. */
  readonly changed: Effect.Effect<void>
}

/** Looks at a docket for all that ask. */
export const make = Effect.fnUntraced(function* (docket: Docket["Service"]) {
  const turn = yield* Semaphore.make(1)
  let seen: Seen | undefined
  let at = -Infinity

  const refresh = Effect.gen(function* () {
    const result = yield* take(docket).pipe(
      Effect.timeoutOrElse({
        duration: patience,
        orElse: () => failWith(Effect.fail(new StoreError({ operation: "DocketStore.snapshot", cause: noAnswer })))
      }),
      Effect.result
    )
    const now = yield* Clock.currentTimeMillis
    at = now
    if (Result.isSuccess(result)) return (seen = Result.succeed(result.success))
    const last = seen === undefined ? undefined : Result.isSuccess(seen) ? seen.success : seen.failure.last
    const since = seen !== undefined && Result.isFailure(seen) ? seen.failure.since : now
    return (seen = Result.fail({ error: result.failure, since, last }))
  })

  const watch: Watch = {
    look: (maximumAgeMillis) =>
      turn.withPermits(1)(
        Effect.flatMap(Clock.currentTimeMillis, (now) =>
          seen !== undefined && now - at <= maximumAgeMillis ? Effect.succeed(seen) : refresh
        )
      ),
    changed: Effect.sync(() => {
      at = -Infinity
    })
  }
  return watch
})

const noAnswer = new Error("it does not answer")
