/**
 * The contract of the HTTP API: what a client imports, and what the OpenAPI document is made from. It holds no
 * implementation.
 *
 * **Details**
 *
 * Everything is below `/dockets/NAME`, so that one server can serve several dockets. A key that is nothing but one or two dots
 * has no path of its own in a URL, and cannot be addressed.
 */
import * as Context from "effect/Context"
import * as HttpApi from "effect/http-api/HttpApi"
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiError from "effect/http-api/HttpApiError"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as HttpApiMiddleware from "effect/http-api/HttpApiMiddleware"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import * as OpenApi from "effect/http-api/OpenApi"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import * as SchemaAST from "effect/SchemaAST"
import { redactionOf } from "../internal/contract/redaction.ts"
import { Operator } from "../Strike.ts"
import type * as Task from "../Task.ts"
import type { Caller, Role } from "./Access.ts"
import * as Problems from "./problems.ts"
import * as Wire from "./wire.ts"

/**
 * The least role that an operation needs; see {@link Role}.
 *
 * @category annotations
 * @since 0.1.0
 */
export class Needs extends Context.Service<Needs, Role>()("effect-docket/http/Needs") {}

/**
 * Finds out who asks, and refuses what they may not do.
 *
 * @category middleware
 * @since 0.1.0
 */
export class Authorization extends HttpApiMiddleware.Service<Authorization, { provides: Caller }>()(
  "effect-docket/http/Authorization",
  { error: Problems.Forbidden }
) {}

/**
 * Says in problem details what does not fit in a request.
 *
 * @category middleware
 * @since 0.1.0
 */
export class Refusals extends HttpApiMiddleware.Service<Refusals>()("effect-docket/http/Refusals", {
  error: [Problems.InvalidRequest, HttpApiError.InternalServerErrorProblem]
}) {}

/**
 * The most executions in a page, and requests in a batch.
 *
 * @category constants
 * @since 0.1.0
 */
export const maximumPage = 1000

/**
 * The longest wait for a result in one request, in seconds.
 *
 * @category constants
 * @since 0.1.0
 */
export const maximumWaitSeconds = 60

const Limit = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: maximumPage })).annotate({
  description: `How many to list, from 1 to ${maximumPage}. Default: 100`
})

const Text = Schema.NonEmptyString

/** When to run; at once without either. */
const timing = {
  delayMillis: Schema.optionalKey(
    Schema.Int.check(Schema.isGreaterThanOrEqualTo(0)).annotate({ description: "How long to wait, in milliseconds" })
  ),
  when: Schema.optionalKey(
    Schema.DateTimeUtcFromString.annotate({ description: "When to run. Not together with delayMillis" })
  )
}

const Request = Schema.Struct({ task: Text, payload: Schema.Json, key: Schema.optionalKey(Text), ...timing }).annotate({
  identifier: "ScheduleRequest"
})

/**
 * Chooses failed executions. What is left out does not restrict.
 *
 * @category schemas
 * @since 0.1.0
 */
export const FailedFilter = Schema.Struct({
  keys: Schema.optionalKey(Schema.Array(Text).check(Schema.isMaxLength(maximumPage))),
  task: Schema.optionalKey(Text),
  error: Schema.optionalKey(Text.annotate({ description: "A part of the error's text" })),
  since: Schema.optionalKey(Schema.DateTimeUtcFromString),
  until: Schema.optionalKey(Schema.DateTimeUtcFromString)
}).annotate({ identifier: "FailedFilter" })

const StrikeInput = Schema.Struct({
  task: Schema.optionalKey(Text),
  field: Schema.optionalKey(Text),
  operator: Schema.optionalKey(Operator),
  value: Schema.optionalKey(Schema.Json),
  hold: Schema.optionalKey(Schema.Boolean)
}).annotate({ identifier: "StrikeInput" })

