/**
 * Pages that are lists: what failed, the schedule, limits, holds, workers; and the keys of the keyboard.
 */
import * as Cron from "effect/Cron"
import type { ExecutionRecord } from "../../DocketStore.ts"
import * as ControlValue from "../../internal/contract/controlValue.ts"
import { dataOf } from "../../http/wire.ts"
import { judge } from "../../Strike.ts"
import type * as Task from "../../Task.ts"
import { isLate } from "../findings.ts"
import { byTask, failures } from "../groups.ts"
import { type Content, html, type Html, link, packed } from "../html.ts"
import { type Look, listed } from "../look.ts"
import { slots, spark, time } from "../parts.ts"
import { recurrenceInWords } from "../recurrences.ts"
import { strikeOf } from "../strikes.ts"
import { may, type Page, quoted, toExecution, toTask, type View } from "../view.ts"
import * as Words from "../words.ts"

/** What failed, by error. */
export const failed = (view: View, look: Look): Page => {
  const groups = failures(look.failed)
  const total = look.failed.length
  const isPartial = total >= listed
  const all = Words.atLeast(total, isPartial)
  const keysOf = (records: ReadonlyArray<ExecutionRecord>) =>
    records.map(({ key }) => html`<input type="hidden" name="key" value="${packed(key)}" />`)
  return {
    title: `${all} failed`,
    crumb: "Failed",
    heading:
      total === 0
        ? "Nothing has failed for good"
        : html`${all} execution${total === 1 ? "" : "s"} failed for good, with ${Words.count(groups.length, "kind")} of
          error`,
    body:
      total === 0
        ? html`<section class="sheet empty">
            <h2>What fails for good is kept here for ${Words.length(view.docket.settings.failedTtlMillis)}</h2>
            <p>Attempts that are followed by another one are not among it.</p>
          </section>`
        : html`<section class="sheet" aria-label="By error">
              ${groups.slice(0, 50).map(
                (group) =>
                  html` <article
                    class="group"
                    id="group-${encodeURIComponent(group.task)}-${encodeURIComponent(group.error.slice(0, 80))}"
                  >
                    <p class="count">${Words.number(group.records.length)}</p>
                    <div>
                      <h2><bdi>${group.error}</bdi></h2>
                      <p class="soft">
                        ${toTask(view, group.task)} ·
                        ${group.records.length > 1 && html`first ${time(group.first, look.taken)}, `}last
                        ${Words.length(look.taken - group.last)} ago · ${attemptsOf(group.records)}
                      </p>
                    </div>
                    <div>${overTime(group.records, look.taken)} <span class="soft small">last hour</span></div>
                    <form class="actions" method="post" action="${view.base}/do">
                      <input
                        type="hidden"
                        name="from"
                        value="failed"
                      />${keysOf(group.records)}${may(view, "retry") && html`<button class="primary" name="action" value="retry">Retry ${Words.number(group.records.length)}</button>`}${may(view, "admin") && html`<button class="quiet" name="action" value="ask-discard">Discard…</button>`}
                    </form>
                    <details class="full">
                      <summary class="small">
                        Latest ${Math.min(3, group.records.length)} of ${Words.number(group.records.length)}
                      </summary>
                      <ul class="small">
                        ${group.records.slice(0, 3).map(
                          (record) =>
                            html`<li>
                              ${toExecution(view, record.key)}
                              <span class="soft"
                                >failed ${Words.length(look.taken - (record.completed ?? record.due))}
                                ago${record.worker !== undefined && html` on <bdi>${record.worker}</bdi>`}</span
                              >
                            </li>`
                        )}
                        <li>
                          <a href="${link(`${view.base}/executions`, { q: `task:${quoted(group.task)} state:failed` })}"
                            >All that failed of ${group.task}</a
                          >
                        </li>
                      </ul>
                    </details>
                  </article>`
              )}
            </section>
            <section class="bar" aria-label="All">
              <form class="actions" method="post" action="${view.base}/do">
                <input type="hidden" name="from" value="failed" /><input type="hidden" name="scope" value="all" /><input
                  type="hidden"
                  name="q"
                  value="${packed("state:failed")}"
                />${may(view, "retry") && html`<button name="action" value="retry">Retry all ${all}</button>`}${may(view, "admin") && html`<button class="quiet" name="action" value="ask-discard">Discard all ${all}…</button>`}
              </form>
              <span class="soft small">A retry can be undone for 10 s; what is discarded is gone</span>
            </section>`
  }
}

