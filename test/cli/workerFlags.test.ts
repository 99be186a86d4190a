import { assert, it } from "@effect/vitest"
import { Effect, Option } from "effect"
import { waitUntil } from "../support/waitUntil.ts"
import { App, assertSentence, infoOf } from "./app.ts"
import * as docket from "./docket.ts"

const module = docket.fixture("fallback.ts")

it.layer(App.layer(), { excludeTestServices: true })("docket worker", (it) => {
  it.effect(
    "--fallback-task runs what no module defines, with the payload as it is stored (CLI-07, UNK-02, UNK-03)",
    () =>
      Effect.gen(function* () {
        const shop = yield* (yield* App).shop
        const work = (fallback: string) =>
          shop.run(["worker", "--until-finished", "--tasks", docket.fixture("shop.ts"), "--fallback-task", fallback])
        yield* shop.docket.addNamed("unheardOf", { id: 7 }, { key: "printed" })
        const { code, stderr } = yield* work(`${module}:print`)
        assert.strictEqual(code, 0, stderr)
        assert.include(stderr, 'unheardOf got {"id":7}')
        assert.strictEqual((yield* infoOf(shop, "printed")).state, "completed")
        yield* shop.docket.addNamed("unheardOf", { id: 8 }, { key: "dropped" })
        yield* work("drop")
        assert.strictEqual((yield* infoOf(shop, "dropped")).state, "failed")
        assertSentence(yield* work(module), 2, 'its export "default" has to be a function')
        assertSentence(
          yield* work("./nowhere.ts"),
          2,
          "The fallback of ./nowhere.ts cannot be loaded: there is no such file"
        )
      })
  )

  it.effect(
    "takes each of its settings from a flag or from its variable, and refuses what they cannot be (CLI-06)",
    () =>
      Effect.gen(function* () {
        const shop = yield* (yield* App).shop
        const worker = ["worker", "--until-finished", "--tasks", docket.fixture("shop.ts")]
        for (const [flag, good, bad] of [
          ["concurrency", "3", "none"],
          ["max-deliveries", "5", "0"],
          ["redelivery-timeout", "1 minute", "a minute"],
          ["reconnection-delay", "500ms", "0"],
          ["minimum-check-interval", "0:0:01", "-1"],
          ["scheduling-resolution", "250ms", "often"]
        ] as const) {
          const variable = `DOCKET_WORKER_${flag.toUpperCase().replaceAll("-", "_")}`
          for (const [args, env, source] of [
            [(value: string) => [`--${flag}`, value], () => ({}), `--${flag}`],
            [() => [], (value: string) => ({ [variable]: value }), variable]
          ] as const) {
            const ended = yield* shop.run([...worker, ...args(good)], { env: env(good) })
            assert.strictEqual(ended.code, 0, ended.stderr)
            const refused = yield* shop.run([...worker, ...args(bad)], { env: env(bad) })
            assertSentence(refused, 2, `${source} has to be`)
            assert.include(refused.stderr, `it was "${bad}"`)
          }
        }
      })
  )

  it.effect("--no-schedule-automatic-tasks leaves automatic tasks alone, as does its variable (CLI-07, AUT-08)", () =>
    Effect.gen(function* () {
      const shop = yield* (yield* App).shop
      const worker = ["worker", "--tasks", `${module}:automatic`]
      for (const [args, env] of [
        [[...worker, "--until-finished", "--no-schedule-automatic-tasks"], {}],
        [[...worker, "--until-finished"], { DOCKET_WORKER_SCHEDULE_AUTOMATIC_TASKS: "false" }]
      ] as const) {
        const ended = yield* shop.run(args, { env })
        assert.strictEqual(ended.code, 0, ended.stderr)
        assert.deepStrictEqual(yield* shop.docket.info("nightly"), Option.none())
      }
      const running = yield* shop.start(worker)
      yield* running.until("* nightly()")
      yield* waitUntil("it is scheduled", Effect.map(shop.docket.info("nightly"), Option.isSome))
      assert.strictEqual((yield* infoOf(shop, "nightly")).state, "scheduled")
    })
  )
})