const Pausing = Schema.Struct({ task: Schema.optionalKey(Text) }).annotate({
  identifier: "Pausing",
  description: "What to pause or to resume: a task, or everything when it names none"
})

const Unfinished = Schema.Struct({ state: Schema.Literals(["scheduled", "queued", "running"]) })
  .annotate({ identifier: "Unfinished" })
  .pipe(HttpApiSchema.status(202))

const Result = Schema.Struct({
  state: Schema.Literal("completed"),
  /** Without what is redacted; absent when there is none. */
  value: Schema.optionalKey(Schema.Json)
}).annotate({ identifier: "Result" })

const docket = { docket: Schema.String }
const execution = { ...docket, key: Schema.String }
const waiting = {
  waitSeconds: Schema.optionalKey(
    Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: maximumWaitSeconds })).annotate({
      description: `How long to wait for the end, from 0 to ${maximumWaitSeconds}. Default: 0`
    })
  )
}
const following = { "last-event-id": Schema.optionalKey(Schema.String) }
const idempotency = {
  "idempotency-key": Schema.optionalKey(
    Text.annotate({ description: "The execution's key, when the body names none: a repeated request changes nothing" })
  )
}

const errors = [Problems.NotFound, Problems.Unavailable] as const
const resultErrors = [...errors, Problems.Cancelled, Problems.NotKept, Problems.Failed, Problems.TooBusy] as const
const changing = [...errors, Problems.InvalidRequest] as const
const many = [...changing, Problems.CountChanged] as const

/** What the OpenAPI document says of an operation besides its schemas. */
const about = (needs: Role, summary: string) =>
  Context.add(
    OpenApi.annotations({ summary, transform: (operation) => ({ ...operation, "x-docket-role": needs }) }),
    Needs,
    needs
  )

const dockets = HttpApiGroup.make("dockets")
  .add(
    HttpApiEndpoint.get("dockets", "/dockets", {
      success: Schema.Array(Schema.Struct({ name: Schema.String }))
    }).annotateMerge(about("read", "The dockets of this server")),
    HttpApiEndpoint.get("snapshot", "/dockets/:docket", {
      params: docket,
      success: Wire.Snapshot,
      error: errors
    }).annotateMerge(about("read", "How much is live, and which workers there are")),
    HttpApiEndpoint.get("health", "/dockets/:docket/health", {
      params: docket,
      success: Schema.Struct({ latencyMillis: Schema.Finite }),
      error: errors
    }).annotateMerge(about("read", "Whether the store answers, and how fast")),
    HttpApiEndpoint.get("workers", "/dockets/:docket/workers", {
      params: docket,
      success: Schema.Array(Wire.Worker),
      error: errors
    }).annotateMerge(about("read", "The workers that can take work")),
    HttpApiEndpoint.get("events", "/dockets/:docket/events", {
      params: docket,
      headers: following,
      success: HttpApiSchema.StreamSse({ events: Wire.Event }),
      error: [...errors, Problems.TooBusy]
    }).annotateMerge(about("read", "What is, and then every change as it happens")),
    HttpApiEndpoint.post("clear", "/dockets/:docket/clear", {
      params: docket,
      payload: Schema.Struct({
        expected: Schema.Int.annotate({
          description: "How many wait, as was agreed to; another number changes nothing"
        })
      }),
      success: Wire.Done,
      error: many
    }).annotateMerge(about("admin", "Cancel everything that waits"))
  )
  .annotate(OpenApi.Description, "Dockets as a whole")

