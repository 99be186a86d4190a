/**
 * Pages that ask before something is done: confirmations, and a form for an execution.
 */
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { ExecutionRecord } from "../../DocketStore.ts"
import { inputOf } from "../../http/Api.ts"
import { dataOf } from "../../http/wire.ts"
import type * as Task from "../../Task.ts"
import { byTask } from "../groups.ts"
import { type Content, html, type Html, packed } from "../html.ts"
import type { Look } from "../look.ts"
import { type Page, toExecution, type View } from "../view.ts"
import * as Words from "../words.ts"

/** Something that is done once it is confirmed. */
export interface Pending {
  readonly action: "cancel" | "discard" | "clear"
  /** Of which executions; frozen when it was asked. */
  readonly keys: ReadonlyArray<string>
  /** How many, of which tasks. */
  readonly tasks: ReadonlyArray<readonly [task: string, count: number]>
  readonly count: number
  /** Those that were chosen and are in a state that does not fit. */
  readonly left: number
  /** When it was counted, on the store's clock. */
  readonly at: number
  /** The page that it came from. */
  readonly back: string
}

const words = {
  cancel: {
    verb: "Cancel",
    keep: "Leave them",
    what: "What waits never runs. The handler of what runs is interrupted, wherever that is."
  },
  discard: {
    verb: "Discard",
    keep: "Keep them",
    what: "Their payloads and errors are deleted, and nothing brings them back."
  },
  clear: {
    verb: "Clear",
    keep: "Leave them",
    what: "Everything that waits is cancelled, due or for later. What runs goes on."
  }
} as const

/** Asks before something is done. */
export const confirm = (view: View, id: string, pending: Pending): Page => {
  const { action, at, back, count, keys, left, tasks } = pending
  const { keep, verb, what } = words[action]
  const isOne = action === "cancel" && count === 1
  const [first = ""] = keys
  return {
    title: `${verb} ${count}`,
    crumb: html`<a href="${view.base}${back}">Back</a>`,
    heading: isOne ? html`Cancel <bdi>${first}</bdi>?` : `${verb} ${Words.count(count, "execution")}?`,
    isLive: false,
    body: html`<form class="sheet empty" method="post" action="${view.base}/do">
      <input type="hidden" name="action" value="${action}" /><input type="hidden" name="pending" value="${id}" />
      <p>
        ${tasks.length > 0 && html`They are of ${tasks.map(([task, n], i) => html`${i > 0 && ", "}<bdi>${task}</bdi> (${Words.number(n)})`)}. `}${what}
      </p>
      ${
        keys.length > 1 &&
        html`<details>
          <summary>${Words.count(keys.length, "key")}</summary>
          <ul>
            ${keys.slice(0, 50).map((key) => html`<li>${toExecution(view, key)}</li>`)}${keys.length > 50 && html`<li class="soft">and ${Words.number(keys.length - 50)} others</li>`}
          </ul>
        </details>`
      }
      ${left > 0 && html`<p class="soft">${Words.count(left, "other")} that ${left === 1 ? "was" : "were"} chosen ${left === 1 ? "is" : "are"} in a state that does not fit, and left alone.</p>`}
      ${
        !isOne &&
        html`<p>
            <label for="n">Type <b>${count}</b> to ${verb.toLowerCase()} them</label>
          </p>
          <input
            id="n"
            name="count"
            type="text"
            class="short"
            inputmode="numeric"
            pattern="\\s*${count}\\s*"
            required
            autocomplete="off"
          />`
      }
      <div class="bar">
        <button class="danger">${verb} ${isOne ? "it" : Words.number(count)}</button
        ><a class="button" href="${view.base}${back}">${isOne ? "Leave it" : keep}</a>
      </div>
      <p class="soft small">
        What comes while you read this is not among them: the count is of ${Words.moment(at, at)} UTC.
      </p>
    </form>`
  }
}

/** What a form asks of a field. */
interface Field {
  readonly name: string
  readonly kind: "text" | "number" | "checkbox" | "choice" | "json"
  readonly choices: ReadonlyArray<string>
  readonly isRequired: boolean
  readonly description: string | undefined
}

