/**
 * Where connections lead to.
 *
 * **Details**
 *
 * With Sentinels or a cluster the server is looked up before each connection (`Route.ts`). All connections go to one
 * server: the keys of a docket share a slot. As soon as another server is found to have taken its place, those to the
 * old one are closed. It is looked for when the present one says so, or leaves a command unanswered for a second; when a
 * Sentinel says that a failover is under way; every second for a while after that, or after the loss of a connection; and
 * otherwise every five seconds.
 */
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as Client from "./Client.ts"
import type { Address } from "./Connection.ts"
import { inRealTime, monotonic } from "../../../internal/realTime.ts"
import * as Route from "./Route.ts"

/** Tells where to connect to, and closes connections that lead elsewhere. */
export interface Dialer {
  /** Whether the server has to be looked up, and can be another one the next time. */
  readonly isRouted: boolean
  /** Looks up the server. */
  readonly locate: Effect.Effect<Client.Server, Route.NoRoute>
  readonly open: (server: Client.Server) => Client.Client
  /** For how long a connection, and then the greeting on it, may take. */
  readonly connectMillis: number
  /** Whether the server is what its name promised. */
  readonly check: (client: Client.Client) => Promise<void>
  /** Has a connection closed once its server is no longer the one; gives back what to call when it has ended. */
  readonly register: (server: Client.Server, close: () => void) => () => void
  /** Looks again where the server is. */
  readonly recheck: () => void
  /** Looks again now and then while a link is in use, and often after it was in trouble. */
  readonly watch: (link: Watched) => Effect.Effect<void, never, Scope.Scope>
}

/** What tells of a connection that nothing is answered on it. */
interface Watched {
  readonly client: () => Client.Client | undefined
  readonly isOverdue: () => boolean
}

/** The dialer of one server, or of several of which one is in charge. */
export const make = Effect.fnUntraced(function* (options: Client.Options) {
  const { connection } = options
  const connections = new Map<() => void, Client.Server>()
  let present: Address | undefined

  const ask =
    (credentials: Client.Credentials): Route.Ask =>
    (server, commands, optional) =>
      Effect.callback((resume) => {
        const limits = { commandTimeout: 1000, connectTimeout: 1000 }
        const client = Client.open(options, server, { ...limits, ...credentials })
        let failure: unknown
        client.on("error", (error: Error) => {
          failure = error
        })
        const send = ([name, ...args]: (typeof commands)[number]) => client.call(name, args)
        const replies = commands.map(send)
        if (optional !== undefined) replies.push(send(optional).catch(() => undefined))
        Promise.all(replies)
          .then(
            (replies) => resume(Effect.succeed(replies)),
            (error: unknown) => {
              const message = Client.presentable(Client.isEnded(error) ? (failure ?? error) : error).message
              resume(new Route.NoRoute({ message: `${server.host}:${server.port}: ${message}` }))
            }
          )
          .finally(() => client.disconnect())
        return Effect.sync(() => client.disconnect())
      })

  const forSentinels =
    connection._tag === "Sentinel"
      ? { username: connection.sentinelUsername, password: Client.valueOf(connection.sentinelPassword), db: 0 }
      : {}
  const find =
    connection._tag === "Single"
      ? undefined
      : connection._tag === "Cluster"
        ? Route.byNodes(connection, options.key ?? "", ask({}))
        : Route.bySentinels(connection, ask(forSentinels))

  const arrive = (server: Address) => {
    if (Route.isSame(server, present)) return
    present = server
    for (const [close, other] of connections) if (!isAt(other, server)) close()
  }

  const locate: Effect.Effect<Client.Server, Route.NoRoute> =
    connection._tag === "Single"
      ? Effect.succeed(connection.server)
      : Effect.tap(
          Effect.suspend(() => find!(present, monotonic() < isInDoubtUntil)),
          (server) => Effect.sync(() => arrive(server))
        )

  /** Until when the server is looked up every second: a master that stood still goes on for a while after another has taken its place. */
  let isInDoubtUntil = 0
  const doubt = () => {
    isInDoubtUntil = monotonic() + doubtMillis
  }
  const again = Latch.makeUnsafe(false)
  if (find !== undefined) {
    yield* again.await.pipe(
      Effect.andThen(Effect.sync(() => again.closeUnsafe())),
      Effect.andThen(Effect.ignore(locate)),
      Effect.andThen(Effect.sleep("250 millis")),
      Effect.forever,
      inRealTime,
      Effect.forkScoped
    )
  }
  const recheck = () => void again.openUnsafe()
  let seconds = 0

  /** Listens to a Sentinel until the connection ends; for ever, if it is not allowed to. */
  const listenTo = (sentinel: Address, service: string) =>
    Effect.callback<void>((resume) => {
      const client = Client.open(options, sentinel, { connectTimeout: 1000, ...forSentinels })
      let isAllowed = true
      client.on("error", () => {})
      client.on("message", (_channel: string, news: string) => {
        if (!news.split(" ").includes(service)) return
        doubt()
        recheck()
      })
      client.once("ready", () => {
        client.call("subscribe", newsOfFailovers.slice()).catch((error: unknown) => {
          isAllowed = Client.isEnded(error)
          client.disconnect()
        })
      })
      client.once("end", () => {
        if (isAllowed) resume(Effect.void)
      })
      return Effect.sync(() => client.disconnect())
    })
  const isUsed = Latch.makeUnsafe(false)
  if (connection._tag === "Sentinel") {
    for (const sentinel of connection.sentinels) {
      yield* isUsed.await.pipe(
        Effect.andThen(listenTo(sentinel, connection.service)),
        Effect.andThen(Effect.sleep("5 seconds")),
        Effect.forever,
        inRealTime,
        Effect.forkScoped
      )
    }
  }

  const dialer: Dialer = {
    isRouted: find !== undefined,
    locate,
    open: (server) => Client.open(options, server, {}),
    connectMillis: connection.options.connectTimeout ?? Client.defaultConnectTimeout,
    check: (client) =>
      connection._tag !== "Sentinel"
        ? Promise.resolve()
        : client.call("ROLE").then(
            (role) => {
              if (Array.isArray(role) && role[0] !== "master") {
                throw new Error(`The server that the Sentinels name for "${connection.service}" is not its master yet`)
              }
            },
            // An ACL may forbid it. A replica then says so at the first write.
            () => {}
          ),
    register: (server, close) => {
      connections.set(close, server)
      return () => {
        connections.delete(close)
        doubt()
      }
    },
    recheck,
    watch: (link) =>
      find === undefined
        ? Effect.void
        : Effect.sync(() => {
            const isOverdue = link.isOverdue()
            if (isOverdue) doubt()
            if (link.client() !== undefined) isUsed.openUnsafe()
            const isDue = monotonic() < isInDoubtUntil || seconds++ % secondsBetweenLooks === 0
            if (isDue && (isOverdue || link.client() !== undefined)) recheck()
          }).pipe(Effect.repeat(Schedule.spaced("1 second")), inRealTime, Effect.forkScoped, Effect.asVoid)
  }
  return dialer
})

/** How long a loss of the connection, or a missing answer, is a reason to doubt that the server is still the one. */
const doubtMillis = 30_000

/** How often the server is looked up when all is well: it may be cut off from the others, and not know. */
const secondsBetweenLooks = 5

/** What Sentinels publish as soon as they know: that one is about to begin, and that it is done. */
const newsOfFailovers = ["+odown", "+try-failover", "+promoted-slave", "+config-update-from", "+switch-master"]

const isAt = (server: Client.Server, address: Address) => "host" in server && Route.isSame(server, address)
