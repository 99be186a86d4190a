/** This package, through its public API, with its defaults. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as References from "effect/References"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Tracer from "effect/Tracer"
import { rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import process from "node:process"
import { CurrentExecution, Docket, Retry, Task, TaskGroup, Worker } from "../../src/index.ts"
import { failsFirst, type Kind, payloadOf, type Peer } from "./Peer.ts"

const payload = { id: Schema.Finite, body: Schema.String }

const Noop = Task.make("noop", { payload })
const Answer = Task.make("answer", { payload, success: Schema.Finite })
const Flaky = Task.make("flaky", { payload, error: Schema.String, retry: Retry.linear({ attempts: 3 }) })
const valueOf = (id: number) => id % 1000
const Limited = Task.make("limited", { payload, concurrency: { limit: 1, by: ({ id }) => String(valueOf(id)) } })

const tasks = TaskGroup.make(Noop, Answer, Flaky, Limited)
const taskOf = { noop: Noop, answer: Answer, flaky: Flaky, limited: Limited } satisfies Record<Kind, Task.Any>

const handlers = (onRun: (id: number) => void, running = new Set<number>()) =>
  tasks.toLayer({
    noop: ({ id }) => Effect.sync(() => onRun(id)),
    answer: ({ id }) =>
      Effect.sync(() => {
        onRun(id)
        return id + 1
      }),
    flaky: ({ id }) =>
      Effect.flatMap(CurrentExecution, ({ attempt }) => {
        onRun(id)
        return attempt === 1 && failsFirst(id) ? Effect.fail("not this time") : Effect.void
      }),
    limited: ({ id }) =>
      Effect.suspend(() => {
        const value = valueOf(id)
        // A run that is not counted fails the scenario.
        if (running.has(value)) return Effect.die(`two runs of value ${value}`)
        running.add(value)
        onRun(id)
        return Effect.ensuring(
          Effect.sleep(1),
          Effect.sync(() => running.delete(value))
        )
      })
  })

const build = async <A, E>(layer: Layer.Layer<A, E>) => {
  const scope = Scope.makeUnsafe()
  const context = await Effect.runPromise(Layer.buildWithScope(layer, scope))
  return { context, close: () => Effect.runPromise(Scope.close(scope, Exit.void)) }
}

const makePeer = (telemetry: Layer.Layer<never>, urlOf = (url: string) => url): Peer => ({
  features: new Set(["batch", "delay", "results", "retry", "limits"]),
  producer: async (server, kind) => {
    const url = urlOf(server)
    const { close, context } = await build(Layer.provideMerge(Docket.layer({ name: "bench", url }), telemetry))
    const docket = Context.get(context, Docket)
    const run = Effect.runPromiseWith(context)
    const task = taskOf[kind] as typeof Noop
    const optionsOf = (due: number | undefined) => (due === undefined ? {} : { when: due })
    return {
      close,
      add: (id, due) => run(docket.add(task, payloadOf(id), optionsOf(due))),
      addEach: (nextId, callers) => {
        const caller = Effect.gen(function* () {
          for (let id = nextId(); id !== undefined; id = nextId()) yield* docket.add(task, payloadOf(id))
        })
        return run(
          Effect.all(
            Array.from({ length: callers }, () => caller),
            { concurrency: "unbounded" }
          )
        )
      },
      addBatch: (ids, due) => run(docket.addAll(ids.map((id) => Task.request(task, payloadOf(id), optionsOf(due))))),
      call: (id) => run(Effect.flatMap(docket.add(Answer, payloadOf(id)), ({ result }) => result)),
      depth: async () => {
        const { queued, running, scheduled } = await run(docket.store.depth)
        return queued + running + scheduled
      }
    }
  },
  worker: async (server, { concurrency, onRun }) => {
    const url = urlOf(server)
    const { close } = await build(
      Worker.layer(tasks, { concurrency }).pipe(
        Layer.provide(handlers(onRun)),
        // Runs are announced in the log; what a console costs is not the question here.
        Layer.provide(Layer.succeed(References.MinimumLogLevel, "None")),
        Layer.provide(Docket.layer({ name: "bench", url })),
        Layer.provide(telemetry)
      )
    )
    return { close }
  }
})

export const peer = makePeer(Layer.empty)

/** In a file beside the server, which has nothing to do. */
export const filePeer = (durability: "full" | "normal"): Peer => {
  const files = new Set<string>()
  const peer = makePeer(Layer.empty, (server) => {
    const file = join(tmpdir(), `docket-bench-${new URL(server).port}.db`)
    files.add(file)
    return `sqlite:${file}?durability=${durability}`
  })
  const remove = () => {
    for (const file of files) for (const end of ["", "-wal", "-shm"]) rmSync(file + end, { force: true })
  }
  return {
    ...peer,
    producer: async (server, kind) => {
      const producer = await peer.producer(server, kind)
      // Whoever fills the queue is the last to look whether it is empty.
      process.once("exit", remove)
      return producer
    }
  }
}

/** With a tracer, which makes the spans and exports them nowhere. */
export const tracedPeer = makePeer(
  Layer.succeed(Tracer.Tracer, Tracer.make({ span: (options) => new Tracer.NativeSpan(options) }))
)

/** Without metrics, which nobody can turn off: they are replaced. */
export const unmeteredPeer = (): Peer => {
  let prototype: object = Metric.counter("bench")
  while (!Object.hasOwn(prototype, "updateUnsafe")) prototype = Object.getPrototypeOf(prototype)
  Object.assign(prototype, { updateUnsafe: () => {}, modifyUnsafe: () => {} })
  return peer
}
