/** The implementation, for the worker: `npx docket worker --tasks ./scratchpad/app/handlers.ts`. */
import { Context, Effect, Layer } from "effect"
import { CurrentDocket, Progress, TaskModule } from "../../src/index.ts"
import { type MailboxFull, MailReport, tasks } from "./tasks.ts"

/** Where the orders are. */
export class Orders extends Context.Service<
  Orders,
  {
    readonly pages: (month: string) => Effect.Effect<number>
    /** The amounts on a page. */
    readonly page: (month: string, page: number) => Effect.Effect<ReadonlyArray<number>>
  }
>()("scratchpad/app/Orders") {}

export class Mailer extends Context.Service<
  Mailer,
  {
    /** Sends a mail once for each id, however often it is asked to. */
    readonly send: (mail: {
      readonly id: string
      readonly to: string
      readonly text: string
    }) => Effect.Effect<void, MailboxFull>
  }
>()("scratchpad/app/Mailer") {}

export const HandlersLive = tasks.toLayer({
  makeReport: Effect.fn("makeReport")(function* ({ month, to }) {
    const docket = yield* CurrentDocket
    const orders = yield* Orders
    const progress = yield* Progress
    const pages = yield* orders.pages(month)
    yield* progress.setTotal(pages)
    let count = 0
    let total = 0
    for (let page = 1; page <= pages; page++) {
      for (const amount of yield* orders.page(month, page)) {
        count++
        total += amount
      }
      yield* progress.increment()
      yield* progress.setMessage(`page ${page} of ${pages}`)
    }
    // Its key lets a second run of this handler add no second mail while the first one waits.
    yield* docket.add(MailReport, { month, to, total })
    return { orders: count, total }
  }),

  mailReport: Effect.fn("mailReport")(function* ({ month, to, total }) {
    const mailer = yield* Mailer
    yield* mailer.send({ id: `${month}-${to}`, to, text: `The orders of ${month} come to ${total}` })
  })
})

const OrdersDemo = Layer.succeed(Orders, {
  pages: () => Effect.succeed(20),
  page: (_month, page) => Effect.as(Effect.sleep("250 millis"), [page, page * 2, page * 3])
})

const MailerDemo = Layer.succeed(Mailer, { send: ({ text, to }) => Effect.log(`to ${to}: ${text}`) })

export default TaskModule.make(tasks, HandlersLive.pipe(Layer.provide([OrdersDemo, MailerDemo])))
