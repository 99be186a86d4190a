/**
 * Asks before something that cannot be undone, where there is someone to ask.
 */
import * as Prompt from "effect/cli/Prompt"
import * as Effect from "effect/Effect"
import * as Stdio from "effect/Stdio"
import * as Terminal from "effect/Terminal"
import process from "node:process"
import { CommandFailed } from "./exits.ts"

/** Asks a question, on standard error. Goes on if the answer is yes, or if `yes` says not to ask; else fails. */
export const confirm: (
  question: string,
  options: { readonly yes: boolean }
) => Effect.Effect<void, CommandFailed, Prompt.Environment | Stdio.Stdio> = Effect.fnUntraced(function* (
  question,
  { yes }
) {
  if (yes || !(yield* (yield* Stdio.Stdio).stdinIsTerminal)) return
  const terminal = yield* Terminal.Terminal
  const onStandardError = Terminal.make({
    ...terminal,
    display: (text) => Effect.sync(() => void process.stderr.write(text))
  })
  const isSure = yield* Prompt.run(Prompt.Confirm({ message: question })).pipe(
    Effect.provideService(Terminal.Terminal, onStandardError),
    // Ctrl-C is an answer as well.
    Effect.catchTag("QuitError", () => Effect.succeed(false))
  )
  if (!isSure) return yield* new CommandFailed({ message: "Nothing was changed" })
})
