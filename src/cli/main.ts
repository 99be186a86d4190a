/**
 * The `docket` command: puts the commands together, runs one, and ends the process with the code that fits.
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Cause from "effect/Cause"
import * as CliConfig from "effect/cli/CliConfig"
import * as CliError from "effect/cli/CliError"
import * as CliOutput from "effect/cli/CliOutput"
import * as Command from "effect/cli/Command"
import * as GlobalFlag from "effect/cli/GlobalFlag"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as References from "effect/References"
import * as Runtime from "effect/Runtime"
import process from "node:process"
import { add, replace } from "./add.ts"
import { cancel } from "./cancel.ts"
import { clear } from "./clear.ts"
import { doctor } from "./doctor.ts"
import * as Exits from "./exits.ts"
import { explain } from "./explain.ts"
import { failed } from "./failed.ts"
import * as Flags from "./flags.ts"
import { ls } from "./ls.ts"
import { pause, resume } from "./pause.ts"
import { presenter, sentence } from "./presenter.ts"
import { show } from "./show.ts"
import { snapshot } from "./snapshot.ts"
import { restore, strike, strikes } from "./strikes.ts"
import { tail } from "./tail.ts"
import { tasks } from "./tasks.ts"
import { packageVersion, version } from "./version.ts"
import { watch } from "./watch.ts"
import { worker } from "./worker.ts"
import { workers } from "./workers.ts"

const docket = Command.make("docket").pipe(
  Command.withDescription("Distributed background tasks for Effect, on Redis streams."),
  Command.withSubcommands([
    worker,
    add,
    replace,
    cancel,
    show,
    explain,
    ls,
    failed,
    snapshot,
    workers,
    watch,
    tail,
    doctor,
    strike,
    restore,
    strikes,
    pause,
    resume,
    clear,
    tasks,
    version
  ]),
  Command.withGlobalFlags([Flags.DocketName, Flags.StoreUrl]),
  Command.withExamples([
    { command: "docket worker --tasks ./handlers.ts", description: "Run the tasks of a module" },
    { command: "docket worker --help", description: "Read about a command" }
  ])
)

const main = Effect.flatMap(packageVersion, (version) => Command.run(docket, { version })).pipe(
  Effect.catchCause((cause) => {
    const code = Option.match(Cause.findErrorOption(cause), { onNone: () => Exits.codes.failed, onSome: codeOf })
    return Effect.andThen(
      Effect.sync(() => {
        process.exitCode = code
      }),
      report(cause)
    )
  }),
  // What commands have to say they print; the worker sets up its own logs.
  Effect.provideService(References.MinimumLogLevel, "None"),
  Effect.provide([
    NodeServices.layer,
    CliConfig.layer({ builtIns: [GlobalFlag.Help, GlobalFlag.Version, GlobalFlag.Completions] }),
    CliOutput.layerPresenter(presenter)
  ])
)

const codeOf = (error: Exits.CommandError | CliError.CliError): number => {
  if (!CliError.isCliError(error)) return Exits.codeOf(error)
  return error._tag === "ShowHelp" && error.errors.length === 0 ? 0 : Exits.codes.usage
}

/** Says what went wrong: a sentence for what was foreseen, else the whole cause, which is ours to mend. */
const report = (cause: Cause.Cause<Exits.CommandError | CliError.CliError>): Effect.Effect<void> => {
  const error = Option.getOrUndefined(Cause.findErrorOption(cause))
  if (error === undefined) return Console.error(Cause.pretty(cause))
  // The presenter had these.
  return CliError.isCliError(error) ? Effect.void : Console.error(`docket: ${sentence(error.message)}`)
}

/** Ends the process, whatever a module has left open, once everything that was printed is out. */
const exit = () => process.stdout.write("", () => process.stderr.write("", () => process.exit()))

// Whoever read our output may have gone, as in `docket snapshot | head`.
process.stdout.on("error", () => {})
process.stderr.on("error", () => {})

Runtime.makeRunMain(({ fiber }) => fiber.addObserver(exit))(main, { disableErrorReporting: true })
