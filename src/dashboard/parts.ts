/**
 * Parts that several pages have: states, small charts, JSON.
 */
import * as Effect from "effect/Effect"
import * as Explanations from "../Explanation.ts"
import type { ExecutionRecord } from "../DocketStore.ts"
import { reasonOf } from "../internal/docket/explain.ts"
import { dataOf } from "../http/wire.ts"
import { type Content, html, type Html, raw } from "./html.ts"
import type { Look } from "./look.ts"
import * as Words from "./words.ts"

/** A state: a shape, a word, and a colour. */
export const stateOf = (record: ExecutionRecord, reason: Explanations.Reason | undefined): Html => {
  const isHeld =
    reason !== undefined &&
    (reason._tag === "AwaitingSlot" ||
      reason._tag === "RateLimited" ||
      reason._tag === "Held" ||
      reason._tag === "Debouncing")
  return isHeld && (record.state === "queued" || record.state === "scheduled")
    ? html`<span class="st held">${record.state}<span class="vh">, held back</span></span>`
    : html`<span class="st ${record.state}">${record.state}</span>`
}

/** Why an execution is not running, as far as a look tells. */
export const reasonFrom = (record: ExecutionRecord, look: Look): Explanations.Reason =>
  Effect.runSync(
    reasonOf(record, {
      strikes: Effect.succeed(look.strikes),
      workers: Effect.succeed(look.workers),
      // A look does not ask who fell silent.
      silent: Effect.succeed([]),
      ahead: Effect.sync(() =>
        Math.max(
          0,
          look.waiting.filter(({ state }) => state === "queued").findIndex(({ key }) => key === record.key)
        )
      )
    })
  )

/** The sentence of a reason, without the name and the key that it begins with. */
export const sentenceOf = (record: ExecutionRecord, reason: Explanations.Reason, now: number): string => {
  const { message } = Explanations.make(record.key, reason)
  const subject = `${record.task}{${record.key}} `
  return Words.sentence(message.startsWith(subject) ? message.slice(subject.length) : message, now)
}

/** When an execution last changed, or is to change, as seen from now. */
export const whenOf = ({ completed, due, started, state }: ExecutionRecord, now: number): string => {
  switch (state) {
    case "running":
      return `for ${Words.length(now - (started ?? due))}`
    case "queued":
      return `since ${Words.length(now - due)}`
    case "scheduled":
      return due > now ? `in ${Words.length(due - now)}` : `since ${Words.length(now - due)}`
    default:
      return `${Words.length(now - (completed ?? due))} ago`
  }
}

/** How long a run took. */
export const tookOf = ({ completed, started }: ExecutionRecord): string | undefined =>
  completed === undefined || started === undefined ? undefined : Words.length(completed - started)

/** JSON to read: what is redacted looks like nothing that a value can be. */
export const jsonOf = (text: string, label: string): Html => {
  const pretty = JSON.stringify(dataOf(text), undefined, 2)
  const shown =
    pretty.length > maximumShown
      ? `${pretty.slice(0, maximumShown)}\n… ${Words.number(pretty.length - maximumShown)} characters more`
      : pretty
  const redacted = raw('<span class="redacted">redacted</span>')
  return html`<pre class="json" tabindex="0" role="region" aria-label="${label}"><code>${shown
    .split(/"<redacted>"/)
    .flatMap((part, i): ReadonlyArray<Content> => (i === 0 ? [part] : [redacted, part]))}</code></pre>`
}

/** A larger text is cut; the raw JSON has it whole. */
const maximumShown = 50_000

/** Slots as squares, two rows. */
export const slots = (taken: number): Html => {
  const shown = Math.min(taken, 60)
  const columns = Math.max(1, Math.ceil(shown / 2))
  return html`<svg width="${columns * 8}" height="16" role="img" aria-label="${Words.count(taken, "execution")}">
    ${Array.from(
      { length: shown },
      (_, i) => html`<rect class="f-run" x="${Math.floor(i / 2) * 8}" y="${(i % 2) * 8}" width="6" height="6" />`
    )}
  </svg>`
}

/** Bars of the same width on one line, each with what it says when it is pointed at. */
export const spark = (
  label: string,
  bars: ReadonlyArray<{ readonly value: number; readonly isBad?: boolean }>,
  width = 5
): Html => {
  const highest = Math.max(1, ...bars.map(({ value }) => value))
  return html`<svg width="${bars.length * width}" height="20" role="img" aria-label="${label}">
    ${bars.map(({ isBad, value }, i) => {
      if (value === 0) return undefined
      const height = Math.max(2, (13 * value) / highest)
      return html`<rect
        class="${isBad === true ? "f-bad" : "f-soft"}"
        x="${i * width}"
        y="${(14 - height).toFixed(1)}"
        width="${width - 1}"
        height="${height.toFixed(1)}"
      />`
    })}
  </svg>`
}

/** A moment, to read and for machines. */
export const time = (millis: number, now: number): Html =>
  html`<time datetime="${Words.machine(millis)}">${Words.moment(millis, now)}</time>`

/** A definition. */
export const fact = (name: string, value: Content): Content =>
  value === undefined || value === false || value === ""
    ? undefined
    : html`<dt>${name}</dt>
        <dd>${value}</dd>`
