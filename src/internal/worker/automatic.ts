/**
 * Schedules the tasks that nobody has to add, when a worker starts and whenever their chain was severed.
 */
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import type { StoreError } from "../../DocketError.ts"
import { type DocketStore, type Due, dueNow, isSettled, type WorkerSession } from "../../DocketStore.ts"
import * as Recurrence from "../../Recurrence.ts"
import type * as Task from "../../Task.ts"
import { codecOf } from "../contract/codec.ts"
import { chainOf } from "../contract/facts.ts"
import type { KnownStrikes } from "../docket/knownStrikes.ts"
import { scheduleJudged } from "../docket/scheduleJudged.ts"
import type { Bounds } from "./bounds.ts"
import type { Outage } from "../docket/outage.ts"

const reseedInterval = "60 seconds"

/** The automatic tasks on their way to the store. */
export interface Seeding {
  /** Completes when they have been scheduled for the first time. */
  readonly seeded: Effect.Effect<void>
}

/**
 * Schedules the automatic tasks under their names, now and again while the scope is open. A live chain is left alone.
 *
 * It waits until they are scheduled or the store has failed at it, since a worker whose store takes nothing new can run
 * what is there; they follow as soon as it does.
 */
export const seed: (options: {
  readonly tasks: Iterable<Task.Any>
  readonly store: DocketStore["Service"]
  readonly strikes: KnownStrikes
  readonly session: WorkerSession
  readonly outage: Outage
  readonly bounds: Bounds
}) => Effect.Effect<Seeding, never, Scope.Scope> = Effect.fnUntraced(function* ({
  bounds,
  outage,
  session,
  store,
  strikes,
  tasks
}) {
  const automatic = [...tasks].filter((task) => task.behaviour.recurrence?.automatic === true)
  if (automatic.length === 0) return { seeded: Effect.void }

  const failed = yield* Latch.make()
  const untilAnswered = <A>(call: Effect.Effect<A, StoreError>) =>
    outage.untilAnswered(() => Effect.tapError(call, () => failed.open), session.reconnected)

  const request = Effect.fnUntraced(function* (task: Task.Any) {
    // `Task.make` refuses an automatic task whose payload cannot be empty.
    const { payload, text } = yield* Effect.orDie(codecOf(task).encodePayload(undefined))
    const recurrence = task.behaviour.recurrence
    const due: Due =
      recurrence?._tag === "At" ? { _tag: "At", epochMillis: Recurrence.next(recurrence, yield* lately) } : dueNow
    return {
      key: keyOf(task),
      task: task.name,
      payload: text,
      due,
      replace: false,
      trace: "",
      terms: task.behaviour.controls.termsOf(payload),
      judged: true,
      chain: chainOf(task)
    } as const
  })

  // The store's clock: this worker's may be wrong.
  const lately = Effect.map(untilAnswered(store.snapshot(0)), ({ taken }) => ({ due: taken, now: taken }))

  /** Tells which of the tasks a strike refused. */
  const schedule = Effect.fnUntraced(function* (tasks: ReadonlyArray<Task.Any>) {
    const requests = yield* Effect.forEach(
      tasks.filter((task) => !bounds.exhausted(keyOf(task))),
      request
    )
    if (requests.length === 0) return new Set<string>()
    const { dispositions } = yield* untilAnswered(scheduleJudged(store, strikes, requests))
    const struck = requests.filter((_, i) => dispositions[i] === "struck")
    yield* Effect.forEach(struck, (request) => strikes.refused(request))
    yield* strikes.warn
    return new Set(struck.map(({ task }) => task))
  })

  // A chain that was made by another recurrence or payload follows this worker's contract, if it is the one that started
  // last. That may be after each run that a worker with another contract has ended.
  const realign = Effect.fnUntraced(function* (tasks: ReadonlyArray<Task.Any>) {
    const facts = yield* untilAnswered(store.facts(tasks.map(({ name }) => name)))
    const own = tasks.filter((task) => facts.get(task.name)?.chain === chainOf(task))
    if (own.length === 0) return
    const records = yield* untilAnswered(store.read(own.map(keyOf)))
    for (const [i, task] of own.entries()) {
      const record = Option.getOrUndefined(records[i] ?? Option.none())
      if (record?.task !== task.name || (record.state !== "scheduled" && record.state !== "queued")) continue
      if (record.chain === undefined || record.chain === chainOf(task)) continue
      const changed = { ...(yield* request(task)), replace: true }
      const { dispositions } = yield* untilAnswered(scheduleJudged(store, strikes, [changed]))
      if (dispositions[0] === "struck") continue
      const when =
        changed.due._tag === "At" ? `at ${DateTime.formatIso(DateTime.makeUnsafe(changed.due.epochMillis))}` : "now"
      yield* Effect.logInfo(
        `${task.name} was scheduled by another recurrence or payload than this worker's contract has, and follows this one: it runs ${when}`
      )
    }
  })

  // In this process a chain that ends can be seen to end, and a strike to be restored, so that a virtual clock need not
  // stop every minute.
  const resumeWhenSevered = Effect.fnUntraced(function* (task: Task.Any, isStruck: boolean) {
    const events = yield* outage.untilAnswered(() => store.watch(keyOf(task)), session.reconnected)
    const changes = yield* outage.untilAnswered(() => store.watchStrikes, session.reconnected)
    const awaitStrikes = Effect.gen(function* () {
      while (true) {
        yield* Queue.take(changes)
        const struck = yield* schedule([task])
        if (struck.size === 0) return
      }
    })
    if (isStruck) yield* awaitStrikes
    while (true) {
      const event = yield* Queue.take(events)
      if (event._tag !== "Changed" || !isSettled(event.state)) continue
      yield* Effect.sleep(reseedInterval)
      // A chain that runs often has told of many ends meanwhile; this look at it is the answer to them all.
      yield* Queue.clear(events)
      yield* Queue.clear(changes)
      const struck = yield* schedule([task])
      yield* realign([task])
      if (struck.size > 0) yield* awaitStrikes
    }
  }, Effect.scoped)

  const first = yield* Effect.forkScoped(Effect.tap(schedule(automatic), () => realign(automatic)))
  yield* Fiber.join(first).pipe(
    Effect.flatMap((struck) =>
      session.needsHeartbeat
        ? // A failover may have lost them.
          Effect.raceFirst(Effect.sleep(reseedInterval), session.reconnected).pipe(
            Effect.andThen(schedule(automatic)),
            Effect.andThen(realign(automatic)),
            Effect.forever
          )
        : Effect.forEach(automatic, (task) => Effect.forkScoped(resumeWhenSevered(task, struck.has(task.name))))
    ),
    Effect.forkScoped
  )
  yield* Effect.raceFirst(Fiber.join(first), failed.await)
  return { seeded: Effect.asVoid(Fiber.join(first)) }
})

/** The key of an automatic task: what its contract says of an empty payload, or else its name. */
const keyOf = (task: Task.Any): string => {
  // `Task.make` refuses an automatic task whose payload cannot be empty.
  const { payload } = Effect.runSync(codecOf(task).encodePayload(undefined))
  return task.behaviour.key?.(payload) ?? task.name
}
