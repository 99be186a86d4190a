/** Counts that do not depend on the machine: what the docket asks of Redis. */
import { setTimeout as sleep } from "node:timers/promises"
import { peer } from "./peers/docket.ts"
import { firstId } from "./peers/Peer.ts"
import { makeRuns, within } from "./runs.ts"
import { type Commands, observe, total } from "./server.ts"

export interface Counts {
  /** Commands for 1,000 tasks, added by 50 callers, each of which awaits its own. */
  readonly enqueueConcurrent: CommandCounts
  /** Commands for 1,000 tasks, added in one call of `addAll`. */
  readonly enqueueBatch: CommandCounts
  /** Commands for running 1,000 no-op tasks at concurrency 50, from the worker's start to its end. */
  readonly processing: CommandCounts
  /** Commands for 1,000 callers at once, each of which adds a task and awaits its result, and for running these. */
  readonly awaiting: CommandCounts
  /** Redis memory for one queued task with a payload of 200 bytes. */
  readonly bytesPerTask: number
}

export interface CommandCounts {
  /** Round trips: the commands that came from clients. */
  readonly sent: number
  /** Those among them that called a script. */
  readonly scriptCalls: number
  /** Commands that the scripts ran. */
  readonly insideScripts: number
}

const tasks = 1000
const callers = 50
const concurrency = 50
const tasksForMemory = 10_000

const idsFrom = (first: number, count: number) => Array.from({ length: count }, (_, i) => first + i)

const countsOf = ({ insideScripts, sent }: Commands): CommandCounts => ({
  sent: total(sent),
  scriptCalls: sent.get("EVALSHA") ?? 0,
  insideScripts
})

/** Counts, on an empty server with this URL, and empties it again. */
export const measureCounts = async (url: string): Promise<Counts> => {
  const server = await observe(url)
  const producer = await peer.producer(url, "noop")
  // The first call loads the scripts and opens the connections.
  await producer.add(firstId)

  let next = firstId + 1
  const last = firstId + tasks
  const enqueueConcurrent = await server.commandsDuring(() =>
    producer.addEach(() => (next <= last ? next++ : undefined), callers)
  )
  const enqueueBatch = await server.commandsDuring(() => producer.addBatch(idsFrom(last + 1, tasks)))
  await server.flush()

  await producer.addBatch(idsFrom(firstId, tasks))
  const runs = makeRuns(tasks)
  const processing = await server.commandsDuring(async () => {
    const done = runs.reached(tasks)
    const worker = await peer.worker(url, { kind: "noop", concurrency, onRun: runs.onRun })
    await within(20_000, "processing", done)
    await worker.close()
  })
  runs.verifyEach(tasks)
  await producer.close()
  await server.flush()

  const caller = await peer.producer(url, "answer")
  const worker = await peer.worker(url, { kind: "answer", concurrency, onRun: () => {} })
  await caller.call(firstId)
  const awaiting = await server.commandsDuring(() =>
    Promise.all(idsFrom(firstId + 1, tasks).map((id) => caller.call(id)))
  )
  await worker.close()
  await caller.close()
  await server.flush()

  const memoryWith = async (first: number, count: number) => {
    const producer = await peer.producer(url, "noop")
    await producer.addBatch(idsFrom(first, count))
    await producer.close()
    // The buffers of its connections go when the server has seen their end.
    await sleep(200)
    return server.usedMemory()
  }
  const before = await memoryWith(firstId, 100)
  const after = await memoryWith(firstId + 100, tasksForMemory)
  await server.flush()
  server.close()
  return {
    enqueueConcurrent: countsOf(enqueueConcurrent),
    enqueueBatch: countsOf(enqueueBatch),
    processing: countsOf(processing),
    awaiting: countsOf(awaiting),
    bytesPerTask: (after - before) / tasksForMemory
  }
}
