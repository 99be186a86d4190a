import type { Terms } from "../../../Admission.ts"
import * as DocketStore from "../../../DocketStore.ts"
import { compose, fragment } from "./fragment.ts"
import * as fragments from "./fragments.ts"
import { remembering } from "./beforehand.ts"
import { holdings } from "./gates.ts"
import * as Keys from "./keys.ts"
import * as Redis from "../connection/Redis.ts"

/** What is scheduled otherwise than most. Builds on the script below. */
const scheduleOther = fragment(
  [
    fragments.announce,
    fragments.fieldsOf,
    fragments.withdraw,
    fragments.wake,
    fragments.keepPayload,
    holdings,
    remembering
  ],
  /* lua */ `
-- The last generations of the keys of which a run goes on that was overtaken. There are few.
local last
local function lastGeneration(key)
  if not last then
    last = {}
    -- What others put there tells nothing.
    for _, holder in ipairs(isAnySpecial and redis.pcall('HKEYS', overtakenKey) or {}) do
      local generation, of = string.match(holder, '^(%d+):(.*)$')
      if of then last[of] = math.max(last[of] or 0, tonumber(generation)) end
    end
  end
  return last[key] or 0
end

function seldom.schedule(key, task, payload, due, trace, terms, chain, how)
  local record = records .. key
  local old = fieldsOf(key, 'state', 'gen', 'cancel', 'lease', 'was', 'origin', 'last', 'gens', 'ran')
  local state = old[1]
  local isLive = state == 'queued' or state == 'scheduled' or (state == 'running' and not old[3])
  if isLive and not string.find(how, 'r', 1, true) then return 'a' .. (old[6] or '') end
  -- A record may be gone while a run of the key goes on.
  local generation = (state and math.max(tonumber(old[2]) or 0, tonumber(old[8]) or 0) or lastGeneration(key)) + 1
  local fields = { 'task', task, 'due', text(due), 'gen', text(generation) }
  if state then
    local was, hasBefore = old[5], old[9]
    if state == 'running' then
      -- The older run owns nothing any more but its slot: its settlement will find another generation.
      local slot = call('HGET', record, 'slot') or ''
      local leaseEnd = text(call('ZSCORE', leasesKey, key) or nowText) .. (old[3] and 'c' or '')
      call('HSET', overtakenKey, (old[2] or '') .. ':' .. key, leaseEnd .. ' ' .. (old[4] or '') .. ' ' .. slot)
      call('ZREM', leasesKey, key)
    elseif isLive then
      withdraw(key)
      if call('HGET', record, 'terms') then giveUp(key, old[2]) end
      if isAnyTurn then wake() end
    else
      if state == 'failed' then call('ZREM', failedKey, key) end
      was = old[4] or was
      hasBefore = remember(key)
    end
    if hasBefore then
      fields[#fields + 1] = 'ran'
      fields[#fields + 1] = '1'
    end
    if old[7] then call('ZREM', chainsKey, key) end
    if was then
      fields[#fields + 1] = 'was'
      fields[#fields + 1] = was
    end
    call('DEL', record, payloads .. key, results .. key, progresses .. key, attempts .. key)
  end
  -- What waits goes on, under another payload.
  local origin = isLive and state ~= 'running' and (old[6] or '1') or text(generation)
  if origin == '1' then
    origin = ''
  else
    fields[#fields + 1] = 'origin'
    fields[#fields + 1] = origin
  end
  if trace then
    fields[#fields + 1] = 'trace'
    fields[#fields + 1] = trace
  end
  if chain then
    fields[#fields + 1] = 'chain'
    fields[#fields + 1] = chain
  end
  if terms then
    fields[#fields + 1] = 'terms'
    fields[#fields + 1] = terms
  end
  if version ~= '' and not string.find(how, 'u', 1, true) then
    fields[#fields + 1] = 'judged'
    fields[#fields + 1] = version
  end
  if due <= now then
    call('HSET', record, 'state', 'queued', 'id', append(key), unpack(fields))
  else
    call('ZADD', queueKey, text(due), key)
    call('HSET', record, 'state', 'scheduled', unpack(fields))
  end
  keepPayload(key, payload)
  if isFollowed(key) then announce(key) end
  return (isLive and 'r' or 's') .. origin
end
`
)

/**
 * Schedules a batch of executions, one after the other, and wakes a worker if there is something for it.
 *
 * KEYS      as `Keys.fixed` lists them
 * ARGV[1]   now, epoch ms; empty for the server's clock
 * ARGV[2]   prefix of the docket's keys
 * ARGV[3]   the version of the strikes that the caller knows
 * ARGV[4…]  for each request: key, task, payload, and letters, one for each optional value that follows: d for the due
 *           time, unless it is now (see `encodeDue`), t for the trace, v for its terms (see `encodeTerms`), c for the chain; and r to
 *           replace a live key, u if it was not judged by the strikes
 * Reply     for each request a letter, `s` scheduled, `a` already scheduled, `r` replaced, and the origin of what its key
 *           holds now, unless that is 1 (see `keys.ts`); or, when the caller knows other
 *           strikes, those in force (see `strikes.ts`), and nothing was done
 * Cost      O(log n) a request, n being what is scheduled for later; at most 100 due executions are moved besides
 */
