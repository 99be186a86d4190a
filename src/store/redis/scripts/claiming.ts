/** How an execution is handed to a worker, as a step of `exchange`. */
import * as admission from "./admission.ts"
import { fragment, type Fragment } from "./fragment.ts"
import * as fragments from "./fragments.ts"
import * as Keys from "./keys.ts"
import { settle } from "./settling.ts"

/** How long an execution that may take down its process waits, before it is seen whether another such one still runs. */
const suspectPauseMillis = 1000

/**
 * Defines `seldom.consider(key, id, found)`: gives the worker an execution that is due, unless something keeps it from
 * starting, where `exchange` does not do so in line; `seldom.deliver` and `seldom.ask`. Builds on `exchange`.
 */
export const claim: Fragment = fragment(
  [settle, fragments.payloadOf, fragments.notice],
  /* lua */ `
-- Whether a number of a record is one, and no larger than a time can be.
local function isWhole(number)
  return number and string.find(number, '^-?%d+$') and math.abs(number) <= 8.64e15
end

-- What a worker is told of an execution; the last value is empty where it would say the same of most.
local function describe(list, key, task, generation, attempt, count, due, started, trace)
  local n = #list
  -- Whatever puts an execution off gives it another generation.
  local intended = generation ~= '1' and call('HGET', records .. key, 'intended')
  list[n + 1] = key
  list[n + 2] = task
  list[n + 3] = tonumber(due) or now
  list[n + 4] = table.concat({
    tonumber(generation) or 0, isWhole(attempt) and attempt or 1, count or 1, started or nowText,
    isWhole(intended) and intended or '-', trace or ''
  }, ' ')
end

function seldom.deliver(key, ...)
  describe(deliveries, key, ...)
  bodies[#bodies + 1] = payloadOf(key)
  grants[#grants + 1] = leaseEnd
  grants[#grants + 1] = key
  left = left - 1
end

-- Lends an execution to the worker, which is to tell something about it.
function seldom.ask(key, ...)
  describe(asked, key, ...)
  askedBodies[#askedBodies + 1] = payloadOf(key)
  call('ZADD', askedKey, leaseEnd, key)
  left = left - 1
end

local controls, admit = controlled ~= '' and cjson.decode(string.match(controlled, '[^%z]*$')), nil
if controls then
  ${admission.admit}
end

-- Whether the worker has another of those that died again and again, which may be what takes down its process. Then this
-- one, unless others wait for its slot, is looked at again a second later, as a rule by another worker. A run that has
-- outlived its first lease is none of them: its worker has renewed it.
local function isBesideAnother(key)
  local mark = prefix .. '${Keys.segments.suspect}' .. worker
  local ends, held, other = string.match(call('GET', mark) or '', '^(%d+) (%S+) (.*)$')
  if not ends or tonumber(ends) <= now or other == key or call('HGET', records .. key, 'slot') then return false end
  local found = call('HMGET', records .. other, 'lease', 'state', 'aside')
  if found[1] ~= held or not (found[2] == 'running' or found[3] == 'a') then return false end
  call('ZADD', queueKey, text(math.min(tonumber(ends), now + ${suspectPauseMillis})), key)
  call('HSET', records .. key, 'state', 'scheduled')
  if isFollowed(key) then announce(key) end
  return true
end

-- Notes that the worker has such a one. The end that is noted counts; the key lives a little longer, so as not to be gone
-- before.
local function markSuspect(key)
  call('SET', prefix .. '${Keys.segments.suspect}' .. worker, leaseEnd .. ' ' .. lease .. ' ' .. key, 'PX', text(ARGV[5] + 1000))
end

-- Gives the worker an execution that is due, unless something keeps it from starting.
local function consider(key, id, found)
  local record = records .. key
  found = found or call('HMGET', record, 'state', 'id', 'task', 'gen', 'attempt', 'deliveries', 'due', 'trace', 'needs', 'aside')
  -- An entry that its record does not name is of an execution that is gone or elsewhere.
  if found[1] ~= 'queued' or found[2] ~= id then
    if not (found[1] or found[3]) then notice('Something was due of which there is no record, and was taken out: ' .. cjson.encode(key)) end
    return
  end
  if found[10] then call('HDEL', record, 'aside') end
  local task, count = found[3], math.max(1, (tonumber(found[6]) or 0) + 1)
  local needed = found[9] or task
  if not (task and isWhole(found[4]) and isWhole(found[7])) then
    -- Someone else had a hand in it. It must not keep others from being claimed.
    giveUp(key, found[4])
    call('HSET', record, 'state', 'failed', 'completed', nowText, 'error', 'IncompleteRecord: its task, generation or due time is missing or no number')
    if isFollowed(key) then announce(key) end
    buryFailed(key, true)
  elseif not knows(needed) then
    call('HSET', record, 'aside', 't')
    call('ZADD', prefix .. '${Keys.segments.parked}' .. needed, nowText, key)
    unknownTasks[needed] = true
    giveUp(key, found[4])
  elseif count > maxDeliveries then
    exhausted[#exhausted + 1] = key
    exhausted[#exhausted + 1] = task
    exhausted[#exhausted + 1] = count - 1
    call('HSET', record, 'state', 'failed', 'completed', nowText, 'error',
      'DeliveriesExhausted: delivered ' .. (count - 1) .. ' times without being settled; its workers died, or lost their leases')
    giveUp(key, found[4])
    if isFollowed(key) then announce(key) end
    buryFailed(key, true)
  else
    local mine, isSuspect = controls and controls[task], 2 * (count - 1) >= maxDeliveries
    if isSuspect and isBesideAnother(key) then return end
    if mine or version ~= '' then
      local held = call('HMGET', record, 'judged', 'values')
      local values = held[2] and decode(held[2]) or {}
      if (held[1] or '') ~= version and version ~= '' or (mine and #values ~= #mine) then
        call('HSET', record, 'aside', 'a', 'lease', lease)
        if isSuspect then markSuspect(key) end
        return seldom.ask(key, task, found[4], found[5], count - 1, found[7], nowText, found[8])
      end
      if mine and not admit(key, found, mine, values) then return end
    end
    call('HSET', record, 'state', 'running', 'worker', worker, 'lease', lease, 'started', nowText, 'deliveries', count)
    if isSuspect then markSuspect(key) end
    seldom.deliver(key, task, found[4], found[5], count, found[7], nowText, found[8])
    if isFollowed(key) then announce(key) end
  end
end

function seldom.consider(key, ...)
  local isFine, problem = pcall(consider, key, ...)
  if not isFine then failDamaged(key, problem) end
end
`
)
