/**
 * Compares what was written down with what is promised. Pure: from a history to violations and figures.
 */
import type { Acked, Asked, Began, Ended, Fault, Line, Sample, Said } from "./ledger.ts"

/** What the store says when all is over. */
export interface Final {
  /** By key; nothing when there is no record. */
  readonly records: ReadonlyMap<string, { readonly state: string; readonly error?: string; readonly lease?: string }>
  readonly depth: { readonly queued: number; readonly scheduled: number; readonly running: number }
  /** Keys that nobody will ever delete. */
  readonly leaks: ReadonlyArray<string>
  /** Connections at the server before the first fault and after the last, with as many workers. */
  readonly clients: { readonly before: number; readonly after: number } | undefined
}

export interface Settings {
  readonly leaseMillis: number
  /** The time without faults, in which all was watched. */
  readonly quiet: { readonly from: number; readonly until: number }
  /** How often the task `tick` is due, if it is. */
  readonly tickMillis: number | undefined
  /** How many executions of `narrow` may run at once. */
  readonly limit: number
  readonly maxDeliveries: number
  /** Whether workers may end by themselves, since there are tasks that take them down. */
  readonly mayCrash: boolean
  readonly bounds: Bounds
}

/** What is promised of times and costs. A machine that is too slow breaks it without a fault of the docket. */
export interface Bounds {
  /** How many faults there have to be. */
  readonly faults?: number
  /** From the moment at which the store is there again until every worker that was busy begins a run. */
  readonly resumeMillis?: number
  /** The same, from the beginning of the fault. */
  readonly recoverMillis?: number
  /** From the kill of a worker until all that it ran is run again, beyond its lease. */
  readonly redeliverMillis?: number
  /** From the last fault to the end of the last task. */
  readonly afterLastMillis?: number
  /** The CPU time of a worker for each second without the store, in percent of a core. */
  readonly awayCpuPercent?: number
  /** What a worker warns of, from a fault to the next. */
  readonly warnings?: number
}

/** One of the figures that are compared with their bounds. */
export interface Measure {
  readonly what: string
  readonly value: number
  readonly unit: "ms" | "%" | "" | "MB"
  readonly bound: number | undefined
}

export interface Figures {
  readonly tasks: number
  readonly faults: number
  readonly lost: number
  /** Runs beyond the first of each task. */
  readonly duplicates: number
  /** From the end of a fault to the next end of a run, in milliseconds. */
  readonly resumeMedianMillis: number | undefined
  readonly resumeMaximumMillis: number | undefined
  /** From the last fault to the end of the last task. */
  readonly afterLastMillis: number | undefined
}

export interface Verdict {
  readonly violations: ReadonlyArray<string>
  /** What Redis had acknowledged and lost in failovers, by the kind of these: no fault of the docket. */
  readonly rolledBack: Readonly<Record<string, number>>
  readonly figures: Figures
  /** Each fault, and how long it took until work went on, in milliseconds. */
  readonly resumes: ReadonlyArray<{ readonly fault: Fault; readonly millis: number | undefined }>
  readonly measures: ReadonlyArray<Measure>
}

/** One clock, read by processes that may be held up in between. */
const toleranceMillis = 5

/** A platform's probe may believe for so long that a worker is able. */
const healthMillis = 10_000

/** What the heap of a worker may grow by, after its first ten seconds. Caches fill up; a leak grows with the run. */
const heapMegabytes = 12

