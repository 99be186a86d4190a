/**
 * What only the file itself can tell an operator about the place where a docket is kept, and a copy of it.
 */
import * as Effect from "effect/Effect"
import * as FileSystem from "node:fs"
import { DatabaseSync } from "node:sqlite"
import type * as Scope from "effect/Scope"
import { type InvalidRequest, StoreError } from "../../DocketError.ts"
import * as Connection from "./Connection.ts"
import * as Location from "./Location.ts"
import * as Trouble from "./Trouble.ts"

/** Answers about the file of one docket. */
export interface Inspection {
  readonly path: string
  readonly durability: "full" | "normal"
  /** The release of SQLite, and the sizes of the file and of its log. */
  readonly facts: Effect.Effect<Facts, StoreError>
  /** What is wrong with the file; nothing when it is sound. Reads all of it. */
  readonly damage: Effect.Effect<string | undefined, StoreError>
  /** Whether it can be written to. */
  readonly write: Effect.Effect<void, StoreError>
  /** How many executions are listed as failed. */
  readonly failed: Effect.Effect<number, StoreError>
  /** Some of the keys of the executions whose records are there, and where to go on; from and to `"0"`. */
  readonly executions: (options: {
    readonly cursor: string
    /** What the executions' keys begin with. */
    readonly prefix: string
  }) => Effect.Effect<{ readonly cursor: string; readonly keys: ReadonlyArray<string> }, StoreError>
  /**
   * Copies the file as it is at one moment, while it is in use, to a new one; only a copy that is complete and on the disk
   * gets that name. Returns its size in bytes.
   */
  readonly backup: (to: string) => Effect.Effect<number, StoreError>
}

export interface Facts {
  readonly sqlite: string
  readonly bytes: number
  readonly logBytes: number
  /** The kind of the file system, when locks on it cannot be relied upon; nothing where they can, as far as is known. */
  readonly remote: string | undefined
}

const versionOf = Connection.query<[], { readonly version: string }>("SELECT sqlite_version() AS version")
const check = Connection.query<[], { readonly quick_check: string }>("PRAGMA quick_check(1)")
const failed = Connection.query<[name: string], { readonly failed: number }>(
  "SELECT failed FROM docket_dockets WHERE name = ?"
)
const some = Connection.query<
  [name: string, after: number, limit: number],
  { readonly id: number; readonly key: string }
>(
  `SELECT e.id, e.key FROM docket_executions AS e JOIN docket_dockets AS d ON d.id = e.docket
  WHERE d.name = ? AND e.id > ? ORDER BY e.id LIMIT ?`
)
const copy = Connection.query<[to: string]>("VACUUM INTO ?")

/** How many records one step looks at. */
export const keysPerScan = 1_000

/** Inspects the file at a URL, in which there is a docket with this name. */
export const make: (options: {
  readonly url: string
  readonly name: string
}) => Effect.Effect<Inspection, InvalidRequest | StoreError, Scope.Scope> = Effect.fnUntraced(function* ({
  name,
  url
}) {
  const location = yield* Location.parse(url)
  const { durability, path } = location
  const attempt = <A>(f: () => A) =>
    Effect.try({
      try: f,
      catch: (cause) => new StoreError({ operation: "Inspection", ...Trouble.explain(location, cause) })
    })
  if (!FileSystem.existsSync(path)) {
    const advice = "Workers and producers make it when they first use it; --url or DOCKET_URL names another"
    const cause = new Trouble.FileTrouble(`There is no file ${path}`, advice, undefined)
    return yield* new StoreError({ operation: "Inspection", cause, advice })
  }
  // Nothing else runs in this process: it may wait where it stands.
  const database = yield* Effect.acquireRelease(
    attempt(() => new DatabaseSync(path, { timeout: Math.min(location.busyTimeoutMillis, 1000) })),
    (database) => Effect.sync(() => database.close())
  )
  const sql = Connection.make(database)
  return {
    path,
    durability,
    facts: attempt(() => ({
      sqlite: sql.get(versionOf)?.version ?? "?",
      bytes: sizeOf(path),
      logBytes: sizeOf(`${path}-wal`),
      remote: remoteKinds.get(FileSystem.statfsSync(path).type)
    })),
    damage: attempt(() => {
      const found = sql.get(check)?.quick_check ?? "ok"
      return found === "ok" ? undefined : found
    }),
    write: attempt(() => {
      sql.exec("BEGIN IMMEDIATE")
      sql.exec("ROLLBACK")
    }),
    failed: attempt(() => sql.get(failed, name)?.failed ?? 0),
    executions: ({ cursor, prefix }) =>
      attempt(() => {
        const found = sql.all(some, name, Number(cursor), keysPerScan)
        return {
          cursor: found.length < keysPerScan ? "0" : String(found.at(-1)?.id ?? 0),
          keys: found.map(({ key }) => key).filter((key) => key.startsWith(prefix))
        }
      }),
    backup: (to) =>
      attempt(() => {
        if (FileSystem.existsSync(to)) throw new Error(`${to} is there already: give another name, or remove it first`)
        const unfinished = `${to}.unfinished`
        FileSystem.rmSync(unfinished, { force: true })
        sql.run(copy, unfinished)
        // It is nobody's database yet, so it may be opened beside SQLite.
        const file = FileSystem.openSync(unfinished, "r+")
        FileSystem.fsyncSync(file)
        FileSystem.closeSync(file)
        FileSystem.renameSync(unfinished, to)
        return sizeOf(to)
      })
  }
})

const sizeOf = (path: string) => FileSystem.statSync(path, { throwIfNoEntry: false })?.size ?? 0

/** File systems of other machines, by the number that Linux gives them. */
const remoteKinds: ReadonlyMap<number, string> = new Map([
  [0x6969, "NFS"],
  [0x517b, "SMB"],
  [0xff534d42, "CIFS"],
  [0xfe534d42, "SMB 2"],
  [0x01021997, "9P"],
  [0x5346414f, "AFS"],
  [0x00c36400, "Ceph"],
  [0x73757245, "Coda"]
])
