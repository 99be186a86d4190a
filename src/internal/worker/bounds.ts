/**
 * How often keys may run in a bounded run of a worker.
 */

import type { Outcome } from "../../DocketStore.ts"

/** Counts the runs of keys. */
export interface Bounds {
  /** Counts a run that is about to start; false when the key has had its runs. */
  readonly admit: (key: string) => boolean
  /** Whether the key has had its runs, so that it may not be scheduled again. */
  readonly exhausted: (key: string) => boolean
  /** All keys that have had their runs. */
  readonly exhaustedKeys: () => ReadonlyArray<string>
  /** The outcome of a run, without another one after it when the key has had its runs. */
  readonly limit: (key: string, outcome: Outcome) => Outcome
}

/** No bounds: every key runs as often as it is scheduled. */
export const unbounded: Bounds = {
  admit: () => true,
  exhausted: () => false,
  exhaustedKeys: () => [],
  limit: (_key, outcome) => outcome
}

/** At most so many runs for each named key; other keys are not bounded. */
export const atMost = (runs: Readonly<Record<string, number>>): Bounds => {
  const left = new Map(Object.entries(runs))
  const exhausted = (key: string) => (left.get(key) ?? 1) <= 0
  return {
    admit: (key) => {
      const runsLeft = left.get(key)
      if (runsLeft === undefined) return true
      left.set(key, runsLeft - 1)
      return runsLeft > 0
    },
    exhausted,
    exhaustedKeys: () => [...left.keys()].filter(exhausted),
    limit: (key, outcome) => (exhausted(key) ? last(outcome) : outcome)
  }
}

const last = (outcome: Outcome): Outcome => {
  switch (outcome._tag) {
    case "Completed":
    case "Failed":
      return { ...outcome, next: undefined }
    case "Retry":
      return { _tag: "Failed", error: outcome.error, failure: undefined }
    default:
      return outcome
  }
}
