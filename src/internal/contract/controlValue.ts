/**
 * The values by which controls tell executions apart, as text that stores use in the names of their keys.
 */
import * as Crypto from "node:crypto"
import * as Predicate from "effect/Predicate"
import * as Redacted from "effect/Redacted"

/** Longer values are cut, and told apart by their digest. */
const longest = 128
const keptOfLonger = 64

/**
 * A value as text, so that equal values have equal texts. Strings and numbers differ: 1 is not "1". Of a long value the text
 * has the beginning and a digest of the whole, of a redacted one the digest only.
 */
export const textOf = (value: unknown): string => {
  if (Redacted.isRedacted(value)) return `${hidden}#${digestOf(plain(Redacted.value(value)))}`
  const text = plain(value)
  // A surrogate pair may be cut in two.
  return text.length <= longest ? text : `${text.slice(0, keptOfLonger).toWellFormed()}…#${digestOf(text)}`
}

/** Such a text, as it is shown: a short redacted value could be found by its digest. */
export const shown = (text: string): string => (text.startsWith(`${hidden}#`) ? hidden : text)

/** What Effect shows of a redacted value. No JSON begins like it. */
const hidden = "<redacted>"

const plain = (value: unknown): string =>
  Predicate.isBigInt(value) ? String(value) : (JSON.stringify(value) ?? String(value))

const digestOf = (text: string): string => Crypto.createHash("sha256").update(text).digest("hex").slice(0, 32)
