import type * as DocketStore from "../../../DocketStore.ts"
import { claim } from "./claiming.ts"
import { compose } from "./fragment.ts"
import * as fragments from "./fragments.ts"
import * as Keys from "./keys.ts"
import * as Redis from "../connection/Redis.ts"
import { encodeDue, encodeTerms } from "./schedule.ts"
import { settle } from "./settling.ts"
import * as Strikes from "./strikes.ts"

/** What the script is told of the worker that calls. */
export interface Caller {
  readonly name: string
  readonly leaseMillis: number
  readonly maxDeliveries: number
  /** The digest of what it says of its tasks (see `contracts.ts`). */
  readonly contract: string
}

/** How long what is settled is kept, and how many failures are listed. */
export interface Keeping {
  readonly executionTtlMillis: number
  /** For what failed for good. */
  readonly failedTtlMillis: number
  readonly failedMaximum: number
}

/**
 * What the script replies: a letter for each settlement (`a` applied, `s` superseded, `l` lost), the ms until the next
 * due time or -1, now, for each delivery the four values that `decodeDeliveries` names, the payloads of the deliveries; and
 * then, unless there is nothing of all this: pairs of a task set aside and how many wait for it, triples of a key failed
 * for too many deliveries, its task and their number, pairs of a key that a control dropped and its task, what the worker
 * is asked about and its payloads, as the deliveries are given, the keys of these that are skipped, and the strikes in force,
 * or nothing when the worker knows them.
 */
export type Reply = readonly [
  settled: string,
  nextDueMillis: number,
  now: number,
  deliveries: ReadonlyArray<string | number>,
  payloads: ReadonlyArray<string | null>,
  unknown?: ReadonlyArray<string | number>,
  exhausted?: ReadonlyArray<string | number>,
  dropped?: ReadonlyArray<string>,
  asked?: ReadonlyArray<string | number>,
  askedPayloads?: ReadonlyArray<string | null>,
  skipped?: ReadonlyArray<string>,
  strikes?: Strikes.Found | null
]

/**
 * Settles what a worker finished, moves what is due to the ready stream, and claims executions for the worker.
 *
 * KEYS       as `Keys.fixed` lists them
 * ARGV[1]    now, epoch ms; empty for the server's clock
 * ARGV[2]    prefix of the docket's keys
 * ARGV[3]    the worker's name
 * ARGV[4]    id of the leases that this call grants
 * ARGV[5]    how long they live, ms
 * ARGV[6]    deliveries after which an execution is failed
 * ARGV[7]    the digest of what the worker says of its tasks (see `contracts.ts`)
 * ARGV[8]    the most executions to claim
 * ARGV[9]    `1` if the call is sent again because its reply was lost
 * ARGV[10]   how long settled executions are kept, ms
 * ARGV[11]   how long failed ones are, ms
 * ARGV[12]   how many failed ones are listed
 * ARGV[13]   the version of the strikes that the worker knows
 * ARGV[14…]  for each settlement: how it ended (a letter of `letters`, a letter for each optional value that
 *            follows: v, d, p, c, and r if the run reported progress), key, generation, lease; error of a failure or retry; v: result, typed failure,
 *            terms, or what a worker has to know; d: due time of the next run; p: payload of the next run, or version of the strikes; c: its chain
 * Reply      see `Reply`; or nothing when it is not known what the worker says of its tasks, and nothing was done
 * Cost       O(log n) a settlement and a claim, n being what runs; looks at no more than 200 entries beyond those
 *            claimed; moves at most 100, lets go at most 100, takes up at most 100 or ARGV[8] of a task; sent again, it looks at all that
 *            runs
 */
