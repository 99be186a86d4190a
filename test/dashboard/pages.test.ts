/** The pages as a browser without script gets them, and what their forms do. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Redacted, Schema } from "effect"
import type { Scope } from "effect"
import { TestClock } from "effect/testing"
import { Docket, Dockets, Task, TaskGroup, Worker } from "../../src/index.ts"
import type * as DocketHttp from "../../src/http/index.ts"
import { make, type Options } from "../../src/dashboard/server.ts"
import type { App } from "../../src/http/serve.ts"
import { oddStrings } from "../support/oddStrings.ts"
import { send } from "../http/shop.ts"

const Charge = Task.make("charge", {
  payload: { orderId: Schema.Int, card: Schema.Redacted(Schema.String), note: Schema.String },
  key: ({ orderId }) => `order-${orderId}`
})
const Login = Task.make("login", {
  payload: { user: Schema.String },
  success: Schema.Struct({ token: Schema.Redacted(Schema.String) })
})
const Report = Task.make("report", { payload: { month: Schema.String, copies: Schema.Int, draft: Schema.Boolean } })
const tasks = TaskGroup.make(Charge, Login, Report)
const handlers = tasks.toLayer({
  charge: ({ note }) => Effect.die(new Error(note)),
  login: () => Effect.succeed({ token: Redacted.make("s3cret-token") }),
  report: () => Effect.void
})
const work = Worker.runUntilFinished(tasks).pipe(Effect.provide(handlers))

const roleOf: DocketHttp.Access = ({ headers }) =>
  (["read", "retry", "operate", "admin"] as const).find((role) => role === headers["x-role"])

const open = (options: Options = {}) => make({ tasks, access: roleOf, ...options })

const get = (app: App, path: string, role = "admin") => send(app, path, { headers: { "x-role": role } })

const text = (response: Response) => Effect.promise(() => response.text())

const page = (app: App, path: string, role = "admin") => Effect.flatMap(get(app, path, role), text)

/** Sends a form, and follows where it leads. */
const post = Effect.fnUntraced(function* (
  app: App,
  fields: Record<string, string> | ReadonlyArray<readonly [string, string]>,
  {
    headers = {},
    path = "/docket/do",
    role = "admin"
  }: { headers?: Record<string, string>; path?: string; role?: string } = {}
) {
  const response = yield* send(app, path, {
    method: "POST",
    headers: { "content-type": "application/x-www-form-urlencoded", "x-role": role, ...headers },
    body: new URLSearchParams(fields as Record<string, string>).toString()
  })
  const location = response.headers.get("location")
  if (location === null) return { status: response.status, location: "", html: yield* text(response) }
  return { status: response.status, location, html: yield* page(app, location, role) }
})

/** The value of a hidden field, as a form would send it. */
const field = (html: string, name: string): string => {
  const value = new RegExp(`name="${name}"\\s+value="([^"]*)"`).exec(html)?.[1]
  assert(value !== undefined, `there is no field ${name}`)
  return value
}

const charge = Effect.fnUntraced(function* (orderId: number, note = "no money") {
  const docket = yield* Docket
  yield* docket.add(Charge, { orderId, card: Redacted.make("s3cret-4242"), note })
})

const onDocket = <A, E>(effect: Effect.Effect<A, E, Docket | Scope.Scope>) =>
  Effect.scoped(effect).pipe(Effect.provide(Docket.layerMemory))

const pages = ["", "/failed", "/executions", "/tasks", "/schedule", "/limits", "/holds", "/workers", "/keys", "/add"]

