/**
 * What follows a failed attempt: `node scratchpad/retries.ts`. In memory, nothing to install; it ends by itself.
 *
 * One slot is enough for all of it, since an execution that waits for its next attempt holds none.
 */
import { Clock, Console, Effect, Layer, Logger, Schema } from "effect"
import { CurrentExecution, Docket, Retry, Task, TaskGroup, Worker } from "../src/index.ts"

class Busy extends Schema.TaggedError<Busy>()("Busy", { line: Schema.String }) {}
class WrongNumber extends Schema.TaggedError<WrongNumber>()("WrongNumber", { number: Schema.String }) {}

// Waits 200 ms, 400 ms, 800 ms; gives up at once on a wrong number.
const Call = Task.make("call", {
  payload: { number: Schema.String },
  success: Schema.String,
  error: Schema.Union([Busy, WrongNumber]),
  key: ({ number }) => number,
  retry: {
    policy: Retry.exponential({ attempts: 4, minimum: "200 millis" }),
    while: (error) => error._tag === "Busy"
  }
})

// Has no policy: its handler says itself when to try again.
const Fax = Task.make("fax", { success: Schema.String, key: () => "fax" })

const tasks = TaskGroup.make(Call, Fax)

const HandlersLive = tasks.toLayer({
  call: Effect.fnUntraced(function* ({ number }) {
    const { attempt } = yield* CurrentExecution
    yield* tell(`call ${number}, attempt ${attempt}`)
    if (number.startsWith("0")) return yield* new WrongNumber({ number })
    if (attempt < 3 || number === "555") return yield* new Busy({ line: number })
    return "hello"
  }),
  fax: Effect.fnUntraced(function* () {
    const { attempt } = yield* CurrentExecution
    yield* tell(`fax, attempt ${attempt}`)
    return attempt === 1 ? yield* Task.retryAfter("1 second") : "sent"
  })
})

const program = Effect.gen(function* () {
  const docket = yield* Docket
  const calls = yield* docket.addAll(["123", "555", "000"].map((number) => Task.request(Call, { number })))
  const fax = yield* docket.add(Fax)
  yield* Worker.runUntilFinished(tasks, { concurrency: 1 })

  for (const call of calls) {
    const outcome = yield* Effect.match(call.result, {
      onSuccess: (answer) => `"${answer}"`,
      onFailure: ({ _tag }) => _tag
    })
    const failures = yield* call.attempts
    yield* tell(`${call.key}: ${outcome}, failed attempts: ${failures.length}`)
  }
  yield* tell(`fax: ${yield* fax.result}`)

  // What failed for good is kept for a while, to be run again when the trouble is over.
  const failed = yield* docket.failed.list({ error: "Busy" })
  yield* tell(`failed for good, and worth another try: ${failed.map(({ key }) => key).join(", ")}`)
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
