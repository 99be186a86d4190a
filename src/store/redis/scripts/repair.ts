import { compose } from "./fragment.ts"
import * as fragments from "./fragments.ts"
import { holdings } from "./gates.ts"
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
 * docket's is put aside, slots of limits whose holders are gone are freed, and gates at which something waits have their turn.
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
${compose([fragments.announce, fragments.putAside, fragments.notice, fragments.wake, holdings])}

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
local function again(key, place, ...)
  if ... then call('HDEL', records .. key, ...) end
  enqueue(key, place)
  repaired = repaired + 1
  if isFollowed(key) then announce(key) end
end

-- A line is in one place, which knows of it.
local function checkLine(line)
  local gate = call('HGET', linesKey, line)
  if not gate then
    moveLine(line, '')
  elseif not isIn(gate == '' and gatesKey or atOf .. gate, gate == '' and 'l' .. line or line) then
    stand(line, gate)
  else
    return
  end
  repaired = repaired + 1
end

local function checkWaiting(key, line, place)
  if not (line and isIn(waitingKey, key) and isIn(lineOf .. line, key)) then
    call('ZREM', waitingKey, key)
    if line then call('ZREM', lineOf .. line, key) end
    if call('EXISTS', records .. key) == 1 then again(key, place or '0', 'line') end
  else
    checkLine(line)
  end
end

local function checkRecord(key, record)
  local found = call('HMGET', record, 'state', 'aside', 'id', 'due', 'task', 'line', 'gen', 'slot', 'needs', 'place')
  local state, aside, entry, due, task, line, generation, slot, needs, place = unpack(found)
  if not states[state or ''] then
    -- What has ended was settled. The rest was live: it is not to be lost for what was done to it.
    if call('HEXISTS', record, 'completed') == 1 then return end
    notice('Others changed what is kept of ' .. cjson.encode(key) .. ', which had no state any more: it runs again')
    if isIn(leasesKey, key) then
      call('HSET', record, 'state', 'running')
      repaired = repaired + 1
    else
      again(key, place, 'aside', 'line')
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
    checkWaiting(key, line, place)
  elseif aside == 'n' then
    if not isIn(turnsKey, key) then again(key, place or '0') end
  elseif aside == 'f' then
    return
  elseif not (task and due and generation) then
    -- Whoever claims it finds that it lacks something, and fails it.
    if not isInStream(streamKey, key, entry) then again(key, false, 'aside') end
  elseif aside == 't' then
    local needed = needs or task
    if not isIn(prefix .. '${Keys.segments.parked}' .. needed, key) then
      again(key, place, 'aside')
    elseif call('SADD', parkedKey, needed) == 1 then
      repaired = repaired + 1
    end
  elseif aside == 'a' then
    if not isIn(askedKey, key) then again(key, place, 'aside', 'lease') end
  elseif aside == 'h' then
    if not isIn(heldKey, key) then again(key, place, 'aside') end
  elseif state == 'scheduled' then
    if not isIn(queueKey, key) then
      local time = tonumber(due)
      call('ZADD', queueKey, time and time == time and due or nowText, key)
      repaired = repaired + 1
    end
  elseif not isInStream(streamKey, key, entry) then
    again(key, place)
  end
  if slot and call('HSETNX', slotsOf .. slot, generation .. ':' .. key, '1') == 1 then repaired = repaired + 1 end
end

local function checkSlots(control, holders)
  for _, holder in ipairs(call('HKEYS', holders)) do
    local generation, key = string.match(holder, '^(%d+):(.*)$')
    local isHeld = generation and call('HEXISTS', overtakenKey, holder) == 1
    if not isHeld and generation then
      local found = call('HMGET', records .. key, 'gen', 'slot')
      isHeld = found[1] == generation and found[2] == control
    end
    if not isHeld then
      call('HDEL', holders, holder)
      repaired = repaired + 1
    end
  end
  wakeGate('s' .. control)
end

-- A gate where something waits has its turn, opens by itself, or has holders who will give it back.
local function checkGate(gate)
  if isIn(gatesKey, 'g' .. gate) or isIn(opensKey, gate) then return end
  local control = string.sub(gate, 2)
  if string.sub(gate, 1, 1) == 's' then
    if call('EXISTS', slotsOf .. control) == 1 then return end
    findHolders(control)
    if call('EXISTS', slotsOf .. control) == 1 then
      repaired = repaired + 1
      return
    end
  end
  wakeGate(gate)
  repaired = repaired + 1
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
    if segment == '${Keys.segments.gate}' then try(checkGate, key) end
  end
end
if not isAllWell then
  for _, name in ipairs(KEYS) do
    local rest = string.sub(name, #prefix + 1)
    if types[rest] then isOwn(rest) end
  end
end
if repaired > 0 or isAnyTurn then pcall(wake) end
return { scanned[1], repaired, misplaced }
`
  }
).withReplyType<Reply>()
