/**
 * What the HTTP API and the dashboard do, apart from how they are asked. Each operation asks for its {@link Caller}, and is
 * refused to one whose role does not allow it; each change is on the log, and a span, with who made it.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import type * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import type { Docket } from "../Docket.ts"
import { DocketError, ResultNotKept, ResultTimeout, TaskCancelled, TaskFailed } from "../DocketError.ts"
import { dueNow, type ExecutionRecord } from "../DocketStore.ts"
import { failWith } from "../internal/docket/docketError.ts"
import { isReference } from "../internal/docket/keptResults.ts"
import { knownStrikes } from "../internal/docket/knownStrikes.ts"
import { retryFailed } from "../internal/docket/operations.ts"
import { isTaskName, taskNameRule } from "../internal/contract/taskName.ts"
import type { FailedFilter } from "../Snapshot.ts"
import type * as StrikeList from "../StrikeList.ts"
import * as Task from "../Task.ts"
import { allows, Caller, type Role } from "./Access.ts"
import { DocketApi, inputOf, Needs, roleOfResult } from "./Api.ts"
import * as Listing from "./listing.ts"
import * as Problems from "./problems.ts"
import * as Wire from "./wire.ts"

const endpoints = Object.values(DocketApi.groups).flatMap((group) => Object.values(group.endpoints))

type Endpoints = { [G in keyof typeof DocketApi.groups]: keyof (typeof DocketApi.groups)[G]["endpoints"] }

/** The least role that each operation needs. */
// Made from all endpoints of the contract, each of which says what it needs.
export const operationRoles = Object.fromEntries(
  endpoints.map(({ annotations, identifier }) => [
    identifier,
    Context.getOption(annotations, Needs).pipe(Option.getOrThrow)
  ])
) as Readonly<Record<Endpoints[keyof Endpoints], Role>>

/** Refuses a caller whose role does not allow what needs another one. */
export const permit: (needs: Role) => Effect.Effect<void, Problems.Forbidden, Caller> = Effect.fnUntraced(
  function* (needs) {
    const { role } = yield* Caller
    if (allows(role, needs)) return
    return yield* new Problems.Forbidden({
      needs,
      ...(role === undefined ? {} : { role }),
      detail: role === undefined ? "You have no role here" : `This needs the role ${needs}; you have the role ${role}`
    })
  }
)

/** When to run. */
export interface Timing {
  readonly delayMillis?: number | undefined
  readonly when?: DateTime.Utc | undefined
}

/** A request to schedule a task by its name. */
export interface ScheduleInput extends Timing {
  readonly task: string
  readonly payload: Schema.Json
  readonly key?: string | undefined
}

/** The failed executions that something is done to, and how many these were when it was agreed to. */
export interface ManyFailed {
  readonly filter: FailedFilter
  readonly expected?: number | undefined
}

// So many keys a call keep Redis busy for less than a millisecond.
/** The errors of an operation that asks the store. */
type StoreProblem = Problems.Unavailable | Problems.InvalidRequest

/** From what a docket fails with to what the API says. */
export const problemOf = (error: DocketError): StoreProblem =>
  error.reason._tag === "StoreError"
    ? new Problems.Unavailable({ detail: error.message })
    : new Problems.InvalidRequest({ detail: error.message })

/** For what has no input of the caller's, so that the store alone can refuse it. */
const asUnavailable = ({ message }: DocketError) => new Problems.Unavailable({ detail: message })

const reading = <A, R>(effect: Effect.Effect<A, DocketError, R>) => Effect.mapError(effect, asUnavailable)
const changing = <A, R>(effect: Effect.Effect<A, DocketError, R>) => Effect.mapError(effect, problemOf)

const noExecution = (key: string) => new Problems.NotFound({ detail: `There is no record of ${JSON.stringify(key)}` })

/** The operations on some dockets, of which some tasks may be known. */
export type Operations = ReturnType<typeof make>

