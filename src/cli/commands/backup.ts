/**
 * `docket backup`: copies the file that a docket is kept in.
 */
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import { failWith } from "../../internal/docket/docketError.ts"
import { UsageError } from "../exits.ts"
import * as Flags from "../flags.ts"
import * as Output from "../output.ts"
import * as Store from "../store.ts"
import * as Text from "../text.ts"

/** Copies a docket's file while it is in use. */
export const backup = Command.make(
  "backup",
  { file: Argument.String("FILE").pipe(Argument.withDescription("Where the copy goes; there is no such file yet")) },
  Effect.fnUntraced(function* ({ file }) {
    const url = yield* Flags.StoreUrl
    if (!Store.isFile(url)) {
      return yield* new UsageError({
        message:
          "Only a docket in a file, as in --url sqlite:./docket.db, is copied like this: a Redis has backups of its own"
      })
    }
    const inspection = yield* failWith(Store.inspectFile)
    const bytes = yield* failWith(inspection.backup(file))
    yield* Output.lines([`Copied ${Text.safe(inspection.path)} to ${Text.safe(file)}, ${bytes} bytes`])
  }, Effect.scoped)
).pipe(
  Command.withDescription(
    "Copy the file that a docket is kept in, as it is at one moment, while producers and workers go on. The copy is a " +
      "docket like any other, with all dockets of the file: use it with --url sqlite:FILE."
  ),
  Command.withShortDescription("Copy a docket's file"),
  Command.withExamples([{ command: "docket backup ./docket-2027-01-01.db --url sqlite:./docket.db" }])
)
