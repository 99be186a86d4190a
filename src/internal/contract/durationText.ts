/**
 * Durations as people type them, on the command line and in variables: `90` and `1:30` are a minute and a half, `500ms`, `30s`, `5m` and `1h` say their unit,
 * `0:01:30` has hours in front, and `90 seconds`, `1 hour` and `2 weeks` are as in code.
 */
import * as Config from "effect/Config"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import * as SchemaTransformation from "effect/SchemaTransformation"
import { millisOf } from "./durations.ts"

/** What a duration looks like, for messages. */
export const examples = '90 (seconds), 500ms, 30s, 5m, 1h, 1:30, 0:01:30 or "2 days"'

const millisPerUnit: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 }

/** Reads a duration, which is finite and not negative; `undefined` when the text is none. */
export const parse = (text: string): Duration.Duration | undefined => {
  const duration = parseShort(text) ?? parseWords(text)
  return duration !== undefined && Number.isFinite(millisOf(duration)) ? duration : undefined
}

const parseShort = (text: string): Duration.Duration | undefined => {
  const [, amount, unit = "s"] = /^(\d{1,9}(?:\.\d{1,9})?)(ms|s|m|h)?$/.exec(text) ?? []
  if (amount !== undefined) return Duration.millis(Number(amount) * millisPerUnit[unit]!)
  const [, hours, minutes, seconds] = /^(?:(\d{1,6}):(?=\d{1,2}:))?(\d{1,6}):([0-5]?\d)$/.exec(text) ?? []
  if (seconds === undefined || (hours !== undefined && Number(minutes) > 59)) return undefined
  return Duration.seconds((Number(hours ?? 0) * 60 + Number(minutes)) * 60 + Number(seconds))
}

const decode = Schema.decodeOption(Schema.DurationFromString)

const parseWords = (text: string): Duration.Duration | undefined =>
  /^\d/.test(text) ? Option.getOrUndefined(decode(text)) : undefined

const FromText = Schema.String.pipe(
  Schema.decodeTo(
    Schema.Duration,
    SchemaTransformation.transformEffect({
      decode: (text: string, options) => {
        const duration = parse(text)
        return duration === undefined
          ? Effect.fail(new SchemaIssue.InvalidValue({ expected: `a duration, such as ${examples}` }, text, options))
          : Effect.succeed(duration)
      },
      encode: (duration: Duration.Duration) => Effect.succeed(String(duration))
    })
  )
)

/** Reads a duration from a variable. */
export const config = (variable: string): Config.Config<Duration.Duration> => Config.schema(FromText, variable)
