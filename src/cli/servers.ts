/**
 * The servers that probes and Prometheus ask, where there are ports for them. They log no requests.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Predicate from "effect/Predicate"
import type * as Scope from "effect/Scope"
import { createServer } from "node:http"
import type { Health } from "../Worker.ts"
import { CommandFailed } from "./exits.ts"

export interface Ports {
  readonly healthcheckPort: number | undefined
  readonly metricsPort: number | undefined
}

/** Serves for as long as the scope is open. Without a port nothing is even loaded. */
export const serve = Effect.fnUntraced(function* (
  { healthcheckPort, metricsPort }: Ports,
  health: Effect.Effect<Health>
): Effect.fn.Return<void, CommandFailed, Scope.Scope> {
  if (healthcheckPort === undefined && metricsPort === undefined) return
  const [Health, HttpMiddleware, HttpRouter, NodeHttpServer] = yield* Effect.promise(() =>
    Promise.all([
      import("../observability/Health.ts"),
      import("effect/http/HttpMiddleware"),
      import("effect/http/HttpRouter"),
      import("@effect/platform-node/NodeHttpServer")
    ])
  )
  // One port may serve for both.
  for (const port of new Set([healthcheckPort, metricsPort])) {
    if (port === undefined) continue
    const routes = Layer.mergeAll(
      port === healthcheckPort ? Health.layerOf(health) : Layer.empty,
      port === metricsPort ? Health.layerMetrics : Layer.empty
    )
    const server = HttpRouter.serve(routes, { disableLogger: true, disableListenLog: true }).pipe(
      Layer.provide(NodeHttpServer.layer(createServer, { port, gracefulShutdownTimeout: "1 second" })),
      // A probe is no part of anybody's trace.
      Layer.provide(Layer.succeed(HttpMiddleware.TracerDisabledWhen, () => true))
    )
    yield* Effect.mapError(Layer.build(server), ({ cause }) => portProblem(port, cause))
  }
})

/** Why a port cannot be opened. */
export const portProblem = (port: number, cause: unknown): CommandFailed =>
  new CommandFailed({ message: problem(port, cause) })

const problem = (port: number, cause: unknown): string => {
  const code = Predicate.hasProperty(cause, "code") ? cause.code : undefined
  switch (code) {
    case "EADDRINUSE":
      return `Port ${port} is taken by another process: choose another one`
    case "EACCES":
      return `Port ${port} may not be opened by this user: choose one above 1023`
    default:
      return `Port ${port} cannot be opened: ${cause instanceof Error ? cause.message : String(cause)}`
  }
}
