/** The ways in which a scenario can be harmed. Each heals what it did before it ends, but for processes, which come back. */
import { Effect } from "effect"
import { now } from "./ledger.ts"
import { prefix, type Server, sleep, type World, waitFor, type WorkerProcess } from "./world.ts"

export type Strike = (world: World) => Promise<void>

const single = (world: World) => {
  if (world.topology._tag !== "Single") throw new Error("This fault needs a single server")
  return world.topology
}

/** Ends a worker without warning, and counts what it ran. */
export const kill = (world: World, victim: WorkerProcess): Promise<void> =>
  world.harm({ name: "worker killed", target: victim.name }, async () => {
    await victim.kill()
    const back = now()
    const held = await world.cli("EVAL", countLeases, "1", `${prefix}leases`, `${prefix}runs:`, victim.name)
    return { back, held: Number(held) }
  })

const countLeases = `
local held = 0
for _, key in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  if redis.call('HGET', ARGV[1] .. key, 'worker') == ARGV[2] then held = held + 1 end
end
return held`

/** Ends a worker without warning; another process takes its place. */
export const killWorker: Strike = async (world) => {
  await kill(world, world.random.pick(world.workers()))
  await world.startWorker()
}

/** Lets a worker stand still, for less or for more than its leases last. */
export const freezeWorker =
  (least: number, most: number): Strike =>
  async (world) => {
    const victim = world.random.pick(world.workers())
    await world.harm({ name: "worker frozen", target: victim.name }, async () => {
      victim.child.kill("SIGSTOP")
      await sleep(world.random.between(least, most))
      victim.child.kill("SIGCONT")
    })
  }

/** Ends each worker that hangs, as a platform does that gets no answer from it, and starts one for each that is gone. */
export const supervise =
  (count: number): Strike =>
  async (world) => {
    for (const worker of world.workers()) {
      const from = worker.lastSign()
      if (from === undefined || now() - from < patienceMillis) continue
      await world.harm({ name: "hanging worker killed", target: worker.name }, async () => {
        await worker.kill()
        return { from }
      })
    }
    while (world.workers().length < count) await world.startWorker()
  }

/** Whether no worker hangs or has yet to start. */
export const areAwake = (world: World): boolean =>
  world.workers().every((worker) => now() - (worker.lastSign() ?? 0) < patienceMillis / 2)

/** A worker writes several lines a second. */
const patienceMillis = 6000

/** Kills a worker that runs ten tasks, while another one holds so many leases that are older, and keeps them. */
export const orphan = async (world: World, leases: number): Promise<void> => {
  const running = async (count: number) => {
    const isSo = async () => (await Effect.runPromise(world.docket.store.depth)).running === count
    if (!(await waitFor(isSo, 60_000))) throw new Error(`${count} tasks do not run`)
  }
  await world.startWorker({ WORKER_CONCURRENCY: String(leases), TICKS: "no" })
  await world.add(leases, 30_000)
  await running(leases)
  const victim = await world.startWorker({ WORKER_CONCURRENCY: String(orphans), TICKS: "no" })
  await world.add(orphans, 10_000)
  await running(leases + orphans)
  // What was handed out has begun by then.
  await sleep(1000)
  await kill(world, victim)
  await world.startWorker({ WORKER_CONCURRENCY: String(orphans), TICKS: "no" })
}

const orphans = 10

/** Sets the date of one worker forth or back, by up to a day; it stays like that. */
export const shiftClock: Strike = async (world) => {
  const victim = world.random.pick(world.workers())
  await world.harm({ name: "clock set", target: victim.name }, async () =>
    victim.shiftClock(world.random.between(-86_400, 86_400))
  )
}

/** Lets a task be added as soon as the store is there again, to a docket that has nothing else to do. */
export const withProbe =
  (strike: Strike): Strike =>
  async (world) => {
    await strike(world)
    await world.add(1, 10)
  }

/** Ends Redis without warning, and starts it again with its data. */
export const killRedis =
  (least: number, most: number): Strike =>
  async (world) => {
    const { server } = single(world)
    await world.harm({ name: "Redis killed", isAway: true }, async () => {
      await Effect.runPromise(server.kill)
      await sleep(world.random.between(least, most))
      await Effect.runPromise(server.start)
    })
  }

