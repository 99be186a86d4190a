/**
 * Keeps the leases of running executions alive, and ends what runs without one.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { WorkerSession } from "../../DocketStore.ts"
import type { Run, Runs } from "./runs.ts"
import type { Pulse } from "./vitals.ts"

/** How often a lease is renewed within its time. */
export const renewalsPerLease = 4

/**
 * The time by which a worker knows how old its leases are, in milliseconds: no change of the date moves it, and it goes
 * on while the process stands still. A lease counts from when it was asked for, so that it ends here no later than in
 * the store.
 */
export const now = (clock: Clock.Clock): number => Number(clock.monotonicTimeNanosUnsafe()) / 1e6

/**
 * Renews the leases of all running executions once, and interrupts those that the store says were cancelled or went to
 * another worker.
 */
export const renew = Effect.fnUntraced(
  function* (session: WorkerSession, runs: Runs, pulse: Pulse) {
    const held = runs.all().filter(needsLease)
    if (held.length === 0) return pulse.met()
    const asked = now(yield* Clock.Clock)
    const statuses = yield* session.renew(held.map(({ delivery }) => delivery))
    pulse.met()
    held.forEach((run, i) => {
      const status = statuses[i]
      if (status === "overtaken" || status === "superseded") run.superseded = true
      if (status === "cancelled") runs.interrupt(run, "cancelled")
      if (status === "lost" || status === "superseded") {
        // A run that ended while the renewal was under way may have given up its lease by settling.
        if (needsLease(run) && runs.has(run)) runs.interrupt(run, "lease-lost")
      } else {
        run.renewed = Math.max(run.renewed, asked)
      }
    })
  },
  Effect.catch((error) =>
    Effect.logWarning(`${error.message}. The leases were not renewed; the next attempt follows within their time`)
  )
)

// One whose key was scheduled anew has nothing to lose but the slot of a limit, which is another's after the lease.
const needsLease = (run: Run) => !run.superseded || run.holdsSlot

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

/** How long before its end a lease is asked for once more, when the renewals before that did not come through. */
const lastChance = (leaseMillis: number) => Math.min(1000, leaseMillis / 8)

/**
 * Interrupts runs whose lease must have expired, since the worker could not renew it: it was cut off from the store, stood
 * still, or its event loop was blocked. Each gets a last chance right before, or as soon as this worker comes to itself:
 * if the store answers within that time, its answer counts.
 */
export const expireForever = Effect.fnUntraced(function* (
  session: WorkerSession,
  runs: Runs,
  leaseMillis: number,
  pulse: Pulse
) {
  const clock = yield* Clock.Clock
  const chance = lastChance(leaseMillis)
  const needLease = () => runs.all().filter((run) => needsLease(run) && run.interruptReason === undefined)
  const left = (run: Run) => run.renewed + leaseMillis - now(clock)
  const leastLeft = () => needLease().reduce((least, run) => Math.min(least, left(run)), Infinity)
  while (true) {
    yield* runs.awaitSome
    yield* Effect.sleep(Math.max(0, Math.min(leastLeft() - chance, leaseMillis / 2)))
    if (leastLeft() > chance) continue
    const end = now(clock) + Math.max(chance, leastLeft())
    yield* Effect.timeoutOption(renew(session, runs, pulse), end - now(clock))
    // A new connection renews them as well.
    if (leastLeft() <= chance) yield* Effect.sleep(Math.max(0, end - now(clock)))
    for (const run of needLease()) if (left(run) <= 0) runs.interrupt(run, "lease-lost")
  }
})
