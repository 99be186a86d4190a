/**
 * `docket tail`: what happens in a docket, as it happens.
 */
import * as Command from "effect/cli/Command"
import * as TerminalCapabilities from "effect/cli/TerminalCapabilities"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { Docket } from "../../Docket.ts"
import type { DocketError } from "../../DocketError.ts"
import type { DocketStore } from "../../DocketStore.ts"
import type { ExecutionEvent, ExecutionInfo, FeedInterrupted, ProgressChanged, StateChanged } from "../../Execution.ts"
import { ofDocket } from "../../internal/docket/events.ts"
import * as Flags from "../flags.ts"
import * as Json from "../json.ts"
import * as Live from "../live.ts"
import * as Moments from "../moments.ts"
import * as Output from "../output.ts"
import * as Store from "../store.ts"
import * as Text from "../text.ts"
import { barLine, percent } from "./watch.ts"

/** Follows a docket. */
export const tail = Command.make(
  "tail",
  {
    task: Flags.text({ name: "task", description: "Only executions of this task", metavar: "name" }),
    json: Flags.json
  },
  Effect.fnUntraced(function* ({ json, task }) {
    const docket = yield* Docket
    const { canAnimate } = yield* TerminalCapabilities.TerminalCapabilities
    const running = makeRunning((yield* docket.snapshot()).running)
    const begin = Output.talk(`Following docket ${Text.quote(docket.name)}; Ctrl-C ends it`)
    // It says so once nothing is missed any more.
    const live = ofDocket({ ...docket.store, watchAll: Effect.tap(docket.store.watchAll, () => begin) })
    const events = Stream.filter(live, (event) => running.note(event, task))
    const show = json ? showJson : canAnimate ? showLive(running, task) : showLines
    yield* Effect.raceFirst(Effect.scoped(show(events)), Live.readerGone)
  }, Effect.provide(Store.layerShared))
).pipe(
  Command.withDescription(
    "Follow everything that happens in a docket: each change of an execution, and on a terminal the progress of what " +
      "runs. Lost connections are found again, and the gap is announced. Ctrl-C ends it."
  ),
  Command.withShortDescription("Follow the docket"),
  Command.withExamples([
    { command: "docket tail --docket shop" },
    { command: "docket tail --task sendWelcome --json | jq -r 'select(.state == \"failed\").error'" }
  ])
)

type Events = Stream.Stream<ExecutionEvent | FeedInterrupted, DocketError>

/** An execution that runs. */
interface Run {
  readonly key: string
  readonly task: string
  readonly worker: string | undefined
  readonly started: number | undefined
  attempt: number | undefined
  progress: Pick<ProgressChanged, "current" | "total" | "message"> | undefined
}

/** Keeps account of what runs, as far as events tell. */
const makeRunning = (present: ReadonlyArray<ExecutionInfo>) => {
  const runs = new Map<string, Run>()
  for (const { attempt, key, progress, started, task, worker } of present) {
    runs.set(key, { key, task, worker, attempt, started: started?.epochMilliseconds, progress })
  }
  return {
    runs,
    /** Takes note of an event, and tells whether it is about this task; any task if there is none. */
    note: (event: ExecutionEvent | FeedInterrupted, task: string | undefined): boolean => {
      if (event._tag === "FeedInterrupted") return true
      const run = runs.get(event.key)
      if (event._tag === "ProgressChanged") {
        if (run !== undefined) run.progress = event
        return task === undefined || run?.task === task
      }
      const { key, started, state, worker } = event
      if (state !== "running") runs.delete(key)
      else {
        runs.set(key, {
          key,
          task: event.task,
          worker,
          attempt: undefined,
          started: started?.epochMilliseconds,
          progress: undefined
        })
      }
      return task === undefined || event.task === task
    }
  }
}

type Running = ReturnType<typeof makeRunning>

const gap = "The connection was lost for a while: what happened meanwhile is not shown"

const showJson = (events: Events) =>
  Stream.runForEachArray(events, (chunk) => Output.json(chunk.map((event) => Json.event(event))))

const showLines = (events: Events) =>
  Effect.flatMap(Store.StoreTime, (time) =>
    Stream.runForEachArray(
      events,
      Effect.fnUntraced(function* (chunk) {
        const now = yield* time
        for (const event of chunk) {
          if (event._tag === "FeedInterrupted") yield* Output.talk(gap)
          else yield* Output.lines([lineOf(event, now)])
        }
      })
    )
  )

