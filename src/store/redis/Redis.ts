/**
 * Connections to Redis: commands, scripts, subscriptions and blocking reads. This is the only file that knows ioredis.
 *
 * **Details**
 *
 * ioredis speaks the protocol; which of its clients is in use is decided here. It would reconnect by itself, but then a
 * client that is closed while it waits to reconnect never settles its commands, and one whose server stands still is
 * kept. So a client serves for one connection: when that ends, all that was sent on it fails at once, nothing is sent a
 * second time, and the next command opens another client, after a pause if that failed before.
 *
 * With Sentinels or a cluster the server is looked up before each connection (`Route.ts`). All connections go to one
 * server: the keys of a docket share a slot. As soon as another server is found to have taken its place, those to the
 * old one are closed. It is looked for when the present one says so, or leaves a command unanswered for a second; every
 * second for a while after that, or after the loss of a connection; and otherwise every five seconds.
 *
 * Some error replies say that the server did not even begin with the command. What is done about each:
 *
 * | reply | what is done |
 * | --- | --- |
 * | `NOSCRIPT` | the script is loaded, and called again |
 * | `LOADING`, `BUSY`, `TRYAGAIN`, `ASK`, `CLUSTERDOWN`, `MASTERDOWN` | sent again until the deadline, with pauses; then the caller gets it |
 * | `MOVED` | the same, on a connection to the server that is there now |
 * | `READONLY`, `UNBLOCKED` | the same with Sentinels or a cluster; else the caller gets it, and the connection is replaced |
 * | all others, `OOM` among them | the caller gets it |
 *
 * Deadlines and pauses are in real time, whatever `Clock` the program runs with: the server knows no other.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Latch from "effect/Latch"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import { Redis as Client, type RedisOptions } from "ioredis"
import * as Crypto from "node:crypto"
import { StoreError } from "../../DocketError.ts"
import type { Address, Connection } from "./Connection.ts"
import { absentBeside } from "./keys.ts"
import * as Route from "./Route.ts"

/** Redis, as the store uses it. */
export class Redis extends Context.Service<
  Redis,
  {
    /** Sends a command. */
    readonly command: Send
    /** Runs a script by its hash, and loads it first when the server does not have it. */
    readonly eval: <Params extends ReadonlyArray<unknown>, Reply>(
      script: Script<Params, Reply>
    ) => (...params: Params) => Effect.Effect<Reply, StoreError>
    /**
     * Listens to channels while the scope is open. What is published from the moment that this returns is heard, but
     * for the time that the connection is lost: once it is live again, that gap is announced.
     */
    readonly subscribe: (
      channels: ReadonlyArray<string>,
      listener: Listener
    ) => Effect.Effect<void, StoreError, Scope.Scope>
    /** A connection of its own, for one blocking command of at most `blockingSeconds` at a time. */
    readonly blocking: Effect.Effect<Send, never, Scope.Scope>
    /**
     * Completes the next time that a connection which was lost is there again, with the subscriptions if there were any.
     * While anyone waits for that, it is tried.
     */
    readonly reconnected: Effect.Effect<void>
    /** Whether the server is one of several that pass on to each other what is published. */
    readonly isClustered: boolean
  }
>()("effect-docket/Redis") {}

/** Sends a command for an operation, which an error will name. */
export type Send = (
  operation: string,
  command: string,
  ...args: ReadonlyArray<string | number>
) => Effect.Effect<unknown, StoreError>

/** Hears what comes in on its channels. */
export interface Listener {
  readonly onMessage: (message: string) => void
  readonly onGap: () => void
}

/** A Lua script with typed parameters and reply. */
export interface Script<Params extends ReadonlyArray<unknown>, Reply> {
  /** The operation that an error names. */
  readonly operation: string
  readonly lua: string
  readonly sha: string
  readonly numberOfKeys: number
  /** Gives the script's keys, then its arguments. */
  readonly params: (...params: Params) => ReadonlyArray<string | number>
  /** Never there: it carries the type of the reply. */
  readonly reply?: Reply
}

