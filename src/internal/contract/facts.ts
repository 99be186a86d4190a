/**
 * What whoever schedules or strikes a task by name has to know of its contract, as data that workers announce.
 */
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import type { DataKind, TaskFacts } from "../../DocketStore.ts"
import type * as Task from "../../Task.ts"

/** The facts of a task. */
export const factsOf = (task: Task.Any): TaskFacts => ({
  key: task.behaviour.key !== undefined ? "computed" : task.behaviour.recurrence !== undefined ? "name" : "own",
  fields: fieldsOf(task.payloadSchema)
})

/** The fields of a payload as it is stored, with the kinds of data that each may have. Nothing for one that is no struct. */
export const fieldsOf = (schema: Task.DataSchema): TaskFacts["fields"] => {
  const { definitions, schema: root } = Schema.toJsonSchemaDocument(Schema.toCodecJson(schema))
  const resolve = (found: unknown): unknown =>
    Predicate.hasProperty(found, "$ref") && typeof found.$ref === "string"
      ? resolve(definitions[found.$ref.slice(found.$ref.lastIndexOf("/") + 1)])
      : found
  const struct = resolve(root)
  if (!Predicate.hasProperty(struct, "properties") || !Predicate.isObject(struct.properties)) return undefined
  return Object.fromEntries(
    Object.entries(struct.properties).map(([field, found]) => [field, [...new Set(kindsOf(found, resolve))]])
  )
}

// No kinds where anything may be.
const kindsOf = (found: unknown, resolve: (found: unknown) => unknown): ReadonlyArray<DataKind> => {
  const schema = resolve(found)
  if (Predicate.hasProperty(schema, "anyOf") && Array.isArray(schema.anyOf)) {
    const each = schema.anyOf.map((member) => kindsOf(member, resolve))
    return each.some((kinds) => kinds.length === 0) ? [] : each.flat()
  }
  const type = Predicate.hasProperty(schema, "type") ? schema.type : undefined
  return kinds.filter((kind) => kind === type || (kind === "number" && type === "integer"))
}

const kinds: ReadonlyArray<DataKind> = ["string", "number", "boolean", "null", "array", "object"]
