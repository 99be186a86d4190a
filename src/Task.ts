/**
 * The contract of a task: its name, the schemas of its payload, success and error, and how it behaves. A contract holds
 * no implementation, so producers import it without the handler and all that the handler needs.
 */
import type * as DateTime from "effect/DateTime"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { type Pipeable, pipeArguments } from "effect/Pipeable"
import * as Predicate from "effect/Predicate"
import type * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as SchemaAST from "effect/SchemaAST"
import type * as Types from "effect/Types"
import * as Admission from "./Admission.ts"
import type { DocketError } from "./DocketError.ts"
import { codecOf } from "./internal/contract/codec.ts"
import * as Durations from "./internal/contract/durations.ts"
import { errorText } from "./internal/contract/failureText.ts"
import * as Moments from "./internal/contract/moments.ts"
import * as Signal from "./internal/contract/signal.ts"
import { isTaskName, taskNameRule } from "./internal/contract/taskName.ts"
import * as Recurrence from "./Recurrence.ts"
import * as Retry from "./Retry.ts"

/**
 * The identifier of task contracts.
 *
 * @category symbols
 * @since 0.1.0
 */
export const TypeId = "~effect-docket/Task"

/**
 * A schema that a task can use: one that encodes and decodes without services, since producers, workers and tools all
 * have to read the data.
 *
 * @category models
 * @since 0.1.0
 */
export type DataSchema = Schema.Top & { readonly DecodingServices: never; readonly EncodingServices: never }

/**
 * A task's contract.
 *
 * @category models
 * @since 0.1.0
 */
export interface Task<
  out Name extends string,
  out Payload extends DataSchema,
  out Success extends DataSchema,
  out Error extends DataSchema
> extends Pipeable {
  readonly [TypeId]: typeof TypeId
  readonly name: Name
  readonly payloadSchema: Payload
  readonly successSchema: Success
  readonly errorSchema: Error
  readonly behaviour: Behaviour
}

/**
 * How a task behaves, in the form that workers read. The functions take the task's decoded payload.
 *
 * @category models
 * @since 0.1.0
 */
export interface Behaviour {
  readonly key: ((payload: unknown) => string) | undefined
  readonly logged: ReadonlySet<string>
  readonly loggedLength: ReadonlySet<string>
  /** The payload fields that are tuples: only the schema tells these from arrays. */
  readonly tuples: ReadonlySet<string>
  readonly retry: Retry.Policy<unknown> | undefined
  readonly timeoutMillis: number | undefined
  readonly recurrence: Recurrence.Recurrence | undefined
  readonly controls: Admission.Controls
  /** Earlier versions of the payload, the first one first. */
  readonly earlier: ReadonlyArray<EarlierPayload<unknown>>
}

/**
 * A task of any kind.
 *
 * @category models
 * @since 0.1.0
 */
export interface Any extends Task<string, DataSchema, DataSchema, DataSchema> {}

/**
 * The name of a task, as a type.
 *
 * @category type-level
 * @since 0.1.0
 */
export type Name<T extends Any> = T["name"]

/**
 * What a handler receives: the decoded payload.
 *
 * @category type-level
 * @since 0.1.0
 */
export type Payload<T extends Any> = T["payloadSchema"]["Type"]

/**
 * What a producer gives: the payload, in which fields with a constructor default may be left out.
 *
 * @category type-level
 * @since 0.1.0
 */
export type PayloadInput<T extends Any> = T["payloadSchema"]["~type.make.in"]

/**
 * What a task's handler succeeds with.
 *
 * @category type-level
 * @since 0.1.0
 */
export type Success<T extends Any> = T["successSchema"]["Type"]

/**
 * What a task's handler may fail with.
 *
 * @category type-level
 * @since 0.1.0
 */
export type Error<T extends Any> = T["errorSchema"]["Type"]

/**
 * The service that stands for the handler of the task with this name. `TaskGroup.toLayer` provides it, workers ask for
 * it, so that a worker without one of its handlers does not compile.
 *
 * @category models
 * @since 0.1.0
 */
export interface Handler<out Name extends string> {
  readonly "~effect-docket/Handler": Name
}

/**
 * The handler services of a union of tasks.
 *
 * @category type-level
 * @since 0.1.0
 */
export type Handlers<T extends Any> = T extends Any ? Handler<T["name"]> : never

/**
 * The implementation of a task. It may fail with the task's own error, or with a `DocketError`, so that scheduling more
 * work needs no ceremony.
 *
 * @category models
 * @since 0.1.0
 */
