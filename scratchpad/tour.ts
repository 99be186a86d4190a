/**
 * A tour of a docket in a file: `npm start`. Nothing to install, nothing left behind.
 *
 * It schedules a handful of tasks, runs a worker until nothing is left to do, and reads the results. Change it and run it
 * again.
 */
import { Clock, Console, Effect, Layer, Logger, Schema } from "effect"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { CurrentExecution, Docket, Task, TaskGroup, Worker } from "../src/index.ts"

// Contracts: what producers and workers agree on.

class ParcelLost extends Schema.TaggedError<ParcelLost>()("ParcelLost", { where: Schema.String }) {}

const Greet = Task.make("greet", {
  payload: { name: Schema.String },
  success: Schema.String
})

const Remind = Task.make("remind", {
  payload: { customer: Schema.Int, about: Schema.String },
  key: ({ customer }) => `reminder-${customer}`
})

const Deliver = Task.make("deliver", {
  payload: { parcel: Schema.String },
  error: ParcelLost
})

const tasks = TaskGroup.make(Greet, Remind, Deliver)

// Handlers: how a worker runs them.

const HandlersLive = tasks.toLayer({
  greet: ({ name }) => Effect.as(tell(`greet      says hello to ${name}`), `Hello, ${name}!`),
  remind: ({ about, customer }) => tell(`remind     customer ${customer} of ${about}`),
  deliver: Effect.fnUntraced(function* ({ parcel }) {
    const { attempt } = yield* CurrentExecution
    yield* tell(`deliver    looks for the ${parcel} (attempt ${attempt})`)
    return yield* new ParcelLost({ where: "Lisbon" })
  })
})

// A producer, and a worker in the same program.

const tour = Effect.gen(function* () {
  const docket = yield* Docket

  yield* title("A producer schedules work")
  const greeting = yield* docket.add(Greet, { name: "Ada" })
  yield* tell(`now        greet Ada: ${greeting.disposition}`)

  yield* docket.add(Greet, { name: "Grace" }, { delay: "2 seconds" })
  yield* tell("later      greet Grace, in two seconds")

  const first = yield* docket.add(Remind, { customer: 7, about: "the invoice" }, { delay: "1 second" })
  const second = yield* docket.add(Remind, { customer: 7, about: "the invoice" }, { delay: "1 second" })
  yield* tell(`keyed      ${first.key}: ${first.disposition}, and once more: ${second.disposition}`)

  const replaced = yield* docket.replace(Remind, { customer: 7, about: "the new invoice" }, { delay: "3 seconds" })
  yield* tell(`replaced   ${replaced.key}: ${replaced.disposition}, now about the new invoice`)

  const unwanted = yield* docket.add(Remind, { customer: 8, about: "nothing" }, { delay: "1 second" })
  yield* unwanted.cancel
  yield* tell(`cancelled  ${unwanted.key}: it will not run`)

  const lost = yield* docket.add(Deliver, { parcel: "blue parcel" })
  yield* tell("failing    deliver the blue parcel: this one will not end well")

  yield* title("A worker runs it, until nothing is left")
  yield* Worker.runUntilFinished(tasks)

  yield* title("The producer reads what came of it")
  yield* tell(`greet      returned ${JSON.stringify(yield* greeting.result)}`)
  const error = yield* Effect.flip(lost.result)
  yield* tell(error._tag === "ParcelLost" ? `deliver    failed: lost in ${error.where}` : `deliver    ${error.message}`)
  const outcome = yield* Effect.flip(unwanted.result)
  yield* tell(`remind     ${outcome.message}`)
})

// How the tour speaks.

const title = (text: string) => Console.log(`\n${text}`)

const tell = Effect.fnUntraced(function* (text: string) {
  const elapsed = (yield* Clock.currentTimeMillis) - start
  yield* Console.log(`  ${(elapsed / 1000).toFixed(1)} s  ${text}`)
})

const start = Effect.runSync(Clock.currentTimeMillis)

// The file could stay, and workers in other processes could take part; with `Docket.layerMemory` there would be none.
const folder = mkdtempSync(join(tmpdir(), "docket-tour-"))
const DocketInFile = Docket.layer({ url: `sqlite:${join(folder, "docket.db")}` })

tour.pipe(
  // The worker logs the failure in full; the tour tells the story itself.
  Effect.provide([HandlersLive.pipe(Layer.provideMerge(DocketInFile)), Logger.layer([])]),
  Effect.ensuring(Effect.sync(() => rmSync(folder, { recursive: true, force: true }))),
  Effect.runPromise
)
