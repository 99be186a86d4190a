/**
 * Helpers for tests of applications that use a docket.
 *
 * **Details**
 *
 * Importing this module has no effect of its own, and tests that run side by side share nothing.
 */

/** A docket in memory under a virtual clock, with what a test wants to know of it. */
export * as DocketTest from "./DocketTest.ts"
/** Sample payloads of every version of every task, which a test replays. */
export * as GoldenPayloads from "./GoldenPayloads.ts"
