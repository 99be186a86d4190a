/** A docket's part in a transaction of the app's, on the app's own connection to the file. */
import * as FileSystem from "node:fs"
import type { DatabaseSync } from "node:sqlite"
import type * as DocketStore from "../../DocketStore.ts"
import * as RealTime from "../../internal/realTime.ts"
import type { Connection } from "./Connection.ts"
import * as Database from "./Database.ts"
import type { Location } from "./Location.ts"
import * as Step from "./Step.ts"
import * as Trouble from "./Trouble.ts"

/** Where a step takes part: the file that it is about, and a connection on which a transaction is open. */
export interface Place {
  readonly location: Location
  readonly database: DatabaseSync
  readonly sql: Connection
}

/** Runs a step as a part of the transaction that is open. When the step throws, the rest of the transaction stays as it is. */
export const run = <A>(
  { database, location, sql }: Place,
  options: DocketStore.StoreOptions,
  now: number,
  body: (step: Step.Step) => A
): A => {
  if (!database.isTransaction) {
    throw new Trouble.FileTrouble(
      "The connection that was given to inTransaction has no transaction open",
      "Begin one before, as with database.exec('BEGIN IMMEDIATE')",
      undefined
    )
  }
  const file = database.location()
  if (file === null || realPath(file) !== realPath(location.path)) {
    throw new Trouble.FileTrouble(
      `The connection that was given to inTransaction is one to ${file ?? "memory"}, and the docket is in ${location.path}`,
      "Open the file of the docket",
      undefined
    )
  }
  sql.exec("SAVEPOINT docket")
  try {
    Database.bringForward(sql, location.path)
    Step.create(sql, options.name)
    const step = Step.begin(sql, options, now, RealTime.now(), true)
    const reply = body(step)
    Step.end(step)
    sql.exec("RELEASE docket")
    return reply
  } catch (error) {
    // Some errors of SQLite have ended the transaction already.
    if (database.isTransaction) sql.exec("ROLLBACK TO docket; RELEASE docket")
    throw error
  }
}

/** The path of a file that is there; of one that is not, what was given. */
const realPath = (path: string) => (FileSystem.existsSync(path) ? FileSystem.realpathSync(path) : path)
