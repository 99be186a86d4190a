/**
 * What tells a process to stop: signals, and failures that nothing in it caught. A command that ends in its own way
 * listens for them; the others end at the first (see `main.ts`).
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import process from "node:process"

/** The signals to stop. A terminal that is closed sends SIGHUP. */
export type Signal = "SIGHUP" | "SIGINT" | "SIGTERM"

/** All of them. */
export const signals: ReadonlyArray<Signal> = ["SIGHUP", "SIGINT", "SIGTERM"]

/** A reason to stop. */
export type Stop =
  | { readonly _tag: "Signal"; readonly signal: Signal }
  /** Something was thrown, or rejected, where nobody waits for it: in a callback of a handler, as a rule. */
  | { readonly _tag: "Stray"; readonly error: unknown }

/**
 * How soon after Ctrl-C another one counts as the same. A terminal sends it to all the processes in the foreground, and
 * npm, which is one of them under `npx`, may pass it on to the command that has it already.
 */
const echoMillis = 100

/** Collects the reasons to stop, until the scope closes. */
export const listen: Effect.Effect<Queue.Dequeue<Stop>, never, Scope.Scope> = Effect.gen(function* () {
  const clock = yield* Clock.Clock
  const queue = yield* Queue.unbounded<Stop>()
  let latestInterrupt = -Infinity
  const receive = (signal: Signal) => {
    if (signal === "SIGINT" && process.stdin.isTTY) {
      const now = clock.currentTimeMillisUnsafe()
      const isEcho = now - latestInterrupt < echoMillis
      latestInterrupt = now
      if (isEcho) return
    }
    Queue.offerUnsafe(queue, { _tag: "Signal", signal })
  }
  // Without a listener for rejections, those that nobody handles come in here as well.
  const catchStray = (error: unknown) => void Queue.offerUnsafe(queue, { _tag: "Stray", error })
  yield* Effect.acquireRelease(
    Effect.sync(() => {
      for (const signal of signals) process.on(signal, receive)
      process.on("uncaughtException", catchStray)
    }),
    () =>
      Effect.sync(() => {
        for (const signal of signals) process.off(signal, receive)
        process.off("uncaughtException", catchStray)
      })
  )
  return queue
})
