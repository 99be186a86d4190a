/** What is measured. Each scenario runs in a process of its own, on an empty server, and checks that the work was done. */
import { setTimeout as sleep } from "node:timers/promises"
import { type Feature, firstId, type Kind, failsFirst, type Peer, type Producer } from "./peers/Peer.ts"
import { makeRuns, verify, within } from "./runs.ts"
import { type Observer, total } from "./server.ts"
import { percentile } from "./statistics.ts"
import { cpuMicros, type WorkerProcess } from "./workerProcess.ts"

export interface Bench {
  readonly peer: Peer
  readonly url: string
  readonly server: Observer
  readonly quick: boolean
  /** Starts a worker in a process of its own. */
  readonly startWorker: (index: number, concurrency: number) => Promise<WorkerProcess>
}

export interface Metric {
  readonly id: string
  readonly title: string
  readonly unit: string
  readonly better: "higher" | "lower"
}

export interface Scenario {
  readonly name: string
  readonly metrics: ReadonlyArray<Metric>
  /** Whether `--quick` runs it. */
  readonly quick: boolean
  /** What a peer must be able to do. */
  readonly needs: ReadonlyArray<Feature>
  readonly timeoutSeconds: number
  readonly run: (bench: Bench) => Promise<Readonly<Record<string, number>>>
}

const rate = (title: string): Metric => ({ id: "rate", title, unit: "/s", better: "higher" })

const idsFrom = (first: number, count: number) => Array.from({ length: count }, (_, i) => first + i)

const depthIs = async (producer: Producer, expected: number, patienceMillis = 10_000) => {
  const deadline = performance.now() + patienceMillis
  let depth = await producer.depth()
  while (depth !== expected && performance.now() < deadline) {
    await sleep(10)
    depth = await producer.depth()
  }
  verify(depth === expected, () => `there are ${depth} unsettled tasks instead of ${expected}`)
}

const batchSize = 1000
const fillers = 50

/** Adds tasks with these ids, as fast as the peer can. */
const fill = async (peer: Peer, producer: Producer, first: number, count: number, due?: number) => {
  if (peer.features.has("batch")) {
    for (let done = 0; done < count; done += batchSize) {
      await producer.addBatch(idsFrom(first + done, Math.min(batchSize, count - done)), due)
    }
    return
  }
  let next = first
  if (due === undefined) {
    await producer.addEach(() => (next < first + count ? next++ : undefined), fillers)
    return
  }
  const filler = async () => {
    while (next < first + count) await producer.add(next++, due)
  }
  await Promise.all(Array.from({ length: fillers }, filler))
}

// The first tasks of a process run code that is not compiled yet. They are left out.
const warmUpMillis = { quick: 500, full: 1000 }
const warmUpShare = { quick: 0.6, full: 0.4 }
const enqueueMillis = { quick: 600, full: 2000 }

const cpuOf = (what: string): ReadonlyArray<Metric> => [
  { id: "serverCpu", title: `Redis CPU a task, ${what}`, unit: "µs", better: "lower" },
  { id: "clientCpu", title: `client CPU a task, ${what}`, unit: "µs", better: "lower" }
]

const enqueue = (name: string, title: string, callers: number): Scenario => ({
  name,
  metrics: [rate(title), ...cpuOf(title)],
  quick: true,
  needs: [],
  timeoutSeconds: 60,
  run: async ({ peer, quick, server, url }) => {
    const size = quick ? "quick" : "full"
    const producer = await peer.producer(url, "noop")
    const serverBefore = await server.cpuMicros()
    const begin = performance.now() + warmUpMillis[size]
    const end = begin + enqueueMillis[size]
    let next = firstId
    let first: { readonly id: number; readonly at: number; readonly cpu: number } | undefined
    await producer.addEach(() => {
      const at = performance.now()
      if (first === undefined && at >= begin) first = { id: next, at, cpu: cpuMicros() }
      return at < end ? next++ : undefined
    }, callers)
    const last = { at: performance.now(), cpu: cpuMicros() }
    const serverCpu = ((await server.cpuMicros()) - serverBefore) / (next - firstId)
    await depthIs(producer, next - firstId)
    await producer.close()
    const counted = next - first!.id
    return {
      rate: (counted / (last.at - first!.at)) * 1000,
      serverCpu,
      clientCpu: (last.cpu - first!.cpu) / counted
    }
  }
})

