/**
 * What only a contract can tell of an execution: the values of its controls, and whether a strike matches its payload.
 */
import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type { Delivery, DocketStore, Outcome, Undetermined } from "../../DocketStore.ts"
import * as Admission from "../../Admission.ts"
import { InvalidPayload } from "../../DocketError.ts"
import * as Explanation from "../../Explanation.ts"
import type { WorkerMetrics } from "../../observability/Metrics.ts"
import { failureText } from "../contract/failureText.ts"
import { type KnownStrikes, parsePayload } from "../docket/knownStrikes.ts"
import type { Registry } from "./registry.ts"
import * as Succession from "./succession.ts"

/** Judges executions for the store. */
export interface Judgement {
  /** Answers for an execution that the store asks about. */
  readonly determine: (delivery: Undetermined) => Effect.Effect<Outcome>
  /** Takes the next run from an outcome when a strike refuses it. */
  readonly refuseNext: (delivery: Delivery, outcome: Outcome) => Effect.Effect<Outcome>
}

/** Judges by the contracts that a worker has, and by the strikes that its process knows. */
export const make = (options: {
  readonly store: Pick<DocketStore["Service"], "strikes">
  readonly registry: Registry
  readonly strikes: KnownStrikes
  readonly metrics: WorkerMetrics
}): Judgement => {
  const { metrics, registry, store, strikes } = options

  const complete = (task: string, text: string): unknown => {
    const payload = registry.find(task, text)?.completePayload(text)
    return payload !== undefined && Exit.isSuccess(payload) ? payload.value.encoded : parsePayload(text)
  }

  // The key goes on as if the run that is skipped had been over at once.
  const skip = (delivery: Delivery): Outcome => {
    const runnable = registry.find(delivery.task, delivery.payload)
    const recurrence = runnable?.behaviour?.recurrence
    if (recurrence === undefined) return { _tag: "Skipped", next: undefined }
    // No handler has given the next run a payload.
    return {
      _tag: "Skipped",
      next: Succession.make(recurrence, delivery, { maximumBytes: 0, chain: runnable?.chain }).next(0)
    }
  }

  const refuseNext: Judgement["refuseNext"] = ({ key, payload, task }, outcome) => {
    const next = "next" in outcome ? outcome.next : undefined
    if (next === undefined || strikes.current().strikes.length === 0) return Effect.succeed(outcome)
    return Effect.gen(function* () {
      const refusing = Effect.suspend(() => {
        const strike = strikes.judge(task, () => complete(task, next.payload ?? payload))
        return Effect.as(strikes.warn, strike?.hold === true ? undefined : strike)
      })
      if ((yield* refusing) === undefined) return outcome
      // While the run went on the strike may have been restored, of which nobody told this process. Without an answer
      // the next run is left to be judged when it is due.
      const inForce = yield* Effect.option(store.strikes)
      if (Option.isNone(inForce)) return outcome
      yield* strikes.update(inForce.value)
      const strike = yield* refusing
      if (strike === undefined) return outcome
      yield* strikes.refused({ task, key, payload }, strike)
      return { ...outcome, next: undefined }
    })
  }

  return {
    determine: Effect.fnUntraced(
      function* (delivery): Effect.fn.Return<Outcome> {
        const { key, payload: text, skipped, task } = delivery
        if (skipped !== undefined) return yield* refuseNext(delivery, skip(delivery))
        const lacks = registry.lacks(task, text)
        if (lacks !== undefined) return { _tag: "Unreadable", needs: lacks }
        const { version } = strikes.current()
        const strike = strikes.judge(task, () => complete(task, text))
        yield* strikes.warn
        if (strike?.hold === true) {
          yield* Effect.logInfo(Explanation.make(key, { _tag: "Held", task, strike }).message)
          return { _tag: "Held", strikes: version }
        }
        if (strike !== undefined) {
          metrics.stricken(task)
          yield* Effect.logWarning(`🗙 ${task}{${key}} does not run: struck by ${strike}`)
          return { _tag: "Cancelled" }
        }
        const runnable = registry.find(task, text)
        const controls = runnable?.behaviour?.controls
        if (runnable === undefined || controls === undefined || controls.controls.length === 0) {
          return { _tag: "Determined", terms: Admission.noTerms, strikes: version }
        }
        const terms = yield* runnable.completePayload(text).pipe(
          Effect.mapError((error) => new InvalidPayload({ task, issue: error.message })),
          Effect.map(({ payload }) => controls.termsOf(payload)),
          Effect.exit
        )
        if (Exit.isSuccess(terms)) return { _tag: "Determined", terms: terms.value, strikes: version }
        yield* Effect.logError(`${task}{${key}} failed: the values of its controls cannot be found`, terms.cause)
        return failedBy(terms.cause)
      },
      // What looks at a payload may be a user's, and throw.
      Effect.catchCause((cause) => Effect.succeed(failedBy(cause)))
    ),

    refuseNext
  }
}

const failedBy = (cause: Cause.Cause<unknown>): Outcome => ({
  _tag: "Failed",
  error: failureText(cause),
  failure: undefined
})
