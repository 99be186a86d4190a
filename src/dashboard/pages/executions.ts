/**
 * Executions: a search, states with counts, and something to do with what is found.
 */
import type { ExecutionRecord, State } from "../../DocketStore.ts"
import { html, link, packed } from "../html.ts"
import { type Look, listed } from "../look.ts"
import { reasonFrom, sentenceOf, stateOf, tookOf, whenOf } from "../parts.ts"
import * as Search from "../search.ts"
import { may, type Page, quoted, toExecution, type View } from "../view.ts"
import * as Words from "../words.ts"

const pageSize = 50

const states: ReadonlyArray<State> = ["failed", "running", "queued", "scheduled", "completed", "cancelled"]

/** What is found, the most urgent state first. */
export const found = (
  look: Look,
  search: Search.Search,
  exact: ReadonlyArray<ExecutionRecord>
): ReadonlyArray<ExecutionRecord> => {
  const all = [...exact, ...look.failed, ...look.running, ...look.waiting, ...look.settled]
  const unique = [...new Map(all.map((record) => [record.key, record])).values()]
  return unique.filter((record) => exact.includes(record) || Search.matches(record, search))
}

/** Makes the page; `exact` is what has the searched text as its key. */
export const executions = (view: View, look: Look, exact: ReadonlyArray<ExecutionRecord>): Page => {
  const search = Search.parse(view.query.get("q") ?? "")
  const chosen = Search.valueOf(search, "state")
  const inAnyState = found(look, Search.parse(Search.withState(search, undefined)), exact)
  const matching = chosen === undefined ? inAnyState : inAnyState.filter(({ state }) => state === chosen)
  const isPartial = [look.failed, look.running, look.waiting].some(({ length }) => length >= listed)
  const offset = Math.max(0, Math.trunc(Number(view.query.get("after") ?? 0)) || 0)
  const rows = matching.slice(offset, offset + pageSize)
  const task = Search.valueOf(search, "task")
  const count = Words.atLeast(matching.length, isPartial)
  const heading = html`${count}
  execution${matching.length === 1 ? "" : "s"}${chosen !== undefined && ` ${chosen}`}${task !== undefined && html` of <bdi>${task}</bdi>`}`
  const at = (state: string | undefined) => link(`${view.base}/executions`, { q: Search.withState(search, state) })
  const chip = (state: State | undefined) => {
    const number =
      state === undefined ? inAnyState.length : inAnyState.filter((record) => record.state === state).length
    return html`<a href="${at(state)}" ${chosen === state ? html` aria-current="true"` : ""}
      >${state === undefined ? "Any state" : html`<span class="st ${state}">${state}</span>`}
      <span class="soft">${Words.number(number)}</span></a
    >`
  }
  return {
    title: count,
    crumb: "Executions",
    heading,
    under: html`<p class="soft">
      Search by words, or by <code>task:</code> <code>state:</code> <code>error:</code> <code>worker:</code>
      <code>key:</code> and fields of the payload, as in <code>customerId:7</code>
    </p>`,
    body: html`<nav class="chips" aria-label="State">${[undefined, ...states].map(chip)}</nav>
      ${rows.length === 0 ? none(view, search) : table(view, look, rows, matching.length, isPartial)}
      <nav class="bar" aria-label="Further executions">
        ${
          offset > 0 &&
          html`<a
            class="button"
            rel="prev"
            href="${link(`${view.base}/executions`, { q: search.text, after: Math.max(0, offset - pageSize) || undefined })}"
            >Before</a
          >`
        }${
          matching.length > offset + pageSize &&
          html`<a
            class="button"
            rel="next"
            href="${link(`${view.base}/executions`, { q: search.text, after: offset + pageSize })}"
            >Next ${Math.min(pageSize, matching.length - offset - pageSize)}</a
          >`
        }${rows.length > 0 && html`<span class="soft small">${Words.number(offset + 1)} to ${Words.number(offset + rows.length)} of ${count}${isPartial && html`; of each state the first ${Words.number(listed)} are looked at`}</span>`}
      </nav>`
  }
}

