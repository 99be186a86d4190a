import type * as DocketStore from "../../../DocketStore.ts"
import { compose } from "./fragment.ts"
import * as fragments from "./fragments.ts"
import * as Keys from "./keys.ts"
import * as Redis from "../connection/Redis.ts"

/** A net for what no end of a run deletes: a key of a docket that is used no more. */
const ttlMillis = 86_400_000

/**
 * Keeps and publishes what running executions report, as far as the leases are held.
 *
 * KEYS      as `Keys.fixed` lists them
 * ARGV[1]   now, epoch ms; empty for the server's clock
 * ARGV[2]   prefix of the docket's keys
 * ARGV[3…]  for each report: key, generation, lease, current, total, `1` if a message follows or `0`, the message
 * Reply     nothing
 * Cost      O(1) a report
 */
export const progress = Redis.script(
  (keys: Keys.Keys, now: number | "", updates: ReadonlyArray<DocketStore.ProgressUpdate>) => {
    const args = [...Keys.fixed(keys), now, keys.prefix]
    for (const { current, generation, key, lease, message, total } of updates) {
      args.push(key, generation, lease, current, total, message === undefined ? "0" : "1", message ?? "")
    }
    return args
  },
  {
    operation: "DocketStore.progress",
    numberOfKeys: Keys.numberOfFixed,
    lua: /* lua */ `
${fragments.prologue}
${compose([fragments.announce])}

for i = 3, #ARGV, 7 do
  local key, generation, current, total, message = ARGV[i], ARGV[i + 1], ARGV[i + 3], ARGV[i + 4], ARGV[i + 5] == '1' and ARGV[i + 6]
  local record, progress = records .. key, progresses .. key
  local found = call('HMGET', record, 'gen', 'state', 'lease', 'progress')
  if found[1] == generation and found[2] == 'running' and found[3] == ARGV[i + 2] then
    if not found[4] then call('HSET', record, 'progress', '1') end
    call('HSET', progress, 'current', current, 'total', total, 'updated', nowText)
    if message then call('HSET', progress, 'message', message) else call('HDEL', progress, 'message') end
    call('PEXPIRE', progress, ${ttlMillis})
    -- It has the name of its channel.
    if hasListeners(progress) then
      publish(progress, {
        type = 'progress', key = key, generation = generation, current = current, total = total, message = message, updated = nowText
      })
    end
  end
end
`
  }
).withReplyType<null>()
