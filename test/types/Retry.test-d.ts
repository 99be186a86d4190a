/** What the types promise of retries: they know the errors that the task declares. */
import { Effect, Schedule, Schema } from "effect"
import { describe, expectTypeOf, it } from "vitest"
import { Retry, Task } from "../../src/index.ts"

class Busy extends Schema.TaggedError<Busy>()("Busy", { seconds: Schema.Int }) {}
class Gone extends Schema.TaggedError<Gone>()("Gone", {}) {}

describe("A retry's predicate", () => {
  it("is given the error that the task declares, wherever it is declared", () => {
    Task.make("before", {
      error: Schema.Union([Busy, Gone]),
      retry: {
        policy: Retry.exponential({ attempts: 5 }),
        while: (error) => {
          expectTypeOf(error).toEqualTypeOf<Busy | Gone>()
          return error._tag === "Busy"
        }
      }
    })
    Task.make("after", {
      payload: { id: Schema.Int },
      key: ({ id }) => String(id),
      retry: { policy: Retry.linear({ attempts: "unlimited" }), while: (error) => error.seconds < 10 },
      error: Busy
    })
    Task.make("scheduled", {
      error: Busy,
      retry: { policy: Schedule.exponential("1 second"), while: ({ seconds }) => seconds < 10 }
    })
  })

  it("knows no other error", () => {
    Task.make("other", {
      error: Gone,
      // @ts-expect-error: the error has no such field
      retry: { policy: Retry.linear({ attempts: 2 }), while: ({ seconds }) => seconds < 10 }
    })
    // @ts-expect-error: nothing says for which errors
    Task.make("incomplete", { error: Gone, retry: { policy: Retry.linear({ attempts: 2 }) } })
    const forBusy = Retry.linear({ attempts: 2, while: (error: Busy) => error.seconds > 1 })
    // @ts-expect-error: a policy for errors that the task does not have
    Task.make("foreign", { error: Gone, retry: forBusy })
    const alsoForBusy = Schedule.recurs(3).pipe(
      Schedule.setInputType<Busy>(),
      Schedule.while(({ input }) => Effect.succeed(input.seconds < 10))
    )
    // @ts-expect-error: a schedule for errors that the task does not have
    Task.make("foreign", { error: Gone, retry: alsoForBusy })
  })

  it("is given anything where the task declares no errors", () => {
    Task.make("undeclared", {
      retry: {
        policy: Retry.linear({ attempts: 2 }),
        while: (error) => {
          expectTypeOf(error).toEqualTypeOf<unknown>()
          return true
        }
      }
    })
    const forBusy = Retry.linear({ attempts: 2, while: (error: Busy) => error.seconds > 1 })
    // @ts-expect-error: it may be given others, such as a timeout
    Task.make("foreign", { retry: forBusy })
  })

  it("can be part of a policy that several tasks share", () => {
    const patient = Retry.linear<Busy | Gone>({ attempts: 9, while: (error) => error._tag === "Busy" })
    Task.make("busy", { error: Busy, retry: patient })
    Task.make("gone", { error: Gone, retry: patient })
  })
})
