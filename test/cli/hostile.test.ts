/** Keys, errors and payloads that would steer a terminal, or pass for lines of a log. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Console, Effect } from "effect"
import * as Logging from "../../src/cli/logging.ts"
import * as Output from "../../src/cli/output.ts"
import { sentence } from "../../src/cli/presenter.ts"
import * as Text from "../../src/cli/text.ts"

const clear = "\u001b[2J\u001b]0;title\u0007"
const forged = "2026-01-01T00:00:00.000Z INFO docket.worker: all is well"
const hostile = `k${clear}\r\n${forged}\u009b2J\u202e`

/** What a terminal would do something with but show it. */
// eslint-disable-next-line no-control-regex
const steering = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202e]/

/** What an effect prints. */
const printed = <E, R>(effect: Effect.Effect<void, E, R>) =>
  Effect.gen(function* () {
    const texts: Array<string> = []
    const print = (...parts: ReadonlyArray<unknown>) => void texts.push(parts.join(" "))
    yield* Effect.provideService(effect, Console.Console, { ...globalThis.console, log: print, error: print })
    return texts.join("\n")
  })

describe("A terminal", () => {
  for (const loggingFormat of ["plain", "rich", "json"] as const) {
    it.effect(`SCH-09, CLI-09 is not steered by what ${loggingFormat} logs say, and no line is forged`, () =>
      Effect.gen(function* () {
        const text = yield* printed(
          Effect.logError(`failed ${hostile}`, Cause.fail(new Error(hostile, { cause: new Error(hostile) }))).pipe(
            Effect.annotateLogs({ "docket.task": hostile, "docket.key": `${hostile} 2`, tenant: hostile }),
            Effect.provide(Logging.layer({ loggingLevel: "Info", loggingFormat })),
            Effect.provide(NodeServices.layer)
          )
        )
        assert.notMatch(text, steering)
        const [first = "", ...others] = text.split("\n")
        assert.include(first, "failed k")
        for (const line of others) assert.match(line, /^ {2}/)
        if (loggingFormat === "json") {
          const { annotations, message } = JSON.parse(text)
          assert.strictEqual(message, `failed ${hostile}`)
          assert.strictEqual(annotations["docket.key"], `${hostile} 2`)
        }
      })
    )
  }

  it.effect("SCH-09 is not steered by what commands print, but for the colours that they choose", () =>
    Effect.gen(function* () {
      const red = "\u001b[38;5;196mred\u001b[0m"
      const text = yield* printed(
        Effect.andThen(Output.lines([red, hostile]), Effect.andThen(Output.json([{ hostile }]), Output.talk(hostile)))
      )
      assert.include(text, red)
      assert.notMatch(text.replaceAll(red, ""), steering)
      const json = text.split("\n").find((line) => line.startsWith("{")) ?? ""
      assert.deepStrictEqual(JSON.parse(json), { hostile })
      assert.notMatch(sentence(`failed: ${hostile}`), steering)
      assert.notMatch(sentence(`failed: ${hostile}`), /\n/)
      assert.strictEqual(Text.printable(`a\n${red}`), `a\n${red}`)
    })
  )
})
