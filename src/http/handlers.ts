/**
 * The handlers of the contract: from decoded requests to operations, and back.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import * as HttpApiMiddleware from "effect/http-api/HttpApiMiddleware"
import * as HttpApiError from "effect/http-api/HttpApiError"
import * as HttpServerRespondable from "effect/http/HttpServerRespondable"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Task from "../Task.ts"
import * as Access from "./Access.ts"
import * as Api from "./Api.ts"
import type { Feeds } from "./feeds.ts"
import { issuesOf, type Operations, permit } from "./operations.ts"
import * as Problems from "./problems.ts"
import * as Wire from "./wire.ts"

/** What the access of a request may depend on. */
export const visitOf = (request: HttpServerRequest.HttpServerRequest): Access.Visit => ({
  method: request.method,
  url: request.originalUrl,
  headers: request.headers,
  remoteAddress: Option.getOrUndefined(request.remoteAddress)
})

/** Finds out who asks, and refuses what they may not do before anything else is read. */
const layerAuthorization = (access: Access.Access) =>
  Layer.succeed(
    Api.Authorization,
    Api.Authorization.of((httpEffect, { endpoint }) =>
      Effect.gen(function* () {
        const visit = visitOf(yield* HttpServerRequest.HttpServerRequest)
        const needs = Option.getOrThrow(Context.getOption(endpoint.annotations, Api.Needs))
        if (visit.method !== "GET" && Access.isCrossSite(visit)) {
          return yield* new Problems.Forbidden({ needs, detail: "A page of another origin may change nothing here" })
        }
        const caller = yield* Access.callerOf(access, visit)
        yield* Effect.provideService(permit(needs), Access.Caller, caller)
        return yield* Effect.provideService(httpEffect, Access.Caller, caller)
      })
    )
  )

const slots = { Params: "params", Headers: "headers", Query: "query", Payload: "payload" } as const

const layerRefusals = HttpApiMiddleware.layerSchemaErrorTransform(Api.Refusals, (error) =>
  error.kind === "Body" || error.kind === "ResponseHeaders"
    ? Effect.andThen(
        Effect.logError("An answer of the HTTP API does not fit its schema", error.cause),
        HttpServerRespondable.toResponse(new HttpApiError.InternalServerErrorProblem({}))
      )
    : Effect.fail(
        new Problems.InvalidRequest({
          detail: "A part of the request does not have the form that this operation asks for",
          errors: issuesOf(slots[error.kind], error.cause)
        })
      )
)

/** The handlers of what every docket offers. */
export const layer = (operations: Operations, feeds: Feeds, access: Access.Access) =>
  Layer.mergeAll(
    HttpApiBuilder.group(Api.DocketApi, "dockets", (handlers) =>
      handlers.handleAll({
        dockets: () => operations.dockets,
        snapshot: ({ params }) => Effect.map(operations.snapshot(params.docket), Wire.snapshot),
        health: ({ params }) => operations.health(params.docket),
        workers: ({ params }) => operations.workers(params.docket),
        clear: ({ params, payload }) => operations.clear(params.docket, payload),
        events: ({ headers, params }) =>
          Effect.gen(function* () {
            const docket = yield* operations.docket(params.docket)
            yield* feeds.enter
            return feeds.ofDocket(docket, headers["last-event-id"])
          })
      })
    ),
    HttpApiBuilder.group(Api.DocketApi, "executions", (handlers) =>
      handlers.handleAll({
        list: ({ params, query }) =>
          Effect.map(operations.list(params.docket, query), ({ executions, next }) => ({
            executions: executions.map(Wire.execution),
            ...(next === undefined ? {} : { next })
          })),
        add: ({ headers, params, payload }) =>
          operations.add(params.docket, { key: headers["idempotency-key"], ...payload }),
        addAll: ({ params, payload }) => operations.addAll(params.docket, payload.requests),
        execution: ({ params }) => Effect.map(operations.execution(params.docket, params.key), Wire.execution),
        replace: ({ params, payload }) => operations.replace(params.docket, { ...payload, key: params.key }),
        cancel: ({ params }) => operations.cancel(params.docket, params.key),
        run: ({ params }) => operations.run(params.docket, params.key),
        explain: ({ params }) => Effect.map(operations.explain(params.docket, params.key), Wire.explanation),
        attempts: ({ params }) => operations.attempts(params.docket, params.key),
        result: ({ params, query: { waitSeconds = 0 } }) =>
          Effect.gen(function* () {
            if (waitSeconds > 0) yield* feeds.enter
            return yield* operations.result(params.docket, params.key, waitSeconds)
          }),
        follow: ({ headers, params }) =>
          Effect.gen(function* () {
            const docket = yield* operations.docket(params.docket)
            yield* operations.execution(params.docket, params.key)
            yield* feeds.enter
            return feeds.ofExecution(docket, params.key, headers["last-event-id"])
          })
      })
    ),
    HttpApiBuilder.group(Api.DocketApi, "failed", (handlers) =>
      handlers.handleAll({
        count: ({ params, payload }) => operations.count(params.docket, payload),
        retry: ({ params, payload }) => operations.retry(params.docket, payload),
        discard: ({ params, payload }) => operations.discard(params.docket, payload)
      })
    ),
    HttpApiBuilder.group(Api.DocketApi, "holds", (handlers) =>
      handlers.handleAll({
        strikes: ({ params }) => Effect.map(operations.strikes(params.docket), (strikes) => strikes.map(Wire.strike)),
        strike: ({ params, payload }) => Effect.map(operations.strike(params.docket, payload), Wire.strike),
        restore: ({ params, payload }) => operations.restore(params.docket, payload),
        paused: ({ params }) => operations.paused(params.docket),
        pause: ({ params, payload }) => operations.pause(params.docket, payload),
        resume: ({ params, payload }) => operations.resume(params.docket, payload)
      })
    )
  ).pipe(Layer.provideMerge([layerAuthorization(access), layerRefusals]))

/** The handlers of the operations of tasks. */
export const layerTasks = (operations: Operations, feeds: Feeds, tasks: ReadonlyArray<Task.Any>) => {
  const api = Api.withTasks(tasks)
  const forEach = <A>(handler: (task: Task.Any) => A) =>
    Object.fromEntries(tasks.map((task) => [task.name, handler(task)]))
  return Layer.mergeAll(
    HttpApiBuilder.group(api, "tasks", (handlers) =>
      handlers.handleAll(
        forEach(
          (task) =>
            ({ headers, params, payload, query }) =>
              operations.addTask(params.docket, {
                task,
                payload,
                options: { key: headers["idempotency-key"], delay: query.delayMillis, when: query.when }
              })
        )
      )
    ),
    HttpApiBuilder.group(api, "results", (handlers) =>
      handlers.handleAll(
        forEach(
          (task) =>
            ({ params, query: { waitSeconds = 0 } }) =>
              Effect.gen(function* () {
                if (waitSeconds > 0) yield* feeds.enter
                return yield* operations.taskResult(params.docket, task, params.key, waitSeconds)
              }).pipe(Effect.catchTag("OwnError", ({ error }) => Effect.fail(Api.taskErrorOf(error))))
        )
      )
    )
  )
}
