/** What can be changed in a source, so that a test should fail. */
import { stripTypeScriptTypes } from "node:module"

/** One change. */
export interface Mutation {
  /** The place in the source, and the text there. */
  readonly offset: number
  readonly was: string
  readonly becomes: string
  /** Counted from 1. */
  readonly line: number
}

type Kind = "ts" | "lua" | "other"

/** Of each character whether it is TypeScript, Lua in a template string, or a comment, a string or a blank. */
const kindsOf = (source: string): ReadonlyArray<Kind> => {
  const kinds = Array.from<Kind>({ length: source.length }).fill("other")
  // Templates are nested in what is interpolated into them.
  const stack: Array<Kind> = ["ts"]
  const braces: Array<number> = [0]
  for (let i = 0; i < source.length; i++) {
    const kind = stack.at(-1)!
    const rest = source.slice(i, i + 2)
    if (kind === "ts") {
      if (rest === "//" || rest === "/*") {
        const end = rest === "//" ? source.indexOf("\n", i) : source.indexOf("*/", i) + 1
        i = end <= 0 ? source.length : end
      } else if (source[i] === '"' || source[i] === "'") {
        const quote = source[i]
        for (i++; i < source.length && source[i] !== quote; i++) if (source[i] === "\\") i++
      } else if (source[i] === "`") {
        stack.push(/\/\* lua \*\/\s*$/.test(source.slice(Math.max(0, i - 20), i)) ? "lua" : "other")
      } else if (source[i] === "}" && braces.at(-1) === 0 && stack.length > 1) {
        stack.pop()
        braces.pop()
      } else {
        if (source[i] === "{") braces[braces.length - 1]!++
        if (source[i] === "}") braces[braces.length - 1]!--
        kinds[i] = "ts"
      }
    } else if (source[i] === "`") {
      stack.pop()
    } else if (source[i] === "\\") {
      i++
    } else if (rest === "${") {
      stack.push("ts")
      braces.push(0)
      i++
    } else if (kind === "lua" && rest === "--") {
      i = source.indexOf("\n", i)
    } else if (kind === "lua" && source[i] === "'") {
      for (i++; source[i] !== "'" && source[i] !== "\n"; i++) continue
    } else {
      kinds[i] = kind
    }
  }
  return kinds
}

type Rule = readonly [pattern: RegExp, becomes: (was: string) => string]

const swap = (pairs: Readonly<Record<string, string>>): Rule => [
  new RegExp(
    Object.keys(pairs)
      .toSorted((a, b) => b.length - a.length)
      .map((text) => (/^\w/.test(text) ? `\\b${text}\\b` : text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")))
      .join("|"),
    "g"
  ),
  (was) => pairs[was] ?? was
]

const number: Rule = [/(?<![\w.$])\d+(?![\w.])/g, (was) => (was === "0" ? "1" : was === "1" ? "0" : String(+was * 3))]

const rules: Readonly<Record<"ts" | "lua", ReadonlyArray<Rule>>> = {
  ts: [
    swap({
      " === ": " !== ",
      " !== ": " === ",
      " < ": " <= ",
      " <= ": " < ",
      " > ": " >= ",
      " >= ": " > ",
      " && ": " || ",
      " || ": " && ",
      " ?? ": " && ",
      " + ": " - ",
      " - ": " + ",
      "Math.min": "Math.max",
      "Math.max": "Math.min",
      true: "false",
      false: "true"
    }),
    [/(?<=\bif \()(?=[^)])/g, () => "!"],
    number,
    // Statements on a line of their own.
    [/(?<=\n) +(?:yield\* [^\n]*[)\w]|[\w.]+[!?]?\([^\n]*\)|[\w.]+ [-+]?= [^\n]*[\w)\]])(?=\n +(?:\w|\}))/g, () => ""]
  ],
  lua: [
    swap({
      " == ": " ~= ",
      " ~= ": " == ",
      " < ": " <= ",
      " <= ": " < ",
      " > ": " >= ",
      " >= ": " > ",
      " and ": " or ",
      " or ": " and ",
      " + ": " - ",
      " - ": " + ",
      "math.min": "math.max",
      "math.max": "math.min",
      true: "false",
      false: "true"
    }),
    [/\bif not\b/g, () => "if"],
    [/\bif (?!not\b)(?=[^\n]* then)/g, () => "if not "],
    number,
    [/(?<=\n) *(?:call\([^\n]*\)|\w+\([^\n]*\)|[\w.[\]]+ = [^\n{]*)(?=\n)/g, () => ""]
  ]
}

/** All that can be done to a source; what would not parse is left out, as far as it is TypeScript. */
export const mutationsOf = (source: string): ReadonlyArray<Mutation> => {
  const kinds = kindsOf(source)
  const found = (["ts", "lua"] as const).flatMap((kind) =>
    rules[kind].flatMap(([pattern, becomes]) =>
      Array.from(source.matchAll(pattern), (match): Mutation => ({
        offset: match.index,
        was: match[0],
        becomes: becomes(match[0]),
        line: source.slice(0, match.index + match[0].search(/\S|$/)).split("\n").length
      })).filter(({ offset, was }) => {
        const first = offset + Math.max(0, was.search(/\S/))
        return kinds[first] === kind && !/^import |^export type|^\s+readonly /.test(lineAt(source, first))
      })
    )
  )
  return found.filter((mutation) => mutation.was !== mutation.becomes).toSorted((a, b) => a.offset - b.offset)
}

/** The source with a change; none if that is no program. */
export const apply = (source: string, { becomes, offset, was }: Mutation): string | undefined => {
  const changed = source.slice(0, offset) + becomes + source.slice(offset + was.length)
  try {
    stripTypeScriptTypes(changed, { mode: "strip" })
    return changed
  } catch {
    return undefined
  }
}

/** The line of a place. */
export const lineAt = (source: string, offset: number): string =>
  source.slice(source.lastIndexOf("\n", offset - 1) + 1, (source + "\n").indexOf("\n", offset))
