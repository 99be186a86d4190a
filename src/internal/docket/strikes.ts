/**
 * What a docket does with strikes.
 */
import * as Effect from "effect/Effect"
import type { Docket } from "../../Docket.ts"
import type { DocketStore } from "../../DocketStore.ts"
import { Strike } from "../../Strike.ts"
import * as Tracing from "../../observability/Tracing.ts"
import { toRestore, toStrike } from "../../StrikeList.ts"
import type * as Task from "../../Task.ts"
import { failWith } from "./docketError.ts"
import type { KnownStrikes } from "./knownStrikes.ts"

type Strikes = Pick<Docket["Service"], "strike" | "restore" | "strikes" | "pause" | "resume" | "paused">

/** Those of a docket's verbs that have to do with strikes, with spans around them. */
export const strikesOf = (docket: string, store: DocketStore["Service"], known: KnownStrikes): Strikes => {
  const traced = (verb: "docket.strike" | "docket.restore", strike: string, change: ReturnType<typeof store.strike>) =>
    Tracing.request(
      verb,
      () => ({ "docket.name": docket, "docket.strike": strike }),
      Effect.flatMap(failWith(change), known.update),
      () => ({})
    )
  const strike = (strike: Strike) => traced("docket.strike", String(strike), store.strike(strike))
  // They differ in whether they hold, which their text leaves out.
  const restore = (strikes: ReadonlyArray<Strike>) =>
    traced("docket.restore", String(strikes[0]), store.restore(strikes))
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
