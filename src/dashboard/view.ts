/**
 * What a page is made from, and the frame that all pages have.
 */
import * as Result from "effect/Result"
import { allows, type Caller, type Role } from "../http/Access.ts"
import type { Docket } from "../Docket.ts"
import type * as Task from "../Task.ts"
import { type Content, html, type Html, link, raw } from "./html.ts"
import type { Look, Seen } from "./look.ts"
import type { Notice } from "./notices.ts"
import * as Words from "./words.ts"

/** What a page is made from. */
export interface View {
  readonly docket: Docket["Service"]
  /** The names of all dockets that are served. */
  readonly dockets: ReadonlyArray<string>
  /** What comes before the path of each page of this docket. */
  readonly base: string
  /** The path of this page after that, as in `/failed`; empty for the overview. */
  readonly path: string
  readonly query: URLSearchParams
  readonly seen: Seen
  readonly caller: Caller["Service"]
  readonly theme: Theme
  /** The contracts that are known. */
  readonly tasks: ReadonlyMap<string, Task.Any>
  /** Where the docket is kept, as people may see it. */
  readonly place: string | undefined
  readonly notice: Notice | undefined
}

/** How the pages are coloured. */
export type Theme = "auto" | "light" | "dark"

/** A page. */
export interface Page {
  /** What comes first in the tab's title. */
  readonly title: string
  readonly crumb: Content
  /** The answer, in a sentence. */
  readonly heading: Content
  /** What belongs to the heading: a sentence, buttons. */
  readonly under?: Content
  readonly body: Content
  readonly status?: number
  /** Whether it is kept up to date. Default: yes. */
  readonly isLive?: boolean
}

/** Whether the caller may do what needs a role. */
export const may = ({ caller }: Pick<View, "caller">, needs: Role): boolean => allows(caller.role, needs)

/** The last that is known of the docket. */
export const lastLook = ({ seen }: Pick<View, "seen">): Look | undefined =>
  Result.isSuccess(seen) ? seen.success : seen.failure.last

const pages = [
  ["", "Overview"],
  ["/failed", "Failed"],
  ["/executions", "Executions"],
  ["/tasks", "Tasks"],
  ["/schedule", "Schedule"],
  ["/limits", "Limits"],
  ["/holds", "Holds"],
  ["/workers", "Workers"]
] as const

const countOf = (look: Look, path: (typeof pages)[number][0]): Content => {
  switch (path) {
    case "/failed":
      return look.failed.length === 0
        ? undefined
        : html`<b class="bad">${Words.number(look.failed.length)}${look.failed.length >= 1000 ? "+" : ""}</b>`
    case "/executions": {
      const { queued, running, scheduled } = look.depth
      return html`<b>${Words.number(queued + running + scheduled)}</b>`
    }
    case "/holds":
      return look.strikes.length === 0 ? undefined : html`<b>${look.strikes.length}</b>`
    case "/workers":
      return html`<b>${look.workers.length}</b>`
    default:
      return undefined
  }
}

const isOn = (page: string, path: string) =>
  page === path || (page === "/executions" && path === "/execution") || (page === "/failed" && path === "/confirm")

const rail = (view: View): Html => {
  const look = lastLook(view)
  const others = view.dockets.filter((name) => name !== view.docket.name)
  const above = view.base.slice(0, view.base.lastIndexOf("/"))
  return html`<header class="rail">
    <div>
      <p class="brand">${view.docket.name} ${view.place === undefined ? "" : html`<span>${view.place}</span>`}</p>
      ${
        others.length > 0 &&
        html`<nav class="nav" aria-label="Dockets">
          ${others.map((name) => html`<a href="${above}/${encodeURIComponent(name)}">${name}</a>`)}
        </nav>`
      }
      <nav class="nav" aria-label="Pages">
        ${pages.map(
          ([path, name]) =>
            html` <a href="${view.base}${path}" ${isOn(path, view.path) ? html` aria-current="page"` : ""}
              >${name} ${look === undefined ? "" : countOf(look, path)}</a
            >`
        )}
      </nav>
    </div>
  </header>`
}

