/**
 * The heart of a worker: settles what has finished and claims what comes next, both in one round trip.
 *
 * Three lanes take turns, so that the store works on an exchange while the executions of another one run, and a third is
 * on its way. Each claims at most a third of the slots; what finishes meanwhile is settled by whichever lane is free next,
 * so a busy worker needs few round trips and a quiet one answers at once. When an exchange brings less than was asked for,
 * the worker is idle: it waits for the store's wake-up or for the next due time, and asks nothing until then. Then one
 * lane asks first, and the others join it when there is more than it can take.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Latch from "effect/Latch"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import type {
  Cancellation,
  Delivery,
  ExchangeReply,
  HeartbeatReply,
  Outcome,
  Settlement,
  WorkerSession
} from "../../DocketStore.ts"
import type { Bounds } from "./bounds.ts"
import type { WorkerMetrics } from "../../observability/Metrics.ts"
import type { KnownStrikes } from "../docket/knownStrikes.ts"
import type { Judgement } from "./judgement.ts"
import type { Registry } from "./registry.ts"
import type { Outage } from "../docket/outage.ts"
import * as RunLog from "./runLog.ts"
import * as Monotonic from "./monotonic.ts"
import type { End } from "./run.ts"
import type { Runs } from "./runs.ts"
import { makeUnknownTasks } from "./unknownTasks.ts"
import type { Vitals } from "./vitals.ts"

/** What the parts of a worker tell the intake, and ask of it. */
export interface Intake {
  /** Takes the end of a run. */
  readonly finish: (end: End) => void
  /** Looks at what a heartbeat brought. */
  readonly heard: (reply: HeartbeatReply) => Effect.Effect<void>
  /** Takes nothing more from now on. */
  readonly close: Effect.Effect<void>
  /** What has ended and is to be settled. */
  readonly unsettled: () => ReadonlyArray<Delivery>
  /** Completes while something runs, or is to be settled. */
  readonly awaitHeld: Effect.Effect<void>
  /** Completes when nothing runs and everything is settled. */
  readonly awaitEmpty: Effect.Effect<void>
  /** Completes when nothing runs, everything is settled, and the store had nothing more to hand out. */
  readonly awaitIdle: Effect.Effect<void>
  /** Completes when the worker looks for work again. */
  readonly awaitBusy: Effect.Effect<void>
}

type Ended = End & {
  readonly outcome: Outcome
  /** Whether it was no run: the store asked about an execution. */
  readonly asked?: true
}

interface Options {
  readonly session: WorkerSession
  readonly concurrency: number
  /** Begins the ids of this worker's leases; unique among workers. */
  readonly leasePrefix: string
  readonly outage: Outage
  readonly bounds: Bounds
  readonly metrics: WorkerMetrics
  readonly registry: Pick<Registry, "lacks" | "isEarlier">
  readonly strikes: KnownStrikes
  readonly judgement: Pick<Judgement, "determine">
  readonly runs: Pick<Runs, "start" | "cancel" | "size">
  readonly vitals: Pick<Vitals, "expect" | "loop">
}

