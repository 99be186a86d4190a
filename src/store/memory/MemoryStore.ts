/**
 * The store in the memory of this process: for tests, and for work that may end with the process.
 *
 * **Details**
 *
 * It keeps plain data, on Effect's clock: `TestClock` drives everything that waits or expires. It runs no fibers and no
 * timers. Each operation is one synchronous step.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import * as DocketStore from "../../DocketStore.ts"
import type * as Strike from "../../Strike.ts"
import * as Events from "./Events.ts"
import * as Executions from "./Executions.ts"
import * as Operations from "./Operations.ts"
import * as Overview from "./Overview.ts"
import * as Wakeups from "./Wakeups.ts"

/**
 * Makes a store with data of its own, which end with it.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (options: DocketStore.StoreOptions): Effect.Effect<DocketStore.DocketStore["Service"]> =>
  Effect.sync(() => fromDocket(makeDocket(), options))

/**
 * The memories of this process by URL, each for as long as someone has it open.
 *
 * @category references
 * @since 0.1.0
 */
export const Memories: Context.Reference<Map<string, Memory>> = Context.Reference(
  "effect-docket/MemoryStore/Memories",
  {
    defaultValue: () => new Map()
  }
)

/**
 * What is behind one memory URL.
 *
 * @category models
 * @since 0.1.0
 */
export interface Memory {
  readonly dockets: Map<string, Docket>
  /** How many scopes have it open. */
  openings: number
}

/**
 * Opens a docket in the memory behind a URL: stores with equal URLs and names in this process share their data, others
 * share nothing. The data of a URL live until the last scope that opened it closes.
 *
 * @category constructors
 * @since 0.1.0
 */
export const makeShared: (
  url: string,
  options: DocketStore.StoreOptions
) => Effect.Effect<DocketStore.DocketStore["Service"], never, Scope.Scope> = Effect.fnUntraced(
  function* (url, options) {
    const memories = yield* Memories
    const place = placeOf(url)
    const memory = yield* Effect.acquireRelease(
      Effect.sync(() => {
        const memory = memories.get(place) ?? { dockets: new Map(), openings: 0 }
        memory.openings++
        memories.set(place, memory)
        return memory
      }),
      (memory) =>
        Effect.sync(() => {
          if (--memory.openings === 0) memories.delete(place)
        })
    )
    const docket = memory.dockets.get(options.name) ?? makeDocket()
    memory.dockets.set(options.name, docket)
    return fromDocket(docket, options)
  }
)

/**
 * The store of {@link makeShared}.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerShared = (url: string, options: DocketStore.StoreOptions): Layer.Layer<DocketStore.DocketStore> =>
  Layer.effect(DocketStore.DocketStore, makeShared(url, options))

/** The part of a URL that tells memories apart. */
const placeOf = (url: string) => {
  const parsed = URL.parse(url)
  return parsed === null ? url : `${parsed.host}${parsed.pathname}`.replace(/\/+$/, "")
}

/**
 * All that a docket consists of.
 *
 * @category models
 * @since 0.1.0
 */
export interface Docket {
  readonly executions: Executions.Executions
  readonly wakeups: Wakeups.Wakeups
  readonly sessions: Set<Session>
  /** What workers said of tasks. */
  readonly facts: Map<string, DocketStore.TaskFacts>
  /** Who is told of changes of the strikes. */
  readonly strikeFeeds: Set<Queue.Queue<void>>
}

interface Session extends Wakeups.Sleeper {
  readonly cancellations: Queue.Queue<DocketStore.Cancellation>
  isListed: boolean
}

const makeDocket = (): Docket => ({
  executions: Executions.make(),
  wakeups: Wakeups.make(),
  sessions: new Set(),
  facts: new Map(),
  strikeFeeds: new Set()
})

