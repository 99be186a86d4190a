import { assert, it } from "@effect/vitest"
import { spawnSync } from "node:child_process"
import { fileURLToPath } from "node:url"

for (const [name, option] of [
  ["chaos", "--seed"],
  ["bench", "--rounds"]
] as const) {
  const run = (...args: ReadonlyArray<string>) =>
    spawnSync(process.execPath, [fileURLToPath(new URL(`../../${name}/main.ts`, import.meta.url)), ...args], {
      encoding: "utf8"
    })

  it(`${name} says how it is used`, () => {
    const { status, stderr, stdout } = run("--help")
    assert.deepStrictEqual([status, stderr], [0, ""])
    assert.match(stdout, new RegExp(`^npm run ${name} -- .*\\n(.*\\n)*  ${option} N`))
  })

  for (const [wrong, problem] of [
    ["--nope", "Unknown option '--nope'"],
    ["more", "Unexpected argument 'more'"],
    [option, `Option '${option} <value>' argument missing`],
    [`${option}=some`, `${option} has to be a whole number`]
  ] as const) {
    it(`${name} says what is wrong with ${wrong}`, () => {
      const { status, stderr, stdout } = run(wrong)
      assert.deepStrictEqual([status, stdout], [2, ""])
      assert.include(stderr, problem)
      assert.notMatch(stderr, /^ +at /m)
    })
  }
}
