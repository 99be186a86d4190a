import { assert, describe, it } from "@effect/vitest"
import { Effect, Schedule } from "effect"
import * as Net from "node:net"
import * as Process from "../support/processes.ts"
import * as docket from "./docket.ts"

const takePort = Effect.acquireRelease(
  Effect.callback<Net.Server>((resume) => {
    const server = Net.createServer()
    server.listen(0, () => resume(Effect.succeed(server)))
  }),
  (server) => Effect.callback<void>((resume) => void server.close(() => resume(Effect.void)))
)

const portOf = (server: Net.Server) => (server.address() as Net.AddressInfo).port

const freePort = Effect.scoped(Effect.map(takePort, portOf))

const get = (port: number, path: string) =>
  Effect.tryPromise(async () => {
    const response = await fetch(`http://127.0.0.1:${port}${path}`)
    return { status: response.status, type: response.headers.get("content-type"), text: await response.text() }
  })

/** Asks until the answer is that the worker is up. */
const untilUp = (port: number) =>
  Effect.retry(
    Effect.filterOrFail(get(port, "/health"), ({ status }) => status === 200),
    Schedule.spaced("50 millis")
  ).pipe(Effect.timeout("20 seconds"))

const args = ["worker", "--url", "memory://", "--name", "ada"]

describe("docket worker", () => {
  it.live(
    "HLT-01 HLT-02 HLT-03 answers probes and Prometheus on the ports that it is given, and logs no requests",
    () =>
      Effect.gen(function* () {
        const health = yield* freePort
        const metrics = yield* freePort
        const worker = yield* Process.start([...args, "--tasks", docket.fixture("failing.ts")], {
          env: { DOCKET_WORKER_HEALTHCHECK_PORT: String(health), DOCKET_WORKER_METRICS_PORT: String(metrics) }
        })
        yield* worker.until("no such customer")
        for (const path of ["/", "/health", "/ready"]) {
          assert.deepStrictEqual(yield* get(health, path), { status: 200, type: "text/plain", text: "OK" })
        }
        const { status, text, type } = yield* get(metrics, "/metrics")
        assert.deepStrictEqual([status, type], [200, "text/plain; version=0.0.4; charset=utf-8"])
        assert.match(text, /^docket_tasks_failed\{docket_name="docket",docket_worker="ada",docket_task="fail"\} 1$/m)
        assert.match(text, /^# TYPE docket_task_duration histogram$/m)
        assert.strictEqual((yield* get(health, "/metrics")).status, 404)
        yield* worker.kill("SIGTERM")
        const ended = yield* worker.ended
        assert.strictEqual(ended.code, 0, ended.stderr)
        assert.notMatch(ended.stdout + ended.stderr, /GET|\/health|\/metrics|http/i)
        assert.isTrue((yield* Effect.exit(get(health, "/health")))._tag === "Failure")
      })
  )

  it.live("HLT-01 is not ready while it drains, and answers on one port for both", () =>
    Effect.gen(function* () {
      const port = yield* freePort
      const ports = ["--healthcheck-port", String(port), "--metrics-port", String(port)]
      const worker = yield* Process.start([...args, ...ports, "--tasks", docket.fixture("stubborn.ts")])
      yield* worker.until("not listening")
      yield* untilUp(port)
      assert.strictEqual((yield* get(port, "/metrics")).status, 200)
      yield* worker.kill("SIGTERM")
      yield* worker.until("waiting up to")
      const ready = yield* Effect.repeat(get(port, "/ready"), {
        until: ({ status }) => status === 503,
        schedule: Schedule.spaced("20 millis")
      }).pipe(Effect.timeout("10 seconds"))
      assert.strictEqual(ready.text, "The worker was told to stop\n")
      assert.strictEqual((yield* get(port, "/health")).status, 200)
    })
  )

  it.live("HLT-03 refuses to start on a port that is taken", () =>
    Effect.gen(function* () {
      const port = portOf(yield* takePort)
      const { code, stderr } = yield* docket.run([
        ...args,
        "--metrics-port",
        String(port),
        "--tasks",
        docket.fixture("greetings.ts")
      ])
      assert.strictEqual(code, 1)
      assert.strictEqual(stderr, `docket: Port ${port} is taken by another process: choose another one\n`)
    })
  )

  it.live("CLI-07 refuses what is no port", () =>
    Effect.gen(function* () {
      const { code, stderr } = yield* docket.run([...args, "--healthcheck-port", "70000"])
      assert.strictEqual(code, 2)
      assert.include(stderr, '--healthcheck-port has to be the number of a port, from 1 to 65535; it was "70000"')
    })
  )
})
