/** A headless Chromium, as Debian has it. */
import axe, { type AxeResults } from "axe-core"
import { Effect } from "effect"
import { type Browser, chromium, type Page } from "playwright-core"

export const executablePath = process.env["CHROMIUM"] ?? "/usr/bin/chromium"

/** The browser, for as long as the scope is open. */
export const launch = Effect.acquireRelease(
  Effect.promise(() =>
    chromium.launch({
      executablePath,
      args: [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync"
      ]
    })
  ),
  (browser) => Effect.promise(() => browser.close())
)

/** How a page is looked at. */
export interface Look {
  readonly width?: number
  readonly scheme?: "light" | "dark"
  readonly script?: boolean
}

/** A tab of its own, and what went wrong in it. */
export const tab = Effect.fnUntraced(function* (
  browser: Browser,
  { scheme = "light", script = true, width = 1280 }: Look
) {
  const context = yield* Effect.acquireRelease(
    Effect.promise(() =>
      browser.newContext({ viewport: { width, height: 900 }, colorScheme: scheme, javaScriptEnabled: script })
    ),
    (context) => Effect.promise(() => context.close())
  )
  const page = yield* Effect.promise(() => context.newPage())
  const problems: Array<string> = []
  page.on("pageerror", ({ message }) => problems.push(message))
  page.on("console", (message) => {
    if (message.type() === "error") problems.push(message.text())
  })
  return { page, problems }
})

/** What axe finds on a page. The page's policy lets no script in but its own, so axe comes past it, through the debugger. */
export const violations = (page: Page): Effect.Effect<ReadonlyArray<string>> =>
  Effect.promise(async () => {
    await page.evaluate(axe.source)
    const { violations } = await page.evaluate<AxeResults>("axe.run()")
    return violations.map(({ help, nodes }) => `${help}: ${nodes.map(({ target }) => String(target)).join(", ")}`)
  })
