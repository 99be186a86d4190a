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
import { Redis as Client } from "ioredis"
import * as Crypto from "node:crypto"
import { StoreError } from "../../DocketError.ts"
import type { Connection } from "./Connection.ts"

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
}

/** Opens no connection yet; each is opened by the first command that needs it. */
export const make: (options: Options) => Effect.Effect<Redis["Service"], never, Scope.Scope> = Effect.fnUntraced(
  function* (options) {
    const deadlineMillis = options.connection.options.commandTimeout ?? 10_000
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
    const main: Link = yield* makeLink(() => open(options, deadlineMillis), {
      onReady: () => onFound("main"),
      onEnd: () => onLost("main")
    })
    const subscribe = yield* makeSubscriber(() => open(options, deadlineMillis), {
      onLost: () => onLost("subscriber"),
      onFound: () => onFound("subscriber")
    })

    const run =
      <Params extends ReadonlyArray<unknown>, Reply>(script: Script<Params, Reply>) =>
      (...params: Params): Effect.Effect<Reply, StoreError> => {
        const args = [script.sha, script.numberOfKeys, ...script.params(...params)]
        const evaluate = (client: Client) => client.call("EVALSHA", args)
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
      blocking: Effect.map(
        makeLink(() => open(options, blockingSeconds * 1000 + 5000)),
        (link) => link.send
      ),
      reconnected: Effect.suspend(() => {
        waiting++
        if (lost.has("main")) main.want()
        return Effect.ensuring(
          Deferred.await(found),
          Effect.sync(() => waiting--)
        )
      })
    })
  }
)

/** The service, without any connection yet. */
export const layer = (options: Options): Layer.Layer<Redis> => Layer.effect(Redis, make(options))

/** A client, which connects at once, and ends for good when its connection does. */
const open = ({ connection, connectionName }: Options, deadlineMillis: number): Client => {
  const { options } = connection
  return new Client({
    ...connection.server,
    ...(connection.tls === undefined ? {} : { tls: connection.tls }),
    username: connection.username,
    password: connection.password === undefined ? undefined : Redacted.value(connection.password),
    db: connection.database,
    // The server refuses a name with spaces or other than ASCII characters.
    connectionName: (options.connectionName ?? connectionName ?? "docket").replace(/[^!-~]/g, "-"),
    connectTimeout: options.connectTimeout ?? 5000,
    keepAlive: options.keepAlive ?? 10_000,
    noDelay: options.noDelay ?? true,
    family: options.family ?? 0,
    protocol: options.protocol ?? 3,
    // Also for the handshake: a server that stands still accepts connections, and then says nothing.
    commandTimeout: deadlineMillis,
    // After a goodbye to a server that stands still.
    disconnectTimeout: 100,
    retryStrategy: () => null,
    autoResubscribe: false,
    autoResendUnfulfilledCommands: false,
    // It would ask for INFO, with a timer that outlives the client; and an ACL may forbid INFO.
    enableReadyCheck: false,
    disableClientInfo: true
  })
}

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
}

interface Hooks {
  readonly onOpen?: (client: Client) => void
  readonly onReady?: (client: Client) => void
  readonly onEnd?: () => void
}

const makeLink = Effect.fnUntraced(function* (open: () => Client, hooks: Hooks = {}) {
  let current: { readonly client: Client; failure: Error | undefined } | undefined
  let isClosed = false
  const wanted = Latch.makeUnsafe(false)
  const opened = Latch.makeUnsafe(false)

  /** One connection, from its beginning to its end; tells for how long it was of use. */
  const serve = Effect.callback<number>((resume) => {
    const client = open()
    const mine: NonNullable<typeof current> = { client, failure: undefined }
    let ready: number | undefined
    client.on("error", (error: Error) => {
      mine.failure = error
    })
    client.once("ready", () => {
      ready = liveClock.currentTimeMillisUnsafe()
      hooks.onReady?.(client)
    })
    client.once("end", () => {
      current = undefined
      opened.closeUnsafe()
      hooks.onEnd?.()
      resume(Effect.succeed(ready === undefined ? 0 : liveClock.currentTimeMillisUnsafe() - ready))
    })
    hooks.onOpen?.(client)
    current = mine
    opened.openUnsafe()
    return Effect.callback<void>((resume) => {
      client.once("end", () => resume(Effect.void))
      client.disconnect()
    })
  })

  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      isClosed = true
      opened.openUnsafe()
    })
  )
  let pauseMillis = 0
  yield* wanted.await.pipe(
    Effect.andThen(Effect.sync(() => wanted.closeUnsafe())),
    Effect.andThen(serve),
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

  const use: Link["use"] = (operation, f, remedy) =>
    Effect.callback((resume) => {
      if (current === undefined) {
        if (isClosed) return resume(Effect.fail(new StoreError({ operation, cause: new Error("The store is closed") })))
        want()
        return resume(Effect.andThen(opened.await, use(operation, f, remedy)))
      }
      const mine = current
      const succeed = (reply: unknown) => resume(Effect.succeed(reply))
      const fail = (error: unknown) => {
        const isOver = isMissedDeadline(error) || isEnded(error)
        if (isMissedDeadline(error)) {
          mine.failure = new Error("The server did not answer in time")
          mine.client.disconnect()
        }
        if (isOfReplica(error)) mine.client.disconnect()
        const cause = presentable(isOver ? (mine.failure ?? error) : error)
        resume(Effect.fail(new StoreError({ operation, cause })))
      }
      f(mine.client).then(succeed, (error: unknown) => {
        const remedied = remedy?.(error, mine.client)
        if (remedied === undefined) fail(error)
        else remedied.then(succeed, fail)
      })
    })

  const link: Link = {
    client: () => current?.client,
    want,
    use,
    send: (operation, command, ...args) => use(operation, (client) => client.call(command, args.slice()))
  }
  return link
})

interface Subscription extends Listener {
  /** Whether the server has confirmed it, so that it is to be restored on the next connection. */
  isLive: boolean
}

const makeSubscriber = Effect.fnUntraced(function* (
  open: () => Client,
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

  const link: Link = yield* makeLink(open, {
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

const isMissingScript = (error: unknown) => error instanceof Error && error.message.startsWith("NOSCRIPT")

// ioredis tells these two apart by their messages only.
const isMissedDeadline = (error: unknown) => error instanceof Error && error.message === "Command timed out"
const isEnded = (error: unknown) => error instanceof Error && error.message === "Connection is closed."

/** A master that became a replica: the name of the server may lead to another by now. */
const isOfReplica = (error: unknown) => error instanceof Error && /\bREADONLY\b|^UNBLOCKED/.test(error.message)

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
