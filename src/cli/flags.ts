/**
 * The flags that commands share, and the parts that flags are made of. A flag that is a setting has a variable in the
 * environment, which counts when the flag is not given; an empty variable counts as not set.
 */
import * as CliError from "effect/cli/CliError"
import * as Flag from "effect/cli/Flag"
import * as GlobalFlag from "effect/cli/GlobalFlag"
import * as Config from "effect/Config"
import type * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as DurationText from "../internal/contract/durationText.ts"
import * as Moments from "./moments.ts"

interface Setting {
  /** The flag's name, without the dashes. */
  readonly name: string
  /** Its variable in the environment; flags that belong to one use of a command have none. */
  readonly variable?: string
  /** What it is for: a phrase without a full stop. */
  readonly description: string
  readonly metavar: string
}

interface Reading<A> {
  /** What the text has to be, for the message that refuses it. */
  readonly expected: string
  /** The value, or `undefined` when the text is refused. */
  readonly read: (text: string) => A | undefined
}

const describe = ({ description, variable }: Setting, fallback?: string, hint?: string): string => {
  const notes = [hint ?? [], variable ?? [], fallback === undefined ? [] : `default ${fallback}`].flat()
  return notes.length === 0 ? description : `${description} (${notes.join("; ")})`
}

interface Given<A> {
  readonly value: A
  /** What it was given with: the flag or its variable. */
  readonly source: string
}

const orVariable = <A>(flag: Flag.Flag<A>, variable: string | undefined, read: (text: string) => A): Flag.Flag<A> =>
  variable === undefined ? flag : Flag.withFallbackConfig(flag, Config.map(Config.String(variable), read))

const make = <A>(setting: Setting, { expected, read }: Reading<A>, description: string): Flag.Flag<A> =>
  orVariable(
    Flag.String(setting.name).pipe(
      Flag.withMetavar(`<${setting.metavar}>`),
      Flag.withDescription(description),
      Flag.map((value): Given<string> => ({ value, source: `--${setting.name}` }))
    ),
    setting.variable,
    (value) => ({ value, source: setting.variable ?? "" })
  ).pipe(
    Flag.mapEffect(({ source, value: text }) => {
      const value = read(text)
      return value === undefined
        ? Effect.fail(
            new CliError.ValidationError({ message: `${source} has to be ${expected}; it was ${JSON.stringify(text)}` })
          )
        : Effect.succeed(value)
    })
  )

const anyText: Reading<string> = { expected: "some text", read: (text) => text }

/** A flag with a text, that may be left out. */
export const text = (setting: Setting): Flag.Flag<string | undefined> =>
  Flag.map(Flag.optional(make(setting, anyText, describe(setting))), Option.getOrUndefined)

/** A flag with a whole number of at least 1. */
export const count = (setting: Setting, fallback: number): Flag.Flag<number> =>
  make(
    setting,
    {
      expected: "a whole number of at least 1",
      read: (text) => (/^0*[1-9]\d{0,8}$/.test(text) ? Number(text) : undefined)
    },
    describe(setting, String(fallback))
  ).pipe(Flag.withDefault(fallback))

/** A flag with the number of a port, that may be left out. */
export const port = (setting: Omit<Setting, "metavar">): Flag.Flag<number | undefined> =>
  make(
    { ...setting, metavar: "port" },
    {
      expected: "the number of a port, from 1 to 65535",
      read: (text) => (/^\d{1,5}$/.test(text) && Number(text) >= 1 && Number(text) <= 65_535 ? Number(text) : undefined)
    },
    describe({ ...setting, metavar: "port" })
  ).pipe(Flag.optional, Flag.map(Option.getOrUndefined))

/** A flag with a duration: above zero, unless `zero` is allowed. */
export const duration = (
  setting: Omit<Setting, "metavar"> & { readonly zero?: boolean },
  fallback: string
): Flag.Flag<Duration.Duration> => {
  const read = (text: string) => {
    const value = DurationText.parse(text)
    return value !== undefined && (setting.zero === true || Duration.toMillis(value) > 0) ? value : undefined
  }
  const given = { ...setting, metavar: "duration" }
  const expected = `a duration${setting.zero === true ? "" : " above zero"}, such as ${DurationText.examples}`
  // The defaults are written as a user would write them, so that the help shows them like that.
  return make(given, { expected, read }, describe(given, fallback)).pipe(Flag.withDefault(read(fallback)!))
}

