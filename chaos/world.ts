/** What a scenario has at hand: servers, processes, and ways to harm them. All of it ends with the scope. */
import { Effect, Schedule, type Scope } from "effect"
import * as ChildProcess from "node:child_process"
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { Dockets, type Docket } from "../src/index.ts"
import { Work } from "./programs/tasks.ts"
import * as RedisCluster from "../test/support/RedisCluster.ts"
import * as RedisSentinel from "../test/support/RedisSentinel.ts"
import * as RedisServer from "../test/support/RedisServer.ts"
import { epoch, type Fault, now, openLedger } from "./ledger.ts"
import { type Proxy, startProxy } from "./proxy.ts"
import type { Random } from "./random.ts"

export type Server = RedisServer.RedisServer["Service"]

/** Where the docket is. */
export type Topology =
  | { readonly _tag: "Single"; readonly server: Server; readonly proxy: Proxy }
  | { readonly _tag: "Sentinel"; readonly sentinel: RedisSentinel.RedisSentinel["Service"] }
  | { readonly _tag: "Cluster"; readonly cluster: RedisCluster.RedisCluster["Service"] }

/** After how long without an answer a node of the cluster counts as failed. */
export const nodeTimeoutMillis = 1000

export const docketName = "chaos"
export const prefix = `{${docketName}}:`

export interface WorkerProcess {
  /** Of this incarnation. */
  readonly name: string
  readonly child: ChildProcess.ChildProcess
  readonly exited: Promise<void>
  /** Ends it as a crash does. */
  readonly kill: () => Promise<void>
  /** When it last wrote something into its ledger; nothing before it is there. */
  readonly lastSign: () => number | undefined
  /** Makes its clock wrong by so many seconds from now on, if it was started with `fakeTime`. */
  readonly shiftClock: (seconds: number) => void
}

export interface World {
  readonly random: Random
  readonly topology: Topology
  /** Of workers and producers. */
  readonly url: string
  /** This process's own look at the docket, past the proxy. */
  readonly docket: Docket["Service"]
  readonly directory: string
  readonly workers: () => ReadonlyArray<WorkerProcess>
  readonly startWorker: (env?: Readonly<Record<string, string>>) => Promise<WorkerProcess>
  /** Tells all workers to stop, and completes when they have. */
  readonly stopWorkers: () => Promise<void>
  /** Starts a producer. */
  readonly produce: (env: Readonly<Record<string, string>>) => {
    /** Completes when it has had everything confirmed. */
    readonly done: Promise<void>
    /** Lets it begin with nothing new. */
    readonly stop: () => void
  }
  /** Adds tasks from this process, until they are confirmed; they run for so long. */
  readonly add: (count: number, millis: number) => Promise<void>
  /** Adds a task, due after so many milliseconds, of which nothing is expected; gives its key. */
  readonly sacrifice: (delayMillis: number) => Promise<string>
  /** Does harm, and writes down from when until when. The act may tell more of it. */
  readonly harm: (
    fault: Pick<Fault, "name"> & Partial<Pick<Fault, "target" | "mayRollBack" | "isAway">>,
    act: () => Promise<Partial<Pick<Fault, "name" | "from" | "back" | "sure" | "held">> | void>
  ) => Promise<void>
  /** Runs a command at the server that has the docket now. */
  readonly cli: (...args: ReadonlyArray<string>) => Promise<string>
}

export interface WorldOptions {
  readonly topology: Topology["_tag"]
  readonly random: Random
  /** What the processes' URL ends with. */
  readonly query: string
  readonly concurrency: number
  readonly leaseMillis: number
  readonly maxDeliveries: number
  /** Gives workers a clock of their own, with libfaketime at this path. */
  readonly fakeTime: string | undefined
}

/** Of tasks that are added from this process, apart from those of producers. */
const firstOwnId = 1_000_000

/** With little memory, so that a task that takes all of it is done soon. */
const nodeOptions = ["--expose-gc", "--max-old-space-size=256"]

