/**
 * One step of a docket: what happens in a transaction, at one moment, to one docket.
 */
import * as Schema from "effect/Schema"
import type * as DocketStore from "../../DocketStore.ts"
import * as Strike from "../../Strike.ts"
import { type Connection, query } from "./Connection.ts"

/** The row of a docket. Steps change it; it is written once, at the end of the transaction. */
export interface Docket {
  readonly id: number
  /** Counts what was put in a place: the order of arrival. */
  seq: number
  /** Counts the events that were published. */
  position: number
  /** Whether there is a wake-up for an idle worker. */
  token: number
  /** The latest time of a step. */
  clock: number
  ready: number
  /** How many had their turn before, and have it again. */
  turn: number
  aside: number
  asked: number
  later: number
  /** How many wait in lines. */
  line: number
  /** How many gates and lines have a turn. */
  gates: number
  /** How many gates open by themselves. */
  opens: number
  held: number
  running: number
  failed: number
  /** How many runs have a slot whose keys were scheduled anew. */
  overtaken: number
  /** The last place in `held` that is to be let go since a strike was restored, or 0. */
  release: number
  strikesChanged: number
  /** The strikes in force, as JSON; nothing when there are none. */
  strikes: string | null
  /** Whether anyone follows executions. */
  isFollowed: number
}

export interface Step {
  /** Epoch milliseconds. */
  readonly now: number
  readonly options: DocketStore.StoreOptions
  readonly sql: Connection
  readonly docket: Docket
  /** The docket as it was when the transaction began. */
  readonly before: Docket
}

const readDocket = query<[realNow: number, name: string], Docket>(/* sql */ `
SELECT id, seq, position, token, clock, ready, turn, aside, asked, later, line, gates, opens, held, running, failed, overtaken, release,
  strikesChanged, strikes,
  EXISTS (SELECT 1 FROM docket_followers AS f WHERE f.docket = d.id AND f.until > ?) AS isFollowed
FROM docket_dockets AS d WHERE name = ?`)

const writeDocket = query<ReadonlyArray<number | string | null>>(/* sql */ `
UPDATE docket_dockets SET seq = ?, position = ?, token = ?, clock = ?, ready = ?, turn = ?, aside = ?, asked = ?, later = ?,
  line = ?, gates = ?, opens = ?, held = ?, running = ?, failed = ?, overtaken = ?, release = ?, strikesChanged = ?, strikes = ?
WHERE id = ?`)

const addDocket = query<[name: string]>(/* sql */ `INSERT OR IGNORE INTO docket_dockets (name) VALUES (?)`)

const shiftLeases = query<[back: number, docket: number]>(
  `UPDATE docket_executions SET at = at - ? WHERE docket = ? AND place IN ('running', 'asked')`
)

/** How far the clock may fall behind the latest step: processes of one machine agree, but for what a step takes. */
const toleranceMillis = 1000

/**
 * Begins a step in a transaction. `realNow` is the machine's time, whatever the clock of the program says.
 *
 * **Details**
 *
 * The docket's time is that of the machine. When it is set back, what is due later waits until the clock gets there once
 * more; leases are set back with it, so that what a dead worker held is taken over no later than usual.
 */
export const begin = (
  sql: Connection,
  options: DocketStore.StoreOptions,
  now: number,
  realNow: number,
  writes: boolean
): Step => {
  const docket = sql.get(readDocket, realNow, options.name)
  if (docket === undefined) throw new Error(`The docket ${JSON.stringify(options.name)} is not in the file any more`)
  const step = { now, options, sql, docket, before: { ...docket } }
  if (writes && now < docket.clock - toleranceMillis) {
    sql.run(shiftLeases, docket.clock - now, docket.id)
    docket.clock = now
  }
  return step
}

/** Makes the row of a docket, when its name is new. */
export const create = (sql: Connection, name: string): void => {
  if (sql.get(readDocket, 0, name) === undefined) sql.run(addDocket, name)
}

/** How much has a turn: executions, and gates or lines at which some wait. */
export const readySize = ({ gates, ready, turn }: Docket): number => ready + turn + gates

/** Writes what a step changed of the docket. */
export const end = ({ before, docket, now, sql }: Step): void => {
  const d = docket
  // New work, and gates that have opened: one idle worker is to look. It leaves the token to another while more is left.
  if (readySize(d) > readySize(before)) d.token = 1
  if (d.clock >= before.clock && fields.every((field) => d[field] === before[field])) return
  sql.run(
    writeDocket,
    d.seq,
    d.position,
    d.token,
    Math.max(d.clock, now),
    d.ready,
    d.turn,
    d.aside,
    d.asked,
    d.later,
    d.line,
    d.gates,
    d.opens,
    d.held,
    d.running,
    d.failed,
    d.overtaken,
    d.release,
    d.strikesChanged,
    d.strikes,
    d.id
  )
}

const fields = [
  "seq",
  "position",
  "token",
  "ready",
  "turn",
  "aside",
  "asked",
  "later",
  "line",
  "gates",
  "opens",
  "held",
  "running",
  "failed",
  "overtaken",
  "release",
  "strikesChanged"
] as const

/** The version of the strikes in force; empty while there are none. */
export const strikesVersion = ({ docket }: Step): string =>
  docket.strikes === null ? "" : String(docket.strikesChanged)

/** The strikes in force. */
export const strikesOf = ({ docket }: Step): Strike.StrikeSet =>
  docket.strikes === null
    ? Strike.empty
    : { version: String(docket.strikesChanged), strikes: decodeStrikes(docket.strikes) }

const StrikesJson = Schema.fromJsonString(Schema.Array(Strike.Strike))
const decodeStrikes = Schema.decodeSync(StrikesJson)

/** Strikes as the row of a docket keeps them. */
export const encodeStrikes = Schema.encodeSync(StrikesJson)
