/**
 * What the memory store knows of one execution.
 */
import type * as DocketStore from "../../DocketStore.ts"
import type * as Heap from "./Heap.ts"
import type * as Line from "./Line.ts"

/** An execution: its record, and what the store needs to find its way. */
export interface Entry {
  readonly key: string
  task: string
  /** What a worker has to know to run it, when that is more than its task. */
  needs: string | undefined
  payload: string
  trace: string
  state: DocketStore.State
  generation: number
  /** The generation with which it began. */
  origin: number
  attempt: number
  deliveries: number
  due: number
  /** When it was due at first, if that is not the same any more. */
  intended: number | undefined
  worker: string | undefined
  started: number | undefined
  completed: number | undefined
  error: string | undefined
  result: string | undefined
  failure: string | undefined
  /** The error with which it had failed before it was retried by hand, as long as it has not begun since. */
  dead: string | undefined
  /** How the run ended that was followed by this one, in its chain. */
  last: DocketStore.LastRun | undefined
  progress: DocketStore.ProgressRecord | undefined
  readonly attempts: Array<DocketStore.AttemptRecord>
  /** Its last runs, if it recurs. */
  runs: Array<DocketStore.RunRecord>
  /** By which recurrence and payload it was scheduled, if it is of an automatic task. */
  chain: string | undefined
  /** The values of its task's controls; see `ScheduleRequest.values`. */
  values: ReadonlyArray<string> | undefined
  /** The version of the strikes by which its payload was judged, and not matched. */
  judged: string
  /** What controls gave it, or let it wait for. */
  readonly admission: Admission
  /** Where it is, when that is not the usual place of its state. */
  apart: "asked" | "waiting" | "held" | undefined
  /** The lease of the present run, or of the last one. */
  lease: string
  /** The lease whose settlement was the last to be applied: the same settlement sent again is known by it. */
  settledLease: string
  /** Whether the present run was asked to stop. */
  cancelled: boolean
  /** When the record of a settled execution ends. */
  expires: number
  place: Line.Place<Entry> | undefined
  node: Heap.Node<Entry> | undefined
}

/** A start that a rate limit counts. */
export interface Start {
  readonly at: number
}

/** The starts of what does not run, or is not limited. */
export const noStarts: ReadonlyMap<string, Start> = new Map()

/** What the controls of a task have to do with an execution; controls by the name of their scope and value. */
export interface Admission {
  /** The limit of which it has a slot. */
  slot: string | undefined
  /** The limit for a slot of which it waits. */
  waits: string | undefined
  /** The rate limits in which it has a start in the future. */
  plans: ReadonlyArray<string>
  /** The debounce whose round it opened. */
  round: string | undefined
  /** The starts of its present run, by the rate limits that count them. */
  starts: ReadonlyMap<string, Start>
  /** The cooldowns that its present run opened. */
  windows: ReadonlyArray<string>
  /** Whether it was admitted before, in this schedule. */
  passed: boolean
  /** The control that dropped it. */
  dropped: { readonly by: "RateLimit" | "Cooldown" | "Debounce"; readonly name: string } | undefined
}

/** An execution of which only the key is known, and which is nowhere yet. */
export const makeEntry = (key: string): Entry => ({
  key,
  task: "",
  needs: undefined,
  payload: "",
  trace: "",
  state: "scheduled",
  generation: 0,
  origin: 1,
  attempt: 1,
  deliveries: 0,
  due: 0,
  intended: undefined,
  worker: undefined,
  started: undefined,
  completed: undefined,
  error: undefined,
  result: undefined,
  failure: undefined,
  dead: undefined,
  last: undefined,
  progress: undefined,
  attempts: [],
  runs: [],
  chain: undefined,
  values: undefined,
  judged: "",
  admission: {
    slot: undefined,
    waits: undefined,
    plans: [],
    round: undefined,
    starts: noStarts,
    windows: [],
    passed: false,
    dropped: undefined
  },
  apart: undefined,
  lease: "",
  settledLease: "",
  cancelled: false,
  expires: 0,
  place: undefined,
  node: undefined
})
