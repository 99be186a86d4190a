/**
 * What serves an app in Effect's router, in Node's `http`, or as a function from `Request` to `Response`.
 */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import type * as ByteSize from "effect/ByteSize"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as HttpEffect from "effect/http/HttpEffect"
import * as HttpIncomingMessage from "effect/http/HttpIncomingMessage"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerError from "effect/http/HttpServerError"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as ProblemDetails from "effect/http/ProblemDetails"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import type { IncomingMessage, ServerResponse } from "node:http"
import type { Docket } from "../Docket.ts"

/** Whatever answers requests. */
export interface App {
  readonly respond: Effect.Effect<
    HttpServerResponse.HttpServerResponse,
    never,
    HttpServerRequest.HttpServerRequest | Scope.Scope
  >
}

/** A prefix with a slash before it and none behind; nothing for the root. */
export const prefixOf = (text: string): string => {
  const trimmed = text.replace(/^\/+|\/+$/g, "")
  return trimmed === "" ? "" : `/${trimmed}`
}

/** The path of a request without the prefix. A framework may have taken it off already. */
const withoutPrefix = (prefix: string, url: string): string => {
  if (prefix === "" || !url.startsWith(prefix)) return url
  const rest = url.slice(prefix.length)
  if (rest === "" || rest.startsWith("?")) return `/${rest}`
  return rest.startsWith("/") ? rest : url
}

// A body that a page sent is taken to be nothing else, and nothing is kept by whoever passes it on.
const headers = { "cache-control": "no-store", "x-content-type-options": "nosniff" }

/** A router of its own for some routes, so that neither knows the settings of the other. */
export const toRouter = Effect.fnUntraced(function* (
  routes: Layer.Layer<never, never, HttpRouter.HttpRouter>,
  config: Layer.Layer<never>
): Effect.fn.Return<HttpRouter.HttpRouter, never, Scope.Scope> {
  const context = yield* Layer.build(routes.pipe(Layer.provideMerge(HttpRouter.layer), Layer.provide(config)))
  return Context.get(context, HttpRouter.HttpRouter)
})

/** Makes an app of a router: below a prefix, within limits, and with problem details where the router has no answer. */
export const toApp = (
  router: HttpRouter.HttpRouter,
  {
    maximumBody,
    prefix,
    timeoutSeconds
  }: { readonly prefix: string; readonly maximumBody: ByteSize.ByteSize; readonly timeoutSeconds: number }
): App => ({
  // A router fails with whatever its routes fail with; all of it has an answer below.
  // @effect-diagnostics-next-line anyUnknownInErrorContext:off
  respond: Effect.updateService(router.asHttpEffect(), HttpServerRequest.HttpServerRequest, (request) =>
    request.modify({ url: withoutPrefix(prefix, request.url) })
  ).pipe(
    Effect.provideService(HttpIncomingMessage.MaxBodySize, maximumBody),
    Effect.timeoutOrElse({
      duration: timeoutSeconds * 1000,
      orElse: () => Effect.succeed(problem(408, "Request Timeout", "The request was not complete in time"))
    }),
    Effect.catchCause((cause) => {
      if (Cause.hasInterruptsOnly(cause)) return Effect.interrupt
      // That a body cannot be read is a defect to the routes.
      const error = Cause.squash(cause)
      if (error instanceof HttpServerError.HttpServerError) {
        switch (error.reason._tag) {
          case "RouteNotFound":
            return Effect.succeed(problem(404, "Not Found", "There is nothing at this path, or not with this method"))
          case "RequestParseError":
            return Effect.succeed(
              error.reason.reason === "BodyTooLarge"
                ? problem(413, "Content Too Large", "The body of the request is larger than this server takes")
                : problem(400, "Bad Request", "The body of the request cannot be read")
            )
        }
      }
      return Effect.as(
        Effect.logError("A request to the HTTP API failed", cause),
        problem(500, "Internal Server Error", "This is a defect of the server; its log says more")
      )
    }),
    Effect.map((response) => HttpServerResponse.setHeaders(response, { ...headers, ...response.headers }))
  )
})

const problem = (status: number, title: string, detail: string) =>
  ProblemDetails.toResponse({ type: ProblemDetails.blankType, status, title, detail })

/** Adds an app to Effect's router. */
export const layer = <E>(
  prefix: string,
  app: Effect.Effect<App, E, Docket | Scope.Scope>
): Layer.Layer<never, E, HttpRouter.HttpRouter | Docket> =>
  HttpRouter.use((router) =>
    Effect.flatMap(app, ({ respond }) => router.add("*", prefix === "" ? "/*" : `${prefix as `/${string}`}/*`, respond))
  )

/**
 * A function from `Request` to `Response`.
 *
 * @category models
 * @since 0.1.0
 */
export interface WebHandler {
  readonly handler: (request: Request) => Promise<Response>
  /** Closes what was opened for it. */
  readonly dispose: () => Promise<void>
}

class Served extends Context.Service<Served, App>()("effect-docket/http/Served") {}

const served = <E, E2>(app: Effect.Effect<App, E, Docket | Scope.Scope>, docket: Layer.Layer<Docket, E2>) =>
  Layer.effect(Served, app).pipe(Layer.provide(docket))

/** Serves an app as a function from `Request` to `Response`. */
export const toWeb = <E, E2>(
  app: Effect.Effect<App, E, Docket | Scope.Scope>,
  docket: Layer.Layer<Docket, E2>
): WebHandler =>
  HttpEffect.toWebHandlerLayerWith(served(app, docket), {
    toHandler: (context) => Effect.succeed(Context.get(context, Served).respond)
  })

/**
 * A listener for Node's `http`, and for frameworks on it.
 *
 * @category models
 * @since 0.1.0
 */
export interface NodeHandler {
  readonly handler: (request: IncomingMessage, response: ServerResponse) => void
  /** Closes what was opened for it. */
  readonly dispose: () => Promise<void>
}

/** Serves an app to Node's `http`. A request that comes before it is ready waits. */
export const toNode = <E, E2>(
  app: Effect.Effect<App, E, Docket | Scope.Scope>,
  docket: Layer.Layer<Docket, E2>
): NodeHandler => {
  const scope = Scope.makeUnsafe()
  const handler = Effect.runPromise(
    Effect.gen(function* () {
      const context = yield* Layer.buildWithScope(served(app, docket), scope)
      return yield* NodeHttpServer.makeHandler(Context.get(context, Served).respond, { scope })
    })
  )
  handler.catch(() => {})
  return {
    handler: (request, response) => {
      // Express takes the path of a mounted app off `url`; Effect, like its own, reads it from there.
      handler.then(
        (handle) => handle(request, response),
        () => response.writeHead(503).end()
      )
    },
    dispose: () => Effect.runPromise(Scope.close(scope, Exit.void))
  }
}
