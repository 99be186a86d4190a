/**
 * `docket clear`: cancels everything that waits.
 */
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import { Docket } from "../../Docket.ts"
import { failWith } from "../../internal/docket/docketError.ts"
import { confirm } from "../confirm.ts"
import * as Flags from "../flags.ts"
import * as Output from "../output.ts"
import * as Store from "../store.ts"
import * as Text from "../text.ts"

/** Clears the docket. */
export const clear = Command.make(
  "clear",
  { yes: Flags.yes },
  Effect.fnUntraced(function* ({ yes }) {
    const docket = yield* Docket
    const { queued, scheduled } = yield* failWith(docket.store.depth)
    const waiting = queued + scheduled
    const name = Text.quote(docket.name)
    if (waiting > 0) yield* confirm(`Cancel ${Text.count(waiting, "execution")} waiting in docket ${name}?`, { yes })
    yield* Output.lines([`Cleared ${Text.count(yield* docket.clear, "execution")} from docket ${name}`])
  }, Effect.provide(Store.layerShared))
).pipe(
  Command.withDescription(
    "Cancel everything that waits: what is due, scheduled for later, or held back. What runs goes on. " +
      "On a terminal it asks first, with the number."
  ),
  Command.withShortDescription("Cancel everything that waits"),
  Command.withExamples([
    { command: "docket clear --docket shop" },
    { command: "docket clear --yes", description: "Without asking" }
  ])
)
