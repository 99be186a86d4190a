/**
 * A test prints nothing: fails those that do, with what they printed. Logs are collected, or turned off: see `logs.ts`.
 */
import { afterEach, beforeEach } from "vitest"

let printed: ReadonlyArray<string> = []

for (const method of ["debug", "error", "info", "log", "trace", "warn"] as const) {
  const print = console[method].bind(console)
  console[method] = (...words: ReadonlyArray<unknown>) => {
    printed = [...printed, words.map(String).join(" ")]
    print(...words)
  }
}

beforeEach(() => {
  printed = []
})

afterEach(({ task }) => {
  // What fails is printed.
  if (task.result?.state !== "fail" && printed.length > 0)
    throw new Error(`A test prints nothing, but this one printed:\n${printed.join("\n")}`)
})
