/**
 * The file, opened: transactions that share a commit, that wait for other processes without blocking this one, and that
 * are confirmed once they are on the disk.
 *
 * **Details**
 *
 * A transaction is a synchronous function, so those of one process never meet. When another process holds the lock for
 * writing, SQLite says so at once, and the transaction is tried again a little later, by a timer. Operations that come in
 * one turn of the event loop, or while a transaction waits for its turn, share a transaction.
 *
 * SQLite commits with `synchronous=NORMAL`: what it wrote is in the `-wal` file and visible to every process, which a killed
 * process cannot take back; a power cut can. With the durability `full` whoever asked is told only after that file was
 * synced, which happens beside the event loop: one sync serves all that were committed before it began. SQLite itself syncs
 * that file before it moves anything from there to the database, and writes it in order, so what a sync covers is found
 * after a power cut.
 */
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import * as Latch from "effect/Latch"
import type * as Scope from "effect/Scope"
import * as FileSystem from "node:fs"
import { DatabaseSync } from "node:sqlite"
import { StoreError } from "../../DocketError.ts"
import * as RealTime from "../../internal/realTime.ts"
import * as Connection from "./Connection.ts"
import type { Location } from "./Location.ts"
import { migrations, version, versionTable } from "./schema.ts"
import * as Trouble from "./Trouble.ts"

/** How an operation uses the file. */
export interface Use {
  /** For the error, as in `DocketStore.schedule`. */
  readonly operation: string
  readonly writes: boolean
  /** Whether it is answered only when what it wrote is on the disk. Writes are answered in the order in which they were made. */
  readonly isConfirmed: boolean
}

/** What a transaction does, for one of those that share it. */
export type Body<A> = (sql: Connection.Connection) => A

export interface Database {
  readonly location: Location
  /** Runs an operation in a transaction, with others. It is not repeated when it throws. */
  readonly run: <A>(use: Use, body: Body<A>) => Effect.Effect<A, StoreError>
  /** Whether another connection has written something since this was asked last. */
  readonly isChanged: () => boolean
  /** Completes the next time that the file can be used again, after it could not. */
  readonly reconnected: Effect.Effect<void>
  /** Is called after each transaction of this connection that wrote something. */
  readonly onCommit: Set<() => void>
  /** Is called when another file was opened in the place of one that was lost. */
  readonly onReopen: Set<() => void>
}

interface Operation {
  readonly use: Use
  readonly body: Body<unknown>
  readonly resume: (effect: Effect.Effect<unknown, StoreError>) => void
}

/** What an operation is told, once it may be. */
interface Answer {
  readonly operation: Operation
  readonly answer: Effect.Effect<unknown>
}

/** One file, opened. */
interface Opened {
  readonly database: DatabaseSync
  readonly sql: Connection.Connection
  readonly inode: string
  /** Of the `-wal` file. */
  readonly log: number
  /** `PRAGMA data_version`, when it was looked at last. */
  dataVersion: number
}

const dataVersion = Connection.query<[], { readonly data_version: number }>("PRAGMA data_version")

/**
 * Opens a file when it is first needed, for as long as the scope is open; `prepare` is called with each connection before
 * anything else.
 */
