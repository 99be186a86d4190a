/**
 * `docket tasks`: adds one of the tasks that every worker knows.
 */
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as BuiltIn from "../../BuiltIn.ts"
import { Docket } from "../../Docket.ts"
import type { Execution } from "../../Execution.ts"
import { refusedByStrike } from "../exits.ts"
import * as Flags from "../flags.ts"
import * as Output from "../output.ts"
import * as Store from "../store.ts"
import * as Text from "../text.ts"

const delay = Flags.optionalDuration({ name: "delay", description: "How long to wait before it is due" })

const message = Argument.String("MESSAGE").pipe(
  Argument.withDescription("What it says (default: Howdy!)"),
  Argument.withDefault("Howdy!")
)

const trace = Command.make(
  "trace",
  { message, delay },
  Effect.fnUntraced(function* ({ delay, message }) {
    yield* report(yield* (yield* Docket).add(BuiltIn.Trace, { message }, optionsOf(delay)))
  }, Effect.provide(Store.layerShared))
).pipe(
  Command.withDescription("Add a task that logs a message, with its key, docket, age and worker."),
  Command.withShortDescription("Add a task that logs a message"),
  Command.withExamples([{ command: "docket tasks trace 'Is anybody there?' --delay 10s" }])
)

const fail = Command.make(
  "fail",
  { message, delay },
  Effect.fnUntraced(function* ({ delay, message }) {
    yield* report(yield* (yield* Docket).add(BuiltIn.Fail, { message }, optionsOf(delay)))
  }, Effect.provide(Store.layerShared))
).pipe(
  Command.withDescription("Add a task that fails with a message, and once more when it is tried again."),
  Command.withShortDescription("Add a task that fails"),
  Command.withExamples([{ command: "docket tasks fail 'Does the alarm go off?'" }])
)

const sleep = Command.make(
  "sleep",
  {
    seconds: Argument.Finite("SECONDS").pipe(
      Argument.withDescription("How long it takes, in seconds (default: 1)"),
      Argument.withDefault(1)
    ),
    delay
  },
  Effect.fnUntraced(function* ({ delay, seconds }) {
    yield* report(yield* (yield* Docket).add(BuiltIn.Sleep, { seconds }, optionsOf(delay)))
  }, Effect.provide(Store.layerShared))
).pipe(
  Command.withDescription("Add a task that takes so many seconds; fractions are fine."),
  Command.withShortDescription("Add a task that takes a while"),
  Command.withExamples([{ command: "docket tasks sleep 2.5" }])
)

/** Adds built-in tasks. */
export const tasks = Command.make("tasks").pipe(
  Command.withDescription("Add a task that every worker knows, to see that a docket works."),
  Command.withShortDescription("Try the docket out"),
  Command.withSubcommands([trace, fail, sleep]),
  Command.withExamples([{ command: "docket tasks trace 'Hello'" }])
)

const optionsOf = (delay: Duration.Duration | undefined) => (delay === undefined ? {} : { delay })

const report = Effect.fnUntraced(function* ({ disposition, key, task }: Execution<unknown, unknown>) {
  if (disposition === "struck") return yield* refusedByStrike(task)
  const { name } = yield* Docket
  yield* Output.lines([`Added task ${Text.quote(task)} under key ${Text.quote(key)} to docket ${Text.quote(name)}`])
})
