/**
 * `docket worker`: runs the tasks of modules until it is told to stop.
 */
import * as Cause from "effect/Cause"
import * as Command from "effect/cli/Command"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import process from "node:process"
import { Docket } from "../../Docket.ts"
import { errorText } from "../../internal/contract/failureText.ts"
import { redact } from "../../store/redis/connection/Connection.ts"
import type { TaskServices } from "../../TaskContext.ts"
import * as Worker from "../../Worker.ts"
import { codes, Ended } from "../exits.ts"
import * as Flags from "../flags.ts"
import * as Logging from "../logging.ts"
import * as Modules from "../modules.ts"
import * as Restart from "../restart.ts"
import * as Servers from "../servers.ts"
import * as Signals from "../signals.ts"
import * as Store from "../store.ts"
import * as Telemetry from "../telemetry.ts"
import * as Text from "../text.ts"
import { packageVersion } from "../packageVersion.ts"

const flags = {
  tasks: Flags.list({
    name: "tasks",
    variable: "DOCKET_TASKS",
    description:
      "A module with tasks and their handlers, as ./file.ts or ./file.ts:export; may be given several times; in the variable with commas between them",
    metavar: "module"
  }),
  name: Flags.text({
    name: "name",
    variable: "DOCKET_WORKER_NAME",
    description: "The worker's name; without it, the host name, process id and a random part",
    metavar: "name"
  }),
  concurrency: Flags.count(
    {
      name: "concurrency",
      variable: "DOCKET_WORKER_CONCURRENCY",
      description: "How many executions run at once",
      metavar: "number"
    },
    10
  ),
  fallbackTask: Flags.text({
    name: "fallback-task",
    variable: "DOCKET_FALLBACK_TASK",
    description:
      "What runs executions of tasks that no module defines, which wait otherwise: a function of the stored payload, " +
      "as ./file.ts:export, or drop, which settles them as failed",
    metavar: "module"
  }),
  scheduleAutomaticTasks: Flags.onOff(
    {
      name: "schedule-automatic-tasks",
      variable: "DOCKET_WORKER_SCHEDULE_AUTOMATIC_TASKS",
      description: "Whether perpetual and cron tasks that are automatic are scheduled, now and when they are missing"
    },
    true
  ),
  redeliveryTimeout: Flags.duration(
    {
      name: "redelivery-timeout",
      variable: "DOCKET_WORKER_REDELIVERY_TIMEOUT",
      description: "How long the executions of a silent worker are left alone before another one runs them"
    },
    "5m"
  ),
  maxDeliveries: Flags.count(
    {
      name: "max-deliveries",
      variable: "DOCKET_WORKER_MAX_DELIVERIES",
      description:
        "After how many deliveries without an end an execution is given up, so that it cannot take down every worker",
      metavar: "number"
    },
    10
  ),
  reconnectionDelay: Flags.duration(
    {
      name: "reconnection-delay",
      variable: "DOCKET_WORKER_RECONNECTION_DELAY",
      description: "The longest pause between attempts to reach a store that is away"
    },
    "5s"
  ),
  minimumCheckInterval: Flags.duration(
    {
      name: "minimum-check-interval",
      variable: "DOCKET_WORKER_MINIMUM_CHECK_INTERVAL",
      description: "With --until-finished, how often to look whether other workers have finished"
    },
    "250ms"
  ),
  schedulingResolution: Flags.duration(
    {
      name: "scheduling-resolution",
      variable: "DOCKET_WORKER_SCHEDULING_RESOLUTION",
      description: "Changes nothing: later work is moved when it is due, rather than looked for every so often"
    },
    "250ms"
  ),
  shutdownTimeout: Flags.duration(
    {
      name: "shutdown-timeout",
      variable: "DOCKET_WORKER_SHUTDOWN_TIMEOUT",
      description: "How long running executions may go on after a signal to stop, before they are given back",
      zero: true
    },
    "25s"
  ),
  healthcheckPort: Flags.port({
    name: "healthcheck-port",
    variable: "DOCKET_WORKER_HEALTHCHECK_PORT",
    description: "Answer probes on this port, at /health and /ready"
  }),
  metricsPort: Flags.port({
    name: "metrics-port",
    variable: "DOCKET_WORKER_METRICS_PORT",
    description: "Serve metrics for Prometheus on this port, at /metrics"
  }),
  internalSpans: Flags.onOff(
    {
      name: "enable-internal-instrumentation",
      variable: "DOCKET_WORKER_ENABLE_INTERNAL_INSTRUMENTATION",
      description: "Whether the worker's own calls to the store are traced as well, where traces are exported"
    },
    false
  ),
  untilFinished: Flags.toggle("until-finished", "Stop when nothing is running, due, or scheduled for later"),
  watch: Flags.toggle("watch", "Start again whenever a file that was loaded has changed; for development"),
  ...Logging.flags
}

type Options = Command.Command.Config.Infer<typeof flags>

