/**
 * The tasks that a worker knows, each with its codec and its handler.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Schema from "effect/Schema"
import type * as Task from "../../Task.ts"
import type * as TaskGroup from "../../TaskGroup.ts"
import { codecOf, type CompletePayload } from "../contract/codec.ts"
import { chainOf } from "../contract/facts.ts"
import * as PayloadVersion from "../contract/payloadVersion.ts"
import * as Stored from "../contract/stored.ts"
import { handlerOf, type Implementation } from "../contract/handlers.ts"

/** What it takes to run one task. */
export interface Runnable {
  readonly behaviour: Task.Behaviour | undefined
  /** See `TaskFacts.chain`. */
  readonly chain: string | undefined
  /** The newest version of its payload that it reads. */
  readonly version: number
  /** The services that the handler's layer was built with. */
  readonly context: Context.Context<never>
  readonly decodePayload: (text: string) => Exit.Exit<unknown, Schema.SchemaError>
  readonly completePayload: (text: string) => Exit.Exit<CompletePayload, Schema.SchemaError>
  readonly encodeSuccess: (value: unknown) => Exit.Exit<string | undefined, Schema.SchemaError>
  readonly encodeError: (error: unknown) => Exit.Exit<string, Schema.SchemaError>
  /** Whether the task can be said to fail with this; a task without an error schema, with anything. */
  readonly declares: (error: unknown) => boolean
  readonly run: Implementation["run"]
}

/** Finds how to run an execution, by the name of its task and its payload. */
export interface Registry {
  /** What the worker knows: tasks, and versions of their payloads. */
  readonly names: ReadonlySet<string>
  /** Whether every name can be run, because there is a fallback. */
  readonly any: boolean
  readonly find: (task: string, payload: string) => Runnable | undefined
  /** What a worker has to know that is to run this execution, when this one does not. */
  readonly lacks: (task: string, payload: string) => string | undefined
  /** Whether a payload is of an earlier version than that of this worker's contract. */
  readonly isEarlier: (task: string, payload: string) => boolean
}

/** Collects the handlers of a group from a context. */
export const collect = <T extends Task.Any>(
  group: TaskGroup.TaskGroup<T>,
  context: Context.Context<Task.Handlers<T>>
): ReadonlyMap<string, Runnable> => {
  const runnables = new Map<string, Runnable>()
  for (const task of group.tasks.values()) {
    const { context: services, run } = Context.getUnsafe(context, handlerOf(task.name))
    const { completePayload, decodePayload, encodeError, encodeSuccess, hasErrors, version } = codecOf(task)
    runnables.set(task.name, {
      behaviour: task.behaviour,
      chain: chainOf(task),
      version,
      context: services,
      decodePayload,
      completePayload,
      encodeSuccess,
      encodeError,
      declares: hasErrors ? Schema.is(task.errorSchema) : () => true,
      run
    })
  }
  return runnables
}

/** Makes a registry of these tasks. A fallback runs all others. */
export const make = (runnables: ReadonlyMap<string, Runnable>, fallback: Runnable | undefined): Registry => {
  const find = (task: string, payload: string) => {
    const runnable = runnables.get(task)
    return runnable !== undefined && PayloadVersion.versionOf(payload) <= runnable.version ? runnable : fallback
  }
  return {
    names: new Set(Array.from(runnables, ([task, { version }]) => PayloadVersion.namesUpTo(task, version)).flat()),
    any: fallback !== undefined,
    find,
    lacks: (task, payload) =>
      runnables.has(task) && find(task, payload) === undefined
        ? PayloadVersion.nameOf(task, PayloadVersion.versionOf(payload))
        : undefined,
    isEarlier: (task, payload) => PayloadVersion.versionOf(payload) < (runnables.get(task)?.version ?? 1)
  }
}

const encodeJson = Schema.encodeUnknownExit(Schema.fromJsonString(Schema.Json))

/** A fallback as something that can be run: it reads stored text, and succeeds with JSON data or nothing. */
export const fallback = <R>(
  run: (encodedPayload: string) => Effect.Effect<unknown, unknown, R>,
  context: Context.Context<never>
): Runnable => ({
  behaviour: undefined,
  chain: undefined,
  version: Number.POSITIVE_INFINITY,
  context,
  decodePayload: (text) => Exit.succeed(Stored.jsonOf(text)),
  // Without a contract there are no defaults.
  completePayload: (text) => Exit.map(Stored.dataOf(text), (encoded) => ({ payload: text, encoded })),
  encodeSuccess: (value) => (value === undefined ? Exit.succeed(undefined) : encodeJson(value)),
  encodeError: encodeJson,
  declares: () => true,
  // `decodePayload` hands the text on as it is, and `encodeError` takes whatever it fails with. Its services are in
  // `context`, or are those of each execution.
  run: run as unknown as Implementation["run"]
})
