/**
 * The life of a worker in a test: how it can be watched until it rests, and how it dies.
 *
 * **Details**
 *
 * A worker that dies stops in the middle, as a process does: nothing that it began goes on, no finalizer runs, and the
 * store hears nothing more of it. Its fibers are left where they are; nothing refers to them any more.
 */
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Latch from "effect/Latch"
import * as Scheduler from "effect/Scheduler"
import * as Scope from "effect/Scope"
import type { DocketStore, WorkerSession } from "../../DocketStore.ts"

/**
 * What a worker asks of the store, and a handler of the docket:
 *
 * - `claim`: the worker asks for executions, and some are due;
 * - `settle`: it writes how runs ended;
 * - `renew`: it renews the leases of what runs;
 * - `progress`: it writes what handlers reported;
 * - `schedule`: a handler adds or replaces executions;
 * - `cancel`: a handler cancels an execution.
 *
 * @category models
 * @since 0.1.0
 */
export type StoreCall = "claim" | "settle" | "renew" | "progress" | "schedule" | "cancel"

/**
 * When a worker crashes.
 *
 * @category options
 * @since 0.1.0
 */
export interface CrashOptions {
  /** `before`: the call does not reach the store. `after`: it took effect there, and the worker never heard so. */
  readonly when: "before" | "after"
  /** At which call of this kind, counted from now and over all workers. Default: the first. */
  readonly nth?: number | undefined
}

/** The call at which a worker is to die. */
export interface Crash extends Pick<CrashOptions, "when"> {
  readonly call: StoreCall
  /** How many more such calls it survives. */
  left: number
}

/** A life. */
export interface Life {
  readonly clock: Clock.Clock
  readonly scheduler: Scheduler.Scheduler
  readonly store: DocketStore["Service"]
  readonly isOver: () => boolean
  readonly awaitDeath: Effect.Effect<void>
  /** Makes a call to the store, or dies at it; a call that settles and claims is of both kinds. */
  readonly through: <A, E, R>(
    calls: StoreCall | ReadonlyArray<StoreCall>,
    effect: Effect.Effect<A, E, R>
  ) => Effect.Effect<A, E, R>
  /** Completes when nothing goes on any more but by the clock, or by what is outside of this process. */
  readonly awaitRest: Effect.Effect<void>
  /** When something next goes on by the clock, epoch ms; infinite for never. */
  readonly nextWake: () => number
}

// Steps of promises come between two turns of the event loop; a chain of a few is waited for.
const restfulTurns = 4

/** Begins a life. The crashes are shared by all lives of a test; one that has happened is removed. */
export const begin = (options: {
  readonly clock: Clock.Clock
  readonly scheduler: Scheduler.Scheduler
  readonly store: DocketStore["Service"]
  readonly crashes: Set<Crash>
  /** What is around a call that settles. */
  readonly settling: <A, E, R>(call: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
}): Life => {
  const { crashes } = options
  const death = Latch.makeUnsafe()
  const wakes = new Map<object, number>()
  let isOver = false
  let pending = 0
  let scheduled = 0
  let bury: Effect.Effect<void> = Effect.void

  const die = Effect.suspend(() => {
    isOver = true
    wakes.clear()
    death.openUnsafe()
    return Effect.andThen(Effect.provideService(bury, Scheduler.Scheduler, storeScheduler), Effect.never)
  })

  /** Every crash that waits for such a call counts it, also when another one comes first. */
  const crashAt = (calls: ReadonlyArray<StoreCall>): Crash | undefined => {
    const [first] = [...crashes].filter((crash) => calls.includes(crash.call) && crash.left-- <= 0)
    if (first !== undefined) crashes.delete(first)
    return first
  }

  const schedulerOf = (runs: () => boolean): Scheduler.Scheduler => ({
    executionMode: options.scheduler.executionMode,
    shouldYield: (fiber) => options.scheduler.shouldYield(fiber),
    makeDispatcher() {
      const dispatcher = options.scheduler.makeDispatcher()
      return {
        scheduleTask(task, priority) {
          pending++
          scheduled++
          dispatcher.scheduleTask(() => {
            pending--
            if (runs()) task()
          }, priority)
        },
        flush: () => dispatcher.flush()
      }
    }
  })
  const scheduler = schedulerOf(() => !isOver)
  const storeScheduler = schedulerOf(() => true)

  /** In the store, which wakes other workers, what was begun goes on after the death. */
  const inStore = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.suspend(() => (isOver ? Effect.never : Effect.provideService(effect, Scheduler.Scheduler, storeScheduler)))

  const through: Life["through"] = (calls, effect) =>
    Effect.suspend(() => {
      if (isOver) return Effect.never
      switch (crashAt([calls].flat())?.when) {
        case undefined:
          return inStore(effect)
        case "before":
          return die
        case "after":
          return Effect.andThen(inStore(effect), die)
      }
    })

  const sessionOf = (session: WorkerSession): WorkerSession => ({
    ...session,
    exchange: (request) => {
      const exchange = session.exchange(request)
      if (request.finished.length === 0 && request.take === 0) return inStore(exchange)
      // Only a call that finds something counts as a claim.
      const finds =
        request.take === 0 ? Effect.succeed(false) : Effect.map(inStore(session.heartbeat), ({ work }) => work)
      return Effect.flatMap(finds, (work) => {
        if (request.finished.length === 0) return work ? through("claim", exchange) : inStore(exchange)
        return options.settling(through(work ? ["settle", "claim"] : "settle", exchange))
      })
    },
    awaitWork: inStore(session.awaitWork),
    renew: (leases) => through("renew", session.renew(leases)),
    progress: (updates) => through("progress", session.progress(updates)),
    heartbeat: inStore(session.heartbeat),
    leave: inStore(session.leave)
  })

  const awaitRest = Effect.gen(function* () {
    let seen = -1
    for (let turns = 0; turns < restfulTurns; turns++) {
      if (pending > 0 || scheduled !== seen) turns = 0
      seen = scheduled
      yield* Effect.yieldNow
    }
  })

  return {
    clock: {
      ...options.clock,
      sleep: (duration) =>
        Effect.suspend(() => {
          if (isOver) return Effect.never
          const sleep = {}
          wakes.set(sleep, options.clock.currentTimeMillisUnsafe() + Duration.toMillis(duration))
          return options.clock
            .sleep(duration)
            .pipe(
              Effect.ensuring(Effect.sync(() => wakes.delete(sleep))),
              Effect.andThen(Effect.suspend(() => (isOver ? Effect.never : Effect.void)))
            )
        })
    },
    scheduler,
    store: {
      ...options.store,
      open: Effect.fnUntraced(function* (worker) {
        // A scope of its own, so that a store that a dead worker can no longer leave forgets it.
        const scope = yield* Scope.make()
        bury = Scope.close(scope, Exit.void)
        yield* Effect.addFinalizer(() => bury)
        return sessionOf(yield* Scope.provide(options.store.open(worker), scope))
      })
    },
    isOver: () => isOver,
    awaitDeath: death.await,
    through,
    awaitRest,
    nextWake: () => Math.min(...wakes.values())
  }
}
