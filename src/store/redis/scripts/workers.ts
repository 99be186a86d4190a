import * as Option from "effect/Option"
import type { SilentWorker, TaskFacts, WorkerOptions, WorkerRecord } from "../../../DocketStore.ts"
import { decode as decodeSaid, encode as encodeFacts } from "../../facts.ts"
import { encodeTasks } from "./exchange.ts"
import { compose, fragment } from "./fragment.ts"
import * as fragments from "./fragments.ts"
import { holdings } from "./gates.ts"
import * as Keys from "./keys.ts"
import { contractMillis } from "./contracts.ts"
import type { Depth } from "./read.ts"
import * as Record from "./record.ts"
import * as Redis from "../connection/Redis.ts"

/** How long the last sign of life of a worker that fell silent is known. */
const seenMillis = 3_600_000

/**
 * Defines `reclaim(key)`: takes a run from its worker, to be delivered again, or settles it as cancelled if it was to stop;
 * returns whether it is delivered again. Goes by the script's `ttl`.
 */
const reclaim = fragment(
  [fragments.announce, holdings, fragments.bury],
  /* lua */ `
local function reclaim(key)
  local record = records .. key
  local found = call('HMGET', record, 'state', 'cancel', 'progress', 'failures', 'terms', 'gen', 'place', 'last')
  if found[1] ~= 'running' then return false end
  if found[3] then call('DEL', progresses .. key) end
  if found[5] then giveUp(key, found[6]) end
  -- The lease goes: what it settles from now on was not applied before.
  if found[2] then
    call('HSET', record, 'state', 'cancelled', 'completed', nowText)
    call('HDEL', record, 'lease', 'cancel', 'progress')
    if found[8] then call('ZREM', chainsKey, key) end
    if isFollowed(key) then announce(key) end
    bury(key, ttl, found[4])
    return false
  end
  -- It has its place, and so is the next at its limits; where starts are counted, its next one is another.
  enqueue(key, found[7])
  call('HDEL', record, 'lease', 'worker', 'started', 'progress', 'starts', 'counted')
  if isFollowed(key) then announce(key) end
  return true
end
`
)

/**
 * Announces a worker, forgets those that have not been heard of, and returns expired leases to the ready stream.
 *
 * KEYS     as `Keys.fixed` lists them
 * ARGV[1]  now, epoch ms; empty for the server's clock
 * ARGV[2]  prefix of the docket's keys
 * ARGV[3]  how long settled executions are kept, ms
 * ARGV[4]  the worker's name
 * ARGV[5]  how long it is listed from now, ms
 * ARGV[6]  the tasks that it knows (see `encodeTasks`)
 * ARGV[7]  the digest of what it says of them (see `contracts.ts`)
 * ARGV[8…] once, after it started: names of tasks, and what it says of each, as JSON
 * Reply    how many executions are to be delivered again, 1 if an exchange would find something, the ms until the next
 *          due time or -1, the ms until the next lease expires or -1, the numbers of queued, scheduled and running
 *          executions, what is to be logged, and how many keys recur whose last run failed
 * Cost     O(log n), n being the workers; at most 100 leases and 100 loans are returned
 */
