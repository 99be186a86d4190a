/** What can go wrong with a file, in sentences that say what to do. */
import type { Location } from "./Location.ts"

/** The file cannot be used as it is. */
export class FileTrouble extends Error {
  override readonly name = "FileTrouble"
  /** SQLite's code, if it came from there. */
  readonly code: number | undefined
  constructor(message: string, code: number | undefined, cause?: unknown) {
    super(message, { cause })
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

/** The same in a sentence that says what to do; other errors are left as they are. */
export const explain = ({ busyTimeoutMillis, path }: Location, error: unknown): unknown => {
  const say = (problem: string) => new FileTrouble(`The file ${path} ${problem}`, codeOf(error), error)
  switch (codeOf(error)) {
    case codes.busy:
    case codes.locked:
    case codes.protocol:
      return say(
        `is locked: another process has been writing to it for more than ${busyTimeoutMillis} ms. ` +
          "End that process's transaction (?busyTimeout=30000 in the URL waits for longer)"
      )
    case codes.permission:
    case codes.readOnly:
      return say("may not be written by this process: give it, and its folder, the rights to write")
    case codes.full:
      return say("cannot grow, since the disk is full: make room there")
    case codes.cannotOpen:
      return say("cannot be opened: its folder has to be there, and this process has to have the right to write to it")
    case codes.notADatabase:
      return say("is no SQLite database: give the path of another file")
    case codes.corrupt:
      return say("is damaged: bring back a backup of it, or save what can still be read with `sqlite3 FILE .recover`")
    case codes.io:
      return say(`cannot be read or written: ${error instanceof Error ? error.message : String(error)}`)
    default:
      return error
  }
}

/** Of a file that a later release wrote. */
export const isNewer = (path: string, found: number, known: number): FileTrouble =>
  new FileTrouble(
    `The file ${path} was written by a later release of effect-docket (its tables have version ${found}, this release knows ` +
      `up to ${known}): use that release, or another file`,
    undefined
  )

/** Of a file that is not the one that was opened. */
export const isReplaced = (path: string): FileTrouble =>
  new FileTrouble(
    `The file ${path} was deleted, or another one was put in its place, while it was in use: it is opened anew`,
    undefined
  )
