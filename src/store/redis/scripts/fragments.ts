/**
 * Steps that several scripts share. Each builds on `prologue`, and says what else it needs.
 *
 * **Gotchas**
 *
 * Lua has doubles for numbers: what could be large leaves through `text`. A script that fails halfway undoes nothing,
 * so what is foreign is checked first.
 */
import { fragment, type Fragment } from "./fragment.ts"
import { holdings, lines } from "./gates.ts"
import * as Keys from "./keys.ts"
import { enqueue } from "./turns.ts"

/** What `prologue` defines, but for `now`. */
const names = /* lua */ `
local call = redis.call
local streamKey, queueKey, leasesKey, failedKey = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local wakeKey, parkedKey, watchersKey, workersKey = KEYS[5], KEYS[6], KEYS[7], KEYS[8]
local strikesKey, heldKey, releaseKey, askedKey, waitingKey, overtakenKey = KEYS[9], KEYS[10], KEYS[11], KEYS[12], KEYS[13], KEYS[14]
local turnsKey, gatesKey, opensKey = KEYS[15], KEYS[16], KEYS[17]
local prefix = ARGV[2]
local function text(number)
  return string.format('%.0f', number)
end
local nowText = text(now)
local records, payloads, results = prefix .. '${Keys.segments.record}', prefix .. '${Keys.segments.payload}', prefix .. '${Keys.segments.result}'
local progresses, attempts = prefix .. '${Keys.segments.progress}', prefix .. '${Keys.segments.attempts}'
local chainsKey = prefix .. '${Keys.segments.failedChains}'
`

/**
 * Names for what scripts are given: KEYS as `Keys.fixed` lists them; ARGV[1] now, epoch ms, empty for the server's
 * clock; ARGV[2] the docket's prefix.
 *
 * Defines `call`, `now` and `nowText`, `prefix`, the fixed keys, what comes before an execution's key in its own keys,
 * and `text(number)`.
 */
export const prologue = /* lua */ `
local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end
${names}
`

/**
 * Lets the rest of a script run when the server has reached its `maxmemory`. Redis refuses what may take memory only as
 * long as a script has not written anything, and deleting takes none. For what workers need in order to finish and to
 * keep what they hold: adding more stays refused.
 */
export const evenIfFull = /* lua */ `
call('DEL', prefix .. '${Keys.segments.none}')
`

/** Defines `notice(sentence)`: lets the next heartbeat log what others did to the docket's data. */
export const notice: Fragment = fragment(
  [],
  /* lua */ `
local function notice(sentence)
  local notices = prefix .. '${Keys.segments.notices}'
  call('RPUSH', notices, sentence)
  call('LTRIM', notices, -100, -1)
  call('PEXPIRE', notices, ${Keys.misplacedMillis})
end
`
)

/** Defines `noticeLost(key)`: notes that something was due of which there is no record. */
export const noticeLost: Fragment = fragment(
  [notice],
  /* lua */ `
local function noticeLost(key)
  notice('Something was due of which there is no record, and was taken out: ' .. cjson.encode(key))
end
`
)

/** Defines `putAside(rest)`: renames what others put in the place of a key of the docket. */
export const putAside: Fragment = fragment(
  [],
  /* lua */ `
local function putAside(rest)
  local aside = prefix .. '${Keys.segments.misplaced}' .. rest
  call('RENAME', prefix .. rest, aside)
  call('PEXPIRE', aside, ${Keys.misplacedMillis})
end
`
)

/**
 * Defines `fieldsOf(key, …)`: fields of a record. Where others put something of another type in its place, that is put
 * aside, and there are none: one such key is not to fail a whole batch.
 */
export const fieldsOf: Fragment = fragment(
  [notice, putAside],
  /* lua */ `
local function fieldsOf(key, ...)
  local found = redis.pcall('HMGET', records .. key, ...)
  if not found.err then return found end
  if not string.find(found.err, 'WRONGTYPE', 1, true) then error(found.err, 0) end
  putAside('${Keys.segments.record}' .. key)
  notice('Something else was found in the place of a record, and put aside: ' .. cjson.encode(records .. key))
  return {}
end
`
)