export const heartbeat = Redis.script(
  (keys: Keys.Keys, now: number | "", ttlMillis: number, worker: WorkerOptions, contract: string, isFirst: boolean) => [
    ...Keys.fixed(keys),
    now,
    keys.prefix,
    ttlMillis,
    worker.name,
    Math.max(1000, Math.ceil(worker.presenceMillis)),
    encodeTasks(worker.tasks),
    contract,
    ...(isFirst ? Array.from(worker.facts, ([task, facts]) => [task, encodeFacts(facts)]).flat() : [])
  ],
  {
    operation: "DocketStore.heartbeat",
    numberOfKeys: Keys.numberOfFixed,
    lua: /* lua */ `
${fragments.prologue}
local ttl, worker, presence, known = tonumber(ARGV[3]), ARGV[4], tonumber(ARGV[5]), ARGV[6]
${compose([reclaim, fragments.noticeLost, fragments.wake, fragments.knows, fragments.nextDue, fragments.depth])}

call('ZREMRANGEBYSCORE', workersKey, '-inf', nowText)
call('ZADD', workersKey, text(now + presence), worker)
local presentation = prefix .. '${Keys.segments.worker}' .. worker
call('HSET', presentation, 'seen', nowText, 'tasks', known)
call('PEXPIRE', presentation, text(presence + ${seenMillis}))
local facts = prefix .. '${Keys.segments.facts}'
for i = 8, #ARGV, 2 do
  call('HSET', facts, ARGV[i], ARGV[i + 1])
end
call('PEXPIRE', facts, ${Keys.factsMillis})
for _, said in ipairs({ '${Keys.segments.limits}', '${Keys.segments.contracts}', '${Keys.segments.contract}' .. ARGV[7] }) do
  call('PEXPIRE', prefix .. said, ${contractMillis})
end

local reclaimed = 0
local expired = call('ZRANGEBYSCORE', leasesKey, '-inf', nowText, 'LIMIT', 0, 100)
for _, key in ipairs(expired) do
  if reclaim(key) then reclaimed = reclaimed + 1 end
end
if #expired > 0 then call('ZREM', leasesKey, unpack(expired)) end

-- What was lent and not told about. That counts like a delivery, since it may have taken its worker down.
local lent = call('ZRANGEBYSCORE', askedKey, '-inf', nowText, 'LIMIT', 0, 100)
for _, key in ipairs(lent) do
  local record = records .. key
  local found = call('HMGET', record, 'aside', 'place', 'deliveries')
  if found[1] == 'a' then
    enqueue(key, found[2] or '0')
    call('HSET', record, 'deliveries', text((tonumber(found[3]) or 0) + 1))
    call('HDEL', record, 'lease')
  end
end
if #lent > 0 then call('ZREM', askedKey, unpack(lent)) end

local untilExpiry = -1
local function expect(expiry)
  local left = expiry and math.max(0, expiry - now)
  if left and (untilExpiry < 0 or left < untilExpiry) then untilExpiry = left end
end

-- Runs that were overtaken, and whose workers fell silent. There are few.
if call('EXISTS', overtakenKey) == 1 then
  local overtaken = call('HGETALL', overtakenKey)
  for i = 1, #overtaken, 2 do
    local expiry = tonumber(string.match(overtaken[i + 1], '^%d+') or '') or 0
    if expiry <= now then
      local generation, key = string.match(overtaken[i], '^(%d+):(.*)$')
      if key then endOvertaken(key, generation) else call('HDEL', overtakenKey, overtaken[i]) end
    else
      expect(expiry)
    end
  end
end

-- What version 0.1.0 has left before all else.
local front = prefix .. '${Keys.segments.front}'
for _, entry in ipairs(call('XRANGE', front, '-', '+', 'COUNT', 100)) do
  local key = entry[2][2]
  local found = call('HMGET', records .. key, 'state', 'id', 'aside')
  if found[1] == 'queued' and found[2] == entry[1] and found[3] == 'f' then enqueue(key, placeOf(found[2])) end
  if not found[1] then noticeLost(key) end
  call('XDEL', front, entry[1])
end

local isReady = call('XLEN', streamKey) > 0 or call('EXISTS', turnsKey, gatesKey) > 0
-- Repairs what a lost token would leave: due work, and every worker asleep.
if isReady then wake() end
local untilNext = nextDue()
local isWorkThere = isReady or untilNext == 0 or call('EXISTS', releaseKey) == 1
if not isWorkThere then
  for _, task in ipairs(call('SMEMBERS', parkedKey)) do
    if knows(task) then isWorkThere = true end
  end
end
for _, held in ipairs({ leasesKey, askedKey }) do
  expect(tonumber(call('ZRANGE', held, 0, 0, 'WITHSCORES')[2]))
end
local noticesKey = prefix .. '${Keys.segments.notices}'
local notices = call('LRANGE', noticesKey, 0, -1)
if #notices > 0 then call('DEL', noticesKey) end
return { reclaimed, isWorkThere and 1 or 0, untilNext, untilExpiry, depth(), notices, call('ZCARD', chainsKey) }
`
  }
).withReplyType<
  readonly [
    reclaimed: number,
    isWorkThere: number,
    nextDueMillis: number,
    nextExpiryMillis: number,
    depth: Depth,
    notices: ReadonlyArray<string>,
    failedChains: number
  ]
