/** The implementation: `npx docket worker --tasks ./scratchpad/handlers.ts` loads this module and runs it. */
import { Context, Effect, Layer } from "effect"
import { TaskModule } from "../src/index.ts"
import { EmailBounced, tasks } from "./tasks.ts"

class Mailer extends Context.Service<
  Mailer,
  { readonly send: (to: string, text: string) => Effect.Effect<string, EmailBounced> }
>()("scratchpad/Mailer") {}

const MailerLive = Layer.succeed(Mailer, {
  send: (to, text) =>
    to.startsWith("Nobody")
      ? Effect.fail(new EmailBounced({ address: to }))
      : Effect.as(Effect.log(`to ${to}: ${text}`), `message-for-${to}`)
})

const HandlersLive = tasks.toLayer({
  sendWelcome: Effect.fn("sendWelcome")(function* ({ customerId, name }) {
    const mailer = yield* Mailer
    return yield* mailer.send(name, `welcome, you are customer ${customerId}`)
  })
})

export default TaskModule.make(tasks, HandlersLive.pipe(Layer.provide(MailerLive)))
