/**
 * Feeds of events: of one execution, and of a whole docket.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import type { DocketError } from "../../DocketError.ts"
import * as DocketStore from "../../DocketStore.ts"
import type { ExecutionEvent, FeedInterrupted } from "../../Execution.ts"
import { failWith } from "./docketError.ts"
import { untilRead } from "./following.ts"
import * as Info from "./info.ts"

type Store = DocketStore.DocketStore["Service"]

type Changed = Extract<DocketStore.ExecutionEvent, { readonly _tag: "Changed" }>

/** The place of a state in the life of a key: later ones are greater. */
const placeOf = (state: Pick<Changed, "generation" | "deliveries" | "state" | "isHeldBack">): number =>
  // A schedule has fewer than a thousand deliveries, and up to five states for each.
  state.generation * 5000 + state.deliveries * 5 + (state.isHeldBack ? heldBack : rank)[state.state]

// A running execution counts one delivery more than while it was queued; one that is queued again comes after its run.
const rank = { scheduled: 0, running: 0, queued: 1, completed: 4, failed: 4, cancelled: 4 } as const

// It was queued, and will be again: when it is let go, before it runs.
const heldBack = { ...rank, scheduled: 2, queued: 3 } as const

const placeOfRecord = (record: DocketStore.ExecutionRecord): number => {
  const by = record.hindrance?._tag
  return placeOf({ ...record, isHeldBack: record.state === "scheduled" && (by === "Concurrency" || by === "Held") })
}

/** Present state, present progress, then each change; ends with the execution. */
export const ofExecution = (store: Store, key: string): Stream.Stream<ExecutionEvent, DocketError> =>
  Stream.callback<ExecutionEvent, DocketError>(
    Effect.fnUntraced(function* (events) {
      // Live before the record is read: what changes in between is in both, and told apart by its place.
      const feed = yield* failWith(store.watch(key))
      const read = untilRead(store, store.read([key]))
      let place = -1
      let updated = -1
      let origin: number | undefined = undefined
      /** Whether there is no record any more, so that what is in the feed is the rest. */
      let isGone = false
      let isOver = false

      const present = Effect.gen(function* () {
        const [found] = yield* failWith(read)
        if (found === undefined || Option.isNone(found)) return yield* Queue.end(events)
        const record = found.value
        origin ??= record.origin
        if (placeOfRecord(record) > place) {
          place = placeOfRecord(record)
          yield* Queue.offer(events, Info.stateChanged(record))
          if (record.state === "running") yield* Queue.offer(events, Info.progressChanged(key, record.progress))
          updated = record.progress?.updated ?? -1
        }
        if (DocketStore.isSettled(record.state)) yield* Queue.end(events)
      })

      // A key that recurs goes on after the end of a run, and what its next runs did by now is still in the feed. What others
      // scheduled under the key is none of this.
      const look = Effect.gen(function* () {
        const [found] = yield* failWith(read)
        if (found === undefined || Option.isNone(found)) isGone = true
        // Generations begin again once a record has ended.
        else isOver = found.value.origin !== origin || placeOfRecord(found.value) <= place
      })

      yield* present
      while (true) {
        if (isOver || (isGone && (yield* Queue.size(feed)) === 0)) return yield* Queue.end(events)
        const event = yield* Queue.take(feed)
        if (event._tag === "Interrupted") {
          yield* present
        } else if (event._tag === "Progressed") {
          if (event.updated < updated) continue
          updated = event.updated
          yield* Queue.offer(events, Info.progressChanged(key, event))
        } else if (placeOf(event) > place) {
          place = placeOf(event)
          updated = -1
          yield* Queue.offer(events, Info.stateChanged(event))
          if (DocketStore.isSettled(event.state)) yield* look
        }
      }
    })
  )

/** Every change in a docket, as it happens. */
export const ofDocket = (store: Store): Stream.Stream<ExecutionEvent | FeedInterrupted, DocketError> =>
  Stream.unwrap(
    Effect.map(failWith(store.watchAll), (feed) =>
      Stream.fromQueue(feed).pipe(
        Stream.map((event): ExecutionEvent | FeedInterrupted => {
          switch (event._tag) {
            case "Changed":
              return Info.stateChanged(event)
            case "Progressed":
              return Info.progressChanged(event.key, event)
            case "Interrupted":
              return { _tag: "FeedInterrupted" }
          }
        })
      )
    )
  )
