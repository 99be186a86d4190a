/** What admission has to do with one execution: the part of its record that these decisions read and write. */

/** The control that dropped an execution. */
export interface Dropped {
  readonly by: "RateLimit" | "Cooldown" | "Debounce"
  readonly name: string
}

export interface Standing {
  /** The line in which it waits. */
  line: string | undefined
  /** The gates of which it has a slot. */
  slots: ReadonlyArray<string>
  /** The starts that rate limits count for its present run, or for the one that was given back: gate and member. */
  starts: ReadonlyArray<readonly [gate: string, member: string]>
  /** The cooldowns that its present run opened. */
  windows: ReadonlyArray<string>
  /** The debounce whose round it opened. */
  round: string | undefined
  /** Whether that let it pass. */
  quiet: boolean
  /** Whether it was admitted before, in this schedule. */
  passed: boolean
  dropped: Dropped | undefined
}

export const make = (): Standing => ({
  line: undefined,
  slots: [],
  starts: [],
  windows: [],
  round: undefined,
  quiet: false,
  passed: false,
  dropped: undefined
})

/** An execution that is about to start, or to leave where it is. */
export interface Candidate {
  readonly key: string
  readonly generation: number
  /** By its class and its place: what has a lower one comes first. */
  readonly score: number
  readonly standing: Standing
}

/** Whoever has a slot: a run of a key. */
export const holderOf = ({ generation, key }: { readonly generation: number; readonly key: string }): string =>
  `${generation}:${key}`

const classStep = 2 ** 50

/** What orders executions: their class, and then their place, which is a whole number below 2^50. */
export const scoreOf = (priority: number, place: number): number => priority * classStep + place
