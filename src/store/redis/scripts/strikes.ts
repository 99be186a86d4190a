import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { empty, Strike, type StrikeSet } from "../../../Strike.ts"
import { compose } from "./fragment.ts"
import * as fragments from "./fragments.ts"
import * as Keys from "./keys.ts"
import * as Redis from "../connection/Redis.ts"

/** The values of the hash of strikes: each of them as JSON, and the version, which is not JSON of an object. */
export type Found = ReadonlyArray<string>

/**
 * Reads the strikes in force.
 *
 * KEYS     as `Keys.fixed` lists them
 * ARGV[1]  now (not used)
 * ARGV[2]  prefix of the docket's keys
 * Reply    see `Found`
 * Cost     O(n), n being the strikes
 */
export const strikes = Redis.script((keys: Keys.Keys) => [...Keys.fixed(keys), 0, keys.prefix], {
  operation: "DocketStore.strikes",
  unconfirmed: true,
  numberOfKeys: Keys.numberOfFixed,
  lua: /* lua */ `
${fragments.prologue}
return call('HVALS', strikesKey)
`
}).withReplyType<Found>()

/**
 * Puts a strike in force.
 *
 * KEYS     as `Keys.fixed` lists them
 * ARGV[1]  now (not used)
 * ARGV[2]  prefix of the docket's keys
 * ARGV[3]  a version that the strikes never had
 * ARGV[4]  the strike's id
 * ARGV[5]  the strike, as JSON
 * Reply    see `Found`
 * Cost     O(n), n being the strikes
 */
export const strike = Redis.script(
  (keys: Keys.Keys, version: string, strike: Strike) => [
    ...Keys.fixed(keys),
    0,
    keys.prefix,
    version,
    strike.id,
    encode(strike)
  ],
  {
    operation: "DocketStore.strike",
    numberOfKeys: Keys.numberOfFixed,
    lua: /* lua */ `
${fragments.prologue}
if call('HSETNX', strikesKey, ARGV[4], ARGV[5]) == 1 then
  call('HSET', strikesKey, 'version', ARGV[3])
  call('PUBLISH', strikesKey, ARGV[3])
end
return call('HVALS', strikesKey)
`
  }
).withReplyType<Found>()

/**
 * Takes strikes out of force. What strikes hold will be let go, to be judged again.
 *
 * KEYS      as `Keys.fixed` lists them
 * ARGV[1]   now (not used)
 * ARGV[2]   prefix of the docket's keys
 * ARGV[3]   a version that the strikes never had
 * ARGV[4…]  ids of strikes; those that are not in force change nothing
 * Reply     see `Found`
 * Cost      O(n), n being the strikes
 */
export const restore = Redis.script(
  (keys: Keys.Keys, version: string, strikes: ReadonlyArray<Strike>) => [
    ...Keys.fixed(keys),
    0,
    keys.prefix,
    version,
    ...strikes.map(({ id }) => id)
  ],
  {
    operation: "DocketStore.restore",
    numberOfKeys: Keys.numberOfFixed,
    lua: /* lua */ `
${fragments.prologue}
${compose([fragments.wake])}
local restored = 0
for i = 4, #ARGV do
  restored = restored + call('HDEL', strikesKey, ARGV[i])
end
if restored > 0 then
  if call('HLEN', strikesKey) <= 1 then
    call('DEL', strikesKey)
  else
    call('HSET', strikesKey, 'version', ARGV[3])
  end
  call('PUBLISH', strikesKey, ARGV[3])
  local last = call('ZRANGE', heldKey, -1, -1, 'WITHSCORES')[2]
  if last then
    call('SET', releaseKey, last)
    wake()
  end
end
return call('HVALS', strikesKey)
`
  }
).withReplyType<Found>()

const StrikeJson = Schema.fromJsonString(Strike)
const encode = Schema.encodeSync(StrikeJson)
const decodeStrike = Schema.decodeOption(StrikeJson)

/** The strikes in the words of the port. Those that cannot be read, of a later release perhaps, are left out. */
export const decode = (found: Found): StrikeSet => {
  const version = found.find((value) => !value.startsWith("{"))
  if (version === undefined) return empty
  return { version, strikes: found.flatMap((value) => Option.toArray(decodeStrike(value))) }
}
