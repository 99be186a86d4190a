/**
 * `docket snapshot`: what runs, what is to come, and how much of what.
 */
import * as Command from "effect/cli/Command"
import type * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import { Docket } from "../../Docket.ts"
import type { ExecutionInfo } from "../../Execution.ts"
import type { Snapshot } from "../../Snapshot.ts"
import * as Flags from "../flags.ts"
import * as Json from "../json.ts"
import * as Moments from "../moments.ts"
import * as Output from "../output.ts"
import * as Store from "../store.ts"
import * as Text from "../text.ts"

const flags = {
  stats: Flags.toggle("stats", "Add a table by task, most first"),
  limit: Flags.count(
    {
      name: "limit",
      description: "The most running executions to list, and the most of those to come",
      metavar: "number"
    },
    1000
  ),
  json: Flags.json
}

/** Looks at the docket. */
export const snapshot = Command.make(
  "snapshot",
  flags,
  Effect.fnUntraced(function* ({ json, limit, stats }) {
    const found = yield* (yield* Docket).snapshot({ limit })
    if (json) return yield* Output.json([jsonOf(found, stats)])
    yield* print(found)
    if (stats) yield* printStats(found)
    const left = found.total - found.running.length - found.upcoming.length
    if (left > 0) yield* Output.talk(`${left} more; --limit ${found.total} lists them all`)
  }, Effect.provide(Store.layerShared))
).pipe(
  Command.withDescription(
    "Look at a docket: its workers, what runs (first), and what is to come. It changes nothing, and needs no tasks."
  ),
  Command.withShortDescription("Look at the docket"),
  Command.withExamples([
    { command: "docket snapshot --docket shop", description: "What runs and what is to come in the docket shop" },
    { command: "docket snapshot --stats", description: "The same, and a table by task" },
    { command: "docket snapshot --json | jq .queued", description: "How many executions are due and not started" }
  ])
)

const print = Effect.fnUntraced(function* (found: Snapshot) {
  const { bold } = yield* Output.look
  yield* Output.lines([
    `Docket ${bold(Text.quote(found.docket))} as of ${Moments.formatLocal(found.taken)}`,
    `${Text.count(found.workers.length, "worker")}, ${found.runningTotal}/${found.total} running`
  ])
  if (found.running.length + found.upcoming.length === 0) return
  const now = found.taken.epochMilliseconds
  const row = ({ due, key, started, state, task, worker }: ExecutionInfo) => [
    Moments.format(due, now),
    Text.safe(task),
    Text.name(key),
    state === "running" ? Text.safe(worker ?? "") : "",
    state === "running" && started !== undefined ? Moments.format(started, now) : ""
  ]
  yield* Output.lines([""])
  yield* Output.table(
    [
      { title: "When" },
      { title: "Task", minimum: 8 },
      { title: "Key", whole: true },
      { title: "Worker", minimum: 8 },
      { title: "Started" }
    ],
    [...found.running, ...found.upcoming].map(row)
  )
})

interface Stats {
  readonly task: string
  total: number
  running: number
  queued: number
  oldest: DateTime.Utc | undefined
  latest: DateTime.Utc | undefined
}

/** Counts by task, most first. What waits counts as queued, also for later. */
const statsOf = (found: Snapshot): ReadonlyArray<Stats> => {
  const stats = new Map<string, Stats>()
  const of = (task: string) => {
    const known = stats.get(task) ?? { task, total: 0, running: 0, queued: 0, oldest: undefined, latest: undefined }
    stats.set(task, known)
    known.total++
    return known
  }
  for (const { task } of found.running) of(task).running++
  for (const { due, task } of found.upcoming) {
    const known = of(task)
    known.queued++
    if (known.oldest === undefined || due.epochMilliseconds < known.oldest.epochMilliseconds) known.oldest = due
    if (known.latest === undefined || due.epochMilliseconds > known.latest.epochMilliseconds) known.latest = due
  }
  return [...stats.values()].toSorted((a, b) => b.total - a.total || (a.task < b.task ? -1 : 1))
}

const printStats = Effect.fnUntraced(function* (found: Snapshot) {
  const stats = statsOf(found)
  if (stats.length === 0) return
  const now = found.taken.epochMilliseconds
  const when = (moment: DateTime.Utc | undefined) => (moment === undefined ? "" : Moments.format(moment, now))
  yield* Output.lines([""])
  yield* Output.table(
    [
      { title: "Task", minimum: 8 },
      { title: "Total", numeric: true },
      { title: "Running", numeric: true },
      { title: "Queued", numeric: true },
      { title: "Oldest Queued", minimum: 20 },
      { title: "Latest Queued", minimum: 20 }
    ],
    stats.map(({ latest, oldest, queued, running, task, total }) => [
      Text.safe(task),
      String(total),
      String(running),
      String(queued),
      when(oldest),
      when(latest)
    ])
  )
})

const jsonOf = (found: Snapshot, stats: boolean) => ({
  docket: found.docket,
  taken: Json.moment(found.taken),
  total: found.total,
  queued: found.queued,
  scheduled: found.scheduled,
  runningTotal: found.runningTotal,
  running: found.running.map(Json.execution),
  upcoming: found.upcoming.map(Json.execution),
  workers: found.workers.map(Json.worker),
  ...(stats
    ? {
        stats: statsOf(found).map(({ latest, oldest, ...counts }) => ({
          ...counts,
          oldestQueued: Json.moment(oldest),
          latestQueued: Json.moment(latest)
        }))
      }
    : {})
})
