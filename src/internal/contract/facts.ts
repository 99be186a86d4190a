/**
 * What whoever schedules or strikes a task by name has to know of its contract, as data that workers announce.
 */
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import * as Crypto from "node:crypto"
import type { DataKind, TaskFacts } from "../../DocketStore.ts"
import type * as Recurrence from "../../Recurrence.ts"
import type * as Task from "../../Task.ts"
import { codecOf } from "./codec.ts"

/** The facts of a task. */
export const factsOf = (task: Task.Any): TaskFacts => ({
  key: task.behaviour.key !== undefined ? "computed" : task.behaviour.recurrence !== undefined ? "name" : "own",
  fields: fieldsOf(task.payloadSchema),
  chain: chainOf(task)
})

/**
 * Stands for the recurrence of an automatic task and the payload with which workers schedule it; nothing for others. A
 * payload that is another each time has no say.
 */
export const chainOf = (task: Task.Any): string | undefined => {
  const { recurrence } = task.behaviour
  if (recurrence?.automatic !== true) return undefined
  // `Task.make` refuses an automatic task whose payload cannot be empty.
  const payload = () => Effect.runSync(codecOf(task).encodePayload(undefined)).text
  const [first, second] = [payload(), payload()]
  const text = JSON.stringify([partsOf(recurrence), first === second ? first : null])
  return Crypto.createHash("sha256").update(text).digest("hex").slice(0, 32)
}

const partsOf = (recurrence: Recurrence.Recurrence) => {
  if (recurrence._tag === "Every") return recurrence.everyMillis
  const { cron, missed, skipped } = recurrence
  const { days, hours, minutes, months, onDstOverlap, seconds, tz, weekdays } = cron
  const times = [seconds, minutes, hours, days, months, weekdays].map((numbers) => Array.from(numbers))
  return [times, onDstOverlap, String(tz), skipped, missed]
}

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
