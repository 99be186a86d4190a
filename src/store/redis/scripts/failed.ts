import type * as DocketStore from "../../../DocketStore.ts"
import { compose } from "./fragment.ts"
import { remembering } from "./beforehand.ts"
import * as fragments from "./fragments.ts"
import * as Keys from "./keys.ts"
import * as Record from "./record.ts"
import * as Redis from "../connection/Redis.ts"

/**
 * Lists executions that failed for good, the newest first.
 *
 * KEYS     as `Keys.fixed` lists them
 * ARGV[1]  now, epoch ms; empty for the server's clock
 * ARGV[2]  prefix of the docket's keys
 * ARGV[3]  how long failed executions are kept, ms
 * ARGV[4]  the most to give
 * ARGV[5]  the moment of the last one that was given before, epoch ms; empty to begin with the newest
 * ARGV[6]  its key
 * Reply    their keys, what `Record.readRecord` gives for each, and the moment and key of the last, if there may be more
 * Cost     one call for each that is given, and for each whose record was lost, which is then forgotten; those that failed
 *          in the very millisecond of ARGV[5] are looked at as well
 */
export const failed = Redis.script(
  (keys: Keys.Keys, now: number | "", failedTtlMillis: number, { before, limit }: DocketStore.FailedPage) => [
    ...Keys.fixed(keys),
    now,
    keys.prefix,
    failedTtlMillis,
    limit,
    before?.failed ?? "",
    before?.key ?? ""
  ],
  {
    operation: "DocketStore.failed",
    unconfirmed: true,
    numberOfKeys: Keys.numberOfFixed,
    lua: /* lua */ `
${fragments.prologue}
local failedTtl, limit, moment, last = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6]
${compose([Record.readRecord, fragments.hasPayload, fragments.fieldsOf])}
-- Where the server takes no writes what is to be forgotten stays, and is passed over.
redis.pcall('ZREMRANGEBYSCORE', failedKey, '-inf', text(now - failedTtl))

-- Those of one millisecond are in the order of the bytes of their keys. Lua would compare them by the server's language.
local function comesBefore(a, b)
  for i = 1, math.min(#a, #b) do
    if string.byte(a, i) ~= string.byte(b, i) then return string.byte(a, i) < string.byte(b, i) end
  end
  return #a < #b
end

local keys, found, place = {}, {}, false
-- How many are newer: whatever comes before the oldest of these, it included.
local newer = moment and call('ZRANGEBYSCORE', failedKey, '(' .. ARGV[5], '+inf', 'LIMIT', 0, 1)[1]
local offset = newer and call('ZCARD', failedKey) - call('ZRANK', failedKey, newer) or 0
while #keys < limit do
  local page = call('ZREVRANGE', failedKey, offset, offset + limit - 1, 'WITHSCORES')
  if #page == 0 then break end
  for i = 1, #page, 2 do
    local key, failed = page[i], page[i + 1]
    if #keys == limit then break end
    offset = offset + 1
    if not moment or tonumber(failed) < moment or comesBefore(key, last) then
      local kept = fieldsOf(key, 'state', 'task', 'due')
      if kept[1] == 'failed' and kept[2] and kept[3] and hasPayload(key) then
        keys[#keys + 1] = key
        found[#found + 1] = readRecord(key)
        place = { failed, key }
      else
        -- What it left is gone before its time, or is not all there.
        if type(redis.pcall('ZREM', failedKey, key)) == 'number' then offset = offset - 1 end
      end
    end
  end
end
return { keys, found, #keys == limit and place }
`
  }
).withReplyType<
  readonly [
    keys: ReadonlyArray<string>,
    records: ReadonlyArray<Record.Found>,
    next: readonly [failed: string, key: string] | null
  ]
>()

/**
 * Lists keys that recur and whose last run failed, the newest first.
 *
 * KEYS     as `Keys.fixed` lists them
 * ARGV[1]  now (not used)
 * ARGV[2]  prefix of the docket's keys
 * ARGV[3]  the most to give
 * Reply    their keys, and for each what `Record.readRecord` gives
 * Cost     one call for each that is given, and for each that is none any more, which is then forgotten
 */
