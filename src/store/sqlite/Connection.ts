/**
 * One connection to the file. The only module that knows `node:sqlite`.
 *
 * **Gotchas**
 *
 * Nothing else may open the database or its `-shm` file: closing any descriptor of these drops the locks that SQLite holds
 * for the whole process. The `-wal` file bears no locks, and may be opened.
 */
import type { DatabaseSync, StatementSync } from "node:sqlite"

/** What SQLite takes as a parameter. */
export type Parameter = string | number | null

/** A statement with the types of its parameters and of the rows that it gives. It is prepared once a connection. */
export interface Query<P extends ReadonlyArray<Parameter>, R> {
  readonly sql: string
  readonly types?: { readonly parameters: P; readonly row: R }
}

/** Writes down a statement. */
export const query = <P extends ReadonlyArray<Parameter>, R = never>(sql: string): Query<P, R> => ({ sql })

/** The statements of a connection, prepared when they are first needed. */
export interface Connection {
  /** The first row. */
  readonly get: <P extends ReadonlyArray<Parameter>, R>(query: Query<P, R>, ...parameters: P) => R | undefined
  readonly all: <P extends ReadonlyArray<Parameter>, R>(query: Query<P, R>, ...parameters: P) => ReadonlyArray<R>
  /** Tells how many rows it changed. */
  readonly run: <P extends ReadonlyArray<Parameter>>(query: Query<P, never>, ...parameters: P) => number
  readonly exec: (sql: string) => void
}

/** Wraps a database, ours or a user's. */
export const make = (database: Pick<DatabaseSync, "prepare" | "exec">): Connection => {
  const prepared = new Map<object, StatementSync>()
  const prepare = (query: { readonly sql: string }) => {
    let statement = prepared.get(query)
    if (statement === undefined) {
      prepared.set(query, (statement = database.prepare(query.sql)))
      // Whatever a user's database does with its own.
      statement.setReadBigInts(false)
      statement.setReturnArrays(false)
    }
    return statement
  }
  return {
    // The rows are as the statement says: it names the columns, and the tables are strict about nothing else.
    get: <P extends ReadonlyArray<Parameter>, R>(query: Query<P, R>, ...parameters: P) =>
      prepare(query).get(...parameters) as R | undefined,
    all: <P extends ReadonlyArray<Parameter>, R>(query: Query<P, R>, ...parameters: P) =>
      prepare(query).all(...parameters) as ReadonlyArray<unknown> as ReadonlyArray<R>,
    run: (query, ...parameters) => Number(prepare(query).run(...parameters).changes),
    exec: (sql) => database.exec(sql)
  }
}
