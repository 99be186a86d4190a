/**
 * The HTTP side of the app:
 *
 *     POST /reports {"month": "2026-10", "to": "ada@example.com"}    schedules a report, and says under which key
 *     GET  /reports/:key/events                                      server-sent events: its states and its progress
 *     GET  /reports/:key                                             the result, as soon as there is one
 */
import { Effect, Schema, Stream } from "effect"
import { HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"
import { Docket, type ExecutionEvent } from "../../src/index.ts"
import { MakeReport } from "./tasks.ts"

const Key = Schema.Struct({ key: Schema.String })

const schedule = Effect.gen(function* () {
  const docket = yield* Docket
  const payload = yield* HttpServerRequest.schemaBodyJson(MakeReport.payloadSchema)
  const { disposition, key } = yield* docket.add(MakeReport, payload)
  return yield* HttpServerResponse.json({ key, disposition }, { status: 202 })
}).pipe(
  Effect.catchTag("SchemaError", ({ message }) => HttpServerResponse.json({ problem: message }, { status: 400 })),
  Effect.catchTag("DocketError", ({ message }) => HttpServerResponse.json({ problem: message }, { status: 503 }))
)

const follow = Effect.gen(function* () {
  const docket = yield* Docket
  const { key } = yield* HttpRouter.schemaPathParams(Key)
  const events = docket.execution(MakeReport, key).events.pipe(Stream.map(encodeEvent), Stream.encodeText)
  return HttpServerResponse.stream(events, {
    contentType: "text/event-stream",
    headers: { "cache-control": "no-cache" }
  })
})

const result = Effect.gen(function* () {
  const docket = yield* Docket
  const { key } = yield* HttpRouter.schemaPathParams(Key)
  return yield* HttpServerResponse.json(yield* docket.execution(MakeReport, key).result)
}).pipe(
  Effect.catchTag("ResultNotKept", () => HttpServerResponse.json({ problem: "no such report" }, { status: 404 })),
  Effect.catchTag(["TaskFailed", "TaskCancelled", "DocketError"], ({ message }) =>
    HttpServerResponse.json({ problem: message }, { status: 500 })
  )
)

const encodeEvent = (event: ExecutionEvent): string => {
  const data =
    event._tag === "StateChanged"
      ? { state: event.state }
      : { current: event.current, total: event.total, message: event.message }
  return `event: ${event._tag === "StateChanged" ? "state" : "progress"}\ndata: ${JSON.stringify(data)}\n\n`
}

export const RoutesLive = HttpRouter.addAll([
  HttpRouter.route("POST", "/reports", schedule),
  HttpRouter.route("GET", "/reports/:key/events", follow),
  HttpRouter.route("GET", "/reports/:key", result)
])
