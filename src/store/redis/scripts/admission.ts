/** Whether an execution may start, as a step of `exchange`. */
import { fragment, type Fragment } from "./fragment.ts"
import { holdings } from "./gates.ts"
import * as Keys from "./keys.ts"

/**
 * Defines `pass(one, contract)`: lets an execution pass the controls of its task, or lets it wait in a line, or says that it is to
 * be dropped. All controls are asked before it takes anything from any of them. Returns `'admitted'`, `'waits'`, with the time
 * at which it is due if that is another one now, or `'dropped'`, with a letter and the control.
 *
 * `one` has the `key`, the `generation`, the `score`, the `line` in which it waits, if it does, and the text of its `terms`.
 *
 * Costs a few calls for each control; O(log n), n being the starts within a window.
 */
export const pass: Fragment = fragment(
  [holdings],
  /* lua */ `
local startsOf, cooldownOf, debounceOf = prefix .. '${Keys.segments.starts}', prefix .. '${Keys.segments.cooldown}', prefix .. '${Keys.segments.debounce}'

-- Lets an execution wait at a gate: the line as a whole whose head it is, else only itself, in its line.
local function waitAt(one, line, gate)
  if one.line == line then
    moveLine(line, gate)
    wakeGate(gate)
  else
    if one.line then leaveLine(one.key, one.line) end
    enterLine(one.key, text(one.score), line, gate)
  end
  one.line = line
  return 'waits'
end

-- The first submission waits for quiet, the others make it wait anew.
local function debounce(one, control, own)
  local round, gate, line = debounceOf .. control.name, 'd' .. control.name, one.ownLine .. 'd'
  local present = call('HMGET', round, 'first', 'due', 'deadline')
  local first, isOwn, quiet = present[1], own.round == control.name, now + control.settle
  if isOwn and (not first or first == one.key) then
    -- A round of its own that has expired is long over.
    local due = first and tonumber(present[2]) or now
    if due > now then return waitAt(one, line, gate), due end
    own.quiet = '1'
    if one.line then leaveLine(one.key, one.line) end
    one.line = nil
    call('HSET', records .. one.key, 'quiet', '1')
    return
  end
  if not first or first == one.key then
    local deadline = control.maximum and now + control.maximum
    local due = deadline and math.min(quiet, deadline) or quiet
    call('DEL', round)
    call('HSET', round, 'first', one.key, 'due', text(due), 'deadline', deadline and text(deadline) or '')
    call('PEXPIRE', round, text(10 * control.settle))
    call('HSET', records .. one.key, 'round', control.name)
    return waitAt(one, line, gate), due
  end
  local due = math.min(quiet, tonumber(present[3]) or quiet)
  call('HSET', round, 'due', text(due))
  call('PEXPIRE', round, text(10 * control.settle))
  wakeGate(gate)
  local record = records .. first
  local found = call('HMGET', record, 'aside', 'quiet', 'intended', 'due')
  if found[1] == 'w' and not found[2] then
    if not found[3] then call('HSET', record, 'intended', found[4] or nowText) end
    call('HSET', record, 'due', text(due))
  end
  return 'dropped', gate
end

-- Whether a gate keeps an execution from starting: it is closed, or others wait there that come before it.
local function isBarred(one, gate)
  if opensAt(gate) > now then return true end
  local head = tonumber(call('ZRANGE', atOf .. gate, 0, 0, 'WITHSCORES')[2])
  return head and head < one.score
end

local function pass(one, contract)
  local key, record = one.key, records .. one.key
  local found = call('HMGET', record, 'passed', 'quiet', 'round', 'counted', 'windows')
  local own = { passed = found[1], quiet = found[2], round = found[3], counted = found[4] }
  -- Tasks of one version have the same line if nothing else tells them apart.
  one.ownLine = string.sub(redis.sha1hex(one.needs .. '\0' .. one.terms), 1, 16)
  local values, gates, cooldowns, quieter, drops = decode(one.terms), {}, {}, nil, nil
  for i, control in ipairs(contract.controls) do
    local value = values[i + 1] or ''
    control.name = value == '' and control.scope or control.scope .. '=' .. value
    if control.kind == 'c' then
      local ends = tonumber(string.match(call('GET', cooldownOf .. control.name) or '', '^%d+'))
      control.isOpen = ends and ends > now
      if control.isOpen and not own.passed then return 'dropped', 'c' .. control.name end
      cooldowns[#cooldowns + 1] = control
    elseif control.kind == 'd' then
      quieter = control
    else
      local gate = control.kind .. control.name
      if not limitOf(gate) then
        -- Someone deleted what was said of it.
        call('HSET', prefix .. '${Keys.segments.limits}', control.kind .. control.scope, control.limit .. ' ' .. (control.per or 0))
        limits[control.kind .. control.scope] = nil
      end
      -- Several controls of a task may be the same one.
      if not gates[gate] then
        gates[gate] = control
        gates[#gates + 1] = gate
      elseif control.drops then
        gates[gate].drops = true
      end
    end
  end

  -- What began once in this schedule is not dropped any more, whoever has started since.
  if not own.passed then
    if quieter and not own.quiet then
      local verdict, detail = debounce(one, quieter, own)
      if verdict then return verdict, detail end
    end
    for _, gate in ipairs(gates) do
      if gates[gate].drops and opensAt(gate) > now then return 'dropped', gate end
    end
  end

  -- The starts that a run which was given back has still.
  local kept, isAnyKept = {}, false
  for _, gate in ipairs(gates) do
    local control = gates[gate]
    if control.kind == 'r' then
      local at = own.counted and tonumber(call('ZSCORE', startsOf .. control.name, own.counted .. ':' .. key) or '')
      local _, per = limitOf(gate)
      kept[gate] = at and at > now - per
      isAnyKept = isAnyKept or kept[gate]
    elseif call('EXISTS', slotsOf .. control.name) == 0 and call('EXISTS', atOf .. gate) == 1 and not call('ZSCORE', gatesKey, 'g' .. gate) then
      -- Lines wait at a limit that nobody holds, and that has no turn: its holders were deleted.
      findHolders(control.name)
    end
    if not kept[gate] and isBarred(one, gate) then return waitAt(one, one.ownLine, gate) end
  end

  local fields, starts, windows = { 'passed', '1', 'place', text(one.place) }, {}, {}
  local counted = isAnyKept and own.counted or lease
  for _, gate in ipairs(gates) do
    local control = gates[gate]
    if control.kind == 'r' then
      if not kept[gate] then
        local _, per = limitOf(gate)
        call('ZADD', startsOf .. control.name, nowText, counted .. ':' .. key)
        call('PEXPIRE', startsOf .. control.name, text(2 * per))
      end
      starts[#starts + 1] = control.name
    else
      call('HSET', slotsOf .. control.name, one.generation .. ':' .. key, '1')
      fields[#fields + 1] = 'slot'
      fields[#fields + 1] = control.name
    end
  end
  for _, control in ipairs(cooldowns) do
    if not control.isOpen then
      -- The end that it names counts; the key lives a little longer, so as not to be gone before.
      call('SET', cooldownOf .. control.name, text(now + control.per) .. ' ' .. key, 'PX', text(control.per + 1000))
      windows[#windows + 1] = control.name
    end
  end
  if own.round then
    endRound(key, own.round)
    call('HDEL', record, 'round')
  end
  if #starts > 0 then
    fields[#fields + 1] = 'starts'
    fields[#fields + 1] = cjson.encode(starts)
    fields[#fields + 1] = 'counted'
    fields[#fields + 1] = counted
  end
  -- A redelivery does not open again what the execution has open.
  for _, name in ipairs(found[5] and decode(found[5]) or {}) do
    windows[#windows + 1] = name
  end
  if #windows > 0 then
    fields[#fields + 1] = 'windows'
    fields[#fields + 1] = cjson.encode(windows)
  end
  call('HSET', record, unpack(fields))
  if one.line then
    leaveLine(key, one.line)
    one.line = nil
  end
  return 'admitted'
end
`
)
