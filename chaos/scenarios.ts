/** What is tried: a load, and who harms it how. */
import type { Bounds } from "./checker.ts"
import * as Faults from "./faults.ts"
import { nodeTimeoutMillis, sleep, type Topology, type World } from "./world.ts"

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
  readonly poison?: readonly [long: number, quick: number]
  /** Milliseconds by which the clocks of workers are wrong, one after the other. */
  readonly skews?: ReadonlyArray<number>
  /** Whether there is a recurring task. Default: yes. */
  readonly ticks?: boolean
  /** Whether workers have clocks that can be set; it needs libfaketime. */
  readonly fakeTime?: boolean
  /** What happens, one after the other, again and again for as long as tasks are added. */
  readonly faults: ReadonlyArray<Faults.Strike>
  /** What happens instead of all that, and adds its tasks itself. */
  readonly script?: (world: World, tasks: number) => Promise<void>
  /** How often; then tasks are added for as long as that takes. Default: for as long as tasks are added. */
  readonly times?: readonly [long: number, quick: number]
  /** What is promised of times and costs; only the long form looks at it. */
  readonly bounds?: Omit<Bounds, "faults">
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

const keepWorkers = Faults.supervise(usual.workers)

/** Redis away for so long, again and again, while the workers have much to do or nothing. */
const away = (seconds: number, times: number): ReadonlyArray<Scenario> => {
  const strike = Faults.killRedis(seconds * 1000, seconds * 1000)
  const common = {
    ...usual,
    // As by default: what runs goes on.
    leaseMillis: 300_000,
    times: [times, 1],
    pauseMillis: [2000, 3000],
    bounds: { resumeMillis: 3000, awayCpuPercent: 20, warnings: 1 },
    isLong: true
  } as const satisfies Partial<Scenario>
  const endless = 1200
  return [
    {
      ...common,
      name: `away-${seconds}-busy`,
      title: `Redis is away for ${seconds} s, and there is much to do`,
      tasks: [100 * endless, 100 * endless],
      seconds: [endless, endless],
      faults: [strike]
    },
    {
      ...common,
      name: `away-${seconds}-idle`,
      title: `Redis is away for ${seconds} s, and there is nothing to do`,
      tasks: [0, 0],
      narrow: 0,
      ticks: false,
      faults: [Faults.withProbe(strike)]
    }
  ]
}

const failovers = {
  ...usual,
  tasks: [100_000, 100_000],
  seconds: [2000, 2000],
  pauseMillis: [1000, 2000]
} as const satisfies Partial<Scenario>
const sentinelFailovers = [Faults.failover("forced"), Faults.failover("killed"), Faults.failover("frozen")]

export const scenarios: ReadonlyArray<Scenario> = [
  {
    ...usual,
    name: "kills",
    title: "a worker is killed every two seconds",
    tasks: [20_000, 1600],
    seconds: [60, 12],
    millis: 30,
    faults: [Faults.killWorker],
    pauseMillis: [2000, 2000],
    bounds: { afterLastMillis: 15_000, redeliverMillis: 5000 }
  },
  {
    ...usual,
    name: "orphans",
    title: "10 orphans behind 5,000 fresh leases",
    workers: 0,
    tasks: [5000, 500],
    narrow: 0,
    ticks: false,
    script: Faults.orphan,
    faults: [],
    bounds: { redeliverMillis: 5000 }
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
    name: "outlived",
    isLong: true,
    title: "Redis is away for 7 s, longer than leases last (5 s)",
    tasks: [3000, 800],
    seconds: [100, 12],
    faults: [Faults.killRedis(7000, 7000)],
    pauseMillis: [2000, 4000]
  },
  ...away(1, 25),
  ...away(7, 25),
  ...away(35, 8),
  ...away(120, 3),
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
    title: "tasks that end their process, hang, or take all memory",
    tasks: [4000, 600],
    poison: [3, 2],
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
    name: "clocks",
    title: "the dates of workers are set forth and back, by up to a day",
    tasks: [6000, 1000],
    fakeTime: true,
    isLong: true,
    faults: [Faults.shiftClock]
  },
  {
    ...usual,
    name: "memory",
    title: "much work over connections that break: is memory flat?",
    workers: 2,
    tasks: [30_000, 2000],
    seconds: [90, 10],
    millis: 10,
    isLong: true,
    faults: [Faults.cutConnections, Faults.dropReplies, Faults.killRedis(0, 500), Faults.killClients],
    pauseMillis: [500, 1500]
  },
  {
    ...usual,
    name: "confusion",
    title: "wrong types under the docket's own keys for a while, and random bytes in records",
    faults: [Faults.confuse, Faults.scribble]
  },
  {
    ...usual,
    name: "forgetting",
    isLong: true,
    title: "the lists of what waits and what runs are deleted",
    faults: [Faults.forget],
    pauseMillis: [3000, 5000]
  },
  {
    ...failovers,
    name: "sentinel",
    topology: "Sentinel",
    title: "Sentinel failovers: forced, master killed, master frozen",
    times: [30, 3],
    faults: sentinelFailovers,
    bounds: { resumeMillis: 5000 }
  },
  {
    ...failovers,
    name: "sentinel-wait",
    isLong: true,
    title: "the same, and each write has to be on the replica",
    topology: "Sentinel",
    query: "?replicas=1",
    times: [30, 3],
    faults: sentinelFailovers,
    // As above, once there can be a replica again: a master that was killed comes back so long after the promotion.
    bounds: { resumeMillis: Faults.absenceMillis + 5000 }
  },
  {
    ...failovers,
    name: "cluster",
    topology: "Cluster",
    title: "cluster failovers, forced, killed and frozen, and the slot moved",
    times: [20, 4],
    faults: [
      Faults.failover("forced"),
      Faults.migrateSlot,
      Faults.failover("killed"),
      Faults.migrateSlot,
      Faults.failover("frozen")
    ],
    bounds: { resumeMillis: 5000, recoverMillis: nodeTimeoutMillis + 5000 }
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