const attemptsOf = (records: ReadonlyArray<ExecutionRecord>): string => {
  const most = Math.max(...records.map(({ attempt }) => attempt))
  return `${Words.count(most, "attempt")}${records.length > 1 ? " at most" : ""}`
}

/** When executions failed within the last hour. */
const overTime = (records: ReadonlyArray<ExecutionRecord>, now: number): Html => {
  const bars = 24
  const span = 3_600_000 / bars
  const counts = Array.from({ length: bars }, () => 0)
  for (const { completed, due } of records) {
    const age = Math.floor((now - (completed ?? due)) / span)
    if (age >= 0 && age < bars) counts[bars - 1 - age]! += 1
  }
  const sum = counts.reduce((a, b) => a + b, 0)
  return spark(
    `${Words.number(sum)} failed in the last hour`,
    counts.map((value) => ({ value, isBad: true }))
  )
}

/** Recurring tasks, and what comes next. */
export const schedule = (view: View, look: Look): Page => {
  const recurring = [...view.tasks.values()].filter(({ behaviour }) => behaviour.recurrence !== undefined)
  const later = look.waiting
    .filter(({ due, state }) => state === "scheduled" && due > look.taken)
    .toSorted((a, b) => a.due - b.due)
  const next = later[0]
  const nextOf = ({ name }: Task.Any) => later.find(({ task }) => task === name)
  return {
    title: "Schedule",
    crumb: "Schedule",
    heading:
      next === undefined
        ? "Nothing is scheduled for later"
        : html`<bdi>${next.task}</bdi> is next, in ${Words.length(next.due - look.taken)};
            ${Words.count(look.depth.scheduled, "execution")} in all`,
    body: html`${
        recurring.length > 0 &&
        html`<section aria-labelledby="recurring">
            <h2 id="recurring" class="title">What recurs</h2>
            <div class="sheet scroll">
              <table>
                <thead>
                  <tr>
                    <th scope="col">Task, and when it runs</th>
                    <th scope="col" class="num p2">Next, UTC</th>
                    <th scope="col" class="num">In</th>
                    <th scope="col"><span class="vh">Actions</span></th>
                  </tr>
                </thead>
                <tbody>
                  ${recurring.map((task) => {
                    const found = nextOf(task)
                    const isRunning = look.running.some(({ task: name }) => name === task.name)
                    return html` <tr id="recurs-${encodeURIComponent(task.name)}">
                      <th scope="row">
                        ${toTask(view, task.name)}<span class="soft words"
                          >${recurrenceInWords(task.behaviour.recurrence!)}</span
                        >
                      </th>
                      <td class="num p2">
                        ${found === undefined ? html`<span class="soft">–</span>` : time(found.due, look.taken)}
                      </td>
                      <td class="num">
                        ${found === undefined ? html`<span class="soft">${isRunning ? "runs" : "not scheduled"}</span>` : Words.length(found.due - look.taken)}
                      </td>
                      <td class="num">${found !== undefined && may(view, "operate") && runNow(view, found)}</td>
                    </tr>`
                  })}
                </tbody>
              </table>
            </div>
          </section>
          ${dayAhead(recurring, look.taken)}`
      }
      <section aria-labelledby="later">
        <div class="title">
          <h2 id="later">What comes next</h2>
          <p class="soft small">${Words.atLeast(later.length, look.waiting.length >= listed)} for later</p>
        </div>
        <div class="sheet scroll">
          <table>
            <thead>
              <tr>
                <th scope="col">Key</th>
                <th scope="col">Task</th>
                <th scope="col" class="num p2">Due, UTC</th>
                <th scope="col" class="num">In</th>
                <th scope="col"><span class="vh">Actions</span></th>
              </tr>
            </thead>
            <tbody>
              ${later.slice(0, 50).map(
                (record) =>
                  html` <tr id="later-${encodeURIComponent(record.key)}">
                    <th scope="row">${toExecution(view, record.key)}</th>
                    <td>${toTask(view, record.task)}</td>
                    <td class="num p2">${time(record.due, look.taken)}</td>
                    <td class="num">${Words.length(record.due - look.taken)}</td>
                    <td class="num">${may(view, "operate") && runNow(view, record)}</td>
                  </tr>`
              )}${
                later.length === 0 &&
                html`<tr>
                  <td colspan="5" class="soft">Nothing</td>
                </tr>`
              }
            </tbody>
          </table>
        </div>
      </section>
      <p class="soft small">“Run now” brings the next run forward; what recurs goes on from there.</p>`
  }
}

