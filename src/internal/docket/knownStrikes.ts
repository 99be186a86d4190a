/**
 * What this process knows of a docket's strikes. The store tells whoever asks it for something and knows others.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { DocketStore } from "../../DocketStore.ts"
import * as Metrics from "../../observability/Metrics.ts"
import { empty, judge, type Strike, type StrikeSet } from "../../Strike.ts"
import * as Stored from "../contract/stored.ts"

/** The strikes of one docket, as this process knows them. */
export interface KnownStrikes {
  readonly current: () => StrikeSet
  /** Takes note of the strikes in force, and says what has changed. */
  readonly update: (strikes: StrikeSet) => Effect.Effect<void>
  /** The strike that matches an execution, by its task and its payload as it is encoded, with defaults. */
  readonly judge: (task: string, payload: () => unknown) => Strike | undefined
  /** Says that a request was refused, by this strike or the one that matches it, and counts it. */
  readonly refused: (
    request: { readonly task: string; readonly key: string; readonly payload: string },
    by?: Strike
  ) => Effect.Effect<void>
  /** Says which comparisons made no sense, once for each strike. */
  readonly warn: Effect.Effect<void>
}

const known = new WeakMap<DocketStore["Service"], KnownStrikes>()

/** What this process knows of the strikes of the docket on this store. */
export const knownStrikes = (store: DocketStore["Service"], docket: string): KnownStrikes => {
  const found = known.get(store)
  if (found !== undefined) return found
  const made = make(docket)
  known.set(store, made)
  return made
}

const make = (docket: string): KnownStrikes => {
  let strikes = empty
  let toWarn: Array<Strike> = []
  const warned = new Set<string>()
  const warn = Effect.suspend(() => {
    if (toWarn.length === 0) return Effect.void
    const strikes = toWarn
    toWarn = []
    return Effect.forEach(
      strikes,
      (strike) =>
        Effect.logWarning(
          `The strike ${strike} matches nothing where its value cannot be compared with that of the payload: ` +
            "numbers and strings have an order, each among themselves, and between takes a pair of them"
        ),
      { discard: true }
    )
  })

  const judgeOne = (task: string, payload: () => unknown): Strike | undefined => {
    const concerned = strikes.strikes.filter((strike) => strike.task === undefined || strike.task === task)
    if (concerned.length === 0) return undefined
    const isWanted = concerned.some(({ field }) => field !== undefined)
    const verdict = judge(concerned, task, isWanted ? payload() : undefined)
    for (const strike of verdict.incomparable) {
      if (warned.has(strike.id)) continue
      warned.add(strike.id)
      toWarn.push(strike)
    }
    return verdict.strike
  }

  // Made once, so that they know how many names they have counted.
  let made: Metrics.ProducerMetrics | undefined
  const counts = Effect.suspend(() =>
    made === undefined ? Effect.map(Metrics.ofProducer(docket), (metrics) => (made = metrics)) : Effect.succeed(made)
  )

  return {
    current: () => strikes,

    update: Effect.fnUntraced(function* (next) {
      if (next.version === strikes.version) return
      const before = new Set(strikes.strikes.map(({ id }) => id))
      const after = new Set(next.strikes.map(({ id }) => id))
      const restored = strikes.strikes.filter(({ id }) => !after.has(id))
      strikes = next
      for (const strike of restored) {
        warned.delete(strike.id)
        yield* Effect.logInfo(`Restoring ${strike}`)
      }
      for (const strike of next.strikes) if (!before.has(strike.id)) yield* Effect.logInfo(`Striking ${strike}`)
      const metrics = yield* counts
      metrics.strikes(next.strikes.length)
    }),

    judge: judgeOne,

    refused: Effect.fnUntraced(function* ({ key, payload, task }, by) {
      const metrics = yield* counts
      metrics.stricken(task)
      const strike = by ?? judgeOne(task, () => parsePayload(payload))
      yield* warn
      yield* Effect.logWarning(
        `🗙 ${task}{${key}} was not scheduled: struck${strike === undefined ? "" : ` by ${strike}`}`
      )
    }),

    warn
  }
}

/** An encoded payload as data; nothing when it is not JSON. */
export const parsePayload = (text: string): unknown => {
  const data = Stored.dataOf(text)
  return Exit.isSuccess(data) ? data.value : undefined
}
