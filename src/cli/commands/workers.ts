/**
 * `docket workers`: who can take work.
 */
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import { Docket } from "../../Docket.ts"
import type { WorkerInfo } from "../../Snapshot.ts"
import * as Flags from "../flags.ts"
import * as Json from "../json.ts"
import * as Moments from "../moments.ts"
import * as Output from "../output.ts"
import * as Store from "../store.ts"
import * as Text from "../text.ts"

const ls = Command.make(
  "ls",
  { json: Flags.json },
  Effect.fnUntraced(function* ({ json }) {
    const docket = yield* Docket
    yield* print(yield* docket.workers, { json, none: `Docket ${Text.quote(docket.name)} has no live worker` })
  }, Effect.provide(Store.layerShared))
).pipe(
  Command.withDescription(
    "List the workers that can take work, the one heard of latest first, with the tasks they know."
  ),
  Command.withShortDescription("List the workers"),
  Command.withExamples([
    { command: "docket workers ls" },
    { command: "docket workers ls --json | jq -r .name", description: "Their names only" }
  ])
)

const forTask = Command.make(
  "for-task",
  {
    name: Argument.String("NAME").pipe(Argument.withDescription("The task's name")),
    json: Flags.json
  },
  Effect.fnUntraced(function* ({ json, name }) {
    const docket = yield* Docket
    yield* print(yield* docket.taskWorkers(name), {
      json,
      marked: name,
      none: `No live worker of docket ${Text.quote(docket.name)} knows task ${Text.quote(name)}`
    })
  }, Effect.provide(Store.layerShared))
).pipe(
  Command.withDescription("List the workers that know a task; among their tasks, it is marked with asterisks."),
  Command.withShortDescription("List the workers that know a task"),
  Command.withExamples([{ command: "docket workers for-task sendWelcome" }])
)

const forget = Command.make(
  "forget",
  { name: Argument.String("NAME").pipe(Argument.withDescription("The worker's name")) },
  Effect.fnUntraced(function* ({ name }) {
    const docket = yield* Docket
    const taken = yield* docket.forgetWorker(name)
    yield* Output.lines([
      taken === 0
        ? `Worker ${Text.quote(name)} held nothing of docket ${Text.quote(docket.name)}`
        : `Gave back ${Text.count(taken, "execution")} of docket ${Text.quote(docket.name)} that worker ${Text.quote(name)} held`
    ])
  }, Effect.provide(Store.layerShared))
).pipe(
  Command.withDescription(
    "Give back at once what a dead worker holds, rather than when its leases end. A worker that was heard of just now is " +
      "refused."
  ),
  Command.withShortDescription("Give back what a dead worker holds"),
  Command.withExamples([{ command: "docket workers forget web-1-4711-1" }])
)

/** Lists workers, and forgets them. */
export const workers = Command.make("workers").pipe(
  Command.withDescription("List workers, or give back what a dead one holds."),
  Command.withShortDescription("List workers"),
  Command.withSubcommands([ls, forTask, forget]),
  Command.withExamples([{ command: "docket workers ls" }, { command: "docket workers for-task sendWelcome" }])
)

const print = Effect.fnUntraced(function* (
  found: ReadonlyArray<WorkerInfo>,
  { json, marked, none }: { readonly json: boolean; readonly marked?: string; readonly none: string }
) {
  const workers = found.toSorted((a, b) => b.lastSeen.epochMilliseconds - a.lastSeen.epochMilliseconds)
  if (json) return yield* Output.json(workers.map(Json.worker))
  if (workers.length === 0) return yield* Output.talk(none)
  const now = yield* yield* Store.StoreTime
  const mark = (task: string) => (task === marked ? `*${Text.safe(task)}*` : Text.safe(task))
  yield* Output.table(
    [{ title: "Name", minimum: 12 }, { title: "Last Seen" }, { title: "Tasks", minimum: 12 }],
    workers.map(({ lastSeen, name, tasks }) => [
      Text.safe(name),
      Moments.format(lastSeen, now),
      tasks.length === 0 ? "(none)" : tasks.toSorted().map(mark).join(", ")
    ])
  )
})
