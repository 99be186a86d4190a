import { Effect, Layer } from "effect"
import { RedisServer } from "../support/RedisServer.ts"
import { Harness, suite } from "./conformance.ts"
import { makeHarness } from "./redisHarness.ts"

const harness = Layer.effect(
  Harness,
  Effect.flatMap(RedisServer, ({ url }) => makeHarness(url, [url]))
)

suite("Redis", Layer.provide(harness, RedisServer.layer()), { programs: 40 })
