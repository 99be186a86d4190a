/** The traces of a producer and of a worker process, as a collector receives them. */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Http from "node:http"
import type { AddressInfo } from "node:net"
import { fileURLToPath } from "node:url"
import * as Process from "../support/processes.ts"
import { RedisServer } from "../support/RedisServer.ts"
import { makeDocket, tasksModule } from "./kit.ts"

interface Span {
  readonly name: string
  readonly kind: number
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId?: string
  readonly links: ReadonlyArray<{ readonly traceId: string; readonly spanId: string }>
  readonly service: string
}

interface Attribute {
  readonly key: string
  readonly value: { readonly stringValue?: string }
}

/** A collector: it keeps what it receives in the JSON form of OTLP over HTTP. */
const collector = Effect.gen(function* () {
  const received: Array<{ readonly path: string; readonly text: string }> = []
  const server = yield* Effect.acquireRelease(
    Effect.callback<Http.Server>((resume) => {
      const server = Http.createServer((request, response) => {
        let text = ""
        request.setEncoding("utf8").on("data", (data) => (text += data))
        request.on("end", () => {
          received.push({ path: request.url ?? "", text })
          response.writeHead(200, { "content-type": "application/json" }).end("{}")
        })
      })
      server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
    }),
    (server) => Effect.sync(() => server.close().closeAllConnections())
  )
  const bodies = (path: string) =>
    received.filter((request) => request.path === path).map(({ text }): unknown => JSON.parse(text))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    paths: () => new Set(received.map(({ path }) => path)),
    metrics: () => JSON.stringify(bodies("/v1/metrics")),
    logs: () => JSON.stringify(bodies("/v1/logs")),
    spans: (): ReadonlyArray<Span> =>
      bodies("/v1/traces").flatMap((body) =>
        (body as Traces).resourceSpans.flatMap(({ resource, scopeSpans }) =>
          scopeSpans.flatMap(({ spans }) => spans.map((span) => ({ ...span, service: serviceOf(resource.attributes) })))
        )
      )
  }
})

interface Traces {
  readonly resourceSpans: ReadonlyArray<{
    readonly resource: { readonly attributes: ReadonlyArray<Attribute> }
    readonly scopeSpans: ReadonlyArray<{ readonly spans: ReadonlyArray<Omit<Span, "service">> }>
  }>
}

const serviceOf = (attributes: ReadonlyArray<Attribute>) =>
  attributes.find(({ key }) => key === "service.name")?.value.stringValue ?? ""

/** What a program printed that exports to memory. */
const exported = (output: string) => {
  const lines: ReadonlyArray<Partial<Exported>> = output
    .split("\n")
    .filter((line) => line.startsWith("{"))
    .map((line) => JSON.parse(line))
  return {
    spans: lines.filter((line): line is Exported => line.span !== undefined),
    metrics: lines.flatMap(({ metric }) => metric ?? []),
    logs: lines.flatMap(({ log }) => log ?? [])
  }
}

interface Exported {
  readonly span: string
  readonly id: string
  readonly trace: string
  readonly parent?: string
  readonly links: ReadonlyArray<string>
  readonly service: string
  readonly attributes: Readonly<Record<string, unknown>>
  readonly metric?: string
  readonly log?: string
}

const programAt = (name: string) => fileURLToPath(new URL(`./programs/${name}`, import.meta.url))

const [producer, consumer] = [4, 5]

