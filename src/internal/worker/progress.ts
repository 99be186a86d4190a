/**
 * Progress of running executions: kept here, and published at a bounded rate, many executions in one call.
 */
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import { DocketError, type StoreError } from "../../DocketError.ts"
import type { Delivery, ProgressUpdate, WorkerSession } from "../../DocketStore.ts"
import type { Progress, ProgressState } from "../../TaskContext.ts"
import * as Size from "../contract/size.ts"
import { failWith } from "../docket/docketError.ts"

// Ten times a second is as often as a person can follow.
const publishInterval = Duration.millis(100)

/** The progress of one run. */
export interface RunProgress {
  readonly service: Progress["Service"]
  /** Whether anything was ever reported. */
  readonly reported: () => boolean
  /** Publishes what is left to publish, right before the run is settled. */
  readonly flush: Effect.Effect<void>
}

/** Makes the progress of runs. */
export interface Reporter {
  readonly start: (delivery: Delivery) => RunProgress
}

/** Makes the reporter of a worker. */
export const make: (
  session: WorkerSession,
  limits: { readonly maximumBytes: number }
) => Effect.Effect<Reporter, never, Scope.Scope> = Effect.fnUntraced(function* (session, { maximumBytes }) {
  const clock = yield* Clock.Clock
  const fork = yield* FiberSet.makeRuntime<never>()
  const dirty = new Map<Delivery, ProgressUpdate>()
  let publishing = false

  // One call after the other: whoever publishes knows then that what was under way has arrived, and what is tried
  // again cannot overtake what is newer.
  const inTurn = yield* Semaphore.make(1)

  // What could not be published, or whose handler was interrupted meanwhile, stays to be published, unless something
  // newer came.
  const publish: Effect.Effect<void, StoreError> = inTurn.withPermit(
    Effect.suspend(() => {
      const updates = [...dirty]
      dirty.clear()
      if (updates.length === 0) return Effect.void
      return Effect.onError(session.progress(updates.map(([, update]) => update)), () =>
        Effect.sync(() => {
          for (const [run, update] of updates) if (!dirty.has(run)) dirty.set(run, update)
        })
      )
    })
  )

  const sync = failWith(publish)

  // The first change goes out at once, the others at intervals, until there is nothing to publish.
  const publishAll: Effect.Effect<void> = Effect.gen(function* () {
    while (dirty.size > 0) {
      // The worker's other calls report that the store is away; progress is tried again.
      yield* Effect.ignore(publish)
      yield* Effect.sleep(publishInterval)
    }
  }).pipe(
    Effect.ensuring(
      Effect.sync(() => {
        publishing = false
      })
    )
  )

  const changed = (run: Delivery, update: ProgressUpdate) => {
    dirty.set(run, update)
    if (publishing) return
    publishing = true
    fork(publishAll)
  }

  const start = (delivery: Delivery): RunProgress => {
    const { generation, key, lease, task } = delivery
    let state: ProgressState = { current: 0, total: 100, message: undefined, updated: undefined }
    let reported = false

    const change = (fields: Partial<ProgressState>) => {
      reported = true
      state = { ...state, ...fields, updated: DateTime.makeUnsafe(clock.currentTimeMillisUnsafe()) }
      const { current, message, total } = state
      changed(delivery, { key, generation, lease, current, total, message })
    }

    return {
      service: {
        setTotal: (total) =>
          total >= 1 && Number.isFinite(total)
            ? Effect.sync(() => change({ total }))
            : Effect.die(new RangeError(`A progress needs a finite total of at least 1; it was ${total}`)),
        increment: (amount = 1) =>
          Effect.suspend(() => {
            const current = state.current + amount
            return amount >= 1 && Number.isFinite(current)
              ? Effect.sync(() => change({ current }))
              : Effect.die(
                  new RangeError(`A progress stays finite, and is incremented by at least 1; it was ${amount}`)
                )
          }),
        setMessage: (message) => {
          const tooLarge = Size.check(maximumBytes, task, "progress message", message)
          return tooLarge === undefined
            ? Effect.sync(() => change({ message }))
            : Effect.fail(new DocketError({ reason: tooLarge }))
        },
        current: Effect.sync(() => state),
        sync
      },
      reported: () => reported,
      flush: Effect.suspend(() =>
        reported
          ? Effect.ensuring(
              Effect.ignore(publish),
              Effect.sync(() => dirty.delete(delivery))
            )
          : Effect.void
      )
    }
  }

  return { start }
})
