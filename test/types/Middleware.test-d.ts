/** What the types of middleware promise. Checked by the compiler; nothing here is run. */
import { Context, Effect, type Scope } from "effect"
import { expectTypeOf } from "vitest"
import { CurrentExecution, Middleware, Task, TaskGroup, Worker } from "../../src/index.ts"

class Sql extends Context.Service<
  Sql,
  { readonly withTransaction: <A, E, R>(run: Effect.Effect<A, E, R>) => Effect.Effect<A, E | "deadlock", R> }
>()("test/Sql") {}

const transaction = Middleware.make("transaction", (run) => Effect.flatMap(Sql, (sql) => sql.withTransaction(run)))
const reader = Middleware.make(
  "reader",
  Effect.fnUntraced(function* (run) {
    yield* CurrentExecution
    yield* Effect.addFinalizer(() => Effect.void)
    return yield* run
  })
)
const plain = Middleware.make("plain", (run) => Effect.onError(run, () => Effect.void))

export const requirements = () => {
  expectTypeOf(transaction).toEqualTypeOf<Middleware.Middleware<Sql>>()
  expectTypeOf(reader).toEqualTypeOf<Middleware.Middleware<CurrentExecution | Scope.Scope>>()
  expectTypeOf(plain).toEqualTypeOf<Middleware.Middleware>()

  // A worker asks for what its middleware asks for, but for what it provides itself.
  const tasks = TaskGroup.make(Task.make("file"))
  const worker = Worker.run(tasks, { middleware: [reader, plain, transaction] })
  expectTypeOf<Sql>().toExtend<Effect.Services<typeof worker>>()
  expectTypeOf<CurrentExecution>().not.toExtend<Effect.Services<typeof worker>>()
}

export const results = () => {
  // @ts-expect-error it hands on the result, and has none of its own
  Middleware.make("inventive", () => Effect.succeed(7))
  // @ts-expect-error it hands on the result as it is
  Middleware.make("forgetful", (run) => Effect.asVoid(run))
}