export const check = (history: ReadonlyArray<Line>, final: Final, settings: Settings): Verdict => {
  const violations: Array<string> = []
  const of = <K extends Line["kind"]>(kind: K) =>
    history.filter((line): line is Extract<Line, { kind: K }> => line.kind === kind)
  const asked = byKey<Asked>(of("asked"))
  const acked = byKey<Acked>(of("acked"))
  const samples = groupBy(of("sample"), ({ worker }) => worker)
  /** A worker that takes all memory is out of its mind for a while before it ends. */
  const lastSign = (worker: string) => samples.get(worker)?.at(-1)?.at
  const faults = [
    ...of("fault"),
    ...of("crashed").map(({ at, how, worker }): Fault => ({
      kind: "fault",
      name: `a worker ended with ${how}`,
      target: worker,
      from: lastSign(worker) ?? at,
      until: at,
      mayRollBack: false
    }))
  ].toSorted((a, b) => a.from - b.from)
  const begans = of("began")
  const ends = new Map(of("ended").map((line) => [`${line.lease} ${line.key}`, line]))
  const interrupted = new Map(of("interrupted").map((line) => [`${line.lease} ${line.key}`, line]))
  const runs = groupBy(begans, ({ key }) => key)

  const meets = (from: number, until: number, target: string | undefined) =>
    faults.filter((fault) => fault.from <= until && fault.until + settings.leaseMillis >= from && isFor(fault, target))

  // A run that has ended is settled with the next exchange, unless something is in the way by then.
  const settledBy = ({ key, lease }: Began) => (ends.get(`${lease} ${key}`)?.at ?? Infinity) + 2000

  let lost = 0
  const rolledBack: Record<string, number> = {}
  for (const [key, { task }] of asked) {
    const confirmed = acked.get(key)
    if (confirmed === undefined) {
      violations.push(`${key} was never confirmed, though it was asked for again and again`)
      continue
    }
    const record = final.records.get(key)
    const isOver =
      task === "poison"
        ? record?.state === "failed" && record.error?.startsWith("DeliveriesExhausted") === true
        : record?.state === "completed"
    if (!isOver) {
      const failovers = faults.filter((fault) => fault.mayRollBack && fault.until >= confirmed.at)
      // What was confirmed after it was lost in the next one, unless there is none.
      const failover = failovers.find((fault) => (fault.sure ?? backOf(fault)) >= confirmed.at) ?? failovers[0]
      if (record === undefined && failover !== undefined) {
        rolledBack[failover.name] = (rolledBack[failover.name] ?? 0) + 1
        continue
      }
      lost++
      violations.push(`${key} was confirmed, and ${record === undefined ? "is gone" : `is ${record.state}`} in the end`)
    }
  }

  let duplicates = 0
  for (const [key, all] of runs) {
    const request = asked.get(key)
    if (request === undefined) continue
    const ordered = all.toSorted((a, b) => a.generation - b.generation || a.deliveries - b.deliveries || a.at - b.at)
    duplicates += ordered.length - 1
    const attempts = acked.get(key)?.attempts ?? Infinity
    for (const [i, run] of ordered.entries()) {
      if (run.started < run.due) violations.push(`${key} was handed out ${run.due - run.started} ms before it was due`)
      const earliest = request.at + request.delayMillis - toleranceMillis
      if (run.at < earliest) violations.push(`${key} began ${Math.round(earliest - run.at)} ms too early`)
      const before = ordered[i - 1]
      if (before === undefined) continue
      const name = `run ${i + 1} of ${key}, by ${run.worker},`
      const near = meets(Math.min(before.at, run.at), Math.max(before.at, run.at), undefined)
      if (near.some(({ mayRollBack }) => mayRollBack)) continue
      if (run.lease === before.lease) {
        violations.push(`${name} has the lease of the one before it`)
      } else if (run.generation > before.generation) {
        const wasGivenBack = interrupted.get(`${before.lease} ${key}`)?.reason === "shutting-down"
        if (attempts < 2 && !wasGivenBack) violations.push(`${name} was scheduled by nobody`)
      } else if (run.deliveries === before.deliveries) {
        violations.push(`${name} is the same delivery as the one before it`)
      } else if (meets(before.at, Math.min(run.at, settledBy(before)), before.worker).length === 0) {
        violations.push(`${name} has no cause: nothing happened to ${before.worker}, which ran it before`)
      }
    }
    const last = ordered.at(-1)
    const lease = final.records.get(key)?.lease
    if (lease !== undefined && last !== undefined && request.task !== "poison") {
      if (!ends.has(`${lease} ${key}`)) violations.push(`${key} has the result of a run that did not end`)
      const writer = ordered.find((run) => run.lease === lease)
      if (writer === undefined) violations.push(`${key} has the result of a run that nobody began`)
      else if (writer.generation !== last.generation || writer.deliveries !== last.deliveries) {
        violations.push(`${key} has the result of ${writer.worker}, which had lost its lease to ${last.worker}`)
      }
    }
    if (request.task === "poison" && all.length > settings.maxDeliveries) {
      violations.push(`${key}, which takes its process down, was delivered ${all.length} times`)
    }
  }

  violations.push(...overLimit(begans, ends, interrupted, faults, settings))
  if (settings.tickMillis !== undefined) {
    violations.push(...wrongTicks(runs.get("tick") ?? [], settings.tickMillis, settings.quiet))
  }
  violations.push(...wrongHealth(samples, faults, settings.quiet))
  for (const { text, worker } of of("unhandled")) violations.push(`${worker} met an error that nobody handled: ${text}`)
  if (!settings.mayCrash) {
    for (const { how, worker } of of("crashed")) violations.push(`${worker} ended by itself, with ${how}`)
  }
  for (const { text, worker } of [...of("warning"), ...of("refused")]) {
    if (wrongKeys.test(text)) violations.push(`${worker} used a key that it may not use: ${text}`)
  }
  for (const key of final.leaks) violations.push(`the key ${key} is left for ever`)
  const { queued, running, scheduled } = final.depth
  if (queued + running + scheduled > 0) {
    violations.push(`${queued} are still queued, ${running} running, ${scheduled} scheduled`)
  }
  if (final.clients !== undefined && final.clients.after > final.clients.before) {
    violations.push(
      `there were ${final.clients.before} connections before the faults, and ${final.clients.after} after`
    )
  }
  if (faults.length > 0 && faults.every(({ held }) => held !== undefined)) {
    const held = faults.reduce((sum, fault) => sum + fault.held!, 0)
    if (duplicates > held)
      violations.push(`${duplicates} were run again, though only ${held} ran when workers were killed`)
  }

  const resumes = faults.map((fault) => resumeOf(fault, begans, samples))
  const known = resumes.filter((millis) => millis !== undefined).toSorted((a, b) => a - b)
  const lastEnd = of("ended").reduce((latest, { at, key }) => (asked.has(key) ? Math.max(latest, at) : latest), 0)
  const lastFault = faults.reduce((latest, { until }) => Math.max(latest, until), 0)
  const afterLastMillis = faults.length === 0 ? undefined : Math.max(0, lastEnd - lastFault)
  const recoveries = resumes.map((millis, i) => {
    const { back, from, held } = faults[i]!
    return millis === undefined || back === undefined || held !== undefined ? undefined : back + millis - from
  })

  const { bounds } = settings
  const measures: Array<Measure> = []
  const measure = (
    what: string,
    unit: Measure["unit"],
    bound: number | undefined,
    values: ReadonlyArray<number | undefined>
  ) => {
    const found = values.filter((value) => value !== undefined)
    if (found.length > 0) measures.push({ what, value: Math.max(...found), unit, bound })
    else if (bound !== undefined) violations.push(`it could not be measured: ${what}`)
  }
  const ofStore = resumes.filter((_, i) => faults[i]!.target === "store")
  measure("until work goes on, from the store's return", "ms", bounds.resumeMillis, ofStore)
  // A part of it: until the Sentinels have told the old master, runs that it has begun do not count.
  measure(
    "until there was one master, from the promotion",
    "ms",
    undefined,
    faults.map((fault) => (fault.sure === undefined ? undefined : Math.max(0, fault.sure - backOf(fault))))
  )
  measure("until work goes on, from the beginning of a failover", "ms", bounds.recoverMillis, recoveries)
  measure(
    "until what a killed worker ran is run again, beyond the lease",
    "ms",
    bounds.redeliverMillis,
    redeliveries(faults, runs, ends).map((millis) => millis - settings.leaseMillis)
  )
  measure("until the last task ends, from the last fault", "ms", bounds.afterLastMillis, [afterLastMillis])
  measure("CPU of a worker without the store", "%", bounds.awayCpuPercent, awayCpu(faults, samples))
  measure("warnings of a worker for each fault", "", bounds.warnings, warningsPerFault(faults, of("warning"), samples))
  measure("growth of a worker's heap", "MB", undefined, heapGrowth(samples))
  for (const { bound, unit, value, what } of measures) {
    if (bound !== undefined && value > bound) violations.push(`${what}: ${quantity(value, unit)}, more than ${bound}`)
  }
  for (const growth of heapGrowth(samples)) {
    if (growth > heapMegabytes) violations.push(`the heap of a worker grew by ${Math.round(growth)} MB`)
  }
  if (bounds.resumeMillis !== undefined) {
    const never = ofStore.filter((millis) => millis === undefined).length
    if (never > 0) violations.push(`work did not go on after ${never} faults`)
  }
  if (bounds.faults !== undefined && faults.length < bounds.faults) {
    violations.push(`there were ${faults.length} faults, fewer than ${bounds.faults}`)
  }

  return {
    violations,
    rolledBack,
    resumes: faults.map((fault, i) => ({ fault, millis: resumes[i] })),
    measures,
    figures: {
      tasks: acked.size,
      faults: faults.length,
      lost,
      duplicates,
      resumeMedianMillis: known[Math.floor(known.length / 2)],
      resumeMaximumMillis: known.at(-1),
      afterLastMillis
    }
  }
}