const runNow = (view: View, { key }: ExecutionRecord): Html =>
  html`<form method="post" action="${view.base}/do">
    <input type="hidden" name="key" value="${packed(key)}" /><input type="hidden" name="from" value="schedule" /><button
      name="action"
      value="run-now"
      aria-label="Run now: ${key}"
    >
      Run now
    </button>
  </form>`

/** The times of the next day. */
const dayAhead = (tasks: ReadonlyArray<Task.Any>, now: number): Content => {
  const day = 24 * 3_600_000
  const lines = tasks.flatMap(({ behaviour: { recurrence }, name }) => {
    if (recurrence?._tag !== "At") return []
    const times: Array<number> = []
    for (const next of Cron.sequence(recurrence.cron, now)) {
      const at = next.getTime()
      if (at > now + day || times.length >= 300) break
      times.push(at)
    }
    return times.length === 0 ? [] : [{ name, times }]
  })
  if (lines.length === 0) return undefined
  const height = lines.length * 26 + 24
  const label = lines
    .map(
      ({ name, times }) => `${name} ${times.length === 1 ? `at ${Words.clock(times[0]!)}` : `${times.length} times`}`
    )
    .join(", ")
  return html`<section aria-labelledby="day">
    <h2 id="day" class="title">The next 24 hours</h2>
    <div class="sheet pad">
      <svg class="chart agenda" height="${height}" role="img" aria-label="The next 24 hours: ${label}">
        ${lines.map(
          ({ name, times }, i) =>
            html` <line class="grid" x1="0" x2="100%" y1="${i * 26 + 18}" y2="${i * 26 + 18}" /><text
                x="0"
                y="${i * 26 + 13}"
                >${name}</text
              >${times.map((at) => html`<rect x="${((100 * (at - now)) / day).toFixed(1)}%" y="${i * 26 + 19}" width="3" height="7" />`)}`
        )}
        <text x="0" y="${height - 4}">now</text>
        ${[1, 2, 3].map((quarter) => html`<text x="${quarter * 25}%" y="${height - 4}" text-anchor="middle">${Words.clock(now + (quarter * day) / 4)}</text>`)}
        <text x="100%" y="${height - 4}" text-anchor="end">${Words.clock(now + day)}</text>
      </svg>
    </div>
  </section>`
}

interface Limit {
  readonly kind: string
  readonly scope: string
  readonly value: string
  readonly limit: number | undefined
  readonly holders: ReadonlyArray<string>
  readonly waiting: Array<ExecutionRecord>
}

