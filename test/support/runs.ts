/** What tests of runs share: what a handler saw, the events of an execution, and time that passes until something ends. */
import { type Duration, Effect, Fiber, Queue, Stream } from "effect"
import {
  CurrentExecution,
  CurrentWorker,
  type Docket,
  type DocketError,
  type ExecutionEvent,
  type StateChanged
} from "../../src/index.ts"
import { beginning, pass, type TestDocket } from "./dockets.ts"

/** A run as its handler sees it. */
export interface Seen {
  readonly key: string
  readonly payload: unknown
  readonly attempt: number
  readonly deliveries: number
  readonly generation: number
  /** When it was due, in milliseconds since the test began. */
  readonly due: number
  /** When it started, in milliseconds since the test began. */
  readonly at: number
  readonly worker: string
}

/** The run that asks. */
export const seen: Effect.Effect<Seen, never, CurrentExecution | CurrentWorker> = Effect.gen(function* () {
  const { attempt, deliveries, due, generation, key, payload, started } = yield* CurrentExecution
  return {
    key,
    payload,
    attempt,
    deliveries,
    generation,
    due: due.epochMilliseconds - beginning,
    at: started.epochMilliseconds - beginning,
    worker: (yield* CurrentWorker).name
  }
})

/** Lets time pass, step by step, until an effect completes. */
export const passUntil = Effect.fnUntraced(function* <A, E, R>(
  step: Duration.Input,
  effect: Effect.Effect<A, E, R>
): Effect.fn.Return<A, E, R | Docket | TestDocket> {
  const fiber = yield* Effect.forkChild(effect)
  while (fiber.pollUnsafe() === undefined) yield* pass(step)
  return yield* Fiber.join(fiber)
})

/** Follows events, for as long as the test runs. */
export const follow = Effect.fnUntraced(function* <A>(events: Stream.Stream<A, DocketError>) {
  const queue = yield* Queue.unbounded<A>()
  yield* Effect.forkScoped(Stream.runForEach(events, (event) => Queue.offer(queue, event)))
  return queue
})

/** The changes of state among events. */
export const changesIn = (events: Iterable<{ readonly _tag: string }>): ReadonlyArray<StateChanged> =>
  [...(events as Iterable<ExecutionEvent>)].filter((event) => event._tag === "StateChanged")

/** The states among events. */
export const statesIn = (events: Iterable<{ readonly _tag: string }>): ReadonlyArray<string> =>
  changesIn(events).map(({ state }) => state)
