/**
 * What a handler can tell its worker by the way it ends, besides its own errors.
 *
 * The handler may have been made with another copy of this package than the worker, as where the command is installed
 * globally: so nothing here goes by the identity of a class.
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import { lookOr } from "./looking.ts"
import type { Due } from "../../DocketStore.ts"

const retryId = "~effect-docket/RetryRequested"
const notAdmittedId = "~effect-docket/NotAdmitted"

/** The handler asks for another attempt. It travels as a defect, so that it is in nobody's error type. */
export class RetryRequested extends Error {
  readonly [retryId] = true
  override readonly name = "RetryRequested"
  readonly due: Due
  constructor(due: Due) {
    super("the handler asked to be retried")
    this.due = due
  }
}

/** The execution may not start now. It travels as a defect. */
export class NotAdmitted extends Error {
  readonly [notAdmittedId] = true
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
export const findRetry = (cause: Cause.Cause<unknown>): RetryRequested | undefined =>
  // What has this mark was made here, or by another copy of this file.
  findDefect(cause, retryId) as RetryRequested | undefined

/** The refusal of a middleware, if there was one. */
export const findNotAdmitted = (cause: Cause.Cause<unknown>): NotAdmitted | undefined =>
  // As above.
  findDefect(cause, notAdmittedId) as NotAdmitted | undefined

const findDefect = (cause: Cause.Cause<unknown>, id: string): unknown =>
  cause.reasons.flatMap((reason) =>
    Cause.isDieReason(reason) && lookOr(() => Predicate.hasProperty(reason.defect, id), false) ? [reason.defect] : []
  )[0]