/** What the value of `watchers` begins with when those who follow may be connected to any node of a cluster. */
export const followedFromAnyNode = "any node"

/** Defines `isAnyFollowed`, whether anyone follows any execution of the docket. */
export const isAnyFollowed: Fragment = fragment(
  [],
  /* lua */ `
local isAnyFollowed = call('EXISTS', watchersKey) == 1
`
)

/**
 * Defines `isFollowed(key)`, whether anyone would hear of a change of an execution, `announce(key)`, which publishes the
 * state that its record has, and `publish(channel, event)`, which leaves out the fields that are `false`.
 *
 * While nobody follows any execution of the docket, this costs one EXISTS a call; else 0.7 µs for each change that
 * nobody asked for. Encoding and publishing it would cost 5 µs (Redis 7.0, 2 cores, November 2026).
 *
 * A node of a cluster counts its own subscribers only, and after a failover those may be elsewhere. So there, which
 * the value of `watchers` tells, a change is published while anyone follows anything.
 */
export const announce: Fragment = fragment(
  [isAnyFollowed],
  /* lua */ `
local stateChannels, allChannel = prefix .. '${Keys.segments.state}', prefix .. '${Keys.segments.events}'
local isFollowedAnywhere = isAnyFollowed and string.find(tostring(redis.pcall('GET', watchersKey)), '^${followedFromAnyNode}') ~= nil
local function hasListeners(channel)
  if not isAnyFollowed then return false end
  if isFollowedAnywhere then return true end
  local counts = call('PUBSUB', 'NUMSUB', channel, allChannel)
  return counts[2] + counts[4] > 0
end
local function isFollowed(key)
  return isAnyFollowed and hasListeners(stateChannels .. key)
end
local function publish(channel, event)
  for field, value in pairs(event) do
    if value == false then event[field] = nil end
  end
  local message = cjson.encode(event)
  call('PUBLISH', channel, message)
  call('PUBLISH', allChannel, message)
end
local function announce(key)
  local found = call('HMGET', records .. key, 'task', 'state', 'gen', 'deliveries', 'due', 'worker', 'started', 'completed', 'error', 'aside')
  local state = found[2]
  publish(stateChannels .. key, {
    type = 'state', key = key, task = found[1], state = state, generation = found[3], deliveries = found[4],
    due = (state == 'queued' or state == 'scheduled') and found[5], aside = (found[10] == 'w' or found[10] == 'h') and found[10],
    worker = found[6], started = found[7], completed = found[8],
    error = state == 'failed' and found[9]
  })
end
`
)

/**
 * Defines a table `seldom` whose functions are made when one of them is first asked for: a script makes its functions
 * anew in each call, for 0.2 µs each, and most calls need few of them. The Lua given defines them as `seldom.NAME`, or as
 * the locals with these names. It has the names of the prologue: each name that a function takes from around it costs as
 * well.
 */
export const seldom = (locals: ReadonlyArray<string>, lua: string): string => /* lua */ `
local seldom = setmetatable({}, { __index = function(seldom, name)
${names}
${lua}
${locals.map((name) => `seldom.${name}`).join(", ")} = ${locals.join(", ")}
return rawget(seldom, name)
end })
`

/** Defines `wake()`: wakes one idle worker, or the next to become idle. */
export const wake: Fragment = fragment(
  [],
  /* lua */ `
local function wake()
  if call('EXISTS', wakeKey) == 0 then call('RPUSH', wakeKey, '1') end
end
`
)

/** Defines `wakeIfEmpty()`: a worker that runs until all is finished may be asleep until work that is now gone. */
export const wakeIfEmpty: Fragment = fragment(
  [wake],
  /* lua */ `
local function wakeIfEmpty()
  if call('EXISTS', queueKey, parkedKey, heldKey, askedKey, waitingKey, turnsKey) == 0 and call('XLEN', streamKey) == 0 then wake() end
end
`
)

