/**
 * Calendar expressions as they are typed, made into such as `Cron` reads.
 */
import * as Result from "effect/Result"

/** An expression of which it is known what `Cron` makes of it. */
export interface CronText {
  readonly text: string
  /** Whether it names every hour, or every so many minutes. */
  readonly isFrequent: boolean
}

interface Field {
  readonly name: string
  readonly first: number
  readonly last: number
  readonly names: ReadonlyArray<string>
}

const fields: ReadonlyArray<Field> = [
  { name: "minute", first: 0, last: 59, names: [] },
  { name: "hour", first: 0, last: 23, names: [] },
  { name: "day of the month", first: 1, last: 31, names: [] },
  {
    name: "month",
    first: 1,
    last: 12,
    names: ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
  },
  { name: "day of the week", first: 0, last: 6, names: ["sun", "mon", "tue", "wed", "thu", "fri", "sat"] }
]

/** Reads the five fields of an expression; says what is wrong with it, after its name. */
export const read = (expression: string): Result.Result<CronText, string> => {
  const parts = typeof expression === "string" ? expression.trim().split(/\s+/) : []
  if (parts.length !== fields.length) {
    return Result.fail("needs five fields: minute, hour, day of the month, month and day of the week")
  }
  for (const [i, { name }] of fields.entries()) {
    const found = parts[i]!.split(",").find((item) => special.test(item))
    if (found !== undefined) {
      return Result.fail(
        `has ${found} in the field of the ${name}, and neither L, W, # nor ? is understood here: name the ${name} with ` +
          "numbers, ranges and steps, and let the handler look at the date where that does not do"
      )
    }
  }
  const text = fields.map((field, i) => parts[i]!.split(",").map(unwrapped(field)).join()).join(" ")
  const [minutes = "", hours = ""] = parts
  return Result.succeed({ text, isFrequent: minutes.startsWith("*") || /^(\*(\/1)?|0-23(\/1)?)$/.test(hours) })
}

// The last day, the nearest working day, the nth day of the week, and no value: not every cron has these.
const special = /^(?:l(?:-\d+)?w?|\d*w|(?:\d+|[a-z]{3})l|.*[#?].*)$/i

// A range that goes beyond the end of its field, as the values that are in it.
const unwrapped =
  ({ first, last, names }: Field) =>
  (item: string): string => {
    const [, from, to, step = "1"] = /^([a-z]+|\d+)-([a-z]+|\d+)(?:\/(\d+))?$/i.exec(item) ?? []
    if (from === undefined || to === undefined) return item
    const numberOf = (value: string) =>
      /^\d/.test(value) ? Number(value) : first + names.indexOf(value.slice(0, 3).toLowerCase())
    const [start, end] = [numberOf(from), numberOf(to)]
    // What is no value of the field, and what does not wrap, is left to `Cron`, and its error. Sunday may be the 7th day.
    if (!(start > end && start >= first && start <= last && end >= first && Number(step) >= 1)) return item
    const size = last - first + 1
    const values: Array<number> = []
    for (let value = start; value <= end + size; value += Number(step)) values.push(first + ((value - first) % size))
    return values.join()
  }
