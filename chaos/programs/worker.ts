/** A worker of the fault laboratory, in a process of its own. */
import { NodeRuntime } from "@effect/platform-node"
import { Cause, Clock, Config, Effect, Layer, Logger } from "effect"
import { DocketLive, Worker } from "../../src/index.ts"
import { now, openLedger } from "../ledger.ts"
import { handlers, tasks } from "./tasks.ts"

const { LEDGER = "", WORKER_NAME: name = "", CLOCK_SKEW = "0", TICKS = "yes" } = process.env
const ledger = openLedger(LEDGER)
for (const event of ["unhandledRejection", "uncaughtException"] as const) {
  process.on(event, (error) => {
    ledger.write({ kind: "unhandled", text: String(error), at: now(), worker: name })
  })
}

/** What it warns of is part of the report. */
const LogToLedger = Logger.layer([
  Logger.make(({ cause, logLevel, message }) => {
    if (logLevel !== "Warn" && logLevel !== "Error" && logLevel !== "Fatal") return
    const text = [message].flat().map(String).join(" ") + (cause.reasons.length > 0 ? ` ${Cause.pretty(cause)}` : "")
    ledger.write({ kind: "warning", text: text.slice(0, 500), at: now(), worker: name })
  })
])

/** A clock that is wrong by so much. */
const skewed = (millis: number): Clock.Clock => {
  const right = Clock.Clock.defaultValue()
  const now = () => right.currentTimeMillisUnsafe() + millis
  const nanos = () => right.currentTimeNanosUnsafe() + BigInt(millis) * 1_000_000n
  return Object.assign(Object.create(right), {
    currentTimeMillisUnsafe: now,
    currentTimeMillis: Effect.sync(now),
    currentTimeNanosUnsafe: nanos,
    currentTimeNanos: Effect.sync(nanos)
  })
}

/** Writes down how the worker is. */
const SamplesLive = Layer.effectDiscard(
  Effect.gen(function* () {
    const { health } = yield* Worker.Worker
    const sample = Effect.map(health, ({ able, problems }) => {
      const { system, user } = process.cpuUsage()
      const beat = {
        ...({ kind: "sample", worker: name, at: now(), able, cpuMillis: (system + user) / 1000 } as const),
        ...(able ? {} : { problems: problems.join(", ") })
      }
      if (samples++ % samplesPerCollection !== 0 || globalThis.gc === undefined) return ledger.write(beat)
      globalThis.gc()
      ledger.write({ ...beat, heapBytes: process.memoryUsage().heapUsed })
    })
    let samples = 0
    yield* Effect.forkScoped(Effect.forever(Effect.andThen(sample, Effect.sleep("200 millis"))))
  })
)
const samplesPerCollection = 25

const WorkerLive = Layer.unwrap(
  Effect.gen(function* () {
    const concurrency = yield* Config.Int("WORKER_CONCURRENCY")
    const redeliveryTimeout = yield* Config.Duration("WORKER_LEASE")
    const maxDeliveries = yield* Config.Int("WORKER_DELIVERIES")
    return Worker.layer(tasks, {
      name,
      concurrency,
      redeliveryTimeout,
      maxDeliveries,
      scheduleAutomaticTasks: TICKS === "yes",
      shutdownTimeout: "5 seconds"
    })
  })
)

SamplesLive.pipe(
  Layer.provide(WorkerLive),
  Layer.provide([handlers(ledger), DocketLive, LogToLedger]),
  Layer.launch,
  Effect.provideService(Clock.Clock, skewed(Number(CLOCK_SKEW))),
  NodeRuntime.runMain
)
