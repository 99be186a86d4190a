/** What the types of a docket promise to producers. Checked by the compiler; nothing here is run. */
import { DateTime, Effect, Schema } from "effect"
import { expectTypeOf } from "vitest"
import {
  Docket,
  type DocketError,
  type Execution,
  type ResultNotKept,
  type ResultTimeout,
  Task,
  type TaskCancelled,
  type TaskFailed,
  TaskGroup,
  type TaskTimedOut
} from "../../src/index.ts"

class EmailBounced extends Schema.TaggedError<EmailBounced>()("EmailBounced", { address: Schema.String }) {}

const SendWelcome = Task.make("sendWelcome", {
  payload: { customerId: Schema.Int, name: Schema.String },
  success: Schema.NumberFromString,
  error: EmailBounced,
  key: ({ customerId, name }) => {
    expectTypeOf(customerId).toEqualTypeOf<number>()
    expectTypeOf(name).toEqualTypeOf<string>()
    return `welcome-${customerId}`
  },
  logged: ["customerId"]
})
const Cleanup = Task.make("cleanup")
const Remind = Task.make("remind", { payload: { text: Schema.optionalKey(Schema.String) } })
const At = Task.make("at", { payload: Schema.Date })

declare const docket: Docket["Service"]

type WaitFailure = TaskCancelled | TaskFailed | TaskTimedOut | ResultNotKept | DocketError

export const payloads = () => {
  docket.add(SendWelcome, { customerId: 7, name: "Ada" })
  docket.add(SendWelcome, { customerId: 7, name: "Ada" }, { delay: "1 day", key: "k" })
  docket.add(SendWelcome, { customerId: 7, name: "Ada" }, { when: DateTime.makeUnsafe(0) })
  docket.replace(SendWelcome, { customerId: 7, name: "Ada" })

  // @ts-expect-error a field has the wrong type
  docket.add(SendWelcome, { customerId: "7", name: "Ada" })
  // @ts-expect-error a field is missing
  docket.add(SendWelcome, { customerId: 7 })
  // @ts-expect-error a field is not known
  docket.add(SendWelcome, { customerId: 7, name: "Ada", age: 36 })
  // @ts-expect-error the payload is missing
  docket.add(SendWelcome)
  // @ts-expect-error the payload is missing
  docket.replace(SendWelcome)
  // @ts-expect-error it is given to another task
  docket.replace(Remind, { customerId: 7, name: "Ada" })
  Task.make("right", {
    payload: { id: Schema.Int, tag: Schema.String.pipe(Schema.withConstructorDefault(Effect.succeed("new"))) },
    earlier: [
      Task.earlier({ number: Schema.String }, ({ number }) => ({ id: Number(number) })),
      Task.earlier(Schema.String, (number) => ({ id: Number(number), tag: "old" }))
    ]
  })
  // @ts-expect-error a migration gives the present payload
  Task.make("wrong", { payload: { id: Schema.Int }, earlier: [Task.earlier({ n: Schema.Int }, ({ n }) => ({ n }))] })
  // @ts-expect-error a migration takes the earlier payload
  Task.earlier({ number: Schema.String }, ({ id }) => ({ id }))
  // @ts-expect-error the option is not known
  docket.add(SendWelcome, { customerId: 7, name: "Ada" }, { after: "1 day" })
  // @ts-expect-error a task is a contract, not a name
  docket.add("sendWelcome", { customerId: 7, name: "Ada" })
}

export const payloadsThatMayBeLeftOut = () => {
  docket.add(Cleanup)
  docket.add(Cleanup, {})
  docket.add(Cleanup, {}, { delay: "1 hour" })
  docket.replace(Cleanup, undefined, { key: "k" })
  docket.add(Remind)
  docket.add(Remind, { text: "tea" })

  // @ts-expect-error a payload is not text
  docket.add(Remind, "tea")
  // @ts-expect-error a payload that is a schema of its own has to be given
  docket.add(At)
  docket.add(At, new Date())
  // @ts-expect-error the payload is what the schema decodes to, not what it encodes to
  docket.add(At, "2026-01-01")
}

export const results = () => {
  const execution = docket.add(SendWelcome, { customerId: 7, name: "Ada" })
  expectTypeOf(execution).toEqualTypeOf<Effect.Effect<Execution<number, EmailBounced>, DocketError>>()
  expectTypeOf<Effect.Success<typeof execution>["result"]>().toEqualTypeOf<
    Effect.Effect<number, EmailBounced | WaitFailure>
  >()
  expectTypeOf<ReturnType<Effect.Success<typeof execution>["resultWithin"]>>().toEqualTypeOf<
    Effect.Effect<number, EmailBounced | WaitFailure | ResultTimeout>
  >()
  const replaced = docket.replace(SendWelcome, { customerId: 7, name: "Ada" })
  expectTypeOf(replaced).toEqualTypeOf<typeof execution>()
  expectTypeOf(docket.execution(SendWelcome, "k")).toEqualTypeOf<Execution<number, EmailBounced>>()

  const nothing = docket.execution(Cleanup, "k")
  expectTypeOf(nothing).toEqualTypeOf<Execution<void, never>>()
  expectTypeOf(nothing.result).toEqualTypeOf<Effect.Effect<void, WaitFailure>>()

  const named = docket.addNamed("sendWelcome", { customerId: 7 })
  expectTypeOf(named).toEqualTypeOf<Effect.Effect<Execution<unknown, never>, DocketError>>()
}

