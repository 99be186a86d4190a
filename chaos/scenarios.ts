/** What is tried: a load, and who harms it how. */
import * as Faults from "./faults.ts"
import { sleep, type Topology } from "./world.ts"

export interface Scenario {
  readonly name: string
  /** Left out of `--quick`, unless it is named. */
  readonly isLong?: boolean
  /** For the report. */
  readonly title: string
  readonly topology: Topology["_tag"]
  /** What the URL ends with. */
  readonly query?: string
  readonly workers: number
  readonly concurrency: number
  readonly leaseMillis: number
  /** Of the long form, and of `--quick`. */
  readonly tasks: readonly [long: number, quick: number]
  /** Over how many seconds they are added. */
  readonly seconds: readonly [long: number, quick: number]
  /** How long one runs, on average. */
  readonly millis: number
  readonly narrow?: number
  readonly poison?: number
  /** Milliseconds by which the clocks of workers are wrong, one after the other. */
  readonly skews?: ReadonlyArray<number>
  /** What happens, one after the other, again and again for as long as tasks are added. */
  readonly faults: ReadonlyArray<Faults.Strike>
  /** Between two faults. */
  readonly pauseMillis: readonly [least: number, most: number]
}

const usual = {
  topology: "Single",
  workers: 4,
  concurrency: 10,
  leaseMillis: 5000,
  tasks: [6000, 1000],
  seconds: [60, 10],
  millis: 20,
  narrow: 40,
  pauseMillis: [300, 1500]
} as const satisfies Partial<Scenario>

const keepWorkers = Faults.replaceDead(usual.workers)

export const scenarios: ReadonlyArray<Scenario> = [
  {
    ...usual,
    name: "kills",
    title: "a worker is killed every two seconds",
    tasks: [20_000, 1600],
    seconds: [60, 12],
    millis: 30,
    faults: [Faults.killWorker],
    pauseMillis: [2000, 2000]
  },
  {
    ...usual,
    name: "freezes",
    title: "workers stand still for 0.5 to 8 s (lease 5 s)",
    seconds: [90, 18],
    faults: [Faults.freezeWorker(500, 8000)]
  },
  {
    ...usual,
    name: "redis-kills",
    title: "Redis is killed and started again, with its append-only file",
    faults: [Faults.killRedis(0, 1500)],
    pauseMillis: [1000, 3000]
  },
  {
    ...usual,
    name: "away-7",
    isLong: true,
    title: "Redis is away for 7 s (lease 5 s)",
    tasks: [3000, 800],
    seconds: [100, 12],
    faults: [Faults.killRedis(7000, 7000)],
    pauseMillis: [2000, 4000]
  },
  {
    ...usual,
    name: "redis-freezes",
    isLong: true,
    title: "Redis stands still for 0.5 to 4 s",
    faults: [Faults.freezeRedis(500, 4000)],
    pauseMillis: [1000, 2000]
  },
  {
    ...usual,
    name: "network",
    title: "connections are cut, delayed, lose replies, or let nothing pass",
    faults: [Faults.cutConnections, Faults.dropReplies, Faults.slowDown, Faults.dropReplies, Faults.silence(500, 3000)]
  },
  {
    ...usual,
    name: "operators",
    title: "CLIENT KILL, SCRIPT FLUSH, memory full",
    faults: [Faults.killClients, Faults.flushScripts, Faults.killClients, Faults.fillMemory]
  },
  {
    ...usual,
    name: "poison",
    title: "tasks that end their process (at most 3 deliveries)",
    tasks: [2000, 600],
    poison: 3,
    leaseMillis: 2000,
    faults: [keepWorkers],
    pauseMillis: [100, 300]
  },
  {
    ...usual,
    name: "skew",
    isLong: true,
    title: "workers whose clocks are an hour fast or slow, some killed",
    tasks: [3000, 600],
    skews: [3_600_000, -3_600_000, 0, 600_000],
    faults: [Faults.killWorker],
    pauseMillis: [3000, 3000]
  },
  {
    ...usual,
    name: "confusion",
    title: "wrong types under the docket's own keys, for a while",
    faults: [Faults.confuse]
  },
  {
    ...usual,
    name: "sentinel",
    topology: "Sentinel",
    title: "Sentinel failovers: forced, master killed, master frozen",
    tasks: [6000, 1000],
    seconds: [120, 20],
    faults: [Faults.failover("forced"), Faults.failover("killed"), Faults.failover("frozen")],
    pauseMillis: [1000, 2000]
  },
  {
    ...usual,
    name: "sentinel-wait",
    isLong: true,
    title: "the same, and each write has to be on the replica",
    topology: "Sentinel",
    query: "?replicas=1",
    tasks: [6000, 1000],
    seconds: [120, 20],
    faults: [Faults.failover("forced"), Faults.failover("killed"), Faults.failover("frozen")],
    pauseMillis: [1000, 2000]
  },
  {
    ...usual,
    name: "cluster",
    topology: "Cluster",
    title: "cluster failovers, forced, killed and frozen, and the slot moved",
    tasks: [6000, 1000],
    seconds: [120, 20],
    faults: [
      Faults.failover("forced"),
      Faults.migrateSlot,
      Faults.failover("killed"),
      Faults.migrateSlot,
      Faults.failover("frozen")
    ],
    pauseMillis: [1000, 2000]
  },
  {
    ...usual,
    name: "everything",
    title: "all of it that a single server can have, in any order",
    tasks: [20_000, 1200],
    seconds: [300, 15],
    faults: [
      Faults.killWorker,
      Faults.freezeWorker(500, 7000),
      Faults.killRedis(0, 1500),
      Faults.cutConnections,
      Faults.dropReplies,
      Faults.slowDown,
      Faults.silence(300, 1500),
      Faults.killClients,
      Faults.flushScripts,
      Faults.fillMemory,
      keepWorkers
    ].map((strike) => async (world) => {
      await strike(world)
      await sleep(world.random.between(0, 300))
    })
  }
]
