/**
 * The dashboard: pages to look after dockets, for any framework and under any prefix.
 *
 * **Example** (In Effect's router)
 *
 * ```ts
 * import * as Dashboard from "effect-docket/dashboard"
 *
 * const Served = HttpRouter.serve(Dashboard.layer({ prefix: "/docket", access: ({ headers }) => roleOf(headers) }))
 * ```
 *
 * **Example** (In Express)
 *
 * ```ts
 * const dashboard = Dashboard.toNodeHandler({ prefix: "/docket", access })
 * app.use("/docket", dashboard.handler)
 * ```
 */

/** What serves it. */
export { layer, type Options, toNodeHandler, toWebHandler } from "./server.ts"
export type { NodeHandler, WebHandler } from "../http/serve.ts"
