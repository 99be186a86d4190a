/** The outcome of scenarios as text. */
import { quantity } from "./checker.ts"
import type { Outcome } from "./run.ts"

const seconds = (millis: number | undefined) => (millis === undefined ? "" : `${(millis / 1000).toFixed(1)} s`)

const byRedis = (rolledBack: Outcome["rolledBack"]) => Object.values(rolledBack).reduce((sum, lost) => sum + lost, 0)

/** One row a scenario, in Markdown. */
export const table = (outcomes: ReadonlyArray<Outcome>): string => {
  const rows = outcomes.map(({ figures, rolledBack, scenario, violations }) => [
    scenario.name,
    scenario.title,
    String(figures.tasks),
    String(figures.faults),
    byRedis(rolledBack) === 0 ? String(figures.lost) : `${figures.lost} (+ ${byRedis(rolledBack)} by Redis)`,
    String(figures.duplicates),
    seconds(figures.resumeMedianMillis),
    seconds(figures.resumeMaximumMillis),
    seconds(figures.afterLastMillis),
    String(violations.length)
  ])
  const head = ["scenario", "what happens", "tasks", "faults", "lost", "run again"]
  head.push("goes on after", "at most", "all done after", "violations")
  return [head, head.map(() => "---"), ...rows].map((row) => `| ${row.join(" | ")} |`).join("\n")
}

const median = (values: ReadonlyArray<number>) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]

/** One row a kind of fault, in Markdown. */
export const byFault = (outcomes: ReadonlyArray<Outcome>): string => {
  const rows = outcomes.flatMap(({ resumes, rolledBack, scenario }) =>
    Array.from(new Set(resumes.map(({ fault }) => fault.name)), (name) => {
      const all = resumes.flatMap(({ fault, millis }) => (fault.name === name ? [millis ?? Infinity] : []))
      const byRedis = rolledBack[name]
      return [scenario.name, name, String(all.length), byRedis === undefined ? "" : String(byRedis)].concat(
        seconds(median(all)),
        seconds(Math.max(...all))
      )
    })
  )
  const head = ["scenario", "fault", "times", "lost by Redis", "work goes on after", "at most"]
  return [head, head.map(() => "---"), ...rows].map((row) => `| ${row.join(" | ")} |`).join("\n")
}

/** All that is known of one scenario. */
export const details = ({
  faultCounts,
  measures,
  rolledBack,
  scenario,
  seconds,
  violations,
  warnings
}: Outcome): string => {
  const list = (counts: Readonly<Record<string, number>>) =>
    Object.entries(counts).map(([what, times]) => `  ${String(times).padStart(5)} × ${what}`)
  return [
    `${scenario.name}: ${scenario.title}, ${seconds} s`,
    ...list(faultCounts),
    ...Object.entries(rolledBack).map(([name, lost]) => `  Redis itself lost ${lost} tasks in: ${name}`),
    ...measures.map(
      ({ bound, unit, value, what }) =>
        `  ${what}: ${quantity(value, unit)}${bound === undefined ? "" : `, at most ${bound}`}`
    ),
    ...(Object.keys(warnings).length === 0 ? [] : ["  The workers warned:", ...list(warnings)]),
    ...violations.slice(0, 20).map((violation) => `  VIOLATION: ${violation}`),
    ...(violations.length > 20 ? [`  … and ${violations.length - 20} more`] : [])
  ].join("\n")
}
