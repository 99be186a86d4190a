/**
 * The store of a docket in a file: for one machine, and any number of its processes, without a server.
 *
 * **Details**
 *
 * A docket's time is the machine's, by Effect's `Clock`, so that a `TestClock` drives it like the store in memory. All
 * processes of the machine go by the same clock; `Step.begin` says what happens when it is set back.
 */
import * as Arr from "effect/Array"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Scope from "effect/Scope"
import { type InvalidRequest, StoreError } from "../../DocketError.ts"
import * as DocketStore from "../../DocketStore.ts"
import * as RealTime from "../../internal/realTime.ts"
import * as Bell from "./Bell.ts"
import * as Connection from "./Connection.ts"
import * as Database from "./Database.ts"
import * as Executions from "./Executions.ts"
import * as Followers from "./Followers.ts"
import * as Idle from "./Idle.ts"
import * as Location from "./Location.ts"
import * as Operations from "./Operations.ts"
import * as Overview from "./Overview.ts"
import * as Row from "./Row.ts"
import * as Session from "./Session.ts"
import * as Step from "./Step.ts"
import * as Transaction from "./Transaction.ts"
import * as Trouble from "./Trouble.ts"

/**
 * The stores that this process has open, for tests that want to know what they wait for.
 *
 * @category references
 * @since 0.1.0
 */
export const Openings: Context.Reference<Set<Idle.Idle>> = Context.Reference("effect-docket/SqliteStore/Openings", {
  defaultValue: () => new Set()
})

/**
 * What is done with each connection before it is used, for tests that make a file behave in some way.
 *
 * @category references
 * @since 0.1.0
 */
export const Prepare: Context.Reference<(sql: Connection.Connection) => void> = Context.Reference(
  "effect-docket/SqliteStore/Prepare",
  { defaultValue: (): ((sql: Connection.Connection) => void) => () => {} }
)

/** How many executions a transaction takes at most: a few milliseconds of work. */
const batchSize = 250

/**
 * Makes the store of a docket in the file at a URL. `Location.parse` says how that reads.
 *
 * @category constructors
 * @since 0.1.0
 */
