/** A store that counts its calls, and fails when it is told to. */
import { Effect, Latch, Option } from "effect"
import { type DocketStore, StoreError } from "../../src/index.ts"

export type Operation =
  | "schedule"
  | "cancel"
  | "read"
  | "watch"
  | "depth"
  | "strikes"
  | "open"
  | "exchange"
  | "awaitWork"
  | "renew"
  | "heartbeat"
  | "leave"

/**
 * What happens to a call: it does not reach the store; or it is applied there and its reply is lost on the way back; or
 * something else happens in the time that the reply takes.
 */
export type Fault = "refused" | "reply-lost" | Effect.Effect<unknown>

export interface Faults {
  readonly store: DocketStore.DocketStore["Service"]
  /** How often an operation was called. */
  readonly calls: (operation: Operation) => number
  /** Lets every call fail, those included that are under way; or none any more. */
  readonly setAway: (away: boolean) => void
  /** What the next calls of an operation meet. */
  readonly next: (operation: Operation, ...faults: ReadonlyArray<Fault>) => void
  /** Cuts its user off for good, as the death of a process does: no call is ever answered again. */
  readonly vanish: Effect.Effect<void>
}

/** Puts faults between a store and its user. */
export const make = (store: DocketStore.DocketStore["Service"]): Faults => {
  const calls = new Map<Operation, number>()
  const ahead = new Map<Operation, Array<Fault>>()
  const gone = Latch.makeUnsafe()
  let isAway = false

  const unlessGone = <A, E, R>(call: Effect.Effect<A, E, R>) =>
    Effect.flatMap(
      Effect.raceFirst(Effect.as(gone.await, Option.none<A>()), Effect.asSome(call)),
      Option.match({ onNone: () => Effect.never, onSome: Effect.succeed })
    )

  const through =
    (operation: Operation) =>
    <A, E, R>(call: Effect.Effect<A, E, R>): Effect.Effect<A, E | StoreError, R> =>
      Effect.suspend(() => {
        calls.set(operation, (calls.get(operation) ?? 0) + 1)
        const fault = isAway ? "refused" : ahead.get(operation)?.shift()
        const failure = Effect.fail(new StoreError({ operation, cause: new Error("the connection broke") }))
        const unlessAway = Effect.suspend(() => (isAway ? failure : Effect.void))
        if (fault === undefined) return Effect.tap(unlessGone(call), unlessAway)
        if (fault === "refused") return failure
        return fault === "reply-lost" ? Effect.andThen(call, failure) : Effect.tap(call, fault)
      })

  return {
    calls: (operation) => calls.get(operation) ?? 0,
    setAway: (away) => {
      isAway = away
    },
    next: (operation, ...faults) => void ahead.set(operation, [...faults]),
    vanish: Effect.asVoid(gone.open),
    store: {
      ...store,
      schedule: (requests, strikes) => through("schedule")(store.schedule(requests, strikes)),
      cancel: (keys) => through("cancel")(store.cancel(keys)),
      read: (keys) => through("read")(store.read(keys)),
      watch: (key) => through("watch")(store.watch(key)),
      depth: through("depth")(store.depth),
      strikes: through("strikes")(store.strikes),
      open: (options) =>
        through("open")(
          Effect.map(store.open(options), (session): DocketStore.WorkerSession => ({
            ...session,
            exchange: (request) => through("exchange")(session.exchange(request)),
            awaitWork: through("awaitWork")(session.awaitWork),
            renew: (leases) => through("renew")(session.renew(leases)),
            heartbeat: through("heartbeat")(session.heartbeat),
            leave: through("leave")(session.leave)
          }))
        )
    }
  }
}