export const failedChains = Redis.script(
  (keys: Keys.Keys, limit: number) => [...Keys.fixed(keys), 0, keys.prefix, limit],
  {
    operation: "DocketStore.failedChains",
    numberOfKeys: Keys.numberOfFixed,
    lua: /* lua */ `
${fragments.prologue}
${compose([Record.readRecord, fragments.fieldsOf])}
local limit = tonumber(ARGV[3])
local keys, found = {}, {}
while #keys < limit do
  local page = call('ZREVRANGE', chainsKey, #keys, limit - 1)
  if #page == 0 then break end
  for _, key in ipairs(page) do
    local kept = fieldsOf(key, 'state', 'last')
    local isLive = kept[1] == 'scheduled' or kept[1] == 'queued' or kept[1] == 'running'
    if isLive and string.byte(kept[2] or '') == 102 then
      keys[#keys + 1] = key
      found[#found + 1] = readRecord(key)
    else
      call('ZREM', chainsKey, key)
    end
  end
end
return { keys, found }
`
  }
).withReplyType<readonly [keys: ReadonlyArray<string>, records: ReadonlyArray<Record.Found>]>()

/**
 * Schedules failed executions again, due at once, at attempt 1, with the payload that they had.
 *
 * KEYS      as `Keys.fixed` lists them
 * ARGV[1]   now, epoch ms; empty for the server's clock
 * ARGV[2]   prefix of the docket's keys
 * ARGV[3]   the version of the strikes that the caller knows
 * ARGV[4…]  keys of executions
 * Reply     a letter for each: `y` if it was a failed execution, else `n`; or, when the caller knows other strikes, those in
 *           force (see `strikes.ts`), and nothing was done
 * Cost      O(log n) a key, n being the failed ones; at most 100 due executions are moved besides
 */
export const retryFailed = Redis.script(
  (keys: Keys.Keys, now: number | "", strikes: string, executions: ReadonlyArray<string>) => [
    ...Keys.fixed(keys),
    now,
    keys.prefix,
    strikes,
    ...executions
  ],
  {
    operation: "DocketStore.retryFailed",
    numberOfKeys: Keys.numberOfFixed,
    lua: /* lua */ `
${fragments.prologue}
${compose([fragments.moveDue, fragments.hasPayload, fragments.fieldsOf, fragments.wake, remembering])}
if (call('HGET', strikesKey, 'version') or '') ~= ARGV[3] then return call('HVALS', strikesKey) end

moveDue()
local answers = {}
for i = 4, #ARGV do
  local key = ARGV[i]
  local record = records .. key
  local found = fieldsOf(key, 'state', 'gen', 'lease', 'gens')
  local answer = 'n'
  if found[1] == 'failed' and hasPayload(key) then
    answer = 'y'
    remember(key)
    call('COPY', before(records, key), record)
    call('COPY', before(payloads, key), payloads .. key)
    call('PERSIST', record)
    call('PERSIST', payloads .. key)
    call('ZREM', failedKey, key)
    local generation = text(math.max(tonumber(found[2]) or 0, tonumber(found[4]) or 0) + 1)
    call('HSET', record, 'state', 'queued', 'id', append(key), 'due', nowText, 'gen', generation, 'origin', generation, 'ran', '1')
    if found[3] then call('HSET', record, 'was', found[3]) end
    call('HDEL', record, 'worker', 'started', 'completed', 'error', 'attempt', 'deliveries', 'failures', 'passed', 'quiet', 'place', 'skip', 'gens', 'dropped', 'aside', 'line', 'starts', 'windows', 'counted', 'intended', 'last')
    if isFollowed(key) then announce(key) end
  end
  answers[#answers + 1] = answer
end
if call('XLEN', streamKey) > 0 then wake() end
return table.concat(answers)
`
  }
).withReplyType<string | ReadonlyArray<string>>()

/**
 * Forgets failed executions.
 *
 * KEYS      as `Keys.fixed` lists them
 * ARGV[1]   now (not used)
 * ARGV[2]   prefix of the docket's keys
 * ARGV[3…]  keys of executions
 * Reply     a letter for each: `y` if it was a failed execution, else `n`
 * Cost      O(log n) a key, n being the failed ones
 */
export const discardFailed = Redis.script(
  (keys: Keys.Keys, executions: ReadonlyArray<string>) => [...Keys.fixed(keys), 0, keys.prefix, ...executions],
  {
    operation: "DocketStore.discardFailed",
    numberOfKeys: Keys.numberOfFixed,
    lua: /* lua */ `
${fragments.prologue}
${compose([fragments.bury, fragments.fieldsOf])}
local answers = {}
for i = 3, #ARGV do
  local key = ARGV[i]
  local answer = 'n'
  if fieldsOf(key, 'state')[1] == 'failed' then
    answer = 'y'
    bury(key, 0)
    call('ZREM', failedKey, key)
  end
  answers[#answers + 1] = answer
end
return table.concat(answers)
`
  }
).withReplyType<string>()
