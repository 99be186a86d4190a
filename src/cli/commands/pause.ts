/**
 * `docket pause` and `docket resume`: hold back a task, or everything.
 */
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { Docket } from "../../Docket.ts"
import * as Output from "../output.ts"
import * as Store from "../store.ts"
import * as Text from "../text.ts"

const task = Argument.String("TASK").pipe(
  Argument.withDescription("The task's name; without it, the whole docket"),
  Argument.optional,
  Argument.map(Option.getOrUndefined)
)

const what = (task: string | undefined, name: string): string =>
  task === undefined ? `docket ${Text.quote(name)}` : `task ${Text.quote(task)} in docket ${Text.quote(name)}`

/** Holds back. */
export const pause = Command.make(
  "pause",
  { task },
  Effect.fnUntraced(function* ({ task }) {
    const docket = yield* Docket
    yield* docket.pause(task)
    yield* Output.lines([`Paused ${what(task, docket.name)}`])
  }, Effect.provide(Store.layerShared))
).pipe(
  Command.withDescription(
    "Let no execution of a task start, or none at all, until it is resumed. They are scheduled as usual, and wait; what " +
      "runs goes on."
  ),
  Command.withShortDescription("Hold back a task, or everything"),
  Command.withExamples([
    { command: "docket pause sendWelcome" },
    { command: "docket pause", description: "Everything" }
  ])
)

/** Lets go on. */
export const resume = Command.make(
  "resume",
  { task },
  Effect.fnUntraced(function* ({ task }) {
    const docket = yield* Docket
    yield* docket.resume(task)
    yield* Output.lines([`Resumed ${what(task, docket.name)}`])
    const { all, tasks } = yield* docket.paused
    const still = [...(all ? ["everything"] : []), ...tasks.map(Text.quote)]
    if (still.length > 0) yield* Output.talk(`Still paused: ${still.join(", ")}`)
  }, Effect.provide(Store.layerShared))
).pipe(
  Command.withDescription("Let the executions of a task go on, or those that a pause of the whole docket holds."),
  Command.withShortDescription("Let go on what was paused"),
  Command.withExamples([{ command: "docket resume sendWelcome" }, { command: "docket resume" }])
)
