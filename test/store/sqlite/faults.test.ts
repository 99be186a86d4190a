/** What becomes of a docket in a file when something is wrong with the file, or ends its users (SQL-02, SQL-03, SQL-04). */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Exit, Fiber, Layer, Logger, Queue, Schema } from "effect"
import { TestClock } from "effect/testing"
import { spawn } from "node:child_process"
import fs from "node:fs"
import { syncBuiltinESMExports } from "node:module"
import { join } from "node:path"
import process from "node:process"
import { DatabaseSync } from "node:sqlite"
import { fileURLToPath } from "node:url"
import { Docket, Dockets, Task, TaskGroup, Worker } from "../../../src/index.ts"
import * as SqliteStore from "../../../src/store/sqlite/SqliteStore.ts"
import { openWorker, request } from "../conformance/kit.ts"
import { faultsOf, temporaryFolder } from "../sqliteHarness.ts"

const options = { name: "docket", executionTtlMillis: 900_000, failedTtlMillis: 0, failedMaximum: 100 }
const Ping = Task.make("ping", { payload: { n: Schema.Int } })
const tasks = TaskGroup.make(Ping)

const makeFile = Effect.map(temporaryFolder, (folder) => join(folder, "docket.db"))
const open = (path: string, search = "") => SqliteStore.makeUrl(`sqlite:${path}${search}`, options)

/** What an operation fails with. */
const problemOf = <A, E>(effect: Effect.Effect<A, E>) =>
  Effect.map(Effect.flip(effect), (error) => (error instanceof Error ? error.message : String(error)))

const keysIn = (path: string): ReadonlyArray<string> => {
  const database = new DatabaseSync(path)
  const keys = database.prepare("SELECT key FROM docket_executions").all()
  database.close()
  return keys.map(({ key }) => String(key))
}

