/**
 * Tasks that run again and again: `node scratchpad/recurrence.ts`. It plays two days under a virtual clock, so it is over
 * in no time; nothing to install, nothing left behind.
 */
import { Clock, Console, Effect, Layer, Logger } from "effect"
import { TestClock } from "effect/testing"
import { Docket, Perpetual, Task, TaskGroup, Worker } from "../src/index.ts"

// At calendar times, in a time zone with its daylight saving. A worker schedules it by itself.
const Report = Task.make("report", { cron: { expression: "0 9 * * *", timeZone: "Europe/Lisbon" } })

// At intervals, from start to start. A worker schedules this one by itself as well.
const Heartbeat = Task.make("heartbeat", { perpetual: { every: "8 hours", automatic: true } })

// At intervals that its own handler chooses, until it has had enough. Somebody has to add it.
const Poll = Task.make("poll", { perpetual: { every: "1 hour" }, key: () => "poll" })

const tasks = TaskGroup.make(Report, Heartbeat, Poll)

let polls = 0

const HandlersLive = tasks.toLayer({
  report: () => tell("report     it is nine in Lisbon"),
  heartbeat: () => tell("heartbeat"),
  poll: Effect.fnUntraced(function* () {
    const perpetual = yield* Perpetual
    const hours = 2 ** ++polls
    yield* tell(polls === 5 ? "poll       has had enough" : `poll       nothing yet, again in ${hours} hours`)
    yield* polls === 5 ? perpetual.cancel : perpetual.every(`${hours} hours`)
  })
})

const program = Effect.gen(function* () {
  yield* TestClock.setTime(Date.UTC(2026, 9, 24))
  const docket = yield* Docket
  yield* docket.add(Poll)
  yield* Layer.build(Worker.layer(tasks))
  // The night between these two days is the one on which clocks go back in Lisbon.
  yield* TestClock.adjust("2 days")
}).pipe(Effect.scoped)

const tell = Effect.fnUntraced(function* (text: string) {
  const now = new Date(yield* Clock.currentTimeMillis).toISOString()
  yield* Console.log(`${now.slice(0, 10)} ${now.slice(11, 16)} UTC  ${text}`)
})

program.pipe(
  Effect.provide(HandlersLive.pipe(Layer.provideMerge(Docket.layerMemory))),
  Effect.provide([TestClock.layer(), Logger.layer([])]),
  Effect.runPromise
)