export type HandlerFn<T extends Any, R = unknown> = (
  payload: Payload<T>
) => Effect.Effect<Success<T>, Error<T> | DocketError, R>

/**
 * When and under which key a task is scheduled.
 *
 * @category options
 * @since 0.1.0
 */
export interface ScheduleOptions {
  /** The execution's key. Default: what the task's `key` says, else a fresh UUID version 7. Not empty. */
  readonly key?: string | undefined
  /** How long to wait, from the moment the store takes the request. Not together with `when`. */
  readonly delay?: Duration.Input | undefined
  /** When to run: a moment. What lies in the past runs at once. Not together with `delay`. */
  readonly when?: DateTime.DateTime.Input | undefined
}

/**
 * The payload and options of a request for a task, as arguments: a payload that may be empty or `undefined` may be left
 * out. Of a task that may be one of several the payload has to fit each.
 *
 * @category type-level
 * @since 0.1.0
 */
export type Arguments<T extends Any> =
  CanBeLeftOut<InputOfEach<T>> extends true
    ? readonly [payload?: InputOfEach<T>, options?: ScheduleOptions]
    : readonly [payload: InputOfEach<T>, options?: ScheduleOptions]

type CanBeLeftOut<Input> = {} extends Input
  ? true
  : undefined extends Input
    ? true
    : [void] extends [Input]
      ? true
      : false

/** What fits all tasks of a union. */
type InputOfEach<T extends Any> = (T extends Any ? (input: PayloadInput<T>) => void : never) extends (
  input: infer Input
) => void
  ? Input
  : never

/**
 * A task with its payload and options: what a batch consists of.
 *
 * @category models
 * @since 0.1.0
 */
export interface Request<out T extends Any = Any> {
  readonly task: T
  readonly payload: unknown
  readonly options: ScheduleOptions
}

/**
 * Puts a task together with a payload, for `Docket.addAll`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const request = <T extends Any>(task: T, ...[payload, options]: Arguments<T>): Request<T> => ({
  task,
  payload,
  options: options ?? {}
})

/**
 * The options of a task, by the form in which its payload was given.
 *
 * @category options
 * @since 0.1.0
 */
export interface Options<
  Payload extends DataSchema | Schema.Struct.Fields,
  Success extends DataSchema,
  Error extends DataSchema
> extends Admission.Options<PayloadOf<Payload>> {
  /** The payload: the fields of a struct, or a schema. Default: no fields. */
  readonly payload?: Payload
  /** What the handler succeeds with. Default: nothing. */
  readonly success?: Success
  /** What the handler may fail with. Default: nothing that has a type. */
  readonly error?: Error
  /**
   * The key of an execution with this payload. A key that is scheduled or running is not scheduled again. Default: a
   * fresh UUID version 7 for each.
   */
  readonly key?: (payload: PayloadOf<Payload>) => string
  /** The payload fields whose values may appear in logs. Default: none. */
  readonly logged?: ReadonlyArray<keyof PayloadOf<Payload> & string>
  /** The payload fields of which the length may appear in logs, or the value of what has no length. Default: none. */
  readonly loggedLength?: ReadonlyArray<keyof PayloadOf<Payload> & string>
  /**
   * What follows a failed attempt: a policy of `Retry`, or a schedule whose input is the error, or `undefined` when the
   * attempt did not fail with the task's own; with `while`, only for some of the task's errors. Default: nothing; the
   * first failure is final.
   */
  readonly retry?: RetryPolicy<Retried<Error>> | RetryWhile<Retried<Error>>
  /**
   * How long a run may take, from the start of its handler. Then the handler is interrupted, and the attempt has failed
   * with `TaskTimedOut`. Default: no limit.
   */
  readonly timeout?: Duration.Input
  /**
   * Earlier versions of the payload, made with `Task.earlier`, the oldest first: executions that were scheduled with them
   * decode through them. Default: none.
   *
   * Producers and workers can be deployed in any order: an execution with a newer version than a worker reads waits, like
   * one of an unknown task, for a worker that does.
   */
  readonly earlier?: ReadonlyArray<EarlierPayload<SchemaOf<Payload>["~type.make.in"]>>
  /** Runs the task again and again at an interval, under one key. Not together with `cron`. */
  readonly perpetual?: Recurrence.PerpetualOptions
  /** Runs the task at calendar times, under one key. Not together with `perpetual`. */
  readonly cron?: Recurrence.CronOptions
}

/**
 * What follows a failed attempt.
 *
 * @category options
 * @since 0.1.0
 */
