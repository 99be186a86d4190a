/**
 * Strikes as they are typed into a form.
 */
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { Strike } from "../Strike.ts"

/** What the form holds. */
export interface StrikeForm {
  readonly task: string
  readonly field: string
  readonly operator: string
  readonly value: string
  /** `hold` or `refuse`. */
  readonly mode: string
}

const parse = Schema.decodeUnknownOption(Schema.fromJsonString(Schema.Json))

const operators = Schema.Literals(["==", "!=", ">", ">=", "<", "<="])

/** The strike that a form describes. A value is JSON, or else text. */
export const strikeOf = ({ field, operator, task, mode, value }: StrikeForm): Strike =>
  new Strike({
    ...(task === "" ? {} : { task }),
    ...(field === "" ? {} : { field }),
    operator: Option.getOrElse(Schema.decodeUnknownOption(operators)(operator), () => "==" as const),
    value: field === "" ? null : Option.getOrElse(parse(value), () => value),
    hold: mode !== "refuse"
  })
