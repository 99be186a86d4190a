/** Handlers that were made with another copy of this package than the worker, as where the command is installed globally. */
import { assert } from "@effect/vitest"
import { Effect, Layer, Schema } from "effect"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import { fileURLToPath, pathToFileURL } from "node:url"
import type * as Package from "../src/index.ts"
import { CurrentExecution, Docket, Task, Worker } from "../src/index.ts"
import { infoOf, onEveryStore, start } from "./support/dockets.ts"

/** The package once more, from files of its own. */
const otherCopy = Effect.gen(function* () {
  const directory = yield* Effect.acquireRelease(
    Effect.sync(() => Fs.mkdtempSync(Path.join(Os.tmpdir(), "docket-copy-"))),
    (directory) => Effect.sync(() => Fs.rmSync(directory, { recursive: true, force: true }))
  )
  const root = fileURLToPath(new URL("..", import.meta.url))
  Fs.cpSync(Path.join(root, "src"), Path.join(directory, "src"), { recursive: true })
  Fs.copyFileSync(Path.join(root, "package.json"), Path.join(directory, "package.json"))
  Fs.symlinkSync(Fs.realpathSync(Path.join(root, "node_modules")), Path.join(directory, "node_modules"))
  const file = pathToFileURL(Path.join(directory, "src", "index.ts")).href
  // It exports what this package exports.
  return yield* Effect.promise(() => import(/* @vite-ignore */ file) as Promise<typeof Package>)
})

onEveryStore("Handlers of another copy of the package", (it) => {
  it.effect("RTY-07, RTY-09, ADM-05 ask for retries, end them and are postponed as with one", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      const Other = yield* otherCopy
      assert.notStrictEqual<unknown>(Other.Task.make, Task.make)
      const Again = Other.Task.make("again", { success: Schema.Int, key: () => "again" })
      const Never = Other.Task.make("never", {
        error: Schema.String,
        key: () => "never",
        retry: Other.Retry.linear({ attempts: 5 })
      })
      const Choosy = Other.Task.make("choosy", {
        error: Schema.Struct({ code: Schema.Int }),
        key: () => "choosy",
        // It is asked about the task's own errors only.
        retry: { policy: Other.Retry.linear({ attempts: 3 }), while: ({ code }) => code > 0 }
      })
      const tasks = Other.TaskGroup.make(Again, Never, Choosy)
      let postponed = false
      const gatekeeper = Other.Middleware.make("gatekeeper", (run) =>
        Effect.suspend(() => {
          if (postponed) return run
          postponed = true
          return Other.Middleware.postpone(0)
        })
      )
      const invalid = new Other.DocketError({ reason: new Other.InvalidRequest({ problem: "not a code" }) })
      yield* start(
        Worker.layer(tasks, { middleware: [gatekeeper] }).pipe(
          Layer.provide(
            tasks.toLayer({
              again: Effect.fnUntraced(function* () {
                const { attempt } = yield* CurrentExecution
                return attempt < 3 ? yield* Other.Task.retryAfter(0) : attempt
              }),
              never: () => Other.Task.doNotRetry("final"),
              choosy: () => Effect.fail(invalid)
            })
          )
        )
      )
      assert.strictEqual(yield* (yield* docket.add(Again)).result, 3)
      assert.isTrue(postponed)
      assert.strictEqual(yield* Effect.flip((yield* docket.add(Never)).result), "final")
      assert.strictEqual((yield* infoOf("never")).attempt, 1)
      yield* Effect.exit((yield* docket.add(Choosy)).result)
      assert.strictEqual((yield* infoOf("choosy")).attempt, 3)
    })
  )
})
