/**
 * One trace from a request to the runs that it led to: `node scratchpad/traces.ts`. In memory, nothing to install; it ends
 * by itself.
 *
 * OpenTelemetry's own SDK gets the spans, as it gets those of the rest of the app. Here they are printed as a tree; an app
 * exports them.
 */
import * as NodeSdk from "@effect/opentelemetry/NodeSdk"
import { InMemorySpanExporter, type ReadableSpan, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-base"
import { Console, Effect, Layer, Logger, Schema } from "effect"
import { Docket, Retry, Task, TaskGroup, Telemetry, Worker } from "../src/index.ts"

class CardDeclined extends Schema.TaggedError<CardDeclined>()("CardDeclined", { order: Schema.String }) {}

const Charge = Task.make("charge", {
  payload: { order: Schema.String },
  error: CardDeclined,
  retry: Retry.linear({ attempts: 2 })
})
const Remind = Task.make("remind", { payload: { order: Schema.String } })
const tasks = TaskGroup.make(Charge, Remind)

const HandlersLive = tasks.toLayer({
  charge: Effect.fn("askTheBank")(function* ({ order }) {
    return yield* new CardDeclined({ order })
  }),
  remind: ({ order }) => Effect.annotateCurrentSpan("order", order)
})

const checkout = Effect.gen(function* () {
  const docket = yield* Docket
  yield* docket.add(Charge, { order: "A-17" }, { key: "charge-A-17" })
  yield* docket.add(Remind, { order: "A-17" }, { key: "remind-A-17", delay: "1 second" })
}).pipe(Effect.withSpan("POST /checkout"))

const exporter = new InMemorySpanExporter()
const processor = new SimpleSpanProcessor(exporter)

// `names` and `runs` are what can only be one way; without this layer they are the docket's own.
const TelemetryLive = Layer.merge(
  NodeSdk.layer(() => ({ resource: { serviceName: "shop" }, spanProcessor: processor })),
  Telemetry.layer({ names: "messaging", runs: "child" })
)

const program = Effect.gen(function* () {
  yield* checkout
  yield* Worker.runUntilFinished(tasks)
  yield* Effect.promise(() => processor.forceFlush())
  const spans = exporter.getFinishedSpans()
  for (const span of spans) if (span.parentSpanContext === undefined) yield* show(spans, span, "")
})

const show = (spans: ReadonlyArray<ReadableSpan>, span: ReadableSpan, indent: string): Effect.Effect<void> =>
  Effect.gen(function* () {
    const { "error.type": error, "messaging.message.id": id } = span.attributes
    const linked = span.links.map(({ context }) => spans.find((other) => other.spanContext().spanId === context.spanId))
    yield* Console.log(
      indent + span.name,
      ...(id === undefined ? [] : [id]),
      ...(error === undefined ? [] : [`failed: ${String(error)}`]),
      ...linked.map((other) => `linked to ${other?.name}`)
    )
    const children = spans.filter(({ parentSpanContext }) => parentSpanContext?.spanId === span.spanContext().spanId)
    for (const child of children) yield* show(spans, child, `${indent}  `)
  })

program.pipe(
  Effect.provide([HandlersLive, Docket.layerMemory, Logger.layer([])]),
  Effect.provide(TelemetryLive),
  Effect.runPromise
)
