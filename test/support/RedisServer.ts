/**
 * A Redis server of a test's own, which the test can kill, freeze and start again. Its binary is `redis-server`, or the one
 * that the environment names as `REDIS_SERVER`: another version, or Valkey.
 */
import { Clock, Context, Effect, Layer, Schedule, Schema, type Scope } from "effect"
import * as ChildProcess from "node:child_process"
import * as Crypto from "node:crypto"
import * as Fs from "node:fs/promises"
import * as Net from "node:net"
import * as Os from "node:os"
import * as Path from "node:path"
import * as Util from "node:util"
import type { Certificates } from "./certificates.ts"

/** A server that does not start, or a `redis-cli` command that fails. */
export class RedisServerError extends Schema.TaggedError<RedisServerError>("effect-docket/test/RedisServerError")(
  "RedisServerError",
  { message: Schema.String, cause: Schema.optional(Schema.Defect()) }
) {}

export interface Options {
  /** Keeps the data on disk, so that it outlives `kill`. Default: nothing is kept. */
  readonly appendonly?: boolean
  /** Further arguments of redis-server, such as `["--maxmemory", "50mb"]`. */
  readonly config?: ReadonlyArray<string>
  /** The lines of a configuration file, for what cannot be an argument. */
  readonly file?: ReadonlyArray<string>
  /** Takes connections with TLS only, but for its socket. */
  readonly tls?: Certificates
}

export class RedisServer extends Context.Service<
  RedisServer,
  {
    /** `redis://127.0.0.1:<port>/0`, or `rediss` with the authority to trust */
    readonly url: string
    readonly port: number
    /** The path of the Unix socket that the server listens on too. */
    readonly socketPath: string
    /** Ends the process at once, as a crash does (SIGKILL). */
    readonly kill: Effect.Effect<void>
    /** Ends the process in good order (SIGTERM), frozen or not. */
    readonly stop: Effect.Effect<void>
    /** Starts it again, with the same port and data, and waits until it answers. Does nothing while it runs. */
    readonly start: Effect.Effect<void, RedisServerError>
    /** Lets the process stand still with its connections open (SIGSTOP), as an overloaded machine does. */
    readonly freeze: Effect.Effect<void>
    /** Lets a frozen process go on (SIGCONT). */
    readonly thaw: Effect.Effect<void>
    /** Runs a command through redis-cli and gives what it prints, without the last newline. */
    readonly cli: (...args: ReadonlyArray<string>) => Effect.Effect<string, RedisServerError>
  }
>()("effect-docket/test/RedisServer") {
  /** One server, shared by everything built from this layer: as a rule, by one test file. */
  static readonly layer = (options?: Options): Layer.Layer<RedisServer, RedisServerError> =>
    Layer.effect(RedisServer, make(options))
}

/** Starts a server of its own on a free loopback port, and ends it and removes its data with the scope. */
export const make = (options: Options = {}): Effect.Effect<RedisServer["Service"], RedisServerError, Scope.Scope> =>
  makeOnPort(options).pipe(
    Effect.retry({ while: (error) => error._tag === "PortTaken", times: 10 }),
    orRedisServerError
  )

const makeOnPort = Effect.fnUntraced(function* (options: Options) {
  const port = yield* freePort
  const directory = yield* Effect.acquireRelease(
    Effect.promise(() => Fs.mkdtemp(Path.join(Os.tmpdir(), "docket-redis-"))),
    (directory) => Effect.promise(() => Fs.rm(directory, { recursive: true, force: true }))
  )
  const socketPath = Path.join(directory, "redis.sock")
  const logPath = Path.join(directory, "redis.log")
  const configPath = Path.join(directory, "redis.conf")
  const { file = [], tls } = options
  if (file.length > 0) yield* Effect.promise(() => Fs.writeFile(configPath, file.join("\n")))
  const args = [
    file.length > 0 ? [configPath] : [],
    tls === undefined
      ? ["--port", String(port)]
      : ["--port", "0", "--tls-port", String(port), "--tls-auth-clients", "optional"],
    tls === undefined ? [] : ["--tls-ca-cert-file", tls.ca, "--tls-cert-file", tls.cert, "--tls-key-file", tls.key],
    ["--bind", "127.0.0.1"],
    ["--unixsocket", socketPath],
    ["--dir", directory],
    ["--logfile", logPath],
    ["--save", ""],
    // What was acknowledged before a kill is there after it: the default may still hold a second of it in memory.
    options.appendonly === true ? ["--appendonly", "yes", "--appendfsync", "always"] : [],
    options.config ?? []
  ].flat()

  let current: Process | undefined

  const end = (how: (process: Process) => void) =>
    Effect.promise(async () => {
      const process = current
      if (process === undefined) return
      how(process)
      await process.exited
    })
  const kill = end((process) => process.child.kill("SIGKILL"))

  const start = Effect.gen(function* () {
    if (current !== undefined) return
    const process = spawn(args, directory)
    current = process
    void process.exited.then(() => {
      if (current === process) current = undefined
    })
    const answers = yield* answersPing(socketPath).pipe(
      Effect.repeat({ until: (answers) => answers || current !== process, schedule: Schedule.spaced(5) }),
      Effect.timeoutOrElse({ duration: "15 seconds", orElse: () => Effect.succeed(false) }),
      Effect.provideService(Clock.Clock, liveClock)
    )
    if (answers) return
    yield* kill
    const log = yield* Effect.promise(() => Fs.readFile(logPath, "utf8").catch(String))
    return yield* /Address already in use|already busy/.test(log)
      ? new PortTaken({ port })
      : new RedisServerError({ message: `${binary} on port ${port} does not start:\n${log}` })
  })

  yield* Effect.addFinalizer(() => kill)
  yield* start

  return RedisServer.of({
    url:
      tls === undefined
        ? `redis://127.0.0.1:${port}/0`
        : `rediss://127.0.0.1:${port}/0?ca=${encodeURIComponent(tls.ca)}`,
    port,
    socketPath,
    kill,
    stop: end(({ child }) => {
      child.kill("SIGTERM")
      child.kill("SIGCONT")
    }),
    start: orRedisServerError(start),
    freeze: Effect.sync(() => void current?.child.kill("SIGSTOP")),
    thaw: Effect.sync(() => void current?.child.kill("SIGCONT")),
    cli: (...args) => cli(socketPath, args)
  })
})

