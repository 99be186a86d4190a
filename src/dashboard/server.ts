/**
 * The dashboard as something to serve: its routes, its assets, and its stream.
 */
import * as ByteSize from "effect/ByteSize"
import type * as Config from "effect/Config"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { createHash } from "node:crypto"
import * as Fs from "node:fs/promises"
import { fileURLToPath } from "node:url"
import { type Docket, DocketLive } from "../Docket.ts"
import type { DocketError } from "../DocketError.ts"
import { failWith } from "../internal/docket/docketError.ts"
import * as Access from "../http/Access.ts"
import { visitOf } from "../http/handlers.ts"
import * as Problems from "../http/problems.ts"
import * as Serve from "../http/serve.ts"
import { makeParts, type Options as ApiOptions } from "../http/server.ts"
import * as Wire from "../http/wire.ts"
import * as Actions from "./actions.ts"
import * as Keeping from "./keeping.ts"
import * as Looks from "./look.ts"
import * as Notices from "./notices.ts"
import { execution } from "./pages/execution.ts"
import { executions } from "./pages/executions.ts"
import * as Forms from "./pages/forms.ts"
import * as Lists from "./pages/lists.ts"
import { overview, tasks as tasksPage } from "./pages/overview.ts"
import * as Troubles from "./pages/troubles.ts"
import { script } from "./script.ts"
import { style } from "./style.ts"
import { frame, may, type Page, type Theme, type View } from "./view.ts"

/**
 * What the dashboard shows, and to whom. Its settings are those of the HTTP API.
 *
 * @category options
 * @since 0.1.0
 */
export interface Options extends ApiOptions {
  /** Where the dockets are kept, for people to read, as in `redis.internal:6379/0`. Default: not said. */
  readonly place?: string | undefined
}

/** A page shows what was so long ago at most. */
const pageAgeMillis = 1000

/** How often the pages of open tabs are looked at anew: all of them together. */
const liveMillis = 5000

/**
 * Nothing runs, and nothing is loaded, but the page's own files; forms go to the page's own origin; and no other page has it
 * in a frame.
 */
const policy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src data:",
  "connect-src 'self'",
  "form-action 'self'",
  "base-uri 'none'",
  "frame-ancestors 'none'"
].join("; ")

const headers = {
  "content-security-policy": policy,
  "referrer-policy": "no-referrer",
  "x-frame-options": "DENY",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin"
}

const themes: ReadonlyArray<Theme> = ["auto", "light", "dark"]

