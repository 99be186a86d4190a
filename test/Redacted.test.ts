/** What is redacted is nowhere to be seen, whatever becomes of an execution. */
import { assert, it as test } from "@effect/vitest"
import { Cause, Effect, Exit, Latch, Layer, Option, Queue, Redacted, Schema, Tracer } from "effect"
import { Docket, Retry, Task, TaskGroup, Worker } from "../src/index.ts"
import { codecOf } from "../src/internal/contract/codec.ts"
import { shown } from "../src/internal/contract/redaction.ts"
import { DocketTest } from "../src/testing/index.ts"
import { onEveryStore, pass, start } from "./support/dockets.ts"
import { collectLogs } from "./support/logs.ts"
import { follow } from "./support/runs.ts"
import { waitUntil } from "./support/waitUntil.ts"

const Secret = Schema.RedactedFromValue(Schema.String)
const hidden = (what: string) => Redacted.make(`hidden ${what} ${"x".repeat(20)}`)

class Refused extends Schema.TaggedError<Refused>()("Refused", { card: Secret, code: Schema.Int }) {}
class Plain extends Schema.TaggedClass<Plain>()("Plain", { card: Secret }) {}

const Charge = Task.make("charge", {
  payload: {
    how: Schema.String,
    amount: Schema.Int,
    card: Schema.RedactedFromValue(Schema.String.check(Schema.isMinLength(20))),
    others: Schema.Array(Schema.Struct({ card: Secret })).pipe(Schema.withConstructorDefault(Effect.succeed([])))
  },
  success: Schema.Struct({ receipt: Secret, amount: Schema.Int }),
  error: Schema.Union([Refused, Plain]),
  retry: Retry.linear({ attempts: 2 }),
  concurrency: { limit: 1, by: ({ card }) => card },
  rateLimit: { limit: 100, per: "1 minute", by: ({ others }) => others },
  logged: ["how", "card", "others"],
  loggedLength: ["amount"]
})
const tasks = TaskGroup.make(Charge)

/** Keeps the spans that it is given, with all that is said of them, as an exporter would. */
const makeTracer = () => {
  const spans: Array<Tracer.NativeSpan> = []
  return {
    tracer: Tracer.make({
      span: (options) => {
        const span = new Tracer.NativeSpan(options)
        spans.push(span)
        return span
      }
    }),
    told: () =>
      spans.map(({ attributes, events, name, status }) => [
        name,
        [...attributes],
        events,
        status._tag === "Ended" && Exit.isFailure(status.exit) ? Cause.pretty(status.exit.cause) : ""
      ])
  }
}

