/** Callers that share calls to the store: how long they wait, and how many may. */
import { assert, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Latch } from "effect"
import * as GroupCommit from "../src/internal/docket/groupCommit.ts"

const over = (wasSent: boolean) => Exit.fail(wasSent ? "sent" : "not sent")
const closed = Exit.fail("closed")

/** Lets callers go as far as they can. */
const turns = Effect.forEach(Array.from({ length: 10 }), () => Effect.yieldNow)

it.live("SCH-14 a caller waits no longer than it has patience, wherever it stands", () =>
  Effect.gen(function* () {
    const sent: Array<ReadonlyArray<string>> = []
    const gate = yield* Latch.make()
    const call = yield* GroupCommit.make({
      send: (items: ReadonlyArray<string>) =>
        Effect.as(
          Effect.andThen(
            Effect.sync(() => sent.push(items)),
            gate.await
          ),
          items
        ),
      maximumSize: 2,
      inFlight: 1,
      closed,
      patience: { millis: 30, over }
    })
    const callers = yield* Effect.forEach(["a", "b", "c", "d", "e"], (item) =>
      Effect.forkChild(Effect.exit(call(item)))
    )
    const exits = yield* Effect.forEach(callers, Fiber.join)
    assert.deepStrictEqual(exits, [over(true), over(true), over(false), over(false), over(false)])
    // What nobody waits for any more is not sent.
    const later = yield* Effect.forkChild(call("f"))
    yield* turns
    yield* gate.open
    assert.strictEqual(yield* Fiber.join(later), "f")
    assert.deepStrictEqual(sent, [["a", "b"], ["f"]])
  })
)

it.effect("SCH-14 only so many callers wait for a call to leave, and one too many is told at once", () =>
  Effect.gen(function* () {
    const gate = yield* Latch.make()
    const call = yield* GroupCommit.make({
      send: (items: ReadonlyArray<string>) => Effect.as(gate.await, items),
      maximumSize: 1,
      inFlight: 1,
      closed,
      crowd: { maximum: 2, refused: Exit.fail("full") }
    })
    const fork = (item: string) => Effect.tap(Effect.forkChild(Effect.exit(call(item))), turns)
    const first = yield* fork("a")
    const waiting = [yield* fork("b"), yield* fork("c")]
    assert.deepStrictEqual(yield* Effect.exit(call("d")), Exit.fail("full"))
    // Whoever gives up makes room.
    yield* Fiber.interrupt(waiting[0]!)
    const last = yield* fork("e")
    yield* gate.open
    const exits = yield* Effect.forEach([first, waiting[1]!, last], Fiber.join)
    assert.deepStrictEqual(exits, [Exit.succeed("a"), Exit.succeed("c"), Exit.succeed("e")])
  })
)
