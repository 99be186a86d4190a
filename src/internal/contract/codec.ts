/**
 * The JSON text of payloads, results and errors, by the schemas of a task. The codecs of a task are built once.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Schema from "effect/Schema"
import * as SchemaAST from "effect/SchemaAST"
import * as SchemaIssue from "effect/SchemaIssue"
import type * as Task from "../../Task.ts"
import * as PayloadVersion from "./payloadVersion.ts"
import * as Redaction from "./redaction.ts"

/** Encodes and decodes the data of one task. */
export interface Codec {
  /** The version of the payloads that it encodes; it decodes earlier ones as well. */
  readonly version: number
  /** Makes a payload from what a producer gave, filling defaults, and encodes it. */
  readonly encodePayload: (input: unknown) => Effect.Effect<EncodedPayload, Schema.SchemaError>
  readonly decodePayload: (text: string) => Exit.Exit<unknown, Schema.SchemaError>
  /** Decodes a payload, and encodes it again, so that its defaults are filled in. */
  readonly completePayload: (text: string) => Exit.Exit<CompletePayload, Schema.SchemaError>
  /** Whether every success is `undefined`. */
  readonly isVoid: boolean
  /** `undefined` is stored as nothing. */
  readonly encodeSuccess: (value: unknown) => Exit.Exit<string | undefined, Schema.SchemaError>
  readonly decodeSuccess: (text: string | undefined) => Exit.Exit<unknown, Schema.SchemaError>
  /** Whether it has errors of its own. */
  readonly hasErrors: boolean
  readonly encodeError: (error: unknown) => Exit.Exit<string, Schema.SchemaError>
  readonly decodeError: (text: string) => Exit.Exit<unknown, Schema.SchemaError>
}

/** A payload with its defaults, and the text that is stored of it. */
export interface EncodedPayload {
  readonly payload: unknown
  readonly text: string
}

/** A payload in both forms, with its defaults. */
export interface CompletePayload {
  readonly payload: unknown
  readonly encoded: unknown
}

const codecs = new WeakMap<Task.Any, Codec>()

/** The codec of a task. */
export const codecOf = (task: Task.Any): Codec => {
  const known = codecs.get(task)
  if (known !== undefined) return known
  const codec = makeCodec(task)
  codecs.set(task, codec)
  return codec
}

const makeCodec = (task: Task.Any): Codec => {
  const payload = payloadOf(task)
  const success = jsonOf(task.successSchema)
  const error = jsonOf(task.errorSchema)
  // Whether a success may be `undefined`: found out once, since tasks without data ask after every run.
  let checked: Exit.Exit<undefined, Schema.SchemaError> | undefined
  const nothing = () =>
    (checked ??= Exit.map(Schema.decodeExit(Schema.toType(task.successSchema))(undefined), () => undefined))
  return {
    version: task.behaviour.earlier.length + 1,
    encodePayload: (input) => {
      const encode = (value: unknown) => Exit.map(payload.encode(value), (text) => ({ payload: value, text }))
      const made = make(task.payloadSchema, input)
      const exit = exitOf(made)
      return exit === undefined ? Effect.flatMap(made, encode) : flatMapExit(exit, encode)
    },
    decodePayload: payload.decode,
    completePayload: (text) =>
      flatMapExit(payload.decode(text), (value) =>
        Exit.map(payload.encodeJson(value), (encoded) => ({ payload: value, encoded }))
      ),
    isVoid: SchemaAST.isVoid(task.successSchema.ast) || SchemaAST.isUndefined(task.successSchema.ast),
    encodeSuccess: (value) => (value === undefined ? nothing() : success.encode(value)),
    decodeSuccess: (text) => (text === undefined ? nothing() : success.decode(text)),
    hasErrors: !SchemaAST.isNever(task.errorSchema.ast),
    encodeError: error.encode,
    decodeError: error.decode
  }
}

