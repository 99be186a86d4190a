/**
 * HTML, in which everything that is put into it is text unless it is HTML itself.
 */

/** HTML. */
export class Html {
  readonly text: string
  constructor(text: string) {
    this.text = text
  }
  toString(): string {
    return this.text
  }
}

/** What can be put into HTML; nothing for what is not there. */
export type Content = Html | string | number | undefined | false | ReadonlyArray<Content>

/** HTML with contents. In the quotes of an attribute as well as between tags, what is no HTML is text. */
export const html = (parts: TemplateStringsArray, ...contents: ReadonlyArray<Content>): Html => {
  let text = parts[0] ?? ""
  for (const [i, content] of contents.entries()) text += render(content) + (parts[i + 1] ?? "")
  return new Html(text)
}

/** HTML that is known to be fit. */
export const raw = (text: string): Html => new Html(text)

/** Contents one after the other. */
export const join = (contents: ReadonlyArray<Content>, between: Content = ""): Html =>
  new Html(contents.map(render).join(render(between)))

const render = (content: Content): string => {
  if (content === undefined || content === false) return ""
  if (content instanceof Html) return content.text
  if (typeof content === "object") return content.map(render).join("")
  return escape(String(content))
}

const entities: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;"
}

// Control characters, those that turn the direction of text, what has no width, and the separators of lines.
// eslint-disable-next-line no-control-regex
const invisible = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g

/**
 * Text as HTML. What would not be seen, or would turn what is around it, is written as JSON does it.
 */
const escape = (text: string): string =>
  text
    .replace(invisible, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`)
    .replace(/[&<>"']/g, (character) => entities[character] ?? character)

/** A path and a query. Names and values may hold anything. */
export const link = (path: string, query: Readonly<Record<string, string | number | undefined>> = {}): string => {
  const parts = Object.entries(query).flatMap(([name, value]) =>
    value === undefined || value === "" ? [] : [`${encodeURIComponent(name)}=${encodeURIComponent(value)}`]
  )
  return parts.length === 0 ? path : `${path}?${parts.join("&")}`
}

/** Any text as the value of a field of a form, which comes back as it was: forms change line ends, and lose what is no text. */
export const packed = (text: string): string => encodeURIComponent(text)

/** The text that was packed; nothing when it was none. */
export const unpacked = (text: string): string | undefined => {
  try {
    return decodeURIComponent(text)
  } catch {
    return undefined
  }
}