/** The offset is read from a file again and again; the monotonic clock, by which the ledger is written, stays right. */
const fakeTimeOf = (library: string, file: string) => ({
  LD_PRELOAD: library,
  FAKETIME_TIMESTAMP_FILE: file,
  FAKETIME_CACHE_DURATION: "1",
  FAKETIME_DONT_FAKE_MONOTONIC: "1",
  DONT_FAKE_MONOTONIC: "1"
})

const program = (name: string) => fileURLToPath(new URL(`./programs/${name}`, import.meta.url))

export const sleep = (millis: number) => new Promise<void>((resolve) => setTimeout(resolve, millis))

const exitOf = (child: ChildProcess.ChildProcess) =>
  new Promise<void>((resolve) => {
    child.once("exit", () => resolve())
  })

export const makeWorld: (options: WorldOptions) => Effect.Effect<World, unknown, Scope.Scope> = Effect.fnUntraced(
  function* ({ concurrency, fakeTime, leaseMillis, maxDeliveries, query, random, topology: kind }) {
    const directory = yield* Effect.acquireRelease(
      Effect.sync(() => mkdtempSync(join(tmpdir(), "docket-chaos-"))),
      (directory) => Effect.sync(() => rmSync(directory, { recursive: true, force: true }))
    )
    const topology = yield* startTopology(kind)
    const url = urlOf(topology, true) + query
    const docket = yield* Dockets.make({ name: docketName, url: urlOf(topology, false) })
    const ledger = openLedger(join(directory, "nemesis.ledger"))

    const children = new Set<ChildProcess.ChildProcess>()
    yield* Effect.addFinalizer(() =>
      Effect.promise(async () => {
        for (const child of children) child.kill("SIGKILL")
        await Promise.all(
          Array.from(children, (child) => (child.exitCode ?? child.signalCode) === null && exitOf(child))
        )
      })
    )
    const spawn = (name: string, processName: string, env: Readonly<Record<string, string>>) => {
      const child = ChildProcess.spawn(process.execPath, [...nodeOptions, program(name)], {
        env: {
          PATH: process.env["PATH"] ?? "",
          LEDGER_EPOCH: String(epoch),
          DOCKET_NAME: docketName,
          DOCKET_URL: url,
          LEDGER: join(directory, `${processName}.ledger`),
          ...env
        },
        stdio: ["ignore", "ignore", process.env["CHAOS_DEBUG"] === undefined ? "ignore" : "inherit"]
      })
      children.add(child)
      const exited = exitOf(child).then(() => void children.delete(child))
      return { child, exited }
    }

    const workers = new Set<WorkerProcess>()
    let incarnations = 0
    let isStopping = false
    const startWorker = async (env: Readonly<Record<string, string>> = {}) => {
      const name = `worker-${++incarnations}`
      const clock = join(directory, `${name}.clock`)
      if (fakeTime !== undefined) writeFileSync(clock, "+0")
      const { child, exited } = spawn("worker.ts", name, {
        WORKER_NAME: name,
        WORKER_CONCURRENCY: String(concurrency),
        WORKER_LEASE: `${leaseMillis} millis`,
        WORKER_DELIVERIES: String(maxDeliveries),
        ...(fakeTime === undefined ? {} : fakeTimeOf(fakeTime, clock)),
        ...env
      })
      let isKilled = false
      const worker: WorkerProcess = {
        name,
        child,
        exited: exited.then(() => {
          workers.delete(worker)
          if (isKilled || isStopping) return
          ledger.write({ kind: "crashed", worker: name, at: now(), how: String(child.exitCode ?? child.signalCode) })
        }),
        kill: () => {
          isKilled = true
          child.kill("SIGKILL")
          return worker.exited
        },
        lastSign: () => {
          const file = statSync(join(directory, `${name}.ledger`), { throwIfNoEntry: false })
          return file === undefined || file.size === 0 ? undefined : now() - (Date.now() - file.mtimeMs)
        },
        shiftClock: (seconds) => writeFileSync(clock, seconds < 0 ? String(seconds) : `+${seconds}`)
      }
      workers.add(worker)
      return worker
    }

    let added = 0
    const addOne = async (millis: number) => {
      const id = firstOwnId + added++
      const key = `work-${id}`
      ledger.write({ kind: "asked", key, at: now(), delayMillis: 0, task: "work" })
      let attempts = 1
      const add = Effect.tapError(docket.add(Work, { id, millis, padding: undefined }), () =>
        Effect.sync(() => attempts++)
      )
      await Effect.runPromise(Effect.retry(add, Schedule.spaced(20)))
      ledger.write({ kind: "acked", key, at: now(), attempts })
    }

    const serverNow = async (): Promise<Server> => {
      switch (topology._tag) {
        case "Single":
          return topology.server
        case "Sentinel":
          return Effect.runPromise(topology.sentinel.master)
        case "Cluster":
          return Effect.runPromise(topology.cluster.ownerOf(prefix))
      }
    }

    return {
      random,
      topology,
      url,
      docket,
      directory,
      workers: () => Array.from(workers),
      startWorker,
      stopWorkers: async () => {
        isStopping = true
        const all = Array.from(workers)
        for (const { child } of all) child.kill("SIGTERM")
        await Promise.race([Promise.all(all.map(({ exited }) => exited)), sleep(15_000)])
      },
      produce: (env) => {
        const { child, exited } = spawn("producer.ts", `producer-${++incarnations}`, env)
        return {
          done: exited.then(() => {
            if (child.exitCode !== 0) throw new Error(`The producer ended with ${child.exitCode ?? child.signalCode}`)
          }),
          stop: () => void child.kill("SIGUSR2")
        }
      },
      add: async (count, millis) => {
        await Promise.all(Array.from({ length: count }, () => addOne(millis)))
      },
      sacrifice: async (delay) => {
        const id = firstOwnId + added++
        const add = docket.add(Work, { id, millis: 1, padding: undefined }, { delay })
        await Effect.runPromise(Effect.retry(add, Schedule.spaced(20)))
        return `work-${id}`
      },
      harm: async ({ target = "store", mayRollBack = false, ...fault }, act) => {
        const from = now()
        const more = await act()
        ledger.write({ kind: "fault", ...fault, target, mayRollBack, from, until: now(), ...more })
      },
      cli: async (...args) => Effect.runPromise((await serverNow()).cli(...args))
    }
  }
)

