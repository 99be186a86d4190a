/** How the programs of this folder speak: each line with the time since the program began. */
import { Clock, Console, Effect } from "effect"

const start = Effect.runSync(Clock.currentTimeMillis)

export const tell = Effect.fnUntraced(function* (text: string) {
  const elapsed = (yield* Clock.currentTimeMillis) - start
  yield* Console.log(`${(elapsed / 1000).toFixed(1)} s  ${text}`)
})
