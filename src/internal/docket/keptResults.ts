/**
 * Results that are kept in a store of the user's own: the docket's store has a reference in their place.
 */
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { type DocketError, ResultNotKept, StoreError } from "../../DocketError.ts"
import type { DocketStore, Lease, Outcome } from "../../DocketStore.ts"
import type { ResultStore } from "../../ResultStore.ts"
import * as Stored from "../contract/stored.ts"
import { failWith, invalid } from "./docketError.ts"

/** The docket's store, whose workers keep results in another one, before they settle the runs. */
export const keepIn = (
  results: ResultStore,
  store: DocketStore["Service"],
  { executionTtlMillis, name: docket }: { readonly name: string; readonly executionTtlMillis: number }
): DocketStore["Service"] => {
  const timeToLive = Duration.millis(executionTtlMillis)

  const keep = ({ generation, key, lease }: Lease, outcome: Outcome): Effect.Effect<Outcome, StoreError> => {
    if (outcome._tag !== "Completed" || outcome.result === undefined || executionTtlMillis === 0) {
      return Effect.succeed(outcome)
    }
    // No two runs have the same, so that one which lost its lease does no harm.
    const name = [docket, key, generation, lease].join(":")
    const { result } = outcome
    return answerOf("set", () => results.set(name, result, timeToLive)).pipe(
      Effect.as({ ...outcome, result: Stored.write("null", { kept: name }) })
    )
  }

  return { ...store, open: (options) => Effect.map(store.open(options), (session) => ({ ...session, keep })) }
}

/** What the user's store answers. It may fail in ways that it does not name: a rejected promise, or an exception. */
const answerOf = <A>(operation: keyof ResultStore, call: () => Effect.Effect<A, Error>): Effect.Effect<A, StoreError> =>
  Effect.catchCause(Effect.suspend(call), (cause) =>
    Effect.fail(new StoreError({ operation: `ResultStore.${operation}`, cause: Cause.squash(cause) }))
  )

const nameIn = (result: string): string | undefined => Stored.marksOf(result).kept

/** Whether the docket's store has a reference, to a result that is kept elsewhere. */
export const isReference = (result: string): boolean => nameIn(result) !== undefined

/** The text of a result, wherever it is kept. */
export const find = (
  results: ResultStore | undefined,
  key: string,
  result: string | undefined
): Effect.Effect<string | undefined, DocketError | ResultNotKept> => {
  const name = result === undefined ? undefined : nameIn(result)
  if (name === undefined) return Effect.succeed(result)
  if (results === undefined) {
    return Effect.fail(invalid(`The result of "${key}" is in a result store: give the docket its option results`))
  }
  return failWith(answerOf("get", () => results.get(name))).pipe(
    Effect.flatMap(
      Option.match({ onNone: () => Effect.fail(new ResultNotKept({ key })), onSome: (text) => Effect.succeed(text) })
    )
  )
}
