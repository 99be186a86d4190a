/**
 * What commands that run for long log, and how it looks.
 *
 * **Details**
 *
 * - `plain`: one line with the time, the level, the logger and the message, on standard error; the cause of an error
 *   follows on lines of its own, which are indented. Control characters are written as JSON does it.
 * - `json`: one object a line, on standard output.
 * - `rich`: for people, on standard error, with colours where that is a terminal. The default there, as `plain` is
 *   elsewhere.
 *
 * The logger is `docket.task.` and the task's name for what belongs to an execution, the handler's own lines included,
 * and `docket.worker` for the rest.
 */
import * as Cause from "effect/Cause"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Formatter from "effect/Formatter"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import type * as LogLevel from "effect/LogLevel"
import * as References from "effect/References"
import * as Stdio from "effect/Stdio"
import * as Flags from "./flags.ts"
import * as Text from "./text.ts"

type Format = "plain" | "json" | "rich"

/** The flags of a command that logs. */
export const flags = {
  loggingLevel: Flags.oneOf<LogLevel.LogLevel>(
    {
      name: "logging-level",
      variable: "DOCKET_LOGGING_LEVEL",
      description: "What is logged: this level and above",
      metavar: "level"
    },
    {
      all: "All",
      trace: "Trace",
      debug: "Debug",
      info: "Info",
      warn: "Warn",
      warning: "Warn",
      error: "Error",
      fatal: "Fatal",
      critical: "Fatal",
      none: "None"
    },
    "info"
  ),
  loggingFormat: Flags.oneOf<Format>(
    {
      name: "logging-format",
      variable: "DOCKET_LOGGING_FORMAT",
      description: "How it is logged: plain, json (on standard output) or rich",
      metavar: "format"
    },
    { plain: "plain", json: "json", rich: "rich" },
    "rich on a terminal, else plain"
  )
}

/** Logs as the flags say. */
export const layer = (options: {
  readonly loggingLevel: LogLevel.LogLevel | undefined
  readonly loggingFormat: Format | undefined
}): Layer.Layer<never, Config.ConfigError, Stdio.Stdio> =>
  Layer.merge(
    Layer.succeed(References.MinimumLogLevel, options.loggingLevel ?? "Info"),
    Layer.unwrap(
      Effect.gen(function* () {
        const isTerminal = yield* (yield* Stdio.Stdio).stderrIsTerminal
        const format = options.loggingFormat ?? (isTerminal ? "rich" : "plain")
        const noColor = yield* Config.String("NO_COLOR").pipe(Config.withDefault(""))
        return Logger.layer([loggerOf(format, isTerminal && noColor === ""), Logger.tracerLogger])
      })
    )
  )

const loggerOf = (format: Format, colors: boolean) => {
  switch (format) {
    case "json":
      return Logger.withConsoleLog(json)
    case "plain":
      return Logger.withConsoleError(plain)
    case "rich":
      return Logger.withConsoleError(rich(colors))
  }
}

const levels: Readonly<Record<string, string>> = { Warn: "WARNING" }

interface Line {
  readonly level: string
  readonly name: string
  readonly message: string
  readonly cause: string | undefined
  readonly annotations: Readonly<Record<string, unknown>>
}

const lineOf = ({ cause, fiber, logLevel, message }: Logger.Options<unknown>): Line => {
  const annotations = fiber.getRef(References.CurrentLogAnnotations)
  const task = annotations["docket.task"]
  return {
    level: levels[logLevel] ?? logLevel.toUpperCase(),
    name: task === undefined ? "docket.worker" : `docket.task.${String(task)}`,
    message: (Array.isArray(message) ? message : [message]).map(textOf).join(" "),
    cause: cause.reasons.length > 0 ? Cause.pretty(cause) : undefined,
    annotations
  }
}

const textOf = (value: unknown): string => (typeof value === "string" ? value : Formatter.format(value))

/** The annotations that the user's code made; of the docket's own, the logger's name and the key tell enough. */
const annotationsText = ({ annotations }: Line): string =>
  Object.entries(annotations)
    .filter(([name]) => !name.startsWith("docket."))
    .map(([name, value]) => ` ${name}=${textOf(value)}`)
    .join("")

/** The key in braces, as the lines about a run have it, where the message does not tell it. */
const keyText = ({ annotations, message }: Line): string => {
  const key = annotations["docket.key"]
  return key === undefined || message.includes(`{${String(key)}}`) ? "" : `{${String(key)}}`
}

// Whatever an error says, its lines are no lines of the log.
const causeText = ({ cause }: Line): string => (cause === undefined ? "" : `\n  ${indented(cause)}`)

const indented = (text: string): string => text.split(/\r?\n/).map(Text.safe).join("\n  ")

const plain = Logger.make((options) => {
  const line = lineOf(options)
  const said = Text.safe(`${line.name}${keyText(line)}: ${line.message}${annotationsText(line)}`)
  return `${options.date.toISOString()} ${line.level} ${said}${causeText(line)}`
})

const json = Logger.make((options) => {
  const { annotations, cause, level, message, name } = lineOf(options)
  // JSON leaves some control characters as they are.
  return Text.safe(
    Formatter.formatJson({
      time: options.date.toISOString(),
      level,
      name,
      message,
      ...(cause === undefined ? {} : { cause }),
      ...(Object.keys(annotations).length === 0 ? {} : { annotations })
    })
  )
})

const { cyan, green, red, yellow } = Text.colors

const styles: Readonly<Record<string, string>> = {
  DEBUG: `38;5;${cyan}`,
  INFO: `38;5;${green}`,
  WARNING: `38;5;${yellow}`,
  ERROR: `38;5;${red}`,
  FATAL: `38;5;${red};1`
}

const rich = (colors: boolean) => {
  const style = (code: string, text: string) => (colors ? `\x1b[${code}m${text}\x1b[0m` : text)
  return Logger.make((options) => {
    const line = lineOf(options)
    const time = options.date.toTimeString().slice(0, 8)
    const level = style(styles[line.level] ?? "2", line.level.padEnd(7))
    const key = keyText(line)
    const name = Text.safe(String(line.annotations["docket.task"] ?? ""))
    const task = key === "" ? "" : ` ${style("1", name)}${style("2", Text.safe(key))}`
    const annotations = style("2", Text.safe(annotationsText(line)))
    return `${style("2", time)} ${level}${task} ${indented(line.message)}${annotations}${causeText(line)}`
  })
}
