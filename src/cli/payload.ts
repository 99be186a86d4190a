/**
 * Payloads as they are typed: JSON, in the form in which a task's schema encodes them.
 */
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import * as Struct from "effect/Struct"
import { DocketError, InvalidPayload } from "../DocketError.ts"
import * as Task from "../Task.ts"
import { UsageError } from "./exits.ts"
import * as Text from "./text.ts"

const parseJson = Schema.decodeUnknownEffect(Schema.fromJsonString(Schema.Json))

/** Reads the text of a `--payload`. */
export const parse = (text: string): Effect.Effect<Schema.Json, UsageError> =>
  Effect.mapError(
    parseJson(text),
    () => new UsageError({ message: `--payload has to be JSON, as in '{"id":7}'; it was ${text}` })
  )

/**
 * A payload for a task, from what its schema encodes it to. Fields that have a default may be left out; fields that the
 * schema does not name are refused, since they are likely to be misspelt.
 */
export const decode: (task: Task.Any, json: Schema.Json) => Effect.Effect<unknown, DocketError> = Effect.fnUntraced(
  function* (task, json) {
    const fields = fieldsOf(task.payloadSchema)
    const named = fields !== undefined && Predicate.isObject(json) ? Object.keys(json) : []
    const extra = named.filter((name) => fields !== undefined && !Object.hasOwn(fields, name))
    if (fields !== undefined && extra.length > 0) {
      return yield* misfit(
        task,
        `it has no field ${extra.map(Text.quote).join(", ")}, only ${Object.keys(fields).join(", ")}`
      )
    }
    // Making the payload fills in the fields that are left out, or says that they are missing.
    const schema = fields === undefined ? task.payloadSchema : Schema.Struct(Struct.pick(fields, named))
    return yield* Effect.mapError(Schema.decodeEffect(Schema.toCodecJson(schema))(json), ({ message }) =>
      misfit(task, message)
    )
  }
)

const misfit = (task: Task.Any, issue: string) =>
  new DocketError({ reason: new InvalidPayload({ task: task.name, issue }) })

/** The fields of a payload that has some. */
const fieldsOf = (schema: Task.DataSchema): Readonly<Record<string, Task.DataSchema>> | undefined =>
  Predicate.hasProperty(schema, "fields") && Predicate.isObject(schema.fields)
    ? // The fields of a schema that encodes and decodes without services do so as well.
      (schema.fields as Readonly<Record<string, Task.DataSchema>>)
    : undefined

/** A contract for a task of which only the name is known: any JSON is a payload. */
export const anyTask = (name: string) => Task.make(name, { payload: Schema.Json, success: Schema.Json })