const executions = HttpApiGroup.make("executions")
  .add(
    HttpApiEndpoint.get("list", "/dockets/:docket/executions", {
      params: docket,
      query: {
        task: Schema.optionalKey(Text),
        state: Schema.optionalKey(Wire.State),
        prefix: Schema.optionalKey(Text.annotate({ description: "What the key begins with" })),
        error: Schema.optionalKey(Text.annotate({ description: "A part of the error's text" })),
        worker: Schema.optionalKey(Text),
        limit: Schema.optionalKey(Limit),
        cursor: Schema.optionalKey(Text.annotate({ description: "Where to go on: `next` of the page before" }))
      },
      success: Schema.Struct({
        executions: Schema.Array(Wire.Execution),
        next: Schema.optionalKey(Schema.String)
      }).annotate({ identifier: "Page" }),
      error: changing
    }).annotateMerge(about("read", "Executions: those that run, wait, and failed; and the last that ended")),
    HttpApiEndpoint.post("add", "/dockets/:docket/executions", {
      params: docket,
      headers: idempotency,
      payload: Request,
      success: Wire.Scheduled,
      error: changing
    }).annotateMerge(about("operate", "Schedule a task by its name")),
    HttpApiEndpoint.post("addAll", "/dockets/:docket/executions/batch", {
      params: docket,
      payload: Schema.Struct({ requests: Schema.Array(Request).check(Schema.isMaxLength(maximumPage)) }),
      success: Schema.Array(Wire.Scheduled),
      error: changing
    }).annotateMerge(about("operate", "Schedule many: one answer for each, in order")),
    HttpApiEndpoint.get("execution", "/dockets/:docket/executions/:key", {
      params: execution,
      success: Wire.Execution,
      error: errors
    }).annotateMerge(about("read", "What is known about an execution")),
    HttpApiEndpoint.put("replace", "/dockets/:docket/executions/:key", {
      params: execution,
      payload: Schema.Struct({ task: Text, payload: Schema.Json, ...timing }),
      success: Wire.Scheduled,
      error: changing
    }).annotateMerge(about("operate", "Schedule a task in the place of whatever the key holds")),
    HttpApiEndpoint.delete("cancel", "/dockets/:docket/executions/:key", {
      params: execution,
      success: HttpApiSchema.NoContent,
      error: errors
    }).annotateMerge(about("operate", "Cancel an execution")),
    HttpApiEndpoint.post("run", "/dockets/:docket/executions/:key/run", {
      params: execution,
      success: Wire.Scheduled,
      error: changing
    }).annotateMerge(about("operate", "Bring forward what is scheduled for later: it is due at once")),
    HttpApiEndpoint.get("explain", "/dockets/:docket/executions/:key/explanation", {
      params: execution,
      success: Wire.Explanation,
      error: errors
    }).annotateMerge(about("read", "Why an execution is not running")),
    HttpApiEndpoint.get("attempts", "/dockets/:docket/executions/:key/attempts", {
      params: execution,
      success: Schema.Array(Wire.Attempt),
      error: errors
    }).annotateMerge(about("read", "The failed attempts of an execution, oldest first")),
    HttpApiEndpoint.get("result", "/dockets/:docket/executions/:key/result", {
      params: execution,
      query: waiting,
      success: [Result, Unfinished],
      error: [...resultErrors, Problems.TaskError]
    }).annotateMerge(about("read", "The result of an execution, as JSON")),
    HttpApiEndpoint.get("follow", "/dockets/:docket/executions/:key/events", {
      params: execution,
      headers: following,
      success: HttpApiSchema.StreamSse({ events: Wire.Event }),
      error: [...errors, Problems.TooBusy]
    }).annotateMerge(about("read", "The present state and progress of an execution, and then each change"))
  )
  .annotate(OpenApi.Description, "Executions of any task")

const failed = HttpApiGroup.make("failed")
  .add(
    HttpApiEndpoint.post("count", "/dockets/:docket/failed/count", {
      params: docket,
      payload: FailedFilter,
      success: Wire.Done,
      error: many
    }).annotateMerge(about("read", "How many executions that failed for good fit")),
    HttpApiEndpoint.post("retry", "/dockets/:docket/failed/retry", {
      params: docket,
      payload: Schema.Struct({ filter: FailedFilter, expected: Schema.optionalKey(Schema.Int) }),
      success: Wire.Retried,
      error: many
    }).annotateMerge(about("retry", "Run failed executions again, at once")),
    HttpApiEndpoint.post("discard", "/dockets/:docket/failed/discard", {
      params: docket,
      payload: Schema.Struct({ filter: FailedFilter, expected: Schema.Int }),
      success: Wire.Done,
      error: many
    }).annotateMerge(about("admin", "Forget failed executions"))
  )
  .annotate(OpenApi.Description, "Executions that failed for good")

