/**
 * `docket cancel`: cancels executions by key.
 */
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { Docket } from "../../Docket.ts"
import type { State } from "../../DocketStore.ts"
import { failWith } from "../../internal/docket/docketError.ts"
import { NotFound } from "../exits.ts"
import * as Output from "../output.ts"
import * as Store from "../store.ts"
import * as Text from "../text.ts"

/** The keys of a command that takes several. */
export const keysArgument = Argument.String("KEY").pipe(Argument.withDescription("The key of an execution"))

/** Cancels executions. */
export const cancel = Command.make(
  "cancel",
  { keys: Argument.atLeast(keysArgument, 1) },
  Effect.fnUntraced(function* ({ keys }) {
    const { store } = yield* Docket
    const before = yield* failWith(store.read(keys))
    yield* failWith(store.cancel(keys))
    const isAnyRunning = before.some((record) => Option.isSome(record) && record.value.state === "running")
    const silent = new Set(isAnyRunning ? (yield* failWith(store.silentWorkers)).map(({ name }) => name) : [])
    const unknown: Array<string> = []
    for (const [i, key] of keys.entries()) {
      const record = Option.getOrUndefined(before[i] ?? Option.none())
      if (record === undefined) unknown.push(Text.quote(key))
      else
        yield* Output.lines([
          whatHappened(record.state, Text.quote(key), silent.has(record.worker ?? "") ? record.worker : undefined)
        ])
    }
    if (unknown.length > 0) return yield* new NotFound({ message: notFound(unknown) })
  }, Effect.provide(Store.layerShared))
).pipe(
  Command.withDescription(
    "Cancel executions. One that waits never runs; the handler of one that runs is interrupted, wherever that is. " +
      "What is settled stays as it is."
  ),
  Command.withShortDescription("Cancel executions"),
  Command.withExamples([{ command: "docket cancel welcome-7 welcome-8" }])
)

/** Says that keys, which are quoted already, are unknown. */
export const notFound = (keys: ReadonlyArray<string>): string =>
  `There is no execution ${keys.join(", ")}: never scheduled, or settled and forgotten`

const whatHappened = (state: State, key: string, silent: string | undefined): string => {
  switch (state) {
    case "scheduled":
    case "queued":
      return `Cancelled ${key}`
    case "running":
      return silent === undefined
        ? `Cancelled ${key}, which was running: its worker interrupts it`
        : `Cancelled ${key}, which was running on ${Text.quote(silent)}: that worker fell silent, so if it still runs nobody interrupts it`
    default:
      return `${key} is ${state} already, and stays so`
  }
}
