import { assert, describe, it } from "@effect/vitest"
import { Recurrence, Task } from "../src/index.ts"

type Calendar = Extract<Recurrence.Recurrence, { readonly _tag: "At" }>

const calendar = (options: Recurrence.CronOptions): Calendar => {
  const recurrence = Recurrence.cron(options)
  assert(recurrence._tag === "At")
  return recurrence
}

const at = (iso: string) => new Date(iso).getTime()
const next = (recurrence: Calendar, due: string, now = due) =>
  new Date(Recurrence.next(recurrence, { due: at(due), now: at(now) })).toISOString()

describe("Recurrence", () => {
  it("CRN-01 reads five fields, and the nicknames", () => {
    assert.strictEqual(next(calendar({ expression: "30 4 * * 1" }), "2026-11-20T00:00:00Z"), "2026-11-23T04:30:00.000Z")
    const expected = {
      "@yearly": "2027-01-01T00:00:00.000Z",
      "@annually": "2027-01-01T00:00:00.000Z",
      "@monthly": "2026-12-01T00:00:00.000Z",
      "@weekly": "2026-11-22T00:00:00.000Z",
      "@daily": "2026-11-21T00:00:00.000Z",
      "@midnight": "2026-11-21T00:00:00.000Z",
      "@hourly": "2026-11-20T11:00:00.000Z"
    }
    for (const [expression, time] of Object.entries(expected)) {
      assert.strictEqual(next(calendar({ expression }), "2026-11-20T10:20:30Z"), time, expression)
    }
  })

  it("CRN-02 follows the daylight saving of its zone", () => {
    const daily = calendar({ expression: "0 9 * * *", timeZone: "Europe/Lisbon" })
    assert.strictEqual(next(daily, "2026-10-24T08:00:00Z"), "2026-10-25T09:00:00.000Z")
    assert.strictEqual(next(daily, "2026-03-28T09:00:00Z"), "2026-03-29T08:00:00.000Z")
  })

  it("CRN-02 an hour that comes twice counts once or twice, as chosen", () => {
    // Lisbon: 01:30 comes twice on 25 October 2026, at 00:30 and 01:30 UTC.
    const expression = "30 1 * * *"
    const timeZone = "Europe/Lisbon"
    const before = "2026-10-24T12:00:00Z"
    assert.strictEqual(next(calendar({ expression, timeZone }), before), "2026-10-25T00:30:00.000Z")
    assert.strictEqual(next(calendar({ expression, timeZone, repeated: "later" }), before), "2026-10-25T01:30:00.000Z")
    const both = calendar({ expression, timeZone, repeated: "both" })
    assert.strictEqual(next(both, before), "2026-10-25T00:30:00.000Z")
    assert.strictEqual(next(both, "2026-10-25T00:30:00Z"), "2026-10-25T01:30:00.000Z")
  })

  it("CRN-04 the next time is later than now and later than the time this run was due for", () => {
    const hourly = calendar({ expression: "@hourly" })
    assert.strictEqual(next(hourly, "2026-01-01T05:00:00Z", "2026-01-01T04:59:59Z"), "2026-01-01T06:00:00.000Z")
    assert.strictEqual(next(hourly, "2026-01-01T05:00:00Z", "2026-01-01T09:30:00Z"), "2026-01-01T10:00:00.000Z")
  })

  it("missed times are all run, one after the other, when chosen", () => {
    const hourly = calendar({ expression: "@hourly", missed: "all" })
    assert.strictEqual(next(hourly, "2026-01-01T05:00:00Z", "2026-01-01T09:30:00Z"), "2026-01-01T06:00:00.000Z")
  })

  it("AUT-01 the first run is at once at intervals, and at the next time of a calendar", () => {
    const now = at("2026-01-01T05:10:00Z")
    assert.strictEqual(Recurrence.first(Recurrence.every({ every: "1 hour" }), now), now)
    assert.strictEqual(Recurrence.first(calendar({ expression: "@hourly" }), now), at("2026-01-01T06:00:00Z"))
  })

  it("CRN-03 a cron task is automatic unless it says otherwise", () => {
    assert.isTrue(calendar({ expression: "@daily" }).automatic)
    assert.isFalse(calendar({ expression: "@daily", automatic: false }).automatic)
    assert.isFalse(Recurrence.every({ every: "1 hour" }).automatic)
  })

  it("CRN-06 CTX-08 AUT-02 what cannot be meant is refused where the task is defined", () => {
    assert.throws(() => Task.make("t", { cron: { expression: "61 * * * *" } }), /"61 \* \* \* \*" is not valid/)
    assert.throws(() => Task.make("t", { cron: { expression: "0 0 3 * * *" } }), /five fields/)
    assert.throws(() => Task.make("t", { cron: { expression: "@daily", timeZone: "Mars/Olympus" } }), /not valid/)
    assert.throws(() => Task.make("t", { perpetual: { every: "-1 second" } }), /every/)
    assert.throws(() => Task.make("t", { perpetual: { every: 1 }, cron: { expression: "@daily" } }), /choose one/)
    assert.throws(() => Task.make("t", { timeout: 0 }), /timeout/)
  })
})
