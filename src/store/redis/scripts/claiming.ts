/** How an execution is handed to a worker, as a step of `exchange`. */
import { pass } from "./admission.ts"
import { fragment, type Fragment } from "./fragment.ts"
import * as fragments from "./fragments.ts"
import * as Keys from "./keys.ts"
import { settle } from "./settling.ts"

/** How long an execution that may take down its process waits, before it is seen whether another such one still runs. */
const suspectPauseMillis = 1000

/**
 * Defines `seldom.consider(key, id, found)`: gives the worker an execution whose entry is in the stream, unless something keeps
 * it from starting, where `exchange` does not do so in line; `seldom.takeTurns(id)`, which does so with whatever has its turn
 * before that entry; `seldom.considerTold(key)`; `seldom.deliver` and `seldom.ask`. Builds on `exchange`.
 */
export const claim: Fragment = fragment(
  [settle, fragments.payloadOf, fragments.noticeLost, fragments.notice, pass],
  /* lua */ `
-- Whether a number of a record is one, and no larger than a time can be.
local function isWhole(number)
  return number and string.find(number, '^-?%d+$') and math.abs(number) <= 8.64e15
end

-- What a worker is told of an execution; the last value is empty where it would say the same of most.
local function describe(list, key, task, generation, attempt, count, due, started, trace, intended)
  local n = #list
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

-- Lends an execution to the worker, which is to tell something about it: if it is skipped, what comes after it.
function seldom.ask(key, isSkipped, ...)
  describe(asked, key, ...)
  if isSkipped then skipped[#skipped + 1] = key end
  askedBodies[#askedBodies + 1] = payloadOf(key)
  call('ZADD', askedKey, leaseEnd, key)
  left = left - 1
end

-- Until when the worker has another of those that died again and again, which may be what takes down its process. A run that
-- has outlived its first lease is none of them: its worker has renewed it.
local function suspectUntil(key)
  local mark = prefix .. '${Keys.segments.suspect}' .. worker
  local ends, held, other = string.match(call('GET', mark) or '', '^(%d+) (%S+) (.*)$')
  if not ends or tonumber(ends) <= now or other == key then return end
  local found = call('HMGET', records .. other, 'lease', 'state', 'aside')
  return found[1] == held and (found[2] == 'running' or found[3] == 'a') and tonumber(ends)
end

-- Notes that the worker has such a one. The end that is noted counts; the key lives a little longer, so as not to be gone
-- before.
local function markSuspect(key)
  call('SET', prefix .. '${Keys.segments.suspect}' .. worker, leaseEnd .. ' ' .. lease .. ' ' .. key, 'PX', text(ARGV[5] + 1000))
end

-- Takes an execution from the line in which it waits, if it does.
local function depart(one)
  if not one.line then return end
  leaveLine(one.key, one.line)
  call('HDEL', records .. one.key, 'line')
end

-- Says where an execution is that waits on, and keeps its place.
local function stay(one, state, aside, ...)
  call('HSET', records .. one.key, 'state', state, 'place', text(one.place), ...)
  if aside then
    call('HSET', records .. one.key, 'aside', aside)
  elseif one.aside then
    call('HDEL', records .. one.key, 'aside')
  end
  if state ~= one.state and isFollowed(one.key) then announce(one.key) end
end

local function askAbout(one, isSkipped, ...)
  if one.isSuspect then markSuspect(one.key) end
  depart(one)
  stay(one, 'queued', 'a', 'lease', lease, ...)
  if one.skip and not isSkipped then call('HDEL', records .. one.key, 'skip') end
  seldom.ask(one.key, isSkipped, one.task, one.generation, one.attempt, one.count - 1, one.due, nowText, one.trace, one.intended)
end

-- Lets an execution pass the controls of its task; tells whether it did.
local function admit(one, contract)
  local before = one.line
  local verdict, detail = pass(one, contract)
  if verdict == 'admitted' then return true end
  if verdict == 'waits' then
    if not before or before ~= one.line or detail then
      if not detail then
        stay(one, 'scheduled', 'w', 'line', one.line)
      elseif one.intended then
        stay(one, 'scheduled', 'w', 'line', one.line, 'due', text(detail))
      else
        stay(one, 'scheduled', 'w', 'line', one.line, 'due', text(detail), 'intended', one.due)
      end
    end
  elseif contract.recurs then
    askAbout(one, true, 'skip', detail)
  else
    depart(one)
    call('HSET', records .. one.key, 'dropped', detail)
    refuse(one.key, one.generation)
    dropped[#dropped + 1] = one.key
    dropped[#dropped + 1] = one.task
  end
end

-- Gives the worker an execution that has its turn, unless something keeps it from starting. It is in a line, or nowhere.
local function look(one)
  local key, task, needs = one.key, one.task, one.needs
  local record = records .. key
  if not (task and isWhole(one.generation) and isWhole(one.due)) then
    -- Someone else had a hand in it. It must not keep others from being claimed.
    depart(one)
    giveUp(key, one.generation)
    call('HSET', record, 'state', 'failed', 'completed', nowText, 'error', 'IncompleteRecord: its task, generation or due time is missing or no number')
    if isFollowed(key) then announce(key) end
    return buryFailed(key, true)
  end
  if not knows(needs) then
    depart(one)
    stay(one, 'queued', 't')
    call('ZADD', prefix .. '${Keys.segments.parked}' .. needs, nowText, key)
    unknownTasks[needs] = true
    return
  end
  if one.count > maxDeliveries then
    exhausted[#exhausted + 1] = key
    exhausted[#exhausted + 1] = task
    exhausted[#exhausted + 1] = one.count - 1
    depart(one)
    call('HSET', record, 'state', 'failed', 'completed', nowText, 'error',
      'DeliveriesExhausted: delivered ' .. (one.count - 1) .. ' times without being settled; its workers died, or lost their leases')
    call('HDEL', record, 'aside')
    giveUp(key, one.generation)
    if isFollowed(key) then announce(key) end
    return buryFailed(key, true)
  end
  one.isSuspect = 2 * (one.count - 1) >= maxDeliveries
  local pauseEnd = one.isSuspect and suspectUntil(key)
  if pauseEnd then
    -- It is looked at again a second later, as a rule by another worker.
    depart(one)
    call('ZADD', queueKey, text(math.min(pauseEnd, now + ${suspectPauseMillis})), key)
    return stay(one, 'scheduled')
  end
  local contract = contractOf(task) or ''
  -- What a fallback runs has no terms, and the controls of the task have no say.
  if one.isTold and not one.terms then contract = '' end
  local fields = { 'state', 'running', 'worker', worker, 'lease', lease, 'started', nowText, 'deliveries', one.count }
  local isJudged = version == '' or one.judged == version
  if not isJudged or (contract ~= '' and (one.terms and decode(one.terms)[1]) ~= contract.fingerprint) then return askAbout(one) end
  if contract ~= '' and not admit(one, contract) then return end
  depart(one)
  if one.state == 'scheduled' and isAnyFollowed then
    call('HSET', record, 'state', 'queued')
    if isFollowed(key) then announce(key) end
  end
  call('HSET', record, unpack(fields))
  if one.aside then call('HDEL', record, 'aside', 'line') end
  if one.ran then
    call('HDEL', record, 'ran')
    forgetBefore(key)
  end
  if one.isSuspect then markSuspect(key) end
  seldom.deliver(key, task, one.generation, one.attempt, one.count, one.due, nowText, one.trace, one.intended)
  if isFollowed(key) then announce(key) end
end

-- An execution as it is looked at, with what "found" has of its record already.
local function oneOf(key, found)
  local more = call('HMGET', records .. key, 'judged', 'terms', 'intended', 'ran', 'place', 'line', 'skip')
  return {
    key = key, state = found[1], task = found[3], generation = found[4], attempt = found[5],
    count = math.max(1, (tonumber(found[6]) or 0) + 1), due = found[7], trace = found[8], needs = found[9] or found[3],
    aside = found[10], judged = more[1], terms = more[2], intended = more[3], ran = more[4],
    place = tonumber(more[5]) or placeOf(found[2]) or 0, inLine = more[6], skip = more[7]
  }
end

local function read(key)
  return call('HMGET', records .. key, 'state', 'id', 'task', 'gen', 'attempt', 'deliveries', 'due', 'trace', 'needs', 'aside')
end

local function considerEntry(key, id, found)
  -- An entry that its record does not name is of an execution that is gone or elsewhere.
  if found[1] ~= 'queued' or found[2] ~= id or found[10] then
    if not (found[1] or found[3]) then noticeLost(key) end
    return
  end
  local one = oneOf(key, found)
  one.score = scoreOf(one.place)
  look(one)
end

local function considerTurn(key, isTold)
  local found = read(key)
  call('ZREM', turnsKey, key)
  if found[1] ~= 'queued' or found[10] ~= 'n' then
    if not (found[1] or found[3]) then noticeLost(key) end
    return
  end
  local one = oneOf(key, found)
  one.isTold = isTold
  one.score = scoreOf(one.place)
  look(one)
end

local function considerHead(key, line)
  local found = read(key)
  local one = oneOf(key, found)
  if found[1] ~= 'scheduled' or found[10] ~= 'w' or one.inLine ~= line then
    if not (found[1] or found[3]) then
      notice('Others deleted what was kept of ' .. cjson.encode(key) .. ', which waited at a limit: it will not run')
    end
    return leaveLine(key, line)
  end
  one.line = line
  one.score = scoreOf(one.place)
  look(one)
end

-- Whatever is wrong with an execution must not keep others from being claimed.
local function safely(f, key, ...)
  local isFine, problem = pcall(f, key, ...)
  if not isFine then failDamaged(key, problem) end
  if #grants >= 400 then flush() end
end

function seldom.consider(key, id, found)
  safely(considerEntry, key, id, found or read(key))
end

function seldom.considerTold(key)
  safely(considerTurn, key, true)
end

-- Gives what waits at an open gate, or is to be looked at anew, its turn.
local function takeGate(member)
  local id, line = string.sub(member, 2), nil
  if string.byte(member) == 108 then
    line = id
  elseif opensAt(id) <= now then
    line = call('ZRANGE', atOf .. id, 0, 0)[1]
  end
  local head = line and call('ZRANGE', lineOf .. line, 0, 0)[1]
  if head then return safely(considerHead, head, line) end
  -- Others may have put in what is no gate.
  call('ZREM', gatesKey, member)
  if string.byte(member) == 103 then
    if line then call('ZREM', atOf .. id, line) end
    wakeGate(id)
  end
end

local turn, gate
function seldom.takeTurns(id)
  local score = id and scoreOf(placeOf(id)) or math.huge
  while left > 0 and budget > 0 do
    if isTurnChanged then
      turn, gate = call('ZRANGE', turnsKey, 0, 0, 'WITHSCORES'), call('ZRANGE', gatesKey, 0, 0, 'WITHSCORES')
      isTurnChanged = false
    end
    local ofTurn, ofGate = tonumber(turn[2]) or math.huge, tonumber(gate[2]) or math.huge
    local first = math.min(ofTurn, ofGate)
    if first == math.huge or first > score then break end
    budget = budget - 1
    isTurnChanged = true
    if ofGate <= ofTurn then takeGate(gate[1]) else safely(considerTurn, turn[1]) end
  end
  flush()
end
`
)
