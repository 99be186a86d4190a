/** How scripts give records, and how they are read. */
import * as Option from "effect/Option"
import type * as DocketStore from "../../../DocketStore.ts"
import { split } from "../../../Admission.ts"
import { limitOf } from "./gates.ts"
import { fragment, type Fragment } from "./fragment.ts"
import * as fragments from "./fragments.ts"
import * as Keys from "./keys.ts"

/** The fields of a record that are read, in order. */
const fields = [
  "task",
  "state",
  "due",
  "gen",
  "attempt",
  "deliveries",
  "worker",
  "started",
  "completed",
  "error",
  "trace",
  "last",
  "origin",
  "chain",
  "dropped",
  "aside"
]

/**
 * What `readRecord` gives: the fields, the payload, the result, the four parts of a progress, and what more is known of an
 * execution that is held back or was dropped: the end of the cooldown; or the gate where it waits, when that opens, how many
 * come first, and of a concurrency limit the limit and who has the slots.
 */
export type Found = ReadonlyArray<string | null>

/** Defines `readRecord(key)`. Where others put something else in the place of a part of it, it gives no values. */
export const readRecord: Fragment = fragment(
  [fragments.payloadOf, limitOf],
  /* lua */ `
local function readAll(key)
  local record = records .. key
  local values = call('HMGET', record, ${fields.map((field) => `'${field}'`).join(", ")}, 'progress')
  local hasProgress, aside, dropped = table.remove(values), values[${fields.length}], values[${fields.length - 1}]
  local n = ${fields.length}
  values[n + 1] = payloadOf(key)
  values[n + 2] = call('GET', results .. key)
  for i = 3, 6 do
    values[n + i] = false
  end
  if hasProgress then
    local progress = call('HMGET', progresses .. key, 'current', 'total', 'updated', 'message')
    for i = 1, 4 do
      values[n + 2 + i] = progress[i]
    end
  end
  if aside == 'w' then
    local line, place = unpack(call('HMGET', record, 'line', 'place'))
    local gate = line and call('HGET', prefix .. '${Keys.segments.lines}', line) or ''
    if gate ~= '' then
      local name, before = string.sub(gate, 2), 0
      local opens = string.byte(gate) == 100 and call('HGET', prefix .. '${Keys.segments.debounce}' .. name, 'due') or call('ZSCORE', opensKey, gate)
      -- Lines beyond these are left out.
      for _, other in ipairs(call('ZRANGE', prefix .. '${Keys.segments.gate}' .. gate, 0, 99)) do
        before = before + call('ZCOUNT', prefix .. '${Keys.segments.line}' .. other, '-inf', '(' .. call('ZSCORE', waitingKey, key))
      end
      values[n + 7], values[n + 8], values[n + 9] = gate, tonumber(opens or '') and tonumber(opens) > now and opens or false, text(before)
      if string.byte(gate) == 115 then
        values[n + 10] = text(limitOf(gate) or 0)
        for _, holder in ipairs(call('HKEYS', prefix .. '${Keys.segments.slots}' .. name)) do
          local of = string.match(holder, '^%d+:(.*)$')
          if of and #values < n + 110 then values[#values + 1] = of end
        end
      end
    end
  elseif dropped and string.byte(dropped) == 99 then
    local window = call('GET', prefix .. '${Keys.segments.cooldown}' .. string.sub(dropped, 2))
    values[n + 7] = window and string.match(window, '^%d+')
  end
  return values
end
local function readRecord(key)
  local isFine, values = pcall(readAll, key)
  return isFine and values or {}
end
`
)

/** A record in the words of the port; nothing when it lacks its task, payload or time, or these make no sense. */
export const decode = (key: string, found: Found): Option.Option<DocketStore.ExecutionRecord> => {
  const [
    task,
    state,
    due,
    generation,
    attempt,
    deliveries,
    worker,
    started,
    completed,
    error,
    trace,
    last,
    origin,
    chain
  ] = found
  const [payload, result, current, total, updated, message, ...detail] = found.slice(fields.length)
  const dueMillis = timeOf(due)
  if (isMissing(task) || !isState(state) || dueMillis === undefined || isMissing(payload)) return Option.none()
  const progress = { current: numberOf(current), total: numberOf(total), updated: timeOf(updated) }
  return Option.some({
    key,
    task,
    payload,
    state,
    generation: numberOf(generation) ?? 1,
    origin: numberOf(origin) ?? 1,
    attempt: numberOf(attempt) ?? 1,
    deliveries: numberOf(deliveries) ?? 0,
    due: dueMillis,
    worker: worker ?? undefined,
    started: timeOf(started),
    completed: timeOf(completed),
    error: error ?? undefined,
    result: result?.startsWith("c") === true ? result.slice(1) : undefined,
    failure: result?.startsWith("f") === true ? result.slice(1) : undefined,
    last: lastOf(last),
    chain: chain ?? undefined,
    progress:
      progress.current === undefined || progress.total === undefined || progress.updated === undefined
        ? undefined
        : {
            current: progress.current,
            total: progress.total,
            message: message ?? undefined,
            updated: progress.updated
          },
    hindrance: hindranceOf(found.slice(0, fields.length), detail),
    trace: trace ?? ""
  })
}

const lastOf = (text: string | null | undefined): DocketStore.LastRun | undefined => {
  const [, letter, generation, error] = /^([cf])(\d+)(?: (.*))?$/s.exec(text ?? "") ?? []
  if (letter === undefined) return undefined
  return {
    generation: Number(generation),
    state: letter === "c" ? "completed" : "failed",
    error
  }
}

const hindranceOf = (found: Found, detail: Found): DocketStore.Hindrance | undefined => {
  const state = found[1]
  const [dropped, aside] = found.slice(fields.indexOf("dropped"))
  if (!isMissing(dropped) && state === "cancelled") {
    const by = dropped.startsWith("c") ? "Cooldown" : dropped.startsWith("d") ? "Debounce" : "RateLimit"
    const [until] = detail
    return { _tag: "Dropped", by, ...split(dropped.slice(1)), until: timeOf(until) }
  }
  if (aside === "t") return { _tag: "UnknownTask" }
  if (aside === "h") return { _tag: "Held" }
  const [gate, opens, before, limit, ...holders] = detail
  // One of a line that is to be looked at anew is the next, as far as anyone knows.
  if (aside !== "w" || isMissing(gate)) return undefined
  const named = split(gate.slice(1))
  const ahead = numberOf(before) ?? 0
  if (gate.startsWith("d")) return { _tag: "Debounce", ...named, until: timeOf(opens) }
  if (gate.startsWith("r")) return { _tag: "RateLimit", ...named, opens: timeOf(opens), ahead }
  return {
    _tag: "Concurrency",
    ...named,
    limit: numberOf(limit) ?? 0,
    ahead,
    holders: holders.filter((holder) => !isMissing(holder))
  }
}

const states: ReadonlySet<string> = new Set<DocketStore.State>([
  "scheduled",
  "queued",
  "running",
  "completed",
  "failed",
  "cancelled"
])

const isState = (text: string | null | undefined): text is DocketStore.State => !isMissing(text) && states.has(text)

const numberOf = (text: string | null | undefined): number | undefined => {
  const number = isMissing(text) || text === "" ? NaN : Number(text)
  return Number.isFinite(number) ? number : undefined
}

/** A time that a date can name. */
export const timeOf = (text: string | null | undefined): number | undefined => {
  const millis = numberOf(text)
  return millis !== undefined && Math.abs(millis) <= 8.64e15 ? millis : undefined
}

const isMissing = (value: string | null | undefined): value is null | undefined => value === null || value === undefined
