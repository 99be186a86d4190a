/** What tests of commands share: a Redis of their own, dockets on it, and the command run against one of them. */
import { assert } from "@effect/vitest"
import { Context, Effect, Layer, Logger, Option, type Scope } from "effect"
import { type Docket, type DocketError, Dockets } from "../../src/index.ts"
import * as RedisServer from "../support/RedisServer.ts"
import * as docket from "./docket.ts"

export interface Shop {
  readonly name: string
  readonly docket: Docket["Service"]
  /** Settings with which the command finds the docket. */
  readonly env: Readonly<Record<string, string>>
  readonly start: (
    args: ReadonlyArray<string>,
    options?: docket.Options
  ) => Effect.Effect<docket.Running, never, Scope.Scope>
  readonly run: (args: ReadonlyArray<string>, options?: docket.Options) => Effect.Effect<docket.Ended>
  /** Runs a command that has to end with 0, and gives its lines on standard output. */
  readonly lines: (...args: ReadonlyArray<string>) => Effect.Effect<ReadonlyArray<string>>
  /** Runs a command that has to end with 0, and gives the objects that it prints. */
  readonly json: (...args: ReadonlyArray<string>) => Effect.Effect<ReadonlyArray<Record<string, unknown>>>
  /** Runs all there is to run, with the tasks of the fixture `shop.ts`. */
  readonly work: Effect.Effect<docket.Ended>
}

export class App extends Context.Service<
  App,
  {
    readonly redis: RedisServer.RedisServer["Service"]
    /** A docket of its own for a test. */
    readonly shop: Effect.Effect<Shop, DocketError, Scope.Scope>
  }
>()("effect-docket/test/cli/App") {
  static readonly layer = (options?: RedisServer.Options) =>
    Layer.effect(
      App,
      Effect.gen(function* () {
        const redis = yield* RedisServer.make(options)
        let shops = 0
        return App.of({ redis, shop: Effect.suspend(() => open(redis.url, `shop-${++shops}`)) })
      })
      // What the test itself does with a docket is not to be printed.
    ).pipe(Layer.provideMerge(Logger.layer([])))
}

/** Opens a docket, here and for commands. */
export const open: (url: string, name: string) => Effect.Effect<Shop, DocketError, Scope.Scope> = Effect.fnUntraced(
  function* (url, name) {
    const env = { DOCKET_URL: url, DOCKET_NAME: name, TZ: "UTC" }
    const withEnv = (options: docket.Options = {}) => ({ ...options, env: { ...env, ...options.env } })
    const run: Shop["run"] = (args, options) => docket.run(args, withEnv(options))
    const output = Effect.fnUntraced(function* (args: ReadonlyArray<string>) {
      const { code, stderr, stdout } = yield* run(args)
      assert.strictEqual(code, 0, stderr)
      return stdout === "" ? [] : stdout.replace(/\n$/, "").split("\n")
    })
    return {
      name,
      env,
      docket: yield* Dockets.make({ url, name }),
      start: (args, options) => docket.start(args, withEnv(options)),
      run,
      lines: (...args) => output(args),
      json: (...args) => Effect.map(output([...args, "--json"]), (lines) => lines.map((line) => JSON.parse(line))),
      work: run(["worker", "--until-finished", "--tasks", docket.fixture("shop.ts")])
    }
  }
)

/** The record of an execution that has to be there. */
export const infoOf = Effect.fnUntraced(function* ({ docket }: Shop, key: string) {
  const info = Option.getOrUndefined(yield* docket.info(key))
  assert(info !== undefined, `there is no execution ${key}`)
  return info
})

/** The only thing that a command said: one sentence on standard error, without a stack trace. */
export const assertSentence = (ended: docket.Ended, code: number, sentence: string | RegExp): void => {
  assert.deepStrictEqual([ended.code, ended.stdout], [code, ""], ended.stderr)
  assert.match(ended.stderr, /^docket[^\n]*\n$/)
  assert.notInclude(ended.stderr, "    at ")
  if (typeof sentence === "string") assert.include(ended.stderr, sentence)
  else assert.match(ended.stderr, sentence)
}
