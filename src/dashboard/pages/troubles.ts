/**
 * Pages that say what is wrong, and what to do about it.
 */
import type { Role } from "../../http/Access.ts"
import { html, type Html, link } from "../html.ts"
import type { Blind } from "../look.ts"
import type { Page, View } from "../view.ts"
import * as Words from "../words.ts"

/** The store does not answer. */
export const blind = (view: View, { error, last, since }: Blind, now: number): Page => ({
  title: "Store is down",
  crumb: "Overview",
  status: 503,
  heading: `The store does not answer: nothing is known since ${Words.moment(last?.taken ?? since, now)}`,
  under: html`<p class="soft">It is asked again every few seconds, and this page then goes on by itself.</p>`,
  body: html`<section class="say failed" aria-label="The error" role="alert">
      <p class="key">${error.message}${view.place !== undefined && html` (${view.place})`}</p>
    </section>
    <div class="cols">
      <section aria-labelledby="means">
        <h2 id="means" class="title">What this means</h2>
        <dl class="facts-list sheet pad">
          <dt>Workers</dt>
          <dd>What runs goes on. Nothing new starts, and what ends is settled once the store is back.</dd>
          <dt>Producers</dt>
          <dd><code>add</code> fails. What was confirmed is kept, if the store keeps its disk.</dd>
          <dt>Schedules</dt>
          <dd>What falls due meanwhile runs once, late.</dd>
        </dl>
      </section>
      <section aria-labelledby="do">
        <h2 id="do" class="title">What to do</h2>
        <dl class="facts-list sheet pad">
          <dt>Reachable?</dt>
          <dd><code class="key">redis-cli -u "$DOCKET_URL" ping</code> from this machine</dd>
          <dt>Up?</dt>
          <dd>Its own log says why it ended: memory, disk, a failover</dd>
          <dt>Answers again?</dt>
          <dd><code>docket doctor</code>, or the overview, says what is left to do</dd>
        </dl>
      </section>
    </div>
    ${
      last !== undefined &&
      html`<section aria-labelledby="last">
        <div class="title">
          <h2 id="last">Last known, at ${Words.moment(last.taken, now)}</h2>
          <p class="soft small">does not change</p>
        </div>
        <p class="facts">
          <span>${Words.number(last.depth.queued)} due</span
          ><span>${Words.number(last.depth.running)} running on ${Words.count(last.workers.length, "worker")}</span
          ><span>${Words.number(last.depth.scheduled)} for later</span
          ><span>${Words.number(last.failed.length)} failed</span>
        </p>
      </section>`
    }`
})

const simple = (title: string, heading: string, status: number, body: Html): Page => ({
  title,
  crumb: title,
  heading,
  status,
  isLive: false,
  body: html`<section class="sheet empty">${body}</section>`
})

/** Whoever asks may not do this. */
export const forbidden = ({ base, caller }: View, needs: Role): Page =>
  simple(
    "Not allowed",
    caller.role === undefined ? "You have no role here" : `This needs the role ${needs}`,
    403,
    html`<p>
        ${caller.role === undefined ? "The app that serves this page decides who may look at it." : `You have the role ${caller.role}.`}
      </p>
      <p><a class="button" href="${base}">Overview</a></p>`
  )

/** There is no such page. */
export const nowhere = ({ base }: View): Page =>
  simple("Not found", "There is no such page", 404, html`<p><a class="button" href="${base}">Overview</a></p>`)

/** There is no such execution. */
export const noExecution = (view: View, key: string): Page =>
  simple(
    "Not found",
    "There is no record of this key",
    404,
    html`<p class="key"><bdi>${key}</bdi></p>
      <p>
        It was never scheduled here, or it has ended and is not kept any more: what was completed or cancelled is kept
        for ${Words.length(view.docket.settings.executionTtlMillis)}, what failed for
        ${Words.length(view.docket.settings.failedTtlMillis)}.
      </p>
      <p><a class="button" href="${link(`${view.base}/executions`, { q: key })}">Search for it</a></p>`
  )

/** A question that nobody remembers. */
export const tooOld = ({ base }: View): Page =>
  simple(
    "Too old",
    "This question is too old, or was answered before",
    404,
    html`<p>Choose again what to do.</p>
      <p><a class="button" href="${base}/executions">Executions</a></p>`
  )

/** Something was not done. */
export const problem = (
  { base }: View,
  error: { readonly title: string; readonly detail?: string; readonly status: number }
): Page =>
  simple(
    "Not done",
    error.title,
    error.status,
    html`<p>${error.detail}</p>
      <p><a class="button" href="${base}">Overview</a></p>`
  )

/** There is no such docket; without one there is no frame. */
export const noDocket = (assets: string, prefix: string, names: ReadonlyArray<string>): Html =>
  html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>Not found · docket</title>
        <link rel="icon" href="data:," />
        <link rel="stylesheet" href="${assets}/style.css" />
      </head>
      <body>
        <main id="main">
          <div class="head"><h1>There is no such docket here</h1></div>
          <section class="sheet empty">
            <ul>
              ${names.map((name) => html`<li><a href="${prefix}/${encodeURIComponent(name)}">${name}</a></li>`)}
            </ul>
          </section>
        </main>
      </body>
    </html> `
