/** `PersistedQueue` of effect/persistence over its Redis store, with its defaults: it looks for work once a second. */
import * as NodeRedis from "@effect/platform-node/NodeRedis"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as PersistedQueue from "effect/persistence/PersistedQueue"
import * as Redis from "effect/persistence/Redis"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import { payloadOf, type Peer, unsupported } from "./Peer.ts"

const open = async (url: string) => {
  const scope = Scope.makeUnsafe()
  const layer = PersistedQueue.layer.pipe(
    Layer.provide(PersistedQueue.layerStoreRedis()),
    Layer.provideMerge(NodeRedis.layer({ url }))
  )
  const context = await Effect.runPromise(Layer.buildWithScope(layer, scope))
  const queue = await PersistedQueue.make({
    name: "bench",
    schema: Schema.Struct({ id: Schema.Finite, body: Schema.String })
  }).pipe(Effect.provideContext(context), Effect.runPromise)
  return { queue, scope, context, close: () => Effect.runPromise(Scope.close(scope, Exit.void)) }
}

export const peer: Peer = {
  features: new Set(["delay"]),
  producer: async (url) => {
    const { close, context, queue } = await open(url)
    const depth = Effect.gen(function* () {
      const redis = yield* Redis.Redis
      const waiting = yield* redis.send<number>("LLEN", "effectq:bench")
      const taken = yield* redis.send<number>("HLEN", "effectq:bench:pending")
      const delayed = yield* redis.send<number>("ZCARD", "effectq:bench:delayed")
      return waiting + taken + delayed
    })
    return {
      close,
      add: (id, due) =>
        Effect.runPromise(
          queue.offer(payloadOf(id), due === undefined ? {} : { delay: Math.max(0, due - Date.now()) })
        ),
      addEach: (nextId, callers) => {
        const caller = Effect.gen(function* () {
          for (let id = nextId(); id !== undefined; id = nextId()) yield* queue.offer(payloadOf(id))
        })
        return Effect.runPromise(
          Effect.all(
            Array.from({ length: callers }, () => caller),
            { concurrency: "unbounded" }
          )
        )
      },
      addBatch: unsupported,
      call: unsupported,
      depth: () => Effect.runPromise(Effect.provideContext(depth, context))
    }
  },
  worker: async (url, { concurrency, onRun }) => {
    const { close, queue, scope } = await open(url)
    const taker = Effect.forever(queue.take(({ id }) => Effect.sync(() => onRun(id))))
    await Effect.runPromise(
      Effect.forEach(Array.from({ length: concurrency }), () => Effect.forkIn(taker, scope), { discard: true })
    )
    return { close }
  }
}