/** Makes the operations on some dockets. */
export const make = (dockets: ReadonlyArray<Docket["Service"]>, tasks: ReadonlyArray<Task.Any>) => {
  const byName = new Map(dockets.map((docket) => [docket.name, docket]))
  const known = new Map(tasks.map((task) => [task.name, task]))

  const find = (name: string) => {
    const docket = byName.get(name)
    return docket === undefined
      ? Effect.fail(new Problems.NotFound({ detail: `There is no docket ${JSON.stringify(name)} here` }))
      : Effect.succeed(docket)
  }

  const look = <Args extends ReadonlyArray<unknown>, A, E>(
    operation: keyof typeof operationRoles,
    run: (docket: Docket["Service"], ...args: Args) => Effect.Effect<A, E, Caller>
  ) =>
    Effect.fnUntraced(function* (name: string, ...args: Args) {
      yield* permit(operationRoles[operation])
      return yield* run(yield* find(name), ...args)
    })

  const change = <Args extends ReadonlyArray<unknown>, A, E>(
    operation: keyof typeof operationRoles,
    run: (docket: Docket["Service"], ...args: Args) => Effect.Effect<A, E>
  ) =>
    Effect.fnUntraced(function* (name: string, ...args: Args) {
      yield* permit(operationRoles[operation])
      const docket = yield* find(name)
      return yield* record(docket.name, operation, run(docket, ...args))
    })

  const requestOf = Effect.fnUntraced(function* ({ delayMillis, key, payload, task, when }: ScheduleInput) {
    const options: Task.ScheduleOptions = { key, when, delay: delayMillis }
    const contract = known.get(task)
    if (contract !== undefined) return { task: contract, payload: yield* decodeInput(contract, payload), options }
    if (!isTaskName(task)) return yield* new Problems.InvalidRequest({ detail: taskNameRule(task) })
    return { task: anyTask(task), payload, options }
  })

  const add = (docket: Docket["Service"], request: Task.Request) =>
    changing(
      known.has(request.task.name)
        ? docket.add(request.task, request.payload, request.options)
        : docket.addNamed(request.task.name, request.payload, request.options)
    )

  /** Those that fit, if they are as many as was agreed to. */
  const agreed = Effect.fnUntraced(function* (docket: Docket["Service"], { expected, filter }: ManyFailed) {
    const chosen = (yield* changing(docket.failed.list(filter))).map(({ key }) => key)
    if (expected !== undefined && expected !== chosen.length) {
      return yield* changed(chosen.length, expected, "failed executions fit")
    }
    return chosen
  })

  /** Runs failed executions again by their keys alone; gives those that were among the failed ones, and did. */
  const retryByKey = Effect.fnUntraced(function* (docket: Docket["Service"], keys: ReadonlyArray<string>) {
    const answers = yield* reading(retryFailed(docket.store, knownStrikes(docket.store, docket.name), keys))
    const retried = keys.filter((_, i) => answers[i] === "retried")
    return { count: retried.length, struck: answers.filter((answer) => answer === "struck").length, keys: retried }
  })

  const retryAgreed = Effect.fnUntraced(function* (docket: Docket["Service"], many: ManyFailed) {
    const { count, struck } = yield* retryByKey(docket, yield* agreed(docket, many))
    return { count, struck }
  })

  const discardByKey = Effect.fnUntraced(function* (docket: Docket["Service"], keys: ReadonlyArray<string>) {
    const done = yield* reading(failWith(docket.store.discardFailed(keys)))
    return { count: done.filter(Boolean).length }
  })

  const discardAgreed = Effect.fnUntraced(function* (docket: Docket["Service"], many: ManyFailed) {
    return yield* discardByKey(docket, yield* agreed(docket, many))
  })

  const info = Effect.fnUntraced(function* (docket: Docket["Service"], key: string) {
    const found = yield* reading(docket.info(key))
    return Option.isSome(found) ? found.value : yield* noExecution(key)
  })

  return {
    /** The names of the dockets. */
    dockets: Effect.as(
      permit(operationRoles.dockets),
      dockets.map(({ name }) => ({ name }))
    ),
    /** A docket, for who may read it. */
    docket: look("snapshot", (docket) => Effect.succeed(docket)),
    snapshot: look("snapshot", (docket) => reading(docket.snapshot({ limit: 0 }))),
    health: look("health", (docket) =>
      Effect.gen(function* () {
        const before = yield* Clock.currentTimeMillis
        yield* reading(failWith(docket.store.depth))
        return { latencyMillis: (yield* Clock.currentTimeMillis) - before }
      })
    ),
    workers: look("workers", (docket) => reading(docket.workers)),
    clear: change("clear", (docket, { expected }: { readonly expected: number }) =>
      Effect.gen(function* () {
        const { queued, scheduled } = yield* reading(failWith(docket.store.depth))
        if (queued + scheduled !== expected) return yield* changed(queued + scheduled, expected, "executions wait")
        return { count: yield* reading(docket.clear) }
      })
    ),
    list: look("list", Listing.list),
    add: change("add", (docket, input: ScheduleInput) =>
      Effect.flatMap(requestOf(input), (request) => Effect.map(add(docket, request), scheduledOf))
    ),
    addAll: change("addAll", (docket, inputs: ReadonlyArray<ScheduleInput>) =>
      Effect.gen(function* () {
        const requests = yield* Effect.forEach(inputs, requestOf)
        return (yield* changing(docket.addAll(requests))).map(scheduledOf)
      })
    ),
    /** Schedules a task of which the contract is known, with a payload that it has decoded. */
    addTask: change("add", (docket, request: Task.Request) => Effect.map(add(docket, request), scheduledOf)),
    execution: look("execution", info),
    replace: change("replace", (docket, input: ScheduleInput) =>
      Effect.gen(function* () {
        const { options, payload, task } = yield* requestOf(input)
        return scheduledOf(yield* changing(docket.replace(task, payload, options)))
      })
    ),
    cancel: change("cancel", (docket, key: string) =>
      Effect.gen(function* () {
        yield* info(docket, key)
        yield* reading(docket.cancel(key))
      })
    ),
    explain: look("explain", (docket, key: string) =>
      Effect.gen(function* () {
        const explanation = yield* reading(docket.explain(key))
        return explanation._tag === "Unknown" ? yield* noExecution(key) : explanation
      })
    ),
    attempts: look("attempts", (docket, key: string) =>
      Effect.gen(function* () {
        yield* info(docket, key)
        return yield* reading(docket.execution(jsonTask, key).attempts)
      })
    ),
    result: look("result", (docket, key: string, waitSeconds: number) =>
      Effect.gen(function* () {
        // A handle is about its own task. Without a contract there is no error of the task's own.
        const { task } = yield* info(docket, key)
        const json = isTaskName(task) ? anyTask(task) : jsonTask
        const found = yield* Effect.catchTag(standing(docket, json, key, waitSeconds), "OwnError", Effect.die)
        if (found.state !== "completed") return { state: found.state }
        if (found.value === undefined) return { state: "completed" as const }
        // As it is stored, what is redacted in it is marked; a store of the app's own says nothing of that.
        const [record] = yield* reading(failWith(docket.store.read([key])))
        const text = Option.getOrUndefined(record ?? Option.none())?.result
        if (text !== undefined && !isReference(text)) {
          return { state: "completed" as const, value: Wire.dataOf(text) }
        }
        const isShown = allows((yield* Caller).role, "operate")
        return { state: "completed" as const, value: isShown ? found.value : "<redacted>" }
      }).pipe(
        Effect.catchTag("Failed", (problem) =>
          Effect.gen(function* () {
            const [record] = yield* reading(failWith(docket.store.read([key])))
            const failure = Option.getOrUndefined(record ?? Option.none())?.failure
            if (failure === undefined) return yield* problem
            return yield* new Problems.TaskError({ error: Wire.dataOf(failure), detail: problem.message })
          })
        )
      )
    ),
    /** The result of a task of which the contract is known, in its types; its own error as it is. */
    taskResult: Effect.fnUntraced(function* <T extends Task.Any>(
      name: string,
      task: T,
      key: string,
      waitSeconds: number
    ) {
      yield* permit(roleOfResult(task))
      return yield* standing(yield* find(name), task, key, waitSeconds)
    }),
    count: look("count", (docket, filter: FailedFilter) =>
      Effect.map(agreed(docket, { filter }), ({ length }) => ({ count: length }))
    ),
    failed: look("list", (docket, filter: FailedFilter) => changing(docket.failed.list(filter))),
    retry: change("retry", retryAgreed),
    discard: change("discard", discardAgreed),
    /** Runs failed executions again, or forgets them, by their keys alone; gives those that were among the failed ones. */
    retryKeys: change("retry", retryByKey),
    discardKeys: change("discard", discardByKey),
    /** Takes back the retries of what has not started since; takes the records as they were before. */
    undoRetry: change("retry", (docket, records: ReadonlyArray<ExecutionRecord>) =>
      Effect.gen(function* () {
        const retries = records.map(({ error = "", failure, generation, key }) => ({
          key,
          generation: generation + 1,
          error,
          failure
        }))
        const done = yield* reading(failWith(docket.store.undoRetry(retries)))
        return { count: done.filter(Boolean).length }
      })
    ),
    /** Cancels executions, as many as are live. */
    cancelKeys: change("cancel", (docket, keys: ReadonlyArray<string>) =>
      Effect.gen(function* () {
        yield* reading(failWith(docket.store.cancel(keys)))
        return { count: keys.length }
      })
    ),
    run: change("run", (docket, key: string) =>
      Effect.gen(function* () {
        const [found] = yield* reading(failWith(docket.store.read([key])))
        const record = Option.getOrUndefined(found ?? Option.none())
        if (record === undefined) return yield* noExecution(key)
        if (record.state !== "scheduled") {
          return yield* new Problems.InvalidRequest({
            detail: `${JSON.stringify(key)} is ${record.state}: only what is scheduled for later can be brought forward`
          })
        }
        // With the payload as it is stored, whatever in it is redacted; a worker finds out what else there is to know of it.
        const request = {
          key,
          task: record.task,
          payload: record.payload,
          due: dueNow,
          replace: true,
          trace: record.trace,
          terms: undefined,
          judged: false
        }
        const { version } = yield* reading(failWith(docket.store.strikes))
        const reply = yield* reading(failWith(docket.store.schedule([request], version)))
        if (reply._tag === "Scheduled")
          return scheduledOf({ key, task: record.task, disposition: reply.dispositions[0] })
        return yield* new Problems.Unavailable({ detail: "The strikes were changed at the same moment: try again" })
      })
    ),
    strikes: look("strikes", (docket) => reading(docket.strikes)),
    strike: change("strike", (docket, strike: StrikeList.Options) => changing(docket.strike(strike))),
    restore: change("restore", (docket, strike: StrikeList.Options) => changing(docket.restore(strike))),
    paused: look("paused", (docket) => reading(docket.paused)),
    pause: change("pause", (docket, { task }: { readonly task?: string | undefined }) => changing(docket.pause(task))),
    resume: change("resume", (docket, { task }: { readonly task?: string | undefined }) =>
      changing(docket.resume(task))
    )
  }
}