it.layer(RedisServer.layer(), { excludeTestServices: true })("Telemetry", (it) => {
  it.effect("TRC-01 TRC-03 TRC-05 a collector can follow a run back to the request that scheduled it", () =>
    Effect.gen(function* () {
      const redis = yield* RedisServer
      const { metrics, logs, paths, spans, url } = yield* collector
      const { env: docket } = yield* makeDocket(redis)
      const env = { ...docket, OTEL_EXPORTER_OTLP_ENDPOINT: url, OTEL_EXPORTER_OTLP_PROTOCOL: "http/json" }
      const worker = yield* Process.start(["worker", "--tasks", tasksModule], { env })
      const made = yield* Process.run([], { command: [process.execPath, programAt("producer.ts")], env })
      assert.strictEqual(made.code, 0, made.stderr)
      assert.include(made.stdout, "49 64")
      yield* worker.kill("SIGTERM")
      const ended = yield* worker.ended
      assert.strictEqual(ended.code, 0, ended.stderr)

      const ofShop = spans().filter(({ service }) => service === "shop")
      const ofWorker = spans().filter(({ service }) => service === "docket-worker")
      const [checkout] = ofShop.filter(({ name }) => name === "checkout")
      const adds = ofShop.filter(({ name }) => name === "docket.add")
      assert.deepStrictEqual(ofShop.map(({ name }) => name).toSorted(), ["checkout", "docket.add", "docket.add"])
      for (const add of adds) {
        assert.deepStrictEqual([add.kind, add.parentSpanId], [producer, checkout?.spanId])
      }
      // The worker's own calls, and its calls to the collector, make none.
      assert.deepStrictEqual(
        ofWorker.map(({ kind, name }) => [name, kind]),
        [
          ["square", consumer],
          ["square", consumer]
        ]
      )
      const linked = ofWorker.flatMap(({ links, traceId }) => {
        assert.strictEqual(links.length, 1)
        assert.notStrictEqual(traceId, checkout?.traceId)
        return links.map((link) => [link.traceId, link.spanId])
      })
      assert.deepStrictEqual(linked.toSorted(), adds.map(({ spanId, traceId }) => [traceId, spanId]).toSorted())
      for (const signal of ["traces", "metrics", "logs"]) assert.isTrue(paths().has(`/v1/${signal}`), signal)
      assert.include(metrics(), "docket_tasks_succeeded")
      assert.include(logs(), "square(id=..., millis=...)")
    })
  )

  it.effect(
    "TRC-01 TRC-02 TRC-03 OpenTelemetry's own SDK gets spans, metrics and logs, in an app and in a module",
    () =>
      Effect.gen(function* () {
        const { env } = yield* makeDocket(yield* RedisServer)
        const worker = yield* Process.start(["worker", "--tasks", programAt("observedTasks.ts")], { env })
        const made = yield* Process.run([], { command: [process.execPath, programAt("observedProducer.ts")], env })
        assert.strictEqual(made.code, 0, made.stderr)
        yield* worker.kill("SIGTERM")
        const ended = yield* worker.ended
        assert.strictEqual(ended.code, 0, ended.stderr)

        const [ofShop, ofWorker] = [made.stdout, ended.stdout].map(exported)
        const [checkout] = ofShop!.spans.filter(({ span }) => span === "checkout")
        const sent = (key: string) => ofShop!.spans.find(({ attributes }) => attributes["messaging.message.id"] === key)
        for (const key of ["now", "later", "refused"]) {
          assert.strictEqual(sent(key)?.parent, checkout?.id)
          assert.strictEqual(sent(key)?.service, "shop")
        }
        const processed = (key: string) =>
          ofWorker!.spans.find(({ attributes }) => attributes["messaging.message.id"] === key)
        const [now, later] = [processed("now"), processed("later")]
        assert.deepStrictEqual([now?.span, now?.service, now?.links], ["process square", "worker", []])
        assert.deepStrictEqual([now?.trace, now?.parent], [checkout?.trace, sent("now")?.id])
        assert.deepStrictEqual([later?.span, later?.links], ["process square", [sent("later")?.id]])
        assert.notStrictEqual(later?.trace, checkout?.trace)
        assert.strictEqual(processed("refused")?.attributes["error.type"], "Refused")
        assert.include(ofShop!.metrics, "docket_tasks_added")
        assert.include(ofWorker!.metrics, "docket_tasks_succeeded")
        assert.deepStrictEqual(ofShop!.logs, ["everything has ended"])
      })
  )

  it.effect("TRC-05 CLI-07 --enable-internal-instrumentation exports what the worker asks of its store as well", () =>
    Effect.gen(function* () {
      const { spans, url } = yield* collector
      const { env: docket } = yield* makeDocket(yield* RedisServer)
      const env = { ...docket, OTEL_EXPORTER_OTLP_ENDPOINT: url, OTEL_EXPORTER_OTLP_PROTOCOL: "http/json" }
      const args = ["worker", "--until-finished", "--tasks", tasksModule]
      const quiet = yield* Process.run(args, { env })
      assert.deepStrictEqual([quiet.code, spans().length], [0, 0], quiet.stderr)
      const asked = yield* Process.run([...args, "--enable-internal-instrumentation"], { env })
      assert.strictEqual(asked.code, 0, asked.stderr)
      const names = spans().map(({ name }) => name)
      for (const name of ["docket.heartbeat", "docket.exchange", "docket.leave"]) assert.include(names, name)
    })
  )

  it.effect("TRC-05 without an endpoint nothing is exported, and a protocol that is not there is refused", () =>
    Effect.gen(function* () {
      const { paths, url } = yield* collector
      const args = ["worker", "--url", "memory://", "--until-finished", "--tasks", tasksModule]
      const silent = yield* Process.run(args, { env: { OTEL_SERVICE_NAME: "w" } })
      assert.strictEqual(silent.code, 0, silent.stderr)
      const refused = yield* Process.run(args, {
        env: { OTEL_EXPORTER_OTLP_ENDPOINT: url, OTEL_EXPORTER_OTLP_PROTOCOL: "grpc" }
      })
      assert.strictEqual(refused.code, 2)
      assert.include(refused.stderr, 'OTEL_EXPORTER_OTLP_PROTOCOL has to be http/protobuf or http/json; it was "grpc"')
      const disabled = yield* Process.run(args, {
        env: { OTEL_EXPORTER_OTLP_ENDPOINT: url, OTEL_SDK_DISABLED: "true" }
      })
      assert.strictEqual(disabled.code, 0, disabled.stderr)
      assert.deepStrictEqual(paths(), new Set())
    })
  )
})
