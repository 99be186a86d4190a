/**
 * What a store's URL says about how to reach Redis.
 */
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as FileSystem from "node:fs/promises"
import { InvalidRequest } from "../../../DocketError.ts"
import { errorText } from "../../../internal/contract/failureText.ts"

/** How to reach Redis. `Client.ts` is the only file that makes a client of it. */
export type Connection = Single | Sentinel | Cluster

/** What every connection has, however its server is found. */
export interface Access {
  /** Present when connections are encrypted. */
  readonly tls: Tls | undefined
  readonly username: string | undefined
  readonly password: Redacted.Redacted | undefined
  readonly database: number
  readonly options: Options
}

/** One server, by host and port or by the path of its socket. */
export interface Single extends Access {
  readonly _tag: "Single"
  readonly server: Address | { readonly path: string }
}

/** The master of a service, as Sentinels tell it. */
export interface Sentinel extends Access {
  readonly _tag: "Sentinel"
  readonly sentinels: ReadonlyArray<Address>
  readonly service: string
  /** For the Sentinels; those of `Access` are for the data nodes. */
  readonly sentinelUsername: string | undefined
  readonly sentinelPassword: Redacted.Redacted | undefined
}

/** The node of a cluster that owns the docket's slot. */
export interface Cluster extends Access {
  readonly _tag: "Cluster"
  /** Some of its nodes: the others are learned from them. */
  readonly nodes: ReadonlyArray<Address>
}

export interface Address {
  readonly host: string
  readonly port: number
}

export interface Tls {
  readonly servername?: string
  readonly rejectUnauthorized?: boolean
  /** In PEM: whom to trust, and the certificate and key to show. */
  readonly ca?: string
  readonly cert?: string
  readonly key?: Redacted.Redacted
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
  /** How many replicas have to have a write before it counts as done. */
  readonly replicas?: number
}

/**
 * Reads a URL: `redis`, `valkey` or `unix`, with `rediss` or `valkeys` for TLS, and `+sentinel` or `+cluster` after any
 * of them but `unix`. User and password are percent-encoded.
 *
 * **Details**
 *
 * - `redis://[user:password@]host[:port][/database][?option=value]`
 * - `redis+sentinel://[user:password@]host[:port][,host[:port]…]/service[/database]`, with the Sentinels' ports, 26379 by
 *   default; options `sentinel_username` and `sentinel_password` are for the Sentinels
 * - `redis+cluster://[user:password@]host[:port][,host[:port]…]`
 * - `unix:///path/of/socket[?db=database]`
 *
 * With TLS, the options `ca`, `cert` and `key` name files in PEM. Fails with a sentence that names what is wrong, and
 * never holds a password.
 */
