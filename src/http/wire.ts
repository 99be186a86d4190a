/**
 * What the HTTP API sends: JSON, with moments as ISO 8601 in UTC. What is not known has no field. Nothing that a contract
 * redacts is among it.
 */
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as DocketExplanation from "../Explanation.ts"
import type * as Executions from "../Execution.ts"
import { shown } from "../internal/contract/redaction.ts"
import type * as Snapshots from "../Snapshot.ts"
import { Operator, type Strike as DocketStrike } from "../Strike.ts"
import type * as TaskContext from "../TaskContext.ts"

const Moment = Schema.DateTimeUtcFromString

/**
 * The states of an execution.
 *
 * @category schemas
 * @since 0.1.0
 */
export const State = Schema.Literals(["scheduled", "queued", "running", "completed", "failed", "cancelled"])

/**
 * How far a running execution has come.
 *
 * @category schemas
 * @since 0.1.0
 */
export class Progress extends Schema.Opaque<Progress>()(
  Schema.Struct({
    current: Schema.Finite,
    total: Schema.Finite,
    message: Schema.optionalKey(Schema.String),
    updated: Schema.optionalKey(Moment)
  }).annotate({ identifier: "Progress" })
) {}

/**
 * What a docket knows about an execution.
 *
 * @category schemas
 * @since 0.1.0
 */
export class Execution extends Schema.Opaque<Execution>()(
  Schema.Struct({
    key: Schema.String,
    task: Schema.String,
    state: State,
    attempt: Schema.Int,
    deliveries: Schema.Int,
    generation: Schema.Int,
    due: Moment,
    worker: Schema.optionalKey(Schema.String),
    started: Schema.optionalKey(Moment),
    completed: Schema.optionalKey(Moment),
    error: Schema.optionalKey(Schema.String),
    progress: Schema.optionalKey(Progress),
    /** As it is stored, without what is redacted. */
    payload: Schema.Json
  }).annotate({ identifier: "Execution" })
) {}

/**
 * A failed attempt.
 *
 * @category schemas
 * @since 0.1.0
 */
export class Attempt extends Schema.Opaque<Attempt>()(
  Schema.Struct({
    attempt: Schema.Int,
    worker: Schema.String,
    started: Moment,
    ended: Moment,
    error: Schema.String
  }).annotate({ identifier: "Attempt" })
) {}

/**
 * Why an execution is not running: in a sentence, and as data.
 *
 * @category schemas
 * @since 0.1.0
 */
export class Explanation extends Schema.Opaque<Explanation>()(
  Schema.Struct({
    key: Schema.String,
    /** The kind of the reason: `Queued`, `AwaitingSlot`, `Held`, `NoWorker` and others. */
    reason: Schema.String,
    message: Schema.String,
    /** What belongs to a reason of this kind. */
    details: Schema.Json
  }).annotate({ identifier: "Explanation" })
) {}

/**
 * A worker that can take work.
 *
 * @category schemas
 * @since 0.1.0
 */
export class Worker extends Schema.Opaque<Worker>()(
  Schema.Struct({
    name: Schema.String,
    lastSeen: Moment,
    tasks: Schema.Array(Schema.String)
  }).annotate({ identifier: "Worker" })
) {}

/**
 * A docket at a moment.
 *
 * @category schemas
 * @since 0.1.0
 */
export class Snapshot extends Schema.Opaque<Snapshot>()(
  Schema.Struct({
    docket: Schema.String,
    taken: Moment,
    queued: Schema.Int,
    scheduled: Schema.Int,
    running: Schema.Int,
    workers: Schema.Array(Worker)
  }).annotate({ identifier: "Snapshot" })
) {}

/**
 * A strike in force. A pause is the strike that holds everything, of a task or of all.
 *
 * @category schemas
 * @since 0.1.0
 */
export class Strike extends Schema.Opaque<Strike>()(
  Schema.Struct({
    task: Schema.optionalKey(Schema.String),
    field: Schema.optionalKey(Schema.String),
    operator: Operator,
    value: Schema.Json,
    hold: Schema.Boolean
  }).annotate({ identifier: "Strike" })
) {}

/**
 * What a request to schedule came to.
 *
 * @category schemas
 * @since 0.1.0
 */
export class Scheduled extends Schema.Opaque<Scheduled>()(
  Schema.Struct({
    key: Schema.String,
    task: Schema.String,
    /** `struck` means that nothing was scheduled. */
    disposition: Schema.Literals(["scheduled", "already-scheduled", "replaced", "struck"])
  }).annotate({ identifier: "Scheduled" })
) {}

/**
 * How many executions something was done to.
 *
 * @category schemas
 * @since 0.1.0
 */
