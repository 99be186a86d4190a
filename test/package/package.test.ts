/** What npm would publish, installed and used as a user does. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import * as Context from "effect/Context"
import * as Fs from "node:fs/promises"
import * as Os from "node:os"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import * as docket from "../support/processes.ts"

const root = fileURLToPath(new URL("../..", import.meta.url))

const manifest: Effect.Effect<{
  readonly version: string
  readonly devDependencies: Readonly<Record<string, string>>
}> = Effect.promise(async () => JSON.parse(await Fs.readFile(Path.join(root, "package.json"), "utf8")))

// What npm and npx start is this Node, whichever comes first otherwise.
const env = {
  PATH: `${Path.dirname(process.execPath)}${Path.delimiter}${process.env["PATH"]}`,
  npm_config_fund: "false"
}

const temporary = Effect.acquireRelease(
  Effect.promise(() => Fs.mkdtemp(Path.join(Os.tmpdir(), "docket-package-"))),
  (directory) => Effect.promise(() => Fs.rm(directory, { recursive: true, force: true }))
)

const exec = Effect.fnUntraced(function* (cwd: string, file: string, ...args: ReadonlyArray<string>) {
  const result = yield* docket.run(args, { cwd, env, command: [file] })
  if (result.code !== 0) {
    assert.fail(`${file} ${args.join(" ")} ended with ${result.code}:\n${result.stdout}${result.stderr}`)
  }
  return result
})

/** Packs a copy of the sources, since packing builds, and the clone has to stay as it is. */
const pack = Effect.gen(function* () {
  const copy = yield* temporary
  yield* Effect.promise(async () => {
    const files = [
      "src",
      "bin",
      "package.json",
      "tsconfig.json",
      "tsconfig.build.json",
      "LICENSE",
      "AGENTS.md",
      "CHANGELOG.md"
    ]
    for (const file of files) await Fs.cp(Path.join(root, file), Path.join(copy, file), { recursive: true })
    await Fs.symlink(Path.join(root, "node_modules"), Path.join(copy, "node_modules"))
  })
  const { stdout } = yield* exec(copy, "npm", "pack", "--silent")
  return Path.join(copy, stdout.trim().split("\n").at(-1)!)
})

/** An application that has installed the package. */
class App extends Context.Service<
  App,
  {
    readonly write: (files: Readonly<Record<string, string>>) => Effect.Effect<void>
    readonly exec: (file: string, ...args: ReadonlyArray<string>) => Effect.Effect<docket.Ended>
  }
>()("effect-docket/test/PackageApp") {
  static readonly layer = Layer.effect(
    App,
    Effect.gen(function* () {
      const directory = yield* temporary
      const tarball = yield* pack
      const { devDependencies } = yield* manifest
      const others = ["effect", "@effect/platform-node", "typescript", "@types/node"]
      const write = (files: Readonly<Record<string, string>>) =>
        Effect.promise(async () => {
          for (const [file, text] of Object.entries(files)) await Fs.writeFile(Path.join(directory, file), text)
        })
      yield* write({ "package.json": JSON.stringify({ name: "app", private: true, type: "module" }) })
      const wanted = others.map((name) => `${name}@${devDependencies[name]}`)
      yield* exec(directory, "npm", "install", "--prefer-offline", "--no-audit", tarball, ...wanted)
      return App.of({ write, exec: (file, ...args) => exec(directory, file, ...args) })
    })
  )
}

const handlers = `
  import { Effect, Layer, Schema } from "effect"
  import { Docket, Task, TaskGroup, TaskModule } from "effect-docket"

  const Greet = Task.make("greet", { payload: { name: Schema.String }, success: Schema.String })
  const tasks = TaskGroup.make(Greet)
  const GreetLive = tasks.toLayer({
    greet: ({ name }) => Effect.as(Effect.log("Hello, " + name + "!"), "greeted")
  })
  const AddOne = Layer.effectDiscard(Effect.flatMap(Docket, (docket) => docket.add(Greet, { name: "Ada" })))
  export default TaskModule.make(tasks, Layer.merge(GreetLive, AddOne))
`

