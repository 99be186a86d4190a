/** One test for each route and each role, made from the contract; and the OpenAPI document against the code. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Option } from "effect"
import { OpenApi } from "effect/http-api"
import { Docket } from "../../src/index.ts"
import * as DocketHttp from "../../src/http/index.ts"
import { allTasks, json, open, send, sendJson, SendWelcome, tasks } from "./shop.ts"

const api = DocketHttp.withTasks(allTasks)

const routes = Object.values(api.groups).flatMap((group) =>
  Object.values(group.endpoints).map((endpoint) => ({
    operation: `${group.identifier}.${endpoint.identifier}`,
    method: endpoint.method,
    path: endpoint.path as string,
    needs: Option.getOrThrow(Context.getOption(endpoint.annotations, DocketHttp.Needs))
  }))
)

/** A body that fits, for each operation that takes one. */
const bodies: Readonly<Record<string, unknown>> = {
  "dockets.clear": { expected: 1 },
  "executions.add": { task: "sendWelcome", payload: { name: "Ada" } },
  "executions.addAll": { requests: [{ task: "sendWelcome", payload: { name: "Ada" } }] },
  "executions.replace": { task: "sendWelcome", payload: { name: "Bo" } },
  "executions.run": undefined,
  "failed.count": {},
  "failed.retry": { filter: {} },
  "failed.discard": { filter: {}, expected: 0 },
  "holds.strike": { task: "sendWelcome" },
  "holds.restore": { task: "sendWelcome" },
  "holds.pause": {},
  "holds.resume": {},
  "tasks.charge": { orderId: 7 },
  "tasks.login": { user: "ada", password: "s3cret" },
  "tasks.sendWelcome": { name: "Ada" }
}

const operationsOf = (document: unknown) => {
  const { paths } = document as {
    readonly paths: Readonly<
      Record<
        string,
        Readonly<
          Record<
            string,
            {
              readonly operationId: string
              readonly "x-docket-role": string
              readonly responses: Readonly<Record<string, { readonly content?: object }>>
            }
          >
        >
      >
    >
  }
  return Object.entries(paths).flatMap(([path, item]) =>
    Object.entries(item).map(([method, { operationId, responses, "x-docket-role": needs }]) => ({
      described: {
        operation: operationId,
        method: method.toUpperCase(),
        path: path.replaceAll(/\{(\w+)\}/g, ":$1"),
        needs
      },
      responses
    }))
  )
}

const responsesOf = new Map(
  operationsOf(OpenApi.fromApi(api)).map(({ described, responses }) => [described.operation, responses])
)

describe("each route", () => {
  for (const { method, needs, operation, path } of routes) {
    for (const role of [undefined, ...DocketHttp.Role.literals]) {
      const allowed = DocketHttp.allows(role, needs)
      it.effect(`API-03: ${operation} is ${allowed ? "open" : "closed"} to ${role ?? "who has no role"}`, () =>
        Effect.gen(function* () {
          const docket = yield* Docket
          yield* docket.add(SendWelcome, { name: "Ada" }, { key: "welcome", delay: "1 hour" })
          const app = yield* open()
          const url = path.replace(":docket", "docket").replace(":key", "welcome")
          const response = yield* sendJson(
            app,
            method,
            url,
            bodies[operation],
            role === undefined ? {} : { "x-role": role }
          )
          // What it answers is in the document.
          assert.include(Object.keys(responsesOf.get(operation) ?? {}), String(response.status))
          if (allowed) return assert.isBelow(response.status, 300)
          assert.strictEqual(response.status, 403)
          assert.strictEqual(response.headers.get("content-type"), "application/problem+json")
          const problem = yield* json(response)
          assert.deepInclude(problem, { type: "urn:effect-docket:forbidden", status: 403, needs })
          // Nothing was done.
          assert.strictEqual((yield* docket.snapshot()).total, 1)
          assert.deepStrictEqual(yield* docket.strikes, [])
        }).pipe(Effect.provide(Docket.layerMemory))
      )
    }
  }

  it("takes a body only where the test has one", () => {
    const known = routes.filter(({ method }) => method === "POST" || method === "PUT").map(({ operation }) => operation)
    assert.sameMembers(Object.keys(bodies), known)
  })

  it.effect("API-03: nothing is changed at the word of another origin's page", () =>
    Effect.gen(function* () {
      const app = yield* open()
      for (const { method, operation, path } of routes) {
        if (method === "GET") continue
        const url = path.replace(":docket", "docket").replace(":key", "welcome")
        for (const headers of [
          { "sec-fetch-site": "cross-site" },
          { origin: "https://evil.test", host: "shop.test" }
        ]) {
          const response = yield* sendJson(app, method, url, bodies[operation], { "x-role": "admin", ...headers })
          assert.strictEqual(response.status, 403, `${operation} with ${JSON.stringify(headers)}`)
        }
      }
      assert.strictEqual((yield* (yield* Docket).snapshot()).total, 0)
    }).pipe(Effect.provide(Docket.layerMemory))
  )
})

describe("the OpenAPI document", () => {
  it.effect("API-01: is served, says the same as the code, and nothing else", () =>
    Effect.gen(function* () {
      const app = yield* open({ prefix: "/api" })
      const response = yield* send(app, "/api/openapi.json", { headers: { "x-role": "read" } })
      const document = (yield* json(response)) as OpenApi.OpenAPISpec
      const { servers, ...rest } = document
      assert.deepStrictEqual(servers, [{ url: "/api" }])
      assert.deepStrictEqual(rest, JSON.parse(JSON.stringify(OpenApi.fromApi(api))))

      const operations = operationsOf(document)
      assert.sameDeepMembers(
        operations.map(({ described }) => described),
        routes
      )
      for (const { described, responses } of operations) {
        for (const [status, { content = {} }] of Object.entries(responses)) {
          if (Number(status) < 400) continue
          assert.deepStrictEqual(Object.keys(content), ["application/problem+json"], `${described.operation} ${status}`)
        }
      }
    }).pipe(Effect.provide(Docket.layerMemory))
  )

  it.effect("API-03: is shown to those who may read, and so is its page", () =>
    Effect.gen(function* () {
      const app = yield* open()
      for (const path of ["/openapi.json", "/docs"]) {
        assert.strictEqual((yield* send(app, path)).status, 403)
        assert.strictEqual((yield* send(app, path, { headers: { "x-role": "read" } })).status, 200)
      }
    }).pipe(Effect.provide(Docket.layerMemory))
  )

  it("has an operation with its own schemas for each task", () => {
    const { components, paths } = OpenApi.fromApi(api)
    for (const name of tasks.tasks.keys()) {
      assert.property(paths, `/dockets/{docket}/tasks/${name}`)
      assert.property(paths, `/dockets/{docket}/tasks/${name}/executions/{key}/result`)
    }
    const payload = components.schemas["chargePayload"]
    assert.deepInclude(payload, { type: "object", required: ["orderId"] })
  })
})
