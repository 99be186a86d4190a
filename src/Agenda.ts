/**
 * An agenda: requests that are collected first and then scattered over a span of time, so that a burst of work does not
 * start all at once.
 */
import * as Clock from "effect/Clock"
import type * as DateTime from "effect/DateTime"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import type { Docket } from "./Docket.ts"
import type { DocketError } from "./DocketError.ts"
import type { Execution } from "./Execution.ts"
import { invalid } from "./internal/docket/docketError.ts"
import * as Durations from "./internal/contract/durations.ts"
import * as Moments from "./internal/contract/moments.ts"
import * as Task from "./Task.ts"

/**
 * Collected requests, in order.
 *
 * @category models
 * @since 0.1.0
 */
export interface Agenda {
  readonly requests: ReadonlyArray<Task.Request>
}

/**
 * An agenda of requests made with `Task.request`. Times in their options are set aside: the agenda spreads them.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (requests: Iterable<Task.Request> = []): Agenda => {
  const all = [...requests]
  return new Collected(all, all.length)
}

/**
 * The agenda with one more request at its end.
 *
 * @category combinators
 * @since 0.1.0
 */
export const add = <T extends Task.Any>(agenda: Agenda, task: T, ...args: Task.Arguments<T>): Agenda =>
  (agenda instanceof Collected ? agenda : new Collected([...agenda.requests], agenda.requests.length)).with(
    Task.request(task, ...args)
  )

// An agenda is the beginning of an array that later ones go on with, so that adding one request copies nothing.
class Collected implements Agenda {
  readonly #all: Array<Task.Request>
  readonly #length: number

  constructor(all: Array<Task.Request>, length: number) {
    this.#all = all
    this.#length = length
  }

  get requests(): ReadonlyArray<Task.Request> {
    return this.#all.slice(0, this.#length)
  }

  with(request: Task.Request): Agenda {
    // Another one has gone on from here already.
    const all = this.#all.length === this.#length ? this.#all : this.#all.slice(0, this.#length)
    all.push(request)
    return new Collected(all, all.length)
  }
}

/**
 * How to scatter an agenda.
 *
 * @category options
 * @since 0.1.0
 */
export interface ScatterOptions {
  /** The span from the first to the last; more than 0. */
  readonly over: Duration.Input
  /** When the span begins. Default: now. */
  readonly start?: DateTime.DateTime.Input | undefined
  /** Moves each time at random by up to this much, up or down, never to before the start. Default: 0. */
  readonly jitter?: Duration.Input | undefined
}

/**
 * Schedules the requests at equal distances over a span: the first at its start, the last at its end, a single one in its
 * middle. One handle for each request, in order.
 *
 * Everything is checked before anything is scheduled. An agenda can be scattered again: keys that are still live then
 * report `already-scheduled`, and requests without a key get a fresh one each time.
 *
 * @category scheduling
 * @since 0.1.0
 */
export const scatter: (
  docket: Docket["Service"],
  agenda: Agenda,
  options: ScatterOptions
) => Effect.Effect<ReadonlyArray<Execution<unknown, unknown>>, DocketError> = Effect.fnUntraced(function* (
  docket,
  { requests },
  options
) {
  const spanMillis = Durations.millisOf(options.over)
  if (!(spanMillis > 0) || !Number.isFinite(spanMillis)) {
    return yield* invalid(
      `An agenda needs a finite span of more than 0 to be scattered over; it was ${Durations.shown(options.over)}`
    )
  }
  const start =
    options.start === undefined ? yield* Clock.currentTimeMillis : yield* Moments.checked("start", options.start)
  const jitter = options.jitter ?? 0
  const jitterMillis = Durations.millisOf(jitter)
  if (!(jitterMillis >= 0) || !Number.isFinite(jitterMillis)) {
    return yield* invalid(`The jitter of an agenda has to be finite and at least 0; it was ${Durations.shown(jitter)}`)
  }
  const placed = yield* Effect.forEach(
    requests,
    Effect.fnUntraced(function* ({ options, ...request }, i) {
      const even = requests.length === 1 ? spanMillis / 2 : (spanMillis * i) / (requests.length - 1)
      const moved = jitterMillis > 0 ? yield* Random.nextBetween(-jitterMillis, jitterMillis) : 0
      const when = Math.round(start + Math.max(0, even + moved))
      return { ...request, options: { key: options.key, when } }
    })
  )
  return yield* docket.addAll(placed)
})