/** The dashboard as an app. */
export const make = Effect.fnUntraced(function* (
  options: Options
): Effect.fn.Return<Serve.App, never, Docket | Scope.Scope> {
  const parts = yield* makeParts(options)
  const { access, dockets, feeds, operations } = parts
  const prefix = Serve.prefixOf(options.prefix ?? "")
  const tasks = new Map(parts.tasks.map((task) => [task.name, task]))
  const names = dockets.map(({ name }) => name)
  const watches = new Map(
    yield* Effect.forEach(dockets, (docket) =>
      Effect.map(Looks.make(docket), (watch) => [docket.name, { docket, watch }] as const)
    )
  )
  const pending = Keeping.make<Forms.Pending>(600_000)
  const said = Notices.make()
  const idiomorph = yield* Effect.promise(() =>
    Fs.readFile(fileURLToPath(import.meta.resolve("idiomorph/dist/idiomorph.min.js")), "utf8")
  )

  // Other files have another path, so a browser may keep them.
  const version = createHash("sha256").update(style).update(script).update(idiomorph).digest("hex").slice(0, 12)
  const assets = `${prefix}/-/${version}`

  const respond = (page: string, status = 200) =>
    HttpServerResponse.text(page, { status, contentType: "text/html; charset=utf-8", headers })

  const redirect = (location: string) => HttpServerResponse.empty({ status: 303, headers: { ...headers, location } })

  const find = Effect.gen(function* () {
    const { docket } = yield* HttpRouter.schemaPathParams(DocketParam)
    return watches.get(docket)
  }).pipe(Effect.orElseSucceed(() => undefined))

  const themeOf = (request: HttpServerRequest.HttpServerRequest): Theme =>
    themes.find((theme) => theme === request.cookies["docket-theme"]) ?? "auto"

  /** Everything that a page is made from. */
  const viewOf = Effect.fnUntraced(function* (
    { docket, watch }: { readonly docket: Docket["Service"]; readonly watch: Looks.Watch },
    request: HttpServerRequest.HttpServerRequest,
    caller: Access.Caller["Service"],
    { path, query }: { readonly path: string; readonly query: URLSearchParams },
    maximumAgeMillis: number
  ) {
    const id = query.get("said")
    const view: View = {
      docket,
      dockets: names,
      base: `${prefix}/${encodeURIComponent(docket.name)}`,
      path,
      query,
      seen: yield* watch.look(maximumAgeMillis),
      caller,
      theme: themeOf(request),
      tasks,
      place: options.place,
      notice: Notices.noticeOf(id, yield* said.find(id), yield* Clock.currentTimeMillis)
    }
    return view
  })

  /** The page at a path. */
  const pageOf = Effect.fnUntraced(function* (view: View, given?: Forms.Given): Effect.fn.Return<Page> {
    const { docket, path, query, seen } = view
    if (!may(view, "read")) return Troubles.forbidden(view, "read")
    if (path === "/keys") return Lists.keys(view)
    if (Result.isFailure(seen)) return Troubles.blind(view, seen.failure, yield* Clock.currentTimeMillis)
    const look = seen.success
    switch (path) {
      case "":
        return overview(view, look, undefined)
      case "/failed":
        return Lists.failed(view, look)
      case "/executions": {
        const q = query.get("q") ?? ""
        return executions(view, look, q === "" ? [] : yield* recordsOf(docket, [q]))
      }
      case "/execution": {
        const key = query.get("key") ?? ""
        return yield* executionPage(view, key)
      }
      case "/tasks":
        return tasksPage(view, look)
      case "/schedule":
        return Lists.schedule(view, look)
      case "/limits":
        return Lists.limits(view, look)
      case "/holds":
        return Lists.holds(view, look)
      case "/workers":
        return Lists.workers(view, look)
      case "/confirm": {
        const id = query.get("id")
        const kept = yield* pending.find(id)
        return id === null || kept === undefined ? Troubles.tooOld(view) : Forms.confirm(view, id, kept.value)
      }
      case "/add": {
        if (!may(view, "operate")) return Troubles.forbidden(view, "operate")
        const from = given === undefined ? query.get("from") : null
        const [like] = from === null ? [] : yield* recordsOf(docket, [from])
        return Forms.add(view, look, like, given)
      }
      default:
        return Troubles.nowhere(view)
    }
  })

  const recordsOf = (docket: Docket["Service"], keys: ReadonlyArray<string>) =>
    Effect.match(docket.store.read(keys), {
      onFailure: () => [],
      onSuccess: (records) => records.flatMap((record) => Option.toArray(record))
    })

  const executionPage = (view: View, key: string): Effect.Effect<Page> =>
    Effect.gen(function* () {
      const { docket } = view
      const [[found], attempts, explanation] = yield* Effect.all(
        [failWith(docket.store.read([key])), failWith(docket.store.attempts(key)), docket.explain(key)],
        { concurrency: 3 }
      )
      const record = Option.getOrUndefined(found ?? Option.none())
      if (record === undefined) return Troubles.noExecution(view, key)
      const now = Result.isSuccess(view.seen) ? view.seen.success.taken : yield* Clock.currentTimeMillis
      // What has changed since the docket was looked at is from after that moment.
      const latest = Math.max(now, record.started ?? 0, record.completed ?? 0, record.progress?.updated ?? 0)
      return execution(view, { record, attempts, explanation, now: latest })
    }).pipe(
      Effect.catchTag("DocketError", (error) =>
        Effect.map(Clock.currentTimeMillis, (now) => Troubles.blind(view, { error, since: now, last: undefined }, now))
      )
    )

  const callerOf = (request: HttpServerRequest.HttpServerRequest) => Access.callerOf(access, visitOf(request))

  const whereOf = (request: HttpServerRequest.HttpServerRequest, base: string) => at(request.url, base)

  const show = Effect.gen(function* () {
    const request = yield* HttpServerRequest.HttpServerRequest
    const found = yield* find
    if (found === undefined) return respond(Troubles.noDocket(assets, prefix, names).text, 404)
    const caller = yield* callerOf(request)
    const where = whereOf(request, `/${encodeURIComponent(found.docket.name)}`)
    const view = yield* viewOf(found, request, caller, where, pageAgeMillis)
    const page = yield* pageOf(view)
    return respond(frame(view, assets, page), page.status)
  })

  const raw = Effect.gen(function* () {
    const request = yield* HttpServerRequest.HttpServerRequest
    const found = yield* find
    const caller = yield* callerOf(request)
    if (found === undefined || !may({ caller }, "read")) return HttpServerResponse.empty({ status: 404, headers })
    const key = whereOf(request, "").query.get("key") ?? ""
    const [record] = yield* recordsOf(found.docket, [key])
    if (record === undefined) return HttpServerResponse.empty({ status: 404, headers })
    return HttpServerResponse.text(JSON.stringify(Wire.dataOf(record.payload), undefined, 2), {
      contentType: "application/json",
      headers
    })
  })

  /** Refuses what a page of another origin sends. */
  const sameSite = Effect.fnUntraced(function* (request: HttpServerRequest.HttpServerRequest) {
    if (!Access.isCrossSite(visitOf(request))) return
    return yield* new Problems.Forbidden({ needs: "read", detail: "A page of another origin may change nothing here" })
  })

  // A body that cannot be read is answered like one that the API cannot read.
  const formOf = Effect.gen(function* () {
    const request = yield* HttpServerRequest.HttpServerRequest
    return new URLSearchParams(yield* Effect.orDie(request.text))
  })

  const act = Effect.gen(function* () {
    const request = yield* HttpServerRequest.HttpServerRequest
    const found = yield* find
    if (found === undefined) return respond(Troubles.noDocket(assets, prefix, names).text, 404)
    const { docket, watch } = found
    const base = `${prefix}/${encodeURIComponent(docket.name)}`
    const caller = yield* callerOf(request)
    const desk: Actions.Desk = {
      docket,
      operations,
      tasks,
      pending,
      said,
      look: Effect.flatMap(Effect.andThen(watch.changed, watch.look(0)), (seen) =>
        Result.isSuccess(seen)
          ? Effect.succeed(seen.success)
          : Effect.fail(new Problems.Unavailable({ detail: seen.failure.error.message }))
      )
    }
    const outcome = yield* Effect.gen(function* () {
      yield* sameSite(request)
      return yield* Actions.act(desk, yield* formOf)
    }).pipe(Effect.provideService(Access.Caller, caller), Effect.ensuring(watch.changed), Effect.result)
    if (Result.isFailure(outcome)) {
      const error = outcome.failure
      const where = { path: "/trouble", query: new URLSearchParams() }
      const view = yield* viewOf(found, request, caller, where, pageAgeMillis)
      const page = Troubles.problem(view, error)
      return respond(frame(view, assets, page), page.status)
    }
    switch (outcome.success._tag) {
      case "Done": {
        const { path, said: text } = outcome.success
        const id = yield* said.add(text)
        return redirect(`${base}${path}${path.includes("?") ? "&" : "?"}said=${id}`)
      }
      case "Ask":
        return redirect(`${base}/confirm?id=${yield* pending.add(outcome.success.pending)}`)
      case "Again": {
        const { given } = outcome.success
        const view = yield* viewOf(
          found,
          request,
          caller,
          { path: "/add", query: new URLSearchParams() },
          pageAgeMillis
        )
        const page = yield* pageOf(view, given)
        return respond(frame(view, assets, page), 422)
      }
    }
  })

  const setTheme = Effect.gen(function* () {
    const request = yield* HttpServerRequest.HttpServerRequest
    const found = yield* find
    const refused = yield* Effect.result(sameSite(request))
    if (found === undefined || Result.isFailure(refused)) return HttpServerResponse.empty({ status: 403, headers })
    const chosen = (yield* formOf).get("theme")
    const theme = themes.find((theme) => theme === chosen) ?? "auto"
    const cookie = `docket-theme=${theme}; Path=${prefix === "" ? "/" : prefix}; Max-Age=31536000; HttpOnly; SameSite=Strict`
    return HttpServerResponse.setHeader(
      redirect(`${prefix}/${encodeURIComponent(found.docket.name)}`),
      "set-cookie",
      cookie
    )
  })

  /** The page that a tab shows, each time that it is another one. */
  const live = Effect.gen(function* () {
    const request = yield* HttpServerRequest.HttpServerRequest
    const found = yield* find
    const caller = yield* callerOf(request)
    if (found === undefined || !may({ caller }, "read")) return HttpServerResponse.empty({ status: 403, headers })
    const entered = yield* Effect.result(feeds.enter)
    if (Result.isFailure(entered)) return HttpServerResponse.empty({ status: 503, headers })
    const base = `${prefix}/${encodeURIComponent(found.docket.name)}`
    const where = at(whereOf(request, "").query.get("at") ?? base, base)
    let shown: string | undefined
    const next = Effect.gen(function* () {
      const view = yield* viewOf(found, request, caller, where, liveMillis - 500)
      const page = frame(view, assets, yield* pageOf(view))
      if (page === shown) return "event: same\ndata: \n\n"
      shown = page
      return `event: page\ndata: ${JSON.stringify(page)}\n\n`
    })
    const events = Stream.tick(liveMillis).pipe(
      Stream.mapEffect(() => next),
      Stream.encodeText
    )
    return HttpServerResponse.stream(events, {
      contentType: "text/event-stream",
      headers: { ...headers, "cache-control": "no-store", "x-accel-buffering": "no" }
    })
  })

  const asset = (text: string, contentType: string) =>
    HttpServerResponse.text(text, {
      contentType,
      headers: { ...headers, "cache-control": "public, max-age=31536000, immutable" }
    })

  const first = names[0] ?? ""
  const routes = HttpRouter.addAll([
    HttpRouter.route(
      "GET",
      "/",
      Effect.sync(() => redirect(`${prefix}/${encodeURIComponent(first)}`))
    ),
    HttpRouter.route("GET", "/-/:version/style.css", Effect.succeed(asset(style, "text/css; charset=utf-8"))),
    HttpRouter.route("GET", "/-/:version/live.js", Effect.succeed(asset(script, "text/javascript; charset=utf-8"))),
    HttpRouter.route(
      "GET",
      "/-/:version/idiomorph.js",
      Effect.succeed(asset(idiomorph, "text/javascript; charset=utf-8"))
    ),
    HttpRouter.route("GET", "/:docket", show),
    HttpRouter.route("GET", "/:docket/live", live),
    HttpRouter.route("GET", "/:docket/execution.json", raw),
    HttpRouter.route("GET", "/:docket/:page", show),
    HttpRouter.route("POST", "/:docket/do", act),
    HttpRouter.route("POST", "/:docket/theme", setTheme)
  ])
  const router = yield* Serve.toRouter(
    Layer.provide(routes, HttpServer.layerServices),
    Layer.succeed(HttpRouter.RouterConfig, { maxParamLength: 100_000 })
  )
  return Serve.toApp(router, { prefix, maximumBody: ByteSize.mebibytes(4), timeoutSeconds: 60 })
})

