/**
 * How commands end: the errors that they fail with, the sentence that each prints, and the code that the process exits
 * with.
 *
 * **Details**
 *
 * | code | meaning |
 * | --- | --- |
 * | 0 | done, or stopped by a signal in good order |
 * | 1 | failed |
 * | 2 | wrong usage: a flag, a variable, a URL, a module that does not fit |
 * | 3 | not found |
 * | 129, 130, 143 | ended by SIGHUP, SIGINT, SIGTERM; a worker drains, and ends with 0 |
 */
import type * as Config from "effect/Config"
import * as Schema from "effect/Schema"
import type { DocketError } from "../DocketError.ts"
import * as Text from "./text.ts"

/** The exit codes of the command. */
export const codes = { failed: 1, usage: 2, notFound: 3 } as const

/** Something was asked for in a way that cannot be understood or served. */
export class UsageError extends Schema.TaggedError<UsageError>("effect-docket/cli/UsageError")("UsageError", {
  message: Schema.String
}) {}

/** What was asked for could not be done. */
export class CommandFailed extends Schema.TaggedError<CommandFailed>("effect-docket/cli/CommandFailed")(
  "CommandFailed",
  { message: Schema.String }
) {}

/** A strike refused what was to be scheduled. */
export const refusedByStrike = (task: string): CommandFailed =>
  new CommandFailed({
    message: `A strike matches this execution of task ${Text.quote(task)}, so it was not scheduled; docket strikes lists the strikes`
  })

/** What was asked for does not exist. */
export class NotFound extends Schema.TaggedError<NotFound>("effect-docket/cli/NotFound")("NotFound", {
  message: Schema.String
}) {}

/** The command has ended with this code, and has said why. */
export class Ended extends Schema.TaggedError<Ended>("effect-docket/cli/Ended")("Ended", { code: Schema.Int }) {}

/** Everything that a command may fail with, apart from mistakes in its arguments. */
export type CommandError = UsageError | CommandFailed | NotFound | Ended | DocketError | Config.ConfigError

/** The exit code of an error. */
export const codeOf = (error: CommandError): number => {
  switch (error._tag) {
    case "UsageError":
    case "ConfigError":
      return codes.usage
    case "NotFound":
      return codes.notFound
    case "DocketError":
      return error.reason._tag === "StoreError" || error.reason._tag === "Overloaded" ? codes.failed : codes.usage
    case "Ended":
      return error.code
    case "CommandFailed":
      return codes.failed
  }
}
