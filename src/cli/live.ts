/**
 * A block of lines at the end of a terminal that is drawn again and again, with other lines printed above it.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Terminal from "effect/Terminal"
import process from "node:process"
import * as Text from "./text.ts"

/** What is drawn. */
export interface Live {
  /** Prints lines above the block, and puts the block where it is shown from now on. */
  readonly show: (options: {
    readonly above?: ReadonlyArray<string>
    /** The block's lines, for a terminal with so many columns: no line may be longer. */
    readonly block: (columns: number) => ReadonlyArray<string>
  }) => Effect.Effect<void>
}

/** Begins with an empty block, below whatever the terminal shows. */
export const make: Effect.Effect<Live, never, Terminal.Terminal> = Effect.gen(function* () {
  const terminal = yield* Terminal.Terminal
  let drawn: ReadonlyArray<string> = []

  return {
    show: Effect.fnUntraced(function* ({ above = [], block }) {
      const columns = (yield* terminal.columns) || 80
      const rows = (yield* terminal.rows) || 24
      const lines = block(columns).slice(0, rows - 2)
      const output = [erase(drawn, columns), ...[...above, ...lines].map((line) => `${line}\n`)].join("")
      drawn = lines
      if (output !== "") yield* Effect.ignore(terminal.display(output))
    })
  }
})

/** Goes back to the beginning of the block. In a terminal that became narrower its lines have been wrapped. */
const erase = (drawn: ReadonlyArray<string>, columns: number): string => {
  const rows = drawn.reduce((sum, line) => sum + Math.max(1, Math.ceil(Text.width(line) / columns)), 0)
  return rows === 0 ? "" : `\x1b[${rows}A\r\x1b[0J`
}

const resized: Effect.Effect<void> = Effect.callback((resume) => {
  const onResize = () => resume(Effect.void)
  process.stdout.once("resize", onResize)
  return Effect.sync(() => process.stdout.off("resize", onResize))
})

/** Waits for so long, or until the terminal's size has changed. */
export const pause = (duration: Duration.Input): Effect.Effect<void> =>
  Effect.asVoid(Effect.timeoutOption(resized, duration))

/** Completes when nobody reads standard output any more, as in `docket tail | head`. */
export const readerGone: Effect.Effect<void> = Effect.callback((resume) => {
  const onError = () => resume(Effect.void)
  process.stdout.once("error", onError)
  return Effect.sync(() => process.stdout.off("error", onError))
})
