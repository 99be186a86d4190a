/**
 * The fault laboratory: real processes and real Redis servers, harmed on purpose, and what became of the tasks.
 *
 * Everything is on the loopback, and ends with this process. The same seed chooses the same tasks and faults; when each
 * of them meets which task is up to the machine.
 */
import { writeFileSync } from "node:fs"
import { cpus, loadavg } from "node:os"
import { optionsOf } from "../test/support/commandLine.ts"
import { byFault, details, table } from "./report.ts"
import { libfaketime, type Outcome, runScenario } from "./run.ts"
import { scenarios } from "./scenarios.ts"

const usage = `npm run chaos -- [options]

  --quick           leaves out what takes long, and does not look at times and costs, which a slow machine breaks
  --only NAME,…     these scenarios only
  --list            lists the scenarios
  --seed N          chooses the tasks and faults. Default: any
  --scale N         so many times the tasks and faults. Default: 1
  --parallel N      so many scenarios at a time. Default: 1, with --quick 2
  --json FILE       writes all that was measured to a file
  --help            says this`

const options = optionsOf(usage, {
  quick: { type: "boolean", default: false },
  only: { type: "string" },
  seed: { type: "string" },
  scale: { type: "string", default: "1" },
  parallel: { type: "string" },
  json: { type: "string" },
  list: { type: "boolean", default: false }
})

if (options.list) {
  for (const { name, title } of scenarios) console.log(`${name.padEnd(16)}${title}`)
  process.exit(0)
}

const chosen =
  options.only === undefined
    ? scenarios.filter(({ isLong }) => isLong !== true || !options.quick)
    : options.only.split(",").map((name) => {
        const found = scenarios.find((scenario) => scenario.name === name.trim())
        if (found !== undefined) return found
        console.error(`There is no scenario "${name}". There are: ${scenarios.map(({ name }) => name).join(", ")}`)
        return process.exit(2)
      })
const seed = Number(options.seed ?? Math.floor(Math.random() * 1e6))
const settings = { isQuick: options.quick, scale: Number(options.scale), seed }
const parallel = Number(options.parallel ?? (options.quick ? 2 : 1))
if (!Number.isInteger(seed) || !(settings.scale > 0) || !Number.isInteger(parallel) || parallel < 1) {
  console.error("--seed has to be a whole number, --scale a number above 0, --parallel a whole number of at least 1")
  process.exit(2)
}
console.log(`Seed ${seed}. Node ${process.version}, ${cpus().length} cores, load ${loadavg()[0]?.toFixed(1)}.\n`)

// The servers' processes do not keep this one alive.
setInterval(() => {}, 60_000)

const missing = chosen.filter(({ fakeTime }) => fakeTime === true && libfaketime === undefined)
for (const { name } of missing)
  console.log(`${name} is left out: it needs libfaketime (on Debian, the package faketime).\n`)

const done = new Map<string, Outcome>()
const waiting = chosen.filter((scenario) => !missing.includes(scenario))
const inTurn = async () => {
  for (let scenario = waiting.shift(); scenario !== undefined; scenario = waiting.shift()) {
    const outcome = await runScenario(scenario, settings)
    done.set(scenario.name, outcome)
    console.log(`${details(outcome)}\n`)
  }
}
await Promise.all(Array.from({ length: parallel }, inTurn))
const outcomes = chosen.flatMap(({ name }) => done.get(name) ?? [])
console.log(`${table(outcomes)}\n\n${byFault(outcomes)}`)
if (options.json !== undefined) writeFileSync(options.json, JSON.stringify({ seed, options, outcomes }, null, 2))
const violations = outcomes.reduce((sum, outcome) => sum + outcome.violations.length, 0)
console.log(
  `\n${violations === 0 ? "Nothing that is promised was broken." : `${violations} violations.`} Seed ${seed}.`
)
process.exit(violations === 0 ? 0 : 1)
