/**
 * Not a task system but a limit for them: bare ioredis, and scripts that do the least that a docket must do. A task is a
 * hash and a payload, waits in a stream, and is held under a lease in a sorted set; one call settles what is finished,
 * moves what has become due, and claims what comes next. There are no codecs, fibers, retries, cancellations, limits or
 * events.
 */
import { Redis } from "ioredis"
import { type Payload, payloadOf, type Peer, unsupported, type WorkerOptions } from "./Peer.ts"

const ttlSeconds = 15 * 60
const leaseMillis = 5 * 60_000

// KEYS: stream, queue. ARGV: for each task its key, its payload, and when it is due (0 for now).
const enqueueLua = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for i = 1, #ARGV, 3 do
  local record = '{limit}:runs:' .. ARGV[i]
  if redis.call('EXISTS', record) == 0 then
    redis.call('SET', '{limit}:payload:' .. ARGV[i], ARGV[i + 1])
    local due = tonumber(ARGV[i + 2])
    if due > now then
      redis.call('HSET', record, 'task', 'noop', 'state', 'scheduled', 'due', due, 'gen', 1)
      redis.call('ZADD', KEYS[2], due, ARGV[i])
      redis.call('PUBLISH', '{limit}:due', due - now)
    else
      redis.call('HSET', record, 'task', 'noop', 'state', 'queued', 'due', now, 'gen', 1)
      redis.call('XADD', KEYS[1], '*', 'key', ARGV[i])
    end
  end
end`

// KEYS: stream, queue, leases. ARGV: lease, how many to take, then the keys of what is finished.
// Reply: milliseconds until the next due task or -1, then the key and the payload of each task claimed.
const exchangeLua = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for i = 3, #ARGV do
  local record = '{limit}:runs:' .. ARGV[i]
  if redis.call('ZREM', KEYS[3], ARGV[i]) == 1 then
    redis.call('HSET', record, 'state', 'completed', 'completed', now)
    redis.call('EXPIRE', record, ${ttlSeconds})
    redis.call('EXPIRE', '{limit}:payload:' .. ARGV[i], ${ttlSeconds})
  end
end
for _, key in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now, 'LIMIT', 0, 100)) do
  redis.call('ZREM', KEYS[2], key)
  redis.call('XADD', KEYS[1], '*', 'key', key)
end
local reply = { -1 }
local nextDue = redis.call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')
if nextDue[2] then reply[1] = math.max(0, nextDue[2] - now) end
local entries = ARGV[2] == '0' and {} or redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', ARGV[2])
if #entries > 0 then
  local ids, leases = {}, {}
  for i, entry in ipairs(entries) do
    local key = entry[2][2]
    ids[i] = entry[1]
    leases[2 * i - 1] = now + ${leaseMillis}
    leases[2 * i] = key
    redis.call('HSET', '{limit}:runs:' .. key, 'state', 'running', 'started', now, 'lease', ARGV[1])
    reply[2 * i] = key
    reply[2 * i + 1] = redis.call('GET', '{limit}:payload:' .. key)
  end
  redis.call('XDEL', KEYS[1], unpack(ids))
  redis.call('ZADD', KEYS[3], unpack(leases))
end
return reply`

const keys = ["{limit}:stream", "{limit}:queue", "{limit}:leases"] as const
const [stream, queue, leases] = keys

const batchSize = 100
const batchesInFlight = 2

const connect = async (url: string) => {
  const redis = new Redis(url, { enableReadyCheck: false, lazyConnect: true })
  await redis.connect()
  return redis
}

const load = async (redis: Redis, lua: string) => String(await redis.call("SCRIPT", ["LOAD", lua]))

export const peer: Peer = {
  features: new Set(["batch", "delay"]),
  producer: async (url) => {
    const redis = await connect(url)
    const enqueue = await load(redis, enqueueLua)
    const argsOf = (id: number, due = 0) => [String(id), JSON.stringify(payloadOf(id)), due]
    const add = (id: number, due?: number) => redis.call("EVALSHA", [enqueue, 2, stream, queue, ...argsOf(id, due)])
    return {
      add,
      addEach: (nextId, callers) => {
        const caller = async () => {
          for (let id = nextId(); id !== undefined; id = nextId()) await add(id)
        }
        return Promise.all(Array.from({ length: callers }, caller))
      },
      addBatch: (ids, due) => {
        let next = 0
        const lane = async () => {
          while (next < ids.length) {
            const batch = ids.slice(next, next + batchSize)
            next += batch.length
            await redis.call("EVALSHA", [enqueue, 2, stream, queue, ...batch.flatMap((id) => argsOf(id, due))])
          }
        }
        return Promise.all(Array.from({ length: batchesInFlight }, lane))
      },
      call: unsupported,
      depth: async () => (await redis.xlen(stream)) + (await redis.zcard(queue)) + (await redis.zcard(leases)),
      close: async () => redis.disconnect()
    }
  },
  worker: async (url, { concurrency, onRun }: WorkerOptions) => {
    const redis = await connect(url)
    const blocking = await connect(url)
    const subscriber = await connect(url)
    const exchange = await load(redis, exchangeLua)
    const lanes = concurrency === 1 ? 1 : 2
    const take = Math.ceil(concurrency / lanes)
    const state = { open: true, exchanges: 0 }

    let nextDue = Infinity
    let wakeAtDue = () => {}
    const plan = (millis: number) => {
      nextDue = Math.min(nextDue, performance.now() + millis)
      wakeAtDue()
    }
    subscriber.on("message", (_channel, millis: string) => plan(Number(millis)))
    await subscriber.subscribe("{limit}:due")

    // All idle lanes share one wait.
    let waiting: Promise<void> | undefined
    const awaitWork = () => {
      waiting ??= new Promise<void>((resolve) => {
        let timer: NodeJS.Timeout | undefined
        const wake = () => {
          clearTimeout(timer)
          waiting = undefined
          wakeAtDue = () => {}
          resolve()
        }
        wakeAtDue = () => {
          clearTimeout(timer)
          if (nextDue < Infinity) {
            timer = setTimeout(() => {
              nextDue = Infinity
              wake()
            }, nextDue - performance.now())
          }
        }
        wakeAtDue()
        blocked ??= blocking.xread("COUNT", 1, "BLOCK", 0, "STREAMS", stream, "0-0").catch(() => {})
        void blocked.then(() => {
          blocked = undefined
          wake()
        })
      })
      return waiting
    }
    let blocked: Promise<unknown> | undefined

    const lane = async () => {
      let finished: Array<string> = []
      while (state.open || finished.length > 0) {
        const reply = (await redis.call("EVALSHA", [
          exchange,
          3,
          ...keys,
          `lease-${++state.exchanges}`,
          state.open ? take : 0,
          ...finished
        ])) as [number, ...Array<string>]
        const settled = finished.length
        finished = []
        for (let i = 1; i < reply.length; i += 2) {
          const { id } = JSON.parse(reply[i + 1] as string) as Payload
          onRun(id)
          finished.push(reply[i] as string)
        }
        nextDue = reply[0] < 0 ? Infinity : performance.now() + reply[0]
        if (finished.length === 0 && settled === 0 && state.open) await awaitWork()
      }
    }
    const running = Promise.all(Array.from({ length: lanes }, lane))
    return {
      close: async () => {
        state.open = false
        blocking.disconnect()
        subscriber.disconnect()
        await running
        redis.disconnect()
      }
    }
  }
}