describe("pages", () => {
  it.effect("DSH-01: each can be read without script, under any prefix, and its links lead on", () =>
    Effect.gen(function* () {
      yield* charge(1)
      yield* work
      yield* charge(2)
      for (const prefix of ["", "/ops", "/deep/er"]) {
        const app = yield* open({ prefix })
        const seen = new Set<string>()
        const queue = [`${prefix}/`, ...pages.map((path) => `${prefix}/docket${path}`)]
        while (queue.length > 0) {
          const path = queue.shift()!
          if (seen.has(path)) continue
          seen.add(path)
          const response = yield* get(app, path)
          const location = response.headers.get("location")
          if (location !== null) {
            queue.push(location)
            continue
          }
          assert.strictEqual(response.status, 200, path)
          const html = yield* text(response)
          if (!response.headers.get("content-type")?.startsWith("text/html")) continue
          assert.match(html, /<h1>\s*\S/, path)
          for (const [, link] of html.matchAll(/(?:href|src|action|formaction)="([^"]*)"/g)) {
            const target = link!.replaceAll("&amp;", "&")
            if (target.startsWith("data:") || target.startsWith("#")) continue
            assert.isTrue(target.startsWith(`${prefix}/`), `${path} leads to ${target}`)
            if (!target.endsWith("/do") && !target.endsWith("/theme") && seen.size + queue.length < 60)
              queue.push(target)
          }
        }
      }
    }).pipe(onDocket)
  )

  it.effect("DSH-01: no page shows what a contract redacts, nor does a search find it", () =>
    Effect.gen(function* () {
      const app = yield* open()
      const docket = yield* Docket
      yield* charge(1)
      yield* docket.add(Login, { user: "ada" }, { key: "login" })
      yield* work
      yield* charge(2)
      for (const path of [
        ...pages,
        "/execution?key=order-1",
        "/execution?key=order-2",
        "/execution?key=login",
        "/execution.json?key=order-1",
        "/add?task=charge&from=order-1"
      ]) {
        assert.notInclude(yield* page(app, `/docket${path}`), "s3cret", path)
      }
      for (const q of ["s3cret", "card:s3cret-4242"]) {
        assert.include(yield* page(app, `/docket/executions?q=${q}`), "Nothing fits")
      }
      assert.include(yield* page(app, "/docket/execution?key=order-1"), '<span class="redacted">redacted</span>')
    }).pipe(onDocket)
  )

  it.effect("DSH-04: nothing that a key, payload, error or name contains is more than text", () =>
    Effect.gen(function* () {
      const app = yield* open()
      const docket = yield* Docket
      const hostile = [
        `"><script>alert(1)</script>`,
        `'><img src=x onerror=alert(1)>`,
        `</pre></textarea><b>`,
        "${x}",
        "`",
        "\u202egnp.exe",
        ...oddStrings.filter((text) => text.length < 100)
      ]
      for (const [i, text] of hostile.entries()) {
        yield* docket.add(Charge, { orderId: i, card: Redacted.make(text), note: text }, { key: text })
        yield* docket.addNamed("odd", { [text]: text }, { key: `odd ${text}`, delay: "1 hour" })
      }
      yield* work.pipe(Effect.timeoutOption("1 second"), (run) => Effect.forkScoped(run))
      yield* TestClock.adjust("2 seconds")
      const known =
        /^<(?:\/?(?:html|head|meta|title|link|script|body|a|header|div|p|span|nav|b|main|form|label|input|button|kbd|time|h1|h2|section|ul|ol|li|code|pre|table|thead|tbody|tr|th|td|svg|rect|line|text|footer|fieldset|legend|noscript|bdi|dl|dt|dd|br|details|summary|select|option|article|small|meter|progress|datalist|textarea)\b|!doctype)/
      const check = (html: string, path: string) => {
        for (const [tag] of html.matchAll(/<[^>]*>?/g)) {
          assert.match(tag, known, path)
          assert.notMatch(tag.replaceAll(/"[^"]*"/g, '""'), /\son\w+=|javascript:|\sstyle=/i, path)
        }
        assert.strictEqual([...html.matchAll(/<script/g)].length, 2, path)
        // eslint-disable-next-line no-control-regex
        assert.notMatch(html, /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/, path)
      }
      for (const path of pages) check(yield* page(app, `/docket${path}`), path)
      for (const text of hostile) {
        for (const query of [
          `/execution?key=${encodeURIComponent(text)}`,
          `/executions?q=${encodeURIComponent(text)}`,
          `/add?task=${encodeURIComponent(text)}`
        ]) {
          check(yield* page(app, `/docket${query}`), query)
        }
        // The page is about that very key.
        assert.include(yield* page(app, `/docket/execution?key=${encodeURIComponent(text)}`), '<h2 id="payload">')
      }
    }).pipe(onDocket)
  )

  it.effect("DSH-04: nothing runs, is loaded or framed but the page's own", () =>
    Effect.gen(function* () {
      const app = yield* open()
      const response = yield* get(app, "/docket")
      assert.strictEqual(
        response.headers.get("content-security-policy"),
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
      )
      assert.strictEqual(response.headers.get("x-frame-options"), "DENY")
      assert.strictEqual(response.headers.get("referrer-policy"), "no-referrer")
      assert.strictEqual(response.headers.get("cache-control"), "no-store")
      const html = yield* text(response)
      let size = 0
      const { gzipSync } = yield* Effect.promise(() => import("node:zlib"))
      for (const [, path] of html.matchAll(/(?:src|href)="(\/-\/[^"]*)"/g)) {
        const asset = yield* get(app, path!)
        assert.strictEqual(asset.status, 200)
        assert.include(asset.headers.get("cache-control") ?? "", "immutable")
        size += gzipSync(yield* text(asset)).length
      }
      assert.isAbove(size, 5000)
      assert.isBelow(size, 60_000)
    }).pipe(onDocket)
  )

  it.effect("a store that does not answer is explained, with what was known last", () =>
    Effect.gen(function* () {
      const docket = yield* Dockets.makeMemory({ name: "shop" })
      let isDown = false
      const broken: Docket["Service"] = {
        ...docket,
        store: { ...docket.store, snapshot: (limit) => (isDown ? Effect.never : docket.store.snapshot(limit)) }
      }
      const app = yield* open({ dockets: [broken], place: "redis.internal:6379" })
      yield* docket.add(Report, { month: "May", copies: 1, draft: false })
      yield* get(app, "/shop")
      isDown = true
      yield* TestClock.adjust("2 seconds")
      const fiber = yield* Effect.forkChild(get(app, "/shop"))
      yield* TestClock.adjust("3 seconds")
      const response = yield* Fiber.join(fiber)
      assert.strictEqual(response.status, 503)
      const html = yield* text(response)
      assert.include(html, "The store does not answer")
      assert.include(html, "1 due")
    }).pipe(onDocket)
  )
})

