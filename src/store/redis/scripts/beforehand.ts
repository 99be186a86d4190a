/** What the last run of a key left, while the key is scheduled again and has not begun, as steps of scripts. */
import { fragment, type Fragment } from "./fragment.ts"
import * as Keys from "./keys.ts"

const parts = /* lua */ `{ records, payloads, results, attempts }`

/**
 * Defines `remember(key)`, which puts aside what the last run of a key left, to be there should its next one never run, and
 * says whether there was something; and `forgetBefore(key)`.
 */
export const remembering: Fragment = fragment(
  [],
  /* lua */ `
local function before(part, key)
  return prefix .. '${Keys.segments.before}' .. string.sub(part, #prefix + 1) .. key
end
local function forgetBefore(key)
  call('DEL', before(records, key), before(payloads, key), before(results, key), before(attempts, key))
end
local function remember(key)
  forgetBefore(key)
  for _, part in ipairs(${parts}) do
    if call('EXISTS', part .. key) == 1 then call('RENAME', part .. key, before(part, key)) end
  end
  return call('EXISTS', before(records, key)) == 1
end
`
)

/**
 * Defines `recall(key, generation)`: lets a key be what its last run left, if that is kept still, after this schedule of it
 * has come to nothing; tells whether it is.
 */
export const beforehand: Fragment = fragment(
  [remembering],
  /* lua */ `
local function recall(key, generation)
  local record = records .. key
  if not call('HGET', record, 'ran') or call('EXISTS', before(records, key)) == 0 then return false end
  call('DEL', record, payloads .. key, results .. key, attempts .. key)
  for _, part in ipairs(${parts}) do
    if call('EXISTS', before(part, key)) == 1 then call('RENAME', before(part, key), part .. key) end
  end
  -- The next schedule is told from the one that never ran.
  local found = call('HMGET', record, 'state', 'completed')
  call('HSET', record, 'gens', generation)
  if found[1] == 'failed' then call('ZADD', failedKey, found[2] or nowText, key) end
  return true
end
`
)
