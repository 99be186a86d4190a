/**
 * What a handler can tell its worker by the way it ends, besides its own errors.
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Option from "effect/Option"
import type { Due } from "../../DocketStore.ts"

/** The handler asks for another attempt. It travels as a defect, so that it is in nobody's error type. */
export class RetryRequested extends Error {
  override readonly name = "RetryRequested"
  readonly due: Due
  constructor(due: Due) {
    super("the handler asked to be retried")
    this.due = due
  }
}

/** The execution may not start now. It travels as a defect. */
export class NotAdmitted extends Error {
  override readonly name = "NotAdmitted"
  readonly delayMillis: number
  constructor(delayMillis: number) {
    super("a middleware asked to try again later")
    this.delayMillis = delayMillis
  }
}

class Final extends Context.Service<Final, true>()("effect-docket/internal/Final") {}

/** A failure that no policy may retry. */
export const finalFailure = <E>(error: E): Cause.Cause<E> =>
  Cause.annotate(Cause.fail(error), Context.make(Final, true))

/** Whether a cause holds a failure that no policy may retry. */
export const isFinal = (cause: Cause.Cause<unknown>): boolean =>
  Option.isSome(Context.getOption(Cause.annotations(cause), Final))

/** The retry that a handler asked for, if it did. */
export const findRetry = (cause: Cause.Cause<unknown>): RetryRequested | undefined => findDefect(cause, RetryRequested)

/** The refusal of a middleware, if there was one. */
export const findNotAdmitted = (cause: Cause.Cause<unknown>): NotAdmitted | undefined => findDefect(cause, NotAdmitted)

const findDefect = <A>(cause: Cause.Cause<unknown>, type: abstract new (...args: Array<never>) => A): A | undefined => {
  for (const reason of cause.reasons) {
    if (Cause.isDieReason(reason) && reason.defect instanceof type) return reason.defect
  }
  return undefined
}
