/** What those who follow executions are told, in this process and in others. */
import type * as DocketStore from "../../DocketStore.ts"
import { query } from "./Connection.ts"
import type { Row } from "./Row.ts"
import type { Step } from "./Step.ts"

type Event = Exclude<DocketStore.ExecutionEvent, { readonly _tag: "Interrupted" }>

/** Publishes the state that an execution has now. */
export const publishState = (
  step: Step,
  row: Pick<Row, "key" | "task" | "place" | "state" | "generation" | "deliveries" | "due"> &
    Partial<Pick<Row, "worker" | "started" | "completed" | "error">>
): void => {
  if (step.docket.isFollowed === 0) return
  const { completed, deliveries, due, error, generation, key, started, state, task, worker } = row
  publish(step, {
    _tag: "Changed",
    key,
    task,
    state,
    isHeldBack: row.place === "line" || row.place === "held",
    generation,
    deliveries,
    due: state === "scheduled" || state === "queued" ? due : undefined,
    worker: worker ?? undefined,
    started: started ?? undefined,
    completed: completed ?? undefined,
    error: state === "failed" ? (error ?? undefined) : undefined
  })
}

/** Publishes that a run has ended whose key goes on. */
export const publishEnd = (
  step: Step,
  run: Pick<Row, "key" | "task" | "generation" | "deliveries"> & {
    readonly worker: string | null
    readonly started: number | null
  },
  end: { readonly state: DocketStore.State; readonly completed: number; readonly error: string | undefined }
): void => {
  if (step.docket.isFollowed === 0) return
  const { deliveries, generation, key, started, task, worker } = run
  publish(step, {
    _tag: "Changed",
    key,
    task,
    isHeldBack: false,
    generation,
    deliveries,
    due: undefined,
    worker: worker ?? undefined,
    started: started ?? undefined,
    ...end
  })
}

/** Publishes how far a run has come. */
export const publishProgress = (
  step: Step,
  { generation, key }: Pick<Row, "key" | "generation">,
  progress: DocketStore.ProgressRecord
): void => {
  if (step.docket.isFollowed === 1) publish(step, { _tag: "Progressed", key, generation, ...progress })
}

/** How many events are kept for those who read slowly. Who comes later than that is told of a gap. */
const keptEvents = 20_000

const append = query<[docket: number, position: number, event: string]>(
  `INSERT INTO docket_events (docket, position, event) VALUES (?, ?, ?)`
)
const trim = query<[docket: number, position: number]>(`DELETE FROM docket_events WHERE docket = ? AND position <= ?`)

const publish = ({ docket, sql }: Step, event: Event) => {
  docket.position++
  sql.run(append, docket.id, docket.position, JSON.stringify(event))
  if (docket.position % 100 === 0) sql.run(trim, docket.id, docket.position - keptEvents)
}

const after = query<
  [docket: number, position: number, limit: number],
  { readonly position: number; readonly event: string }
>(`SELECT position, event FROM docket_events WHERE docket = ? AND position > ? ORDER BY position LIMIT ?`)

/** How many are read in one step. */
const batch = 1_000

/** What was published after a position. */
export interface Published {
  readonly events: ReadonlyArray<Event>
  /** The position of the last of them. */
  readonly position: number
  /** Whether there were others before these, which are kept no longer. */
  readonly isGap: boolean
  readonly isMore: boolean
}

/** Reads what was published after a position. */
export const read = ({ docket, sql }: Step, position: number): Published => {
  const found = sql.all(after, docket.id, position, batch)
  return {
    // Written by `publish`: JSON leaves out what is undefined, and reading it gives undefined.
    events: found.map(({ event }) => toEvent(JSON.parse(event) as Event)),
    position: found.at(-1)?.position ?? docket.position,
    isGap: (found[0]?.position ?? docket.position + 1) > position + 1,
    isMore: found.length === batch
  }
}

/** With every field, also those that are undefined. */
const toEvent = (event: Event): Event =>
  event._tag === "Progressed"
    ? { ...event, message: event.message }
    : {
        _tag: "Changed",
        key: event.key,
        task: event.task,
        state: event.state,
        isHeldBack: event.isHeldBack,
        generation: event.generation,
        deliveries: event.deliveries,
        due: event.due,
        worker: event.worker,
        started: event.started,
        completed: event.completed,
        error: event.error
      }

const follow = query<[docket: number, follower: string, until: number]>(
  `INSERT OR REPLACE INTO docket_followers (docket, follower, until) VALUES (?, ?, ?)`
)
const unfollow = query<[docket: number, follower: string]>(
  `DELETE FROM docket_followers WHERE docket = ? AND follower = ?`
)
const forgetFollowers = query<[docket: number, realNow: number]>(
  `DELETE FROM docket_followers WHERE docket = ? AND until <= ?`
)
const forgetEvents = query<[docket: number]>(`DELETE FROM docket_events WHERE docket = ?`)

/** For how long events are published for a follower that is not heard of again. */
export const followedMillis = 30_000

/** Lets events be published for a follower; from the position of the docket on nothing is missed. */
export const startFollowing = ({ docket, sql }: Step, follower: string, realNow: number): number => {
  sql.run(follow, docket.id, follower, realNow + followedMillis)
  docket.isFollowed = 1
  return docket.position
}

/** Counts a follower no longer. */
export const stopFollowing = ({ docket, sql }: Step, follower: string): void =>
  void sql.run(unfollow, docket.id, follower)

/** Forgets followers that are gone, and the events that nobody reads. */
export const tidy = ({ docket, sql }: Step, realNow: number): void => {
  sql.run(forgetFollowers, docket.id, realNow)
  if (docket.isFollowed === 0) sql.run(forgetEvents, docket.id)
}
