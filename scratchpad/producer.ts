/**
 * Schedules work for the workers of another process, and waits for what comes back. It needs a worker, here one that it
 * meets in a file; without the URLs they meet in a Redis at redis://localhost:6379/0:
 *
 *     npx docket worker --tasks ./scratchpad/handlers.ts --url sqlite:./docket.db
 *     DOCKET_URL=sqlite:./docket.db npx node scratchpad/producer.ts
 */
import { Console, Effect } from "effect"
import { Docket, DocketLive, Task } from "../src/index.ts"
import { SendWelcome } from "./tasks.ts"

const names = ["Ada", "Grace", "Barbara", "Nobody"]

const program = Effect.gen(function* () {
  const docket = yield* Docket
  const executions = yield* docket.addAll(
    names.map((name, customerId) => Task.request(SendWelcome, { customerId, name }))
  )
  for (const execution of executions) {
    const line = yield* execution.resultWithin("30 seconds").pipe(
      Effect.map((messageId) => `sent as ${messageId}`),
      Effect.catchTag("EmailBounced", ({ address }) => Effect.succeed(`bounced at ${address}`))
    )
    yield* Console.log(`${execution.key}: ${execution.disposition}, ${line}`)
  }
})

program.pipe(
  Effect.catchTag(["DocketError", "ResultTimeout"], ({ message }) => Console.error(message)),
  Effect.provide(DocketLive),
  Effect.runPromise
)
