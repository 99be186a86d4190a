/**
 * Lengths, moments and counts as the pages write them. Moments are in UTC.
 */
import * as DateTime from "effect/DateTime"

const second = 1000
const minute = 60 * second
const hour = 60 * minute
const day = 24 * hour

/** A length of time, as in `0.4 s`, `41 s`, `2 min 30 s`, `3 h 12 min` or `5 days`. */
export const length = (millis: number): string => {
  const ms = Math.max(0, millis)
  if (ms < 10 * second) return `${(Math.round(ms / 100) / 10).toFixed(1)} s`
  if (ms < 100 * second) return `${Math.round(ms / second)} s`
  if (ms < 10 * minute) return two(ms, minute, "min", second, "s")
  if (ms < 2 * hour) return `${Math.round(ms / minute)} min`
  if (ms < 2 * day) return two(ms, hour, "h", minute, "min")
  return `${Math.round(ms / day)} days`
}

const two = (millis: number, large: number, largeUnit: string, small: number, smallUnit: string): string => {
  const rounded = Math.round(millis / small) * small
  const rest = Math.round((rounded % large) / small)
  return `${Math.floor(rounded / large)} ${largeUnit}${rest === 0 ? "" : ` ${rest} ${smallUnit}`}`
}

const days = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
const months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

const iso = (millis: number): string => DateTime.formatIso(DateTime.makeUnsafe(millis))

/** A moment: as time of the day where that is enough, else with the day. */
export const moment = (millis: number, now: number): string => {
  const text = iso(millis)
  const time = text.slice(11, 19)
  if (text.slice(0, 10) === iso(now).slice(0, 10)) return time
  if (Math.abs(millis - now) > 300 * day) return `${text.slice(0, 10)} ${time.slice(0, 5)}`
  const { day: date, month, weekDay } = DateTime.toPartsUtc(DateTime.makeUnsafe(millis))
  return `${days[weekDay]} ${date} ${months[month - 1]} ${time.slice(0, 5)}`
}

/** Hours and minutes. */
export const clock = (millis: number): string => iso(millis).slice(11, 16)

/** For a machine. */
export const machine = iso

/** A sentence with moments in it, of which the day is left out where it is today. */
export const sentence = (text: string, now: number): string =>
  text.replace(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/g, (found) =>
    moment(DateTime.makeUnsafe(found).epochMilliseconds, now)
  )

/** A number with commas. */
export const number = (value: number): string => String(value).replace(/\B(?=(\d{3})+(?!\d))/g, ",")

/** As in `1 execution` and `2,000 executions`. */
export const count = (value: number, what: string): string => `${number(value)} ${what}${value === 1 ? "" : "s"}`

/** A number that may be larger than what was looked at. */
export const atLeast = (value: number, isPartial: boolean): string => `${isPartial ? "more than " : ""}${number(value)}`
