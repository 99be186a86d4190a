/** The checker of the fault laboratory finds what it is there to find: violations that are planted in a good history. */
import { assert, describe, it } from "@effect/vitest"
import { check, type Final, type Settings } from "../../chaos/checker.ts"
import type { Began, Fault, Line, Sample } from "../../chaos/ledger.ts"

const settings: Settings = {
  leaseMillis: 5000,
  quiet: { from: 100_000, until: 104_000 },
  tickMillis: 500,
  limit: 2,
  maxDeliveries: 3,
  mayCrash: false,
  bounds: {}
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

const fault = (at: number, more: Partial<Fault> = {}): Fault => ({
  kind: "fault",
  name: "something",
  target: "store",
  from: at,
  until: at,
  mayRollBack: false,
  ...more
})

/** The samples of a worker, one every 200 ms, which uses so much of the CPU. */
const samples = (
  from: number,
  until: number,
  percent: number,
  more: (at: number) => Partial<Sample> = () => ({})
): ReadonlyArray<Sample> =>
  Array.from({ length: Math.floor((until - from) / 200) }, (_, i): Sample => {
    const at = from + i * 200
    return { kind: "sample", worker: "worker-1", at, able: true, cpuMillis: i * 2 * percent, ...more(at) }
  })

const away = fault(200_000, { isAway: true, until: 230_000 })
const isAble = (at: number) => at < 209_000 || at >= 230_000

/** A good history: `a` ran once, `b` again after its worker had been killed, `poison` took down three. */
const a = began("work-a", 1000)
const b1 = began("work-b", 1010)
const b2 = began("work-b", 7000, { deliveries: 2, worker: "worker-2" })
const poison = [1, 2, 3].map((deliveries) => began("poison-1", 10_000 * deliveries, { deliveries }))
const ticks = [100_100, 100_600, 101_100, 101_600, 102_100, 102_600, 103_100, 103_600].map((at, i) =>
  began("tick", at, { generation: i + 1 })
)
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
    "ticks that stop": [without(...ticks), final, "there was no tick for 4000 ms"],
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
    "connections that pile up": [good, { ...final, clients: { before: 12, after: 15 } }, "and 15 after"],
    "a worker that ends by itself": [
      [...good, { kind: "crashed", worker: "worker-9", at: 50_000, how: "1" }],
      final,
      "worker-9 ended by itself, with 1"
    ],
    "a script that touches another slot": [
      [
        ...good,
        {
          kind: "warning",
          text: "CROSSSLOT Keys in request don't hash to the same slot",
          at: 50_000,
          worker: "worker-1"
        }
      ],
      final,
      "worker-1 used a key that it may not use: CROSSSLOT"
    ],
    "a script that touches a key that it did not name": [
      [
        ...good,
        {
          kind: "refused",
          text: "ERR Script attempted to access a non local key in a cluster node",
          at: 50_000,
          worker: "producer"
        }
      ],
      final,
      "producer used a key that it may not use"
    ],
    "a worker that calls itself able without the store": [
      [...good, away, ...samples(195_000, 235_000, 1)],
      final,
      "worker-1 said that it was able while the store was away"
    ],
    "a worker that calls itself unable though all is well": [
      [...good, ...samples(98_000, 104_000, 1, (at) => ({ able: at < 101_000 }))],
      final,
      "worker-1 said that it was not able while all was well"
    ],
    "a heap that grows": [
      [...good, ...samples(0, 60_000, 1, (at) => ({ heapBytes: 50e6 + at * 1000 }))],
      final,
      "the heap of a worker grew by 47 MB"
    ],
    "more runs again than there were at the kills": [
      [
        ...good.map((line) => (line.kind === "fault" && line.target === "worker-1" ? { ...line, held: 0 } : line)),
        b1,
        b2
      ],
      final,
      "were run again, though only 0 ran when workers were killed"
    ]
  }

  /** Bounds of times and costs. */
  const broken: Record<string, readonly [history: ReadonlyArray<Line>, bounds: Settings["bounds"], finding: string]> = {
    "work that goes on too late": [
      [...good, fault(200_000, { until: 201_000 }), began("tick", 204_500, { generation: 9 })],
      { resumeMillis: 3000 },
      "until work goes on, from the store's return: 3500 ms, more than 3000"
    ],
    "a busy worker that goes on too late, though others do not": [
      [
        ...good,
        ...samples(190_000, 210_000, 1),
        began("work-x", 199_500),
        fault(200_000, { until: 201_000 }),
        began("work-y", 201_100, { worker: "worker-2" }),
        began("work-z", 205_000)
      ],
      { resumeMillis: 3000 },
      "until work goes on, from the store's return: 4000 ms, more than 3000"
    ],
    "work that does not go on": [
      [...good, fault(200_000)],
      { resumeMillis: 3000 },
      "work did not go on after 1 faults"
    ],
    "a failover that takes too long": [
      [...good, fault(200_000, { back: 207_000, until: 210_000 }), began("tick", 207_100, { generation: 9 })],
      { recoverMillis: 6000 },
      "from the beginning of a failover: 7100 ms, more than 6000"
    ],
    "work that only a master went on with that had lost its place": [
      [
        ...good,
        fault(200_000, { back: 202_000, sure: 206_000, until: 210_000 }),
        began("tick", 202_100, { generation: 9 }),
        began("tick", 208_000, { generation: 10 })
      ],
      { resumeMillis: 5000 },
      "until work goes on, from the store's return: 6000 ms, more than 5000"
    ],
    "orphans that are taken over too late": [
      [
        ...good,
        began("work-o", 200_000),
        fault(200_010, { target: "worker-1", held: 1 }),
        began("work-o", 211_010, { deliveries: 2 })
      ],
      { redeliverMillis: 5000 },
      "beyond the lease: 6000 ms, more than 5000"
    ],
    "a bound for what did not happen": [good, { redeliverMillis: 5000 }, "it could not be measured"],
    "an end that is too late": [
      [...good, ...asked("work-l", "work"), fault(200_000), ended(began("work-l", 216_000), 216_000)],
      { afterLastMillis: 15_000 },
      "from the last fault: 16000 ms, more than 15000"
    ],
    "a worker that is busy without the store": [
      [...good, away, ...samples(195_000, 235_000, 25, (at) => ({ able: isAble(at) }))],
      { awayCpuPercent: 20 },
      "CPU of a worker without the store: 25 %, more than 20"
    ],
    "a log that is flooded": [
      [
        ...good,
        away,
        ...samples(195_000, 235_000, 1, (at) => ({ able: isAble(at) })),
        { kind: "warning", text: "away", at: 201_000, worker: "worker-1" },
        { kind: "warning", text: "away", at: 202_000, worker: "worker-1" }
      ],
      { warnings: 1 },
      "warnings of a worker for each fault: 2, more than 1"
    ],
    "too few faults": [good, { faults: 30 }, "there were 4 faults, fewer than 30"]
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

  for (const [what, [history, bounds, finding]] of Object.entries(broken)) {
    it(`finds ${what}`, () => {
      const { violations } = check(history, final, { ...settings, bounds })
      assert(
        violations.some((violation) => violation.includes(finding)),
        violations.join("\n") || "it found nothing"
      )
    })
  }

  it("finds nothing wrong with a worker that says in time that the store is away, and does little meanwhile", () => {
    const worker = samples(195_000, 240_000, 1, (at) => ({ able: isAble(at), heapBytes: 50e6 }))
    const history = [
      ...good,
      away,
      ...worker,
      began("tick", 231_000, { generation: 9 }),
      { kind: "warning", text: "away", at: 201_000, worker: "worker-1" } as const
    ]
    const bounds = { resumeMillis: 3000, awayCpuPercent: 20, warnings: 1 }
    const { measures, violations } = check(history, final, { ...settings, bounds })
    assert.deepStrictEqual(violations, [])
    const cpu = measures.find(({ what }) => what.startsWith("CPU"))
    assert.strictEqual(cpu?.value, 1)
  })

  it("how long there were two masters is told as a part of how long it took until work went on", () => {
    const history = [
      ...good,
      fault(200_000, { back: 202_000, sure: 206_000, until: 210_000 }),
      began("tick", 207_000, { generation: 9 })
    ]
    const { measures, resumes, violations } = check(history, final, { ...settings, bounds: { resumeMillis: 5000 } })
    assert.deepStrictEqual(violations, [])
    assert.strictEqual(resumes.at(-1)?.millis, 5000)
    const values = Object.fromEntries(measures.map(({ what, value }) => [what, value]))
    assert.strictEqual(values["until work goes on, from the store's return"], 5000)
    assert.strictEqual(values["until there was one master, from the promotion"], 4000)
  })

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
    assert.deepStrictEqual(verdict.rolledBack, { failover: 1 })
    assert.strictEqual(verdict.figures.lost, 0)
  })
})
