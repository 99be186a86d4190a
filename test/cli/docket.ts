/**
 * Runs the `docket` command within the process of the test: the same program, arguments, output and exit code, without
 * the time that it takes to start a process. What a process promises, such as how it answers a signal or loads a module,
 * is tested with one of its own: see `test/support/processes.ts`.
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import {
  ConfigProvider,
  Console,
  Effect,
  Exit,
  Fiber,
  Layer,
  Queue,
  type Scope,
  Sink,
  Stdio,
  type Cause,
  Option,
  Terminal
} from "effect"
import { fileURLToPath } from "node:url"
import { format } from "node:util"
import { run as program } from "../../src/cli/docket.ts"
import { type DidNotSay, untilSaid } from "../support/processes.ts"

// Commands tell the time of the place that they run in.
process.env["TZ"] = "UTC"

/** A module of the fixtures, by an absolute path. */
export const fixture = (name: string) => fileURLToPath(new URL(`./fixtures/${name}`, import.meta.url))

export interface Options {
  /** All of the environment that it sees. */
  readonly env?: Readonly<Record<string, string>>
  /** Lets it run in a terminal of this size, so that `stdout` is what the terminal is sent. */
  readonly terminal?: { readonly columns: number; readonly rows: number }
}

export interface Ended {
  /** None when it was interrupted. */
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface Running {
  /** Interrupts it, and waits until it has ended. */
  readonly stop: Effect.Effect<Ended>
  /** Types a character in its terminal. */
  readonly type: (character: string) => Effect.Effect<void>
  /** Waits until the output, standard output and error together, holds a text. */
  readonly until: (text: string) => Effect.Effect<void, DidNotSay>
  readonly ended: Effect.Effect<Ended>
}

/** Starts a command. What still runs when the scope closes is interrupted. */
export const start: (args: ReadonlyArray<string>, options?: Options) => Effect.Effect<Running, never, Scope.Scope> =
  Effect.fnUntraced(function* (args, { env = {}, terminal } = {}) {
    let stdout = ""
    let stderr = ""
    const toStdout = (text: string) => void (stdout += text)
    // A terminal shows both.
    const toStderr = terminal === undefined ? (text: string) => void (stderr += text) : toStdout
    const sinkOf = (write: (text: string) => void) => () =>
      Sink.forEach((chunk: string | Uint8Array) => Effect.sync(() => write(String(chunk))))
    const isTerminal = Effect.succeed(terminal !== undefined)
    const input = yield* Queue.make<Terminal.UserInput, Cause.Done>()
    const console = Object.assign(Object.create(globalThis.console), {
      log: (...words: ReadonlyArray<unknown>) => toStdout(`${format(...words)}\n`),
      error: (...words: ReadonlyArray<unknown>) => toStderr(`${format(...words)}\n`)
    }) as Console.Console
    const fiber = yield* program.pipe(
      Effect.provide(
        Layer.mergeAll(
          Stdio.layerTest({
            args: Effect.succeed(args),
            stdinIsTerminal: isTerminal,
            stdoutIsTerminal: isTerminal,
            stderrIsTerminal: isTerminal,
            stdout: sinkOf(toStdout),
            stderr: sinkOf(toStderr)
          }),
          Layer.succeed(
            Terminal.Terminal,
            Terminal.make({
              columns: Effect.succeed(terminal?.columns ?? 0),
              rows: Effect.succeed(terminal?.rows ?? 0),
              size: Queue.make<Terminal.Size, Cause.Done>(),
              readInput: Effect.succeed(input),
              readLine: Effect.never,
              display: (text) => Effect.sync(() => toStdout(text))
            })
          ),
          Layer.succeed(Console.Console, console),
          ConfigProvider.layer(ConfigProvider.fromEnv({ env: { ...env } }))
        ).pipe(Layer.provideMerge(NodeServices.layer))
      ),
      Effect.forkScoped
    )
    const ended = Effect.map(Fiber.await(fiber), (exit): Ended => ({
      code: Exit.isSuccess(exit) ? exit.value : null,
      stdout,
      stderr
    }))
    return {
      stop: Effect.andThen(Fiber.interrupt(fiber), ended),
      // Ctrl-C ends the input.
      type: (character) =>
        character === "\u0003"
          ? Effect.asVoid(Queue.end(input))
          : Effect.asVoid(
              Queue.offer(input, {
                input: Option.some(character),
                key: { name: keys[character] ?? character, ctrl: false, meta: false, shift: false }
              })
            ),
      until: untilSaid(
        () => stdout + stderr,
        () => fiber.pollUnsafe() !== undefined
      ),
      ended
    }
  })

const keys: Readonly<Record<string, string>> = { "\r": "return" }

/** Runs a command to its end. */
export const run = (args: ReadonlyArray<string>, options?: Options): Effect.Effect<Ended> =>
  Effect.scoped(Effect.flatMap(start(args, options), ({ ended }) => ended))
