/**
 * Keeps the leases of what a worker holds, and ends what runs without one. A lease counts from when it was asked for, so
 * that it ends here no later than in the store.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import type { Delivery, WorkerSession } from "../../DocketStore.ts"
import * as Monotonic from "./monotonic.ts"
import type { Run } from "./run.ts"
import type { Runs } from "./runs.ts"
import type { Pulse } from "./vitals.ts"

/** How often a lease is renewed within its time. */
export const renewalsPerLease = 4

/**
 * Renews leases four times within their time, until what ran under them is settled, and when the connection is made anew:
 * then a renewal tells what was cancelled meanwhile. An idle worker has no timer for it.
 *
 * Interrupts runs that the store says were cancelled or went to another worker, and runs whose lease must have expired,
 * since the worker could not renew it: it was cut off from the store, stood still, or its event loop was blocked. Each gets
 * a last chance right before, or as soon as this worker comes to itself: if the store answers within that time, its answer
 * counts.
 */
export const keep: (options: {
  readonly session: WorkerSession
  readonly runs: Pick<Runs, "all" | "has" | "interrupt">
  /** What has ended and is to be settled. Its result cannot be kept perhaps, for as long as its place is out of reach. */
  readonly unsettled: () => ReadonlyArray<Delivery>
  /** Completes while something runs, or is to be settled. */
  readonly awaitHeld: Effect.Effect<void>
  readonly leaseMillis: number
  readonly pulse: Pulse
}) => Effect.Effect<never> = Effect.fnUntraced(function* ({ awaitHeld, leaseMillis, pulse, runs, session, unsettled }) {
  const clock = yield* Clock.Clock
  const hurry = yield* Latch.make(false)
  const interval = leaseMillis / renewalsPerLease
  /** How long before its end a lease is asked for once more, when the renewals before that did not come through. */
  const lastChance = Math.min(1000, leaseMillis / 8)

  const atRisk = () => runs.all().filter((run) => needsLease(run) && isUninterrupted(run))
  const left = (run: Run) => run.renewed + leaseMillis - Monotonic.now(clock)
  const leastLeft = () => atRisk().reduce((least, run) => Math.min(least, left(run)), leaseMillis)

  const renew = Effect.fnUntraced(
    function* (ended: ReadonlyArray<Delivery>) {
      const renewing = runs.all()
      const deliveries = [...renewing.map(({ delivery }) => delivery), ...ended]
      if (deliveries.length === 0) return pulse.met()
      const asked = Monotonic.now(clock)
      const statuses = yield* session.renew(deliveries)
      pulse.met()
      renewing.forEach((run, i) => {
        switch (statuses[i]) {
          case "lost":
            // A run that ended while the renewal was under way may have given up its lease by settling.
            if (needsLease(run) && runs.has(run)) runs.interrupt(run, "lease-lost")
            return
          case "cancelled":
            runs.interrupt(run, "cancelled")
            break
          case "overtaken":
            run.overtaken = true
        }
        run.renewed = Math.max(run.renewed, asked)
      })
    },
    Effect.catch((error) =>
      Effect.logWarning(`${error.message}. The leases were not renewed; the next attempt follows within their time`)
    )
  )

  yield* Effect.forkChild(Effect.forever(Effect.andThen(session.reconnected, hurry.open)))
  while (true) {
    yield* awaitHeld
    pulse.expect()
    const owed = new Set(unsettled())
    yield* Effect.raceFirst(sleep(Math.min(interval, leastLeft() - lastChance)), hurry.await)
    // What is settled within the time between two renewals, as nearly everything is, costs no call.
    const renewal = Effect.suspend(() => {
      hurry.closeUnsafe()
      return renew(unsettled().filter((delivery) => owed.has(delivery)))
    })
    const spare = leastLeft() - lastChance
    if (spare > 0) {
      yield* Effect.timeoutOption(renewal, spare)
      continue
    }
    const renewals = Effect.gen(function* () {
      yield* renewal
      while (leastLeft() <= lastChance) yield* Effect.andThen(hurry.await, renewal)
    })
    yield* Effect.timeoutOption(renewals, lastChance)
    for (const run of atRisk()) if (left(run) <= 0) runs.interrupt(run, "lease-lost")
  }
})

const sleep = (millis: number) => Effect.sleep(Duration.millis(Math.max(0, millis)))

// One that has timed out may go on in its middleware.
const isUninterrupted = ({ interruptReason }: Run) => interruptReason === undefined || interruptReason === "timed-out"

// One whose key was replaced has nothing to lose but the slot of a limit, which is another's after the lease.
const needsLease = (run: Run) => !run.overtaken || run.holdsSlot
