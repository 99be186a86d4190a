/**
 * The JSON text of payloads, results and errors, by the schemas of a task. The codecs of a task are built once.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as SchemaAST from "effect/SchemaAST"
import * as SchemaIssue from "effect/SchemaIssue"
import { errorText } from "./failureText.ts"
import * as Json from "./json.ts"
import * as Redaction from "./redaction.ts"
import * as Stored from "./stored.ts"

type DataSchema = Schema.Top & { readonly DecodingServices: never; readonly EncodingServices: never }

/** What of a task says how its data is written. */
export interface Contract {
  readonly payloadSchema: DataSchema
  readonly successSchema: DataSchema
  readonly errorSchema: DataSchema
  readonly behaviour: {
    readonly earlier: ReadonlyArray<{
      readonly schema: DataSchema
      readonly migrate: (payload: unknown) => unknown
    }>
  }
}

/** Encodes and decodes the data of one task. */
export interface Codec {
  /** The version of the payloads that it encodes; it decodes earlier ones as well. */
  readonly version: number
  /**
   * Makes a payload from what a producer gave, filling defaults, and encodes it. Where a payload cannot be `undefined`, that
   * stands for one without fields.
   */
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

const codecs = new WeakMap<Contract, Codec>()

/** The codec of a task. */
export const codecOf = (task: Contract): Codec => {
  const known = codecs.get(task)
  if (known !== undefined) return known
  const codec = makeCodec(task)
  codecs.set(task, codec)
  return codec
}

const makeCodec = (task: Contract): Codec => {
  const payload = payloadOf(task)
  const success = jsonOf(task.successSchema)
  const error = jsonOf(task.errorSchema)
  // Whether a success may be `undefined`: found out once, since tasks without data ask after every run.
  let checked: Exit.Exit<undefined, Schema.SchemaError> | undefined
  const nothing = () =>
    (checked ??= Exit.map(
      total(() => Schema.decodeExit(Schema.toType(task.successSchema))(undefined)),
      () => undefined
    ))
  let isOptional: boolean | undefined
  const mayBeUndefined = () =>
    (isOptional ??= Exit.isSuccess(
      flatMapExit(
        total(() => Schema.decodeExit(Schema.toType(task.payloadSchema))(undefined)),
        payload.encode
      )
    ))
  return {
    version: task.behaviour.earlier.length + 1,
    encodePayload: (input) => {
      const encode = (value: unknown) => Exit.map(payload.encode(value), (text) => ({ payload: value, text }))
      const made = make(task.payloadSchema, input === undefined && !mayBeUndefined() ? {} : input)
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

interface Payloads {
  readonly encode: (value: unknown) => Exit.Exit<string, Schema.SchemaError>
  readonly encodeJson: (value: unknown) => Exit.Exit<unknown, Schema.SchemaError>
  readonly decode: (text: string) => Exit.Exit<unknown, Schema.SchemaError>
}

/** A payload in its present version; with earlier ones, the stored text says of which version it is. */
const payloadOf = (task: Contract): Payloads => {
  const { earlier } = task.behaviour
  if (earlier.length === 0) return jsonOf(task.payloadSchema)
  const present = jsonOf(task.payloadSchema, earlier.length + 1)
  const versions = earlier.map(({ migrate, schema }) => {
    const { decodeJson } = jsonOf(schema)
    return (value: unknown) =>
      flatMapExit(decodeJson(value), (payload) =>
        total(() => Effect.runSyncExit(Effect.suspend(() => make(task.payloadSchema, migrate(payload)))))
      )
  })
  return {
    encode: present.encode,
    encodeJson: present.encodeJson,
    decode: (text) =>
      flatMapExit(Stored.read(text), ({ data, marks }) =>
        (versions[(marks.version ?? 1) - 1] ?? present.decodeJson)(data)
      )
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

const make = (schema: DataSchema, input: unknown): Effect.Effect<unknown, Schema.SchemaError> => {
  let made: Effect.Effect<unknown, SchemaIssue.Issue>
  try {
    made = schema.makeEffect(input)
  } catch (error) {
    return Exit.fail(thrown(error))
  }
  const exit = exitOf(made)
  return exit === undefined ? Effect.catchCause(made, (cause) => Effect.fail(issueOf(cause))) : withIssue(exit)
}

// A check, a transformation or a migration of the user's that throws is a fault of the data, for whoever gave it. It must
// not take down who looks at it.
const total = <A>(f: () => Exit.Exit<A, Schema.SchemaError | SchemaIssue.Issue>): Exit.Exit<A, Schema.SchemaError> => {
  try {
    return withIssue(f())
  } catch (error) {
    return Exit.fail(thrown(error))
  }
}

const withIssue = <A>(exit: Exit.Exit<A, Schema.SchemaError | SchemaIssue.Issue>): Exit.Exit<A, Schema.SchemaError> =>
  Exit.isSuccess(exit) ? Exit.succeed(exit.value) : Exit.fail(issueOf(exit.cause))

const issueOf = (cause: Cause.Cause<Schema.SchemaError | SchemaIssue.Issue>): Schema.SchemaError => {
  const error = Cause.findErrorOption(cause)
  if (Option.isNone(error)) return thrown(Cause.squash(cause))
  return Schema.isSchemaError(error.value) ? error.value : new Schema.SchemaError(error.value)
}

const thrown = (error: unknown): Schema.SchemaError => misfit(`The schema's own code failed with ${errorText(error)}`)

const misfit = (message: string): Schema.SchemaError =>
  new Schema.SchemaError(new SchemaIssue.InvalidValue({ message }))

// The plain function, for its speed. Its input is what a codec for JSON just produced; only `Schema.Any` leaves in it what
// is no JSON, which is looked for before.
const stringify = (encoded: unknown): Exit.Exit<string, Schema.SchemaError> => {
  try {
    return Exit.succeed(JSON.stringify(encoded))
  } catch (error) {
    const [problem] = String(error).split("\n")
    return Exit.fail(misfit(`It is no JSON data: ${problem}`))
  }
}

const jsonOf = (schema: DataSchema, version?: number) => {
  const json = Schema.toCodecJson(schema)
  const encodeUnchecked = Schema.encodeUnknownExit(json)
  const encodeJson = Json.isOpen(json.ast)
    ? (value: unknown) => flatMapExit(encodeUnchecked(value), onlyJson)
    : encodeUnchecked
  const decode = Schema.decodeUnknownExit(json)
  const redacted = Redaction.redactionOf(schema)
  const marks = redacted === undefined && version === undefined ? undefined : { version, redacted }
  const decodeJson = (value: unknown) => total(() => decode(value))
  return {
    encode: (value: unknown) =>
      total(() =>
        flatMapExit(encodeJson(value), (encoded) => Exit.map(stringify(encoded), (text) => Stored.write(text, marks)))
      ),
    /** As data, without what is said of it. */
    encodeJson: (value: unknown) => total(() => encodeJson(value)),
    decodeJson,
    decode: (text: string) => flatMapExit(Stored.dataOf(text), decodeJson)
  }
}

const onlyJson = (encoded: unknown): Exit.Exit<unknown, Schema.SchemaError> => {
  const problem = Json.problemOf(encoded)
  return problem === undefined ? Exit.succeed(encoded) : Exit.fail(misfit(`It is no JSON data: ${problem}`))
}
