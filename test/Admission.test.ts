import { assert, it } from "@effect/vitest"
import { Option, Redacted } from "effect"
import * as Admission from "../src/Admission.ts"

const valueOf = (value: unknown) =>
  Admission.make("send", { concurrency: { limit: 1, by: () => value } }).termsOf({}).values[0]!

it("ADM-06 values differ in kind as well, and equal ones have equal texts", () => {
  const values = ["1", 1, true, null, undefined, "", [1], { a: 1 }, "null", Option.none(), Option.some(1)]
  assert.strictEqual(new Set(values.map(valueOf)).size, values.length)
  assert.strictEqual(valueOf(2n ** 64n), "18446744073709551616n")
  assert.strictEqual(valueOf({ a: [1, "x"] }), valueOf({ a: [1, "x"] }))
})

it("ADM-06 however long or odd a value is, its text is short, begins like it and tells it apart", () => {
  const long = "🙂ab".repeat(5_000)
  const texts = [long, `${long}!`, `!${long}`, [long], { long }].map(valueOf)
  assert.strictEqual(new Set(texts).size, texts.length)
  for (const text of texts) {
    assert.isAtMost(text.length, 128)
    assert.isTrue(text.isWellFormed())
  }
  assert.match(texts[0]!, /^"🙂ab🙂ab.*…#[0-9a-f]{32}$/u)
  for (const odd of ["\0", "a\nb", "\ud800", "{x}*?[a-z]:", "é\u2028"]) {
    assert.isTrue(valueOf(odd).isWellFormed())
    assert.strictEqual(JSON.parse(valueOf(odd)), odd)
  }
})

it("ADM-06 redacted values are told apart without being told", () => {
  const [one, other, same] = ["hidden 1", "hidden 2", "hidden 1"].map((text) => valueOf(Redacted.make(text)))
  assert.notStrictEqual(one, other)
  assert.strictEqual(one, same)
  assert.notInclude(one, "hidden")
})
