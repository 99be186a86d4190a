/** What a contract's own functions fail with at a payload, and data that cannot be kept. */
import { assert } from "@effect/vitest"
import { Cause, Effect, Exit, Layer, Option, Schema } from "effect"
import { Docket, type DocketError, type ExecutionInfo, Task, TaskGroup, Worker } from "../src/index.ts"
import { onEveryStore, onMemory, start } from "./support/dockets.ts"
import { oddStrings } from "./support/oddStrings.ts"
import { waitUntil } from "./support/waitUntil.ts"

const explode = (): never => {
  throw new TypeError("no such customer")
}
const Exploding = Schema.String.check(Schema.makeFilter(explode))

const Keyed = Task.make("keyed", { payload: { id: Schema.String }, key: explode })
const Limited = Task.make("limited", { payload: { id: Schema.String }, concurrency: { limit: 1, by: explode } })
const Checked = Task.make("checked", { payload: { id: Exploding }, success: Exploding, error: Exploding })

/** As from a program whose types nobody checks. */
const unchecked = <A>(value: unknown): A => value as A

const refusal = <A>(effect: Effect.Effect<A, DocketError>) =>
  Effect.map(Effect.flip(effect), ({ reason }) => ({ tag: reason._tag, message: reason.message, reason }))

const endedBadly = (info: Option.Option<ExecutionInfo>) =>
  Option.isSome(info) && (info.value.error !== undefined || info.value.state === "failed")

onEveryStore("A function of a contract that throws", (it) => {
  it.effect("SCH-08 is a typed error for whoever gave the payload, with what was thrown", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      for (const [task, problem] of [
        [Keyed, 'The key of task "keyed" cannot be computed from this payload: TypeError: no such customer'],
        [
          Limited,
          'The values by which the limits of task "limited" tell executions apart cannot be computed from this ' +
            "payload: TypeError: no such customer"
        ]
      ] as const) {
        const calls: ReadonlyArray<Effect.Effect<unknown, DocketError>> = [
          docket.add(task, { id: "a" }),
          docket.replace(task, { id: "a" }, task === Limited ? { key: "a" } : {}),
          docket.addAll([Task.request(task, { id: "a" })])
        ]
        for (const call of calls) {
          const { message, reason } = yield* refusal(call)
          assert.strictEqual(message, problem)
          assert(reason._tag === "InvalidRequest")
          assert.instanceOf(reason.cause, TypeError)
        }
      }
      const { message, tag } = yield* refusal(docket.add(Checked, { id: "a" }))
      assert.strictEqual(tag, "InvalidPayload")
      assert.include(message, "TypeError: no such customer")
      assert.deepStrictEqual(yield* docket.store.depth, { queued: 0, scheduled: 0, running: 0 })
    })
  )

  it.effect("UNK-05, ADM-13 fails an execution that was added by name, and the worker goes on", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      const Fine = Task.make("fine", { success: Schema.Int })
      const tasks = TaskGroup.make(Checked, Limited, Fine)
      yield* start(
        Worker.layer(tasks).pipe(
          Layer.provide(
            tasks.toLayer({
              checked: () => Effect.succeed("never"),
              limited: () => Effect.void,
              fine: () => Effect.succeed(1)
            })
          )
        )
      )
      for (const name of ["checked", "limited"]) {
        const execution = yield* docket.addNamed(name, { id: "a" }, { key: name })
        yield* waitUntil(`${name} has failed`, Effect.map(docket.info(name), endedBadly))
        assert.include((yield* Effect.flip(execution.result)).message, "no such customer")
      }
      assert.strictEqual(yield* (yield* docket.add(Fine)).result, 1)
    })
  )

  it.effect("STA-06 does not keep a run from ending: a result or an error that cannot be encoded fails it", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      const Odd = Task.make("odd", { payload: { fail: Schema.Boolean }, success: Exploding, error: Exploding })
      const tasks = TaskGroup.make(Odd)
      yield* start(
        Worker.layer(tasks).pipe(
          Layer.provide(tasks.toLayer({ odd: ({ fail }) => (fail ? Effect.fail("x") : Effect.succeed("x")) }))
        )
      )
      for (const fail of [true, false]) {
        const error = yield* Effect.flip((yield* docket.add(Odd, { fail })).result)
        assert(typeof error !== "string" && error._tag === "TaskFailed")
      }
    })
  )
})

