/** Durations that make no sense, where those who run tasks and those who write them give them. */
import { assert } from "@effect/vitest"
import { type Duration, Effect, Exit, Layer } from "effect"
import { Docket, Middleware, Perpetual, Task, TaskGroup, TaskTimeout, Worker } from "../src/index.ts"
import { infoOf, onMemory, start } from "./support/dockets.ts"

const Odd = Task.make("odd", { key: () => "odd", timeout: "1 minute", perpetual: { every: "1 hour" } })
const tasks = TaskGroup.make(Odd)

// As it comes from a file, where nobody checks its type.
const minuts: Duration.Input = JSON.parse('"5 minuts"')

onMemory("A duration that makes no sense", (it) => {
  const inHandler: ReadonlyArray<
    readonly [call: string, use: (duration: Duration.Input) => Effect.Effect<void, never, Perpetual>]
  > = [
    ["Task.retryAfter", Task.retryAfter],
    ["Perpetual.every", (duration) => Effect.flatMap(Perpetual, ({ every }) => every(duration))],
    ["Perpetual.after", (duration) => Effect.flatMap(Perpetual, ({ after }) => after(duration))]
  ]
  for (const [call, use] of inHandler) {
    it.effect(`RTY-07, PER-04 fails the run that gives it to ${call}, there, and is named`, () =>
      Effect.gen(function* () {
        const ends: Array<Exit.Exit<void>> = []
        const handlers = tasks.toLayer({
          odd: Effect.fnUntraced(function* () {
            for (const duration of [minuts, "999999999 weeks"] as const) ends.push(yield* Effect.exit(use(duration)))
            return yield* ends[0]!
          })
        })
        yield* start(Worker.layer(tasks).pipe(Layer.provide(handlers)))
        const execution = yield* (yield* Docket).add(Odd)
        yield* Effect.exit(execution.result)
        const problem = `${call} needs a finite duration; it was given`
        assert.deepStrictEqual(ends, [
          Exit.die(new RangeError(`${problem} "5 minuts"; write it as in "5 minutes"`)),
          Exit.die(new RangeError(`${problem} longer than 30,000 years`))
        ])
        // The run has failed, and the next one is due when the task says.
        const info = yield* infoOf("odd")
        assert.strictEqual(info.state, "scheduled")
        assert.include(info.error, problem)
      })
    )
  }

  it.effect("TMO-03 fails the run that extends its deadline by it, there, and is named; an infinite one is fine", () =>
    Effect.gen(function* () {
      const ends: Array<Exit.Exit<void>> = []
      const handlers = tasks.toLayer({
        odd: Effect.fnUntraced(function* () {
          const { extend } = yield* TaskTimeout
          for (const duration of [minuts, "Infinity"] as const) ends.push(yield* Effect.exit(extend(duration)))
        })
      })
      yield* start(Worker.layer(tasks).pipe(Layer.provide(handlers)))
      yield* (yield* (yield* Docket).add(Odd)).result
      const problem = 'TaskTimeout.extend needs a duration; it was given "5 minuts"; write it as in "5 minutes"'
      assert.deepStrictEqual(ends, [Exit.die(new RangeError(problem)), Exit.void])
    })
  )

  it.effect("ADM-05 fails the execution that a middleware postpones by it, and is named", () =>
    Effect.gen(function* () {
      const gatekeeper = Middleware.make("gatekeeper", () => Middleware.postpone(minuts))
      const handlers = tasks.toLayer({ odd: () => Effect.void })
      yield* start(Worker.layer(tasks, { middleware: [gatekeeper] }).pipe(Layer.provide(handlers)))
      yield* Effect.exit((yield* (yield* Docket).add(Odd)).result)
      assert.include(
        (yield* infoOf("odd")).error,
        'Middleware.postpone needs a finite duration; it was given "5 minuts"'
      )
    })
  )

  it.effect("RES-05 is refused by who waits for a result", () =>
    Effect.gen(function* () {
      const execution = yield* (yield* Docket).add(Odd)
      const error = yield* Effect.flip(execution.resultWithin(minuts))
      assert.strictEqual(
        error.message,
        'resultWithin needs a duration; it was given "5 minuts"; write it as in "5 minutes"'
      )
    })
  )
})