/** A payload in its present version; with earlier ones, the stored text is marked. */
const payloadOf = (task: Task.Any): ReturnType<typeof jsonOf> => {
  const present = jsonOf(task.payloadSchema)
  const { earlier } = task.behaviour
  if (earlier.length === 0) return present
  const version = earlier.length + 1
  const versions = earlier.map(({ migrate, schema }) => {
    const { decodeJson } = jsonOf(schema)
    return (value: unknown) =>
      flatMapExit(decodeJson(value), (payload) =>
        Effect.runSyncExit(Effect.suspend(() => make(task.payloadSchema, migrate(payload))))
      )
  })
  return {
    encode: (value) =>
      flatMapExit(present.encodeJson(value), (encoded) =>
        stringify(PayloadVersion.mark(present.mark(encoded), version))
      ),
    mark: present.mark,
    encodeJson: present.encodeJson,
    decode: (text) =>
      flatMapExit(parse(text), (value) => {
        const marked = PayloadVersion.unmark(value)
        return (versions[marked.version - 1] ?? present.decodeJson)(marked.payload)
      }),
    decodeJson: present.decodeJson
  }
}

/**
 * How an effect ended that is done already, as that of a schema is unless a part of it is an effect of its own. Going on
 * from there without running it saves a producer a fifth of what an `add` costs.
 */
export const exitOf = <A, E>(effect: Effect.Effect<A, E>): Exit.Exit<A, E> | undefined =>
  // An exit is an effect that ends so at once: it has the effect's types.
  Exit.isExit(effect) ? (effect as Exit.Exit<A, E>) : undefined

const flatMapExit = <A, B, E>(exit: Exit.Exit<A, E>, f: (value: A) => Exit.Exit<B, E>): Exit.Exit<B, E> =>
  Exit.isSuccess(exit) ? f(exit.value) : Exit.failCause(exit.cause)

const make = (schema: Task.DataSchema, input: unknown): Effect.Effect<unknown, Schema.SchemaError> => {
  const made = schema.makeEffect(input)
  const exit = exitOf(made)
  return exit === undefined ? Effect.mapError(made, toSchemaError) : Exit.mapError(exit, toSchemaError)
}

const toSchemaError = (issue: SchemaIssue.Issue) => new Schema.SchemaError(issue)

const parseJson = Schema.decodeUnknownExit(Schema.fromJsonString(Schema.Unknown))

// As fast as it gets; what is no JSON is left to the schema, for its error.
const parse = (text: string): Exit.Exit<unknown, Schema.SchemaError> => {
  try {
    return Exit.succeed(JSON.parse(text))
  } catch {
    return parseJson(text)
  }
}

// The plain function, for its speed. Its input is what a codec for JSON just produced; only a schema without one, such as
// `Schema.Any`, leaves in it what is no JSON.
const stringify = (encoded: unknown): Exit.Exit<string, Schema.SchemaError> => {
  try {
    return Exit.succeed(JSON.stringify(encoded))
  } catch (error) {
    const [problem] = String(error).split("\n")
    return Exit.fail(
      new Schema.SchemaError(new SchemaIssue.InvalidValue({ message: `It is no JSON data: ${problem}` }))
    )
  }
}

const jsonOf = (schema: Task.DataSchema) => {
  const json = Schema.toCodecJson(schema)
  const encode = Schema.encodeUnknownExit(json)
  const decodeUnmarked = Schema.decodeUnknownExit(json)
  const redaction = Redaction.redactionOf(schema)
  const mark = (encoded: unknown) => (redaction === undefined ? encoded : Redaction.mark(encoded, redaction))
  const decode = redaction === undefined ? decodeUnmarked : (value: unknown) => decodeUnmarked(Redaction.unmark(value))
  return {
    encode: (value: unknown) => flatMapExit(encode(value), (encoded) => stringify(mark(encoded))),
    /** Without the mark of what is redacted; see `mark`. */
    encodeJson: encode,
    mark,
    decodeJson: decode,
    decode: (text: string) => flatMapExit(parse(text), decode)
  }
}
