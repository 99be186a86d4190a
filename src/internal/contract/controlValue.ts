/**
 * The values by which controls tell executions apart, as text that stores use in the names of their keys.
 */
import * as Crypto from "node:crypto"
import * as Chunk from "effect/Chunk"
import * as HashMap from "effect/HashMap"
import * as HashSet from "effect/HashSet"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Redacted from "effect/Redacted"

/** Longer values are cut, and told apart by their digest. */
const longest = 128
const keptOfLonger = 64

/**
 * A value as text: equal content has equal texts, and other content other ones. It begins like JSON; 1, `"1"` and `1n`
 * differ. The order of the fields of an object, and of the members of a `Set` or `Map`, does not matter, and fields that
 * are `undefined` are left out, as where a payload is stored. Of a redacted value the text has a digest, wherever it is.
 * Of a long value it has the beginning and a digest of the whole.
 *
 * Throws a `TypeError` that says why when the value has no content that could be told from that of others.
 */
export const textOf = (value: unknown): string => {
  const text = contentOf(value, [])
  if (text.length <= longest) return text
  // A surrogate pair may be cut in two. Where something is redacted, the digest of the whole is one of that as well.
  return isHiding(text) ? secretOf(text) : `${text.slice(0, keptOfLonger).toWellFormed()}…${secretOf(text)}`
}

/** Such a text, as it is shown: a short redacted value could be found by its digest. */
export const shown = (text: string): string =>
  // No digest is in what is cut but that of the whole, which is not redacted then.
  /…#[0-9a-f]{32}$/.test(text) ? text : text.replace(stringOrSecret, (found) => (found[0] === "#" ? hidden : found))

/** A text that stands for a longer or secret one. */
export const digestOf = (text: string): string => Crypto.createHash("sha256").update(text).digest("hex").slice(0, 32)

/** What Effect shows of a redacted value. */
const hidden = "<redacted>"

const secretOf = (text: string): string => `#${digestOf(text)}`

const stringOrSecret = /"(?:[^"\\]|\\.)*"|#[0-9a-f]{32}/g

const isHiding = (text: string): boolean => text.match(stringOrSecret)?.some((found) => found[0] === "#") ?? false

/** Everything but strings is a token without quotes, so that nothing is taken for something else. */
const contentOf = (value: unknown, within: ReadonlyArray<object>): string => {
  switch (typeof value) {
    case "string":
      return JSON.stringify(value)
    case "number":
      // 0 and -0 are equal, and there is one text for both.
      if (Number.isNaN(value)) throw without("NaN, which is no number")
      return String(value)
    case "bigint":
      return `${value}n`
    case "boolean":
    case "undefined":
      return String(value)
    case "object":
      return value === null ? "null" : contentOfObject(value, within)
    default:
      throw without(`a ${typeof value}`)
  }
}

const contentOfObject = (value: object, outer: ReadonlyArray<object>): string => {
  if (outer.includes(value)) throw without("an object that contains itself")
  const within = [...outer, value]
  const content = (inner: unknown) => contentOf(inner, within)
  const members = (items: Iterable<unknown>) => Array.from(items, content)
  const pairs = (entries: Iterable<readonly [unknown, unknown]>) =>
    Array.from(entries, ([key, inner]) => `${content(key)}:${content(inner)}`)

  if (Redacted.isRedacted(value)) return secretOf(content(Redacted.value(value)))
  if (Array.isArray(value)) return `[${members(value).join()}]`
  if (value instanceof Map) return `Map{${pairs(value).toSorted().join()}}`
  if (value instanceof Set) return `Set{${members(value).toSorted().join()}}`
  if (value instanceof Date) return `Date(${content(value.getTime())})`
  if (ArrayBuffer.isView(value) && Symbol.iterator in value) return `Bytes${bytesOf(value)}`
  if (HashMap.isHashMap(value)) return `HashMap{${pairs(value).toSorted().join()}}`
  if (HashSet.isHashSet(value)) return `HashSet{${members(value).toSorted().join()}}`
  if (Chunk.isChunk(value)) return `Chunk[${members(value).join()}]`
  if (Option.isOption(value)) return Option.isSome(value) ? `Some(${content(value.value)})` : "None"

  const isPlain = isPlainObject(value)
  // Moments, durations, addresses: what has no content of its own but this.
  if (!isPlain && Predicate.hasProperty(value, "toJSON") && Predicate.isFunction(value.toJSON)) {
    const text = content(value.toJSON())
    // What is redacted in it would be the same for all.
    if (text.includes(hidden)) throw without("an object that hides a redacted value")
    return text
  }
  const fields = Object.entries(value).filter(([, field]) => field !== undefined)
  if (Object.getOwnPropertySymbols(value).length > 0) throw without("an object with symbols for names")
  if (!isPlain && fields.length === 0) throw without(`an object without content, ${nameOf(value)}`)
  return `{${fields
    .map(([name, field]) => `${JSON.stringify(name)}:${content(field)}`)
    .toSorted()
    .join()}}`
}

const isPlainObject = (value: object): boolean => {
  const prototype: unknown = Object.getPrototypeOf(value)
  // A plain object of another realm is one as well.
  return prototype === null || Object.getPrototypeOf(prototype) === null
}

const bytesOf = (view: ArrayBufferView): string =>
  `(${Buffer.from(view.buffer, view.byteOffset, view.byteLength).toString("base64")})`

const nameOf = (value: object): string =>
  Predicate.isFunction(value.constructor) ? `of class ${value.constructor.name}` : "of an unknown class"

const without = (what: string): TypeError =>
  new TypeError(`${what} cannot be told from another one by its content: give a string or a number that tells it apart`)
