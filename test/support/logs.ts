/** What is logged, for tests to look at. */
import { Cause, Effect, type Layer, Logger, References } from "effect"

/** One line of the log. */
export interface Line {
  readonly level: string
  readonly message: string
  /** The cause that was logged with it, as text; empty when there was none. */
  readonly cause: string
  readonly annotations: Readonly<Record<string, unknown>>
}

/** Gives the lines that are logged from now on, and a layer that collects them instead of printing them. */
export const collectLogs = Effect.sync(() => {
  const lines: Array<Line> = []
  const collector = Logger.make<unknown, void>(({ cause, fiber, logLevel, message }) => {
    lines.push({
      level: logLevel,
      message: Array.isArray(message) ? message.map(String).join(" ") : String(message),
      cause: Cause.pretty(cause),
      annotations: fiber.getRef(References.CurrentLogAnnotations)
    })
  })
  return {
    lines: lines as ReadonlyArray<Line>,
    /** The messages of a level. */
    at: (level: "Info" | "Warn" | "Error"): ReadonlyArray<string> =>
      lines.filter((line) => line.level === level).map(({ message }) => message),
    layer: Logger.layer([collector]) satisfies Layer.Layer<never>
  }
})
