/**
 * Lists of strikes that work on their own, against plain values: in one process, or shared with the workers and producers
 * of a docket.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Ref from "effect/Ref"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type { Docket } from "./Docket.ts"
import type { DocketError } from "./DocketError.ts"
import { failWith, invalid } from "./internal/docket/docketError.ts"
import * as Following from "./internal/docket/following.ts"
import { judge, type Operator, Strike } from "./Strike.ts"
import type * as Task from "./Task.ts"

/**
 * A strike to put in force or to take out of it: on a task, on a field, or on a field of one task.
 *
 * @category options
 * @since 0.1.0
 */
export interface Options {
  /** The task's name. Default: every task that has the field. */
  readonly task?: string | undefined
  /** A path into the payload as it is stored, with dots between its parts. Default: every payload of the task. */
  readonly field?: string | undefined
  /** How the field is compared. Default: `==`. */
  readonly operator?: Operator | undefined
  /** What the field is compared with: JSON data; a pair for `between`, which includes both ends. */
  readonly value?: Schema.Json | undefined
  /**
   * Whether matching executions wait until the strike is restored, rather than being refused and dropped. Default: false;
   * a restore that does not say takes out both kinds.
   */
  readonly hold?: boolean | undefined
}

/**
 * A strike where the task's contract is at hand: the field is one of its encoded payload, and the value fits it.
 *
 * @category options
 * @since 0.1.0
 */
export type TaskOptions<T extends Task.Any, F extends Field<T>> = {
  readonly task: T
  readonly hold?: boolean | undefined
} & (
  | { readonly field?: undefined }
  | {
      readonly field: F
      readonly operator?: Exclude<Operator, "between"> | undefined
      readonly value: Value<T, F>
    }
  | { readonly field: F; readonly operator: "between"; readonly value: readonly [low: Value<T, F>, high: Value<T, F>] }
)

/**
 * The fields of a task's encoded payload, as paths with dots between their parts.
 *
 * @category type-level
 * @since 0.1.0
 */
export type Field<T extends Task.Any> = Path<T["payloadSchema"]["Encoded"], []>

/**
 * The type of a field of a task's encoded payload.
 *
 * @category type-level
 * @since 0.1.0
 */
export type Value<T extends Task.Any, F extends string> = Exclude<At<T["payloadSchema"]["Encoded"], F>, undefined>

// Four levels are enough, and keep the compiler quick.
type Path<A, Depth extends ReadonlyArray<unknown>> = Depth["length"] extends 4
  ? never
  : A extends ReadonlyArray<unknown>
    ? never
    : A extends object
      ? { [K in keyof A & string]-?: K | `${K}.${Path<A[K], [...Depth, unknown]>}` }[keyof A & string]
      : never

type At<A, P extends string> = A extends unknown
  ? P extends `${infer K}.${infer Rest}`
    ? K extends keyof A
      ? At<A[K], Rest>
      : never
    : P extends keyof A
      ? A[P]
      : never
  : never

/**
 * A list of strikes.
 *
 * @category models
 * @since 0.1.0
 */
export interface StrikeList {
  /** The strike that matches a task and a payload as it is encoded; one that holds only if none refuses. */
  readonly find: (task: string, payload: unknown) => Effect.Effect<Option.Option<Strike>>
  /** Whether any strike matches. A comparison that makes no sense does not match, and is logged as a warning. */
  readonly isStruck: (task: string, payload: unknown) => Effect.Effect<boolean>
  /** The strikes in force. */
  readonly strikes: Effect.Effect<ReadonlyArray<Strike>>
  /** Puts a strike in force; one that is in force already stays. Fails when the store cannot be reached. */
  readonly strike: (strike: Options) => Effect.Effect<Strike, DocketError>
  /** Takes a strike out of force, if it is. Fails when the store cannot be reached. */
  readonly restore: (strike: Options) => Effect.Effect<void, DocketError>
}

