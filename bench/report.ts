/** From the figures of all rounds to tables. */
import { type FigureGoal, figureGoals, type RatioGoal, ratioGoals } from "./goals.ts"
import type { PeerName } from "./peers/index.ts"
import { type Metric, scenarios } from "./scenarios.ts"
import { median } from "./statistics.ts"

/** The figures of one scenario: for each round, by peer, by metric. A peer that failed or cannot do it is not there. */
export type Rounds = ReadonlyArray<Partial<Record<PeerName, Readonly<Record<string, number>>>>>

export type Figures = ReadonlyMap<string, Rounds>

export interface Summary {
  readonly median: number
  readonly min: number
  readonly max: number
  readonly rounds: ReadonlyArray<number>
}

const summary = (values: ReadonlyArray<number>): Summary | undefined =>
  values.length === 0
    ? undefined
    : { median: median(values), min: Math.min(...values), max: Math.max(...values), rounds: values }

const isNumber = (value: number | undefined): value is number => value !== undefined && Number.isFinite(value)

const figureOf = (figures: Figures, metric: string, round: number, peer: PeerName): number | undefined => {
  const [scenario = "", id = ""] = metric.split("/")
  return figures.get(scenario)?.[round]?.[peer]?.[id]
}

const rounds = (figures: Figures): ReadonlyArray<number> => [
  ...Array(Math.max(0, ...[...figures.values()].map(({ length }) => length))).keys()
]

export const figure = (figures: Figures, metric: string, peer: PeerName): Summary | undefined =>
  summary(
    rounds(figures)
      .map((round) => figureOf(figures, metric, round, peer))
      .filter(isNumber)
  )

/** Ratios are taken within a round, so that a machine that is slow for a while is slow for both. */
const ratio = (figures: Figures, metric: string, peer: PeerName, overMetric: string, over: PeerName) =>
  summary(
    rounds(figures)
      .map((round) => {
        const [a, b] = [figureOf(figures, metric, round, peer), figureOf(figures, overMetric, round, over)]
        return a === undefined || b === undefined ? undefined : a / b
      })
      .filter(isNumber)
  )

const number = (value: number): string => {
  const rounded = Number(value.toPrecision(3))
  return rounded >= 1000 ? rounded.toLocaleString("en") : String(rounded)
}

const spread = ({ max, median, min }: Summary): string =>
  min === max ? number(median) : `${number(median)} (${number(min)}–${number(max)})`

/** A table that reads well as text and as Markdown. */
export const table = (rows: ReadonlyArray<ReadonlyArray<string>>): string => {
  const widths = rows[0]!.map((_, column) => Math.max(3, ...rows.map((row) => row[column]!.length)))
  const lines = rows.map(
    (row) => `| ${row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join(" | ")} |`
  )
  const rule = `| ${widths.map((width, i) => (i === 0 ? "-".repeat(width) : `${"-".repeat(width - 1)}:`)).join(" | ")} |`
  return [lines[0], rule, ...lines.slice(1)].join("\n")
}

interface Row {
  readonly metric: string
  readonly title: string
}

const measured = (figures: Figures): ReadonlyArray<Row> =>
  scenarios
    .filter(({ name }) => figures.has(name))
    .flatMap(({ metrics, name }) =>
      metrics.map(({ id, title, unit }: Metric) => ({ metric: `${name}/${id}`, title: `${title}, ${unit}` }))
    )

export const figuresTable = (figures: Figures, peers: ReadonlyArray<PeerName>): string =>
  table([
    ["case", ...peers],
    ...measured(figures).map(({ metric, title }) => [
      title,
      ...peers.map((peer) => {
        const value = figure(figures, metric, peer)
        return value === undefined ? "–" : spread(value)
      })
    ])
  ])

export const ratiosTable = (figures: Figures, peers: ReadonlyArray<PeerName>): string => {
  const others = peers.filter((peer) => peer !== "docket")
  return table([
    ["docket over …", ...others],
    ...measured(figures).map(({ metric, title }) => [
      title,
      ...others.map((peer) => {
        const value = ratio(figures, metric, "docket", metric, peer)
        return value === undefined ? "–" : spread(value)
      })
    ])
  ])
}

export interface GoalResult {
  readonly goal: string
  readonly value: Summary
  readonly met: boolean
}

const ratioResult = (figures: Figures, { bound, metric, over }: RatioGoal): GoalResult | undefined => {
  const value =
    "peer" in over
      ? ratio(figures, metric, "docket", metric, over.peer)
      : ratio(figures, metric, "docket", over.metric, "docket")
  if (value === undefined) return undefined
  const limit = "atLeast" in bound ? `at least ${bound.atLeast}` : `at most ${bound.atMost}`
  return {
    goal: `${metric} ${limit} × ${"peer" in over ? over.peer : over.metric}`,
    value,
    met: "atLeast" in bound ? value.median >= bound.atLeast : value.median <= bound.atMost
  }
}

const figureResult = (figures: Figures, { atMost, metric }: FigureGoal): GoalResult | undefined => {
  const value = figure(figures, metric, "docket")
  return value === undefined ? undefined : { goal: `${metric} at most ${atMost}`, value, met: value.median <= atMost }
}

export const goalResults = (figures: Figures): ReadonlyArray<GoalResult> =>
  [
    ...ratioGoals.map((goal) => ratioResult(figures, goal)),
    ...figureGoals.map((goal) => figureResult(figures, goal))
  ].filter((result) => result !== undefined)

export const goalsTable = (results: ReadonlyArray<GoalResult>): string =>
  table([
    ["goal", "measured", ""],
    ...results.map(({ goal, met, value }) => [goal, spread(value), met ? "met" : "missed"])
  ])

/** Everything, for programs. */
export const json = (figures: Figures, peers: ReadonlyArray<PeerName>) => ({
  metrics: measured(figures).map(({ metric, title }) => ({
    metric,
    title,
    peers: Object.fromEntries(peers.map((peer) => [peer, figure(figures, metric, peer)])),
    ratios: Object.fromEntries(
      peers.filter((peer) => peer !== "docket").map((peer) => [peer, ratio(figures, metric, "docket", metric, peer)])
    )
  })),
  goals: goalResults(figures)
})
