/**
 * Measures one scenario of one peer, once: `node bench/run.ts <peer> <scenario> [--quick] [--url redis://…]`.
 *
 * Without a URL it starts a server of its own, which is of use with a profiler. Under `main.ts` it answers by message.
 */
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { isPeerName, loadPeer, type PeerName } from "./peers/index.ts"
import { pinThisProcess, withServer } from "./redis.ts"
import { type Scenario, scenarios } from "./scenarios.ts"
import { observe } from "./server.ts"
import { cpuMicros, serve, startWorker } from "./workerProcess.ts"

/** What the parent gets. */
export interface Measured {
  /** By id; absent when the peer cannot do it. */
  readonly metrics: Readonly<Record<string, number>> | undefined
  /** CPU time of everything that took part, in microseconds. */
  readonly cpuMicros: number
}

const script = fileURLToPath(import.meta.url)

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { quick: { type: "boolean", default: false }, url: { type: "string" } }
})
const [name = "", what = "", concurrency] = positionals

const measure = async (name: PeerName, scenario: Scenario, url: string): Promise<Measured> => {
  const peer = await loadPeer(name)
  const server = await observe(url)
  const before = await server.cpuMicros()
  let ofWorkers = 0
  const metrics = scenario.needs.every((feature) => peer.features.has(feature))
    ? await scenario.run({
        peer,
        url,
        server,
        quick: values.quick,
        startWorker: async (index, concurrency) => {
          const worker = await startWorker(script, name, url, index, concurrency)
          return {
            ...worker,
            stop: async () => {
              const served = await worker.stop()
              ofWorkers += served.cpuMicros
              return served
            }
          }
        }
      })
    : undefined
  const ofServer = (await server.cpuMicros()) - before
  server.close()
  return { metrics, cpuMicros: ofServer + ofWorkers + cpuMicros() }
}

const scenario = scenarios.find((scenario) => scenario.name === what)
if (!isPeerName(name) || (scenario === undefined && what !== "worker")) {
  console.error("node bench/run.ts <peer> <scenario> [--quick] [--url redis://…]")
  process.exit(2)
}

if (scenario === undefined) {
  await serve(name, values.url!, Number(concurrency))
} else if (values.url === undefined) {
  pinThisProcess()
  await withServer(async ({ url }) => console.log((await measure(name, scenario, url)).metrics ?? "unsupported"))
} else {
  const measured = await measure(name, scenario, values.url)
  if (process.send === undefined) console.log(measured)
  else process.send(measured, () => process.disconnect())
}