export const parse: (url: string) => Effect.Effect<Connection, InvalidRequest> = Effect.fnUntraced(function* (url) {
  // Hosts are separated by commas, which a URL cannot have, and a socket has none, which a URL with credentials needs.
  const [, scheme, userInfo = "", hostList = "", rest = ""] =
    /^([a-z][a-z0-9+.-]*):(?:\/\/([^/?#]*@)?([^/?#]*))?(.*)$/is.exec(url) ?? []
  if (scheme === undefined || !/^([/?#]|$)/.test(rest)) return yield* notUrl(url)
  const [base = "", mode] = scheme.toLowerCase().split(/\+(.*)/s)
  const isSocket = base === "unix"
  const isKnown = schemes.has(base) && (mode === undefined || (modes.has(mode) && !isSocket))
  const hosts = mode === undefined ? [hostList] : hostList.split(",").filter((host) => host !== "")
  const parsed = URL.parse(`redis://${userInfo}host${rest}`)
  if (parsed === null) return yield* notUrl(url)
  if (!isKnown) {
    const all = Array.from(schemes).join(", ")
    return yield* invalid(url, `the scheme "${scheme}" is not one of ${all}, memory, or with +sentinel or +cluster`)
  }

  const addresses = hosts.map((host) => URL.parse(`redis://${host}`))
  if (!addresses.every((address) => address !== null && `${address.pathname}${address.search}` === "")) {
    return yield* notUrl(url)
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
  const { ca, cert, db, key, rejectUnauthorized, servername, sentinel_password, sentinel_username, ...others } = options

  const decoded = yield* Effect.try({
    try: () => ({
      path: decodeURIComponent(parsed.pathname),
      username: decodeURIComponent(parsed.username),
      password: decodeURIComponent(parsed.password),
      hosts: addresses.map((address) => decodeURIComponent(address?.hostname.replace(/^\[(.*)\]$/, "$1") ?? ""))
    }),
    catch: () => invalid(url, "a percent sign in it does not begin an encoded character: write a percent sign as %25")
  })
  const { password, path, username } = decoded
  if (isSocket && (path.length < 2 || hostList !== "")) {
    return yield* invalid(url, "it names no socket: write unix:///path/of/socket")
  }

  const [service = "", inPath = ""] = isSocket
    ? []
    : mode === "sentinel"
      ? path.replace(/^\/|\/$/g, "").split(/\/(.*)/s)
      : ["", path.replace(/^\/|\/$/g, "")]
  if (!/^\d{0,9}$/.test(inPath)) {
    const example = mode === "sentinel" ? "redis+sentinel://localhost/service/0" : "redis://localhost:6379/0"
    return yield* invalid(url, `its path has to end with the number of a database, as in ${example}`)
  }
  if (mode === "sentinel" && service === "") {
    return yield* invalid(url, "it names no service: write redis+sentinel://host[:port][,host[:port]…]/service")
  }
  if (mode === "sentinel" && db !== undefined) {
    return yield* invalid(url, 'the database comes from its path, after the service, and not from the option "db"')
  }
  if (mode === "cluster" && Number(inPath || (db ?? 0)) !== 0) {
    return yield* invalid(url, "a cluster has no database but 0")
  }
  if (mode !== undefined && hosts.length === 0) return yield* invalid(url, "it names no host")
  if (mode !== "sentinel" && (sentinel_username ?? sentinel_password) !== undefined) {
    const name = sentinel_username === undefined ? "sentinel_password" : "sentinel_username"
    return yield* invalid(url, `the option "${name}" is for Sentinels: write the scheme as redis+sentinel`)
  }
  if (inPath !== "" && db !== undefined && Number(inPath) !== db) {
    return yield* invalid(url, 'its path and its option "db" name different databases')
  }

  const isSecure = base === "rediss" || base === "valkeys"
  for (const [name, value] of Object.entries({ servername, rejectUnauthorized, ca, cert, key })) {
    if (isSecure || value === undefined) continue
    return yield* invalid(url, `the option "${name}" needs TLS: write the scheme as rediss or valkeys`)
  }
  if ((cert === undefined) !== (key === undefined)) {
    return yield* invalid(url, 'the options "cert" and "key" need each other')
  }
  const file = (name: string, path: Value) =>
    Effect.tryPromise({
      try: () => FileSystem.readFile(String(path), "utf8"),
      catch: (cause) => invalid(url, `the option "${name}" names a file that cannot be read: ${errorText(cause)}`)
    })

  const defaultPort = mode === "sentinel" ? 26379 : 6379
  const all = addresses.map((address, i) => ({
    host: decoded.hosts[i] || "localhost",
    port: Number(address?.port || defaultPort)
  }))
  const access: Access = {
    tls: isSecure
      ? {
          ...(servername === undefined ? {} : { servername: String(servername) }),
          ...(rejectUnauthorized === undefined ? {} : { rejectUnauthorized: rejectUnauthorized === true }),
          ...(ca === undefined ? {} : { ca: yield* file("ca", ca) }),
          ...(cert === undefined ? {} : { cert: yield* file("cert", cert) }),
          ...(key === undefined ? {} : { key: Redacted.make(yield* file("key", key)) })
        }
      : undefined,
    username: username || undefined,
    password: password === "" ? undefined : Redacted.make(password),
    database: inPath === "" ? Number(db ?? 0) : Number(inPath),
    // Each reader gives what its option is declared as.
    options: others as Options
  }
  switch (mode) {
    case "cluster":
      return { _tag: "Cluster", nodes: all, ...access }
    case "sentinel":
      return {
        _tag: "Sentinel",
        sentinels: all,
        service,
        sentinelUsername: sentinel_username === undefined ? undefined : String(sentinel_username),
        sentinelPassword: sentinel_password === undefined ? undefined : Redacted.make(String(sentinel_password)),
        ...access
      }
    default:
      return { _tag: "Single", server: isSocket ? { path } : (all[0] ?? { host: "localhost", port: 6379 }), ...access }
  }
})

/**
 * A URL as it may be shown: without its password, and without anything that might be one when the URL is malformed.
 */
export const redact = (url: string): string => redactUserInfo(url.replace(/(sentinel_password=)[^&#]*/gi, "$1***"))

const redactUserInfo = (url: string): string => {
  const authority = url.indexOf("://")
  const at = url.lastIndexOf("@")
  const start = authority < 0 ? url.indexOf(":") + 1 : authority + 3
  if (at < start) return url
  const user = /^[^:@/?#]*(?=:)/.exec(url.slice(start, at))
  return `${url.slice(0, start)}${user === null ? "***" : `${user[0]}:***`}${url.slice(at)}`
}

const invalid = (url: string, problem: string) =>
  new InvalidRequest({ problem: `The store's URL ${redact(url)} cannot be used: ${problem}` })

const notUrl = (url: string) =>
  invalid(url, "it is not a URL: write redis://[user:password@]host[:port][/database], percent-encoded")

const schemes: ReadonlySet<string> = new Set(["redis", "rediss", "valkey", "valkeys", "unix"])
const modes: ReadonlySet<string> = new Set(["cluster", "sentinel"])

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
  replicas: wholeNumber(""),
  servername: someText,
  rejectUnauthorized: oneOf(true, false),
  ca: someText,
  cert: someText,
  key: someText,
  sentinel_username: someText,
  sentinel_password: someText
}
