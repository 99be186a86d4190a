/** BullMQ, with its defaults, and once more with completed jobs kept for 15 minutes only, as a docket does. */
import { type DefaultJobOptions, Queue, QueueEvents, Worker } from "bullmq"
import { failsFirst, type Payload, payloadOf, type Peer } from "./Peer.ts"

const name = "bench"

const connectionOf = (url: string) => ({ host: "127.0.0.1", port: Number(new URL(url).port) })

const make = (defaultJobOptions: DefaultJobOptions): Peer => ({
  features: new Set(["batch", "delay", "results", "retry"]),
  producer: async (url, kind) => {
    const connection = connectionOf(url)
    const queue = new Queue<Payload, number | undefined>(name, {
      connection,
      defaultJobOptions: { ...defaultJobOptions, ...(kind === "flaky" ? { attempts: 3 } : {}) }
    })
    await queue.waitUntilReady()
    const events = kind === "answer" ? new QueueEvents(name, { connection }) : undefined
    await events?.waitUntilReady()
    const optionsOf = (due: number | undefined) => (due === undefined ? {} : { delay: Math.max(0, due - Date.now()) })
    return {
      add: (id, due) => queue.add(kind, payloadOf(id), optionsOf(due)),
      addEach: (nextId, callers) => {
        const caller = async () => {
          for (let id = nextId(); id !== undefined; id = nextId()) await queue.add(kind, payloadOf(id))
        }
        return Promise.all(Array.from({ length: callers }, caller))
      },
      addBatch: (ids, due) =>
        queue.addBulk(ids.map((id) => ({ name: kind, data: payloadOf(id), opts: optionsOf(due) }))),
      call: async (id) => {
        const job = await queue.add(kind, payloadOf(id))
        return Number(await job.waitUntilFinished(events!))
      },
      depth: async () => {
        const counts = await queue.getJobCounts("waiting", "active", "delayed", "prioritized", "failed")
        return Object.values(counts).reduce((total, count) => total + count, 0)
      },
      close: async () => {
        await events?.close()
        await queue.close()
      }
    }
  },
  worker: async (url, { concurrency, kind, onRun }) => {
    const worker = new Worker<Payload, number | undefined>(
      name,
      async ({ attemptsMade, data: { id } }) => {
        onRun(id)
        if (kind === "flaky" && attemptsMade === 0 && failsFirst(id)) throw new Error("not this time")
        return kind === "answer" ? id + 1 : undefined
      },
      { connection: { ...connectionOf(url), maxRetriesPerRequest: null }, concurrency }
    )
    worker.on("error", (error) => console.error(error))
    await worker.waitUntilReady()
    return { close: () => worker.close() }
  }
})

export const peer: Peer = make({})

const keptSeconds = 15 * 60

export const pruningPeer: Peer = make({ removeOnComplete: { age: keptSeconds }, removeOnFail: { age: keptSeconds } })
