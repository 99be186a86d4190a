import type * as DocketStore from "../../../DocketStore.ts"
import { remembering } from "./beforehand.ts"
import { compose } from "./fragment.ts"
import * as fragments from "./fragments.ts"
import { holdings } from "./gates.ts"
import * as Keys from "./keys.ts"
import * as Redis from "../connection/Redis.ts"

/**
 * Takes back retries: what has not started since is a failed execution again.
 *
 * KEYS      as `Keys.fixed` lists them
 * ARGV[1]   now, epoch ms; empty for the server's clock
 * ARGV[2]   prefix of the docket's keys
 * ARGV[3]   how long failed executions are kept, ms
 * ARGV[4]   how many failed executions are listed
 * ARGV[5…]  four values for each: its key, the generation that the retry gave it, its error, and its encoded failure, empty
 *           without one
 * Reply     a letter for each: `y` if it had not started, nor been scheduled otherwise, else `n`
 * Cost      O(log n) a key, n being the failed ones
 */
export const undoRetry = Redis.script(
  (
    keys: Keys.Keys,
    now: number | "",
    { failedMaximum, failedTtlMillis }: Pick<DocketStore.StoreOptions, "failedMaximum" | "failedTtlMillis">,
    retries: ReadonlyArray<DocketStore.Retried>
  ) => [
    ...Keys.fixed(keys),
    now,
    keys.prefix,
    failedTtlMillis,
    failedMaximum,
    ...retries.flatMap(({ error, failure = "", generation, key }) => [key, generation, error, failure])
  ],
  {
    operation: "DocketStore.undoRetry",
    numberOfKeys: Keys.numberOfFixed,
    lua: /* lua */ `
${fragments.prologue}
local failedTtl, failedMaximum = tonumber(ARGV[3]), tonumber(ARGV[4])
${compose([remembering, fragments.announce, holdings, fragments.withdraw, fragments.bury, fragments.wakeIfEmpty])}

local answers = {}
local isAnyGone = false
for i = 5, #ARGV, 4 do
  local key, generation, problem, failure = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
  local record = records .. key
  local found = call('HMGET', record, 'state', 'gen', 'deliveries', 'terms')
  local answer = 'n'
  if (found[1] == 'queued' or found[1] == 'scheduled') and found[2] == generation and not found[3] then
    answer = 'y'
    isAnyGone = true
    if found[4] then giveUp(key, generation) end
    withdraw(key)
    call('HSET', record, 'state', 'failed', 'completed', nowText, 'error', problem)
    call('HDEL', record, 'aside', 'line', 'ran')
    forgetBefore(key)
    if failure ~= '' and failedTtl > 0 then call('SET', results .. key, 'f' .. failure, 'PX', text(failedTtl)) end
    if isFollowed(key) then announce(key) end
    bury(key, failedTtl, false)
    if failedTtl > 0 and failedMaximum > 0 then
      call('ZADD', failedKey, nowText, key)
      call('PEXPIRE', failedKey, text(failedTtl))
    end
  end
  answers[#answers + 1] = answer
end
if isAnyTurn then wake() end
if isAnyGone then wakeIfEmpty() end
return table.concat(answers)
`
  }
).withReplyType<string>()
