/**
 * `docket version`.
 */
import * as Command from "effect/cli/Command"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import { packageVersion } from "../packageVersion.ts"

/** Prints the version, and nothing else. */
export const version = Command.make("version", {}, () => Effect.flatMap(packageVersion, Console.log)).pipe(
  Command.withDescription("Print the version of effect-docket, and nothing else."),
  Command.withShortDescription("Print the version"),
  Command.withExamples([{ command: "docket version" }])
)
