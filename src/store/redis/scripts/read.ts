import * as Option from "effect/Option"
import type * as DocketStore from "../../../DocketStore.ts"
import { compose } from "./fragment.ts"
import * as fragments from "./fragments.ts"
import * as Keys from "./keys.ts"
import * as Record from "./record.ts"
import * as Redis from "../connection/Redis.ts"

/**
 * Reads records.
 *
 * KEYS      as `Keys.fixed` lists them
 * ARGV[1]   now, epoch ms; empty for the server's clock
 * ARGV[2]   prefix of the docket's keys
 * ARGV[3…]  keys of executions
 * Reply     for each what `Record.readRecord` gives
 * Cost      O(1) a key
 */
export const read = Redis.script(
  (keys: Keys.Keys, now: number | "", executions: ReadonlyArray<string>) => [
    ...Keys.fixed(keys),
    now,
    keys.prefix,
    ...executions
  ],
  {
    operation: "DocketStore.read",
    unconfirmed: true,
    numberOfKeys: Keys.numberOfFixed,
    lua: /* lua */ `
${fragments.prologue}
${compose([Record.readRecord])}
local found = {}
for i = 3, #ARGV do
  found[i - 2] = readRecord(ARGV[i])
end
return found
`
  }
).withReplyType<ReadonlyArray<Record.Found>>()

/**
 * Reads the failed attempts of an execution.
 *
 * KEYS     as `Keys.fixed` lists them
 * ARGV[1]  now (not used)
 * ARGV[2]  prefix of the docket's keys
 * ARGV[3]  key of the execution
 * Reply    five values for each attempt, the oldest first: attempt, worker, started, ended, error
 * Cost     O(n), n being the attempts
 */
export const attempts = Redis.script(
  (keys: Keys.Keys, execution: string) => [...Keys.fixed(keys), 0, keys.prefix, execution],
  {
    operation: "DocketStore.attempts",
    unconfirmed: true,
    numberOfKeys: Keys.numberOfFixed,
    lua: /* lua */ `
${fragments.prologue}
return call('LRANGE', attempts .. ARGV[3], 0, -1)
`
  }
).withReplyType<ReadonlyArray<string>>()

/**
 * Reads the last runs of a key that recurs.
 *
 * KEYS     as `Keys.fixed` lists them
 * ARGV[1]  now (not used)
 * ARGV[2]  prefix of the docket's keys
 * ARGV[3]  the key
 * Reply    five values for each run, the oldest first: see `Keys.segments.runs`
 * Cost     O(n), n being the runs
 */
export const runs = Redis.script(
  (keys: Keys.Keys, execution: string) => [...Keys.fixed(keys), 0, keys.prefix, execution],
  {
    operation: "DocketStore.runs",
    numberOfKeys: Keys.numberOfFixed,
    lua: /* lua */ `
${fragments.prologue}
return call('LRANGE', prefix .. '${Keys.segments.runs}' .. ARGV[3], 0, -1)
`
  }
).withReplyType<ReadonlyArray<string>>()

/** The runs in the words of the port. */
export const decodeRuns = (values: ReadonlyArray<string>): ReadonlyArray<DocketStore.RunRecord> =>
  Array.from({ length: Math.floor(values.length / 5) }, (_, i) => {
    const [generation, worker, started, ended, end = ""] = values.slice(i * 5, i * 5 + 5)
    const hasFailed = end.startsWith("f")
    return {
      generation: Number(generation),
      worker: worker ?? "",
      started: Record.timeOf(started) ?? 0,
      ended: Record.timeOf(ended) ?? 0,
      state: hasFailed ? "failed" : "completed",
      error: hasFailed ? end.slice(1) : undefined
    }
  })

/** The attempts in the words of the port. */
export const decodeAttempts = (values: ReadonlyArray<string>): ReadonlyArray<DocketStore.AttemptRecord> =>
  Array.from({ length: Math.floor(values.length / 5) }, (_, i) => {
    const [attempt, worker, started, ended, error] = values.slice(i * 5, i * 5 + 5)
    return {
      attempt: Number(attempt),
      worker: worker ?? "",
      started: Record.timeOf(started) ?? 0,
      ended: Record.timeOf(ended) ?? 0,
      error: error ?? ""
    }
  })

/**
 * Counts what comes before an execution in the ready stream.
 *
 * KEYS     as `Keys.fixed` lists them
 * ARGV[1]  now (not used)
 * ARGV[2]  prefix of the docket's keys
 * ARGV[3]  key of the execution
 * Reply    how many; -1 when the execution is not in the stream
 * Cost     O(n), n being what is counted, at most 10,000
 */
export const ahead = Redis.script(
  (keys: Keys.Keys, execution: string) => [...Keys.fixed(keys), 0, keys.prefix, execution],
  {
    operation: "DocketStore.ahead",
    unconfirmed: true,
    numberOfKeys: Keys.numberOfFixed,
    lua: /* lua */ `
${fragments.prologue}
local found = call('HMGET', records .. ARGV[3], 'state', 'id', 'aside')
if found[1] ~= 'queued' then return -1 end
if found[3] == 'n' then return call('ZRANK', turnsKey, ARGV[3]) or -1 end
if found[3] or not found[2] then return -1 end
return math.min(10000, call('ZCARD', turnsKey) + #call('XRANGE', streamKey, '-', '(' .. found[2], 'COUNT', 10000))
`
  }
).withReplyType<number>()

