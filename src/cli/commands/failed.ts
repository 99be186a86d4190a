/**
 * `docket failed`: what failed for good, to look at, to run again, or to forget.
 */
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { Docket } from "../../Docket.ts"
import type { DocketError } from "../../DocketError.ts"
import { failWith } from "../../internal/docket/docketError.ts"
import { knownStrikes } from "../../internal/docket/knownStrikes.ts"
import { retryFailed } from "../../internal/docket/operations.ts"
import type { FailedFilter } from "../../Snapshot.ts"
import { keysArgument } from "./cancel.ts"
import { confirm } from "../confirm.ts"
import { NotFound, UsageError } from "../exits.ts"
import * as Flags from "../flags.ts"
import * as Json from "../json.ts"
import * as Moments from "../moments.ts"
import * as Output from "../output.ts"
import * as Store from "../store.ts"
import * as Text from "../text.ts"

const filters = {
  task: Flags.text({ name: "task", description: "Only executions of this task", metavar: "name" }),
  error: Flags.text({ name: "error", description: "Only executions whose error contains this text", metavar: "text" }),
  newerThan: Flags.optionalDuration({
    name: "newer-than",
    description: "Only executions that failed within this time"
  }),
  olderThan: Flags.optionalDuration({
    name: "older-than",
    description: "Only executions that failed longer ago than this"
  })
}

type Filters = Command.Command.Config.Infer<typeof filters>

const filterOf = Effect.fnUntraced(function* ({ error, newerThan, olderThan, task }: Filters) {
  const now = yield* yield* Store.StoreTime
  const ago = (duration: Duration.Duration | undefined) =>
    duration === undefined ? undefined : DateTime.makeUnsafe(now - Duration.toMillis(duration))
  return { task, error, since: ago(newerThan), until: ago(olderThan) } satisfies FailedFilter
})

const ls = Command.make(
  "ls",
  {
    ...filters,
    limit: Flags.count({ name: "limit", description: "The most to list, the latest first", metavar: "number" }, 100),
    json: Flags.json
  },
  Effect.fnUntraced(function* ({ json, limit, ...filters }) {
    const { failed, name } = yield* Docket
    const found = yield* failed.list({ ...(yield* filterOf(filters)), limit: limit + 1 })
    const shown = found.slice(0, limit)
    if (json) yield* Output.json(shown.map(Json.execution))
    else if (shown.length === 0) yield* Output.talk(`No execution of docket ${Text.quote(name)} has failed like that`)
    else {
      const now = yield* yield* Store.StoreTime
      yield* Output.table(
        [
          { title: "Failed" },
          { title: "Task", minimum: 8 },
          { title: "Key", whole: true },
          { title: "Attempts", numeric: true },
          { title: "Error", minimum: 20 }
        ],
        shown.map(({ attempt, completed, due, error, key, task }) => [
          Moments.format(completed ?? due, now),
          Text.safe(task),
          Text.name(key),
          String(attempt),
          Text.safe(error ?? "")
        ])
      )
    }
    const recurring = json ? [] : (yield* failed.recurring()).filter(({ task }) => task === (filters.task ?? task))
    if (recurring.length > 0) {
      yield* Output.talk(
        `${Text.count(recurring.length, "recurring task")} failed in the last run, and will run again: ` +
          `${recurring
            .slice(0, 5)
            .map(({ key }) => Text.name(key))
            .join(", ")}${recurring.length > 5 ? ", …" : ""}. ` +
          "docket show KEY tells how the last runs went"
      )
    }
    if (found.length > limit) yield* Output.talk(`There are more; --limit ${limit * 10} lists more of them`)
  }, Effect.provide(Store.layerShared))
).pipe(
  Command.withDescription(
    "List the executions that failed for good, the latest first. They are kept for 7 days unless configured."
  ),
  Command.withShortDescription("List what failed"),
  Command.withExamples([
    { command: "docket failed ls" },
    { command: "docket failed ls --task sendWelcome --error EmailBounced --newer-than 1h" }
  ])
)

const selection = {
  keys: keysArgument.pipe(Argument.variadic()),
  ...filters,
  all: Flags.toggle("all", "All that failed"),
  yes: Flags.yes
}

type Selection = Command.Command.Config.Infer<typeof selection>