export const freezeRedis =
  (least: number, most: number): Strike =>
  async (world) => {
    const { server } = single(world)
    await world.harm({ name: "Redis frozen", isAway: true }, async () => {
      await Effect.runPromise(server.freeze)
      await sleep(world.random.between(least, most))
      await Effect.runPromise(server.thaw)
    })
  }

export const cutConnections: Strike = async (world) => {
  const { proxy } = single(world)
  await world.harm({ name: "connections cut" }, async () => proxy.cut())
}

/** Lets requests arrive, and loses their replies. */
export const dropReplies: Strike = async (world) => {
  const { proxy } = single(world)
  await world.harm({ name: "replies lost" }, async () => {
    proxy.setMute(true)
    await sleep(world.random.between(50, 500))
    proxy.setMute(false)
  })
}

/** Keeps connections open and lets nothing pass. */
export const silence =
  (least: number, most: number): Strike =>
  async (world) => {
    const { proxy } = single(world)
    await world.harm({ name: "half-open connections", isAway: true }, async () => {
      proxy.setSilent(true)
      await sleep(world.random.between(least, most))
      proxy.setSilent(false)
    })
  }

export const slowDown: Strike = async (world) => {
  const { proxy } = single(world)
  await world.harm({ name: "slow network" }, async () => {
    proxy.setDelay(world.random.between(20, 200))
    await sleep(world.random.between(1000, 3000))
    proxy.setDelay(0)
  })
}

export const killClients: Strike = (world) =>
  world.harm({ name: "CLIENT KILL" }, async () => {
    await world.cli("CLIENT", "KILL", "TYPE", world.random.pick(["normal", "pubsub"]))
  })

export const flushScripts: Strike = (world) =>
  world.harm({ name: "SCRIPT FLUSH" }, async () => {
    await world.cli("SCRIPT", "FLUSH")
  })

export const fillMemory: Strike = (world) =>
  world.harm({ name: "memory full" }, async () => {
    await world.cli("CONFIG", "SET", "maxmemory", "1mb")
    await sleep(world.random.between(1000, 3000))
    await world.cli("CONFIG", "SET", "maxmemory", "0")
  })

/** Puts something of the wrong type where the docket keeps a list of its own, and puts it back. */
export const confuse: Strike = (world) =>
  world.harm({ name: "wrong type" }, async () => {
    const key = prefix + world.random.pick(["stream", "queue", "leases", "wake", "workers", "watchers", "parked"])
    const aside = `${prefix}aside`
    await world.cli(
      "EVAL",
      `if redis.call('EXISTS', KEYS[1]) == 1 then redis.call('RENAME', KEYS[1], KEYS[2]) end
       redis.call('HSET', KEYS[1], 'not', 'what it was')`,
      "2",
      key,
      aside
    )
    await sleep(world.random.between(300, 1000))
    await world.cli(
      "EVAL",
      `redis.call('DEL', KEYS[1])
       if redis.call('EXISTS', KEYS[2]) == 1 then redis.call('RENAME', KEYS[2], KEYS[1]) end`,
      "2",
      key,
      aside
    )
  })

/** Writes random bytes over a part of the record or of the payload of a task that nobody else counts on. */
export const scribble: Strike = async (world) => {
  const key = await world.sacrifice(world.random.between(0, 500))
  const bytes = Array.from({ length: world.random.between(1, 40) }, () => world.random.between(0, 255))
  const hex = bytes.map((byte) => byte.toString(16).padStart(2, "0")).join("")
  const keys = [`${prefix}runs:${key}`, `${prefix}payload:${key}`]
  await world.harm({ name: "random bytes" }, async () => {
    await world.cli("EVAL", overwrite, "2", ...keys, hex, String(world.random.between(0, 1000)))
    await sleep(1000)
    await world.cli("EVAL", forgetAll, "5", ...keys, `${prefix}queue`, `${prefix}leases`, `${prefix}parked`, key)
  })
}

const overwrite = `
local bytes = string.gsub(ARGV[1], '..', function(pair) return string.char(tonumber(pair, 16)) end)
local fields = redis.call('HKEYS', KEYS[1])
local chosen = ARGV[2] % (#fields + 1)
if chosen == 0 then redis.call('SET', KEYS[2], bytes) else redis.call('HSET', KEYS[1], fields[chosen], bytes) end`

