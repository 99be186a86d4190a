/**
 * Stored data, and what the docket has to say of it. Data of which there is nothing to say is stored as its JSON text. Other
 * data is stored in an envelope, which is told from data by how its text begins: data that begins so is put into an
 * envelope as well, so no value of a user's is ever taken for one.
 */
import * as Exit from "effect/Exit"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"

/** What is said of stored data. */
export interface Marks {
  /** The version of a payload, when it is not the first one. */
  readonly version?: number | undefined
  /** What is not to be shown: all of it, or some fields of an object. */
  readonly redacted?: "all" | ReadonlyArray<string> | undefined
  /** Where a result is kept, when that is not here. */
  readonly kept?: string | undefined
}

/** Data, and what is said of it. */
export interface Stored {
  readonly marks: Marks
  readonly data: unknown
}

const beginning = '{"~docket":'

const unmarked: Marks = {}

/** The text that is stored of data, which is given as JSON text. */
export const write = (json: string, marks: Marks | undefined): string =>
  marks === undefined && !json.startsWith(beginning)
    ? json
    : `${beginning}${JSON.stringify(marks ?? unmarked)},"data":${json}}`

/** Whether a stored text is an envelope. */
export const isEnvelope = (text: string): boolean => text.startsWith(beginning)

const parseJson = Schema.decodeUnknownExit(Schema.fromJsonString(Schema.Unknown))

// As fast as it gets; what is no JSON is left to the schema, for its error.
const parse = (text: string): Exit.Exit<unknown, Schema.SchemaError> => {
  try {
    return Exit.succeed(JSON.parse(text))
  } catch {
    return parseJson(text)
  }
}

/** Reads a stored text. */
export const read = (text: string): Exit.Exit<Stored, Schema.SchemaError> =>
  Exit.map(parse(text), (value) => (isEnvelope(text) ? opened(value) : { marks: unmarked, data: value }))

/** The data in a stored text. */
export const dataOf = (text: string): Exit.Exit<unknown, Schema.SchemaError> =>
  isEnvelope(text) ? Exit.map(read(text), ({ data }) => data) : parse(text)

/** The JSON text of the data in a stored text; the text itself when it is damaged. */
export const jsonOf = (text: string): string => {
  if (!isEnvelope(text)) return text
  const stored = read(text)
  return Exit.isSuccess(stored) ? JSON.stringify(stored.value.data) : text
}

/** What is said of the data in a stored text. */
export const marksOf = (text: string): Marks => {
  if (!isEnvelope(text)) return unmarked
  const stored = read(text)
  return Exit.isSuccess(stored) ? stored.value.marks : unmarked
}

const MarksSchema = Schema.Struct({
  version: Schema.optionalKey(Schema.Int),
  redacted: Schema.optionalKey(Schema.Union([Schema.Literal("all"), Schema.Array(Schema.String)])),
  kept: Schema.optionalKey(Schema.String)
})
const isMarks = Schema.is(MarksSchema)

// What another hand wrote in the manner of an envelope is data.
const opened = (value: unknown): Stored => {
  if (!Predicate.isObject(value)) return { marks: unmarked, data: value }
  const { data, "~docket": marks } = value as { readonly data?: unknown; readonly "~docket"?: unknown }
  return data !== undefined && isMarks(marks) ? { marks, data } : { marks: unmarked, data: value }
}
