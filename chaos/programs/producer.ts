/** A producer of the fault laboratory: it adds tasks at a steady rate, and asks again for what was not confirmed. */
import { NodeRuntime } from "@effect/platform-node"
import { Effect } from "effect"
import { Docket, DocketLive } from "../../src/index.ts"
import { openLedger } from "../ledger.ts"
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
    ledger.write({ kind: "unhandled", text: String(error), at: Date.now(), worker: "producer" })
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

const addAll = Effect.gen(function* () {
  const docket = yield* Docket
  const began = Date.now()
  yield* Effect.forEach(
    requests,
    Effect.fnUntraced(function* ({ delayMillis, id, millis, place, task }) {
      yield* Effect.sleep(Math.max(0, began + place * Number(SECONDS) * 1000 - Date.now()))
      const key = `${task}-${id}`
      ledger.write({ kind: "asked", key, at: Date.now(), delayMillis, task })
      const options = delayMillis === 0 ? {} : { delay: delayMillis }
      const add =
        task === "work"
          ? docket.add(Work, { id, millis, padding }, options)
          : task === "narrow"
            ? docket.add(Narrow, { id, millis }, options)
            : docket.add(Poison, { id }, options)
      for (let attempts = 1; ; attempts++) {
        const answer = yield* Effect.result(add)
        if (answer._tag === "Success") {
          ledger.write({ kind: "acked", key, at: Date.now(), attempts })
          return
        }
        yield* Effect.sleep(100)
      }
    }),
    { concurrency: 100, discard: true }
  )
})

addAll.pipe(Effect.provide(DocketLive), NodeRuntime.runMain)
