/**
 * What the parts of a worker say to each other about a run: while it goes on, and when it has ended.
 */
import type * as Fiber from "effect/Fiber"
import type { Delivery, Outcome } from "../../DocketStore.ts"
import type { InterruptReason } from "../../TaskContext.ts"
import type { RunProgress } from "./progress.ts"

/** An execution that runs on this worker. */
export interface Run {
  readonly delivery: Delivery
  readonly annotations: Record<string, unknown>
  readonly progress: RunProgress
  /** Whether it has a slot of a concurrency limit. */
  readonly holdsSlot: boolean
  /** Whether the key was replaced meanwhile. */
  overtaken: boolean
  /** When its lease was last asked for, or its renewal: see `Monotonic.now`. The lease lives at least from then on. */
  renewed: number
  interruptReason: InterruptReason | undefined
  fiber: Fiber.Fiber<void> | undefined
}

/** The end of a run. */
export interface End {
  readonly delivery: Delivery
  /** Nothing when the lease was lost, and with it the right to settle. */
  readonly outcome: Outcome | undefined
  /** Whether the run reported progress. */
  readonly reported: boolean
  /** The run as it appears in logs; absent for one that never began. */
  readonly call?: () => string
}
