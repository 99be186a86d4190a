/** The ordered sets and hashes of admission, in tables. */
import type { Keep, Member } from "../admission/Keep.ts"
import { query } from "./Connection.ts"
import type { Step } from "./Step.ts"

const putMember = query<[docket: number, name: string, member: string, score: number]>(
  `INSERT OR REPLACE INTO docket_sets (docket, name, member, score) VALUES (?, ?, ?, ?)`
)
const removeMember = query<[docket: number, name: string, member: string]>(
  `DELETE FROM docket_sets WHERE docket = ? AND name = ? AND member = ?`
)
const scoreOf = query<[docket: number, name: string, member: string], { readonly score: number }>(
  `SELECT score FROM docket_sets WHERE docket = ? AND name = ? AND member = ?`
)
const countMembers = query<[docket: number, name: string], { readonly count: number }>(
  `SELECT count(*) AS count FROM docket_sets WHERE docket = ? AND name = ?`
)
const countBelow = query<[docket: number, name: string, score: number], { readonly count: number }>(
  `SELECT count(*) AS count FROM docket_sets WHERE docket = ? AND name = ? AND score < ?`
)
const someMembers = query<[docket: number, name: string, limit: number, offset: number], Member>(
  `SELECT member, score FROM docket_sets WHERE docket = ? AND name = ? ORDER BY score, member LIMIT ? OFFSET ?`
)
const putField = query<[docket: number, name: string, field: string, value: string]>(
  `INSERT INTO docket_hashes (docket, name, field, value) VALUES (?, ?, ?, ?)
  ON CONFLICT (docket, name, field) DO UPDATE SET value = excluded.value`
)
const removeField = query<[docket: number, name: string, field: string]>(
  `DELETE FROM docket_hashes WHERE docket = ? AND name = ? AND field = ?`
)
const valueOf = query<[docket: number, name: string, field: string], { readonly value: string }>(
  `SELECT value FROM docket_hashes WHERE docket = ? AND name = ? AND field = ?`
)
const countFields = query<[docket: number, name: string], { readonly count: number }>(
  `SELECT count(*) AS count FROM docket_hashes WHERE docket = ? AND name = ?`
)
const fieldsOf = query<[docket: number, name: string], { readonly field: string }>(
  `SELECT field FROM docket_hashes WHERE docket = ? AND name = ? ORDER BY id`
)
const clearHash = query<[docket: number, name: string]>(`DELETE FROM docket_hashes WHERE docket = ? AND name = ?`)

/** The row of a docket counts what these sets have, so that nothing is asked where there is none. */
const counted = ["gates", "opens"] as const
type Counted = (typeof counted)[number]
const isCounted = (name: string): name is Counted => counted.some((one) => one === name)

/** Who waits in a line is to be seen by the place of its row. */
const known = "waiting"

export const of = ({ docket, now, sql }: Step): Keep => {
  const { id } = docket
  return {
    now,
    sets: {
      put: (name, member, score) => {
        if (name === known) return
        if (isCounted(name) && sql.get(scoreOf, id, name, member) === undefined) docket[name]++
        sql.run(putMember, id, name, member, score)
      },
      remove: (name, member) => {
        if (name === known || (isCounted(name) && docket[name] === 0)) return false
        const isGone = sql.run(removeMember, id, name, member) > 0
        if (isGone && isCounted(name)) docket[name]--
        return isGone
      },
      score: (name, member) => sql.get(scoreOf, id, name, member)?.score,
      size: (name) => sql.get(countMembers, id, name)?.count ?? 0,
      at: (name, rank) => (isCounted(name) && docket[name] === 0 ? undefined : sql.get(someMembers, id, name, 1, rank)),
      countBelow: (name, score) => sql.get(countBelow, id, name, score)?.count ?? 0,
      some: (name, from, limit) =>
        isCounted(name) && docket[name] === 0
          ? []
          : sql.all(someMembers, id, name, Math.min(limit, Number.MAX_SAFE_INTEGER), from)
    },
    hashes: {
      get: (name, field) => sql.get(valueOf, id, name, field)?.value,
      put: (name, field, value) => void sql.run(putField, id, name, field, value),
      remove: (name, field) => sql.run(removeField, id, name, field) > 0,
      size: (name) => sql.get(countFields, id, name)?.count ?? 0,
      fields: (name) => sql.all(fieldsOf, id, name).map(({ field }) => field),
      clear: (name) => void sql.run(clearHash, id, name)
    }
  }
}
