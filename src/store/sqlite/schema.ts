/**
 * The tables of the store in a file, and how a file of an earlier version is brought forward.
 *
 * **Details**
 *
 * All dockets of a file share its tables; each row says whose it is. Names begin with `docket_`, since the tables of an
 * app may be in the same file. Times are epoch milliseconds.
 */

/**
 * Each step brings a file to the next version. A step that was released never changes.
 *
 * - `docket_dockets`: one row a docket: counters, whether a wake-up token lies there, the strikes as JSON.
 * - `docket_executions`: the records. `place` says where an execution is (see `Executions.ts`), and `line`, `at`, `seq` its
 *   order there; the index over these is every queue that the docket has.
 * - `docket_payloads`: payloads that are too long to be written again with each change of their record.
 * - `docket_sets`, `docket_hashes`: lines, gates and what these count (see `admission/Gates.ts` and `admission/Lines.ts`).
 * - `docket_overtaken`: runs whose keys were scheduled anew, with the slots that they have.
 * - `docket_suspects`: of executions whose workers died again and again, the last that each worker was given.
 * - `docket_workers`: who is listed, until when.
 * - `docket_facts`: what the worker that started last said of each task (see `TaskFacts`), as JSON.
 * - `docket_followers`, `docket_events`: who follows executions, until when; and what they have not read yet.
 */
export const migrations: ReadonlyArray<string> = [
  /* sql */ `
CREATE TABLE docket_dockets (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  seq INTEGER NOT NULL DEFAULT 0,
  position INTEGER NOT NULL DEFAULT 0,
  token INTEGER NOT NULL DEFAULT 0,
  clock INTEGER NOT NULL DEFAULT 0,
  ready INTEGER NOT NULL DEFAULT 0,
  turn INTEGER NOT NULL DEFAULT 0,
  aside INTEGER NOT NULL DEFAULT 0,
  asked INTEGER NOT NULL DEFAULT 0,
  later INTEGER NOT NULL DEFAULT 0,
  line INTEGER NOT NULL DEFAULT 0,
  gates INTEGER NOT NULL DEFAULT 0,
  opens INTEGER NOT NULL DEFAULT 0,
  held INTEGER NOT NULL DEFAULT 0,
  running INTEGER NOT NULL DEFAULT 0,
  failed INTEGER NOT NULL DEFAULT 0,
  overtaken INTEGER NOT NULL DEFAULT 0,
  release INTEGER NOT NULL DEFAULT 0,
  strikesChanged INTEGER NOT NULL DEFAULT 0,
  strikes TEXT
);
CREATE TABLE docket_executions (
  id INTEGER PRIMARY KEY,
  docket INTEGER NOT NULL,
  key TEXT NOT NULL,
  place TEXT NOT NULL,
  line TEXT NOT NULL,
  at INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  kept INTEGER,
  state TEXT NOT NULL,
  generation INTEGER NOT NULL,
  origin INTEGER NOT NULL,
  schedules INTEGER NOT NULL DEFAULT 0,
  attempt INTEGER NOT NULL,
  deliveries INTEGER NOT NULL,
  due INTEGER NOT NULL,
  intended INTEGER,
  started INTEGER,
  completed INTEGER,
  cancelled INTEGER NOT NULL,
  worker TEXT,
  lease TEXT,
  settledLease TEXT,
  task TEXT NOT NULL,
  needs TEXT,
  trace TEXT NOT NULL,
  judged TEXT NOT NULL,
  terms TEXT,
  admission TEXT,
  skipped TEXT,
  before TEXT,
  last TEXT,
  dead TEXT,
  chain TEXT,
  runs TEXT,
  chainFailed INTEGER,
  progress TEXT,
  error TEXT,
  attempts TEXT,
  result TEXT,
  failure TEXT,
  payload TEXT
);
CREATE UNIQUE INDEX docket_keys ON docket_executions (docket, key);
CREATE INDEX docket_places ON docket_executions (docket, place, line, at, seq);
CREATE INDEX docket_cancelled ON docket_executions (docket, worker) WHERE cancelled = 1;
CREATE INDEX docket_failed_chains ON docket_executions (docket, chainFailed) WHERE chainFailed IS NOT NULL;
CREATE TABLE docket_payloads (execution INTEGER PRIMARY KEY, payload TEXT NOT NULL);
CREATE TABLE docket_sets (
  docket INTEGER NOT NULL, name TEXT NOT NULL, member TEXT NOT NULL, score INTEGER NOT NULL,
  PRIMARY KEY (docket, name, member)
) WITHOUT ROWID;
CREATE INDEX docket_sets_by_score ON docket_sets (docket, name, score, member);
CREATE TABLE docket_hashes (
  id INTEGER PRIMARY KEY, docket INTEGER NOT NULL, name TEXT NOT NULL, field TEXT NOT NULL, value TEXT NOT NULL
);
CREATE UNIQUE INDEX docket_fields ON docket_hashes (docket, name, field);
CREATE TABLE docket_overtaken (
  docket INTEGER NOT NULL, key TEXT NOT NULL, generation INTEGER NOT NULL, slots TEXT NOT NULL, lease TEXT NOT NULL,
  cancelled INTEGER NOT NULL, expires INTEGER NOT NULL,
  PRIMARY KEY (docket, key, generation)
) WITHOUT ROWID;
CREATE TABLE docket_suspects (
  docket INTEGER NOT NULL, worker TEXT NOT NULL, key TEXT NOT NULL, lease TEXT NOT NULL, expires INTEGER NOT NULL,
  PRIMARY KEY (docket, worker)
) WITHOUT ROWID;
CREATE TABLE docket_workers (
  docket INTEGER NOT NULL, name TEXT NOT NULL, seen INTEGER NOT NULL, until INTEGER NOT NULL, tasks TEXT NOT NULL,
  PRIMARY KEY (docket, name)
) WITHOUT ROWID;
CREATE TABLE docket_facts (
  docket INTEGER NOT NULL, task TEXT NOT NULL, facts TEXT NOT NULL,
  PRIMARY KEY (docket, task)
) WITHOUT ROWID;
CREATE TABLE docket_followers (
  docket INTEGER NOT NULL, follower TEXT NOT NULL, until INTEGER NOT NULL,
  PRIMARY KEY (docket, follower)
) WITHOUT ROWID;
CREATE TABLE docket_events (
  docket INTEGER NOT NULL, position INTEGER NOT NULL, event TEXT NOT NULL,
  PRIMARY KEY (docket, position)
) WITHOUT ROWID;
`
]

/** The version of the tables that this release reads and writes. */
export const version: number = migrations.length

/** Where a file notes its version. Not in `user_version`, which belongs to the app whose file it may be. */
export const versionTable = /* sql */ `CREATE TABLE IF NOT EXISTS docket_schema (version INTEGER NOT NULL)`
