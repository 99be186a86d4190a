/** How scripts give records, and how they are read. */
import * as Option from "effect/Option"
import type * as DocketStore from "../../DocketStore.ts"
import { split } from "../../Admission.ts"
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
  "values",
  "plans",
  "round",
  "dropped",
  "aside"
]

/**
 * What `readRecord` gives: the fields, the payload, the result, the four parts of a progress, and what more is known of an
 * execution that is held back or was dropped: the end of the cooldown, or the limit for a slot of which it waits, its
 * number, how many come first, and who has the slots.
 */
export type Found = ReadonlyArray<string | null>

/** Lua that defines `readRecord(key)`. Builds on `fragments.prologue`. */
export const readRecord = /* lua */ `
local function readRecord(key)
  local record = records .. key
  local values = call('HMGET', record, ${fields.map((field) => `'${field}'`).join(", ")}, 'progress')
  local hasProgress, aside, dropped = table.remove(values), values[${fields.length}], values[${fields.length - 1}]
  local n = ${fields.length}
  values[n + 1] = call('GET', payloads .. key)
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
    local control = call('HGET', record, 'waits')
    local slots = prefix .. '${Keys.segments.slots}' .. control
    values[n + 7] = control
    values[n + 8] = call('HGET', slots, 'limit')
    values[n + 9] = text(call('ZRANK', prefix .. '${Keys.segments.waiting}' .. control, key) or 0)
    for _, holder in ipairs(call('HKEYS', slots)) do
      local of = string.match(holder, '^%d+:(.*)$')
      if of and #values < n + 109 then values[#values + 1] = of end
    end
  elseif dropped and string.byte(dropped) == 99 then
    local window = call('GET', prefix .. '${Keys.segments.cooldown}' .. string.sub(dropped, 2))
    values[n + 7] = window and string.match(window, '^%d+')
  end
  return values
end
`

/** A record in the words of the port; nothing when it lacks its task, payload or time. */
export const decode = (key: string, found: Found): Option.Option<DocketStore.ExecutionRecord> => {
  const [task, state, due, generation, attempt, deliveries, worker, started, completed, error, trace] = found
  const [payload, result, current, total, updated, message, ...detail] = found.slice(fields.length)
  if (isMissing(task) || isMissing(state) || isMissing(due) || isMissing(payload)) return Option.none()
  return Option.some({
    key,
    task,
    payload,
    // Only the scripts write it.
    state: state as DocketStore.State,
    generation: Number(generation ?? 1),
    attempt: Number(attempt ?? 1),
    deliveries: Number(deliveries ?? 0),
    due: Number(due),
    worker: worker ?? undefined,
    started: isMissing(started) ? undefined : Number(started),
    completed: isMissing(completed) ? undefined : Number(completed),
    error: error ?? undefined,
    result: result?.startsWith("c") === true ? result.slice(1) : undefined,
    failure: result?.startsWith("f") === true ? result.slice(1) : undefined,
    progress:
      isMissing(current) || isMissing(total) || isMissing(updated)
        ? undefined
        : { current: Number(current), total: Number(total), message: message ?? undefined, updated: Number(updated) },
    hindrance: hindranceOf(found.slice(0, fields.length), detail),
    trace: trace ?? ""
  })
}

const hindranceOf = (found: Found, detail: Found): DocketStore.Hindrance | undefined => {
  const state = found[1]
  const [values, plans, round, dropped, aside] = found.slice(fields.indexOf("values"))
  const named = (control: string) => split(control, isMissing(values) ? [] : (JSON.parse(values) as Array<string>))
  if (!isMissing(dropped) && state === "cancelled") {
    const by = dropped.startsWith("c") ? "Cooldown" : dropped.startsWith("d") ? "Debounce" : "RateLimit"
    const [until] = detail
    return { _tag: "Dropped", by, ...named(dropped.slice(1)), until: isMissing(until) ? undefined : Number(until) }
  }
  if (aside === "t") return { _tag: "UnknownTask" }
  if (aside === "h") return { _tag: "Held" }
  if (aside === "w") {
    const [control, limit, ahead, ...holders] = detail
    return {
      _tag: "Concurrency",
      ...named(control ?? ""),
      limit: Number(limit ?? 0),
      ahead: Number(ahead ?? 0),
      holders: holders.filter((holder) => !isMissing(holder))
    }
  }
  if (state !== "scheduled") return undefined
  // The script wrote a list with at least one name.
  if (!isMissing(plans)) return { _tag: "RateLimit", ...named((JSON.parse(plans) as [string])[0]) }
  if (!isMissing(round)) return { _tag: "Debounce", ...named(round) }
  return undefined
}

const isMissing = (value: string | null | undefined): value is null | undefined => value === null || value === undefined