export const exchange = Redis.script(
  (keys: Keys.Keys, now: number | "", caller: Caller, keeping: Keeping, request: DocketStore.ExchangeRequest) => {
    const args = [...Keys.fixed(keys), now, keys.prefix]
    args.push(caller.name, request.lease, caller.leaseMillis, caller.maxDeliveries, caller.contract)
    args.push(request.take, request.resent ? "1" : "0")
    args.push(keeping.executionTtlMillis, keeping.failedTtlMillis, keeping.failedMaximum)
    args.push(request.strikes)
    for (const settlement of request.finished) encodeSettlement(args, settlement)
    return args
  },
  {
    operation: "DocketStore.exchange",
    numberOfKeys: Keys.numberOfFixed,
    lua: /* lua */ `
${fragments.prologue}
local worker, lease, leaseMillis = ARGV[3], ARGV[4], tonumber(ARGV[5])
local contractKey = prefix .. '${Keys.segments.contract}' .. ARGV[7]
if call('EXISTS', contractKey) == 0 then return false end
local take, isResent, ownWakeKey = tonumber(ARGV[8]), ARGV[9] == '1', prefix .. '${Keys.segments.wake}' .. worker
local ttl = tonumber(ARGV[10])
local isAnySpecial = call('EXISTS', strikesKey, watchersKey, releaseKey, parkedKey, turnsKey, gatesKey, opensKey) > 0
local version = isAnySpecial and call('HGET', strikesKey, 'version') or ''
local isAnyFollowed = isAnySpecial and call('EXISTS', watchersKey) == 1

local left, leaseEnd = take, text(now + leaseMillis)
local deliveries, bodies, grants = {}, {}, {}
local asked, askedBodies, skipped, unknownTasks, exhausted, dropped = {}, {}, {}, {}, {}, {}
local budget = take + 200
-- What was told about in this call: queued, and not in the stream.
local determined = {}

-- What the worker says of a task: empty when no control of it has a say, false when the worker does not know it.
local contracts = {}
local function contractOf(task)
  local contract = contracts[task]
  if contract == nil then
    contract = call('HGET', contractKey, task) or (call('HGET', contractKey, '*') and '')
    if contract and contract ~= '' then contract = cjson.decode(contract) end
    contracts[task] = contract
  end
  return contract
end
local function knows(task)
  return contractOf(task) ~= false
end

-- Writes the grants of a round: a call takes no more arguments than fit the stack of Lua.
local function flush()
  if #grants == 0 then return end
  call('ZADD', leasesKey, unpack(grants))
  grants = {}
end

${fragments.seldom(
  ["moveDue", "wakeDue", "enqueue", "isFollowed", "announce", "notice", "endOvertaken"],
  /* lua */ `
local worker, lease, maxDeliveries = ARGV[3], ARGV[4], tonumber(ARGV[6])
local ttl, failedTtl, failedMaximum = tonumber(ARGV[10]), tonumber(ARGV[11]), tonumber(ARGV[12])
${compose([fragments.moveDue, fragments.notice, settle, claim], [fragments.isAnyFollowed])}
`
)}

-- First, since it lets the script run when the server's memory is full: see fragments.evenIfFull.
call('DEL', ownWakeKey)

local statuses, ended = {}, {}
local isPlain = ttl > 0 and not isAnyFollowed
local i = 14
while i <= #ARGV do
  local how, key, generation, held = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
  local outcome = string.sub(how, 1, 1)
  local isReported, problem, value, due, payload, chain = false, false, false, false, false, false
  i = i + 4
  if outcome == 'F' or outcome == 'R' then
    problem = ARGV[i]
    i = i + 1
  end
  if #how > 1 then
    isReported = string.find(how, 'r', 2, true)
    if string.find(how, 'v', 2, true) then
      value = ARGV[i]
      i = i + 1
    end
    if string.find(how, 'd', 2, true) then
      due = ARGV[i]
      i = i + 1
    end
    if string.find(how, 'p', 2, true) then
      payload = ARGV[i]
      i = i + 1
    end
    if string.find(how, 'c', 2, true) then
      chain = ARGV[i]
      i = i + 1
    end
  end
  local record, status = records .. key, 'a'
  local found = call('HMGET', record, 'gen', 'state', 'lease', 'cancel', 'failures', 'was', 'terms', 'p1')
  if outcome == 'C' and isPlain and not (due or isReported) and found[1] == generation and found[2] == 'running'
    and found[3] == held and not (found[4] or found[5] or found[7]) then
    -- As most runs end: "settle" would do the same.
    local millis = ARGV[10]
    if value then
      call('SET', results .. key, 'c' .. value, 'PX', millis)
    elseif generation ~= '1' then
      call('DEL', results .. key)
    end
    call('HSET', record, 'state', 'completed', 'completed', nowText)
    call('PEXPIRE', record, millis)
    if not found[8] then call('PEXPIRE', payloads .. key, millis) end
    if generation ~= '1' then call('ZREM', chainsKey, key) end
  else
    status = seldom.settle(key, found, generation, held, outcome, isReported, problem, value, due, payload, chain)
  end
  if status == 'a' then ended[#ended + 1] = key end
  statuses[#statuses + 1] = status
end
-- In steps, as below: a call takes no more arguments than fit the stack of Lua.
for first = 1, #ended, 1000 do
  call('ZREM', leasesKey, unpack(ended, first, math.min(first + 999, #ended)))
end

${compose([fragments.nextDueTime])}
local head = nextDueTime()
if head and head <= now then
  seldom.moveDue()
  head = nextDueTime()
end
if isAnySpecial then seldom.wakeDue() end

-- Lets go what strikes held until one was restored.
local untilPlace = isAnySpecial and call('GET', releaseKey)
if untilPlace then
  local keys = call('ZRANGEBYSCORE', heldKey, '-inf', string.match(untilPlace, '^%d+$') or '+inf', 'LIMIT', 0, 100)
  for _, key in ipairs(keys) do
    local found = call('HMGET', records .. key, 'gen', 'place', 'aside')
    -- Others may have deleted its record, or have had a hand in it.
    if found[3] == 'h' then
      call('HSET', records .. key, 'gen', text((tonumber(found[1]) or 0) + 1))
      call('HDEL', records .. key, 'aside')
      seldom.enqueue(key, found[2])
      if seldom.isFollowed(key) then seldom.announce(key) end
    else
      seldom.notice('Others deleted what was kept of ' .. cjson.encode(key) .. ', which a strike held: it will not run')
    end
  end
  if #keys > 0 then call('ZREM', heldKey, unpack(keys)) end
  if #keys < 100 then call('DEL', releaseKey) end
end

-- Takes up again what was set aside for want of a worker that knows the task: of each task what the worker can run,
-- or 100.
for _, task in ipairs(isAnySpecial and call('SMEMBERS', parkedKey) or {}) do
  if knows(task) then
    local aside = prefix .. '${Keys.segments.parked}' .. task
    local keys = call('ZRANGE', aside, 0, math.max(take, 100) - 1)
    for _, key in ipairs(keys) do
      local record = records .. key
      local found = call('HMGET', record, 'state', 'aside', 'place')
      if found[1] == 'queued' and found[2] == 't' then
        call('HDEL', record, 'aside')
        seldom.enqueue(key, found[3])
      end
    end
    for first = 1, #keys, 1000 do
      call('ZREM', aside, unpack(keys, first, math.min(first + 999, #keys)))
    end
    if call('EXISTS', aside) == 0 then call('SREM', parkedKey, task) end
  end
end

if isResent then
  for _, aside in ipairs({ leasesKey, askedKey }) do
    for _, key in ipairs(call('ZRANGE', aside, 0, -1)) do
      local found = call('HMGET', records .. key, 'lease', 'state', 'task', 'gen', 'attempt', 'deliveries', 'due', 'started', 'trace', 'aside', 'intended', 'skip', 'cancel')
      if found[1] == lease and found[2] == 'running' and found[13] then
        -- It has not begun.
        local run = call('HMGET', records .. key, 'gen', 'state', 'lease', 'cancel', 'failures', 'was', 'terms')
        seldom.settle(key, run, found[4], lease, 'X', false, false, false, false, false)
        call('ZREM', leasesKey, key)
      elseif found[1] == lease and found[2] == 'running' then
        seldom.deliver(key, found[3], found[4], found[5], tonumber(found[6]), found[7], found[8], found[9], found[11])
        if #grants == 400 then flush() end
      elseif found[1] == lease and found[10] == 'a' then
        seldom.ask(key, found[12], found[3], found[4], found[5], tonumber(found[6]) or 0, found[7], nowText, found[9], found[11])
      end
    end
  end
  flush()
  local overtaken = call('HGETALL', overtakenKey)
  for i = 1, #overtaken, 2 do
    if string.match(overtaken[i + 1], '^%d+c? (%S*) ') == lease then
      local generation, key = string.match(overtaken[i], '^(%d+):(.*)$')
      if key then seldom.endOvertaken(key, generation, lease) end
    end
  end
end

-- What was told about in this call has its turn at once.
for _, key in ipairs(determined) do
  if left > 0 then seldom.considerTold(key) end
end
flush()

isPlain = version == '' and not isAnyFollowed
-- What ended in this call may have given others their turn.
local isAnyAhead, isMore = isAnySpecial or next(seldom) ~= nil, true
while isMore and left > 0 and budget > 0 do
  local entries, looked = call('XRANGE', streamKey, '-', '+', 'COUNT', math.min(left, 200)), 0
  for _, entry in ipairs(entries) do
    local id, key = entry[1], entry[2][2]
    if isAnyAhead then
      seldom.takeTurns(id)
      if left <= 0 or budget <= 0 then break end
    end
    looked, budget = looked + 1, budget - 1
    local record = records .. key
    local found = call('HMGET', record, 'state', 'id', 'task', 'gen', 'attempt', 'deliveries', 'due', 'trace', 'needs', 'aside', 'p1', 'p2', 'p3', 'p4')
    local task, due = found[3], found[7]
    if isPlain and found[1] == 'queued' and found[2] == id and found[4] == '1' and task and due and #due < 16 and string.find(due, '^%d+$')
      and not (found[5] or found[6] or found[8] or found[9] or found[10]) and contractOf(task) == '' then
      -- As most runs begin: "consider" would do the same.
      call('HSET', record, 'state', 'running', 'worker', worker, 'lease', lease, 'started', nowText, 'deliveries', '1')
      local n = #deliveries
      deliveries[n + 1], deliveries[n + 2], deliveries[n + 3], deliveries[n + 4] = key, task, tonumber(due), ''
      local body = found[11]
      if not body then
        body = call('MGET', payloads .. key)[1]
      elseif found[12] then
        body = body .. found[12] .. (found[13] or '') .. (found[14] or '')
      end
      bodies[#bodies + 1] = body
      grants[#grants + 1] = leaseEnd
      grants[#grants + 1] = key
      left = left - 1
    else
      seldom.consider(key, id, found)
      isAnyAhead = true
    end
  end
  flush()
  if looked > 0 then
    -- Every entry that was looked at is at the head of the stream, and has had its turn.
    local time, sequence = string.match(entries[looked][1], '^(%d+)-(%d+)$')
    call('XTRIM', streamKey, 'MINID', '=', time .. '-' .. text(sequence + 1))
  end
  if #entries == 0 then
    if isAnyAhead then seldom.takeTurns() end
    isMore = false
  end
end

local unknown = {}
for task in pairs(unknownTasks) do
  call('SADD', parkedKey, task)
  unknown[#unknown + 1] = task
  unknown[#unknown + 1] = call('ZCARD', prefix .. '${Keys.segments.parked}' .. task)
  -- A token for all could wake a worker that does not know the task either. At most 100 workers are looked at.
  for _, name in ipairs(call('ZREVRANGE', workersKey, 0, 99)) do
    local tasks = call('HGET', prefix .. '${Keys.segments.worker}' .. name, 'tasks')
    local own = prefix .. '${Keys.segments.wake}' .. name
    if tasks and (tasks == '*' or string.find(tasks, '\\0' .. task .. '\\0', 1, true)) and call('EXISTS', own) == 0 then
      call('RPUSH', own, '1')
      call('PEXPIRE', own, ${Keys.ownWakeMillis})
    end
  end
end

-- A worker that took what it could leaves the rest to another. With nothing left a token stays all the same: it may say
-- that something is due earlier than the next idle worker knows.
local isAnyLeft = call('XLEN', streamKey) > 0
if isAnySpecial or next(seldom) ~= nil then
  isAnyLeft = isAnyLeft or call('EXISTS', turnsKey, gatesKey) > 0
  -- A control may have put something at the head, or let it be known when it opens.
  head = math.min(nextDueTime() or math.huge, tonumber(call('ZRANGE', opensKey, 0, 0, 'WITHSCORES')[2]) or math.huge)
  if head == math.huge then head = nil end
end
if isAnyLeft and call('EXISTS', wakeKey) == 0 then call('RPUSH', wakeKey, '1') end

local reply = { table.concat(statuses), head and math.max(0, head - now) or -1, now, deliveries, bodies }
if #unknown + #exhausted + #dropped + #asked > 0 or version ~= ARGV[13] then
  for _, list in ipairs({ unknown, exhausted, dropped, asked, askedBodies, skipped }) do
    reply[#reply + 1] = list
  end
  reply[#reply + 1] = version ~= ARGV[13] and call('HVALS', strikesKey)
end
return reply
`
  }
).withReplyType<Reply | null>()

