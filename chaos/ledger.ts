/**
 * What producers, workers and the nemesis write down, in files outside Redis: one a process, a line of JSON an event.
 *
 * Times are epoch milliseconds of this machine, unless they are said to be of the server.
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

/** Something went wrong that nobody handled, or a worker warned of something. */
export interface Said {
  readonly kind: "unhandled" | "warning"
  readonly text: string
  readonly at: number
  readonly worker: string
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
}

export type Line = Asked | Acked | Began | Ended | Interrupted | Said | Fault

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
