import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Option } from "effect"
import * as Crypto from "node:crypto"
import * as Fs from "node:fs/promises"
import * as Os from "node:os"
import * as Path from "node:path"
import { Docket } from "../../src/index.ts"
import * as Process from "../support/processes.ts"
import * as RedisServer from "../support/RedisServer.ts"
import * as docket from "./docket.ts"
import { Greet } from "./fixtures/greetings.ts"
import { Wait } from "./fixtures/gated.ts"

/** A gate that handlers of the fixture wait for. */
const makeGate = Effect.gen(function* () {
  const GATE = Path.join(Os.tmpdir(), `docket-gate-${Crypto.randomUUID()}`)
  yield* Effect.addFinalizer(() => Effect.promise(() => Fs.rm(GATE, { force: true })))
  return { env: { GATE }, open: Effect.promise(() => Fs.writeFile(GATE, "")) }
})

const memory = ["worker", "--url", "memory://"]
const gated = [...memory, "--tasks", docket.fixture("gated.ts")]

describe("docket worker", () => {
  it.live("--until-finished ends at once on an empty docket (CLI-10)", () =>
    Effect.gen(function* () {
      const result = yield* docket.run([...memory, "--until-finished", "--tasks", docket.fixture("greetings.ts")])
      assert.strictEqual(result.code, 0, result.stderr)
    })
  )

  it.live("--until-finished ends with 0 when the docket is finished (CLI-10)", () =>
    Effect.gen(function* () {
      const { env, open } = yield* makeGate
      const worker = yield* docket.start([...gated, "--until-finished"], { env })
      yield* worker.until("waiting 1")
      yield* open
      const result = yield* worker.ended
      assert.strictEqual(result.code, 0, result.stderr)
      for (const line of ["waited 1", "waited 2"]) assert.include(result.stderr, line)
    })
  )

  it.live("--watch starts it again when a module that it loaded changes, also after a mistake (CLI-06)", () =>
    Effect.gen(function* () {
      const directory = yield* Effect.acquireRelease(
        Effect.promise(() => Fs.mkdtemp(Path.join(Os.tmpdir(), "docket-watch-"))),
        (directory) => Effect.promise(() => Fs.rm(directory, { recursive: true, force: true }))
      )
      const write = (name: string) =>
        Effect.promise(() =>
          Fs.writeFile(
            Path.join(directory, "tasks.ts"),
            `import { Effect } from ${JSON.stringify(import.meta.resolve("effect"))}
             import { Task, TaskGroup, TaskModule } from ${JSON.stringify(new URL("../../src/index.ts", import.meta.url).href)}
             const tasks = TaskGroup.make(Task.make("${name}"))
             export default TaskModule.make(tasks, tasks.toLayer({ ${name}: () => Effect.void }))`
          )
        )
      yield* write("one")
      const worker = yield* Process.start([...memory, "--watch", "--tasks", Path.join(directory, "tasks.ts")])
      yield* worker.until("* one()")
      yield* write("not a name")
      yield* worker.until("cannot be loaded")
      yield* write("two")
      yield* worker.until("* two()")
      yield* worker.kill("SIGTERM")
      const { code, stderr } = yield* worker.ended
      assert.strictEqual(code, 0, stderr)
      assert.include(stderr, "The worker has stopped")
    })
  )

  it.live("says at start, in ten lines at most, what it is and what it knows (LOG-01)", () =>
    Effect.gen(function* () {
      const tasks = [docket.fixture("greetings.ts"), docket.fixture("many.ts")]
      const args = [...memory, "--until-finished", "--name", "ada", ...tasks.flatMap((module) => ["--tasks", module])]
      const { stderr } = yield* docket.run(args)
      const lines = stderr.split("\n").map((line) => line.replace(/^\S+ INFO docket\.worker: /, ""))
      assert.match(lines[0]!, /^effect-docket \d+\.\d+\.\d+.*, docket "docket" at memory:\/\/$/)
      assert.strictEqual(
        lines[1],
        "Worker ada runs up to 10 executions at once, of the built-in trace, fail, sleep and these tasks:"
      )
      assert.strictEqual(lines[2], '* greet(name, title?, greeting = "Hello")')
      assert.strictEqual(
        lines[9],
        "* and 14 more: task6, task7, task8, task9, task10, task11, task12, task13, task14, task15, task16, task17, task18, task19"
      )
      assert.strictEqual(lines[10], "The worker has stopped")
    })
  )

  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) {
    it.live(`${signal} with nothing running ends it with 0 (SHD-02, SHD-04)`, () =>
      Effect.gen(function* () {
        const worker = yield* Process.start([...memory, "--tasks", docket.fixture("greetings.ts")])
        yield* worker.until("* greet(")
        yield* worker.kill(signal)
        const result = yield* worker.ended
        assert.deepStrictEqual([result.code, result.signal], [0, null], result.stderr)
        assert.include(result.stderr, `Received ${signal}\n`)
      })
    )

    it.live(`${signal} lets what runs end, and says for how many it waits (SHD-01, SHD-02)`, () =>
      Effect.gen(function* () {
        const { env, open } = yield* makeGate
        const worker = yield* Process.start(gated, { env })
        yield* worker.until("waiting 2")
        yield* worker.kill(signal)
        yield* worker.until(`Received ${signal}: waiting up to 25s for 2 executions to end`)
        yield* open
        const result = yield* worker.ended
        assert.deepStrictEqual([result.code, result.signal], [0, null], result.stderr)
        for (const line of ["waited 1", "waited 2"]) assert.include(result.stderr, line)
      })
    )
  }

  it.live("a signal ends --until-finished in the same way (SHD-02)", () =>
    Effect.gen(function* () {
      const { env, open } = yield* makeGate
      const worker = yield* Process.start([...gated, "--until-finished", "--concurrency", "1"], { env })
      yield* worker.until("waiting 1")
      yield* worker.kill("SIGTERM")
      yield* worker.until("for 1 execution to end")
      yield* open
      const result = yield* worker.ended
      assert.strictEqual(result.code, 0, result.stderr)
      assert.include(result.stderr, "waited 1")
      assert.notInclude(result.stderr, "waiting 2")
    })
  )

  it.live("a second signal interrupts what runs, and ends it with 0 (SHD-05)", () =>
    Effect.gen(function* () {
      const { env } = yield* makeGate
      const worker = yield* Process.start(gated, { env })
      yield* worker.until("waiting 2")
      yield* worker.kill("SIGINT")
      yield* worker.until("Received SIGINT: waiting")
      yield* worker.kill("SIGINT")
      const result = yield* worker.ended
      assert.deepStrictEqual([result.code, result.signal], [0, null], result.stderr)
      assert.include(result.stderr, "Received SIGINT again")
      assert.notInclude(result.stderr, "waited")
    })
  )

  it.live("waits no longer than the shutdown timeout (SHD-05)", () =>
    Effect.gen(function* () {
      const { env } = yield* makeGate
      const worker = yield* Process.start([...gated, "--shutdown-timeout", "50ms"], { env })
      yield* worker.until("waiting 2")
      yield* worker.kill("SIGTERM")
      const result = yield* worker.ended
      assert.strictEqual(result.code, 0, result.stderr)
      assert.notInclude(result.stderr, "waited")
    })
  )

  it.live("ends at the third signal, if a handler does not let itself be interrupted (SHD-05)", () =>
    Effect.gen(function* () {
      const worker = yield* Process.start([...memory, "--tasks", docket.fixture("stubborn.ts")])
      yield* worker.until("not listening")
      yield* worker.kill("SIGTERM")
      yield* worker.until("Received SIGTERM: waiting")
      yield* worker.kill("SIGTERM")
      yield* worker.until("Received SIGTERM again")
      yield* worker.kill("SIGTERM")
      const result = yield* worker.ended
      assert.strictEqual(result.code, 1, result.stderr)
      assert.include(result.stderr, "ending at once")
    })
  )

  it.live("ends although a module left something open (CLI-10)", () =>
    Effect.gen(function* () {
      const result = yield* Process.run([...memory, "--until-finished", "--tasks", docket.fixture("open.ts")])
      assert.strictEqual(result.code, 0, result.stderr)
    })
  )

  it.live("goes on when nobody reads what it logs", () =>
    Effect.gen(function* () {
      const { env, open } = yield* makeGate
      const shell = `"$@" 2>&1 | head -n 1; exit "\${PIPESTATUS[0]}"`
      yield* open
      const result = yield* Process.run([...gated, "--until-finished"], {
        env,
        command: ["bash", "-c", shell, "bash", process.execPath, Process.bin]
      })
      assert.strictEqual(result.code, 0, result.stderr)
    })
  )
})