/** What a script is refused that touches another slot, or a key that it did not name. */
const wrongKeys = /CROSSSLOT|same slot|non.local key|undeclared/i

export const quantity = (value: number, unit: Measure["unit"]): string => `${Math.round(value)} ${unit}`.trimEnd()

const backOf = ({ back, until }: Fault) => back ?? until

/** From when on a worker that was busy right before a fault is busy again; the last of them, or else anyone. */
const resumeOf = (
  fault: Fault,
  begans: ReadonlyArray<Began>,
  samples: ReadonlyMap<string, ReadonlyArray<Sample>>
): number | undefined => {
  const back = backOf(fault)
  const sure = Math.max(back, fault.sure ?? back)
  const first = (isOf: (worker: string) => boolean) =>
    begans.reduce(
      (least, { at, worker }) => (at >= sure && isOf(worker) ? Math.min(least, at - back) : least),
      Infinity
    )
  const busy = new Set<string>()
  for (const { at, key, worker } of begans) {
    if (key === "tick" || at > fault.from || at < fault.from - 1000 || fault.target !== "store") continue
    // Not one that was gone by then.
    if (samples.get(worker)?.some(({ at }) => at > back) === true) busy.add(worker)
  }
  const last =
    busy.size === 0 ? first(() => true) : Math.max(...Array.from(busy, (name) => first((other) => other === name)))
  return last === Infinity ? undefined : last
}

