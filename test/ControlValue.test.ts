/** The values by which limits tell executions apart. */
import { assert, it } from "@effect/vitest"
import {
  BigDecimal,
  Chunk,
  DateTime,
  Duration,
  Effect,
  HashMap,
  HashSet,
  Layer,
  Option,
  Redacted,
  Schema
} from "effect"
import { Docket, Task, TaskGroup, Worker } from "../src/index.ts"
import { shown, textOf } from "../src/internal/contract/controlValue.ts"
import { onEveryStore, start } from "./support/dockets.ts"

class Point extends Schema.Class<Point>("Point")({ x: Schema.Int, y: Schema.Int }) {}

it("ADM-13 different content has different texts", () => {
  const different: ReadonlyArray<unknown> = [
    "1",
    1,
    1n,
    true,
    false,
    null,
    undefined,
    "null",
    "undefined",
    "true",
    "",
    0,
    0n,
    -1,
    1.5,
    Infinity,
    -Infinity,
    "Infinity",
    [],
    [1],
    ["1"],
    [1, 2],
    [2, 1],
    [[1], 2],
    [[1, 2]],
    [undefined],
    [null],
    {},
    { a: 1 },
    { a: "1" },
    { a: null },
    { b: 1 },
    { a: 1, b: 2 },
    { a: { b: 1 } },
    { "a:1": 1 },
    { 'a":1,"b': 2 },
    new Map(),
    new Map([[1, 2]]),
    new Map([["1", 2]]),
    new Map([[{ a: 1 }, 2]]),
    new Set(),
    new Set([1]),
    new Set(["1"]),
    new Set([1, 2]),
    new Set([[1, 2]]),
    new Date(0),
    new Date(1),
    "1970-01-01T00:00:00.000Z",
    new Uint8Array([1]),
    new Uint8Array([2]),
    new Uint8Array([]),
    Option.none(),
    Option.some(1),
    Option.some("1"),
    Option.some(Option.none()),
    HashMap.make([1, 2]),
    HashSet.make(1),
    HashSet.make(2),
    Chunk.make(1),
    Chunk.make(1, 2),
    new Point({ x: 1, y: 2 }),
    new Point({ x: 2, y: 1 }),
    new URL("https://a.example/"),
    new URL("https://b.example/"),
    Duration.seconds(1),
    Duration.seconds(2),
    DateTime.makeUnsafe(5),
    BigDecimal.fromStringUnsafe("1.5"),
    Redacted.make("a"),
    Redacted.make("b"),
    Redacted.make(1),
    Redacted.make("1"),
    [Redacted.make("a")],
    [Redacted.make("b")],
    { s: Redacted.make("a") },
    { s: Redacted.make("b") },
    Option.some(Redacted.make("a")),
    Option.some(Redacted.make("b")),
    new Set([Redacted.make("a")]),
    new Set([Redacted.make("b")]),
    Redacted.make({ k: "a" }),
    Redacted.make({ k: "b" }),
    Redacted.make(Redacted.make("a")),
    "x".repeat(200),
    "x".repeat(201),
    ["x".repeat(200)],
    { s: Redacted.make("a"), t: "x".repeat(200) },
    { s: Redacted.make("b"), t: "x".repeat(200) }
  ]
  const texts = new Map<string, unknown>()
  for (const value of different) {
    const text = textOf(value)
    assert.isFalse(texts.has(text), `${text} stands for two values`)
    texts.set(text, value)
    // What stands for a secret or for what was cut is no text of another value either.
    assert.notStrictEqual(textOf(text), text)
  }
})

it("ADM-13 equal content has equal texts, in whatever order it is kept, and as it comes from where it was stored", () => {
  const equal: ReadonlyArray<readonly [unknown, unknown]> = [
    [
      { a: 1, b: { c: 2, d: [3] } },
      { b: { d: [3], c: 2 }, a: 1 }
    ],
    [new Set([1, 2, 3]), new Set([3, 1, 2])],
    [
      new Map<unknown, unknown>([
        [1, "a"],
        ["1", "b"]
      ]),
      new Map<unknown, unknown>([
        ["1", "b"],
        [1, "a"]
      ])
    ],
    [HashMap.make(["a", 1], ["b", 2]), HashMap.make(["b", 2], ["a", 1])],
    [HashSet.make("a", "b", "c"), HashSet.make("c", "b", "a")],
    [{ a: 1, b: undefined }, { a: 1 }],
    [Object.create(null, { a: { value: 1, enumerable: true } }), { a: 1 }],
    [0, -0],
    [{ s: Redacted.make("x") }, { s: Redacted.make("x", { label: "other" }) }],
    [new Date(7), new Date(7)],
    [new Uint8Array([1, 2, 3]).subarray(1), new Uint8Array([2, 3])]
  ]
  for (const [one, other] of equal) assert.strictEqual(textOf(one), textOf(other))
})

