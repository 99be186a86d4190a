/**
 * What commands print: data on standard output, everything that is said about it on standard error.
 */
import * as TerminalCapabilities from "effect/cli/TerminalCapabilities"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Terminal from "effect/Terminal"
import * as Text from "./text.ts"

/** How output looks here. */
export interface Look {
  /** The columns of the terminal; none where the output goes elsewhere. */
  readonly columns: number | undefined
  readonly bold: (text: string) => string
  readonly dim: (text: string) => string
  /** Colours a word that stands for a state or a verdict. */
  readonly word: (word: string, text?: string) => string
}

const { blue, cyan, green, magenta, red, yellow } = Text.colors

const colors: Readonly<Record<string, number>> = {
  scheduled: cyan,
  queued: blue,
  running: magenta,
  completed: green,
  failed: red,
  cancelled: yellow,
  ok: green,
  warning: yellow,
  problem: red
}

/** How output looks on what standard output is connected to. */
export const look: Effect.Effect<Look, never, Terminal.Terminal> = Effect.gen(function* () {
  const { canAnimate, canColor } = yield* TerminalCapabilities.TerminalCapabilities
  const columns = canAnimate ? yield* (yield* Terminal.Terminal).columns : 0
  const style = (code: number | string, text: string) =>
    canColor && text !== "" ? `\x1b[${code}m${text}\x1b[0m` : text
  return {
    columns: columns > 0 ? columns : undefined,
    bold: (text) => style(1, text),
    dim: (text) => style(2, text),
    word: (word, text = word) => (colors[word] === undefined ? text : style(`38;5;${colors[word]}`, text))
  }
})

/** Prints lines of data. */
export const lines = (all: ReadonlyArray<string>): Effect.Effect<void> =>
  all.length === 0 ? Effect.void : Console.log(Text.printable(all.join("\n")))

/** Prints a table. */
export const table = (
  columns: ReadonlyArray<Text.Column>,
  rows: ReadonlyArray<ReadonlyArray<string>>
): Effect.Effect<void, never, Terminal.Terminal> =>
  Effect.flatMap(look, ({ bold, columns: available }) => lines(Text.table(columns, rows, available, bold)))

/** Prints objects for programs, one a line. */
export const json = (objects: ReadonlyArray<unknown>): Effect.Effect<void> =>
  lines(objects.map((object) => Text.safe(JSON.stringify(object))))

/** Says something about the data, or instead of it. */
export const talk = (sentence: string): Effect.Effect<void> => Console.error(Text.printable(sentence))
