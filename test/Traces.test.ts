import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, type Layer, Option, Schema, Tracer } from "effect"
import { TestClock } from "effect/testing"
import { Docket, Retry, Task, TaskGroup, Telemetry, Worker } from "../src/index.ts"

const Greet = Task.make("greet", { payload: { name: Schema.String }, key: ({ name }) => `greet-${name}` })
const Fail = Task.make("fail", { error: Schema.String, retry: Retry.linear({ attempts: 2 }) })
const tasks = TaskGroup.make(Greet, Fail)
const HandlersLive = tasks.toLayer({ greet: () => Effect.void, fail: () => Effect.fail("no") })

/** A tracer that keeps the spans that it is given. */
class Spans {
  readonly all: Array<Tracer.Span> = []
  readonly tracer = Tracer.make({
    span: (options) => {
      const span = new Tracer.NativeSpan(options)
      this.all.push(span)
      return span
    }
  })
  named(name: string): ReadonlyArray<Tracer.Span> {
    return this.all.filter((span) => span.name === name)
  }
}

const traced = <A, E>(body: (spans: Spans) => Effect.Effect<A, E, Docket | Layer.Success<typeof HandlersLive>>) =>
  Effect.suspend(() => {
    const spans = new Spans()
    return body(spans).pipe(
      Effect.provide([HandlersLive, Docket.layerMemory]),
      Effect.provideService(Tracer.Tracer, spans.tracer)
    )
  })

const runAll = Effect.fnUntraced(function* (options?: { readonly internalSpans: boolean }) {
  const worker = yield* Effect.forkChild(Worker.runUntilFinished(tasks, { name: "w", ...options }))
  yield* TestClock.adjust("1 hour")
  yield* Fiber.join(worker)
})

const failed = (span: Tracer.Span) => span.status._tag === "Ended" && Exit.isFailure(span.status.exit)

