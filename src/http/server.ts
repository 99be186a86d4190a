/**
 * The HTTP API as something to serve: routes for Effect's router, or a handler from `Request` to `Response`.
 */
import * as ByteSize from "effect/ByteSize"
import type * as Config from "effect/Config"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerRespondable from "effect/http/HttpServerRespondable"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import type * as HttpApi from "effect/http-api/HttpApi"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import type * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as HttpApiScalar from "effect/http-api/HttpApiScalar"
import * as OpenApi from "effect/http-api/OpenApi"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { Docket, DocketLive } from "../Docket.ts"
import type { DocketError } from "../DocketError.ts"
import type * as Task from "../Task.ts"
import type { TaskGroup } from "../TaskGroup.ts"
import * as Access from "./Access.ts"
import * as Api from "./Api.ts"
import * as Feeds from "./feeds.ts"
import * as Handlers from "./handlers.ts"
import { visitOf } from "./handlers.ts"
import * as Operations from "./operations.ts"
import { permit } from "./operations.ts"
import * as Serve from "./serve.ts"

/**
 * What is served, to whom, and how much of it.
 *
 * @category options
 * @since 0.1.0
 */
export interface Options {
  /** The dockets. Default: the one of the context. */
  readonly dockets?: ReadonlyArray<Docket["Service"]> | undefined
  /** The group of tasks that get operations of their own; a `TaskModule` has one in `tasks`. Default: none. */
  readonly tasks?: Pick<TaskGroup<Task.Any>, "tasks"> | undefined
  /** Finds the role of a request. Default: {@link Access.fromLoopback}. */
  readonly access?: Access.Access | undefined
  /** What comes before the API's own paths, as in `/api`. Default: nothing. */
  readonly prefix?: string | undefined
  /** The largest body of a request. Default: 1 MiB. */
  readonly maximumBody?: ByteSize.Input | undefined
  /** How many streams, and waits for results, may be open at once. Default: 1,000. */
  readonly maximumStreams?: number | undefined
  /** How long a stream may be open; then it ends, and whoever follows it comes back. Default: 1 hour. */
  readonly maximumStreamAge?: Duration.Input | undefined
}

/** What the API and a dashboard on it share. */
export interface Parts {
  readonly dockets: ReadonlyArray<Docket["Service"]>
  readonly tasks: ReadonlyArray<Task.Any>
  readonly access: Access.Access
  readonly operations: Operations.Operations
  readonly feeds: Feeds.Feeds
}

/** Makes the parts. */
export const makeParts = Effect.fnUntraced(function* (
  options: Options
): Effect.fn.Return<Parts, never, Docket | Scope.Scope> {
  const dockets = options.dockets ?? [yield* Docket]
  const tasks = [...(options.tasks?.tasks.values() ?? [])]
  const feeds = yield* Feeds.make(dockets, {
    maximumStreams: options.maximumStreams ?? 1000,
    maximumStreamAge: options.maximumStreamAge ?? "1 hour"
  })
  return {
    dockets,
    tasks,
    access: options.access ?? Access.fromLoopback,
    operations: Operations.make(dockets, tasks),
    feeds
  }
})

/** Lets only those look that may read. */
const readersOnly = (access: Access.Access) =>
  HttpRouter.middleware((route) =>
    Effect.gen(function* () {
      const caller = yield* Access.callerOf(access, visitOf(yield* HttpServerRequest.HttpServerRequest))
      return yield* Effect.provideService(permit("read"), Access.Caller, caller).pipe(
        Effect.flatMap(() => route),
        Effect.catchTag("Forbidden", (forbidden) => HttpServerRespondable.toResponse(forbidden))
      )
    })
  )

/** The routes of the API, of its OpenAPI document and of a page that shows it. */
const routesOf = <Id extends string, Groups extends HttpApiGroup.Constraint>(
  api: HttpApi.HttpApi<Id, Groups>,
  { access, prefix }: { readonly access: Access.Access; readonly prefix: string }
) => {
  const document = OpenApi.fromApi(api.annotate(OpenApi.Servers, [{ url: prefix === "" ? "/" : prefix }]))
  return Layer.mergeAll(
    HttpApiBuilder.layer(api),
    Layer.mergeAll(
      HttpRouter.add("GET", "/openapi.json", HttpServerResponse.jsonUnsafe(document)),
      HttpApiScalar.layer(api, { path: "/docs", scalar: { withDefaultFonts: false } })
    ).pipe(Layer.provide(readersOnly(access).layer))
  )
}

/** The API as an app. */
export const makeApi = Effect.fnUntraced(function* (options: Options) {
  const { access, feeds, operations, tasks } = yield* makeParts(options)
  const prefix = Serve.prefixOf(options.prefix ?? "")
  const handlers = Handlers.layer(operations, feeds, access)
  const routes =
    tasks.length === 0
      ? routesOf(Api.DocketApi, { access, prefix }).pipe(Layer.provide(handlers))
      : routesOf(Api.withTasks(tasks), { access, prefix }).pipe(
          Layer.provide(Handlers.layerTasks(operations, feeds, tasks).pipe(Layer.provideMerge(handlers)))
        )
  // A key may be as long as a URL.
  const config = Layer.succeed(HttpRouter.RouterConfig, { maxParamLength: 100_000 })
  const router = yield* Serve.toRouter(Layer.provide(routes, HttpServer.layerServices), config)
  return Serve.toApp(router, {
    prefix,
    maximumBody:
      options.maximumBody === undefined ? ByteSize.mebibytes(1) : ByteSize.fromInputUnsafe(options.maximumBody),
    // A body, and a wait.
    timeoutSeconds: Api.maximumWaitSeconds + 15
  })
})

/**
 * Adds the API to Effect's router, below the prefix.
 *
 * **Example**
 *
 * ```ts
 * const Served = HttpRouter.serve(DocketHttp.layer({ prefix: "/api", access })).pipe(
 *   Layer.provide([DocketLive, NodeHttpServer.layer(createServer, { port: 8080 })])
 * )
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: Options = {}): Layer.Layer<never, never, HttpRouter.HttpRouter | Docket> =>
  Serve.layer(Serve.prefixOf(options.prefix ?? ""), makeApi(options))

/**
 * Serves the API as a function from `Request` to `Response`. It does not know from where a request comes, so without `access`
 * everybody may only look.
 *
 * @category handlers
 * @since 0.1.0
 */
export const toWebHandler = (
  options: Options = {},
  docket: Layer.Layer<Docket, DocketError | Config.ConfigError> = DocketLive
): Serve.WebHandler => Serve.toWeb(makeApi(options), docket)

/**
 * Serves the API to Node's `http`, and to frameworks on it.
 *
 * @category handlers
 * @since 0.1.0
 */
export const toNodeHandler = (
  options: Options = {},
  docket: Layer.Layer<Docket, DocketError | Config.ConfigError> = DocketLive
): Serve.NodeHandler => Serve.toNode(makeApi(options), docket)