export const makeUrl: (
  url: string,
  options: DocketStore.StoreOptions
) => Effect.Effect<DocketStore.DocketStore["Service"], InvalidRequest, Scope.Scope> = Effect.fnUntraced(
  function* (url, options) {
    const location = yield* Location.parse(url)
    const prepare = yield* Prepare
    const database = yield* Database.make(location, (sql) => {
      Step.create(sql, options.name)
      prepare(sql)
    })

    const run: Followers.Run = (operation, kind, body) =>
      Effect.withFiber((fiber) => {
        const clock = fiber.getRef(Clock.Clock)
        const writes = kind !== "read"
        return database.run({ operation, writes, isConfirmed: kind === "confirmed" }, (sql) => {
          const step = Step.begin(sql, options, clock.currentTimeMillisUnsafe(), RealTime.now(), writes)
          const reply = body(step)
          if (writes) Step.end(step)
          return reply
        })
      })

    const followers = yield* Followers.make(run)
    const idle = yield* Idle.make(run, followers)
    const openings = yield* Openings
    openings.add(idle)
    database.onCommit.add(idle.lookAfterCommit)
    database.onReopen.add(followers.startOver)
    yield* Effect.addFinalizer(() =>
      Effect.sync(() => {
        openings.delete(idle)
        database.onCommit.clear()
        database.onReopen.clear()
      })
    )
    const scope = yield* Effect.scope
    /** Hears of other processes, from when anyone in this one wants to. */
    const listen = yield* Effect.cached(Effect.provideService(Bell.make(database, idle.look), Scope.Scope, scope))

    const schedule = (requests: ReadonlyArray<DocketStore.ScheduleRequest>, strikes: string) =>
      run("DocketStore.schedule", "confirmed", (step) => Operations.schedule(step, requests, strikes))

    const scheduleMany = Effect.fnUntraced(function* (
      requests: ReadonlyArray<DocketStore.ScheduleRequest>,
      strikes: string
    ): Effect.fn.Return<DocketStore.ScheduleReply, StoreError> {
      const dispositions: Array<DocketStore.Disposition> = []
      const origins: Array<number> = []
      for (const batch of Arr.chunksOf(requests, batchSize)) {
        const reply = yield* schedule(batch, strikes)
        dispositions.push(...reply.dispositions)
        origins.push(...reply.origins)
        if (reply._tag === "StrikesChanged") return { ...reply, dispositions, origins }
      }
      return { _tag: "Scheduled", dispositions, origins }
    })

    /** Goes on until nothing waits. */
    const clearFurther = (before: number): Effect.Effect<number, StoreError> =>
      Effect.flatMap(run("DocketStore.clear", "confirmed", Operations.clear), (cleared) =>
        cleared < Executions.batch ? Effect.succeed(before + cleared) : clearFurther(before + cleared)
      )

    const inBatches = <A, B>(
      operation: string,
      kind: "read" | "confirmed",
      items: ReadonlyArray<A>,
      body: (step: Step.Step, batch: ReadonlyArray<A>) => ReadonlyArray<B>
    ): Effect.Effect<ReadonlyArray<B>, StoreError> =>
      items.length <= batchSize
        ? run(operation, kind, (step) => body(step, items))
        : Effect.map(
            Effect.forEach(Arr.chunksOf(items, batchSize), (batch) =>
              run(operation, kind, (step) => body(step, batch))
            ),
            Arr.flatten
          )

    const lookAfter = <A>(effect: Effect.Effect<A, StoreError>) => Effect.tap(effect, () => Effect.sync(idle.look))

    return DocketStore.DocketStore.of({
      schedule: (requests, strikes) =>
        requests.length <= batchSize ? schedule(requests, strikes) : scheduleMany(requests, strikes),
      scheduleWithin: (connection) => {
        const sql = Connection.make(connection)
        return (requests, strikes) =>
          Effect.withFiber((fiber) =>
            Effect.try({
              try: () => {
                const now = fiber.getRef(Clock.Clock).currentTimeMillisUnsafe()
                return Transaction.run({ location, database: connection, sql }, options, now, (step) =>
                  Operations.schedule(step, requests, strikes)
                )
              },
              catch: (cause) =>
                new StoreError({ operation: "DocketStore.schedule", ...Trouble.explain(location, cause) })
            })
          )
      },
      strikes: run("DocketStore.strikes", "read", Step.strikesOf),
      strike: (strike) => lookAfter(run("DocketStore.strike", "confirmed", (step) => Operations.strike(step, strike))),
      restore: (strikes) =>
        lookAfter(run("DocketStore.restore", "confirmed", (step) => Operations.restore(step, strikes))),
      watchStrikes: Effect.acquireRelease(
        Effect.gen(function* () {
          const feed = yield* Queue.unbounded<void>()
          yield* listen
          yield* run("DocketStore.watchStrikes", "read", (step) => {
            idle.noteStrikes(step)
            idle.strikeFeeds.add(feed)
          })
          return feed
        }),
        (feed) =>
          Effect.sync(() => {
            idle.strikeFeeds.delete(feed)
            Queue.shutdownUnsafe(feed)
          })
      ),
      ahead: (key) => run("DocketStore.ahead", "read", (step) => Overview.ahead(step, key)),
      cancel: (keys) =>
        lookAfter(
          Effect.asVoid(
            inBatches("DocketStore.cancel", "confirmed", keys, (step, batch) => {
              Operations.cancel(step, batch.map(asStored))
              return []
            })
          )
        ),
      clear: clearFurther(0),
      read: (keys) =>
        inBatches("DocketStore.read", "read", keys, (step, batch) =>
          batch.map((key) =>
            Option.map(Option.fromUndefinedOr(Row.lookup(step, asStored(key))), (row) => Overview.toRecord(step, row))
          )
        ),
      attempts: (key) =>
        run("DocketStore.attempts", "read", (step) => {
          const row = Row.lookup(step, asStored(key))
          return row === undefined ? [] : Operations.attemptsOf(row)
        }),
      watch: (key) => Effect.tap(followers.follow(key), () => listen),
      watchAll: Effect.tap(followers.follow(undefined), () => listen),
      runs: (key) =>
        run("DocketStore.runs", "read", (step) => {
          const row = Row.lookup(step, asStored(key))
          return row === undefined ? [] : Operations.runsOf(row)
        }),
      failedChains: (limit) => run("DocketStore.failedChains", "read", (step) => Overview.failedChains(step, limit)),
      failed: (page) => run("DocketStore.failed", "read", (step) => Overview.failed(step, page)),
      retryFailed: Effect.fnUntraced(function* (keys, strikes): Effect.fn.Return<DocketStore.RetryReply, StoreError> {
        const answers: Array<boolean> = []
        // Also without keys: the caller may know strikes that are in force no more.
        for (const batch of keys.length === 0 ? [[]] : Arr.chunksOf(keys, batchSize)) {
          const reply = yield* run("DocketStore.retryFailed", "confirmed", (step) =>
            Operations.retryFailed(step, batch.map(asStored), strikes)
          )
          answers.push(...reply.answers)
          if (reply._tag === "StrikesChanged") return { ...reply, answers }
        }
        return { _tag: "Retried", answers }
      }),
      undoRetry: (retries) =>
        inBatches("DocketStore.undoRetry", "confirmed", retries, (step, batch) =>
          Operations.undoRetry(
            step,
            batch.map((retried) => ({ ...retried, key: asStored(retried.key), error: asStored(retried.error) }))
          )
        ),
      discardFailed: (keys) =>
        inBatches("DocketStore.discardFailed", "confirmed", keys, (step, batch) =>
          Operations.discardFailed(step, batch.map(asStored))
        ),
      depth: run("DocketStore.depth", "read", Executions.depth),
      snapshot: (limit) => run("DocketStore.snapshot", "read", (step) => Overview.snapshot(step, limit)),
      silentWorkers: run("DocketStore.silentWorkers", "read", Operations.silentWorkers),
      forgetWorker: (name) =>
        lookAfter(run("DocketStore.forgetWorker", "confirmed", (step) => Operations.forgetWorker(step, name))),
      facts: (tasks) => run("DocketStore.facts", "read", (step) => Operations.facts(step, tasks)),
      workers: run("DocketStore.workers", "read", Operations.workers),
      open: (worker) => Effect.tap(Session.open({ run, idle, worker, reconnected: database.reconnected }), () => listen)
    })
  }
)

/**
 * The key of an execution as the file keeps it. It would get another character for each lone surrogate, and could be that of
 * another execution; none has an empty one.
 */
const asStored = (key: string): string => (key.isWellFormed() ? key : "")
