/** Measures this package beside its peers, on one Redis, in turns. */
import { readFileSync, writeFileSync } from "node:fs"
import { arch, cpus, loadavg, platform } from "node:os"
import { optionsOf } from "../test/support/commandLine.ts"
import { installEffectMq } from "./effect-mq/install.ts"
import { isPeerName, type PeerName, peerNames, unusual } from "./peers/index.ts"
import { clientCores, type Server, withServer } from "./redis.ts"
import { figuresTable, goalResults, goalsTable, json, ratiosTable } from "./report.ts"
import { calmForeign, measureAll } from "./rounds.ts"
import { type Scenario, scenarios } from "./scenarios.ts"
import { median } from "./statistics.ts"

const usage = `npm run bench -- [options]

  --quick           fewer scenarios, peers and tasks
  --rounds N        measures all of it so many times, in turns. Default: 3
  --only NAME,…     these scenarios only
  --list            lists the scenarios
  --peers NAME,…    these only, of: ${peerNames.join(", ")}
  --calm            repeats a run, up to three times, beside which the machine did other work
  --json FILE       writes all that was measured to a file
  --help            says this`

const options = optionsOf(usage, {
  quick: { type: "boolean", default: false },
  rounds: { type: "string", default: "3" },
  only: { type: "string" },
  peers: { type: "string" },
  json: { type: "string" },
  calm: { type: "boolean", default: false },
  list: { type: "boolean", default: false }
})

const fail = (problem: string): never => {
  console.error(problem)
  process.exit(2)
}

const names = (list: string) => list.split(",").map((name) => name.trim())

const chosenScenarios = (): ReadonlyArray<Scenario> => {
  if (options.only === undefined) return scenarios.filter(({ quick }) => quick || !options.quick)
  return names(options.only).map(
    (name) =>
      scenarios.find((scenario) => scenario.name === name) ??
      fail(`There is no scenario "${name}". There are: ${scenarios.map(({ name }) => name).join(", ")}`)
  )
}

const quickPeers: ReadonlyArray<PeerName> = ["docket", "bullmq", "limit"]
const usualPeers: ReadonlyArray<PeerName> = peerNames.filter((name) => !unusual.has(name))

const chosenPeers = (): ReadonlyArray<PeerName> => {
  if (options.peers === undefined) return options.quick ? quickPeers : usualPeers
  return names(options.peers).map((name) =>
    isPeerName(name) ? name : fail(`There is no peer "${name}". There are: ${peerNames.join(", ")}`)
  )
}

const versionOf = (path: string): string => {
  try {
    return JSON.parse(readFileSync(new URL(path, import.meta.url), "utf8")).version
  } catch {
    return "not installed"
  }
}

const about = (server: Server) => ({
  date: new Date().toISOString(),
  machine: {
    cpu: cpus()[0]?.model.trim() ?? "?",
    cores: cpus().length,
    platform: `${platform()} ${arch()}`,
    loadBefore: loadavg()[0]
  },
  pinned: clientCores.length > 0,
  versions: {
    node: process.versions.node,
    redis: server.version,
    "effect-docket": versionOf("../package.json"),
    effect: versionOf("../node_modules/effect/package.json"),
    ioredis: versionOf("../node_modules/ioredis/package.json"),
    bullmq: versionOf("../node_modules/bullmq/package.json"),
    "effect-mq": versionOf("effect-mq/node_modules/effect-mq/package.json")
  }
})

if (options.list) {
  for (const { metrics, name, quick } of scenarios) {
    console.log(`${name.padEnd(14)} ${quick ? "quick" : "     "}  ${metrics.map(({ title }) => title).join("; ")}`)
  }
  process.exit()
}

const rounds = Number(options.rounds)
if (!Number.isInteger(rounds) || rounds < 1) fail("--rounds has to be a whole number of at least 1")

const scenariosToRun = chosenScenarios()
const wanted = chosenPeers()
const problem = wanted.includes("effect-mq") ? installEffectMq() : undefined
if (problem !== undefined) console.log(`effect-mq is skipped: ${problem}`)
const peers = wanted.filter((peer) => peer !== "effect-mq" || problem === undefined)

await withServer(async (server) => {
  const begin = performance.now()
  const head = about(server)
  const { cores, cpu, loadBefore } = head.machine
  console.log(`${cpu}, ${cores} cores, ${head.machine.platform}, load ${loadBefore?.toFixed(2)}`)
  console.log(head.pinned ? "Redis on core 0, clients on the others" : "nothing is pinned to a core")
  console.log(
    Object.entries(head.versions)
      .map(([name, version]) => `${name} ${version}`)
      .join(", ")
  )
  const { failures, figures, foreign } = await measureAll(scenariosToRun, peers, server, {
    rounds,
    quick: options.quick,
    calm: options.calm
  })
  const goals = goalResults(figures)
  console.log(`\nMedians of ${rounds} rounds (lowest–highest)\n\n${figuresTable(figures, peers)}`)
  if (peers.includes("docket") && peers.length > 1) {
    console.log(`\nRatios, taken round by round, median (lowest–highest)\n\n${ratiosTable(figures, peers)}`)
  }
  if (goals.length > 0) console.log(`\nGoals\n\n${goalsTable(goals)}`)
  console.log(
    `\nOther processes used ${median(foreign).toFixed(2)} of a core beside a run (median; ${Math.max(...foreign).toFixed(2)} at most)${median(foreign) > calmForeign ? ": too much for these figures to mean anything. Try --calm" : ""}.`
  )
  console.log(`${Math.round((performance.now() - begin) / 1000)} s`)
  if (options.json !== undefined) {
    const result = { ...head, rounds, quick: options.quick, ...json(figures, peers), foreign, failures }
    writeFileSync(options.json, `${JSON.stringify(result, undefined, 2)}\n`)
  }
  if (failures.length > 0) process.exitCode = 1
})
