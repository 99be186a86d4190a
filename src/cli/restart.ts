/**
 * Runs the present command again and again, as its files change: Node's own watch mode follows what the command loads,
 * stops it in good order with SIGTERM, and starts it anew.
 */
import * as Effect from "effect/Effect"
import * as ChildProcess from "node:child_process"
import process from "node:process"
import { CommandFailed } from "./exits.ts"
import { type Signal, signals } from "./signals.ts"

/** Runs it without its flag `--watch`, and passes signals on; completes with the exit code of the last run. */
export const onChange: Effect.Effect<number, CommandFailed> = Effect.callback((resume) => {
  const args = process.argv.slice(1).filter((arg) => !/^--watch(=.*)?$/.test(arg))
  const child = ChildProcess.spawn(
    process.execPath,
    [...process.execArgv, "--watch", "--watch-preserve-output", ...args],
    { stdio: "inherit" }
  )
  const pass = (signal: Signal) => void child.kill(signal)
  for (const signal of signals) process.on(signal, pass)
  const done = (result: Effect.Effect<number, CommandFailed>) => {
    for (const signal of signals) process.off(signal, pass)
    resume(result)
  }
  child.once("error", ({ message }) =>
    done(Effect.fail(new CommandFailed({ message: `Node cannot be started: ${message}` })))
  )
  child.once("exit", (code) => done(Effect.succeed(code ?? 1)))
})
