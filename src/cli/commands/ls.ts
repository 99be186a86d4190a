/**
 * `docket ls`: the executions that are live or failed for good, which the store has lists of; and those that were completed
 * or cancelled, which have to be looked for.
 */
import * as Command from "effect/cli/Command"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { Docket } from "../../Docket.ts"
import { isSettled } from "../../DocketStore.ts"
import type { ExecutionInfo } from "../../Execution.ts"
import { failWith } from "../../internal/docket/docketError.ts"
import { infoOf } from "../../internal/docket/info.ts"
import * as Inspection from "../../store/redis/Inspection.ts"
import * as Flags from "../flags.ts"
import * as Json from "../json.ts"
import * as Moments from "../moments.ts"
import * as Output from "../output.ts"
import * as Store from "../store.ts"
import * as Text from "../text.ts"

const listed = ["running", "queued", "scheduled", "failed"] as const
const unlisted = ["completed", "cancelled"] as const
const states = [...listed, ...unlisted]

const flags = {
  task: Flags.text({ name: "task", description: "Only executions of this task", metavar: "name" }),
  state: Flags.oneOf(
    {
      name: "state",
      description:
        "Only executions in this state: running, queued, scheduled or failed; or completed or cancelled, which are not " +
        "listed otherwise, since the store has to go through all its records for them",
      metavar: "state"
    },
    Object.fromEntries(states.map((state) => [state, state]))
  ),
  prefix: Flags.text({ name: "prefix", description: "Only executions whose key begins like this", metavar: "text" }),
  olderThan: Flags.optionalDuration({
    name: "older-than",
    description: "Only executions that started, ended or became due longer ago than this"
  }),
  newerThan: Flags.optionalDuration({
    name: "newer-than",
    description: "Only executions that started, ended or became due within this time; nothing for later"
  }),
  limit: Flags.count(
    {
      name: "limit",
      description:
        "How many to look at of those that run, of those to come, and of those that failed; of those that were completed " +
        "or cancelled, how many to find",
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
    const found = yield* isUnlisted(filters.state) ? search(filters, limit) : list(filters, limit)
    if (json) yield* Output.json(found.executions.map(Json.execution))
    else yield* print(found.executions, yield* yield* Store.StoreTime)
    if (found.left !== undefined) yield* Output.talk(found.left)
  }, Effect.provide(Store.layerShared))
).pipe(
  Command.withDescription(
    "List executions: what runs, what is due, what comes later, and what failed for good, the latest failure first; " +
      "or, with --state, what was completed or cancelled and is still kept, the latest first."
  ),
  Command.withShortDescription("List executions"),
  Command.withExamples([
    { command: "docket ls --state failed --task sendWelcome" },
    { command: "docket ls --state queued --older-than 5m", description: "What has been waiting for too long" },
    { command: "docket ls --prefix welcome- --json | jq -r .key" },
    { command: "docket ls --state completed --newer-than 5m", description: "What was completed just now" }
  ])
)

/** What was found, and what there is to say about what was not. */
interface Found {
  readonly executions: ReadonlyArray<ExecutionInfo>
  readonly left: string | undefined
}

const isUnlisted = (state: Filters["state"]): boolean => unlisted.some((each) => each === state)

const list = Effect.fnUntraced(function* (filters: Filters, limit: number) {
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
  const unseen = snapshot.total - snapshot.running.length - snapshot.upcoming.length
  return {
    executions: [...snapshot.running, ...snapshot.upcoming, ...failed].filter((info) => matches(info, filters, now)),
    left:
      unseen > 0 && filters.state !== "failed"
        ? `${unseen} live executions were not looked at; --limit ${snapshot.total} looks at all of them`
        : undefined
  } satisfies Found
})

/** How often a store is asked for some of its records, at most: it has others to serve. */
const mostScans = 1000

/** Looks for executions among all records. */
const search = Effect.fnUntraced(
  function* (filters: Filters, limit: number) {
    const { name, store } = yield* Docket
    const url = yield* Flags.StoreUrl
    const place = Store.isFile(url) ? yield* Store.inspectFile : yield* Inspection.make({ url, name })
    const now = yield* yield* Store.StoreTime
    const found = new Map<string, ExecutionInfo>()
    let cursor = "0"
    let scans = 0
    do {
      const page = yield* place.executions({ cursor, prefix: filters.prefix ?? "" })
      cursor = page.cursor
      for (const record of yield* store.read(page.keys)) {
        if (Option.isNone(record)) continue
        const info = infoOf(record.value)
        if (matches(info, filters, now)) found.set(info.key, info)
      }
    } while (cursor !== "0" && ++scans < mostScans && found.size <= limit)
    return {
      executions: [...found.values()].toSorted((a, b) => DateTime.Order(since(b), since(a))).slice(0, limit),
      left:
        found.size > limit
          ? `There may be more; --limit ${limit * 10} looks for more of them`
          : cursor !== "0"
            ? `There may be more: the store has more than the ${mostScans * Inspection.keysPerScan} records that were looked at`
            : undefined
    } satisfies Found
  },
  failWith,
  Effect.scoped
)

/** The moment that an execution's age counts from: when it started, ended, or was due. */
const since = ({ completed, due, started, state }: ExecutionInfo): DateTime.Utc =>
  (state === "running" ? started : isSettled(state) ? completed : due) ?? due

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
      { title: "Key", whole: true },
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