const holds = HttpApiGroup.make("holds")
  .add(
    HttpApiEndpoint.get("strikes", "/dockets/:docket/strikes", {
      params: docket,
      success: Schema.Array(Wire.Strike),
      error: errors
    }).annotateMerge(about("read", "The strikes in force, pauses among them")),
    HttpApiEndpoint.post("strike", "/dockets/:docket/strikes", {
      params: docket,
      payload: StrikeInput,
      success: Wire.Strike,
      error: changing
    }).annotateMerge(about("operate", "Put a strike in force")),
    HttpApiEndpoint.post("restore", "/dockets/:docket/strikes/restore", {
      params: docket,
      payload: StrikeInput,
      success: HttpApiSchema.NoContent,
      error: changing
    }).annotateMerge(about("operate", "Take a strike out of force")),
    HttpApiEndpoint.get("paused", "/dockets/:docket/paused", {
      params: docket,
      success: Schema.Struct({ all: Schema.Boolean, tasks: Schema.Array(Schema.String) }),
      error: errors
    }).annotateMerge(about("read", "What is paused")),
    HttpApiEndpoint.post("pause", "/dockets/:docket/pause", {
      params: docket,
      payload: Pausing,
      success: HttpApiSchema.NoContent,
      error: changing
    }).annotateMerge(about("operate", "Let nothing start, of a task or at all")),
    HttpApiEndpoint.post("resume", "/dockets/:docket/resume", {
      params: docket,
      payload: Pausing,
      success: HttpApiSchema.NoContent,
      error: changing
    }).annotateMerge(about("operate", "Let things go on"))
  )
  .annotate(OpenApi.Description, "Strikes and pauses")

/** What a client may leave out of a payload: the fields that a producer may. */
export const inputOf = <T extends Task.Any>(
  task: T
): Schema.Codec<Task.PayloadInput<T>, T["payloadSchema"]["Encoded"]> => {
  const schema = task.payloadSchema
  const fields: unknown = Predicate.hasProperty(schema, "fields") ? schema.fields : undefined
  const input = isFields(fields)
    ? Schema.Struct(
        Object.fromEntries(
          Object.entries(fields).map(([name, field]) => [
            name,
            field.ast.context?.constructorDefault === undefined ? field : Schema.optionalKey(field)
          ])
        )
      ).annotate({ identifier: `${task.name}Payload` })
    : schema
  // A schema without services, of what the constructor of the payload takes.
  return input as unknown as Schema.Codec<Task.PayloadInput<T>, T["payloadSchema"]["Encoded"]>
}

const isFields = (fields: unknown): fields is Readonly<Record<string, Schema.Top>> =>
  Predicate.isObject(fields) && Object.values(fields).every((field) => Schema.isSchema(field))

const taskError = {
  type: "urn:effect-docket:task-error",
  status: 422,
  title: "The task failed with an error of its own"
} as const

/** A task's own error, as problem details. */
export const taskErrorOf = <E>(error: E) => ({ ...taskError, error })

const errorOf = <T extends Task.Any>(task: T) =>
  Schema.Struct({
    type: Schema.tag(taskError.type),
    status: Schema.tag(taskError.status),
    title: Schema.tag(taskError.title),
    error: task.errorSchema as T["errorSchema"]
  }).pipe(HttpApiSchema.status(422), HttpApiSchema.asJson({ contentType: "application/problem+json" }))

