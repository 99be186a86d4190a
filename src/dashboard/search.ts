/**
 * What is typed into the search box: words, and `task:charge state:failed error:"no money" worker:mill-1`.
 */
import type { ExecutionRecord } from "../DocketStore.ts"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { dataOf } from "../http/wire.ts"

/** A search. */
export interface Search {
  readonly text: string
  readonly filters: ReadonlyArray<readonly [name: string, value: string]>
  /** The words that are no filter: parts of a key, a payload or an error. */
  readonly words: ReadonlyArray<string>
}

const token = /([A-Za-z][\w.]*):("(?:[^"\\]|\\.)*"|\S+)|"(?:[^"\\]|\\.)*"|\S+/g

const fromJson = Schema.decodeUnknownOption(Schema.fromJsonString(Schema.String))

const unquote = (text: string): string =>
  text.startsWith('"') ? Option.getOrElse(fromJson(text), () => text.slice(1, -1)) : text

/** Reads a search. */
export const parse = (text: string): Search => {
  const filters: Array<readonly [string, string]> = []
  const words: Array<string> = []
  for (const [whole, name, value] of text.matchAll(token)) {
    if (name !== undefined && value !== undefined) filters.push([name, unquote(value)])
    else words.push(unquote(whole))
  }
  return { text, filters, words }
}

/** The search with another state, or none. */
export const withState = ({ text }: Search, state: string | undefined): string => {
  const rest = text.replace(/(?:^|\s)state:\S+/g, "").trim()
  return state === undefined ? rest : `${rest} state:${state}`.trim()
}

/** The value of a filter. */
export const valueOf = ({ filters }: Search, wanted: string): string | undefined =>
  filters.find(([name]) => name === wanted)?.[1]

/** Whether an execution is found. Any other filter is on a field of the payload. */
export const matches = (record: ExecutionRecord, { filters, words }: Search): boolean =>
  filters.every(([name, value]) => {
    switch (name) {
      case "task":
        return record.task === value
      case "state":
        return record.state === value
      case "worker":
        return record.worker === value
      case "error":
        return (record.error ?? "").toLowerCase().includes(value.toLowerCase())
      case "key":
        return record.key.startsWith(value)
      default:
        return fieldOf(dataOf(record.payload), name) === value
    }
  }) &&
  words.every((word) =>
    // Nothing that is redacted is found.
    [record.key, record.task, record.error ?? "", JSON.stringify(dataOf(record.payload))].some((part) =>
      part.toLowerCase().includes(word.toLowerCase())
    )
  )

const fieldOf = (payload: Schema.Json, path: string): string | undefined => {
  let value: unknown = payload
  for (const part of path.split(".")) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, part)) return undefined
    value = Reflect.get(value, part)
  }
  return typeof value === "string" ? value : JSON.stringify(value)
}