/** What limits hold back, as far as it is looked at. */
export const limits = (view: View, look: Look): Page => {
  const groups = new Map<string, Limit>()
  for (const record of look.waiting) {
    const { hindrance } = record
    if (hindrance?._tag !== "Concurrency" && hindrance?._tag !== "RateLimit" && hindrance?._tag !== "Debounce") continue
    const id = JSON.stringify([hindrance._tag, hindrance.scope, hindrance.value])
    const group = groups.get(id) ?? {
      kind: kinds[hindrance._tag],
      scope: hindrance.scope,
      value: hindrance.value,
      limit: hindrance._tag === "Concurrency" ? hindrance.limit : undefined,
      holders: hindrance._tag === "Concurrency" ? hindrance.holders : [],
      waiting: []
    }
    group.waiting.push(record)
    groups.set(id, group)
  }
  const all = [...groups.values()].toSorted((a, b) => b.waiting.length - a.waiting.length)
  const held = all.reduce((sum, { waiting }) => sum + waiting.length, 0)
  const declared = [...view.tasks.values()].filter(({ behaviour }) => behaviour.controls.controls.length > 0)
  return {
    title: `${held} held back`,
    crumb: "Limits",
    heading:
      held === 0
        ? "No limit holds anything back"
        : html`${Words.count(all.length, "limit")} ${all.length === 1 ? "holds" : "hold"} back
          ${Words.count(held, "execution")}`,
    body: html`${
      all.length > 0 &&
      html`<div class="sheet scroll">
        <table>
          <thead>
            <tr>
              <th scope="col">For</th>
              <th scope="col" class="num">Used</th>
              <th scope="col" class="num">Wait</th>
              <th scope="col" class="p2">Who holds, who is next</th>
              <th scope="col" class="num">Opens</th>
            </tr>
          </thead>
          <tbody>
            ${all.slice(0, 100).map(({ holders, kind, limit, scope, value, waiting }) => {
              const [first] = waiting.toSorted((a, b) => a.due - b.due)
              return html` <tr>
                <th scope="row">
                  <bdi>${nameOf(scope)}</bdi>${value !== "" && html` for <bdi>${ControlValue.shown(value)}</bdi>`}<span
                    class="soft words"
                    >${kind}</span
                  >
                </th>
                <td class="num">
                  ${limit === undefined ? html`<span class="soft">–</span>` : html`${holders.length} of ${limit}<meter min="0" max="${limit}" high="0.5" value="${Math.min(limit, holders.length)}" aria-label="Used">${holders.length} of ${limit}</meter>`}
                </td>
                <td class="num">
                  <a href="${link(`${view.base}/executions`, { q: `task:${quoted(first?.task ?? "")}` })}"
                    >${Words.number(waiting.length)}</a
                  >
                </td>
                <td class="p2 grow">
                  ${holders.slice(0, 3).map((key) => html`${toExecution(view, key)} `)}${first !== undefined && html`<span class="soft">next</span> ${toExecution(view, first.key)}`}
                </td>
                <td class="num">
                  ${limit === undefined && first !== undefined && first.due > look.taken ? time(first.due, look.taken) : html`<span class="soft">when one ends</span>`}
                </td>
              </tr>`
            })}
          </tbody>
        </table>
      </div>`
    }${
      declared.length > 0 &&
      html`<section aria-labelledby="declared">
        <h2 id="declared" class="title">What contracts declare</h2>
        <div class="sheet scroll">
          <table>
            <thead>
              <tr>
                <th scope="col">Task</th>
                <th scope="col">Controls</th>
              </tr>
            </thead>
            <tbody>
              ${declared.map(
                (task) =>
                  html`<tr>
                    <th scope="row">${toTask(view, task.name)}</th>
                    <td class="wrap">${task.behaviour.controls.controls.map(controlInWords).join("; ")}</td>
                  </tr>`
              )}
            </tbody>
          </table>
        </div>
      </section>`
    }${
      all.length === 0 &&
      declared.length === 0 &&
      html`<section class="sheet empty">
        <h2>What waits for a slot, for the next start within a rate, or for quiet, appears here</h2>
        <p>
          With the tasks' contracts at hand (<code>docket dash --tasks ./handlers.ts</code>) their limits are listed as
          well.
        </p>
      </section>`
    }`
  }
}