const stateColumns = 9

const lineOf = (event: ExecutionEvent, now: number, look?: Output.Look): string => {
  if (event._tag === "ProgressChanged") {
    const { current, key, message, total } = event
    const said = message === undefined ? "" : ` ${Text.safe(message)}`
    return `${Moments.formatTimeOf(now)} progress  ${Text.name(key)}${percent(current, total).replace(/^ */, " ")} ${current}/${total}${said}`
  }
  const { key, state, task } = event
  const word = look?.word(state) ?? state
  const space = " ".repeat(stateColumns - state.length)
  return `${Moments.formatTimeOf(now)} ${word}${space} ${Text.safe(task)} ${look?.bold(Text.name(key)) ?? Text.name(key)}${detailOf(event)}`
}

const detailOf = ({ completed, due, error, started, state, worker }: StateChanged): string => {
  switch (state) {
    case "scheduled":
      return due === undefined ? "" : ` for ${Moments.formatLocal(due)}`
    case "queued":
      return ""
    case "running":
      return worker === undefined ? "" : ` on ${Text.safe(worker)}`
    default: {
      const took =
        started === undefined || completed === undefined
          ? ""
          : ` after ${completed.epochMilliseconds - started.epochMilliseconds} ms`
      return `${took}${error === undefined ? "" : `: ${Text.safe(error)}`}`
    }
  }
}

/** How many of the running executions are shown. */
const shownRuns = 10

const showLive = (running: Running, task: string | undefined) =>
  Effect.fnUntraced(function* (events: Events) {
    const live = yield* Live.make
    const look = yield* Output.look
    const time = yield* Store.StoreTime
    const { store } = yield* Docket
    const printed: Array<string> = []
    const shown = () =>
      [...running.runs.values()].filter((run) => task === undefined || run.task === task).slice(0, shownRuns)

    const draw = Effect.gen(function* () {
      const now = yield* time
      const runs = shown()
      const more = running.runs.size - runs.length
      yield* live.show({
        above: printed.splice(0),
        block: (columns) => [
          ...(runs.length === 0 ? [] : [look.dim("─".repeat(Math.min(columns - 1, 40)))]),
          ...runs.map((run) => runLine(run, now, columns)),
          ...(more > 0 && task === undefined ? [look.dim(`and ${more} more`)] : [])
        ]
      })
    })
    yield* Effect.forkScoped(
      Effect.forever(Effect.andThen(Effect.andThen(Live.pause("200 millis"), learnAttempts(store, shown)), draw))
    )
    yield* Stream.runForEachArray(events, (chunk) =>
      Effect.map(time, (now) => {
        for (const event of chunk) {
          if (event._tag === "StateChanged") printed.push(lineOf(event, now, look))
          else if (event._tag === "FeedInterrupted") printed.push(gap)
        }
      })
    )
  })

/** Events do not tell the attempt, records do. */
const learnAttempts = Effect.fnUntraced(function* (store: DocketStore["Service"], shown: () => ReadonlyArray<Run>) {
  const runs = shown().filter(({ attempt }) => attempt === undefined)
  if (runs.length === 0) return
  const records = yield* Effect.orElseSucceed(store.read(runs.map(({ key }) => key)), () => [])
  for (const [i, run] of runs.entries()) {
    const record = Option.getOrUndefined(records[i] ?? Option.none())
    if (record !== undefined) run.attempt = record.attempt
  }
})

const runLine = ({ attempt, key, progress, started, task, worker }: Run, now: number, columns: number): string => {
  const elapsed = Moments.formatLength(started === undefined ? 0 : now - started)
  const again = attempt === undefined || attempt === 1 ? "" : `, attempt ${attempt}`
  const who = `${Text.safe(task)} ${Text.name(key)}${worker === undefined ? "" : ` on ${Text.safe(worker)}`}${again}`
  const space = Math.max(20, Math.floor(columns / 2))
  return progress === undefined || progress.current === 0
    ? Text.cut(`${who} ${elapsed}`, columns - 1)
    : `${Text.pad(Text.cut(who, columns - 1 - space), columns - 1 - space)} ${barLine(progress, elapsed, space - 1)}`
}
