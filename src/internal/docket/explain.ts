/**
 * Finds out why an execution is not running.
 */
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Admission from "../../Admission.ts"
import type { DocketError } from "../../DocketError.ts"
import type { DocketStore, ExecutionRecord, SilentWorker } from "../../DocketStore.ts"
import * as Explanation from "../../Explanation.ts"
import { judge, type Strike } from "../../Strike.ts"
import * as ControlValue from "../contract/controlValue.ts"
import { failWith } from "./docketError.ts"
import { parsePayload } from "./knownStrikes.ts"
import { knowsTask } from "./operations.ts"

/** Explains an execution. */
export const explain = Effect.fnUntraced(function* (
  store: DocketStore["Service"],
  key: string
): Effect.fn.Return<Explanation.Explanation, DocketError> {
  const [found] = yield* failWith(store.read([key]))
  return Explanation.make(
    key,
    found === undefined || Option.isNone(found)
      ? { _tag: "Unknown" }
      : yield* reasonOf(found.value, {
          strikes: Effect.map(failWith(store.strikes), ({ strikes }) => strikes),
          workers: failWith(store.workers),
          silent: failWith(store.silentWorkers),
          ahead: Effect.map(failWith(store.ahead(key)), (ahead) => ahead ?? 0)
        })
  )
})

/** What a reason may depend on besides the record. */
export interface Surroundings<E> {
  readonly strikes: Effect.Effect<ReadonlyArray<Strike>, E>
  readonly workers: Effect.Effect<ReadonlyArray<{ readonly tasks: ReadonlyArray<string> }>, E>
  /** Workers that hold something and fell silent. */
  readonly silent: Effect.Effect<ReadonlyArray<SilentWorker>, E>
  /** How many due ones come before it. */
  readonly ahead: Effect.Effect<number, E>
}

/** Why the execution of a record is not running. */
export const reasonOf: <E>(
  record: ExecutionRecord,
  surroundings: Surroundings<E>
) => Effect.Effect<Explanation.Reason, E> = Effect.fnUntraced(function* <E>(
  record: ExecutionRecord,
  surroundings: Surroundings<E>
): Effect.fn.Return<Explanation.Reason, E> {
  const { attempt, hindrance, state, task } = record
  const due = DateTime.makeUnsafe(record.due)
  if (hindrance?._tag === "Dropped") {
    const { by, until } = hindrance
    return { _tag: "Dropped", task, by, control: controlOf(hindrance), until: moment(until) }
  }
  if (state === "completed" || state === "failed" || state === "cancelled") {
    const error = state === "failed" ? record.error : undefined
    return { _tag: "Settled", task, state, completed: moment(record.completed), error }
  }
  if (state === "running") {
    const since = moment(record.started) ?? due
    const worker = record.worker ?? ""
    const silent = (yield* surroundings.silent).find(({ name }) => name === worker)
    return {
      _tag: "Running",
      task,
      worker,
      since,
      attempt,
      ...(silent === undefined
        ? {}
        : { silent: { since: moment(silent.lastSeen), until: DateTime.makeUnsafe(silent.until) } })
    }
  }
  const { strike } = judge(yield* surroundings.strikes, task, parsePayload(record.payload))
  if (strike !== undefined) return { _tag: strike.hold ? "Held" : "Struck", task, strike }
  switch (hindrance?._tag) {
    case "Concurrency": {
      const { ahead, holders, limit } = hindrance
      return { _tag: "AwaitingSlot", task, control: controlOf(hindrance), limit, holders, ahead }
    }
    case "RateLimit":
      return {
        _tag: "RateLimited",
        task,
        control: controlOf(hindrance),
        until: moment(hindrance.opens),
        ahead: hindrance.ahead
      }
    case "Debounce":
      return { _tag: "Debouncing", task, control: controlOf(hindrance), until: moment(hindrance.until) ?? due }
  }
  if (state === "scheduled" && hindrance === undefined) {
    return attempt > 1 ? { _tag: "Retrying", task, attempt, due, error: record.error } : { _tag: "Due", task, due }
  }
  const workers = yield* surroundings.workers
  if (!workers.some((worker) => knowsTask(worker, task))) return { _tag: "NoWorker", task }
  return { _tag: "Queued", task, ahead: yield* surroundings.ahead }
})

const moment = (epochMillis: number | undefined) =>
  epochMillis === undefined ? undefined : DateTime.makeUnsafe(epochMillis)

const controlOf = ({ scope, value }: { readonly scope: string; readonly value: string }): Explanation.ControlInfo => ({
  scope: scope.startsWith("scope:") ? Admission.scopeName(scope) : undefined,
  value: value === "" ? undefined : ControlValue.shown(value)
})
