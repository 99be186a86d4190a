/** What the docs, the dashboard and the alert rules name, and what there is. */
import { assert, describe, it } from "@effect/vitest"
import { readFileSync } from "node:fs"

const read = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), "utf8")

interface Panel {
  readonly id: number
  readonly gridPos: { readonly h: number; readonly w: number; readonly x: number; readonly y: number }
  readonly datasource: unknown
}

const namesIn = (text: string): ReadonlyArray<string> =>
  [...new Set(text.match(/\bdocket_(?:tasks?|redis|strikes|queue|schedule|recurring)_\w+/g))]
    .map((name) => name.replace(/_bucket$/, ""))
    .toSorted()

const defined = [...read("src/observability/Metrics.ts").matchAll(/= (?:counter|gauge|histogram)\("(\w+)"/g)]
  .map(([, name]) => name ?? "")
  .toSorted()

describe("The documentation of metrics", () => {
  it("MET-01 names each metric that there is, and no other", () => {
    assert.isAbove(defined.length, 15)
    assert.deepStrictEqual(namesIn(read("docs/observability.md")), defined)
  })

  it("shows each of them on the dashboard", () => {
    const dashboard = read("docs/grafana-dashboard.json")
    assert.deepStrictEqual(namesIn(dashboard), defined)
    const { panels } = JSON.parse(dashboard) as { readonly panels: ReadonlyArray<Panel> }
    assert.strictEqual(new Set(panels.map(({ id }) => id)).size, panels.length)
    const cells = panels.flatMap(({ gridPos: { h, w, x, y } }) => {
      assert.isAtMost(x + w, 24)
      return Array.from({ length: w * h }, (_, i) => `${x + (i % w)} ${y + Math.floor(i / w)}`)
    })
    assert.strictEqual(new Set(cells).size, cells.length, "panels lie on each other")
    for (const { datasource } of panels)
      assert.deepStrictEqual(datasource, { type: "prometheus", uid: "${datasource}" })
  })

  it("alerts on metrics that there are", () => {
    const names = namesIn(read("docs/alerts.yaml"))
    assert.isAbove(names.length, 5)
    for (const name of names) assert.include(defined, name)
  })
})
