import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import * as ChildProcess from "node:child_process"
import * as Fs from "node:fs/promises"
import * as Os from "node:os"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import * as Process from "../support/processes.ts"
import * as RedisServer from "../support/RedisServer.ts"

const page = fileURLToPath(new URL("../../docs/operations.md", import.meta.url))

/** A command of a transcript, with the lines that it prints. */
interface Step {
  readonly command: string
  readonly output: ReadonlyArray<string>
}

const stepsOf = (text: string): ReadonlyArray<Step> =>
  Array.from(text.matchAll(/```console\n([\s\S]*?)```/g)).flatMap(([, block = ""]) =>
    block
      .split(/^\$ /m)
      .slice(1)
      .map((step) => {
        const [command = "", ...output] = step.replace(/\n$/, "").split("\n")
        return { command, output }
      })
  )

/** What differs from run to run is left out. */
const normalized = (line: string): string =>
  line
    .replace(/\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+)?(Z| [+-]\d\d:\d\d)/g, "<moment>")
    .replace(/\b\d+:\d\d:\d\d\b/g, "<time>")
    .replace(/\b\d+ (ms|MiB)\b/g, "<n> $1")
    .replace(/redis:\/\/[^ ]+/g, "<url>")
    .replace(/\b(Redis|Valkey) [\d.]+/g, "<server>")
    .replace(/ +/g, " ")
    .trim()

it.live(
  "the incident in docs/operations.md goes as it is told (CLI-01)",
  () =>
    Effect.gen(function* () {
      const text = yield* Effect.promise(() => Fs.readFile(page, "utf8"))
      const redis = yield* RedisServer.make({ appendonly: true })
      const directory = yield* Effect.acquireRelease(
        Effect.promise(() => Fs.mkdtemp(Path.join(Os.tmpdir(), "docket-incident-"))),
        (directory) => Effect.promise(() => Fs.rm(directory, { recursive: true, force: true }))
      )
      yield* Effect.promise(async () => {
        for (const [, name = "", module = ""] of text.matchAll(/```ts\n\/\/ (\S+)\n([\s\S]*?)```/g)) {
          const imported = module
            .replaceAll('"effect-docket"', JSON.stringify(new URL("../../src/index.ts", import.meta.url).href))
            .replaceAll('"effect"', JSON.stringify(import.meta.resolve("effect")))
          await Fs.writeFile(Path.join(directory, name), imported)
        }
        const bin = `#!/bin/sh\nexec '${process.execPath}' '${Process.bin}' "$@"\n`
        await Fs.writeFile(Path.join(directory, "docket"), bin, { mode: 0o755 })
      })
      const env = {
        ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("DOCKET_"))),
        PATH: `${directory}${Path.delimiter}${process.env["PATH"] ?? ""}`,
        DOCKET_URL: redis.url,
        TZ: "UTC"
      }
      const steps = stepsOf(text)
      assert.isAbove(steps.length, 10)
      for (const { command, output } of steps) {
        const { stdout } = yield* Effect.promise(
          () =>
            new Promise<{ readonly stdout: string }>((resolve) => {
              ChildProcess.execFile("bash", ["-c", `{ ${command}\n} 2>&1`], { cwd: directory, env }, (_, stdout) =>
                resolve({ stdout })
              )
            })
        )
        const printed = stdout === "" ? [] : stdout.replace(/\n$/, "").split("\n")
        assert.deepStrictEqual(printed.map(normalized), output.map(normalized), `$ ${command}`)
      }
    }),
  120_000
)
