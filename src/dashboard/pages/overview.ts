/**
 * The overview: what needs attention first, then tasks, workers, and what comes next.
 */
import { find, isLate } from "../findings.ts"
import { byTask } from "../groups.ts"
import { type Content, html, type Html, link } from "../html.ts"
import type { Look } from "../look.ts"
import { slots, time } from "../parts.ts"
import { type Page, toExecution, toTask, type View } from "../view.ts"
import * as Words from "../words.ts"

/** Makes the page. */
export const overview = (view: View, look: Look, charts: Content): Page => {
  const findings = find(view, look)
  const problems = findings.filter(({ verdict }) => verdict === "problem").length
  const warnings = findings.length - problems
  const { queued, running, scheduled } = look.depth
  const isEmpty = queued + running + scheduled + look.failed.length + look.workers.length === 0
  if (isEmpty) return empty(view, look)
  const since = Math.min(...findings.map(({ since = Infinity }) => since))
  const counts = [
    problems === 0 ? [] : Words.count(problems, "problem"),
    warnings === 0 ? [] : Words.count(warnings, "warning")
  ].flat()
  const heading =
    counts.length === 0
      ? html`Nothing needs attention. ${Words.count(running, "execution")} ${running === 1 ? "runs" : "run"},
        ${Words.number(queued)} due, ${Words.number(scheduled)} for later.`
      : html`${counts.join(" and ")}.${Number.isFinite(since) ? ` The first began at ${Words.moment(since, look.taken)}.` : ""}`
  return {
    title: counts[0] ?? "Overview",
    crumb: "Overview",
    heading,
    body: html`${
        findings.length > 0 &&
        html`<section aria-labelledby="todo">
          <h2 id="todo" class="vh">What needs attention</h2>
          <ul class="todo sheet">
            ${findings.map(
              ({ actions, advice, text, verdict }) =>
                html` <li class="${verdict}">
                  <span class="st ${verdict}">${verdict}</span>
                  <div>
                    <p>${text}</p>
                    <p class="soft small">${advice}</p>
                  </div>
                  <form class="actions" method="post" action="${view.base}/do">${actions}</form>
                </li>`
            )}
          </ul>
        </section>`
      }
      <p class="facts small" role="note">
        <span class="st completed">Fine:</span> <span>the store answers in ${look.latencyMillis} ms</span
        ><span>${Words.count(look.workers.length, "worker")}</span><span>${Words.number(running)} running</span
        ><span>${Words.number(queued)} due</span><span>${Words.number(scheduled)} for later</span>
      </p>
      ${charts} ${tasksTable(view, look, 12)}
      <div class="cols">${workersTable(view, look)}${nextTable(view, look)}</div>`
  }
}

const empty = (view: View, look: Look): Page => {
  const others = view.dockets.filter((name) => name !== view.docket.name)
  return {
    title: "Empty",
    crumb: "Overview",
    heading: "Nothing has happened here yet",
    body: html`<section class="sheet empty" aria-label="First steps">
      <h2>The store answers in ${look.latencyMillis} ms</h2>
      <p>
        This docket is called <b>${view.docket.name}</b>. Start a worker with your tasks, and add one; both appear here
        at once.
      </p>
      <pre><code>docket worker --tasks ./handlers.ts --docket ${view.docket.name}
docket add sendWelcome --payload '{"customerId":7}' --docket ${view.docket.name}</code></pre>
      <p class="soft">
        Did you expect work here? Look at the name, and at the address of the
        store${
          others.length === 0 ? "" : html`: there ${others.length === 1 ? "is" : "are"} also ${others.join(", ")}`
        }.
      </p>
    </section>`
  }
}

