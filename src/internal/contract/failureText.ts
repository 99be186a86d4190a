/**
 * Failures as text, for records and events: the error's name, a colon, and its message.
 */
import * as Cause from "effect/Cause"
import * as Inspectable from "effect/Inspectable"
import * as Predicate from "effect/Predicate"

/** Names every failure and defect in a cause; several are joined with semicolons. */
export const failureText = (cause: Cause.Cause<unknown>): string =>
  cause.reasons
    .flatMap((reason) => {
      if (Cause.isFailReason(reason)) return [errorText(reason.error)]
      if (Cause.isDieReason(reason)) return [errorText(reason.defect)]
      return []
    })
    .join("; ")

/** One error as text. */
export const errorText = (error: unknown): string => {
  try {
    return textOf(error)
  } catch {
    return "Error: it cannot be shown, since its own code throws"
  }
}

const textOf = (error: unknown): string => {
  if (error instanceof Error) return `${error.name}: ${error.message}`
  if (Predicate.hasProperty(error, "_tag")) return `${String(error._tag)}: ${Inspectable.toStringUnknown(error, 0)}`
  return `Error: ${Inspectable.toStringUnknown(error, 0)}`
}