/** Starts the lanes; they stop when the scope closes. */
export const make: (options: Options) => Effect.Effect<Intake, never, Scope.Scope> = Effect.fnUntraced(function* ({
  bounds,
  concurrency,
  judgement,
  leasePrefix,
  metrics,
  outage,
  registry,
  runs,
  session,
  strikes,
  vitals
}) {
  const clock = yield* Clock.Clock
  const unknownTasks = makeUnknownTasks()
  const lanes = Math.min(3, concurrency)
  const largestTake = Math.ceil(concurrency / lanes)

  let finished: Array<Ended> = []
  /** What the exchanges under way settle. */
  const settling = new Set<ReadonlyArray<Ended>>()
  /** Slots for which an exchange under way may bring an execution. */
  let claiming = 0
  let exchanging = 0
  let exchanges = 0
  /**
   * What is known of the store's work: nobody has asked since the worker was woken, someone has, there was all that was
   * asked for, or less.
   */
  let supply: "unknown" | "asked" | "plenty" | "exhausted" = "unknown"
  const isIdle = () => supply === "exhausted"
  let open = true
  let nextDue: number | undefined = undefined

  /** Open while a lane may find something to do. */
  const bell = yield* Latch.make(true)
  /** Opened to make the idle worker look at its wait again. */
  const retime = yield* Latch.make(false)
  /** Opened when nothing more is to be taken: what only asks for work is then not asked again. */
  const closed = yield* Latch.make(false)
  const empty = yield* Latch.make(true)
  const quiet = yield* Latch.make(false)
  const busy = yield* Latch.make(true)
  /** Open while something runs, or is to be settled. */
  const held = yield* Latch.make(false)

  const free = () => concurrency - runs.size() - claiming
  /** Whether a lane that has nothing to settle may ask for work. */
  const mayAsk = () => open && free() > 0 && (supply === "unknown" || supply === "plenty")
  /** Brings the latches in line with the state; called after each change of it. */
  const changed = () => {
    const settled = runs.size() === 0 && finished.length === 0 && exchanging === 0
    set(empty, settled)
    set(quiet, settled && isIdle())
    set(busy, !isIdle())
    set(held, runs.size() > 0 || finished.length > 0 || settling.size > 0)
    if (finished.length > 0 || mayAsk()) bell.openUnsafe()
  }

  const wake = Effect.sync(() => {
    supply = "unknown"
    changed()
  })

  const exchange = Effect.fnUntraced(function* (lease: string, batch: typeof finished, take: number) {
    const settlements = batch.map(settlementOf)
    let resent = false
    let asked = 0
    const answered = vitals.expect("The store's answer to a request for work", 0)
    const reply = yield* outage.untilAnswered(
      (failures) => {
        resent = failures > 0
        asked = Monotonic.now(clock)
        return session.exchange({ lease, resent, finished: settlements, take, strikes: strikes.current().version })
      },
      session.reconnected,
      settlements.length === 0 ? Effect.as(closed.await, nothing) : Effect.never
    )
    answered()
    if (reply.strikes !== undefined) yield* strikes.update(reply.strikes)
    for (const line of linesOf(batch, reply, resent)) yield* line
    if (reply.unknown.length + reply.dropped.length + reply.exhausted.length > 0) yield* reportTaken(reply)
    const answers: Array<Ended> = []
    for (const delivery of reply.undetermined) {
      const outcome = yield* judgement.determine(delivery)
      answers.push({ delivery, outcome, reported: false, asked: true })
    }
    return { reply, asked, answers }
  })

  /**
   * The leases that the exchanges under way may grant, with the keys of those that were cancelled meanwhile: cancellations
   * and deliveries travel on different connections.
   */
  const granting = new Map<string, Set<string>>()
  const hear = (cancellation: Cancellation) => {
    granting.get(cancellation.lease)?.add(cancellation.key)
    runs.cancel(cancellation)
  }
  const hearAll = () => {
    for (;;) {
      const next = Queue.takeUnsafe(session.cancellations)
      if (next === undefined || Exit.isFailure(next)) return
      hear(next.value)
    }
  }

  /** Starts a run, unless something keeps it from starting: gives the outcome then. */
  const begin = (delivery: Delivery, asked: number): Outcome | undefined => {
    hearAll()
    if (granting.get(delivery.lease)?.has(delivery.key) === true) return { _tag: "Cancelled" }
    if (!open) return { _tag: "Released" }
    const needs = registry.lacks(delivery.task, delivery.payload)
    if (needs !== undefined) return { _tag: "Unreadable", needs }
    if (!bounds.admit(delivery.key)) return { _tag: "Cancelled" }
    runs.start(delivery, asked)
    return undefined
  }

  const lane = Effect.gen(function* () {
    while (true) {
      yield* bell.await
      const batch = finished
      // An idle worker that settles anyway asks for more in the same call.
      const take = open && (batch.length > 0 || mayAsk()) ? Math.max(0, Math.min(free(), largestTake)) : 0
      if (batch.length === 0 && take === 0) {
        bell.closeUnsafe()
        continue
      }
      finished = []
      if (take > 0 && supply === "unknown") supply = "asked"
      claiming += take
      exchanging++
      if (batch.length > 0) settling.add(batch)
      const lease = `${leasePrefix}-${++exchanges}`
      granting.set(lease, new Set())
      const { answers, asked, reply } = yield* exchange(lease, batch, take)
      // From here on in one step: whoever looks meanwhile would not find what came with the reply.
      exchanging--
      settling.delete(batch)
      claiming -= take
      nextDue = reply.nextDueMillis === undefined ? undefined : Monotonic.now(clock) + reply.nextDueMillis
      if (take > 0) {
        // One that was woken meanwhile may have been woken for what this exchange came too early for.
        if (reply.deliveries.length + reply.undetermined.length === take) supply = "plenty"
        else if (supply !== "unknown") supply = "exhausted"
      }
      finished.push(...answers)
      for (const delivery of reply.deliveries) {
        const refusal = open ? yield* refusalOf(delivery) : undefined
        const outcome = refusal ?? begin(delivery, asked)
        if (outcome !== undefined) finished.push({ delivery, outcome, reported: false })
      }
      granting.delete(lease)
      changed()
      if (isIdle()) retime.openUnsafe()
    }
  })

  // Who scheduled it in an earlier version of its payload cannot have judged what that is in this one.
  const refusalOf = (delivery: Delivery): Effect.Effect<Outcome | undefined> =>
    strikes.current().strikes.length === 0 || !registry.isEarlier(delivery.task, delivery.payload)
      ? noRefusal
      : Effect.map(judgement.determine(delivery), (outcome) =>
          outcome._tag === "Cancelled" || outcome._tag === "Held" ? outcome : undefined
        )

  /** Counts what was settled; gives the lines to log about it. */
  const linesOf = (
    batch: typeof finished,
    reply: ExchangeReply,
    resent: boolean
  ): ReadonlyArray<Effect.Effect<void>> => {
    const lines: Array<Effect.Effect<void>> = []
    for (let i = 0; i < batch.length; i++) {
      const status = reply.settled[i]
      const { asked, outcome } = batch[i]!
      if (asked === true) continue
      const hasNext = (outcome._tag === "Completed" || outcome._tag === "Failed") && outcome.next !== undefined
      if (status === "applied" && hasNext) metrics.perpetuated(batch[i]!.delivery.task)
      if (status === "superseded") metrics.superseded(batch[i]!.delivery.task, hasNext ? "on_complete" : "worker")
      // A settlement that was sent again may find that the first sending arrived.
      if (status === "applied" || (status === "lost" && resent)) continue
      const { call, delivery } = batch[i]!
      const run = call?.() ?? RunLog.describe(delivery, undefined, undefined)
      const line =
        status === "superseded"
          ? Effect.logInfo(`↬ ${run} was superseded while it ran`)
          : Effect.logWarning(`✗ ${run} ended after its lease had passed to another worker; its outcome was dropped`)
      lines.push(Effect.annotateLogs(line, RunLog.annotations(delivery)))
    }
    return lines
  }

  const reportTaken = Effect.fnUntraced(function* (reply: ExchangeReply) {
    for (const unknown of reply.unknown) yield* unknownTasks.report(unknown)
    for (const { key, task } of reply.dropped)
      yield* Effect.logInfo(`${task}{${key}} was dropped by a control of its task`)
    for (const { deliveries, key, task } of reply.exhausted) {
      yield* Effect.logError(
        `${task}{${key}} was delivered ${deliveries} times without ending, and failed: does it take its process down?`
      ).pipe(Effect.annotateLogs({ "docket.task": task, "docket.key": key }))
    }
  })

  // Waits for work only while there are slots for it, so that a wake-up goes to a worker that can use it.
  const waiter = Effect.gen(function* () {
    while (true) {
      yield* retime.await
      retime.closeUnsafe()
      if (!isIdle() || !open || free() <= 0) continue
      const work = outage.untilAnswered(() => session.awaitWork, session.reconnected)
      const due =
        nextDue === undefined
          ? Effect.never
          : Effect.sleep(Duration.millis(Math.max(0, nextDue - Monotonic.now(clock))))
      // Whatever comes first wakes a lane at once, before the others have stopped.
      const wakes = [work, due, session.reconnected].map((cause) => Effect.andThen(cause, wake))
      yield* Effect.raceAllFirst([...wakes, retime.await])
    }
  })

  yield* vitals.loop("The wait for work", waiter)
  yield* vitals.loop(
    "The loop that listens for cancellations",
    Effect.forever(Effect.map(Queue.take(session.cancellations), hear))
  )
  for (let i = 0; i < lanes; i++) {
    yield* vitals.loop("The loop that takes work", lane)
  }

  return {
    finish: (end) => {
      if (end.outcome !== undefined) finished.push({ ...end, outcome: bounds.limit(end.delivery.key, end.outcome) })
      changed()
      if (isIdle()) retime.openUnsafe()
    },
    heard: Effect.fnUntraced(function* ({ misplaced = [], nextDueMillis, notices = [], repaired = 0, work }) {
      for (const notice of notices) yield* Effect.logWarning(notice)
      if (misplaced.length > 0) {
        const places = misplaced.slice(0, 5).join(", ") + (misplaced.length > 5 ? ", …" : "")
        yield* Effect.logError(
          `Something else was found in the place of the store's own data, and put aside: ${places}`
        )
      }
      if (repaired > 0) {
        yield* Effect.logWarning(`${repaired} executions were missing from the store's lists, and are back`)
      }
      // When what was scheduled is gone, there may be nothing left to wait for at all.
      if (work || (nextDue !== undefined && nextDueMillis === undefined)) supply = "unknown"
      nextDue = nextDueMillis === undefined ? undefined : Monotonic.now(clock) + nextDueMillis
      changed()
      if (isIdle()) retime.openUnsafe()
    }),
    close: Effect.sync(() => {
      open = false
      closed.openUnsafe()
      changed()
      retime.openUnsafe()
    }),
    unsettled: () =>
      [finished, ...settling]
        .flat()
        .filter(({ asked }) => asked !== true)
        .map(({ delivery }) => delivery),
    awaitHeld: held.await,
    awaitEmpty: empty.await,
    awaitIdle: quiet.await,
    awaitBusy: busy.await
  }
})

const nothing: ExchangeReply = {
  settled: [],
  deliveries: [],
  undetermined: [],
  strikes: undefined,
  dropped: [],
  nextDueMillis: undefined,
  unknown: [],
  exhausted: []
}

const noRefusal = Effect.succeed(undefined)

const set = (latch: Latch.Latch, open: boolean) => {
  if (open) latch.openUnsafe()
  else latch.closeUnsafe()
}

const settlementOf = ({ delivery, outcome, reported }: Ended): Settlement => ({
  key: delivery.key,
  generation: delivery.generation,
  lease: delivery.lease,
  reported,
  outcome
})
