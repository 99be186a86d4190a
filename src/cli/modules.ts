/**
 * Loads the modules of tasks and handlers that `docket worker` runs. Whatever is wrong with one becomes a sentence that
 * names the module as it was typed; the whole cause is logged at debug level.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Path from "effect/Path"
import * as Predicate from "effect/Predicate"
import { fileURLToPath, pathToFileURL } from "node:url"
import type { Docket } from "../Docket.ts"
import { errorText } from "../internal/contract/failureText.ts"
import type * as Task from "../Task.ts"
import * as Admission from "../Admission.ts"
import * as TaskGroup from "../TaskGroup.ts"
import type { TaskServices } from "../TaskContext.ts"
import * as TaskModule from "../TaskModule.ts"
import * as Worker from "../Worker.ts"
import { CommandFailed, UsageError } from "./exits.ts"

/** The tasks of all modules, with a layer of all their handlers. */
export interface Loaded {
  readonly tasks: TaskGroup.TaskGroup<Task.Any>
  readonly layer: Layer.Layer<Task.Handlers<Task.Any>, CommandFailed, Docket>
}

type LoadError = UsageError | CommandFailed

/** Loads modules, each written as `./file.ts` or `./file.ts:export`, relative to the working directory. */
export const load: (
  modules: ReadonlyArray<string>
) => Effect.Effect<Loaded, LoadError, FileSystem.FileSystem | Path.Path> = Effect.fnUntraced(function* (modules) {
  const [first, ...rest] = yield* Effect.forEach(new Set(modules), (module) =>
    Effect.map(loadOne(module), (loaded) => ({ module, ...loaded }))
  )
  if (first === undefined) {
    return yield* new UsageError({
      message: "A worker needs tasks: name a module that exports a TaskModule with --tasks ./handlers.ts"
    })
  }
  const owners = new Map<string, { readonly module: string; readonly task: Task.Any }>()
  for (const { module, tasks } of [first, ...rest]) {
    for (const task of tasks.tasks.values()) {
      const known = owners.get(task.name)
      if (known !== undefined && known.task !== task) {
        return yield* new UsageError({
          message: `Two different tasks are named "${task.name}", in ${known.module} and in ${module}: a worker needs one name for each task`
        })
      }
      owners.set(task.name, { module, task })
    }
  }
  const tasks = Array.from(owners.values(), ({ task }) => task)
  const disagreement = Admission.findDisagreement(tasks)
  if (disagreement !== undefined) return yield* new UsageError({ message: disagreement })
  return {
    tasks: TaskGroup.make(...tasks),
    layer: Layer.mergeAll(handlersOf(first), ...rest.map(handlersOf))
  }
})

/**
 * Loads a fallback, written like a module of tasks: a function from the payload as it was stored to an effect. `drop`
 * stands for the one that settles executions of unknown tasks as failed.
 */
export const loadFallback: (
  module: string
) => Effect.Effect<Worker.Fallback<TaskServices>, LoadError, FileSystem.FileSystem | Path.Path> = Effect.fnUntraced(
  function* (module) {
    if (module === "drop") return Worker.drop
    const { exports, name } = yield* importFrom("--fallback-task", module)
    const value = exports[name]
    if (Predicate.isFunction(value)) {
      // What it gives is run as an effect; nothing tells what it is before it is called.
      // @effect-diagnostics-next-line anyUnknownInErrorContext:off
      return (payload) => Effect.suspend(() => value(payload) as Effect.Effect<unknown, unknown, TaskServices>)
    }
    return yield* new UsageError({
      message: `The fallback of ${module} cannot be used: its export "${name}" has to be a function from the stored payload to an Effect`
    })
  }
)

const loadOne = Effect.fnUntraced(function* (module: string) {
  const { exports, file, name } = yield* importFrom("--tasks", module)
  const value = exports[name]
  if (TaskModule.isTaskModule(value)) return value
  // What a compiler made of a default export in a CommonJS module.
  if (name === "default" && Predicate.hasProperty(value, "default") && TaskModule.isTaskModule(value.default)) {
    return value.default
  }
  return yield* new UsageError({ message: `The tasks of ${module} cannot be used: ${whyNot(file, name, exports)}` })
})

const importFrom = Effect.fnUntraced(function* (flag: "--tasks" | "--fallback-task", module: string) {
  const what = `The ${flag === "--tasks" ? "tasks" : "fallback"} of ${module}`
  const [, file, name = "default"] = /^(.+?)(?::([\p{ID_Start}$_][\p{ID_Continue}$]*))?$/su.exec(module) ?? []
  if (file === undefined) return yield* new UsageError({ message: `${flag} needs the path of a module; it was empty` })
  const path = (yield* Path.Path).resolve(file)
  const info = yield* Effect.option((yield* FileSystem.FileSystem).stat(path))
  if (info._tag === "None" || info.value.type !== "File") {
    const problem = info._tag === "None" ? "there is no such file" : "it is not a file"
    return yield* new UsageError({ message: `${what} cannot be loaded: ${problem} (${path})` })
  }
  const exports = yield* importModule(path).pipe(
    Effect.tapCause((cause) => Effect.logDebug(`Loading ${module} failed`, cause)),
    Effect.mapError(({ cause }) => notLoaded(what, path, cause))
  )
  return { exports, file, name }
})

