import { defineConfig } from "vitest/config"

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts", "scratchpad/**/*.test.ts"],
    setupFiles: ["test/support/quiet.ts"],
    pool: "forks",
    // Real servers and processes run beside the tests: more workers than this make each other late.
    maxWorkers: 2,
    testTimeout: 30_000,
    hookTimeout: 30_000
  }
})