/** A flag with a duration, that may be left out. */
export const optionalDuration = (setting: Omit<Setting, "metavar">): Flag.Flag<Duration.Duration | undefined> => {
  const given = { ...setting, metavar: "duration" }
  const expected = `a duration, such as ${DurationText.examples}`
  return Flag.map(
    Flag.optional(make(given, { expected, read: DurationText.parse }, describe(given))),
    Option.getOrUndefined
  )
}

/** A flag with a moment, that may be left out. */
export const optionalMoment = (setting: Omit<Setting, "metavar">): Flag.Flag<DateTime.Utc | undefined> => {
  const given = { ...setting, metavar: "moment" }
  return Flag.map(
    Flag.optional(
      make(given, { expected: `a moment, such as ${Moments.examples}`, read: Moments.parse }, describe(given))
    ),
    Option.getOrUndefined
  )
}

/** A flag with one of a few words, in any case; several words may mean the same. */
export const oneOf = <A>(
  setting: Setting,
  meanings: Readonly<Record<string, A>>,
  fallback?: string
): Flag.Flag<A | undefined> =>
  make(
    setting,
    {
      expected: `one of ${Object.keys(meanings).join(", ")}`,
      read: (text) => new Map(Object.entries(meanings)).get(text.toLowerCase())
    },
    describe(setting, fallback)
  ).pipe(Flag.optional, Flag.map(Option.getOrUndefined))

/** A flag that may be given several times. Its variable holds the values with commas between them. */
export const list = (setting: Setting): Flag.Flag<ReadonlyArray<string>> =>
  orVariable<ReadonlyArray<string>>(
    Flag.String(setting.name).pipe(
      Flag.withMetavar(`<${setting.metavar}>`),
      Flag.withDescription(describe(setting)),
      Flag.atLeast(1)
    ),
    setting.variable,
    (text) =>
      text
        .split(",")
        .map((item) => item.trim())
        .filter((item) => item !== "")
  ).pipe(Flag.withDefault<ReadonlyArray<string>>([]))

/** A flag that is given or not. */
export const toggle = (name: string, description: string): Flag.Flag<boolean> =>
  Flag.Boolean(name).pipe(Flag.withDescription(description), Flag.withoutNegation, Flag.withDefault(false))

/** A flag that is on or off; a name with `no-` before it turns it off. */
export const onOff = (setting: Omit<Setting, "metavar">, fallback: boolean): Flag.Flag<boolean> => {
  const flag = Flag.Boolean(setting.name).pipe(
    Flag.withDescription(
      describe(
        { ...setting, metavar: "" },
        fallback ? "on" : "off",
        fallback ? `--no-${setting.name} turns it off` : undefined
      )
    )
  )
  const { variable } = setting
  return (variable === undefined ? flag : Flag.withFallbackConfig(flag, Config.Boolean(variable))).pipe(
    Flag.withDefault(fallback)
  )
}

/** Prints data for programs, one JSON object a line. */
export const json: Flag.Flag<boolean> = toggle("json", "Print one JSON object a line, on standard output")

/** Does what was asked for without asking back. */
export const yes: Flag.Flag<boolean> = toggle("yes", "Do not ask; without a terminal nothing is asked anyway")

const given = (setting: Setting, fallback: string): Flag.Flag<string> =>
  make(setting, anyText, describe(setting, fallback)).pipe(Flag.withDefault(fallback))

/** The docket's name, for all commands. */
export const DocketName = GlobalFlag.Setting("docket")({
  flag: given({ name: "docket", variable: "DOCKET_NAME", description: "The docket's name", metavar: "name" }, "docket")
})

/** The store's URL, for all commands. */
export const StoreUrl = GlobalFlag.Setting("url")({
  flag: given(
    { name: "url", variable: "DOCKET_URL", description: "Where the docket is kept", metavar: "url" },
    "redis://localhost:6379/0"
  )
})
