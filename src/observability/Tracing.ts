/**
 * Spans of requests and of runs, and the link between them.
 *
 * **Details**
 *
 * Nothing is traced, and nothing about traces is stored, unless an app provides a tracer of its own: a span that nobody
 * exports would cost as much as the rest of a request.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Tracer from "effect/Tracer"
import type { Delivery, WorkerSession } from "../DocketStore.ts"

const isTracing = (context: Context.Context<never>): boolean =>
  Context.get(context, Tracer.Tracer) !== Tracer.nativeTracer

/** The span around an effect, as a W3C `traceparent`; empty when nothing is traced. */
export const currentTrace: Effect.Effect<string> = Effect.withFiber((fiber) => Effect.succeed(traceOf(fiber.context)))

/** The span in a context, in the same form. */
export const traceOf = (context: Context.Context<never>): string => {
  if (!isTracing(context)) return ""
  const span = Context.getOption(context, Tracer.ParentSpan)
  return Option.isSome(span) ? encode(span.value) : ""
}

/** Runs a request in a span of its own. The attributes of its outcome are added at the end. */
export const request = <A, E, R>(
  name: string,
  attributes: () => Readonly<Record<string, unknown>>,
  effect: Effect.Effect<A, E, R>,
  attributesOf: (result: A) => Readonly<Record<string, unknown>>
): Effect.Effect<A, E, R> =>
  Effect.withFiber((fiber) =>
    isTracing(fiber.context)
      ? Effect.tap(effect, (result) => Effect.annotateCurrentSpan(attributesOf(result))).pipe(
          Effect.withSpan(name, { kind: "producer", attributes: attributes() })
        )
      : effect
  )

/** Runs a handler in a span that begins a trace of its own, with one link to the trace that scheduled it. */
export const run = <A, E, R>(
  delivery: Delivery,
  attributes: Readonly<Record<string, unknown>>,
  effect: Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> =>
  Effect.withFiber((fiber) => {
    if (!isTracing(fiber.context)) return effect
    const span = decode(delivery.trace)
    return Effect.withSpan(effect, delivery.task, {
      root: true,
      kind: "consumer",
      attributes: { ...attributes, "code.function.name": delivery.task },
      links: span === undefined ? [] : [{ span, attributes: {} }]
    })
  })

/** A worker's session, with a span around each call that the worker makes for itself; waiting for work is none. */
export const session = (session: WorkerSession, attributes: Readonly<Record<string, unknown>>): WorkerSession => {
  const traced = <A, E>(
    verb: string,
    call: Effect.Effect<A, E>,
    attributesOf: (result: A) => Readonly<Record<string, unknown>> = () => ({})
  ): Effect.Effect<A, E> =>
    Effect.withFiber((fiber) =>
      isTracing(fiber.context)
        ? Effect.tap(call, (result) => Effect.annotateCurrentSpan(attributesOf(result))).pipe(
            Effect.withSpan(`docket.${verb}`, { root: true, kind: "client", attributes })
          )
        : call
    )
  return {
    ...session,
    exchange: (request) =>
      traced("exchange", session.exchange(request), ({ deliveries, settled }) => ({
        "docket.claimed": deliveries.length,
        "docket.settled": settled.length
      })),
    renew: (leases) => traced("renew", session.renew(leases), (statuses) => ({ "docket.count": statuses.length })),
    heartbeat: traced("heartbeat", session.heartbeat, ({ reclaimed }) => ({ "docket.reclaimed": reclaimed })),
    progress: (updates) => traced("progress", session.progress(updates), () => ({ "docket.count": updates.length })),
    leave: traced("leave", session.leave)
  }
}

const encode = (span: Tracer.AnySpan): string =>
  `00-${span.traceId.padStart(32, "0")}-${span.spanId}-${span.sampled ? "01" : "00"}`

const decode = (traceparent: string): Tracer.ExternalSpan | undefined => {
  const [version, traceId, spanId, flags] = traceparent.split("-")
  if (version !== "00" || traceId?.length !== 32 || spanId?.length !== 16) return undefined
  return Tracer.externalSpan({ traceId, spanId, sampled: flags === "01" })
}
