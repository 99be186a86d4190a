import { assert, describe, it } from "@effect/vitest"
import { Duration } from "effect"
import * as DurationText from "../src/internal/contract/durationText.ts"

describe("durations on the command line", () => {
  const millis = (text: string) => {
    const duration = DurationText.parse(text)
    return duration === undefined ? undefined : Duration.toMillis(duration)
  }

  it("a plain number is seconds (CLI-08)", () => {
    assert.strictEqual(millis("90"), 90_000)
    assert.strictEqual(millis("0.5"), 500)
    assert.strictEqual(millis("0"), 0)
  })

  it("suffixes name the unit (CLI-08)", () => {
    assert.strictEqual(millis("250ms"), 250)
    assert.strictEqual(millis("30s"), 30_000)
    assert.strictEqual(millis("1.5m"), 90_000)
    assert.strictEqual(millis("2h"), 7_200_000)
  })

  it("mm:ss and hh:mm:ss read like a clock (CLI-08)", () => {
    assert.strictEqual(millis("1:30"), 90_000)
    assert.strictEqual(millis("90:00"), 5_400_000)
    assert.strictEqual(millis("0:0:10"), 10_000)
    assert.strictEqual(millis("01:02:03"), 3_723_000)
  })

  it("words are read as in code (CLI-08)", () => {
    for (const text of ["20 millis", "1 second", "90 seconds", "5 minutes", "1 hour", "1.5 days", "2 weeks"] as const) {
      assert.strictEqual(millis(text), Duration.toMillis(text), text)
    }
    assert.strictEqual(millis("0 seconds"), 0)
  })

  it.each([
    "",
    " 5",
    "5 m",
    "5M",
    "5d",
    "-5",
    "+5",
    "1e3",
    ".5",
    "5.",
    "abc",
    "1:60",
    "1:",
    ":30",
    "0:60:00",
    "1:2:3:4",
    "5 fortnights",
    "1 hour 30 minutes",
    "-1 hour",
    "an hour",
    "1 Hour",
    "Infinity",
    "9999999999 weeks"
  ])("anything else is refused: %j (CLI-08)", (text) => assert.isUndefined(DurationText.parse(text)))
})
