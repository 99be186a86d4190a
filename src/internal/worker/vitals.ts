/**
 * What tells whether a worker is able to take work: that its loops are alive, and that the store answers in time.
 */
import * as Cause from "effect/Cause"
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import * as Monotonic from "./monotonic.ts"

// With a heartbeat every two seconds, a store that stopped to answer is noticed within seven, below the ten that a probe
// of a container platform usually allows.
const patienceMillis = 5000

/** The signs of life of a worker. */
export interface Vitals {
  /** Begins to wait for something that is due within so many milliseconds, and some patience. Returns its end. */
  readonly expect: (what: string, withinMillis: number) => () => void
  /** Watches something that happens at intervals. */
  readonly pulse: (what: string, intervalMillis: number) => Pulse
  /** Starts a loop that has to go on, and watches it. When it ends by itself the log says why. */
  readonly loop: (what: string, body: Effect.Effect<never>) => Effect.Effect<Loop, never, Scope.Scope>
  /** The worker was told to stop. */
  readonly close: () => void
  readonly health: () => { readonly able: boolean; readonly ready: boolean; readonly problems: ReadonlyArray<string> }
}

/** A loop that is watched. */
export interface Loop {
  readonly fiber: Fiber.Fiber<never>
  /** Watches it no longer. */
  readonly forget: () => void
}

/** Something that happens at intervals. */
export interface Pulse {
  /** Expects it within an interval from now, unless it was expected before and did not come. */
  readonly expect: () => void
  /** It has happened; nothing is expected until the next `expect`. */
  readonly met: () => void
}

/** Makes the vitals of a worker that starts. */
export const make = (clock: Clock.Clock): Vitals => {
  const deadlines = new Map<object, { readonly what: string; readonly due: number }>()
  const loops = new Map<Fiber.Fiber<unknown, unknown>, string>()
  let open = true

  const expect = (what: string, withinMillis: number) => {
    const expectation = {}
    deadlines.set(expectation, { what, due: Monotonic.now(clock) + withinMillis })
    return () => void deadlines.delete(expectation)
  }

  const problems = () => {
    const now = Monotonic.now(clock)
    const dead = [...loops].filter(([fiber]) => fiber.pollUnsafe() !== undefined).map(([, what]) => `${what} has ended`)
    // Of those with one name, the most overdue.
    const overdue = [...deadlines.values()].filter(({ due }) => now > due + patienceMillis)
    const worst = new Map(overdue.toSorted((a, b) => b.due - a.due).map(({ due, what }) => [what, due]))
    const late = [...worst].map(([what, due]) => `${what} is ${Math.round((now - due) / 1000)} s late`)
    return [...new Set([...dead, ...late])]
  }

  return {
    expect,
    pulse: (what, intervalMillis) => {
      let end: (() => void) | undefined = undefined
      return {
        expect: () => {
          end ??= expect(what, intervalMillis)
        },
        met: () => {
          end?.()
          end = undefined
        }
      }
    },
    loop: (what, body) =>
      body.pipe(
        Effect.tapCause((cause) =>
          Cause.hasInterruptsOnly(cause) ? Effect.void : Effect.logFatal(`${what} has ended: restart the worker`, cause)
        ),
        Effect.forkScoped,
        Effect.map((fiber) => {
          loops.set(fiber, what)
          return { fiber, forget: () => void loops.delete(fiber) }
        })
      ),
    close: () => {
      open = false
    },
    health: () => {
      const found = problems()
      return { able: found.length === 0, ready: open && found.length === 0, problems: found }
    }
  }
}
