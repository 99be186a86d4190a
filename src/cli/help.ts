/**
 * The help of a command, as `effect/cli` formats it, on lines that fit.
 */
import * as Text from "./text.ts"

/** The columns of help that does not go to a terminal. */
export const defaultColumns = 80

/** The fewest columns that a description is wrapped to. */
const leastColumns = 20

/** What a line of a table begins with, up to its last column; of other lines, their indentation. */
const beginning = /^ +(?:\S.*? {2,}(?=\S))?/

/** Wraps help to so many columns. Commands stay whole, so that they can be copied. */
export const wrap = (help: string, columns: number): string => {
  let section = ""
  const lines = help.split("\n").flatMap((line) => {
    if (/^\S/.test(line)) section = line
    if (/USAGE|EXAMPLES/.test(section) || Text.width(line) <= columns) return line
    const [before = ""] = beginning.exec(line) ?? []
    const indentation = Text.width(before)
    return Text.wrap(line.slice(before.length), Math.max(leastColumns, columns - indentation)).map(
      (text, i) => (i === 0 ? before : " ".repeat(indentation)) + text
    )
  })
  return lines.join("\n")
}