const strip = (view: View, isLive: boolean): Html => {
  const { seen } = view
  const state = Result.isFailure(seen)
    ? html`<span class="st problem">Store is down</span>`
    : isLive
      ? html`<span class="st running" id="live">Live</span>
          <span class="p2">answers in ${seen.success.latencyMillis} ms</span>`
      : html`<span class="st cancelled">As it was</span>`
  const at = Result.isSuccess(seen) ? seen.success.taken : seen.failure.last?.taken
  return html`<div class="strip">
    <form role="search" id="search" action="${view.base}/executions">
      <label class="vh" for="q">Search executions</label>
      <input
        id="q"
        name="q"
        type="search"
        placeholder="Key, task:charge state:failed error:Timeout"
        value="${view.query.get("q") ?? ""}"
        autocomplete="off"
      />
    </form>
    <div class="live">
      ${state}
      ${at === undefined ? "" : html`<time datetime="${Words.machine(at)}">${Words.machine(at).slice(11, 19)} UTC</time>`}
      <button type="button" id="news" hidden>Show what is new</button>
      ${isLive && html`<button type="button" class="quiet" id="pause" data-script hidden>Pause <kbd>.</kbd></button>`}
    </div>
  </div>`
}

const themes = [
  ["auto", "Auto"],
  ["light", "Light"],
  ["dark", "Dark"]
] as const

const foot = (view: View): Html =>
  html`<footer class="foot">
    <form method="post" action="${view.base}/theme">
      <fieldset class="seg">
        <legend class="vh">Theme</legend>
        ${themes.map(
          ([value, name]) =>
            html` <label
              ><input
                type="radio"
                name="theme"
                value="${value}"
                id="theme-${value}"
                ${value === view.theme ? html` checked` : ""}
              />${name}</label
            >`
        )}
      </fieldset>
      <noscript><button class="quiet">Keep</button></noscript>
    </form>
    <p class="small">
      ${view.caller.role === undefined ? "No role" : `Role ${view.caller.role}`}${
        view.caller.name === undefined ? "" : `, ${view.caller.name}`
      }
      · <a href="${view.base}/keys">Keys</a>
    </p>
  </footer>`

const noticeOf = (view: View): Content => {
  const { notice } = view
  if (notice === undefined) return undefined
  return html`<div class="notice" role="status">
    <p><b>${notice.text}</b></p>
    ${
      notice.undo !== undefined &&
      html`<form method="post" action="${view.base}/do" id="undo">
          <input type="hidden" name="action" value="undo" /><input
            type="hidden"
            name="notice"
            value="${notice.id}"
          /><button data-key="u">${notice.undo.label} <kbd>u</kbd></button>
        </form>
        <p class="small" data-left="${notice.undo.secondsLeft}">${notice.undo.secondsLeft} s left</p>`
    }
  </div>`
}

/** The whole page. */
export const frame = (view: View, assets: string, page: Page): string => {
  const isLive = (page.isLive ?? true) && Result.isSuccess(view.seen)
  return html`<!doctype html>
    <html lang="en" data-base="${view.base}" ${isLive || Result.isFailure(view.seen) ? html` data-live="yes"` : ""}>
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>${page.title} · ${view.docket.name} · docket</title>
        <link rel="icon" href="data:," />
        <link rel="stylesheet" href="${assets}/style.css" />
        <script src="${assets}/idiomorph.js" defer></script>
        <script src="${assets}/live.js" defer></script>
      </head>
      <body>
        <a class="skip" href="#main">Skip to the page</a>
        ${rail(view)}
        <main id="main" tabindex="-1">
          ${strip(view, isLive)}
          <div class="head">
            <p class="crumb">${page.crumb}</p>
            <h1>${page.heading}</h1>
            ${page.under}
          </div>
          ${noticeOf(view)} ${page.body}
        </main>
        ${foot(view)}
      </body>
    </html> `.text
}

/** A link to an execution's page. */
export const toExecution = (view: Pick<View, "base">, key: string): Html =>
  html`<a class="key" href="${link(`${view.base}/execution`, { key })}"
    ><bdi>${key === "" ? raw("&nbsp;") : key}</bdi></a
  >`

/** A link to the executions of a task. */
export const toTask = (view: Pick<View, "base">, task: string): Html =>
  html`<a href="${link(`${view.base}/executions`, { q: `task:${quoted(task)}` })}"><bdi>${task}</bdi></a>`

/** A value in a search. */
export const quoted = (value: string): string => (/^[^\s"]+$/.test(value) ? value : JSON.stringify(value))
