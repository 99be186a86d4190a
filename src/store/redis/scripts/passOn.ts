import * as Keys from "./keys.ts"
import * as Redis from "../connection/Redis.ts"

/**
 * Puts back a wake-up that a worker took and has no use for.
 *
 * KEYS[1]  wake, of all or of one worker
 * KEYS[2]  stream
 * KEYS[3]  turns
 * KEYS[4]  gates
 * ARGV[1]  `1` to wake a worker only if something is due
 * ARGV[2]  how long the token lives, ms; 0 for as long as nobody takes it
 * Reply    nothing
 * Cost     O(1)
 */
export const passOn = Redis.script(
  (keys: Keys.Keys, wake: string, onlyIfDue: boolean) => [
    wake,
    keys.stream,
    keys.turns,
    keys.gates,
    onlyIfDue ? "1" : "0",
    wake === keys.wake ? 0 : Keys.ownWakeMillis
  ],
  {
    operation: "DocketStore.awaitWork",
    unconfirmed: true,
    numberOfKeys: 4,
    lua: /* lua */ `
local isUseful = ARGV[1] == '0' or redis.call('XLEN', KEYS[2]) > 0 or redis.call('EXISTS', KEYS[3], KEYS[4]) > 0
if isUseful and redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('RPUSH', KEYS[1], '1')
  if ARGV[2] ~= '0' then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
end
`
  }
).withReplyType<null>()
