/**
 * Admission controls: whether an execution may start now. They are decided by the store when it is about to start, over
 * all workers of a docket; here they are plain data.
 */
import type * as Duration from "effect/Duration"
import * as ControlValue from "./internal/contract/controlValue.ts"
import * as Durations from "./internal/contract/durations.ts"

/**
 * What all controls have in common: by default each task has its own, one for all of its executions.
 *
 * @category options
 * @since 0.1.0
 */
export interface ControlOptions<in P> {
  /**
   * Computes a value from the payload; each value is controlled apart, by its JSON. A long one may be as long as it is: the
   * store keeps a digest of it. Default: all payloads are controlled together.
   */
  readonly by?: ((payload: P) => unknown) | undefined
  /**
   * Tasks of a docket that name the same scope share the control, and have to say the same of it. Where the workers of a
   * docket say different things of a limit, as during a deploy, what the one says that started last holds for all. Default:
   * the task has a control of its own.
   */
  readonly scope?: string | undefined
}

/**
 * At most so many executions run at once. The others wait in the store in order of arrival, hold no worker's slot, and are
 * released by the run that ends.
 *
 * @category options
 * @since 0.1.0
 */
export interface ConcurrencyOptions<in P> extends ControlOptions<P> {
  /** At least 1. */
  readonly limit: number
}

/**
 * At most so many starts within any window of time; it slides with each start.
 *
 * @category options
 * @since 0.1.0
 */
export interface RateLimitOptions<in P> extends ControlOptions<P> {
  /** At least 1. */
  readonly limit: number
  /** The length of the window. */
  readonly per: Duration.Input
  /** An execution over the limit waits until a start leaves the window, or is dropped. Default: `delay`. */
  readonly onExceeded?: "delay" | "drop" | undefined
}

/**
 * The first execution runs and opens a window; others that would start within it are dropped.
 *
 * @category options
 * @since 0.1.0
 */
export interface CooldownOptions<in P> extends ControlOptions<P> {
  /** The length of the window, from the start of the execution that opened it. */
  readonly window: Duration.Input
}

/**
 * The first submission runs once no other has come for a while; the others are dropped, and each starts the wait anew.
 *
 * @category options
 * @since 0.1.0
 */
export interface DebounceOptions<in P> extends ControlOptions<P> {
  /** How long it has to be quiet. */
  readonly settle: Duration.Input
  /** The longest that the first submission waits, however many follow. Default: as long as they follow. */
  readonly maximum?: Duration.Input | undefined
}

/**
 * The controls of a task.
 *
 * @category options
 * @since 0.1.0
 */
export interface Options<in P> {
  /** How many executions may run at once. */
  readonly concurrency?: ConcurrencyOptions<P>
  /** How many executions may start within a time; several limits hold together. */
  readonly rateLimit?: RateLimitOptions<P> | ReadonlyArray<RateLimitOptions<P>>
  /** For how long after a start others are dropped; several cooldowns hold together. */
  readonly cooldown?: CooldownOptions<P> | ReadonlyArray<CooldownOptions<P>>
  /** How long to wait for quiet before the first submission runs. */
  readonly debounce?: DebounceOptions<P>
}

/**
 * A control as stores know it. The scope names what it covers; times are in milliseconds.
 *
 * @category models
 * @since 0.1.0
 */
export type Control =
  | { readonly _tag: "Concurrency"; readonly scope: string; readonly limit: number }
  | {
      readonly _tag: "RateLimit"
      readonly scope: string
      readonly limit: number
      readonly perMillis: number
      readonly onExceeded: "delay" | "drop"
    }
  | { readonly _tag: "Cooldown"; readonly scope: string; readonly windowMillis: number }
  | {
      readonly _tag: "Debounce"
      readonly scope: string
      readonly settleMillis: number
      readonly maximumMillis: number | undefined
    }

/**
 * The controls of a task as a worker tells them to the store. Equal fingerprints say that the values are found in the same way:
 * for the same controls in the same order, by the same functions. Limits and times are no part of it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Contract {
  readonly fingerprint: string
  readonly controls: ReadonlyArray<Control>
}

/**
 * What a contract says of one payload, as far as admission is concerned.
 *
 * @category models
 * @since 0.1.0
 */
export interface Terms {
  /** The fingerprint of the contract that says so; empty for a task without controls. */
  readonly contract: string
  /** By which value each control treats the payload, in order. */
  readonly values: ReadonlyArray<string>
}

/**
 * The terms of a task without controls.
 *
 * @category models
 * @since 0.1.0
 */
export const noTerms: Terms = { contract: "", values: [] }

/**
 * The name under which a store keeps what belongs to a control and a value. No other control and value have it: a control's
 * scope has no `=`.
 *
 * @category naming
 * @since 0.1.0
 */
export const nameOf = (scope: string, value: string): string => (value === "" ? scope : `${scope}=${value}`)

/**
 * The parts of such a name.
 *
 * @category naming
 * @since 0.1.0
 */
export const split = (name: string): { readonly scope: string; readonly value: string } => {
  const end = name.indexOf("=")
  return end < 0 ? { scope: name, value: "" } : { scope: name.slice(0, end), value: name.slice(end + 1) }
}

/**
 * The scope of a control as people named it.
 *
 * @category naming
 * @since 0.1.0
 */