onEveryStore("What is redacted", (it) => {
  it.effect("LOG-05 appears in no log, error, event, explanation, list or span, whatever becomes of the run", () =>
    Effect.gen(function* () {
      const logs = yield* collectLogs
      const { told, tracer } = makeTracer()
      const begun = yield* Queue.unbounded<void>()
      const gate = yield* Latch.make()
      const handlers = tasks.toLayer({
        charge: Effect.fnUntraced(function* ({ amount, card, how, others }) {
          yield* Effect.annotateCurrentSpan({ card, others })
          yield* Effect.logWarning("charging", { card, others })
          if (how === "refused") return yield* new Refused({ card, code: 7 })
          if (how === "plain") return yield* Effect.fail(new Plain({ card }))
          if (how === "dies") return yield* Effect.die({ card })
          if (how === "runs") {
            yield* Queue.offer(begun, undefined)
            yield* gate.await
          }
          if (how === "unfit") return { receipt: card, amount: 1.5 }
          return { receipt: card, amount }
        })
      })
      yield* start(Worker.layer(tasks).pipe(Layer.provide(handlers))).pipe(
        Effect.provide(logs.layer),
        Effect.provideService(Tracer.Tracer, tracer)
      )
      const docket = yield* Docket
      const feed = yield* follow(docket.events)
      const seen: Array<unknown> = []

      const look = Effect.fnUntraced(function* (key: string) {
        const info = yield* docket.info(key)
        assert(Option.isSome(info))
        const { encodedPayload, ...others } = info.value
        seen.push(others, yield* docket.explain(key), shown(encodedPayload))
        const [record] = yield* docket.store.read([key])
        assert(record !== undefined && Option.isSome(record))
        const { failure, result } = record.value
        seen.push(shown(result ?? ""), shown(failure ?? ""), yield* docket.store.attempts(key))
      })

      yield* Effect.gen(function* () {
        for (const how of ["succeeds", "refused", "plain", "dies", "unfit"]) {
          const payload = { how, amount: 5, card: hidden("card"), others: [{ card: hidden("other") }] }
          const execution = yield* docket.add(Charge, payload, { key: how })
          const exit = yield* Effect.exit(execution.result)
          seen.push(Exit.isFailure(exit) ? Cause.pretty(exit.cause) : exit.value)
          // Whoever has the contract gets it all the same.
          if (how === "succeeds") {
            assert(Exit.isSuccess(exit))
            assert.strictEqual(Redacted.value(exit.value.receipt), Redacted.value(hidden("card")))
          }
          if (how === "refused") {
            const error = Option.getOrThrow(Exit.findErrorOption(exit))
            assert(error._tag === "Refused")
            assert.strictEqual(Redacted.value(error.card), Redacted.value(hidden("card")))
          }
          yield* look(how)
        }

        // By name, so that nobody checked the payload, and with payloads that no contract has ever seen.
        const good = { how: "succeeds", amount: 5, card: Redacted.value(hidden("card")), others: [] }
        for (const [key, payload] of Object.entries({
          "too short": { ...good, card: "hidden" },
          "no text": { ...good, card: { hidden: "hidden" } },
          "beside it": { ...good, amount: "hidden" },
          nested: { ...good, others: [{ card: ["hidden"] }] },
          "no object": "hidden"
        })) {
          const execution = yield* docket.addNamed("charge", payload, { key })
          seen.push(Cause.pretty(yield* Effect.flip(Effect.sandbox(execution.result))))
          const info = yield* docket.info(key)
          assert(Option.isSome(info))
          assert.include(info.value.error, "InvalidPayload")
          const { encodedPayload: _, ...others } = info.value
          seen.push(others, yield* docket.explain(key))
        }
        yield* docket.store.schedule([noJson], "")
        seen.push(Cause.pretty(yield* Effect.flip(Effect.sandbox(docket.execution(Charge, noJson.key).result))))
        seen.push(yield* docket.explain(noJson.key))

        // What the producer is told of a payload that does not fit.
        const unfit = { how: "", amount: 1, card: Redacted.make("hidden") }
        seen.push(Cause.pretty(yield* Effect.flip(Effect.sandbox(docket.add(Charge, unfit)))))

        // What waits for others with the same redacted value.
        const waits = { amount: 5, card: hidden("card") }
        yield* docket.add(Charge, { ...waits, how: "runs" }, { key: "runs" })
        yield* Queue.take(begun)
        yield* docket.add(Charge, { ...waits, how: "waits" }, { key: "waits" })
        yield* waitUntil(
          "the second one waits for the first",
          Effect.map(docket.explain("waits"), ({ _tag }) => _tag === "AwaitingSlot")
        )
        assert.include((yield* docket.explain("waits")).message, "<redacted>")
        yield* look("waits")
        const listed = yield* Effect.flip(Effect.sandbox(DocketTest.assertNothingScheduled))
        assert.include(Cause.pretty(listed), "waits")
        seen.push(Cause.pretty(listed))
        yield* gate.open
        yield* docket.execution(Charge, "runs").result
        yield* docket.execution(Charge, "waits").result
      }).pipe(Effect.provide(logs.layer), Effect.provideService(Tracer.Tracer, tracer))

      const failed = yield* docket.failed.list()
      assert.isAtLeast(failed.length, 9)
      seen.push(failed.map(({ encodedPayload: _, ...others }) => others))
      yield* pass("1 second")
      seen.push(yield* Queue.clear(feed))
      assert.isAtLeast(logs.lines.length, 20)
      assert.isAtLeast(told().length, 20)
      for (const place of [seen, logs.lines, told()]) {
        const text = JSON.stringify(place)
        const at = text.indexOf("hidden")
        assert.strictEqual(at, -1, text.slice(Math.max(0, at - 200), at + 100))
      }
    })
  )
})

test("what is stored says what of it is redacted, in every version and whatever kind of data it is", () => {
  const showing = (task: Task.Any, payload: unknown) => {
    const encoded = Effect.runSync(codecOf(task).encodePayload(payload))
    // It is there for whoever runs the task.
    assert.deepStrictEqual(codecOf(task).decodePayload(encoded.text), Exit.succeed(encoded.payload))
    return shown(encoded.text)
  }
  const token = Redacted.make("hidden")
  const fields = { id: Schema.Int, token: Secret }
  assert.strictEqual(showing(Task.make("t", { payload: fields }), { id: 1, token }), '{"id":1,"token":"<redacted>"}')
  const earlier = [Task.earlier({ id: Schema.Int }, ({ id }) => ({ id, token }))]
  const newer = showing(Task.make("t", { payload: fields, earlier }), { id: 1, token })
  assert.deepInclude(JSON.parse(newer), { id: 1, token: "<redacted>" })
  const optional = { ...fields, token: Schema.optionalKey(Schema.NullOr(Secret)) }
  assert.strictEqual(showing(Task.make("t", { payload: optional }), { id: 1 }), '{"id":1}')
  assert.notInclude(showing(Task.make("t", { payload: optional }), { id: 1, token }), "hidden")
  for (const [payload, value] of [
    [Secret, token],
    [Schema.Array(Secret), [token]],
    [Schema.Record(Schema.String, Secret), { a: token }],
    [Schema.Struct(fields).pipe(Schema.encodeKeys({ token: "t" })), { id: 1, token }],
    [Schema.Union([Schema.Struct(fields), Schema.Int]), { id: 1, token }]
  ] as const) {
    assert.notInclude(showing(Task.make("t", { payload }), value), "hidden")
  }
  const list = Task.make("t", { payload: Schema.Array(Secret), earlier: [Task.earlier(Schema.Int, () => [])] })
  assert.notInclude(showing(list, [token]), "hidden")
  assert.strictEqual(showing(Task.make("t", { payload: { id: Schema.Int } }), { id: 1 }), '{"id":1}')
})

const noJson = {
  key: "no JSON",
  task: "charge",
  payload: '{"card":"hidden',
  due: { _tag: "After", millis: 0 },
  replace: false,
  trace: "",
  terms: undefined,
  judged: false
} as const