describe("A file with something wrong", () => {
  it.live("SQL-03 a file that is not to be opened, or no database, is told with what to do", () =>
    Effect.gen(function* () {
      const path = yield* makeFile
      const cases: ReadonlyArray<readonly [path: string, problem: string]> = [
        [join(path, "..", "nowhere", "docket.db"), "cannot be opened. Its folder has to be there"],
        [join(path, ".."), "cannot be opened"],
        [path, "is no SQLite database. Give the path of another file"]
      ]
      fs.writeFileSync(path, "this is a text of more than a hundred characters, ".repeat(100))
      for (const [path, problem] of cases) {
        const store = yield* open(path)
        assert.include(yield* problemOf(store.depth), problem)
      }
    })
  )

  it.live("SQL-03 a file of a later release is refused, and left as it is", () =>
    Effect.gen(function* () {
      const path = yield* makeFile
      yield* Effect.scoped(Effect.flatMap(open(path), ({ depth }) => depth))
      const database = new DatabaseSync(path)
      database.exec("UPDATE docket_schema SET version = 99")
      database.close()
      const store = yield* open(path)
      assert.include(
        yield* problemOf(store.depth),
        "was written by a later release of effect-docket: its tables have version 99"
      )
    })
  )

  it.live("SQL-03 a damaged file is told with what to do", () =>
    Effect.gen(function* () {
      const path = yield* makeFile
      yield* Effect.scoped(
        Effect.gen(function* () {
          const store = yield* open(path)
          const requests = Array.from({ length: 200 }, (_, n) =>
            request(`k${n}`, { payload: JSON.stringify("x".repeat(500)) })
          )
          yield* store.schedule(requests, "")
        })
      )
      const bytes = fs.readFileSync(path)
      bytes.fill(0xff, 8192)
      fs.writeFileSync(path, bytes)
      const store = yield* open(path)
      assert.include(yield* problemOf(store.snapshot(1000)), "is damaged. Bring back a backup")
    })
  )

  it.live("SQL-03 SQL-04 a file that another process keeps locked holds up what writes, and not the event loop", () =>
    Effect.gen(function* () {
      const path = yield* makeFile
      const store = yield* open(path, "?busyTimeout=150")
      yield* store.depth
      const other = new DatabaseSync(path)
      other.exec("BEGIN IMMEDIATE")
      let longest = 0
      const watch = yield* Effect.forkScoped(
        Effect.forever(
          Effect.gen(function* () {
            const before = yield* Clock.monotonicTimeNanos
            yield* Effect.yieldNow
            const after = yield* Clock.monotonicTimeNanos
            longest = Math.max(longest, Number(after - before) / 1e6)
          })
        )
      )
      // Who only reads is not held up.
      assert.deepStrictEqual(yield* store.depth, { queued: 0, scheduled: 0, running: 0 })
      const problem = yield* problemOf(store.schedule([request("k")], ""))
      assert.include(
        problem,
        "is locked: another process has been writing to it for more than 150 ms. End the transaction"
      )
      yield* Fiber.interrupt(watch)
      assert.isBelow(longest, 140)
      const waiting = yield* Effect.forkScoped(store.schedule([request("k")], ""))
      yield* Effect.yieldNow
      other.exec("COMMIT")
      other.close()
      assert.strictEqual((yield* Fiber.join(waiting))._tag, "Scheduled")
    })
  )

  it.live("SQL-03 a full disk refuses what is to be added, and leaves all else as it was", () =>
    Effect.gen(function* () {
      const path = yield* makeFile
      const store = yield* open(path)
      yield* store.schedule([request("before")], "")
      // As a disk that is full does, this lets the file grow no more.
      const [{ page_count: pages }] = [new DatabaseSync(path).prepare("PRAGMA page_count").get()!]
      const limited = yield* SqliteStore.makeUrl(`sqlite:${path}`, options).pipe(
        Effect.provideService(SqliteStore.Prepare, (sql) => sql.exec(`PRAGMA max_page_count = ${Number(pages) + 2}`))
      )
      const many = Array.from({ length: 200 }, (_, n) => request(`k${n}`, { payload: JSON.stringify("x".repeat(900)) }))
      assert.include(yield* problemOf(limited.schedule(many, "")), "cannot grow, since the disk is full. Make room")
      const { takeOne } = yield* openWorker({ open: limited.open })
      assert.strictEqual((yield* takeOne).key, "before")
      assert.deepStrictEqual(yield* limited.depth, { queued: 0, scheduled: 0, running: 1 })
    })
  )

  it.live("SQL-03 a file that was deleted or replaced is noticed before anything is confirmed, and opened anew", () =>
    Effect.gen(function* () {
      const path = yield* makeFile
      const store = yield* open(path)
      yield* store.schedule([request("k")], "")
      for (const end of ["", "-wal", "-shm"]) fs.rmSync(path + end, { force: true })
      assert.include(
        yield* problemOf(store.schedule([request("k2")], "")),
        "was deleted, or another one was put in its place"
      )
      yield* store.schedule([request("k3")], "")
      assert.deepStrictEqual(keysIn(path), ["k3"])
    })
  )

  it.live("SQL-03 a worker waits for a file that cannot be opened, and works once it can", () =>
    Effect.gen(function* () {
      const folder = join(yield* temporaryFolder, "later")
      const ran = yield* Queue.unbounded<number>()
      const docket = yield* Dockets.make({ url: `sqlite:${join(folder, "docket.db")}` })
      const worker = Worker.layer(tasks).pipe(
        Layer.provide(tasks.toLayer({ ping: ({ n }) => Queue.offer(ran, n) })),
        Layer.provide([Layer.succeed(Docket, docket), Logger.layer([])])
      )
      const running = yield* Effect.forkScoped(Layer.launch(worker))
      assert.isTrue(Exit.isFailure(yield* Effect.exit(docket.add(Ping, { n: 0 }))))
      fs.mkdirSync(folder)
      yield* Effect.eventually(docket.add(Ping, { n: 1 }))
      assert.strictEqual(yield* Queue.take(ran), 1)
      yield* Fiber.interrupt(running)
    })
  )

  it.effect("a clock that is set back lets leases end no later than usual", () =>
    Effect.gen(function* () {
      const path = yield* makeFile
      yield* TestClock.setTime(1_700_000_000_000)
      const store = yield* open(path)
      yield* store.schedule([request("k")], "")
      const dead = yield* openWorker(store, { leaseMillis: 10_000 })
      yield* dead.takeOne
      yield* TestClock.setTime(1_700_000_000_000 - 3_600_000)
      const living = yield* openWorker(store)
      assert.strictEqual((yield* living.session.heartbeat).reclaimed, 0)
      yield* TestClock.adjust(10_000)
      assert.strictEqual((yield* living.session.heartbeat).reclaimed, 1)
    })
  )
})