onMemory("A function of a contract", (it) => {
  it.effect("SCH-09 has to give a string for a key, as its options do", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      const None = Task.make("none", { key: () => unchecked<string>(undefined) })
      assert.match((yield* refusal(docket.add(None))).message, /^The key of task "none" has to be a string; it is /)
      for (const key of [7, null, true, {}, Symbol("k"), () => "k"]) {
        const Odd = Task.make("odd", { key: () => unchecked<string>(key) })
        const given = yield* refusal(docket.add(Odd, {}, { key: unchecked<string>(key) }))
        assert.match(given.message, /^The key of task "odd" has to be a string; it is /)
        assert.match((yield* refusal(docket.add(Odd))).message, /^The key of task "odd" has to be a string; it is /)
        if (key === null) continue
        const named = yield* refusal(docket.addNamed("odd", {}, { key: unchecked<string>(key) }))
        assert.match(named.message, /^The key of task "odd" has to be a string; it is /)
      }
    })
  )

  it.effect("CRN-06 that throws for the payload of an automatic task is refused where the task is defined", () =>
    Effect.sync(() => {
      const automatic = { perpetual: { every: "1 hour", automatic: true } } as const
      assert.throws(
        () => Task.make("odd", { ...automatic, concurrency: { limit: 1, by: explode } }),
        /Task "odd" is automatic.*no such customer/
      )
      assert.throws(() => Task.make("odd", { ...automatic, payload: Exploding }), /cannot be empty/)
    })
  )
})

onEveryStore("Data that JSON cannot keep", (it) => {
  const lost: ReadonlyArray<readonly [what: string, value: unknown]> = [
    ["a function", () => 1],
    ["a function in an object", { f: () => 1 }],
    ["a symbol", Symbol("s")],
    ["a number that is none", [Number.NaN]],
    ["a Map", { m: new Map([[1, 2]]) }],
    ["nothing, in an array", [undefined]],
    ["a bigint", { n: 1n }]
  ]
  it.effect("SCH-08, STA-06 is refused where it is added, and as a result it is a failure, never no result", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      const Any = Task.make("any", { payload: { which: Schema.Int }, success: Schema.Any })
      const Given = Task.make("given", { payload: { value: Schema.Any } })
      const tasks = TaskGroup.make(Any)
      yield* start(
        Worker.layer(tasks).pipe(
          Layer.provide(tasks.toLayer({ any: ({ which }) => Effect.succeed(lost[which]?.[1] ?? { fine: undefined }) }))
        )
      )
      for (const [which, [what, value]] of lost.entries()) {
        const { message, tag } = yield* refusal(docket.add(Given, { value }))
        assert.strictEqual(tag, "InvalidPayload", what)
        assert.include(message, "It is no JSON data", what)
        const error = yield* Effect.flip((yield* docket.add(Any, { which })).result)
        assert(error._tag === "TaskFailed", what)
        assert.include(error.error, "It is no JSON data", what)
      }
      assert.deepStrictEqual(yield* (yield* docket.add(Any, { which: 99 })).result, {})
      assert.strictEqual(
        (yield* docket.add(Given, { value: { a: [1, "b", null], c: undefined } })).disposition,
        "scheduled"
      )
    })
  )
})

onEveryStore("Data that looks like the docket's own", (it) => {
  const Free = Schema.Record(Schema.String, Schema.Json)
  const lookalikes: ReadonlyArray<Readonly<Record<string, Schema.Json>>> = [
    { "~version": 2 },
    { "~version": 2, "~payload": 1 },
    { "~redacted": "all", "~value": 1 },
    { "~result": "elsewhere" },
    { "~docket": { version: 2 }, data: { a: 1 } },
    { "~docket": { kept: "elsewhere" }, data: null },
    { "~docket": {} },
    { constructor: 1, hasOwnProperty: 2, toString: 3 }
  ]
  it.effect("SCH-09 comes back as it was given, in payloads, results and errors, by contract and by name", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      const Echo = Task.make("echo", { payload: Free, success: Free })
      const Fail = Task.make("fails", { payload: Free, error: Free })
      const tasks = TaskGroup.make(Echo, Fail)
      yield* start(
        Worker.layer(tasks).pipe(
          Layer.provide(
            tasks.toLayer({ echo: (payload) => Effect.succeed(payload), fails: (payload) => Effect.fail(payload) })
          )
        )
      )
      for (const payload of lookalikes) {
        assert.deepStrictEqual(yield* (yield* docket.add(Echo, payload)).result, payload)
        assert.deepStrictEqual(yield* (yield* docket.addNamed("echo", payload)).result, payload)
        assert.deepStrictEqual(yield* Effect.flip((yield* docket.add(Fail, payload)).result), payload)
      }
    })
  )

  it.effect("UNK-01 as the name of a task is no version of another one", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      const Old = Task.make("a", { success: Schema.String })
      const New = Task.make("a", {
        payload: { n: Schema.Int },
        success: Schema.String,
        earlier: [Task.earlier({}, () => ({ n: 1 }))]
      })
      const Named = Task.make("a version 2", { success: Schema.String })
      const tasks = TaskGroup.make(New)
      yield* start(Worker.layer(tasks).pipe(Layer.provide(tasks.toLayer({ a: ({ n }) => Effect.succeed(`a ${n}`) }))))
      const named = yield* docket.add(Named, {}, { key: "named" })
      assert.strictEqual(yield* (yield* docket.add(New, { n: 2 })).result, "a 2")
      assert.strictEqual(yield* (yield* docket.add(Old)).result, "a 1")
      assert.strictEqual(Option.getOrThrow(yield* docket.info("named")).state, "queued")
      const others = TaskGroup.make(Named)
      yield* start(
        Worker.layer(others).pipe(Layer.provide(others.toLayer({ "a version 2": () => Effect.succeed("named") })))
      )
      assert.strictEqual(yield* named.result, "named")
      assert.deepStrictEqual(
        (yield* docket.workers)
          .flatMap(({ tasks }) => tasks)
          .toSorted()
          .filter((task) => task.startsWith("a")),
        ["a", "a version 2"]
      )
      for (const odd of oddStrings) {
        if (odd === "") continue
        const task = Exit.isSuccess(yield* Effect.exit(Effect.try(() => Task.make(odd))))
        assert.strictEqual(task, !odd.includes("\0") && !odd.includes("\u0001") && odd.isWellFormed())
      }
    })
  )
})