export const schedule = Redis.script(
  (keys: Keys.Keys, now: number | "", strikes: string, requests: ReadonlyArray<DocketStore.ScheduleRequest>) => {
    const args = [...Keys.fixed(keys), now, keys.prefix, strikes]
    for (const { chain, due, judged, key, payload, replace, task, terms, trace } of requests) {
      let how = replace ? "r" : ""
      if (!judged) how += "u"
      const at = args.push(key, task, payload, how) - 1
      if (due !== DocketStore.dueNow) {
        how += "d"
        args.push(encodeDue(due))
      }
      if (trace !== "") {
        how += "t"
        args.push(trace)
      }
      if (terms !== undefined && terms.contract !== "") {
        how += "v"
        args.push(encodeTerms(terms))
      }
      if (chain !== undefined) {
        how += "c"
        args.push(chain)
      }
      args[at] = how
    }
    return args
  },
  {
    operation: "DocketStore.schedule",
    numberOfKeys: Keys.numberOfFixed,
    lua: /* lua */ `
${fragments.prologue}
local isAnySpecial = call('EXISTS', strikesKey, watchersKey, overtakenKey) > 0
local version = isAnySpecial and call('HGET', strikesKey, 'version') or ''
if version ~= ARGV[3] then return call('HVALS', strikesKey) end
local isAnyFollowed = isAnySpecial and call('EXISTS', watchersKey) == 1
${compose([fragments.nextDueTime, fragments.absolute])}
${fragments.seldom(["moveDue"], compose([fragments.moveDue, scheduleOther], [fragments.isAnyFollowed]))}

-- What became due before this batch goes first.
local head, isWorkThere = nextDueTime(), false
if head and head <= now then
  isWorkThere = seldom.moveDue() > 0
  head = nextDueTime()
end
local dispositions = {}
${compose([fragments.partsOf])}

local i = 4
while i <= #ARGV do
  local key, task, payload, how = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
  local due, trace, terms, chain = now, false, false, false
  i = i + 4
  if how ~= '' then
    if string.find(how, 'd', 1, true) then
      due = absolute(ARGV[i])
      i = i + 1
    end
    if string.find(how, 't', 1, true) then
      trace = ARGV[i]
      i = i + 1
    end
    if string.find(how, 'v', 1, true) then
      terms = ARGV[i]
      i = i + 1
    end
    if string.find(how, 'c', 1, true) then
      chain = ARGV[i]
      i = i + 1
    end
  end
  local record, disposition = records .. key, 's'
  if call('EXISTS', record) == 0 and not (isAnySpecial or trace or terms or chain) then
    -- As most requests are: "schedule" would do the same.
    if due <= now then
      local entry = call('XADD', streamKey, '*', 'key', key)
      call('HSET', record, 'state', 'queued', 'id', entry, 'task', task, 'due', due == now and nowText or text(due), 'gen', '1', partsOf(payload))
    else
      call('ZADD', queueKey, text(due), key)
      call('HSET', record, 'state', 'scheduled', 'task', task, 'due', text(due), 'gen', '1', partsOf(payload))
    end
    if #payload > 256 then call('SET', payloads .. key, payload) end
  else
    disposition = seldom.schedule(key, task, payload, due, trace, terms, chain, how)
  end
  dispositions[#dispositions + 1] = disposition
  -- An idle worker sleeps until the next due time that it knows of.
  isWorkThere = isWorkThere or (string.byte(disposition) ~= 97 and (due <= now or due < (head or math.huge)))
end

if isWorkThere and call('EXISTS', wakeKey) == 0 then call('RPUSH', wakeKey, '1') end
return table.concat(dispositions)
`
  }
).withReplyType<string | ReadonlyArray<string>>()

/** The reply for so many requests in the words of the port. */
export const decode = (reply: string, count: number): Pick<DocketStore.ScheduleReply, "dispositions" | "origins"> => {
  // As it is for most.
  if (reply.length === count) return { dispositions: Array.from(reply, toDisposition), origins: Array(count).fill(1) }
  const all = Array.from(reply.matchAll(/([a-z])(\d*)/g), ([, letter = "", origin = ""]) => ({ letter, origin }))
  return {
    dispositions: all.map(({ letter }) => toDisposition(letter)),
    origins: all.map(({ origin }) => (origin === "" ? 1 : Number(origin)))
  }
}

const toDisposition = (letter: string): DocketStore.Disposition =>
  letter === "s" ? "scheduled" : letter === "a" ? "already-scheduled" : "replaced"
/** Terms as the scripts read them. */
export const encodeTerms = ({ contract, values }: Terms): string => JSON.stringify([contract, ...values])

/** A due time as the scripts read it: `+` and milliseconds from now, or epoch milliseconds. */
export const encodeDue = (due: DocketStore.Due): string =>
  due._tag === "After" ? `+${Math.max(0, wholeMillis(due.millis))}` : String(wholeMillis(due.epochMillis))

/** Never before its time, and near enough for times to stay exact. */
const wholeMillis = (millis: number): number => Math.ceil(Math.min(Math.max(millis, -farAway), farAway))

/** The last moment that a date can name. */
const farAway = 8.64e15
