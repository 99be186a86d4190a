/**
 * How a stored payload says of which version it is. That of a task without earlier versions says nothing, and is of
 * version 1.
 */
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import * as Exit from "effect/Exit"

// An object has the mark among its fields, so that whoever looks for a field of the payload finds it.
const versionField = "~version"
const payloadField = "~payload"

/** Marks an encoded payload. */
export const mark = (encoded: unknown, version: number): unknown =>
  Predicate.isObject(encoded)
    ? { ...encoded, [versionField]: version }
    : { [versionField]: version, [payloadField]: encoded }

/** Takes the mark from a payload. */
export const unmark = (value: unknown): { readonly version: number; readonly payload: unknown } => {
  if (!Predicate.isObject(value) || !(versionField in value)) return { version: 1, payload: value }
  const { [versionField]: version, ...fields } = value
  if (typeof version !== "number") return { version: 1, payload: value }
  return { version, payload: payloadField in fields ? fields[payloadField] : fields }
}

/** The version of a stored payload. */
export const versionOf = (text: string): number => {
  // Nearly no payload is marked, and this is asked of each.
  if (!text.includes(`"${versionField}":`)) return 1
  const parsed = parseJson(text)
  return Exit.isSuccess(parsed) ? unmark(parsed.value).version : 1
}

const parseJson = Schema.decodeUnknownExit(Schema.fromJsonString(Schema.Unknown))

/** What a worker has to know to read payloads of a task in a version. */
export const nameOf = (task: string, version: number): string => (version === 1 ? task : `${task} version ${version}`)

/** All that a worker knows that reads a task's payloads up to a version. */
export const namesUpTo = (task: string, version: number): ReadonlyArray<string> =>
  Array.from({ length: version }, (_, i) => nameOf(task, i + 1))

/** The tasks among the names that a worker knows. */
export const tasksAmong = (names: ReadonlyArray<string>): ReadonlyArray<string> => {
  const all = new Set(names)
  return names.filter((name) => {
    const task = /^(.*) version \d+$/s.exec(name)?.[1]
    return task === undefined || !all.has(task)
  })
}
