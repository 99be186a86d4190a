/**
 * `docket watch`: follows one execution until it is settled.
 */
import * as Command from "effect/cli/Command"
import * as TerminalCapabilities from "effect/cli/TerminalCapabilities"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import { Docket } from "../../Docket.ts"
import type { DocketError } from "../../DocketError.ts"
import * as DocketStore from "../../DocketStore.ts"
import type { ExecutionEvent, ProgressChanged, StateChanged } from "../../Execution.ts"
import { keysArgument, notFound } from "./cancel.ts"
import { NotFound } from "../exits.ts"
import * as Flags from "../flags.ts"
import * as Json from "../json.ts"
import * as Live from "../live.ts"
import * as Moments from "../moments.ts"
import * as Output from "../output.ts"
import * as Payload from "../payload.ts"
import * as Store from "../store.ts"
import * as Text from "../text.ts"

/** Follows an execution. */
export const watch = Command.make(
  "watch",
  { key: keysArgument, json: Flags.json },
  Effect.fnUntraced(function* ({ json, key }) {
    const docket = yield* Docket
    const found = Option.getOrUndefined(yield* docket.info(key))
    if (found === undefined) return yield* new NotFound({ message: notFound([Text.quote(key)]) })
    const view: View = { key, docket: docket.name, task: found.task, attempt: found.attempt }
    const { canAnimate } = yield* TerminalCapabilities.TerminalCapabilities
    const show = json ? showJson : canAnimate ? showLive : showLines
    const isRead = yield* Effect.raceFirst(
      Effect.as(Effect.scoped(show(view, follow(view))), true),
      Effect.as(Live.readerGone, false)
    )
    if (!isRead) return
    if (view.state !== undefined && DocketStore.isSettled(view.state.state)) return
    return yield* new NotFound({ message: `The record of ${Text.quote(key)} is gone, so its end is not known` })
  }, Effect.provide(Store.layerShared))
).pipe(
  Command.withDescription(
    "Follow an execution until it is completed, failed or cancelled: its state, worker, attempt, error, and its " +
      "progress with the time since it started. Piped, it prints a line for each change. Lost connections are found again."
  ),
  Command.withShortDescription("Follow an execution"),
  Command.withExamples([
    { command: "docket watch welcome-7" },
    { command: "docket watch import-2026 --json", description: "Each change as an object" }
  ])
)

/** What is known of the execution. */
interface View {
  readonly key: string
  readonly docket: string
  readonly task: string
  attempt: number
  state?: StateChanged
  progress?: ProgressChanged | undefined
  /** Why there is no news at present. */
  lost?: string | undefined
}

type Changes = Stream.Stream<ExecutionEvent, DocketError, Docket>

/** Each change, after it was put into the view; begins again with the present state when the store was away. */
const follow = (view: View): Changes =>
  Stream.unwrap(Effect.map(Docket, (docket) => docket.execution(Payload.anyTask(view.task), view.key).events)).pipe(
    Stream.mapEffect(
      Effect.fnUntraced(function* (event) {
        if (event._tag === "ProgressChanged") {
          view.progress = event
        } else {
          const info = Option.getOrUndefined(yield* (yield* Docket).info(view.key))
          view.attempt = info?.attempt ?? view.attempt
          view.state = event
          if (event.state !== "running") view.progress = undefined
        }
        view.lost = undefined
        return event
      })
    ),
    // A key that recurs would go on with its next run.
    Stream.takeUntil((event) => event._tag === "StateChanged" && DocketStore.isSettled(event.state)),
    Stream.tapError((error) => Effect.sync(() => (view.lost = error.message))),
    Stream.retry(Schedule.spaced("500 millis"))
  )

const showJson = (view: View, changes: Changes) =>
  Stream.runForEach(changes, (event) =>
    Output.json([{ ...Json.event(event), ...(event._tag === "StateChanged" ? { attempt: view.attempt } : {}) }])
  )

const showLines = Effect.fnUntraced(function* (view: View, changes: Changes) {
  const time = yield* Store.StoreTime
  yield* Output.lines([`${Text.name(view.key)} in docket ${Text.quote(view.docket)}, task ${Text.safe(view.task)}`])
  let latest = ""
  yield* Stream.runForEach(changes, (event) => {
    const line = event._tag === "ProgressChanged" ? progressText(event) : stateText(view)
    if (line === latest) return Effect.void
    latest = line
    return Effect.flatMap(time, (now) => Output.lines([`${Moments.formatTimeOf(now)} ${line}`]))
  })
})

