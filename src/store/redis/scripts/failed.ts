import type * as DocketStore from "../../../DocketStore.ts"
import { compose } from "./fragment.ts"
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
 * ARGV[4]  how many of the newest to leave out
 * ARGV[5]  the most to give
 * Reply    their keys, and for each what `Record.readRecord` gives
 * Cost     one call for each that is given, and for each whose record was lost, which is then forgotten
 */
export const failed = Redis.script(
  (keys: Keys.Keys, now: number | "", failedTtlMillis: number, { limit, offset }: DocketStore.FailedPage) => [
    ...Keys.fixed(keys),
    now,
    keys.prefix,
    failedTtlMillis,
    offset,
    limit
  ],
  {
    operation: "DocketStore.failed",
    unconfirmed: true,
    numberOfKeys: Keys.numberOfFixed,
    lua: /* lua */ `
${fragments.prologue}
local failedTtl, offset, limit = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
${compose([Record.readRecord, fragments.hasPayload])}
call('ZREMRANGEBYSCORE', failedKey, '-inf', text(now - failedTtl))
local keys, found = {}, {}
-- What is forgotten makes room on the page. Each round fills it, or forgets some.
while #keys < limit do
  local page = call('ZREVRANGE', failedKey, offset + #keys, offset + limit - 1)
  if #page == 0 then break end
  for _, key in ipairs(page) do
    local kept = call('HMGET', records .. key, 'state', 'task', 'due')
    if kept[1] == 'failed' and kept[2] and kept[3] and hasPayload(key) then
      keys[#keys + 1] = key
      found[#found + 1] = readRecord(key)
    else
      -- What it left is gone before its time, or is not all there.
      call('ZREM', failedKey, key)
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
 * ARGV[3…]  keys of executions
 * Reply     a letter for each: `y` if it was a failed execution, else `n`
 * Cost      O(log n) a key, n being the failed ones; at most 100 due executions are moved besides
 */
export const retryFailed = Redis.script(
  (keys: Keys.Keys, now: number | "", executions: ReadonlyArray<string>) => [
    ...Keys.fixed(keys),
    now,
    keys.prefix,
    ...executions
  ],
  {
    operation: "DocketStore.retryFailed",
    numberOfKeys: Keys.numberOfFixed,
    lua: /* lua */ `
${fragments.prologue}
${compose([fragments.moveDue, fragments.hasPayload, fragments.wake])}

moveDue()
local answers = {}
for i = 3, #ARGV do
  local key = ARGV[i]
  local record = records .. key
  local found = call('HMGET', record, 'state', 'gen', 'lease')
  local answer = 'n'
  if found[1] == 'failed' and hasPayload(key) then
    answer = 'y'
    call('PERSIST', record)
    call('PERSIST', payloads .. key)
    call('DEL', results .. key, attempts .. key)
    call('ZREM', failedKey, key)
    call('HSET', record, 'state', 'queued', 'id', enqueue(key), 'due', nowText, 'gen', text((tonumber(found[2]) or 0) + 1))
    if found[3] then call('HSET', record, 'was', found[3]) end
    call('HDEL', record, 'worker', 'started', 'completed', 'error', 'attempt', 'deliveries', 'failures', 'passed', 'starts', 'windows', 'counted', 'intended', 'last')
    if isFollowed(key) then announce(key) end
  end
  answers[#answers + 1] = answer
end
if call('XLEN', streamKey) > 0 then wake() end
return table.concat(answers)
`
  }
).withReplyType<string>()

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
${compose([fragments.bury])}
local answers = {}
for i = 3, #ARGV do
  local key = ARGV[i]
  local answer = 'n'
  if call('HGET', records .. key, 'state') == 'failed' then
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