const fromDocket = (docket: Docket, options: DocketStore.StoreOptions): DocketStore.DocketStore["Service"] => {
  const { executions, facts, sessions, strikeFeeds, wakeups } = docket
  const run: Run = (operation) =>
    Effect.withFiber((fiber) => {
      const step = { now: fiber.getRef(Clock.Clock).currentTimeMillisUnsafe(), options }
      Executions.sweep(executions, step)
      const dueBefore = Executions.nextDue(executions)
      const wasEmpty = Executions.isEmpty(executions)
      const reply = operation(step)
      Wakeups.callForWork(wakeups, executions)
      if (Executions.nextDue(executions) < dueBefore) Wakeups.callForTime(wakeups, executions)
      if (!wasEmpty && Executions.isEmpty(executions)) Wakeups.callAll(wakeups)
      const { called } = wakeups
      if (called.length > 0) {
        wakeups.called = []
        // Whoever is woken goes on when this fiber rests, not in the middle of it.
        fiber.currentDispatcher.scheduleTask(() => called.forEach(({ latch }) => latch.openUnsafe()), 0)
      }
      return Effect.succeed(reply)
    })

  const cancel = (keys: ReadonlyArray<string>) =>
    run((step) => {
      for (const { generation, key, lease, worker } of Operations.cancel(executions, keys, step)) {
        for (const session of sessions) {
          if (session.worker.name === worker) Queue.offerUnsafe(session.cancellations, { key, generation, lease })
        }
      }
    })

  const changeStrikes = (change: (step: Executions.Step) => Strike.StrikeSet) =>
    run((step) => {
      const before = executions.strikes
      const strikes = change(step)
      if (strikes !== before) for (const feed of strikeFeeds) Queue.offerUnsafe(feed, undefined)
      return strikes
    })

  const isAlive = (name: string) =>
    Array.from(sessions).some(({ isListed, worker }) => isListed && worker.name === name)

  const read = (key: string, step: Executions.Step) => Option.fromUndefinedOr(Executions.lookup(executions, key, step))

  const feed = (follow: (feed: Events.Feed) => void, unfollow: (feed: Events.Feed) => void) =>
    Effect.acquireRelease(
      Effect.map(Queue.unbounded<DocketStore.ExecutionEvent>(), (feed) => {
        follow(feed)
        return feed
      }),
      (feed) =>
        Effect.sync(() => {
          unfollow(feed)
          Queue.shutdownUnsafe(feed)
        })
    )

  return DocketStore.DocketStore.of({
    schedule: (requests, strikes) => run((step) => Operations.schedule(executions, requests, strikes, step)),
    strikes: run(() => executions.strikes),
    strike: (strike) => changeStrikes(() => Operations.strike(executions, strike)),
    restore: (strikes) => changeStrikes((step) => Operations.restore(executions, strikes, step)),
    watchStrikes: Effect.acquireRelease(
      Effect.map(Queue.unbounded<void>(), (feed) => {
        strikeFeeds.add(feed)
        return feed
      }),
      (feed) =>
        Effect.sync(() => {
          strikeFeeds.delete(feed)
          Queue.shutdownUnsafe(feed)
        })
    ),
    ahead: (key) => run((step) => Overview.ahead(executions, key, step)),
    cancel,
    clear: run((step) => Operations.clear(executions, step)),
    read: (keys) =>
      run((step) =>
        keys.map((key) => Option.map(read(key, step), (entry) => Overview.toRecord(executions, entry, step)))
      ),
    attempts: (key) =>
      run((step) => Option.match(read(key, step), { onNone: () => [], onSome: (entry) => Array.from(entry.attempts) })),
    watch: (key) =>
      feed(
        (feed) => Events.follow(executions.events, key, feed),
        (feed) => Events.unfollow(executions.events, key, feed)
      ),
    watchAll: feed(
      (feed) => executions.events.all.add(feed),
      (feed) => executions.events.all.delete(feed)
    ),
    runs: (key) =>
      run((step) => Option.match(read(key, step), { onNone: () => [], onSome: ({ runs }) => Array.from(runs) })),
    failedChains: (limit) => run((step) => Overview.failedChains(executions, limit, step)),
    failed: (page) => run((step) => Overview.failed(executions, page, step)),
    retryFailed: (keys, strikes) => run((step) => Operations.retryFailed(executions, keys, strikes, step)),
    undoRetry: (retries) => run((step) => Operations.undoRetry(executions, retries, step)),
    discardFailed: (keys) => run((step) => Operations.discardFailed(executions, keys, step)),
    silentWorkers: run(() => Overview.silentWorkers(executions, isAlive)),
    forgetWorker: (name) => run((step) => (isAlive(name) ? undefined : Operations.takeFrom(executions, name, step))),
    facts: (tasks) =>
      run(() =>
        tasks === "all" ? new Map(facts) : new Map(Array.from(facts).filter(([task]) => tasks.includes(task)))
      ),
    depth: run(() => Executions.depth(executions)),
    snapshot: (limit) => run((step) => Overview.snapshot(executions, limit, step)),
    workers: run(({ now }) =>
      Array.from(sessions)
        .filter(({ isListed }) => isListed)
        .map(({ worker: { name, tasks } }) => ({
          name,
          // It is in this process, and alive as long as its session.
          lastSeen: now,
          tasks: tasks === "any" ? ["*"] : Array.from(tasks).toSorted()
        }))
        .toSorted((a, b) => (a.name < b.name ? -1 : 1))
    ),
    open: (worker) => open(docket, worker, run)
  })
}

