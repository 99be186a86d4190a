/**
 * What tells whether a worker is able to take work: that its loops are alive, and that the store answers in time.
 */
import type * as Clock from "effect/Clock"
import type * as Fiber from "effect/Fiber"

// With a heartbeat every two seconds, a store that stopped to answer is noticed within seven, below the ten that a probe
// of a container platform usually allows.
const patienceMillis = 5000

/** The signs of life of a worker. */
export interface Vitals {
  /** Begins to wait for something that is due within so many milliseconds, and some patience. Returns its end. */
  readonly expect: (what: string, withinMillis: number) => () => void
  /** Watches something that happens at intervals. */
  readonly pulse: (what: string, intervalMillis: number) => Pulse
  /** Watches a loop that has to go on. Returns how to watch it no longer. */
  readonly loop: (what: string, fiber: Fiber.Fiber<unknown, unknown>) => () => void
  /** The worker was told to stop. */
  readonly close: () => void
  readonly health: () => { readonly able: boolean; readonly ready: boolean; readonly problems: ReadonlyArray<string> }
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
    deadlines.set(expectation, { what, due: clock.currentTimeMillisUnsafe() + withinMillis })
    return () => void deadlines.delete(expectation)
  }

  const problems = () => {
    const now = clock.currentTimeMillisUnsafe()
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
    loop: (what, fiber) => {
      loops.set(fiber, what)
      return () => void loops.delete(fiber)
    },
    close: () => {
      open = false
    },
    health: () => {
      const found = problems()
      return { able: found.length === 0, ready: open && found.length === 0, problems: found }
    }
  }
}