const kinds = { Concurrency: "at once", RateLimit: "rate limit", Debounce: "debounce" } as const

const nameOf = (scope: string): string =>
  scope.startsWith("scope:") ? `scope ${scope.slice(6)}` : scope.replace(/^task:/, "").replace(/:\w+$/, "")

const controlInWords = (control: Task.Behaviour["controls"]["controls"][number]): string => {
  switch (control._tag) {
    case "Concurrency":
      return `${control.limit} at once`
    case "RateLimit":
      return `${Words.count(control.limit, "start")} within ${Words.length(control.perMillis)}${control.onExceeded === "drop" ? ", others are dropped" : ""}`
    case "Cooldown":
      return `one start within ${Words.length(control.windowMillis)}`
    case "Debounce":
      return `once it is quiet for ${Words.length(control.settleMillis)}`
  }
}

/** Strikes and pauses, with how many each holds; and a form for another. */
export const holds = (view: View, look: Look): Page => {
  const heldBy = (strike: Parameters<typeof judge>[0][number]) =>
    look.waiting.filter(({ payload, task }) => judge([strike], task, dataOf(payload)).strike !== undefined)
  const rows = look.strikes
    .map((strike) => ({ strike, held: heldBy(strike) }))
    .toSorted((a, b) => b.held.length - a.held.length)
  const names = byTask(look, view.tasks.keys()).map(({ task }) => task)
  return {
    title: `${look.strikes.length} holds`,
    crumb: "Holds",
    heading:
      rows.length === 0
        ? "Nothing is paused or struck"
        : html`${Words.count(rows.length, "hold")}, for
          ${Words.atLeast(new Set(rows.flatMap(({ held }) => held)).size, look.waiting.length >= listed)} that wait`,
    body: html`${
      rows.length > 0 &&
      html`<div class="sheet scroll">
        <table>
          <thead>
            <tr>
              <th scope="col">What</th>
              <th scope="col">Which</th>
              <th scope="col" class="num">Holds</th>
              <th scope="col" class="num p2">Oldest</th>
              <th scope="col"><span class="vh">Actions</span></th>
            </tr>
          </thead>
          <tbody>
            ${rows.map(({ held, strike }) => {
              const isPause = strike.hold && strike.field === undefined
              const oldest = Math.min(...held.map(({ due }) => due))
              return html` <tr>
                <td><span class="st held">${isPause ? "pause" : strike.hold ? "held" : "refused"}</span></td>
                <th scope="row" class="wrap"><bdi>${isPause ? (strike.task ?? "everything") : String(strike)}</bdi></th>
                <td class="num">${Words.number(held.length)}</td>
                <td class="num p2">${held.length > 0 && oldest < look.taken && Words.length(look.taken - oldest)}</td>
                <td class="num">
                  ${may(view, "operate") && html`<form method="post" action="${view.base}/do"><input type="hidden" name="from" value="holds" /><input type="hidden" name="strike" value="${packed(strike.id)}" /><button name="action" value="restore" aria-label="${isPause ? "Resume" : "Restore"} ${strike.task ?? "everything"}">${isPause ? "Resume" : "Restore"}</button></form>`}
                </td>
              </tr>`
            })}
          </tbody>
        </table>
      </div>`
    }${may(view, "operate") && newHold(view, look, names)}`
  }
}

const operators = ["==", "!=", ">", ">=", "<", "<="]