export const batches = () => {
  const batch = docket.addAll([
    Task.request(SendWelcome, { customerId: 7, name: "Ada" }),
    Task.request(Cleanup),
    Task.request(At, new Date(), { delay: "1 hour" })
  ])
  expectTypeOf(batch).toEqualTypeOf<
    Effect.Effect<
      readonly [Execution<number, EmailBounced>, Execution<void, never>, Execution<void, never>],
      DocketError
    >
  >()
  const many = docket.addAll([1, 2, 3].map((customerId) => Task.request(SendWelcome, { customerId, name: "Ada" })))
  expectTypeOf(many).toEqualTypeOf<Effect.Effect<ReadonlyArray<Execution<number, EmailBounced>>, DocketError>>()

  // @ts-expect-error a request checks its payload
  Task.request(SendWelcome, { customerId: 7 })
  // @ts-expect-error a request needs its payload
  Task.request(SendWelcome)
  // @ts-expect-error a batch consists of requests
  docket.addAll([SendWelcome])
}

export const definitions = () => {
  expectTypeOf(SendWelcome.name).toEqualTypeOf<"sendWelcome">()
  expectTypeOf<Task.Payload<typeof SendWelcome>>().toEqualTypeOf<{
    readonly customerId: number
    readonly name: string
  }>()
  expectTypeOf<Task.Success<typeof SendWelcome>>().toEqualTypeOf<number>()
  expectTypeOf<Task.Error<typeof SendWelcome>>().toEqualTypeOf<EmailBounced>()

  // @ts-expect-error a logged field is one of the payload's
  Task.make("wrong", { payload: { id: Schema.Int }, logged: ["name"] })
  // @ts-expect-error a key is made of the payload's fields
  Task.make("wrong", { payload: { id: Schema.Int }, key: ({ name }) => name })
  // @ts-expect-error a key is text
  Task.make("wrong", { payload: { id: Schema.Int }, key: ({ id }) => id })
  // @ts-expect-error the option is not known
  Task.make("wrong", { retries: 3 })
}

export const errors = (execution: Execution<number, EmailBounced>) => {
  // An execution that can do less can stand for one that can do more.
  expectTypeOf(execution).toExtend<Execution<unknown, unknown>>()
  expectTypeOf<Execution<never, never>>().toExtend<Execution<number, EmailBounced>>()
  expectTypeOf<Execution<string, EmailBounced>>().not.toExtend<Execution<number, EmailBounced>>()
}

{
  const Nothing = Task.make("nothing", { payload: Schema.Void })
  const Perhaps = Task.make("perhaps", { payload: Schema.UndefinedOr(Schema.String) })
  const Text = Task.make("text", { payload: Schema.String })
  const A = Task.make("a", { payload: { a: Schema.String }, success: Schema.Int })
  const B = Task.make("b", { payload: { b: Schema.Int }, success: Schema.String })
  const Same = Task.make("same", { payload: { a: Schema.String } })

  // may be no struct, and may be left out where it can be undefined
  {
    Effect.gen(function* () {
      const docket = yield* Docket
      yield* docket.add(Nothing)
      yield* docket.add(Nothing, undefined, { key: "k" })
      yield* docket.add(Perhaps)
      yield* docket.add(Perhaps, undefined, { key: "k" })
      yield* docket.add(Perhaps, "text")
      yield* docket.add(Text, "text")
      Task.request(Nothing)
      // @ts-expect-error: a text cannot be left out
      yield* docket.add(Text)
      // @ts-expect-error: it is no text
      yield* docket.add(Perhaps, 7)
    })
  }

  // has to fit each task of a union
  {
    Effect.gen(function* () {
      const docket = yield* Docket
      const either = Math.max(0, 1) > 0 ? A : B
      // @ts-expect-error: it fits A only
      yield* docket.add(either, { a: "text" })
      // @ts-expect-error: it fits B only
      yield* docket.replace(either, { b: 1 })
      // @ts-expect-error: it fits A only
      Task.request(either, { a: "text" })
      const { result } = yield* docket.add(either, { a: "text", b: 1 })
      expectTypeOf(result).toExtend<Effect.Effect<string | number, unknown>>()
      const same = Math.max(0, 1) > 0 ? A : Same
      yield* docket.add(same, { a: "text" })
    })
  }
}

{
  const A = Task.make("a", { payload: { a: Schema.String } })
  const group = TaskGroup.make(A)

  // have the names of tasks, and no others
  {
    const fine = { a: () => Effect.void }
    const misspelt = { a: () => Effect.void, b: () => Effect.void }
    group.toLayer(fine)
    group.toLayer(Effect.succeed(fine))
    group.of(fine)
    // @ts-expect-error: no task is named b
    group.toLayer({ a: () => Effect.void, b: () => Effect.void })
    // @ts-expect-error: no task is named b
    group.toLayer(misspelt)
    // @ts-expect-error: no task is named b
    group.toLayer(Effect.succeed(misspelt))
    // @ts-expect-error: no task is named b
    group.of(misspelt)
    // @ts-expect-error: no task is named b
    group.toLayerHandler("b", () => Effect.void)
  }
}
