/**
 * What a store's URL says about how to reach Redis.
 */
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as FileSystem from "node:fs/promises"
import * as Net from "node:net"
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
  if (!isKnown) {
    const all = Array.from(schemes).join(", ")
    return yield* invalid(
      url,
      `the scheme "${scheme}" is not one of ${all}, memory, sqlite, or with +sentinel or +cluster`
    )
  }
  const parsed = URL.parse(`redis://${userInfo}host${rest}`)
  if (parsed === null || parsed.hash !== "") return yield* notUrl(url)

  const hosts = mode === undefined ? [hostList] : hostList.split(",").filter((host) => host !== "")
  const addresses: Array<Address> = []
  for (const host of isSocket ? [] : hosts) {
    const address = readHost(host, mode === "sentinel" ? 26379 : 6379)
    // What follows a slash or a question mark in a password looks like the end of a host.
    if (typeof address === "string") return yield* rest.includes("@") ? notUrl(url) : invalid(url, address)
    addresses.push(address)
  }

  const options: Record<string, Value> = {}
  for (const { isNamed, name, text } of partsOf(parsed.search)) {
    const reader = readers.get(name)
    if (reader === undefined) {
      const all = `is not one of ${Array.from(readers.keys()).join(", ")}`
      const hint = /pass|pw|auth|user|token|secret/i.test(name) ? ": user and password come before the host" : ""
      return yield* invalid(url, `${isNamed ? `the option "${name}"` : "what stands among its options"} ${all}${hint}`)
    }
    const { expected, value } = reader.read(text)
    if (value === undefined) return yield* invalid(url, `the option "${name}" has to be ${expected}`)
    options[name] = value
  }
  const { ca, cert, db, key, rejectUnauthorized, servername, sentinel_password, sentinel_username, ...others } = options

  const decoded = yield* Effect.try({
    try: () => ({
      path: decodeURIComponent(parsed.pathname),
      username: decodeURIComponent(parsed.username),
      password: decodeURIComponent(parsed.password)
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
  if (mode === "sentinel" && !/^[\w.-]+$/.test(service)) {
    const found = JSON.stringify(service)
    return yield* invalid(
      url,
      `its service ${found} is not the name of one: those have letters, digits, and . _ - only`
    )
  }
  if (mode === "sentinel" && db !== undefined) {
    return yield* invalid(url, 'the database comes from its path, after the service, and not from the option "db"')
  }
  if (mode === "cluster" && Number(inPath || (db ?? 0)) !== 0) {
    return yield* invalid(url, "a cluster has no database but 0")
  }
  if (!isSocket && addresses.length === 0) return yield* invalid(url, "it names no host")
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
      catch: (cause) => {
        // Somebody may have given the key itself.
        const why = name === "key" ? errorText(cause).replace(/,.*/s, "") : errorText(cause)
        return invalid(url, `the option "${name}" names a file that cannot be read: ${why}`)
      }
    })

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
      return { _tag: "Cluster", nodes: addresses, ...access }
    case "sentinel":
      return {
        _tag: "Sentinel",
        sentinels: addresses,
        service,
        sentinelUsername: sentinel_username === undefined ? undefined : String(sentinel_username),
        sentinelPassword: sentinel_password === undefined ? undefined : Redacted.make(String(sentinel_password)),
        ...access
      }
    default:
      return { _tag: "Single", server: addresses[0] ?? { path }, ...access }
  }
})

/** A host with its port, as in a URL; or what is wrong with it. */
const readHost = (text: string, defaultPort: number): Address | string => {
  if (text.includes(",")) return "several hosts are for redis+sentinel and redis+cluster"
  const [, bracketed, plain = "", ending] = /^(?:\[([^\]]*)\]|([^:]*))(:.*)?$/s.exec(text) ?? []
  const name = bracketed ?? plain
  if (bracketed === undefined && (ending?.lastIndexOf(":") ?? 0) > 0) {
    return "its host has more than one colon: write an IPv6 address in brackets, as in redis://[::1]:6379"
  }
  let host
  try {
    host = decodeURIComponent(name)
  } catch {
    host = name
  }
  const isName = /^(?![\d.]+$)[\p{L}\p{N}._-]*$/u.test(host) || Net.isIPv4(host)
  if (bracketed === undefined ? !isName : !Net.isIPv6(host)) {
    return `its host "${bracketed === undefined ? host : `[${host}]`}" is not a name or an address`
  }
  const port = ending === undefined ? defaultPort : /^:\d{1,5}$/.test(ending) ? Number(ending.slice(1)) : 0
  if (port < 1 || port > 65_535) {
    const of = host === "" ? "its port" : `the port`
    return `${of} "${ending?.slice(1)}"${host === "" ? "" : ` of its host "${host}"`} is not a number from 1 to 65535`
  }
  return { host: host || "localhost", port }
}

