/** Many executions behind concurrency limits, run by worker processes, some of which are killed. */
import { Effect, Schedule } from "effect"
import { existsSync, readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { type Docket, Task } from "../../src/index.ts"
import * as Process from "../support/processes.ts"
import { realTime } from "../support/waitUntil.ts"
import { limited } from "./programs/limited.ts"

export interface Options {
  readonly docket: Docket["Service"]
  readonly env: Readonly<Record<string, string>>
  readonly ledger: string
  readonly executions: number
  /** Over all tasks. */
  readonly values: number
  readonly millis: number
  readonly workers: number
  readonly concurrency: number
  readonly leaseMillis: number
  /** A worker is killed and replaced so often, while there is anything left to run. */
  readonly kills: number
  readonly killEveryMillis: number
}

/** What the ledger says. */
export interface Outcome {
  /** Where more ran at a time than a limit allows, in words. */
  readonly excesses: ReadonlyArray<string>
  readonly ended: number
  readonly began: number
  readonly killed: number
  /** For each task and value, the executions in the order in which they first began. */
  readonly order: ReadonlyMap<string, ReadonlyArray<number>>
  /** The longest time between the death of a worker and the next begin of what it ran, in milliseconds. */
  readonly longestTakeOver: number
  readonly took: number
}

/** Lets a fleet run until nothing is left, and reads its ledger. */
export const runFleet = Effect.fnUntraced(function* (options: Options) {
  const { docket } = options
  const ids = Array.from({ length: options.executions }, (_, id) => id)
  yield* docket.addAll(
    ids.map((id) => {
      const value = id % options.values
      return Task.request(limited[value % limited.length]!, { id, value, millis: options.millis }, { key: `e${id}` })
    })
  )
  let started = 0
  const startWorker = Effect.suspend(() => {
    const name = `w${++started}`
    return Effect.map(
      Process.start([], {
        command: [process.execPath, fileURLToPath(new URL("./programs/limited.ts", import.meta.url))],
        env: {
          ...options.env,
          LEDGER: options.ledger,
          WORKER_NAME: name,
          WORKER_CONCURRENCY: String(options.concurrency),
          WORKER_LEASE: `${options.leaseMillis} millis`
        }
      }),
      (running) => ({ ...running, name })
    )
  })
  const began = performance.now()
  const fleet = yield* Effect.all(Array.from({ length: options.workers }, () => startWorker))
  const deaths = new Map<string, number>()
  const isFinished = Effect.map(
    docket.store.depth,
    ({ queued, running, scheduled }) => queued + running + scheduled === 0
  )

  for (let n = 0; n < options.kills; n++) {
    yield* realTime(options.killEveryMillis)
    if (yield* isFinished) break
    const victim = fleet.shift()!
    yield* victim.kill("SIGKILL")
    yield* victim.ended
    deaths.set(victim.name, performance.timeOrigin + performance.now())
    fleet.push(yield* startWorker)
  }
  yield* isFinished.pipe(
    Effect.repeat({ until: (finished) => finished, schedule: Schedule.spaced("50 millis") }),
    Effect.timeout("5 minutes")
  )
  const took = performance.now() - began
  return { ...read(options.ledger, deaths), killed: deaths.size, took } satisfies Outcome
})

const read = (path: string, deaths: ReadonlyMap<string, number>) => {
  const running = new Map<string, Map<string, string>>()
  const order = new Map<string, Array<number>>()
  const seen = new Set<string>()
  const ended = new Set<string>()
  const excesses: Array<string> = []
  let begins = 0
  let longestTakeOver = 0
  const lines = existsSync(path) ? readFileSync(path, "utf8").trim().split("\n") : []
  for (const line of lines) {
    const [what, id, worker, task, value, at] = line.split(" ") as [string, string, string, string, string, string]
    const control = `${task} ${value}`
    const runs = running.get(control) ?? new Map<string, string>()
    running.set(control, runs)
    if (what === "ended") {
      if (runs.get(id) === worker) runs.delete(id)
      ended.add(id)
      continue
    }
    begins++
    const before = runs.get(id)
    const death = before === undefined ? undefined : deaths.get(before)
    if (death !== undefined) longestTakeOver = Math.max(longestTakeOver, Number(at) - death)
    // One that begins again takes the place of a run whose worker was killed.
    runs.set(id, worker)
    const limit = Number(task.slice(-1))
    if (runs.size > limit)
      excesses.push(`${runs.size} of ${control} run at once: ${Array.from(runs.keys()).join(", ")}`)
    if (!seen.has(id)) order.set(control, [...(order.get(control) ?? []), Number(id)])
    seen.add(id)
  }
  return { excesses, ended: ended.size, began: begins, order, longestTakeOver }
}
