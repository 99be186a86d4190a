import { compose } from "./fragment.ts"
import * as fragments from "./fragments.ts"
import * as Keys from "./keys.ts"
import * as Redis from "../connection/Redis.ts"

/** Where the next step goes on, and how many keys it looks at. */
export interface Step {
  readonly cursor: string
  readonly keys: number
}

/** How many keys a step looks at as long as all is well. 200 take Redis about 0.4 ms when all are records (Redis 7.0, November 2026). */
const calmly = 200

/** How many keys a step looks at once something was found: there may be more. */
const thoroughly = 1000

/** How many of those that run each step looks at besides, for some 50 µs (Redis 7.0, November 2026). */
const runsTogether = 20

/** The beginning of a round, when there is no reason for one. */
export const firstStep: Step = { cursor: "0", keys: calmly }

/** The beginning of a round, when something is known to be wrong. */
export const urgentStep: Step = { cursor: "0", keys: thoroughly }

/** What follows a step. Where something was found, the rest of the round is thorough. */
export const nextStep = ({ keys }: Step, [cursor, repaired, misplaced]: Reply): Step => ({
  cursor,
  keys: repaired > 0 || misplaced.length > 0 ? thoroughly : cursor === "0" ? calmly : keys
})

/** Whether the step is one of a round that found something. */
export const isUrgent = ({ keys }: Step): boolean => keys === thoroughly

type Reply = readonly [cursor: string, repaired: number, misplaced: ReadonlyArray<string>]

/**
 * Goes through some of the docket's keys: what a list lacks is put back from the records, what has another type than the
 * docket's is put aside, and slots of limits whose holders are gone are freed, and so are starts that were planned for them.
 *
 * **Details**
 *
 * Every write is one script, and Redis replicates and restores scripts as a whole, so records and lists agree as long as
 * nobody else has a hand in them. They differ when someone deletes a list, evicts one, or puts something else in its place,
 * so that a script fails halfway.
 *
 * It looks at all keys of the server, those of others included: there is no list of the records, which would cost more.
 *
 * KEYS     as `Keys.fixed` lists them
 * ARGV[1]  now, epoch ms; empty for the server's clock
 * ARGV[2]  prefix of the docket's keys
 * ARGV[3]  where to go on; `0` to begin
 * ARGV[4]  how many keys to look at
 * ARGV[5]  how long the lease of what runs without one lives from now, ms
 * Reply    where to go on, `0` at the end; how many it put right; the keys that it put aside
 * Cost     O(log n) a key, n being what waits or runs; O(n) for a limit of which the slots were lost
 */
