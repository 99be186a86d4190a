/**
 * Streams of events for HTTP: however many follow a docket, the store is asked once.
 */
import * as Clock from "effect/Clock"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as PubSub from "effect/PubSub"
import * as RcRef from "effect/RcRef"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Docket } from "../Docket.ts"
import type { DocketError } from "../DocketError.ts"
import type { ExecutionEvent, FeedInterrupted } from "../Execution.ts"
import * as Task from "../Task.ts"
import * as Problems from "./problems.ts"
import * as Wire from "./wire.ts"

/** How many events are kept for those that come back after a lost connection. */
const kept = 1000

/** How long the store is followed after the last one left, for who comes back. */
const lingering = "30 seconds"

/** What keeps a stream open through proxies, and finds out that nobody reads it any more. */
const pingInterval = "15 seconds"

/** Limits of streams and waits. */
export interface Limits {
  /** How many streams and waits may be open at once. */
  readonly maximumStreams: number
  /** How long a stream may be open; then it ends, and who follows it comes back. */
  readonly maximumStreamAge: Duration.Input
}

interface Numbered {
  readonly number: number
  readonly event: ExecutionEvent | FeedInterrupted
}

/** What follows a docket, for all that follow it here. */
export interface Feed {
  /** Changes with each feed, so that an id of another one is not taken for one of this. */
  readonly name: string
  readonly events: PubSub.PubSub<Numbered>
  /** The latest events, oldest first. */
  readonly recent: Array<Numbered>
}

const follow = Effect.fnUntraced(function* (docket: Docket["Service"]): Effect.fn.Return<Feed, never, Scope.Scope> {
  // Who is slow loses the oldest, and is told.
  const events = yield* PubSub.sliding<Numbered>(kept)
  const recent: Array<Numbered> = []
  let number = 0
  const publish = (event: ExecutionEvent | FeedInterrupted) => {
    const numbered = { number: ++number, event }
    recent.push(numbered)
    if (recent.length > kept) recent.shift()
    return PubSub.publish(events, numbered)
  }
  yield* docket.events.pipe(
    Stream.runForEach(publish),
    // A store that cannot be reached yet, or refuses: what happens meanwhile is missing.
    Effect.catchCause(() => Effect.andThen(publish({ _tag: "FeedInterrupted" }), Effect.sleep("1 second"))),
    Effect.forever,
    Effect.forkScoped
  )
  return { name: (yield* Clock.currentTimeMillis).toString(36), events, recent }
})