describe("Traces", () => {
  it.effect("TRC-01 a request is a span that says what was asked and what came of it", () =>
    traced((spans) =>
      Effect.gen(function* () {
        const docket = yield* Docket
        yield* docket.add(Greet, { name: "Ada" }, { delay: "1 minute" })
        yield* docket.replace(Greet, { name: "Ada" })
        yield* docket.cancel("greet-Ada")
        yield* docket.clear
        yield* docket.strike({ task: "greet" })
        yield* docket.restore({ task: "greet" })
        yield* docket.pause(Greet)
        yield* docket.resume()
        yield* docket.execution(Greet, "greet-Grace").cancel
        const [add] = spans.named("docket.add")
        assert(add !== undefined)
        const attributes = Object.fromEntries(add.attributes)
        assert.deepInclude(attributes, {
          "docket.name": "docket",
          "docket.task": "greet",
          "docket.key": "greet-Ada",
          "docket.attempt": 1,
          "docket.disposition": "scheduled",
          "docket.delay_ms": 60_000
        })
        assert.strictEqual(spans.named("docket.replace")[0]?.attributes.get("docket.disposition"), "replaced")
        const attributesOf = (name: string, attribute: string) =>
          spans.named(name).map(({ attributes }) => attributes.get(attribute))
        assert.deepStrictEqual(attributesOf("docket.cancel", "docket.key"), ["greet-Ada", "greet-Grace"])
        assert.deepStrictEqual(attributesOf("docket.strike", "docket.strike"), ["greet", "greet"])
        assert.deepStrictEqual(attributesOf("docket.restore", "docket.strike"), ["greet", "(all tasks)"])
        for (const name of ["docket.clear", "docket.strike", "docket.restore"]) {
          assert.strictEqual(spans.named(name)[0]?.attributes.get("docket.name"), "docket", name)
        }
      })
    )
  )

  it.effect("TRC-02 TRC-03 a run begins a trace of its own, with one link to what scheduled it, now or later", () =>
    traced((spans) =>
      Effect.gen(function* () {
        const docket = yield* Docket
        yield* docket.add(Greet, { name: "now" })
        yield* docket.add(Greet, { name: "later" }, { delay: "30 minutes" })
        yield* runAll()
        const adds = spans.named("docket.add")
        const runs = spans.named("greet")
        assert.strictEqual(runs.length, 2)
        runs.forEach((run, i) => {
          assert.strictEqual(run.kind, "consumer")
          assert(Option.isNone(run.parent))
          assert.deepStrictEqual(
            run.links.map(({ span }) => [span.traceId, span.spanId]),
            [[adds[i]!.traceId, adds[i]!.spanId]]
          )
          assert.notStrictEqual(run.traceId, adds[i]!.traceId)
          for (const name of ["docket.name", "docket.worker", "docket.task", "docket.key", "docket.when"]) {
            assert(run.attributes.has(name), name)
          }
          assert.strictEqual(run.attributes.get("code.function.name"), "greet")
        })
      })
    )
  )

  it.effect("TRC-04 a run that fails has failed, also when it is retried, and each attempt links back", () =>
    traced((spans) =>
      Effect.gen(function* () {
        const docket = yield* Docket
        yield* docket.add(Fail)
        yield* docket.add(Greet, { name: "Ada" })
        yield* runAll()
        assert.deepStrictEqual(spans.named("fail").map(failed), [true, true])
        assert.deepStrictEqual(
          spans.named("fail").map(({ links }) => links.length),
          [1, 1]
        )
        assert.deepStrictEqual(spans.named("greet").map(failed), [false])
      })
    )
  )

  it.effect("TRC-03 each run of a task that recurs, or had to wait for its worker, links back", () =>
    traced((spans) =>
      Effect.gen(function* () {
        const Tick = Task.make("tick", { perpetual: { every: "1 minute" }, key: () => "tick" })
        const group = TaskGroup.make(Tick)
        const docket = yield* Docket
        yield* docket.add(Tick)
        // A worker that does not know the task sets it aside.
        yield* Effect.scoped(Effect.andThen(Worker.make(tasks, { shutdownTimeout: 0 }), TestClock.adjust("1 minute")))
        const handlers = group.toLayer({ tick: () => Effect.void })
        const worker = yield* Effect.forkChild(
          Effect.provide(Worker.runAtMost(group, { tick: 3 }, { shutdownTimeout: 0 }), handlers)
        )
        yield* TestClock.adjust("5 minutes")
        yield* Fiber.join(worker)
        const [add] = spans.named("docket.add")
        const runs = spans.named("tick")
        assert.strictEqual(runs.length, 3)
        for (const { links } of runs)
          assert.deepStrictEqual(
            links.map(({ span }) => span.spanId),
            [add?.spanId]
          )
      })
    )
  )

  it.effect("TRC-01 TRC-02 spans carry the conventions for messaging beside the docket's own attributes", () =>
    traced((spans) =>
      Effect.gen(function* () {
        const docket = yield* Docket
        yield* docket.add(Greet, { name: "Ada" })
        yield* docket.addAll([Task.request(Greet, { name: "Grace" }), Task.request(Greet, { name: "Ada" })])
        yield* docket.addAll([Task.request(Greet, { name: "Alan" }), Task.request(Fail)])
        yield* Effect.ignore(docket.addNamed("greet", undefined))
        yield* runAll()
        const of = (name: string) => spans.named(name).map(({ attributes }) => Object.fromEntries(attributes))
        const sent = {
          "messaging.system": "effect-docket",
          "messaging.operation.name": "send",
          "messaging.operation.type": "send"
        }
        const [add, same, mixed, refused] = of("docket.add")
        const one = { ...sent, "messaging.destination.name": "greet", "messaging.message.id": "greet-Ada" }
        assert.deepInclude(add, one)
        assert.deepInclude(same, { "messaging.destination.name": "greet", "messaging.batch.message_count": 2 })
        assert.deepInclude(mixed, { "messaging.destination.name": "docket", "messaging.batch.message_count": 2 })
        assert.deepInclude(refused, { "error.type": "InvalidPayload" })
        assert.notProperty(add, "error.type")
        const [greeted] = of("greet")
        assert.deepInclude(greeted, {
          ...one,
          "messaging.operation.name": "process",
          "messaging.operation.type": "process",
          "docket.key": "greet-Ada"
        })
        assert.notProperty(greeted, "error.type")
        assert.deepStrictEqual(
          of("fail").map((attributes) => attributes["error.type"]),
          ["_OTHER", "_OTHER"]
        )
      })
    )
  )

  it.effect("TRC-01 TRC-02 spans are named as the conventions have it where that is asked for", () =>
    traced((spans) =>
      Effect.gen(function* () {
        const docket = yield* Docket
        yield* docket.add(Greet, { name: "Ada" })
        yield* docket.cancel("greet-Grace")
        yield* runAll()
        assert.deepStrictEqual(
          spans.all.map(({ name }) => name),
          ["send greet", "docket.cancel", "process greet"]
        )
      })
    ).pipe(Effect.provide(Telemetry.layer({ names: "messaging" })))
  )

  it.effect("TRC-03 where that is asked for, a run of work for now belongs to the trace that added it", () =>
    traced((spans) =>
      Effect.gen(function* () {
        const Tick = Task.make("tick", { perpetual: { every: "1 minute" }, key: () => "tick" })
        const docket = yield* Docket
        yield* docket.add(Greet, { name: "now" })
        yield* docket.add(Greet, { name: "later" }, { delay: "1 minute" })
        yield* docket.add(Fail)
        yield* docket.add(Tick)
        const group = TaskGroup.make(Greet, Fail, Tick)
        const handlers = group.toLayer({
          greet: () => Effect.void,
          fail: () => Effect.fail("no"),
          tick: () => Effect.void
        })
        const worker = yield* Effect.forkChild(
          Effect.provide(Worker.runAtMost(group, { tick: 2 }, { shutdownTimeout: 0 }), handlers)
        )
        yield* TestClock.adjust("1 hour")
        yield* Fiber.join(worker)
        const adds = spans.named("docket.add")
        const joins = (name: string) =>
          spans
            .named(name)
            .map(({ links, parent }) => [
              adds.findIndex(({ spanId }) => Option.exists(parent, (span) => span.spanId === spanId)),
              links.map(({ span }) => adds.findIndex(({ spanId }) => spanId === span.spanId))
            ])
        assert.deepStrictEqual(joins("greet"), [
          [0, []],
          [-1, [1]]
        ])
        // The second attempt comes when it comes.
        assert.deepStrictEqual(joins("fail"), [
          [2, []],
          [-1, [2]]
        ])
        assert.deepStrictEqual(joins("tick"), [
          [-1, [3]],
          [-1, [3]]
        ])
      })
    ).pipe(Effect.provide(Telemetry.layer({ runs: "child" })))
  )

  it.effect("TRC-05 the worker's own calls make no spans", () =>
    traced((spans) =>
      Effect.gen(function* () {
        const docket = yield* Docket
        yield* docket.add(Greet, { name: "Ada" })
        yield* runAll()
        assert.deepStrictEqual(
          spans.all.map(({ name }) => name),
          ["docket.add", "greet"]
        )
      })
    )
  )

  it.effect("TRC-05 if asked for, they make spans, in traces of their own", () =>
    traced((spans) =>
      Effect.gen(function* () {
        const docket = yield* Docket
        yield* docket.add(Greet, { name: "Ada" })
        yield* runAll({ internalSpans: true })
        const [add, ...rest] = spans.all
        const exchanges = rest.filter(({ name }) => name === "docket.exchange")
        assert.deepStrictEqual(
          exchanges.flatMap(({ attributes }) => [
            [attributes.get("docket.claimed"), attributes.get("docket.settled"), attributes.get("docket.worker")]
          ])[0],
          [1, 0, "w"]
        )
        for (const { kind, name, parent, traceId } of rest) {
          assert(Option.isNone(parent), name)
          assert.notStrictEqual(traceId, add?.traceId)
          assert.strictEqual(kind, name === "greet" ? "consumer" : "client", name)
        }
        assert.include(
          rest.map(({ name }) => name),
          "docket.leave"
        )
      })
    )
  )
})
