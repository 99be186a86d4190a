/**
 * Where the time of a lone call goes: by the clock at each write to a socket and at each answer, medians.
 *
 *     for peer in docket bullmq limit; do node bench/steps.ts $peer; done
 */
import { Socket } from "node:net"
import { setTimeout as sleep } from "node:timers/promises"
import { isPeerName, loadPeer } from "./peers/index.ts"
import { firstId } from "./peers/Peer.ts"
import { pinThisProcess, withServer } from "./redis.ts"
import { makeRuns, within } from "./runs.ts"
import { median } from "./statistics.ts"

type Kind = "write" | "answer" | "run"

let events: Array<{ readonly kind: Kind; readonly at: number }> = []
const note = (kind: Kind) => void events.push({ kind, at: performance.now() })

/** Has every write and every answer of this process noted. */
const watchSockets = () => {
  const { emit, write } = Socket.prototype
  Socket.prototype.write = function (this: Socket, ...args: Parameters<typeof write>) {
    note("write")
    return write.apply(this, args)
  } as typeof write
  Socket.prototype.emit = function (this: Socket, event: string | symbol, ...args: Array<unknown>) {
    if (event === "data") note("answer")
    return Reflect.apply(emit, this, [event, ...args])
  }
}

const print = (title: string, unit: "µs" | "ms", steps: Readonly<Record<string, ReadonlyArray<number>>>) =>
  console.log(
    `${title}, ${unit}: ` +
      Object.entries(steps)
        .map(
          ([name, millis]) =>
            `${name} ${unit === "µs" ? (median(millis) * 1000).toFixed(1) : median(millis).toFixed(2)}`
        )
        .join(", ")
  )

/** Tasks that are added, one after the other, and then run. */
const tasks = 20_000
const samples = 400

const [name] = process.argv.slice(2)
if (name === undefined || !isPeerName(name)) throw new Error("Name a peer: docket, bullmq or limit")
const peer = await loadPeer(name)
pinThisProcess()
watchSockets()
await withServer(async ({ url }) => {
  console.log(name)
  const producer = await peer.producer(url, "noop")
  let id = firstId

  const add = { "before the write": [], "until the answer": [], "after it": [] } as Record<string, Array<number>>
  for (let i = 0; i < tasks; i++) {
    events = []
    const began = performance.now()
    await producer.add(id++)
    const ended = performance.now()
    // The first half is for the compiler.
    if (i < tasks / 2) continue
    const write = events.findLast(({ kind }) => kind === "write")!.at
    const answer = events.findLast(({ kind }) => kind === "answer")!.at
    add["before the write"]!.push(write - began)
    add["until the answer"]!.push(answer - write)
    add["after it"]!.push(ended - answer)
  }
  print("add", "µs", add)

  const gaps: Record<string, Array<number>> = { "write to answer": [], "answer to run": [], "run to write": [] }
  const busy = makeRuns(tasks)
  const single = await peer.worker(url, {
    kind: "noop",
    concurrency: 1,
    onRun: (id) => {
      note("run")
      busy.onRun(id)
    }
  })
  await within(60_000, "concurrency 1", busy.reached(tasks))
  events.slice(events.length / 2).forEach(({ at, kind }, i, all) => {
    const before = all[i - 1]
    if (before !== undefined) gaps[`${before.kind} to ${kind}`]?.push(at - before.at)
  })
  print("a task at concurrency 1", "µs", gaps)
  await single.close()

  const steps: Record<string, Array<number>> = { add: [], token: [], claim: [], reply: [], handler: [] }
  let started = () => {}
  const idle = await peer.worker(url, {
    kind: "noop",
    concurrency: 10,
    onRun: () => {
      note("run")
      started()
    }
  })
  await sleep(500)
  for (let i = 0; i < samples; i++) {
    events = []
    const run = new Promise<void>((resolve) => {
      started = resolve
    })
    const began = performance.now()
    void producer.add(id++)
    await within(10_000, "pick-up", run)
    const seen = events
    const from = (kind: Kind, after: number) => seen.find((event) => event.kind === kind && event.at > after)?.at ?? NaN
    const write = from("write", began)
    const token = from("answer", write)
    const claim = from("write", token)
    const ran = from("run", claim)
    const reply = seen.findLast(({ at, kind }) => kind === "answer" && at < ran)?.at ?? NaN
    const times = [began, write, token, claim, reply, ran]
    Object.values(steps).forEach((step, j) => step.push(times[j + 1]! - times[j]!))
    await sleep(10 + Math.random() * 20)
  }
  print("add to the start of an idle worker's handler", "ms", steps)
  await idle.close()
  await producer.close()
})
process.exit(0)