/** A contract for a task of which only the name is known: any JSON is a payload. */
const anyTask = (name: string) => Task.make(name, { payload: Schema.Json, success: Schema.UndefinedOr(Schema.Json) })

/** To look at executions of any task. */
const jsonTask = anyTask("any")

const scheduledOf = ({
  disposition = "scheduled",
  key,
  task
}: {
  readonly key: string
  readonly task: string
  readonly disposition: typeof Wire.Scheduled.Type.disposition | undefined
}): typeof Wire.Scheduled.Type => ({ key, task, disposition })

const changed = (count: number, expected: number, what: string) =>
  new Problems.CountChanged({
    count,
    detail: `${count} ${what} by now, and ${expected} were agreed to: nothing was changed. Look again, and agree to ${count}`
  })

/** A task failed with an error that its contract names. */
export class OwnError<out E> extends Data.TaggedClass("OwnError")<{ readonly error: unknown }> {
  declare readonly "~E": E
}

/** How an execution stands after a wait: its result, or the state that it is still in. */
export type Standing<A> =
  { readonly state: "completed"; readonly value: A } | { readonly state: "scheduled" | "queued" | "running" }

const standing = Effect.fnUntraced(function* <T extends Task.Any>(
  docket: Docket["Service"],
  task: T,
  key: string,
  waitSeconds: number
): Effect.fn.Return<
  Standing<Task.Success<T>>,
  OwnError<Task.Error<T>> | Problems.NotFound | Problems.Cancelled | Problems.NotKept | Problems.Failed | StoreProblem
> {
  const found = yield* reading(docket.info(key))
  if (Option.isNone(found)) return yield* noExecution(key)
  const { state } = found.value
  const unfinished = state === "scheduled" || state === "queued" || state === "running" ? state : undefined
  if (unfinished !== undefined && waitSeconds === 0) return { state: unfinished }
  const wait = unfinished === undefined ? "1 minute" : waitSeconds * 1000
  const result: Result.Result<Task.Success<T>, unknown> = yield* Effect.result(
    docket.execution(task, key).resultWithin(wait)
  )
  if (Result.isSuccess(result)) return { state: "completed", value: result.success }
  const error = result.failure
  if (error instanceof ResultTimeout) return { state: unfinished ?? "running" }
  if (error instanceof TaskCancelled) return yield* new Problems.Cancelled({ detail: error.message })
  if (error instanceof ResultNotKept) return yield* new Problems.NotKept({ detail: error.message })
  if (error instanceof TaskFailed) return yield* new Problems.Failed({ error: error.error, detail: error.message })
  if (error instanceof DocketError) return yield* problemOf(error)
  return yield* Effect.fail(new OwnError<Task.Error<T>>({ error }))
})

