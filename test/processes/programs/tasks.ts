/**
 * The tasks of the process tests. Each run leaves two lines in a file outside Redis, which is named by the environment:
 * one when it begins and one when it ends.
 */
import { Effect, Schema } from "effect"
import { appendFileSync } from "node:fs"
import { CurrentWorker, Task, TaskGroup, TaskModule } from "../../../src/index.ts"

export const Square = Task.make("square", {
  payload: { id: Schema.Int, millis: Schema.Int },
  success: Schema.Struct({ id: Schema.Int, square: Schema.Int, worker: Schema.String })
})

export class Refused extends Schema.TaggedError<Refused>()("Refused", { id: Schema.Int }) {}

export const Refuse = Task.make("refuse", { payload: { id: Schema.Int }, error: Refused })

export const tasks = TaskGroup.make(Square, Refuse)

const write = (...words: ReadonlyArray<string | number>) =>
  Effect.sync(() => {
    // One call for a short line at the end of a file: lines of several processes do not mix.
    const { LEDGER } = process.env
    if (LEDGER !== undefined) appendFileSync(LEDGER, `${words.join(" ")}\n`)
  })

export const Handlers = tasks.toLayer({
  square: Effect.fnUntraced(function* ({ id, millis }) {
    const { name } = yield* CurrentWorker
    yield* write("began", id, name)
    yield* Effect.sleep(millis)
    yield* write("ended", id, name)
    return { id, square: id * id, worker: name }
  }),
  refuse: ({ id }) => Effect.fail(new Refused({ id }))
})

export default TaskModule.make(tasks, Handlers)