/** Runs an operation in one step, and wakes whom it made work for. */
type Run = <A>(operation: (step: Executions.Step) => A) => Effect.Effect<A>

const open = Effect.fnUntraced(function* (
  { executions, facts, sessions, wakeups }: Docket,
  worker: DocketStore.WorkerOptions,
  run: Run
): Effect.fn.Return<DocketStore.WorkerSession, never, Scope.Scope> {
  const session = yield* Effect.acquireRelease(
    Effect.map(Queue.unbounded<DocketStore.Cancellation>(), (cancellations) => {
      const session: Session = { worker, toldDue: Number.POSITIVE_INFINITY, cancellations, isListed: true }
      sessions.add(session)
      for (const [task, said] of worker.facts) facts.set(task, said)
      return session
    }),
    (session) =>
      Effect.andThen(
        run(() => {
          sessions.delete(session)
          Wakeups.forget(wakeups, session)
        }),
        Queue.shutdown(session.cancellations)
      )
  )

  yield* run((step) => Operations.tell(executions, worker, step))

  const nextDueMillis = (step: Executions.Step) => {
    session.toldDue = Executions.nextDue(executions)
    return Operations.nextDueMillis(executions, step)
  }

  return {
    exchange: (request) =>
      run((step) => {
        wakeups.woken.delete(session)
        const reply = Operations.exchange(executions, worker, request, step)
        return { ...reply, nextDueMillis: nextDueMillis(step) }
      }),
    awaitWork: Effect.uninterruptibleMask((restore) =>
      Effect.flatMap(
        run((step) =>
          Wakeups.hasWork(executions, worker, step) || Wakeups.isOutdated(executions, session)
            ? undefined
            : Wakeups.wait(wakeups, session)
        ),
        (waiter) =>
          waiter === undefined
            ? Effect.void
            : Effect.onInterrupt(restore(waiter.latch.await), () =>
                // Whoever was called and does not come is not counted, so that this step calls another.
                run(() => {
                  if (!wakeups.waiters.delete(waiter)) wakeups.woken.delete(session)
                })
              )
      )
    ),
    renew: (leases) =>
      run((step) => {
        wakeups.woken.delete(session)
        return leases.map((lease) => Operations.renew(executions, worker, lease, step))
      }),
    progress: (updates) =>
      run((step) => {
        for (const update of updates) Operations.report(executions, update, step)
      }),
    needsHeartbeat: false,
    heartbeat: run((step) => ({
      reclaimed: Operations.reclaimExpired(executions, step),
      work: Wakeups.hasWork(executions, worker, step),
      nextDueMillis: nextDueMillis(step),
      // Exchanges take back what has expired, and come in time for it.
      nextExpiryMillis: undefined,
      depth: Executions.depth(executions),
      failedChains: Overview.chainsThatFailed(executions).length
    })),
    leave: run(() => {
      session.isListed = false
      wakeups.woken.delete(session)
    }),
    cancellations: session.cancellations,
    // There is no connection to lose.
    reconnected: Effect.never
  }
})
