/**
 * What `--json` prints: objects whose fields are named as in the library. Times are ISO 8601 in UTC; what is not known
 * has no field.
 */
import * as DateTime from "effect/DateTime"
import * as Schema from "effect/Schema"
import * as Option from "effect/Option"
import { shown } from "../internal/contract/redaction.ts"
import type { ExecutionEvent, ExecutionInfo, FeedInterrupted } from "../Execution.ts"
import type { WorkerInfo } from "../Snapshot.ts"
import type { ProgressState } from "../TaskContext.ts"

/** A moment. */
export const moment = (at: DateTime.DateTime | undefined): string | undefined =>
  at === undefined ? undefined : DateTime.formatIso(at)

const parse = Schema.decodeUnknownOption(Schema.fromJsonString(Schema.Unknown))

/** Stored JSON text as data, without what is redacted; as text if it is none. */
export const data = (text: string | undefined): unknown =>
  text === undefined ? undefined : Option.getOrElse(parse(shown(text)), () => text)

const progressOf = ({ current, message, total, updated }: ProgressState) => ({
  current,
  total,
  message,
  updated: moment(updated)
})

/** What a docket knows about an execution. */
export const execution = (info: ExecutionInfo) => ({
  key: info.key,
  task: info.task,
  state: info.state,
  due: moment(info.due),
  worker: info.worker,
  started: moment(info.started),
  completed: moment(info.completed),
  attempt: info.attempt,
  deliveries: info.deliveries,
  generation: info.generation,
  error: info.error,
  progress: info.progress && progressOf(info.progress),
  payload: data(info.encodedPayload)
})

/** A worker. */
export const worker = ({ lastSeen, name, tasks }: WorkerInfo) => ({ name, lastSeen: moment(lastSeen), tasks })

/** An event of a feed. */
export const event = (event: ExecutionEvent | FeedInterrupted) => {
  switch (event._tag) {
    case "StateChanged":
      return {
        event: "state",
        key: event.key,
        task: event.task,
        state: event.state,
        due: moment(event.due),
        worker: event.worker,
        started: moment(event.started),
        completed: moment(event.completed),
        error: event.error
      }
    case "ProgressChanged":
      return { event: "progress", key: event.key, ...progressOf(event) }
    case "FeedInterrupted":
      return { event: "interrupted" }
  }
}