const enqueueBatches: Scenario = {
  name: "enqueue-batch",
  metrics: [rate("enqueue, batches of 1,000"), ...cpuOf("enqueue, batches of 1,000")],
  quick: true,
  needs: ["batch"],
  timeoutSeconds: 60,
  run: async ({ peer, quick, server, url }) => {
    const size = quick ? "quick" : "full"
    const producer = await peer.producer(url, "noop")
    let next = firstId
    const addFor = async (millis: number) => {
      const [begin, first, cpu, serverCpu] = [performance.now(), next, cpuMicros(), await server.cpuMicros()]
      while (performance.now() < begin + millis) {
        await producer.addBatch(idsFrom(next, batchSize))
        next += batchSize
      }
      const [end, added] = [performance.now(), next - first]
      return {
        rate: (added / (end - begin)) * 1000,
        serverCpu: ((await server.cpuMicros()) - serverCpu) / added,
        clientCpu: (cpuMicros() - cpu) / added
      }
    }
    await addFor(warmUpMillis[size])
    const metrics = await addFor(enqueueMillis[size])
    await depthIs(producer, next - firstId)
    await producer.close()
    return metrics
  }
}

interface Processing {
  readonly concurrency: number
  readonly tasks: number
  readonly kind?: Kind
  readonly runsOf?: (id: number) => number
  /** How many tasks wait behind those that are counted. */
  readonly backlog?: number
  /** How many tasks are there for later. */
  readonly later?: number
}

const laterMillis = 24 * 60 * 60_000

/**
 * The queue is filled first. The time is taken from the run that ends the warm-up, a part of the tasks, to the last run;
 * that the last ones were settled is checked afterwards.
 */
const measureProcessing = async ({ peer, quick, server, url }: Bench, load: Processing) => {
  const { backlog = 0, concurrency, kind = "noop", later = 0, runsOf = () => 1, tasks } = load
  const producer = await peer.producer(url, kind)
  if (later > 0) await fill(peer, producer, firstId + tasks + backlog, later, Date.now() + laterMillis)
  await fill(peer, producer, firstId, tasks + backlog)
  await depthIs(producer, tasks + backlog + later)
  const expectedRuns = idsFrom(firstId, tasks).reduce((sum, id) => sum + runsOf(id), 0)
  const warmUp = Math.floor(expectedRuns * warmUpShare[quick ? "quick" : "full"])
  const runs = makeRuns(tasks + backlog + later)
  const cpuBefore = await server.cpuMicros()
  const warm = runs.reached(warmUp).then((at) => ({ at, cpu: cpuMicros() }))
  const done = runs.reached(expectedRuns).then((at) => ({ at, cpu: cpuMicros() }))
  const worker = await peer.worker(url, { kind, concurrency, onRun: runs.onRun })
  const [from, to] = await within(120_000, "processing", Promise.all([warm, done]))
  if (backlog === 0) await depthIs(producer, later)
  const cpuAfter = await server.cpuMicros()
  await worker.close()
  if (backlog === 0) runs.verifyEach(tasks, runsOf)
  await depthIs(producer, tasks + backlog + later - (backlog === 0 ? tasks : runs.count()))
  await producer.close()
  const counted = expectedRuns - warmUp
  return {
    rate: (counted / (to.at - from.at)) * 1000,
    serverCpu: (cpuAfter - cpuBefore) / runs.count(),
    clientCpu: (to.cpu - from.cpu) / counted
  }
}

