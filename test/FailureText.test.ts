/** Errors without a message, where people read of them. */
import { assert } from "@effect/vitest"
import { Cause, Data, Effect, Exit, Layer, Option, Redacted, Schema, Tracer } from "effect"
import { Docket, Retry, Task, TaskGroup, Worker } from "../src/index.ts"
import { described, errorText, failureText } from "../src/internal/contract/failureText.ts"
import { onEveryStore, onMemory, start } from "./support/dockets.ts"
import { collectLogs } from "./support/logs.ts"

class CardDeclined extends Schema.TaggedError<CardDeclined>()("CardDeclined", {
  code: Schema.String,
  at: Schema.DateFromString,
  pin: Schema.Redacted(Schema.String)
}) {}
class Undeclared extends Data.TaggedError("Undeclared")<{
  readonly why: string
  readonly pin: Redacted.Redacted<string>
}> {}

const declined = new CardDeclined({ code: "51", at: new Date(0), pin: Redacted.make("1234") })
const undeclared = new Undeclared({ why: "no idea", pin: Redacted.make("1234") })
const text = 'CardDeclined: {"code":"51","at":"1970-01-01T00:00:00.000Z","pin":"<redacted>"}'

onEveryStore("An error without a message", (it) => {
  it.effect("STA-03, LOG-07 shows its fields, redacted where they are, wherever it is read", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      const Pay = Task.make("pay", { error: CardDeclined, retry: Retry.linear({ attempts: 2 }), key: () => "pay" })
      const tasks = TaskGroup.make(Pay)
      const logs = yield* collectLogs
      yield* start(
        Worker.layer(tasks).pipe(
          Layer.provide(tasks.toLayer({ pay: () => Effect.fail(declined) })),
          Layer.provide(logs.layer)
        )
      )
      const execution = yield* docket.add(Pay)
      const error = yield* Effect.flip(execution.result)
      assert(error._tag === "CardDeclined")
      assert.strictEqual(Redacted.value(error.pin), "1234")
      assert.strictEqual(Option.getOrThrow(yield* execution.info).error, text)
      assert.deepStrictEqual(
        (yield* execution.attempts).map(({ error }) => error),
        [text, text]
      )
      assert.include((yield* docket.explain("pay")).message, text)
      assert.deepStrictEqual(
        (yield* docket.failed.list({ error: '"code":"51"' })).map(({ key }) => key),
        ["pay"]
      )
      const causes = logs.lines.flatMap(({ cause, level }) => (level === "Error" ? [cause] : []))
      assert.isAtLeast(causes.length, 2)
      for (const cause of causes) {
        assert.include(cause, text)
        assert.notInclude(cause, "1234")
      }
    })
  )
})

onMemory("An error without a message", (it) => {
  it.effect("TRC-04 shows its fields in its span, and reaches whoever runs the handler as it is", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      const Pay = Task.make("pay", { error: CardDeclined })
      const tasks = TaskGroup.make(Pay)
      const exits: Array<Exit.Exit<unknown, unknown>> = []
      const tracer = Tracer.make({
        span: (options) => {
          const span = new Tracer.NativeSpan(options)
          return Object.assign(Object.create(span), {
            end: (time: bigint, exit: Exit.Exit<unknown, unknown>) => {
              exits.push(exit)
              span.end(time, exit)
            }
          })
        }
      })
      yield* start(
        Worker.layer(tasks).pipe(
          Layer.provide(tasks.toLayer({ pay: () => Effect.fail(declined) })),
          Layer.provide(Layer.succeed(Tracer.Tracer, tracer))
        )
      )
      const error = yield* Effect.flip((yield* docket.add(Pay)).result)
      assert(error._tag === "CardDeclined")
      const failures = exits.filter(Exit.isFailure).map(({ cause }) => Cause.prettyErrors(cause)[0])
      assert.deepStrictEqual(
        failures.map((failure) => [failure?.name, failure?.message.includes("51")]),
        [["CardDeclined", true]]
      )
    })
  )

  it.effect("STA-03 shows the fields that it has where no contract names it, or what caused it", () =>
    Effect.sync(() => {
      assert.strictEqual(errorText(undeclared), 'Undeclared: {"why":"no idea","pin":"<redacted>"}')
      assert.strictEqual(errorText(new Error("", { cause: new TypeError("boom") })), "Error: TypeError: boom")
      assert.strictEqual(errorText(new Error("")), "Error: it has no message")
      assert.strictEqual(errorText(new Error("said")), "Error: said")
      const cause = Cause.combine(Cause.fail(undeclared), Cause.die(new Error("said")))
      assert.include(Cause.pretty(described(cause)), "no idea")
      assert.strictEqual(failureText(cause), 'Undeclared: {"why":"no idea","pin":"<redacted>"}; Error: said')
      const said = Cause.fail(new Error("said"))
      assert.strictEqual(described(said), said)
    })
  )
})
