/**
 * `docket add` and `docket replace`: schedule a task from the command line.
 */
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as BuiltIn from "../../BuiltIn.ts"
import { Docket } from "../../Docket.ts"
import type { Disposition } from "../../DocketStore.ts"
import { knowsTask } from "../../internal/docket/operations.ts"
import type * as Task from "../../Task.ts"
import { NotFound, refusedByStrike, UsageError } from "../exits.ts"
import * as Flags from "../flags.ts"
import * as Modules from "../modules.ts"
import * as Moments from "../moments.ts"
import * as Output from "../output.ts"
import * as Payload from "../payload.ts"
import * as Store from "../store.ts"
import * as Text from "../text.ts"

const config = {
  task: Argument.String("TASK").pipe(Argument.withDescription("The task's name")),
  payload: Flags.text({
    name: "payload",
    description: "The payload as JSON, as the task's schema encodes it; without it, {}",
    metavar: "json"
  }),
  key: Flags.text({ name: "key", description: "The key of the execution", metavar: "key" }),
  delay: Flags.optionalDuration({ name: "delay", description: "How long to wait before it is due" }),
  when: Flags.optionalMoment({ name: "when", description: "When it is due" }),
  tasks: Flags.list({
    name: "tasks",
    description: "A module that defines the task, against which the payload is checked; may be given several times",
    metavar: "module"
  }),
  json: Flags.json
}

type Options = Command.Command.Config.Infer<typeof config>

/** Schedules a task. */
export const add = Command.make(
  "add",
  config,
  Effect.fnUntraced(function* (options) {
    const request = yield* read(options)
    yield* report(
      yield* schedule(request, (docket, task, payload, given) =>
        // What workers said of the task tells by name what the contract would.
        options.tasks.length === 0 ? docket.addNamed(task.name, payload, given) : docket.add(task, payload, given)
      ),
      options
    )
  })
).pipe(
  Command.withDescription(
    "Schedule a task, for now or for later. A key that is scheduled, queued or running is left as it is. With --tasks " +
      "the payload is checked before anything is stored; without, the worker that comes to it does so."
  ),
  Command.withShortDescription("Schedule a task"),
  Command.withExamples([
    { command: `docket add sendWelcome --payload '{"customerId":7,"name":"Ada"}'` },
    {
      command: `docket add sendWelcome --payload '{"customerId":7,"name":"Ada"}' --tasks ./handlers.ts --delay 1h`,
      description: "Check the payload against the task, and run it in an hour"
    },
    { command: "docket add cleanup --key cleanup-once --when 2026-01-31T03:00:00Z" }
  ])
)

/** Schedules a task in the place of whatever its key holds. */
export const replace = Command.make(
  "replace",
  config,
  Effect.fnUntraced(function* (options) {
    const request = yield* read(options)
    const { key, recurrence } = request.task.behaviour
    if ((request.options.key ?? key ?? recurrence) === undefined) {
      return yield* new UsageError({
        message: `replace needs the key of what it replaces: give --key, or --tasks if the task has a key of its own`
      })
    }
    yield* report(yield* schedule(request, (docket, ...args) => docket.replace(...args)), options)
  })
).pipe(
  Command.withDescription(
    "Schedule a task in the place of whatever its key holds. What waits under the key will not run; what runs already " +
      "is left alone."
  ),
  Command.withShortDescription("Schedule a task in the place of another"),
  Command.withExamples([
    {
      command: `docket replace sendWelcome --key welcome-7 --payload '{"customerId":7,"name":"Ada"}' --delay 24h`
    }
  ])
)

interface Request {
  readonly task: Task.Any
  readonly payload: unknown
  readonly options: Task.ScheduleOptions
}

const read = Effect.fnUntraced(function* ({ delay, key, payload, task: name, tasks, when }: Options) {
  yield* Store.refuseMemory
  if (delay !== undefined && when !== undefined) {
    return yield* new UsageError({ message: "Give either --delay or --when, not both" })
  }
  if (name === "") return yield* new UsageError({ message: "TASK has to be the name of a task; it was empty" })
  if (key === "") return yield* new UsageError({ message: "--key has to be some text; it was empty" })
  const json = yield* Payload.parse(payload ?? "{}")
  const options: Task.ScheduleOptions = { key, delay, when }
  if (tasks.length === 0) return { task: Payload.anyTask(name), payload: json, options } satisfies Request
  const loaded = yield* Modules.load(tasks)
  const task = loaded.tasks.tasks.get(name) ?? BuiltIn.tasks.tasks.get(name)
  if (task === undefined) {
    return yield* new NotFound({
      message: `There is no task ${Text.quote(name)} in ${tasks.join(" and ")}, only ${[...loaded.tasks.tasks.keys()].join(", ")}`
    })
  }
  return { task, payload: yield* Payload.decode(task, json), options } satisfies Request
})

type Schedule = (
  docket: Docket["Service"],
  task: Task.Any,
  payload: unknown,
  options: Task.ScheduleOptions
) => ReturnType<Docket["Service"]["add"]>

const schedule = Effect.fnUntraced(function* ({ options, payload, task }: Request, send: Schedule) {
  const docket = yield* Docket
  const { disposition = "scheduled", key } = yield* send(docket, task, payload, options)
  const workers = yield* docket.workers
  const isKnown = workers.some((worker) => knowsTask(worker, task.name))
  const now = yield* yield* Store.StoreTime
  return { docket: docket.name, task: task.name, key, disposition, workers: workers.length, isKnown, now }
}, Effect.provide(Store.layerShared))

const report = Effect.fnUntraced(function* (
  done: {
    readonly docket: string
    readonly task: string
    readonly key: string
    readonly disposition: Disposition
    readonly workers: number
    readonly isKnown: boolean
    readonly now: number
  },
  { delay, json, when }: Options
) {
  const { disposition, docket, isKnown, key, now, task, workers } = done
  const due =
    when !== undefined
      ? `, due ${Moments.format(when, now)}`
      : delay !== undefined
        ? `, due in ${Moments.formatLength(Duration.toMillis(delay))}`
        : ""
  if (json) yield* Output.json([{ key, task, docket, disposition }])
  if (disposition === "struck") {
    return yield* refusedByStrike(task)
  }
  if (!json) {
    yield* Output.lines([sentences[disposition](Text.quote(task), Text.quote(key), Text.quote(docket), due)])
  }
  if (disposition !== "already-scheduled" && workers > 0 && !isKnown) {
    yield* Output.talk(`No live worker knows task ${Text.quote(task)}: it waits for one that does`)
  }
})

const sentences: Readonly<
  Record<Exclude<Disposition, "struck">, (task: string, key: string, docket: string, due: string) => string>
> = {
  scheduled: (task, key, docket, due) => `Added task ${task} under key ${key} to docket ${docket}${due}`,
  replaced: (task, key, docket, due) =>
    `Replaced what waited under key ${key} of docket ${docket} by task ${task}${due}`,
  "already-scheduled": (_, key, docket) =>
    `Key ${key} of docket ${docket} is scheduled or running already: nothing was changed`
}
