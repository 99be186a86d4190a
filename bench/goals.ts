/** What this package has set itself to reach, as ratios within one run and as figures of its own. */
import type { PeerName } from "./peers/index.ts"

/** `scenario/metric` of the docket, over that of a peer, or over another figure of its own. */
export interface RatioGoal {
  readonly metric: string
  readonly over: { readonly peer: PeerName } | { readonly metric: string }
  readonly bound: { readonly atLeast: number } | { readonly atMost: number }
}

export interface FigureGoal {
  readonly metric: string
  readonly atMost: number
}

const atLeast = (metric: string, peer: PeerName, times: number): RatioGoal => ({
  metric,
  over: { peer },
  bound: { atLeast: times }
})

const atMost = (metric: string, peer: PeerName, times: number): RatioGoal => ({
  metric,
  over: { peer },
  bound: { atMost: times }
})

export const ratioGoals: ReadonlyArray<RatioGoal> = [
  atLeast("enqueue-1/rate", "bullmq", 1.4),
  atLeast("enqueue-50/rate", "bullmq", 2.2),
  atLeast("enqueue-batch/rate", "bullmq", 3),
  atLeast("process-1/rate", "bullmq", 1.2),
  atLeast("process-10/rate", "bullmq", 1.5),
  atLeast("process-50/rate", "bullmq", 2.2),
  atLeast("process-50/rate", "limit", 0.6),
  atLeast("process-200/rate", "bullmq", 2.2),
  atLeast("process-200/rate", "limit", 0.6),
  atMost("process-50/serverCpu", "bullmq", 0.5),
  atLeast("enqueue-1/rate", "effect-mq", 4),
  atLeast("enqueue-50/rate", "effect-mq", 4),
  atLeast("enqueue-batch/rate", "effect-mq", 2),
  atLeast("process-1/rate", "effect-mq", 4),
  atLeast("process-10/rate", "effect-mq", 4),
  atLeast("process-50/rate", "effect-mq", 4),
  atLeast("process-200/rate", "effect-mq", 4),
  atMost("pick-up/p50", "bullmq", 0.7),
  atMost("pick-up/p99", "bullmq", 1),
  atMost("lateness/p99", "bullmq", 0.1),
  atMost("memory/bytes", "bullmq", 0.75),
  { metric: "backlog-1m/rate", over: { metric: "backlog-1k/rate" }, bound: { atLeast: 0.9 } },
  { metric: "later-1m/rate", over: { metric: "later-1k/rate" }, bound: { atLeast: 0.9 } }
]

export const figureGoals: ReadonlyArray<FigureGoal> = [
  { metric: "lateness/p99", atMost: 10 },
  { metric: "idle-1/commands", atMost: 3 },
  { metric: "idle-50/cpu", atMost: 2 }
]
