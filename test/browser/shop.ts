/**
 * A shop during an incident, for the browser and for pictures: the card service is down, a task is paused, one has no worker,
 * one runs with progress, one waits for a slot.
 */
import { Deferred, Effect, Layer, Logger, Redacted, Schema } from "effect"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { Docket, Dockets, Progress, Retry, Task, TaskGroup, Worker } from "../../src/index.ts"
import * as Dashboard from "../../src/dashboard/index.ts"

export class CardServiceDown extends Schema.TaggedError<CardServiceDown>("CardServiceDown")("CardServiceDown", {
  message: Schema.String
}) {}

export const Charge = Task.make("charge", {
  payload: {
    orderId: Schema.Int,
    customerId: Schema.Int,
    cents: Schema.Int,
    card: Schema.Redacted(Schema.String)
  },
  success: Schema.Struct({ receipt: Schema.String }),
  error: CardServiceDown,
  key: ({ orderId }) => `order-${orderId}`,
  retry: Retry.linear({ attempts: 2, delay: 0 }),
  concurrency: { limit: 1, by: ({ customerId }) => customerId }
})

export const Transcode = Task.make("transcode", {
  payload: { movieId: Schema.Int, profile: Schema.Literals(["h265-1080p", "av1-2160p"]) },
  key: ({ movieId }) => `movie-${movieId}`,
  timeout: "10 minutes"
})

export const RenderPreview = Task.make("renderPreview", { payload: { page: Schema.Int } })
export const SendWelcome = Task.make("sendWelcome", { payload: { customerId: Schema.Int, name: Schema.String } })
export const NightlyReport = Task.make("nightlyReport", {
  cron: { expression: "0 3 * * *", timeZone: "Europe/Lisbon" }
})
export const SyncStock = Task.make("syncStock", { cron: { expression: "*/15 6-20 * * 1-5" } })

const tasks = TaskGroup.make(Charge, Transcode, RenderPreview, SendWelcome, NightlyReport, SyncStock)

/** What an odd payload, key or name may hold. */
export const hostile = `"><script>document.title='gone'</script><img src=x onerror="document.title='gone'">&amp;\u202e`

/** Lets the incident happen in a docket. */
export const incident = Effect.gen(function* () {
  const docket = yield* Docket
  const stay = yield* Deferred.make<void>()
  const settled = yield* Deferred.make<void>()
  let charged = 0
  const handlers = tasks.toLayer({
    charge: ({ orderId }) =>
      orderId === 88190
        ? Effect.as(Deferred.await(stay), { receipt: "r" })
        : orderId < 88000
          ? Effect.succeed({ receipt: `r-${orderId}` })
          : Effect.suspend(() => {
              charged++
              return Effect.fail(new CardServiceDown({ message: "503 from cards.internal" }))
            }),
    transcode: Effect.fnUntraced(function* () {
      const progress = yield* Progress
      yield* progress.setTotal(2400)
      yield* progress.increment(1488)
      yield* progress.setMessage("second pass, keyframe at 00:04:11")
      yield* Deferred.succeed(settled, undefined)
      yield* Deferred.await(stay)
    }),
    renderPreview: () => Effect.void,
    sendWelcome: ({ name }) =>
      name.length > 20 ? Effect.die(new Error(`mailbox of ${name} does not exist`)) : Effect.void,
    nightlyReport: () => Effect.void,
    syncStock: () => Effect.void
  })
  yield* docket.pause(RenderPreview)
  yield* docket.strike({ task: "sendWelcome", field: "customerId", operator: "==", value: 1004, hold: true })
  // Its logs are not what is looked at.
  yield* Layer.build(
    Worker.layer(tasks, { name: "mill-1", concurrency: 20 }).pipe(Layer.provide([handlers, Logger.layer([])]))
  )
  const charge = (orderId: number, customerId: number) =>
    docket.add(Charge, { orderId, customerId, cents: 12_900, card: Redacted.make("4242-secret") })
  yield* docket.add(Transcode, { movieId: 512, profile: "h265-1080p" })
  yield* charge(88190, 4471)
  yield* Deferred.await(settled)
  for (let i = 0; i < 30; i++) yield* charge(87_000 + i, i)
  for (let i = 0; i < 12; i++) yield* charge(88_200 + i, 100 + i)
  yield* charge(88_300, 4471)
  yield* charge(88_301, 4471)
  for (let i = 0; i < 14; i++) yield* docket.add(RenderPreview, { page: i })
  for (let i = 0; i < 3; i++) yield* docket.add(SendWelcome, { customerId: 1004, name: `Ada ${i}` })
  for (let i = 0; i < 2; i++) yield* docket.addNamed("resizeAvatar", { customerId: i })
  for (let i = 0; i < 40; i++) {
    yield* docket.add(SendWelcome, { customerId: i, name: "Bo" }, { key: `welcome-${i}`, delay: `${i + 20} minutes` })
  }
  yield* docket.add(SendWelcome, { customerId: 7, name: hostile }, { key: hostile })
  return { stay, charged: () => charged }
})

/** Serves the dashboard of a docket in memory, in which the incident happened. */
export const serve = Effect.fnUntraced(function* (options: Dashboard.Options = {}) {
  const docket = yield* Dockets.makeMemory({ name: "shop" })
  const happened = yield* Effect.provideService(incident, Docket, docket)
  const node = Dashboard.toNodeHandler(
    { tasks, place: "redis.internal:6379/0", ...options },
    Layer.succeed(Docket, docket)
  )
  yield* Effect.addFinalizer(() => Effect.promise(node.dispose))
  const server = createServer(node.handler)
  yield* Effect.acquireRelease(
    Effect.callback<void>((resume) => void server.listen(0, "127.0.0.1", () => resume(Effect.void))),
    () =>
      Effect.sync(() => {
        server.closeAllConnections()
        server.close()
      })
  )
  const { port } = server.address() as AddressInfo
  return { docket, url: `http://127.0.0.1:${port}`, ...happened }
})
