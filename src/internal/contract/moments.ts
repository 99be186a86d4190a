/**
 * Moments as they are given. Clocks take 30 February for the 2nd of March; here it is no moment.
 */
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import type { DocketError } from "../../DocketError.ts"
import { invalid } from "../docket/docketError.ts"

/** A moment as epoch milliseconds; not a number when it is none. */
export const millisOf = (input: DateTime.DateTime.Input): number => {
  const moment = exists(input) ? DateTime.make(input) : Option.none()
  return Option.match(moment, {
    onNone: () => Number.NaN,
    // Whoever says it of seconds, or of nothing, is told so: the store would wait for ever, or not at all.
    onSome: (found) => (isParts(input) && !agrees(input, found) ? Number.NaN : found.epochMilliseconds)
  })
}

/** A moment as an error shows it. */
export const shown = (input: DateTime.DateTime.Input): string => {
  const text = Predicate.isObject(input) && !(input instanceof Date) ? JSON.stringify(input) : String(input)
  return `${text}; write it as in "2026-02-28T12:00:00Z"`
}

/** An option that is a moment. */
export const checked = (option: string, input: DateTime.DateTime.Input): Effect.Effect<number, DocketError> => {
  const millis = millisOf(input)
  return Number.isNaN(millis)
    ? Effect.fail(invalid(`${option} is not a moment: ${shown(input)}`))
    : Effect.succeed(millis)
}

/** The moment that a handler gives to a call. A call with none dies. */
export const given = (call: string, input: DateTime.DateTime.Input): Effect.Effect<number> => {
  const millis = millisOf(input)
  return Number.isNaN(millis)
    ? Effect.die(new RangeError(`${call} needs a moment; it was given ${shown(input)}`))
    : Effect.succeed(millis)
}

const months = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]

const exists = (input: unknown): boolean => {
  if (input === null || input === undefined || typeof input === "boolean") return false
  return typeof input !== "string" || dayExists(input)
}

/** Whether the day that a text names is in the calendar; a text that names none in a way that is known here has none. */
export const dayExists = (text: string): boolean => {
  const [, isoYear, isoMonth = "1", isoDay = "1"] = /^([+-]\d{6}|\d{4})(?:-(\d\d)(?:-(\d\d))?)?(?!\d)/.exec(text) ?? []
  if (isoYear !== undefined) return isDay(Number(isoYear), Number(isoMonth), Number(isoDay))
  // As mail, HTTP and `Date` itself write it: 28 Feb 2026, or Feb 28, 2026.
  const [, before, month = "", after] =
    /\b(?:(\d{1,2})[ -])?([a-z]{3})[a-z]*\.?(?:[ -](\d{1,2})\b)?/i.exec(
      text.replace(/^[a-z]{3,9},? /i, (weekday) => (months.includes(weekday.slice(0, 3).toLowerCase()) ? weekday : ""))
    ) ?? []
  const [year] = /\b\d{4}\b/.exec(text) ?? []
  const place = months.indexOf(month.toLowerCase())
  return year !== undefined && place >= 0 && isDay(Number(year), place + 1, Number(before ?? after ?? Number.NaN))
}

const isDay = (year: number, month: number, day: number): boolean =>
  month >= 1 && month <= 12 && day >= 1 && day <= daysIn(year, month)

const daysIn = (year: number, month: number): number => {
  if (month === 2) return (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0 ? 29 : 28
  return [4, 6, 9, 11].includes(month) ? 30 : 31
}

const isParts = (input: DateTime.DateTime.Input): input is Partial<DateTime.DateTime.Parts> =>
  Predicate.isObject(input) &&
  !DateTime.isDateTime(input) &&
  !(input instanceof Date) &&
  !("epochMilliseconds" in input)

const agrees = (parts: Partial<DateTime.DateTime.Parts>, moment: DateTime.DateTime): boolean => {
  const found: Readonly<Record<string, number>> = { ...DateTime.toPartsUtc(moment) }
  const named = Object.entries(parts).filter(([, value]) => value !== undefined)
  return named.length > 0 && named.every(([name, value]) => found[name] === value)
}
