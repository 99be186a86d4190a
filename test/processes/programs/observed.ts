/**
 * OpenTelemetry's own SDK, exporting to memory: when its layer is released, spans, metrics and log lines are printed, as
 * lines of JSON.
 */
import * as NodeSdk from "@effect/opentelemetry/NodeSdk"
import { InMemoryLogRecordExporter, SimpleLogRecordProcessor } from "@opentelemetry/sdk-logs"
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  PeriodicExportingMetricReader
} from "@opentelemetry/sdk-metrics"
import { InMemorySpanExporter, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-base"
import { Effect, Layer } from "effect"
import { Telemetry } from "../../../src/index.ts"

const print = (value: unknown) => process.stdout.write(`${JSON.stringify(value)}\n`)

/** The SDK for a service; at the end it prints what it was given. */
export const observe = (serviceName: string) =>
  Layer.suspend(() => {
    const spans = new InMemorySpanExporter()
    const logs = new InMemoryLogRecordExporter()
    const metrics = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
    const spanProcessor = new SimpleSpanProcessor(spans)
    const metricReader = new PeriodicExportingMetricReader({ exporter: metrics, exportIntervalMillis: 3_600_000 })
    const printed = Effect.promise(async () => {
      await Promise.all([spanProcessor.forceFlush(), metricReader.forceFlush()])
      for (const span of spans.getFinishedSpans()) {
        print({
          span: span.name,
          id: span.spanContext().spanId,
          trace: span.spanContext().traceId,
          parent: span.parentSpanContext?.spanId,
          links: span.links.map(({ context }) => context.spanId),
          service: span.resource.attributes["service.name"],
          attributes: span.attributes
        })
      }
      const named = metrics
        .getMetrics()
        .flatMap(({ scopeMetrics }) => scopeMetrics.flatMap(({ metrics }) => metrics))
        .map(({ descriptor }) => descriptor.name)
      for (const metric of new Set(named)) print({ metric })
      for (const { body } of logs.getFinishedLogRecords()) print({ log: String(body) })
    })
    // The SDK forgets everything when it is shut down, which is after this.
    return Layer.effectDiscard(Effect.addFinalizer(() => printed)).pipe(
      Layer.provideMerge(
        NodeSdk.layer(() => ({
          resource: { serviceName },
          spanProcessor,
          metricReader,
          logRecordProcessor: new SimpleLogRecordProcessor({ exporter: logs }),
          loggerMergeWithExisting: false
        }))
      ),
      Layer.merge(Telemetry.layer({ names: "messaging", runs: "child" }))
    )
  })
