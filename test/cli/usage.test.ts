import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { readFileSync } from "node:fs"
import * as Net from "node:net"
import * as Process from "../support/processes.ts"
import * as docket from "./docket.ts"

const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"))

const commands = [
  "worker",
  "add",
  "replace",
  "cancel",
  "show",
  "ls",
  "failed ls",
  "failed retry",
  "failed discard",
  "failed",
  "snapshot",
  "workers ls",
  "workers for-task",
  "workers",
  "watch",
  "tail",
  "dash",
  "doctor",
  "explain",
  "strike",
  "restore",
  "strikes",
  "pause",
  "resume",
  "clear",
  "tasks trace",
  "tasks fail",
  "tasks sleep",
  "tasks",
  "version"
]

/** A use of each command that needs a store which others see. */
const onStore = [
  ["add", "one"],
  ["replace", "one", "--key", "k"],
  ["cancel", "k"],
  ["show", "k"],
  ["explain", "k"],
  ["ls"],
  ["failed", "ls"],
  ["failed", "retry", "--all"],
  ["failed", "discard", "--all"],
  ["snapshot"],
  ["workers", "ls"],
  ["workers", "for-task", "one"],
  ["watch", "k"],
  ["tail"],
  ["doctor"],
  ["strike", "one"],
  ["restore", "one"],
  ["strikes"],
  ["pause"],
  ["resume"],
  ["clear"],
  ["tasks", "trace"],
  ["tasks", "fail"],
  ["tasks", "sleep"]
]