const processing = (concurrency: number, tasks: { readonly quick: number; readonly full: number }): Scenario => ({
  name: `process-${concurrency}`,
  metrics: [rate(`no-op tasks, concurrency ${concurrency}`), ...cpuOf(`concurrency ${concurrency}`)],
  quick: true,
  needs: [],
  timeoutSeconds: 180,
  run: (bench) => measureProcessing(bench, { concurrency, tasks: bench.quick ? tasks.quick : tasks.full })
})

const behind = (
  name: string,
  title: string,
  load: { readonly backlog: number } | { readonly later: number },
  tasks = 40_000
): Scenario => ({
  name,
  metrics: [rate(title)],
  quick: false,
  needs: "later" in load ? ["delay"] : [],
  timeoutSeconds: 600,
  run: (bench) => measureProcessing(bench, { concurrency: 50, tasks, ...load })
})

const failing: Scenario = {
  name: "failing",
  metrics: [rate("attempts, 90 % of tasks fail once, concurrency 50")],
  quick: false,
  needs: ["retry"],
  timeoutSeconds: 180,
  run: async (bench) => {
    const { rate } = await measureProcessing(bench, {
      concurrency: 50,
      tasks: 20_000,
      kind: "flaky",
      runsOf: (id) => (failsFirst(id) ? 2 : 1)
    })
    return { rate }
  }
}

const limited: Scenario = {
  name: "limited",
  metrics: [rate("1 ms tasks, one at a time for each of 1,000 values, concurrency 50")],
  quick: false,
  needs: ["limits"],
  timeoutSeconds: 180,
  run: async (bench) => {
    const { rate } = await measureProcessing(bench, { concurrency: 50, tasks: 20_000, kind: "limited" })
    return { rate }
  }
}

const workerProcesses: Scenario = {
  name: "workers-4",
  metrics: [rate("no-op tasks, 4 worker processes of concurrency 50")],
  quick: false,
  needs: [],
  timeoutSeconds: 180,
  run: async ({ peer, quick, startWorker, url }) => {
    const tasks = quick ? 20_000 : 60_000
    const producer = await peer.producer(url, "noop")
    await fill(peer, producer, firstId, tasks)
    await depthIs(producer, tasks)
    const workers = await Promise.all(Array.from({ length: 4 }, (_, i) => startWorker(i, 50)))
    for (const worker of workers) worker.go()
    const ran = () => workers.reduce((sum, worker) => sum + worker.runs(), 0)
    await within(
      120_000,
      "processing",
      (async () => {
        while (ran() < tasks) await sleep(20)
      })()
    )
    await depthIs(producer, 0)
    const stopped = await Promise.all(workers.map((worker) => worker.stop()))
    const runs = stopped.flatMap(({ byMillisecond }) => byMillisecond).toSorted(([a], [b]) => a - b)
    const completed = runs.reduce((sum, [, count]) => sum + count, 0)
    verify(completed === tasks, () => `${completed} runs of ${tasks} tasks`)
    verify(
      stopped.every(({ byMillisecond }) => byMillisecond.length > 0),
      () => "one of the workers got nothing to do"
    )
    await producer.close()
    let counted = completed
    let i = 0
    for (; counted > completed * 0.75; i++) counted -= runs[i]![1]
    return { rate: (counted / (runs.at(-1)![0] - runs[i - 1]![0])) * 1000 }
  }
}

const epochMillis = () => performance.timeOrigin + performance.now()

