/** The rounds: each scenario of each peer in turn, again and again, each in a process of its own. */
import { spawn } from "node:child_process"
import { cpus } from "node:os"
import { fileURLToPath } from "node:url"
import type { PeerName } from "./peers/index.ts"
import { flush, onClientCore, type Server } from "./redis.ts"
import type { Figures, Rounds } from "./report.ts"
import type { Measured } from "./run.ts"
import type { Scenario } from "./scenarios.ts"
import { cpuMicros } from "./workerProcess.ts"

const script = fileURLToPath(new URL("run.ts", import.meta.url))

export interface Options {
  readonly rounds: number
  readonly quick: boolean
  /** Whether a run beside which the machine did other work is repeated. */
  readonly calm: boolean
}

/** CPU time that the whole machine has spent so far, in microseconds. */
const machineMicros = () => cpus().reduce((sum, { times }) => sum + (times.user + times.nice + times.sys) * 1000, 0)

interface Run {
  readonly metrics: Measured["metrics"]
  /** How many cores' worth of time went to processes that had no part in it. */
  readonly foreign: number
}

const runOnce = async (peer: PeerName, scenario: Scenario, { url }: Server, quick: boolean): Promise<Run> => {
  const begin = { at: performance.now(), machine: machineMicros(), own: cpuMicros() }
  const measured = await new Promise<Measured>((resolve, reject) => {
    const args = [script, peer, scenario.name, "--url", url, ...(quick ? ["--quick"] : [])]
    const child = spawn(...onClientCore(process.execPath, args), { stdio: ["ignore", "ignore", "pipe", "ipc"] })
    let stderr = ""
    let measured: Measured | undefined
    child.stderr!.on("data", (text) => (stderr += text))
    child.once("message", (message) => (measured = message as Measured))
    const timer = setTimeout(() => child.kill("SIGKILL"), scenario.timeoutSeconds * 1000)
    child.once("error", reject)
    child.once("close", (code, signal) => {
      clearTimeout(timer)
      if (code === 0 && measured !== undefined) return resolve(measured)
      const problem = signal === "SIGKILL" ? `it took more than ${scenario.timeoutSeconds} s` : `it ended with ${code}`
      const error = stderr.split("\n").find((line) => /(?:Error|Broken)\b/.test(line)) ?? ""
      reject(new Error(`${problem} ${error}`.trim()))
    })
  })
  const spent = machineMicros() - begin.machine - (cpuMicros() - begin.own) - measured.cpuMicros
  return { metrics: measured.metrics, foreign: Math.max(0, spent / ((performance.now() - begin.at) * 1000)) }
}

/** What other processes may use beside a run, in cores, without disturbing it. */
export const calmForeign = 0.1
const calmAttempts = 4

const run = async (peer: PeerName, scenario: Scenario, server: Server, { calm, quick }: Options): Promise<Run> => {
  let best: Run | undefined
  for (let attempt = 0; attempt < (calm ? calmAttempts : 1); attempt++) {
    await flush(server.url)
    const next = await runOnce(peer, scenario, server, quick)
    if (best === undefined || next.foreign < best.foreign) best = next
    if (best.foreign <= calmForeign || best.metrics === undefined) break
  }
  return best!
}

const progress = (text: string) => {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${text}`)
}

export interface Result {
  readonly figures: Figures
  readonly foreign: ReadonlyArray<number>
  readonly failures: ReadonlyArray<string>
}

export const measureAll = async (
  scenarios: ReadonlyArray<Scenario>,
  peers: ReadonlyArray<PeerName>,
  server: Server,
  options: Options
): Promise<Result> => {
  const figures = new Map<string, Rounds>()
  const foreign: Array<number> = []
  const failures: Array<string> = []
  const unable = new Set<string>()
  for (const scenario of scenarios) {
    const results: Array<Rounds[number]> = []
    for (let round = 0; round < options.rounds; round++) {
      const result: Rounds[number] = {}
      // The first of a round is another one each time.
      const turn = round % peers.length
      for (const peer of [...peers.slice(turn), ...peers.slice(0, turn)]) {
        const what = `${scenario.name} of ${peer}`
        if (unable.has(what)) continue
        progress(`${what}, round ${round + 1} of ${options.rounds}`)
        try {
          const { foreign: others, metrics } = await run(peer, scenario, server, options)
          if (metrics === undefined) {
            unable.add(what)
          } else {
            result[peer] = metrics
            foreign.push(others)
          }
        } catch (error) {
          const failure = `${what}, round ${round + 1}: ${error instanceof Error ? error.message : String(error)}`
          failures.push(failure)
          console.error(failure)
        }
      }
      results.push(result)
    }
    figures.set(scenario.name, results)
  }
  await flush(server.url)
  progress("")
  return { figures, foreign, failures }
}
