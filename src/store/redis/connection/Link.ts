/**
 * A connection that outlives its clients.
 *
 * **Details**
 *
 * ioredis speaks the protocol; which of its clients is in use is decided here. It would reconnect by itself, but then a
 * client that is closed while it waits to reconnect never settles its commands, and one whose server stands still is
 * kept. So a client serves for one connection: when that ends, all that was sent on it fails at once, nothing is sent a
 * second time, and the next command opens another client, after a pause if that failed before.
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
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Latch from "effect/Latch"
import { StoreError } from "../../../DocketError.ts"
import * as Client from "./Client.ts"
import type { Dialer } from "./Dialer.ts"
import { inRealTime, now } from "./realTime.ts"

/** Sends a command for an operation, which an error will name. */
export type Send = (
  operation: string,
  command: string,
  ...args: ReadonlyArray<string | number>
) => Effect.Effect<unknown, StoreError>

/** A connection that is opened when it is needed, and replaced when it is lost. */
export interface Link {
  /** Its client, unless there is none at present. */
  readonly client: () => Client.Client | undefined
  /** Sees to it that there is a client. */
  readonly want: () => void
  /** Lets a client do something, as soon as there is one; and something else if that fails, where there is a remedy. */
  readonly use: (
    operation: string,
    f: (client: Client.Client) => Promise<unknown>,
    remedy?: (error: unknown, client: Client.Client) => Promise<unknown> | undefined
  ) => Effect.Effect<unknown, StoreError>
  readonly send: Send
  /** Whether nothing was answered since this was asked last, though something is under way: a greeting, or commands. */
  readonly isOverdue: () => boolean
}

interface Hooks {
  readonly onOpen?: (client: Client.Client) => void
  readonly onReady?: (client: Client.Client) => void
  readonly onEnd?: () => void
}

/** How long a command that was refused, or found no server, waits before it is tried again. */
const refusalPause = "100 millis"

/** A link that opens no connection before it is used; each command has so long. */
export const make = Effect.fnUntraced(function* (dial: Dialer, deadlineMillis: number, hooks: Hooks = {}) {
  interface Current {
    readonly client: Client.Client
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
  const serve = (server: Client.Server) =>
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
    inRealTime,
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
    const again = Effect.suspend(() => inRealTime(Effect.delay(go, refusalPause)))

    const afterReady = Effect.suspend(() => {
      want()
      return Effect.matchEffect(Deferred.await(ready), {
        onSuccess: () => go,
        // Nothing was sent. Another server may be on its way into its place.
        onFailure: (error) =>
          dial.isRouted && isPatient((since ??= now())) ? again : failed(Client.presentable(error))
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
        if (Client.isMissedDeadline(error)) {
          mine.failure = new Error("The server did not answer in time")
          mine.client.disconnect()
        }
        if (Client.mayHaveMoved(error)) dial.recheck()
        if (Client.isOfReplica(error) && !dial.isRouted) mine.client.disconnect()
        if (Client.isRefusal(error, dial.isRouted) && isPatient((since ??= now()))) return resume(again)
        const isOver = Client.isMissedDeadline(error) || Client.isEnded(error)
        resume(failed(Client.presentable(isOver ? (mine.failure ?? error) : error)))
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
