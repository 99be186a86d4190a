/** How a run is settled, as a step of `exchange`. */
import * as DocketStore from "../../../DocketStore.ts"
import { fragment, type Fragment } from "./fragment.ts"
import * as fragments from "./fragments.ts"
import { beforehand } from "./beforehand.ts"
import { holdings } from "./gates.ts"
import * as Keys from "./keys.ts"

/** How many keys that recur, and whose last run failed, are listed. */
const mostFailedChains = 10_000

/**
 * Defines `seldom.settle(key, found, generation, …)`: settles a run by how it ended, where `exchange` does not do so in line;
 * and `failDamaged(key, problem)`. Builds on `exchange`.
 */
export const settle: Fragment = fragment(
  [
    fragments.announce,
    fragments.absolute,
    fragments.bury,
    fragments.keepPayload,
    fragments.withdraw,
    beforehand,
    holdings
  ],
  /* lua */ `
local ends = { C = 'completed', F = 'failed', R = 'failed', X = 'cancelled' }

-- Publishes that a run has ended, whatever its record says of the key.
local function announceEnd(key, generation, outcome, problem, worker, started)
  local found = call('HMGET', records .. key, 'task', 'deliveries')
  publish(stateChannels .. key, {
    type = 'state', key = key, task = found[1], state = ends[outcome], generation = generation, deliveries = found[2],
    worker = worker, started = started, completed = nowText, error = outcome ~= 'X' and problem
  })
end

-- Lists a failed execution. The oldest beyond the limit are kept no longer than others that are settled.
local function list(key)
  call('ZADD', failedKey, nowText, key)
  call('PEXPIRE', failedKey, text(failedTtl))
  call('ZREMRANGEBYSCORE', failedKey, '-inf', text(now - failedTtl))
  local excess = call('ZCARD', failedKey) - failedMaximum
  if excess <= 0 then return end
  for _, oldest in ipairs(call('ZRANGE', failedKey, 0, math.min(excess, 100) - 1)) do
    call('ZREM', failedKey, oldest)
    local found = call('HMGET', records .. oldest, 'state', 'completed')
    if found[1] == 'failed' then
      local kept = (tonumber(found[2]) or 0) + ttl - now
      bury(oldest, kept, true)
      if kept > 0 then call('PEXPIRE', results .. oldest, text(kept)) end
    end
  end
end

-- Keeps what a failed execution leaves.
local function buryFailed(key, hasFailures)
  bury(key, failedTtl, hasFailures)
  if failedMaximum > 0 and failedTtl > 0 then list(key) end
end

-- Fails an execution of which the data make no sense: others had a hand in it. It must not hold up the rest. What has
-- another type fails the whole call, since it can be put aside, and the call made again.
local function failDamaged(key, problem)
  local reason = type(problem) == 'table' and problem.err or tostring(problem)
  if string.find(reason, 'WRONGTYPE', 1, true) then error(problem, 0) end
  local record = records .. key
  if call('EXISTS', record) == 0 then return end
  pcall(withdraw, key)
  pcall(giveUp, key, call('HGET', record, 'gen'))
  call('HSET', record, 'state', 'failed', 'completed', nowText, 'error', 'DamagedData: what the store keeps of it was changed: ' .. reason)
  call('ZREM', leasesKey, key)
  if isFollowed(key) then announce(key) end
  buryFailed(key, true)
end

-- Notes when an execution was due at first, before its schedule is put off.
local function noteIntended(key)
  local found = call('HMGET', records .. key, 'intended', 'due')
  if not found[1] and found[2] then call('HSET', records .. key, 'intended', found[2]) end
end

-- Lets an ended run's key wait for the next one: "fields" are set, "cleared" go.
local function goOn(key, generation, due, fields, cleared)
  local record, state = records .. key, 'queued'
  if due <= now then
    fields[#fields + 1] = 'id'
    fields[#fields + 1] = append(key)
  else
    state = 'scheduled'
    call('ZADD', queueKey, text(due), key)
  end
  call('HSET', record, 'state', state, 'due', text(due), 'gen', text(generation + 1), unpack(fields))
  call('HDEL', record, 'worker', 'started', 'progress', 'place', unpack(cleared))
  if isFollowed(key) then announce(key) end
end

-- Lets an execution have its turn where it was, under the next generation, as if it had not been delivered.
local function giveBack(key, generation, held)
  local record = records .. key
  local found = call('HMGET', record, 'place', 'id')
  call('HSET', record, 'gen', text(generation + 1), 'was', held)
  call('HINCRBY', record, 'deliveries', -1)
  call('HDEL', record, 'worker', 'started', 'progress')
  enqueue(key, found[1] or placeOf(found[2]))
  if isFollowed(key) then announce(key) end
end

local function noteAttempt(key, run, problem)
  call('RPUSH', attempts .. key, run[1] or '1', run[2] or '', run[3] or nowText, nowText, problem)
  call('LTRIM', attempts .. key, ${-5 * DocketStore.maximumAttempts}, -1)
end

-- Notes a run of a key that goes on, and whether it is one of those that an operator wants to see.
local function noteRun(key, generation, outcome, problem, due)
  local runs = prefix .. '${Keys.segments.runs}' .. key
  local run = call('HMGET', records .. key, 'worker', 'started')
  call('RPUSH', runs, generation, run[1] or '', run[2] or nowText, nowText, outcome == 'F' and 'f' .. problem or 'c')
  call('LTRIM', runs, ${-5 * DocketStore.maximumRuns}, -1)
  call('PEXPIRE', runs, text(math.max(0, due - now) + failedTtl))
  if outcome ~= 'F' then return call('ZREM', chainsKey, key) end
  call('ZADD', chainsKey, nowText, key)
  if call('ZCARD', chainsKey) > ${mostFailedChains} then call('ZREM', chainsKey, call('ZRANGE', chainsKey, 0, 0)[1]) end
end

-- Takes from a run that has ended what controls gave it. One that does not count as a run gives back its starts and
-- windows as well; one that was given back keeps them for its next start.
local function leaveControls(key, generation, isUndone, isKept)
  local record = records .. key
  local found = call('HMGET', record, 'starts', 'windows', 'counted')
  if isUndone then
    for _, control in ipairs(found[1] and decode(found[1]) or {}) do
      call('ZREM', prefix .. '${Keys.segments.starts}' .. control, (found[3] or '') .. ':' .. key)
      wakeGate('r' .. control)
    end
    for _, control in ipairs(found[2] and decode(found[2]) or {}) do
      local window = prefix .. '${Keys.segments.cooldown}' .. control
      -- Another one may have opened it since.
      if string.match(call('GET', window) or '', '^%d+ (.*)$') == key then call('DEL', window) end
    end
  end
  if not isKept and (found[1] or found[2]) then call('HDEL', record, 'starts', 'windows', 'counted') end
  giveUp(key, generation)
end

-- Lets an execution wait until a strike is restored, at its place.
local function holdByStrike(key, held)
  local record = records .. key
  local found = call('HMGET', record, 'place', 'id')
  local place = tonumber(found[1]) or placeOf(found[2]) or 0
  call('ZADD', heldKey, text(scoreOf(place)), key)
  call('HSET', record, 'state', 'scheduled', 'aside', 'h', 'was', held, 'place', text(place))
  if isFollowed(key) then announce(key) end
  return 'a'
end

-- Ends an execution that is not to start, and is nowhere. What the last run of its key left is what it was, if it is kept still.
local function refuse(key, generation)
  local record = records .. key
  giveUp(key, generation)
  call('HSET', record, 'state', 'cancelled', 'completed', nowText)
  call('HDEL', record, 'aside', 'line')
  -- It may be the end of a chain.
  call('ZREM', chainsKey, key)
  if isFollowed(key) then announce(key) end
  local isRecalled = recall(key, generation)
  if not isRecalled then bury(key, ttl, call('HGET', record, 'failures')) end
  return isRecalled
end

-- Goes by what a worker told of an execution that it was asked about.
local function settleAsked(key, generation, held, outcome, problem, value, due, payload, chain)
  local record = records .. key
  call('ZREM', askedKey, key)
  call('HDEL', record, 'aside')
  call('HSET', record, 'was', held)
  -- A strike that was restored meanwhile holds nothing any more.
  if outcome == 'H' and payload == version then return holdByStrike(key, held) end
  local found = call('HMGET', record, 'place', 'skip')
  if outcome == 'X' or (outcome == 'S' and found[2] and not due) then
    if outcome == 'S' then call('HSET', record, 'dropped', found[2]) end
    if refuse(key, generation) then call('HSET', record, 'was', held) end
    return 'a'
  end
  if outcome == 'F' then
    giveUp(key, generation)
    call('ZREM', chainsKey, key)
    call('HSET', record, 'state', 'failed', 'completed', nowText, 'error', problem)
    if isFollowed(key) then announce(key) end
    buryFailed(key, call('HGET', record, 'failures'))
    return 'a'
  end
  if outcome == 'S' and found[2] then
    -- The key goes on as if this run had never been scheduled.
    if isFollowed(key) then announceEnd(key, generation, 'X', false, false, false) end
    leaveControls(key, generation)
    local cleared = { 'deliveries', 'attempt', 'intended', 'passed', 'quiet', 'skip', 'lease' }
    if payload then
      keepPayload(key, payload)
      cleared[8], cleared[9] = 'terms', 'judged'
    end
    goOn(key, generation, due, { 'was', held, chain and 'chain' or nil, chain or nil }, cleared)
    return 'a'
  end
  if outcome == 'D' then
    if value then call('HSET', record, 'terms', value) else call('HDEL', record, 'terms') end
    call('HSET', record, 'judged', payload)
    determined[#determined + 1] = key
  elseif outcome == 'N' then
    call('HSET', record, 'needs', value)
  end
  enqueue(key, found[1] or '0')
  return 'a'
end

local function settle(key, found, generation, held, outcome, isReported, problem, value, due, payload, chain)
  local record = records .. key
  due = due and absolute(due)
  if found[1] ~= generation then
    local wasOvertaken = endOvertaken(key, generation, held)
    if not found[1] then return wasOvertaken and 's' or 'l' end
    if found[6] == held then return 'l' end
    -- What was given back or postponed has not ended.
    if ends[outcome] and isFollowed(key) then announceEnd(key, generation, outcome, problem, worker, false) end
    return 's'
  end
  if found[3] ~= held then return 'l' end
  if found[2] ~= 'running' then
    if found[2] == 'queued' and call('HGET', record, 'aside') == 'a' then
      return settleAsked(key, generation, held, outcome, problem, value, due, payload, chain)
    end
    return 'l'
  end

  local wasCancelled, hasFailures = found[4], found[5]
  if isReported then call('DEL', progresses .. key) end
  local run
  if problem then
    run = call('HMGET', record, 'attempt', 'worker', 'started')
    hasFailures = '1'
    noteAttempt(key, run, problem)
  end
  if wasCancelled then
    due = false
    if not ends[outcome] or outcome == 'R' then outcome = 'X' end
  end
  if found[7] then leaveControls(key, generation, not ends[outcome] and outcome ~= 'B', outcome == 'B') end

  if outcome == 'N' then call('HSET', record, 'needs', value) end
  if outcome == 'H' and payload == version then
    call('HSET', record, 'gen', text(generation + 1))
    call('HINCRBY', record, 'deliveries', -1)
    call('HDEL', record, 'worker', 'started', 'progress')
    return holdByStrike(key, held)
  end
  if outcome == 'P' then
    noteIntended(key)
    goOn(key, generation, due, { 'was', held, 'deliveries', (tonumber(call('HGET', record, 'deliveries')) or 1) - 1 }, {})
    return 'a'
  end
  if not ends[outcome] then
    giveBack(key, generation, held)
    return 'a'
  end
  if outcome == 'R' then
    local attempt = (tonumber(run[1]) or 1) + 1
    noteIntended(key)
    goOn(key, generation, due, { 'was', held, 'attempt', attempt, 'error', problem, 'failures', '1' }, { 'deliveries' })
    return 'a'
  end

  local kept = ttl
  if outcome == 'F' and not due then kept = failedTtl end
  if kept > 0 then
    if value then
      call('SET', results .. key, (outcome == 'C' and 'c' or 'f') .. value, 'PX', text(kept))
    elseif outcome ~= 'X' and generation ~= '1' then
      call('DEL', results .. key)
    end
  end
  if isFollowed(key) then
    run = call('HMGET', record, 'attempt', 'worker', 'started')
    announceEnd(key, generation, outcome, problem, run[2], run[3])
  end

  if due then
    noteRun(key, generation, outcome, problem, due)
    local fields = { 'was', held, 'last', string.lower(outcome) .. generation }
    local cleared = { 'deliveries', 'attempt', 'intended', 'passed', 'quiet' }
    if chain then
      fields[#fields + 1] = 'chain'
      fields[#fields + 1] = chain
    end
    if payload then
      keepPayload(key, payload)
      cleared[6], cleared[7] = 'terms', 'judged'
    end
    if hasFailures then
      fields[#fields + 1] = 'failures'
      fields[#fields + 1] = '1'
    end
    if outcome == 'F' and ttl > 0 then
      fields[4] = fields[4] .. ' ' .. problem
      fields[#fields + 1] = 'error'
      fields[#fields + 1] = problem
    else
      cleared[#cleared + 1] = 'error'
    end
    goOn(key, generation, due, fields, cleared)
    return 'a'
  end
  -- It may have been the last run of a chain.
  if generation ~= '1' then call('ZREM', chainsKey, key) end
  if kept > 0 then
    if problem then
      call('HSET', record, 'state', ends[outcome], 'completed', nowText, 'error', problem)
    else
      call('HSET', record, 'state', ends[outcome], 'completed', nowText)
    end
    if wasCancelled or isReported or (hasFailures and outcome == 'C') then
      call('HDEL', record, 'cancel', 'progress', outcome == 'C' and 'error' or 'cancel')
    end
  end
  if outcome == 'F' then buryFailed(key, hasFailures) else bury(key, ttl, hasFailures) end
  return 'a'
end

function seldom.settle(key, ...)
  local isFine, status = pcall(settle, key, ...)
  if isFine then return status end
  failDamaged(key, status)
  return 'l'
end
`
)