/** Describes a script. */
export const script = <Params extends ReadonlyArray<unknown>>(
  params: (...params: Params) => ReadonlyArray<string | number>,
  options: { readonly operation: string; readonly numberOfKeys: number; readonly lua: string }
): { readonly withReplyType: <Reply>() => Script<Params, Reply> } => {
  const sha = Crypto.createHash("sha1").update(options.lua).digest("hex")
  return { withReplyType: () => ({ ...options, params, sha }) }
}

/** How long a blocking command may block: longer than it takes to tell that a connection is dead. */
export const blockingSeconds = 25

export interface Options {
  readonly connection: Connection
  /** What operators see in `CLIENT LIST`. Default: `docket`. */
  readonly connectionName?: string
  /** On a cluster: a key that tells the slot. Default: the empty one. */
  readonly key?: string
}

/** Opens no connection yet; each is opened by the first command that needs it. */
export const make: (options: Options) => Effect.Effect<Redis["Service"], never, Scope.Scope> = Effect.fnUntraced(
  function* (options) {
    const { connection } = options
    const deadlineMillis = connection.options.commandTimeout ?? 10_000
    const isClustered = connection._tag === "Cluster"
    const lost = new Set<"main" | "subscriber">()
    let found = Deferred.makeUnsafe<void>()
    let waiting = 0
    const onLost = (which: "main" | "subscriber") => {
      lost.add(which)
      if (waiting > 0) main.want()
    }
    const onFound = (which: "main" | "subscriber") => {
      if (!lost.delete(which) || lost.size > 0) return
      Deferred.doneUnsafe(found, Exit.void)
      found = Deferred.makeUnsafe()
    }
    const dial = yield* makeDialer(options)
    const main: Link = yield* makeLink(dial, deadlineMillis, {
      onReady: () => onFound("main"),
      onEnd: () => onLost("main")
    })
    yield* dial.watch(main)
    const subscribe = yield* makeSubscriber(dial, deadlineMillis, {
      onLost: () => onLost("subscriber"),
      onFound: () => onFound("subscriber")
    })

    const { replicas = 0 } = connection.options
    // It is pipelined, so that no write of another call comes between.
    const confirmed = (client: Client, reply: Promise<unknown>) =>
      replicas === 0
        ? reply
        : Promise.all([reply, client.call("WAIT", [replicas, Math.min(deadlineMillis / 2, 1000)])]).then(
            ([value, count]) => {
              if (Number(count) >= replicas) return value
              throw new Error(`NOREPLICAS Only ${count} of ${replicas} replicas have confirmed the write`)
            }
          )

    const run =
      <Params extends ReadonlyArray<unknown>, Reply>(script: Script<Params, Reply>) =>
      (...params: Params): Effect.Effect<Reply, StoreError> => {
        const args = [script.sha, script.numberOfKeys, ...script.params(...params)]
        if (isClustered) guard(args, script.numberOfKeys)
        const evaluate = (client: Client) => confirmed(client, client.call("EVALSHA", args))
        const load = (client: Client) => client.call("SCRIPT", ["LOAD", script.lua])
        const retry = (error: unknown, client: Client) =>
          isMissingScript(error) ? load(client).then(() => evaluate(client)) : undefined
        return main.use(
          script.operation,
          evaluate,
          retry
          // The script says what it replies; its tests see to it that this is so.
        ) as Effect.Effect<Reply, StoreError>
      }

    return Redis.of({
      command: main.send,
      eval: run,
      subscribe,
      blocking: Effect.map(makeLink(dial, blockingSeconds * 1000 + 5000), (link) => link.send),
      reconnected: Effect.suspend(() => {
        waiting++
        if (lost.has("main")) main.want()
        return Effect.ensuring(
          Deferred.await(found),
          Effect.sync(() => waiting--)
        )
      }),
      isClustered
    })
  }
)

/**
 * Gives a script a further key, which is never there. While a slot moves from node to node, one key after the other, the
 * nodes refuse a call of which a key is missing; otherwise one could fail halfway, at a key that has already moved.
 */
const guard = (args: Array<string | number>, numberOfKeys: number) => {
  args.splice(2 + numberOfKeys, 0, absentBeside(String(args[2])))
  args[1] = numberOfKeys + 1
}