describe("actions", () => {
  it.effect("DSH-02: a retry is done at once, and can be undone for ten seconds", () =>
    Effect.gen(function* () {
      const app = yield* open()
      const docket = yield* Docket
      for (let i = 0; i < 3; i++) yield* charge(i)
      yield* work
      const before = yield* docket.failed.list()
      const all = { action: "retry", scope: "all", q: "state:failed" }
      const retried = yield* post(app, all)
      assert.include(retried.html, "Retried 3 executions")
      assert.include(retried.html, "10 s left")
      assert.strictEqual((yield* docket.snapshot()).queued, 3)
      const undone = yield* post(app, { action: "undo", notice: field(retried.html, "notice") })
      assert.include(undone.html, "Undone for 3 executions")
      assert.deepStrictEqual(
        (yield* docket.failed.list()).map(({ error, key }) => [key, error]).toSorted(),
        before.map(({ error, key }) => [key, error]).toSorted()
      )
      const again = yield* post(app, all)
      yield* TestClock.adjust("11 seconds")
      const late = yield* post(app, { action: "undo", notice: field(again.html, "notice") })
      assert.include(late.html, "can no longer be undone")
      assert.strictEqual((yield* docket.snapshot()).queued, 3)
    }).pipe(onDocket)
  )

  it.effect("DSH-02: what is done to those that are ticked leaves others alone, and counts what does not fit", () =>
    Effect.gen(function* () {
      const app = yield* open()
      const docket = yield* Docket
      for (let i = 0; i < 3; i++) yield* charge(i)
      yield* work
      yield* docket.add(Report, { month: "May", copies: 1, draft: false }, { key: "report", delay: "1 hour" })
      const { html } = yield* post(app, [
        ["action", "retry"],
        ["key", "order-1"],
        ["key", "report"]
      ])
      assert.include(html, "Retried 1 execution; 1 other had not failed")
      assert.strictEqual((yield* docket.failed.list()).length, 2)
    }).pipe(onDocket)
  )

  it.effect("DSH-02: what destroys says how many first, and asks for that number", () =>
    Effect.gen(function* () {
      const app = yield* open()
      const docket = yield* Docket
      for (let i = 0; i < 3; i++) yield* charge(i)
      yield* work
      for (const [asked, done, expected, left] of [
        ["ask-discard", "discard", 3, () => Effect.map(docket.failed.list(), ({ length }) => length)],
        ["ask-clear", "clear", 2, () => Effect.map(docket.snapshot(), ({ scheduled }) => scheduled)]
      ] as const) {
        if (asked === "ask-clear") {
          for (const key of ["a", "b"])
            yield* docket.add(Report, { month: "May", copies: 1, draft: false }, { key, delay: "1 hour" })
        }
        const question = yield* post(app, { action: asked, scope: "all", q: "state:failed" })
        assert.match(question.location, /\/confirm\?/)
        assert.include(question.html, `Type <b>${expected}</b>`)
        const pending = field(question.html, "pending")
        const wrong = yield* post(app, { action: done, pending, count: String(expected + 1) })
        assert.strictEqual(wrong.status, 400)
        assert.strictEqual(yield* left(), expected)
        const right = yield* post(app, { action: done, pending, count: ` ${expected} ` })
        assert.include(right.html, `${expected} executions`)
        assert.strictEqual(yield* left(), 0)
        assert.strictEqual((yield* post(app, { action: done, pending, count: String(expected) })).status, 400)
      }
    }).pipe(onDocket)
  )

  it.effect(
    "one execution is cancelled after a question, brought forward, and replaced with a form of its fields",
    () =>
      Effect.gen(function* () {
        const app = yield* open()
        const docket = yield* Docket
        const report = { month: "May", copies: 1, draft: false }
        yield* docket.add(Report, report, { key: "a", delay: "1 hour" })
        yield* docket.add(Report, report, { key: "b", delay: "1 hour" })
        const question = yield* post(app, { action: "ask-cancel", key: "a", from: "execution" })
        assert.notInclude(question.html, 'name="count"')
        yield* post(app, { action: "cancel", pending: field(question.html, "pending") })
        assert.include(yield* page(app, "/docket/execution?key=a"), "was cancelled")
        yield* post(app, { action: "run-now", key: "b", from: "schedule" })
        assert.strictEqual((yield* docket.snapshot()).queued, 1)

        const form = yield* page(app, "/docket/add?task=report&from=b")
        for (const name of ["f.month", "f.copies", "f.draft"]) assert.include(form, `name="${name}"`)
        const wrong = yield* post(app, {
          action: "add",
          task: "report",
          form: "yes",
          "f.month": "June",
          "f.copies": "1.5",
          delay: "0",
          replace: "no",
          plainKey: "c"
        })
        assert.strictEqual(wrong.status, 422)
        assert.include(wrong.html, "copies")
        const right = yield* post(app, {
          action: "add",
          task: "report",
          form: "yes",
          "f.month": "June",
          "f.copies": "2",
          "f.draft": "true",
          delay: "60",
          replace: "yes",
          key: "b"
        })
        assert.include(right.location, "key=b")
        assert.deepInclude(
          JSON.parse((yield* docket.info("b")).pipe((info) => (info._tag === "Some" ? info.value.encodedPayload : ""))),
          { month: "June", copies: 2, draft: true }
        )
      }).pipe(onDocket)
  )

  it.effect("what is held is counted before and after, and goes on when it is restored", () =>
    Effect.gen(function* () {
      const app = yield* open()
      const docket = yield* Docket
      for (let i = 0; i < 4; i++) yield* docket.add(Report, { month: i < 3 ? "May" : "June", copies: 1, draft: false })
      assert.match(
        yield* page(app, "/docket/holds?task=report&field=month&operator==%3D%3D&value=May"),
        /Would hold\s+<b>3 of 4<\/b>/
      )
      const held = yield* post(app, {
        action: "strike",
        task: "report",
        field: "month",
        operator: "==",
        value: "May",
        mode: "hold"
      })
      assert.include(held.html, "Holding report month == &quot;May&quot;")
      assert.strictEqual((yield* docket.strikes).length, 1)
      const restored = yield* post(app, { action: "restore", strike: field(held.html, "strike"), from: "holds" })
      assert.include(restored.html, "Nothing is paused or struck")
      yield* post(app, { action: "strike", task: "", field: "", operator: "==", value: "", mode: "hold" })
      assert.isTrue((yield* docket.paused).all)
    }).pipe(onDocket)
  )

  it.effect("DSH-02: a role that may not do something is not offered it, and refused all the same", () =>
    Effect.gen(function* () {
      const app = yield* open()
      const docket = yield* Docket
      yield* charge(1)
      yield* work
      yield* docket.add(Report, { month: "May", copies: 1, draft: false }, { key: "report", delay: "1 hour" })
      const forms = [
        ["retry", { action: "retry", key: "order-1" }],
        ["operate", { action: "run-now", key: "report" }],
        ["operate", { action: "strike", task: "report", mode: "hold" }],
        ["operate", { action: "add", task: "report", payload: "{}" }]
      ] as const
      for (const [needs, form] of forms) {
        for (const role of ["none", "read", "retry", "operate"]) {
          if (role === needs || (role === "operate" && needs === "retry")) continue
          const { html, status } = yield* post(app, form, { role })
          assert.strictEqual(status, 403, `${form.action} by ${role}`)
          assert.include(html, "Not allowed")
        }
      }
      const question = yield* post(app, { action: "ask-discard", key: "order-1" }, { role: "admin" })
      const refused = yield* post(
        app,
        { action: "discard", pending: field(question.html, "pending"), count: "1" },
        { role: "operate" }
      )
      assert.strictEqual(refused.status, 403)
      assert.strictEqual((yield* docket.failed.list()).length, 1)
      assert.notInclude(yield* page(app, "/docket/failed", "read"), "Retry 1")
      assert.strictEqual((yield* get(app, "/docket/failed", "none")).status, 403)
      assert.strictEqual((yield* get(app, "/docket/execution.json?key=order-1", "none")).status, 404)
      assert.strictEqual((yield* get(app, "/docket/live", "none")).status, 403)
    }).pipe(onDocket)
  )

  it.effect("DSH-04: a page of another origin changes nothing", () =>
    Effect.gen(function* () {
      const app = yield* open()
      yield* charge(1)
      yield* work
      for (const headers of [
        { "sec-fetch-site": "cross-site" },
        { "sec-fetch-site": "same-site" },
        { origin: "https://evil.test", host: "shop.test" },
        { origin: "null", host: "shop.test" }
      ]) {
        for (const path of ["/docket/do", "/docket/theme"]) {
          const { status } = yield* post(app, { action: "retry", key: "order-1", theme: "dark" }, { headers, path })
          assert.strictEqual(status, 403, JSON.stringify(headers))
        }
      }
      assert.strictEqual((yield* (yield* Docket).failed.list()).length, 1)
    }).pipe(onDocket)
  )

  it.effect("a theme is kept in a cookie that no script reads", () =>
    Effect.gen(function* () {
      const app = yield* open({ prefix: "/ops" })
      const response = yield* send(app, "/ops/docket/theme", {
        method: "POST",
        headers: { "content-type": "application/x-www-form-urlencoded", "x-role": "read" },
        body: "theme=dark"
      })
      assert.strictEqual(
        response.headers.get("set-cookie"),
        "docket-theme=dark; Path=/ops; Max-Age=31536000; HttpOnly; SameSite=Strict"
      )
      const html = yield* Effect.flatMap(
        send(app, "/ops/docket", { headers: { "x-role": "read", cookie: "docket-theme=dark" } }),
        text
      )
      assert.match(html, /id="theme-dark"\s+checked/)
    }).pipe(onDocket)
  )
})