const pickUp: Scenario = {
  name: "pick-up",
  metrics: [
    { id: "p50", title: "add to start, idle worker, p50", unit: "ms", better: "lower" },
    { id: "p99", title: "add to start, idle worker, p99", unit: "ms", better: "lower" }
  ],
  quick: false,
  needs: [],
  timeoutSeconds: 60,
  run: async ({ peer, quick, url }) => {
    const samples = quick ? 100 : 400
    const patienceMillis = quick ? 3000 : 10_000
    const producer = await peer.producer(url, "noop")
    const runs = makeRuns(samples)
    const worker = await peer.worker(url, { kind: "noop", concurrency: 10, onRun: runs.onRun })
    await sleep(500)
    const waits: Array<number> = []
    const begin = performance.now()
    for (let i = 0; i < samples && performance.now() < begin + patienceMillis; i++) {
      const started = runs.reached(i + 1)
      const added = performance.now()
      await producer.add(firstId + i)
      const wait = (await within(10_000, "pick-up", started)) - added
      waits.push(wait)
      // At any point of the period of a peer that polls.
      await sleep(5 + Math.random() * Math.max(20, wait))
    }
    await depthIs(producer, 0)
    runs.verifyEach(waits.length)
    await worker.close()
    await producer.close()
    const warm = waits.slice(waits.length > 50 ? 20 : 0)
    return { p50: percentile(warm, 0.5), p99: percentile(warm, 0.99) }
  }
}

const lateness: Scenario = {
  name: "lateness",
  metrics: [
    { id: "p50", title: "delayed task, late by, p50", unit: "ms", better: "lower" },
    { id: "p99", title: "delayed task, late by, p99", unit: "ms", better: "lower" }
  ],
  quick: false,
  needs: ["delay"],
  timeoutSeconds: 60,
  run: async ({ peer, quick, url }) => {
    const [tasks, spreadMillis] = quick ? [100, 2000] : [400, 6000]
    const producer = await peer.producer(url, "noop")
    const dueOf = new Map<number, number>()
    const late: Array<number> = []
    const runs = makeRuns(tasks)
    const worker = await peer.worker(url, {
      kind: "noop",
      concurrency: 10,
      onRun: (id) => {
        late.push(epochMillis() - dueOf.get(id)!)
        runs.onRun(id)
      }
    })
    await sleep(500)
    const done = runs.reached(tasks)
    const first = Date.now() + 1500
    for (let i = 0; i < tasks; i++) {
      // In no order, so that some are due before others that were added earlier.
      const due = first + ((i * 7919) % spreadMillis)
      dueOf.set(firstId + i, due)
      await producer.add(firstId + i, due)
    }
    verify(Date.now() < first - 200, () => "adding took longer than the first delay")
    await within(30_000, "delayed tasks", done)
    verify(Math.min(...late) > -2, () => `a task ran ${-Math.min(...late)} ms too early`)
    await depthIs(producer, 0)
    runs.verifyEach(tasks)
    await worker.close()
    await producer.close()
    return { p50: percentile(late, 0.5), p99: percentile(late, 0.99) }
  }
}

const memory: Scenario = {
  name: "memory",
  metrics: [{ id: "bytes", title: "Redis memory a queued task", unit: "bytes", better: "lower" }],
  quick: false,
  needs: [],
  timeoutSeconds: 120,
  run: async ({ peer, quick, server, url }) => {
    const tasks = quick ? 20_000 : 100_000
    const addAndLeave = async (first: number, count: number) => {
      const producer = await peer.producer(url, "noop")
      await fill(peer, producer, first, count)
      await depthIs(producer, first - firstId + count)
      await producer.close()
      // The buffers of its connections go with it.
      await sleep(300)
      return server.usedMemory()
    }
    const before = await addAndLeave(firstId, 100)
    const after = await addAndLeave(firstId + 100, tasks)
    return { bytes: (after - before) / tasks }
  }
}