/** The service, without any connection yet. */
export const layer = (options: Options): Layer.Layer<Redis> => Layer.effect(Redis, make(options))

/** A client, which connects at once, and ends for good when its connection does. */
const open = (
  { connection, connectionName }: Options,
  server: Server,
  others: Pick<RedisOptions, "commandTimeout" | "connectTimeout" | "username" | "password" | "db">
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
    connectTimeout: options.connectTimeout ?? 5000,
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

type Server = Address | { readonly path: string }

const valueOf = (secret: Redacted.Redacted | undefined) => (secret === undefined ? undefined : Redacted.value(secret))

/** Tells where to connect to, and closes connections that lead elsewhere. */
interface Dialer {
  /** Whether the server has to be looked up, and can be another one the next time. */
  readonly isRouted: boolean
  /** Looks up the server. */
  readonly locate: Effect.Effect<Server, Route.NoRoute>
  /** Opens a client; every command on it has so long, those of the handshake too. */
  readonly open: (server: Server, deadlineMillis: number) => Client
  /** Whether the server is what its name promised. */
  readonly check: (client: Client) => Promise<void>
  /** Has a connection closed once its server is no longer the one; gives back what to call when it has ended. */
  readonly register: (server: Server, close: () => void) => () => void
  /** Looks again where the server is. */
  readonly recheck: () => void
  /** Looks again now and then while a link is in use, and often after it was in trouble. */
  readonly watch: (link: Link) => Effect.Effect<void, never, Scope.Scope>
}

const makeDialer = Effect.fnUntraced(function* (options: Options) {
  const { connection } = options
  const connections = new Map<() => void, Server>()
  let present: Address | undefined

  const ask =
    (credentials: Pick<RedisOptions, "username" | "password" | "db">): Route.Ask =>
    (server, commands, optional) =>
      Effect.callback((resume) => {
        const limits = { commandTimeout: 1000, connectTimeout: 1000 }
        const client = open(options, server, { ...limits, ...credentials })
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
              const message = presentable(isEnded(error) ? (failure ?? error) : error).message
              resume(new Route.NoRoute({ message: `${server.host}:${server.port}: ${message}` }))
            }
          )
          .finally(() => client.disconnect())
        return Effect.sync(() => client.disconnect())
      })

  const find =
    connection._tag === "Single"
      ? undefined
      : connection._tag === "Cluster"
        ? Route.byNodes(connection, options.key ?? "", ask({}))
        : Route.bySentinels(
            connection,
            ask({
              username: connection.sentinelUsername,
              password: valueOf(connection.sentinelPassword),
              db: 0
            })
          )

  const arrive = (server: Address) => {
    if (Route.isSame(server, present)) return
    present = server
    for (const [close, other] of connections) if (!isAt(other, server)) close()
  }

  const locate: Effect.Effect<Server, Route.NoRoute> =
    connection._tag === "Single"
      ? Effect.succeed(connection.server)
      : Effect.tap(
          Effect.suspend(() => find!(present)),
          (server) => Effect.sync(() => arrive(server))
        )

  const again = Latch.makeUnsafe(false)
  if (find !== undefined) {
    yield* again.await.pipe(
      Effect.andThen(Effect.sync(() => again.closeUnsafe())),
      Effect.andThen(Effect.ignore(locate)),
      Effect.andThen(Effect.sleep("250 millis")),
      Effect.forever,
      Effect.provideService(Clock.Clock, liveClock),
      Effect.forkScoped
    )
  }
  const recheck = () => void again.openUnsafe()
  /** Until when the server is looked up every second: a master that stood still goes on for a while after another has taken its place. */
  let isInDoubtUntil = 0
  let seconds = 0

  const dialer: Dialer = {
    isRouted: find !== undefined,
    locate,
    open: (server, commandTimeout) => open(options, server, { commandTimeout }),
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
        isInDoubtUntil = now() + doubtMillis
      }
    },
    recheck,
    watch: (link) =>
      find === undefined
        ? Effect.void
        : Effect.sync(() => {
            const isOverdue = link.isOverdue()
            if (isOverdue) isInDoubtUntil = now() + doubtMillis
            const isDue = now() < isInDoubtUntil || seconds++ % secondsBetweenLooks === 0
            if (isDue && (isOverdue || link.client() !== undefined)) recheck()
          }).pipe(
            Effect.repeat(Schedule.spaced("1 second")),
            Effect.provideService(Clock.Clock, liveClock),
            Effect.forkScoped,
            Effect.asVoid
          )
  }
  return dialer
})

