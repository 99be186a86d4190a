/** What a scenario has at hand: servers, processes, and ways to harm them. All of it ends with the scope. */
import { Effect, Schedule, type Scope } from "effect"
import * as ChildProcess from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { Dockets, type Docket } from "../src/index.ts"
import * as RedisCluster from "../test/support/RedisCluster.ts"
import * as RedisSentinel from "../test/support/RedisSentinel.ts"
import * as RedisServer from "../test/support/RedisServer.ts"
import { openLedger } from "./ledger.ts"
import { type Proxy, startProxy } from "./proxy.ts"
import type { Random } from "./random.ts"

export type Server = RedisServer.RedisServer["Service"]

/** Where the docket is. */
export type Topology =
  | { readonly _tag: "Single"; readonly server: Server; readonly proxy: Proxy }
  | { readonly _tag: "Sentinel"; readonly sentinel: RedisSentinel.RedisSentinel["Service"] }
  | { readonly _tag: "Cluster"; readonly cluster: RedisCluster.RedisCluster["Service"] }

export const docketName = "chaos"
export const prefix = `{${docketName}}:`

export interface WorkerProcess {
  /** Of this incarnation. */
  readonly name: string
  readonly child: ChildProcess.ChildProcess
  readonly exited: Promise<void>
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
  /** Starts a producer; completes when it has had everything confirmed. */
  readonly produce: (env: Readonly<Record<string, string>>) => Promise<void>
  /** Does harm, and writes down from when until when. */
  readonly harm: (
    fault: { readonly name: string; readonly target?: string; readonly mayRollBack?: boolean },
    act: () => Promise<unknown>
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
}

const program = (name: string) => fileURLToPath(new URL(`./programs/${name}`, import.meta.url))

export const sleep = (millis: number) => new Promise<void>((resolve) => setTimeout(resolve, millis))

const exitOf = (child: ChildProcess.ChildProcess) =>
  new Promise<void>((resolve) => {
    child.once("exit", () => resolve())
  })

export const makeWorld: (options: WorldOptions) => Effect.Effect<World, unknown, Scope.Scope> = Effect.fnUntraced(
  function* ({ concurrency, leaseMillis, maxDeliveries, query, random, topology: kind }) {
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
      const child = ChildProcess.spawn(process.execPath, [program(name)], {
        env: {
          PATH: process.env["PATH"] ?? "",
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
    const startWorker = async (env: Readonly<Record<string, string>> = {}) => {
      const name = `worker-${++incarnations}`
      const { child, exited } = spawn("worker.ts", name, {
        WORKER_NAME: name,
        WORKER_CONCURRENCY: String(concurrency),
        WORKER_LEASE: `${leaseMillis} millis`,
        WORKER_DELIVERIES: String(maxDeliveries),
        ...env
      })
      const worker: WorkerProcess = {
        name,
        child,
        exited: exited.then(() => {
          workers.delete(worker)
          // Only a task that takes down its process ends it like this.
          if (child.exitCode !== 1) return
          const at = Date.now()
          ledger.write({ kind: "fault", name: "process ended", target: name, from: at, until: at, mayRollBack: false })
        })
      }
      workers.add(worker)
      return worker
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
      produce: async (env) => {
        const { child, exited } = spawn("producer.ts", `producer-${++incarnations}`, env)
        await exited
        if (child.exitCode !== 0) throw new Error(`The producer ended with ${child.exitCode ?? child.signalCode}`)
      },
      harm: async ({ mayRollBack = false, name, target = "store" }, act) => {
        const from = Date.now()
        await act()
        ledger.write({ kind: "fault", name, target, from, until: Date.now(), mayRollBack })
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
      return { _tag: "Cluster", cluster: yield* RedisCluster.make({ replicas: 1 }) }
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
