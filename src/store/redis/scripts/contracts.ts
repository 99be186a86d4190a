/**
 * What workers say of their tasks: told once a session, and kept under a digest, so that no call has to repeat it. Of limits,
 * and of how the terms of tasks are found, what the session said that opened last holds, also for what waits.
 */
import type { Control } from "../../../Admission.ts"
import type { WorkerOptions } from "../../../DocketStore.ts"
import * as ControlValue from "../../../internal/contract/controlValue.ts"
import * as Redis from "../connection/Redis.ts"
import { compose } from "./fragment.ts"
import * as fragments from "./fragments.ts"
import { lines } from "./gates.ts"
import * as Keys from "./keys.ts"

/** How long it is kept after the last heartbeat. */
export const contractMillis = 86_400_000

/** What a worker says of its tasks, as the scripts read it. */
export interface Said {
  readonly digest: string
  /** For each task its name, the fingerprint of its contract, and its controls as JSON; both empty where there are none. */
  readonly tasks: ReadonlyArray<string>
  /** For each limit a letter and the scope, and what it allows: a number, and a time in ms, or 0. */
  readonly limits: ReadonlyArray<string>
}

/** The name of what says that a worker can run any task. */
const anyTask = "*"

export const encode = ({
  contracts,
  recurring,
  tasks
}: Pick<WorkerOptions, "contracts" | "recurring" | "tasks">): Said => {
  const known = tasks === "any" ? [anyTask, ...contracts.keys()] : tasks
  const said = Array.from(known).flatMap((task) => {
    const { controls = [], fingerprint = "" } = contracts.get(task) ?? {}
    const contract = { fingerprint, recurs: recurring.has(task), controls: controls.map(encodeControl) }
    return [task, fingerprint, controls.length === 0 ? "" : JSON.stringify(contract)]
  })
  const limits = Array.from(contracts.values()).flatMap(({ controls }) => controls.flatMap(encodeLimit))
  return { digest: ControlValue.digestOf(JSON.stringify(said)), tasks: said, limits }
}

const encodeControl = (control: Control) => {
  switch (control._tag) {
    case "Concurrency":
      return { kind: "s", scope: control.scope, limit: control.limit }
    case "RateLimit":
      return {
        kind: "r",
        scope: control.scope,
        limit: control.limit,
        per: control.perMillis,
        drops: control.onExceeded === "drop"
      }
    case "Cooldown":
      return { kind: "c", scope: control.scope, per: control.windowMillis }
    case "Debounce":
      return { kind: "d", scope: control.scope, settle: control.settleMillis, maximum: control.maximumMillis }
  }
}

const encodeLimit = (control: Control): ReadonlyArray<string> => {
  switch (control._tag) {
    case "Concurrency":
      return [`s${control.scope}`, `${control.limit} 0`]
    case "RateLimit":
      return [`r${control.scope}`, `${control.limit} ${control.perMillis}`]
    case "Cooldown":
    case "Debounce":
      return []
  }
}

/**
 * Takes note of what a worker says of its tasks.
 *
 * KEYS      as `Keys.fixed` lists them
 * ARGV[1]   now (not used)
 * ARGV[2]   prefix of the docket's keys
 * ARGV[3]   the digest
 * ARGV[4]   `1` if the session said so before, and it was lost: another one's word then holds, if there is one
 * ARGV[5]   how many values follow about tasks
 * ARGV[6…]  what `Said` has of tasks, and of limits
 * Reply     what is different now: `t` and a task, `l`, a letter and a scope
 * Cost      a few calls for each task and each limit
 */
export const tell = Redis.script(
  (keys: Keys.Keys, { digest, limits, tasks }: Said, isAgain: boolean) => [
    ...Keys.fixed(keys),
    0,
    keys.prefix,
    digest,
    isAgain ? "1" : "0",
    tasks.length,
    ...tasks,
    ...limits
  ],
  {
    operation: "DocketStore.open",
    numberOfKeys: Keys.numberOfFixed,
    lua: /* lua */ `
${fragments.prologue}
local own, isAgain, ofTasks = prefix .. '${Keys.segments.contract}' .. ARGV[3], ARGV[4] == '1', tonumber(ARGV[5])
local limitsKey, contractsKey = prefix .. '${Keys.segments.limits}', prefix .. '${Keys.segments.contracts}'
local changed = {}
for i = 6, 5 + ofTasks, 3 do
  local task, fingerprint = ARGV[i], ARGV[i + 1]
  call('HSET', own, task, ARGV[i + 2])
  local known = call('HGET', contractsKey, task)
  if (known or '') ~= fingerprint and not (isAgain and known) then
    if fingerprint == '' then call('HDEL', contractsKey, task) else call('HSET', contractsKey, task, fingerprint) end
    changed[#changed + 1] = 't' .. task
  end
end
for i = 6 + ofTasks, #ARGV, 2 do
  local known = call('HGET', limitsKey, ARGV[i])
  if known ~= ARGV[i + 1] and not (isAgain and known) then
    call('HSET', limitsKey, ARGV[i], ARGV[i + 1])
    changed[#changed + 1] = 'l' .. ARGV[i]
  end
end
for _, key in ipairs({ own, limitsKey, contractsKey }) do
  call('PEXPIRE', key, ${contractMillis})
end
return changed
`
  }
).withReplyType<ReadonlyArray<string>>()

/** How many lines a step looks at. */
const linesPerStep = 200

/**
 * Gives lines their turn that wait where something is different, to be looked at anew.
 *
 * KEYS      as `Keys.fixed` lists them
 * ARGV[1]   now, epoch ms; empty for the server's clock
 * ARGV[2]   prefix of the docket's keys
 * ARGV[3]   where to go on; `0` to begin
 * ARGV[4…]  what is different, as `tell` gives it
 * Reply     where to go on; `0` at the end
 * Cost      O(log n) a line, n being the lines at its gate
 */
export const lookAnew = Redis.script(
  (keys: Keys.Keys, now: number | "", cursor: string, changed: ReadonlyArray<string>) => [
    ...Keys.fixed(keys),
    now,
    keys.prefix,
    cursor,
    ...changed
  ],
  {
    operation: "DocketStore.open",
    numberOfKeys: Keys.numberOfFixed,
    lua: /* lua */ `
${fragments.prologue}
${compose([lines, fragments.wake])}
local changed = {}
for i = 4, #ARGV do
  changed[ARGV[i]] = true
end
local scanned = call('HSCAN', linesKey, ARGV[3], 'COUNT', ${linesPerStep})
for i = 1, #scanned[2], 2 do
  local line, gate = scanned[2][i], scanned[2][i + 1]
  local isChanged = gate ~= '' and changed['l' .. string.match(gate, '^[^=]*')]
  if not isChanged then
    local head = call('ZRANGE', lineOf .. line, 0, 0)[1]
    local task = head and call('HGET', records .. head, 'task')
    isChanged = task and changed['t' .. task]
  end
  if isChanged then moveLine(line, '') end
end
if isAnyTurn then wake() end
return scanned[1]
`
  }
).withReplyType<string>()
