/**
 * What follows a docket reads it again after each change and after each gap. That is told once, so a read that is lost then
 * has to be made again until it is answered.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Queue from "effect/Queue"
import type { StoreError } from "../../DocketError.ts"
import type { DocketStore } from "../../DocketStore.ts"
import { isClosed } from "./docketError.ts"
import * as Outage from "./outage.ts"

type Store = DocketStore["Service"]

/** Makes a read until it is answered; it fails only once the docket is closed. */
export const untilRead = <A, R>(
  store: Store,
  read: Effect.Effect<A, StoreError, R>
): Effect.Effect<A, StoreError, R> => {
  const orClosed = Effect.catchIf(Effect.map(read, Exit.succeed), isClosed, (error) => Effect.succeed(Exit.fail(error)))
  return Effect.flatten(outageOf(store).untilAnswered(() => orClosed, Effect.never))
}

/** Reads again, and does something with it, after each change that a queue tells of, until the scope or the docket is closed. */
export const afterEach = <A>(
  store: Store,
  changes: Queue.Dequeue<void>,
  read: Effect.Effect<A, StoreError>,
  f: (found: A) => Effect.Effect<void>
): Effect.Effect<void> =>
  // Several changes are one read.
  Effect.andThen(Queue.take(changes), Queue.clear(changes)).pipe(
    Effect.andThen(untilRead(store, read)),
    Effect.flatMap(f),
    Effect.forever,
    Effect.ignore
  )

const longestPause = Duration.seconds(2)

const outages = new WeakMap<Store, Outage.Outage>()

/** All that follows a docket in this process says of an outage once. */
const outageOf = (store: Store): Outage.Outage => {
  const found = outages.get(store)
  if (found !== undefined) return found
  const made = Outage.make(longestPause, () => {}, "What follows the docket reads it again")
  outages.set(store, made)
  return made
}
