/**
 * Makes sure that `redis-server`, or the server that `REDIS_SERVER` names, is there for the tests, or says how to get it.
 */
import { spawnSync } from "node:child_process"

const runs = (command: string) => spawnSync(command, ["--version"], { stdio: "ignore" }).status === 0

const named = process.env["REDIS_SERVER"]

const hasRedis = () => runs(named ?? "redis-server") && runs("redis-cli")

const aptGet = (...args: ReadonlyArray<string>) => {
  const result = spawnSync("apt-get", ["-qq", ...args], {
    env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" },
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"]
  })
  if (result.status !== 0) process.stderr.write(result.stderr)
  return result.status === 0
}

const install = () => {
  if (named !== undefined && !runs(named)) return false
  if (process.getuid?.() !== 0 || !runs("apt-get")) return false
  process.stdout.write("The tests need redis-server, which is missing: installing it with apt-get.\n")
  // Package lists that cannot all be refreshed may still hold a Redis, so the outcome of the update does not matter.
  aptGet("update")
  return aptGet("install", "-y", "--no-install-recommends", "redis-server") && hasRedis()
}

if (!hasRedis() && !install()) {
  process.stderr.write(
    named !== undefined && !runs(named)
      ? `REDIS_SERVER names no server that runs: ${named}\n`
      : "The tests need redis-server and redis-cli 6.2 or later on the PATH: install Redis (apt-get install redis-server, brew install redis) and run them again.\n"
  )
  process.exitCode = 1
}