export const repair = Redis.script(
  (keys: Keys.Keys, now: number | "", step: Step, leaseMillis: number) => [
    ...Keys.fixed(keys),
    now,
    keys.prefix,
    step.cursor,
    step.keys,
    leaseMillis
  ],
  {
    operation: "DocketStore.heartbeat",
    numberOfKeys: Keys.numberOfFixed,
    lua: /* lua */ `
${fragments.prologue}
${compose([fragments.enqueue, fragments.slots, fragments.putAside, fragments.wake])}

local types = { ${Object.entries(Keys.types)
      .map(([key, type]) => `['${key}'] = '${type}'`)
      .join(", ")} }
local states = { scheduled = true, queued = true, running = true, completed = true, failed = true, cancelled = true }
local repaired, misplaced = 0, {}
local pattern = string.gsub(prefix, '[%*%?%[%]\\\\]', '\\\\%0') .. '*'
local scanned = call('SCAN', ARGV[3], 'MATCH', pattern, 'COUNT', ARGV[4])

-- Whether a key has the type that it is to have; puts aside what has not.
local function isOwn(rest, segment)
  local found, name = call('TYPE', prefix .. rest).ok, prefix .. rest
  if found == types[segment or rest] then return true end
  if found ~= 'none' then
    putAside(rest)
    misplaced[#misplaced + 1] = name
  end
  return false
end

local function isIn(place, key)
  return call('ZSCORE', place, key) ~= false
end
local function isInStream(place, key, entry)
  -- It may be no id at all.
  local found = entry and redis.pcall('XRANGE', place, entry, entry)
  return found and found[1] and found[1][2][2] == key
end
local function again(key, ...)
  local record = records .. key
  call('HSET', record, 'state', 'queued', 'id', enqueue(key))
  if ... then call('HDEL', record, ...) end
  repaired = repaired + 1
  if isFollowed(key) then announce(key) end
end
local function againFromLine(key, control)
  call('ZREM', waitingKey, key)
  if control then call('ZREM', linesOf .. control, key) end
  if call('EXISTS', records .. key) == 1 then again(key, 'aside', 'waits') end
end

local function checkWaiting(key, control)
  if not (control and isIn(waitingKey, key) and isIn(linesOf .. control, key)) then
    againFromLine(key, control)
  elseif not tonumber(call('HGET', slotsOf .. control, 'limit')) then
    -- The first to be claimed tells the limit, and the others find it known.
    findHolders(control)
    againFromLine(call('ZRANGE', linesOf .. control, 0, 0)[1], control)
    call('HSETNX', slotsOf .. control, 'limit', '0')
  end
end

local function checkRecord(key, record)
  local found = call('HMGET', record, 'state', 'aside', 'id', 'due', 'task', 'waits', 'gen', 'slot', 'needs')
  local state, aside, entry, due, task, waits, generation, slot, needs = unpack(found)
  if not states[state or ''] then
    -- What has a time to live was settled. The rest was live: it is not to be lost for what was done to it.
    if call('PTTL', record) >= 0 then return end
    notice('Others changed what is kept of ' .. cjson.encode(key) .. ', which had no state any more: it runs again')
    if isIn(leasesKey, key) then
      call('HSET', record, 'state', 'running')
      repaired = repaired + 1
    else
      again(key, 'aside')
    end
  elseif state == 'running' then
    -- Whoever runs it renews this; if nobody does, it expires.
    if not isIn(leasesKey, key) then
      call('ZADD', leasesKey, text(now + tonumber(ARGV[5])), key)
      repaired = repaired + 1
    end
  elseif state ~= 'queued' and state ~= 'scheduled' then
    return
  elseif aside == 'w' then
    checkWaiting(key, waits)
  elseif aside == 'f' then
    if not isInStream(frontKey, key, entry) then
      goFirst(key)
      repaired = repaired + 1
    end
  elseif not (task and due and generation) then
    -- Whoever claims it finds that it lacks something, and fails it.
    if not isInStream(streamKey, key, entry) then again(key, 'aside') end
  elseif aside == 't' then
    local needed = needs or task
    if not isIn(prefix .. '${Keys.segments.parked}' .. needed, key) then
      again(key, 'aside')
    elseif call('SADD', parkedKey, needed) == 1 then
      repaired = repaired + 1
    end
  elseif aside == 'a' then
    if not isIn(askedKey, key) then again(key, 'aside', 'lease') end
  elseif aside == 'h' then
    if not isIn(heldKey, key) then again(key, 'aside') end
  elseif state == 'scheduled' then
    if not isIn(queueKey, key) then
      local time = tonumber(due)
      call('ZADD', queueKey, time and time == time and due or nowText, key)
      repaired = repaired + 1
    end
  elseif not isInStream(streamKey, key, entry) then
    again(key)
  end
  if slot and call('HSETNX', slotsOf .. slot, generation .. ':' .. key, '1') == 1 then repaired = repaired + 1 end
end

local function checkSlots(control, holders)
  for _, holder in ipairs(call('HKEYS', holders)) do
    local generation, key = string.match(holder, '^(%d+):(.*)$')
    local isHeld = holder == 'limit' or (generation and call('HEXISTS', overtakenKey, holder) == 1)
    if not isHeld and generation then
      local found = call('HMGET', records .. key, 'gen', 'slot')
      isHeld = found[1] == generation and found[2] == control
    end
    if not isHeld then
      call('HDEL', holders, holder)
      repaired = repaired + 1
    end
  end
  handOn(control)
end

-- Others would wait for an overdue start that nobody plans any more, window after window.
local function checkPlans(control, plans)
  for _, key in ipairs(call('ZRANGEBYSCORE', plans, '-inf', nowText, 'LIMIT', 0, 20)) do
    local isPlanned = false
    for _, name in ipairs(decode(call('HGET', records .. key, 'plans'))) do
      isPlanned = isPlanned or name == control
    end
    if not isPlanned then repaired = repaired + call('ZREM', plans, key) end
  end
end

local isAllWell = true
local function try(check, ...)
  -- Something else may be there, or in one of the lists. That is no reason to leave the rest.
  if not pcall(check, ...) then isAllWell = false end
end

-- Strikes that were deleted, or the note that some were restored: nothing is to be held any more.
local function checkHeld()
  if call('EXISTS', heldKey) == 1 and call('EXISTS', strikesKey, releaseKey) == 0 then
    call('SET', releaseKey, call('ZRANGE', heldKey, -1, -1, 'WITHSCORES')[2])
    repaired = repaired + 1
  end
end
if ARGV[3] == '0' then try(checkHeld) end

-- What runs is looked at more often than the rest: until a slot that was deleted is back, more may run than the limit allows.
local function checkRunning()
  local count = call('ZCARD', leasesKey)
  local first = count > ${runsTogether} and now % count or 0
  for _, key in ipairs(call('ZRANGE', leasesKey, first, first + ${runsTogether - 1})) do
    try(checkRecord, key, records .. key)
  end
end
try(checkRunning)

for _, name in ipairs(scanned[2]) do
  local rest = string.sub(name, #prefix + 1)
  local segment, key = string.match(rest, '^(%l+:)(.*)$')
  if segment == '${Keys.segments.record}' then
    -- Nearly all are right, so their type is looked at only when something goes wrong.
    if not pcall(checkRecord, key, name) and isOwn(rest, segment) then isAllWell = false end
  elseif types[segment or rest] and isOwn(rest, segment) then
    if segment == '${Keys.segments.slots}' then try(checkSlots, key, name) end
    if segment == '${Keys.segments.plans}' then try(checkPlans, key, name) end
  end
end
if not isAllWell then
  for _, name in ipairs(KEYS) do
    local rest = string.sub(name, #prefix + 1)
    if types[rest] then isOwn(rest) end
  end
end
if repaired > 0 or isAnyLetGo then pcall(wake) end
return { scanned[1], repaired, misplaced }
`
  }
).withReplyType<Reply>()
