/**
 * Find and flood: one task finds the work and spreads it over time, so that it does not start all at once.
 * `node scratchpad/find-and-flood.ts`. In memory, nothing to install; it ends by itself.
 */
import { Clock, Console, Effect, Layer, Logger, Schema } from "effect"
import { Agenda, CurrentDocket, Docket, Task, TaskGroup, Worker } from "../src/index.ts"

// In earnest this runs every day: cron: { expression: "@daily" }.
const FindCustomers = Task.make("findCustomers", { success: Schema.String })

// The key keeps a customer from having two reports scheduled, however often they are found.
const SendReport = Task.make("sendReport", {
  payload: { customer: Schema.Int },
  key: ({ customer }) => `report-${customer}`
})

const tasks = TaskGroup.make(FindCustomers, SendReport)

const customers = [3, 5, 8, 13, 21, 34, 55]

const HandlersLive = tasks.toLayer({
  findCustomers: Effect.fnUntraced(function* () {
    const docket = yield* CurrentDocket
    const agenda = Agenda.make(customers.map((customer) => Task.request(SendReport, { customer })))
    const reports = yield* Agenda.scatter(docket, agenda, { over: "3 seconds", jitter: "200 millis" })
    const added = reports.filter(({ disposition }) => disposition === "scheduled")
    return `${added.length} of ${reports.length} scheduled`
  }),
  sendReport: ({ customer }) => tell(`sendReport to customer ${customer}`)
})

const program = Effect.gen(function* () {
  const docket = yield* Docket
  const first = yield* docket.add(FindCustomers)
  const second = yield* docket.add(FindCustomers, {}, { delay: "1 second" })
  yield* tell("findCustomers now, and once more in a second, while most reports still wait")
  yield* Worker.runUntilFinished(tasks)
  yield* tell(`findCustomers: ${yield* first.result}`)
  yield* tell(`findCustomers, once more: ${yield* second.result}`)
})

const tell = Effect.fnUntraced(function* (text: string) {
  const elapsed = (yield* Clock.currentTimeMillis) - start
  yield* Console.log(`${(elapsed / 1000).toFixed(1)} s  ${text}`)
})

const start = Effect.runSync(Clock.currentTimeMillis)

program.pipe(
  Effect.provide([HandlersLive.pipe(Layer.provideMerge(Docket.layerMemory)), Logger.layer([])]),
  Effect.runPromise
)
