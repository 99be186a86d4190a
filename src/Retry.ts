/**
 * Retry policies: whether a failed attempt is followed by another one, and after which delay.
 *
 * **Details**
 *
 * A policy is a pure function of the attempt that failed and its error, so any worker can apply it, also one that did not
 * run the attempts before. Between attempts the execution waits in the store and holds no worker's slot.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Pull from "effect/Pull"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import * as Durations from "./internal/contract/durations.ts"

/**
 * The identifier of retry policies.
 *
 * @category symbols
 * @since 0.1.0
 */
export const TypeId = "~effect-docket/Retry"

/**
 * Decides about the attempts of a task that fails with `E`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Policy<in E> {
  readonly [TypeId]: typeof TypeId
  /**
   * The delay before the next attempt, in milliseconds, or nothing when the failure is final. A delay that is no finite
   * number is a fault of the policy: the failure is then final, and the log says so. A negative one is 0.
   */
  readonly next: (failed: Failed<E>) => Effect.Effect<Option.Option<number>>
}

/**
 * An attempt that failed.
 *
 * @category models
 * @since 0.1.0
 */
export interface Failed<out E> {
  /** Which attempt it was, from 1. */
  readonly attempt: number
  /**
   * The task's own error. Nothing for a defect, and, if the task has an error schema that does not name them, for a
   * `TaskTimedOut`, a `MiddlewareFailed` or a `DocketError`.
   */
  readonly error: Option.Option<E>
}

/**
 * What all policies have in common.
 *
 * @category options
 * @since 0.1.0
 */
export interface Options<in E> {
  /** How many attempts there are in all, the first included, a whole number; 1 means none but the first. */
  readonly attempts: number | "unlimited"
  /** Spreads each delay at random by up to this share of it, up and down, within the policy's bounds: 0 to 1. Default: 0. */
  readonly jitter?: number | undefined
  /**
   * Decides by the task's own error whether to retry at all. Attempts that end otherwise, by a defect, a timeout or a
   * middleware that fails, are always retried; see {@link Failed}. Default: every error is. A task can decide in its
   * `retry` option as well, where the type of its errors is known.
   */
  readonly while?: ((error: E) => boolean) | undefined
}

/**
 * Waits the same delay between attempts; by default none.
 *
 * @category constructors
 * @since 0.1.0
 */
export const linear = <E = unknown>(
  options: Options<E> & { readonly delay?: Duration.Input | undefined }
): Policy<E> => {
  const delay = millisOf("delay", options.delay ?? 0)
  return make(options, () => delay, { minimum: 0, maximum: Number.MAX_SAFE_INTEGER })
}

/**
 * Waits the minimum after the first failure and twice as long after each further one, up to the maximum.
 *
 * The defaults, 1 and 64 seconds, and the doubling are pydocket's `ExponentialRetry`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const exponential = <E = unknown>(
  options: Options<E> & {
    /** Default: 1 second. */
    readonly minimum?: Duration.Input | undefined
    /** Default: 64 seconds. */
    readonly maximum?: Duration.Input | undefined
  }
): Policy<E> => {
  const minimum = millisOf("minimum", options.minimum ?? "1 second")
  const maximum = millisOf("maximum", options.maximum ?? "64 seconds")
  if (maximum < minimum) {
    throw new RangeError(`Retry.exponential: maximum (${maximum} ms) is less than minimum (${minimum} ms)`)
  }
  // Twice nothing stays nothing: 0 times a power of two that is infinite would be no number.
  const delayAfter = (attempt: number) => (minimum === 0 ? 0 : Math.min(maximum, minimum * 2 ** (attempt - 1)))
  return make(options, delayAfter, { minimum, maximum })
}

/**
 * Makes a policy from a schedule, whose input is the error.
 *
 * **Details**
 *
 * The delay after attempt n is that of the schedule's n-th step. It is found by replaying n steps, each with the present
 * error, at times one delay apart, so it needs no memory but the attempt number. A schedule that ends makes the failure
 * final.
 *
 * The input is `undefined` for an attempt that did not fail with the task's own error (see {@link Failed}), and for a retry
 * that the handler asked for. A schedule that throws at that makes such an attempt final, and lets the handler have the
 * retry that it asked for. One that is to look at errors is best given as the `policy` of a task's `retry`, with the look
 * in its `while`, which is asked about the task's own errors only.
 *
 * @category constructors
 * @since 0.1.0
 */
