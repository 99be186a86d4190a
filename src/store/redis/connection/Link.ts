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
 * Whatever a call waits for, a connection, a server that takes it, or the answer, it has one deadline, which counts from the
 * beginning.
 *
 * Some error replies say that the server did not even begin with the command. What is done about each:
 *
 * | reply | what is done |
 * | --- | --- |
 * | `NOSCRIPT` | the call is sent again, with the script itself |
 * | `LOADING`, `BUSY`, `CLUSTERDOWN`, `MASTERDOWN` | sent again for as long as the caller has patience, with pauses; then the caller gets it |
 * | `MOVED`, `ASK`, `TRYAGAIN` | the same with a cluster, on a connection to the server that is there now |
 * | `READONLY`, `UNBLOCKED` | the same with Sentinels or a cluster; else the caller gets it, and the connection is replaced |
 * | all others, `OOM` among them | the caller gets it |
 */
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import { StoreError } from "../../../DocketError.ts"
import { inRealTime, monotonic, watchOver } from "../../../internal/realTime.ts"
import { adviceOn } from "./advice.ts"
import * as Client from "./Client.ts"
import type { Dialer } from "./Dialer.ts"

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
  /** Lets a client do something, as soon as there is one. */
  readonly use: (
    operation: string,
    f: (client: Client.Client) => Promise<unknown>,
    options?: {
      /** Does something else if that fails, where there is a remedy. */
      readonly remedy?: (error: unknown, client: Client.Client) => Promise<unknown> | undefined
      /** For how long it is tried again when it is refused. Default: until the deadline, and at most ten seconds. */
      readonly patienceMillis?: number
    }
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

interface Connected {
  readonly client: Client.Client
  failure: Error | undefined
}

interface Call {
  readonly operation: string
  readonly f: (client: Client.Client) => Promise<unknown>
  readonly remedy: ((error: unknown, client: Client.Client) => Promise<unknown> | undefined) | undefined
  readonly patienceMillis: number
  readonly resume: (answer: Effect.Effect<unknown, StoreError>) => void
  readonly since: number
  /** The connection on which it was sent, and has no answer yet; and since when. */
  on: Connected | undefined
  sent: number
  /** Since when it has been refused, or has found no server, and why. */
  heldUp: { readonly since: number; by: Error } | undefined
}

/** How long a command that was refused, or found no server, waits at most before it is tried again. */
const refusalPause = "100 millis"

/** A link that opens no connection before it is used; each call has so long. */
export const make = Effect.fnUntraced(function* (dial: Dialer, deadlineMillis: number, hooks: Hooks = {}) {
  let current: Connected | undefined
  let isClosed = false
  let sent = 0
  let answered = 0
  /** All that is not answered, the oldest first. */
  const calls = new Set<Call>()
  /** Those that wait for a connection. */
  const waiting = new Set<Call>()
  /** Those that are tried again after a pause. */
  const resting = new Set<Call>()
  const wanted = Latch.makeUnsafe(false)
  const rested = Latch.makeUnsafe(false)

  const want = () => {
    wanted.openUnsafe()
  }

  const forget = (call: Call): boolean => {
    if (call.on === undefined) {
      waiting.delete(call)
      resting.delete(call)
    }
    return calls.delete(call)
  }

  const finish = (call: Call, answer: Effect.Effect<unknown, StoreError>) => {
    if (forget(call)) call.resume(answer)
  }

  const fail = (call: Call, error: unknown) => {
    const cause = Client.presentable(error)
    const advice = adviceOn(cause.message)
    const { operation } = call
    finish(call, Effect.fail(new StoreError({ operation, cause, ...(advice === undefined ? {} : { advice }) })))
  }

  /** Whether it is tried again after this. */
  const rests = (call: Call, by: Error): boolean => {
    const { since } = (call.heldUp = { since: call.heldUp?.since ?? monotonic(), by })
    if (isClosed || monotonic() - since >= call.patienceMillis) return false
    resting.add(call)
    rested.openUnsafe()
    return true
  }

  const failed = (call: Call, mine: Connected, error: unknown) => {
    answered++
    call.on = undefined
    if (!calls.has(call)) return
    if (Client.mayHaveMoved(error)) dial.recheck()
    if (Client.isOfReplica(error) && !dial.isRouted) {
      mine.failure = error
      mine.client.disconnect()
    }
    if (Client.isRefusal(error, dial.isRouted) && rests(call, error)) return
    fail(call, Client.isEnded(error) ? (mine.failure ?? error) : error)
  }

  const attempt = (call: Call, now = monotonic()) => {
    const mine = current
    if (mine === undefined) {
      if (isClosed) return fail(call, new Error("The store is closed"))
      waiting.add(call)
      return want()
    }
    sent++
    call.on = mine
    call.sent = now
    const succeeded = (reply: unknown) => {
      answered++
      finish(call, Effect.succeed(reply))
    }
    call.f(mine.client).then(succeeded, (error: unknown) => {
      const remedied = call.remedy?.(error, mine.client)
      if (remedied === undefined) failed(call, mine, error)
      else remedied.then(succeeded, (error: unknown) => failed(call, mine, error))
    })
  }

  const takeAll = (from: Set<Call>): ReadonlyArray<Call> => {
    const all = Array.from(from)
    from.clear()
    return all
  }

  /** No connection came about. Another server may be on its way into the place of this one. */
  const failWaiting = (error: Error) => {
    for (const call of takeAll(waiting)) {
      if (!dial.isRouted || Client.isOfUser(error) || !rests(call, error)) fail(call, error)
    }
  }

  /** A server that stands still takes connections, and does not answer on them. */
  let greeting: { readonly since: number; readonly giveUp: (error: Error) => void } | undefined
  const greets = yield* watchOver(
    Math.min(deadlineMillis, dial.connectMillis),
    () => greeting?.since,
    () => {
      greeting?.giveUp(noAnswer())
      greeting = undefined
    }
  )

  /** One connection, from its beginning to its end; tells for how long it was of use, or why it came to nothing. */
  const serve = (server: Client.Server) =>
    Effect.callback<number | Error>((resume) => {
      const client = dial.open(server)
      const mine: Connected = { client, failure: undefined }
      const giveUp = (error: Error) => {
        mine.failure = error
        client.disconnect()
      }
      const unregister = dial.register(server, () =>
        giveUp(new Error("Another server has taken the place of this one"))
      )
      let since: number | undefined
      sent++
      client.on("error", (error: Error) => {
        mine.failure = error
      })
      client.once("connect", () => {
        greeting = { since: monotonic(), giveUp }
        greets()
      })
      client.once("ready", () => {
        dial.check(client).then(() => {
          if (client.status !== "ready") return
          greeting = undefined
          since = monotonic()
          answered++
          current = mine
          hooks.onReady?.(client)
          for (const call of takeAll(waiting)) attempt(call)
        }, giveUp)
      })
      client.once("close", () => {
        if (current === mine) current = undefined
      })
      client.once("end", () => {
        greeting = undefined
        unregister()
        // First: whoever hears of the end may close all of this at once.
        resume(Effect.succeed(since === undefined ? (mine.failure ?? closing) : monotonic() - since))
        if (since === undefined) answered++
        hooks.onEnd?.()
      })
      hooks.onOpen?.(client)
      return Effect.callback<void>((resume) => {
        client.once("end", () => resume(Effect.void))
        client.disconnect()
      })
    })

  const connect = Effect.matchEffect(dial.locate, {
    onSuccess: (server) =>
      Effect.flatMap(serve(server), (end) => {
        if (typeof end === "number") return Effect.succeed(end)
        const words = Client.isClosing(end) ? Client.farewell(server) : Effect.undefined
        return Effect.map(words, (words) => {
          failWaiting(words ?? end)
          return 0
        })
      }),
    onFailure: ({ message }) =>
      Effect.sync(() => {
        failWaiting(new Error(message))
        hooks.onEnd?.()
        return 0
      })
  })

  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      isClosed = true
      for (const call of calls) fail(call, new Error("The store is closed"))
    })
  )
  let pauseMillis = 0
  yield* wanted.await.pipe(
    Effect.andThen(Effect.sync(() => wanted.closeUnsafe())),
    Effect.andThen(connect),
    Effect.flatMap((usefulMillis) => {
      pauseMillis = usefulMillis >= 1000 || pauseMillis === 0 ? 50 : Math.min(pauseMillis * 2, 1000)
      return Effect.sleep(pauseMillis)
    }),
    Effect.forever,
    inRealTime,
    Effect.forkScoped
  )
  yield* rested.await.pipe(
    Effect.andThen(Effect.sleep(refusalPause)),
    Effect.andThen(
      Effect.sync(() => {
        rested.closeUnsafe()
        for (const call of takeAll(resting)) attempt(call)
      })
    ),
    Effect.forever,
    inRealTime,
    Effect.forkScoped
  )
  const begins = yield* watchOver(
    deadlineMillis,
    () => calls.values().next().value?.since,
    (until) => {
      for (const call of calls) {
        if (call.since > until) break
        const { heldUp, on } = call
        fail(call, heldUp?.by ?? (on === undefined ? new Error("No connection was made in time") : noAnswer()))
        // It may have waited for most of the time, and have been sent just now.
        if (on === undefined || on !== current || call.sent > until + deadlineMillis / 2) continue
        on.failure = noAnswer()
        on.client.disconnect()
      }
    }
  )

  const patience = Math.min(deadlineMillis, 10_000)
  const use: Link["use"] = (operation, f, { patienceMillis = patience, remedy } = {}) =>
    Effect.callback((resume) => {
      const since = monotonic()
      const call: Call = {
        operation,
        f,
        remedy,
        patienceMillis,
        resume,
        since,
        on: undefined,
        sent: since,
        heldUp: undefined
      }
      calls.add(call)
      begins()
      attempt(call, since)
      return Effect.sync(() => void forget(call))
    })

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

const closing = new Error("The connection was closed")

const noAnswer = () => new Error("The server did not answer in time")
