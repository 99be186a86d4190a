/**
 * `docket show`: everything that is kept about one execution.
 */
import * as Command from "effect/cli/Command"
import type * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { Docket } from "../../Docket.ts"
import type { ExecutionRecord } from "../../DocketStore.ts"
import type { Attempt, PastRun } from "../../Execution.ts"
import { failWith } from "../../internal/docket/docketError.ts"
import { attemptOf, infoOf, pastRunOf } from "../../internal/docket/info.ts"
import * as KeptResults from "../../internal/docket/keptResults.ts"
import { shown } from "../../internal/contract/redaction.ts"
import { keysArgument, notFound } from "./cancel.ts"
import { NotFound } from "../exits.ts"
import * as Flags from "../flags.ts"
import * as Json from "../json.ts"
import * as Moments from "../moments.ts"
import * as Output from "../output.ts"
import * as Store from "../store.ts"
import * as Text from "../text.ts"

/** Shows an execution. */
export const show = Command.make(
  "show",
  { key: keysArgument, json: Flags.json },
  Effect.fnUntraced(function* ({ json, key }) {
    const { store } = yield* Docket
    const [records, attempts, runs] = yield* failWith(
      Effect.all([store.read([key]), store.attempts(key), store.runs(key)], { concurrency: 3 })
    )
    const record = Option.getOrUndefined(records[0] ?? Option.none())
    if (record === undefined) return yield* new NotFound({ message: notFound([Text.quote(key)]) })
    if (json) return yield* Output.json([jsonOf(record, attempts.map(attemptOf), runs.map(pastRunOf))])
    yield* print(record, attempts.map(attemptOf), runs.map(pastRunOf))
  }, Effect.provide(Store.layerShared))
).pipe(
  Command.withDescription(
    "Show what is kept about an execution: its record, payload, progress, failed attempts with their errors, and result. " +
      "A settled one is kept for 15 minutes, one that failed for 7 days, unless configured otherwise."
  ),
  Command.withShortDescription("Show an execution"),
  Command.withExamples([
    { command: "docket show welcome-7" },
    { command: "docket show welcome-7 --json | jq .payload" }
  ])
)

const print = Effect.fnUntraced(function* (
  record: ExecutionRecord,
  attempts: ReadonlyArray<Attempt>,
  runs: ReadonlyArray<PastRun>
) {
  const { columns, dim, word } = yield* Output.look
  const now = yield* yield* Store.StoreTime
  const info = infoOf(record)
  const when = (moment: DateTime.Utc | undefined) =>
    moment === undefined ? undefined : `${Moments.formatLocal(moment)}${near(moment, now)}`
  const { progress } = info
  const fields: ReadonlyArray<readonly [string, string | undefined]> = [
    ["Key", Text.name(info.key)],
    ["Task", Text.safe(info.task)],
    ["State", word(info.state)],
    ["Due", when(info.due)],
    ["Started", when(info.started)],
    [info.state === "completed" ? "Completed" : "Ended", when(info.completed)],
    ["Worker", info.worker && Text.safe(info.worker)],
    ["Attempt", String(info.attempt)],
    ["Deliveries", info.deliveries > 1 ? String(info.deliveries) : undefined],
    ["Progress", progress && progressText(progress.current, progress.total, progress.message)],
    ["Payload", Text.safe(shown(info.encodedPayload))],
    ["Result", record.result && resultText(record.result)],
    ["Error", info.error && Text.safe(info.error)],
    ["Failure", record.failure && Text.safe(shown(record.failure))]
  ]
  yield* Output.lines(
    fields.flatMap(([title, text]) => (text === undefined || text === "" ? [] : `${dim(Text.pad(title, 11))}${text}`))
  )
  if (runs.length > 0) {
    yield* Output.lines(["", runs.length === 1 ? "The last run:" : `The last ${runs.length} runs, oldest first:`])
    yield* Output.lines(
      Text.table(
        [
          { title: "Started" },
          { title: "Took", numeric: true },
          { title: "Worker", minimum: 8 },
          { title: "Ended", minimum: 9 },
          { title: "Error", minimum: 20 }
        ],
        runs.map(({ ended, error, started, state, worker }) => [
          Moments.format(started, now),
          `${Math.max(0, ended.epochMilliseconds - started.epochMilliseconds)} ms`,
          Text.safe(worker),
          state,
          Text.safe(error ?? "")
        ]),
        columns,
        dim
      )
    )
  }
  if (attempts.length === 0) return
  yield* Output.lines([
    "",
    attempts.length === 1 ? "1 failed attempt:" : `${attempts.length} failed attempts, oldest first:`
  ])
  yield* Output.lines(
    Text.table(
      [
        { title: "Attempt", numeric: true },
        { title: "Started" },
        { title: "Took", numeric: true },
        { title: "Worker", minimum: 8 },
        { title: "Error", minimum: 20 }
      ],
      attempts.map(({ attempt, ended, error, started, worker }) => [
        String(attempt),
        Moments.format(started, now),
        `${Math.max(0, ended.epochMilliseconds - started.epochMilliseconds)} ms`,
        Text.safe(worker),
        Text.safe(error)
      ]),
      columns,
      dim
    )
  )
})

const resultText = (result: string): string =>
  KeptResults.isReference(result) ? "kept in a result store of the app's own" : Text.safe(shown(result))

/** The time from now, where the date does not tell it at a glance. */
const near = (moment: DateTime.Utc, now: number): string => {
  const told = Moments.format(moment, now)
  return /^in | ago$/.test(told) ? ` (${told})` : ""
}

/** Progress in words. */
export const progressText = (current: number, total: number, message: string | undefined): string =>
  `${current}/${total}${message === undefined || message === "" ? "" : ` ${Text.safe(message)}`}`

const jsonOf = (record: ExecutionRecord, attempts: ReadonlyArray<Attempt>, runs: ReadonlyArray<PastRun>) => ({
  ...Json.execution(infoOf(record)),
  result: record.result !== undefined && KeptResults.isReference(record.result) ? undefined : Json.data(record.result),
  failure: Json.data(record.failure),
  runs: runs.map(({ ended, error, started, state, worker }) => ({
    worker,
    started: Json.moment(started),
    ended: Json.moment(ended),
    state,
    error
  })),
  attempts: attempts.map(({ attempt, ended, error, started, worker }) => ({
    attempt,
    worker,
    started: Json.moment(started),
    ended: Json.moment(ended),
    error
  }))
})
