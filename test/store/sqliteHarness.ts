/** What the conformance suite needs to know of a store in a file. */
import { assert } from "@effect/vitest"
import { Clock, Effect, Layer, Schedule } from "effect"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import * as SqliteStore from "../../src/store/sqlite/SqliteStore.ts"
import { admissionFaults } from "./admissionFaults.ts"
import * as Standing from "../../src/store/admission/Standing.ts"
import { Harness } from "./conformance.ts"

/** A folder for files that are gone with the scope. */
export const temporaryFolder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "docket-"))),
  (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
)

/** Which states the executions of a place have. */
const statesOf: Record<string, ReadonlyArray<string>> = {
  later: ["scheduled"],
  line: ["scheduled"],
  held: ["scheduled"],
  ready: ["queued"],
  turn: ["queued"],
  aside: ["queued"],
  asked: ["queued"],
  running: ["running"],
  failed: ["failed"],
  settled: ["completed", "failed", "cancelled"]
}

/** What is wrong with where the dockets of a file keep their executions, and what they still hold for those who are gone. */
export const faultsOf = (path: string): ReadonlyArray<string> => {
  const database = new DatabaseSync(path, { timeout: 1000 })
  const all = (sql: string, ...parameters: ReadonlyArray<string | number>) =>
    database.prepare(sql).all(...parameters) as Array<Record<string, string | number | null>>
  const faults: Array<string> = []
  // A docket that nothing was asked of makes no tables.
  if (all("SELECT name FROM sqlite_schema WHERE name = 'docket_executions'").length === 0) return faults
  for (const row of all("PRAGMA integrity_check")) {
    if (row["integrity_check"] !== "ok") faults.push(String(row["integrity_check"]))
  }
  for (const { key, place, state } of all("SELECT key, place, state FROM docket_executions")) {
    if (!statesOf[String(place)]?.includes(String(state))) faults.push(`${key} is ${state}, and in ${place}`)
  }
  for (const docket of all("SELECT * FROM docket_dockets")) {
    for (const place of Object.keys(statesOf)) {
      if (place === "settled") continue
      const [found] = all(
        `SELECT count(*) AS count FROM docket_executions WHERE docket = ${docket["id"]} AND place = '${place}'`
      )
      if (found?.["count"] !== docket[place]) {
        faults.push(`${docket["name"]} counts ${docket[place]} in ${place}, where there are ${found?.["count"]}`)
      }
    }
  }
  for (const { name, count, overtaken } of all(
    `SELECT name, overtaken, (SELECT count(*) FROM docket_overtaken AS o WHERE o.docket = d.id) AS count FROM docket_dockets AS d`
  )) {
    if (count !== overtaken) faults.push(`${name} counts ${overtaken} overtaken runs of ${count}`)
  }
  const owned: Record<string, string> = {
    "a payload is kept for nobody":
      "docket_payloads WHERE execution NOT IN (SELECT id FROM docket_executions WHERE payload IS NULL)",
    "a payload is lost":
      "docket_executions WHERE payload IS NULL AND id NOT IN (SELECT execution FROM docket_payloads)",
    "someone still follows": "docket_followers"
  }
  for (const [fault, where] of Object.entries(owned)) {
    for (const row of all(`SELECT * FROM ${where}`)) faults.push(`${fault}: ${JSON.stringify(row)}`)
  }
  for (const { id } of all("SELECT id FROM docket_dockets")) {
    const rows = all(`SELECT key, generation, state, place, admission FROM docket_executions WHERE docket = ${id}`)
    const executions = rows.map(({ admission, generation, key, place, state }) => {
      const standing = admission === null ? Standing.make() : (JSON.parse(String(admission)) as Standing.Standing)
      if ((standing.line !== undefined) !== (place === "line"))
        faults.push(`${key} is in ${place}, and in a line or not`)
      return { key: String(key), generation: Number(generation), state: String(state), standing }
    })
    const ofSet = (name: string) =>
      all(
        "SELECT member, score FROM docket_sets WHERE docket = ? AND name = ? ORDER BY score, member",
        Number(id),
        name
      )
    const ofHash = (name: string) =>
      all("SELECT field, value FROM docket_hashes WHERE docket = ? AND name = ?", Number(id), name)
    const member = (row: Record<string, string | number | null> | undefined) =>
      row === undefined ? undefined : { member: String(row["member"]), score: Number(row["score"]) }
    const overtaken = all(`SELECT generation, key, slots FROM docket_overtaken WHERE docket = ${id}`).map(
      ({ generation, key, slots }) =>
        [`${generation}:${key}`, JSON.parse(String(slots)) as ReadonlyArray<string>] as const
    )
    const keep = {
      sets: {
        at: (name: string, rank: number) => member(ofSet(name)[rank]),
        score: (name: string, of: string) => member(ofSet(name).find((row) => row["member"] === of))?.score,
        size: (name: string) => ofSet(name).length
      },
      hashes: {
        fields: (name: string) => ofHash(name).map(({ field }) => String(field)),
        get: (name: string, of: string) =>
          ofHash(name).flatMap(({ field, value }) => (field === of ? [String(value)] : []))[0],
        size: (name: string) => ofHash(name).length
      }
    }
    const byKey = new Map(executions.map((execution) => [execution.key, execution]))
    faults.push(...admissionFaults(keep, byKey, new Map(overtaken)))
    for (const name of ["gates", "opens"]) {
      const [docket] = all(`SELECT ${name} AS count FROM docket_dockets WHERE id = ${id}`)
      if (docket?.["count"] !== ofSet(name).length)
        faults.push(`${docket?.["count"]} of ${ofSet(name).length} are counted in ${name}`)
    }
  }
  database.close()
  return faults
}

/** Each test has a file to itself: what is there when it ends is its own. */
export const harness = Layer.effect(
  Harness,
  Effect.gen(function* () {
    const folder = yield* temporaryFolder
    const openings = new Set<typeof SqliteStore.Openings.Service extends Set<infer A> ? A : never>()
    let files = 0
    const path = () => join(folder, `${files}.db`)
    let isUsed = false
    return Harness.of({
      open: (options) => {
        isUsed = true
        return Effect.provideService(
          SqliteStore.makeUrl(`sqlite:${path()}?durability=normal`, options),
          SqliteStore.Openings,
          openings
        )
      },
      pass: () => Effect.void,
      whenWaiting: (workers) =>
        Effect.sync(() => [...openings].reduce((sum, idle) => sum + idle.waiting(), 0)).pipe(
          Effect.repeat({ until: (waiting) => waiting === workers, schedule: Schedule.spaced(2) }),
          Effect.provideService(Clock.Clock, Clock.Clock.defaultValue())
        ),
      afterEach: Effect.sync(() => {
        assert.strictEqual(openings.size, 0)
        if (isUsed) assert.deepStrictEqual(faultsOf(path()), [])
      }).pipe(
        Effect.ensuring(
          Effect.sync(() => {
            for (const end of ["", "-wal", "-shm"]) rmSync(path() + end, { force: true })
            files++
            isUsed = false
          })
        )
      )
    })
  })
)
