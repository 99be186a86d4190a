/** Sample payloads in a file that the tests of an application replay. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, ConfigProvider, Effect, Exit, Schema } from "effect"
import * as Fs from "node:fs/promises"
import * as Os from "node:os"
import * as Path from "node:path"
import { Task, TaskGroup } from "../../src/index.ts"
import { GoldenPayloads } from "../../src/testing/index.ts"

const First = Task.make("welcome", { payload: { name: Schema.String, since: Schema.DateTimeUtc } })
const Second = Task.make("welcome", {
  payload: { first: Schema.String, last: Schema.String },
  earlier: [Task.earlier({ name: Schema.String, since: Schema.DateTimeUtc }, ({ name }) => ({ first: name, last: "" }))]
})
const Changed = Task.make("welcome", { payload: { first: Schema.String, last: Schema.String } })
const Echo = Task.make("echo", { payload: Schema.Array(Schema.Int) })

const atHome = Effect.provide(ConfigProvider.layer(ConfigProvider.fromUnknown({})))
const inCi = Effect.provide(ConfigProvider.layer(ConfigProvider.fromUnknown({ CI: "true" })))

const makeFile = Effect.map(
  Effect.acquireRelease(
    Effect.promise(() => Fs.mkdtemp(Path.join(Os.tmpdir(), "docket-payloads-"))),
    (directory) => Effect.promise(() => Fs.rm(directory, { recursive: true, force: true }))
  ),
  (directory) => {
    const path = Path.join(directory, "payloads.json")
    return {
      path,
      read: Effect.promise(
        async (): Promise<ReadonlyArray<{ task: string; version: number; payloads: Array<unknown> }>> =>
          JSON.parse(await Fs.readFile(path, "utf8"))
      )
    }
  }
)

const problemsOf = <A>(check: Effect.Effect<A>) =>
  Effect.map(Effect.exit(check), (exit) => {
    assert(Exit.isFailure(exit), "nothing is wrong")
    const defect = Cause.squash(exit.cause)
    assert(defect instanceof Error)
    return defect.message
  })

describe("Golden payloads", () => {
  it.effect("are written once, the same each time, and replayed from then on", () =>
    Effect.gen(function* () {
      const one = yield* makeFile
      const other = yield* makeFile
      const tasks = TaskGroup.make(First, Echo)
      yield* GoldenPayloads.check(tasks, one.path)
      yield* GoldenPayloads.check(tasks, other.path)
      const samples = yield* one.read
      assert.deepStrictEqual(samples, yield* other.read)
      assert.deepStrictEqual(
        samples.map(({ payloads, task, version }) => [task, version, payloads.length]),
        [
          ["echo", 1, 5],
          ["welcome", 1, 5]
        ]
      )
      yield* inCi(GoldenPayloads.check(tasks, one.path))
      assert.deepStrictEqual(yield* one.read, samples)
    }).pipe(atHome)
  )

  it.effect("of an earlier version stay, and those of a new one are added", () =>
    Effect.gen(function* () {
      const { path, read } = yield* makeFile
      yield* GoldenPayloads.check(TaskGroup.make(First), path, { samples: 2 })
      const [first] = yield* read
      yield* GoldenPayloads.check(TaskGroup.make(Second), path, { samples: 2 })
      const samples = yield* read
      assert.deepStrictEqual(samples[0], first)
      assert.strictEqual(samples[1]?.version, 2)
      assert.strictEqual(samples[1]?.payloads.length, 2)
    }).pipe(atHome)
  )

  it.effect("fail a change that could not run what is scheduled, and say what to do", () =>
    Effect.gen(function* () {
      const { path } = yield* makeFile
      yield* GoldenPayloads.check(TaskGroup.make(First), path, { samples: 1 })
      const changed = yield* problemsOf(GoldenPayloads.check(TaskGroup.make(Changed), path))
      assert.include(changed, 'Task "welcome" can no longer read a payload in version 1: {"name":')
      assert.include(changed, "Task.earlier")
      assert.include(
        yield* problemsOf(GoldenPayloads.check(TaskGroup.make(Echo), path)),
        'There is no task "welcome" any more'
      )
      yield* GoldenPayloads.check(TaskGroup.make(Second), path)
      assert.include(
        yield* problemsOf(GoldenPayloads.check(TaskGroup.make(First), path)),
        'Task "welcome" reads no payloads in version 2 any more'
      )
    }).pipe(atHome)
  )

  it.effect("that were never written fail where CI is set", () =>
    Effect.gen(function* () {
      const { path } = yield* makeFile
      assert.include(
        yield* problemsOf(GoldenPayloads.check(TaskGroup.make(First), path)),
        'There are no samples of task "welcome" in version 1'
      )
    }).pipe(inCi)
  )
})
