/**
 * Keeps the leases of running executions alive.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { WorkerSession } from "../../DocketStore.ts"
import type { Run, Runs } from "./runs.ts"
import type { Pulse } from "./vitals.ts"

/** How often a lease is renewed within its time. */
export const renewalsPerLease = 4

/**
 * Renews the leases of all running executions once, and interrupts those that the store says were cancelled or went to
 * another worker.
 */
export const renew = Effect.fnUntraced(
  function* (session: WorkerSession, runs: Runs, pulse: Pulse) {
    // Those that are superseded as well: they may hold a slot of a limit.
    const held = runs.all()
    if (held.length === 0) return pulse.met()
    const statuses = yield* session.renew(held.map(({ delivery }) => delivery))
    pulse.met()
    held.forEach((run, i) => {
      const status = statuses[i]
      if (run.superseded) return
      if (status === "superseded") run.superseded = true
      if (status === "cancelled") runs.interrupt(run, "cancelled")
      if (status === "lost" && stillRuns(runs, run)) runs.interrupt(run, "lease-lost")
    })
  },
  Effect.catch((error) =>
    Effect.logWarning(`${error.message}. The leases were not renewed; the next attempt follows within their time`)
  )
)

// A run that ended while the renewal was under way may have given up its lease by settling.
const stillRuns = (runs: Runs, run: Run) => runs.find(run.delivery.key, run.delivery.generation) === run

/** Renews, four times within the time of a lease, for ever. An idle worker has no timer for it. */
export const renewForever = (
  session: WorkerSession,
  runs: Runs,
  leaseMillis: number,
  pulse: Pulse
): Effect.Effect<never> =>
  runs.awaitSome.pipe(
    Effect.andThen(Effect.sync(pulse.expect)),
    Effect.andThen(Effect.sleep(Duration.millis(leaseMillis / renewalsPerLease))),
    Effect.andThen(renew(session, runs, pulse)),
    Effect.forever
  )