>()

/**
 * Takes a worker off the list.
 *
 * KEYS[1]  workers
 * ARGV[1]  prefix of the docket's keys
 * ARGV[2]  the worker's name
 * Reply    nothing
 * Cost     O(log n), n being the workers
 */
export const leave = Redis.script((keys: Keys.Keys, worker: string) => [keys.workers, keys.prefix, worker], {
  operation: "DocketStore.leave",
  unconfirmed: true,
  numberOfKeys: 1,
  lua: /* lua */ `
redis.call('ZREM', KEYS[1], ARGV[2])
redis.call('DEL', ARGV[1] .. '${Keys.segments.worker}' .. ARGV[2])
`
}).withReplyType<null>()

/**
 * Reads what workers said of tasks.
 *
 * KEYS      as `Keys.fixed` lists them
 * ARGV[1]   now (not used)
 * ARGV[2]   prefix of the docket's keys
 * ARGV[3…]  names of tasks; none for all
 * Reply     names and what was said of each
 * Cost      O(n), n being the tasks
 */
export const facts = Redis.script(
  (keys: Keys.Keys, tasks: ReadonlyArray<string>) => [...Keys.fixed(keys), 0, keys.prefix, ...tasks],
  {
    operation: "DocketStore.facts",
    numberOfKeys: Keys.numberOfFixed,
    lua: /* lua */ `
${fragments.prologue}
local facts, found = prefix .. '${Keys.segments.facts}', {}
if #ARGV == 2 then return call('HGETALL', facts) end
for i = 3, #ARGV do
  local said = call('HGET', facts, ARGV[i])
  if said then
    found[#found + 1] = ARGV[i]
    found[#found + 1] = said
  end
end
return found
`
  }
).withReplyType<ReadonlyArray<string>>()

/** The facts in the words of the port. What cannot be read, of a later release perhaps, is left out. */
export const decodeFacts = (found: ReadonlyArray<string>): ReadonlyMap<string, TaskFacts> =>
  new Map(
    found.flatMap((task, i) => {
      const said = i % 2 === 0 ? decodeSaid(found[i + 1]) : Option.none()
      return Option.isSome(said) ? [[task, said.value] as const] : []
    })
  )

/**
 * Lists workers that hold executions and are not listed any more.
 *
 * KEYS     as `Keys.fixed` lists them
 * ARGV[1]  now, epoch ms; empty for the server's clock
 * ARGV[2]  prefix of the docket's keys
 * Reply    for each worker, by name: its name, its last sign of life or an empty text, how many it holds, and when the
 *          last of its leases ends
 * Cost     two calls for each execution that runs
 */
export const silentWorkers = Redis.script(
  (keys: Keys.Keys, now: number | "") => [...Keys.fixed(keys), now, keys.prefix],
  {
    operation: "DocketStore.silentWorkers",
    numberOfKeys: Keys.numberOfFixed,
    lua: /* lua */ `
${fragments.prologue}
local leases, held, until_, names = call('ZRANGE', leasesKey, 0, -1, 'WITHSCORES'), {}, {}, {}
for i = 1, #leases, 2 do
  local name = redis.pcall('HGET', records .. leases[i], 'worker')
  if type(name) == 'string' then
    if not held[name] then names[#names + 1] = name end
    held[name] = (held[name] or 0) + 1
    until_[name] = math.max(until_[name] or 0, tonumber(leases[i + 1]))
  end
end
table.sort(names)
local silent = {}
for _, name in ipairs(names) do
  local listed = tonumber(call('ZSCORE', workersKey, name) or '0')
  if listed <= now then
    local seen = call('HGET', prefix .. '${Keys.segments.worker}' .. name, 'seen')
    silent[#silent + 1] = { name, seen or '', held[name], text(until_[name]) }
  end
end
return silent
`
  }
).withReplyType<ReadonlyArray<readonly [name: string, seen: string, held: number, until: string]>>()