export type RetryPolicy<E> = Retry.Policy<E> | Schedule.Schedule<unknown, E>

/**
 * What follows a failed attempt, for some errors.
 *
 * @category options
 * @since 0.1.0
 */
export interface RetryWhile<in E> {
  readonly policy: RetryPolicy<E>
  /**
   * Decides by the task's own error whether to retry at all. It is not asked about a timeout, a middleware that failed, a
   * `DocketError` that the task's error schema does not name, or a defect: these are retried as the policy says. Without
   * an error schema it is asked about all of them but defects.
   */
  readonly while: (error: E) => boolean
}

/** What a retry is asked about. Without an error schema that may be anything. */
type Retried<Error extends DataSchema> = [Error["Type"]] extends [never] ? unknown : Error["Type"]

type PayloadOf<Payload extends DataSchema | Schema.Struct.Fields> = Payload extends Schema.Struct.Fields
  ? Types.Simplify<Schema.Struct<Payload>["Type"]>
  : Payload extends DataSchema
    ? Payload["Type"]
    : never

type SchemaOf<Payload extends DataSchema | Schema.Struct.Fields> = Payload extends Schema.Struct.Fields
  ? Schema.Struct<Payload> extends DataSchema
    ? Schema.Struct<Payload>
    : never
  : Payload extends DataSchema
    ? Payload
    : never

/**
 * Defines a task.
 *
 * **Details**
 *
 * The name is what the store, logs and metrics know the task by: it has to stay the same for as long as executions of
 * the task are live. A mistake in the definition throws, at the place of the definition.
 *
 * **Example**
 *
 * ```ts
 * const SendWelcome = Task.make("sendWelcome", {
 *   payload: { customerId: Schema.Int, name: Schema.String },
 *   success: Schema.String,
 *   key: ({ customerId }) => `welcome-${customerId}`
 * })
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = <
  const Name extends string,
  Payload extends DataSchema | Schema.Struct.Fields = {},
  Success extends DataSchema = typeof Schema.Void,
  Error extends DataSchema = typeof Schema.Never
>(
  name: Name,
  options: Options<Payload, Success, Error> = {}
): Task<Name, SchemaOf<Payload>, Success, Error> => {
  if (!isTaskName(name)) throw new RangeError(taskNameRule(name))
  const payloadSchema = schemaOf(options.payload ?? {})
  const recurrence = recurrenceOf(name, options)
  const task: Any = {
    [TypeId]: TypeId,
    name,
    payloadSchema,
    successSchema: options.success ?? Schema.Void,
    errorSchema: options.error ?? Schema.Never,
    behaviour: {
      // Whoever calls it has decoded or made the payload with this task's own schema.
      key: options.key as ((payload: unknown) => string) | undefined,
      logged: new Set(options.logged),
      loggedLength: new Set(options.loggedLength),
      tuples: tuplesIn(payloadSchema),
      // The worker hands it no error but those of this task's type; without an error schema its input is `unknown`.
      retry: retryOf(options.retry) as Retry.Policy<unknown> | undefined,
      timeoutMillis: timeoutOf(name, options.timeout),
      recurrence,
      controls: Admission.make(name, options),
      earlier: options.earlier ?? []
    },
    pipe() {
      return pipeArguments(this, arguments)
    }
  }
  if (recurrence?.automatic === true) checkAutomatic(task)
  // The schemas above are the ones that the type parameters were inferred from, or the defaults named there.
  return task as Task<Name, SchemaOf<Payload>, Success, Error>
}

/**
 * An earlier version of a task's payload, and the way from it to the present one.
 *
 * @category models
 * @since 0.1.0
 */
export interface EarlierPayload<out Input> {
  readonly schema: DataSchema
  /** Takes what the schema decodes; gives what a producer would give today. */
  readonly migrate: (payload: unknown) => Input
}