export const fromSchedule = <E>(schedule: Schedule.Schedule<unknown, E>): Policy<E> => ({
  [TypeId]: TypeId,
  next: Effect.fnUntraced(function* ({ attempt, error }) {
    const step = yield* Schedule.toStep(schedule)
    // A schedule that cannot do with `undefined` throws. The worker logs that, and takes the failure for final.
    const input = Option.getOrUndefined(error) as E
    let now = 0
    let delay = 0
    for (let i = 0; i < attempt; i++) {
      const taken = yield* step(now, input).pipe(
        Effect.asSome,
        Pull.catchDone(() => Effect.succeedNone)
      )
      if (Option.isNone(taken)) return Option.none()
      delay = Math.min(Durations.longestMillis, Duration.toMillis(taken.value[1]))
      now += delay
    }
    return Option.some(delay)
  })
})

/**
 * Restricts a policy to some errors: others are final.
 *
 * @category combinators
 * @since 0.1.0
 */
export const onlyWhile = <E>(policy: Policy<E>, predicate: (error: E) => boolean): Policy<E> => ({
  [TypeId]: TypeId,
  next: (failed) =>
    Option.isSome(failed.error) && !predicate(failed.error.value) ? Effect.succeedNone : policy.next(failed)
})

/**
 * Tells whether a value is a retry policy.
 *
 * @category guards
 * @since 0.1.0
 */
export const isPolicy = (u: unknown): u is Policy<never> => Predicate.hasProperty(u, TypeId)

/**
 * What a policy says, once it is sure that it makes sense: dies when the delay is no finite number.
 *
 * @category running
 * @since 0.1.0
 */
export const decide = <E>(policy: Policy<E>, failed: Failed<E>): Effect.Effect<Option.Option<number>> =>
  Effect.suspend(() => {
    const next = policy.next(failed)
    if (!Effect.isEffect(next)) return Effect.die(senseless(`${typeof next} in place of an effect`))
    return Effect.flatMap(next, (delay) => {
      if (Option.isOption(delay) && (Option.isNone(delay) || Number.isFinite(delay.value))) {
        return Effect.succeed(Option.map(delay, (millis) => Math.max(0, millis)))
      }
      return Effect.die(senseless(Option.isOption(delay) ? `a delay of ${String(delay.value)}` : typeof delay))
    })
  })

const senseless = (said: string) =>
  new RangeError(`A retry policy has to give a finite delay, or nothing; it gave ${said}`)

const make = <E>(
  options: Options<E>,
  delayAfter: (attempt: number) => number,
  bounds: { readonly minimum: number; readonly maximum: number }
): Policy<E> => {
  const attempts = options.attempts === "unlimited" ? Infinity : options.attempts
  if (!(attempts >= 1) || (options.attempts !== "unlimited" && !Number.isInteger(attempts))) {
    throw new RangeError(
      `Retry: attempts has to be a whole number of at least 1, or "unlimited"; it was ${options.attempts}`
    )
  }
  const jitter = options.jitter ?? 0
  if (!(jitter >= 0 && jitter <= 1)) throw new RangeError(`Retry: jitter has to be between 0 and 1; it was ${jitter}`)
  const policy: Policy<E> = {
    [TypeId]: TypeId,
    next: Effect.fnUntraced(function* ({ attempt }) {
      if (attempt >= attempts) return Option.none()
      const delay = delayAfter(attempt)
      if (jitter === 0) return Option.some(delay)
      const spread = yield* Random.nextBetween(1 - jitter, 1 + jitter)
      return Option.some(Math.min(bounds.maximum, Math.max(bounds.minimum, Math.round(delay * spread))))
    })
  }
  return options.while === undefined ? policy : onlyWhile(policy, options.while)
}

const millisOf = (option: string, duration: Duration.Input): number => {
  const millis = Durations.millisOf(duration)
  if (Number.isFinite(millis) && millis >= 0) return millis
  throw new RangeError(
    `Retry: ${option} has to be a finite duration of at least 0; it was ${Durations.shown(duration)}`
  )
}
