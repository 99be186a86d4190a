/**
 * How a docket's spans look in a trace.
 *
 * **Details**
 *
 * A docket makes spans, metrics and log lines with Effect's own `Tracer`, `Metric` and `Logger`. So whatever exports those
 * exports the docket's as well: `NodeSdk.layer` of `@effect/opentelemetry`, or `effect/observability`.
 *
 * Spans carry the attributes of OpenTelemetry's conventions for messaging (`messaging.operation.name`,
 * `messaging.destination.name`, `messaging.message.id`, `messaging.batch.message_count`, `error.type`) beside the docket's
 * own. What can only be one way is chosen here: the spans' names, and the trace that a run belongs to.
 */
import * as Context from "effect/Context"
import * as Layer from "effect/Layer"

/**
 * How spans look.
 *
 * @category models
 * @since 0.2.0
 */
export interface SpanStyle {
  /**
   * `"docket"`: requests are named `docket.add` and `docket.replace`, runs after their task. `"messaging"`: they are named
   * `send TASK` and `process TASK`, as the conventions for messaging have it. Default: `"docket"`.
   */
  readonly names: "docket" | "messaging"
  /**
   * Which trace the first run of an execution belongs to that was added for now. `"link"`: to one of its own, with a link
   * to what added it. `"child"`: to the trace of what added it. Retries, work for later and tasks that recur are always in
   * traces of their own: one that goes on for days is of use to nobody. It is the producer that decides. Default: `"link"`.
   */
  readonly runs: "link" | "child"
}

/**
 * The style of the spans that are made where it is provided.
 *
 * @category services
 * @since 0.2.0
 */
export const SpanStyle: Context.Reference<SpanStyle> = Context.Reference("effect-docket/SpanStyle", {
  defaultValue: (): SpanStyle => ({ names: "docket", runs: "link" })
})

/**
 * Sets the style of a process's spans; what is left out stays as it is by default.
 *
 * **Example**
 *
 * ```ts
 * const Observed = Layer.mergeAll(NodeSdk.layer(configuration), Telemetry.layer({ names: "messaging" }))
 * ```
 *
 * @category layers
 * @since 0.2.0
 */
export const layer = (style: Partial<SpanStyle>): Layer.Layer<never> =>
  Layer.succeed(SpanStyle, { ...SpanStyle.defaultValue(), ...style })
