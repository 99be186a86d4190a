import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { App, assertSentence, infoOf } from "./app.ts"

it.layer(App.layer(), { excludeTestServices: true })("docket strike and restore", (it) => {
  for (const [terms, line, strike] of [
    [["send"], "send", { task: "send", value: null }],
    [["send", "*"], "send", { task: "send", value: null }],
    [["send", "id", "int:7"], "send id == 7", { task: "send", field: "id", operator: "==", value: 7 }],
    [["send", "id", "==", "7"], 'send id == "7"', { field: "id", operator: "==", value: "7" }],
    [["", "id", ">=", "float:1.5"], "(all tasks) id >= 1.5", { field: "id", operator: ">=", value: 1.5 }],
    [["*", "on", "!=", "bool:false"], "(all tasks) on != false", { field: "on", operator: "!=", value: false }],
    [
      ["*", "size", "between", "json:[1,5]"],
      "(all tasks) size between [1,5]",
      { field: "size", operator: "between", value: [1, 5] }
    ],
    [["send", "name", 'say "hi"'], 'send name == "say \\"hi\\""', { field: "name", value: 'say "hi"' }]
  ] as const) {
    it.effect(`print one line, and do what it says: ${terms.join(" ")} (CLI-11, CLI-12, CLI-13)`, () =>
      Effect.gen(function* () {
        const shop = yield* (yield* App).shop
        assert.deepStrictEqual(yield* shop.lines("strike", ...terms), [`Striking ${line}`])
        const [found, ...more] = yield* shop.docket.strikes
        assert.deepStrictEqual(more, [])
        assert.deepInclude({ ...found }, { ...strike, hold: false })
        assert.deepStrictEqual(yield* shop.lines("restore", ...terms), [`Restoring ${line}`])
        assert.deepStrictEqual(yield* shop.docket.strikes, [])
      })
    )
  }

  it.effect("restoring what is not struck does nothing (STR-07)", () =>
    Effect.gen(function* () {
      const shop = yield* (yield* App).shop
      yield* shop.docket.strike({ task: "send", field: "id", value: 7 })
      assert.deepStrictEqual(yield* shop.lines("restore", "send"), ["Restoring send"])
      assert.strictEqual((yield* shop.docket.strikes).length, 1)
    })
  )

  it.effect("a strike that matches nothing is doubted, and says how many it matches", () =>
    Effect.gen(function* () {
      const shop = yield* (yield* App).shop
      const facts = new Map([
        ["send", { key: "own", fields: { id: ["number"], to: ["string", "null"], any: [] } } as const]
      ])
      yield* Effect.scoped(
        Effect.gen(function* () {
          const session = yield* shop.docket.store.open({
            name: "w",
            tasks: new Set(["send"]),
            contracts: new Map(),
            recurring: new Set(),
            facts,
            leaseMillis: 60_000,
            maxDeliveries: 10,
            presenceMillis: 60_000
          })
          yield* session.heartbeat
          yield* session.leave
        })
      )
      for (const id of [1, 7, 7]) yield* shop.docket.addNamed("send", { id }, { delay: "1 hour" })
      const said = (...terms: ReadonlyArray<string>) =>
        Effect.map(shop.run(["strike", ...terms, "--dry-run"]), ({ code, stderr }) => {
          assert.strictEqual(code, 0)
          return stderr
        })
      const fine = yield* said("send", "id", "int:7")
      assert.notMatch(fine, /No worker|no field|without conversion/)
      assert.include(fine, "It matches 2 of 3 that wait")
      for (const terms of [
        ["*", "to", "Ada"],
        ["send", "any", "x"],
        ["send", "id", "between", "json:[1,2]"]
      ]) {
        assert.notMatch(yield* said(...terms), /No worker|no field|without conversion/, terms.join(" "))
      }
      assert.include(yield* said("sned"), 'No worker has said that it knows task "sned", only send')
      assert.include(yield* said("send", "di", "7"), 'Task "send" has no field "di" in its payload, only any, id, to')
      assert.include(yield* said("*", "di", "7"), 'No task has a field "di"')
      const wrong = yield* said("send", "id", "7")
      assert.include(wrong, 'Field "id" is number, and "7" is string')
      assert.include(wrong, "It matches 0 of 3 that wait")
      assert.deepStrictEqual(yield* shop.docket.strikes, [])
      const restored = yield* shop.run(["restore", "send"])
      assert.deepStrictEqual([restored.code, restored.stdout], [0, "Restoring send\n"])
      assert.include(restored.stderr, "was not in force")
    })
  )

  it.effect("strikes lists those in force (STR-12)", () =>
    Effect.gen(function* () {
      const shop = yield* (yield* App).shop
      const none = yield* shop.run(["strikes"])
      assert.deepStrictEqual([none.code, none.stdout], [0, ""])
      yield* shop.lines("strike", "send", "id", "int:7", "--hold")
      const lines = yield* shop.lines("strikes")
      assert.deepStrictEqual(lines[1]!.split(/ {2,}/), ["send", "id", "==", "7", "wait"])
      const [object] = yield* shop.json("strikes")
      assert.deepStrictEqual(object, { task: "send", field: "id", operator: "==", value: 7, hold: true })
    })
  )

  it.effect("a struck task is not scheduled (STR-08)", () =>
    Effect.gen(function* () {
      const shop = yield* (yield* App).shop
      yield* shop.lines("strike", "send", "id", ">", "int:5")
      const refused = yield* shop.run(["add", "send", "--payload", '{"id":6}'])
      assertSentence(refused, 1, 'A strike matches this execution of task "send"')
      const json = yield* shop.run(["add", "send", "--payload", '{"id":6}', "--json"])
      assert.strictEqual(json.code, 1)
      assert.deepInclude(JSON.parse(json.stdout), { task: "send", disposition: "struck" })
      assert.strictEqual((yield* shop.docket.snapshot()).total, 0)
      yield* shop.lines("add", "send", "--payload", '{"id":5}')
      yield* shop.lines("strike", "sleep")
      assertSentence(yield* shop.run(["tasks", "sleep", "1"]), 1, 'A strike matches this execution of task "sleep"')
    })
  )

  const refused = (terms: ReadonlyArray<string>, sentence: string) =>
    it.effect(`refuse ${terms.join(" ")} (CLI-11, CLI-13)`, () =>
      Effect.gen(function* () {
        const shop = yield* (yield* App).shop
        for (const command of ["strike", "restore"]) assertSentence(yield* shop.run([command, ...terms]), 2, sentence)
        assert.deepStrictEqual(yield* shop.docket.strikes, [])
      })
    )
  refused(["*"], "A strike needs a task or a field")
  refused(["*", "*"], "A strike needs a task or a field")
  refused(["", ""], "A strike needs a task or a field")
  refused(["send", "*", "7"], "needs the field")
  refused(["send", "id"], 'The strike on field "id" needs a value')
  refused(["send", "id", ">"], 'The strike on field "id" needs a value')
  for (const operator of ["=", "===", "<>", "in"]) {
    refused(
      ["send", "id", operator, "7"],
      `There is no operator "${operator}", only ==, !=, >, >=, <, <=, between; put what has spaces in quotes`
    )
  }
  refused(["send", "id", "==", "7", "8"], "more than one value")
  refused(["send", "id", "int:seven"], 'int: has to be followed by a whole number; it was "seven"')
  refused(["send", "id", "float:x"], "float: has to be followed by a number")
  refused(["send", "id", "bool:yes"], "bool: has to be followed by true or false")
  refused(["send", "id", "json:{"], "json: has to be followed by JSON")
  refused(["send", "id", "between", "5"], "between needs a pair as its value, as in json:[1,5]")

  it.effect("pause and resume hold a task, or everything (STR)", () =>
    Effect.gen(function* () {
      const shop = yield* (yield* App).shop
      const where = `docket "${shop.name}"`
      assert.deepStrictEqual(yield* shop.lines("pause", "sendWelcome"), [`Paused task "sendWelcome" in ${where}`])
      assert.deepStrictEqual(yield* shop.lines("pause"), [`Paused ${where}`])
      assert.deepStrictEqual(yield* shop.docket.paused, { all: true, tasks: ["sendWelcome"] })
      const resumed = yield* shop.run(["resume"])
      assert.deepStrictEqual([resumed.stdout, resumed.stderr], [`Resumed ${where}\n`, 'Still paused: "sendWelcome"\n'])
      yield* shop.lines("resume", "sendWelcome")
      assert.deepStrictEqual(yield* shop.docket.paused, { all: false, tasks: [] })
    })
  )

  it.effect("explain says in one sentence why an execution is not running, and as data (CLI-05)", () =>
    Effect.gen(function* () {
      const shop = yield* (yield* App).shop
      yield* shop.docket.addNamed("sendWelcome", { customerId: 7, greeting: "Hi" }, { key: "k", delay: "1 hour" })
      assert.match((yield* shop.lines("explain", "k")).join(), /^sendWelcome\{k\} is due at /)
      const [due] = yield* shop.json("explain", "k")
      assert.deepInclude(due, { reason: "Due", key: "k", task: "sendWelcome" })
      assert.strictEqual(Date.parse(String(due!["due"])), (yield* infoOf(shop, "k")).due.epochMilliseconds)
      yield* shop.docket.addNamed("nobodyKnowsThis", {}, { key: "n" })
      assert.include((yield* shop.lines("explain", "n")).join(), "no live worker knows its task")
      yield* shop.docket.cancel("k")
      assert.match((yield* shop.lines("explain", "k")).join(), /^sendWelcome\{k\} was cancelled/)
      assertSentence(yield* shop.run(["explain", "nobody"]), 3, 'There is no record of "nobody"')
    })
  )
})
