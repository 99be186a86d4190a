import { assert, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import * as Context from "effect/Context"
import * as Fs from "node:fs/promises"
import * as Os from "node:os"
import * as Path from "node:path"
import * as Process from "../support/processes.ts"
import { fixture } from "./docket.ts"

/** A folder in which a test writes the modules of a user. */
class App extends Context.Service<
  App,
  {
    readonly write: (file: string, text: string) => Effect.Effect<void>
    readonly worker: (...tasks: ReadonlyArray<string>) => Effect.Effect<Process.Ended>
  }
>()("effect-docket/test/App") {
  static readonly layer = Layer.effect(
    App,
    Effect.gen(function* () {
      const directory = yield* Effect.acquireRelease(
        Effect.promise(() => Fs.mkdtemp(Path.join(Os.tmpdir(), "docket-app-"))),
        (directory) => Effect.promise(() => Fs.rm(directory, { recursive: true, force: true }))
      )
      const write = (file: string, text: string) =>
        Effect.promise(async () => {
          await Fs.mkdir(Path.dirname(Path.join(directory, file)), { recursive: true })
          await Fs.writeFile(Path.join(directory, file), text)
        })
      yield* write("package.json", JSON.stringify({ type: "module" }))
      return App.of({
        write,
        worker: (...tasks) =>
          Process.run(
            ["worker", "--url", "memory://", "--until-finished", ...tasks.flatMap((module) => ["--tasks", module])],
            { cwd: directory }
          )
      })
    })
  )
}

/** The text of a module with one task; what it imports are this repository's own modules. */
const moduleOf = (name: string, exported = "export default") => `
  import { Effect } from ${JSON.stringify(import.meta.resolve("effect"))}
  import { Task, TaskGroup, TaskModule } from ${JSON.stringify(new URL("../../src/index.ts", import.meta.url).href)}
  const tasks = TaskGroup.make(Task.make("${name}"))
  ${exported} TaskModule.make(tasks, tasks.toLayer({ ${name}: () => Effect.void }))
`

const limited = (name: string, limit: number) =>
  moduleOf(name).replace(`"${name}"`, `"${name}", { concurrency: { limit: ${limit}, scope: "printer" } }`)

it.layer(App.layer)("docket worker --tasks", (it) => {
  it.effect(
    "loads TypeScript and JavaScript, default and named exports, relative to the working directory (CLI-06)",
    () =>
      Effect.gen(function* () {
        const { worker, write } = yield* App
        yield* write("one.ts", `type Unused = string\n${moduleOf("one")}`)
        yield* write("deep/two.mjs", moduleOf("two", "export const second ="))
        const result = yield* worker("./one.ts", "deep/two.mjs:second")
        assert.strictEqual(result.code, 0, result.stderr)
        assert.include(result.stderr, "* one()\n")
        assert.include(result.stderr, "* two()\n")
      })
  )

  it.effect("takes modules from DOCKET_TASKS, with commas between them (CLI-06)", () =>
    Effect.gen(function* () {
      const DOCKET_TASKS = `${fixture("greetings.ts")}, ${fixture("gated.ts")}:idle`
      const result = yield* Process.run(["worker", "--until-finished"], {
        env: { DOCKET_TASKS, DOCKET_URL: "memory://" }
      })
      assert.strictEqual(result.code, 0, result.stderr)
      assert.include(result.stderr, '* greet(name, title?, greeting = "Hello")\n')
      assert.include(result.stderr, "* wait(number)\n")
    })
  )

  const fails = (
    title: string,
    options: {
      readonly files?: Readonly<Record<string, string>>
      readonly tasks: ReadonlyArray<string>
      readonly code: number
      readonly sentence: RegExp
    }
  ) =>
    it.effect(`${title} (CLI-05)`, () =>
      Effect.gen(function* () {
        const { worker, write } = yield* App
        for (const [file, text] of Object.entries(options.files ?? {})) yield* write(file, text)
        const result = yield* worker(...options.tasks)
        assert.deepStrictEqual([result.code, result.stdout], [options.code, ""], result.stderr)
        const said = result.stderr.split("\n").filter((line) => line.startsWith("docket: "))
        assert.strictEqual(said.length, 1, result.stderr)
        assert.match(said[0]!, options.sentence)
        assert.notInclude(result.stderr, "    at ")
      })
    )

  fails("says that a file is missing", {
    tasks: ["./nowhere.ts"],
    code: 2,
    sentence: /\.\/nowhere\.ts cannot be loaded: there is no such file/
  })
  fails("says that a folder is none", { tasks: ["."], code: 2, sentence: /it is not a file/ })
  fails("says which exports would do", {
    files: { "named.ts": moduleOf("named", "export const mail =") },
    tasks: ["./named.ts"],
    code: 2,
    sentence: /\.\/named\.ts cannot be used: it has no default export; write \.\/named\.ts:mail$/
  })
  fails("says that a named export is missing", {
    files: { "other.ts": moduleOf("other") },
    tasks: ["./other.ts:mail"],
    code: 2,
    sentence: /it has no export "mail"; write \.\/other\.ts$/
  })
  fails("says that a group of tasks is no module", {
    files: { "group.ts": moduleOf("group").replace(/export default.*/, "export default tasks") },
    tasks: ["./group.ts"],
    code: 2,
    sentence: /its default export has to be a TaskModule, .* and is a group of tasks without handlers/
  })
  fails("says that two modules define different tasks of one name", {
    files: { "a.ts": moduleOf("twice"), "b.ts": moduleOf("twice") },
    tasks: ["./a.ts", "./b.ts"],
    code: 2,
    sentence: /Two different tasks are named "twice", in \.\/a\.ts and in \.\/b\.ts/
  })
  fails("says that tasks of two modules contradict each other about what they share (ADM-08)", {
    files: { "a.ts": limited("print", 2), "b.ts": limited("scan", 3) },
    tasks: ["./a.ts", "./b.ts"],
    code: 2,
    sentence: /of the scope "printer" task "print" says \{"limit":2\} and task "scan" \{"limit":3\}/
  })
  fails("says what a module throws, and where", {
    files: { "throws.ts": "const mailer: any = undefined\nexport default mailer.send()\n" },
    tasks: ["./throws.ts"],
    code: 1,
    sentence: /it throws TypeError: Cannot read properties of undefined \(reading 'send'\) \(.*throws\.ts:2\)/
  })
  fails("says where the syntax of a TypeScript file is wrong", {
    files: { "syntax.ts": "const a: number = 1\nexport const b: = 2\n" },
    tasks: ["./syntax.ts"],
    code: 1,
    sentence: /SyntaxError: .* \(.*syntax\.ts:2\)/
  })
  fails("says that the syntax of a JavaScript file is wrong, and how to see where", {
    files: { "syntax.js": "export const b = = 2\n" },
    tasks: ["./syntax.js"],
    code: 1,
    sentence: /SyntaxError: Unexpected token '='; "node --check .*syntax\.js" shows where/
  })
  fails("says which TypeScript needs a compiler", {
    files: { "enum.ts": "export enum Color { Red }\n" },
    tasks: ["./enum.ts"],
    code: 2,
    sentence: /enum is not supported in strip-only mode \(.*enum\.ts:1\); write it without/
  })
  fails("says which files Node refuses", {
    files: { "view.tsx": "export default <p/>\n" },
    tasks: ["./view.tsx"],
    code: 2,
    sentence: /Unknown file extension "\.tsx" .*; a module of tasks is a \.ts, \.mts, \.js or \.mjs file/
  })
  fails("says that Node runs no TypeScript of packages", {
    files: { "node_modules/acme/index.ts": "export const a: number = 1\n" },
    tasks: ["./node_modules/acme/index.ts"],
    code: 2,
    sentence: /Node runs no TypeScript below node_modules/
  })
  fails("says which import of a module is missing, and what may be the reason", {
    files: { "imports.ts": 'import "./mailer.js"\n' },
    tasks: ["./imports.ts"],
    code: 1,
    sentence:
      /Cannot find module '.*mailer\.js' imported from .*imports\.ts; in TypeScript .* imports name the \.ts file/
  })
  fails("says why handlers could not be built", {
    files: {
      "unbuilt.ts": moduleOf("unbuilt").replace(
        /\{ unbuilt: .* \}\)\)/,
        'Effect.fail(new Error("MAILER_URL is missing"))))'
      )
    },
    tasks: ["./unbuilt.ts"],
    code: 1,
    sentence: /The handlers of \.\/unbuilt\.ts could not be built: Error: MAILER_URL is missing/
  })

  it.effect("shows the whole cause at debug level (CLI-07)", () =>
    Effect.gen(function* () {
      const throws = ["worker", "--url", "memory://", "--tasks", fixture("throws.ts")]
      const plain = yield* Process.run(throws)
      assert.notInclude(plain.stderr, "    at ")
      const debug = yield* Process.run([...throws, "--logging-level", "debug"])
      assert.match(debug.stderr, /^ +at .*throws\.ts:\d+/m)
    })
  )
})
