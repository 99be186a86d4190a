/**
 * What only a contract can tell of an execution: the values of its controls, and whether a strike matches its payload.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type { Delivery, DocketStore, Outcome } from "../../DocketStore.ts"
import { InvalidPayload } from "../../DocketError.ts"
import * as Explanation from "../../Explanation.ts"
import type { WorkerMetrics } from "../../observability/Metrics.ts"
import { failureText } from "../contract/failureText.ts"
import { type KnownStrikes, parsePayload } from "../docket/knownStrikes.ts"
import type { Registry } from "./registry.ts"

/** Judges executions for the store. */
export interface Judgement {
  /** Answers for an execution that the store asks about. */
  readonly determine: (delivery: Delivery) => Effect.Effect<Outcome>
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

  return {
    determine: Effect.fnUntraced(function* ({ key, payload: text, task }): Effect.fn.Return<Outcome> {
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
        return { _tag: "Determined", values: [], strikes: version }
      }
      const values = yield* runnable.completePayload(text).pipe(
        Effect.mapError((error) => new InvalidPayload({ task, issue: error.message })),
        Effect.map(({ payload }) => controls.valuesOf(payload)),
        Effect.exit
      )
      if (Exit.isSuccess(values)) return { _tag: "Determined", values: values.value, strikes: version }
      yield* Effect.logError(`${task}{${key}} failed: the values of its controls cannot be found`, values.cause)
      return { _tag: "Failed", error: failureText(values.cause), failure: undefined }
    }),

    refuseNext: ({ key, payload, task }, outcome) => {
      const next = outcome._tag === "Completed" || outcome._tag === "Failed" ? outcome.next : undefined
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
  }
}
