/** The TypeScript that readers copy from the README and the docs compiles, with what it says is there. */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { globSync } from "node:fs"
import * as Fs from "node:fs/promises"
import * as Os from "node:os"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import * as docket from "../support/processes.ts"

const root = fileURLToPath(new URL("../..", import.meta.url))

/** What the text around the snippets takes for granted. */
const context = `
import { Context, Effect, Schema } from "effect"
import { Docket, Task, TaskGroup } from "effect-docket"

export { it } from "@effect/vitest"

export const SendWelcome = Task.make("sendWelcome", {
  payload: { customerId: Schema.Int, name: Schema.String },
  success: Schema.String,
  key: ({ customerId }) => \`welcome-\${customerId}\`
})
export const FollowUp = Task.make("followUp", { payload: { customerId: Schema.Int } })
export class CardDeclined extends Schema.TaggedError<CardDeclined>()("CardDeclined", { temporary: Schema.Boolean }) {}
export class Mailer extends Context.Service<Mailer, { readonly send: (name: string) => Effect.Effect<string> }>()("Mailer") {}

export const tasks = TaskGroup.make(SendWelcome)
export const HandlersLive = tasks.toLayer({ sendWelcome: ({ name }) => Effect.succeed(name) })
export const [payload, a, b] = [7, 8, 9].map((customerId) => ({ customerId, name: "Ada" })) as [Payload, Payload, Payload]
type Payload = { customerId: number; name: string }
export const signUp = (payload: Payload) => Effect.flatMap(Docket, ({ add }) => add(SendWelcome, payload, { delay: "1 day" }))
`

const names: Readonly<Record<string, ReadonlyArray<string>>> = {
  effect: ["Context", "DateTime", "Effect", "Layer", "Schema", "Stream"],
  "effect-docket": ["CurrentDocket", "Docket", "DocketLive", "Retry", "Task", "TaskGroup", "TaskModule", "Worker"],
  "../context.ts": Array.from(context.matchAll(/^export (?:const|class) (\w+)/gm), ([, name = ""]) => name).concat(
    "it",
    "payload",
    "a",
    "b"
  )
}

/** A module of a snippet: it imports what it uses and does not define, and its effects run in a generator. */
const moduleOf = (snippet: string): string => {
  const [, imports = "", body = ""] = /^((?:import .*\n|\s*\n)*)([^]*)$/.exec(snippet) ?? []
  const isRun = /^yield\*|^const \w+ = yield\*/m.test(body)
  const code = isRun ? `export const snippet = Effect.gen(function* () {\n${body}})\n` : `${body}\nexport {}\n`
  const used = (name: string) => new RegExp(`(?<![.\\w"])${name}\\b(?!:)`).test(code.replace(/\/\/.*/g, ""))
  const isDefined = (name: string) => new RegExp(`(?:const|class) ${name}\\b|import .*\\b${name}\\b`).test(snippet)
  const missing = Object.entries(names).map(([module, names]) => {
    const needed = names.filter((name) => used(name) && !isDefined(name))
    return needed.length === 0 ? "" : `import { ${needed.join(", ")} } from "${module}"\n`
  })
  return missing.join("") + imports + code
}

it.live(
  "every snippet of the README, the docs and AGENTS.md compiles",
  () =>
    Effect.gen(function* () {
      const directory = yield* Effect.acquireRelease(
        Effect.promise(() => Fs.mkdtemp(Path.join(Os.tmpdir(), "docket-snippets-"))),
        (directory) => Effect.promise(() => Fs.rm(directory, { recursive: true, force: true }))
      )
      let snippets = 0
      yield* Effect.promise(async () => {
        for (const file of ["README.md", "AGENTS.md", ...globSync("docs/*.md", { cwd: root })]) {
          const text = await Fs.readFile(Path.join(root, file), "utf8")
          for (const [, snippet = ""] of text.matchAll(/^```ts\n([^]*?)^```$/gm)) {
            // Where a snippet is a file of an app, the others of its page may import it.
            const [, name = `snippet${snippets}.ts`] = /^\/\/ (\w+\.ts)\b/.exec(snippet) ?? []
            snippets++
            const page = Path.join(directory, Path.basename(file, ".md"))
            await Fs.mkdir(page, { recursive: true })
            await Fs.writeFile(Path.join(page, name), moduleOf(snippet))
          }
        }
        const compilerOptions = {
          module: "nodenext",
          target: "es2024",
          types: ["node"],
          strict: true,
          exactOptionalPropertyTypes: true,
          skipLibCheck: true,
          noEmit: true,
          allowImportingTsExtensions: true,
          paths: {
            "effect-docket": [Path.join(root, "src/index.ts")],
            "effect-docket/dashboard": [Path.join(root, "src/dashboard/index.ts")],
            "effect-docket/http": [Path.join(root, "src/http/index.ts")],
            "effect-docket/testing": [Path.join(root, "src/testing/index.ts")],
            "effect-docket/health": [Path.join(root, "src/observability/Health.ts")]
          }
        }
        await Fs.writeFile(Path.join(directory, "context.ts"), context)
        await Fs.writeFile(Path.join(directory, "package.json"), '{ "type": "module" }')
        await Fs.writeFile(Path.join(directory, "tsconfig.json"), JSON.stringify({ compilerOptions }))
        await Fs.symlink(Path.join(root, "node_modules"), Path.join(directory, "node_modules"))
      })
      assert.isAbove(snippets, 6)
      const tsc = Path.join(root, "node_modules/typescript/bin/tsc")
      const { code, stdout } = yield* docket.run(["-p", directory], { command: [process.execPath, tsc] })
      assert.strictEqual(code, 0, stdout)
    }),
  60_000
)