/** A silent worker in the words of the port. */
export const decodeSilent = ([name, seen, held, until]: readonly [string, string, number, string]): SilentWorker => ({
  name,
  lastSeen: Record.timeOf(seen),
  held,
  until: Record.timeOf(until) ?? 0
})

/**
 * Takes from a worker that is not listed any more what it holds, to be delivered again.
 *
 * KEYS     as `Keys.fixed` lists them
 * ARGV[1]  now, epoch ms; empty for the server's clock
 * ARGV[2]  prefix of the docket's keys
 * ARGV[3]  how long settled executions are kept, ms
 * ARGV[4]  the worker's name
 * Reply    how many those were; -1 when it is listed
 * Cost     one call for each execution that runs, and O(log n) for each that it held
 */
export const forgetWorker = Redis.script(
  (keys: Keys.Keys, now: number | "", ttlMillis: number, worker: string) => [
    ...Keys.fixed(keys),
    now,
    keys.prefix,
    ttlMillis,
    worker
  ],
  {
    operation: "DocketStore.forgetWorker",
    numberOfKeys: Keys.numberOfFixed,
    lua: /* lua */ `
${fragments.prologue}
local ttl, worker = tonumber(ARGV[3]), ARGV[4]
if tonumber(call('ZSCORE', workersKey, worker) or '0') > now then return -1 end
${compose([reclaim, fragments.wake])}
local taken = 0
for _, key in ipairs(call('ZRANGE', leasesKey, 0, -1)) do
  if redis.pcall('HGET', records .. key, 'worker') == worker then
    call('ZREM', leasesKey, key)
    if reclaim(key) then taken = taken + 1 end
  end
end
call('ZREM', workersKey, worker)
call('DEL', prefix .. '${Keys.segments.worker}' .. worker)
if taken > 0 then wake() end
return taken
`
  }
).withReplyType<number>()

/** A name, the last sign of life, and the tasks. */
type Presented = readonly [name: string, seen: string, tasks: string]

/**
 * Lists the workers, and forgets those that have not been heard of.
 *
 * KEYS     as `Keys.fixed` lists them
 * ARGV[1]  now, epoch ms; empty for the server's clock
 * ARGV[2]  prefix of the docket's keys
 * Reply    for each worker, by name: its name, its last sign of life, the tasks that it knows (see `encodeTasks`)
 * Cost     O(n), n being the workers
 */
export const workers = Redis.script((keys: Keys.Keys, now: number | "") => [...Keys.fixed(keys), now, keys.prefix], {
  operation: "DocketStore.workers",
  unconfirmed: true,
  numberOfKeys: Keys.numberOfFixed,
  lua: /* lua */ `
${fragments.prologue}
-- Where the server takes no writes they stay.
redis.pcall('ZREMRANGEBYSCORE', workersKey, '-inf', nowText)
local names, present = call('ZRANGEBYSCORE', workersKey, '(' .. nowText, '+inf'), {}
table.sort(names)
for _, name in ipairs(names) do
  local found = call('HMGET', prefix .. '${Keys.segments.worker}' .. name, 'seen', 'tasks')
  if found[1] and found[2] then present[#present + 1] = { name, found[1], found[2] } end
end
return present
`
}).withReplyType<ReadonlyArray<Presented>>()

/** A worker in the words of the port. */
export const decode = ([name, seen, tasks]: Presented): WorkerRecord => ({
  name,
  lastSeen: Record.timeOf(seen) ?? 0,
  tasks:
    tasks === "*"
      ? ["*"]
      : tasks
          .split("\0")
          .filter((task) => task !== "")
          .toSorted()
})
