import * as Effect from "effect/Effect"
import type { StoreError } from "../../DocketError.ts"
import type { Disposition, DocketStore, ScheduleReply, ScheduleRequest } from "../../DocketStore.ts"
import { type KnownStrikes, parsePayload } from "./knownStrikes.ts"

/**
 * Schedules what no strike refuses; one disposition for each request, in order, and the origin of what its key holds.
 *
 * **Details**
 *
 * The requests are judged by the strikes that this process knows. The store compares these with the strikes in force, and
 * schedules nothing when they are others; the requests are then judged by those. So a strike holds from the moment at
 * which the store has it, in every process, and no process has to ask for news. Whoever calls says afterwards what is to be
 * said (`KnownStrikes.tell`).
 */
export const scheduleJudged: (
  store: Pick<DocketStore["Service"], "schedule">,
  strikes: KnownStrikes,
  requests: ReadonlyArray<ScheduleRequest>
) => Effect.Effect<Pick<ScheduleReply, "dispositions" | "origins">, StoreError> = Effect.fnUntraced(
  function* (store, strikes, requests) {
    const dispositions: Array<Disposition> = []
    const origins: Array<number> = []
    const set = (index: number, disposition: Disposition, origin: number) => {
      dispositions[index] = disposition
      origins[index] = origin
    }
    let left = requests.map((_, index) => index)
    while (true) {
      const { strikes: inForce, version } = strikes.current()
      const sent: Array<ScheduleRequest> = []
      const indexes: Array<number> = []
      for (const index of left) {
        const request = requests[index]!
        const strike =
          inForce.length === 0 ? undefined : strikes.judge(request.task, () => parsePayload(request.payload))
        if (strike !== undefined && !strike.hold) {
          set(index, "struck", 0)
          continue
        }
        sent.push(strike === undefined ? request : { ...request, judged: false })
        indexes.push(index)
      }
      // Also when all are struck: these strikes may have been restored since.
      const reply = yield* store.schedule(sent, version)
      reply.dispositions.forEach((disposition, i) => set(indexes[i]!, disposition, reply.origins[i]!))
      if (reply._tag === "Scheduled") return { dispositions, origins }
      yield* strikes.update(reply.strikes)
      left = requests.flatMap((_, index) =>
        dispositions[index] === undefined || dispositions[index] === "struck" ? [index] : []
      )
    }
  }
)
