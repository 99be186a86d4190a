/** The checker of the fault laboratory finds what it is there to find: violations that are planted in a good history. */
import { assert, describe, it } from "@effect/vitest"
import { check, type Final, type Settings } from "../../chaos/checker.ts"
import type { Began, Line } from "../../chaos/ledger.ts"

const settings: Settings = {
  leaseMillis: 5000,
  tick: { everyMillis: 500, from: 100_000, until: 102_500 },
  limit: 2,
  maxDeliveries: 3
}

const began = (key: string, at: number, more: Partial<Began> = {}): Began => ({
  kind: "began",
  key,
  generation: 1,
  deliveries: 1,
  lease: `lease-${key}-${at}`,
  started: at,
  due: at,
  at,
  worker: "worker-1",
  ...more
})

const ended = (run: Began, at: number): Line => ({
  kind: "ended",
  key: run.key,
  lease: run.lease,
  at,
  worker: run.worker
})

/** A good history: `a` ran once, `b` again after its worker had been killed, `poison` took down three. */
const a = began("work-a", 1000)
const b1 = began("work-b", 1010)
const b2 = began("work-b", 7000, { deliveries: 2, worker: "worker-2" })
const poison = [1, 2, 3].map((deliveries) => began("poison-1", 10_000 * deliveries, { deliveries }))
const ticks = [100_100, 100_600, 101_100, 101_600].map((at, i) => began("tick", at, { generation: i + 1 }))
const asked = (key: string, task: "work" | "narrow" | "poison", delayMillis = 0): ReadonlyArray<Line> => [
  { kind: "asked", key, at: 900, delayMillis, task },
  { kind: "acked", key, at: 950, attempts: 1 }
]
const good: ReadonlyArray<Line> = [
  ...asked("work-a", "work", 100),
  ...asked("work-b", "work"),
  ...asked("poison-1", "poison"),
  a,
  ended(a, 1020),
  b1,
  b2,
  ended(b2, 7020),
  { kind: "fault", name: "worker killed", target: "worker-1", from: 1015, until: 1015, mayRollBack: false },
  ...poison,
  ...poison.map(({ at, worker }): Line => ({
    kind: "fault",
    name: "poison",
    target: worker,
    from: at,
    until: at,
    mayRollBack: false
  })),
  ...ticks
]

const final: Final = {
  records: new Map([
    ["work-a", { state: "completed", lease: a.lease }],
    ["work-b", { state: "completed", lease: b2.lease }],
    ["poison-1", { state: "failed", error: "DeliveriesExhausted: delivered 3 times" }]
  ]),
  depth: { queued: 0, scheduled: 0, running: 0 },
  leaks: [],
  clients: { before: 12, after: 12 }
}

const withRecord = (key: string, record: { state: string; lease?: string } | undefined): Final => {
  const records = new Map(final.records)
  if (record === undefined) records.delete(key)
  else records.set(key, record)
  return { ...final, records }
}

const without = (...lines: ReadonlyArray<Line>) => good.filter((line) => !lines.includes(line))
const replaced = (line: Line, by: Partial<Began>) =>
  good.map((other) => (other === line ? ({ ...other, ...by } as Line) : other))

