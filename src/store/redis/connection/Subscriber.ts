/**
 * The connection on which what is published comes in.
 */
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type * as Client from "./Client.ts"
import type { Dialer } from "./Dialer.ts"
import * as Link from "./Link.ts"
import { inRealTime } from "../../../internal/realTime.ts"

/** Hears what comes in on its channels. */
export interface Listener {
  readonly onMessage: (message: string) => void
  readonly onGap: () => void
}

interface Subscription extends Listener {
  /** Whether the server has confirmed it, so that it is to be restored on the next connection. */
  isLive: boolean
}

/** Gives what `Redis` has as `subscribe`. */
export const make = Effect.fnUntraced(function* (
  dial: Dialer,
  deadlineMillis: number,
  hooks: { readonly onLost: () => void; readonly onFound: () => void }
) {
  const channels = new Map<string, Set<Subscription>>()

  const live = () =>
    new Set(Array.from(channels.values()).flatMap((set) => Array.from(set).filter(({ isLive }) => isLive)))

  const restore = (client: Client.Client) => {
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

  const link = yield* Link.make(dial, deadlineMillis, {
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
  ).pipe(Effect.ignore, Effect.repeat(Schedule.spaced("15 seconds")), inRealTime, Effect.forkScoped)

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