const addOf = <T extends Task.Any>(task: T) =>
  HttpApiEndpoint.post(task.name as T["name"], `/dockets/:docket/tasks/${encodeURIComponent(task.name)}` as "/", {
    params: docket,
    headers: idempotency,
    query: timing,
    payload: inputOf(task),
    success: Wire.Scheduled,
    error: changing
  }).annotateMerge(about("operate", `Schedule ${task.name}`))

/** Who may only look is not shown what a contract redacts. */
export const roleOfResult = (task: Task.Any): Role =>
  redactionOf(task.successSchema) === undefined && redactionOf(task.errorSchema) === undefined ? "read" : "operate"

const resultOf = <T extends Task.Any>(task: T) => {
  const isVoid = SchemaAST.isVoid(task.successSchema.ast) || SchemaAST.isUndefined(task.successSchema.ast)
  const success = Schema.Struct({
    state: Schema.Literal("completed"),
    // What is `undefined` has no field in JSON; its type is the same.
    value: (isVoid ? Schema.optional(task.successSchema) : task.successSchema) as T["successSchema"]
  }).annotate({ identifier: `${task.name}Result` })
  const typed = [...resultErrors, errorOf(task)] as const
  return HttpApiEndpoint.get(
    task.name as T["name"],
    `/dockets/:docket/tasks/${encodeURIComponent(task.name)}/executions/:key/result` as "/",
    {
      params: execution,
      query: waiting,
      success: [success, Unfinished],
      // A task without errors of its own never fails with one.
      error: (SchemaAST.isNever(task.errorSchema.ast) ? resultErrors : typed) as typeof typed
    }
  ).annotateMerge(about(roleOfResult(task), `The result of ${task.name}`))
}

type AddOf<T extends Task.Any> = T extends Task.Any ? ReturnType<typeof addOf<T>> : never
type ResultOf<T extends Task.Any> = T extends Task.Any ? ReturnType<typeof resultOf<T>> : never

/**
 * The contract for dockets of which no tasks are known: tasks are scheduled by name, with JSON data.
 *
 * @category contracts
 * @since 0.1.0
 */
export const DocketApi = HttpApi.make("docket")
  .add(dockets, executions, failed, holds)
  .middleware(Refusals)
  .middleware(Authorization)
  .annotateMerge(
    OpenApi.annotations({
      title: "effect-docket",
      description:
        "Background tasks: schedule them, await them, look after them. The key of an execution is its idempotency key. " +
        "Errors are problem details (RFC 9457). x-docket-role names the least role that an operation needs."
    })
  )

/**
 * The contract with the operations of tasks: for each one to schedule it, in the group `tasks`, and one to await its result,
 * in the group `results`, with its own schemas.
 *
 * **Example**
 *
 * ```ts
 * const api = DocketApi.withTasks([SendWelcome, Charge])
 * const client = yield* HttpApiClient.make(api, { baseUrl: "https://ops.example.com/api" })
 * yield* client.tasks.sendWelcome({ params: { docket: "shop" }, payload: { customerId: 7, name: "Ada" } })
 * ```
 *
 * @category contracts
 * @since 0.1.0
 */
export const withTasks = <T extends Task.Any>(tasks: ReadonlyArray<T>) => {
  const known = [...new Map(tasks.map((task) => [task.name, task])).values()]
  // Made from each of the tasks, so there is one for each in the union.
  const adds = known.map(addOf) as unknown as [AddOf<T>]
  const results = known.map(resultOf) as unknown as [ResultOf<T>]
  const operations = HttpApi.make("docket")
    .add(
      HttpApiGroup.make("tasks")
        .add(...adds)
        .annotate(OpenApi.Description, "Tasks, each with its own payload"),
      HttpApiGroup.make("results")
        .add(...results)
        .annotate(OpenApi.Description, "The results of tasks, in their types")
    )
    .middleware(Refusals)
    .middleware(Authorization)
  return DocketApi.addHttpApi(operations)
}