/** How long a loss of the connection, or a missing answer, is a reason to doubt that the server is still the one. */
const doubtMillis = 30_000

/** How often the server is looked up when all is well: it may be cut off from the others, and not know. */
const secondsBetweenLooks = 5

const isAt = (server: Server, address: Address) => "host" in server && Route.isSame(server, address)

/** A connection that is opened when it is needed, and replaced when it is lost. */
interface Link {
  /** Its client, unless there is none at present. */
  readonly client: () => Client | undefined
  /** Sees to it that there is a client. */
  readonly want: () => void
  /** Lets a client do something, as soon as there is one; and something else if that fails, where there is a remedy. */
  readonly use: (
    operation: string,
    f: (client: Client) => Promise<unknown>,
    remedy?: (error: unknown, client: Client) => Promise<unknown> | undefined
  ) => Effect.Effect<unknown, StoreError>
  readonly send: Send
  /** Whether nothing was answered since this was asked last, though something is under way: a greeting, or commands. */
  readonly isOverdue: () => boolean
}

interface Hooks {
  readonly onOpen?: (client: Client) => void
  readonly onReady?: (client: Client) => void
  readonly onEnd?: () => void
}

/** How long a command that was refused, or found no server, waits before it is tried again. */
const refusalPause = "100 millis"