const program = `
  import { Effect, Layer, Schema } from "effect"
  import { Docket, DocketLive, Task, TaskGroup, TaskModule, Worker } from "effect-docket"
  import { DocketTest } from "effect-docket/testing"

  class Bounced extends Schema.TaggedError<Bounced>()("Bounced", { address: Schema.String }) {}

  export const Send = Task.make("send", {
    payload: { to: Schema.String },
    success: Schema.Int,
    error: Bounced,
    key: ({ to }) => to
  })
  const tasks = TaskGroup.make(Send)
  export const SendLive = tasks.toLayer({
    send: ({ to }) => (to === "" ? Effect.fail(new Bounced({ address: to })) : Effect.succeed(to.length))
  })
  export default TaskModule.make(tasks, SendLive)

  export const produce = Effect.gen(function*() {
    const docket = yield* Docket
    const execution = yield* docket.add(Send, { to: "ada@example.com" }, { delay: "1 day" })
    const result: number = yield* execution.result
    return result
  }).pipe(Effect.catchTag("Bounced", ({ address }) => Effect.succeed(address.length)))

  export const WorkerLive: Layer.Layer<Worker.Worker, unknown> = Worker.layer(tasks, { concurrency: 20 }).pipe(
    Layer.provide(SendLive),
    Layer.provide(DocketLive)
  )

  export const test = Effect.gen(function*() {
    const docket = yield* Docket
    yield* docket.add(Send, { to: "ada@example.com" }, { delay: "1 day" })
    yield* DocketTest.assertScheduled(Send, { to: "ada@example.com" })
    yield* DocketTest.advance(tasks, "1 day")
    yield* DocketTest.assertNothingScheduled
  }).pipe(Effect.provide(SendLive.pipe(Layer.provideMerge(DocketTest.layer))))

  // @ts-expect-error a payload that does not fit
  export const wrong = Effect.flatMap(Docket, (docket) => docket.add(Send, { to: 7 }))
`

const timeout = 240_000

it.layer(App.layer, { excludeTestServices: true, timeout })("the package as it is installed", (it) => {
  // The package has one command, so npx finds it under either name.
  for (const name of ["docket", "effect-docket"]) {
    it.effect(`prints its version, by npx ${name} (CLI-02)`, () =>
      Effect.gen(function* () {
        const { exec } = yield* App
        const { version } = yield* manifest
        const { stdout } = yield* exec("npx", "--no-install", name, "version")
        assert.strictEqual(stdout, `${version}\n`)
      })
    )
  }

  for (const file of ["handlers.mjs", "handlers.ts"]) {
    it.effect(`runs the tasks of ${file} (CLI-06, CLI-10)`, () =>
      Effect.gen(function* () {
        const { exec, write } = yield* App
        yield* write({ [file]: handlers })
        const worker = ["docket", "worker", "--until-finished", "--url", "memory://", "--tasks", `./${file}`]
        const { stderr } = yield* exec("npx", ...worker)
        assert.include(stderr, "Hello, Ada!")
      })
    )
  }

  it.effect("says how code that uses it is written, and what has changed", () =>
    Effect.gen(function* () {
      const { exec } = yield* App
      const { stdout } = yield* exec("ls", "node_modules/effect-docket")
      for (const file of ["AGENTS.md", "CHANGELOG.md"]) assert.include(stdout.split("\n"), file)
    })
  )

  it.effect(
    "has declarations that a strict program compiles against",
    () =>
      Effect.gen(function* () {
        const { exec, write } = yield* App
        const compilerOptions = {
          module: "nodenext",
          target: "es2024",
          types: ["node"],
          strict: true,
          exactOptionalPropertyTypes: true,
          noUncheckedIndexedAccess: true,
          skipLibCheck: false,
          noEmit: true
        }
        yield* write({
          "program.ts": program,
          "tsconfig.json": JSON.stringify({ compilerOptions, include: ["program.ts"] })
        })
        yield* exec("npx", "tsc")
      }),
    timeout
  )
})

describe("the package in a clone", () => {
  it.live("prints its version (CLI-02)", () =>
    Effect.gen(function* () {
      const { version } = yield* manifest
      const { stdout } = yield* exec(root, "npx", "docket", "version")
      assert.strictEqual(stdout, `${version}\n`)
    })
  )
})
