/**
 * The HTTP API of dockets: its contract, and what serves it.
 *
 * **Example** (A server)
 *
 * ```ts
 * import * as DocketHttp from "effect-docket/http"
 *
 * const Served = HttpRouter.serve(DocketHttp.layer({ tasks, access: ({ headers }) => roleOfToken(headers["authorization"]) }))
 * Served.pipe(Layer.provide([DocketLive, NodeHttpServer.layer(createServer, { port: 8080 })]))
 * ```
 *
 * **Example** (A client)
 *
 * ```ts
 * const client = yield* HttpApiClient.make(DocketHttp.withTasks([SendWelcome]), { baseUrl: "http://localhost:8080" })
 * const { key } = yield* client.tasks.sendWelcome({ params: { docket: "shop" }, query: {}, headers: {}, payload })
 * ```
 */

/** Who may do what. */
export { type Access, allows, Caller, fromLoopback, Role, type Visit } from "./Access.ts"
/** The contract. */
export * from "./Api.ts"
/** The ways in which it says no. */
export * as Problems from "./problems.ts"
/** What it sends. */
export * as Wire from "./wire.ts"
/** What serves it. */
export { layer, type Options, toNodeHandler, toWebHandler } from "./server.ts"
export type { NodeHandler, WebHandler } from "./serve.ts"
