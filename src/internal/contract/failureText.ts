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
    .slice(0, mostErrors)
    .join("; ")

// Lists and events carry these texts, and an execution keeps up to twenty of them.
const mostErrors = 20
const longest = 4096

/** One error as text, cut when it is very long. */
export const errorText = (error: unknown): string => {
  try {
    const text = textOf(error)
    return text.length <= longest
      ? text
      : `${text.slice(0, longest).toWellFormed()}… (${text.length - longest} characters more)`
  } catch {
    return "Error: it cannot be shown, since its own code throws"
  }
}

const textOf = (error: unknown): string => {
  if (error instanceof Error) return `${error.name}: ${error.message}`
  if (Predicate.hasProperty(error, "_tag")) return `${String(error._tag)}: ${Inspectable.toStringUnknown(error, 0)}`
  return `Error: ${Inspectable.toStringUnknown(error, 0)}`
}