const startTopology = Effect.fnUntraced(function* (
  kind: Topology["_tag"]
): Effect.fn.Return<Topology, unknown, Scope.Scope> {
  switch (kind) {
    case "Single": {
      const server = yield* RedisServer.make({ appendonly: true })
      const proxy = yield* Effect.acquireRelease(
        Effect.promise(() => startProxy(server.port)),
        (proxy) => Effect.promise(proxy.close)
      )
      return { _tag: "Single", server, proxy }
    }
    case "Sentinel":
      return { _tag: "Sentinel", sentinel: yield* RedisSentinel.make({ downAfterMillis: 2000 }) }
    case "Cluster":
      return { _tag: "Cluster", cluster: yield* RedisCluster.make({ replicas: 1, nodeTimeoutMillis }) }
  }
})

const urlOf = (topology: Topology, throughProxy: boolean): string => {
  switch (topology._tag) {
    case "Single":
      return throughProxy ? `redis://127.0.0.1:${topology.proxy.port}/0` : topology.server.url
    case "Sentinel":
      return topology.sentinel.url
    case "Cluster":
      return topology.cluster.url
  }
}

/** Waits until something is so, for at most so long; tells whether it came to that. */
export const waitFor = (isSo: () => Promise<boolean>, millis: number): Promise<boolean> =>
  Effect.tryPromise(isSo).pipe(
    Effect.orElseSucceed(() => false),
    Effect.repeat({ until: (so) => so, schedule: Schedule.spaced(100) }),
    Effect.timeoutOrElse({ duration: millis, orElse: () => Effect.succeed(false) }),
    Effect.runPromise
  )
