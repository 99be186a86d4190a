/** Schedules a task in a span of its own, exports its traces, and waits for the result. */
import { NodeRuntime } from "@effect/platform-node"
import { Config, Effect, Layer } from "effect"
import { FetchHttpClient } from "effect/http"
import { Otlp } from "effect/observability"
import { Docket, DocketLive } from "../../../src/index.ts"
import { Square } from "./tasks.ts"

const program = Effect.gen(function* () {
  const docket = yield* Docket
  const now = yield* docket.add(Square, { id: 7, millis: 1 }, { key: "now" })
  const later = yield* docket.add(Square, { id: 8, millis: 1 }, { key: "later", delay: "500 millis" })
  yield* Effect.log((yield* now.result).square, (yield* later.result).square)
}).pipe(Effect.withSpan("checkout"))

const TracesLive = Layer.unwrap(
  Effect.map(Config.String("OTEL_EXPORTER_OTLP_ENDPOINT"), (baseUrl) =>
    Otlp.layerJson({ baseUrl, resource: { serviceName: "shop" } }).pipe(Layer.provide(FetchHttpClient.layer))
  )
)

program.pipe(Effect.provide(DocketLive.pipe(Layer.provideMerge(TracesLive))), NodeRuntime.runMain)
