/**
 * What a worker says of itself when it starts.
 */
import * as Effect from "effect/Effect"
import type * as Task from "../../Task.ts"
import { signatureOf } from "../contract/signature.ts"

// The announcement is read at a glance: a name is enough for the tasks beyond these.
const longestTaskList = 8

/** Logs the worker's name, and the tasks that it knows with a short form of their payload fields. */
export const announce = Effect.fnUntraced(function* (name: string, concurrency: number, tasks: Iterable<Task.Any>) {
  yield* Effect.logInfo(
    `Worker ${name} runs up to ${concurrency} executions at once, of the built-in trace, fail, sleep and these tasks:`
  )
  for (const line of linesOf([...tasks])) yield* Effect.logInfo(line)
})

const linesOf = (tasks: ReadonlyArray<Task.Any>): ReadonlyArray<string> => {
  const lines = tasks.map((task) => `* ${signatureOf(task)}`)
  if (lines.length <= longestTaskList) return lines
  const others = tasks.slice(longestTaskList - 1).map(({ name }) => name)
  return [...lines.slice(0, longestTaskList - 1), `* and ${others.length} more: ${others.join(", ")}`]
}
