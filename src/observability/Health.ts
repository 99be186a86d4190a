/**
 * What probes and Prometheus ask of a worker, as HTTP routes: `/health`, `/ready` and `/metrics`.
 *
 * **Example**
 *
 * ```ts
 * import * as Health from "effect-docket/health"
 *
 * const ServerLive = HttpRouter.serve(Layer.mergeAll(Health.layer, Health.layerMetrics), { disableLogger: true }).pipe(
 *   Layer.provide(NodeHttpServer.layer(createServer, { port: 8080 }))
 * )
 * ServerLive.pipe(Layer.provide(Worker.layer(tasks)))
 * ```
 */
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as PrometheusMetrics from "effect/observability/PrometheusMetrics"
import * as Worker from "../Worker.ts"

/**
 * Adds the routes that tell how a worker is.
 *
 * **Details**
 *
 * `/health`, and `/`, are for liveness: they answer 200 and `OK` while the worker is able to take work, else 503 and why it
 * is not. `/ready` is for readiness: it also answers 503 from the moment at which the worker was told to stop.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerOf = (health: Effect.Effect<Worker.Health>): Layer.Layer<never, never, HttpRouter.HttpRouter> => {
  const live = Effect.map(health, ({ able, problems }) => answer(able, problems))
  const ready = Effect.map(health, ({ able, problems, ready }) =>
    answer(ready, able ? ["The worker was told to stop"] : problems)
  )
  return HttpRouter.addAll([
    HttpRouter.route("GET", "/", live),
    HttpRouter.route("GET", "/health", live),
    HttpRouter.route("GET", "/ready", ready)
  ])
}

/**
 * The routes of {@link layerOf}, for the worker of the context.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<never, never, HttpRouter.HttpRouter | Worker.Worker> = Layer.unwrap(
  Effect.map(Worker.Worker, ({ health }) => layerOf(health))
)

/**
 * Adds a route, by default `/metrics`, that answers with all metrics of this process in the text format of Prometheus,
 * version 0.0.4. Dots in the names of labels become underscores.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerMetrics: Layer.Layer<never, never, HttpRouter.HttpRouter> = PrometheusMetrics.layerHttp()

const answer = (good: boolean, problems: ReadonlyArray<string>) =>
  good
    ? HttpServerResponse.text("OK", { contentType: "text/plain" })
    : HttpServerResponse.text(`${problems.join("\n")}\n`, { contentType: "text/plain", status: 503 })
