/**
 * A fleet under concurrency limits: 10,000 executions over 50 values, limits of 1 to 5, four worker processes; first
 * undisturbed, then with one of them killed and replaced every two seconds. It says what their ledger, outside Redis, has
 * seen, and ends with 1 when a promise was broken.
 *
 *     node bench/fleet.ts
 */
import { Console, Effect, Option } from "effect"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type Docket, Dockets } from "../src/index.ts"
import { runFleet } from "../test/processes/fleet.ts"
import * as RedisServer from "../test/support/RedisServer.ts"

const executions = 10_000
const values = 50
const leaseMillis = 3_000
/** How long after the end of its lease a slot may stay taken, in milliseconds. */
const graceMillis = 1_000

const program = Effect.gen(function* () {
  const redis = yield* RedisServer.make()
  const directory = yield* Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "docket-fleet-"))),
    (directory) => Effect.sync(() => rmSync(directory, { recursive: true, force: true }))
  )
  const broken: Array<string> = []
  for (const [name, kills] of [
    ["undisturbed", 0],
    ["killed", 100]
  ] as const) {
    const docket = yield* Dockets.make({ url: redis.url, name })
    const outcome = yield* runFleet({
      docket,
      env: { DOCKET_URL: redis.url, DOCKET_NAME: name },
      ledger: join(directory, name),
      executions,
      values,
      millis: 50,
      workers: 4,
      concurrency: 40,
      leaseMillis,
      kills,
      killEveryMillis: 2_000
    })
    const disorderly = yield* outOfOrder(docket, outcome.order)
    const slots = yield* redis.cli("KEYS", `{${name}}:slots:*`)
    const takeOver = Math.round(outcome.longestTakeOver)
    yield* Console.log(
      [
        `${name}:`,
        `${outcome.ended} of ${executions} ended, in ${(outcome.took / 1000).toFixed(1)} s`,
        `${outcome.began} began, of which ${outcome.began - executions} again, after ${outcome.killed} deaths`,
        `${outcome.excesses.length} moments with more runs than a limit allows`,
        `${disorderly.length} of ${values} values with a start that was not in order of arrival`,
        ...(kills === 0
          ? []
          : [`at most ${takeOver} ms from a death to the next begin of what it ran (lease: ${leaseMillis} ms)`])
      ].join("\n  ")
    )
    broken.push(...outcome.excesses, ...disorderly)
    if (outcome.ended < executions) broken.push(`${executions - outcome.ended} did not end`)
    if (kills === 0 && outcome.began > executions) broken.push("some began twice")
    if (takeOver > leaseMillis + graceMillis) broken.push(`a slot stayed taken for ${takeOver} ms`)
    if (slots !== "") broken.push(`slots that nobody holds are taken: ${slots}`)
  }
  for (const sentence of broken.slice(0, 20)) yield* Console.log(`BROKEN: ${sentence}`)
  process.exitCode = broken.length === 0 ? 0 : 1
})

/**
 * The values whose executions did not start in the order in which they arrived, by the clock of Redis. Those that a killed
 * worker had taken start anew, and do not count.
 */
const outOfOrder = Effect.fnUntraced(function* (
  docket: Docket["Service"],
  orders: ReadonlyMap<string, ReadonlyArray<number>>
) {
  const disorderly: Array<string> = []
  for (const [control, ids] of orders) {
    const arrived = ids.toSorted((a, b) => a - b).map((id) => `e${id}`)
    const records = (yield* docket.store.read(arrived)).flatMap(Option.toArray)
    const starts = records.filter(({ deliveries }) => deliveries === 1).map(({ started }) => started ?? 0)
    const late = starts.findIndex((start, i) => i > 0 && start < starts[i - 1]!)
    if (late >= 0) disorderly.push(`${control}: the ${late + 1}th of ${starts.length} started before the one in front`)
  }
  return disorderly
})

Effect.runPromise(Effect.scoped(program))
