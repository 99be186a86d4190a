/**
 * From the way a handler ended to what the store is told: completed, failed, retried, cancelled, or given back.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type { Docket } from "../../Docket.ts"
import { DocketError, MiddlewareFailed, TaskTimedOut } from "../../DocketError.ts"
import type { Due, Next, Outcome } from "../../DocketStore.ts"
import * as Retry from "../../Retry.ts"
import { errorText, failureText } from "../contract/failureText.ts"
import { lookOr } from "../contract/looking.ts"
import * as Signal from "../contract/signal.ts"
import * as Size from "../contract/size.ts"
import type { Runnable } from "./registry.ts"
import type { Run } from "./run.ts"

/** Decides the outcome of a run; nothing when its lease was lost, and with it the right to settle. */
export const outcomeOf = (
  runnable: Runnable,
  run: Run,
  exit: Exit.Exit<unknown, unknown>,
  next: () => Next | undefined,
  limits: Limits
): Effect.Effect<Outcome | undefined> => {
  if (run.interruptReason === "lease-lost") return Effect.undefined
  if (Exit.isFailure(exit)) return outcomeOfFailure(runnable, run, exit.cause, next, limits)
  const result = runnable.encodeSuccess(exit.value)
  const failed = (error: string): Effect.Effect<Outcome> =>
    Effect.succeed({ _tag: "Failed", error, failure: undefined, next: next() })
  if (Exit.isFailure(result)) {
    return failed(`InvalidResult: the result does not fit the task's schema: ${failureText(result.cause)}`)
  }
  const tooLarge =
    result.value === undefined
      ? undefined
      : Size.check(limits.maximumResultBytes, run.delivery.task, "result", result.value)
  return tooLarge === undefined
    ? Effect.succeed({ _tag: "Completed", result: result.value, next: next() })
    : failed(errorText(tooLarge))
}

/** How large results and errors may be. */
type Limits = Pick<Docket["Service"]["settings"], "maximumBytes" | "maximumResultBytes">

const outcomeOfFailure = Effect.fnUntraced(function* (
  runnable: Runnable,
  run: Run,
  cause: Cause.Cause<unknown>,
  next: () => Next | undefined,
  { maximumBytes }: Limits
): Effect.fn.Return<Outcome> {
  if (Cause.hasInterrupts(cause)) {
    if (run.interruptReason === "cancelled") return { _tag: "Cancelled" }
    if (run.interruptReason === "shutting-down") return { _tag: "Released" }
  }
  // A handler that interrupts itself wants to be cancelled.
  if (Cause.hasInterruptsOnly(cause)) return { _tag: "Cancelled" }
  const refused = Signal.findNotAdmitted(cause)
  if (refused !== undefined) return { _tag: "Postponed", due: { _tag: "After", millis: refused.delayMillis } }
  const decision = yield* Effect.exit(nextAttempt(runnable, run, cause))
  if (Exit.isFailure(decision)) {
    yield* Effect.logError("The retry policy of the task failed, so there is no further attempt", decision.cause)
  }
  const due = Exit.isSuccess(decision) ? decision.value : undefined
  const error = failureText(cause, runnable.encodeError)
  if (due !== undefined) return { _tag: "Retry", error, due }
  const failure = typedFailure(runnable, cause)
  const tooLarge = failure === undefined ? undefined : Size.check(maximumBytes, run.delivery.task, "error", failure)
  return tooLarge === undefined
    ? { _tag: "Failed", error, failure, next: next() }
    : { _tag: "Failed", error: `${error}; ${errorText(tooLarge)}`, failure: undefined, next: next() }
})

const nextAttempt = Effect.fnUntraced(function* (
  runnable: Runnable,
  run: Run,
  cause: Cause.Cause<unknown>
): Effect.fn.Return<Due | undefined> {
  if (Signal.isFinal(cause)) return undefined
  const policy = runnable.behaviour?.retry
  const requested = Signal.findRetry(cause)
  if (policy === undefined) return requested?.due
  const decision = Retry.decide(policy, { attempt: run.delivery.attempt, error: ownError(runnable, cause) })
  // A policy can end the attempts. One that fails, for want of an error to look at, does not overrule the handler.
  const delay = yield* requested === undefined ? decision : Effect.catchCause(decision, () => Effect.succeedSome(0))
  if (Option.isNone(delay)) return undefined
  return requested?.due ?? { _tag: "After", millis: delay.value }
})

/** The error that a policy is asked about. What the docket and its worker fail with is not of the type that it knows. */
const ownError = (runnable: Runnable, cause: Cause.Cause<unknown>): Option.Option<unknown> =>
  Option.filter(
    Cause.findErrorOption(cause),
    (error) => !isForeign(error) || lookOr(() => runnable.declares(error), false)
  )

// By their names, since the handler may come from another copy of this package.
const foreign = new Set([TaskTimedOut, MiddlewareFailed, DocketError].map(({ identifier }) => identifier))

const isForeign = (error: unknown): boolean => lookOr(() => error instanceof Error && foreign.has(error.name), false)

const typedFailure = (runnable: Runnable, cause: Cause.Cause<unknown>): string | undefined => {
  const error = Cause.findErrorOption(cause)
  if (Option.isNone(error)) return undefined
  const text = lookOr(() => runnable.encodeError(error.value), undefined)
  return text !== undefined && Exit.isSuccess(text) ? text.value : undefined
}
