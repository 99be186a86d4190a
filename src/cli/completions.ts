/**
 * `docket --completions`: scripts that let shells complete the command line.
 */
import * as Completions from "effect/cli/Completions"
import * as Flag from "effect/cli/Flag"
import * as GlobalFlag from "effect/cli/GlobalFlag"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"

/** The flag, which prints a script for a shell. */
export const completions = GlobalFlag.Action({
  flag: GlobalFlag.Completions.flag.pipe(Flag.withMetavar("<shell>")),
  run: (shell, { command }) =>
    Option.match(shell, {
      onNone: () => Effect.void,
      onSome: (shell) =>
        Console.log(Completions.generate(command.name, shell, complete(Completions.fromCommand(command))))
    })
})

const file: Completions.FlagType = { _tag: "Path", pathType: "file" }
const oneOf = (...values: ReadonlyArray<string>): Completions.FlagType => ({ _tag: "Choice", values })

/** What flags whose values are read as text are in truth. */
const types: ReadonlyMap<string, Completions.FlagType> = new Map([
  ["tasks", file],
  ["fallback-task", file],
  ["state", oneOf("running", "queued", "scheduled", "failed", "completed", "cancelled")],
  ["logging-level", oneOf("debug", "info", "warning", "error", "none")],
  ["logging-format", oneOf("plain", "json", "rich")]
])

const global = (name: string, description: string, tag: "Boolean" | "String"): Completions.FlagDescriptor => ({
  name,
  aliases: [],
  description,
  type: { _tag: tag },
  negation: false
})

/** The flags that every command has. */
const globals = [
  global("docket", "The docket's name", "String"),
  global("url", "Where the docket is kept", "String"),
  global("help", "Show help information", "Boolean")
]

const complete = (command: Completions.CommandDescriptor): Completions.CommandDescriptor => ({
  ...command,
  flags: [...command.flags.map((flag) => ({ ...flag, type: types.get(flag.name) ?? flag.type })), ...globals],
  subcommands: command.subcommands.map(complete)
})