/** Defines `absolute(due)`: the time, epoch ms, that a text means: `+` and milliseconds from now, or the time itself. */
export const absolute: Fragment = fragment(
  [],
  /* lua */ `
local function absolute(due)
  if string.byte(due) == 43 then return now + tonumber(due) end
  return tonumber(due)
end
`
)

/**
 * Defines `moveDue()`: moves what has become due from the queue to where it has its turn, the earliest first and at most
 * 100. Returns how many it took from the queue.
 */
export const moveDue: Fragment = fragment(
  [announce, enqueue],
  /* lua */ `
local function moveDue()
  local keys = call('ZRANGEBYSCORE', queueKey, '-inf', nowText, 'LIMIT', 0, 100)
  if #keys == 0 then return 0 end
  for _, key in ipairs(keys) do
    local record = records .. key
    local found = call('HMGET', record, 'state', 'place')
    if found[1] == 'scheduled' then
      enqueue(key, found[2])
      if isFollowed(key) then announce(key) end
    end
  end
  call('ZREM', queueKey, unpack(keys))
  return #keys
end
`
)

/** Defines `withdraw(key)`: takes an execution from where its record says that it waits. */
export const withdraw: Fragment = fragment(
  [lines],
  /* lua */ `
local function withdraw(key)
  local found = call('HMGET', records .. key, 'state', 'id', 'aside', 'needs', 'task', 'line')
  local state, entry, aside, needed = found[1], found[2], found[3], found[4] or found[5]
  if aside == 'n' then
    call('ZREM', turnsKey, key)
  elseif aside == 'w' then
    if found[6] then leaveLine(key, found[6]) end
  elseif aside == 't' then
    local parked = prefix .. '${Keys.segments.parked}' .. needed
    call('ZREM', parked, key)
    if call('EXISTS', parked) == 0 then call('SREM', parkedKey, needed) end
  elseif aside == 'a' then
    call('ZREM', askedKey, key)
  elseif aside == 'h' then
    call('ZREM', heldKey, key)
    if call('EXISTS', heldKey) == 0 then call('DEL', releaseKey) end
  elseif aside then
    return
  elseif state == 'scheduled' then
    call('ZREM', queueKey, key)
  elseif entry then
    -- What is no id is in no stream.
    redis.pcall('XDEL', streamKey, entry)
  end
end
`
)

/**
 * Defines `partsOf(payload)`: the fields and values of a record that hold a payload of up to 256 bytes; none for a longer
 * one, which has a key of its own. A value of up to 64 bytes leaves a hash its compact encoding: so a task is one key
 * rather than two, and takes less memory and fewer calls.
 */
export const partsOf: Fragment = fragment(
  [],
  /* lua */ `
local function partsOf(payload)
  local length, sub = #payload, string.sub
  if length <= 64 then return 'p1', payload end
  if length > 256 then return end
  return 'p1', sub(payload, 1, 64), 'p2', sub(payload, 65, 128), 'p3', sub(payload, 129, 192), 'p4', sub(payload, 193)
end
`
)

/** Defines `payloadOf(key)`, `false` when it is lost. */
export const payloadOf: Fragment = fragment(
  [],
  /* lua */ `
local function payloadOf(key)
  local parts = call('HMGET', records .. key, 'p1', 'p2', 'p3', 'p4')
  -- For what others put there, GET would fail.
  if not parts[1] then return call('MGET', payloads .. key)[1] end
  return parts[1] .. (parts[2] or '') .. (parts[3] or '') .. (parts[4] or '')
end
`
)

/** Defines `hasPayload(key)`. */
export const hasPayload: Fragment = fragment(
  [],
  /* lua */ `
local function hasPayload(key)
  return call('HEXISTS', records .. key, 'p1') == 1 or call('EXISTS', payloads .. key) == 1
end
`
)