interface Described {
  readonly type?: unknown
  readonly enum?: ReadonlyArray<unknown>
  readonly description?: unknown
  readonly properties?: Readonly<Record<string, Described>>
  readonly required?: ReadonlyArray<string>
  readonly $ref?: string
}

/** The fields of a payload that has some; nothing when it is better written as JSON. */
export const fieldsOf = (task: Task.Any): ReadonlyArray<Field> | undefined => {
  const { definitions, schema } = Schema.toJsonSchemaDocument(Schema.toCodecJson(inputOf(task)))
  // What a JSON Schema consists of, as far as it is looked at.
  const found = definitions as Readonly<Record<string, Described>>
  const resolve = (described: Described): Described => {
    const name = described.$ref?.split("/").at(-1)
    return name === undefined ? described : (found[decodeURIComponent(name)] ?? {})
  }
  const root = resolve(schema as Described)
  if (root.type !== "object" || root.properties === undefined) return undefined
  return Object.entries(root.properties).map(([name, given]) => {
    const { description, enum: choices = [], type } = resolve(given)
    const kind =
      choices.length > 0 && choices.every((choice) => typeof choice === "string")
        ? "choice"
        : type === "string"
          ? "text"
          : type === "number" || type === "integer"
            ? "number"
            : type === "boolean"
              ? "checkbox"
              : "json"
    return {
      name,
      kind,
      choices: choices.map(String),
      isRequired: root.required?.includes(name) === true,
      description: typeof description === "string" ? description : undefined
    }
  })
}

/** What was given before, and what was wrong with it. */
export interface Given {
  readonly values: URLSearchParams
  readonly problem: string | undefined
}

/** A form for an execution: a new one, or one like another. */
export const add = (view: View, look: Look | undefined, like: ExecutionRecord | undefined, given?: Given): Page => {
  const task = given?.values.get("task") ?? view.query.get("task") ?? ""
  const contract = view.tasks.get(task)
  const names = look === undefined ? [...view.tasks.keys()] : byTask(look, view.tasks.keys()).map(({ task }) => task)
  const isLive =
    like !== undefined && (like.state === "running" || like.state === "queued" || like.state === "scheduled")
  const key = given?.values.get("key") ?? (like === undefined ? "" : packed(like.key))
  const payload = like === undefined ? undefined : dataOf(like.payload)
  const isRedacted = JSON.stringify(payload ?? null).includes('"<redacted>"')
  return {
    title: isLive ? "Replace" : "Add",
    crumb: html`<a href="${view.base}/executions">Executions</a> / ${isLive ? "Replace" : "Add"}`,
    heading: isLive
      ? html`Replace <bdi>${like.key}</bdi>`
      : task === ""
        ? "Add an execution"
        : html`Add an execution of <bdi>${task}</bdi>`,
    isLive: false,
    body: html`${given?.problem !== undefined && html`<section class="say failed" role="alert"><p>${given.problem}</p></section>`}
    ${
      task === ""
        ? html`<form class="sheet form" method="get" action="${view.base}/add">
            <div class="field">
              <label for="task">Task</label><input id="task" name="task" type="text" list="names" required /><datalist
                id="names"
              >
                ${names.map((name) => html`<option value="${name}"></option>`)}
              </datalist>
            </div>
            <div class="bar"><button class="primary">Go on</button></div>
          </form>`
        : html`<form class="sheet form" method="post" action="${view.base}/do">
            <input type="hidden" name="task" value="${task}" /><input
              type="hidden"
              name="replace"
              value="${isLive ? "yes" : "no"}"
            />
            ${isRedacted && html`<p class="soft">What is redacted is not shown, so it has to be given again.</p>`}
            ${fieldsFor(contract, payload, given)}
            <div class="field">
              <label for="key">Key</label>${
                isLive
                  ? html`<input type="hidden" name="key" value="${key}" /><span class="key">${like.key}</span>`
                  : html`<input
                        id="key"
                        name="plainKey"
                        type="text"
                        value="${given?.values.get("plainKey") ?? ""}"
                        placeholder="a fresh one"
                      /><span class="soft small">A key that is live is not scheduled again</span>`
              }
            </div>
            <div class="field">
              <label for="delay">In seconds</label
              ><input id="delay" name="delay" type="number" min="0" value="${given?.values.get("delay") ?? "0"}" />
            </div>
            <div class="bar">
              <button class="primary" name="action" value="add">${isLive ? "Replace" : "Add"}</button
              ><a class="button" href="${view.base}/executions">Leave it</a>
            </div>
            ${isLive && html`<p class="soft small">What waits under the key will not run. What runs already is left alone, and this one runs besides it.</p>`}
          </form>`
    }`
  }
}

