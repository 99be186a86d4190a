import { assert, describe, it } from "@effect/vitest"
import { Effect, Option, Schedule } from "effect"
import { Retry } from "../src/index.ts"

const delays = <E>(policy: Retry.Policy<E>, error: Option.Option<E>, attempts: number) =>
  Effect.forEach(
    Array.from({ length: attempts }, (_, i) => i + 1),
    (attempt) => Effect.map(policy.next({ attempt, error }), Option.getOrUndefined)
  )

const noError = Option.none<never>()

describe("Retry", () => {
  it.effect("RTY-02 attempts counts all attempts, the first included", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* delays(Retry.linear({ attempts: 3 }), noError, 3), [0, 0, undefined])
      assert.deepStrictEqual(yield* delays(Retry.linear({ attempts: 1 }), noError, 1), [undefined])
    })
  )

  it.effect("RTY-03 linear waits the same delay, by default none", () =>
    Effect.gen(function* () {
      const policy = Retry.linear({ attempts: "unlimited", delay: "2 seconds" })
      assert.deepStrictEqual(yield* delays(policy, noError, 3), [2000, 2000, 2000])
    })
  )

  it.effect("RTY-04 exponential doubles the minimum after each failure, up to the maximum", () =>
    Effect.gen(function* () {
      const policy = Retry.exponential({ attempts: "unlimited", minimum: "25 millis" })
      assert.deepStrictEqual(yield* delays(policy, noError, 4), [25, 50, 100, 200])
      const byDefault = yield* delays(Retry.exponential({ attempts: "unlimited" }), noError, 9)
      assert.deepStrictEqual(
        byDefault,
        [1, 2, 4, 8, 16, 32, 64, 64, 64].map((seconds) => seconds * 1000)
      )
    })
  )

  it.effect("RTY-05 an unlimited policy never ends, and its delay never leaves its bounds", () =>
    Effect.gen(function* () {
      const policy = Retry.exponential({ attempts: "unlimited", minimum: 10, maximum: 1000, jitter: 1 })
      for (const attempt of [1, 2, 10, 1000, 1_000_000]) {
        const delay = Option.getOrThrow(yield* policy.next({ attempt, error: noError }))
        assert.isAtLeast(delay, 10)
        assert.isAtMost(delay, 1000)
      }
    })
  )

  it.effect("jitter spreads delays by its share, up and down", () =>
    Effect.gen(function* () {
      const policy = Retry.linear({ attempts: "unlimited", delay: 1000, jitter: 0.1 })
      const spread = yield* Effect.forEach(Array.from({ length: 200 }), () =>
        policy.next({ attempt: 1, error: noError })
      )
      const millis = spread.map(Option.getOrThrow)
      assert(millis.every((delay) => delay >= 900 && delay <= 1100))
      assert(millis.some((delay) => delay < 1000) && millis.some((delay) => delay > 1000))
    })
  )

  it.effect("a predicate on the typed error decides whether to retry at all; defects are retried", () =>
    Effect.gen(function* () {
      const policy = Retry.linear<{ readonly fatal: boolean }>({ attempts: 5, while: ({ fatal }) => !fatal })
      assert(Option.isSome(yield* policy.next({ attempt: 1, error: Option.some({ fatal: false }) })))
      assert(Option.isNone(yield* policy.next({ attempt: 1, error: Option.some({ fatal: true }) })))
      assert(Option.isSome(yield* policy.next({ attempt: 1, error: Option.none() })))
    })
  )

  it.effect("a schedule gives the delay of its n-th step, whoever asks", () =>
    Effect.gen(function* () {
      const policy = Retry.fromSchedule(Schedule.exponential("100 millis").pipe(Schedule.upTo({ times: 3 })))
      assert.deepStrictEqual(yield* delays(policy, noError, 4), [100, 200, 400, undefined])
      assert.deepStrictEqual(Option.getOrUndefined(yield* policy.next({ attempt: 3, error: noError })), 400)
    })
  )

  it.effect("a schedule sees the error", () =>
    Effect.gen(function* () {
      const policy = Retry.fromSchedule<string>(
        Schedule.spaced("1 second").pipe(
          Schedule.setInputType<string>(),
          Schedule.while(({ input }) => Effect.succeed(input !== "fatal"))
        )
      )
      assert(Option.isSome(yield* policy.next({ attempt: 2, error: Option.some("passing") })))
      assert(Option.isNone(yield* policy.next({ attempt: 2, error: Option.some("fatal") })))
    })
  )

  it("a policy that cannot be meant is refused where it is made", () => {
    assert.throws(() => Retry.linear({ attempts: 0 }), /attempts has to be a whole number of at least 1/)
    assert.throws(() => Retry.linear({ attempts: 2, jitter: 2 }), /jitter/)
    assert.throws(() => Retry.exponential({ attempts: 2, minimum: "2 minutes" }), /maximum/)
  })
})
