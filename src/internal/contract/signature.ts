/**
 * A task in short form, for people: its name and the fields of its payload.
 */
import * as Exit from "effect/Exit"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import type * as Task from "../../Task.ts"

/** As in `sendWelcome(customerId, name?, locale = "en")`: a field that may be left out has a question mark or a default. */
export const signatureOf = ({ name, payloadSchema }: Task.Any): string => {
  if (!Predicate.hasProperty(payloadSchema, "fields") || !Predicate.isObject(payloadSchema.fields)) {
    return `${name}(payload)`
  }
  const fields = Object.entries(payloadSchema.fields).map(([field, schema]) =>
    Schema.isSchema(schema) ? `${field}${whenLeftOut(schema)}` : field
  )
  return `${name}(${fields.join(", ")})`
}

const whenLeftOut = ({ ast: { context } }: Schema.Top): string => {
  const value = context?.constructorDefault
  if (value !== undefined) {
    return Exit.isExit(value) && Exit.isSuccess(value) ? ` = ${JSON.stringify(value.value)}` : " = …"
  }
  return context?.isOptional === true ? "?" : ""
}
