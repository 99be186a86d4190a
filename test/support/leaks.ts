/** Looks at what a test left in Redis: each key has a time to live, or belongs to something that is live. */
import { assert } from "@effect/vitest"
import { Effect } from "effect"
import * as Keys from "../../src/store/redis/scripts/keys.ts"
import type { RedisServer } from "./RedisServer.ts"

/** Fails when a key is left that nothing will ever delete. */
export const assertNothingLeaks = Effect.fnUntraced(function* (redis: RedisServer["Service"]) {
  const left = parse(yield* redis.cli("EVAL", listKeys, "0"))
  const leaks = left.filter((key) => !belongs(key, left)).map(({ name }) => name)
  assert.deepStrictEqual(leaks, [], "these keys are left for ever")
})

interface Key {
  readonly name: string
  /** Milliseconds; -1 for ever. */
  readonly ttl: number
  /** Members or entries, for what is a collection. */
  readonly size: number
  /** The state of a record. */
  readonly state: string
}

// Keys may hold anything, so they travel as JSON.
const listKeys = `
local sizes = { stream = 'XLEN', zset = 'ZCARD', set = 'SCARD', list = 'LLEN' }
local keys = {}
for i, key in ipairs(redis.call('KEYS', '*')) do
  local kind = redis.call('TYPE', key).ok
  local size = sizes[kind] and redis.call(sizes[kind], key) or 1
  local state = kind == 'hash' and redis.call('HGET', key, 'state') or ''
  keys[i] = { name = key, ttl = redis.call('PTTL', key), size = size, state = state or '' }
end
return #keys == 0 and '[]' or cjson.encode(keys)
`

const parse = (json: string) => JSON.parse(json) as ReadonlyArray<Key>

const belongs = ({ name, size, ttl }: Key, all: ReadonlyArray<Key>): boolean => {
  const docket = /^\{([^{}]+)\}:/.exec(name)?.[1]
  // Every key begins with the name of its docket.
  if (docket === undefined) return false
  if (ttl >= 0) return true
  const keys = Keys.make(docket)
  const isLive = (key: string) =>
    all.some(({ name, state }) => name === keys.prefix + Keys.segments.record + key && liveStates.has(state))
  const anyIsLive = all.some(({ name, state }) => name.startsWith(keys.prefix) && liveStates.has(state))
  if (name === keys.workers) return true
  if (name === keys.wake) return size === 1
  if (name === keys.stream) return size === 0 || anyIsLive
  const shared = [
    keys.queue,
    keys.leases,
    keys.parked,
    keys.waiting,
    keys.turns,
    keys.gates,
    keys.opens,
    keys.prefix + Keys.segments.lines,
    keys.held,
    keys.release,
    keys.asked,
    keys.overtaken,
    keys.prefix + Keys.segments.failedChains
  ]
  if (shared.includes(name)) return anyIsLive
  if (name === keys.strikes) return true
  for (const segment of [Keys.segments.record, Keys.segments.payload, Keys.segments.attempts]) {
    if (name.startsWith(keys.prefix + segment)) return isLive(name.slice(keys.prefix.length + segment.length))
  }
  const { gate, line, parked, slots } = Keys.segments
  return [gate, line, parked, slots].some((segment) => name.startsWith(keys.prefix + segment)) && anyIsLive
}

const liveStates = new Set(["scheduled", "queued", "running"])
