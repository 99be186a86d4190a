/**
 * What a `sqlite:` URL says.
 *
 * **Details**
 *
 * `sqlite:./docket.db`, `sqlite:docket.db` and `sqlite:/var/lib/docket.db` (also with `//` before the path) name a file. Its
 * folder has to be there, the file need not.
 */
import * as Effect from "effect/Effect"
import { InvalidRequest } from "../../DocketError.ts"

export interface Location {
  /** The file, as the URL has it: relative to the working directory, or absolute. */
  readonly path: string
  /** `full`: what was confirmed survives a power cut. `normal`: a power cut may take what was confirmed last. */
  readonly durability: "full" | "normal"
  /** How long to go on trying while another process holds the lock for writing, in milliseconds. */
  readonly busyTimeoutMillis: number
}

/** Whether a URL is one of a file. */
export const isLocation = (url: string): boolean => /^sqlite:/i.test(url)

/** Reads a URL. */
export const parse = (url: string): Effect.Effect<Location, InvalidRequest> =>
  Effect.suspend(() => {
    const refuse = (problem: string) =>
      Effect.fail(new InvalidRequest({ problem: `The URL ${JSON.stringify(url)} cannot be used: ${problem}` }))
    const [, before = "", search = ""] = /^sqlite:([^?#]*)(?:\?([^#]*))?/i.exec(url) ?? []
    const path = decoded(before.replace(/^\/\/(?=[./])/, ""))
    if (path === undefined) return refuse("its path is not percent-encoded as it should be")
    if (path === ":memory:") return refuse("a docket in memory has the URL memory://")
    if (path.startsWith("//"))
      return refuse(`write sqlite:./${path.slice(2)} for a file here, or sqlite:/ and its whole path`)
    if (path === "" || path.endsWith("/")) return refuse("it names no file; one is sqlite:./docket.db")
    const location = { path, durability: "full" as Location["durability"], busyTimeoutMillis: 5000 }
    for (const [name, value] of new URLSearchParams(search)) {
      if (name === "durability") {
        if (value !== "full" && value !== "normal")
          return refuse(`durability has to be full or normal; it was ${value}`)
        location.durability = value
      } else if (name === "busyTimeout" || name === "connectTimeout") {
        if (!/^\d{1,9}$/.test(value)) return refuse(`${name} has to be a number of milliseconds; it was ${value}`)
        location.busyTimeoutMillis = Number(value)
      } else {
        return refuse(`there is no option ${name}; there are durability and busyTimeout`)
      }
    }
    return Effect.succeed(location)
  })

const decoded = (path: string): string | undefined => {
  // Only what is not encoded as it should be makes it throw.
  try {
    return decodeURIComponent(path)
  } catch {
    return undefined
  }
}
