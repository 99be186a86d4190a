/**
 * What a store's URL says about how to reach Redis.
 */
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { InvalidRequest } from "../../DocketError.ts"

/** How to reach Redis. One server for now; `Redis.ts` is the only file that makes a client of it. */
export type Connection = Single

/** One server, by host and port or by the path of its socket. */
export interface Single {
  readonly _tag: "Single"
  readonly server: { readonly host: string; readonly port: number } | { readonly path: string }
  /** Present when the connection is encrypted. */
  readonly tls: Tls | undefined
  readonly username: string | undefined
  readonly password: Redacted.Redacted | undefined
  readonly database: number
  readonly options: Options
}

export interface Tls {
  readonly servername?: string
  readonly rejectUnauthorized?: boolean
}

/** What the URL's query can set, under the names and with the units that ioredis has for them. */
export interface Options {
  readonly connectTimeout?: number
  readonly commandTimeout?: number
  readonly keepAlive?: number
  readonly noDelay?: boolean
  readonly family?: 0 | 4 | 6
  readonly protocol?: 2 | 3
  readonly connectionName?: string
}

/**
 * Reads a URL: `redis`, `rediss` (TLS), `valkey`, `valkeys` (TLS) or `unix`, with percent-encoded user and password.
 *
 * **Details**
 *
 * `redis://[user:password@]host[:port][/database][?option=value]`, and `unix:///path/of/socket[?db=database]`. Fails
 * with a sentence that names what is wrong, and never holds the password.
 */
export const parse: (url: string) => Effect.Effect<Connection, InvalidRequest> = Effect.fnUntraced(function* (url) {
  // A URL with credentials needs a host too, which a socket has not.
  const socket = /^unix:\/\/([^/?#]*@)?(?=\/)/.exec(url)
  const parsed = URL.parse(socket === null ? url : `unix://${socket[1] ?? ""}socket${url.slice(socket[0].length)}`)
  if (parsed === null || !/^(\/|$)/.test(parsed.pathname)) {
    return yield* invalid(url, "it is not a URL: write redis://[user:password@]host[:port][/database], percent-encoded")
  }
  const scheme = parsed.protocol.slice(0, -1)
  if (unsupported.has(scheme)) return yield* invalid(url, `the scheme "${scheme}" is not supported yet`)
  if (!schemes.has(scheme)) {
    return yield* invalid(url, `the scheme "${scheme}" is not one of ${Array.from(schemes).join(", ")}, memory`)
  }
  const options: Record<string, Value> = {}
  for (const [name, text] of parsed.searchParams) {
    const read = Object.hasOwn(readers, name) ? readers[name] : undefined
    if (read === undefined) {
      return yield* invalid(url, `the option "${name}" is not one of ${Object.keys(readers).join(", ")}`)
    }
    const { expected, value } = read(text)
    if (value === undefined) return yield* invalid(url, `the option "${name}" has to be ${expected}`)
    options[name] = value
  }
  const { db, rejectUnauthorized, servername, ...rest } = options

  const isSocket = scheme === "unix"
  const [path, username, password, host] = yield* Effect.try({
    try: () =>
      [parsed.pathname, parsed.username, parsed.password, parsed.hostname.replace(/^\[(.*)\]$/, "$1")].map(
        decodeURIComponent
      ) as [string, string, string, string],
    catch: () => invalid(url, "a percent sign in it does not begin an encoded character: write a percent sign as %25")
  })
  if (isSocket && (path.length < 2 || (socket === null && host !== ""))) {
    return yield* invalid(url, "it names no socket: write unix:///path/of/socket")
  }
  const inPath = isSocket ? "" : path.replace(/^\/|\/$/g, "")
  if (!/^\d{0,9}$/.test(inPath)) {
    return yield* invalid(url, "its path has to be the number of a database, as in redis://localhost:6379/0")
  }
  if (inPath !== "" && db !== undefined && Number(inPath) !== db) {
    return yield* invalid(url, 'its path and its option "db" name different databases')
  }
  const isSecure = scheme === "rediss" || scheme === "valkeys"
  if (!isSecure && (rejectUnauthorized !== undefined || servername !== undefined)) {
    const name = servername === undefined ? "rejectUnauthorized" : "servername"
    return yield* invalid(url, `the option "${name}" needs TLS: write the scheme as rediss or valkeys`)
  }
  return {
    _tag: "Single",
    server: isSocket ? { path } : { host: host || "localhost", port: Number(parsed.port || 6379) },
    tls: isSecure
      ? {
          ...(servername === undefined ? {} : { servername: String(servername) }),
          ...(rejectUnauthorized === undefined ? {} : { rejectUnauthorized: rejectUnauthorized === true })
        }
      : undefined,
    username: username || undefined,
    password: password === "" ? undefined : Redacted.make(password),
    database: inPath === "" ? Number(db ?? 0) : Number(inPath),
    // Each reader gives what its option is declared as.
    options: rest as Options
  }
})

/**
 * A URL as it may be shown: without its password, and without anything that might be one when the URL is malformed.
 */
export const redact = (url: string): string => {
  const authority = url.indexOf("://")
  const at = url.lastIndexOf("@")
  const start = authority < 0 ? url.indexOf(":") + 1 : authority + 3
  if (at < start) return url
  const user = /^[^:@/?#]*(?=:)/.exec(url.slice(start, at))
  return `${url.slice(0, start)}${user === null ? "***" : `${user[0]}:***`}${url.slice(at)}`
}

const invalid = (url: string, problem: string) =>
  new InvalidRequest({ problem: `The store's URL ${redact(url)} cannot be used: ${problem}` })

const schemes: ReadonlySet<string> = new Set(["redis", "rediss", "valkey", "valkeys", "unix"])

const unsupported: ReadonlySet<string> = new Set(
  ["redis", "rediss", "valkey", "valkeys"].flatMap((scheme) => [`${scheme}+cluster`, `${scheme}+sentinel`])
)

type Value = string | number | boolean

interface Read {
  readonly expected: string
  readonly value: Value | undefined
}

const wholeNumber =
  (unit: string) =>
  (text: string): Read => ({
    expected: `a whole number${unit}`,
    value: /^\d{1,9}$/.test(text) ? Number(text) : undefined
  })

const oneOf =
  <A extends Value>(...values: ReadonlyArray<A>) =>
  (text: string): Read => ({
    expected: values.slice(0, -1).join(", ") + ` or ${values.at(-1)}`,
    value: values.find((value) => String(value) === text)
  })

const someText = (text: string): Read => ({ expected: "some text", value: text === "" ? undefined : text })

const readers: Readonly<Record<string, (text: string) => Read>> = {
  db: wholeNumber(""),
  connectTimeout: wholeNumber(" of milliseconds"),
  commandTimeout: wholeNumber(" of milliseconds"),
  keepAlive: wholeNumber(" of milliseconds"),
  noDelay: oneOf(true, false),
  family: oneOf(0, 4, 6),
  protocol: oneOf(2, 3),
  connectionName: someText,
  servername: someText,
  rejectUnauthorized: oneOf(true, false)
}