const newHold = (view: View, look: Look, names: ReadonlyArray<string>): Html => {
  const { query } = view
  const asked = query.has("task")
  const task = query.get("task") ?? ""
  const field = query.get("field") ?? ""
  const operator = query.get("operator") ?? "=="
  const value = query.get("value") ?? ""
  const mode = query.get("mode") ?? "hold"
  const counted = asked ? countHeld(look, { task, field, operator, value }) : undefined
  const option = (value: string, chosen: string, text = value) =>
    html`<option value="${value}" ${value === chosen ? html` selected` : ""}>${text}</option>`
  return html`<form class="sheet empty" method="get" action="${view.base}/holds" aria-labelledby="new">
    <h2 id="new">Hold more back</h2>
    <div class="bar">
      <label for="t">Task</label
      ><select id="t" name="task">
        ${option("", task, "every task")}${names.map((name) => option(name, task))}</select
      ><label for="fd">where</label
      ><input id="fd" name="field" type="text" class="short" value="${field}" placeholder="a field" /><label
        class="vh"
        for="op"
        >Operator</label
      ><select id="op" name="operator">
        ${operators.map((one) => option(one, operator))}</select
      ><label class="vh" for="val">Value</label
      ><input id="val" name="value" type="text" class="short" value="${value}" placeholder="a value" />
    </div>
    <div class="bar">
      <label
        ><input type="radio" name="mode" value="hold" ${mode === "hold" ? html` checked` : ""} /> hold, until it is
        restored</label
      ><label
        ><input type="radio" name="mode" value="refuse" ${mode === "refuse" ? html` checked` : ""} /> refuse, and cancel
        what comes</label
      >
    </div>
    ${
      counted === undefined
        ? html`<div class="bar"><button>Count what it would hold</button></div>`
        : html`<p>
              Would ${mode === "hold" ? "hold" : "cancel"}
              <b>${Words.number(counted)} of ${Words.number(look.waiting.length)}</b> that wait
              now${look.waiting.length >= listed && ", as far as these are looked at"}.
            </p>
            <div class="bar">
              <button>Count again</button
              ><button class="primary" formmethod="post" formaction="${view.base}/do" name="action" value="strike">
                ${mode === "hold" ? "Hold back" : "Refuse"}
              </button>
            </div>`
    }
    <p class="soft small">
      Without a field it is all of the task; without either it pauses everything. A value is JSON, or text.
    </p>
  </form>`
}

const countHeld = (
  look: Look,
  {
    field,
    operator,
    task,
    value
  }: { readonly task: string; readonly field: string; readonly operator: string; readonly value: string }
): number => {
  const strike = strikeOf({ task, field, operator, value, mode: "hold" })
  return look.waiting.filter(({ payload, task: name }) => {
    if (strike.task !== undefined && strike.task !== name) return false
    return strike.field === undefined || judge([strike], name, dataOf(payload)).strike !== undefined
  }).length
}

