/**
 * One execution: the sentence of explain, what can be done, its path, attempts, facts, payload and result.
 */
import type { AttemptRecord, ExecutionRecord } from "../../DocketStore.ts"
import type { Explanation } from "../../Explanation.ts"
import { isReference } from "../../internal/docket/keptResults.ts"
import { versionOf } from "../../internal/contract/payloadVersion.ts"
import { type Content, html, type Html, link, packed } from "../html.ts"
import { fact, jsonOf, stateOf, time } from "../parts.ts"
import { may, type Page, toExecution, toTask, type View } from "../view.ts"
import * as Words from "../words.ts"

/** What the page shows. */
export interface Shown {
  readonly record: ExecutionRecord
  readonly attempts: ReadonlyArray<AttemptRecord>
  readonly explanation: Explanation
  /** Now, on the store's clock. */
  readonly now: number
}

/** Makes the page. */
export const execution = (view: View, shown: Shown): Page => {
  const { attempts, explanation, now, record } = shown
  const at = Words.sentence(explanation.message, now).split("\n")[0] ?? ""
  const factsOf = html`<section aria-labelledby="facts">
    <h2 id="facts" class="title">Facts</h2>
    <dl class="facts-list sheet pad">${facts(view, record, now)}</dl>
  </section>`
  const payload = html`<section aria-labelledby="payload">
    <div class="title">
      <h2 id="payload">Payload</h2>
      <p class="soft small">
        version ${versionOf(record.payload)} ·
        <a href="${link(`${view.base}/execution.json`, { key: record.key })}">raw JSON</a>
      </p>
    </div>
    <div class="sheet">${jsonOf(record.payload, "Payload as JSON")}</div>
  </section>`
  return {
    title: record.key,
    crumb: html`<a href="${view.base}/executions">Executions</a> / ${toTask(view, record.task)} /
      <span class="key"><bdi>${record.key}</bdi></span>`,
    heading: html`<bdi>${at}</bdi>`,
    under: actions(view, record),
    body: html`${progress(record, now)}${waits(view, shown)}${path(shown)}
      <div class="cols wide-left">
        ${attempts.length > 0 ? [attemptsTable(view, record, attempts, now), factsOf, payload] : [payload, factsOf]}
        <section aria-labelledby="result">
          <div class="title"><h2 id="result">${record.state === "failed" ? "Error" : "Result"}</h2></div>
          <div class="sheet">${result(record)}</div>
        </section>
      </div>`
  }
}

const actions = (view: View, record: ExecutionRecord): Html => {
  const isLive = record.state === "running" || record.state === "queued" || record.state === "scheduled"
  const command = `docket show ${shellQuoted(record.key)} --docket ${shellQuoted(view.docket.name)}`
  return html`<form class="actions" method="post" action="${view.base}/do">
    <input type="hidden" name="key" value="${packed(record.key)}" /><input
      type="hidden"
      name="from"
      value="execution"
    />${
      record.state === "failed" &&
      html`${may(view, "retry") && html`<button class="primary" name="action" value="retry" data-key="r">Retry <kbd>r</kbd></button>`}${may(view, "admin") && html`<button class="quiet" name="action" value="ask-discard">Discard…</button>`}`
    }${
      isLive &&
      may(view, "operate") &&
      html`${record.state === "scheduled" && html`<button name="action" value="run-now">Run now</button>`}<button
          name="action"
          value="ask-cancel"
        >
          Cancel…
        </button>`
    }${may(view, "operate") && html`<a class="button" href="${link(`${view.base}/add`, { task: record.task, from: record.key })}">${isLive ? "Replace…" : "Run again…"}</a>`}<button
      type="button"
      class="quiet"
      data-script
      hidden
      data-copy="${command}"
    >
      Copy as command
    </button>
  </form>`
}

