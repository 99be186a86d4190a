/**
 * `docket version`, and the package's version for other commands.
 */
import * as Command from "effect/cli/Command"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Schema from "effect/Schema"
import { fileURLToPath } from "node:url"

// The package's root is two folders up, from `src/cli` and from `dist/cli`.
const manifest = fileURLToPath(new URL("../../package.json", import.meta.url))

const decodeManifest = Schema.decodeEffect(Schema.fromJsonString(Schema.Struct({ version: Schema.String })))

/** The version of this package. */
export const packageVersion: Effect.Effect<string, never, FileSystem.FileSystem> = Effect.gen(function* () {
  const text = yield* (yield* FileSystem.FileSystem).readFileString(manifest)
  return (yield* decodeManifest(text)).version
}).pipe(Effect.orDie)

/** Prints the version, and nothing else. */
export const version = Command.make("version", {}, () => Effect.flatMap(packageVersion, Console.log)).pipe(
  Command.withDescription("Print the version of effect-docket, and nothing else."),
  Command.withShortDescription("Print the version"),
  Command.withExamples([{ command: "docket version" }])
)