export const scopeName = (scope: string): string =>
  scope
    .replace(/^scope:/, "")
    .replaceAll("%3D", "=")
    .replaceAll("%25", "%")

/**
 * The controls of a task, with the function that finds the terms of a decoded payload.
 *
 * @category models
 * @since 0.1.0
 */
export interface Controls extends Contract {
  readonly termsOf: (payload: unknown) => Terms
}

/**
 * No control at all.
 *
 * @category constructors
 * @since 0.1.0
 */
export const none: Controls = { fingerprint: "", controls: [], termsOf: () => noTerms }

/**
 * Collects the controls of the task with this name. A limit below 1, a time that is not finite or not above 0,
 * and controls that contradict each other throw.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = <P>(task: string, options: Options<P>): Controls => {
  const controls: Array<Control> = []
  const bys: Array<((payload: P) => unknown) | undefined> = []
  // A scope that is named never meets one that is a task's own. Several limits of a task are told apart by their place.
  const place = (kind: string, { by, scope }: ControlOptions<P>, index: number) => {
    bys.push(by)
    return escaped(scope === undefined ? `task:${task}:${kind}${index}` : `scope:${scope}`)
  }
  const { concurrency, debounce } = options
  if (concurrency !== undefined) {
    const scope = place("concurrency", concurrency, 0)
    controls.push({ _tag: "Concurrency", scope, limit: limitOf(task, "concurrency", concurrency.limit) })
  }
  arrayOf(options.rateLimit).forEach((rate, index) => {
    controls.push({
      _tag: "RateLimit",
      scope: place("rate", rate, index),
      limit: limitOf(task, "rateLimit", rate.limit),
      perMillis: millisOf(task, "rateLimit.per", rate.per),
      onExceeded: rate.onExceeded ?? "delay"
    })
  })
  arrayOf(options.cooldown).forEach((cooldown, index) => {
    controls.push({
      _tag: "Cooldown",
      scope: place("cooldown", cooldown, index),
      windowMillis: millisOf(task, "cooldown.window", cooldown.window)
    })
  })
  if (debounce !== undefined) {
    controls.push({
      _tag: "Debounce",
      scope: place("debounce", debounce, 0),
      settleMillis: millisOf(task, "debounce.settle", debounce.settle),
      maximumMillis: debounce.maximum === undefined ? undefined : millisOf(task, "debounce.maximum", debounce.maximum)
    })
  }
  if (controls.length === 0) return none
  const disagreement = findDisagreement([{ name: task, behaviour: { controls: { controls } } }])
  if (disagreement !== undefined) throw new RangeError(disagreement)
  const contract = ControlValue.digestOf(
    JSON.stringify(controls.map(({ _tag, scope }, i) => [_tag, scope, bys[i] === undefined ? "" : String(bys[i])]))
  ).slice(0, 12)
  return {
    fingerprint: contract,
    controls,
    termsOf: (payload) => ({
      contract,
      // The payload was decoded or made with the task's own schema.
      values: bys.map((by) => (by === undefined ? "" : ControlValue.textOf(by(payload as P))))
    })
  }
}

// So that no name of a control and value is that of another control.
const escaped = (scope: string) => scope.replaceAll("%", "%25").replaceAll("=", "%3D")

/**
 * Says which tasks share a control and do not say the same of it, if there are any. Only a rate limit's `onExceeded` is each
 * task's own.
 *
 * @category checking
 * @since 0.1.0
 */
export const findDisagreement = (
  tasks: Iterable<{ readonly name: string; readonly behaviour: { readonly controls: Pick<Controls, "controls"> } }>
): string | undefined => {
  const known = new Map<string, { readonly task: string; readonly settings: string }>()
  for (const { behaviour, name } of tasks) {
    for (const { _tag, scope, ...settings } of behaviour.controls.controls) {
      const said = JSON.stringify({ ...settings, onExceeded: undefined })
      const first = known.get(`${_tag} ${scope}`) ?? { task: name, settings: said }
      known.set(`${_tag} ${scope}`, first)
      if (first.settings === said) continue
      return (
        `Tasks that share a ${kinds[_tag]} have to say the same of it, but of the scope ` +
        `"${scopeName(scope)}" task "${first.task}" says ${first.settings} and task "${name}" ${said}`
      )
    }
  }
  return undefined
}

const kinds = {
  Concurrency: "concurrency limit",
  RateLimit: "rate limit",
  Cooldown: "cooldown",
  Debounce: "debounce"
} as const

const arrayOf = <A extends object>(one: A | ReadonlyArray<A> | undefined): ReadonlyArray<A> =>
  one === undefined ? [] : isArray(one) ? one : [one]

const isArray: <A>(value: A | ReadonlyArray<A>) => value is ReadonlyArray<A> = Array.isArray

const limitOf = (task: string, option: string, limit: number): number => {
  if (Number.isInteger(limit) && limit >= 1) return limit
  throw new RangeError(`Task "${task}": ${option}.limit has to be a whole number of at least 1; it was ${limit}`)
}

const millisOf = (task: string, option: string, duration: Duration.Input): number => {
  const millis = Math.ceil(Durations.millisOf(duration))
  if (Number.isFinite(millis) && millis > 0) return millis
  throw new RangeError(
    `Task "${task}": ${option} has to be finite and more than 0; it was ${Durations.shown(duration)}`
  )
}