describe("the logs of docket worker", () => {
  const greetings = [...gated, "--until-finished"]
  const logsOf = Effect.fnUntraced(function* (...flags: ReadonlyArray<string>) {
    const { env, open } = yield* makeGate
    yield* open
    return yield* docket.run([...greetings, ...flags], { env })
  })

  it.live("plain: one line with time, level, logger and message (CLI-09)", () =>
    Effect.gen(function* () {
      const { stderr, stdout } = yield* logsOf()
      assert.strictEqual(stdout, "")
      for (const line of stderr.trimEnd().split("\n")) {
        assert.match(line, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z INFO docket\.(worker|task\.wait)\S*: \S/)
      }
      assert.match(stderr, / INFO docket\.task\.wait\{wait-1\}: waiting 1$/m)
    })
  )

  it.live("json: one object a line on standard output (CLI-09)", () =>
    Effect.gen(function* () {
      const { stderr, stdout } = yield* logsOf("--logging-format", "json")
      assert.strictEqual(stderr, "")
      const lines = stdout
        .trimEnd()
        .split("\n")
        .map((line) => JSON.parse(line))
      for (const { level, message, name, time } of lines) {
        assert.isTrue([level, message, name, time].every((value) => typeof value === "string"))
      }
      const waiting = lines.find(({ message }) => message === "waiting 1")
      assert.include(waiting, { level: "INFO", name: "docket.task.wait" })
      assert.include(waiting.annotations, { "docket.key": "wait-1" })
    })
  )

  it.live("json: an error has its cause (CLI-09)", () =>
    Effect.gen(function* () {
      const args = [...memory, "--until-finished", "--tasks", docket.fixture("failing.ts")]
      const { stdout } = yield* docket.run([...args, "--logging-format", "json"])
      const lines = stdout
        .trimEnd()
        .split("\n")
        .map((line) => JSON.parse(line))
      const error = lines.find(({ level }) => level === "ERROR")
      assert.match(error.cause, /Error: no such customer\n +at /)
    })
  )

  it.live("rich: for people, without colours where there is no terminal (CLI-09)", () =>
    Effect.gen(function* () {
      const { stderr } = yield* logsOf("--logging-format", "rich")
      assert.match(stderr, /^\d\d:\d\d:\d\d INFO {4}wait\{wait-1\} waiting 1$/m)
    })
  )

  it.live("holds back what is below its level (CLI-07)", () =>
    Effect.gen(function* () {
      const { code, stderr, stdout } = yield* logsOf("--logging-level", "WARNING")
      assert.deepStrictEqual([code, stdout, stderr], [0, "", ""])
    })
  )
})

