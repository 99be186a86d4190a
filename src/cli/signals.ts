/**
 * The signals with which a process is told to stop. A command that ends in its own way listens for them; the others
 * leave them to Node, which ends the process.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import process from "node:process"

/** The signals to stop. */
export type Signal = "SIGINT" | "SIGTERM"

/** All of them. */
export const signals: ReadonlyArray<Signal> = ["SIGINT", "SIGTERM"]

/**
 * How soon after Ctrl-C another one counts as the same. A terminal sends it to all the processes in the foreground, and
 * npm, which is one of them under `npx`, may pass it on to the command that has it already.
 */
const echoMillis = 100

/** Collects the signals to stop that the process gets, until the scope closes. */
export const listen: Effect.Effect<Queue.Dequeue<Signal>, never, Scope.Scope> = Effect.gen(function* () {
  const clock = yield* Clock.Clock
  const queue = yield* Queue.unbounded<Signal>()
  let latestInterrupt = -Infinity
  const receive = (signal: Signal) => {
    if (signal === "SIGINT" && process.stdin.isTTY) {
      const now = clock.currentTimeMillisUnsafe()
      const isEcho = now - latestInterrupt < echoMillis
      latestInterrupt = now
      if (isEcho) return
    }
    Queue.offerUnsafe(queue, signal)
  }
  yield* Effect.acquireRelease(
    Effect.sync(() => signals.forEach((signal) => process.on(signal, receive))),
    () => Effect.sync(() => signals.forEach((signal) => process.off(signal, receive)))
  )
  return queue
})