const results: Scenario = {
  name: "results-1000",
  metrics: [
    { id: "millis", title: "1,000 callers, each adds a task and awaits its result", unit: "ms", better: "lower" }
  ],
  quick: false,
  needs: ["results"],
  timeoutSeconds: 120,
  run: async ({ peer, url }) => {
    const [callers, rounds] = [1000, 4]
    const runs = makeRuns(callers * rounds)
    const producer = await peer.producer(url, "answer")
    const worker = await peer.worker(url, { kind: "answer", concurrency: 50, onRun: runs.onRun })
    const callAll = async (round: number) => {
      const ids = idsFrom(firstId + round * callers, callers)
      const begin = performance.now()
      const answers = await within(60_000, "awaiting results", Promise.all(ids.map((id) => producer.call(id))))
      verify(
        answers.every((answer, i) => answer === ids[i]! + 1),
        () => "a caller got a wrong answer"
      )
      return performance.now() - begin
    }
    await callAll(0)
    let millis = 0
    for (let round = 1; round < rounds; round++) millis += await callAll(round)
    await depthIs(producer, 0)
    runs.verifyEach(callers * rounds)
    await worker.close()
    await producer.close()
    return { millis: millis / (rounds - 1) }
  }
}

const idle = (workers: number): Scenario => {
  const who = workers === 1 ? "1 idle worker" : `${workers} idle workers`
  return {
    name: `idle-${workers}`,
    metrics: [
      { id: "commands", title: `${who}: commands a second`, unit: "/s", better: "lower" },
      { id: "serverCpu", title: `${who}: Redis CPU`, unit: "% of a core", better: "lower" },
      { id: "cpu", title: `${who}: Redis and client CPU`, unit: "% of a core", better: "lower" }
    ],
    quick: false,
    needs: [],
    timeoutSeconds: 90,
    run: async ({ peer, quick, server, url }) => {
      const seconds = quick ? 3 : 10
      const runs = makeRuns(1)
      const open = []
      for (let i = 0; i < workers; i++) {
        open.push(await peer.worker(url, { kind: "noop", concurrency: 10, onRun: runs.onRun }))
      }
      await sleep(2000)
      const own = cpuMicros()
      const serverBefore = await server.cpuMicros()
      await sleep(seconds * 1000)
      const ownUsed = cpuMicros() - own
      const serverUsed = (await server.cpuMicros()) - serverBefore
      const { sent } = await server.commandsDuring(() => sleep(seconds * 1000))
      // They are there, and not asleep.
      const producer = await peer.producer(url, "noop")
      const ran = runs.reached(1)
      await producer.add(firstId)
      await within(10_000, "the first task after the idle time", ran)
      await depthIs(producer, 0)
      await producer.close()
      await Promise.all(open.map((worker) => worker.close()))
      return {
        commands: total(sent) / seconds,
        serverCpu: (serverUsed / (seconds * 1e6)) * 100,
        cpu: ((serverUsed + ownUsed) / (seconds * 1e6)) * 100
      }
    }
  }
}

export const scenarios: ReadonlyArray<Scenario> = [
  enqueue("enqueue-1", "enqueue, one awaited", 1),
  enqueue("enqueue-50", "enqueue, 50 concurrent", 50),
  enqueueBatches,
  processing(1, { quick: 6000, full: 20_000 }),
  processing(10, { quick: 20_000, full: 60_000 }),
  processing(50, { quick: 30_000, full: 100_000 }),
  processing(200, { quick: 30_000, full: 100_000 }),
  pickUp,
  lateness,
  memory,
  behind("backlog-1k", "concurrency 50, 1,000 tasks behind", { backlog: 1000 }),
  behind("backlog-100k", "concurrency 50, 100,000 tasks behind", { backlog: 100_000 }),
  behind("backlog-1m", "concurrency 50, 1,000,000 tasks behind", { backlog: 1_000_000 }),
  behind(
    "backlog-growing",
    "concurrency 50, a million behind, Redis growing its table",
    { backlog: 1_000_000 },
    60_000
  ),
  behind("later-1k", "concurrency 50, 1,000 tasks for later", { later: 1000 }),
  behind("later-100k", "concurrency 50, 100,000 tasks for later", { later: 100_000 }),
  behind("later-1m", "concurrency 50, 1,000,000 tasks for later", { later: 1_000_000 }),
  workerProcesses,
  failing,
  limited,
  results,
  idle(1),
  idle(50)
]