const showLive = Effect.fnUntraced(function* (view: View, changes: Changes) {
  const live = yield* Live.make
  const look = yield* Output.look
  const time = yield* Store.StoreTime
  const draw = Effect.flatMap(time, (now) => live.show({ block: (columns) => block(view, look, now, columns) }))
  yield* Effect.forkScoped(Effect.forever(Effect.andThen(Live.pause("500 millis"), draw)))
  yield* Stream.runForEach(changes, () => draw)
  yield* draw
})

const labelColumns = 9

const block = (view: View, look: Output.Look, now: number, columns: number): ReadonlyArray<string> => {
  const { progress, state } = view
  const field = (label: string, text: string, style: (text: string) => string = (text) => text) =>
    look.dim(Text.pad(label, labelColumns)) + style(Text.cut(text, columns - labelColumns - 1))
  const lines = [
    field("Key", Text.name(view.key), look.bold),
    field("Docket", Text.name(view.docket)),
    field("Task", Text.safe(view.task))
  ]
  if (state !== undefined) {
    lines.push(
      field("State", stateWithTimes(view, now), (text) => text.replace(state.state, (word) => look.word(word)))
    )
    if (state.worker !== undefined) lines.push(field("Worker", Text.safe(state.worker)))
    if (state.error !== undefined) lines.push(field("Error", Text.safe(state.error)))
    if (state.state === "running" && progress !== undefined) lines.push(barLine(progress, elapsed(state, now), columns))
  }
  if (view.lost !== undefined) lines.push(field("", `No news: ${Text.safe(view.lost)}`))
  return lines
}

const elapsed = ({ started }: StateChanged, now: number): string =>
  Moments.formatLength(started === undefined ? 0 : now - started.epochMilliseconds)

/** A progress as a bar with its share, the time that has passed, and the message: at most so many columns. */
export const barLine = (
  { current, message, total }: Pick<ProgressChanged, "current" | "total" | "message">,
  elapsed: string,
  columns: number
): string => {
  const numbers = ` ${percent(current, total)} ${current}/${total} ${elapsed}`
  const bar = Text.bar(current, total, Math.max(5, Math.min(40, columns - Text.width(numbers) - 14)))
  return Text.cut(`${bar}${numbers}${message === undefined ? "" : ` ${Text.safe(message)}`}`, columns - 1)
}

/** As in `40 %`. */
export const percent = (current: number, total: number): string =>
  `${Math.floor((Math.min(current, total) / Math.max(1, total)) * 100)} %`.padStart(5)

const progressText = ({ current, message, total }: ProgressChanged): string =>
  `progress ${current}/${total}${percent(current, total).replace(/^ */, " ")}${message === undefined ? "" : ` ${Text.safe(message)}`}`

const stateText = ({ attempt, state }: View): string => {
  if (state === undefined) return ""
  const worker = state.worker === undefined ? "" : ` on ${Text.safe(state.worker)}`
  const error = state.error === undefined ? "" : `: ${Text.safe(state.error)}`
  switch (state.state) {
    case "scheduled":
    case "queued":
      return `${state.state}, attempt ${attempt}${state.due === undefined ? "" : `, due ${Moments.formatLocal(state.due)}`}`
    case "running":
      return `running${worker}, attempt ${attempt}`
    default:
      return `${state.state}${worker}${took(state)}${error}`
  }
}

/** The state with its times as seen from now. */
const stateWithTimes = ({ attempt, state }: View, now: number): string => {
  if (state === undefined) return ""
  switch (state.state) {
    case "scheduled":
    case "queued":
      return `${state.state}, attempt ${attempt}${state.due === undefined ? "" : `, due ${Moments.format(state.due, now)}`}`
    case "running":
      return `running, attempt ${attempt}, for ${elapsed(state, now)}`
    default:
      return `${state.state}${state.completed === undefined ? "" : ` ${Moments.format(state.completed, now)}`}${took(state)}, attempt ${attempt}`
  }
}

const took = ({ completed, started }: StateChanged): string =>
  started === undefined || completed === undefined
    ? ""
    : ` after ${Moments.formatLength(completed.epochMilliseconds - started.epochMilliseconds)}`
