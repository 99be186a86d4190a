/** What the command promises as a process: exit codes, signals, and output that cannot be written. */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Process from "../support/processes.ts"
import { App } from "./app.ts"
import { fixture } from "./docket.ts"

const worker = ["worker", "--url", "memory://"]

it.layer(App.layer(), { excludeTestServices: true })("the process of docket", (it) => {
  it.effect("ends with the code that tells what became of it (CLI-05)", () =>
    Effect.gen(function* () {
      const { env } = yield* (yield* App).shop
      const codeOf = (...args: ReadonlyArray<string>) => Effect.map(Process.run(args, { env }), ({ code }) => code)
      assert.strictEqual(yield* codeOf("add", "send", "--key", "k"), 0)
      assert.strictEqual(yield* codeOf("snapshot", "--url", "redis://127.0.0.1:1"), 1)
      assert.strictEqual(yield* codeOf("wrker"), 2)
      assert.strictEqual(yield* codeOf("show", "nobody"), 3)
    })
  )

  // By default a signal ends any process but the first one of a container, so the command has to end itself.
  for (const [signal, code] of [
    ["SIGHUP", 129],
    ["SIGINT", 130],
    ["SIGTERM", 143]
  ] as const) {
    it.effect(`${signal} ends tail and watch, also where they are the first process of a container (CLI-20)`, () =>
      Effect.gen(function* () {
        const shop = yield* (yield* App).shop
        yield* shop.docket.addNamed("one", {}, { key: "k", delay: "1 hour" })
        const tail = yield* Process.start(["tail"], { env: shop.env })
        const watch = yield* Process.start(["watch", "k"], { env: shop.env })
        yield* tail.until("Following")
        yield* watch.until("scheduled")
        for (const running of [tail, watch]) {
          yield* running.kill(signal)
          const ended = yield* running.ended
          assert.deepStrictEqual([ended.code, ended.signal], [code, null], ended.stderr)
          assert.notInclude(ended.stderr, "docket: ")
        }
      })
    )
  }

  it.effect("ends watch when nobody reads it any more", () =>
    Effect.gen(function* () {
      const shop = yield* (yield* App).shop
      yield* shop.docket.addNamed("one", {}, { key: "k" })
      const bin = `'${process.execPath}' '${Process.bin}'`
      const watch = yield* Process.start([], {
        command: ["bash", "-c", `${bin} watch k | head -1; exit \${PIPESTATUS[0]}`],
        env: shop.env
      })
      yield* watch.until("k in docket")
      yield* shop.docket.cancel("k")
      const { code, stderr } = yield* watch.ended
      assert.deepStrictEqual([code, stderr], [0, ""])
    })
  )

  const full = (args: ReadonlyArray<string>, env = {}) =>
    Process.run(args, { env, command: ["bash", "-c", '"$@" > /dev/full', "bash", process.execPath, Process.bin] })

  it.effect("says that its output cannot be written, and ends with 1", () =>
    Effect.gen(function* () {
      const shop = yield* (yield* App).shop
      yield* shop.docket.addNamed("one", {})
      const logs = [...worker, "--until-finished", "--logging-format", "json", "--tasks", fixture("greetings.ts")]
      for (const args of [["version"], ["--help"], ["ls"], ["snapshot", "--json"], logs]) {
        const { code, stderr } = yield* full(args, shop.env)
        assert.match(stderr, /^docket: The output could not be written: ENOSPC: no space left on device, write\n$/)
        assert.strictEqual(code, 1, args.join(" "))
      }
    })
  )

  it.effect("does not follow a docket whose events it cannot write", () =>
    Effect.gen(function* () {
      const shop = yield* (yield* App).shop
      const tail = yield* Process.start(["tail", "--json"], {
        env: shop.env,
        command: ["bash", "-c", 'exec "$@" > /dev/full', "bash", process.execPath, Process.bin]
      })
      yield* tail.until("Following")
      yield* shop.docket.addNamed("one", {})
      const { code, stderr } = yield* tail.ended
      assert.include(stderr, "The output could not be written")
      assert.strictEqual(code, 1)
    })
  )

  it.effect("says that its working directory has been deleted, where it needs one", () =>
    Effect.gen(function* () {
      const deleted = (tasks: string) =>
        Process.run([...worker, "--until-finished", "--tasks", tasks], {
          command: [
            "bash",
            "-c",
            'cd "$(mktemp -d)" && rmdir "$PWD" && exec "$@"',
            "bash",
            process.execPath,
            Process.bin
          ]
        })
      const relative = yield* deleted("./tasks.ts")
      assert.strictEqual(relative.stderr, "docket: The working directory has been deleted: change to another one\n")
      assert.strictEqual(relative.code, 1)
      const absolute = yield* deleted(fixture("greetings.ts"))
      assert.strictEqual(absolute.code, 0, absolute.stderr)
    })
  )

  it.effect("drains the worker, and ends with 1, when something in it is thrown that nobody catches (SHD-01)", () =>
    Effect.gen(function* () {
      const { code, stderr } = yield* Process.run([...worker, "--tasks", fixture("stray.ts")])
      const lines = stderr.split("\n").filter((line) => line.includes("nobody awaits this"))
      assert.deepStrictEqual(
        lines.map((line) => line.replace(/^\S+ /, "")),
        [
          "ERROR docket.worker: Nothing in this process caught Error: nobody awaits this. What else it broke is not " +
            "known, so the worker stops: waiting up to 25s for 1 execution to end"
        ]
      )
      assert.notInclude(stderr, "    at ")
      // What else it ran came to its end.
      assert.include(stderr, "slow has ended")
      assert.include(stderr, "The worker has stopped")
      assert.strictEqual(code, 1)
    })
  )
})
