/**
 * A producer of the fault laboratory: it adds tasks at a steady rate, and asks again for what was not confirmed. On
 * SIGUSR2 it begins with nothing new.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Effect, Latch } from "effect"
import { Docket, DocketLive } from "../../src/index.ts"
import { now, openLedger } from "../ledger.ts"
import { makeRandom } from "../random.ts"
import { Narrow, Poison, Work } from "./tasks.ts"

const {
  COUNT = "0",
  LEDGER = "",
  MILLIS = "20",
  NARROW = "0",
  PADDING = "0",
  POISON = "0",
  SECONDS = "1",
  SEED = "1"
} = process.env
const ledger = openLedger(LEDGER)
for (const event of ["unhandledRejection", "uncaughtException"] as const) {
  process.on(event, (error) => {
    ledger.write({ kind: "unhandled", text: String(error), at: now(), worker: "producer" })
  })
}
const random = makeRandom(Number(SEED))
const padding = Number(PADDING) === 0 ? undefined : "x".repeat(Number(PADDING))

const requests = [
  ...Array.from({ length: Number(COUNT) }, (_, id) => ({ task: "work", id }) as const),
  ...Array.from({ length: Number(NARROW) }, (_, id) => ({ task: "narrow", id }) as const),
  ...Array.from({ length: Number(POISON) }, (_, id) => ({ task: "poison", id }) as const)
]
  .map((request) => ({ ...request, place: random.next(), millis: random.between(1, 2 * Number(MILLIS)) }))
  .map((request) => ({ ...request, delayMillis: random.next() < 0.2 ? random.between(1, 2000) : 0 }))
  .toSorted((a, b) => a.place - b.place)

const enough = Latch.makeUnsafe(false)
let isEnough = false
process.on("SIGUSR2", () => {
  isEnough = true
  enough.openUnsafe()
})

const howTo = ["exit", "hang", "exhaust"] as const

const addAll = Effect.gen(function* () {
  const docket = yield* Docket
  const began = now()
  yield* Effect.forEach(
    requests,
    Effect.fnUntraced(function* ({ delayMillis, id, millis, place, task }) {
      const wait = Math.max(0, began + place * Number(SECONDS) * 1000 - now())
      yield* Effect.timeoutOrElse(enough.await, { duration: wait, orElse: () => Effect.void })
      if (isEnough) return
      const key = `${task}-${id}`
      ledger.write({ kind: "asked", key, at: now(), delayMillis, task })
      const options = delayMillis === 0 ? {} : { delay: delayMillis }
      const add =
        task === "work"
          ? docket.add(Work, { id, millis, padding }, options)
          : task === "narrow"
            ? docket.add(Narrow, { id, millis }, options)
            : docket.add(Poison, { id, how: howTo[id % howTo.length]! }, options)
      for (let attempts = 1; ; attempts++) {
        const answer = yield* Effect.result(add)
        if (answer._tag === "Success") {
          ledger.write({ kind: "acked", key, at: now(), attempts })
          return
        }
        ledger.write({ kind: "refused", text: answer.failure.message.slice(0, 500), at: now(), worker: "producer" })
        yield* Effect.sleep(100)
      }
    }),
    { concurrency: 100, discard: true }
  )
})

addAll.pipe(Effect.provide(DocketLive), NodeRuntime.runMain)