export class Done extends Schema.Opaque<Done>()(
  Schema.Struct({ count: Schema.Int }).annotate({ identifier: "Done" })
) {}

/**
 * How many failed executions run again, and how many a strike kept from it: these stay failed.
 *
 * @category schemas
 * @since 0.1.0
 */
export class Retried extends Schema.Opaque<Retried>()(
  Schema.Struct({ count: Schema.Int, struck: Schema.Int }).annotate({ identifier: "Retried" })
) {}

/**
 * An execution has come to another state.
 *
 * @category schemas
 * @since 0.1.0
 */
export class StateChange extends Schema.Opaque<StateChange>()(
  Schema.Struct({
    key: Schema.String,
    task: Schema.String,
    state: State,
    due: Schema.optionalKey(Moment),
    worker: Schema.optionalKey(Schema.String),
    started: Schema.optionalKey(Moment),
    completed: Schema.optionalKey(Moment),
    error: Schema.optionalKey(Schema.String)
  }).annotate({ identifier: "StateChange" })
) {}

/**
 * A running execution has reported progress.
 *
 * @category schemas
 * @since 0.1.0
 */
export class ProgressChange extends Schema.Opaque<ProgressChange>()(
  Schema.Struct({
    key: Schema.String,
    current: Schema.Finite,
    total: Schema.Finite,
    message: Schema.optionalKey(Schema.String),
    updated: Schema.optionalKey(Moment)
  }).annotate({ identifier: "ProgressChange" })
) {}

const eventOf = <const Name extends string, Data extends Schema.Top>(event: Name, data: Data) =>
  Schema.Struct({ id: Schema.String, event: Schema.Literal(event), data: Schema.fromJsonString(data) })

/**
 * What streams carry. `state` and `progress` are of executions; `snapshot` is where the stream of a docket begins; after
 * `interrupted` something may be missing; `ping` says every quarter of a minute that the stream is open.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Event = Schema.Union([
  eventOf("snapshot", Snapshot),
  eventOf("state", StateChange),
  eventOf("progress", ProgressChange),
  eventOf("interrupted", Schema.Struct({})),
  eventOf("ping", Schema.Struct({}))
])

/**
 * An event of a stream.
 *
 * @category models
 * @since 0.1.0
 */
export type Event = typeof Event.Type

type Known<A> = { [K in keyof A as undefined extends A[K] ? never : K]: A[K] } & {
  [K in keyof A as undefined extends A[K] ? K : never]?: Exclude<A[K], undefined>
}

/** An object without the fields of which nothing is known. */
const known = <A extends object>(fields: A): Known<A> =>
  // What is left out is what `Known` says may be missing.
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Known<A>

const parse = Schema.decodeUnknownOption(Schema.fromJsonString(Schema.Json))

/** Stored JSON text as data, without what is redacted; as text if it is none. */
export const dataOf = (text: string): Schema.Json => {
  const visible = shown(text)
  return Option.getOrElse(parse(visible), () => visible)
}

const progressOf = ({ current, message, total, updated }: TaskContext.ProgressState) =>
  known({ current, total, message, updated })

/** What a docket knows about an execution. */
export const execution = ({ encodedPayload, progress, ...info }: Executions.ExecutionInfo): typeof Execution.Type =>
  known({
    ...info,
    progress: progress === undefined ? undefined : progressOf(progress),
    payload: dataOf(encodedPayload)
  })

const toJson = Schema.decodeUnknownSync(Schema.Json)

/** Why an execution is not running. */
export const explanation = ({ _tag, key, message, ...details }: DocketExplanation.Explanation) => ({
  key,
  reason: _tag,
  message,
  // Moments and strikes among the details say themselves how they are JSON.
  details: toJson(JSON.parse(JSON.stringify(details)))
})

/** A docket at a moment. */
export const snapshot = (of: Snapshots.Snapshot): typeof Snapshot.Type => ({
  docket: of.docket,
  taken: of.taken,
  queued: of.queued,
  scheduled: of.scheduled,
  running: of.runningTotal,
  workers: of.workers
})

/** A strike. */
export const strike = ({ field, hold, operator, task, value }: DocketStrike): typeof Strike.Type =>
  known({ task, field, operator, value, hold })

/** An event of a docket's or an execution's feed. */
export const event = (id: string, event: Executions.ExecutionEvent | Executions.FeedInterrupted): Event => {
  switch (event._tag) {
    case "StateChanged": {
      const { _tag, ...fields } = event
      return { id, event: "state", data: known(fields) }
    }
    case "ProgressChanged":
      return { id, event: "progress", data: { key: event.key, ...progressOf(event) } }
    case "FeedInterrupted":
      return { id, event: "interrupted", data: {} }
  }
}
