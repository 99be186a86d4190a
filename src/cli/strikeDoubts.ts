/** What makes one doubt that a strike matches anything: a task or a field that nobody knows, a value of another type. */
import type { DataKind, TaskFacts } from "../DocketStore.ts"
import type { Options } from "../StrikeList.ts"
import * as Text from "./text.ts"

/** Doubts about a strike, by what is known of tasks; nothing is said of what nobody has told anything of. */
export const doubtsOf = (
  { field, operator, task, value }: Options,
  facts: ReadonlyMap<string, TaskFacts>
): ReadonlyArray<string> => {
  if (facts.size === 0) return []
  const concerned = Array.from(facts).filter(([name]) => task === undefined || name === task)
  if (concerned.length === 0) {
    return [`No worker has said that it knows task ${Text.quote(task ?? "")}, only ${some(facts.keys())}`]
  }
  if (field === undefined) return []
  // Below the first part of its path nothing is known.
  const [first = "", ...rest] = field.split(".")
  const known = concerned.flatMap(([, { fields }]) => (fields === undefined ? [] : [fields]))
  if (known.length < concerned.length) return []
  const kinds = known.flatMap((fields) => (Object.hasOwn(fields, first) ? [fields[first] ?? []] : []))
  if (kinds.length === 0) {
    const names = new Set(known.flatMap((fields) => Object.keys(fields)))
    const whose = task === undefined ? "No task has" : `Task ${Text.quote(task)} has no`
    return [
      `${whose} ${task === undefined ? "a " : ""}field ${Text.quote(first)} in its payload${names.size === 0 ? "" : `, only ${some(names)}`}`
    ]
  }
  if (rest.length > 0 || kinds.some((all) => all.length === 0)) return []
  const possible = new Set(kinds.flat())
  const values = operator === "between" && Array.isArray(value) ? value : [value]
  const wrong = values.find((one) => !possible.has(kindOf(one)))
  if (wrong === undefined) return []
  return [
    `Field ${Text.quote(first)} is ${Array.from(possible).join(" or ")}, and ${JSON.stringify(wrong)} is ${kindOf(wrong)}: ` +
      "values are compared without conversion. Write int:7, float:1.5, bool:true or json:… for what is no string"
  ]
}

const kindOf = (value: unknown): DataKind => {
  if (value === null || value === undefined) return "null"
  if (Array.isArray(value)) return "array"
  if (typeof value === "string") return "string"
  if (typeof value === "number") return "number"
  return typeof value === "boolean" ? "boolean" : "object"
}

const some = (names: Iterable<string>): string => {
  const all = Array.from(names).toSorted()
  return all.slice(0, 10).map(Text.safe).join(", ") + (all.length > 10 ? ", …" : "")
}
