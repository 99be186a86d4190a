/**
 * A worker with a task that runs again at once, six times. It kills its own process at the third end, at the step that
 * the environment names: in the `handler`, `before` the store call that settles the run, or right `after` it.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Config, Effect, Layer, Schema } from "effect"
import { appendFileSync } from "node:fs"
import { Docket, DocketLive, Dockets, Perpetual, Task, TaskGroup, Worker } from "../../../src/index.ts"

export const Tick = Task.make("tick", {
  payload: { n: Schema.Int },
  key: () => "tick",
  perpetual: { every: 0 }
})
const tasks = TaskGroup.make(Tick)

const last = 6
const fatal = 3
const killAt = process.env["KILL_AT"]
const die = Effect.sync(() => process.kill(process.pid, "SIGKILL")).pipe(Effect.andThen(Effect.never))

const Handlers = tasks.toLayer({
  tick: Effect.fnUntraced(function* ({ n }) {
    const perpetual = yield* Perpetual
    appendFileSync(process.env["LEDGER"] ?? "", `ended ${n} worker\n`)
    if (killAt === "handler" && n === fatal) yield* die
    if (n === last) yield* perpetual.cancel
    else yield* perpetual.next(Tick, { n: n + 1 })
  })
})

/** The docket of the environment, whose worker dies at the third settlement. */
const MortalDocket = Layer.effect(
  Docket,
  Effect.gen(function* () {
    const { store } = yield* Docket
    let ends = 0
    return yield* Dockets.fromStore(
      {
        ...store,
        open: (options) =>
          Effect.map(store.open(options), (session) => ({
            ...session,
            exchange: (request) =>
              Effect.gen(function* () {
                const isFatal = request.finished.length > 0 && ++ends === fatal
                if (isFatal && killAt === "before") yield* die
                const reply = yield* session.exchange(request)
                if (isFatal && killAt === "after") yield* die
                return reply
              })
          }))
      },
      { name: yield* Config.String("DOCKET_NAME") }
    )
  })
).pipe(Layer.provide(DocketLive))

if (process.env["LEDGER"] !== undefined) {
  Worker.layer(tasks, { concurrency: 1, redeliveryTimeout: "1 second" }).pipe(
    Layer.provide(Handlers),
    Layer.provide(MortalDocket),
    Layer.launch,
    NodeRuntime.runMain
  )
}