/** What was done to each key; `undefined` for one of which there is no failed execution. */
type Act = (
  docket: Docket["Service"],
  keys: ReadonlyArray<string>
) => Effect.Effect<ReadonlyArray<"done" | "struck" | undefined>, DocketError>

const retryAll: Act = ({ name, store }, keys) =>
  Effect.map(retryFailed(store, knownStrikes(store, name), keys), (answers) =>
    answers.map((answer) => (answer === "retried" ? "done" : answer === "struck" ? answer : undefined))
  )

const discardAll: Act = ({ store }, keys) =>
  Effect.map(failWith(store.discardFailed(keys)), (answers) => answers.map((isDone) => (isDone ? "done" : undefined)))

const apply = Effect.fnUntraced(function* (
  { all, keys, yes, ...filters }: Selection,
  verb: { readonly asked: string; readonly done: string; readonly act: Act }
) {
  const isFiltered = Object.values(filters).some((value) => value !== undefined)
  if ([keys.length > 0, isFiltered, all].filter(Boolean).length !== 1) {
    return yield* new UsageError({
      message: "Say which: give keys, or filters such as --task and --error, or --all; one of the three"
    })
  }
  const service = yield* Docket
  const docket = Text.quote(service.name)
  const act = Effect.fnUntraced(function* (keys: ReadonlyArray<string>) {
    const done = yield* verb.act(service, keys)
    const struck = keys.filter((_, i) => done[i] === "struck")
    if (struck.length > 0) {
      const some = struck.slice(0, 5).map(Text.quote).join(", ") + (struck.length > 5 ? ", …" : "")
      yield* Output.talk(
        `${Text.count(struck.length, "execution")} stayed failed: struck (${some}). See docket strikes`
      )
    }
    return done
  })
  if (keys.length > 0) {
    const done = yield* act(keys)
    const unknown = keys.filter((_, i) => done[i] === undefined).map(Text.quote)
    const count = done.filter((answer) => answer === "done").length
    if (count > 0) yield* Output.lines([`${verb.done} ${Text.count(count, "execution")} of docket ${docket}`])
    if (unknown.length === 0) return
    return yield* new NotFound({ message: `There is no failed execution ${unknown.join(", ")} in docket ${docket}` })
  }
  const chosen = (yield* service.failed.list(yield* filterOf(filters))).map(({ key }) => key)
  if (chosen.length > 0) {
    yield* confirm(`${verb.asked} ${Text.count(chosen.length, "failed execution")} of docket ${docket}?`, { yes })
  }
  // Those that were counted, and none that failed meanwhile.
  const count = (yield* act(chosen)).filter((answer) => answer === "done").length
  yield* Output.lines([`${verb.done} ${Text.count(count, "execution")} of docket ${docket}`])
})

const retry = Command.make(
  "retry",
  selection,
  Effect.fnUntraced(function* (selection) {
    yield* apply(selection, { asked: "Run again", done: "Retried", act: retryAll })
  }, Effect.provide(Store.layerShared))
).pipe(
  Command.withDescription(
    "Run failed executions again, at once, with the payload that they had and a fresh budget of attempts. " +
      "Many at a time are asked about first, on a terminal."
  ),
  Command.withShortDescription("Run what failed again"),
  Command.withExamples([
    { command: "docket failed retry welcome-7 welcome-8" },
    { command: "docket failed retry --task sendWelcome --newer-than 1h --yes" },
    { command: "docket failed retry --all" }
  ])
)

const discard = Command.make(
  "discard",
  selection,
  Effect.fnUntraced(function* (selection) {
    yield* apply(selection, { asked: "Forget", done: "Discarded", act: discardAll })
  }, Effect.provide(Store.layerShared))
).pipe(
  Command.withDescription("Forget failed executions. Many at a time are asked about first, on a terminal."),
  Command.withShortDescription("Forget what failed"),
  Command.withExamples([
    { command: "docket failed discard welcome-7" },
    { command: "docket failed discard --error EmailBounced --older-than 24h --yes" }
  ])
)

/** What failed for good. */
export const failed = Command.make("failed").pipe(
  Command.withDescription("Look at the executions that failed for good, run them again, or forget them."),
  Command.withShortDescription("Deal with what failed"),
  Command.withSubcommands([ls, retry, discard]),
  Command.withExamples([{ command: "docket failed ls" }, { command: "docket failed retry --all" }])
)
