/**
 * Recurrences in words.
 */
import type * as Cron from "effect/Cron"
import * as DateTime from "effect/DateTime"
import * as Option from "effect/Option"
import type { Recurrence } from "../Recurrence.ts"
import * as Words from "./words.ts"

/** As in `every 30 seconds` and `every day at 03:00, Europe/Lisbon`. */
export const recurrenceInWords = (recurrence: Recurrence): string => {
  if (recurrence._tag === "Every") {
    return recurrence.everyMillis === 0
      ? "again as soon as it has ended"
      : `every ${Words.length(recurrence.everyMillis)}, from the end of the last run on`
  }
  const zone = Option.match(recurrence.cron.tz, { onNone: () => "UTC", onSome: DateTime.zoneToString })
  return `${daysInWords(recurrence.cron)}${timesInWords(recurrence.cron)}, ${zone}`
}

const list = (items: ReadonlyArray<string>): string =>
  items.length < 2 ? (items[0] ?? "") : `${items.slice(0, -1).join(", ")} and ${items.at(-1)}`

const two = (value: number): string => String(value).padStart(2, "0")

/** The step of values that come again and again from 0 to the end of a range. */
const stepOf = (values: ReadonlyArray<number>, range: number): number | undefined => {
  const [first, second] = values
  if (first !== 0 || second === undefined || range % second !== 0 || values.length !== range / second) return undefined
  return values.every((value, i) => value === i * second) ? second : undefined
}

/** Values as ranges where they follow each other. */
const ranges = (values: ReadonlyArray<number>, name: (value: number) => string): string => {
  const parts: Array<string> = []
  for (let i = 0; i < values.length;) {
    let end = i
    while (end + 1 < values.length && values[end + 1] === values[end]! + 1) end++
    parts.push(
      end - i < 2
        ? values
            .slice(i, end + 1)
            .map(name)
            .join(", ")
        : `${name(values[i]!)} to ${name(values[end]!)}`
    )
    i = end + 1
  }
  return parts.join(", ")
}

const sorted = (values: ReadonlySet<number>) => [...values].toSorted((a, b) => a - b)

const timesInWords = (cron: Cron.Cron): string => {
  const minutes = sorted(cron.minutes)
  const hours = sorted(cron.hours)
  const everyMinute = minutes.length === 0 || minutes.length === 60
  const everyHour = hours.length === 0 || hours.length === 24
  const step = stepOf(minutes, 60)
  const when = everyMinute
    ? "every minute"
    : step !== undefined
      ? `every ${step} minutes`
      : everyHour
        ? `every hour at ${list(minutes.map((minute) => `:${two(minute)}`))}`
        : undefined
  if (when !== undefined) return everyHour ? when : `${when}, ${ranges(hours, (hour) => `${two(hour)}`)} h`
  const hourly = stepOf(hours, 24)
  if (hourly !== undefined && minutes.length === 1) return `every ${hourly} hours at :${two(minutes[0]!)}`
  const times = hours.flatMap((hour) => minutes.map((minute) => `${two(hour)}:${two(minute)}`))
  return times.length <= 6 ? `at ${list(times)}` : `at minute ${ranges(minutes, String)} of ${ranges(hours, two)} h`
}

const weekdays = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"]
const months = [
  "January",
  "February",
  "March",
  "April",
  "May",
  "June",
  "July",
  "August",
  "September",
  "October",
  "November",
  "December"
]

const ordinal = (day: number): string => {
  const tens = day % 100
  const suffix = tens >= 11 && tens <= 13 ? "th" : (["th", "st", "nd", "rd"][day % 10] ?? "th")
  return `${day}${suffix}`
}

const daysInWords = (cron: Cron.Cron): string => {
  const days = sorted(cron.days)
  const week = sorted(cron.weekdays)
  const year = sorted(cron.months)
  const everyDay = days.length === 0 || days.length === 31
  const everyWeekday = week.length === 0 || week.length === 7
  const everyMonth = year.length === 0 || year.length === 12
  const isOften =
    cron.hours.size === 0 || cron.hours.size === 24 || (cron.minutes.size !== 1 && cron.minutes.size !== 0)
  const inMonths = everyMonth ? "" : ` in ${ranges(year, (month) => months[month - 1] ?? "")}`
  const parts = [
    everyDay ? [] : `the ${list(days.map(ordinal))}${everyMonth ? " of each month" : ""}`,
    everyWeekday ? [] : ranges(week, (day) => `${weekdays[day] ?? ""}`)
  ].flat()
  if (parts.length > 0) return `on ${parts.join(" or ")}${inMonths} `
  return isOften && everyMonth ? "" : `every day${inMonths} `
}
