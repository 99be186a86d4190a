/**
 * The `docket` command, apart from the process that it runs in: puts the commands together, and runs the one that the
 * arguments ask for.
 */
import * as Cause from "effect/Cause"
import * as CliConfig from "effect/cli/CliConfig"
import * as CliError from "effect/cli/CliError"
import * as Command from "effect/cli/Command"
import * as GlobalFlag from "effect/cli/GlobalFlag"
import * as TerminalCapabilities from "effect/cli/TerminalCapabilities"
import * as Config from "effect/Config"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as References from "effect/References"
import * as Stdio from "effect/Stdio"
import * as Struct from "effect/Struct"
import { completions } from "./completions.ts"
import * as Exits from "./exits.ts"
import * as Flags from "./flags.ts"
import * as Presenter from "./presenter.ts"
import { packageVersion } from "./packageVersion.ts"

// Each in a module of its own, so that a command loads what it needs, and not what the others do.
const commands = {
  worker: () => import("./commands/worker.ts").then(({ worker }) => worker),
  add: () => import("./commands/add.ts").then(({ add }) => add),
  replace: () => import("./commands/add.ts").then(({ replace }) => replace),
  cancel: () => import("./commands/cancel.ts").then(({ cancel }) => cancel),
  show: () => import("./commands/show.ts").then(({ show }) => show),
  explain: () => import("./commands/explain.ts").then(({ explain }) => explain),
  ls: () => import("./commands/ls.ts").then(({ ls }) => ls),
  failed: () => import("./commands/failed.ts").then(({ failed }) => failed),
  snapshot: () => import("./commands/snapshot.ts").then(({ snapshot }) => snapshot),
  workers: () => import("./commands/workers.ts").then(({ workers }) => workers),
  watch: () => import("./commands/watch.ts").then(({ watch }) => watch),
  tail: () => import("./commands/tail.ts").then(({ tail }) => tail),
  dash: () => import("./commands/dash.ts").then(({ dash }) => dash),
  doctor: () => import("./commands/doctor.ts").then(({ doctor }) => doctor),
  strike: () => import("./commands/strikes.ts").then(({ strike }) => strike),
  restore: () => import("./commands/strikes.ts").then(({ restore }) => restore),
  strikes: () => import("./commands/strikes.ts").then(({ strikes }) => strikes),
  pause: () => import("./commands/pause.ts").then(({ pause }) => pause),
  resume: () => import("./commands/pause.ts").then(({ resume }) => resume),
  backup: () => import("./commands/backup.ts").then(({ backup }) => backup),
  clear: () => import("./commands/clear.ts").then(({ clear }) => clear),
  tasks: () => import("./commands/tasks.ts").then(({ tasks }) => tasks),
  version: () => import("./commands/version.ts").then(({ version }) => version)
}

const isCommand = (word: string | undefined): word is keyof typeof commands =>
  word !== undefined && Object.hasOwn(commands, word)

const isCompletions = (word: string): boolean => word.startsWith("--completions")

/** The command line, of which those commands are known that it may need: the one that it begins with, or else all. */
const docket = Effect.gen(function* () {
  const args = yield* (yield* Stdio.Stdio).args
  const [first] = args
  const needed = isCommand(first) && !args.some(isCompletions) ? [first] : Struct.keys(commands)
  return Command.make("docket").pipe(
    Command.withDescription("Distributed background tasks for Effect, on Redis streams."),
    Command.withSubcommands(yield* Effect.promise(() => Promise.all(needed.map((name) => commands[name]())))),
    Command.withGlobalFlags([completions, Flags.DocketName, Flags.StoreUrl]),
    Command.withExamples([
      { command: "docket worker --tasks ./handlers.ts", description: "Run the tasks of a module" },
      { command: "docket worker --help", description: "Read about a command" }
    ])
  )
})

/** Runs what the arguments say, prints what there is to print, and completes with the exit code. */
export const run: Effect.Effect<number, never, Command.Environment> = Effect.gen(function* () {
  yield* Command.run(yield* docket, { version: yield* packageVersion })
  return 0
}).pipe(
  Effect.catchCause((cause) =>
    Effect.as(
      report(cause),
      Option.match(Cause.findErrorOption(cause), { onNone: () => Exits.codes.failed, onSome: codeOf })
    )
  ),
  // What commands have to say they print; the worker sets up its own logs.
  Effect.provideService(References.MinimumLogLevel, "None"),
  Effect.provide([
    CliConfig.layer({ builtIns: [GlobalFlag.Help, GlobalFlag.Version] }),
    Presenter.layer.pipe(Layer.provideMerge(TerminalCapabilities.layer))
  ])
)

const codeOf = (error: Exits.CommandError | CliError.CliError): number => {
  if (!CliError.isCliError(error)) return Exits.codeOf(error)
  return error._tag === "ShowHelp" && error.errors.length === 0 ? 0 : Exits.codes.usage
}

/** Says in a sentence what went wrong. A defect, which is ours to mend, is shown whole to who asks for that. */
const report = Effect.fnUntraced(function* (cause: Cause.Cause<Exits.CommandError | CliError.CliError>) {
  const error = Option.getOrUndefined(Cause.findErrorOption(cause))
  if (error !== undefined) {
    // The presenter had those about arguments.
    return yield* CliError.isCliError(error) || error._tag === "Ended"
      ? Effect.void
      : Console.error(`docket: ${Presenter.sentence(error.message)}`)
  }
  if (isDirectoryGone(Cause.squash(cause))) {
    return yield* Console.error("docket: The working directory has been deleted: change to another one")
  }
  const level = yield* Effect.orElseSucceed(Config.String("DOCKET_LOGGING_LEVEL"), () => "")
  if (/^(all|trace|debug)$/i.test(level)) return yield* Console.error(Cause.pretty(cause))
  const problem = Cause.prettyErrors(cause)
    .map(({ message }) => message)
    .join("; ")
  yield* Console.error(
    `docket: This is a defect of docket itself: ${Presenter.sentence(problem)}. Set DOCKET_LOGGING_LEVEL=debug to see where it comes from`
  )
})

/** Whatever has to know the working directory, such as a relative path, fails with this where it is no more. */
const isDirectoryGone = (error: unknown): boolean =>
  Predicate.hasProperty(error, "syscall") && error.syscall === "uv_cwd"