/** For each run that was cut off by a kill: how long it took until the next run of the same. */
const redeliveries = (
  faults: ReadonlyArray<Fault>,
  runs: ReadonlyMap<string, ReadonlyArray<Began>>,
  ends: ReadonlyMap<string, Ended>
): ReadonlyArray<number> => {
  const kills = new Map(faults.flatMap((fault) => (fault.held === undefined ? [] : [[fault.target, fault] as const])))
  return Array.from(runs).flatMap(([key, all]) =>
    all.flatMap((run) => {
      const kill = kills.get(run.worker)
      if (kill === undefined || ends.has(`${run.lease} ${key}`)) return []
      const next = all.filter(({ at }) => at > backOf(kill)).map(({ at }) => at - kill.from)
      return next.length === 0 ? [] : [Math.min(...next)]
    })
  )
}

/** For each worker and each time without the store: its CPU time, in percent of a core. */
const awayCpu = (
  faults: ReadonlyArray<Fault>,
  samples: ReadonlyMap<string, ReadonlyArray<Sample>>
): ReadonlyArray<number> =>
  faults
    .filter(({ isAway }) => isAway)
    .flatMap(({ from, until }) =>
      Array.from(samples.values(), (all) => {
        const within = all.filter(({ at }) => at >= from && at <= until)
        const [first, last] = [within[0], within.at(-1)]
        if (first === undefined || last === undefined || last.at - first.at < (until - from) / 2) return undefined
        return (100 * (last.cpuMillis - first.cpuMillis)) / (last.at - first.at)
      }).filter((share) => share !== undefined)
    )

/** For each worker and each fault of the store: how often the worker warned until the next one. */
const warningsPerFault = (
  faults: ReadonlyArray<Fault>,
  warnings: ReadonlyArray<Said>,
  samples: ReadonlyMap<string, ReadonlyArray<Sample>>
): ReadonlyArray<number> => {
  const ofStore = faults.filter(({ target }) => target === "store")
  return ofStore.flatMap(({ from }, i) => {
    const until = ofStore[i + 1]?.from ?? Infinity
    return Array.from(
      samples.keys(),
      (name) => warnings.filter(({ at, worker }) => worker === name && at >= from && at < until).length
    )
  })
}

