/** Work that is added in a transaction of the app's (SQL-05). */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer, Logger, Schema } from "effect"
import { TestClock } from "effect/testing"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { Docket, Dockets, Task, TaskGroup, Worker } from "../../../src/index.ts"
import { temporaryFolder } from "../sqliteHarness.ts"

const SendReceipt = Task.make("sendReceipt", {
  payload: { order: Schema.Int },
  success: Schema.String,
  key: ({ order }) => `receipt-${order}`
})
const tasks = TaskGroup.make(SendReceipt)

/** An app with orders in the file of its docket. */
const makeApp = Effect.gen(function* () {
  const path = join(yield* temporaryFolder, "app.db")
  const docket = yield* Dockets.make({ url: `sqlite:${path}` })
  const database = yield* Effect.acquireRelease(
    Effect.sync(() => new DatabaseSync(path)),
    (database) => Effect.sync(() => database.close())
  )
  database.exec("CREATE TABLE orders (id INTEGER PRIMARY KEY)")
  const orders = () =>
    database
      .prepare("SELECT id FROM orders")
      .all()
      .map(({ id }) => id)
  const order = Effect.fnUntraced(function* (id: number) {
    database.prepare("INSERT INTO orders (id) VALUES (?)").run(id)
    return yield* docket.inTransaction(database).add(SendReceipt, { order: id })
  })
  return { path, docket, database, order, orders }
})

const problemOf = (exit: Exit.Exit<unknown, unknown>) => {
  assert(Exit.isFailure(exit))
  return String(exit.cause)
}

describe("A docket in the app's own transaction", () => {
  it.live("SQL-05 what is added in a transaction is there once that commits, and runs", () =>
    Effect.gen(function* () {
      const { database, docket, order, orders } = yield* makeApp
      assert.isTrue((yield* docket.info("receipt-1"))._tag === "None")
      database.exec("BEGIN IMMEDIATE")
      const execution = yield* order(1)
      assert.strictEqual(execution.disposition, "scheduled")
      assert.isTrue((yield* docket.info("receipt-1"))._tag === "None")
      database.exec("COMMIT")
      assert.deepStrictEqual(orders(), [1])
      const worker = Worker.layer(tasks).pipe(
        Layer.provide(tasks.toLayer({ sendReceipt: ({ order }) => Effect.succeed(`sent ${order}`) })),
        Layer.provide([Layer.succeed(Docket, docket), Logger.layer([])])
      )
      assert.strictEqual(yield* Effect.provide(execution.result, worker), "sent 1")
    })
  )

  it.live("SQL-05 what is added in a transaction that is rolled back never was, and its key is free", () =>
    Effect.gen(function* () {
      const { database, docket, order, orders } = yield* makeApp
      database.exec("BEGIN")
      yield* order(1)
      database.exec("ROLLBACK")
      assert.deepStrictEqual(orders(), [])
      assert.isTrue((yield* docket.info("receipt-1"))._tag === "None")
      assert.deepStrictEqual(yield* docket.store.depth, { queued: 0, scheduled: 0, running: 0 })
      assert.strictEqual((yield* docket.add(SendReceipt, { order: 1 })).disposition, "scheduled")
    })
  )

  it.live("SQL-05 adding, replacing and batches see each other within the transaction, and what was there before", () =>
    Effect.gen(function* () {
      const { database, docket, order } = yield* makeApp
      yield* docket.add(SendReceipt, { order: 1 }, { delay: "1 hour" })
      database.exec("BEGIN IMMEDIATE")
      const within = docket.inTransaction(database)
      assert.strictEqual((yield* order(1)).disposition, "already-scheduled")
      assert.strictEqual(
        (yield* within.replace(SendReceipt, { order: 1 }, { delay: "2 hours" })).disposition,
        "replaced"
      )
      const batch = yield* within.addAll([2, 2, 3].map((order) => Task.request(SendReceipt, { order })))
      assert.deepStrictEqual(
        batch.map(({ disposition }) => disposition),
        ["scheduled", "already-scheduled", "scheduled"]
      )
      database.exec("COMMIT")
      assert.deepStrictEqual(yield* docket.store.depth, { queued: 2, scheduled: 1, running: 0 })
    })
  )

  it.live("SQL-05 a worker of another process hears of the commit at once", () =>
    Effect.gen(function* () {
      const { database, order, path } = yield* makeApp
      const other = yield* Dockets.make({ url: `sqlite:${path}` })
      const worker = Worker.layer(tasks).pipe(
        Layer.provide(tasks.toLayer({ sendReceipt: ({ order }) => Effect.succeed(`sent ${order}`) })),
        Layer.provide([Layer.succeed(Docket, other), Logger.layer([])])
      )
      yield* Effect.gen(function* () {
        database.exec("BEGIN IMMEDIATE")
        yield* order(1)
        database.exec("COMMIT")
        assert.strictEqual(yield* other.execution(SendReceipt, "receipt-1").result, "sent 1")
      }).pipe(Effect.provide(worker))
    })
  )

  it.live(
    "SQL-05 without a transaction, on another file, or on another kind of docket it is refused, with what to do",
    () =>
      Effect.gen(function* () {
        const { database, docket, order, orders } = yield* makeApp
        const add = (database: DatabaseSync) =>
          Effect.exit(docket.inTransaction(database).add(SendReceipt, { order: 1 }))
        assert.include(problemOf(yield* add(database)), "has no transaction open. Begin one before")
        const elsewhere = new DatabaseSync(":memory:")
        elsewhere.exec("BEGIN")
        assert.include(problemOf(yield* add(elsewhere)), "is one to memory, and the docket is in")
        elsewhere.close()
        const memory = yield* Dockets.makeMemory()
        database.exec("BEGIN")
        const exit = yield* Effect.exit(memory.inTransaction(database).add(SendReceipt, { order: 1 }))
        assert.include(problemOf(exit), "Only a docket in a file")
        // What the transaction did before goes on.
        yield* order(1)
        database.exec("COMMIT")
        assert.deepStrictEqual(orders(), [1])
      }).pipe(Effect.provide(TestClock.layer()))
  )
})
