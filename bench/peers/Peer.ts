/**
 * What the benchmark asks of each task system, in the same words for all. Each peer is driven through its public API, in
 * the way that its users would: callers of an Effect library are fibers, callers of a promise library are async functions.
 */

/** The payload of every task: 200 bytes of JSON. */
export interface Payload {
  readonly id: number
  readonly body: string
}

export const payloadBytes = 200

/** The first id; all have as many digits, so that all payloads have the same size. */
export const firstId = 1_000_000

const body = "x".repeat(payloadBytes - JSON.stringify({ id: firstId, body: "" }).length)

export const payloadOf = (id: number): Payload => ({ id, body })

/**
 * The kinds of task: `noop` does nothing, `answer` succeeds with its id plus 1, `flaky` fails on its first attempt for 9
 * ids in 10 and is retried at once, `limited` may run once at a time for each of 1,000 values.
 */
export type Kind = "noop" | "answer" | "flaky" | "limited"

export const failsFirst = (id: number): boolean => id % 10 !== 0

export const limitValues = 1000

/** What not every peer can do. */
export type Feature = "batch" | "delay" | "results" | "retry" | "limits"

export interface Producer {
  /** Adds one task; `due` is in epoch milliseconds, and absent for a task that is due at once. */
  readonly add: (id: number, due?: number) => Promise<unknown>
  /** Lets so many callers add one task after the other, each awaited, until there are no more ids. */
  readonly addEach: (nextId: () => number | undefined, callers: number) => Promise<unknown>
  /** Adds a batch in one call of the peer's. */
  readonly addBatch: (ids: ReadonlyArray<number>, due?: number) => Promise<unknown>
  /** Adds an `answer` task and waits for what it succeeds with. */
  readonly call: (id: number) => Promise<number>
  /** How many tasks are not settled: due, for later, or running. */
  readonly depth: () => Promise<number>
  readonly close: () => Promise<unknown>
}

export interface WorkerOptions {
  readonly kind: Kind
  readonly concurrency: number
  /** Called by the handler of each run. */
  readonly onRun: (id: number) => void
}

export interface Worker {
  /** Ends it in good order. */
  readonly close: () => Promise<unknown>
}

export interface Peer {
  readonly features: ReadonlySet<Feature>
  readonly producer: (url: string, kind: Kind) => Promise<Producer>
  readonly worker: (url: string, options: WorkerOptions) => Promise<Worker>
}

/** For what a peer does not name among its features. */
export const unsupported = (): never => {
  throw new Error("This peer cannot do that")
}
