/**
 * What needs attention, the most urgent first.
 */
import type { Docket } from "../Docket.ts"
import { judge } from "../Strike.ts"
import { dataOf } from "../http/wire.ts"
import { byTask, failures } from "./groups.ts"
import { type Content, html, link, packed } from "./html.ts"
import type { Look } from "./look.ts"
import { listed } from "./look.ts"
import { may, quoted, toTask, type View } from "./view.ts"
import * as Words from "./words.ts"

/** Something that needs attention. */
export interface Finding {
  readonly verdict: "problem" | "warning"
  readonly text: Content
  readonly advice: Content
  readonly actions: Content
  /** Since when, epoch milliseconds. */
  readonly since: number | undefined
}

/** Something may be due for so long before that is remarkable. */
const lateMillis = 60_000

/** Finds what needs attention. */
export const find = (view: View, look: Look): ReadonlyArray<Finding> => {
  const found = [
    ...workers(view, look),
    ...failed(view, look),
    ...unknown(view, look),
    ...holds(view, look),
    ...late(view.docket, look, view),
    ...backlog(look, view)
  ]
  return [
    ...found.filter(({ verdict }) => verdict === "problem"),
    ...found.filter(({ verdict }) => verdict === "warning")
  ]
}

const workers = (view: View, look: Look): ReadonlyArray<Finding> => {
  const { queued, running, scheduled } = look.depth
  if (look.workers.length > 0 || queued + running + scheduled === 0) return []
  return [
    {
      verdict: "problem",
      text: html`No worker can take work, and ${Words.count(queued, "execution")} ${queued === 1 ? "is" : "are"} due`,
      advice: html`Start one: <code>docket worker --tasks ./handlers.ts --docket ${view.docket.name}</code>`,
      actions: undefined,
      since: undefined
    }
  ]
}

const failed = (view: View, look: Look): ReadonlyArray<Finding> =>
  failures(look.failed)
    .slice(0, 3)
    .map(({ error, first, last, records, task }) => ({
      verdict: look.taken - last < 3_600_000 ? "problem" : "warning",
      text: html`${Words.count(records.length, "execution")} of ${toTask(view, task)} failed for good since
      ${Words.moment(first, look.taken)}`,
      advice: html`<code>${error}</code>, last ${Words.length(look.taken - last)} ago`,
      actions: html`<a class="button" href="${view.base}/failed">See why</a>${
          may(view, "retry") &&
          html`<input
              type="hidden"
              name="action"
              value="retry"
            />${records.map(({ key }) => html`<input type="hidden" name="key" value="${packed(key)}" />`)}<button>
              Retry ${Words.number(records.length)}
            </button>`
        }`,
      since: first
    }))

const unknown = (view: View, look: Look): ReadonlyArray<Finding> =>
  look.workers.length === 0
    ? []
    : byTask(look, []).flatMap(({ isKnown, oldest, queued, task }): ReadonlyArray<Finding> =>
        isKnown || queued === 0 || oldest === undefined
          ? []
          : [
              {
                verdict: "problem",
                text: html`${Words.count(queued, "execution")} of ${toTask(view, task)} ${queued === 1 ? "is" : "are"}
                due, and no live worker knows the task`,
                advice: html`Waiting for ${Words.length(look.taken - oldest)}. Start a worker with its module, or look
                for a misspelt name`,
                actions: html`<a class="button" href="${link(`${view.base}/executions`, { q: `task:${quoted(task)}` })}"
                  >See them</a
                >`,
                since: oldest
              }
            ]
      )

const holds = (view: View, look: Look): ReadonlyArray<Finding> =>
  look.strikes.map((strike, i) => {
    const held = look.waiting.filter(
      ({ payload, task }) => judge([strike], task, dataOf(payload)).strike !== undefined
    ).length
    const isPause = strike.hold && strike.field === undefined
    const what = isPause
      ? html`${strike.task === undefined ? "Everything" : html`<bdi>${strike.task}</bdi>`} is paused`
      : html`<bdi>${String(strike)}</bdi> is ${strike.hold ? "held" : "refused"}`
    return {
      verdict: "warning",
      text: html`<a href="${view.base}/holds">${what}</a>, and ${Words.count(held, "execution")}
        ${held === 1 ? "waits" : "wait"} for it`,
      advice: strike.hold ? "What is scheduled waits until it goes on" : "What matches is neither scheduled nor run",
      actions:
        may(view, "operate") &&
        html`<input type="hidden" name="action" value="restore" /><input
            type="hidden"
            name="strike"
            value="${packed(strike.id)}"
          /><button aria-label="${isPause ? "Resume" : "Restore"}: ${i + 1}">
            ${isPause ? "Resume" : "Restore"}
          </button>`,
      since: undefined
    }
  })

/** After so many missed heartbeats a worker is late. */
const lateHeartbeats = 2.5

/** Whether a worker has been silent for too long. */
export const isLate = ({ settings }: Docket["Service"], lastSeen: number, now: number): boolean =>
  now - lastSeen > lateHeartbeats * settings.heartbeatMillis

const late = (docket: Docket["Service"], look: Look, view: View): ReadonlyArray<Finding> =>
  look.workers.flatMap(({ lastSeen, name }): ReadonlyArray<Finding> => {
    if (!isLate(docket, lastSeen.epochMilliseconds, look.taken)) return []
    const silent = look.taken - lastSeen.epochMilliseconds
    const missed = Math.floor(silent / docket.settings.heartbeatMillis)
    const running = look.running.filter(({ worker }) => worker === name).length
    return [
      {
        verdict: "warning",
        text: html`<a href="${view.base}/workers"><bdi>${name}</bdi></a> has missed ${missed} of
          ${docket.settings.missedHeartbeats} heartbeats and runs ${Words.count(running, "execution")}`,
        advice: `Last heard ${Words.length(silent)} ago. Others take over what it runs once its leases have expired`,
        actions: html`<a class="button" href="${view.base}/workers">See it</a>`,
        since: lastSeen.epochMilliseconds
      }
    ]
  })

const backlog = (look: Look, view: View): ReadonlyArray<Finding> => {
  const due = look.waiting.filter(({ hindrance, state }) => state === "queued" && hindrance === undefined)
  const oldest = Math.min(...due.map(({ due }) => due))
  if (due.length === 0 || look.taken - oldest < lateMillis || look.workers.length === 0) return []
  return [
    {
      verdict: "warning",
      text: html`${Words.count(look.depth.queued, "execution")} ${look.depth.queued === 1 ? "is" : "are"} due, the
      oldest for ${Words.length(look.taken - oldest)}`,
      advice: "Start more workers, or raise their --concurrency",
      actions: html`<a class="button" href="${link(`${view.base}/executions`, { q: "state:queued" })}">See them</a>`,
      since: oldest
    }
  ]
}

/** Whether lists were cut. */
export const isPartial = (look: Look): boolean => look.waiting.length >= listed || look.failed.length >= listed
