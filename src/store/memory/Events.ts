/** Who follows executions, and what they are told. */
import * as Queue from "effect/Queue"
import type * as DocketStore from "../../DocketStore.ts"
import type { Entry } from "./Entry.ts"

export type Feed = Queue.Queue<DocketStore.ExecutionEvent>

export interface Events {
  /** Who follows one execution, by its key. */
  readonly byKey: Map<string, Set<Feed>>
  /** Who follows all of them. */
  readonly all: Set<Feed>
}

export const make = (): Events => ({ byKey: new Map(), all: new Set() })

export const follow = ({ byKey }: Events, key: string, feed: Feed): void => {
  const feeds = byKey.get(key)
  if (feeds === undefined) byKey.set(key, new Set([feed]))
  else feeds.add(feed)
}

export const unfollow = ({ byKey }: Events, key: string, feed: Feed): void => {
  const feeds = byKey.get(key)
  feeds?.delete(feed)
  if (feeds?.size === 0) byKey.delete(key)
}

/** Publishes the state that an execution has now. */
export const publishState = (self: Events, entry: Entry): void => {
  if (!isFollowed(self, entry.key)) return
  const { completed, deliveries, due, error, generation, key, started, state, task, worker } = entry
  publish(self, {
    _tag: "Changed",
    key,
    task,
    state,
    isHeldBack: entry.apart === "line" || entry.apart === "held",
    generation,
    deliveries,
    due: state === "scheduled" || state === "queued" ? due : undefined,
    worker,
    started,
    completed,
    error: state === "failed" ? error : undefined
  })
}

/** Publishes that a run has ended whose key goes on. */
export const publishEnd = (
  self: Events,
  run: Pick<Entry, "key" | "task" | "generation" | "deliveries" | "worker" | "started">,
  end: { readonly state: DocketStore.State; readonly completed: number; readonly error: string | undefined }
): void => {
  if (!isFollowed(self, run.key)) return
  const { deliveries, generation, key, started, task, worker } = run
  publish(self, {
    _tag: "Changed",
    key,
    task,
    isHeldBack: false,
    generation,
    deliveries,
    due: undefined,
    worker,
    started,
    ...end
  })
}

/** Publishes how far a run has come. */
export const publishProgress = (
  self: Events,
  { generation, key }: Entry,
  progress: DocketStore.ProgressRecord
): void => {
  if (isFollowed(self, key)) publish(self, { _tag: "Progressed", key, generation, ...progress })
}

const isFollowed = ({ all, byKey }: Events, key: string) => all.size > 0 || byKey.has(key)

const publish = (
  { all, byKey }: Events,
  event: Exclude<DocketStore.ExecutionEvent, { readonly _tag: "Interrupted" }>
) => {
  const feeds = byKey.get(event.key)
  if (feeds !== undefined) for (const feed of feeds) Queue.offerUnsafe(feed, event)
  for (const feed of all) Queue.offerUnsafe(feed, event)
}
