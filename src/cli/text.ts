/**
 * Text for terminals: made safe to show, cut to a width, and put into tables.
 */
import * as CliOutput from "effect/cli/CliOutput"

/** How many columns a text takes. */
export const width: (text: string) => number = CliOutput.displayWidth

// Control characters, those that turn the direction of text, and the separators of lines and paragraphs.
// eslint-disable-next-line no-control-regex
const unprintable = /[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g

/**
 * Of a terminal's 256 colours, some that can be read on dark and on light: of the sixteen that themes choose, some cannot
 * be read on one of them.
 */
export const colors = { red: 196, green: 64, yellow: 136, blue: 32, magenta: 133, cyan: 30 } as const

/** A text as it may go to a terminal. What would steer the terminal is written as JSON does it. */
export const safe = (text: string): string =>
  text.replace(unprintable, (character) => {
    const quoted = JSON.stringify(character).slice(1, -1)
    return quoted === character ? `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}` : quoted
  })

// What only chooses how text looks.
// eslint-disable-next-line no-control-regex
const styled = /(\u001b\[[\d;]*m)/

/** Lines that may be in colour, without anything else that would steer the terminal, whoever put it there. */
export const printable = (text: string): string =>
  text
    .split("\n")
    .map((line) =>
      line
        .split(styled)
        .map((part, i) => (i % 2 === 1 ? part : safe(part)))
        .join("")
    )
    .join("\n")

/** A name or a key in a sentence. */
export const quote = (text: string): string => `"${safe(text.replace(/["\\]/g, "\\$&"))}"`

/** A name or a key in a table: as it is, or quoted when it would not be recognized otherwise. */
export const name = (text: string): string => (safe(text) === text && /^\S(.*\S)?$/u.test(text) ? text : quote(text))

const segments = new Intl.Segmenter()

/** The beginning of a text, in at most so many columns. */
export const cut = (text: string, columns: number): string => {
  if (width(text) <= columns) return text
  if (columns < 1) return ""
  let result = ""
  let used = 1
  for (const { segment } of segments.segment(text)) {
    used += width(segment)
    if (used > columns) break
    result += segment
  }
  return `${result}…`
}

/** Fills a text up with spaces. */
export const pad = (text: string, columns: number): string => text + " ".repeat(Math.max(0, columns - width(text)))

/** A column of a table. */
export interface Column {
  readonly title: string
  /** The fewest columns of the terminal that it is cut to; never cut without. Those to the right are cut first. */
  readonly minimum?: number
  /** Whether its cells are worth nothing when cut: where they do not fit, each goes below its row. At most one column. */
  readonly whole?: boolean
  /** Whether it holds numbers. */
  readonly numeric?: boolean
  /** Puts a cell into colour. */
  readonly style?: (cell: string) => string
}

const gap = "  "

/** Lines of a table, its titles first; cut to the columns of the terminal, where there is one. */
export const table = (
  columns: ReadonlyArray<Column>,
  rows: ReadonlyArray<ReadonlyArray<string>>,
  available: number | undefined,
  styleTitle: (title: string) => string = (title) => title
): ReadonlyArray<string> => {
  const cells = rows.map((row) => columns.map((_, i) => row[i] ?? ""))
  const natural = columns.map(({ title }, i) => Math.max(width(title), ...cells.map((row) => width(row[i] ?? ""))))
  const whole = columns.findIndex((column) => column.whole)
  if (whole >= 0 && available !== undefined && leastWidth(columns, natural) > available) {
    const others = table(
      columns.toSpliced(whole, 1),
      cells.map((row) => row.toSpliced(whole, 1)),
      available,
      styleTitle
    )
    const below = [styleTitle(columns[whole]!.title), ...cells.map((row) => cut(row[whole]!, available - gap.length))]
    return others.flatMap((line, i) => [line, gap + below[i]!])
  }
  const widths = fit(columns, natural, available)
  const line = (row: ReadonlyArray<string>, style: (cell: string, column: Column) => string) =>
    row
      .map((cell, i) => {
        const column = columns[i]!
        const shown = cut(cell, widths[i]!)
        const space = " ".repeat(Math.max(0, widths[i]! - width(shown)))
        const styled = style(shown, column)
        if (column.numeric === true) return space + styled
        return i === row.length - 1 ? styled : styled + space
      })
      .join(gap)
      .trimEnd()
  return [
    line(
      columns.map(({ title }) => title),
      (title) => styleTitle(title)
    ),
    ...cells.map((row) => line(row, (cell, column) => column.style?.(cell) ?? cell))
  ]
}

const least = ({ minimum = Infinity }: Column, natural: number) => Math.min(natural, minimum)

const leastWidth = (columns: ReadonlyArray<Column>, natural: ReadonlyArray<number>): number =>
  columns.reduce((sum, column, i) => sum + least(column, natural[i]!), gap.length * (columns.length - 1))

const fit = (
  columns: ReadonlyArray<Column>,
  natural: ReadonlyArray<number>,
  available: number | undefined
): ReadonlyArray<number> => {
  if (available === undefined) return natural
  const widths = [...natural]
  let excess = widths.reduce((sum, each) => sum + each, gap.length * (widths.length - 1)) - available
  for (let i = columns.length - 1; i >= 0 && excess > 0; i--) {
    const given = Math.min(excess, widths[i]! - least(columns[i]!, widths[i]!))
    widths[i]! -= given
    excess -= given
  }
  return widths
}

/** A bar that is filled up to a part, in so many columns. */
export const bar = (current: number, total: number, columns: number): string => {
  const filled = Math.round((Math.min(current, total) / Math.max(total, 1)) * columns)
  return "█".repeat(filled) + "░".repeat(columns - filled)
}

/** A text on lines of at most so many columns, where its words allow. */
export const wrap = (text: string, columns: number): ReadonlyArray<string> => {
  const lines: Array<string> = []
  let line = ""
  for (const word of text.split(" ")) {
    if (line !== "" && width(line) + 1 + width(word) > columns) {
      lines.push(line)
      line = word
    } else {
      line = line === "" ? word : `${line} ${word}`
    }
  }
  return [...lines, line]
}

/** A number with its noun, as in `1 worker` and `2 workers`. */
export const count = (number: number, noun: string): string => `${number} ${noun}${number === 1 ? "" : "s"}`