const makeLink = Effect.fnUntraced(function* (dial: Dialer, deadlineMillis: number, hooks: Hooks = {}) {
  interface Current {
    readonly client: Client
    failure: Error | undefined
  }
  let current: Current | undefined
  let ready = Deferred.makeUnsafe<void, Error>()
  let isClosed = false
  let sent = 0
  let answered = 0
  const wanted = Latch.makeUnsafe(false)

  const failAttempt = (error: Error) => {
    const attempt = ready
    ready = Deferred.makeUnsafe()
    Deferred.doneUnsafe(attempt, Exit.fail(error))
  }

  /** One connection, from its beginning to its end; tells for how long it was of use. */
  const serve = (server: Server) =>
    Effect.callback<number>((resume) => {
      const client = dial.open(server, deadlineMillis)
      const mine: Current = { client, failure: undefined }
      const unregister = dial.register(server, () => {
        mine.failure = new Error("Another server has taken the place of this one")
        client.disconnect()
      })
      let since: number | undefined
      // The greeting is under way: a server that stands still takes connections, and does not answer on them.
      sent++
      client.on("error", (error: Error) => {
        mine.failure = error
      })
      client.once("ready", () => {
        dial.check(client).then(
          () => {
            if (client.status !== "ready") return
            since = now()
            answered++
            current = mine
            hooks.onReady?.(client)
            Deferred.doneUnsafe(ready, Exit.void)
          },
          (error: Error) => {
            mine.failure = error
            client.disconnect()
          }
        )
      })
      client.once("close", () => {
        if (current === mine) current = undefined
      })
      client.once("end", () => {
        unregister()
        // First: whoever hears of the end may close all of this at once.
        resume(Effect.succeed(since === undefined ? 0 : now() - since))
        if (since === undefined) {
          answered++
          failAttempt(mine.failure ?? new Error("The connection was closed"))
        } else {
          ready = Deferred.makeUnsafe()
        }
        hooks.onEnd?.()
      })
      hooks.onOpen?.(client)
      return Effect.callback<void>((resume) => {
        client.once("end", () => resume(Effect.void))
        client.disconnect()
      })
    })

  const attempt = Effect.matchEffect(dial.locate, {
    onSuccess: serve,
    onFailure: ({ message }) =>
      Effect.sync(() => {
        failAttempt(new Error(message))
        hooks.onEnd?.()
        return 0
      })
  })

  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      isClosed = true
      failAttempt(new Error("The store is closed"))
    })
  )
  let pauseMillis = 0
  yield* wanted.await.pipe(
    Effect.andThen(Effect.sync(() => wanted.closeUnsafe())),
    Effect.andThen(attempt),
    Effect.flatMap((usefulMillis) => {
      pauseMillis = usefulMillis >= 1000 || pauseMillis === 0 ? 50 : Math.min(pauseMillis * 2, 1000)
      return Effect.sleep(pauseMillis)
    }),
    Effect.forever,
    Effect.provideService(Clock.Clock, liveClock),
    Effect.forkScoped
  )

  const want = () => {
    wanted.openUnsafe()
  }

  const isPatient = (since: number) => !isClosed && now() - since < patienceMillis
  const patienceMillis = Math.min(deadlineMillis, 10_000)

  const use: Link["use"] = (operation, f, remedy) => {
    /** Since when it has been refused, or has waited for a server. */
    let since: number | undefined
    const failed = (cause: Error) => Effect.fail(new StoreError({ operation, cause }))
    const again = Effect.suspend(() => Effect.provideService(Effect.delay(go, refusalPause), Clock.Clock, liveClock))

    const afterReady = Effect.suspend(() => {
      want()
      return Effect.matchEffect(Deferred.await(ready), {
        onSuccess: () => go,
        // Nothing was sent. Another server may be on its way into its place.
        onFailure: (error) => (dial.isRouted && isPatient((since ??= now())) ? again : failed(presentable(error)))
      })
    })

    const go: Effect.Effect<unknown, StoreError> = Effect.callback((resume) => {
      if (current === undefined) {
        return resume(isClosed ? failed(new Error("The store is closed")) : afterReady)
      }
      const mine = current
      const succeed = (reply: unknown) => {
        answered++
        resume(Effect.succeed(reply))
      }
      const fail = (error: unknown) => {
        answered++
        if (isMissedDeadline(error)) {
          mine.failure = new Error("The server did not answer in time")
          mine.client.disconnect()
        }
        if (mayHaveMoved(error)) dial.recheck()
        if (isOfReplica(error) && !dial.isRouted) mine.client.disconnect()
        if (isRefusal(error, dial.isRouted) && isPatient((since ??= now()))) return resume(again)
        const isOver = isMissedDeadline(error) || isEnded(error)
        resume(failed(presentable(isOver ? (mine.failure ?? error) : error)))
      }
      sent++
      f(mine.client).then(succeed, (error: unknown) => {
        const remedied = remedy?.(error, mine.client)
        if (remedied === undefined) fail(error)
        else remedied.then(succeed, fail)
      })
    })
    return go
  }

  let answeredBefore = 0
  const link: Link = {
    client: () => current?.client,
    want,
    use,
    send: (operation, command, ...args) => use(operation, (client) => client.call(command, args.slice())),
    isOverdue: () => {
      const isOverdue = sent > answered && answered === answeredBefore
      answeredBefore = answered
      return isOverdue
    }
  }
  return link
})

interface Subscription extends Listener {
  /** Whether the server has confirmed it, so that it is to be restored on the next connection. */
  isLive: boolean
}

