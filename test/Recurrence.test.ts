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

  it("CRN-01 a range may go beyond the end of its field", () => {
    const times = (expression: string, count: number, from: string) => {
      const found: Array<string> = []
      for (let at = from; found.length < count; found.push(at.slice(0, 16))) at = next(calendar({ expression }), at)
      return found
    }
    assert.deepStrictEqual(times("0 22-1 * * *", 5, "2026-11-20T21:00:00Z"), [
      "2026-11-20T22:00",
      "2026-11-20T23:00",
      "2026-11-21T00:00",
      "2026-11-21T01:00",
      "2026-11-21T22:00"
    ])
    // The 20th is a Friday.
    assert.deepStrictEqual(times("0 0 * * FRI-MON", 5, "2026-11-19T00:00:00Z"), [
      "2026-11-20T00:00",
      "2026-11-21T00:00",
      "2026-11-22T00:00",
      "2026-11-23T00:00",
      "2026-11-27T00:00"
    ])
    assert.deepStrictEqual(times("0 0 * * 5-1", 5, "2026-11-19T00:00:00Z").at(3), "2026-11-23T00:00")
    assert.deepStrictEqual(times("0 0 1 NOV-FEB *", 5, "2026-11-20T00:00:00Z"), [
      "2026-12-01T00:00",
      "2027-01-01T00:00",
      "2027-02-01T00:00",
      "2027-11-01T00:00",
      "2027-12-01T00:00"
    ])
    assert.deepStrictEqual(times("50-10/10 12 * * *", 3, "2026-11-20T12:00:00Z"), [
      "2026-11-20T12:10",
      "2026-11-20T12:50",
      "2026-11-21T12:00"
    ])
  })

  it("CRN-06 what some other crons read and this one does not is named in the refusal", () => {
    for (const [expression, found, field] of [
      ["0 0 L * *", "L", "day of the month"],
      ["0 0 L-3 * *", "L-3", "day of the month"],
      ["0 0 15W * *", "15W", "day of the month"],
      ["0 0 1,LW * *", "LW", "day of the month"],
      ["0 0 * * 5L", "5L", "day of the week"],
      ["0 0 * * FRI#3", "FRI#3", "day of the week"],
      ["0 0 ? * 1", "?", "day of the month"]
    ] as const) {
      assert.throws(
        () => Recurrence.cron({ expression }),
        `cron: "${expression}" has ${found} in the field of the ${field}, and neither L, W, # nor ? is understood here`
      )
    }
    for (const expression of ["constructor", "__proto__", "@reboot", "@every 5m", "", "0 0 1 1 * *"]) {
      assert.throws(() => Recurrence.cron({ expression }), "needs five fields")
    }
    for (const expression of ["0 0 * * LUN", "0 24-2 * * *", "0 22-2/0 * * *", "0 5-x * * *"]) {
      assert.throws(() => Recurrence.cron({ expression }), "is not valid")
    }
  })

  it("CRN-02 what runs every hour or each few minutes does not pause while an hour comes twice, unless asked to", () => {
    // Lisbon: the hour from 01:00 comes twice on 25 October 2026, from 00:00 UTC on.
    const timeZone = "Europe/Lisbon"
    const runs = (options: Omit<Recurrence.CronOptions, "timeZone">) => {
      let count = 0
      const end = at("2026-10-25T03:00:00Z")
      for (let time = "2026-10-24T22:59:00Z"; at(time) < end; count++) {
        time = next(calendar({ ...options, timeZone }), time)
      }
      return count - 1
    }
    assert.strictEqual(runs({ expression: "*/15 * * * *" }), 16)
    assert.strictEqual(runs({ expression: "0,30 * * * *" }), 8)
    assert.strictEqual(runs({ expression: "@hourly" }), 4)
    assert.strictEqual(runs({ expression: "*/15 0-5 * * *" }), 16)
    assert.strictEqual(runs({ expression: "*/15 * * * *", repeated: "earlier" }), 12)
    assert.strictEqual(runs({ expression: "30 1 * * *" }), 1)
    assert.strictEqual(runs({ expression: "30 1 * * *", repeated: "both" }), 2)
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

  it("CRN-02 an hour that does not come counts an hour later or not at all, as chosen", () => {
    for (const [timeZone, expression, days] of [
      // Lisbon goes from 01:00 to 02:00 on 29 March 2026, New York from 02:00 to 03:00 on 8 March.
      ["Europe/Lisbon", "30 1 * * *", ["2026-03-28T01:30", "2026-03-29T01:30", "2026-03-30T00:30"]],
      ["America/New_York", "30 2 * * *", ["2026-03-07T07:30", "2026-03-08T07:30", "2026-03-09T06:30"]],
      // At the change itself, and not on the same day: Beirut goes from 00:00 to 01:00 on 29 March.
      ["Asia/Beirut", "0 0 * * *", ["2026-03-27T22:00", "2026-03-28T22:00", "2026-03-29T21:00"]]
    ] as const) {
      const [before, change, after] = days.map((time) => `${time}:00.000Z`)
      const later = calendar({ expression, timeZone })
      assert.strictEqual(next(later, before!), change)
      assert.strictEqual(next(later, change!), after)
      assert.strictEqual(next(calendar({ expression, timeZone, skipped: "omit" }), before!), after)
    }
  })

  it("CRN-02 leaving out the hour that does not come leaves all others as they are", () => {
    const times = (options: Partial<Recurrence.CronOptions>, from: string, count: number) => {
      const times: Array<string> = []
      const calendarOf = calendar({ expression: "*/30 * * * *", timeZone: "Europe/Lisbon", ...options })
      for (let time = from; times.length < count; times.push(time.slice(8, 16))) time = next(calendarOf, time)
      return times
    }
    const halfHours = ["29T00:30", "29T01:00", "29T01:30", "29T02:00"]
    assert.deepStrictEqual(times({}, "2026-03-29T00:00:00Z", 4), halfHours)
    assert.deepStrictEqual(times({ skipped: "omit" }, "2026-03-29T00:00:00Z", 4), halfHours)
    // 01:00, which does not come, would be at the time of 02:00, which does.
    const both = { expression: "0 1,2 * * *", skipped: "omit" } as const
    assert.deepStrictEqual(times(both, "2026-03-28T12:00:00Z", 3), ["29T01:00", "30T00:00", "30T01:00"])
    const first = { expression: "0 1 * * *", skipped: "omit", repeated: "both" } as const
    assert.deepStrictEqual(times(first, "2026-03-28T12:00:00Z", 2), ["30T00:00", "31T00:00"])
    assert.deepStrictEqual(times(first, "2026-10-24T12:00:00Z", 3), ["25T00:00", "25T01:00", "26T01:00"])
    // Lord Howe Island goes from 02:00 to 02:30 on 4 October: 02:15 does not come, 02:40 does.
    const island = { expression: "15,40 2 * * *", timeZone: "Australia/Lord_Howe", skipped: "omit" } as const
    assert.deepStrictEqual(times(island, "2026-10-03T00:00:00Z", 2), ["03T15:40", "04T15:15"])
    // Without a zone that changes its clocks there is nothing to leave out.
    assert.deepStrictEqual(times({ timeZone: "UTC", skipped: "omit" }, "2026-03-29T00:00:00Z", 4), halfHours)
  })

  it("CRN-02 a yearly time that is skipped this year comes next year", () => {
    const yearly = { expression: "30 2 8 3 *", timeZone: "America/New_York" }
    assert.strictEqual(next(calendar(yearly), "2026-01-01T00:00:00Z"), "2026-03-08T07:30:00.000Z")
    assert.strictEqual(
      next(calendar({ ...yearly, skipped: "omit" }), "2026-01-01T00:00:00Z"),
      "2027-03-08T07:30:00.000Z"
    )
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
    assert.throws(
      () => Task.make("t", { cron: { expression: "0 0 30 2 *" } }),
      /"0 0 30 2 \*" names days that its months do not have/
    )
    assert.doesNotThrow(() => Task.make("t", { cron: { expression: "0 0 29 2 *" } }))
    assert.throws(() => Task.make("t", { perpetual: { every: "-1 second" } }), /every/)
    assert.throws(() => Task.make("t", { perpetual: { every: 1 }, cron: { expression: "@daily" } }), /choose one/)
    assert.throws(() => Task.make("t", { timeout: 0 }), /timeout/)
  })
})
