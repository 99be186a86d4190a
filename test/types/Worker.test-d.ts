/** What the types of handlers and workers promise. Checked by the compiler; nothing here is run. */
import { Context, Effect, Layer, Schema, type Scope } from "effect"
import { expectTypeOf } from "vitest"
import {
  CurrentDocket,
  CurrentExecution,
  CurrentWorker,
  Docket,
  type DocketError,
  Perpetual,
  Progress,
  Task,
  TaskGroup,
  TaskKey,
  TaskModule,
  type TaskServices,
  TaskTimeout,
  Worker
} from "../../src/index.ts"

class Bounced extends Schema.TaggedError<Bounced>()("Bounced", { address: Schema.String }) {}
class Foreign extends Schema.TaggedError<Foreign>()("Foreign", {}) {}
class Mailer extends Context.Service<Mailer, { readonly send: Effect.Effect<void> }>()("test/Mailer") {}
class Clerk extends Context.Service<Clerk, { readonly file: Effect.Effect<void> }>()("test/Clerk") {}

const Mail = Task.make("mail", { payload: { to: Schema.String }, success: Schema.String, error: Bounced })
const File = Task.make("file")
const tasks = TaskGroup.make(Mail, File)

type Handlers = Task.Handler<"mail"> | Task.Handler<"file">

const mail = ({ to }: { readonly to: string }) =>
  Effect.as(
    Effect.flatMap(Mailer, ({ send }) => send),
    to
  )
const file = () => Effect.void

export const handlers = () => {
  const layer = tasks.toLayer({
    mail: (payload) => {
      expectTypeOf(payload).toEqualTypeOf<{ readonly to: string }>()
      return Effect.succeed(payload.to)
    },
    file: () => Effect.void
  })
  expectTypeOf(layer).toEqualTypeOf<Layer.Layer<Handlers>>()

  // @ts-expect-error a handler is missing
  tasks.toLayer({ mail })
  // @ts-expect-error there is no task of this name
  tasks.toLayerHandler("post", file)
  // @ts-expect-error the handler succeeds with another type
  tasks.toLayer({ mail: () => Effect.succeed(7), file })
  // @ts-expect-error the handler takes another payload
  tasks.toLayer({ mail: (payload: { readonly from: string }) => Effect.succeed(payload.from), file })
  // @ts-expect-error a handler is a function
  tasks.toLayer({ mail: Effect.succeed("sent"), file })

  expectTypeOf(tasks.toLayerHandler("file", file)).toEqualTypeOf<Layer.Layer<Task.Handler<"file">>>()
}

export const failures = (docket: Docket["Service"]) => {
  // The task's own error, and that of the docket, need no ceremony.
  tasks.toLayer({ mail: () => Effect.fail(new Bounced({ address: "a" })), file })
  tasks.toLayer({ mail, file: () => docket.add(File) })
  tasks.toLayer({
    mail: Effect.fnUntraced(function* () {
      yield* docket.add(File)
      return yield* new Bounced({ address: "a" })
    }),
    file
  })

  // @ts-expect-error a foreign error has to be handled
  tasks.toLayer({ mail: () => Effect.fail(new Foreign()), file })
  // @ts-expect-error the error belongs to another task
  tasks.toLayer({ mail, file: () => Effect.fail(new Bounced({ address: "a" })) })
  tasks.toLayer({
    mail,
    // @ts-expect-error one foreign error among others has to be handled as well
    file: Effect.fnUntraced(function* () {
      yield* docket.add(File)
      if (docket.name === "") return yield* new Foreign()
    })
  })
}

export const services = () => {
  const layer = tasks.toLayer({
    mail: Effect.fnUntraced(function* ({ to }) {
      yield* (yield* Mailer).send
      expectTypeOf(yield* TaskKey).toEqualTypeOf<string>()
      expectTypeOf(yield* CurrentDocket).toEqualTypeOf<Docket["Service"]>()
      expectTypeOf((yield* CurrentExecution).attempt).toEqualTypeOf<number>()
      expectTypeOf((yield* CurrentWorker).name).toEqualTypeOf<string>()
      expectTypeOf(yield* Progress).toEqualTypeOf<Progress["Service"]>()
      expectTypeOf(yield* Perpetual).toEqualTypeOf<Perpetual["Service"]>()
      expectTypeOf(yield* TaskTimeout).toEqualTypeOf<TaskTimeout["Service"]>()
      expectTypeOf(yield* Effect.scope).toEqualTypeOf<Scope.Scope>()
      return to
    }),
    file: () => Effect.flatMap(Clerk, ({ file }) => file)
  })
  // The app's services stay, those of the execution do not.
  expectTypeOf(layer).toEqualTypeOf<Layer.Layer<Handlers, never, Mailer | Clerk>>()

  const made = tasks.toLayer(
    Effect.gen(function* () {
      const mailer = yield* Mailer
      yield* Effect.addFinalizer(() => Effect.void)
      if (mailer === undefined) return yield* new Foreign()
      return tasks.of({ mail: ({ to }) => Effect.as(mailer.send, to), file })
    })
  )
  expectTypeOf(made).toEqualTypeOf<Layer.Layer<Handlers, Foreign, Mailer>>()

  expectTypeOf<TaskServices>().toEqualTypeOf<
    TaskKey | CurrentDocket | CurrentExecution | CurrentWorker | Progress | Perpetual | TaskTimeout | Scope.Scope
  >()
  // @ts-expect-error outside a handler these services do not exist
  Effect.runPromise(TaskKey)
  // @ts-expect-error outside a handler these services do not exist
  Effect.runPromise(Effect.flatMap(CurrentExecution, ({ interruptReason }) => interruptReason))
}