const importModule = (path: string) =>
  Effect.tryPromise((): Promise<Readonly<Record<string, unknown>>> => import(pathToFileURL(path).href))

const whyNot = (file: string, name: string, exports: Readonly<Record<string, unknown>>): string => {
  const wanted = name === "default" ? "its default export" : `its export "${name}"`
  if (name in exports) {
    const found = TaskGroup.isTaskGroup(exports[name])
      ? "a group of tasks without handlers"
      : Layer.isLayer(exports[name])
        ? "a Layer"
        : "something else"
    return `${wanted} has to be a TaskModule, made with TaskModule.make(tasks, handlers), and is ${found}`
  }
  const usable = Object.keys(exports).filter((key) => TaskModule.isTaskModule(exports[key]))
  const hint =
    usable.length === 0
      ? "export one made with TaskModule.make(tasks, handlers)"
      : `write ${usable.map((key) => (key === "default" ? file : `${file}:${key}`)).join(" or ")}`
  return `it has no ${name === "default" ? "default export" : `export "${name}"`}; ${hint}`
}

// A module's handlers may fail to build in any way that their author chose.
// @effect-diagnostics-next-line anyUnknownInErrorContext:off
const handlersOf = ({ layer, module }: TaskModule.TaskModule<Task.Any> & { readonly module: string }) =>
  // @effect-diagnostics-next-line anyUnknownInErrorContext:off
  Layer.catchCause(layer, (cause) =>
    Layer.effectContext(
      Effect.gen(function* () {
        if (Cause.hasInterruptsOnly(cause)) return yield* Effect.interrupt
        yield* Effect.logDebug(`Building the handlers of ${module} failed`, cause)
        return yield* new CommandFailed({
          message: `The handlers of ${module} could not be built: ${causeText(cause)}`
        })
      })
    )
  )

const notLoaded = (what: string, path: string, error: unknown): LoadError => {
  const say = (problem: string) => `${what} cannot be loaded: ${problem}`
  const code = Predicate.hasProperty(error, "code") ? error.code : undefined
  const message = error instanceof Error ? oneLine(error.message) : errorText(error)
  switch (code) {
    case "ERR_UNKNOWN_FILE_EXTENSION":
    case "ERR_IMPORT_ATTRIBUTE_MISSING":
      return new UsageError({ message: say(`${message}; a module of tasks is a .ts, .mts, .js or .mjs file`) })
    case "ERR_UNSUPPORTED_NODE_MODULES_TYPE_STRIPPING":
      return new UsageError({
        message: say("Node runs no TypeScript below node_modules; name the JavaScript that was built from it")
      })
    case "ERR_UNSUPPORTED_TYPESCRIPT_SYNTAX":
      return new UsageError({
        message: say(`${message}${placeOf(error)}; write it without, or name the JavaScript that was built from it`)
      })
    case "ERR_MODULE_NOT_FOUND":
      return new CommandFailed({ message: say(`${message}${extensionHint(message)}`) })
  }
  if (!(error instanceof SyntaxError)) {
    return new CommandFailed({ message: say(`it throws ${oneLine(errorText(error))}${placeOf(error)}`) })
  }
  const place = placeOf(error)
  // For JavaScript, Node keeps the place to itself.
  const hint =
    place === "" ? `; "node --check ${path}" shows where, if it is not in a module that this one imports` : ""
  return new CommandFailed({ message: say(`SyntaxError: ${message}${place}${hint}`) })
}

const causeText = (cause: Cause.Cause<unknown>): string =>
  Cause.prettyErrors(cause)
    .map(({ message, name }) => `${name}: ${message}`)
    .join("; ")

const oneLine = (text: string): string => text.replace(/\s*\n\s*/g, " ")

/** The first place in a stack that is not in Node itself, which is in the user's module or in what it calls. */
const placeOf = (error: unknown): string => {
  const stack = error instanceof Error ? (error.stack ?? "") : ""
  const [, url, position] =
    /^(file:\/\/\S+?):(\d+)$/m.exec(stack) ?? /^ +at .*?(file:\/\/[^\s)]+?):(\d+):\d+\)?$/m.exec(stack) ?? []
  return url === undefined ? "" : ` (${fileURLToPath(url)}:${position})`
}

const extensionHint = (message: string): string =>
  /\.js' imported from .*\.m?ts$/.test(message)
    ? "; in TypeScript that Node runs directly, imports name the .ts file"
    : ""