/** A table of tasks. */
export const tasksTable = (view: View, look: Look, maximum: number): Html => {
  const all = byTask(look, view.tasks.keys())
  const shown = all.slice(0, maximum)
  const number = (value: number) => (value === 0 ? html`<span class="soft">0</span>` : Words.number(value))
  return html`<section aria-labelledby="tasks">
    <div class="title">
      <h2 id="tasks">Tasks</h2>
      <p class="soft small">
        by what waits
        longest${all.length > shown.length ? html` · <a href="${view.base}/tasks">all ${all.length}</a>` : ""}
      </p>
    </div>
    <div class="sheet scroll">
      <table>
        <thead>
          <tr>
            <th scope="col">Task</th>
            <th scope="col" class="num">Queued</th>
            <th scope="col" class="num">Oldest</th>
            <th scope="col" class="num">Failed</th>
            <th scope="col" class="num p2">Running</th>
            <th scope="col" class="num p2">Scheduled</th>
          </tr>
        </thead>
        <tbody>
          ${shown.map(
            ({ failed, isKnown, isPaused, oldest, queued, running, scheduled, task }) =>
              html` <tr id="task-${encodeURIComponent(task)}">
                <th scope="row">
                  ${toTask(view, task)}${isPaused && html` <span class="st held">paused</span>`}${
                    !isKnown && queued > 0 && html` <span class="st problem">no worker</span>`
                  }
                </th>
                <td class="num">${number(queued)}</td>
                <td class="num">${oldest !== undefined && Words.length(look.taken - oldest)}</td>
                <td class="num">
                  ${
                    failed === 0
                      ? number(0)
                      : html`<span class="st failed"
                          ><a href="${link(`${view.base}/executions`, { q: `task:${task} state:failed` })}"
                            >${Words.number(failed)}</a
                          ></span
                        >`
                  }
                </td>
                <td class="num p2">${number(running)}</td>
                <td class="num p2">${number(scheduled)}</td>
              </tr>`
          )}
        </tbody>
      </table>
    </div>
  </section>`
}

const workersTable = (view: View, look: Look): Html => {
  const workers = look.workers
    .toSorted((a, b) => a.lastSeen.epochMilliseconds - b.lastSeen.epochMilliseconds)
    .slice(0, 12)
  return html`<section aria-labelledby="workers">
    <div class="title">
      <h2 id="workers">Workers</h2>
      <p class="soft small"><a href="${view.base}/workers">what each runs</a></p>
    </div>
    <div class="sheet scroll">
      <table>
        <thead>
          <tr>
            <th scope="col">Worker</th>
            <th scope="col">Runs</th>
            <th scope="col" class="num">Heard</th>
          </tr>
        </thead>
        <tbody>
          ${workers.map(({ lastSeen, name }) => {
            const running = look.running.filter(({ worker }) => worker === name).length
            const at = lastSeen.epochMilliseconds
            return html` <tr id="worker-${encodeURIComponent(name)}">
              <th scope="row">
                <a href="${view.base}/workers"><bdi>${name}</bdi></a
                >${isLate(view.docket, at, look.taken) && html` <span class="st warning">late</span>`}
              </th>
              <td>${slots(running)}</td>
              <td class="num">${Words.length(look.taken - at)} ago</td>
            </tr>`
          })}${
            workers.length === 0 &&
            html`<tr>
              <td colspan="3" class="soft">None can take work</td>
            </tr>`
          }
        </tbody>
      </table>
    </div>
  </section>`
}

const nextTable = (view: View, look: Look): Html => {
  const next = look.waiting
    .filter(({ due, state }) => state === "scheduled" && due > look.taken)
    .toSorted((a, b) => a.due - b.due)
    .slice(0, 8)
  return html`<section aria-labelledby="next">
    <div class="title">
      <h2 id="next">Next by schedule</h2>
      <p class="soft small"><a href="${view.base}/schedule">all</a></p>
    </div>
    <div class="sheet scroll">
      <table>
        <thead>
          <tr>
            <th scope="col">Key</th>
            <th scope="col" class="p2">Task</th>
            <th scope="col" class="num">Due, UTC</th>
            <th scope="col" class="num">In</th>
          </tr>
        </thead>
        <tbody>
          ${next.map(
            ({ due, key, task }) =>
              html` <tr id="next-${encodeURIComponent(key)}">
                <th scope="row">${toExecution(view, key)}</th>
                <td class="p2">${task}</td>
                <td class="num">${time(due, look.taken)}</td>
                <td class="num">${Words.length(due - look.taken)}</td>
              </tr>`
          )}${
            next.length === 0 &&
            html`<tr>
              <td colspan="4" class="soft">Nothing is scheduled for later</td>
            </tr>`
          }
        </tbody>
      </table>
    </div>
  </section>`
}

/** All tasks. */
export const tasks = (view: View, look: Look): Page => ({
  title: "Tasks",
  crumb: "Tasks",
  heading: Words.count(byTask(look, view.tasks.keys()).length, "task"),
  body: tasksTable(view, look, Infinity)
})
