/** What clients rely on: typed tasks, results, streams, limits. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, type Layer, Queue, Redacted, Stream } from "effect"
import { HttpApiClient } from "effect/http-api"
import { TestClock } from "effect/testing"
import { FetchHttpClient, type HttpRouter } from "effect/http"
import { Docket, Dockets, Task, TaskGroup, Worker } from "../../src/index.ts"
import * as DocketHttp from "../../src/http/index.ts"
import { oddStrings } from "../support/oddStrings.ts"
import {
  allTasks,
  asFetch,
  CardDeclined,
  Charge,
  eventsOf,
  handlers,
  json,
  Login,
  open,
  send,
  sendJson,
  tasks
} from "./shop.ts"

const admin = { "x-role": "admin" }
const work = Worker.runUntilFinished(tasks).pipe(Effect.provide(handlers))
const onDocket = Effect.provide(Docket.layerMemory)

describe("tasks over HTTP", () => {
  it.effect("API-01: a typed client schedules a task, and awaits it in its types", () =>
    Effect.gen(function* () {
      const app = yield* open()
      const client = yield* HttpApiClient.make(DocketHttp.withTasks(allTasks), { baseUrl: "http://shop.test" }).pipe(
        Effect.provide(FetchHttpClient.layer),
        Effect.provide(yield* asFetch(app, "admin"))
      )
      const docket = { docket: "docket" }
      const added = yield* client.tasks.charge({ params: docket, query: {}, headers: {}, payload: { orderId: 7 } })
      assert.deepStrictEqual(added, { key: "charge-7", task: "charge", disposition: "scheduled" })
      const again = yield* client.tasks.charge({ params: docket, query: {}, headers: {}, payload: { orderId: 7 } })
      assert.strictEqual(again.disposition, "already-scheduled")
      const params = { ...docket, key: "charge-7" }
      assert.deepStrictEqual(yield* client.results.charge({ params, query: {} }), { state: "queued" })
      yield* client.tasks.charge({ params: docket, query: {}, headers: {}, payload: { orderId: 13 } })
      yield* client.tasks.charge({ params: docket, query: {}, headers: {}, payload: { orderId: 666 } })
      yield* work

      const ended = yield* client.results.charge({ params, query: {} })
      assert(ended.state === "completed")
      assert.strictEqual(ended.value.receipt, "r-7")
      const declined = yield* Effect.flip(client.results.charge({ params: { ...docket, key: "charge-13" }, query: {} }))
      assert("error" in declined && declined.error instanceof CardDeclined)
      assert.strictEqual(declined.error.reason, "expired")
      const died = yield* Effect.flip(client.results.charge({ params: { ...docket, key: "charge-666" }, query: {} }))
      assert(died instanceof DocketHttp.Problems.Failed)
      assert.strictEqual(died.error, "Error: out of paper")
      const missing = yield* Effect.flip(client.results.charge({ params: { ...docket, key: "nobody" }, query: {} }))
      assert(missing instanceof DocketHttp.Problems.NotFound)
    }).pipe(onDocket)
  )

  it.effect("API-02: a payload that does not fit is refused with the path of the fault, and nothing is scheduled", () =>
    Effect.gen(function* () {
      const app = yield* open()
      for (const [path, body, slot] of [
        ["/dockets/docket/tasks/charge", { orderId: "seven" }, ["payload", "orderId"]],
        ["/dockets/docket/executions", { task: "charge", payload: { orderId: "seven" } }, ["payload", "orderId"]]
      ] as const) {
        const response = yield* sendJson(app, "POST", path, body, admin)
        assert.strictEqual(response.status, 400)
        const problem = (yield* json(response)) as typeof DocketHttp.Problems.InvalidRequest.Encoded
        assert.strictEqual(problem.type, "urn:effect-docket:invalid-request")
        assert.deepStrictEqual(
          problem.errors?.map(({ path }) => path),
          [slot]
        )
      }
      for (const body of ["{", "", "null", "[]"]) {
        const response = yield* send(app, "/dockets/docket/tasks/charge", {
          method: "POST",
          headers: { "content-type": "application/json", ...admin },
          body
        })
        assert.strictEqual(response.status, 400, body)
      }
      assert.strictEqual((yield* (yield* Docket).snapshot()).total, 0)
    }).pipe(onDocket)
  )

  it.effect("API-02: the Idempotency-Key is the key of the execution", () =>
    Effect.gen(function* () {
      const app = yield* open()
      const headers = { ...admin, "idempotency-key": "order-7" }
      const body = { name: "Ada" }
      const [first, second] = yield* Effect.all([
        sendJson(app, "POST", "/dockets/docket/tasks/sendWelcome", body, headers),
        sendJson(app, "POST", "/dockets/docket/tasks/sendWelcome", body, headers)
      ])
      assert.deepInclude(yield* json(first), { key: "order-7", disposition: "scheduled" })
      assert.deepInclude(yield* json(second), { key: "order-7", disposition: "already-scheduled" })
    }).pipe(onDocket)
  )

  it.effect("API-01: an untyped result tells a task's own error, another failure, an end by cancelling and none", () =>
    Effect.gen(function* () {
      const app = yield* open()
      const docket = yield* Docket
      yield* docket.add(Charge, { orderId: 7 })
      yield* docket.add(Charge, { orderId: 13 })
      yield* docket.add(Charge, { orderId: 666 })
      yield* work
      yield* docket.add(Charge, { orderId: 8 })
      yield* docket.cancel("charge-8")
      const ask = (key: string) =>
        send(app, `/dockets/docket/executions/${key}/result`, { headers: { "x-role": "read" } })
      const problem = (type: string) => ({ type: `urn:effect-docket:${type}` })
      assert.deepInclude(yield* json(yield* ask("charge-7")), { state: "completed" })
      assert.deepInclude(yield* json(yield* ask("charge-13")), {
        ...problem("task-error"),
        error: { _tag: "CardDeclined", reason: "expired" }
      })
      assert.deepInclude(yield* json(yield* ask("charge-666")), problem("failed"))
      assert.deepInclude(yield* json(yield* ask("charge-8")), problem("cancelled"))
      assert.deepInclude(yield* json(yield* ask("charge-9")), problem("not-found"))
    }).pipe(onDocket)
  )

  it.effect("API-01: a wait ends with the execution, or says in time that it goes on", () =>
    Effect.gen(function* () {
      const app = yield* open()
      const docket = yield* Docket
      yield* docket.add(Charge, { orderId: 7 }, { delay: "1 hour" })
      const url = "/dockets/docket/executions/charge-7/result?waitSeconds=30"
      const first = yield* Effect.forkChild(send(app, url, { headers: admin }))
      yield* TestClock.adjust("30 seconds")
      const early = yield* Fiber.join(first)
      assert.strictEqual(early.status, 202)
      assert.deepStrictEqual(yield* json(early), { state: "scheduled" })
      yield* docket.replace(Charge, { orderId: 7 })
      const second = yield* Effect.forkChild(send(app, url, { headers: admin }))
      yield* work
      const late = yield* Fiber.join(second)
      assert.strictEqual(late.status, 200)
      assert.strictEqual((yield* send(app, url.replace("30", "61"), { headers: admin })).status, 400)
    }).pipe(onDocket)
  )

  it.effect("nothing shows what a contract redacts to those who may only look", () =>
    Effect.gen(function* () {
      const app = yield* open()
      const docket = yield* Docket
      yield* docket.add(Login, { user: "ada", password: Redacted.make("s3cret-password") }, { key: "login" })
      yield* work
      const read = { headers: { "x-role": "read" } }
      for (const path of [
        "/dockets/docket/executions/login",
        "/dockets/docket/executions/login/result",
        "/dockets/docket/executions/login/explanation",
        "/dockets/docket/executions",
        "/dockets/docket/tasks/login/executions/login/result"
      ]) {
        const text = yield* Effect.promise(() =>
          Effect.runPromise(Effect.scoped(send(app, path, read))).then((r) => r.text())
        )
        assert.notInclude(text, "s3cret", path)
      }
      const operate = { headers: { "x-role": "operate" } }
      const typed = yield* send(app, "/dockets/docket/tasks/login/executions/login/result", operate)
      assert.deepInclude(yield* json(typed), { value: { token: "s3cret-token" } })
    }).pipe(onDocket)
  )

  it.effect("SCH-09: keys may hold anything, and be as long as a URL", () =>
    Effect.gen(function* () {
      const app = yield* open()
      for (const key of [...oddStrings, "a/b", "../up", "?a=b#c", "%2F", "k".repeat(7000)]) {
        const path = `/dockets/docket/executions/${encodeURIComponent(key)}`
        yield* sendJson(app, "PUT", path, { task: "sendWelcome", payload: { name: key } }, admin)
        const found = yield* sendJson(app, "GET", path, undefined, admin)
        assert.deepInclude(yield* json(found), { key, payload: { name: key } })
      }
    }).pipe(onDocket)
  )

  it.effect("several dockets on one server share nothing", () =>
    Effect.gen(function* () {
      const dockets = yield* Effect.all([
        Dockets.makeMemory({ name: "shop" }),
        Dockets.makeMemory({ name: "print room" })
      ])
      const app = yield* open({ dockets })
      const all = yield* send(app, "/dockets", { headers: admin })
      assert.deepStrictEqual(yield* json(all), [{ name: "shop" }, { name: "print room" }])
      yield* sendJson(app, "POST", "/dockets/print%20room/tasks/sendWelcome", { name: "Ada" }, admin)
      const counts = yield* Effect.forEach(dockets, (docket) => Effect.map(docket.snapshot(), ({ total }) => total))
      assert.deepStrictEqual(counts, [0, 1])
      assert.strictEqual((yield* send(app, "/dockets/other", { headers: admin })).status, 404)
    }).pipe(onDocket)
  )

  it.effect("what failed is counted, retried as counted, and discarded only as counted", () =>
    Effect.gen(function* () {
      const app = yield* open()
      const docket = yield* Docket
      yield* docket.add(Charge, { orderId: 13 })
      yield* docket.add(Charge, { orderId: 666 })
      yield* work
      const post = (path: string, body: unknown) => sendJson(app, "POST", `/dockets/docket/failed/${path}`, body, admin)
      assert.deepStrictEqual(yield* json(yield* post("count", { error: "CardDeclined" })), { count: 1 })
      assert.strictEqual((yield* post("discard", { filter: {}, expected: 1 })).status, 409)
      assert.deepInclude(yield* json(yield* post("retry", { filter: {}, expected: 3 })), { count: 2 })
      assert.deepStrictEqual(yield* json(yield* post("retry", { filter: { keys: ["charge-666"] } })), {
        count: 1,
        struck: 0
      })
      assert.deepStrictEqual(yield* json(yield* post("discard", { filter: {}, expected: 1 })), { count: 1 })
      assert.deepStrictEqual(yield* docket.failed.list(), [])
      const clear = (expected: number) => sendJson(app, "POST", "/dockets/docket/clear", { expected }, admin)
      assert.strictEqual((yield* clear(5)).status, 409)
      assert.deepStrictEqual(yield* json(yield* clear(1)), { count: 1 })
    }).pipe(onDocket)
  )

  it.effect("lists come in pages that go on where the one before ended", () =>
    Effect.gen(function* () {
      const app = yield* open()
      const docket = yield* Docket
      for (let i = 0; i < 25; i++) yield* docket.add(Charge, { orderId: i }, { delay: `${i + 1} minutes` })
      const keys: Array<string> = []
      let cursor: string | undefined
      do {
        const next: string = cursor === undefined ? "" : `&cursor=${cursor}`
        const response = yield* send(app, `/dockets/docket/executions?state=scheduled&limit=10${next}`, {
          headers: admin
        })
        const page = (yield* json(response)) as { executions: ReadonlyArray<{ key: string }>; next?: string }
        keys.push(...page.executions.map(({ key }) => key))
        cursor = page.next
      } while (cursor !== undefined)
      assert.deepStrictEqual(
        keys,
        Array.from({ length: 25 }, (_, i) => `charge-${i}`)
      )
      for (const query of ["limit=0", "limit=1001", "limit=ten", "cursor=-1", "state=odd"]) {
        const response = yield* send(app, `/dockets/docket/executions?${query}`, { headers: admin })
        assert.strictEqual(response.status, 400, query)
      }
    }).pipe(onDocket)
  )
})

describe("roles", () => {
  const visit = { method: "GET", url: "/", headers: { host: "localhost:8080" }, remoteAddress: "127.0.0.1" }

  it("API-03: without a resolver, whoever is on this machine may do all, and anybody else looks", () => {
    for (const remoteAddress of ["127.0.0.1", "::1", "::ffff:127.0.0.1"]) {
      assert.strictEqual(DocketHttp.fromLoopback({ ...visit, remoteAddress }), "admin")
    }
    for (const remoteAddress of [undefined, "10.0.0.1", "128.0.0.1", "::ffff:10.0.0.1", "127.0.0.1.evil.test"]) {
      assert.strictEqual(DocketHttp.fromLoopback({ ...visit, remoteAddress }), "read")
    }
  })

  it("API-03: a proxy on this machine, and a name that was made to lead here, are not this machine", () => {
    for (const headers of [
      { host: "localhost", "x-forwarded-for": "10.0.0.1" },
      { host: "localhost", forwarded: "for=10.0.0.1" },
      { host: "rebound.evil.test" },
      { host: "localhost.evil.test" },
      {}
    ]) {
      assert.strictEqual(DocketHttp.fromLoopback({ ...visit, headers }), "read", JSON.stringify(headers))
    }
  })

  it.effect("API-03: a resolver may answer at once, later, or with a name", () =>
    Effect.gen(function* () {
      const answers: ReadonlyArray<DocketHttp.Access> = [
        () => "operate",
        () => Promise.resolve("operate"),
        () => Effect.succeed({ role: "operate", name: "ada" })
      ]
      for (const access of answers) {
        const app = yield* open({ access })
        assert.strictEqual((yield* sendJson(app, "POST", "/dockets/docket/pause", {})).status, 204)
        assert.strictEqual((yield* sendJson(app, "POST", "/dockets/docket/clear", { expected: 0 })).status, 403)
      }
      const broken = yield* open({ access: () => Promise.reject(new Error("no database")) })
      const response = yield* sendJson(broken, "POST", "/dockets/docket/pause", {})
      assert.strictEqual(response.status, 500)
      assert.notInclude(yield* Effect.promise(() => response.text()), "no database")
    }).pipe(onDocket)
  )
})

describe("limits", () => {
  it.effect("API-04: a body that is too large is refused", () =>
    Effect.gen(function* () {
      const app = yield* open({ maximumBody: "10 KiB" })
      const response = yield* sendJson(
        app,
        "POST",
        "/dockets/docket/tasks/sendWelcome",
        { name: "x".repeat(20_000) },
        admin
      )
      assert.strictEqual(response.status, 413)
      assert.strictEqual(response.headers.get("content-type"), "application/problem+json")
    }).pipe(onDocket)
  )

  it.effect("API-04: a body that never ends is given up", () =>
    Effect.gen(function* () {
      const app = yield* open()
      const cancelled = yield* Deferred.make<void>()
      const body = new ReadableStream({
        pull: () => new Promise<void>(() => {}),
        cancel: () => {
          Effect.runSync(Deferred.succeed(cancelled, undefined))
        }
      })
      const fiber = yield* Effect.forkChild(
        send(app, "/dockets/docket/tasks/sendWelcome", {
          method: "POST",
          headers: { "content-type": "application/json", ...admin },
          body,
          duplex: "half"
        } as RequestInit)
      )
      yield* TestClock.adjust("75 seconds")
      assert.strictEqual((yield* Fiber.join(fiber)).status, 408)
      yield* Deferred.await(cancelled)
    }).pipe(onDocket)
  )

  it.effect("API-04: so many streams are open at once, and one that is left makes room", () =>
    Effect.gen(function* () {
      const app = yield* open({ maximumStreams: 1 })
      const events = (path: string) => send(app, path, { headers: admin })
      const first = yield* events("/dockets/docket/events").pipe(Effect.scoped)
      const second = yield* events("/dockets/docket/events")
      assert.strictEqual(second.status, 200)
      const third = yield* events("/dockets/docket/events")
      assert.strictEqual(third.status, 503)
      assert.deepInclude(yield* json(third), { type: "urn:effect-docket:too-busy" })
      yield* Effect.promise(() => first.body!.cancel())
    }).pipe(onDocket)
  )

  it.effect("API-01: what is nowhere has problem details as well", () =>
    Effect.gen(function* () {
      const app = yield* open()
      const response = yield* send(app, "/nowhere")
      assert.strictEqual(response.status, 404)
      assert.strictEqual(response.headers.get("content-type"), "application/problem+json")
    }).pipe(onDocket)
  )
})

describe("streams", () => {
  const follow = Effect.fnUntraced(function* (response: Response) {
    const events = yield* Queue.unbounded<{ readonly id: string; readonly event: string; readonly data: unknown }>()
    yield* Effect.forkScoped(Stream.runForEach(eventsOf(response), (event) => Queue.offer(events, event)))
    return { next: Queue.take(events) }
  })

  it.effect("API-05: the stream of a docket begins with what is, and goes on after a lost connection", () =>
    Effect.gen(function* () {
      const app = yield* open()
      const docket = yield* Docket
      const path = "/dockets/docket/events"
      const { next } = yield* follow(yield* send(app, path, { headers: admin }))
      assert.deepInclude(yield* next, { event: "snapshot" })
      yield* docket.add(Charge, { orderId: 7 }, { delay: "1 hour" })
      const first = yield* next
      assert.strictEqual(first.event, "state")
      assert.deepInclude(first.data, { key: "charge-7", state: "scheduled" })
      yield* docket.add(Charge, { orderId: 8 }, { delay: "1 hour" })
      assert.deepInclude((yield* next).data, { key: "charge-8" })

      const { next: back } = yield* follow(yield* send(app, path, { headers: { ...admin, "last-event-id": first.id } }))
      assert.deepInclude((yield* back).data, { key: "charge-8" })
      yield* docket.cancel("charge-8")
      assert.deepInclude((yield* back).data, { key: "charge-8", state: "cancelled" })

      const { next: lost } = yield* follow(
        yield* send(app, path, { headers: { ...admin, "last-event-id": "other.1" } })
      )
      assert.strictEqual((yield* lost).event, "interrupted")
      assert.strictEqual((yield* lost).event, "snapshot")

      yield* TestClock.adjust("15 seconds")
      assert.strictEqual((yield* back).event, "ping")
    }).pipe(Effect.scoped, onDocket)
  )

  it.effect("API-05: the stream of an execution begins with its state, and ends with it", () =>
    Effect.gen(function* () {
      const app = yield* open()
      const docket = yield* Docket
      yield* docket.add(Charge, { orderId: 7 }, { delay: "1 hour" })
      const path = "/dockets/docket/executions/charge-7/events"
      const { next } = yield* follow(yield* send(app, path, { headers: admin }))
      const first = yield* next
      assert.deepInclude(first.data, { state: "scheduled" })

      const { next: back } = yield* follow(yield* send(app, path, { headers: { ...admin, "last-event-id": first.id } }))
      yield* TestClock.adjust("15 seconds")
      // Nothing has happened, and nothing is said twice.
      assert.deepInclude(yield* back, { event: "ping", id: first.id })
      assert.strictEqual((yield* next).event, "ping")
      yield* docket.cancel("charge-7")
      assert.deepInclude((yield* back).data, { state: "cancelled" })
      assert.deepInclude((yield* next).data, { state: "cancelled" })

      const { next: late } = yield* follow(yield* send(app, path, { headers: { ...admin, "last-event-id": first.id } }))
      assert.strictEqual((yield* late).event, "interrupted")
      assert.deepInclude((yield* late).data, { state: "cancelled" })
      assert.strictEqual((yield* send(app, path.replace("7", "9"), { headers: admin })).status, 404)
    }).pipe(Effect.scoped, onDocket)
  )

  it.effect("API-05: however many follow a docket, its store is asked once", () =>
    Effect.gen(function* () {
      let watching = 0
      const docket = yield* Docket
      const counted: Docket["Service"] = {
        ...docket,
        events: Stream.suspend(() => {
          watching++
          return docket.events
        })
      }
      const app = yield* open({ dockets: [counted] })
      for (let i = 0; i < 10; i++) {
        const { next } = yield* follow(yield* send(app, "/dockets/docket/events", { headers: admin }))
        yield* next
      }
      assert.strictEqual(watching, 1)
    }).pipe(Effect.scoped, onDocket)
  )
})

describe("what serves it", () => {
  it.live("a handler from Request to Response, and one for Node, say the same under any prefix", () =>
    Effect.gen(function* () {
      const Ping = Task.make("ping")
      const options: DocketHttp.Options = { tasks: TaskGroup.make(Ping), prefix: "/ops/api", access: () => "admin" }
      const web = DocketHttp.toWebHandler(options, Docket.layerMemory)
      yield* Effect.addFinalizer(() => Effect.promise(web.dispose))
      const response = yield* Effect.promise(() => web.handler(new Request("http://app.test/ops/api/dockets")))
      assert.deepStrictEqual(yield* json(response), [{ name: "docket" }])

      const { createServer } = yield* Effect.promise(() => import("node:http"))
      const node = DocketHttp.toNodeHandler(options, Docket.layerMemory)
      yield* Effect.addFinalizer(() => Effect.promise(node.dispose))
      const server = createServer(node.handler)
      yield* Effect.acquireRelease(
        Effect.callback<void>((resume) => void server.listen(0, "127.0.0.1", () => resume(Effect.void))),
        () => Effect.sync(() => server.close())
      )
      const address = server.address()
      assert(typeof address === "object" && address !== null)
      const answer = yield* Effect.promise(() => fetch(`http://127.0.0.1:${address.port}/ops/api/dockets/docket`))
      assert.deepInclude(yield* json(answer), { docket: "docket", queued: 0 })
    }).pipe(Effect.scoped)
  )
})

// The layer for Effect's router has no requirements but the docket.
export const mounts: Layer.Layer<never, never, HttpRouter.HttpRouter | Docket> = DocketHttp.layer()