/**
 * Makes a list of this process's own.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make: Effect.Effect<StrikeList> = Effect.gen(function* () {
  const strikes = yield* Ref.make<ReadonlyArray<Strike>>([])
  return fromStrikes(strikes, {
    strike: (strike) => Ref.update(strikes, (present) => [...present.filter(({ id }) => id !== strike.id), strike]),
    restore: (restored) => {
      const ids = new Set(restored.map(({ id }) => id))
      return Ref.update(strikes, (present) => present.filter(({ id }) => !ids.has(id)))
    }
  })
})

/**
 * Makes a list that has the strikes of a docket, and follows them while the scope is open. It is complete when this
 * returns; what other processes change arrives as it happens.
 *
 * @category constructors
 * @since 0.1.0
 */
export const follow: (docket: Docket["Service"]) => Effect.Effect<StrikeList, DocketError, Scope.Scope> =
  Effect.fnUntraced(function* ({ store }) {
    const changes = yield* failWith(store.watchStrikes)
    const strikes = yield* Ref.make((yield* failWith(store.strikes)).strikes)
    yield* Effect.forkScoped(Following.afterEach(store, changes, store.strikes, (set) => Ref.set(strikes, set.strikes)))
    return fromStrikes(strikes, {
      strike: (strike) => failWith(Effect.flatMap(store.strike(strike), (set) => Ref.set(strikes, set.strikes))),
      restore: (restored) => failWith(Effect.flatMap(store.restore(restored), (set) => Ref.set(strikes, set.strikes)))
    })
  })

/**
 * The strike that options describe; fails when they make no sense.
 *
 * @category constructors
 * @since 0.1.0
 */
export const toStrike: (
  options: Omit<Options, "task"> & { readonly task?: string | Task.Any | undefined }
) => Effect.Effect<Strike, DocketError> = Effect.fnUntraced(function* ({ field, hold = false, operator, task, value }) {
  if (task === undefined && field === undefined) {
    return yield* invalid("A strike needs a task or a field; to hold everything, pause the docket")
  }
  if (task === "" || field === "") return yield* invalid("The task and the field of a strike cannot be empty")
  if (field === undefined && value !== undefined) {
    return yield* invalid("A strike with a value needs the field that is compared with it")
  }
  if (field !== undefined && value === undefined) {
    return yield* invalid(`A strike on the field "${field}" needs a value to compare it with`)
  }
  const name = task === undefined || typeof task === "string" ? task : task.name
  return yield* Effect.mapError(
    decode({
      ...(name === undefined ? {} : { task: name }),
      ...(field === undefined ? {} : { field }),
      operator: field === undefined ? "==" : (operator ?? "=="),
      value: value ?? null,
      hold
    }),
    (error) => invalid(`The strike makes no sense: ${error.message}`)
  )
})

const decode = Schema.decodeUnknownEffect(Strike)

/**
 * The strikes that options to restore mean: where they do not say whether it holds, those of both kinds.
 *
 * @category constructors
 * @since 0.1.0
 */
export const toRestore = Effect.fnUntraced(function* (
  options: Omit<Options, "task"> & { readonly task?: string | Task.Any | undefined }
): Effect.fn.Return<ReadonlyArray<Strike>, DocketError> {
  const strike = yield* toStrike(options)
  return options.hold === undefined ? [strike, new Strike({ ...strike, hold: true })] : [strike]
})

const fromStrikes = (
  strikes: Ref.Ref<ReadonlyArray<Strike>>,
  change: {
    readonly strike: (strike: Strike) => Effect.Effect<void, DocketError>
    readonly restore: (strikes: ReadonlyArray<Strike>) => Effect.Effect<void, DocketError>
  }
): StrikeList => {
  const find: StrikeList["find"] = Effect.fnUntraced(function* (task, payload) {
    const verdict = judge(yield* Ref.get(strikes), task, payload)
    for (const strike of verdict.incomparable) {
      yield* Effect.logWarning(
        `The strike ${strike} cannot be compared with what it was asked about, and does not match`
      )
    }
    return Option.fromUndefinedOr(verdict.strike)
  })
  return {
    find,
    isStruck: (task, payload) => Effect.map(find(task, payload), Option.isSome),
    strikes: Ref.get(strikes),
    strike: (options) => Effect.tap(toStrike(options), change.strike),
    restore: (options) => Effect.flatMap(toRestore(options), change.restore)
  }
}
