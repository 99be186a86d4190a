import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { execFileSync } from "node:child_process"
import { existsSync } from "node:fs"
import * as Path from "node:path"
import * as Process from "../support/processes.ts"

const message = /^docket needs Node 22\.19 or later, and this is Node \d+\.\d+\.\d+\.\n$/

/** Another Node of this machine that is too old, if there is one. */
const oldNode = (process.env["PATH"] ?? "")
  .split(Path.delimiter)
  .map((directory) => Path.join(directory, "node"))
  .filter((file) => existsSync(file))
  .find((file) => {
    const [major = 0] = execFileSync(file, ["--print", "process.versions.node"], { encoding: "utf8" }).split(".")
    return Number(major) >= 18 && Number(major) < 22
  })

describe("docket on a Node that is too old", () => {
  for (const version of ["20.19.5", "22.18.0"]) {
    it.live(`says which one it needs, on ${version}`, () =>
      Effect.gen(function* () {
        const pretend = `Object.defineProperty(process, "versions", { value: { ...process.versions, node: "${version}" } })`
        const preload = `data:text/javascript,${encodeURIComponent(pretend)}`
        const result = yield* Process.run(["version"], {
          command: [process.execPath, "--import", preload, Process.bin]
        })
        assert.match(result.stderr, message)
        assert.include(result.stderr, version)
        assert.deepStrictEqual([result.code, result.stdout], [1, ""])
      })
    )
  }

  it.live.skipIf(oldNode === undefined)("says which one it needs, on a real one", () =>
    Effect.gen(function* () {
      const result = yield* Process.run(["version"], { command: [oldNode!, Process.bin] })
      assert.match(result.stderr, message)
      assert.deepStrictEqual([result.code, result.stdout], [1, ""])
    })
  )
})
