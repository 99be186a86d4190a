/** The dashboard in a browser: how its pages look, and what is done with them. Run with `npm run test:browser`. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import type { Browser } from "playwright-core"
import { launch, tab, violations } from "./browser.ts"
import { hostile, serve } from "./shop.ts"

class Shop extends Context.Service<
  Shop,
  { readonly browser: Browser; readonly shop: Effect.Success<ReturnType<typeof serve>> }
>()("effect-docket/test/BrowserShop") {}

const layer = Layer.effect(
  Shop,
  Effect.gen(function* () {
    return Shop.of({ browser: yield* launch, shop: yield* serve() })
  })
)

const pages = [
  "",
  "/failed",
  "/executions",
  "/executions?q=task:charge+state:failed",
  "/executions?q=nothing-like-this",
  "/execution?key=movie-512",
  "/execution?key=order-88200",
  "/execution?key=order-88300",
  `/execution?key=${encodeURIComponent(hostile)}`,
  "/execution?key=nobody",
  "/tasks",
  "/schedule",
  "/limits",
  "/holds?task=charge",
  "/workers",
  "/keys",
  "/add?task=charge",
  "/add?task=renderPreview"
]

it.layer(layer, { excludeTestServices: true, timeout: "1 minute" })("the dashboard", (it) => {
  describe("every page", () => {
    for (const path of pages) {
      it.effect(
        `DSH-01: ${path === "" ? "the overview" : path} fits every width, and axe finds nothing, light and dark`,
        () =>
          Effect.gen(function* () {
            const { browser, shop } = yield* Shop
            for (const [scheme, widths] of [
              ["light", [375, 640, 960]],
              ["dark", [1600, 1280]]
            ] as const) {
              const { page, problems } = yield* tab(browser, { scheme })
              const response = yield* Effect.promise(() => page.goto(`${shop.url}/shop${path}`))
              const isMissing = path.endsWith("nobody")
              assert.strictEqual(response?.status(), isMissing ? 404 : 200)
              for (const width of widths) {
                yield* Effect.promise(() => page.setViewportSize({ width, height: 900 }))
                const taken = yield* Effect.promise(() => page.evaluate<number>("document.documentElement.scrollWidth"))
                assert.isAtMost(taken, width)
              }
              assert.deepStrictEqual(yield* violations(page), [], scheme)
              assert.deepStrictEqual(isMissing ? [] : problems, [])
              assert.notStrictEqual(yield* Effect.promise(() => page.title()), "gone")
            }
          }).pipe(Effect.scoped),
        60_000
      )
    }
  })

  describe("actions", () => {
    it.effect(
      "DSH-02: a retry says what was done, and its undo takes it back, with the keyboard alone",
      () =>
        Effect.gen(function* () {
          const { browser, shop } = yield* Shop
          yield* shop.docket.pause("charge")
          const { page } = yield* tab(browser, {})
          yield* Effect.promise(async () => {
            await page.goto(`${shop.url}/shop/executions?q=task:charge+state:failed`)
            await page.keyboard.press("j")
            await page.keyboard.press("x")
            await page.keyboard.press("r")
            await page.waitForSelector(".notice")
          })
          assert.include(yield* Effect.promise(() => page.innerText(".notice")), "Retried 1 execution")
          assert.strictEqual((yield* shop.docket.failed.list({ task: "charge" })).length, 11)
          yield* Effect.promise(async () => {
            await page.keyboard.press("u")
            await page.waitForSelector(".notice >> text=Undone for 1 execution")
          })
          assert.strictEqual((yield* shop.docket.failed.list({ task: "charge" })).length, 12)
          yield* shop.docket.resume("charge")
        }).pipe(Effect.scoped),
      60_000
    )

    it.effect(
      "DSH-02: discarding asks for the count, without script as well",
      () =>
        Effect.gen(function* () {
          const { browser, shop } = yield* Shop
          const { page } = yield* tab(browser, { script: false })
          yield* Effect.promise(async () => {
            await page.goto(`${shop.url}/shop/executions?q=task:sendWelcome+state:failed`)
            await page.click("text=all 1 that match")
            await page.click("text=Discard…")
            await page.fill("#n", "1")
            await page.click(".danger")
            await page.waitForSelector(".notice >> text=Discarded 1 execution")
          })
          assert.deepStrictEqual(yield* shop.docket.failed.list({ task: "sendWelcome" }), [])
        }).pipe(Effect.scoped),
      60_000
    )

    it.effect(
      "what happens appears by itself, and leaves what is ticked alone",
      () =>
        Effect.gen(function* () {
          const { browser, shop } = yield* Shop
          const { page, problems } = yield* tab(browser, {})
          yield* Effect.promise(async () => {
            await page.goto(`${shop.url}/shop/executions?q=state:scheduled+live`)
            await page.waitForSelector("text=Nothing fits")
          })
          yield* shop.docket.addNamed(
            "sendWelcome",
            { customerId: 9, name: "live" },
            { key: "live-1", delay: "1 hour" }
          )
          yield* Effect.promise(() => page.waitForSelector("text=live-1", { timeout: 15_000 }))
          yield* Effect.promise(() => page.check("tbody [type=checkbox]"))
          yield* shop.docket.addNamed(
            "sendWelcome",
            { customerId: 9, name: "live" },
            { key: "live-2", delay: "1 hour" }
          )
          yield* Effect.promise(async () => {
            await page.waitForSelector("#news:visible", { timeout: 15_000 })
            await page.click("#news")
            await page.waitForSelector("text=live-2")
          })
          assert.isTrue(yield* Effect.promise(() => page.isChecked("tbody [type=checkbox]")))
          assert.deepStrictEqual(problems, [])
        }).pipe(Effect.scoped),
      60_000
    )

    it.effect(
      "the theme is chosen, and kept",
      () =>
        Effect.gen(function* () {
          const { browser, shop } = yield* Shop
          const { page } = yield* tab(browser, {})
          yield* Effect.promise(async () => {
            await page.goto(`${shop.url}/shop`)
            const saved = page.waitForResponse((response) => response.url().endsWith("/theme"))
            await page.keyboard.press("t")
            await page.keyboard.press("t")
            await saved
            await page.waitForLoadState("networkidle").catch(() => {})
          })
          assert.isTrue(yield* Effect.promise(() => page.isChecked("#theme-dark")))
        }).pipe(Effect.scoped),
      60_000
    )
  })
})
