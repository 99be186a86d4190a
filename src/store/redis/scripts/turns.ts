/** Where an execution has its turn that is due, as a step of scripts. */
import { fragment, type Fragment } from "./fragment.ts"

/**
 * Defines `enqueue(key, place)`: puts an execution at the end of the ready stream, or where its place is, if it has one: it
 * had its turn before, and keeps that place for the rest of its schedule. Defines `append(key)`, which does the first and
 * returns the id of the entry; `placeOf(id)`, the place of an entry; `scoreOf(place)`, which orders executions by class and
 * place; and `isTurnChanged`, whether something has got a turn or lost it that is not in the stream, and `isAnyTurn`, whether
 * something has got one.
 *
 * A place is a number below 2^50, until the year 2054.
 */
export const enqueue: Fragment = fragment(
  [],
  /* lua */ `
local isTurnChanged, isAnyTurn = true, false
local function append(key)
  return call('XADD', streamKey, '*', 'key', key)
end
local function placeOf(id)
  local time, sequence = string.match(id or '', '^(%d+)-(%d+)$')
  return time and (time - 1600000000000) * 1024 + sequence
end
local function scoreOf(place)
  return 3 * 2^50 + place
end
local function enqueue(key, place)
  local record = records .. key
  if tonumber(place) then
    call('ZADD', turnsKey, text(scoreOf(place)), key)
    call('HSET', record, 'state', 'queued', 'aside', 'n')
    isTurnChanged, isAnyTurn = true, true
  else
    call('HSET', record, 'state', 'queued', 'id', append(key))
  end
end
`
)
