/** Adds tasks to the docket at a URL for as long as it lives, and prints the key of each that was confirmed. */
import { Effect, Schema } from "effect"
import { writeSync } from "node:fs"
import { Dockets, Task } from "../../../../src/index.ts"

const Ping = Task.make("ping", { payload: { n: Schema.Int } })
const [url = "", name = ""] = process.argv.slice(2)

const add = Effect.gen(function* () {
  const docket = yield* Dockets.make({ url })
  const confirm = Effect.fnUntraced(function* (n: number) {
    yield* docket.add(Ping, { n }, { key: `${name}-${n}` })
    writeSync(1, `${name}-${n}\n`)
  })
  for (let n = 0; ; n += 10) {
    yield* Effect.forEach(
      Array.from({ length: 10 }, (_, i) => n + i),
      confirm,
      { concurrency: "unbounded" }
    )
  }
})

await Effect.runPromise(Effect.scoped(add))
