/**
 * Versions of payloads: that of a task without earlier versions, and what no contract made, are of version 1.
 */
import * as Stored from "./stored.ts"

/** The version of a stored payload. */
export const versionOf = (text: string): number => Stored.marksOf(text).version ?? 1

// No name of a task has it in it.
const separator = "\u0001"

/** What a worker has to know to read payloads of a task in a version. */
export const nameOf = (task: string, version: number): string =>
  version === 1 ? task : `${task}${separator}${version}`

/** All that a worker knows that reads a task's payloads up to a version. */
export const namesUpTo = (task: string, version: number): ReadonlyArray<string> =>
  Array.from({ length: version }, (_, i) => nameOf(task, i + 1))

/** The tasks among the names that a worker knows. */
export const tasksAmong = (names: ReadonlyArray<string>): ReadonlyArray<string> =>
  names.filter((name) => !name.includes(separator))

/** Such a name in a sentence. */
export const shown = (name: string): string => {
  const [task = "", version] = name.split(separator)
  return version === undefined ? `task "${task}"` : `version ${version} of the payload of task "${task}"`
}