/** The tasks that a worker knows as the scripts read them: `*` for any, or the names with a NUL around each. */
export const encodeTasks = (tasks: DocketStore.WorkerOptions["tasks"]): string =>
  tasks === "any" ? "*" : `${Array.from(tasks, (task) => `\0${task}`).join("")}\0`

const letters = {
  Completed: "C",
  Failed: "F",
  Cancelled: "X",
  Retry: "R",
  Postponed: "P",
  Released: "B",
  Held: "H",
  Determined: "D",
  Skipped: "S",
  Unreadable: "N"
} as const

const encodeSettlement = (
  args: Array<string | number>,
  { generation, key, lease, outcome, reported }: DocketStore.Settlement
): void => {
  let how: string = letters[outcome._tag]
  const at = args.push(how, key, generation, lease) - 4
  if ("error" in outcome) args.push(shortened(outcome.error))
  if (outcome._tag === "Held") {
    args[at] = "Hp"
    args.push(outcome.strikes)
    return
  }
  if (outcome._tag === "Determined") {
    if (outcome.terms.contract === "") {
      args[at] = "Dp"
    } else {
      args[at] = "Dvp"
      args.push(encodeTerms(outcome.terms))
    }
    args.push(outcome.strikes)
    return
  }
  const value = valueOf(outcome)
  if (value !== undefined) {
    how += "v"
    args.push(value)
  }
  const next = "due" in outcome ? outcome : "next" in outcome ? outcome.next : undefined
  if (next !== undefined) {
    how += "d"
    args.push(encodeDue(next.due))
    if ("payload" in next && next.payload !== undefined) {
      how += "p"
      args.push(next.payload)
    }
    if ("chain" in next && next.chain !== undefined) {
      how += "c"
      args.push(next.chain)
    }
  }
  if (reported) how += "r"
  args[at] = how
}

