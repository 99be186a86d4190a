import type * as DocketStore from "../../../DocketStore.ts"
import * as fragments from "./fragments.ts"
import * as Keys from "./keys.ts"
import * as Redis from "../connection/Redis.ts"

/**
 * Extends leases, and tells what has become of them.
 *
 * KEYS      as `Keys.fixed` lists them
 * ARGV[1]   now, epoch ms; empty for the server's clock
 * ARGV[2]   prefix of the docket's keys
 * ARGV[3]   how long they live from now, ms
 * ARGV[4…]  for each lease: key, generation, lease
 * Reply     a letter for each: `h` held, `c` held and to be cancelled, `o` overtaken, `l` lost
 * Cost      O(log n) a lease, n being what runs
 */
export const renew = Redis.script(
  (keys: Keys.Keys, now: number | "", leaseMillis: number, leases: ReadonlyArray<DocketStore.Lease>) => {
    const args = [...Keys.fixed(keys), now, keys.prefix, leaseMillis]
    for (const { generation, key, lease } of leases) args.push(key, generation, lease)
    return args
  },
  {
    operation: "DocketStore.renew",
    numberOfKeys: Keys.numberOfFixed,
    lua: /* lua */ `
${fragments.prologue}
${fragments.evenIfFull}
local leaseEnd = text(now + tonumber(ARGV[3]))
local statuses, held = {}, {}
for i = 4, #ARGV, 3 do
  local key = ARGV[i]
  local found = call('HMGET', records .. key, 'gen', 'state', 'lease', 'cancel')
  local status = 'l'
  if found[1] ~= ARGV[i + 1] then
    -- The key was scheduled anew, unless another worker took the run over, and was overtaken.
    local holder = ARGV[i + 1] .. ':' .. key
    local cancelled, lease, slot = string.match(call('HGET', overtakenKey, holder) or '', '^%d+(c?) (%S*) (.*)$')
    if lease == ARGV[i + 2] then
      call('HSET', overtakenKey, holder, leaseEnd .. cancelled .. ' ' .. lease .. ' ' .. slot)
      status = cancelled == 'c' and 'c' or 'o'
    end
  elseif found[2] == 'running' and found[3] == ARGV[i + 2] then
    status = found[4] and 'c' or 'h'
    held[#held + 1] = leaseEnd
    held[#held + 1] = key
  end
  statuses[#statuses + 1] = status
end
-- In steps, since a call takes no more arguments than fit the stack of Lua.
for first = 1, #held, 1000 do
  call('ZADD', leasesKey, unpack(held, first, math.min(first + 999, #held)))
end
return table.concat(statuses)
`
  }
).withReplyType<string>()

const statuses = new Map<string, DocketStore.LeaseStatus>([
  ["h", "held"],
  ["c", "cancelled"],
  ["o", "overtaken"]
])

/** A letter of the reply in the words of the port. */
export const decode = (letter: string): DocketStore.LeaseStatus => statuses.get(letter) ?? "lost"