/** Opens streams, as many as may be open at once. */
export const make = Effect.fnUntraced(function* (dockets: ReadonlyArray<Docket["Service"]>, limits: Limits) {
  const feeds = new Map<string, RcRef.RcRef<Feed>>()
  for (const docket of dockets) {
    feeds.set(docket.name, yield* RcRef.make({ acquire: follow(docket), idleTimeToLive: lingering }))
  }
  let open = 0

  /** Takes a place among those that may be open at once, until the scope ends. */
  const enter: Effect.Effect<void, Problems.TooBusy, Scope.Scope> = Effect.acquireRelease(
    Effect.suspend(() => {
      if (open >= limits.maximumStreams) {
        return Effect.fail(
          new Problems.TooBusy({ detail: `${limits.maximumStreams} streams and waits are open: try again later` })
        )
      }
      open++
      return Effect.void
    }),
    () =>
      Effect.sync(() => {
        open--
      })
  ).pipe(Effect.asVoid)

  /** The feed of a docket, which is shared, until the scope ends. */
  const feedOf = (docket: Docket["Service"]): Effect.Effect<Feed, never, Scope.Scope> =>
    // There is one for each docket.
    RcRef.get(feeds.get(docket.name)!)

  /** Lives as long as a stream may, and says now and then that it does. */
  const lasting = (events: Stream.Stream<Wire.Event>, lastId: () => string): Stream.Stream<Wire.Event> =>
    Stream.merge(
      events,
      Stream.map(Stream.drop(Stream.tick(pingInterval), 1), (): Wire.Event => ({
        id: lastId(),
        event: "ping",
        data: {}
      })),
      { haltStrategy: "left" }
    ).pipe(Stream.interruptWhen(Effect.sleep(limits.maximumStreamAge)))

  /** What is, and then every change; after a lost connection what came since, if that is still known. */
  const ofDocket = (docket: Docket["Service"], lastEventId: string | undefined): Stream.Stream<Wire.Event> => {
    let last = 0
    let name = ""
    const id = () => `${name}.${last}`
    const events = Stream.unwrap(
      Effect.gen(function* () {
        const feed = yield* feedOf(docket)
        const subscription = yield* PubSub.subscribe(feed.events)
        name = feed.name
        const newest = feed.recent.at(-1)?.number ?? 0
        const [from, number] = (lastEventId ?? "").split(".")
        const since = from === name ? Number(number) : NaN
        const missed = feed.recent.filter((event) => event.number > since)
        const isKnown = since === newest || missed[0]?.number === since + 1
        last = isKnown ? since : newest
        const beginning: Stream.Stream<Wire.Event> = isKnown
          ? Stream.fromIterable(missed).pipe(Stream.map(numbered))
          : Stream.concat(
              lastEventId === undefined ? Stream.empty : Stream.sync(() => interrupted(id())),
              Stream.fromEffect(present(docket, id()))
            )
        const later = Stream.fromSubscription(subscription).pipe(
          Stream.filter((event) => event.number > last),
          Stream.flatMap((event) =>
            event.number === last + 1
              ? Stream.succeed(numbered(event))
              : Stream.make(interrupted(id()), numbered(event))
          )
        )
        return Stream.concat(beginning, later)
      })
    )
    const numbered = ({ event, number }: Numbered): Wire.Event => {
      last = number
      return Wire.event(id(), event)
    }
    return lasting(events, id)
  }

  /** The present state and progress of an execution, and then each change. */
  const ofExecution = (
    docket: Docket["Service"],
    key: string,
    lastEventId: string | undefined
  ): Stream.Stream<Wire.Event> => {
    let last = lastEventId ?? ""
    let isFirst = true
    const events = docket.execution(lookedUp, key).events.pipe(
      Stream.flatMap((event) => {
        const id = idOf(event)
        const before = last
        const isBeginning = isFirst
        isFirst = false
        last = id
        if (!isBeginning || lastEventId === undefined) return Stream.succeed(Wire.event(id, event))
        // Nothing has happened meanwhile; or something, of which only the outcome is known.
        return id === before ? Stream.empty : Stream.make(interrupted(before), Wire.event(id, event))
      }),
      Stream.catchCause(() => Stream.sync(() => interrupted(last)))
    )
    return lasting(events, () => last)
  }

  return { enter, feedOf, ofDocket, ofExecution }
})

/** Streams of events. */
export type Feeds = Effect.Success<ReturnType<typeof make>>

/** To look at executions of any task. */
const lookedUp = Task.make("any")

const interrupted = (id: string): Wire.Event => ({ id, event: "interrupted", data: {} })

const present = (docket: Docket["Service"], id: string): Effect.Effect<Wire.Event> =>
  Effect.match(docket.snapshot({ limit: 0 }), {
    onFailure: (_: DocketError) => interrupted(id),
    onSuccess: (snapshot): Wire.Event => ({ id, event: "snapshot", data: Wire.snapshot(snapshot) })
  })

/** Tells an event of an execution from those before it. */
const idOf = (event: ExecutionEvent): string => {
  if (event._tag === "ProgressChanged") {
    return `progress.${event.current}.${event.total}.${event.updated?.epochMilliseconds ?? 0}`
  }
  const at = event.completed ?? event.started ?? event.due
  return `${event.state}.${at?.epochMilliseconds ?? 0}`
}
