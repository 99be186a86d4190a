import { compose } from "./fragment.ts"
import * as fragments from "./fragments.ts"
import * as Keys from "./keys.ts"
import * as Redis from "../connection/Redis.ts"

/**
 * Cancels executions: those that wait are settled as cancelled, the workers of those that run are told.
 *
 * KEYS      as `Keys.fixed` lists them
 * ARGV[1]   now, epoch ms; empty for the server's clock
 * ARGV[2]   prefix of the docket's keys
 * ARGV[3]   how long settled executions are kept, ms
 * ARGV[4…]  keys of executions; unknown, settled and already cancelled ones are left as they are
 * Reply     nothing
 * Cost      O(log n) a key, n being what is scheduled for later
 */
export const cancel = Redis.script(
  (keys: Keys.Keys, now: number | "", ttlMillis: number, executions: ReadonlyArray<string>) => [
    ...Keys.fixed(keys),
    now,
    keys.prefix,
    ttlMillis,
    ...executions
  ],
  {
    operation: "DocketStore.cancel",
    numberOfKeys: Keys.numberOfFixed,
    lua: /* lua */ `
${fragments.prologue}
local ttl = tonumber(ARGV[3])
${compose([fragments.cancelWaiting, fragments.wakeIfEmpty, fragments.fieldsOf])}

${fragments.evenIfFull}
local isAnyGone = false
for i = 4, #ARGV do
  local key = ARGV[i]
  if cancelWaiting(key, ttl) then
    isAnyGone = true
  else
    local record = records .. key
    local found = fieldsOf(key, 'state', 'gen', 'cancel', 'worker', 'lease')
    if found[1] == 'running' and not found[3] then
      call('HSET', record, 'cancel', '1')
      local hold = { key = key, generation = found[2], lease = found[5] }
      call('PUBLISH', prefix .. '${Keys.segments.cancel}' .. (found[4] or ''), cjson.encode(hold))
    end
  end
end
if isAnyTurn then wake() end
if isAnyGone then wakeIfEmpty() end
`
  }
).withReplyType<null>()

/**
 * Cancels some of what waits: what is held back first, so that nothing is let go only to be cancelled, then what is due,
 * what was set aside, and what comes later.
 *
 * KEYS      as `Keys.fixed` lists them
 * ARGV[1]   now, epoch ms; empty for the server's clock
 * ARGV[2]   prefix of the docket's keys
 * ARGV[3]   how long settled executions are kept, ms
 * ARGV[4]   the most to look at
 * Reply     how many it cancelled, and how many still wait
 * Cost      O(log n) an execution, n being what is scheduled for later
 */
export const clear = Redis.script(
  (keys: Keys.Keys, now: number | "", ttlMillis: number, limit: number) => [
    ...Keys.fixed(keys),
    now,
    keys.prefix,
    ttlMillis,
    limit
  ],
  {
    operation: "DocketStore.clear",
    numberOfKeys: Keys.numberOfFixed,
    lua: /* lua */ `
${fragments.prologue}
local ttl, left = tonumber(ARGV[3]), tonumber(ARGV[4])
${compose([fragments.cancelWaiting, fragments.wakeIfEmpty, fragments.depth])}

local cleared = 0
local function clear(key)
  if cancelWaiting(key, ttl) then cleared = cleared + 1 end
  left = left - 1
end

for _, aside in ipairs({ waitingKey, heldKey, askedKey, turnsKey }) do
  if left > 0 then
    for _, key in ipairs(call('ZRANGE', aside, 0, left - 1)) do
      clear(key)
      -- Also one whose record does not say that it is there.
      call('ZREM', aside, key)
    end
  end
end
if left > 0 then
  for _, entry in ipairs(call('XRANGE', streamKey, '-', '+', 'COUNT', left)) do
    clear(entry[2][2])
    -- Also one that its record does not name.
    call('XDEL', streamKey, entry[1])
  end
end
for _, task in ipairs(call('SMEMBERS', parkedKey)) do
  if left <= 0 then break end
  local aside = prefix .. '${Keys.segments.parked}' .. task
  for _, key in ipairs(call('ZRANGE', aside, 0, left - 1)) do
    clear(key)
    call('ZREM', aside, key)
  end
  if call('EXISTS', aside) == 0 then call('SREM', parkedKey, task) end
end
if left > 0 then
  for _, key in ipairs(call('ZRANGE', queueKey, 0, left - 1)) do
    clear(key)
    call('ZREM', queueKey, key)
  end
end
if isAnyTurn then wake() end
if cleared > 0 then wakeIfEmpty() end

local live = depth()
return { cleared, live[1] + live[2] }
`
  }
).withReplyType<readonly [cleared: number, waiting: number]>()
