/** A worker in a process of its own, for the scenario with several. */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { loadPeer, type PeerName } from "./peers/index.ts"
import { onClientCore } from "./redis.ts"

/** A process that waits for `go`, and tells what it did when it is stopped. */
export interface WorkerProcess {
  readonly go: () => void
  /** How many runs there have been, a little ago. */
  readonly runs: () => number
  readonly stop: () => Promise<Served>
}

export interface Served {
  /** How many runs there were in each millisecond since the epoch. */
  readonly byMillisecond: ReadonlyArray<readonly [epochMillis: number, runs: number]>
  /** CPU time of the process, in microseconds. */
  readonly cpuMicros: number
}

type Message =
  | { readonly _tag: "Ready" }
  | { readonly _tag: "Ran"; readonly runs: number }
  | { readonly _tag: "Stopped"; readonly served: Served }

/** CPU time that this process has used so far, in microseconds. */
export const cpuMicros = (): number => {
  const { system, user } = process.cpuUsage()
  return user + system
}

/** Starts the process; it is ready to `go` when this completes. */
export const startWorker = async (
  script: string,
  peer: PeerName,
  url: string,
  index: number,
  concurrency: number
): Promise<WorkerProcess> => {
  const args = [script, peer, "worker", String(concurrency), "--url", url]
  const child = spawn(...onClientCore(process.execPath, args, index), {
    stdio: ["ignore", "ignore", "inherit", "ipc"]
  })
  let runs = 0
  const ready = Promise.withResolvers<void>()
  const stopped = Promise.withResolvers<Served>()
  child.once("exit", (code) => {
    const problem = new Error(`a worker process ended with ${code}`)
    ready.reject(problem)
    stopped.reject(problem)
  })
  // Whoever needs it hears of the end of the process; if nobody does, it does not matter.
  stopped.promise.catch(() => {})
  child.on("message", (message: Message) => {
    if (message._tag === "Ready") ready.resolve()
    else if (message._tag === "Ran") runs = message.runs
    else stopped.resolve(message.served)
  })
  await ready.promise
  return {
    go: () => void child.send("go"),
    runs: () => runs,
    stop: async () => {
      child.send("stop")
      const served = await stopped.promise
      child.disconnect()
      return served
    }
  }
}

/** What the process does. */
export const serve = async (name: PeerName, url: string, concurrency: number): Promise<void> => {
  const peer = await loadPeer(name)
  const tell = (message: Message) => process.send!(message)
  const byMillisecond = new Map<number, number>()
  let runs = 0
  const onRun = () => {
    runs++
    const now = Math.floor(performance.timeOrigin + performance.now())
    byMillisecond.set(now, (byMillisecond.get(now) ?? 0) + 1)
  }
  tell({ _tag: "Ready" })
  await once(process, "message") // go
  const worker = await peer.worker(url, { kind: "noop", concurrency, onRun })
  const reports = setInterval(() => tell({ _tag: "Ran", runs }), 20)
  await once(process, "message") // stop
  clearInterval(reports)
  await worker.close()
  tell({ _tag: "Stopped", served: { byMillisecond: [...byMillisecond], cpuMicros: cpuMicros() } })
}
