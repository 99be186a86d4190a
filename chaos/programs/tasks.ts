/** The tasks of the fault laboratory. Each run leaves lines in the ledger of its process. */
import { Effect, Option, Schema } from "effect"
import { CurrentExecution, CurrentWorker, Task, TaskGroup } from "../../src/index.ts"
import { now, type openLedger } from "../ledger.ts"

export const Work = Task.make("work", {
  payload: { id: Schema.Int, millis: Schema.Int, padding: Schema.optional(Schema.String) },
  success: Schema.Struct({ lease: Schema.String }),
  key: ({ id }) => `work-${id}`
})

export const Narrow = Task.make("narrow", {
  payload: { id: Schema.Int, millis: Schema.Int },
  success: Schema.Struct({ lease: Schema.String }),
  key: ({ id }) => `narrow-${id}`,
  concurrency: { limit: 2 }
})

/** Takes down the process that runs it: it ends it, never gives it back to the event loop, or takes all of its memory. */
export const Poison = Task.make("poison", {
  payload: { id: Schema.Int, how: Schema.Literals(["exit", "hang", "exhaust"]) },
  key: ({ id }) => `poison-${id}`
})

export const tickMillis = 500

export const Tick = Task.make("tick", { perpetual: { every: tickMillis, automatic: true } })

export const tasks = TaskGroup.make(Work, Narrow, Poison, Tick)

export const handlers = (ledger: ReturnType<typeof openLedger>) => {
  const run = Effect.fnUntraced(function* (millis: number) {
    const { name: worker } = yield* CurrentWorker
    const { deliveries, due, generation, interruptReason, key, lease, started } = yield* CurrentExecution
    ledger.write({
      kind: "began",
      key,
      generation,
      deliveries,
      lease,
      started: started.epochMilliseconds,
      due: due.epochMilliseconds,
      at: now(),
      worker
    })
    yield* Effect.sleep(millis).pipe(
      Effect.onInterrupt(() =>
        Effect.map(interruptReason, (reason) =>
          ledger.write({
            kind: "interrupted",
            key,
            lease,
            reason: Option.getOrElse(reason, () => "none"),
            at: now(),
            worker
          })
        )
      )
    )
    ledger.write({ kind: "ended", key, lease, at: now(), worker })
    return { lease }
  })
  return tasks.toLayer({
    work: ({ millis }) => run(millis),
    narrow: ({ millis }) => run(millis),
    poison: ({ how }) => Effect.tap(run(0), () => Effect.sync(() => takeDown[how]())),
    tick: () => Effect.asVoid(run(5))
  })
}

const takeDown = {
  exit: () => process.exit(1),
  hang: () => {
    for (;;);
  },
  exhaust: () => {
    for (const all: Array<unknown> = []; ;) all.push(Array.from({ length: 100_000 }, Math.random))
  }
}
