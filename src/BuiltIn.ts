/**
 * The tasks that every worker knows, to try out and to diagnose a docket with.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Retry from "./Retry.ts"
import * as Task from "./Task.ts"
import { CurrentDocket, CurrentExecution, CurrentWorker } from "./TaskContext.ts"
import * as TaskGroup from "./TaskGroup.ts"

const message = Schema.String.pipe(Schema.withConstructorDefault(Effect.succeed("Howdy!")))

/**
 * Logs a message with its key, docket, age and worker.
 *
 * @category tasks
 * @since 0.1.0
 */
export const Trace = Task.make("trace", { payload: { message }, logged: ["message"] })

/**
 * What {@link Fail} fails with.
 *
 * @category errors
 * @since 0.1.0
 */
export class FailedOnPurpose extends Schema.TaggedError<FailedOnPurpose>("effect-docket/FailedOnPurpose")(
  "FailedOnPurpose",
  { message: Schema.String }
) {}

/**
 * Fails, twice.
 *
 * @category tasks
 * @since 0.1.0
 */
export const Fail = Task.make("fail", {
  payload: { message },
  error: FailedOnPurpose,
  logged: ["message"],
  retry: Retry.linear({ attempts: 2 })
})

/**
 * Logs that it begins, and takes so many seconds.
 *
 * @category tasks
 * @since 0.1.0
 */
export const Sleep = Task.make("sleep", {
  payload: {
    seconds: Schema.Finite.check(Schema.isGreaterThanOrEqualTo(0)).pipe(
      Schema.withConstructorDefault(Effect.succeed(1))
    )
  },
  logged: ["seconds"]
})

/**
 * All of them.
 *
 * @category tasks
 * @since 0.1.0
 */
export const tasks = TaskGroup.make(Trace, Fail, Sleep)

const ageOf = Effect.fnUntraced(function* ({ due }: CurrentExecution["Service"]) {
  return `${(yield* Clock.currentTimeMillis) - due.epochMilliseconds} ms`
})

/**
 * Their handlers.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<Task.Handlers<typeof Trace | typeof Fail | typeof Sleep>> = tasks.toLayer({
  trace: Effect.fnUntraced(function* ({ message }) {
    const execution = yield* CurrentExecution
    const { name } = yield* CurrentDocket
    const worker = yield* CurrentWorker
    yield* Effect.logInfo(
      `${message} (key "${execution.key}", docket "${name}", due ${yield* ageOf(execution)} ago, worker ${worker.name})`
    )
  }),
  fail: ({ message }) => Effect.fail(new FailedOnPurpose({ message })),
  sleep: Effect.fnUntraced(function* ({ seconds }) {
    yield* Effect.logInfo(`Sleeping for ${seconds} s`)
    yield* Effect.sleep(Duration.seconds(seconds))
  })
})
