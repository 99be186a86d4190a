/**
 * Moments as people read and type them: near ones as the time from now, others as local date and time.
 */
import * as DateTime from "effect/DateTime"
import * as Option from "effect/Option"
import { dayExists } from "../internal/contract/moments.ts"

/** What a moment looks like, for messages. */
export const examples = "2026-01-31T18:00:00Z, 2026-01-31T18:00+01:00 or 2026-01-31 18:00 (local time)"

/** Reads a moment; `undefined` when the text is none. Without an offset it is local time. */
export const parse = (text: string): DateTime.Utc | undefined => {
  const [, date, time = "00:00", offset] =
    /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d(?:\.\d{1,3})?)?)(Z|[+-]\d\d:\d\d)?)?$/.exec(text) ?? []
  if (date === undefined || !dayExists(date)) return undefined
  const moment =
    offset === undefined
      ? DateTime.makeZoned(`${date}T${time}`, { timeZone: DateTime.zoneMakeLocal(), adjustForTimeZone: true })
      : DateTime.make(`${date}T${time}${offset}`)
  return Option.getOrUndefined(Option.map(moment, DateTime.toUtc))
}

/** Times within this many milliseconds are told as seen from now. */
const nearMillis = 30 * 60_000

/** As in `in 0:15:00` and `0:15:00 ago`, or as in `2026-01-31 18:00:00 +01:00` for what is further away. */
export const format = (moment: DateTime.DateTime, nowMillis: number): string => {
  const millis = moment.epochMilliseconds - nowMillis
  if (Math.abs(millis) > nearMillis) return formatLocal(moment)
  return millis > 0 ? `in ${formatLength(millis)}` : `${formatLength(-millis)} ago`
}

/** Local date and time, with the offset from UTC. */
export const formatLocal = (moment: DateTime.DateTime): string => {
  const iso = DateTime.formatIsoOffset(DateTime.setZone(moment, DateTime.zoneMakeLocal()))
  return `${iso.slice(0, 10)} ${iso.slice(11, 19)} ${iso.slice(23)}`
}

/** Local time of the day. */
export const formatTimeOf = (epochMillis: number): string => formatLocal(DateTime.makeUnsafe(epochMillis)).slice(11, 19)

/** Hours, minutes and seconds, as in `0:15:00`. */
export const formatLength = (millis: number): string => {
  const seconds = Math.max(0, Math.round(millis / 1000))
  const two = (value: number) => String(value).padStart(2, "0")
  return `${Math.floor(seconds / 3600)}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`
}