/** Defines `keepPayload(key, payload)`, for a record that is there. */
export const keepPayload: Fragment = fragment(
  [partsOf],
  /* lua */ `
local function keepPayload(key, payload)
  call('HDEL', records .. key, 'p1', 'p2', 'p3', 'p4')
  if #payload > 256 then
    call('SET', payloads .. key, payload)
  else
    call('DEL', payloads .. key)
    call('HSET', records .. key, partsOf(payload))
  end
end
`
)

/** Defines `bury(key, kept, hasFailures)`: what a settled execution leaves ends so many ms from now. */
export const bury: Fragment = fragment(
  [],
  /* lua */ `
local function bury(key, kept, hasFailures)
  if kept > 0 then
    local millis = text(kept)
    call('PEXPIRE', records .. key, millis)
    call('PEXPIRE', payloads .. key, millis)
    if hasFailures then call('PEXPIRE', attempts .. key, millis) end
  else
    call('DEL', records .. key, payloads .. key, results .. key, attempts .. key)
  end
end
`
)

/** Defines `cancelWaiting(key, ttl)`: settles an execution that waits as cancelled, and returns whether it did. */
export const cancelWaiting: Fragment = fragment(
  [announce, holdings, withdraw, bury, fieldsOf],
  /* lua */ `
local function cancelWaiting(key, ttl)
  local record = records .. key
  local found = fieldsOf(key, 'state', 'failures', 'terms', 'gen', 'last')
  if found[1] ~= 'queued' and found[1] ~= 'scheduled' then return false end
  withdraw(key)
  if found[3] then giveUp(key, found[4]) end
  call('HSET', record, 'state', 'cancelled', 'completed', nowText)
  call('HDEL', record, 'aside', 'line')
  if found[5] then call('ZREM', chainsKey, key) end
  if isFollowed(key) then announce(key) end
  bury(key, ttl, found[2])
  return true
end
`
)

/**
 * Defines `knows(task)`: whether the worker can run a task, by the script's `known`: the names with a NUL around each, or
 * `*` for any.
 */
export const knows: Fragment = fragment(
  [],
  /* lua */ `
local answers = {}
local function knows(task)
  if known == '*' then return true end
  local answer = answers[task]
  if answer == nil then
    answer = string.find(known, '\\0' .. task .. '\\0', 1, true) ~= nil
    answers[task] = answer
  end
  return answer
end
`
)

/** Defines `nextDueTime()`: when the next execution in the queue is due, epoch ms; nothing when there is none. */
export const nextDueTime: Fragment = fragment(
  [],
  /* lua */ `
local function nextDueTime()
  return tonumber(call('ZRANGE', queueKey, 0, 0, 'WITHSCORES')[2])
end
`
)

/** Defines `nextDue()`: the ms until the next execution is due or the next gate opens, at least 0; -1 when there is none. */
export const nextDue: Fragment = fragment(
  [nextDueTime],
  /* lua */ `
local function nextDue()
  local head = math.min(nextDueTime() or math.huge, tonumber(call('ZRANGE', opensKey, 0, 0, 'WITHSCORES')[2]) or math.huge)
  return head < math.huge and math.max(0, head - now) or -1
end
`
)

/** Defines `depth()`: the numbers of queued, scheduled and running executions. One call a task that is set aside. */
export const depth: Fragment = fragment(
  [],
  /* lua */ `
local function depth()
  local queued = call('XLEN', streamKey) + call('ZCARD', turnsKey) + call('ZCARD', askedKey)
  for _, task in ipairs(call('SMEMBERS', parkedKey)) do
    queued = queued + call('ZCARD', prefix .. '${Keys.segments.parked}' .. task)
  end
  local scheduled = call('ZCARD', queueKey) + call('ZCARD', waitingKey) + call('ZCARD', heldKey)
  return { queued, scheduled, call('ZCARD', leasesKey) }
end
`
)
