/**
 * The process of the `docket` command: runs it, and ends with the code that fits.
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Effect from "effect/Effect"
import * as Runtime from "effect/Runtime"
import process from "node:process"
import { run } from "./docket.ts"

const main = Effect.flatMap(Effect.provide(run, NodeServices.layer), (code) =>
  Effect.sync(() => {
    if (code !== 0) process.exitCode = code
  })
)

/** Ends the process, whatever a module has left open, once everything that was printed is out. */
const exit = () => process.stdout.write("", () => process.stderr.write("", () => process.exit()))

// Whoever read our output may have gone, as in `docket snapshot | head`.
process.stdout.on("error", () => {})
process.stderr.on("error", () => {})

Runtime.makeRunMain(({ fiber }) => fiber.addObserver(exit))(main, { disableErrorReporting: true })
