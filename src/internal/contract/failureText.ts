/**
 * Failures as text, for records and events: the error's name, a colon, and its message; the fields of an error that has no
 * message.
 */
import * as Cause from "effect/Cause"
import * as Exit from "effect/Exit"
import * as Inspectable from "effect/Inspectable"
import * as Predicate from "effect/Predicate"
import * as Redaction from "./redaction.ts"
import * as Stored from "./stored.ts"

/** Encodes an error as it is stored; fails for one that is not of the task's type. */
export type Encode = (error: unknown) => Exit.Exit<string, unknown>

// Lists and events carry these texts, and an execution keeps up to twenty of them.
const mostErrors = 20
const longest = 4096

/** Names every failure and defect in a cause; several are joined with semicolons. */
export const failureText = (cause: Cause.Cause<unknown>, encode?: Encode): string =>
  cause.reasons
    .flatMap((reason) => {
      if (Cause.isFailReason(reason)) return [errorText(reason.error, encode)]
      if (Cause.isDieReason(reason)) return [errorText(reason.defect)]
      return []
    })
    .slice(0, mostErrors)
    .join("; ")

/** One error as text, cut when it is very long. */
export const errorText = (error: unknown, encode?: Encode): string => {
  try {
    const text = textOf(error, encode)
    return text.length <= longest
      ? text
      : `${text.slice(0, longest).toWellFormed()}… (${text.length - longest} characters more)`
  } catch {
    return "Error: it cannot be shown, since its own code throws"
  }
}

/** A cause for logs and spans, in which errors without a message have their fields for one. */
export const described = <E>(cause: Cause.Cause<E>, encode?: Encode): Cause.Cause<E | Error> => {
  try {
    if (!cause.reasons.some((reason) => isBlank(valueOf(reason)))) return cause
    return Cause.fromReasons(
      cause.reasons.map((reason): Cause.Reason<E | Error> => {
        if (Cause.isFailReason(reason) && isBlank(reason.error)) {
          return Cause.makeFailReason(withFields(reason.error, encode))
        }
        if (Cause.isDieReason(reason) && isBlank(reason.defect)) return Cause.makeDieReason(withFields(reason.defect))
        return reason
      })
    )
  } catch {
    // It is an error's own code that throws.
    return cause
  }
}

const textOf = (error: unknown, encode: Encode | undefined): string => {
  if (isBlank(error)) return `${error.name}: ${fieldsOf(error, encode)}`
  if (error instanceof Error) return `${error.name}: ${error.message}`
  return `${Predicate.hasProperty(error, "_tag") ? String(error._tag) : "Error"}: ${Inspectable.toStringUnknown(error, 0)}`
}

const isBlank = (error: unknown): error is Error => error instanceof Error && error.message === ""

const valueOf = (reason: Cause.Reason<unknown>): unknown => {
  if (Cause.isFailReason(reason)) return reason.error
  return Cause.isDieReason(reason) ? reason.defect : undefined
}

const withFields = (error: Error, encode?: Encode): Error => {
  const shown = new Error(fieldsOf(error, encode))
  shown.name = error.name
  const [, ...frames] = (error.stack ?? "").split(/^(?= {4}at )/m)
  shown.stack = `${error.name}: ${shown.message}\n${frames.join("")}`.trimEnd()
  if (error.cause !== undefined) shown.cause = error.cause
  return shown
}

/** The fields of an error, encoded and without what is redacted; what caused it when it has none. */
const fieldsOf = (error: Error, encode: Encode | undefined): string => {
  const encoded = encodedOf(error, encode)
  if (encoded !== undefined) return encoded
  const fields = Object.entries(error).filter(([name]) => !ofEveryError.has(name))
  if (fields.length > 0) return Inspectable.toStringUnknown(Object.fromEntries(fields), 0)
  return error.cause === undefined ? "it has no message" : errorText(error.cause)
}

const ofEveryError = new Set(["_tag", "name", "message", "stack", "cause"])

const encodedOf = (error: unknown, encode: Encode | undefined): string | undefined => {
  const text = encode?.(error)
  if (text === undefined || Exit.isFailure(text)) return undefined
  const json = Redaction.shown(text.value)
  const data = Stored.dataOf(json)
  if (Exit.isFailure(data) || !Predicate.isObject(data.value) || Array.isArray(data.value)) return json
  const fields = Object.entries(data.value).filter(([name]) => name !== "_tag")
  return fields.length === 0 ? undefined : JSON.stringify(Object.fromEntries(fields))
}
