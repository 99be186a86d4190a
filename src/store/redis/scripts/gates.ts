/**
 * Gates and lines, as steps of scripts.
 *
 * A gate is one control and one value of it. What finds a gate closed waits in a line: a line holds executions that differ in
 * nothing that decides whether they may start, and waits at one gate as a whole. A gate that opens gets a turn, if a line
 * waits there. Nothing is handed out ahead: whoever takes the turn asks all gates of the first in line.
 */
import { fragment, type Fragment } from "./fragment.ts"
import * as Keys from "./keys.ts"
import { enqueue } from "./turns.ts"

/** Defines `limitOf(gate)`: how many are allowed, and within which time; nothing when no worker has said so. */
export const limitOf: Fragment = fragment(
  [],
  /* lua */ `
local limits = {}
local function limitOf(gate)
  local scope = string.match(gate, '^[^=]*')
  local limit = limits[scope]
  if not limit then
    local count, per = string.match(call('HGET', prefix .. '${Keys.segments.limits}', scope) or '', '^(%S+) (%S+)$')
    limit = { tonumber(count), tonumber(per) }
    limits[scope] = limit
  end
  return limit[1], limit[2]
end
`
)

/** Defines `opensAt(gate)`: when something may pass a gate, epoch ms: now, later, or never unless something is given back. */
export const opensAt: Fragment = fragment(
  [limitOf],
  /* lua */ `
local function opensAt(gate)
  local kind, name = string.sub(gate, 1, 1), string.sub(gate, 2)
  if kind == 'd' then
    return tonumber(call('HGET', prefix .. '${Keys.segments.debounce}' .. name, 'due') or '') or now
  end
  local limit, per = limitOf(gate)
  if not limit then return now end
  if kind == 's' then
    local slots = prefix .. '${Keys.segments.slots}' .. name
    if call('HLEN', slots) < limit then return now end
    -- Version 0.1.0 kept the limit among the holders.
    return call('HDEL', slots, 'limit') == 1 and call('HLEN', slots) < limit and now or math.huge
  end
  local starts = prefix .. '${Keys.segments.starts}' .. name
  call('ZREMRANGEBYSCORE', starts, '-inf', text(now - per))
  local excess = call('ZCARD', starts) - limit
  if excess < 0 then return now end
  -- The start that has to leave the window.
  return (tonumber(call('ZRANGE', starts, excess, excess, 'WITHSCORES')[2]) or now) + per
end
`
)

/**
 * Defines `wakeGate(gate)`, which gives a gate its turn if it is open and something waits there, and otherwise lets it be
 * known when it opens; `enterLine(key, score, line, gate)`, `leaveLine(key, line)`, `moveLine(line, gate)`, which lets a line
 * wait at another gate, or have its turn where the gate is empty; and `wakeDue()`, which wakes up to 100 gates that have opened.
 */
