/**
 * What a docket does with strikes.
 */
import * as Effect from "effect/Effect"
import type { Docket } from "../Docket.ts"
import type { DocketStore } from "../DocketStore.ts"
import { Strike } from "../Strike.ts"
import { toRestore, toStrike } from "../StrikeList.ts"
import type * as Task from "../Task.ts"
import { failWith } from "./docketError.ts"
import type { KnownStrikes } from "./knownStrikes.ts"

/** What is paused. */
export interface Paused {
  /** Whether everything is. */
  readonly all: boolean
  /** The names of the tasks that are paused themselves, sorted. */
  readonly tasks: ReadonlyArray<string>
}

type Strikes = Pick<Docket["Service"], "strike" | "restore" | "strikes" | "pause" | "resume" | "paused">

/** Those of a docket's verbs that have to do with strikes. */
export const strikesOf = (store: DocketStore["Service"], known: KnownStrikes): Strikes => {
  const strike = (strike: Strike) => Effect.flatMap(failWith(store.strike(strike)), known.update)
  const restore = (strikes: ReadonlyArray<Strike>) => Effect.flatMap(failWith(store.restore(strikes)), known.update)
  const strikes = Effect.map(failWith(store.strikes), ({ strikes }) => strikes)
  return {
    strike: (options) => Effect.tap(toStrike(options), strike),
    restore: (options) => Effect.flatMap(toRestore(options), restore),
    strikes,
    pause: (task) => strike(pauseOf(task)),
    resume: (task) => restore([pauseOf(task)]),
    paused: Effect.map(strikes, (strikes) => {
      const pauses = strikes.filter(({ field, hold }) => hold && field === undefined)
      return {
        all: pauses.some(({ task }) => task === undefined),
        tasks: pauses.flatMap(({ task }) => task ?? []).toSorted()
      }
    })
  }
}

const pauseOf = (task: Task.Any | string | undefined) => {
  const name = typeof task === "object" ? task.name : task
  return new Strike({ ...(name === undefined ? {} : { task: name }), operator: "==", value: null, hold: true })
}
