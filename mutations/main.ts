/** Changes the heart of the package by a little, one place at a time, and tells which changes no test notices. */
import { spawn } from "node:child_process"
import { cpSync, globSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { makeRandom } from "../chaos/random.ts"
import { optionsOf } from "../test/support/commandLine.ts"
import { apply, lineAt, type Mutation, mutationsOf } from "./mutate.ts"

const usage = `npm run mutate -- [options]

  --count N         how many mutations. Default: 30
  --seed N          draws the same ones again. Default: any
  --only TEXT       of files whose path has this in it
  --at FILE:LINE    all that can be done to one line
  --tests FILE,…    runs these tests, rather than those of the folder
  --list            shows the mutations, and runs nothing
  --json FILE       writes what became of each to a file
  --help            says this`

const options = optionsOf(usage, {
  count: { type: "string", default: "30" },
  seed: { type: "string" },
  only: { type: "string" },
  at: { type: "string" },
  tests: { type: "string" },
  list: { type: "boolean", default: false },
  json: { type: "string" }
})

/** Which tests should notice, by the beginning of the path; the first that fits. */
const testsOf: ReadonlyArray<readonly [folder: string, tests: ReadonlyArray<string>]> = [
  ["src/store/memory/", ["test/store/MemoryStore.test.ts", "test/store/memory", "test/Docket", "test/Worker"]],
  ["src/store/sqlite/", ["test/store/Sqlite", "test/store/sqlite"]],
  [
    "src/store/redis/connection/",
    ["test/store/redis/Redis.test.ts", "test/store/redis/Connection.test.ts", "test/store/redis/Topologies.test.ts"]
  ],
  [
    "src/store/redis/",
    [
      "test/store/RedisStore.conformance.test.ts",
      "test/store/redis/RedisStore.test.ts",
      "test/store/redis/re",
      "test/store/redis/lost.test.ts",
      "test/Events.test.ts",
      "test/Docket"
    ]
  ],
  ["src/internal/worker/", ["test/Worker", "test/Progress.test.ts", "test/Logs.test.ts", "test/Execution.test.ts"]],
  [
    "src/internal/docket/",
    ["test/Docket", "test/Execution.test.ts", "test/Events.test.ts", "test/Failed.test.ts", "test/Strikes.test.ts"]
  ],
  ["src/", ["test"]]
]

const root = fileURLToPath(new URL("..", import.meta.url))

interface Place extends Mutation {
  readonly file: string
}

const folders = ["src/store/**/*.ts", "src/internal/worker/*.ts", "src/internal/docket/*.ts"]

const [atFile, atLine] = options.at?.split(":") ?? []
const places: ReadonlyArray<Place> = (atFile === undefined ? globSync(folders, { cwd: root }).toSorted() : [atFile])
  .filter((file) => options.only === undefined || file.includes(options.only))
  .flatMap((file) => mutationsOf(readFileSync(join(root, file), "utf8")).map((mutation) => ({ ...mutation, file })))
  .filter(({ line }) => atLine === undefined || line === Number(atLine))

const seed = Number(options.seed ?? Math.floor(Math.random() * 1e6))
const count = Number(options.count)
if (!Number.isInteger(seed) || !Number.isInteger(count) || count < 1) {
  console.error("--seed and --count have to be whole numbers, --count of at least 1")
  process.exit(2)
}

/** Some of them, in no order; all, where one line was asked for. */
const draw = (): ReadonlyArray<Place> => {
  if (atFile !== undefined) return places
  const random = makeRandom(seed)
  const left = [...places]
  return Array.from(
    { length: Math.min(count, left.length) },
    () => left.splice(random.between(0, left.length - 1), 1)[0]!
  )
}

const describe = ({ becomes, file, line, offset, was }: Place): string => {
  const source = readFileSync(join(root, file), "utf8")
  const text = lineAt(source, offset + Math.max(0, was.search(/\S/))).trim()
  const change =
    becomes === "" && was.trim() === text ? "left out" : `${JSON.stringify(was)} → ${JSON.stringify(becomes)}`
  return `${file}:${line}  ${change}\n    ${text}`
}

const drawn = draw()
console.log(`${places.length} mutations are possible; ${drawn.length} are tried. Seed ${seed}.\n`)
if (options.list) {
  for (const place of drawn) console.log(describe(place))
  process.exit(0)
}

const copy = mkdtempSync(join(tmpdir(), "docket-mutations-"))
process.on("exit", () => rmSync(copy, { recursive: true, force: true }))
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => process.exit(1))
for (const path of ["src", "test", "bench", "chaos", "docs", "package.json", "tsconfig.json", "vitest.config.ts"]) {
  cpSync(join(root, path), join(copy, path), { recursive: true })
}
symlinkSync(join(root, "node_modules"), join(copy, "node_modules"))

type Verdict = "killed" | "hung" | "survived"

const run = (tests: ReadonlyArray<string>, limitMillis: number): Promise<{ verdict: Verdict; millis: number }> =>
  new Promise((resolve) => {
    const began = performance.now()
    const vitest = join(copy, "node_modules/vitest/vitest.mjs")
    const args = [vitest, "run", "--bail", "1", "--maxWorkers", "1", "--reporter", "dot", ...tests]
    const child = spawn(process.execPath, args, { cwd: copy, stdio: "ignore", detached: true })
    let hung = false
    const limit = setTimeout(() => {
      hung = true
      // With whatever it has started.
      if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL")
    }, limitMillis)
    child.once("close", (code) => {
      clearTimeout(limit)
      resolve({
        verdict: hung ? "hung" : code === 0 ? "survived" : "killed",
        millis: performance.now() - began
      })
    })
  })

const testsFor = (file: string): ReadonlyArray<string> =>
  options.tests?.split(",") ?? testsOf.find(([folder]) => file.startsWith(folder))?.[1] ?? ["test"]

/** How long the tests take when nothing was changed; they have to pass then. */
const usual = new Map<string, number>()
const usualMillis = async (tests: ReadonlyArray<string>) => {
  const key = tests.join()
  const known = usual.get(key)
  if (known !== undefined) return known
  const { millis, verdict } = await run(tests, 1_200_000)
  if (verdict !== "survived") {
    console.error(`The tests fail without any mutation: ${tests.join(" ")}`)
    process.exit(2)
  }
  usual.set(key, millis)
  return millis
}

const verdicts: Array<{ readonly place: string; readonly verdict: Verdict }> = []
for (const place of drawn) {
  const path = join(copy, place.file)
  const source = readFileSync(path, "utf8")
  const changed = apply(source, place)
  if (changed === undefined) continue
  const tests = testsFor(place.file)
  const limit = 3 * (await usualMillis(tests)) + 20_000
  writeFileSync(path, changed)
  const { millis, verdict } = await run(tests, limit)
  writeFileSync(path, source)
  verdicts.push({ place: describe(place), verdict })
  console.log(`${verdict.padEnd(8)} ${(millis / 1000).toFixed(0).padStart(4)} s  ${describe(place)}`)
}

const survivors = verdicts.filter(({ verdict }) => verdict === "survived")
if (options.json !== undefined) writeFileSync(options.json, JSON.stringify({ seed, verdicts }, null, 2))
console.log(`\n${survivors.length} of ${verdicts.length} survived. Seed ${seed}.`)
for (const { place } of survivors) console.log(place)
process.exit(survivors.length === 0 ? 0 : 1)
