/** A worker is a layer: it runs tasks for as long as the application lives. */
import { assert, it } from "@effect/vitest"
import { Context, Effect, Layer, Schema } from "effect"
import { CurrentDocket, Docket, Task, TaskGroup, TaskKey, Worker } from "../../src/index.ts"

class Mailer extends Context.Service<Mailer, { readonly send: (to: string, text: string) => Effect.Effect<void> }>()(
  "test/Mailer"
) {}

const Welcome = Task.make("welcome", { payload: { address: Schema.String }, success: Schema.String })
const FollowUp = Task.make("followUp", { payload: { address: Schema.String } })
const tasks = TaskGroup.make(Welcome, FollowUp)

const Handlers = tasks.toLayer({
  welcome: Effect.fnUntraced(function* ({ address }) {
    const mailer = yield* Mailer
    yield* mailer.send(address, "Welcome!")
    const docket = yield* CurrentDocket
    yield* docket.add(FollowUp, { address }, { key: `follow-up-${address}`, delay: "7 days" })
    return yield* TaskKey
  }),
  followUp: ({ address }) => Effect.flatMap(Mailer, (mailer) => mailer.send(address, "How do you like it?"))
})

it.effect("handlers use the app's services, and what the worker knows of their execution", () =>
  Effect.gen(function* () {
    const sent: Array<string> = []
    const MailerTest = Layer.succeed(Mailer, {
      send: (to, text) => Effect.sync(() => void sent.push(`${to}: ${text}`))
    })
    yield* Layer.build(
      Worker.layer(tasks, { concurrency: 20 }).pipe(Layer.provide(Handlers), Layer.provide(MailerTest))
    )
    const docket = yield* Docket

    const execution = yield* docket.add(Welcome, { address: "ada@example.com" }, { key: "welcome-ada" })
    assert.strictEqual(yield* execution.result, "welcome-ada")
    assert.deepStrictEqual(sent, ["ada@example.com: Welcome!"])

    const followUp = yield* docket.execution(FollowUp, "follow-up-ada@example.com").info
    assert(followUp._tag === "Some")
    assert.strictEqual(followUp.value.state, "scheduled")
  }).pipe(Effect.provide(Docket.layerMemory))
)
