/**
 * Serves the app at http://localhost:3000. It needs a Redis, at redis://localhost:6379/0 or where DOCKET_URL says, and a
 * worker in another process:
 *
 *     npx docket worker --tasks ./scratchpad/app/handlers.ts
 *     npx node scratchpad/app/server.ts
 *     curl -s localhost:3000/reports -d '{"month": "2026-10", "to": "ada@example.com"}'
 *     curl -sN localhost:3000/reports/report-2026-10/events
 */
import { NodeHttpServer, NodeRuntime } from "@effect/platform-node"
import { Layer } from "effect"
import { HttpRouter } from "effect/http"
import { createServer } from "node:http"
import { DocketLive } from "../../src/index.ts"
import { RoutesLive } from "./http.ts"

HttpRouter.serve(RoutesLive).pipe(
  Layer.provide(NodeHttpServer.layer(createServer, { port: 3000 })),
  Layer.provide(DocketLive),
  Layer.launch,
  NodeRuntime.runMain
)