it.layer(RedisServer.RedisServer.layer(), { excludeTestServices: true })("docket worker on Redis", (it) => {
  const worker = Effect.fnUntraced(function* (name: string, ...flags: ReadonlyArray<string>) {
    const { url } = yield* RedisServer.RedisServer
    const tasks = ["greetings.ts", "gated.ts:idle"].flatMap((module) => ["--tasks", docket.fixture(module)])
    return ["worker", "--url", url, "--docket", name, ...tasks, ...flags]
  })
  const docketOf = (name: string) =>
    Layer.unwrap(Effect.map(RedisServer.RedisServer, ({ url }) => Docket.layer({ name, url })))

  it.effect("runs what others add (CLI-06, CLI-10)", () =>
    Effect.gen(function* () {
      const { add } = yield* Docket
      const execution = yield* add(Greet, { name: "Ada" })
      const result = yield* docket.run(yield* worker("added", "--until-finished"))
      assert.strictEqual(result.code, 0, result.stderr)
      assert.strictEqual(yield* execution.result, "Hello, Ada!")
    }).pipe(Effect.provide(docketOf("added")))
  )

  it.effect("a second signal gives back what runs, and another worker runs it (SHD-05)", () =>
    Effect.gen(function* () {
      const { add, info } = yield* Docket
      const { env, open } = yield* makeGate
      yield* add(Wait, { number: 1 })
      const first = yield* Process.start(yield* worker("given-back"), { env })
      yield* first.until("waiting 1")
      yield* first.kill("SIGTERM")
      yield* first.until("Received SIGTERM: waiting")
      yield* first.kill("SIGINT")
      assert.strictEqual((yield* first.ended).code, 0)
      assert.deepStrictEqual(
        Option.map(yield* info("wait-1"), ({ state }) => state),
        Option.some("queued")
      )
      yield* open
      const second = yield* docket.run(yield* worker("given-back", "--until-finished"), { env })
      assert.strictEqual(second.code, 0, second.stderr)
      assert.include(second.stderr, "waited 1")
    }).pipe(Effect.provide(docketOf("given-back")))
  )

  it.effect("waits for a Redis that is away, says so once, and can be stopped meanwhile (REC-01, REC-02, SHD-04)", () =>
    Effect.gen(function* () {
      const redis = yield* RedisServer.make()
      yield* redis.kill
      const args = [
        "worker",
        "--url",
        redis.url,
        "--tasks",
        docket.fixture("greetings.ts"),
        "--reconnection-delay",
        "100ms"
      ]
      const stopped = yield* Process.start(args)
      yield* stopped.until("tries again")
      yield* stopped.kill("SIGTERM")
      const result = yield* stopped.ended
      assert.strictEqual(result.code, 0, result.stderr)
      assert.strictEqual(result.stderr.split("tries again").length, 2, result.stderr)

      const patient = yield* docket.start([...args, "--until-finished"])
      yield* patient.until("tries again")
      yield* redis.start
      assert.strictEqual((yield* patient.ended).code, 0)
    })
  )
})
