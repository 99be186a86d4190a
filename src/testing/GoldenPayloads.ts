/**
 * Sample payloads of tasks in every version, kept in a file beside the tests: a change that could no longer run what is
 * scheduled already fails the test that replays them.
 *
 * **Example**
 *
 * ```ts
 * it.effect("runs what older deploys have scheduled", () => GoldenPayloads.check(tasks, "test/payloads.json"))
 * ```
 */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as Arbitrary from "effect/Arbitrary"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FileSystem from "effect/FileSystem"
import * as Schema from "effect/Schema"
import { codecOf } from "../internal/contract/codec.ts"
import { failureText } from "../internal/contract/failureText.ts"
import * as Stored from "../internal/contract/stored.ts"
import type * as Task from "../Task.ts"
import type * as TaskGroup from "../TaskGroup.ts"

/**
 * How samples are made.
 *
 * @category options
 * @since 0.1.0
 */
export interface Options {
  /** How many samples each version gets. Default: 5. */
  readonly samples?: number | undefined
  /** Other seeds make other samples. Default: 1. */
  readonly seed?: number | undefined
}

/**
 * Replays the samples of a file, and adds to it those of tasks and versions that have none. Commit the file.
 *
 * **Details**
 *
 * It is a defect, which names each problem, when a sample can no longer be read, when its task is gone, or when samples
 * are missing on a machine that has `CI` in its environment. Remove samples from the file once nothing that they stand for
 * can be scheduled any more. Samples are made from the schemas, with the same seed each time.
 *
 * @category checking
 * @since 0.1.0
 */
export const check: <T extends Task.Any>(
  tasks: TaskGroup.TaskGroup<T>,
  file: string,
  options?: Options
) => Effect.Effect<void> = Effect.fnUntraced(
  function* <T extends Task.Any>({ tasks }: TaskGroup.TaskGroup<T>, file: string, options: Options = {}) {
    const fs = yield* FileSystem.FileSystem
    const kept = (yield* fs.exists(file)) ? yield* decodeFile(yield* fs.readFileString(file)) : []
    const problems = kept.flatMap((samples) => problemsOf(samples, tasks.get(samples.task)))

    const added: Array<Samples> = []
    for (const task of tasks.values()) {
      for (let version = 1; version <= codecOf(task).version; version++) {
        if (!kept.some((samples) => samples.task === task.name && samples.version === version)) {
          added.push({ task: task.name, version, payloads: yield* sample(task, version, options) })
        }
      }
    }
    const isFixed = yield* Config.String("CI").pipe(
      Config.map((text) => text !== "" && text !== "false"),
      Config.withDefault(false)
    )
    if (isFixed) {
      problems.push(
        ...added.map(
          ({ task, version }) =>
            `There are no samples of task "${task}" in version ${version}: run this test where CI is not set, and commit ${file}`
        )
      )
    }
    if (problems.length > 0) return yield* Effect.die(new Error(problems.join("\n")))
    if (added.length > 0) yield* fs.writeFileString(file, encodeFile([...kept, ...added]))
  },
  Effect.orDie,
  Effect.provide(NodeFileSystem.layer)
)

/** Samples as JSON data. */
interface Samples {
  readonly task: string
  readonly version: number
  readonly payloads: ReadonlyArray<unknown>
}

const File = Schema.fromJsonString(
  Schema.Array(Schema.Struct({ task: Schema.String, version: Schema.Int, payloads: Schema.Array(Schema.Unknown) }))
)
const decodeFile = Schema.decodeEffect(File)
const encodeFile = (all: ReadonlyArray<Samples>): string =>
  `${JSON.stringify(all.toSorted(byTaskAndVersion), undefined, 2)}\n`

const byTaskAndVersion = (a: Samples, b: Samples) =>
  a.task === b.task ? a.version - b.version : a.task < b.task ? -1 : 1

const problemsOf = ({ payloads, task: name, version }: Samples, task: Task.Any | undefined): Array<string> => {
  if (task === undefined) return [`There is no task "${name}" any more: executions of it would wait for ever`]
  const { decodePayload, version: newest } = codecOf(task)
  if (version > newest) return [`Task "${name}" reads no payloads in version ${version} any more`]
  return payloads.flatMap((payload) => {
    const text = JSON.stringify(payload)
    const decoded = decodePayload(Stored.write(text, version === 1 ? undefined : { version }))
    return Exit.isSuccess(decoded)
      ? []
      : [
          `Task "${name}" can no longer read a payload in version ${version}: ${text}: ${failureText(decoded.cause)}\n` +
            "Keep the schema as it was, or name it as an earlier version with Task.earlier"
        ]
  })
}

const sample = (task: Task.Any, version: number, { samples = 5, seed = 1 }: Options) => {
  const schema = task.behaviour.earlier[version - 1]?.schema ?? task.payloadSchema
  const encode = Schema.encodeUnknownEffect(Schema.toCodecJson(schema))
  return Effect.flatMap(
    Arbitrary.sampleEffect(Arbitrary.schema(schema), { count: samples, seed }),
    Effect.forEach((payload) => encode(payload))
  )
}