/** For each worker that was there for long enough: how its heap grew, in megabytes. */
const heapGrowth = (samples: ReadonlyMap<string, ReadonlyArray<Sample>>): ReadonlyArray<number> =>
  Array.from(samples.values(), (all) => {
    const collected = all.filter(({ at, heapBytes }) => heapBytes !== undefined && at >= all[0]!.at + 10_000)
    const [first, last] = [collected[0], collected.at(-1)]
    if (first === undefined || last === undefined || last.at - first.at < 20_000) return undefined
    return (last.heapBytes! - first.heapBytes!) / 2 ** 20
  }).filter((growth) => growth !== undefined)

/** Workers that say that they are able although the store has been away for long, or that they are not although all is well. */
const wrongHealth = (
  samples: ReadonlyMap<string, ReadonlyArray<Sample>>,
  faults: ReadonlyArray<Fault>,
  quiet: Settings["quiet"]
): ReadonlyArray<string> =>
  Array.from(samples, ([worker, all]) => {
    const hidden = faults.some(
      ({ from, isAway, until }) =>
        isAway === true && all.some(({ able, at }) => able && at > from + healthMillis && at < until)
    )
    const invented = all.find(({ able, at }) => !able && at > quiet.from && at < quiet.until)
    return [
      ...(hidden ? [`${worker} said that it was able while the store was away for more than ${healthMillis} ms`] : []),
      ...(invented === undefined
        ? []
        : [`${worker} said that it was not able while all was well: ${invented.problems ?? "it did not say why"}`])
    ]
  }).flat()

const isFor = (fault: Fault, target: string | undefined) =>
  target === undefined || fault.target === "store" || fault.target === target

/** Runs of `narrow` that were at work at the same time, but for those whose worker was being tormented. */
const overLimit = (
  begans: ReadonlyArray<Began>,
  ends: ReadonlyMap<string, Ended>,
  interrupted: ReadonlyMap<string, { readonly at: number }>,
  faults: ReadonlyArray<Fault>,
  { leaseMillis, limit }: Settings
): ReadonlyArray<string> => {
  const changes: Array<readonly [at: number, change: number]> = []
  for (const { at, key, lease, worker } of begans) {
    if (!key.startsWith("narrow-")) continue
    const until = (ends.get(`${lease} ${key}`) ?? interrupted.get(`${lease} ${key}`))?.at
    const wasHarmed = faults.some(
      (fault) => isFor(fault, worker) && fault.from <= (until ?? Infinity) && fault.until + leaseMillis >= at
    )
    if (until === undefined || wasHarmed) continue
    changes.push([at, 1], [until, -1])
  }
  changes.sort(([a, one], [b, other]) => a - b || one - other)
  let running = 0
  let most = 0
  for (const [, change] of changes) {
    running += change
    most = Math.max(most, running)
  }
  return most > limit ? [`${most} executions ran at once under a limit of ${limit}`] : []
}

/** How late a tick may be: a machine may stand still for a moment, a chain that is cut never goes on. */
const tickPatienceMillis = 2500

const wrongTicks = (
  all: ReadonlyArray<Began>,
  everyMillis: number,
  { from, until }: Settings["quiet"]
): ReadonlyArray<string> => {
  const wrong: Array<string> = []
  const ticks = all.filter(({ at }) => at >= from && at <= until).toSorted((a, b) => a.at - b.at)
  const seen = new Set<number>()
  for (const { generation } of ticks) {
    if (seen.has(generation)) wrong.push(`tick ${generation} ran twice after the faults`)
    seen.add(generation)
  }
  const expected = (until - from) / everyMillis
  if (ticks.length > expected + 2) {
    wrong.push(
      `there were ${ticks.length} ticks in ${until - from} ms, one every ${everyMillis} ms: a chain is doubled`
    )
  }
  let before = from
  for (const at of [...ticks.map((tick) => tick.at), until]) {
    if (at - before > everyMillis + tickPatienceMillis)
      wrong.push(`there was no tick for ${at - before} ms after the faults`)
    before = at
  }
  return wrong
}

const byKey = <A extends { readonly key: string }>(lines: ReadonlyArray<A>): ReadonlyMap<string, A> =>
  new Map(lines.map((line) => [line.key, line]))

const groupBy = <A>(values: ReadonlyArray<A>, keyOf: (value: A) => string): ReadonlyMap<string, ReadonlyArray<A>> => {
  const groups = new Map<string, Array<A>>()
  for (const value of values) {
    const group = groups.get(keyOf(value))
    if (group === undefined) groups.set(keyOf(value), [value])
    else group.push(value)
  }
  return groups
}
