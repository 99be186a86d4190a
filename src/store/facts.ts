/** What workers say of tasks, as the text that stores keep. */
import * as Schema from "effect/Schema"

const Kind = Schema.Literals(["string", "number", "boolean", "null", "array", "object"])

const Facts = Schema.fromJsonString(
  Schema.Struct({
    key: Schema.Literals(["computed", "name", "own"]),
    chain: Schema.optional(Schema.String),
    fields: Schema.optional(Schema.Record(Schema.String, Schema.Array(Kind)))
  })
)

export const encode = Schema.encodeSync(Facts)

/** Nothing for what cannot be read. */
export const decode = Schema.decodeUnknownOption(Facts)
