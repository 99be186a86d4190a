/** How scripts give records, and how they are read. */
import * as Option from "effect/Option"
import type * as DocketStore from "../../DocketStore.ts"

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
  "trace"
]

/** What `readRecord` gives: the fields, the payload, the result, and the four parts of a progress if there is one. */
export type Found = ReadonlyArray<string | null>

/** Lua that defines `readRecord(key)`. Builds on `fragments.prologue`. */
export const readRecord = /* lua */ `
local function readRecord(key)
  local values = call('HMGET', records .. key, ${fields.map((field) => `'${field}'`).join(", ")}, 'progress')
  local hasProgress = table.remove(values)
  values[#values + 1] = call('GET', payloads .. key)
  values[#values + 1] = call('GET', results .. key)
  if hasProgress then
    for _, value in ipairs(call('HMGET', progresses .. key, 'current', 'total', 'updated', 'message')) do
      values[#values + 1] = value
    end
  end
  return values
end
`

/** A record in the words of the port; nothing when it lacks its task, payload or time. */
export const decode = (key: string, found: Found): Option.Option<DocketStore.ExecutionRecord> => {
  const [task, state, due, generation, attempt, deliveries, worker, started, completed, error, trace] = found
  const [payload, result, current, total, updated, message] = found.slice(fields.length)
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
    trace: trace ?? ""
  })
}

const isMissing = (value: string | null | undefined): value is null | undefined => value === null || value === undefined
