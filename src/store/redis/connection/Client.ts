/**
 * A client of ioredis: how one is opened, and what its errors mean. This is the only file that knows ioredis.
 */
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { Redis as Client, type RedisOptions } from "ioredis"
import * as Net from "node:net"
import type { Address, Connection } from "./Connection.ts"

export type { Client }

/** What all connections of a store have in common. */
export interface Options {
  readonly connection: Connection
  /** What operators see in `CLIENT LIST`. Default: `docket`. */
  readonly connectionName?: string
  /** On a cluster: a key that tells the slot. Default: the empty one. */
  readonly key?: string
}

/** A client, which connects at once, and ends for good when its connection does. */
export const open = (
  { connection, connectionName }: Options,
  server: Server,
  others: Credentials & Pick<RedisOptions, "commandTimeout" | "connectTimeout">
): Client => {
  const { options, tls } = connection
  const { key, ...otherTls } = tls ?? {}
  return new Client({
    ...server,
    ...(tls === undefined ? {} : { tls: { ...otherTls, ...(key === undefined ? {} : { key: Redacted.value(key) }) } }),
    username: connection.username,
    password: valueOf(connection.password),
    db: connection.database,
    // The server refuses a name with spaces or other than ASCII characters.
    connectionName: (options.connectionName ?? connectionName ?? "docket").replace(/[^!-~]/g, "-"),
    connectTimeout: options.connectTimeout ?? defaultConnectTimeout,
    keepAlive: options.keepAlive ?? 10_000,
    noDelay: options.noDelay ?? true,
    family: options.family ?? 0,
    protocol: options.protocol ?? 3,
    // After a goodbye to a server that stands still.
    disconnectTimeout: 100,
    retryStrategy: () => null,
    autoResubscribe: false,
    autoResendUnfulfilledCommands: false,
    // It would ask for INFO, with a timer that outlives the client; and an ACL may forbid INFO.
    enableReadyCheck: false,
    disableClientInfo: true,
    ...others
  })
}

/** In milliseconds. */
export const defaultConnectTimeout = 5000

/** What a server asks for. */
export type Credentials = Pick<RedisOptions, "username" | "password" | "db">

/** Where a server is. */
export type Server = Address | { readonly path: string }

/** A password as the server has to be told it. */
export const valueOf = (secret: Redacted.Redacted | undefined) =>
  secret === undefined ? undefined : Redacted.value(secret)

/** The server does not have the script. */
export const isMissingScript = (error: unknown) => error instanceof Error && error.message.startsWith("NOSCRIPT")

/** The connection ended before the answer, which ioredis tells by its message only. */
export const isEnded = (error: unknown) => error instanceof Error && error.message === "Connection is closed."

/** The server closed the connection before it was greeted; it may have said why, and nobody have read that. */
export const isClosing = ({ code, message }: Error & { readonly code?: unknown }) =>
  code === "EPIPE" || code === "ECONNRESET" || message === "The connection was closed"

/** What a server says to whoever connects and does not speak: why it has no room, or lets nobody in. */
export const farewell = (server: Server): Effect.Effect<Error | undefined> =>
  Effect.callback((resume) => {
    const socket = Net.connect(server)
    const end = (words?: string) => {
      socket.destroy()
      resume(Effect.succeed(words === undefined ? undefined : new Error(words)))
    }
    socket.setTimeout(200, () => end())
    socket.once("error", () => end())
    socket.once("close", () => end())
    socket.once("data", (data) => end(/^-(.*?)\r?\n/.exec(data.toString())?.[1]))
    return Effect.sync(() => socket.destroy())
  })

/** The server does not know the user, or does not allow it: asking again does not help. */
export const isOfUser = ({ message }: Error) => /\b(?:WRONGPASS|NOAUTH|NOPERM)\b/.test(message)

/** A master that became a replica: the name of the server may lead to another by now. */
export const isOfReplica = (error: unknown): error is Error =>
  error instanceof Error && /\bREADONLY\b|^UNBLOCKED/.test(error.message)

/** The server says that it did not begin with the command, and may have another answer soon. */
export const isRefusal = (error: unknown, isRouted: boolean): error is Error =>
  error instanceof Error &&
  (/^(?:LOADING|BUSY|CLUSTERDOWN|MASTERDOWN) /.test(error.message) ||
    (isRouted && (/^(?:TRYAGAIN|ASK|MOVED) /.test(error.message) || isOfReplica(error))))

/** The server answers, and takes no writes. */
export const isReadOnly = (error: unknown) =>
  error instanceof Error && /\b(?:READONLY|MISCONF|NOREPLICAS)\b/.test(error.message)

/** What a server says that is, or is about to be, no longer the one to talk to. */
export const mayHaveMoved = (error: unknown) =>
  error instanceof Error && (/^(?:MOVED|CLUSTERDOWN|MASTERDOWN|NOREPLICAS) /.test(error.message) || isOfReplica(error))

/**
 * The error without what ioredis and Redis add to it: the arguments of the command, and so payloads and passwords; and the
 * place in a script where the server said it.
 */
export const presentable = (error: unknown): Error => {
  if (!(error instanceof Error)) return new Error("unknown error")
  const code = "code" in error && typeof error.code === "string" ? error.code : undefined
  // A host with several addresses, none of which answers, gives an error without a message.
  const reasons = error instanceof AggregateError ? error.errors.map((reason) => presentable(reason).message) : []
  const message = error.message || reasons.join("; ") || code || error.name
  const words = message
    .replace(/,? with args beginning with:.*/s, "")
    .replace(/ script: [0-9a-f]{40}, on @user_script:\d+\.?$/, "")
    .replace(/^ERR Error running script \(call to f_[0-9a-f]{40}\): (?:@user_script: ?\d+: )+-?/, "")
  const result = new Error(words)
  result.name = error.name
  return code === undefined ? result : Object.assign(result, { code })
}