const forgetAll = `
redis.call('DEL', KEYS[1], KEYS[2])
redis.call('ZREM', KEYS[3], ARGV[1])
redis.call('ZREM', KEYS[4], ARGV[1])
-- A task of a strange name waits for a worker that knows it.
for _, task in ipairs(redis.call('SMEMBERS', KEYS[5])) do
  redis.call('ZREM', KEYS[5] .. ':' .. task, ARGV[1])
  if redis.call('EXISTS', KEYS[5] .. ':' .. task) == 0 then redis.call('SREM', KEYS[5], task) end
end`

/** Takes away one of the lists that say what waits and what runs, for good: as an operator's mistake does. */
export const forget: Strike = (world) =>
  world.harm({ name: "index deleted" }, async () => {
    await world.cli("DEL", prefix + world.random.pick(["stream", "queue", "leases", "wake"]))
  })

/** Lets a replica take the master's place: on demand, since the master is killed, or since it stands still. */
export const failover =
  (how: "forced" | "killed" | "frozen"): Strike =>
  async (world) => {
    const { topology } = world
    if (topology._tag === "Single") throw new Error("This fault needs replicas")
    if (topology._tag === "Sentinel") {
      const { failover, master, servers, untilWhole } = topology.sentinel
      const old = await Effect.runPromise(master)
      const heir = servers.find((server) => server !== old)!
      await world.harm({ name: `failover, master ${how}`, mayRollBack: true }, async () => {
        await Effect.runPromise(how === "forced" ? failover : how === "killed" ? old.kill : old.freeze)
        // Now and then the Sentinels do not agree on one; then this was no more than a server that was away.
        const isPromoted = await waitFor(() => isMaster(heir), 15_000)
        const back = now()
        // One that did not fall out takes writes for a while, from whoever still believes in it.
        const isOne = async () => !((await isMaster(old)) && (await isMaster(heir)))
        // A frozen one goes on at the worst of times.
        await Effect.runPromise(old.thaw)
        if (how !== "killed") await waitFor(isOne, 20_000)
        const sure = now()
        if (how === "killed") await sleep(absenceMillis)
        await Effect.runPromise(old.start)
        await waitFor(isOne, 20_000)
        await Effect.runPromise(untilWhole)
        return isPromoted ? { back, sure } : { name: `no failover, master ${how}` }
      })
      return
    }
    const { ownerOf, replicaOf, untilWhole } = topology.cluster
    const old = await Effect.runPromise(ownerOf(prefix))
    const heir = await Effect.runPromise(replicaOf(old))
    await world.harm({ name: `failover, master ${how}`, mayRollBack: true }, async () => {
      await Effect.runPromise(
        how === "forced" ? Effect.asVoid(heir.cli("CLUSTER", "FAILOVER")) : how === "killed" ? old.kill : old.freeze
      )
      await waitFor(() => isMaster(heir), 20_000)
      const back = now()
      if (how === "killed") await sleep(absenceMillis)
      await Effect.runPromise(Effect.andThen(old.thaw, old.start))
      await Effect.runPromise(untilWhole)
      return { back }
    })
  }

const isMaster = async (server: Server) =>
  (await Effect.runPromise(server.cli("INFO", "replication"))).includes("role:master")

/** A master that was killed comes back so long after another one has taken its place. */
export const absenceMillis = 2000

/** Moves the docket's slot to another node, key by key. */
export const migrateSlot: Strike = async (world) => {
  const { topology } = world
  if (topology._tag !== "Cluster") throw new Error("This fault needs a cluster")
  const { cluster } = topology
  const from = await Effect.runPromise(cluster.ownerOf(prefix))
  const slot = Number(await Effect.runPromise(from.cli("CLUSTER", "KEYSLOT", prefix)))
  const owners = await Effect.runPromise(Effect.forEach(["a", "b", "c", "d", "e", "f", "g"], cluster.ownerOf))
  const to = world.random.pick(owners.filter((node) => node !== from))
  await world.harm({ name: "slot moved" }, () => Effect.runPromise(cluster.migrate(slot, to)))
}
