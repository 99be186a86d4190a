/** The feeds of events of one docket in this process. */
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import * as SecureRandom from "effect/crypto/SecureRandom"
import type { StoreError } from "../../DocketError.ts"
import type { ExecutionEvent } from "../../DocketStore.ts"
import * as RealTime from "../../internal/realTime.ts"
import * as Events from "./Events.ts"
import type { Step } from "./Step.ts"

type Feed = Queue.Queue<ExecutionEvent>

/** Runs a step of the docket. */
export type Run = <A>(
  operation: string,
  kind: "read" | "write" | "confirmed",
  body: (step: Step) => A
) => Effect.Effect<A, StoreError>

export interface Followers {
  /** Follows one execution, or all, from the moment that it returns. */
  readonly follow: (key: string | undefined) => Effect.Effect<Queue.Dequeue<ExecutionEvent>, StoreError, Scope.Scope>
  /** Whether anyone follows anything. */
  readonly isAny: () => boolean
  /** Hands out what was published since. */
  readonly deliver: (step: Step) => void
  /** Begins anew: what was announced is not there any more, and something may have been missed. */
  readonly startOver: () => void
}

/** How long before its end the announcement is made anew. */
const renewMillis = 8_000

/**
 * Makes the feeds.
 *
 * **Details**
 *
 * Nothing is published unless the docket has a follower, so this process announces itself before its first feed begins, and
 * again for as long as there is one. All feeds of the process read what is published once, together.
 */
export const make: (run: Run) => Effect.Effect<Followers, never, Scope.Scope> = Effect.fnUntraced(function* (run) {
  const follower = SecureRandom.uuidV4Unsafe()
  const byKey = new Map<string, Set<Feed>>()
  const all = new Set<Feed>()
  let position = 0
  /** Until when events are published for this process, in real time. */
  let until = 0

  const isAny = () => all.size > 0 || byKey.size > 0
  const each = (tell: (feed: Feed) => void) => {
    all.forEach(tell)
    for (const feeds of byKey.values()) feeds.forEach(tell)
  }
  const interrupt = () => each((feed) => void Queue.offerUnsafe(feed, { _tag: "Interrupted" }))

  const deliver = (step: Step) => {
    for (let isMore = isAny(); isMore;) {
      const published = Events.read(step, position)
      position = published.position
      isMore = published.isMore
      if (published.isGap) interrupt()
      for (const event of published.events) {
        for (const feed of byKey.get(event.key) ?? []) Queue.offerUnsafe(feed, event)
        for (const feed of all) Queue.offerUnsafe(feed, event)
      }
    }
  }

  const announce = (step: Step) => {
    const now = RealTime.now()
    const wasAnnounced = now < until
    const present = Events.startFollowing(step, follower, now)
    until = now + Events.followedMillis
    if (wasAnnounced) return
    // Until now nothing may have been published.
    position = present
    interrupt()
  }

  yield* Effect.addFinalizer(() =>
    until === 0
      ? Effect.void
      : Effect.ignore(run("DocketStore.watch", "write", (step) => Events.stopFollowing(step, follower)))
  )
  yield* Effect.sleep(renewMillis).pipe(
    Effect.andThen(
      Effect.suspend(() => (isAny() ? Effect.ignore(run("DocketStore.watch", "write", announce)) : Effect.void))
    ),
    Effect.forever,
    RealTime.inRealTime,
    Effect.forkScoped
  )

  const add = (key: string | undefined, feed: Feed) => {
    if (key === undefined) return all.add(feed)
    const feeds = byKey.get(key)
    return feeds === undefined ? byKey.set(key, new Set([feed])) : feeds.add(feed)
  }
  const remove = (key: string | undefined, feed: Feed) => {
    if (key === undefined) return all.delete(feed)
    const feeds = byKey.get(key)
    feeds?.delete(feed)
    return feeds?.size === 0 && byKey.delete(key)
  }

  return {
    isAny,
    deliver,
    startOver: () => {
      until = 0
      interrupt()
    },
    follow: (key) =>
      Effect.acquireRelease(
        Effect.gen(function* () {
          const feed = yield* Queue.unbounded<ExecutionEvent>()
          const isToAnnounce = RealTime.now() > until - renewMillis
          yield* run("DocketStore.watch", isToAnnounce ? "write" : "read", (step) => {
            if (isToAnnounce) announce(step)
            if (isAny()) deliver(step)
            else position = step.docket.position
            add(key, feed)
          })
          return feed
        }),
        (feed) =>
          Effect.sync(() => {
            remove(key, feed)
            Queue.shutdownUnsafe(feed)
          })
      )
  }
})
