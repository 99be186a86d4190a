/**
 * The docket of a test: in memory, with a history of what happened, and workers that crash where they are told to.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Scheduler from "effect/Scheduler"
import * as Scope from "effect/Scope"
import * as Dockets from "../../Docket.ts"
import { Docket } from "../../Docket.ts"
import type { DocketError } from "../../DocketError.ts"
import type { ExecutionEvent } from "../../Execution.ts"
import { CurrentWorker } from "../../TaskContext.ts"
import type * as Worker from "../../Worker.ts"
import { failWith } from "../docket/docketError.ts"
import * as Info from "../docket/info.ts"
import * as Life from "./life.ts"

/** A docket, and what a test has beside it. */
export interface Made {
  readonly docket: Docket["Service"]
  readonly test: Surroundings
}

/** What a test has beside its docket. */
export interface Surroundings {
  readonly history: Effect.Effect<ReadonlyArray<ExecutionEvent>>
  readonly crashAt: (call: Life.StoreCall, options: Life.CrashOptions) => Effect.Effect<void>
  /**
   * What `advance` has its workers from; of no use to a test. They start one after the other: when one crashes, the next
   * takes over. After `retire` they take nothing more; what still runs goes on as time passes, until the test ends.
   */
  readonly employ: <R>(
    start: (name: string) => Effect.Effect<Worker.Worker["Service"], DocketError, R>
  ) => Effect.Effect<Employment, DocketError, Exclude<R, Scope.Scope>>
}

/**
 * Workers of a test.
 *
 * @category models
 * @since 0.1.0
 */
export interface Employment {
  /** Completes when nothing goes on any more but as time passes. */
  readonly awaitRest: Effect.Effect<void>
  /** When something next goes on, epoch milliseconds; infinite for never. */
  readonly nextWake: () => number
  readonly retire: Effect.Effect<void>
}

/** A test looks at results and records whenever it likes. */
const kept = "36500 days"

/** A docket in memory, and what a test has beside it. */
export const make: Effect.Effect<Made, DocketError, Scope.Scope> = Effect.gen(function* () {
  const bare = yield* Dockets.makeMemory({ executionTtl: kept, failedTtl: kept })
  const scope = yield* Effect.scope
  const lives = new Map<string, Life.Life>()
  const crashes = new Set<Life.Crash>()

  const employed = new Set<() => Life.Life>()

  /**
   * Lets the workers of `advance` run what somebody else makes due: a fiber of the test, or a run that an earlier worker
   * began. The clock of a test waits for those whom it woke, as long as they are busy; so what is due now runs before
   * time goes on.
   */
  const othersRest = <A, E, R>(life: Life.Life | undefined, call: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.suspend(() => {
      const present = Array.from(employed, (current) => current())
      if (present.length === 0 || (life !== undefined && present.includes(life))) return call
      return Effect.gen(function* () {
        const calling = yield* Effect.forkChild(call)
        while (calling.pollUnsafe() === undefined) yield* Effect.yieldNow
        yield* Effect.forEach(present, ({ awaitRest }) => awaitRest, { discard: true })
        return yield* Fiber.join(calling)
      })
    })

  const docket = withCalls(bare, (call, effect) =>
    Effect.flatMap(Effect.serviceOption(CurrentWorker), (worker) => {
      const life = Option.isSome(worker) ? lives.get(worker.value.name) : undefined
      return othersRest(life, life === undefined || call === undefined ? effect : life.through(call, effect))
    })
  )

  const feed = yield* failWith(bare.store.watchAll)
  const past: Array<ExecutionEvent> = []
  const history = Effect.gen(function* () {
    for (const event of yield* Queue.clear(feed)) {
      if (event._tag === "Changed") past.push(Info.stateChanged(event))
      if (event._tag === "Progressed") past.push(Info.progressChanged(event.key, event))
    }
    return past.slice()
  })

  const employ: Surroundings["employ"] = Effect.fnUntraced(function* <R>(
    start: (name: string) => Effect.Effect<Worker.Worker["Service"], DocketError, R>
  ) {
    const clock = yield* Clock.Clock
    const scheduler = yield* Scheduler.Scheduler

    const hire = Effect.gen(function* () {
      const life: Life.Life = Life.begin({
        clock,
        scheduler,
        store: bare.store,
        crashes,
        settling: (call) => othersRest(life, call)
      })
      const name = `worker-${lives.size + 1}`
      lives.set(name, life)
      const place = yield* Scope.make()
      // Nobody tidies up after a worker that has crashed.
      const leave = Effect.suspend(() => (life.isOver() ? Effect.void : Scope.close(place, Exit.void)))
      yield* Scope.addFinalizer(scope, leave)
      const worker = yield* start(name).pipe(
        Effect.provideService(Docket, { ...docket, store: life.store }),
        Scope.provide(place),
        Effect.provideService(Clock.Clock, life.clock),
        Effect.provideService(Scheduler.Scheduler, life.scheduler)
      )
      return { life, retire: Effect.andThen(worker.drain, leave) }
    })

    let current = yield* hire
    const replace = Effect.gen(function* () {
      yield* current.life.awaitDeath
      current = yield* hire
    })
    const presence = () => current.life
    employed.add(presence)
    yield* Scope.addFinalizer(
      scope,
      Effect.sync(() => employed.delete(presence))
    )
    const replacing = yield* replace.pipe(Effect.orDie, Effect.forever, Effect.forkIn(scope))
    return {
      awaitRest: Effect.suspend(() => current.life.awaitRest),
      nextWake: () => current.life.nextWake(),
      retire: Effect.suspend(() => {
        employed.delete(presence)
        return Effect.andThen(Fiber.interrupt(replacing), Effect.forkIn(current.retire, scope))
      })
    }
  })

  yield* Effect.addFinalizer(() => {
    const [missed] = crashes
    return missed === undefined
      ? Effect.void
      : Effect.die(new Error(`No worker crashed ${missed.when} a "${missed.call}" call: the test made too few of them`))
  })

  return {
    docket,
    test: {
      history,
      crashAt: (call, { nth = 1, when }) => Effect.sync(() => void crashes.add({ call, when, left: nth - 1 })),
      employ
    }
  }
})

/** The docket with something around each of its calls that can make something due; those that handlers make have a name. */
const withCalls = (
  docket: Docket["Service"],
  through: <A, E>(call: Life.StoreCall | undefined, effect: Effect.Effect<A, E>) => Effect.Effect<A, E>
): Docket["Service"] => ({
  ...docket,
  add: (task, ...args) => through("schedule", docket.add(task, ...args)),
  addAll: (requests) => through("schedule", docket.addAll(requests)),
  addNamed: (task, payload, options) => through("schedule", docket.addNamed(task, payload, options)),
  replace: (task, ...args) => through("schedule", docket.replace(task, ...args)),
  cancel: (key) => through("cancel", docket.cancel(key)),
  restore: (options) => through(undefined, docket.restore(options)),
  resume: (task) => through(undefined, docket.resume(task)),
  failed: { ...docket.failed, retry: (filter) => through(undefined, docket.failed.retry(filter)) }
})