describe("docket", () => {
  it.live("version prints the package's version and nothing else (CLI-02)", () =>
    Effect.gen(function* () {
      const result = yield* Process.run(["version"])
      assert.deepStrictEqual(result, { code: 0, signal: null, stdout: `${version}\n`, stderr: "" })
    })
  )

  it.live("prints help without a command (CLI-01)", () =>
    Effect.gen(function* () {
      const result = yield* docket.run([])
      assert.deepStrictEqual([result.code, result.stderr], [0, ""])
      for (const command of commands.filter((command) => !command.includes(" "))) {
        assert.match(result.stdout, new RegExp(`^ +${command} `, "m"))
      }
    })
  )

  it.live.each(commands)("shows an example in the help of %s (CLI-01)", (command) =>
    Effect.gen(function* () {
      const result = yield* docket.run([...command.split(" "), "--help"])
      assert.strictEqual(result.code, 0)
      assert.match(result.stdout, new RegExp(`^EXAMPLES\n(.*\n)*  docket ${command}`, "m"))
      for (const flag of ["--docket", "--url"]) assert.include(result.stdout, flag)
      for (const line of tooLong(result.stdout, 80)) assert.fail(`longer than 80 columns: ${line}`)
    })
  )

  it.live("wraps its help to the width of the terminal, and leaves commands whole (CLI-01)", () =>
    Effect.gen(function* () {
      const { stdout } = yield* docket.run(["ls", "--help"], { terminal: { columns: 60, rows: 24 } })
      // eslint-disable-next-line no-control-regex
      const help = stdout.replace(/\u001b\[[0-9;?]*[A-Za-z]/g, "").replaceAll("\r", "")
      assert.deepStrictEqual(tooLong(help, 60), [])
      assert.include(
        help,
        `  --state <state>            Only executions in this state:\n${" ".repeat(29)}running, queued,`
      )
    })
  )

  const refused = (title: string, args: ReadonlyArray<string>, sentence: string | RegExp, options?: docket.Options) =>
    it.live(title, () =>
      Effect.gen(function* () {
        const result = yield* docket.run(args, options)
        assertSentence(result, 2)
        if (typeof sentence === "string") assert.include(result.stderr, sentence)
        else assert.match(result.stderr, sentence)
      })
    )
  const worker = ["worker", "--url", "memory://", "--until-finished", "--tasks", docket.fixture("greetings.ts")]

  refused("refuses an unknown command, and guesses (CLI-05)", ["wrker"], "did you mean worker?")
  refused(
    "refuses an unknown flag, and guesses (CLI-05)",
    [...worker, "--concurency", "1"],
    "did you mean --concurrency?"
  )
  refused("refuses a worker without tasks (CLI-05)", ["worker", "--url", "memory://"], "A worker needs tasks")
  refused(
    "refuses a concurrency below one, naming the flag (CLI-05)",
    [...worker, "--concurrency", "0"],
    '--concurrency has to be a whole number of at least 1; it was "0"'
  )
  refused(
    "refuses a number that is none, naming the variable that it came from (CLI-05)",
    worker,
    'DOCKET_WORKER_CONCURRENCY has to be a whole number of at least 1; it was "many"',
    { env: { DOCKET_WORKER_CONCURRENCY: "many" } }
  )
  refused(
    "refuses a malformed duration, naming the option and the value (CLI-08)",
    [...worker, "--redelivery-timeout", "5 fortnights"],
    /--redelivery-timeout has to be a duration above zero, such as .*; it was "5 fortnights"/
  )
  refused(
    "refuses a malformed duration of a variable, naming it and the value (CLI-08)",
    worker,
    /DOCKET_WORKER_SHUTDOWN_TIMEOUT has to be a duration, such as .*; it was "soon"/,
    { env: { DOCKET_WORKER_SHUTDOWN_TIMEOUT: "soon" } }
  )
  refused(
    "refuses an unknown scheme without showing the password (URL-01, URL-02)",
    ["worker", "--tasks", docket.fixture("greetings.ts"), "--url", "http://ada:secret@localhost"],
    'http://ada:***@localhost cannot be used: the scheme "http" is not one of'
  )
  refused(
    "refuses a URL in the wrong place without showing the password (URL-02)",
    ["worker", "redis://ada:secret@localhost"],
    "redis://ada:***@localhost"
  )
  refused(
    "refuses a URL with spaces in its password without showing any of it (URL-02)",
    ["worker", "redis://ada:my secret@localhost"],
    "redis://ada:***@localhost"
  )
  for (const option of ["password", "auth", "token"]) {
    refused(
      `refuses ?${option}= in a URL without showing its value (URL-02)`,
      ["snapshot", "--url", `redis://localhost?${option}=secret`],
      `redis://localhost?${option}=*** cannot be used`
    )
  }
  refused(
    "refuses memory without showing a password (URL-02)",
    ["snapshot", "--url", "memory://ada:secret@here"],
    "memory://ada:***@here lives in"
  )
  refused("refuses a docket's name that cannot be (CLI-05)", [...worker, "--docket", "a{b}"], 'it was "a{b}"')
  refused("refuses a setting that it cannot read, naming its variable (CLI-05)", worker, "DOCKET_EXECUTION_TTL", {
    env: { DOCKET_EXECUTION_TTL: "soon" }
  })
  refused("refuses an unknown logging level (CLI-07)", [...worker, "--logging-level", "loud"], 'it was "loud"')

  for (const args of onStore) {
    refused(
      `refuses memory for ${args.join(" ")}, and says why (CLI-04)`,
      [...args, "--url", "memory://here"],
      /memory:\/\/here lives in the process that opens it, .* give the URL of a Redis/
    )
  }

  it.live("says in one sentence that there is no Redis, whatever it was asked (CLI-05)", () =>
    Effect.forEach(
      onStore.filter(([command]) => command !== "doctor"),
      Effect.fnUntraced(function* (args) {
        const result = yield* docket.run([...args, "--url", "redis://ada:secret@127.0.0.1:1"])
        assertSentence(result, 1)
        assert.include(result.stderr, "redis://ada:***@127.0.0.1:1 cannot be reached: connect ECONNREFUSED")
      }),
      { concurrency: 2 }
    )
  )

  it.live("says that what answers is no Redis (CLI-05)", () =>
    Effect.gen(function* () {
      const server = yield* Effect.acquireRelease(
        Effect.callback<Net.Server>((resume) => {
          const server = Net.createServer((socket) => {
            socket.on("error", () => {}).on("data", () => socket.write("HTTP/1.1 400 Bad Request\r\n\r\n"))
          }).listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
        }),
        (server) => Effect.sync(() => server.close())
      )
      const { port } = server.address() as Net.AddressInfo
      const result = yield* docket.run(["snapshot", "--url", `redis://127.0.0.1:${port}`])
      assertSentence(result, 1)
      assert.include(result.stderr, "cannot be reached: what answers there is no Redis")
    })
  )

  it.live("says in one sentence that it has a defect, and shows more when it is asked to (CLI-05)", () =>
    Effect.gen(function* () {
      // It reads its own version, from a disk that is broken.
      const preload = `data:text/javascript,${encodeURIComponent(`
        import fs from "node:fs"
        import { syncBuiltinESMExports } from "node:module"
        const { readFile } = fs
        fs.readFile = (path, ...rest) =>
          String(path).endsWith("package.json") ? rest.at(-1)(new Error("input/output error")) : readFile(path, ...rest)
        syncBuiltinESMExports()
      `)}`
      const command = [process.execPath, "--import", preload, Process.bin] as const
      const result = yield* Process.run(["snapshot"], { command })
      assertSentence(result, 1)
      assert.match(result.stderr, /package\.json.*DOCKET_LOGGING_LEVEL=debug/)
      const more = yield* Process.run(["snapshot"], { command, env: { DOCKET_LOGGING_LEVEL: "debug" } })
      assert.strictEqual(more.code, 1)
      assert.match(more.stderr, /input\/output error[^]*\n +at /)
    })
  )

  it.live("a flag wins over its variable, and a variable over the default (CLI-03)", () =>
    Effect.gen(function* () {
      const env = { DOCKET_NAME: "from-env", DOCKET_URL: "memory://env", DOCKET_WORKER_NAME: "named-by-env" }
      const fromEnv = yield* docket.run(["worker", "--until-finished", "--tasks", docket.fixture("greetings.ts")], {
        env
      })
      assert.include(fromEnv.stderr, 'docket "from-env" at memory://env')
      assert.include(fromEnv.stderr, "Worker named-by-env ")
      const flags = ["--docket", "from-flag", "--name", "named-by-flag"]
      const fromFlags = yield* docket.run([...worker, ...flags], { env })
      assert.include(fromFlags.stderr, 'docket "from-flag" at memory://\n')
      assert.include(fromFlags.stderr, "Worker named-by-flag ")
      const byDefault = yield* docket.run(worker)
      assert.include(byDefault.stderr, 'docket "docket" at memory://')
    })
  )
})

/** The lines of help that are too long, apart from commands and from those that no space could break. */
const tooLong = (help: string, columns: number) => {
  const [descriptions = ""] = help.split("\nEXAMPLES\n")
  return descriptions.split("\n").filter((line) => line.length > columns && !/^ +\S+$/.test(line))
}

/** One line on standard error, no stack trace, no secret, and the code. */
const assertSentence = (result: docket.Ended, code: number) => {
  assert.deepStrictEqual([result.code, result.stdout], [code, ""], result.stderr)
  assert.match(result.stderr, /^docket.*\n$/)
  assert.notInclude(result.stderr, "    at ")
  assert.notInclude(result.stderr, "secret")
}
