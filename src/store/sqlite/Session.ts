/** A worker's session with the store in a file. */
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import type { StoreError } from "../../DocketError.ts"
import type * as DocketStore from "../../DocketStore.ts"
import * as RealTime from "../../internal/realTime.ts"
import type { Run } from "./Followers.ts"
import type { Idle, Sleeper } from "./Idle.ts"
import * as Gate from "./Gate.ts"
import * as Operations from "./Operations.ts"

export interface Options {
  readonly run: Run
  readonly idle: Idle
  readonly worker: DocketStore.WorkerOptions
  readonly reconnected: Effect.Effect<void>
}

/** Opens the session of a worker, which hears of cancellations when this returns. */
export const open: (options: Options) => Effect.Effect<DocketStore.WorkerSession, StoreError, Scope.Scope> =
  Effect.fnUntraced(function* ({ idle, reconnected, run, worker }) {
    yield* run("DocketStore.open", "write", (step) => {
      Operations.say(step, worker)
      Gate.tell(step, worker)
    })
    const sleeper = yield* Effect.acquireRelease(
      Effect.map(Queue.unbounded<DocketStore.Cancellation>(), (cancellations): Sleeper => {
        const sleeper = { worker, cancellations, told: new Set<string>(), isWoken: false, turn: undefined }
        idle.sleepers.add(sleeper)
        return sleeper
      }),
      (sleeper) => Effect.andThen(idle.forget(sleeper), Queue.shutdown(sleeper.cancellations))
    )

    return {
      exchange: (request) => {
        sleeper.isWoken = false
        if (request.take > 0) sleeper.turn = undefined
        // What is only claimed need not be on the disk before it runs: a power cut gives it back.
        return run("DocketStore.exchange", request.finished.length > 0 ? "confirmed" : "write", (step) =>
          Operations.exchange(step, worker, request)
        )
      },
      awaitWork: idle.awaitWork(sleeper),
      renew: (leases) =>
        run("DocketStore.renew", "write", (step) => leases.map((lease) => Operations.renew(step, worker, lease))),
      needsHeartbeat: true,
      heartbeat: run("DocketStore.heartbeat", "write", (step) => Operations.heartbeat(step, worker, RealTime.now())),
      progress: (updates) =>
        run("DocketStore.progress", "write", (step) => {
          for (const update of updates) Operations.report(step, update)
        }),
      leave: run("DocketStore.leave", "write", (step) => Operations.leave(step, worker.name)),
      cancellations: sleeper.cancellations,
      reconnected
    }
  })
