/** What Prometheus gets from a worker process, and what the dashboard and the alert rules ask of it. */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import * as Process from "../support/processes.ts"
import { freePort, RedisServer } from "../support/RedisServer.ts"
import { waitUntil } from "../support/waitUntil.ts"
import { makeDocket } from "./kit.ts"

const read = (path: string) => readFileSync(new URL(`../../docs/${path}`, import.meta.url), "utf8")

interface Dashboard {
  readonly panels: ReadonlyArray<{ readonly targets?: ReadonlyArray<{ readonly expr: string }> }>
}

/** The queries of the dashboard and of the alert rules. */
const queries = [
  ...(JSON.parse(read("grafana-dashboard.json")) as Dashboard).panels.flatMap(({ targets = [] }) =>
    targets.map(({ expr }) => expr)
  ),
  ...Array.from(read("alerts.yaml").matchAll(/ expr: (?:\|\n((?: {10}.*\n)+)|(.*))/g), ([, block, line]) =>
    (block ?? line ?? "").replace(/\s+/g, " ")
  )
]

const metricsIn = (query: string) =>
  Array.from(query.matchAll(/docket_(?:tasks?|redis|strikes|queue|schedule|recurring)_\w+/g), String)

/** The labels of each metric in the text format of Prometheus. */
const labelsIn = (text: string): ReadonlyMap<string, ReadonlySet<string>> =>
  new Map(
    Array.from(text.matchAll(/^(\w+)\{(.*)\} /gm), ([, metric = "", labels = ""]) => [
      metric,
      new Set(Array.from(labels.matchAll(/(\w+)="/g), ([, label = ""]) => label))
    ])
  )

const module = fileURLToPath(new URL("./programs/metered.ts", import.meta.url))

it.layer(RedisServer.layer(), { excludeTestServices: true })("A worker's metrics", (it) => {
  it.effect("MET-01 MET-09 HLT-02 answer every query of the dashboard and of the alert rules", () =>
    Effect.gen(function* () {
      const redis = yield* RedisServer
      const { docket, env } = yield* makeDocket(redis)
      const worker = ["worker", "--tasks", module, "--redelivery-timeout", "1s"]
      yield* docket.addNamed("held", {}, { key: "held" })
      const first = yield* Process.start(worker, { env: { ...env, HOLD: "true" } })
      yield* first.until("↪")
      yield* first.kill("SIGKILL")
      const port = yield* freePort
      yield* Process.start([...worker, "--metrics-port", String(port)], { env: { ...env, HOLD: "false" } })
      yield* docket.addNamed("asks", {}, { key: "asks" })
      const scrape = Effect.promise(() =>
        fetch(`http://127.0.0.1:${port}/metrics`).then(
          (response) => response.text(),
          () => ""
        )
      )
      const has = (...metrics: ReadonlyArray<string>) =>
        Effect.map(scrape, (text) => metrics.every((metric) => text.includes(`\n${metric}{`)))
      yield* waitUntil(
        "all tasks have run, and the worker has announced itself again",
        has(
          "docket_tasks_redelivered",
          "docket_tasks_perpetuated",
          "docket_tasks_superseded",
          "docket_tasks_retried",
          "docket_queue_depth"
        )
      )
      yield* redis.cli("CLIENT", "KILL", "TYPE", "normal")
      yield* waitUntil("it has noticed the lost connections", has("docket_redis_disruptions"))

      const labels = labelsIn(yield* scrape)
      assert.isAbove(queries.length, 30)
      for (const query of queries) {
        const metrics = metricsIn(query)
        assert.isNotEmpty(metrics, query)
        const asked = Array.from(query.matchAll(/\b(?:by|on) \(([^)]*)\)/g), ([, list = ""]) => list.split(", ")).flat()
        for (const metric of metrics) {
          const known = labels.get(metric)
          assert(known !== undefined, `${metric} is not there: ${query}`)
          for (const label of asked) assert.isTrue(known.has(label), `${metric} has no label ${label}: ${query}`)
        }
        for (const [, metric = "", selector = ""] of query.matchAll(/(\w+)\{([^}]*)\}/g)) {
          for (const [, label = ""] of selector.matchAll(/(\w+)=~/g)) {
            assert.isTrue(labels.get(metric)?.has(label), `${metric} has no label ${label}: ${query}`)
          }
        }
      }
    })
  )
})
