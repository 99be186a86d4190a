import type { Control } from "../../../Admission.ts"
import type * as DocketStore from "../../../DocketStore.ts"
import { claim } from "./claiming.ts"
import { compose } from "./fragment.ts"
import * as fragments from "./fragments.ts"
import * as Keys from "./keys.ts"
import * as Redis from "../connection/Redis.ts"
import { encodeDue } from "./schedule.ts"
import { settle } from "./settling.ts"
import * as Strikes from "./strikes.ts"

/** What the script is told of the worker that calls. */
export interface Caller {
  readonly name: string
  readonly leaseMillis: number
  readonly maxDeliveries: number
  /** See `encodeTasks`. */
  readonly known: string
  /** See `encodeControls`. */
  readonly controls: string
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
 * is asked about and its payloads, as the deliveries are given, and the strikes in force, or nothing when the worker knows
 * them.
 */
type Reply = readonly [
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
 * ARGV[7]    the tasks that the worker knows (see `encodeTasks`)
 * ARGV[8]    the most executions to claim
 * ARGV[9]    `1` if the call is sent again because its reply was lost
 * ARGV[10]   how long settled executions are kept, ms
 * ARGV[11]   how long failed ones are, ms
 * ARGV[12]   how many failed ones are listed
 * ARGV[13]   the version of the strikes that the worker knows
 * ARGV[14]   the controls of its tasks (see `encodeControls`)
 * ARGV[15…]  for each settlement: how it ended (a letter of `letters`, a letter for each optional value that
 *            follows: v, d, p, c, and r if the run reported progress), key, generation, lease; error of a failure or retry; v: result, typed failure, values
 *            of controls, or what a worker has to know; d: due time of the next run; p: payload of the next run, or version of the strikes; c: its chain
 * Reply      see `Reply`
 * Cost       O(log n) a settlement and a claim, n being what runs; looks at no more than 200 entries beyond those
 *            claimed; moves at most 100, lets go at most 100, takes up at most 100 or ARGV[8] of a task; sent again, it looks at all that
 *            runs
 */
export const exchange = Redis.script(
  (keys: Keys.Keys, now: number | "", caller: Caller, keeping: Keeping, request: DocketStore.ExchangeRequest) => {
    const args = [...Keys.fixed(keys), now, keys.prefix]
    args.push(caller.name, request.lease, caller.leaseMillis, caller.maxDeliveries, caller.known)
    args.push(request.take, request.resent ? "1" : "0")
    args.push(keeping.executionTtlMillis, keeping.failedTtlMillis, keeping.failedMaximum)
    args.push(request.strikes, caller.controls)
    for (const settlement of request.finished) encodeSettlement(args, settlement)
    return args
  },
  {
    operation: "DocketStore.exchange",
    numberOfKeys: Keys.numberOfFixed,
    lua: /* lua */ `
${fragments.prologue}
local worker, lease, leaseMillis, known = ARGV[3], ARGV[4], tonumber(ARGV[5]), ARGV[7]
local take, isResent, ownWakeKey = tonumber(ARGV[8]), ARGV[9] == '1', prefix .. '${Keys.segments.wake}' .. worker
local ttl = tonumber(ARGV[10])
local controlled = ARGV[14]
local isAnySpecial = call('EXISTS', strikesKey, watchersKey, releaseKey, parkedKey, frontKey) > 0
local version = isAnySpecial and call('HGET', strikesKey, 'version') or ''
local isAnyFollowed = isAnySpecial and call('EXISTS', watchersKey) == 1

local left, leaseEnd = take, text(now + leaseMillis)
local deliveries, bodies, grants = {}, {}, {}
local asked, askedBodies, unknownTasks, exhausted, dropped = {}, {}, {}, {}, {}
-- What was told about in this call: queued, and not in the stream.
local determined = {}
${compose([fragments.knows])}

-- Whether the worker knows a task, and no control of it has a say.
local plainTasks = {}
local function isPlainTask(task)
  local answer = plainTasks[task]
  if answer == nil then
    answer = knows(task) and not string.find(controlled, '\\0' .. task .. '\\0', 1, true)
    plainTasks[task] = answer
  end
  return answer
end

-- Writes the grants of a round: a call takes no more arguments than fit the stack of Lua.
local function flush()
  if #grants == 0 then return end
  call('ZADD', leasesKey, unpack(grants))
  grants = {}
end

${fragments.seldom(
  ["moveDue", "enqueue", "goFirst", "isFollowed", "announce", "notice"],
  /* lua */ `
local worker, lease, maxDeliveries = ARGV[3], ARGV[4], tonumber(ARGV[6])
local ttl, failedTtl, failedMaximum = tonumber(ARGV[10]), tonumber(ARGV[11]), tonumber(ARGV[12])
${compose([fragments.moveDue, fragments.slots, fragments.notice, settle, claim], [fragments.isAnyFollowed])}
`
)}

-- First, since it lets the script run when the server's memory is full: see fragments.evenIfFull.
call('DEL', ownWakeKey)

local statuses, ended = {}, {}
local isPlain = ttl > 0 and not isAnyFollowed
local i = 15
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
  local found = call('HMGET', record, 'gen', 'state', 'lease', 'cancel', 'failures', 'was', 'values', 'p1')
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

-- Lets go what strikes held until one was restored.
local untilPlace = isAnySpecial and call('GET', releaseKey)
if untilPlace then
  local keys = call('ZRANGEBYSCORE', heldKey, '-inf', string.match(untilPlace, '^%d+$') or '+inf', 'LIMIT', 0, 100)
  for _, key in ipairs(keys) do
    local found = call('HMGET', records .. key, 'gen', 'aside')
    -- Others may have deleted its record, or have had a hand in it.
    if found[2] == 'h' then
      local generation = text((tonumber(found[1]) or 0) + 1)
      call('HSET', records .. key, 'state', 'queued', 'id', seldom.enqueue(key), 'gen', generation)
      call('HDEL', records .. key, 'aside')
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
      local found = call('HMGET', record, 'state', 'aside')
      if found[1] == 'queued' and found[2] == 't' then
        call('HSET', record, 'id', seldom.enqueue(key))
        call('HDEL', record, 'aside')
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
      local found = call('HMGET', records .. key, 'lease', 'state', 'task', 'gen', 'attempt', 'deliveries', 'due', 'started', 'trace', 'aside')
      if found[1] == lease and found[2] == 'running' then
        seldom.deliver(key, found[3], found[4], found[5], tonumber(found[6]), found[7], found[8], found[9])
        if #grants == 400 then flush() end
      elseif found[1] == lease and found[10] == 'a' then
        seldom.ask(key, found[3], found[4], found[5], tonumber(found[6]) or 0, found[7], nowText, found[9])
      end
    end
  end
  flush()
end

-- What was told about in this call has had its turn in the stream.
for _, key in ipairs(determined) do
  if left > 0 then
    seldom.consider(key, 'told')
  else
    seldom.goFirst(key)
  end
  if #grants == 400 then flush() end
end
flush()

isPlain = version == '' and not isAnyFollowed
local budget = take + 200
-- What ended in this call may have let others go first.
local isAnyAhead = isAnySpecial or next(seldom) ~= nil
for _, stream in ipairs(isAnyAhead and { frontKey, streamKey } or { streamKey }) do
  while left > 0 and budget > 0 do
    local entries = call('XRANGE', stream, '-', '+', 'COUNT', math.min(left, 200))
    if #entries == 0 then break end
    budget = budget - #entries
    for _, entry in ipairs(entries) do
      local id, key = entry[1], entry[2][2]
      local record = records .. key
      local found = call('HMGET', record, 'state', 'id', 'task', 'gen', 'attempt', 'deliveries', 'due', 'trace', 'needs', 'aside', 'p1', 'p2', 'p3', 'p4')
      local task, due = found[3], found[7]
      if isPlain and found[1] == 'queued' and found[2] == id and found[4] == '1' and task and due and #due < 16 and string.find(due, '^%d+$')
        and not (found[5] or found[6] or found[8] or found[9] or found[10]) and isPlainTask(task) then
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
      end
    end
    flush()
    -- Every entry that was looked at is at the head of the stream, and has had its turn.
    local time, sequence = string.match(entries[#entries][1], '^(%d+)-(%d+)$')
    call('XTRIM', stream, 'MINID', '=', time .. '-' .. text(sequence + 1))
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
if call('XLEN', streamKey) > 0 or call('XLEN', frontKey) > 0 then
  if call('EXISTS', wakeKey) == 0 then call('RPUSH', wakeKey, '1') end
end

-- A control may have put something at the head.
if next(seldom) ~= nil then head = nextDueTime() end
local reply = { table.concat(statuses), head and math.max(0, head - now) or -1, now, deliveries, bodies }
if #unknown + #exhausted + #dropped + #asked > 0 or version ~= ARGV[13] then
  for _, list in ipairs({ unknown, exhausted, dropped, asked, askedBodies }) do
    reply[#reply + 1] = list
  end
  reply[#reply + 1] = version ~= ARGV[13] and call('HVALS', strikesKey)
end
return reply
`
  }
).withReplyType<Reply>()

/** The tasks that a worker knows as the scripts read them: `*` for any, or the names with a NUL around each. */
export const encodeTasks = (tasks: DocketStore.WorkerOptions["tasks"]): string =>
  tasks === "any" ? "*" : `${Array.from(tasks, (task) => `\0${task}`).join("")}\0`

/**
 * The controls of a worker's tasks as the script reads them: the tasks' names as in `encodeTasks`, and JSON by these names;
 * empty when there are none.
 */
export const encodeControls = (controls: DocketStore.WorkerOptions["controls"]): string =>
  controls.size === 0
    ? ""
    : encodeTasks(new Set(controls.keys())) +
      JSON.stringify(Object.fromEntries(Array.from(controls, ([task, all]) => [task, all.map(encodeControl)])))

const encodeControl = (control: Control) => {
  switch (control._tag) {
    case "Concurrency":
      return { kind: "slot", scope: control.scope, limit: control.limit }
    case "RateLimit":
      return {
        kind: "rate",
        scope: control.scope,
        limit: control.limit,
        per: control.perMillis,
        drops: control.onExceeded === "drop"
      }
    case "Cooldown":
      return { kind: "cooldown", scope: control.scope, per: control.windowMillis }
    case "Debounce":
      return { kind: "debounce", scope: control.scope, settle: control.settleMillis, maximum: control.maximumMillis }
  }
}

const letters = {
  Completed: "C",
  Failed: "F",
  Cancelled: "X",
  Retry: "R",
  Postponed: "P",
  Released: "B",
  Held: "H",
  Determined: "D",
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
    args[at] = "Dvp"
    args.push(JSON.stringify(outcome.values), outcome.strikes)
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
    strikes = null
  ]: Reply
): DocketStore.ExchangeReply => ({
  settled: Array.from(settled, (letter) => (letter === "a" ? "applied" : letter === "s" ? "superseded" : "lost")),
  deliveries: decodeDeliveries(lease, now, granted, payloads),
  undetermined: decodeDeliveries(lease, now, asked, askedPayloads),
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
