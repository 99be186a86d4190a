/** Nothing public is untyped: no `any` among parameters, results, successes, failures and requirements. */
import type { Effect, Layer } from "effect"
import { expectTypeOf } from "vitest"
import type * as Public from "../../src/index.ts"

type IsAny<T> = 0 extends 1 & T ? true : false

type MentionsAny<T> =
  IsAny<T> extends true
    ? true
    : T extends Effect.Effect<infer A, infer E, infer R>
      ? IsAny<A> | IsAny<E> | IsAny<R>
      : T extends Layer.Layer<infer A, infer E, infer R>
        ? IsAny<A> | IsAny<E> | IsAny<R>
        : T extends (...args: infer Parameters extends ReadonlyArray<unknown>) => infer Result
          ? IsAny<Parameters> | MentionsAny<Parameters[number]> | MentionsAny<Result>
          : false

/** The names of what mentions `any`. */
type Untyped<Of> = { readonly [Name in keyof Of]-?: true extends MentionsAny<Of[Name]> ? Name : never }[keyof Of]

export const theCheckWorks = () => {
  // eslint-disable-next-line typescript/no-explicit-any
  type Any = any
  expectTypeOf<
    Untyped<{
      readonly value: Any
      readonly parameter: (value: Any) => string
      readonly result: () => Any
      readonly success: Effect.Effect<Any>
      readonly error: () => Effect.Effect<string, Any>
      readonly services: (id: number) => Layer.Layer<string, never, Any>
      readonly fine: (id: number) => Effect.Effect<unknown, Error, never>
    }>
  >().toEqualTypeOf<"value" | "parameter" | "result" | "success" | "error" | "services">()
}

type Modules = Omit<typeof Public, "Docket" | "DocketLive">

export const nothingIsUntyped = () => {
  // Constructors, functions and layers of all modules.
  expectTypeOf<{ [Name in keyof Modules]: Untyped<Modules[Name]> }[keyof Modules]>().toEqualTypeOf<never>()
  expectTypeOf<Untyped<typeof Public.Docket>>().toEqualTypeOf<never>()
  expectTypeOf<MentionsAny<typeof Public.DocketLive>>().toEqualTypeOf<false>()
  // What users hold.
  expectTypeOf<Untyped<Public.Docket["Service"]>>().toEqualTypeOf<never>()
  expectTypeOf<Untyped<Public.Execution<string, Error>>>().toEqualTypeOf<never>()
  expectTypeOf<Untyped<Public.ExecutionInfo>>().toEqualTypeOf<never>()
  expectTypeOf<Untyped<Public.TaskGroup.TaskGroup<Public.Task.Any>>>().toEqualTypeOf<never>()
  expectTypeOf<Untyped<Public.Worker.Worker["Service"]>>().toEqualTypeOf<never>()
  expectTypeOf<Untyped<Public.CurrentExecution["Service"]>>().toEqualTypeOf<never>()
  expectTypeOf<Untyped<Public.Progress["Service"]>>().toEqualTypeOf<never>()
  expectTypeOf<Untyped<Public.Perpetual["Service"]>>().toEqualTypeOf<never>()
  expectTypeOf<Untyped<Public.TaskTimeout["Service"]>>().toEqualTypeOf<never>()
  // What those who write a store of their own implement.
  expectTypeOf<Untyped<Public.DocketStore.DocketStore["Service"]>>().toEqualTypeOf<never>()
  expectTypeOf<Untyped<Public.DocketStore.WorkerSession>>().toEqualTypeOf<never>()
}