export const make: (
  location: Location,
  prepare: (sql: Connection.Connection) => void
) => Effect.Effect<Database, never, Scope.Scope> = Effect.fnUntraced(function* (location, prepare) {
  let opened: Opened | undefined
  let isClosed = false
  let wasOpen = false
  let waiting: Array<Operation> = []
  let isTurnEnding = false
  const onCommit = new Set<() => void>()
  const onReopen = new Set<() => void>()
  const isLost = Latch.makeUnsafe(false)
  const run = yield* FiberSet.makeRuntime<never>()

  const close = () => {
    const last = opened
    opened = undefined
    if (last === undefined) return
    // A sync that is under way needs it for a moment more.
    if (syncing !== undefined) unused.push(last.log)
    else FileSystem.close(last.log, ignore)
    last.database.close()
  }

  /** The file, if it is still the one at the path. */
  const current = (): Opened => {
    if (opened !== undefined && inodeOf(location.path) !== opened.inode) {
      close()
      throw Trouble.isReplaced(location.path)
    }
    if (opened === undefined) {
      opened = open(location, prepare)
      isLost.closeUnsafe()
      if (wasOpen) for (const tell of onReopen) tell()
      wasOpen = true
    }
    return opened
  }

  const fail = ({ resume, use }: Operation, cause: unknown) =>
    resume(Effect.fail(new StoreError({ operation: use.operation, ...Trouble.explain(location, cause) })))

  // Those who are answered by the next sync, and by the one that is under way.
  let unsynced: Array<Answer> = []
  let syncing: Array<Answer> | undefined
  const unused: Array<number> = []
  const sync = (log: number) => {
    if (syncing !== undefined || unsynced.length === 0) return
    const answers = (syncing = unsynced)
    unsynced = []
    FileSystem.fdatasync(log, (error) => {
      syncing = undefined
      for (const log of unused.splice(0)) FileSystem.close(log, ignore)
      for (const { answer, operation } of answers) {
        if (error === null) operation.resume(answer)
        else fail(operation, error)
      }
      if (opened !== undefined) return sync(opened.log)
      for (const { operation } of unsynced.splice(0)) fail(operation, Trouble.isReplaced(location.path))
    })
  }

  /** Answers an operation once what it wrote is on the disk, if it is to wait for that; and after all before it. */
  const answer = (operation: Operation, answer: Answer["answer"]) => {
    const { isConfirmed, writes } = operation.use
    const isToWait = isConfirmed && location.durability === "full"
    const queue = !writes ? undefined : isToWait || unsynced.length > 0 ? unsynced : syncing
    if (queue === undefined) operation.resume(answer)
    else queue.push({ operation, answer })
  }

  /** Runs a group of operations in one transaction. Says when others hold the lock, and leaves them as they are then. */
  const transact = (group: ReadonlyArray<Operation>): "done" | "busy" => {
    let answers: Array<unknown>
    let file: Opened
    const writes = group.some(({ use }) => use.writes)
    try {
      file = current()
      file.sql.exec(writes ? "BEGIN IMMEDIATE" : "BEGIN")
      try {
        answers = group.map(({ body }) => body(file.sql))
        file.sql.exec("COMMIT")
      } catch (error) {
        if (file.database.isTransaction) file.sql.exec("ROLLBACK")
        throw error
      }
    } catch (error) {
      if (Trouble.isBusy(error)) return "busy"
      if (Trouble.isLost(error)) close()
      // The others do not fail for what one of them did.
      if (group.length > 1 && opened !== undefined) group.forEach((operation) => later([operation]))
      else for (const operation of group) fail(operation, error)
      if (opened === undefined) isLost.openUnsafe()
      return "done"
    }
    group.forEach((operation, i) => answer(operation, Effect.succeed(answers[i])))
    sync(file.log)
    if (writes) for (const tell of onCommit) tell()
    return "done"
  }

  /** Tries again, a little later each time, until the others let go of the lock. */
  const later = (group: ReadonlyArray<Operation>, begun = RealTime.now(), tries = 0): void => {
    if (isClosed) return
    run(
      RealTime.inRealTime(
        Effect.andThen(
          Effect.sleep(Math.min(1 + tries / 4, 10)),
          Effect.sync(() => {
            // What came in meanwhile goes with it.
            const all = [...group, ...waiting]
            waiting = []
            attempt(all, begun, tries)
          })
        )
      )
    )
  }

  let isWaiting = false
  const attempt = (group: ReadonlyArray<Operation>, begun: number, tries: number) => {
    isWaiting = false
    if (isClosed) return
    if (transact(group) === "done") return
    if (RealTime.now() - begun < location.busyTimeoutMillis) {
      isWaiting = true
      return later(group, begun, tries + 1)
    }
    const error = Object.assign(new Error("database is locked"), { errcode: 5 })
    for (const operation of group) fail(operation, error)
    isLost.openUnsafe()
  }

  const flush = () => {
    isTurnEnding = false
    if (waiting.length === 0 || isWaiting) return
    const group = waiting
    waiting = []
    attempt(group, RealTime.now(), 0)
  }

  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      isClosed = true
      close()
    })
  )

  const submit = <A>(use: Use, body: Body<A>) =>
    Effect.callback<A, StoreError>((resume) => {
      // The answers come back in order, so that each is of its own operation.
      const operation: Operation = { use, body, resume: resume as Operation["resume"] }
      if (isClosed) return fail(operation, new Error("The store is closed"))
      waiting.push(operation)
      if (!isTurnEnding) {
        isTurnEnding = true
        queueMicrotask(flush)
      }
      return Effect.sync(() => {
        waiting = waiting.filter((other) => other !== operation)
      })
    })

  const probe = submit({ operation: "DocketStore.open", writes: true, isConfirmed: false }, () => {
    isLost.closeUnsafe()
  })

  return {
    location,
    onCommit,
    onReopen,
    run: submit,
    isChanged: () => {
      if (opened === undefined) return false
      try {
        const found = opened.sql.get(dataVersion)?.data_version ?? 0
        const isChanged = found !== opened.dataVersion
        opened.dataVersion = found
        return isChanged
      } catch {
        // Whoever looks next finds out, and says, what is wrong.
        return true
      }
    },
    reconnected: Effect.andThen(
      isLost.await,
      Effect.eventually(Effect.andThen(RealTime.inRealTime(Effect.sleep("250 millis")), probe))
    )
  }
})

