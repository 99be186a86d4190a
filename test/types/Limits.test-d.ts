/** What the types promise of controls and strikes. */
import { Effect, Schema } from "effect"
import { describe, expectTypeOf, it } from "vitest"
import { Docket, type StrikeList, Task } from "../../src/index.ts"

const Send = Task.make("send", {
  payload: {
    customer: Schema.Struct({ id: Schema.Int, tags: Schema.Array(Schema.String) }),
    to: Schema.String,
    size: Schema.optionalKey(Schema.FiniteFromString)
  },
  concurrency: { limit: 2, by: ({ customer }) => customer.id },
  rateLimit: [
    { limit: 10, per: "1 minute" },
    { limit: 1, per: "1 second", by: ({ size }) => size, onExceeded: "drop", scope: "mail" }
  ],
  cooldown: { window: "1 hour", by: ({ to }) => to },
  debounce: { settle: "1 second", maximum: "1 minute", by: ({ to }) => to }
})

describe("Controls", () => {
  it("compute their values from the task's payload", () => {
    Task.make("typed", {
      payload: { id: Schema.Int },
      concurrency: {
        limit: 1,
        by: (payload) => {
          expectTypeOf(payload).toEqualTypeOf<{ readonly id: number }>()
          return payload.id
        }
      },
      cooldown: [
        { window: "1 second", by: ({ id }) => id },
        // @ts-expect-error: the payload has no such field
        { window: "1 second", by: ({ name }) => name }
      ]
    })
  })

  it("take what they take, and only one limit and one debounce", () => {
    // @ts-expect-error: a limit has to say how many
    Task.make("a", { concurrency: {} })
    // @ts-expect-error: a task has one concurrency limit
    Task.make("b", { concurrency: [{ limit: 1 }, { limit: 2 }] })
    // @ts-expect-error: a task has one debounce
    Task.make("c", { debounce: [{ settle: "1 second" }] })
    // @ts-expect-error: over the limit is delayed or dropped
    Task.make("d", { rateLimit: { limit: 1, per: "1 second", onExceeded: "fail" } })
  })
})

describe("Strikes", () => {
  it("of a task at hand know its fields", () => {
    expectTypeOf<StrikeList.Field<typeof Send>>().toEqualTypeOf<
      "to" | "size" | "customer" | "customer.id" | "customer.tags"
    >()
    expectTypeOf<StrikeList.Value<typeof Send, "customer.id">>().toEqualTypeOf<number>()
    expectTypeOf<StrikeList.Value<typeof Send, "size">>().toEqualTypeOf<string>()
  })

  it("take a value of the field's type, as it is encoded", () => {
    Effect.gen(function* () {
      const docket = yield* Docket
      yield* docket.strike({ task: Send })
      yield* docket.strike({ task: Send, field: "customer.id", value: 7 })
      yield* docket.strike({ task: Send, field: "size", operator: ">=", value: "7", hold: true })
      yield* docket.strike({ task: Send, field: "customer.id", operator: "between", value: [1, 2] })
      yield* docket.restore({ task: Send, field: "to", operator: "==", value: "Ada" })
      // Where the contract is not at hand, any field and any JSON will do.
      yield* docket.strike({ task: "send", field: "whatever", value: { a: [1] } })
      yield* docket.strike({ field: "customer.id", value: "seven" })
      // @ts-expect-error: the payload has no such field
      yield* docket.strike({ task: Send, field: "customer.name", value: 7 })
      // @ts-expect-error: the field is a number
      yield* docket.strike({ task: Send, field: "customer.id", value: "7" })
      // @ts-expect-error: between takes a pair
      yield* docket.strike({ task: Send, field: "customer.id", operator: "between", value: 7 })
      // @ts-expect-error: a field needs a value
      yield* docket.restore({ task: Send, field: "customer.id" })
      // @ts-expect-error: there is no such operator
      yield* docket.strike({ task: Send, field: "customer.id", operator: "~", value: 7 })
    })
  })
})
