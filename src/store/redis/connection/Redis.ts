/**
 * Redis, as the store uses it: commands, scripts, subscriptions and blocking reads.
 *
 * **Details**
 *
 * `Client.ts` opens a client for one connection, `Link.ts` goes on with another when that ends, `Dialer.ts` knows the server
 * that it leads to, and `Subscriber.ts` restores subscriptions on it.
 */
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import * as Crypto from "node:crypto"
import type { StoreError } from "../../../DocketError.ts"
import * as Client from "./Client.ts"
import * as Dialer from "./Dialer.ts"
import { absentBeside } from "../scripts/keys.ts"
import * as Link from "./Link.ts"
import * as Subscriber from "./Subscriber.ts"

/** Redis, as the store uses it. */
export class Redis extends Context.Service<
  Redis,
  {
    /** Sends a command. */
    readonly command: Link.Send
    /** Runs a script by its hash, and loads it first when the server does not have it. */
    readonly eval: <Params extends ReadonlyArray<unknown>, Reply>(
      script: Script<Params, Reply>,
      /** For how long it is tried again when the server refuses it; see `Link`. */
      patienceMillis?: number
    ) => (...params: Params) => Effect.Effect<Reply, StoreError>
    /**
     * Listens to channels while the scope is open. What is published from the moment that this returns is heard, but
     * for the time that the connection is lost: once it is live again, that gap is announced.
     */
    readonly subscribe: (
      channels: ReadonlyArray<string>,
      listener: Subscriber.Listener
    ) => Effect.Effect<void, StoreError, Scope.Scope>
    /** A connection of its own, for one blocking command of at most `blockingSeconds` at a time. */
    readonly blocking: Effect.Effect<Link.Send, never, Scope.Scope>
    /**
     * Completes the next time that a connection which was lost is there again, with the subscriptions if there were any.
     * While anyone waits for that, it is tried.
     */
    readonly reconnected: Effect.Effect<void>
    /** How long a call takes at most, in milliseconds. */
    readonly answerMillis: number
    /** Whether the server is one of several that pass on to each other what is published. */
    readonly isClustered: boolean
  }
>()("effect-docket/Redis") {}

/** A Lua script with typed parameters and reply. */
export interface Script<Params extends ReadonlyArray<unknown>, Reply> {
  /** The operation that an error names. */
  readonly operation: string
  readonly lua: string
  readonly sha: string
  readonly numberOfKeys: number
  /**
   * Whether its reply counts whether or not replicas have what it wrote: it only reads, or nothing is lost if a failover
   * loses what it wrote.
   */
  readonly unconfirmed?: boolean
  /** Gives the script's keys, then its arguments. */
  readonly params: (...params: Params) => ReadonlyArray<string | number>
  /** Never there: it carries the type of the reply. */
  readonly reply?: Reply
}

/** Describes a script. */
export const script = <Params extends ReadonlyArray<unknown>>(
  params: (...params: Params) => ReadonlyArray<string | number>,
  options: Pick<Script<Params, unknown>, "operation" | "numberOfKeys" | "unconfirmed" | "lua">
): { readonly withReplyType: <Reply>() => Script<Params, Reply> } => {
  const sha = Crypto.createHash("sha1").update(options.lua).digest("hex")
  return { withReplyType: () => ({ ...options, params, sha }) }
}

/** How long a blocking command may block: longer than it takes to tell that a connection is dead. */
export const blockingSeconds = 25

/** Opens no connection yet; each is opened by the first command that needs it. */
export const make: (options: Client.Options) => Effect.Effect<Redis["Service"], never, Scope.Scope> = Effect.fnUntraced(
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
    const dial = yield* Dialer.make(options)
    const main: Link.Link = yield* Link.make(dial, deadlineMillis, {
      onReady: () => onFound("main"),
      onEnd: () => onLost("main")
    })
    yield* dial.watch(main)
    const subscribe = yield* Subscriber.make(dial, deadlineMillis, {
      onLost: () => onLost("subscriber"),
      onFound: () => onFound("subscriber")
    })

    const { replicas = 0 } = connection.options
    // What is sent after a write that waits for replicas is answered after it.
    const unconfirmed = replicas === 0 ? main : yield* Link.make(dial, deadlineMillis)
    if (unconfirmed !== main) yield* dial.watch(unconfirmed)
    // It is pipelined, so that no write of another call comes between.
    const confirmed = (client: Client.Client, reply: Promise<unknown>) =>
      Promise.all([
        reply,
        client.call("WAIT", [replicas, Math.min(deadlineMillis / 4, 1000)]).catch(notConfirmed)
      ]).then(([value, count]) => {
        if (Number(count) >= replicas) return value
        throw new Error(`NOREPLICAS Only ${count} of ${replicas} replicas have confirmed the write`)
      })

    const run =
      <Params extends ReadonlyArray<unknown>, Reply>(script: Script<Params, Reply>, patienceMillis?: number) =>
      (...params: Params): Effect.Effect<Reply, StoreError> => {
        const args = [script.sha, script.numberOfKeys, ...script.params(...params)]
        if (isClustered) guard(args, script.numberOfKeys)
        const needsReplicas = replicas > 0 && script.unconfirmed !== true
        const evaluate = (client: Client.Client, command: "EVALSHA" | "EVAL", args: Array<string | number>) => {
          const reply = client.call(command, args)
          return needsReplicas ? confirmed(client, reply) : reply
        }
        const link = needsReplicas ? main : unconfirmed
        return link.use(script.operation, (client) => evaluate(client, "EVALSHA", args), {
          // The server knows it from then on; until it is told to forget all scripts.
          remedy: (error, client) =>
            Client.isMissingScript(error) ? evaluate(client, "EVAL", [script.lua, ...args.slice(1)]) : undefined,
          ...(patienceMillis === undefined ? {} : { patienceMillis })
          // The script says what it replies; its tests see to it that this is so.
        }) as Effect.Effect<Reply, StoreError>
      }

    return Redis.of({
      command: main.send,
      eval: run,
      subscribe,
      blocking: Effect.map(Link.make(dial, blockingSeconds * 1000 + 5000), (link) => link.send),
      reconnected: Effect.suspend(() => {
        waiting++
        if (lost.has("main")) main.want()
        return Effect.ensuring(
          Deferred.await(found),
          Effect.sync(() => waiting--)
        )
      }),
      answerMillis: deadlineMillis,
      isClustered
    })
  }
)

/** Only the wait was refused: the write before it was made, and is not to be made again as if it had not been. */
const notConfirmed = (error: unknown): never => {
  if (!Client.isRefusal(error, true)) throw error
  throw new Error(`NOREPLICAS Nobody knows whether replicas have the write: ${Client.presentable(error).message}`)
}

/**
 * Gives a script a further key, which is never there. While a slot moves from node to node, one key after the other, the
 * nodes refuse a call of which a key is missing; otherwise one could fail halfway, at a key that has already moved.
 */
const guard = (args: Array<string | number>, numberOfKeys: number) => {
  args.splice(2 + numberOfKeys, 0, absentBeside(String(args[2])))
  args[1] = numberOfKeys + 1
}