const formatIssues = SchemaIssue.makeFormatterStandardSchemaV1()

/** Where a payload does not fit its contract, and why. */
export const issuesOf = (slot: string, { issue }: Schema.SchemaError) =>
  formatIssues(issue).issues.map(({ message, path = [] }) => ({
    path: [
      slot,
      ...path.map((segment) => {
        const key = typeof segment === "object" ? segment.key : segment
        return typeof key === "number" ? key : String(key)
      })
    ],
    message
  }))

const decodeInput = (task: Task.Any, payload: Schema.Json) =>
  Effect.mapError(
    Schema.decodeUnknownEffect(Schema.toCodecJson(inputOf(task)))(payload),
    (error) =>
      new Problems.InvalidRequest({
        detail: `The payload does not fit task "${task.name}"`,
        errors: issuesOf("payload", error)
      })
  )

/** Says who changed what, on the log and as a span. */
const record = Effect.fnUntraced(function* <A, E, R>(docket: string, operation: string, run: Effect.Effect<A, E, R>) {
  const { name = "somebody", role } = yield* Caller
  const about = { docket, operation, who: name, role }
  return yield* run.pipe(
    Effect.tap((result) => {
      const count = typeof result === "object" && result !== null && "count" in result ? { count: result.count } : {}
      return Effect.annotateLogs(Effect.logInfo(`${operation} by ${name}`), { ...about, ...count })
    }),
    Effect.withSpan(`docket.http.${operation}`, {
      attributes: { "docket.name": docket, "enduser.id": name, "enduser.role": role }
    })
  )
})