export const lines: Fragment = fragment(
  [enqueue, opensAt],
  /* lua */ `
local lineOf, atOf, linesKey = prefix .. '${Keys.segments.line}', prefix .. '${Keys.segments.gate}', prefix .. '${Keys.segments.lines}'

local function wakeGate(gate)
  local head = call('ZRANGE', atOf .. gate, 0, 0, 'WITHSCORES')[2]
  local opens = head and opensAt(gate)
  isTurnChanged = true
  if head and opens <= now then
    call('ZADD', gatesKey, head, 'g' .. gate)
    call('ZREM', opensKey, gate)
    isAnyTurn = true
    return
  end
  call('ZREM', gatesKey, 'g' .. gate)
  if head and opens < math.huge then
    call('ZADD', opensKey, text(opens), gate)
  else
    call('ZREM', opensKey, gate)
  end
end

local function leaveGate(line, gate)
  if gate == '' then
    call('ZREM', gatesKey, 'l' .. line)
    isTurnChanged = true
  elseif call('ZREM', atOf .. gate, line) == 1 then
    wakeGate(gate)
  end
end

-- Gives a line its place where it is, by its head; one without any goes.
local function stand(line, gate)
  local head = call('ZRANGE', lineOf .. line, 0, 0, 'WITHSCORES')[2]
  if not head then
    call('HDEL', linesKey, line)
    leaveGate(line, gate)
  elseif gate == '' then
    call('ZADD', gatesKey, head, 'l' .. line)
    isTurnChanged, isAnyTurn = true, true
  else
    call('ZADD', atOf .. gate, head, line)
  end
end

local function moveLine(line, gate)
  local at = call('HGET', linesKey, line)
  if at == gate then return end
  if at then leaveGate(line, at) end
  call('HSET', linesKey, line, gate)
  stand(line, gate)
end

-- Only the head of a line says where the line is, and when it has its turn.
local function restand(line)
  local at = call('HGET', linesKey, line)
  if not at then return end
  stand(line, at)
  if at ~= '' then wakeGate(at) end
end

local function isHead(key, line)
  return call('ZRANGE', lineOf .. line, 0, 0)[1] == key
end

local function enterLine(key, score, line, gate)
  call('ZADD', lineOf .. line, score, key)
  call('ZADD', waitingKey, score, key)
  if isHead(key, line) then
    restand(line)
    moveLine(line, gate)
    wakeGate(gate)
  end
end

local function leaveLine(key, line)
  local wasHead = isHead(key, line)
  call('ZREM', lineOf .. line, key)
  call('ZREM', waitingKey, key)
  if wasHead then restand(line) end
end

local function wakeDue()
  local due = call('ZRANGEBYSCORE', opensKey, '-inf', nowText, 'LIMIT', 0, 100)
  for _, gate in ipairs(due) do
    wakeGate(gate)
  end
end
`
)

/**
 * Defines `giveUp(key, generation)`, which takes from an execution that has `terms` the slot and the round that it has;
 * `endOvertaken(key, generation, held)`, which frees the slot of a run whose key was scheduled anew, if that is under the lease
 * `held`, or whatever its lease; `findHolders(control)`; and `decode(list)`.
 */
export const holdings: Fragment = fragment(
  [lines],
  /* lua */ `
local slotsOf = prefix .. '${Keys.segments.slots}'

-- Finds out who has the slots of a limit, after that was lost. Looks at all that runs.
local function findHolders(control)
  for _, key in ipairs(call('ZRANGE', leasesKey, 0, -1)) do
    local found = call('HMGET', records .. key, 'slot', 'gen')
    if found[1] == control and found[2] then call('HSET', slotsOf .. control, found[2] .. ':' .. key, '1') end
  end
  local overtaken = call('HGETALL', overtakenKey)
  for i = 1, #overtaken, 2 do
    if string.match(overtaken[i + 1], '^%d+c? %S* (.*)$') == control then call('HSET', slotsOf .. control, overtaken[i], '1') end
  end
end

local function freeSlot(control, key, generation)
  -- When it was not there somebody deleted it, and with it the others, which still run.
  if call('HDEL', slotsOf .. control, (generation or '') .. ':' .. key) == 0 then findHolders(control) end
  wakeGate('s' .. control)
end

-- A list that is kept as JSON; empty where something else is.
local function decode(list)
  local isJson, value = pcall(cjson.decode, list)
  return isJson and type(value) == 'table' and value or {}
end

local function endRound(key, control)
  local round = prefix .. '${Keys.segments.debounce}' .. control
  if call('HGET', round, 'first') == key then call('DEL', round) end
end

local function giveUp(key, generation)
  local found = call('HMGET', records .. key, 'slot', 'round')
  if found[2] then endRound(key, found[2]) end
  if found[1] or found[2] then call('HDEL', records .. key, 'slot', 'round') end
  if found[1] then freeSlot(found[1], key, generation) end
end

local function endOvertaken(key, generation, held)
  local holder = generation .. ':' .. key
  local found = call('HGET', overtakenKey, holder)
  if not found then return end
  local lease, control = string.match(found, '^%d+c? (%S*) (.*)$')
  if held and lease and lease ~= held then return end
  call('HDEL', overtakenKey, holder)
  if control and control ~= '' then freeSlot(control, key, generation) end
  return true
end
`
)