const fieldsFor = (
  contract: Task.Any | undefined,
  payload: Schema.Json | undefined,
  given: Given | undefined
): Content => {
  const fields = contract === undefined ? undefined : fieldsOf(contract)
  if (fields === undefined) {
    const text = given?.values.get("payload") ?? JSON.stringify(payload ?? {}, undefined, 2)
    return html`<div class="field">
      <label for="payload">Payload, as JSON</label
      ><textarea id="payload" name="payload" spellcheck="false">${text}</textarea>
    </div>`
  }
  const values =
    typeof payload === "object" && payload !== null ? new Map(Object.entries(payload)) : new Map<string, unknown>()
  return [
    html`<input type="hidden" name="form" value="yes" />`,
    ...fields.map((field) => input(field, values.get(field.name), given))
  ]
}

const input = (
  { choices, description, isRequired, kind, name }: Field,
  value: unknown,
  given: Given | undefined
): Html => {
  const id = `f-${encodeURIComponent(name)}`
  const field = `f.${name}`
  const known =
    value === undefined || value === "<redacted>" ? "" : typeof value === "string" ? value : JSON.stringify(value)
  const text = given?.values.get(field) ?? known
  const required = isRequired && html` required`
  const about = html`${description !== undefined && html`<span class="soft small">${description}</span>`}`
  const label = html`<label for="${id}"
    >${name}${!isRequired && html` <span class="soft">may be left out</span>`}</label
  >`
  switch (kind) {
    case "checkbox":
      return html`<div class="field">
        <span
          ><input id="${id}" name="${field}" type="checkbox" value="true" ${text === "true" ? html` checked` : ""} />
          ${label}</span
        >${about}
      </div>`
    case "choice":
      return html`<div class="field">
        ${label}<select id="${id}" name="${field}" ${required}>
          ${!isRequired && html`<option value=""></option>`}${choices.map((choice) => html`<option value="${choice}" ${choice === text ? html` selected` : ""}>${choice}</option>`)}</select
        >${about}
      </div>`
    case "number":
      return html`<div class="field">
        ${label}<input id="${id}" name="${field}" type="number" step="any" value="${text}" ${required} />${about}
      </div>`
    case "text":
      return html`<div class="field">
        ${label}<input id="${id}" name="${field}" type="text" value="${text}" />${about}
      </div>`
    case "json":
      return html`<div class="field">
        ${label}<textarea id="${id}" name="${field}" spellcheck="false" ${required}>${text}</textarea
        ><span class="soft small">JSON</span>${about}
      </div>`
  }
}

/** The payload that a form holds, or what is wrong with it. */
export const payloadOf = (
  values: URLSearchParams,
  contract: Task.Any | undefined
): Result.Result<Schema.Json, string> => {
  const fields = contract === undefined || values.get("form") === null ? undefined : fieldsOf(contract)
  if (fields === undefined) return parse(values.get("payload") ?? "{}", "The payload")
  const payload: Record<string, Schema.Json> = {}
  for (const { isRequired, kind, name } of fields) {
    const text = values.get(`f.${name}`)
    if (kind === "checkbox") payload[name] = text === "true"
    else if (text === null || (text === "" && (!isRequired || kind !== "text"))) continue
    else if (kind === "number") payload[name] = Number(text)
    else if (kind === "json") {
      const value = parse(text, name)
      if (Result.isFailure(value)) return value
      payload[name] = value.success
    } else payload[name] = text
  }
  return Result.succeed(payload)
}

const decode = Schema.decodeUnknownOption(Schema.fromJsonString(Schema.Json))

const parse = (text: string, what: string): Result.Result<Schema.Json, string> =>
  Result.fromOption(decode(text), () => `${what} has to be JSON, as in {"id": 7}`)
