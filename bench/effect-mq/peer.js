/** effect-mq with its Redis store. It runs with the release of Effect that it was built for, in this folder. */
import * as NodeRedis from "@effect/platform-node/NodeRedis"
import { Context, Effect, Exit, Layer, References, Schema, Scope } from "effect"
import { Job, JobStore, Worker } from "effect-mq"
import { RedisJobStore } from "effect-mq/redis"
import { failsFirst, payloadOf } from "../peers/Peer.ts"

const payload = { id: Schema.Finite, body: Schema.String }
const defaults = { keep: { age: "15 minutes" } }

const jobs = {
  noop: Job.make("noop", { payload, defaults }),
  answer: Job.make("answer", { payload, success: Schema.Finite, defaults }),
  flaky: Job.make("flaky", {
    payload,
    error: Schema.String,
    defaults: { ...defaults, attempts: 3, backoff: { type: "fixed", delay: 0 } }
  })
}

const open = async (layer) => {
  const scope = Scope.makeUnsafe()
  const context = await Effect.runPromise(Layer.buildWithScope(layer, scope))
  return { context, close: () => Effect.runPromise(Scope.close(scope, Exit.void)) }
}

// It logs attempts that fail; what a console costs is not the question here.
const quiet = Layer.succeed(References.MinimumLogLevel, "None")

const storeLayer = (url) => RedisJobStore.layer().pipe(Layer.provide(NodeRedis.layer({ url })))

/** @type {import("../peers/Peer.ts").Peer} */
export const peer = {
  features: new Set(["batch", "delay", "results", "retry"]),
  producer: async (url, kind) => {
    const { close, context } = await open(storeLayer(url))
    const job = jobs[kind]
    const store = Context.get(context, JobStore.JobStore)
    const run = (effect) => Effect.runPromise(Effect.provideContext(effect, context))
    const optionsOf = (due) => (due === undefined ? {} : { at: due })
    return {
      close,
      add: (id, due) => run(job.enqueue(payloadOf(id), optionsOf(due))),
      addEach: (nextId, callers) => {
        const caller = Effect.gen(function* () {
          for (let id = nextId(); id !== undefined; id = nextId()) yield* job.enqueue(payloadOf(id))
        })
        return run(
          Effect.all(
            Array.from({ length: callers }, () => caller),
            { concurrency: "unbounded" }
          )
        )
      },
      addBatch: (ids, due) => run(job.enqueueMany(ids.map(payloadOf), optionsOf(due))),
      call: (id) => run(jobs.answer.execute(payloadOf(id))),
      depth: async () => {
        const counts = await run(store.counts())
        return counts.waiting + counts.delayed + counts.active + counts.failed
      }
    }
  },
  worker: async (url, { concurrency, kind, onRun }) => {
    const handle = {
      noop: ({ id }) => Effect.sync(() => onRun(id)),
      answer: ({ id }) =>
        Effect.sync(() => {
          onRun(id)
          return id + 1
        }),
      flaky: ({ id }) =>
        Effect.flatMap(Worker.CurrentJob, ({ attempt }) => {
          onRun(id)
          return attempt === 1 && failsFirst(id) ? Effect.fail("not this time") : Effect.void
        })
    }[kind]
    const { close } = await open(
      jobs[kind]
        .toLayer(handle)
        .pipe(Layer.provideMerge(Worker.layer({ concurrency })), Layer.provide(storeLayer(url)), Layer.provide(quiet))
    )
    return { close }
  }
}
