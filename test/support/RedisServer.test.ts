import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Exit, Fiber, Option } from "effect"
import { spawn } from "node:child_process"
import { existsSync } from "node:fs"
import * as Path from "node:path"
import { setTimeout } from "node:timers/promises"
import * as RedisServer from "./RedisServer.ts"

describe("RedisServer", () => {
  it.live("keeps what was written over a crash, on the same port", () =>
    Effect.gen(function* () {
      const redis = yield* RedisServer.make({ appendonly: true })
      yield* redis.cli("SET", "greeting", "hello world")
      yield* redis.kill
      assert(Exit.isFailure(yield* Effect.exit(redis.cli("PING"))))
      yield* redis.start
      assert.strictEqual(yield* redis.cli("GET", "greeting"), "hello world")
      yield* redis.stop
      yield* redis.start
      assert.strictEqual(yield* redis.cli("GET", "greeting"), "hello world")
    })
  )

  it.live("keeps nothing over a crash by default", () =>
    Effect.gen(function* () {
      const redis = yield* RedisServer.make()
      yield* redis.cli("SET", "greeting", "hello")
      yield* redis.kill
      yield* redis.start
      assert.strictEqual(yield* redis.cli("EXISTS", "greeting"), "0")
    })
  )

  it.live("answers nobody while it is frozen, and everybody once it is thawed", () =>
    Effect.gen(function* () {
      const redis = yield* RedisServer.make()
      yield* redis.freeze
      const ping = yield* Effect.forkChild(redis.cli("PING"))
      const early = yield* Fiber.join(ping).pipe(Effect.timeoutOption(Duration.millis(200)))
      assert(Option.isNone(early))
      yield* redis.thaw
      assert.strictEqual(yield* Fiber.join(ping), "PONG")
    })
  )

  it.live("stops also when it is frozen", () =>
    Effect.gen(function* () {
      const redis = yield* RedisServer.make()
      yield* redis.freeze
      yield* redis.stop
      assert(Exit.isFailure(yield* Effect.exit(redis.cli("PING"))))
    })
  )

  it.live("fails on an error reply, and takes further configuration", () =>
    Effect.gen(function* () {
      const redis = yield* RedisServer.make({ config: ["--maxmemory", "50mb"] })
      assert.strictEqual(yield* redis.cli("CONFIG", "GET", "maxmemory"), "maxmemory\n52428800")
      const error = yield* Effect.flip(redis.cli("HGET", "only-a-key"))
      assert.include(error.message, "wrong number of arguments")
    })
  )

  it.live("says why a server does not start", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(RedisServer.make({ config: ["--no-such-option", "1"] }))
      assert.include(error.message, "does not start")
    })
  )

  it.live("leaves neither process nor files behind", () =>
    Effect.gen(function* () {
      const { pid, directory } = yield* Effect.scoped(
        Effect.gen(function* () {
          const redis = yield* RedisServer.make()
          const pid = /process_id:(\d+)/.exec(yield* redis.cli("INFO", "server"))?.[1]
          return { pid: Number(pid), directory: Path.dirname(redis.socketPath) }
        })
      )
      assert(!isAlive(pid) && !existsSync(directory))
    })
  )

  it("dies with the process that started it, even if that is killed", async () => {
    const program = `
      import { Effect } from "effect"
      import * as RedisServer from ${JSON.stringify(new URL("./RedisServer.ts", import.meta.url).href)}
      Effect.gen(function*() {
        const redis = yield* RedisServer.make()
        yield* redis.freeze
        console.log(redis.socketPath)
        setInterval(() => {}, 1000)
        yield* Effect.never
      }).pipe(Effect.scoped, Effect.runPromise)
    `
    const parent = spawn(process.execPath, ["--input-type=module", "--eval", program], {
      stdio: ["ignore", "pipe", "inherit"]
    })
    const directory = await new Promise<string>((resolve) =>
      parent.stdout.once("data", (line) => resolve(Path.dirname(String(line).trim())))
    )
    assert(existsSync(directory))
    parent.kill("SIGKILL")
    // The files go last.
    for (let waited = 0; existsSync(directory) && waited < 10_000; waited += 20) await setTimeout(20)
    assert(!existsSync(directory))
  })
})

it.layer(RedisServer.RedisServer.layer())("RedisServer.layer", (it) => {
  it.effect("shares one server among tests, also under a TestClock", () =>
    Effect.gen(function* () {
      const redis = yield* RedisServer.RedisServer
      yield* redis.cli("SET", "from", "the first test")
      yield* redis.freeze
      yield* redis.thaw
    })
  )

  it.effect("is still there for the next test", () =>
    Effect.gen(function* () {
      const redis = yield* RedisServer.RedisServer
      assert.strictEqual(yield* redis.cli("GET", "from"), "the first test")
    })
  )
})

const isAlive = (pid: number) => {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}
