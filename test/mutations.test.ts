/** What `npm run mutate` does to a source. */
import { assert, describe, it } from "@effect/vitest"
import { apply, mutationsOf } from "../mutations/mutate.ts"

const source = `/** If a === b, "true" and 1 are left alone. */
const check = (a: number) => {
  // a < b
  if (a < 2) return "a < b"
  note(a)
  return true
}
const lua = /* lua */ \`
local isDue = tonumber(due) <= now -- or 1
if not isDue then return '0 or 1' end
call('ZREM', \${check(3) ? "a" : \`b\`}, key)
\`
`

const changes = mutationsOf(source).map(
  ({ becomes, line, was }) => `${line}: ${JSON.stringify(was.trim())} ${JSON.stringify(becomes.trim())}`
)

describe("Mutations", () => {
  it("change TypeScript, and the Lua in its template strings", () => {
    for (const change of [
      '4: "<" "<="',
      '4: "" "!"',
      '4: "2" "6"',
      '5: "note(a)" ""',
      '6: "true" "false"',
      '9: "<=" "<"',
      '10: "if not" "if"',
      '11: "3" "9"'
    ]) {
      assert.include(changes, change)
    }
  })

  it("leave comments and strings alone", () => {
    assert.notMatch(changes.join("\n"), /^(1|3): /m)
    assert.notInclude(changes, '10: "or" "and"')
    assert.notInclude(changes, '9: "or" "and"')
  })

  it("are programs still, or are not made", () => {
    const programs = mutationsOf(source).map((mutation) => apply(source, mutation))
    assert.isAbove(programs.filter((program) => program !== undefined && program !== source).length, 6)
    assert.strictEqual(apply("const a = 1", { offset: 6, was: "a = 1", becomes: "", line: 1 }), undefined)
  })
})