onEveryStore("A payload", (it) => {
  it.effect("SCH-08 may be no struct, and may be left out where it can be undefined", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      const Nothing = Task.make("nothing", { payload: Schema.Void, success: Schema.String })
      const Perhaps = Task.make("perhaps", { payload: Schema.UndefinedOr(Schema.String), success: Schema.String })
      const Free = Task.make("free", { payload: Schema.Json, success: Schema.String })
      const tasks = TaskGroup.make(Nothing, Perhaps, Free)
      const shown = (payload: unknown) => Effect.succeed(payload === undefined ? "undefined" : JSON.stringify(payload))
      yield* start(
        Worker.layer(tasks).pipe(Layer.provide(tasks.toLayer({ nothing: shown, perhaps: shown, free: shown })))
      )
      assert.strictEqual(yield* (yield* docket.add(Nothing)).result, "undefined")
      assert.strictEqual(yield* (yield* docket.add(Nothing, undefined, { key: "k" })).result, "undefined")
      assert.strictEqual(yield* (yield* docket.add(Perhaps)).result, "undefined")
      assert.strictEqual(yield* (yield* docket.add(Perhaps, "text")).result, '"text"')
      assert.strictEqual(yield* (yield* docket.add(Free, null)).result, "null")
      const [one, other] = yield* docket.addAll([Task.request(Nothing), Task.request(Perhaps, undefined, { key: "p" })])
      assert.deepStrictEqual([yield* one.result, yield* other.result], ["undefined", "undefined"])
    })
  )
})

onEveryStore("A key that is live for another task", (it) => {
  it.effect("SCH-04 gives a handle that says so, rather than the other's result", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      const One = Task.make("one", { success: Schema.String })
      const Other = Task.make("other", { success: Schema.String })
      const tasks = TaskGroup.make(One, Other)
      const one = yield* docket.add(One, {}, { key: "k" })
      const other = yield* docket.add(Other, {}, { key: "k" })
      const named = yield* docket.addNamed("other", {}, { key: "k" })
      assert.strictEqual(other.disposition, "already-scheduled")
      yield* start(
        Worker.layer(tasks).pipe(
          Layer.provide(tasks.toLayer({ one: () => Effect.succeed("one"), other: () => Effect.succeed("other") }))
        )
      )
      assert.strictEqual(yield* one.result, "one")
      for (const handle of [other, named, docket.execution(Other, "k")]) {
        const error = yield* Effect.flip(handle.result)
        assert(error._tag === "DocketError" && error.reason._tag === "KeyInUse")
        assert.deepInclude({ ...error.reason }, { key: "k", task: "other", usedBy: "one" })
      }
      assert.strictEqual(yield* docket.execution(One, "k").result, "one")
    })
  )
})

onMemory("Handlers", (it) => {
  it.effect("have to be those of the group's tasks, also where nobody checks types", () =>
    Effect.gen(function* () {
      const Odd = Task.make("constructor")
      const tasks = TaskGroup.make(Odd)
      const problem = (handlers: object) =>
        Effect.map(
          Effect.exit(
            Effect.scoped(
              Layer.build(tasks.toLayer(unchecked<{ readonly constructor: () => Effect.Effect<void> }>(handlers)))
            )
          ),
          (exit) => (Exit.isFailure(exit) ? String(Cause.squash(exit.cause)) : "none")
        )
      assert.include(yield* problem({}), 'There is no handler for task "constructor"')
      assert.include(yield* problem({ constructor: 1 }), 'There is no handler for task "constructor"')
      assert.strictEqual(yield* problem({ constructor: () => Effect.void }), "none")
      assert.include(
        yield* problem({ constructor: () => Effect.void, more: () => Effect.void }),
        'There is a handler for "more", and no task of that name'
      )
    })
  )
})
