/**
 * The version of this package.
 */
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
