/**
 * The process of the `docket` command: runs it, and ends with the code that fits.
 *
 * **Details**
 *
 * A signal to stop ends it with 128 and the signal's number, as a shell says it, also where it is the first process of a
 * container, which Linux protects from signals that it does not listen for. The worker listens itself, and drains.
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Runtime from "effect/Runtime"
import * as Os from "node:os"
import process from "node:process"
import { run } from "./docket.ts"
import * as Exits from "./exits.ts"
import * as Signals from "./signals.ts"

const main = Effect.flatMap(Effect.provide(run, NodeServices.layer), (code) =>
  Effect.sync(() => {
    if (code !== 0) process.exitCode = code
  })
)

// Whoever read our output may have gone, as in `docket snapshot | head`, and has what they want. Anything else is lost.
let lost: Error | undefined
for (const stream of [process.stdout, process.stderr]) {
  stream.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") lost ??= error
  })
}

/** Ends the process, whatever a module has left open, once everything that was printed is out. */
const exit = () => process.stdout.write("", () => process.stderr.write("", () => setImmediate(end)))

// What cannot be written is reported after the callback of the write.
const end = () => {
  if (lost === undefined) process.exit()
  process.stderr.write(`docket: The output could not be written: ${lost.message}\n`, () =>
    process.exit(process.exitCode ?? Exits.codes.failed)
  )
}

const endAtSignals = (fiber: Fiber.Fiber<unknown, unknown>) => {
  for (const signal of Signals.signals) {
    const stop = () => {
      // The command listens itself.
      if (process.listenerCount(signal) > 1) return
      const isSecond = process.exitCode !== undefined
      process.exitCode = 128 + Os.constants.signals[signal]
      if (isSecond) process.exit()
      fiber.interruptUnsafe()
    }
    process.on(signal, stop)
  }
}

Runtime.makeRunMain(({ fiber }) => {
  endAtSignals(fiber)
  fiber.addObserver(exit)
})(main, { disableErrorReporting: true })
