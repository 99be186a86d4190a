/**
 * A fleet under concurrency limits: 10,000 executions over 50 values, limits of 1 to 5, four worker processes, one of which
 * is killed and replaced every two seconds. It says what their ledger, outside Redis, has seen.
 *
 *     node bench/fleet.ts
 */
import { Console, Effect } from "effect"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Dockets } from "../src/index.ts"
import { runFleet } from "../test/processes/fleet.ts"
import * as RedisServer from "../test/support/RedisServer.ts"

const leaseMillis = 3_000

const program = Effect.gen(function* () {
  const { url } = yield* RedisServer.make()
  const directory = yield* Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "docket-fleet-"))),
    (directory) => Effect.sync(() => rmSync(directory, { recursive: true, force: true }))
  )
  const docket = yield* Dockets.make({ url, name: "fleet" })
  const outcome = yield* runFleet({
    docket,
    env: { DOCKET_URL: url, DOCKET_NAME: "fleet" },
    ledger: join(directory, "ledger"),
    executions: 10_000,
    values: 50,
    millis: 50,
    workers: 4,
    concurrency: 40,
    leaseMillis,
    kills: 100,
    killEveryMillis: 2_000
  })
  yield* Console.log(`${outcome.ended} of 10000 ended, in ${(outcome.took / 1000).toFixed(1)} s`)
  yield* Console.log(`${outcome.began} began, of which ${outcome.began - 10_000} again, after ${outcome.killed} deaths`)
  yield* Console.log(`${outcome.excesses.length} moments with more runs than a limit allows`)
  for (const excess of outcome.excesses.slice(0, 10)) yield* Console.log(`  ${excess}`)
  yield* Console.log(
    `at most ${Math.round(outcome.longestTakeOver)} ms from a death to the next begin of what it ran (lease: ${leaseMillis} ms)`
  )
})

Effect.runPromise(Effect.scoped(program))
