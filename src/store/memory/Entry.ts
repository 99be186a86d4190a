/**
 * What the memory store knows of one execution.
 */
import type * as DocketStore from "../../DocketStore.ts"
import type * as Heap from "./Heap.ts"
import type { Terms } from "../../Admission.ts"
import * as Standing from "../admission/Standing.ts"
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
  attempts: Array<DocketStore.AttemptRecord>
  /** Its last runs, if it recurs. */
  runs: Array<DocketStore.RunRecord>
  /** By which recurrence and payload it was scheduled, if it is of an automatic task. */
  chain: string | undefined
  /** What its task's contract says of its payload; see `ScheduleRequest.terms`. */
  terms: Terms | undefined
  /** The version of the strikes by which its payload was judged, and not matched. */
  judged: string
  /** When it became due among all others, once it has had its turn and was not started: it keeps that place. */
  place: number | undefined
  /** When it became due among all others, for one in the ready line. */
  arrived: number
  /** What admission has to do with it. */
  standing: Standing.Standing
  /** Where it is, when that is not the usual place of its state. */
  apart: "asked" | "turn" | "line" | "held" | undefined
  /** Why it is lent to a worker that is to tell which run follows it. */
  skipped: Standing.Dropped | undefined
  /** Counts the schedules of the key, those that never ran included. */
  schedules: number
  /** What the last run of the key left, until this schedule begins. */
  before: Ran | undefined
  /** The lease of the present run, or of the last one. */
  lease: string
  /** The lease whose settlement was the last to be applied: the same settlement sent again is known by it. */
  settledLease: string
  /** Whether the present run was asked to stop. */
  cancelled: boolean
  /** When the record of a settled execution ends. */
  expires: number
  spot: Line.Place<Entry> | undefined
  node: Heap.Node<Entry> | undefined
}

/** What a run leaves, by the names of the fields. */
const left = [
  "task",
  "payload",
  "trace",
  "state",
  "generation",
  "origin",
  "attempt",
  "deliveries",
  "due",
  "intended",
  "worker",
  "started",
  "completed",
  "error",
  "result",
  "failure",
  "dead",
  "last",
  "chain",
  "runs",
  "attempts",
  "expires",
  "standing",
  "lease",
  "terms"
] as const

/** What a run left. */
export type Ran = Pick<Entry, (typeof left)[number]>

/** Notes what the last run of the key left, for one that is scheduled over it. */
export const remember = (entry: Entry): void => {
  const ran: Partial<Record<keyof Ran, unknown>> = {}
  for (const field of left) ran[field] = entry[field]
  // Each field was set, to what the entry has there.
  entry.before = ran as Ran
  entry.attempts = []
  entry.standing = Standing.make()
}

/** Lets an entry be what the last run of its key left. */
export const recall = (entry: Entry, ran: Ran): void => {
  Object.assign(entry, ran)
  entry.before = undefined
}

/** The generation that the next schedule of a key has. */
export const nextGeneration = ({ generation, schedules }: Entry): number => Math.max(schedules, generation) + 1

/** Begins the next generation of a key. */
export const advance = (entry: Entry): void => {
  entry.schedules = nextGeneration(entry)
  entry.generation = entry.schedules
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
  terms: undefined,
  judged: "",
  place: undefined,
  arrived: 0,
  standing: Standing.make(),
  skipped: undefined,
  schedules: 0,
  before: undefined,
  apart: undefined,
  lease: "",
  settledLease: "",
  cancelled: false,
  expires: 0,
  spot: undefined,
  node: undefined
})