const DocketParam = Schema.Struct({ docket: Schema.String })

/** A page's path and query, of a URL or of a part of one. */
const at = (url: string, base: string): { readonly path: string; readonly query: URLSearchParams } => {
  const [path = "", query = ""] = url.split("?", 2)
  const rest = path.startsWith(base) ? path.slice(base.length) : path
  return { path: rest.replace(/\/+$/, ""), query: new URLSearchParams(query) }
}

/**
 * Adds the dashboard to Effect's router, below the prefix.
 *
 * **Example**
 *
 * ```ts
 * const Served = HttpRouter.serve(Dashboard.layer({ prefix: "/docket", access })).pipe(
 *   Layer.provide([DocketLive, NodeHttpServer.layer(createServer, { port: 8080 })])
 * )
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: Options = {}): Layer.Layer<never, never, HttpRouter.HttpRouter | Docket> =>
  Serve.layer(Serve.prefixOf(options.prefix ?? ""), make(options))

/**
 * Serves the dashboard as a function from `Request` to `Response`. It does not know from where a request comes, so without
 * `access` everybody may only look.
 *
 * @category handlers
 * @since 0.1.0
 */
export const toWebHandler = (
  options: Options = {},
  docket: Layer.Layer<Docket, DocketError | Config.ConfigError> = DocketLive
): Serve.WebHandler => Serve.toWeb(make(options), docket)

/**
 * Serves the dashboard to Node's `http`, and to frameworks on it.
 *
 * @category handlers
 * @since 0.1.0
 */
export const toNodeHandler = (
  options: Options = {},
  docket: Layer.Layer<Docket, DocketError | Config.ConfigError> = DocketLive
): Serve.NodeHandler => Serve.toNode(make(options), docket)
