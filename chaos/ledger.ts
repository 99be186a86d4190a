/**
 * What producers, workers and the nemesis write down, in files outside Redis: one a process, a line of JSON an event.
 *
 * Times are epoch milliseconds of this machine, unless they are said to be of the server. They count from the start of the
 * laboratory on a clock that no change of the date moves, so that a process whose clock is wrong writes the right ones.
 */
import { closeSync, openSync, readdirSync, readFileSync, writeSync } from "node:fs"
import { join } from "node:path"

/** A producer is about to add a task for the first time. */
export interface Asked {
  readonly kind: "asked"
  readonly key: string
  readonly at: number
  readonly delayMillis: number
  /** `poison` ends the process that runs it. */
  readonly task: "work" | "narrow" | "poison"
}

/** The docket confirmed it, after so many attempts: of those before it is unknown whether they arrived. */
export interface Acked {
  readonly kind: "acked"
  readonly key: string
  readonly at: number
  readonly attempts: number
}

/** A handler began. */
export interface Began {
  readonly kind: "began"
  readonly key: string
  readonly generation: number
  readonly deliveries: number
  readonly lease: string
  /** By the server. */
  readonly started: number
  /** By the server. */
  readonly due: number
  readonly at: number
  readonly worker: string
}

/** A handler ended by itself. */
export interface Ended {
  readonly kind: "ended"
  readonly key: string
  readonly lease: string
  readonly at: number
  readonly worker: string
}

/** A handler was interrupted. */
export interface Interrupted {
  readonly kind: "interrupted"
  readonly key: string
  readonly lease: string
  readonly reason: string
  readonly at: number
  readonly worker: string
}

/** Something went wrong that nobody handled, a worker warned of something, or a producer was refused something. */
export interface Said {
  readonly kind: "unhandled" | "warning" | "refused"
  readonly text: string
  readonly at: number
  readonly worker: string
}

/** How a worker is, a few times a second. */
export interface Sample {
  readonly kind: "sample"
  readonly worker: string
  readonly at: number
  /** What it says of itself to a probe. */
  readonly able: boolean
  /** Why it is not. */
  readonly problems?: string
  /** CPU time since its start, in milliseconds. */
  readonly cpuMillis: number
  /** What is in use right after a garbage collection, which not every sample has. */
  readonly heapBytes?: number
}

/** A worker ended, though nobody ended it. */
export interface Crashed {
  readonly kind: "crashed"
  readonly worker: string
  readonly at: number
  /** Its exit code, or the signal that ended it. */
  readonly how: string
}

/** The nemesis did something. */
export interface Fault {
  readonly kind: "fault"
  readonly name: string
  /** A worker, or `store` for what all of them meet. */
  readonly target: string
  readonly from: number
  readonly until: number
  /** Whether Redis itself may have lost what it had acknowledged. */
  readonly mayRollBack: boolean
  /** Whether nobody could reach the store meanwhile. */
  readonly isAway?: boolean
  /** When it could be reached again, or a new master was there, when that is before all was healed. */
  readonly back?: number
  /** From when on no work can come from a master that has lost its place, when that is later. */
  readonly sure?: number
  /** How many executions a killed worker had a lease on. */
  readonly held?: number
}

export type Line = Asked | Acked | Began | Ended | Interrupted | Said | Sample | Crashed | Fault

const monotonic = () => Number(process.hrtime.bigint()) / 1e6

/** What the processes of a laboratory add to their monotonic clocks; the first one hands it to those that it starts. */
export const epoch = Number(process.env["LEDGER_EPOCH"] ?? Date.now() - monotonic())

/** The time to write down. */
export const now = (): number => Math.round(epoch + monotonic())

/** Opens a ledger for a process. A line is written in one call, so that a killed process leaves whole lines. */
export const openLedger = (path: string) => {
  const file = openSync(path, "a")
  return {
    write: (line: Line) => void writeSync(file, `${JSON.stringify(line)}\n`),
    close: () => closeSync(file)
  }
}

/** All ledgers in a directory. */
export const readLedgers = (directory: string): ReadonlyArray<Line> =>
  readdirSync(directory)
    .filter((name) => name.endsWith(".ledger"))
    .flatMap((name) =>
      readFileSync(join(directory, name), "utf8")
        .split("\n")
        // What comes after the last line feed was cut off by a kill.
        .slice(0, -1)
        .map((line) => JSON.parse(line) as Line)
    )