/** What `fragments.depth` gives. */
export type Depth = readonly [queued: number, scheduled: number, running: number]

/**
 * Counts what is live.
 *
 * KEYS     as `Keys.fixed` lists them
 * ARGV[1]  now (not used)
 * ARGV[2]  prefix of the docket's keys
 * Reply    the numbers of queued, scheduled and running executions
 * Cost     one call a task for which executions are set aside
 */
export const depth = Redis.script((keys: Keys.Keys) => [...Keys.fixed(keys), 0, keys.prefix], {
  operation: "DocketStore.depth",
  unconfirmed: true,
  numberOfKeys: Keys.numberOfFixed,
  lua: /* lua */ `
${fragments.prologue}
${compose([fragments.depth])}
return depth()
`
}).withReplyType<Depth>()

/** The depth in the words of the port. */
export const decodeDepth = ([queued, scheduled, running]: Depth): DocketStore.Depth => ({ queued, scheduled, running })

type Snapshot = readonly [
  taken: string,
  depth: Depth,
  running: ReadonlyArray<string>,
  runningRecords: ReadonlyArray<Record.Found>,
  waiting: ReadonlyArray<string>,
  waitingRecords: ReadonlyArray<Record.Found>
]

/**
 * Looks at the docket.
 *
 * KEYS     as `Keys.fixed` lists them
 * ARGV[1]  now, epoch ms; empty for the server's clock
 * ARGV[2]  prefix of the docket's keys
 * ARGV[3]  the most running, and the most waiting executions to give
 * Reply    now; the depth; keys and records of what runs, by start; keys and records of what waits: what is due, what
 *          is set aside or held back, what comes later
 * Cost     one call for each execution that runs, and one for each that is given
 */
export const snapshot = Redis.script(
  (keys: Keys.Keys, now: number | "", limit: number) => [...Keys.fixed(keys), now, keys.prefix, limit],
  {
    operation: "DocketStore.snapshot",
    unconfirmed: true,
    numberOfKeys: Keys.numberOfFixed,
    lua: /* lua */ `
${fragments.prologue}
local limit = tonumber(ARGV[3])
${compose([Record.readRecord, fragments.depth])}

-- Bounded by the slots of all workers.
local runs = {}
for _, key in ipairs(call('ZRANGE', leasesKey, 0, -1)) do
  runs[#runs + 1] = { tonumber(call('HGET', records .. key, 'started') or '') or 0, key }
end
table.sort(runs, function(a, b)
  return a[1] < b[1] or (a[1] == b[1] and a[2] < b[2])
end)
local running, waiting = {}, {}
for i = 1, math.min(limit, #runs) do
  running[i] = runs[i][2]
end

for _, key in ipairs(limit > 0 and call('ZRANGE', turnsKey, 0, limit - 1) or {}) do
  waiting[#waiting + 1] = key
end
local left = limit - #waiting
if left > 0 then
  for _, entry in ipairs(call('XRANGE', streamKey, '-', '+', 'COUNT', left)) do
    local key = entry[2][2]
    local found = call('HMGET', records .. key, 'id', 'aside')
    if found[1] == entry[1] and not found[2] then waiting[#waiting + 1] = key end
  end
  left = limit - #waiting
end
local tasks = call('SMEMBERS', parkedKey)
table.sort(tasks)
for _, task in ipairs(tasks) do
  if left <= 0 then break end
  for _, key in ipairs(call('ZRANGE', prefix .. '${Keys.segments.parked}' .. task, 0, left - 1)) do
    waiting[#waiting + 1] = key
  end
  left = limit - #waiting
end
for _, place in ipairs({ waitingKey, heldKey, askedKey, queueKey }) do
  if left <= 0 then break end
  for _, key in ipairs(call('ZRANGE', place, 0, left - 1)) do
    waiting[#waiting + 1] = key
  end
  left = limit - #waiting
end

local function recordsOf(keys)
  local found = {}
  for i, key in ipairs(keys) do
    found[i] = readRecord(key)
  end
  return found
end
return { nowText, depth(), running, recordsOf(running), waiting, recordsOf(waiting) }
`
  }
).withReplyType<Snapshot>()

/** The snapshot in the words of the port. */
export const decodeSnapshot = ([taken, depth, running, runningRecords, waiting, waitingRecords]: Snapshot) => ({
  taken: Number(taken),
  depth: decodeDepth(depth),
  running: decodeRecords(running, runningRecords),
  waiting: decodeRecords(waiting, waitingRecords)
})

/** The records that are complete. */
export const decodeRecords = (
  keys: ReadonlyArray<string>,
  records: ReadonlyArray<Record.Found>
): ReadonlyArray<DocketStore.ExecutionRecord> =>
  keys.flatMap((key, i) => Option.toArray(Record.decode(key, records[i] ?? [])))
