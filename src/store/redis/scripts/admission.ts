/** Whether an execution may start, as a step of `exchange`. */
import * as Keys from "./keys.ts"

/**
 * Sets `admit(key, found, mine, values)`: lets an execution, with the fields that `consider` found, pass the controls
 * of its task; or holds it back, or drops it, and returns `false`. All controls are asked before it takes anything from
 * any of them.
 *
 * Builds on `exchange`: `dropped` takes what was dropped. Costs a few calls for each control; O(log n), n being the starts
 * within a window.
 */
export const admit = /* lua */ `
local startsOf, plansOf = prefix .. '${Keys.segments.starts}', prefix .. '${Keys.segments.plans}'
local cooldownOf, debounceOf = prefix .. '${Keys.segments.cooldown}', prefix .. '${Keys.segments.debounce}'

local function drop(key, found, how)
  giveUp(key, found[4])
  call('HSET', records .. key, 'state', 'cancelled', 'completed', nowText, 'dropped', how)
  if isFollowed(key) then announce(key) end
  bury(key, ttl, true)
  dropped[#dropped + 1] = key
  dropped[#dropped + 1] = found[3]
  return false
end

-- Holds an execution back until a moment; it keeps no slot meanwhile.
local function later(key, found, due, slot)
  noteIntended(key)
  call('HSET', records .. key, 'state', 'scheduled', 'due', text(due), 'gen', text(found[4] + 1))
  call('ZADD', queueKey, text(due), key)
  if slot then
    call('HDEL', records .. key, 'slot')
    freeSlot(slot, key, found[4])
  end
  if isFollowed(key) then announce(key) end
  return false
end

-- Rate limit: when an execution may start, as far as one limit is concerned. "counted" is the start that it has had.
local function startOf(key, counted, control)
  local starts, plans = startsOf .. control.name, plansOf .. control.name
  call('ZREMRANGEBYSCORE', starts, '-inf', text(now - control.per))
  local wasPlanned = call('ZREM', plans, key) == 1
  if counted and call('ZSCORE', starts, counted) then return 0 end
  if wasPlanned and call('ZCARD', starts) < control.limit then return 0 end
  -- The start that has to leave the window first: the one "limit" places from the end, of those that were and will be.
  -- What was planned for a time that is over will be now, at the earliest.
  local planned, oldest = call('ZCARD', plans), nil
  if planned >= control.limit then
    oldest = math.max(now, call('ZREVRANGE', plans, control.limit - 1, control.limit - 1, 'WITHSCORES')[2])
  else
    local place = control.limit - planned - 1
    oldest = call('ZREVRANGE', starts, place, place, 'WITHSCORES')[2]
  end
  return oldest and oldest + control.per or 0
end

-- Debounce: whether the first submission has waited for long enough. The others are dropped, and make it wait anew.
local function isQuiet(key, found, control, hasRound, slot)
  local round = debounceOf .. control.name
  local present = call('HMGET', round, 'first', 'due', 'deadline')
  local due = now + control.settle
  -- A round of its own that has expired is long over.
  if hasRound and not present[1] then return true end
  if present[1] == key and hasRound then
    if tonumber(present[2]) <= now then return true end
    return later(key, found, tonumber(present[2]), slot)
  end
  if not present[1] or present[1] == key then
    local deadline = control.maximum and now + control.maximum
    if deadline then due = math.min(due, deadline) end
    call('DEL', round)
    call('HSET', round, 'first', key, 'due', text(due), 'deadline', deadline and text(deadline) or '')
    call('PEXPIRE', round, text(10 * control.settle))
    call('HSET', records .. key, 'round', control.name)
    return later(key, found, due, slot)
  end
  due = math.min(due, tonumber(present[3]) or due)
  call('HSET', round, 'due', text(due))
  call('PEXPIRE', round, text(10 * control.settle))
  -- One that a rate limit makes wait beyond its round keeps its time.
  local first = call('HMGET', records .. present[1], 'state', 'plans', 'aside')
  if first[1] == 'scheduled' and not first[2] and not first[3] then
    call('ZADD', queueKey, text(due), present[1])
    call('HSET', records .. present[1], 'due', text(due))
  end
  return drop(key, found, 'd' .. control.name)
end

function admit(key, found, mine, values)
  local record, generation = records .. key, found[4]
  local holder = generation .. ':' .. key
  local own = call('HMGET', record, 'slot', 'plans', 'round', 'passed', 'counted', 'windows')
  local slot, passed, counted = own[1], own[4], own[5]
  local limit, debounce, rates, cooldowns = nil, nil, {}, {}
  for i, control in ipairs(mine) do
    control.name = values[i] == '' and control.scope or control.scope .. ':' .. values[i]
    if control.kind == 'slot' then
      limit = control
    elseif control.kind == 'debounce' then
      debounce = control
    elseif control.kind == 'rate' then
      rates[#rates + 1] = control
    else
      cooldowns[#cooldowns + 1] = control
    end
  end
  -- Of a contract that has changed since.
  if slot and not (limit and limit.name == slot) then
    call('HDEL', record, 'slot')
    freeSlot(slot, key, generation)
    slot = false
  end

  for _, control in ipairs(cooldowns) do
    local ends, opener = string.match(call('GET', cooldownOf .. control.name) or '', '^(%d+) (.*)$')
    control.isOpen = ends and tonumber(ends) > now
    if control.isOpen and not (opener == key and passed) then return drop(key, found, 'c' .. control.name) end
  end
  if debounce and not passed and not isQuiet(key, found, debounce, own[3] == debounce.name, slot) then
    if own[2] then
      leavePlans(key, own[2])
      call('HDEL', record, 'plans')
    end
    return false
  end

  local at, excess = 0, nil
  for _, control in ipairs(rates) do
    local start = startOf(key, counted and counted .. ':' .. key, control)
    if start > now and control.drops then excess = control end
    at = math.max(at, start)
  end
  if own[2] then
    leavePlans(key, own[2])
    call('HDEL', record, 'plans')
  end
  if excess and tonumber(found[5] or 1) == 1 then return drop(key, found, 'r' .. excess.name) end
  if at > now then
    local plans = {}
    for i, control in ipairs(rates) do
      plans[i] = control.name
      call('ZADD', plansOf .. control.name, text(at), key)
    end
    call('HSET', record, 'plans', cjson.encode(plans))
    return later(key, found, at, slot)
  end

  if limit and not slot then
    local holders, line = slotsOf .. limit.name, linesOf .. limit.name
    local known = call('HGET', holders, 'limit')
    if not known and call('EXISTS', holders, line) > 0 then
      -- Somebody deleted it: as a rule nobody waits for a limit that nobody holds.
      findHolders(limit.name)
      known = limit.limit
      call('HSET', holders, 'limit', known)
    end
    if known and (call('HLEN', holders) - 1 >= limit.limit or call('EXISTS', line) == 1) then
      if tonumber(known) ~= limit.limit then call('HSET', holders, 'limit', limit.limit) end
      local place = text((call('ZRANGE', waitingKey, -1, -1, 'WITHSCORES')[2] or 0) + 1)
      call('ZADD', line, place, key)
      call('ZADD', waitingKey, place, key)
      call('HSET', record, 'state', 'scheduled', 'aside', 'w', 'waits', limit.name)
      if isFollowed(key) then announce(key) end
      -- The limit may be higher than it was.
      handOn(limit.name)
      return false
    end
    call('HSET', holders, 'limit', limit.limit, holder, '1')
  end

  local fields, starts, windows = { 'passed', '1' }, {}, {}
  if limit and not slot then
    fields[3], fields[4] = 'slot', limit.name
  end
  for i, control in ipairs(rates) do
    call('ZADD', startsOf .. control.name, 'NX', nowText, (counted or lease) .. ':' .. key)
    call('PEXPIRE', startsOf .. control.name, text(2 * control.per))
    starts[i] = control.name
  end
  for _, control in ipairs(cooldowns) do
    if not control.isOpen then
      -- The end that it names counts; the key lives a little longer, so as not to be gone before.
      call('SET', cooldownOf .. control.name, text(now + control.per) .. ' ' .. key, 'PX', text(control.per + 1000))
      windows[#windows + 1] = control.name
    end
  end
  if own[3] then
    call('DEL', debounceOf .. own[3])
    call('HDEL', record, 'round')
  end
  if #starts > 0 then
    fields[#fields + 1] = 'starts'
    fields[#fields + 1] = cjson.encode(starts)
    fields[#fields + 1] = 'counted'
    fields[#fields + 1] = counted or lease
  end
  -- A redelivery does not open again what the execution has open.
  for _, name in ipairs(own[6] and decode(own[6]) or {}) do
    windows[#windows + 1] = name
  end
  if #windows > 0 then
    fields[#fields + 1] = 'windows'
    fields[#fields + 1] = cjson.encode(windows)
  end
  call('HSET', record, unpack(fields))
  return true
end
`