const valueOf = (outcome: DocketStore.Outcome): string | undefined => {
  switch (outcome._tag) {
    case "Completed":
      return outcome.result
    case "Failed":
      return outcome.failure
    case "Unreadable":
      return outcome.needs
    default:
      return undefined
  }
}

/** Errors are for people; a record is to stay a record. */
const shortened = (error: string): string => {
  if (error.length <= errorLimit) return error
  const cut = error.slice(0, errorLimit - 1)
  // Not in the middle of a surrogate pair.
  return `${cut.isWellFormed() ? cut : cut.slice(0, -1)}…`
}

const errorLimit = 16_384

/** The reply in the words of the port. */
export const decode = (
  lease: string,
  [
    settled,
    nextDueMillis,
    now,
    granted,
    payloads,
    unknown = [],
    exhausted = [],
    dropped = [],
    asked = [],
    askedPayloads = [],
    skipped = [],
    strikes = null
  ]: Reply
): DocketStore.ExchangeReply => ({
  settled: Array.from(settled, (letter) => (letter === "a" ? "applied" : letter === "s" ? "superseded" : "lost")),
  deliveries: decodeDeliveries(lease, now, granted, payloads),
  undetermined: decodeDeliveries(lease, now, asked, askedPayloads).map((delivery) =>
    skipped.includes(delivery.key) ? { ...delivery, skipped: "dropped" } : delivery
  ),
  strikes: strikes === null ? undefined : Strikes.decode(strikes),
  nextDueMillis: nextDueMillis < 0 ? undefined : nextDueMillis,
  dropped: inGroups(dropped, 2).map(([key, task]) => ({ key: String(key), task: String(task) })),
  unknown: inGroups(unknown, 2).map(([task, waiting]) => ({ task: String(task), waiting: Number(waiting) })),
  exhausted: inGroups(exhausted, 3).map(([key, task, deliveries]) => ({
    key: String(key),
    task: String(task),
    deliveries: Number(deliveries)
  }))
})

