/**
 * Asks before something that cannot be undone, where there is someone to ask.
 */
import * as Prompt from "effect/cli/Prompt"
import * as Effect from "effect/Effect"
import * as Stdio from "effect/Stdio"
import * as Stream from "effect/Stream"
import * as Terminal from "effect/Terminal"
import { CommandFailed } from "./exits.ts"

/** Asks a question, on standard error. Goes on if the answer is yes, or if `yes` says not to ask; else fails. */
export const confirm: (
  question: string,
  options: { readonly yes: boolean }
) => Effect.Effect<void, CommandFailed, Prompt.Environment | Stdio.Stdio> = Effect.fnUntraced(function* (
  question,
  { yes }
) {
  const stdio = yield* Stdio.Stdio
  if (yes || !(yield* stdio.stdinIsTerminal)) return
  const terminal = yield* Terminal.Terminal
  const onStandardError = Terminal.make({
    ...terminal,
    display: (text) => Stream.run(Stream.make(text), stdio.stderr({ endOnDone: false }))
  })
  const isSure = yield* Prompt.run(Prompt.Confirm({ message: question })).pipe(
    Effect.provideService(Terminal.Terminal, onStandardError),
    // Ctrl-C is an answer as well.
    Effect.catchTag("QuitError", () => Effect.succeed(false))
  )
  if (!isSure) return yield* new CommandFailed({ message: "Nothing was changed" })
})
