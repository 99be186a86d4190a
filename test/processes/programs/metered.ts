/** Tasks that, between them, make a worker count everything that there is to count. */
import { Config, Effect, Schema } from "effect"
import { CurrentDocket, Perpetual, Retry, Task, TaskGroup, TaskModule } from "../../../src/index.ts"

const Struck = Task.make("struck")
const Asks = Task.make("asks", { key: () => "asks" })
const Again = Task.make("again", { payload: { times: Schema.Int }, key: () => "again" })
const Flaky = Task.make("flaky", { error: Schema.String, retry: Retry.linear({ attempts: 2 }) })
const Tick = Task.make("tick", { perpetual: { every: "10 millis" }, key: () => "tick" })
const Held = Task.make("held", { key: () => "held" })

const tasks = TaskGroup.make(Struck, Asks, Again, Flaky, Tick, Held)

export default TaskModule.make(
  tasks,
  tasks.toLayer({
    struck: () => Effect.void,
    asks: Effect.fn(function* () {
      const docket = yield* CurrentDocket
      yield* docket.add(Again, { times: 1 }, { delay: "1 hour" })
      yield* docket.replace(Again, { times: 2 })
      yield* docket.add(Flaky)
      yield* docket.add(Tick)
      yield* docket.cancel("nobody")
      yield* docket.strike({ task: Struck })
      yield* docket.add(Struck)
    }),
    // Schedules its own key while it runs.
    again: Effect.fn(function* ({ times }) {
      if (times > 1) yield* (yield* CurrentDocket).replace(Again, { times: times - 1 })
    }),
    flaky: () => Effect.fail("no"),
    tick: Effect.fn(function* () {
      const perpetual = yield* Perpetual
      if (++ticks > 1) yield* perpetual.cancel
    }),
    held: () => Effect.flatMap(Effect.orDie(Config.Boolean("HOLD")), (hold) => (hold ? Effect.never : Effect.void))
  })
)

let ticks = 0
