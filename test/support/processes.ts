/** Runs programs, the real `docket` command above all, in processes of their own. */
import { Effect, Schedule, Schema, type Scope } from "effect"
import * as ChildProcess from "node:child_process"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("../..", import.meta.url))

/** The command's entry point in the clone. */
export const bin = fileURLToPath(new URL("../../bin/docket.js", import.meta.url))

export interface Options {
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
  /** What runs instead of `node bin/docket.js`. */
  readonly command?: readonly [string, ...ReadonlyArray<string>]
  /** Lets it run in a terminal of this size, so that `stdout` is what the terminal is sent. */
  readonly terminal?: { readonly columns: number; readonly rows: number }
}

export interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

export interface Running {
  readonly kill: (signal: NodeJS.Signals) => Effect.Effect<void>
  /** Types something in its terminal. */
  readonly type: (text: string) => Effect.Effect<void>
  /** Waits until the output, standard output and error together, holds a text. */
  readonly until: (text: string) => Effect.Effect<void, DidNotSay>
  readonly ended: Effect.Effect<Ended>
}

export class DidNotSay extends Schema.TaggedError<DidNotSay>("effect-docket/test/DidNotSay")("DidNotSay", {
  message: Schema.String
}) {}

/** Starts a command. What still runs when the scope closes is killed. */
export const start = (
  args: ReadonlyArray<string>,
  { command = [process.execPath, bin], cwd = root, env = {}, terminal }: Options = {}
): Effect.Effect<Running, never, Scope.Scope> =>
  Effect.gen(function* () {
    const [file, ...rest] = terminal === undefined ? [...command, ...args] : inTerminal([...command, ...args], terminal)
    const child = yield* Effect.acquireRelease(
      Effect.sync(() =>
        ChildProcess.spawn(file!, rest, {
          cwd,
          env: { ...withoutDocket(process.env), ...(terminal === undefined ? {} : { TERM: "xterm-256color" }), ...env },
          stdio: [terminal === undefined ? "ignore" : "pipe", "pipe", "pipe"]
        })
      ),
      (child) => Effect.sync(() => child.kill("SIGKILL"))
    )
    let stdout = ""
    let stderr = ""
    child.stdout?.setEncoding("utf8").on("data", (data) => (stdout += data))
    child.stderr?.setEncoding("utf8").on("data", (data) => (stderr += data))
    child.stdin?.on("error", () => {})
    const closed = new Promise<Ended>((resolve) =>
      child.once("close", (code, signal) => resolve({ code, signal, stdout, stderr }))
    )
    let isClosed = false
    void closed.then(() => (isClosed = true))
    return {
      kill: (signal) => Effect.sync(() => void child.kill(signal)),
      type: (text) => Effect.sync(() => void child.stdin?.write(text)),
      until: untilSaid(
        () => stdout + stderr,
        () => isClosed
      ),
      ended: Effect.promise(() => closed)
    }
  })

/** Waits until what was said holds a text. */
export const untilSaid =
  (said: () => string, isOver: () => boolean) =>
  (text: string): Effect.Effect<void, DidNotSay> =>
    Effect.sync(() => said().includes(text)).pipe(
      Effect.repeat({ until: (found) => found || isOver(), schedule: Schedule.spaced(10) }),
      Effect.timeoutOrElse({ duration: "20 seconds", orElse: () => Effect.succeed(false) }),
      Effect.filterOrFail(
        (found) => found,
        () => new DidNotSay({ message: `it never said "${text}", but:\n${said()}` })
      ),
      Effect.asVoid
    )

/** Runs a command to its end. */
export const run = (args: ReadonlyArray<string>, options?: Options): Effect.Effect<Ended> =>
  Effect.scoped(Effect.flatMap(start(args, options), ({ ended }) => ended))

/** The same command in a pseudo-terminal: `script` makes one, whatever it is itself connected to. */
const inTerminal = (command: ReadonlyArray<string>, { columns, rows }: NonNullable<Options["terminal"]>) => {
  const quoted = command.map((part) => `'${part.replace(/'/g, "'\\''")}'`).join(" ")
  return ["script", "-qefc", `stty cols ${columns} rows ${rows}; exec ${quoted}`, "/dev/null"]
}

/** The settings of whoever runs the tests are not those of the tests. */
const withoutDocket = (env: NodeJS.ProcessEnv): NodeJS.ProcessEnv =>
  Object.fromEntries(Object.entries(env).filter(([name]) => !/^(DOCKET_|NO_COLOR$|FORCE_COLOR$)/.test(name)))
