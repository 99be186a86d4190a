import * as fragments from "./fragments.ts"
import * as Keys from "./keys.ts"
import * as Redis from "../connection/Redis.ts"

/** How long events are published for a follower that is not heard of again. */
const followedMillis = 30_000

/**
 * Lets events be published for a while from now. As long as `watchers` is never gone the reply stays the same.
 *
 * KEYS     as `Keys.fixed` lists them
 * ARGV[1]  now (not used)
 * ARGV[2]  prefix of the docket's keys
 * ARGV[3]  what the value of `watchers` begins with
 * ARGV[4]  how it goes on if it is not there: what no call gave before
 * Reply    the value of `watchers`
 * Cost     O(1)
 */
export const setWatchers = Redis.script(
  (keys: Keys.Keys, reach: string, fresh: string) => [...Keys.fixed(keys), 0, keys.prefix, reach, fresh],
  {
    operation: "DocketStore.watch",
    unconfirmed: true,
    numberOfKeys: Keys.numberOfFixed,
    lua: /* lua */ `
${fragments.prologue}
${fragments.evenIfFull}
local reach, value = ARGV[3] .. ' ', redis.pcall('GET', watchersKey)
-- Others may have put something else there.
if type(value) ~= 'string' or string.sub(value, 1, #reach) ~= reach then value = reach .. ARGV[4] end
call('SET', watchersKey, value, 'PX', ${followedMillis})
return value
`
  }
).withReplyType<string>()
