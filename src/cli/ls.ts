/**
 * `docket ls`: the executions that a docket lists: those that are live, and those that failed for good.
 */
import * as Command from "effect/cli/Command"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { Docket } from "../Docket.ts"
import type { ExecutionInfo } from "../Execution.ts"
import * as Flags from "./flags.ts"
import * as Json from "./json.ts"
import * as Moments from "./moments.ts"
import * as Output from "./output.ts"
import * as Store from "./store.ts"
import * as Text from "./text.ts"

const states = ["running", "queued", "scheduled", "failed"] as const

const flags = {
  task: Flags.text({ name: "task", description: "Only executions of this task", metavar: "name" }),
  state: Flags.oneOf(
    {
      name: "state",
      description: "Only executions in this state: running, queued, scheduled or failed",
      metavar: "state"
    },
    Object.fromEntries(states.map((state) => [state, state]))
  ),
  prefix: Flags.text({ name: "prefix", description: "Only executions whose key begins like this", metavar: "text" }),
  olderThan: Flags.optionalDuration({
    name: "older-than",
    description: "Only executions that started, failed or became due longer ago than this"
  }),
  newerThan: Flags.optionalDuration({
    name: "newer-than",
    description: "Only executions that started, failed or became due within this time; nothing for later"
  }),
  limit: Flags.count(
    {
      name: "limit",
      description: "How many to look at of those that run, of those to come, and of those that failed",
      metavar: "number"
    },
    1000
  ),
  json: Flags.json
}

type Filters = Pick<Command.Command.Config.Infer<typeof flags>, "task" | "state" | "prefix" | "olderThan" | "newerThan">

/** Lists executions. */
export const ls = Command.make(
  "ls",
  flags,
  Effect.fnUntraced(function* ({ json, limit, ...filters }) {
    const docket = yield* Docket
    const [snapshot, failed] = yield* Effect.all(
      [
        docket.snapshot({ limit: filters.state === "failed" ? 0 : limit }),
        filters.state === undefined || filters.state === "failed"
          ? docket.failed.list({ task: filters.task, limit })
          : Effect.succeed([])
      ],
      { concurrency: 2 }
    )
    const now = snapshot.taken.epochMilliseconds
    const found = [...snapshot.running, ...snapshot.upcoming, ...failed].filter((info) => matches(info, filters, now))
    if (json) yield* Output.json(found.map(Json.execution))
    else yield* print(found, now)
    const left = snapshot.total - snapshot.running.length - snapshot.upcoming.length
    if (left > 0 && filters.state !== "failed") {
      yield* Output.talk(`${left} live executions were not looked at; --limit ${snapshot.total} looks at all of them`)
    }
  }, Effect.provide(Store.layerShared))
).pipe(
  Command.withDescription(
    "List executions: what runs, what is due, what comes later, and what failed for good, the latest failure first. " +
      "Completed and cancelled executions are not listed; show KEY finds them while they are kept."
  ),
  Command.withShortDescription("List executions"),
  Command.withExamples([
    { command: "docket ls --state failed --task sendWelcome" },
    { command: "docket ls --state queued --older-than 5m", description: "What has been waiting for too long" },
    { command: "docket ls --prefix welcome- --json | jq -r .key" }
  ])
)

/** The moment that an execution's age counts from: when it started, failed, or was due. */
const since = ({ completed, due, started, state }: ExecutionInfo) =>
  (state === "running" ? started : state === "failed" ? completed : due) ?? due

const matches = (info: ExecutionInfo, { newerThan, olderThan, prefix, state, task }: Filters, now: number): boolean => {
  const age = now - since(info).epochMilliseconds
  return (
    (task === undefined || info.task === task) &&
    (state === undefined || info.state === state) &&
    (prefix === undefined || info.key.startsWith(prefix)) &&
    (olderThan === undefined || age > Duration.toMillis(olderThan)) &&
    (newerThan === undefined || (age >= 0 && age <= Duration.toMillis(newerThan)))
  )
}

const print = Effect.fnUntraced(function* (found: ReadonlyArray<ExecutionInfo>, now: number) {
  if (found.length === 0) return yield* Output.talk("There is no such execution")
  const { word } = yield* Output.look
  yield* Output.table(
    [
      { title: "State", style: (cell) => word(cell) },
      { title: "When" },
      { title: "Task", minimum: 8 },
      { title: "Key", minimum: 12 },
      { title: "Attempt", numeric: true },
      { title: "Worker or error", minimum: 16 }
    ],
    found.map((info) => [
      info.state,
      Moments.format(since(info), now),
      Text.safe(info.task),
      Text.name(info.key),
      String(info.attempt),
      Text.safe((info.state === "running" ? info.worker : info.error) ?? "")
    ])
  )
})
