/** What the server says about its own work. */
import { Redis } from "ioredis"

export interface Observer {
  /** CPU time used since the start, in microseconds. */
  readonly cpuMicros: () => Promise<number>
  readonly usedMemory: () => Promise<number>
  /** Records the commands that the server runs while something happens: those sent by clients, and those in scripts. */
  readonly commandsDuring: (use: () => Promise<unknown>) => Promise<Commands>
  /** Empties it. */
  readonly flush: () => Promise<unknown>
  readonly close: () => void
}

export interface Commands {
  /** By name, as clients sent them. */
  readonly sent: ReadonlyMap<string, number>
  readonly insideScripts: number
}

export const total = (counts: ReadonlyMap<string, number>): number =>
  Array.from(counts.values()).reduce((sum, count) => sum + count, 0)

export const observe = async (url: string): Promise<Observer> => {
  const redis = new Redis(url, { enableReadyCheck: false, lazyConnect: true })
  await redis.connect()
  const info = async (section: string) => {
    const text = await redis.info(section)
    return (field: string) => Number(new RegExp(`^${field}:([0-9.]+)`, "m").exec(text)?.[1])
  }
  return {
    cpuMicros: async () => {
      const field = await info("cpu")
      return (field("used_cpu_user") + field("used_cpu_sys")) * 1e6
    },
    usedMemory: async () => (await info("memory"))("used_memory"),
    commandsDuring: async (use) => {
      const monitor = await redis.monitor()
      const sent = new Map<string, number>()
      let insideScripts = 0
      const marker = `bench-end-${performance.now()}`
      const ended = new Promise<void>((resolve) => {
        monitor.on("monitor", (_time: string, [name = "", argument]: Array<string>, source: string) => {
          if (argument === marker) resolve()
          else if (source === "lua") insideScripts++
          else sent.set(name.toUpperCase(), (sent.get(name.toUpperCase()) ?? 0) + 1)
        })
      })
      await use()
      await redis.echo(marker)
      await ended
      monitor.disconnect()
      return { sent, insideScripts }
    },
    flush: () => redis.flushall(),
    close: () => redis.disconnect()
  }
}
