import * as Keys from "./keys.ts"

/** The keys that one step looks at. 100 take Redis about 0.2 ms when all are records (Redis 7.0, November 2026). */
const keysAStep = 100

/**
 * Defines `repair(cursor, leaseMillis)`, which goes through some of the docket's keys, puts back into the lists what its
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
local function repair(cursor, leaseMillis)
  local repaired = 0
  local pattern = string.gsub(prefix, '[%*%?%[%]\\\\]', '\\\\%0') .. '*'
  local scanned = call('SCAN', cursor, 'MATCH', pattern, 'COUNT', ${keysAStep})

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
        call('ZADD', queueKey, due, key)
        repaired = repaired + 1
      end
    elseif not entry or #call('XRANGE', streamKey, entry, entry) == 0 then
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
    -- Something else may be where a record or the slots of a limit should be.
    if segment == '${Keys.segments.record}' and call('TYPE', name).ok == 'hash' then
      checkRecord(rest, name)
    elseif segment == '${Keys.segments.slots}' and call('TYPE', name).ok == 'hash' then
      checkSlots(rest, name)
    end
  end
  return scanned[1], repaired
end
`