class PortTaken extends Schema.TaggedError<PortTaken>("effect-docket/test/PortTaken")("PortTaken", {
  port: Schema.Finite
}) {}

const orRedisServerError = <A, R>(self: Effect.Effect<A, PortTaken | RedisServerError, R>) =>
  Effect.catchTag(self, "PortTaken", ({ port }) =>
    Effect.fail(new RedisServerError({ message: `port ${port} is taken by another process` }))
  )

/** Waiting for a process takes real time, also in a test with a `TestClock`. */
const liveClock = Clock.Clock.defaultValue()

/**
 * A port that the OS says is free, from below the ports that it gives to outgoing connections: else a client that
 * reconnects to a killed server may be given that server's own port, and connect to itself.
 */
export const freePort = Effect.callback<number>((resume) => {
  const attempt = () => {
    const port = Crypto.randomInt(12_000, 32_000)
    const probe = Net.createServer()
    probe.once("error", attempt)
    probe.listen(port, "127.0.0.1", () => probe.close(() => resume(Effect.succeed(port))))
  }
  attempt()
})

const binary = process.env["REDIS_SERVER"] ?? "redis-server"

interface Process {
  readonly child: ChildProcess.ChildProcess
  readonly exited: Promise<void>
}

const spawn = (args: ReadonlyArray<string>, directory: string): Process => {
  const child = ChildProcess.spawn(binary, args, { stdio: "ignore", detached: true })
  // Its input closes when this process dies, however it dies. Then it ends the server; a line instead lets it go.
  const watchdog = ChildProcess.spawn(
    "sh",
    ["-c", 'read -r _ || { kill -9 "$1"; rm -rf "$2"; }', "sh", String(child.pid), directory],
    { stdio: ["pipe", "ignore", "ignore"], detached: true }
  )
  child.unref()
  watchdog.unref()
  watchdog.stdin.on("error", () => {})
  const exited = new Promise<void>((resolve) => {
    const done = () => {
      watchdog.stdin.end("\n")
      resolve()
    }
    child.once("exit", done)
    child.once("error", done)
  })
  return { child, exited }
}

/** Asked on the Unix socket, which only this server can have opened: on the port, another server might answer. */
const answersPing = (socketPath: string): Effect.Effect<boolean> =>
  Effect.callback((resume) => {
    const socket = Net.connect(socketPath)
    const answer = (yes: boolean) => {
      socket.destroy()
      resume(Effect.succeed(yes))
    }
    socket.once("connect", () => socket.write("PING\r\n"))
    socket.once("data", (reply) => answer(/^(?:\+PONG|-NOAUTH|-NOPERM)/.test(reply.toString())))
    socket.once("error", () => answer(false))
    return Effect.sync(() => socket.destroy())
  })

const execFile = Util.promisify(ChildProcess.execFile)

const cli = Effect.fnUntraced(function* (socketPath: string, args: ReadonlyArray<string>) {
  const { stdout } = yield* Effect.tryPromise({
    try: (signal) => execFile("redis-cli", ["-s", socketPath, ...args], { signal, maxBuffer: 64 * 1024 * 1024 }),
    catch: (cause) => new RedisServerError({ message: `redis-cli ${args.join(" ")} failed`, cause })
  })
  const output = stdout.replace(/\n$/, "")
  // redis-cli prints an error reply like any other and exits with 0; its option that changes this is from Redis 7 on.
  if (
    /^(?:ERR|NOAUTH|NOPERM|WRONGPASS|WRONGTYPE|NOGROUP|BUSY\w*|EXECABORT|OOM|READONLY|LOADING|MOVED|ASK|TRYAGAIN|CLUSTERDOWN|NOGOODSLAVE|INPROG) /.test(
      output
    )
  ) {
    return yield* new RedisServerError({ message: `redis-cli ${args.join(" ")}: ${output}` })
  }
  return output
})
