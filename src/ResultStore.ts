/**
 * A place of one's own for the results of executions: for results that are large, or have to outlive the docket's records.
 */
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Option from "effect/Option"

/**
 * Keeps results for a docket, as text by name. Processes that share the docket need the same one.
 *
 * **Details**
 *
 * A worker keeps a result before it says that the execution is completed. While that fails it tries again, with growing
 * pauses; nothing is lost meanwhile, and others are settled; the worker keeps its hold on the execution, so that it is not
 * run again, and its slot. After 100 tries, some eight minutes, the execution has failed, with the cause for its error. A
 * result may be kept twice, with the same value, when an answer was lost. A defect counts as a failure.
 *
 * **Example**
 *
 * ```ts
 * const results: ResultStore = {
 *   set: (name, text, timeToLive) => bucket.put(name, text, { expires: timeToLive }),
 *   get: (name) => bucket.find(name)
 * }
 * Docket.layer({ results })
 * ```
 *
 * @category models
 * @since 0.1.0
 */
export interface ResultStore {
  /** Keeps a text for so long at least. A name is set once, but for repetitions. */
  readonly set: (name: string, text: string, timeToLive: Duration.Duration) => Effect.Effect<void, Error>
  /** The text of a name; nothing when there is none, or none any more. */
  readonly get: (name: string) => Effect.Effect<Option.Option<string>, Error>
}
