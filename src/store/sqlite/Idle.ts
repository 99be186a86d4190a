/**
 * Idle workers of this process, and what all of its workers have to hear of: requests to stop a run, and changes of the
 * strikes.
 *
 * **Details**
 *
 * Whoever adds work leaves a token in the row of the docket. A process with an idle worker takes it, and wakes that worker;
 * one that is gone takes none. A worker that leaves work behind leaves a token for the next.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberSet from "effect/FiberSet"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import type { StoreError } from "../../DocketError.ts"
import type * as DocketStore from "../../DocketStore.ts"
import type { Followers, Run } from "./Followers.ts"
import * as Operations from "./Operations.ts"
import type { Step } from "./Step.ts"

/** A worker of this process. */
export interface Sleeper {
  readonly worker: DocketStore.WorkerOptions
  readonly cancellations: Queue.Queue<DocketStore.Cancellation>
  /** The runs that it was asked to stop, by lease and key. */
  told: ReadonlySet<string>
  /** Whether it was woken, and has not looked for work yet. */
  isWoken: boolean
  /** Its place among those that wait, which it keeps until it looks for work. */
  turn: number | undefined
}

interface Waiter {
  readonly sleeper: Sleeper
  readonly done: Deferred.Deferred<void, StoreError>
  /** Whether it was seen that there is nothing for it. */
  isAsleep: boolean
}

export interface Idle {
  /** The workers whose sessions are open. */
  readonly sleepers: Set<Sleeper>
  /** Who is told of changes of the strikes. */
  readonly strikeFeeds: Set<Queue.Queue<void>>
  /** Takes note of the strikes in force: feeds are told of changes from then on. */
  readonly noteStrikes: (step: Step) => void
  /** Looks at what has changed, and tells whom it concerns. */
  readonly look: () => void
  /** The same after a transaction of this process: who waits for work or follows may be concerned. */
  readonly lookAfterCommit: () => void
  readonly awaitWork: (sleeper: Sleeper) => Effect.Effect<void, StoreError>
  /** Counts no more on a worker that goes: what it was woken for is left to another. */
  readonly forget: (sleeper: Sleeper) => Effect.Effect<void>
  /** How many workers wait for work. */
  readonly waiting: () => number
}

/** Makes what the workers of a store share. */
export const make: (run: Run, followers: Followers) => Effect.Effect<Idle, never, Scope.Scope> = Effect.fnUntraced(
  function* (run, followers) {
    const fork = yield* FiberSet.makeRuntime<never>()
    const sleepers = new Set<Sleeper>()
    const strikeFeeds = new Set<Queue.Queue<void>>()
    const waiters = new Set<Waiter>()
    let turns = 0
    let strikes = -1
    let isLooking = false
    let isLookDue = false

    const wake = (waiter: Waiter) => {
      waiters.delete(waiter)
      waiter.sleeper.isWoken = true
      Deferred.doneUnsafe(waiter.done, Exit.void)
    }

    const seen = run("DocketStore.awaitWork", "read", (step) => {
      followers.deliver(step)
      return {
        isToken: step.docket.token === 1,
        strikes: step.docket.strikesChanged,
        runs: Array.from(sleepers, (sleeper) => ({
          sleeper,
          runs: Operations.cancelledRunsOf(step, sleeper.worker.name)
        })),
        knowing: Array.from(waiters).filter(({ sleeper }) => Operations.isAnyAsideFor(step, sleeper.worker))
      }
    })

    const takeToken = run("DocketStore.awaitWork", "write", ({ docket }) => {
      const isThere = docket.token === 1
      docket.token = 0
      return isThere
    })

    const putTokenBack = Effect.ignore(
      run("DocketStore.awaitWork", "write", ({ docket }) => {
        docket.token = 1
      })
    )

    const lookOnce = Effect.gen(function* () {
      const present = Array.from(waiters)
      const found = yield* seen
      for (const { runs, sleeper } of found.runs) {
        const told = new Set<string>()
        for (const { generation, key, lease } of runs) {
          const name = `${lease} ${key}`
          told.add(name)
          if (!sleeper.told.has(name)) Queue.offerUnsafe(sleeper.cancellations, { key, generation, lease })
        }
        sleeper.told = told
      }
      if (found.strikes !== strikes) {
        if (strikes !== -1) for (const feed of strikeFeeds) Queue.offerUnsafe(feed, undefined)
        strikes = found.strikes
      }
      for (const waiter of found.knowing) if (waiters.has(waiter)) wake(waiter)
      if (found.isToken && waiters.size > 0 && (yield* takeToken)) {
        const first = Array.from(waiters).toSorted((a, b) => (a.sleeper.turn ?? 0) - (b.sleeper.turn ?? 0))[0]
        if (first === undefined) yield* putTokenBack
        else wake(first)
      }
      for (const waiter of present) waiter.isAsleep = true
    })

    const look = () => {
      isLookDue = true
      if (isLooking) return
      isLooking = true
      fork(
        Effect.suspend(() => {
          isLookDue = false
          return lookOnce
        }).pipe(
          Effect.catch((error) =>
            Effect.sync(() => {
              for (const { done } of waiters) Deferred.doneUnsafe(done, Exit.fail(error))
              waiters.clear()
            })
          ),
          Effect.repeat({ until: () => !isLookDue }),
          Effect.ensuring(
            Effect.sync(() => {
              isLooking = false
            })
          )
        )
      )
    }

    return {
      sleepers,
      strikeFeeds,
      noteStrikes: ({ docket }) => {
        if (strikes === -1) strikes = docket.strikesChanged
      },
      look,
      lookAfterCommit: () => {
        if (waiters.size > 0 || followers.isAny()) look()
      },
      awaitWork: (sleeper) =>
        Effect.suspend(() => {
          const waiter: Waiter = { sleeper, done: Deferred.makeUnsafe(), isAsleep: false }
          waiters.add(waiter)
          sleeper.turn ??= ++turns
          look()
          return Deferred.await(waiter.done).pipe(
            Effect.onInterrupt(() =>
              Effect.suspend(() => {
                if (waiters.delete(waiter) || !sleeper.isWoken) return Effect.void
                sleeper.isWoken = false
                return putTokenBack
              })
            )
          )
        }),
      forget: (sleeper) =>
        Effect.suspend(() => {
          sleepers.delete(sleeper)
          for (const waiter of waiters) if (waiter.sleeper === sleeper) waiters.delete(waiter)
          return sleeper.isWoken ? putTokenBack : Effect.void
        }),
      waiting: () => Array.from(waiters).filter(({ isAsleep }) => isAsleep).length
    }
  }
)
