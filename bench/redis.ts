/** The Redis server that everything is measured against, and the cores on which things run. */
import * as Effect from "effect/Effect"
import { Redis } from "ioredis"
import { execFileSync } from "node:child_process"
import { cpus } from "node:os"
import * as RedisServer from "../test/support/RedisServer.ts"

/** The cores of the clients: all but the first, which is the server's. None when nothing can be pinned. */
export const clientCores: ReadonlyArray<number> = (() => {
  try {
    execFileSync("taskset", ["--version"], { stdio: "ignore" })
    return Array.from({ length: cpus().length - 1 }, (_, i) => i + 1)
  } catch {
    return []
  }
})()

const serverCore = 0

/** The command that runs a client on one of its cores. */
export const onClientCore = (
  command: string,
  args: ReadonlyArray<string>,
  index = 0
): [string, ReadonlyArray<string>] =>
  clientCores.length === 0
    ? [command, args]
    : ["taskset", ["--cpu-list", String(clientCores[index % clientCores.length]), command, ...args]]

const pin = (pid: number, core: number) => {
  if (clientCores.length === 0) return
  // It fails when one of the threads ends meanwhile.
  for (let attempt = 1; ; attempt++) {
    try {
      execFileSync("taskset", ["--all-tasks", "--cpu-list", "--pid", String(core), String(pid)], { stdio: "ignore" })
      return
    } catch (error) {
      if (attempt === 5) throw error
    }
  }
}

/** Moves this process to the core of a client. */
export const pinThisProcess = (): void => pin(process.pid, clientCores[0] ?? serverCore)

export interface Server {
  readonly url: string
  readonly version: string
}

/** Runs something with a server of its own, which keeps nothing on disk. */
export const withServer = <A>(use: (server: Server) => Promise<A>): Promise<A> =>
  Effect.gen(function* () {
    const { cli, url } = yield* RedisServer.make()
    const info = yield* cli("INFO", "server")
    const field = (name: string) => new RegExp(`^${name}:(.*?)\\r?$`, "m").exec(info)?.[1] ?? "?"
    pin(Number(field("process_id")), serverCore)
    return yield* Effect.promise(() => use({ url, version: field("redis_version") }))
  }).pipe(Effect.scoped, Effect.runPromise, keptAlive)

/** The server's process alone does not keep this one alive, and it is to be ended. */
const keptAlive = <A>(promise: Promise<A>): Promise<A> => {
  const timer = setInterval(() => {}, 60_000)
  return promise.finally(() => clearInterval(timer))
}

/** Empties the server. */
export const flush = async (url: string): Promise<void> => {
  const redis = new Redis(url)
  await redis.flushall()
  redis.disconnect()
}
