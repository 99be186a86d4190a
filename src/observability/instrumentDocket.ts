/**
 * Counts and traces what is asked of a docket.
 */
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { Docket, Scheduling } from "../Docket.ts"
import type { Execution } from "../Execution.ts"
import * as Durations from "../internal/contract/durations.ts"
import type * as Task from "../Task.ts"
import * as Metrics from "./Metrics.ts"
import * as Tracing from "./Tracing.ts"

/** The docket, with metrics and spans around its verbs; those that have to do with strikes have theirs already. */
export const instrumentDocket: (docket: Docket["Service"]) => Effect.Effect<Docket["Service"]> = Effect.fnUntraced(
  function* (docket) {
    const metrics = yield* Metrics.ofProducer(docket.name)
    const name = { "docket.name": docket.name }

    const requested = <E extends Pick<Execution<unknown, unknown>, "key" | "task" | "disposition">, X>(
      verb: "docket.add" | "docket.replace",
      task: string,
      options: Task.ScheduleOptions | undefined,
      request: Effect.Effect<E, X>
    ): Effect.Effect<E, X> =>
      Tracing.send(
        verb,
        () => ({ destination: task }),
        () => ({ ...name, "docket.task": task, "docket.attempt": 1, ...dueOf(options) }),
        Effect.tap(request, ({ disposition, task }) =>
          Effect.sync(() => metrics.requested(task, disposition, verb === "docket.replace"))
        ),
        ({ disposition, key }) => ({
          "messaging.message.id": key,
          "docket.key": key,
          "docket.disposition": disposition
        })
      )

    const scheduling = (plain: Scheduling): Scheduling => ({
      add: (task, ...args) => requested("docket.add", task.name, args[1], plain.add(task, ...args)),
      replace: (task, ...args) => requested("docket.replace", task.name, args[1], plain.replace(task, ...args)),
      addNamed: (task, payload, options) =>
        requested("docket.add", task, options, plain.addNamed(task, payload, options)),
      addAll: (requests) =>
        Tracing.send(
          "docket.add",
          () => ({ destination: destinationOf(docket.name, requests), count: requests.length }),
          () => ({ ...name, "docket.count": requests.length }),
          Effect.tap(plain.addAll(requests), (executions: ReadonlyArray<Execution<unknown, unknown>>) =>
            Effect.sync(() => {
              for (const { disposition, task } of executions) metrics.requested(task, disposition, false)
            })
          ),
          () => ({})
        )
    })

    return {
      ...docket,
      ...scheduling(docket),
      inTransaction: (database) => scheduling(docket.inTransaction(database)),
      cancel: (key) =>
        Tracing.request(
          "docket.cancel",
          () => ({ ...name, "docket.key": key }),
          Effect.tap(docket.cancel(key), () => Effect.sync(metrics.cancelled)),
          () => ({})
        ),
      clear: Tracing.request(
        "docket.clear",
        () => name,
        docket.clear,
        (count) => ({ "docket.count": count })
      )
    }
  }
)

/** The task of all requests, or the docket. */
const destinationOf = (docket: string, requests: ReadonlyArray<Task.Request>): string => {
  const tasks = new Set(requests.map(({ task }) => task.name))
  const [task = docket] = tasks
  return tasks.size === 1 ? task : docket
}

const dueOf = ({ delay, when }: Task.ScheduleOptions = {}): Readonly<Record<string, unknown>> => {
  if (delay !== undefined) return { "docket.delay_ms": Durations.millisOf(delay) }
  const moment = when === undefined ? Option.none() : DateTime.make(when)
  return Option.isSome(moment) ? { "docket.when": DateTime.formatIso(moment.value) } : {}
}
