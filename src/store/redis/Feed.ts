/**
 * Feeds of events, as the scripts publish them.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Latch from "effect/Latch"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { StoreError } from "../../DocketError.ts"
import type { ExecutionEvent } from "../../DocketStore.ts"
import { late } from "../../internal/docket/docketError.ts"
import * as GroupCommit from "../../internal/docket/groupCommit.ts"
import { followedFromAnyNode } from "./scripts/fragments.ts"
import type * as Keys from "./scripts/keys.ts"
import { inRealTime } from "../../internal/realTime.ts"
import * as Client from "./connection/Client.ts"
import * as Redis from "./connection/Redis.ts"
import { setWatchers } from "./scripts/watchers.ts"

/** Follows what is published on channels, from the moment that it returns. */
export type Follow = (
  channels: ReadonlyArray<string>
) => Effect.Effect<Queue.Dequeue<ExecutionEvent>, StoreError, Scope.Scope>

/**
 * Makes the feeds of one docket.
 *
 * **Details**
 *
 * Scripts publish nothing unless the key `watchers` is there, so it is set before a feed begins, and renewed for as long
 * as there is one. It has another value once it was gone: then there was a gap, as after a loss of the connection. After
 * a gap it is set before the gap is told: whoever then reads the record misses nothing.
 */
export const make: (keys: Keys.Keys) => Effect.Effect<Follow, never, Redis.Redis | Scope.Scope> = Effect.fnUntraced(
  function* (keys) {
    const redis = yield* Redis.Redis
    const feeds = new Set<Queue.Queue<ExecutionEvent>>()
    const interrupted = new Set<Queue.Queue<ExecutionEvent>>()
    const gap = Latch.makeUnsafe(false)
    const interrupt = (feed: Queue.Queue<ExecutionEvent>) => {
      interrupted.add(feed)
      gap.openUnsafe()
    }

    const reach = redis.isClustered ? followedFromAnyNode : "1"
    const set = redis.eval(setWatchers)
    /** The value of `watchers` that was last found. */
    let last = ""
    const announceFollower = Effect.map(
      Effect.suspend(() => set(keys, reach, SecureRandom.uuidV4Unsafe())),
      (value) => {
        if (value !== last) {
          last = value
          feeds.forEach(interrupt)
        }
        return value
      }
    )
    // Thousands may begin to follow at once.
    const announceWithOthers = yield* GroupCommit.make({
      send: (followers: ReadonlyArray<void>) => Effect.map(announceFollower, (value) => followers.map(() => value)),
      maximumSize: Infinity,
      inFlight: 1,
      patience: {
        millis: redis.answerMillis,
        over: (wasSent) => Exit.fail(late("DocketStore.watch", redis.answerMillis, wasSent))
      },
      closed: Exit.fail(new StoreError({ operation: "DocketStore.watch", cause: new Error("The store is closed") }))
    })
    const tellOfGap = Effect.sync(() => {
      for (const feed of interrupted) Queue.offerUnsafe(feed, { _tag: "Interrupted" })
      interrupted.clear()
      gap.closeUnsafe()
    })
    yield* gap.await.pipe(
      Effect.timeoutOption("8 seconds"),
      Effect.andThen(
        Effect.suspend(() => (feeds.size > 0 ? Effect.asVoid(announceFollower) : Effect.void)).pipe(
          // Until it comes through nothing may be published.
          Effect.retry(Schedule.spaced("250 millis"))
        )
      ),
      Effect.andThen(tellOfGap),
      Effect.forever,
      inRealTime,
      Effect.forkScoped
    )

    const follow: Follow = Effect.fnUntraced(function* (channels) {
      const feed = yield* Effect.acquireRelease(Queue.unbounded<ExecutionEvent>(), Queue.shutdown)
      yield* Effect.addFinalizer(() =>
        Effect.sync(() => {
          feeds.delete(feed)
          interrupted.delete(feed)
        })
      )
      yield* redis.subscribe(channels, {
        onMessage: (message) => {
          const event = decodeEvent(message)
          if (Option.isSome(event)) Queue.offerUnsafe(feed, toEvent(event.value))
        },
        onGap: () => interrupt(feed)
      })
      // While the server takes no writes nothing changes. The feed begins, with a gap, once it is announced.
      const value = yield* Effect.catchIf(
        announceWithOthers(undefined),
        ({ cause }) => Client.isReadOnly(cause),
        () => Effect.undefined
      )
      feeds.add(feed)
      if (value !== last) interrupt(feed)
      return feed
    })
    return follow
  }
)

/** Numbers are text, since those of Lua's JSON have 14 digits. */
const Changed = Schema.Struct({
  type: Schema.Literal("state"),
  key: Schema.String,
  task: Schema.String,
  state: Schema.Literals(["scheduled", "queued", "running", "completed", "failed", "cancelled"]),
  generation: Schema.FiniteFromString,
  deliveries: Schema.optional(Schema.FiniteFromString),
  due: Schema.optional(Schema.FiniteFromString),
  aside: Schema.optional(Schema.String),
  worker: Schema.optional(Schema.String),
  started: Schema.optional(Schema.FiniteFromString),
  completed: Schema.optional(Schema.FiniteFromString),
  error: Schema.optional(Schema.String)
})

const Progressed = Schema.Struct({
  type: Schema.Literal("progress"),
  key: Schema.String,
  generation: Schema.FiniteFromString,
  current: Schema.FiniteFromString,
  total: Schema.FiniteFromString,
  message: Schema.optional(Schema.String),
  updated: Schema.FiniteFromString
})

const Event = Schema.Union([Changed, Progressed])

const decodeEvent = Schema.decodeUnknownOption(Schema.fromJsonString(Event))

const toEvent = (event: typeof Event.Type): ExecutionEvent =>
  event.type === "state"
    ? {
        _tag: "Changed",
        key: event.key,
        task: event.task,
        state: event.state,
        isHeldBack: event.aside !== undefined,
        generation: event.generation,
        deliveries: event.deliveries ?? 0,
        due: moment(event.due),
        worker: event.worker,
        started: moment(event.started),
        completed: moment(event.completed),
        error: event.error
      }
    : {
        _tag: "Progressed",
        key: event.key,
        generation: event.generation,
        current: event.current,
        total: event.total,
        message: event.message,
        updated: moment(event.updated) ?? 0
      }

/** A time that a date can name; others come of a record that someone changed. */
const moment = (millis: number | undefined) =>
  millis !== undefined && Math.abs(millis) <= 8.64e15 ? millis : undefined