describe("A file and its users' ends", () => {
  const adder = fileURLToPath(new URL("./programs/adder.ts", import.meta.url))

  it.live(
    "SQL-02 CHS-01 what was confirmed is there, whenever its process is killed",
    () =>
      Effect.gen(function* () {
        const path = yield* makeFile
        let confirmed = 0
        for (let kill = 0; kill < 5; kill++) {
          const said = yield* Effect.promise(
            () =>
              new Promise<string>((resolve) => {
                let said = ""
                const url = `sqlite:${path}?durability=normal`
                const child = spawn(process.execPath, [adder, url, `p${kill}`], {
                  stdio: ["ignore", "pipe", "inherit"]
                })
                child.stdout.setEncoding("utf8").on("data", (data: string) => {
                  said += data
                  // At another moment each time.
                  if (said.length > 200 * (kill + 1)) child.kill("SIGKILL")
                })
                child.on("close", () => resolve(said))
              })
          )
          const keys = new Set(keysIn(path))
          for (const key of said.split("\n").slice(0, -1)) {
            assert.isTrue(keys.has(key), `${key} was confirmed, and is lost`)
            confirmed++
          }
          assert.deepStrictEqual(faultsOf(path), [])
        }
        assert.isAbove(confirmed, 100)
      }),
    60_000
  )

  it.live("SQL-02 what was confirmed is in what was synced to the disk by then", () =>
    Effect.gen(function* () {
      const path = yield* makeFile
      const confirmed: Array<string> = []
      const cuts: Array<string> = []
      // A power cut leaves of the log what it held when the last sync began. What that sync confirms comes after its end.
      const { fdatasync } = fs
      yield* Effect.acquireRelease(
        Effect.sync(() => {
          const replaced: typeof fdatasync = Object.assign(
            (file: number, done: fs.NoParamCallback) => {
              const { size } = fs.fstatSync(file)
              fdatasync(file, (error) => {
                const copy = `${path}.cut${cuts.length}`
                fs.copyFileSync(path, copy)
                fs.writeFileSync(`${copy}-wal`, fs.readFileSync(`${path}-wal`).subarray(0, size))
                cuts.push(copy)
                done(error)
              })
            },
            { __promisify__: fdatasync.__promisify__ }
          )
          fs.fdatasync = replaced
          syncBuiltinESMExports()
        }),
        () =>
          Effect.sync(() => {
            fs.fdatasync = fdatasync
            syncBuiltinESMExports()
          })
      )
      const store = yield* open(path)
      const ends: Array<readonly [cut: number, key: string]> = []
      yield* Effect.forEach(
        Array.from({ length: 100 }, (_, n) => `k${n}`),
        (key, n) =>
          Effect.gen(function* () {
            for (let turns = n % 7; turns > 0; turns--) yield* Effect.yieldNow
            yield* store.schedule([request(key)], "")
            confirmed.push(key)
            // By the last sync that has ended, at the latest.
            ends.push([cuts.length - 1, key])
          }),
        { concurrency: 10 }
      )
      assert.strictEqual(confirmed.length, 100)
      assert.isAbove(cuts.length, 1)
      for (const [n, copy] of cuts.entries()) {
        const kept = new Set(keysIn(copy))
        for (const [cut, key] of ends) if (cut <= n) assert.isTrue(kept.has(key), `${key} was not in sync ${cut}`)
      }
    })
  )
})
