/**
 * What makes the pages live, for browsers that run it: it is served as it stands. Without it every page and action works.
 *
 * **Details**
 *
 * One stream a tab brings the page anew when something has changed, and it is morphed into what is there, so that focus,
 * selection and what was opened stay. While rows are ticked, a field is being filled in, or text is selected, what is new
 * waits. A hidden tab has no stream.
 */

export const script = /* js */ `"use strict"
const $ = (selector, within = document) => within.querySelector(selector)
const base = document.documentElement.dataset.base
const here = location.pathname + location.search

/* Live */
let source, paused = false, waiting, heard = Date.now()
const isLive = document.documentElement.dataset.live === "yes"

const isBusy = () => {
  const active = document.activeElement
  const filling = active && active.matches("main input:not([type=checkbox],[type=radio],[type=search]), main textarea, main select")
  const selected = String(getSelection()).length > 0
  return Boolean(filling || selected || $("main tbody :checked") || $("main tr:hover :is(button,a):active"))
}

const show = (page) => {
  waiting = undefined
  const next = new DOMParser().parseFromString(page, "text/html")
  const ticked = new Set(Array.from(document.querySelectorAll("main tbody :checked"), (box) => box.value))
  const options = {
    ignoreActiveValue: true,
    callbacks: {
      beforeAttributeUpdated: (name, node) => !(name === "open" && node.tagName === "DETAILS"),
      beforeNodeMorphed: (node) => !(node.id === "q" || node.id === "search")
    }
  }
  Idiomorph.morph($("main"), $("main", next).outerHTML, options)
  Idiomorph.morph($(".rail"), $(".rail", next).outerHTML, options)
  for (const box of document.querySelectorAll("main tbody [type=checkbox]")) box.checked = ticked.has(box.value)
  document.title = next.title
  ready()
}

const offer = () => {
  const strip = $("#news")
  if (strip) strip.hidden = waiting === undefined
}

const start = () => {
  if (!isLive || paused || document.hidden || source) return
  source = new EventSource(base + "/live?at=" + encodeURIComponent(here))
  source.addEventListener("page", (event) => {
    heard = Date.now()
    waiting = JSON.parse(event.data)
    if (!isBusy()) show(waiting)
    offer()
  })
  source.addEventListener("same", () => { heard = Date.now() })
  source.addEventListener("gone", () => { stop() })
}

const stop = () => {
  if (source) source.close()
  source = undefined
}

document.addEventListener("visibilitychange", () => { if (document.hidden) stop(); else start() })
addEventListener("pagehide", stop)
addEventListener("pageshow", start)
setInterval(() => {
  const state = $("#live")
  if (!state || !isLive) return
  const old = !paused && !document.hidden && Date.now() - heard > 15000
  state.className = paused ? "st cancelled" : old ? "st warning" : "st running"
  state.textContent = paused ? "Paused" : old ? "Not heard for " + Math.round((Date.now() - heard) / 1000) + " s" : "Live"
}, 1000)

const pause = () => {
  paused = !paused
  if (paused) stop(); else start()
  const button = $("#pause")
  if (button) button.firstChild.textContent = paused ? "Go on " : "Pause "
}

/* Each time that a page is there */
const ready = () => {
  for (const element of document.querySelectorAll("[data-script]")) element.hidden = false
  const button = $("#pause")
  if (button) {
    button.onclick = pause
    button.firstChild.textContent = paused ? "Go on " : "Pause "
  }
  const news = $("#news")
  if (news) news.onclick = () => { if (waiting !== undefined) show(waiting); offer() }
  offer()
}

/* What has just been done: an undo is offered for a while */
const undone = () => {
  const left = $("[data-left]")
  if (!left) return
  const seconds = Number(left.dataset.left) - 1
  left.dataset.left = String(seconds)
  left.textContent = seconds + " s left"
  if (seconds <= 0) {
    const form = $("#undo")
    if (form) form.remove()
    left.remove()
  }
}
setInterval(undone, 1000)

/* Theme */
document.addEventListener("change", (event) => {
  if (event.target.name !== "theme") return
  fetch(base + "/theme", { method: "POST", body: new URLSearchParams({ theme: event.target.value }), redirect: "manual" })
})

/* Keys */
const rows = () => Array.from(document.querySelectorAll("main tbody tr")).filter((row) => $("a", row))
const move = (by) => {
  const all = rows()
  const at = all.findIndex((row) => row.classList.contains("current"))
  const next = all[Math.min(all.length - 1, Math.max(0, at + by))]
  if (!next) return
  for (const row of all) row.classList.toggle("current", row === next)
  $("a", next).focus()
}
const pages = { o: "", f: "/failed", e: "/executions", t: "/tasks", s: "/schedule", l: "/limits", h: "/holds", w: "/workers" }
let going = false
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return
  if (event.target.matches("input:not([type=checkbox],[type=radio]), textarea, select")) {
    if (event.key === "Escape") event.target.blur()
    return
  }
  const { key } = event
  if (going) {
    going = false
    if (key in pages) location.assign(base + pages[key])
    return
  }
  const current = $("main tr.current")
  const actions = {
    "/": () => $("#q") && $("#q").focus(),
    g: () => { going = true; setTimeout(() => { going = false }, 1500) },
    j: () => move(1),
    k: () => move(-1),
    x: () => { const box = current && $("[type=checkbox]", current); if (box) box.click() },
    r: () => { const button = $("[data-key=r]"); if (button) button.click() },
    u: () => { const button = $("[data-key=u]"); if (button) button.click() },
    ".": pause,
    t: () => {
      const radios = Array.from(document.querySelectorAll("[name=theme]"))
      const next = radios[(radios.findIndex((radio) => radio.checked) + 1) % radios.length]
      if (next) next.click()
    },
    "?": () => location.assign(base + "/keys")
  }
  if (!(key in actions)) return
  event.preventDefault()
  actions[key]()
})

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-copy]")
  if (!button) return
  event.preventDefault()
  navigator.clipboard.writeText(button.dataset.copy).then(() => { button.textContent = "Copied" })
})

ready()
start()
`