const decodeDeliveries = (
  lease: string,
  now: number,
  values: ReadonlyArray<string | number>,
  payloads: ReadonlyArray<string | null>
): ReadonlyArray<DocketStore.Delivery> => {
  const deliveries: Array<DocketStore.Delivery> = []
  for (let i = 0; i < payloads.length; i++) {
    // The script pushes these four values a delivery, of these types.
    const [key, task, due, rest] = values.slice(i * 4, i * 4 + 4) as [string, string, number, string]
    // Empty for a first delivery of the first attempt in the first generation, without a trace.
    const found = restPattern.exec(rest) ?? []
    const [, generation = 1, attempt = 1, count = 1, started = now, intended = due, trace = ""] = found
    deliveries.push({
      key,
      task,
      generation: Number(generation),
      attempt: Number(attempt),
      deliveries: Number(count),
      due,
      intended: intended === "-" ? due : Number(intended),
      started: Number(started),
      trace,
      // A payload that was lost does not decode, and so fails the execution rather than being forgotten.
      payload: payloads[i] ?? "",
      lease
    })
  }
  return deliveries
}

const restPattern = /^(\d+) (\d+) (\d+) (\d+) (-?\d+|-) (.*)$/s

const inGroups = <A>(values: ReadonlyArray<A>, size: number): ReadonlyArray<ReadonlyArray<A>> =>
  Array.from({ length: values.length / size }, (_, i) => values.slice(i * size, i * size + size))
