/**
 * What the forms of the pages do: all of it through the operations of the HTTP API, which ask for the caller's role.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import type { Docket } from "../Docket.ts"
import type { ExecutionRecord } from "../DocketStore.ts"
import { failWith } from "../internal/docket/docketError.ts"
import type { Operations } from "../http/operations.ts"
import * as Problems from "../http/problems.ts"
import type * as Task from "../Task.ts"
import { link, unpacked } from "./html.ts"
import type { Keeper } from "./keeping.ts"
import type { Look } from "./look.ts"
import { type Said, undoMillis } from "./notices.ts"
import { found } from "./pages/executions.ts"
import { type Given, payloadOf, type Pending } from "./pages/forms.ts"
import * as Search from "./search.ts"
import { strikeOf } from "./strikes.ts"
import * as Words from "./words.ts"

/** What came of an action: another page, with something to say on it or not; or the form again, with what was wrong. */
export type Outcome =
  | { readonly _tag: "Done"; readonly path: string; readonly said: Said }
  | { readonly _tag: "Ask"; readonly pending: Pending }
  | { readonly _tag: "Again"; readonly given: Given }

/** What actions work on. */
export interface Desk {
  readonly docket: Docket["Service"]
  readonly operations: Operations
  readonly tasks: ReadonlyMap<string, Task.Any>
  /** A fresh look. */
  readonly look: Effect.Effect<Look, Problems.Unavailable>
  readonly pending: Keeper<Pending>
  readonly said: Keeper<Said>
}

const done = (path: string, text: string, undo?: Said["undo"]): Outcome => ({
  _tag: "Done",
  path,
  said: { text, undo }
})

const invalid = (detail: string) => new Problems.InvalidRequest({ detail })

/** Where a form came from. */
const backOf = (form: URLSearchParams, keys: ReadonlyArray<string>): string => {
  switch (form.get("from")) {
    case "execution":
      return link("/execution", { key: keys[0] })
    case "failed":
      return "/failed"
    case "holds":
      return "/holds"
    case "schedule":
      return "/schedule"
    default:
      return form.has("q") ? link("/executions", { q: unpacked(form.get("q") ?? "") }) : ""
  }
}

const isLive = ({ state }: ExecutionRecord) => state === "running" || state === "queued" || state === "scheduled"

