/**
 * Says, not too often, which tasks a worker met and does not know.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as PayloadVersion from "../contract/payloadVersion.ts"

const minute = 60_000

/** Makes the reporter: one warning a minute for each task name. */
export const makeUnknownTasks = () => {
  const warned = new Map<string, number>()
  return {
    report: Effect.fnUntraced(function* ({ task, waiting }: { readonly task: string; readonly waiting: number }) {
      const now = yield* Clock.currentTimeMillis
      const last = warned.get(task)
      if (last !== undefined && now - last < minute) return
      warned.set(task, now)
      yield* Effect.logWarning(
        `This worker does not know ${PayloadVersion.shown(task)}: ${waiting} wait for a worker that does. Load its module with ` +
          "`docket worker --tasks`, or add the task to the group given to `Worker.layer`"
      )
    })
  }
}
