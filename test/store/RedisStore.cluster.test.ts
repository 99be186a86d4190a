/** The suite on a cluster, as a user with no other rights than those that the docs list. */
import { Effect, Layer } from "effect"
import { readFileSync } from "node:fs"
import { RedisCluster } from "../support/RedisCluster.ts"
import { Harness, suite } from "./conformance.ts"
import { makeHarness } from "./redisHarness.ts"

const documented =
  readFileSync(new URL("../../docs/redis.md", import.meta.url), "utf8").match(/(?<=\s)\+[a-z|]+/g) ?? []

const harness = Layer.effect(
  Harness,
  Effect.gen(function* () {
    const { nodes, url } = yield* RedisCluster
    const user = ["ada", "on", ">hunter2", "resetkeys", "resetchannels", "~{*}:*", "&{*}:*", "-@all"]
    for (const { cli } of nodes) yield* cli("ACL", "SETUSER", ...user, ...documented)
    return yield* makeHarness(
      url.replace("://", "://ada:hunter2@"),
      nodes.map((node) => node.url)
    )
  })
)

// Each test has a docket of its own, and so the tests are spread over the three nodes.
suite("Redis cluster", Layer.provide(harness, RedisCluster.layer()), { programs: 5 })