const none = (view: View, { filters, text, words }: Search.Search) => {
  const [first] = filters
  const nearest =
    words.length > 0 && filters.length > 0
      ? words.map(quoted).join(" ")
      : first === undefined
        ? ""
        : `${first[0]}:${quoted(first[1])}`
  return html`<section class="sheet empty">
    <h2>Nothing fits ${text === "" ? "" : html`<code>${text}</code>`}</h2>
    <p>
      What failed for good is kept for ${Words.length(view.docket.settings.failedTtlMillis)}, what was completed or
      cancelled for ${Words.length(view.docket.settings.executionTtlMillis)}.
    </p>
    <p>
      ${nearest !== "" && nearest !== text && html`<a class="button" href="${link(`${view.base}/executions`, { q: nearest })}">Search for ${nearest}</a> `}<a
        class="button"
        href="${view.base}/executions"
        >All executions</a
      >
    </p>
  </section>`
}

const table = (view: View, look: Look, rows: ReadonlyArray<ExecutionRecord>, total: number, isPartial: boolean) => {
  const canRetry = may(view, "retry")
  return html`<form class="sheet bulk-form" method="post" action="${view.base}/do" aria-label="Executions">
    <input type="hidden" name="q" value="${packed(view.query.get("q") ?? "")}" />
    <div class="scroll">
      <table>
        <thead>
          <tr>
            ${canRetry && html`<th scope="col"><span class="vh">Select</span></th>`}
            <th scope="col">State</th>
            <th scope="col">Key</th>
            <th scope="col" class="p2">Task</th>
            <th scope="col" class="num">When</th>
            <th scope="col" class="num p3">Attempt</th>
            <th scope="col" class="p2">Worker, reason or error</th>
          </tr>
        </thead>
        <tbody>
          ${rows.map((record) => row(view, look, record, canRetry))}
        </tbody>
      </table>
    </div>
    ${
      canRetry &&
      html` <div class="bulk bar" role="group" aria-label="With what is selected">
        <b class="ticked" role="status"></b>
        <label><input type="radio" name="scope" value="ticked" checked /> these</label>
        <label><input type="radio" name="scope" value="all" /> all ${Words.atLeast(total, isPartial)} that match</label>
        <button class="primary" name="action" value="retry" data-key="r">Retry <kbd>r</kbd></button
        >${may(view, "operate") && html`<button name="action" value="ask-cancel">Cancel…</button>`}${may(view, "admin") && html`<button class="quiet" name="action" value="ask-discard">Discard…</button>`}
        <span class="soft small p3">Those in a state that does not fit are left alone, and counted</span>
      </div>`
    }
  </form>`
}

const row = (view: View, look: Look, record: ExecutionRecord, canTick: boolean) => {
  const reason = reasonFrom(record, look)
  const about =
    record.state === "running"
      ? html`<span class="soft">on <bdi>${record.worker}</bdi></span>`
      : record.state === "failed"
        ? html`<span>${(record.error ?? "").split("\n")[0]}</span>`
        : record.state === "completed"
          ? html`<span class="soft"
              >on <bdi>${record.worker}</bdi>${tookOf(record) !== undefined && ` in ${tookOf(record)}`}</span
            >`
          : html`<span class="soft">${sentenceOf(record, reason, look.taken)}</span>`
  return html` <tr id="row-${encodeURIComponent(record.key)}">
    ${canTick && html`<td><input type="checkbox" name="key" value="${packed(record.key)}" aria-label="Select ${record.key}" /></td>`}
    <td>${stateOf(record, reason)}</td>
    <td>${toExecution(view, record.key)}</td>
    <td class="p2"><bdi>${record.task}</bdi></td>
    <td class="num">${whenOf(record, look.taken)}</td>
    <td class="num p3">${record.attempt}</td>
    <td class="grow p2">${about}</td>
  </tr>`
}