/**
 * An earlier version of a task's payload: its schema as it was, and a function to what a producer would give today.
 *
 * **Example**
 *
 * ```ts
 * const SendWelcome = Task.make("sendWelcome", {
 *   payload: { customerId: Schema.Int, first: Schema.String, last: Schema.String },
 *   earlier: [
 *     Task.earlier({ customerId: Schema.Int, name: Schema.String }, ({ customerId, name }) => {
 *       const [first = "", last = ""] = name.split(" ")
 *       return { customerId, first, last }
 *     })
 *   ]
 * })
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const earlier = <Payload extends DataSchema | Schema.Struct.Fields, Input>(
  payload: Payload,
  migrate: (payload: PayloadOf<Payload>) => Input
): EarlierPayload<Input> => ({
  schema: schemaOf(payload),
  // Whoever calls it has decoded the payload with this schema.
  migrate: migrate as (payload: unknown) => Input
})

// Fields that need services make no data schema. A task with such fields can be defined, but then the type of its payload
// is `never`: see `SchemaOf`.
const schemaOf = (payload: DataSchema | Schema.Struct.Fields): DataSchema =>
  (Schema.isSchema(payload) ? payload : Schema.Struct(payload)) as DataSchema

const recurrenceOf = (
  name: string,
  { cron, perpetual }: Pick<Options<{}, DataSchema, DataSchema>, "cron" | "perpetual">
): Recurrence.Recurrence | undefined => {
  if (cron !== undefined && perpetual !== undefined) {
    throw new TypeError(`Task "${name}" has both perpetual and cron: choose one`)
  }
  if (cron !== undefined) return Recurrence.cron(cron)
  return perpetual === undefined ? undefined : Recurrence.every(perpetual)
}

/** Workers schedule the task without a payload, so that has to do. */
const checkAutomatic = (task: Any): void => {
  const encoded = Effect.runSyncExit(codecOf(task).encodePayload(undefined))
  const isAutomatic = `Task "${task.name}" is automatic, so workers schedule it without a payload, but`
  if (Exit.isFailure(encoded)) {
    throw new TypeError(
      `${isAutomatic} its payload cannot be empty: give its fields defaults, or set automatic to false and add it yourself`
    )
  }
  try {
    task.behaviour.controls.termsOf(encoded.value.payload)
  } catch (cause) {
    throw new TypeError(
      `${isAutomatic} the values by which its limits tell executions apart cannot be computed then: ${errorText(cause)}`,
      { cause }
    )
  }
}

const tuplesIn = (payloadSchema: DataSchema): ReadonlySet<string> => {
  const { ast } = Schema.toType(payloadSchema)
  if (!SchemaAST.isObjects(ast)) return new Set()
  const isTuple = ({ type }: SchemaAST.PropertySignature) => SchemaAST.isArrays(type) && type.rest.length === 0
  return new Set(ast.propertySignatures.filter(isTuple).map(({ name }) => String(name)))
}

const retryOf = <E>(retry: RetryPolicy<E> | RetryWhile<E> | undefined): Retry.Policy<E> | undefined => {
  if (retry === undefined) return undefined
  return "policy" in retry ? Retry.onlyWhile(policyOf(retry.policy), retry.while) : policyOf(retry)
}

const policyOf = <E>(retry: RetryPolicy<E>): Retry.Policy<E> =>
  Retry.isPolicy(retry) ? retry : Retry.fromSchedule(retry)

const timeoutOf = (name: string, timeout: Duration.Input | undefined): number | undefined => {
  if (timeout === undefined) return undefined
  const millis = Durations.millisOf(timeout)
  if (Number.isFinite(millis) && millis > 0) return millis
  throw new RangeError(
    `Task "${name}" needs a timeout that is finite and more than 0; it was ${Durations.shown(timeout)}`
  )
}

/**
 * Ends the handler: this attempt has failed, and the next one follows after the delay, whatever the retry policy says of
 * delays. It uses up an attempt like any failure: after the last attempt of the policy the task has failed. A task
 * without a policy may ask for any number of further attempts.
 *
 * @category control
 * @since 0.1.0
 */
export const retryAfter = (delay: Duration.Input): Effect.Effect<never> =>
  Effect.flatMap(Durations.given("Task.retryAfter", delay), (millis) =>
    Effect.die(new Signal.RetryRequested({ _tag: "After", millis: Math.max(0, Math.ceil(millis)) }))
  )

/**
 * Like {@link retryAfter}, at a moment; one that has passed means at once.
 *
 * @category control
 * @since 0.1.0
 */
export const retryAt = (moment: DateTime.DateTime): Effect.Effect<never> =>
  Effect.flatMap(Moments.given("Task.retryAt", moment), (epochMillis) =>
    Effect.die(new Signal.RetryRequested({ _tag: "At", epochMillis }))
  )

/**
 * Fails with an error that is final, whatever the retry policy says.
 *
 * @category control
 * @since 0.1.0
 */
export const doNotRetry = <E>(error: E): Effect.Effect<never, E> => Effect.failCause(Signal.finalFailure(error))

/**
 * Tells whether a value is a task's contract.
 *
 * @category guards
 * @since 0.1.0
 */
export const isTask = (u: unknown): u is Any => Predicate.hasProperty(u, TypeId)