describe("live", () => {
  it.effect(
    "DSH-03: ten tabs ask the store as much as one, less than once a second; without tabs it is asked nothing",
    () =>
      Effect.gen(function* () {
        const docket = yield* Docket
        let asked = 0
        const count = <A, E>(effect: Effect.Effect<A, E>) =>
          Effect.suspend(() => {
            asked++
            return effect
          })
        const { store } = docket
        const counted: Docket["Service"] = {
          ...docket,
          store: {
            ...store,
            snapshot: (limit) => count(store.snapshot(limit)),
            failed: (page) => count(store.failed(page)),
            workers: count(store.workers),
            strikes: count(store.strikes)
          }
        }
        const app = yield* open({ dockets: [counted] })
        const askedWith = Effect.fnUntraced(function* (tabs: number) {
          for (let i = 0; i < tabs; i++) {
            const response = yield* get(app, "/docket/live?at=/docket/failed")
            assert.strictEqual(response.headers.get("content-type"), "text/event-stream")
            yield* Effect.forkScoped(
              Effect.promise((signal) => response.body!.pipeTo(new WritableStream(), { signal })).pipe(
                Effect.ignoreCause
              )
            )
          }
          const before = asked
          yield* Effect.forEach(Array.from({ length: 60 }), () =>
            Effect.andThen(TestClock.adjust("1 second"), Effect.yieldNow)
          )
          return asked - before
        }, Effect.scoped)
        const one = yield* askedWith(1)
        const ten = yield* askedWith(10)
        assert.isAbove(one, 0)
        assert.isAtMost(ten, one + 8)
        assert.isAtMost(ten, 60)
        assert.strictEqual(yield* askedWith(0), 0)
      }).pipe(onDocket)
  )
})
