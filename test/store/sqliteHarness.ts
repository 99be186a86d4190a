/** What the conformance suite needs to know of a store in a file. */
import { assert } from "@effect/vitest"
import { Clock, Effect, Layer, Schedule } from "effect"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import * as SqliteStore from "../../src/store/sqlite/SqliteStore.ts"
import { Harness } from "./conformance.ts"

/** A folder for files that are gone with the scope. */
export const temporaryFolder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "docket-"))),
  (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
)

/** Which states the executions of a place have. */
const statesOf: Record<string, ReadonlyArray<string>> = {
  later: ["scheduled"],
  waiting: ["scheduled"],
  held: ["scheduled"],
  ready: ["queued"],
  front: ["queued"],
  aside: ["queued"],
  asked: ["queued"],
  running: ["running"],
  failed: ["failed"],
  settled: ["completed", "failed", "cancelled"]
}

/** What is wrong with where the dockets of a file keep their executions, and what they still hold for those who are gone. */
export const faultsOf = (path: string): ReadonlyArray<string> => {
  const database = new DatabaseSync(path, { timeout: 1000 })
  const all = (sql: string) => database.prepare(sql).all() as Array<Record<string, string | number | null>>
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
    "a slot is held by nobody": `docket_slots AS s WHERE NOT EXISTS (SELECT 1 FROM docket_executions AS e
      WHERE e.docket = s.docket AND e.key = s.key AND e.generation = s.generation AND e.admission ->> 'slot' = s.name)
      AND NOT EXISTS (SELECT 1 FROM docket_overtaken AS o
      WHERE o.docket = s.docket AND o.key = s.key AND o.generation = s.generation AND o.name = s.name)`,
    "a slot is lost": `docket_executions AS e WHERE e.admission ->> 'slot' IS NOT NULL AND NOT EXISTS (SELECT 1
      FROM docket_slots AS s WHERE s.docket = e.docket AND s.key = e.key AND s.name = e.admission ->> 'slot')`,
    "a settled execution has something of a control": `docket_executions WHERE place IN ('settled', 'failed') AND
      (admission ->> 'slot' IS NOT NULL OR admission ->> 'waits' IS NOT NULL OR admission ->> 'round' IS NOT NULL
      OR admission ->> 'plans' <> '[]')`,
    "a limit is kept for nobody": `docket_limits AS l WHERE NOT EXISTS (SELECT 1 FROM docket_slots AS s
      WHERE s.docket = l.docket AND s.name = l.name) AND NOT EXISTS (SELECT 1 FROM docket_executions AS e
      WHERE e.docket = l.docket AND e.place = 'waiting' AND e.line = l.name)`,
    "a start is planned for nobody": `docket_plans AS p WHERE NOT EXISTS (SELECT 1 FROM docket_executions AS e
      WHERE e.docket = p.docket AND e.key = p.key AND e.state = 'scheduled')`,
    "someone still follows": "docket_followers"
  }
  for (const [fault, where] of Object.entries(owned)) {
    for (const row of all(`SELECT * FROM ${where}`)) faults.push(`${fault}: ${JSON.stringify(row)}`)
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