const ignore = () => {}

/** What tells files apart. */
const inodeOf = (path: string): string => {
  const found = FileSystem.statSync(path, { throwIfNoEntry: false })
  return found === undefined ? "" : `${found.dev}:${found.ino}`
}

const open = ({ path }: Location, prepare: (sql: Connection.Connection) => void): Opened => {
  const database = new DatabaseSync(path, { timeout: 0 })
  try {
    const sql = Connection.make(database)
    sql.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA cache_size = -16000")
    migrate(sql, path)
    prepare(sql)
    return {
      database,
      sql,
      inode: inodeOf(path),
      log: FileSystem.openSync(`${path}-wal`, "r+"),
      dataVersion: sql.get(dataVersion)?.data_version ?? 0
    }
  } catch (error) {
    database.close()
    throw error
  }
}

const readVersion = Connection.query<[], { readonly version: number }>("SELECT version FROM docket_schema")
const hasVersion = Connection.query<[], { readonly name: string }>(
  "SELECT name FROM sqlite_schema WHERE type = 'table' AND name = 'docket_schema'"
)
const noVersion = Connection.query<[]>("DELETE FROM docket_schema")
const writeVersion = Connection.query<[version: number]>("INSERT INTO docket_schema (version) VALUES (?)")

/** Brings the tables of a file to the version of this release, in a transaction of its own. */
const migrate = (sql: Connection.Connection, path: string): void => {
  if (versionOf(sql, path) === version) return
  sql.exec("BEGIN IMMEDIATE")
  try {
    bringForward(sql, path)
    sql.exec("COMMIT")
  } catch (error) {
    sql.exec("ROLLBACK")
    throw error
  }
}

/** The version of the tables of a file; 0 when there are none. */
const versionOf = (sql: Connection.Connection, path: string): number => {
  const found = sql.get(hasVersion) === undefined ? 0 : (sql.get(readVersion)?.version ?? 0)
  if (found > version) throw Trouble.isNewer(path, found, version)
  return found
}

/** Brings the tables of a file to the version of this release, in the transaction that is open. */
export const bringForward = (sql: Connection.Connection, path: string): void => {
  const found = versionOf(sql, path)
  if (found === version) return
  sql.exec(versionTable)
  for (const step of migrations.slice(found)) sql.exec(step)
  sql.run(noVersion)
  sql.run(writeVersion, version)
}
