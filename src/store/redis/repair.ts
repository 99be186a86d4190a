import * as fragments from "./fragments.ts"
import * as Keys from "./keys.ts"
import * as Redis from "./Redis.ts"

/** Where the next step goes on, and how many keys it looks at. */
export interface Step {
  readonly cursor: string
  readonly keys: number
}

export const firstStep: Step = { cursor: "0", keys: 100 }

/**
 * What follows a step. 100 keys take Redis about 0.2 ms when all are records (Redis 7.0, November 2026). Where something was
 * missing, more may be: then it looks at ten times as many, to the end of the round.
 */
export const nextStep = ({ keys }: Step, [cursor, repaired]: readonly [cursor: string, repaired: number]): Step => ({
  cursor,
  keys: repaired > 0 ? 1000 : cursor === "0" ? firstStep.keys : keys
})

/**
 * Goes through some of the docket's keys, puts back into the lists what its record says is in them and is not, and frees
 * slots of limits whose holders are gone.
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
 * Reply    where to go on, `0` at the end, and how many it put right
 * Cost     O(log n) a key, n being what waits or runs
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
${fragments.announce}
${fragments.enqueue}
${fragments.wake}
${fragments.slots}

local repaired = 0
local pattern = string.gsub(prefix, '[%*%?%[%]\\\\]', '\\\\%0') .. '*'
local scanned = call('SCAN', ARGV[3], 'MATCH', pattern, 'COUNT', ARGV[4])

local function isIn(place, key)
  return call('ZSCORE', place, key) ~= false
end
local function isInStream(place, entry)
  -- It may be no id at all.
  return entry and #redis.pcall('XRANGE', place, entry, entry) > 0
end
local function again(key, record, ...)
  call('HSET', record, 'state', 'queued', 'entry', enqueue(key))
  if ... then call('HDEL', record, ...) end
  repaired = repaired + 1
  if isFollowed(key) then announce(key) end
end

local function checkRecord(key, record)
  local found = call('HMGET', record, 'state', 'aside', 'entry', 'due', 'task', 'waits', 'gen', 'slot', 'needs')
  local state, aside, entry, due, task, waits, generation, slot, needs = unpack(found)
  if not (task and due and generation) then return end
  if state == 'running' then
    -- Whoever runs it renews this; if nobody does, it expires.
    if not isIn(leasesKey, key) then
      call('ZADD', leasesKey, text(now + tonumber(ARGV[5])), key)
      repaired = repaired + 1
    end
  elseif state ~= 'queued' and state ~= 'scheduled' then
    return
  elseif aside == 'w' then
    if not (waits and isIn(waitingKey, key) and isIn(linesOf .. waits, key)) then
      call('ZREM', waitingKey, key)
      if waits then call('ZREM', linesOf .. waits, key) end
      again(key, record, 'aside', 'waits')
    end
  elseif aside == 'f' then
    if not isInStream(frontKey, entry) then again(key, record, 'aside') end
  elseif aside then
    local place = aside == 't' and prefix .. '${Keys.segments.parked}' .. (needs or task) or aside == 'a' and askedKey or heldKey
    if not isIn(place, key) then again(key, record, 'aside', aside == 'a' and 'lease' or 'aside') end
  elseif state == 'scheduled' then
    if not isIn(queueKey, key) then
      call('ZADD', queueKey, tonumber(due) and due or nowText, key)
      repaired = repaired + 1
    end
  elseif not isInStream(streamKey, entry) then
    again(key, record)
  end
  if slot and call('HSETNX', slotsOf .. slot, generation .. ':' .. key, '1') == 1 then repaired = repaired + 1 end
end

local function checkSlots(control, holders)
  for _, holder in ipairs(call('HKEYS', holders)) do
    local generation, key = string.match(holder, '^(%d+):(.*)$')
    if generation and call('HEXISTS', overtakenKey, holder) == 0 then
      local found = call('HMGET', records .. key, 'gen', 'slot')
      if found[1] ~= generation or found[2] ~= control then
        freeSlot(control, key, generation)
        repaired = repaired + 1
      end
    end
  end
end

for _, name in ipairs(scanned[2]) do
  local segment, rest = string.match(string.sub(name, #prefix + 1), '^(%l+:)(.*)$')
  -- Something else may be there, or in one of the lists. That is no reason to leave the rest.
  if segment == '${Keys.segments.record}' then
    pcall(checkRecord, rest, name)
  elseif segment == '${Keys.segments.slots}' then
    pcall(checkSlots, rest, name)
  end
end
if repaired > 0 then wake() end
return { scanned[1], repaired }
`
  }
).withReplyType<readonly [cursor: string, repaired: number]>()
