/** The tasks of a shop, served over HTTP from a docket in memory. */
import { Context, DateTime, Effect, Redacted, Schema, Stream } from "effect"
import type { Scope } from "effect"
import { FetchHttpClient, HttpServerRequest, HttpServerResponse } from "effect/http"
import { Task, TaskGroup } from "../../src/index.ts"
import * as DocketHttp from "../../src/http/index.ts"
import { makeApi } from "../../src/http/server.ts"
import type { App } from "../../src/http/serve.ts"

export class CardDeclined extends Schema.TaggedError<CardDeclined>("CardDeclined")("CardDeclined", {
  reason: Schema.String
}) {}

export const Charge = Task.make("charge", {
  payload: { orderId: Schema.Int, currency: Schema.String.pipe(Schema.withConstructorDefault(Effect.succeed("EUR"))) },
  success: Schema.Struct({ receipt: Schema.String, at: Schema.DateTimeUtc }),
  error: CardDeclined,
  key: ({ orderId }) => `charge-${orderId}`
})

export const Login = Task.make("login", {
  payload: { user: Schema.String, password: Schema.Redacted(Schema.String) },
  success: Schema.Struct({ token: Schema.Redacted(Schema.String) })
})

export const SendWelcome = Task.make("sendWelcome", { payload: { name: Schema.String } })

export const tasks = TaskGroup.make(Charge, Login, SendWelcome)
export const allTasks = [Charge, Login, SendWelcome] as const

export const handlers = tasks.toLayer({
  charge: ({ orderId }) =>
    orderId === 13
      ? Effect.fail(new CardDeclined({ reason: "expired" }))
      : orderId === 666
        ? Effect.die(new Error("out of paper"))
        : Effect.succeed({ receipt: `r-${orderId}`, at: DateTime.makeUnsafe(0) }),
  login: () => Effect.succeed({ token: Redacted.make("s3cret-token") }),
  sendWelcome: () => Effect.void
})

/** Sends a request to an app, in the fiber of the test, and so on its clock. */
export const send = (app: App, path: string, init: RequestInit = {}): Effect.Effect<Response, never, Scope.Scope> =>
  Effect.gen(function* () {
    const request = HttpServerRequest.fromWeb(new Request(new URL(path, "http://shop.test"), init))
    const response = yield* Effect.provideService(app.respond, HttpServerRequest.HttpServerRequest, request)
    return HttpServerResponse.toWeb(response, { context: yield* Effect.context<never>() })
  })

/** Sends JSON. */
export const sendJson = (
  app: App,
  method: string,
  path: string,
  body?: unknown,
  headers: Record<string, string> = {}
) =>
  send(app, path, {
    method,
    headers: body === undefined ? headers : { "content-type": "application/json", ...headers },
    ...(body === undefined ? {} : { body: JSON.stringify(body) })
  })

export const json = (response: Response) => Effect.promise((): Promise<unknown> => response.json())

/** An app for the docket of the context, of which the caller says its role itself. */
export const open = (options: DocketHttp.Options = {}) =>
  makeApi({
    tasks,
    access: ({ headers }) => DocketHttp.Role.literals.find((role) => role === headers["x-role"]),
    ...options
  })

/** Makes requests of clients go to an app. */
export const asFetch = Effect.fnUntraced(function* (app: App, role: DocketHttp.Role) {
  const context = yield* Effect.context<Scope.Scope>()
  const fetch: typeof globalThis.fetch = (input, init) => {
    const request = new Request(input, init)
    return Effect.runPromise(
      Effect.gen(function* () {
        const headers = new Headers(request.headers)
        headers.set("x-role", role)
        const body = request.method === "GET" ? undefined : yield* Effect.promise(() => request.text())
        return yield* send(app, request.url, {
          method: request.method,
          headers,
          ...(body === undefined ? {} : { body })
        })
      }).pipe(Effect.provideContext(context))
    )
  }
  return Context.make(FetchHttpClient.Fetch, fetch)
})

/** The events of a stream, as they come. */
export const eventsOf = (response: Response) =>
  Stream.fromReadableStream({ evaluate: () => response.body!, onError: (cause) => new Error(String(cause)) }).pipe(
    Stream.decodeText(),
    Stream.splitLines,
    Stream.split((line) => line === ""),
    Stream.map((lines) => {
      const fields = Object.fromEntries(
        lines.map((line) => {
          const at = line.indexOf(": ")
          return [line.slice(0, at), line.slice(at + 2)]
        })
      )
      return {
        id: fields["id"] ?? "",
        event: fields["event"] ?? "",
        data: JSON.parse(fields["data"] ?? "null") as unknown
      }
    })
  )