const shellQuoted = (text: string): string =>
  /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`

const progress = (record: ExecutionRecord, now: number): Content => {
  const { progress } = record
  if (record.state !== "running" || progress === undefined) return undefined
  const share = Math.floor((100 * progress.current) / progress.total)
  const { started } = record
  const left =
    started === undefined || progress.current <= 0 || progress.updated <= started
      ? undefined
      : ((progress.updated - started) / progress.current) * (progress.total - progress.current) -
        (now - progress.updated)
  return html`<section class="say running" aria-labelledby="progress">
    <div class="title">
      <h2 id="progress">${share} %, ${Words.number(progress.current)} of ${Words.number(progress.total)}</h2>
      ${left !== undefined && left > 0 && html`<p>about ${Words.length(left)} to go</p>`}
    </div>
    <progress max="${progress.total}" value="${progress.current}" aria-label="Progress">${share} %</progress>
    <p class="small">
      ${progress.message !== undefined && html`“<bdi>${progress.message}</bdi>”, `}${Words.length(now - progress.updated)}
      ago
    </p>
  </section>`
}

const waits = (view: View, { explanation }: Shown): Content => {
  if (explanation._tag !== "AwaitingSlot") return undefined
  return html`<section class="say held" aria-labelledby="why">
    <h2 id="why">It waits for these</h2>
    <ul>
      ${explanation.holders.slice(0, 20).map((holder) => html`<li><span class="st running">running</span> ${toExecution(view, holder)} holds ${explanation.limit === 1 ? "the only slot" : "a slot"}</li>`)}${
        explanation.ahead > 0 &&
        html`<li>
          <span class="st queued">queued</span> ${Words.count(explanation.ahead, "other")}
          ${explanation.ahead === 1 ? "is" : "are"} before it
        </li>`
      }
    </ul>
  </section>`
}

interface Step {
  readonly state: string
  readonly word: string
  readonly at: Content
  readonly about: Content
  readonly place: "" | "now" | "later"
}

const steps = ({ attempts, explanation, now, record }: Shown): ReadonlyArray<Step> => {
  const { completed, due, started, state } = record
  const isHeld = stateOf(record, explanation._tag === "Unknown" ? undefined : explanation).text.includes("st held")
  const failures: ReadonlyArray<Step> =
    attempts.length === 0 || (state === "failed" && attempts.length === 1)
      ? []
      : [
          {
            state: "failed",
            word: `${Words.count(attempts.length, "attempt")} failed`,
            at: time(attempts.at(-1)!.ended, now),
            about: "see below",
            place: ""
          }
        ]
  const scheduled: Step = {
    state: isHeld ? "held" : "scheduled",
    word: "scheduled",
    at: html`for ${time(due, now)}`,
    about: state === "scheduled" ? (due > now ? `in ${Words.length(due - now)}` : "held back") : undefined,
    place: state === "scheduled" ? "now" : ""
  }
  const hasRun = started !== undefined && state !== "queued" && state !== "scheduled"
  const queued: Step = {
    state: isHeld ? "held" : "queued",
    word: "queued",
    at: state === "scheduled" ? "not yet" : time(due, now),
    about:
      state === "queued"
        ? `for ${Words.length(now - due)}`
        : hasRun && started >= due
          ? `waited ${Words.length(started - due)}`
          : undefined,
    place: state === "queued" ? "now" : state === "scheduled" ? "later" : ""
  }
  const running: Step = {
    state: "running",
    word: "running",
    at: hasRun ? time(started, now) : "not yet",
    about:
      state === "running"
        ? `for ${Words.length(now - (started ?? due))}`
        : hasRun && completed !== undefined
          ? `took ${Words.length(completed - started)}`
          : undefined,
    place: state === "running" ? "now" : hasRun ? "" : "later"
  }
  const end: Step =
    completed === undefined || state === "running" || state === "queued" || state === "scheduled"
      ? { state: "completed", word: "completed", at: "or failed", about: undefined, place: "later" }
      : { state, word: state, at: time(completed, now), about: `${Words.length(now - completed)} ago`, place: "now" }
  const ran = state === "cancelled" && !hasRun ? [] : [running]
  return [...(state === "scheduled" ? [...failures, scheduled, queued] : [scheduled, ...failures, queued]), ...ran, end]
}

const path = (shown: Shown): Html =>
  html`<section class="sheet pad" aria-labelledby="path">
    <h2 id="path" class="vh">Path of states</h2>
    <ol class="path">
      ${steps(shown).map(
        ({ about, at, place, state, word }) =>
          html` <li class="${place}">
            <span class="st ${state}">${word}</span><br />${at}<br /><span class="soft small">${about}</span>
          </li>`
      )}
    </ol>
  </section>`

const attemptsTable = (
  view: View,
  record: ExecutionRecord,
  attempts: ReadonlyArray<AttemptRecord>,
  now: number
): Html => {
  const from = attempts[0]?.started ?? now
  const isRunning = record.state === "running"
  const to = Math.max(from + 1, isRunning ? now : (attempts.at(-1)?.ended ?? now))
  const bar = (start: number, end: number, kind: string) => {
    const x = (100 * (start - from)) / (to - from)
    const width = Math.max(0.5, (100 * (end - start)) / (to - from))
    return html`<svg width="100%" height="14" aria-hidden="true">
      <line class="grid" x1="0" x2="100%" y1="7" y2="7" />
      <rect class="${kind}" x="${x.toFixed(1)}%" width="${Math.min(width, 100 - x).toFixed(1)}%" y="2" height="10" />
    </svg>`
  }
  const started = record.started ?? now
  return html`<section aria-labelledby="attempts">
    <div class="title">
      <h2 id="attempts">Failed attempts</h2>
      <p class="soft small">${Words.moment(from, now)} to ${isRunning ? "now" : Words.moment(to, now)}</p>
    </div>
    <div class="sheet scroll">
      <table>
        <thead>
          <tr>
            <th scope="col" class="num">#</th>
            <th scope="col">Ended as</th>
            <th scope="col">Started</th>
            <th scope="col" class="num">Took</th>
            <th scope="col" class="p2">Worker</th>
            <th scope="col" class="grow p3">When</th>
          </tr>
        </thead>
        <tbody>
          ${attempts.map(
            ({ attempt, ended, error, started, worker }) =>
              html` <tr class="with">
                  <td class="num">${attempt}</td>
                  <td><span class="st failed">failed</span></td>
                  <td>${time(started, now)}</td>
                  <td class="num">${Words.length(ended - started)}</td>
                  <td class="p2"><bdi>${worker}</bdi></td>
                  <td class="grow p3">${bar(started, ended, "f-bad")}</td>
                </tr>
                <tr>
                  <td></td>
                  <td colspan="5" class="key">${error}</td>
                </tr>`
          )}${
            isRunning &&
            html` <tr>
              <td class="num">${record.attempt}</td>
              <td><span class="st running">running</span></td>
              <td>${time(started, now)}</td>
              <td class="num">${Words.length(now - started)}</td>
              <td class="p2"><bdi>${record.worker}</bdi></td>
              <td class="grow p3">${bar(started, now, "f-run")}</td>
            </tr>`
          }
        </tbody>
      </table>
    </div>
  </section>`
}

const facts = (view: View, record: ExecutionRecord, now: number): Content => {
  const { completed, due, started, worker } = record
  const near = (millis: number) =>
    millis > now ? `in ${Words.length(millis - now)}` : `${Words.length(now - millis)} ago`
  const contract = view.tasks.get(record.task)
  const trace = /^[0-9a-f]{2}-([0-9a-f]{32})-/.exec(record.trace)?.[1]
  return [
    fact("Task", toTask(view, record.task)),
    fact("Key", html`<span class="key"><bdi>${record.key}</bdi></span>`),
    fact("Due", html`${time(due, now)} UTC, ${near(due)}`),
    fact("Started", started !== undefined && html`${time(started, now)} UTC, ${near(started)}`),
    fact("Ended", completed !== undefined && html`${time(completed, now)} UTC, ${near(completed)}`),
    fact("Worker", worker !== undefined && html`<a href="${view.base}/workers"><bdi>${worker}</bdi></a>`),
    fact("Attempt", record.attempt),
    fact("Deliveries", record.deliveries > 1 && record.deliveries),
    fact("Timeout", contract?.behaviour.timeoutMillis !== undefined && Words.length(contract.behaviour.timeoutMillis)),
    fact("Trace", trace !== undefined && html`<span class="key">${trace}</span>`)
  ]
}

const result = ({ error, failure, result, state }: ExecutionRecord): Html => {
  if (state === "failed") {
    return html`<pre class="plain" tabindex="0" role="region" aria-label="Error as text"><code>${error}</code></pre>
      ${failure !== undefined && jsonOf(failure, "Error as JSON")}`
  }
  const none = (text: string) => html`<pre class="plain"><code><span class="soft">${text}</span></code></pre>`
  if (state === "cancelled") return none("none: it was cancelled")
  if (state !== "completed") return none("none yet")
  if (result === undefined) return none("nothing")
  return isReference(result) ? none("kept in a result store of the app's own") : jsonOf(result, "Result as JSON")
}
