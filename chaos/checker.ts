/**
 * Compares what was written down with what is promised. Pure: from a history to violations and figures.
 */
import type { Acked, Asked, Began, Ended, Fault, Line } from "./ledger.ts"

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
  /** How often the task `tick` is due, and the time without faults in which it was watched. */
  readonly tick: { readonly everyMillis: number; readonly from: number; readonly until: number } | undefined
  /** How many executions of `narrow` may run at once. */
  readonly limit: number
  readonly maxDeliveries: number
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
  /** What Redis had acknowledged and lost in a failover: no fault of the docket. */
  readonly rolledBack: number
  readonly figures: Figures
}

/** Clocks of one machine, read by processes that may be held up in between. */
const toleranceMillis = 5

export const check = (history: ReadonlyArray<Line>, final: Final, settings: Settings): Verdict => {
  const violations: Array<string> = []
  const of = <K extends Line["kind"]>(kind: K) =>
    history.filter((line): line is Extract<Line, { kind: K }> => line.kind === kind)
  const asked = byKey<Asked>(of("asked"))
  const acked = byKey<Acked>(of("acked"))
  const faults = of("fault").toSorted((a, b) => a.from - b.from)
  const begans = of("began")
  const ends = new Map(of("ended").map((line) => [`${line.lease} ${line.key}`, line]))
  const interrupted = new Map(of("interrupted").map((line) => [`${line.lease} ${line.key}`, line]))
  const runs = groupBy(begans, ({ key }) => key)

  const meets = (from: number, until: number, target: string | undefined) =>
    faults.filter((fault) => fault.from <= until && fault.until + settings.leaseMillis >= from && isFor(fault, target))

  // A run that has ended is settled with the next exchange, unless something is in the way by then.
  const settledBy = ({ key, lease }: Began) => (ends.get(`${lease} ${key}`)?.at ?? Infinity) + 2000

  let lost = 0
  let rolledBack = 0
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
      if (record === undefined && faults.some((fault) => fault.mayRollBack && fault.until >= confirmed.at)) {
        rolledBack++
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
  if (settings.tick !== undefined) violations.push(...wrongTicks(runs.get("tick") ?? [], settings.tick))
  for (const { text, worker } of of("unhandled")) violations.push(`${worker} met an error that nobody handled: ${text}`)
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

  const endTimes = Array.from(ends.values(), ({ at }) => at).toSorted((a, b) => a - b)
  const resumes = faults
    .map(({ until }) => {
      const next = endTimes.find((at) => at >= until)
      return next === undefined ? undefined : next - until
    })
    .filter((millis) => millis !== undefined)
    .toSorted((a, b) => a - b)
  const lastEnd = of("ended").reduce((latest, { at, key }) => (asked.has(key) ? Math.max(latest, at) : latest), 0)
  const lastFault = faults.reduce((latest, { until }) => Math.max(latest, until), 0)
  return {
    violations,
    rolledBack,
    figures: {
      tasks: acked.size,
      faults: faults.length,
      lost,
      duplicates,
      resumeMedianMillis: resumes[Math.floor(resumes.length / 2)],
      resumeMaximumMillis: resumes.at(-1),
      afterLastMillis: faults.length === 0 ? undefined : Math.max(0, lastEnd - lastFault)
    }
  }
}

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

const wrongTicks = (
  all: ReadonlyArray<Began>,
  { everyMillis, from, until }: NonNullable<Settings["tick"]>
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
    if (at - before > everyMillis * 2 + 1000) wrong.push(`there was no tick for ${at - before} ms after the faults`)
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
