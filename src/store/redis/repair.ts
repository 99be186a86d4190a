import * as Keys from "./keys.ts"

/** Where the next heartbeat goes on, and how many keys it looks at. */
export interface Repairs {
  /** Empty for none. */
  readonly cursor: string
  readonly step: number
}

/** The first heartbeat only announces the worker: it is to begin soon. */
export const noRepairs: Repairs = { cursor: "", step: 100 }

/**
 * What follows a step. 100 keys take Redis about 0.2 ms when all are records (Redis 7.0, November 2026). Where something was
 * missing, more may be: then it looks at ten times as many, to the end of the round.
 */
export const nextRepairs = ({ step }: Repairs, cursor: string, repaired: number): Repairs => ({
  cursor: cursor === "" ? "0" : cursor,
  step: repaired > 0 ? 1000 : cursor === "0" ? 100 : step
})

/**
 * Defines `repair(cursor, step, leaseMillis)`, which goes through some of the docket's keys, puts back into the lists what its
 * record says is in them and is not, and frees slots of limits whose holders are gone. Returns where to go on, `0` at the
 * end, and how many it put right.
 *
 * **Details**
 *
 * Every write is one script, and Redis replicates and restores scripts as a whole, so records and lists agree as long as
 * nobody else has a hand in them. They differ when someone deletes a list, evicts one, puts something else in its place
 * (a script then fails halfway), or calls `SCRIPT KILL` in the middle of one.
 *
 * Needs `announce`, `enqueue`, and `slots`. It looks at all keys of the server, those of others included: there is no
 * list of the records, which would cost more than this.
 */
export const repair = /* lua */ `
local function repair(cursor, step, leaseMillis)
  local repaired = 0
  local pattern = string.gsub(prefix, '[%*%?%[%]\\\\]', '\\\\%0') .. '*'
  local scanned = call('SCAN', cursor, 'MATCH', pattern, 'COUNT', step)

  local function isIn(place, key)
    return call('ZSCORE', place, key) ~= false
  end
  local function again(key, record, ...)
    call('HSET', record, 'state', 'queued', 'entry', enqueue(key))
    if ... then call('HDEL', record, ...) end
    repaired = repaired + 1
    if isFollowed(key) then announce(key) end
  end

  local function checkRecord(key, record)
    local found = call('HMGET', record, 'state', 'aside', 'entry', 'due', 'task', 'waits', 'gen', 'slot')
    local state, aside, entry, due, task, waits, generation, slot = unpack(found)
    if not (task and due and generation) then return end
    if state == 'running' then
      -- Whoever runs it renews this; if nobody does, it expires.
      if not isIn(leasesKey, key) then
        call('ZADD', leasesKey, text(now + leaseMillis), key)
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
    elseif aside then
      local place = aside == 't' and prefix .. '${Keys.segments.parked}' .. task or aside == 'a' and askedKey or heldKey
      if not isIn(place, key) then again(key, record, 'aside', aside == 'a' and 'lease' or 'aside') end
    elseif state == 'scheduled' then
      if not isIn(queueKey, key) then
        call('ZADD', queueKey, tonumber(due) and due or nowText, key)
        repaired = repaired + 1
      end
    -- It may be no id at all.
    elseif not entry or #redis.pcall('XRANGE', streamKey, entry, entry) == 0 then
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
  return scanned[1], repaired
end
`