/** Runs a worker. */
export const worker = Command.make(
  "worker",
  flags,
  Effect.fnUntraced(function* (options) {
    if (options.watch) {
      return yield* new Ended({ code: yield* Restart.onChange })
    }
    yield* Effect.provide(runUntilToldToStop(options), Telemetry.layer.pipe(Layer.provideMerge(Logging.layer(options))))
  })
).pipe(
  Command.withDescription(
    "Run the tasks of one or more modules. SIGTERM or SIGINT stops the worker once what it runs has ended; " +
      "a second one interrupts that and gives it back, so that another worker runs it."
  ),
  Command.withShortDescription("Run tasks"),
  Command.withExamples([
    {
      command: "docket worker --tasks ./handlers.ts --concurrency 20",
      description: "Run what ./handlers.ts exports by default, on redis://localhost:6379/0"
    },
    {
      command:
        "docket worker --tasks ./mail.ts:mail --tasks ./billing.ts --url rediss://redis.example.com --docket shop",
      description: "Run the tasks of two modules, one of them a named export"
    },
    {
      command: "docket worker --tasks ./handlers.ts --watch",
      description: "While writing the tasks: start again whenever they change"
    },
    {
      command: "docket worker --tasks ./handlers.ts --until-finished",
      description: "Run what there is to run, and stop"
    }
  ])
)

const runUntilToldToStop = Effect.fnUntraced(function* (options: Options) {
  const signals = yield* Signals.listen
  const started: Started = { worker: undefined, strays: 0 }
  yield* Servers.serve(
    options,
    Effect.suspend(() => started.worker?.health ?? Effect.succeed(starting))
  )
  // The first to end interrupts the other one. A worker that is interrupted drains.
  yield* Effect.raceFirst(run(options, started), awaitStop(signals, started, options))
  yield* Effect.logInfo("The worker has stopped")
  if (started.strays > 0) return yield* new Ended({ code: codes.failed })
}, Effect.scoped)

interface Started {
  /** Where the worker is found once it has started. */
  worker: Worker.Worker["Service"] | undefined
  /** How many failures nothing caught. */
  strays: number
}

const starting: Worker.Health = { able: false, ready: false, problems: ["The worker is starting"] }

const run = Effect.fnUntraced(function* (options: Options, started: Started) {
  const { layer, tasks } = yield* Modules.load(options.tasks)
  const fallback = options.fallbackTask === undefined ? undefined : yield* Modules.loadFallback(options.fallbackTask)
  const { name } = yield* Docket
  yield* Effect.logInfo(`effect-docket ${yield* packageVersion}, docket "${name}" at ${redact(yield* Flags.StoreUrl)}`)
  yield* Effect.provide(serve(tasks, { ...options, fallback }, started), layer)
}, Effect.provide(Store.layer))

const serve = Effect.fnUntraced(function* (
  tasks: Modules.Loaded["tasks"],
  options: Options & { readonly fallback: Worker.Fallback<TaskServices> | undefined },
  started: Started
) {
  const worker = yield* Worker.make(tasks, options)
  started.worker = worker
  yield* options.untilFinished ? worker.finished : Effect.never
}, Effect.scoped)

const awaitStop = Effect.fnUntraced(function* (
  stops: Queue.Dequeue<Signals.Stop>,
  started: Started,
  { shutdownTimeout }: Options
) {
  const stop = yield* Queue.take(stops)
  const running = started.worker === undefined ? 0 : yield* started.worker.running
  const wait =
    running === 0
      ? ""
      : `: waiting up to ${Duration.format(shutdownTimeout)} for ${Text.count(running, "execution")} to end`
  if (stop._tag === "Stray") {
    yield* noteStray(started, stop.error, `. What else it broke is not known, so the worker stops${wait}`)
  } else {
    yield* Effect.logInfo(`Received ${stop.signal}${wait}`)
  }
  yield* Effect.forkScoped(hurry(nextSignal(stops, started), started))
})

/** A failure does not hurry a worker that drains already. */
const nextSignal = (stops: Queue.Dequeue<Signals.Stop>, started: Started): Effect.Effect<Signals.Signal> =>
  Effect.flatMap(Queue.take(stops), (stop) =>
    stop._tag === "Signal"
      ? Effect.succeed(stop.signal)
      : Effect.andThen(noteStray(started, stop.error, ""), nextSignal(stops, started))
  )

const noteStray = (started: Started, error: unknown, more: string) =>
  Effect.suspend(() => {
    started.strays++
    return Effect.andThen(
      Effect.logError(`Nothing in this process caught ${Text.safe(errorText(error))}${more}`),
      Effect.logDebug("Where it comes from", Cause.die(error))
    )
  })

const hurry = Effect.fnUntraced(function* (nextSignal: Effect.Effect<Signals.Signal>, { worker }: Started) {
  if (worker !== undefined) {
    const signal = yield* nextSignal
    yield* Effect.logInfo(`Received ${signal} again: giving back what runs, so that another worker runs it`)
    yield* worker.giveBack
  }
  const signal = yield* nextSignal
  yield* Effect.logWarning(
    `Received ${signal} once more: ending at once; what still ran is run again when its lease expires`
  )
  return yield* Effect.sync(() => process.exit(codes.failed))
})
