/** What can go wrong with a file, in sentences that say what to do. */
import type { Location } from "./Location.ts"

/** The file cannot be used as it is. */
export class FileTrouble extends Error {
  override readonly name = "FileTrouble"
  /** SQLite's code, if it came from there. */
  /** What to do about it. */
  readonly advice: string | undefined
  readonly code: number | undefined
  constructor(message: string, advice: string | undefined, code: number | undefined, cause?: unknown) {
    super(message, { cause })
    this.advice = advice
    this.code = code
  }
}

/** SQLite's primary result codes that mean something to whoever runs a docket. */
const codes = {
  permission: 3,
  busy: 5,
  locked: 6,
  readOnly: 8,
  io: 10,
  corrupt: 11,
  full: 13,
  cannotOpen: 14,
  protocol: 15,
  notADatabase: 26
} as const

/** The primary result code of an error of SQLite. */
export const codeOf = (error: unknown): number | undefined =>
  error instanceof FileTrouble
    ? error.code
    : error instanceof Error && "errcode" in error && typeof error.errcode === "number"
      ? error.errcode & 0xff
      : undefined

/** Whether another process holds a lock, as it does for the time of a transaction. */
export const isBusy = (error: unknown): boolean => {
  const code = codeOf(error)
  return code === codes.busy || code === codes.locked || code === codes.protocol
}

/** Whether the connection cannot be used any more. */
export const isLost = (error: unknown): boolean => {
  const code = codeOf(error)
  return error instanceof FileTrouble || code === codes.io || code === codes.corrupt || code === codes.notADatabase
}

/** What happened, and what to do about it. */
export interface Told {
  readonly cause: unknown
  readonly advice?: string
}

/** The same in words of the docket, with what to do about it; other errors are left as they are. */
export const explain = ({ busyTimeoutMillis, path }: Location, error: unknown): Told => {
  if (error instanceof FileTrouble)
    return { cause: error, ...(error.advice === undefined ? {} : { advice: error.advice }) }
  const say = (problem: string, advice: string): Told => ({
    cause: new FileTrouble(`The file ${path} ${problem}`, advice, codeOf(error), error),
    advice
  })
  switch (codeOf(error)) {
    case codes.busy:
    case codes.locked:
    case codes.protocol:
      return say(
        `is locked: another process has been writing to it for more than ${busyTimeoutMillis} ms`,
        "End the transaction of that process (?busyTimeout=30000 in the URL waits for longer)"
      )
    case codes.permission:
    case codes.readOnly:
      return say("may not be written by this process", "Give this process the right to write to it, and to its folder")
    case codes.full:
      return say("cannot grow, since the disk is full", "Make room on that disk")
    case codes.cannotOpen:
      return say(
        "cannot be opened",
        "Its folder has to be there, and this process has to have the right to write to it"
      )
    case codes.notADatabase:
      return say("is no SQLite database", "Give the path of another file")
    case codes.corrupt:
      return say(
        "is damaged",
        "Bring back a backup of it, or save what can still be read with sqlite3 and its command .recover"
      )
    case codes.io:
      return say(
        `cannot be read or written: ${error instanceof Error ? error.message : String(error)}`,
        "Look at the disk that it is on"
      )
    default:
      return { cause: error }
  }
}

/** Of a file that a later release wrote. */
export const isNewer = (path: string, found: number, known: number): FileTrouble =>
  new FileTrouble(
    `The file ${path} was written by a later release of effect-docket: its tables have version ${found}, and this release ` +
      `knows up to ${known}`,
    "Use that release, or another file",
    undefined
  )

/** Of a file that is not the one that was opened. */
export const isReplaced = (path: string): FileTrouble =>
  new FileTrouble(
    `The file ${path} was deleted, or another one was put in its place, while it was in use`,
    "What was put there is used from now on; while a docket is in use, leave its file and those beside it (-wal, -shm) alone",
    undefined
  )