const makeSubscriber = Effect.fnUntraced(function* (
  dial: Dialer,
  deadlineMillis: number,
  hooks: { readonly onLost: () => void; readonly onFound: () => void }
) {
  const channels = new Map<string, Set<Subscription>>()

  const live = () =>
    new Set(Array.from(channels.values()).flatMap((set) => Array.from(set).filter(({ isLive }) => isLive)))

  const restore = (client: Client) => {
    const lost = live()
    if (lost.size === 0) return hooks.onFound()
    // In lower case, or ioredis does not see what it is, with RESP 2.
    client.call("subscribe", Array.from(channels.keys())).then(
      () => {
        for (const { onGap } of lost) onGap()
        hooks.onFound()
      },
      () => client.disconnect()
    )
  }

  const link: Link = yield* makeLink(dial, deadlineMillis, {
    onOpen: (client) => {
      client.on("message", (channel: string, message: string) => {
        for (const { onMessage } of channels.get(channel) ?? []) onMessage(message)
      })
    },
    onReady: restore,
    onEnd: () => {
      if (live().size === 0) return hooks.onFound()
      hooks.onLost()
      link.want()
    }
  })

  // A connection on which nothing comes in looks like one that is dead.
  yield* Effect.suspend(() =>
    channels.size > 0 && link.client() !== undefined ? link.send("Redis.subscribe", "PING") : Effect.void
  ).pipe(
    Effect.ignore,
    Effect.repeat(Schedule.spaced("15 seconds")),
    Effect.provideService(Clock.Clock, liveClock),
    Effect.forkScoped
  )

  const join = (subscription: Subscription) => (channel: string) => {
    const set = channels.get(channel)
    if (set === undefined) channels.set(channel, new Set([subscription]))
    else set.add(subscription)
  }

  /** Whether no one listens to the channel any more. */
  const leave = (subscription: Subscription) => (channel: string) => {
    const set = channels.get(channel)
    if (set?.delete(subscription) !== true || set.size > 0) return false
    return channels.delete(channel)
  }

  const subscribe = Effect.fnUntraced(function* (names: ReadonlyArray<string>, listener: Listener) {
    const subscription: Subscription = { ...listener, isLive: false }
    const unsubscribe = Effect.sync(() => {
      const left = names.filter(leave(subscription))
      // If it fails the connection has ended, and with it the subscription.
      if (left.length > 0) {
        link
          .client()
          ?.call("unsubscribe", left)
          .catch(() => {})
      }
    })
    yield* Effect.acquireRelease(
      Effect.sync(() => names.forEach(join(subscription))),
      () => unsubscribe
    )
    yield* link
      .use("Redis.subscribe", (client) =>
        client.call("subscribe", names.slice()).then(() => {
          subscription.isLive = true
        })
      )
      .pipe(Effect.onError(() => unsubscribe))
  })

  return subscribe
})

const liveClock = Clock.Clock.defaultValue()
const now = () => liveClock.currentTimeMillisUnsafe()

const isMissingScript = (error: unknown) => error instanceof Error && error.message.startsWith("NOSCRIPT")

// ioredis tells these two apart by their messages only.
const isMissedDeadline = (error: unknown) => error instanceof Error && error.message === "Command timed out"
const isEnded = (error: unknown) => error instanceof Error && error.message === "Connection is closed."

/** A master that became a replica: the name of the server may lead to another by now. */
const isOfReplica = (error: unknown) => error instanceof Error && /\bREADONLY\b|^UNBLOCKED/.test(error.message)

/** The server says that it did not begin with the command, and may have another answer soon. */
const isRefusal = (error: unknown, isRouted: boolean) =>
  error instanceof Error &&
  (/^(?:LOADING|BUSY|TRYAGAIN|ASK|MOVED|CLUSTERDOWN|MASTERDOWN) /.test(error.message) ||
    (isRouted && isOfReplica(error)))

/** What a server says that is, or is about to be, no longer the one to talk to. */
const mayHaveMoved = (error: unknown) =>
  error instanceof Error && (/^(?:MOVED|CLUSTERDOWN|MASTERDOWN|NOREPLICAS) /.test(error.message) || isOfReplica(error))

/**
 * The error without what ioredis and Redis add to it: the arguments of the command, and so payloads and passwords.
 */
const presentable = (error: unknown): Error => {
  if (!(error instanceof Error)) return new Error("unknown error")
  const code = "code" in error && typeof error.code === "string" ? error.code : undefined
  // A host with several addresses, none of which answers, gives an error without a message.
  const reasons = error instanceof AggregateError ? error.errors.map((reason) => presentable(reason).message) : []
  const message = error.message || reasons.join("; ") || code || error.name
  const result = new Error(message.replace(/,? with args beginning with:.*/s, ""))
  result.name = error.name
  return code === undefined ? result : Object.assign(result, { code })
}