it("ADM-13 what has no content to be told apart by is refused, and the refusal says what it is", () => {
  const cyclic: Record<string, unknown> = {}
  cyclic["self"] = [cyclic]
  const deep = { value: undefined as unknown }
  for (let i = 0, at = deep; i < 100_000; i++) at = (at.value = { value: undefined }) as typeof deep
  for (const [value, said] of [
    [() => 1, "a function"],
    [{ f: () => 1 }, "a function"],
    [Symbol("s"), "a symbol"],
    [[Symbol("s")], "a symbol"],
    [{ [Symbol("s")]: 1 }, "symbols for names"],
    [cyclic, "contains itself"],
    [Number.NaN, "NaN"],
    [{ n: [Number.NaN] }, "NaN"],
    [new Date(Number.NaN), "NaN"],
    [new WeakMap(), "WeakMap"],
    [Promise.resolve(1), "Promise"],
    [
      new (class Hidden {
        #secret = 1
        get secret() {
          return this.#secret
        }
      })(),
      "Hidden"
    ],
    [
      new (class {
        toJSON() {
          return { s: String(Redacted.make(1)) }
        }
      })(),
      "hides a redacted value"
    ],
    [deep, ""]
  ] as const) {
    assert.throws(() => textOf(value), said)
  }
})

it("ADM-13 nothing that is shown of a value tells what is redacted in it", () => {
  const secret = "hunter2"
  for (const value of [
    Redacted.make(secret),
    [Redacted.make(secret), "#0123456789abcdef0123456789abcdef"],
    { password: Redacted.make(secret), tenant: "a" },
    { password: Redacted.make(secret), tenant: "a".repeat(300) }
  ]) {
    const text = textOf(value)
    assert.notInclude(text, secret)
    assert.notMatch(shown(text).replaceAll('"#0123456789abcdef0123456789abcdef"', ""), /#[0-9a-f]{32}/)
  }
  assert.strictEqual(
    shown(textOf({ password: Redacted.make(secret), tenant: "a" })),
    '{"password":<redacted>,"tenant":"a"}'
  )
  assert.strictEqual(shown(textOf(["#0123456789abcdef0123456789abcdef"])), '["#0123456789abcdef0123456789abcdef"]')
})

onEveryStore("The values of limits", (it) => {
  it.effect("ADM-13 are told apart by content: one of each runs, whatever order or form its fields have", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      const started: Array<string> = []
      const Call = Task.make("call", {
        payload: { id: Schema.String, tags: Schema.Array(Schema.String), token: Schema.Redacted(Schema.String) },
        concurrency: { limit: 1, by: ({ tags, token }) => ({ tags: new Set(tags), tokens: [token] }) }
      })
      const tasks = TaskGroup.make(Call)
      yield* start(
        Worker.layer(tasks).pipe(
          Layer.provide(
            tasks.toLayer({
              call: Effect.fnUntraced(function* ({ id }) {
                started.push(id)
                yield* Effect.never
              })
            })
          )
        )
      )
      const add = (id: string, tags: ReadonlyArray<string>, token: string) =>
        docket.add(Call, { id, tags, token: Redacted.make(token) }, { key: id })
      yield* add("a", ["x", "y"], "one")
      yield* add("a again", ["y", "x"], "one")
      yield* add("b", ["x", "y"], "two")
      yield* add("c", ["x"], "one")
      while (started.length < 3) yield* Effect.yieldNow
      assert.sameMembers(started, ["a", "b", "c"])
      const { _tag, message } = yield* docket.explain("a again")
      assert.strictEqual(_tag, "AwaitingSlot")
      assert.notMatch(message, /#[0-9a-f]{32}|one/)
    })
  )

  it.effect("ADM-13 that cannot be told apart are an error of whoever adds, and say so", () =>
    Effect.gen(function* () {
      const docket = yield* Docket
      const Odd = Task.make("odd", { concurrency: { limit: 1, by: () => ({ f: () => 1 }) } })
      const error = yield* Effect.flip(docket.add(Odd))
      assert.strictEqual(error.reason._tag, "InvalidRequest")
      assert.include(error.message, 'task "odd"')
      assert.include(error.message, "a function cannot be told from another one by its content")
    })
  )
})
