/**
 * Exports traces, metrics and logs over OTLP when the environment says where to, in the standard variables of
 * OpenTelemetry: `OTEL_EXPORTER_OTLP_ENDPOINT` and its kin.
 */
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { UsageError } from "./exits.ts"

const endpoints = ["", "_TRACES", "_METRICS", "_LOGS"].map((signal) => `OTEL_EXPORTER_OTLP${signal}_ENDPOINT`)

const optional = (name: string) => Config.String(name).pipe(Config.withDefault(""))

/** What the specification says of variables that are not set. */
const defaults = ConfigProvider.fromUnknown({
  OTEL_SERVICE_NAME: "docket-worker",
  OTEL_TRACES_EXPORTER: ["otlp"],
  OTEL_METRICS_EXPORTER: ["otlp"],
  OTEL_LOGS_EXPORTER: ["otlp"]
})

/** Nothing, unless an endpoint is set: then not even the exporter is loaded. What is buffered is exported at the end. */
export const layer: Layer.Layer<never, UsageError | Config.ConfigError> = Layer.unwrap(
  Effect.gen(function* () {
    const given = yield* Effect.forEach(endpoints, optional)
    if (given.every((endpoint) => endpoint === "")) return Layer.empty
    const protocol = yield* Config.String("OTEL_EXPORTER_OTLP_PROTOCOL").pipe(Config.withDefault("http/protobuf"))
    if (protocol !== "http/protobuf" && protocol !== "http/json") {
      return yield* new UsageError({
        message: `OTEL_EXPORTER_OTLP_PROTOCOL has to be http/protobuf or http/json; it was ${JSON.stringify(protocol)}`
      })
    }
    const [Otlp, OtlpSerialization, FetchHttpClient] = yield* Effect.promise(() =>
      Promise.all([
        import("effect/observability/Otlp"),
        import("effect/observability/OtlpSerialization"),
        import("effect/http/FetchHttpClient")
      ])
    )
    const serialization = protocol === "http/json" ? OtlpSerialization.layerJson : OtlpSerialization.layerProtobuf
    return Otlp.layerFromConfig().pipe(
      Layer.provide([serialization, FetchHttpClient.layer, ConfigProvider.layerAdd(defaults)])
    )
  })
)
