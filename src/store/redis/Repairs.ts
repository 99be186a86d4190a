/**
 * When a worker's session repairs what others did to the docket's keys: a little with every second heartbeat, and all at
 * once when a call fails since something else is in the place of one of them.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { StoreError } from "../../DocketError.ts"
import type { HeartbeatReply } from "../../DocketStore.ts"
import * as Repair from "./scripts/repair.ts"

export interface Repairs {
  /**
   * Is asked with each heartbeat: looks at some keys every other time, and never fails. Tells what was found meanwhile,
   * and of what was missing when it is found first and once all is back; and whether anything is back that has to be run.
   */
  readonly some: Effect.Effect<Pick<HeartbeatReply, "misplaced" | "repaired"> & { readonly isWorkBack: boolean }>
  /** Looks at all keys when a call fails because one of them is of another type. The call can then be made again. */
  readonly orMend: <A>(call: Effect.Effect<A, StoreError>) => Effect.Effect<A, StoreError>
}

/** How many steps a heartbeat takes where something was found. */
const stepsTogether = 10

/** How long a look at all keys is not repeated after one that found nothing: it may not be allowed to do anything. */
const restMillis = 60_000

/** Makes what a session remembers of it. */
export const make = (
  take: (step: Repair.Step) => Effect.Effect<Parameters<typeof Repair.nextStep>[1], StoreError>
): Repairs => {
  let repaired = 0
  /** Whether some of it was told of, and there may be more. */
  let isTold = false
  let isWorkBack = false
  let misplaced: Array<string> = []
  let isMending = false
  let notBefore = 0
  let next = Repair.firstStep
  // Calls cost an idle worker more than keys do. And the first heartbeat announces the worker: it is to begin soon.
  let isTurn = true

  const walk = (step: Repair.Step) =>
    Effect.map(take(step), (reply) => {
      repaired += reply[1]
      if (reply[1] > 0) isWorkBack = true
      misplaced.push(...reply[2])
      return Repair.nextStep(step, reply)
    })

  const some = Effect.gen(function* () {
    isTurn = !isTurn
    if (!isTurn && !Repair.isUrgent(next)) return
    for (let i = 0; i < stepsTogether; i++) {
      next = yield* walk(next)
      if (!Repair.isUrgent(next) || next.cursor === "0") return
    }
  })

  const mend = Effect.gen(function* () {
    const now = yield* Clock.currentTimeMillis
    if (isMending || now < notBefore) return
    isMending = true
    const before = misplaced.length
    let step = Repair.urgentStep
    do {
      step = { ...(yield* walk(step)), keys: Repair.urgentStep.keys }
    } while (step.cursor !== "0")
    if (misplaced.length === before) notBefore = now + restMillis
    // What was put aside may have been a list: the records are looked at once more.
    else next = step
  }).pipe(
    Effect.ensuring(
      Effect.sync(() => {
        isMending = false
      })
    )
  )

  return {
    // An ACL may forbid it. A store that is away is found to be so by other calls.
    some: Effect.map(Effect.ignore(some), () => {
      const isOver = !Repair.isUrgent(next)
      const isToTell = repaired > 0 && (isOver || !isTold)
      const found = {
        isWorkBack,
        ...(isToTell ? { repaired } : {}),
        ...(misplaced.length > 0 ? { misplaced } : {})
      }
      if (isToTell) repaired = 0
      isTold = !isOver && (isTold || isToTell)
      isWorkBack = false
      misplaced = []
      return found
    }),
    orMend: Effect.tapError(({ cause }) =>
      cause instanceof Error && /\bWRONGTYPE\b/.test(cause.message) ? Effect.ignore(mend) : Effect.void
    )
  }
}