describe("The checker of the fault laboratory", () => {
  it("finds nothing wrong with a history in which nothing is", () => {
    const { figures, violations } = check(good, final, settings)
    assert.deepStrictEqual(violations, [])
    assert.deepInclude(figures, { tasks: 3, faults: 4, lost: 0, duplicates: 3 })
  })

  const planted: Record<string, readonly [history: ReadonlyArray<Line>, final: Final, finding: string]> = {
    "a task that is gone": [good, withRecord("work-a", undefined), "work-a was confirmed, and is gone"],
    "a task that never ended": [
      good,
      withRecord("work-a", { state: "running" }),
      "work-a was confirmed, and is running"
    ],
    "a task that was never confirmed": [
      good.filter((line) => !(line.kind === "acked" && line.key === "work-a")),
      final,
      "work-a was never confirmed"
    ],
    "a second run without a cause": [
      [...good, began("work-a", 90_000, { deliveries: 2, worker: "worker-2" })].map((line) =>
        line === a ? { ...a, worker: "worker-4" } : line
      ),
      final,
      "run 2 of work-a, by worker-2, has no cause"
    ],
    "a second run because of what happened to another worker": [
      replaced(b1, { worker: "worker-3" }),
      final,
      "nothing happened to worker-3"
    ],
    "a second run of what had been settled long before its worker was harmed": [
      [
        ...good,
        began("work-a", 90_000, { deliveries: 2, worker: "worker-2" }),
        { kind: "fault", name: "worker killed", target: "worker-5", from: 80_000, until: 80_000, mayRollBack: false }
      ].map((line) => (line === a ? { ...a, worker: "worker-5" } : line)) as ReadonlyArray<Line>,
      final,
      "nothing happened to worker-5"
    ],
    "a second scheduling by nobody": [
      [...good, began("work-a", 1030, { generation: 2 })],
      final,
      "run 2 of work-a, by worker-1, was scheduled by nobody"
    ],
    "one delivery to two workers": [
      [...good, began("work-a", 1001, { worker: "worker-2" })],
      final,
      "is the same delivery as the one before it"
    ],
    "one lease for two runs": [
      [...good, began("work-a", 1001, { lease: a.lease, deliveries: 2 })],
      final,
      "has the lease of the one before it"
    ],
    "a run before its time, by the server's clock": [
      replaced(a, { started: 990 }),
      final,
      "work-a was handed out 10 ms before it was due"
    ],
    "a run before its time, by the producer's clock": [replaced(a, { at: 980 }), final, "work-a began 15 ms too early"],
    "a result of a worker that had lost its lease": [
      [...good, ended(b1, 7010)],
      withRecord("work-b", { state: "completed", lease: b1.lease }),
      "work-b has the result of worker-1, which had lost its lease to worker-2"
    ],
    "a result of a run that did not end": [
      without(...good.filter((line) => line.kind === "ended" && line.key === "work-a")),
      final,
      "work-a has the result of a run that did not end"
    ],
    "a poison task that was delivered too often": [
      [...good, began("poison-1", 30_100, { deliveries: 4 })],
      final,
      "poison-1, which takes its process down, was delivered 4 times"
    ],
    "ticks that stop": [without(...ticks), final, "there was no tick for 2500 ms"],
    "a tick that runs twice": [
      [...good, began("tick", 100_700, { generation: 2, deliveries: 2 })],
      final,
      "tick 2 ran twice after the faults"
    ],
    "a doubled chain of ticks": [
      [...good, ...[11, 12, 13, 14].map((generation) => began("tick", 100_000 + generation * 100, { generation }))],
      final,
      "a chain is doubled"
    ],
    "three at once under a limit of two": [
      [
        ...good,
        ...[50_000, 50_001, 50_002].flatMap((at, i) => {
          const run = began(`narrow-${i}`, at)
          return [...asked(run.key, "narrow"), run, ended(run, 50_100)]
        })
      ],
      final,
      "3 executions ran at once under a limit of 2"
    ],
    "an error that nobody handled": [
      [...good, { kind: "unhandled", text: "boom", at: 1, worker: "worker-1" }],
      final,
      "worker-1 met an error that nobody handled: boom"
    ],
    "a key without an owner": [good, { ...final, leaks: ["{chaos}:payload:x"] }, "{chaos}:payload:x is left for ever"],
    "work that is left over": [
      good,
      { ...final, depth: { queued: 0, scheduled: 0, running: 1 } },
      "0 are still queued, 1 running"
    ],
    "connections that pile up": [good, { ...final, clients: { before: 12, after: 15 } }, "and 15 after"]
  }
  for (const [what, [history, final, finding]] of Object.entries(planted)) {
    it(`finds ${what}`, () => {
      const { violations } = check(history, final, settings)
      assert(
        violations.some((violation) => violation.includes(finding)),
        violations.join("\n") || "it found nothing"
      )
    })
  }

  it("what Redis lost in a failover, after it had confirmed it, is counted by itself", () => {
    const failover: Line = {
      kind: "fault",
      name: "failover",
      target: "store",
      from: 940,
      until: 990,
      mayRollBack: true
    }
    const verdict = check([...good, failover], withRecord("work-a", undefined), settings)
    assert.deepStrictEqual(verdict.violations, [])
    assert.strictEqual(verdict.rolledBack, 1)
    assert.strictEqual(verdict.figures.lost, 0)
  })
})
