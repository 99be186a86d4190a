/** Schedules tasks in a span of its own, under OpenTelemetry's SDK, and waits for how they end. */
import { NodeRuntime } from "@effect/platform-node"
import { Effect, Layer } from "effect"
import { Docket, DocketLive } from "../../../src/index.ts"
import { observe } from "./observed.ts"
import { Refuse, Square } from "./tasks.ts"

const program = Effect.gen(function* () {
  const docket = yield* Docket
  const now = yield* docket.add(Square, { id: 7, millis: 1 }, { key: "now" })
  const later = yield* docket.add(Square, { id: 8, millis: 1 }, { key: "later", delay: "500 millis" })
  const refused = yield* docket.add(Refuse, { id: 9 }, { key: "refused" })
  yield* now.result
  yield* later.result
  yield* Effect.ignore(refused.result)
  yield* Effect.log("everything has ended")
}).pipe(Effect.withSpan("checkout"))

program.pipe(Effect.provide(DocketLive.pipe(Layer.provideMerge(observe("shop")))), NodeRuntime.runMain)