/** Does what a form asks for. */
export const act = Effect.fnUntraced(function* (desk: Desk, form: URLSearchParams) {
  const { docket, operations } = desk
  const { name } = docket
  const action = form.get("action") ?? ""

  /** Those that were ticked, or all that match, as they are now. */
  const chosen = Effect.gen(function* () {
    if (form.get("scope") === "all") {
      const search = Search.parse(unpacked(form.get("q") ?? "") ?? "")
      return found(yield* desk.look, search, [])
    }
    const keys = form.getAll("key").flatMap((key) => unpacked(key) ?? [])
    const records = yield* failWith(docket.store.read(keys)).pipe(
      Effect.mapError(({ message }) => new Problems.Unavailable({ detail: message }))
    )
    return records.flatMap((record) => Option.toArray(record))
  })

  const ask = Effect.fnUntraced(function* (kind: "cancel" | "discard") {
    const all = yield* chosen
    const fitting = all.filter((record) => (kind === "cancel" ? isLive(record) : record.state === "failed"))
    const back = backOf(
      form,
      all.map(({ key }) => key)
    )
    if (fitting.length === 0) {
      return done(back, kind === "cancel" ? "Nothing of that is live" : "Nothing of that has failed for good")
    }
    return yield* asked(kind, fitting, all.length - fitting.length, back)
  })

  const asked = Effect.fnUntraced(function* (
    kind: Pending["action"],
    records: ReadonlyArray<ExecutionRecord>,
    left: number,
    back: string,
    count = records.length
  ) {
    const tasks = new Map<string, number>()
    for (const { task } of records) tasks.set(task, (tasks.get(task) ?? 0) + 1)
    const outcome: Outcome = {
      _tag: "Ask",
      pending: {
        action: kind,
        keys: kind === "clear" ? [] : records.map(({ key }) => key),
        tasks: kind === "clear" ? [] : [...tasks].toSorted(([, a], [, b]) => b - a).slice(0, 8),
        count,
        left,
        at: (yield* desk.look).taken,
        back
      }
    }
    return outcome
  })

  /** What was asked about, if it was confirmed. */
  const confirmed = Effect.fnUntraced(function* (kind: Pending["action"]) {
    const kept = yield* desk.pending.find(form.get("pending"))
    if (kept === undefined || kept.value.action !== kind) {
      return yield* invalid("This question is too old, or was answered before: choose again what to do")
    }
    const pending = kept.value
    const isOne = kind === "cancel" && pending.count === 1
    if (!isOne && Number((form.get("count") ?? "").trim()) !== pending.count) {
      return yield* invalid(`The number that was typed is not ${pending.count}: nothing was done`)
    }
    yield* desk.pending.take(form.get("pending"))
    return pending
  })

  switch (action) {
    case "retry": {
      const all = yield* chosen
      const failures = all.filter(({ state }) => state === "failed")
      const { count, keys, struck } = yield* operations.retryKeys(
        name,
        failures.map(({ key }) => key)
      )
      const left = all.length - count - struck
      const back = backOf(
        form,
        all.map(({ key }) => key)
      )
      const text = [
        count === 0 ? "Retried nothing" : `Retried ${Words.count(count, "execution")}`,
        struck === 0 ? [] : `${Words.count(struck, "other")} ${struck === 1 ? "is" : "are"} refused by a strike`,
        left === 0 ? [] : `${Words.count(left, "other")} had not failed`
      ]
        .flat()
        .join("; ")
      return done(
        back,
        text,
        count === 0
          ? undefined
          : undoOf(
              desk,
              failures.filter(({ key }) => keys.includes(key))
            )
      )
    }
    case "undo": {
      const kept = yield* desk.said.take(form.get("notice"))
      const isLate = kept !== undefined && (yield* Clock.currentTimeMillis) - kept.at > undoMillis
      if (kept?.value.undo === undefined || isLate) return done("", "That can no longer be undone")
      return done("/failed", yield* kept.value.undo.run)
    }
    case "ask-cancel":
      return yield* ask("cancel")
    case "ask-discard":
      return yield* ask("discard")
    case "ask-clear": {
      const { queued, scheduled } = (yield* desk.look).depth
      if (queued + scheduled === 0) return done("/executions", "Nothing waits")
      return yield* asked("clear", [], 0, "/executions", queued + scheduled)
    }
    case "cancel": {
      const { back, keys } = yield* confirmed("cancel")
      const { count } = yield* operations.cancelKeys(name, keys)
      return done(back, `Cancelled ${Words.count(count, "execution")}`)
    }
    case "discard": {
      const { back, keys } = yield* confirmed("discard")
      const { count } = yield* operations.discardKeys(name, keys)
      return done(back.startsWith("/execution?") ? "/failed" : back, `Discarded ${Words.count(count, "execution")}`)
    }
    case "clear": {
      const { count: expected } = yield* confirmed("clear")
      const { count } = yield* operations.clear(name, { expected })
      return done("/executions", `Cleared ${Words.count(count, "execution")}`)
    }
    case "run-now": {
      const key = unpacked(form.get("key") ?? "") ?? ""
      yield* operations.run(name, key)
      return done(backOf(form, [key]), `${key} is due now`)
    }
    case "restore": {
      const id = unpacked(form.get("strike") ?? "")
      const strike = (yield* operations.strikes(name)).find((strike) => strike.id === id)
      if (strike === undefined) return done("/holds", "It is not in force any more")
      const { field, hold, operator, task, value } = strike
      if (hold && field === undefined) yield* operations.resume(name, { task })
      else
        yield* operations.restore(name, { task, field, operator, value: field === undefined ? undefined : value, hold })
      return done(
        form.get("from") === "holds" ? "/holds" : "",
        hold && field === undefined ? `Resumed ${task ?? "everything"}` : `Restored ${String(strike)}`
      )
    }
    case "strike": {
      const get = (field: string) => form.get(field) ?? ""
      const strike = strikeOf({
        task: get("task"),
        field: get("field"),
        operator: get("operator"),
        value: get("value"),
        mode: get("mode")
      })
      const { field, hold, operator, task, value } = strike
      if (hold && field === undefined) yield* operations.pause(name, { task })
      else
        yield* operations.strike(name, { task, field, operator, value: field === undefined ? undefined : value, hold })
      return done(
        "/holds",
        hold && field === undefined
          ? `Paused ${task ?? "everything"}`
          : `${hold ? "Holding" : "Refusing"} ${String(strike)}`
      )
    }
    case "add": {
      const task = form.get("task") ?? ""
      const payload = payloadOf(form, desk.tasks.get(task))
      const again = (problem: string): Outcome => ({ _tag: "Again", given: { values: form, problem } })
      if (Result.isFailure(payload)) return again(payload.failure)
      const isReplacement = form.get("replace") === "yes"
      const plain = form.get("plainKey")
      const key = isReplacement ? unpacked(form.get("key") ?? "") : plain === null || plain === "" ? undefined : plain
      const input = {
        task,
        payload: payload.success,
        key,
        delayMillis: Math.max(0, Math.round(1000 * Number(form.get("delay") ?? 0)) || 0)
      }
      return yield* (isReplacement ? operations.replace(name, input) : operations.add(name, input)).pipe(
        Effect.map(({ disposition, key }) =>
          disposition === "struck"
            ? again("A strike matches it, so it was not scheduled")
            : done(
                link("/execution", { key }),
                disposition === "already-scheduled"
                  ? "It was live already: nothing was changed"
                  : disposition === "replaced"
                    ? "Replaced"
                    : "Added"
              )
        ),
        Effect.catchTag("InvalidRequest", ({ detail, errors = [] }) =>
          Effect.succeed(
            again(
              [detail ?? "", ...errors.map(({ message, path }) => `${path.slice(1).join(".")}: ${message}`)].join(". ")
            )
          )
        )
      )
    }
    default:
      return yield* invalid(`There is no action ${JSON.stringify(action)}`)
  }
})

/** How a retry is undone. */
const undoOf = (desk: Desk, failures: ReadonlyArray<ExecutionRecord>): Said["undo"] => ({
  label: `Undo ${failures.length === 1 ? "it" : `all ${Words.number(failures.length)}`}`,
  run: Effect.map(desk.operations.undoRetry(desk.docket.name, failures), ({ count }) => {
    const left = failures.length - count
    return `${count === 0 ? "Undone nothing" : `Undone for ${Words.count(count, "execution")}`}${left === 0 ? "" : `; ${Words.count(left, "other")} had started`}`
  })
})
