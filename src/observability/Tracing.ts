/**
 * Spans of requests and of runs, and the link between them.
 *
 * **Details**
 *
 * Nothing is traced, and nothing about traces is stored, unless an app provides a tracer of its own: a span that nobody
 * exports would cost as much as the rest of a request.
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Tracer from "effect/Tracer"
import { described } from "../internal/contract/failureText.ts"
import type { Delivery, WorkerSession } from "../DocketStore.ts"
import { SpanStyle } from "../Telemetry.ts"

const isTracing = (context: Context.Context<never>): boolean =>
  Context.get(context, Tracer.Tracer) !== Tracer.nativeTracer

/** The span around an effect, as a W3C `traceparent`; empty when nothing is traced. */
export const currentTrace: Effect.Effect<string> = Effect.withFiber((fiber) => Effect.succeed(traceOf(fiber.context)))

/** The span in a context, in the same form. With `ofNow`, a run may belong to its trace, if the style of spans says so. */
export const traceOf = (context: Context.Context<never>, ofNow = false): string => {
  if (!isTracing(context)) return ""
  const span = Context.getOption(context, Tracer.ParentSpan)
  if (Option.isNone(span)) return ""
  return encode(span.value, ofNow && Context.get(context, SpanStyle).runs === "child")
}

/** What a span says of messages, in the words of OpenTelemetry's conventions. */
interface Messages {
  /** The task that they are for, or the docket when they are for several. */
  readonly destination: string
  /** How many there are in a batch. */
  readonly count?: number
}

const messaging = (operation: "send" | "process", { count, destination }: Messages) => ({
  "messaging.system": "effect-docket",
  "messaging.operation.name": operation,
  "messaging.operation.type": operation,
  "messaging.destination.name": destination,
  ...(count === undefined ? {} : { "messaging.batch.message_count": count })
})

/** Runs a request in a span of its own. The attributes of its outcome are added at the end. */
export const request = <A, E, R>(
  name: string,
  attributes: () => Readonly<Record<string, unknown>>,
  effect: Effect.Effect<A, E, R>,
  attributesOf: (result: A) => Readonly<Record<string, unknown>>
): Effect.Effect<A, E, R> =>
  Effect.withFiber((fiber) =>
    isTracing(fiber.context)
      ? Effect.withSpan(annotated(effect, attributesOf), name, { kind: "producer", attributes: attributes() })
      : effect
  )

/** The same for a request that schedules something. */
export const send = <A, E, R>(
  name: string,
  messages: () => Messages,
  attributes: () => Readonly<Record<string, unknown>>,
  effect: Effect.Effect<A, E, R>,
  attributesOf: (result: A) => Readonly<Record<string, unknown>>
): Effect.Effect<A, E, R> =>
  Effect.withFiber((fiber) => {
    if (!isTracing(fiber.context)) return effect
    const sent = messages()
    const { names } = Context.get(fiber.context, SpanStyle)
    return Effect.withSpan(annotated(effect, attributesOf), names === "messaging" ? `send ${sent.destination}` : name, {
      kind: "producer",
      attributes: { ...messaging("send", sent), ...attributes() }
    })
  })

/** Runs a handler in a span: of the trace that scheduled it, or of one of its own with one link to that. */
export const run = <A, E, R>(
  delivery: Delivery,
  attributes: Readonly<Record<string, unknown>>,
  effect: Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> =>
  Effect.withFiber((fiber) => {
    if (!isTracing(fiber.context)) return effect
    const { key, task } = delivery
    const scheduled = decode(delivery.trace)
    const { names } = Context.get(fiber.context, SpanStyle)
    // How the run ended does not depend on what the tracer makes of that.
    let ended: Exit.Exit<A, E> | undefined
    const noted = Effect.onExit(effect, (exit) =>
      Effect.sync(() => {
        ended = exit
      })
    )
    return withSpanOf(noted, names === "messaging" ? `process ${task}` : task, {
      kind: "consumer",
      attributes: {
        ...messaging("process", { destination: task }),
        "messaging.message.id": key,
        ...attributes,
        "code.function.name": task
      },
      ...(scheduled?.isParent === true && delivery.attempt === 1
        ? { parent: scheduled.span }
        : { root: true, links: scheduled === undefined ? [] : [{ span: scheduled.span, attributes: {} }] })
    }).pipe(
      Effect.exit,
      Effect.flatMap((exit) => ended ?? exit)
    )
  })

/** A span that tells of errors without a message by their fields; whoever runs the effect meets them as they are. */
const withSpanOf = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  name: string,
  options: Tracer.SpanOptions
): Effect.Effect<A, E, R> =>
  Effect.suspend(() => {
    let own: Cause.Cause<E> | undefined
    const told = Effect.catchCause(withErrorType(effect), (cause) => {
      own = cause
      return Effect.failCause(described(cause))
    })
    return Effect.catchCause(Effect.withSpan(told, name, options), (cause) =>
      // There is no failure but that of the effect: the span has none.
      Effect.failCause(own ?? (cause as Cause.Cause<E>))
    )
  })

/** Adds to the span around it what comes of an effect. */
const annotated = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  attributesOf: (result: A) => Readonly<Record<string, unknown>>
): Effect.Effect<A, E, R> =>
  withErrorType(Effect.tap(effect, (result) => Effect.annotateCurrentSpan(attributesOf(result))))

/** Adds to the span around it what kind of error an effect fails with, if it does. An interruption is none. */
const withErrorType = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.onError(effect, (cause) => {
    const type = errorType(cause)
    return type === undefined ? Effect.void : Effect.annotateCurrentSpan("error.type", type)
  })

// By its tag: it may come from another copy of this package.
const reasonOf = (error: unknown): unknown =>
  Predicate.isTagged(error, "DocketError") && Predicate.hasProperty(error, "reason") ? error.reason : error

const errorType = (cause: Cause.Cause<unknown>): string | undefined => {
  const reason = cause.reasons.find((reason) => !Cause.isInterruptReason(reason))
  if (reason === undefined) return undefined
  const error = Cause.isFailReason(reason) ? reason.error : reason.defect
  try {
    // An error of the docket says the more with its reason.
    return nameOf(reasonOf(error)) ?? "_OTHER"
  } catch {
    // It is the error's own code that throws.
    return "_OTHER"
  }
}

const nameOf = (error: unknown): string | undefined => {
  if (Predicate.hasProperty(error, "_tag") && typeof error._tag === "string") return error._tag
  return error instanceof Error ? error.name : undefined
}

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

// What follows a `traceparent` is ours: its first run is a child of that span.
const parentMark = "parent"

const encode = (span: Tracer.AnySpan, isParent: boolean): string =>
  `00-${span.traceId.padStart(32, "0")}-${span.spanId}-${span.sampled ? "01" : "00"}${isParent ? `-${parentMark}` : ""}`

const decode = (trace: string): { readonly span: Tracer.ExternalSpan; readonly isParent: boolean } | undefined => {
  const [version, traceId, spanId, flags, mark] = trace.split("-")
  if (version !== "00" || traceId?.length !== 32 || spanId?.length !== 16) return undefined
  return { span: Tracer.externalSpan({ traceId, spanId, sampled: flags === "01" }), isParent: mark === parentMark }
}
