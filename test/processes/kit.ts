/** Producers, worker processes, and the ledger in which these write down what they run. */
import { Effect, Schedule } from "effect"
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { Dockets, type Execution } from "../../src/index.ts"
import * as Process from "../support/processes.ts"
import type { RedisServer } from "../support/RedisServer.ts"
import { waitUntil } from "../support/waitUntil.ts"

const program = (name: string) => fileURLToPath(new URL(`./programs/${name}`, import.meta.url))

/** The module of the tasks, for the command line. */
export const tasksModule = program("tasks.ts")

/** What the processes wrote down. */
export interface Ledger {
  readonly path: string
  readonly began: () => ReadonlyArray<number>
  readonly ended: () => ReadonlyArray<number>
  /** The names of the workers that ran something. */
  readonly workers: () => ReadonlySet<string>
  /** Waits until so many runs have ended. */
  readonly untilEnded: (count: number) => Effect.Effect<void>
}

export const makeLedger = Effect.gen(function* () {
  const directory = yield* Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "docket-ledger-"))),
    (directory) => Effect.sync(() => rmSync(directory, { recursive: true, force: true }))
  )
  const path = join(directory, "ledger")
  const lines = () =>
    existsSync(path)
      ? readFileSync(path, "utf8")
          .split("\n")
          .filter((line) => line !== "")
          .map((line) => line.split(" "))
      : []
  const idsOf = (what: string) =>
    lines()
      .filter(([word]) => word === what)
      .map(([, id]) => Number(id))
  const ledger: Ledger = {
    path,
    began: () => idsOf("began"),
    ended: () => idsOf("ended"),
    workers: () => new Set(lines().map(([, , worker]) => worker ?? "")),
    untilEnded: (count) =>
      waitUntil(
        `${count} runs have ended`,
        Effect.sync(() => idsOf("ended").length >= count)
      )
  }
  return ledger
})

let dockets = 0

/** A docket of a test's own: where it is, and this process's handle on it. */
export const makeDocket = Effect.fnUntraced(function* ({ url }: RedisServer["Service"]) {
  const name = `processes-${++dockets}`
  const docket = yield* Dockets.make({ url, name })
  return { docket, env: { DOCKET_URL: url, DOCKET_NAME: name } }
})

interface WorkerOptions {
  readonly env: Readonly<Record<string, string>>
  readonly ledger: Ledger
  readonly name: string
}

/** Starts a process with a worker. */
export const startWorker = (options: WorkerOptions & { readonly concurrency?: number; readonly lease?: string }) =>
  startProcess([], {
    command: [process.execPath, program("worker.ts")],
    env: {
      ...options.env,
      LEDGER: options.ledger.path,
      WORKER_NAME: options.name,
      WORKER_CONCURRENCY: String(options.concurrency ?? 10),
      WORKER_LEASE: options.lease ?? "1 minute"
    }
  })

/** Starts a process with the worker of the command line. */
export const startCommand = (options: WorkerOptions) =>
  startProcess(["worker", "--tasks", tasksModule, "--name", options.name], {
    env: { ...options.env, LEDGER: options.ledger.path }
  })

/** Starts a process with a worker of a recurring task, which kills itself at a step of the third run's end. */
export const startRecurring = ({ env, killAt, ledger }: Omit<WorkerOptions, "name"> & { readonly killAt: string }) =>
  Process.start([], {
    command: [process.execPath, program("recurring.ts")],
    env: { ...env, LEDGER: ledger.path, KILL_AT: killAt }
  })

// A test that waits in vain for a process that has failed shows why.
const startProcess = Effect.fnUntraced(function* (args: ReadonlyArray<string>, options: Process.Options) {
  const running = yield* Process.start(args, options)
  yield* running.ended.pipe(
    Effect.tap(({ code, stderr, stdout }) =>
      code === null || code === 0 || code === interrupted ? Effect.void : Effect.logError(stdout, stderr)
    ),
    Effect.forkScoped
  )
  return running
})

/** What a process exits with when a signal interrupts its main effect. */
const interrupted = 130

/** Waits for the result of an execution, through as many losses of the connection as it takes. */
export const patientResult = <A, E>({ result }: Execution<A, E>) =>
  Effect.retry(result, {
    while: (error) => isDocketError(error),
    schedule: Schedule.spaced("50 millis")
  })

const isDocketError = (error: unknown) =>
  typeof error === "object" && error !== null && "_tag" in error && error._tag === "DocketError"

/** The docket's connections at the server, by its `CLIENT LIST`. */
export const connections = (redis: RedisServer["Service"]) =>
  Effect.map(
    redis.cli("CLIENT", "LIST"),
    (clients) => clients.split("\n").filter((client) => client.includes(" name=docket")).length
  )
