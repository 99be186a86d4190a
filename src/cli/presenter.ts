/**
 * How the command line answers mistakes in its arguments: with a sentence, rather than with the whole help.
 */
import type * as CliError from "effect/cli/CliError"
import * as CliOutput from "effect/cli/CliOutput"
import * as TerminalCapabilities from "effect/cli/TerminalCapabilities"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Terminal from "effect/Terminal"
import { redact } from "../store/redis/connection/Connection.ts"
import * as Help from "./help.ts"
import * as Output from "./output.ts"
import * as Text from "./text.ts"

/** Prints help that fits, the version alone, and for a mistake what it is and where to read more. */
export const layer: Layer.Layer<never, never, Terminal.Terminal> = Layer.effect(
  CliOutput.Presenter,
  Effect.gen(function* () {
    const { columns = Help.defaultColumns } = yield* Output.look
    const { canColor: colors } = yield* TerminalCapabilities.TerminalCapabilities
    const { formatHelpDoc } = CliOutput.defaultFormatter({ colors })
    return {
      present: (event) => {
        switch (event._tag) {
          case "Help":
            return Console.log(Help.wrap(formatHelpDoc(event.helpDoc), columns))
          case "Version":
            return Console.log(event.version)
          case "InvalidInvocation": {
            const command = event.commandPath.join(" ")
            return Console.error(`${command}: ${event.errors.map(describe).join("; ")}. See ${command} --help`)
          }
        }
      }
    }
  })
)

/**
 * A text on one line that steers no terminal, without the wrapping that schema errors come in, and without the password of
 * a docket's URL.
 */
export const sentence = (text: string): string =>
  Text.safe(
    text
      .replace(/SchemaError\((.*)\)/s, "$1")
      .trim()
      .replace(/\s*\n\s*/g, " ")
      .replace(/\b(?:rediss?|valkeys?|unix|memory)(?:\+\w+)?:\S+/gi, redact)
  )

const describe = (error: CliError.NonShowHelpErrors): string =>
  // What was typed may be a URL with a password, in the wrong place, or with a mistake in it.
  sentence(problemOf(error)).replace(/[\w+]+:\/\/(?:.*@)?\S*/g, redact)

const problemOf = (error: CliError.NonShowHelpErrors): string => {
  switch (error._tag) {
    case "UnrecognizedOption":
      return `there is no flag ${error.option}${meant(error.suggestions)}`
    case "UnknownSubcommand":
      return `there is no command ${error.subcommand}${meant(error.suggestions)}`
    default:
      return error.message.replace(/\.$/, "")
  }
}

const meant = (suggestions: ReadonlyArray<string>): string =>
  suggestions.length === 0 ? "" : ` (did you mean ${suggestions.join(" or ")}?)`