/** Workers, with what each runs. */
export const workers = (view: View, look: Look): Page => {
  const all = look.workers.toSorted((a, b) => {
    const late = (at: number) => Number(isLate(view.docket, at, look.taken))
    const running = (name: string) => look.running.filter(({ worker }) => worker === name).length
    return late(b.lastSeen.epochMilliseconds) - late(a.lastSeen.epochMilliseconds) || running(b.name) - running(a.name)
  })
  const lost = look.running.filter(({ worker }) => !look.workers.some(({ name }) => name === worker))
  const group = (name: Content, about: Content, records: ReadonlyArray<ExecutionRecord>) =>
    html` <tbody>
      <tr class="lead">
        <th colspan="5" scope="rowgroup">
          <div class="title">
            <span>${name}</span>
            <span class="bar">${slots(records.length)} ${Words.number(records.length)} running</span>
          </div>
          ${about}
        </th>
      </tr>
      ${records
        .toSorted((a, b) => (a.started ?? 0) - (b.started ?? 0))
        .slice(0, 12)
        .map(
          (record) =>
            html` <tr id="runs-${encodeURIComponent(record.key)}">
              <td>${toExecution(view, record.key)}</td>
              <td><bdi>${record.task}</bdi></td>
              <td class="num">${Words.length(look.taken - (record.started ?? record.due))}</td>
              <td class="num p2">${record.attempt}</td>
              <td class="grow p2">
                ${
                  record.progress === undefined
                    ? html`<span class="soft">no progress reported</span>`
                    : html`<progress
                        max="${record.progress.total}"
                        value="${record.progress.current}"
                        aria-label="Progress of ${record.key}"
                      >
                        ${record.progress.current} of ${record.progress.total}
                      </progress>`
                }
              </td>
            </tr>`
        )}${
        records.length > 12 &&
        html`<tr>
          <td colspan="5" class="soft">${Words.count(records.length - 12, "other")}</td>
        </tr>`
      }${
        records.length === 0 &&
        html`<tr>
          <td colspan="5" class="soft">Runs nothing</td>
        </tr>`
      }
    </tbody>`
  return {
    title: Words.count(all.length, "worker"),
    crumb: "Workers",
    heading:
      all.length === 0
        ? "No worker can take work"
        : html`${Words.count(all.length, "worker")}, ${Words.count(look.depth.running, "execution")}
          ${look.depth.running === 1 ? "runs" : "run"}`,
    body:
      all.length + lost.length === 0
        ? html`<section class="sheet empty">
            <h2>Start one</h2>
            <pre><code>docket worker --tasks ./handlers.ts --docket ${view.docket.name}</code></pre>
          </section>`
        : html`<div class="sheet scroll">
            <table>
              <thead>
                <tr>
                  <th scope="col">Runs</th>
                  <th scope="col">Task</th>
                  <th scope="col" class="num">For</th>
                  <th scope="col" class="num p2">Attempt</th>
                  <th scope="col" class="p2">Progress</th>
                </tr>
              </thead>
              ${all.map(({ lastSeen, name, tasks }) => {
                const at = lastSeen.epochMilliseconds
                return group(
                  html`<bdi>${name}</bdi
                    >${isLate(view.docket, at, look.taken) && html` <span class="st warning">late</span>`}`,
                  html`<span class="soft small"
                    >heard ${Words.length(look.taken - at)} ago ·
                    ${tasks.includes("*") ? "any task" : tasks.join(", ")}</span
                  >`,
                  look.running.filter(({ worker }) => worker === name)
                )
              })}${lost.length > 0 && group("Workers that are gone", html`<span class="soft small">Others take these over once their leases have expired</span>`, lost)}
            </table>
          </div>`
  }
}

/** What the keys of the keyboard do. */
export const keys = (_view: View): Page => ({
  title: "Keys",
  crumb: "Keys",
  heading: "Keys, for those who like them",
  isLive: false,
  body: html`<dl class="facts-list sheet pad">
      <dt><kbd>/</kbd></dt>
      <dd>search, from anywhere</dd>
      <dt><kbd>g</kbd> then <kbd>o f e t s l h w</kbd></dt>
      <dd>go to overview, failed, executions, tasks, schedule, limits, holds, workers</dd>
      <dt><kbd>j</kbd> and <kbd>k</kbd></dt>
      <dd>next and previous row; Enter opens it</dd>
      <dt><kbd>x</kbd></dt>
      <dd>select the row</dd>
      <dt><kbd>r</kbd></dt>
      <dd>retry what is shown or selected</dd>
      <dt><kbd>u</kbd></dt>
      <dd>undo, while it is offered</dd>
      <dt><kbd>.</kbd></dt>
      <dd>pause what is live, and go on</dd>
      <dt><kbd>t</kbd></dt>
      <dd>theme: auto, light, dark</dd>
      <dt><kbd>?</kbd></dt>
      <dd>this page</dd>
    </dl>
    <p class="soft small">Off while you type, and off altogether without script: then Tab and Enter do it all.</p>`
})