/** What stands in a query between the ampersands. */
interface Part {
  readonly name: string
  readonly text: string
  /** Whether its name may be shown: it is known, or looks like one, and is not what follows an ampersand in a password. */
  readonly isNamed: boolean
  readonly shown: string
}

const partsOf = (query: string): ReadonlyArray<Part> => {
  let isTrusted = true
  const parts = query.slice(1).split("&")
  return parts.filter(Boolean).map((part) => {
    const [name = "", text = ""] = new URLSearchParams(part).entries().next().value ?? []
    const reader = readers.get(name)
    const isNamed = reader === undefined ? isTrusted && /^[a-z_]+=/i.test(part) : part.startsWith(`${name}=`)
    if (reader !== undefined && reader.isSecret !== true && reader.read(text).value !== undefined) {
      return { name, text, isNamed, shown: part }
    }
    isTrusted = false
    return { name, text, isNamed, shown: isNamed ? `${name}=***` : "***" }
  })
}

/**
 * A URL as it may be shown: without its password, and without anything that might be one, in an option that does not exist
 * or when the URL is malformed.
 */
export const redact = (url: string): string => {
  const [, scheme = "", place = "", query = "", fragment] =
    /^([a-z][a-z0-9+.-]*:(?:\/\/)?)?([^?#]*)(\?[^#]*)?(#.*)?$/is.exec(url) ?? []
  // A question mark in a password begins a query, so what stands before it is part of the password too.
  if (`${query}${fragment ?? ""}`.includes("@")) return `${scheme}***`
  const at = place.lastIndexOf("@")
  const user = /^[^:@/]*(?=:)/.exec(place.slice(0, Math.max(0, at)))
  const shown = at < 0 ? place : `${user === null ? "***" : `${user[0]}:***`}${place.slice(at)}`
  const parts = partsOf(query).map((part) => part.shown)
  return `${scheme}${shown}${query === "" ? "" : `?${parts.join("&")}`}${fragment === undefined ? "" : "#***"}`
}

const invalid = (url: string, problem: string) =>
  new InvalidRequest({ problem: `The store's URL ${redact(url)} cannot be used: ${problem}` })

const notUrl = (url: string) =>
  invalid(url, "it is not a URL: write redis://[user:password@]host[:port][/database], percent-encoded")

const schemes: ReadonlySet<string> = new Set(["redis", "rediss", "valkey", "valkeys", "unix"])
const modes: ReadonlySet<string> = new Set(["cluster", "sentinel"])

type Value = string | number | boolean

interface Reader {
  readonly read: (text: string) => { readonly expected: string; readonly value: Value | undefined }
  readonly isSecret?: true
}

const wholeNumber = (unit = "", minimum = 0): Reader => ({
  read: (text) => ({
    expected: `a whole number${unit}${minimum > 0 ? `, ${minimum} or more` : ""}`,
    value: /^\d{1,9}$/.test(text) && Number(text) >= minimum ? Number(text) : undefined
  })
})

const oneOf = (...values: ReadonlyArray<Value>): Reader => ({
  read: (text) => ({
    expected: values.slice(0, -1).join(", ") + ` or ${values.at(-1)}`,
    value: values.find((value) => String(value) === text)
  })
})

const someText: Reader = { read: (text) => ({ expected: "some text", value: text === "" ? undefined : text }) }

const readers: ReadonlyMap<string, Reader> = new Map([
  ["db", wholeNumber()],
  ["connectTimeout", wholeNumber(" of milliseconds", 1)],
  ["commandTimeout", wholeNumber(" of milliseconds", 1)],
  ["keepAlive", wholeNumber(" of milliseconds")],
  ["noDelay", oneOf(true, false)],
  ["family", oneOf(0, 4, 6)],
  ["protocol", oneOf(2, 3)],
  ["connectionName", someText],
  ["replicas", wholeNumber()],
  ["servername", someText],
  ["rejectUnauthorized", oneOf(true, false)],
  ["ca", someText],
  ["cert", someText],
  ["key", { ...someText, isSecret: true }],
  ["sentinel_username", someText],
  ["sentinel_password", { ...someText, isSecret: true }]
])
