/**
 * How large data may be that the docket's store keeps.
 */
import { TooLarge } from "../../DocketError.ts"

/** The default of `maximumBytes`: a call with a hundred such payloads is still one that Redis takes. */
export const defaultMaximumBytes = 4 * 1024 * 1024

/** Says so when a text is too large. */
export const check = (
  maximumBytes: number,
  task: string,
  what: TooLarge["what"],
  text: string
): TooLarge | undefined => {
  // A unit of a string takes at most three bytes: nearly nothing has to be measured.
  if (text.length * 3 <= maximumBytes) return undefined
  const sizeBytes = new TextEncoder().encode(text).length
  return sizeBytes <= maximumBytes ? undefined : new TooLarge({ task, what, sizeBytes, maximumBytes })
}
