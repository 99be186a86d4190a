/**
 * How an idle worker waits for work: it blocks on the lists `wake` and `wake:WORKER`, where whoever adds work leaves a
 * token.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Latch from "effect/Latch"
import type * as Scope from "effect/Scope"
import type { StoreError } from "../../DocketError.ts"
import type * as Keys from "./scripts/keys.ts"
import { passOn } from "./scripts/passOn.ts"
import { inRealTime } from "../../internal/realTime.ts"
import * as Redis from "./connection/Redis.ts"

export interface Wakeups {
  /** Waits for a token. */
  readonly awaitWork: Effect.Effect<void, StoreError>
}

interface Waiter {
  readonly done: Deferred.Deferred<void, StoreError>
  /** The list of the token that it was given. */
  token: string | undefined
}

/**
 * Makes the wait of one worker, on a connection of its own.
 *
 * **Details**
 *
 * A read that blocks cannot be taken back, so it goes on in the background when the wait is interrupted, and serves the
 * next one. A token that comes when no one waits goes back to its list, for another worker.
 */
export const make: (keys: Keys.Keys, worker: string) => Effect.Effect<Wakeups, never, Redis.Redis | Scope.Scope> =
  Effect.fnUntraced(function* (keys, worker) {
    const redis = yield* Redis.Redis
    const putBack = redis.eval(passOn)
    const scope = yield* Effect.scope
    const waiting = new Set<Waiter>()
    const wanted = Latch.makeUnsafe(false)
    let hasWaited = false

    // Comes after the connection is closed: a token may have been on its way to it, or have been given to a worker that
    // goes away without looking for work.
    yield* Effect.addFinalizer(() =>
      hasWaited
        ? putBack(keys, keys.wake, true).pipe(
            Effect.interruptible,
            Effect.timeoutOption("250 millis"),
            inRealTime,
            // Without it, the next heartbeat of any worker leaves a token.
            Effect.ignore
          )
        : Effect.void
    )
    const block = yield* redis.blocking

    const passTokenOn = (token: string) =>
      putBack(keys, token, false).pipe(Effect.ignore, Effect.forkIn(scope), Effect.asVoid)

    const receive = (reply: Exit.Exit<unknown, StoreError>) => {
      if (Exit.isFailure(reply)) {
        for (const { done } of waiting) Deferred.doneUnsafe(done, Exit.asVoid(reply))
        waiting.clear()
      }
      const token = Exit.isSuccess(reply) && Array.isArray(reply.value) ? String(reply.value[0]) : undefined
      const [first] = waiting
      if (first !== undefined && token !== undefined) {
        waiting.delete(first)
        first.token = token
        Deferred.doneUnsafe(first.done, Exit.void)
      }
      if (waiting.size === 0) wanted.closeUnsafe()
      return first === undefined && token !== undefined ? passTokenOn(token) : Effect.void
    }

    yield* wanted.await.pipe(
      Effect.andThen(() => {
        hasWaited = true
        return Effect.exit(
          block("DocketStore.awaitWork", "BLPOP", keys.wakeOf(worker), keys.wake, Redis.blockingSeconds)
        )
      }),
      Effect.flatMap(receive),
      Effect.forever,
      Effect.forkScoped
    )

    return {
      awaitWork: Effect.suspend(() => {
        const waiter: Waiter = { done: Deferred.makeUnsafe(), token: undefined }
        waiting.add(waiter)
        wanted.openUnsafe()
        return Deferred.await(waiter.done).pipe(
          Effect.onInterrupt(() => {
            waiting.delete(waiter)
            return waiter.token === undefined ? Effect.void : passTokenOn(waiter.token)
          })
        )
      })
    }
  })
