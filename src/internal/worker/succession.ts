/**
 * What follows a run of a task that recurs, by its recurrence and by what its handler asked for.
 */
import * as Effect from "effect/Effect"
import { DocketError, InvalidPayload } from "../../DocketError.ts"
import type { Delivery, Due, Next } from "../../DocketStore.ts"
import * as Recurrence from "../../Recurrence.ts"
import type { Perpetual } from "../../TaskContext.ts"
import { codecOf } from "../contract/codec.ts"
import { invalid } from "../docket/docketError.ts"
import * as Durations from "../contract/durations.ts"
import * as Moments from "../contract/moments.ts"
import * as Size from "../contract/size.ts"

/** The succession of one run, as the handler and as the worker see it. */
export interface Succession {
  readonly service: Perpetual["Service"]
  /** The next run, for a run that has ended `elapsedMillis` after its start; nothing when this was the last. */
  readonly next: (elapsedMillis: number) => Next | undefined
}

const ignored = { cancel: Effect.void, every: () => Effect.void, after: () => Effect.void, at: () => Effect.void }

/** For a task that does not recur. */
export const none: Succession = {
  service: { ...ignored, next: () => Effect.void },
  next: () => undefined
}

/** Makes the succession of a run. */
export const make = (
  recurrence: Recurrence.Recurrence,
  delivery: Delivery,
  { chain, maximumBytes }: { readonly maximumBytes: number; readonly chain: string | undefined }
): Succession => {
  let stopped = false
  let everyMillis: number | undefined = undefined
  let due: Due | undefined = undefined
  let payload: string | undefined = undefined

  const dueAfter = (elapsedMillis: number): Due => {
    if (due !== undefined) return due
    if (everyMillis !== undefined) return after(everyMillis - elapsedMillis)
    if (recurrence._tag === "Every") return after(recurrence.everyMillis - elapsedMillis)
    // The store's clock told when the run started; this worker's clock only how long ago that is.
    const now = delivery.started + elapsedMillis
    return { _tag: "At", epochMillis: Recurrence.next(recurrence, { due: delivery.intended, now }) }
  }

  return {
    service: {
      cancel: Effect.sync(() => {
        stopped = true
      }),
      every: (interval) =>
        Effect.map(Durations.given("Perpetual.every", interval), (millis) => {
          everyMillis = millis
        }),
      after: (delay) =>
        Effect.map(Durations.given("Perpetual.after", delay), (millis) => {
          due = after(millis)
        }),
      at: (moment) =>
        Effect.map(Moments.given("Perpetual.at", moment), (epochMillis) => {
          due = { _tag: "At", epochMillis }
        }),
      next: Effect.fnUntraced(function* (task, input) {
        if (task.name !== delivery.task) {
          return yield* invalid(
            `Perpetual.next takes the task that runs, "${delivery.task}"; it was given "${task.name}"`
          )
        }
        const { text } = yield* Effect.mapError(
          codecOf(task).encodePayload(input),
          (error) => new DocketError({ reason: new InvalidPayload({ task: task.name, issue: error.message }) })
        )
        const tooLarge = Size.check(maximumBytes, task.name, "payload", text)
        if (tooLarge !== undefined) return yield* new DocketError({ reason: tooLarge })
        payload = text
      })
    },
    next: (elapsedMillis) => (stopped ? undefined : { due: dueAfter(elapsedMillis), payload, chain })
  }
}

const after = (millis: number): Due => ({ _tag: "After", millis: Math.max(0, Math.ceil(millis)) })