export const workers = () => {
  const worker = Worker.layer(tasks, { concurrency: 20 })
  expectTypeOf(worker).toEqualTypeOf<Layer.Layer<Worker.Worker, DocketError, Handlers | Docket>>()
  const complete = worker.pipe(
    Layer.provide(tasks.toLayer({ mail: ({ to }) => Effect.succeed(to), file })),
    Layer.provide(Docket.layerMemory)
  )
  expectTypeOf(complete).toEqualTypeOf<Layer.Layer<Worker.Worker, DocketError>>()
  Effect.runPromise(Layer.launch(complete))

  const withoutFile = worker.pipe(
    Layer.provide(tasks.toLayerHandler("mail", ({ to }) => Effect.succeed(to))),
    Layer.provide(Docket.layerMemory)
  )
  expectTypeOf(withoutFile).toEqualTypeOf<Layer.Layer<Worker.Worker, DocketError, Task.Handler<"file">>>()
  // @ts-expect-error a handler is missing
  Effect.runPromise(Layer.launch(withoutFile))

  const withoutMailer = worker.pipe(Layer.provide(tasks.toLayer({ mail, file })), Layer.provide(Docket.layerMemory))
  // @ts-expect-error a service that a handler uses is missing
  Effect.runPromise(Layer.launch(withoutMailer))
  // @ts-expect-error the docket is missing
  Effect.runPromise(Layer.launch(worker.pipe(Layer.provide(tasks.toLayer({ mail, file })))))
}

export const runners = () => {
  type Needs = Handlers | Docket
  expectTypeOf(Worker.run(tasks)).toEqualTypeOf<Effect.Effect<never, DocketError, Needs>>()
  expectTypeOf(Worker.runUntilFinished(tasks)).toEqualTypeOf<Effect.Effect<void, DocketError, Needs>>()
  expectTypeOf(Worker.runAtMost(tasks, { key: 3 })).toEqualTypeOf<Effect.Effect<void, DocketError, Needs>>()
  // @ts-expect-error the number is missing
  Worker.runAtMost(tasks)

  // @ts-expect-error the handlers are missing
  Effect.runPromise(Worker.runUntilFinished(tasks).pipe(Effect.provide(Docket.layerMemory)))
}

export const fallbacks = () => {
  const fallback = (encodedPayload: string) =>
    Effect.andThen(
      Effect.flatMap(Mailer, ({ send }) => send),
      Effect.map(CurrentExecution, ({ task }) => `${task}: ${encodedPayload}`)
    )
  // What the app provides stays, what the worker provides does not.
  expectTypeOf(Worker.layer(tasks, { fallback })).toEqualTypeOf<
    Layer.Layer<Worker.Worker, DocketError, Handlers | Docket | Mailer>
  >()
  expectTypeOf(Worker.layer(tasks, { fallback: Worker.drop })).toEqualTypeOf<
    Layer.Layer<Worker.Worker, DocketError, Handlers | Docket>
  >()
  // @ts-expect-error a fallback gets text
  Worker.layer(tasks, { fallback: (payload: number) => Effect.succeed(payload) })
}

export const groups = () => {
  expectTypeOf(TaskGroup.make(Mail).add(File)).toEqualTypeOf<typeof tasks>()
  expectTypeOf(TaskGroup.make(Mail).merge(TaskGroup.make(File))).toEqualTypeOf<typeof tasks>()
  expectTypeOf<TaskGroup.Tasks<typeof tasks>>().toEqualTypeOf<typeof Mail | typeof File>()
  // A group of fewer tasks does not stand for one of more: its handlers would be missing.
  expectTypeOf(TaskGroup.make(Mail)).not.toExtend<typeof tasks>()
}

export const modules = () => {
  const complete = tasks.toLayer({ mail: ({ to }) => Effect.succeed(to), file })
  expectTypeOf(TaskModule.make(tasks, complete)).toEqualTypeOf<TaskModule.TaskModule<typeof Mail | typeof File>>()
  // A module may use the docket, which the command provides.
  TaskModule.make(tasks, tasks.toLayer({ mail: ({ to }) => Effect.succeed(to), file: () => Effect.asVoid(Docket) }))

  // @ts-expect-error a handler is missing
  TaskModule.make(tasks, tasks.toLayerHandler("file", file))
  // @ts-expect-error a service that a handler uses is missing
  TaskModule.make(tasks, tasks.toLayer({ mail, file }))
}
