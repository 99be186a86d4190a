/**
 * Schedules the tasks that nobody has to add, when a worker starts and whenever their chain was severed.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import { type DocketStore, isSettled, type WorkerSession } from "../../DocketStore.ts"
import * as Recurrence from "../../Recurrence.ts"
import type * as Task from "../../Task.ts"
import { codecOf } from "../codec.ts"
import type { Bounds } from "./bounds.ts"
import type { Outage } from "./outage.ts"

const reseedInterval = "60 seconds"

/** Schedules the automatic tasks under their names, now and again while the scope is open. A live chain is left alone. */
export const seed: (options: {
  readonly tasks: Iterable<Task.Any>
  readonly store: DocketStore["Service"]
  readonly session: WorkerSession
  readonly outage: Outage
  readonly bounds: Bounds
}) => Effect.Effect<void, never, Scope.Scope> = Effect.fnUntraced(function* ({
  bounds,
  outage,
  session,
  store,
  tasks
}) {
  const automatic = [...tasks].filter((task) => task.behaviour.recurrence?.automatic === true)
  if (automatic.length === 0) return

  const request = Effect.fnUntraced(function* (task: Task.Any) {
    const now = yield* Clock.currentTimeMillis
    // `Task.make` refuses an automatic task whose payload cannot be empty.
    const { text } = yield* Effect.orDie(codecOf(task).encodePayload({}))
    const recurrence = task.behaviour.recurrence
    const epochMillis = recurrence === undefined ? now : Recurrence.first(recurrence, now)
    return {
      key: task.name,
      task: task.name,
      payload: text,
      due: { _tag: "At", epochMillis },
      replace: false,
      trace: ""
    } as const
  })

  const schedule = (tasks: ReadonlyArray<Task.Any>) =>
    Effect.flatMap(
      Effect.forEach(
        tasks.filter(({ name }) => !bounds.exhausted(name)),
        request
      ),
      (requests) =>
        requests.length === 0
          ? Effect.void
          : outage.untilAnswered(() => Effect.asVoid(store.schedule(requests)), session.reconnected)
    )

  // In this process a chain that ends can be seen to end, so that a virtual clock need not stop every minute.
  const resumeWhenSevered = Effect.fnUntraced(function* (task: Task.Any) {
    const events = yield* outage.untilAnswered(() => store.watch(task.name), session.reconnected)
    while (true) {
      const event = yield* Queue.take(events)
      if (event._tag !== "Changed" || !isSettled(event.state)) continue
      yield* Effect.sleep(reseedInterval)
      // A chain that runs often has told of many ends meanwhile; this look at it is the answer to them all.
      yield* Queue.clear(events)
      yield* schedule([task])
    }
  }, Effect.scoped)

  yield* schedule(automatic)
  if (session.needsHeartbeat) {
    yield* Effect.forkScoped(Effect.forever(Effect.delay(schedule(automatic), reseedInterval)))
  } else {
    for (const task of automatic) yield* Effect.forkScoped(resumeWhenSevered(task))
  }
})
