/** The tests of the app: no Redis, no ports, no waiting. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer } from "effect"
import { TestClock } from "effect/testing"
import { HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"
import { Docket } from "../../src/index.ts"
import { DocketTest, GoldenPayloads } from "../../src/testing/index.ts"
import { HandlersLive, Mailer, Orders } from "./handlers.ts"
import { RoutesLive } from "./http.ts"
import { MailboxFull, MailReport, MakeReport, tasks } from "./tasks.ts"

const report = { month: "2026-10", to: "ada@example.com" }

/** Two pages, a second each. */
const OrdersFake = Layer.succeed(Orders, {
  pages: () => Effect.succeed(2),
  page: (_month, page) => Effect.as(Effect.sleep("1 second"), [page, 10])
})

const makeMailer = () => {
  const sent = new Map<string, string>()
  let full = 0
  return {
    sent,
    fill: (mails: number) => {
      full = mails
    },
    layer: Layer.succeed(Mailer, {
      send: ({ id, text, to }) =>
        Effect.suspend(() =>
          full-- > 0 ? Effect.fail(new MailboxFull({ to })) : Effect.sync(() => sent.set(id, text))
        )
    })
  }
}

const appWith = (mailer: ReturnType<typeof makeMailer>) =>
  HandlersLive.pipe(Layer.provide([OrdersFake, mailer.layer]), Layer.provideMerge(DocketTest.layer))

const App = Layer.unwrap(Effect.sync(() => appWith(makeMailer())))

/** Asks the routes, without a server. */
const ask = Effect.fnUntraced(function* (method: string, path: string, body?: unknown) {
  const routes = yield* HttpRouter.toHttpEffect(RoutesLive)
  const request = new Request(`http://localhost${path}`, {
    method,
    ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { "content-type": "application/json" } })
  })
  const response = yield* Effect.provideService(
    routes,
    HttpServerRequest.HttpServerRequest,
    HttpServerRequest.fromWeb(request)
  )
  const web = HttpServerResponse.toWeb(response, { context: yield* Effect.context<never>() })
  return { status: web.status, text: yield* Effect.promise(() => web.text()) }
}, Effect.scoped)

describe("The server", () => {
  it.effect("schedules a report, and one at a time for each month", () =>
    Effect.gen(function* () {
      const first = yield* ask("POST", "/reports", report)
      assert.deepStrictEqual(
        [first.status, JSON.parse(first.text)],
        [202, { key: "report-2026-10", disposition: "scheduled" }]
      )
      const second = yield* ask("POST", "/reports", { ...report, to: "grace@example.com" })
      assert.strictEqual(JSON.parse(second.text).disposition, "already-scheduled")
      yield* DocketTest.assertScheduled(MakeReport, report, { times: 1 })
      yield* DocketTest.assertScheduledCount(1)
    }).pipe(Effect.provide(App))
  )

  it.effect("refuses what is no report, and schedules nothing", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* ask("POST", "/reports", { month: 10 })).status, 400)
      yield* DocketTest.assertNothingScheduled
    }).pipe(Effect.provide(App))
  )

  it.effect("streams the progress of a report while it is made", () =>
    Effect.gen(function* () {
      yield* ask("POST", "/reports", report)
      const following = yield* Effect.forkChild(ask("GET", "/reports/report-2026-10/events"))
      yield* DocketTest.advance(tasks, "3 seconds")
      const { text } = yield* Fiber.join(following)
      const events = text.split("\n").flatMap((line) => (line.startsWith("data: ") ? [JSON.parse(line.slice(6))] : []))
      assert.deepStrictEqual(
        events.flatMap(({ state }) => state ?? []),
        ["queued", "running", "completed"]
      )
      const progress = events.filter(({ total }) => total !== undefined)
      assert.deepStrictEqual(progress[0], { current: 0, total: 2 })
      assert.deepStrictEqual(progress.at(-1), { current: 2, total: 2, message: "page 2 of 2" })
    }).pipe(Effect.provide(App))
  )

  it.effect("answers with the result, or that there is no such report", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* ask("GET", "/reports/report-2026-10")).status, 404)
      yield* ask("POST", "/reports", report)
      yield* DocketTest.advance(tasks, "3 seconds")
      const { status, text } = yield* ask("GET", "/reports/report-2026-10")
      assert.deepStrictEqual([status, JSON.parse(text)], [200, { orders: 4, total: 23 }])
    }).pipe(Effect.provide(App))
  )
})

describe("The handlers", () => {
  it.effect("make a report, and schedule the mail about it", () =>
    Effect.gen(function* () {
      const running = yield* Effect.forkChild(DocketTest.runOne(MakeReport, report))
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(yield* Fiber.join(running), { orders: 4, total: 23 })
      yield* DocketTest.assertScheduled(MailReport, { to: report.to, total: 23 })
    }).pipe(Effect.provide(App))
  )

  it.effect("try a full mailbox again, three times in all", () =>
    Effect.gen(function* () {
      const mailer = makeMailer()
      yield* Effect.gen(function* () {
        const docket = yield* Docket
        const mail = { ...report, total: 23 }
        mailer.fill(2)
        yield* docket.add(MailReport, mail)
        yield* DocketTest.runAllDue(tasks)
        yield* DocketTest.assertScheduled(MailReport)
        yield* DocketTest.advance(tasks, "1 hour")
        assert.deepStrictEqual([...mailer.sent.values()], ["The orders of 2026-10 come to 23"])

        mailer.fill(3)
        const failed = yield* docket.add(MailReport, { ...mail, month: "2026-11" })
        yield* DocketTest.advance(tasks, "1 hour")
        assert.strictEqual((yield* Effect.flip(failed.result))._tag, "MailboxFull")
        yield* DocketTest.assertNothingScheduled
      }).pipe(Effect.provide(appWith(mailer)))
    })
  )

  for (const call of ["claim", "progress", "schedule", "settle"] as const) {
    for (const when of ["before", "after"] as const) {
      it.effect(`send one mail, also when the worker crashes ${when} its first ${call}`, () =>
        Effect.gen(function* () {
          const mailer = makeMailer()
          yield* Effect.gen(function* () {
            yield* (yield* Docket).add(MakeReport, report)
            yield* DocketTest.crashAt(call, { when })
            yield* DocketTest.advance(tasks, "10 minutes")
            yield* DocketTest.assertNothingScheduled
          }).pipe(Effect.provide(appWith(mailer)))
          assert.strictEqual(mailer.sent.size, 1)
        })
      )
    }
  }

  it.effect("run what older deploys have scheduled", () =>
    GoldenPayloads.check(tasks, `${import.meta.dirname}/payloads.json`)
  )
})
