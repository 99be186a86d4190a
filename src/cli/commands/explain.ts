/**
 * `docket explain`: why an execution is not running.
 */
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import { Docket } from "../../Docket.ts"
import { keysArgument } from "./cancel.ts"
import { NotFound } from "../exits.ts"
import * as Flags from "../flags.ts"
import * as Output from "../output.ts"
import * as Store from "../store.ts"
import * as Text from "../text.ts"

/** Explains an execution. */
export const explain = Command.make(
  "explain",
  { key: keysArgument, json: Flags.json },
  Effect.fnUntraced(function* ({ json, key }) {
    const { _tag: reason, message, ...data } = yield* (yield* Docket).explain(key)
    if (reason === "Unknown") return yield* new NotFound({ message: Text.safe(message) })
    if (json) return yield* Output.json([{ reason, message, ...data }])
    yield* Output.lines([Text.safe(message)])
  }, Effect.provide(Store.layerShared))
).pipe(
  Command.withDescription(
    "Say in one sentence why an execution is not running: it is not due, nobody knows its task, others come first, a " +
      "limit, a strike or a pause holds it, it waits for another attempt, or it has ended."
  ),
  Command.withShortDescription("Say why an execution is not running"),
  Command.withExamples([
    { command: "docket explain welcome-7" },
    { command: "docket explain welcome-7 --json | jq -r .reason" }
  ])
)
