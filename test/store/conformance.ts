/**
 * What every store of a docket has to do, in terms of the port. One suite, run against each store.
 *
 * **Details**
 *
 * The numbers in the titles are those of the behaviours. Tests of one subject are in one file beside this one.
 */
import { layer } from "@effect/vitest"
import { Effect, type Layer } from "effect"
import { TestClock } from "effect/testing"
import { admission } from "./conformance/admission.ts"
import { cancelling } from "./conformance/cancelling.ts"
import { Harness, makeKit, type Test } from "./conformance/kit.ts"
import { limits, limitsModel } from "./conformance/limits.ts"
import { leases } from "./conformance/leases.ts"
import { model } from "./conformance/model.ts"
import { operating } from "./conformance/operating.ts"
import { replacing } from "./conformance/replacing.ts"
import { needs } from "./conformance/needs.ts"
import { running } from "./conformance/running.ts"
import { scheduling } from "./conformance/scheduling.ts"
import { strikes } from "./conformance/strikes.ts"
import { wakeups } from "./conformance/wakeups.ts"

export { Harness } from "./conformance/kit.ts"

/** Tests a store; `programs` is how many random programs to run. */
export const suite = <E>(
  name: string,
  harness: Layer.Layer<Harness, E>,
  { programs }: { readonly programs: number }
): void =>
  // Each test has a clock of its own, beside the layer's real one.
  layer(harness, { excludeTestServices: true })(`DocketStore (${name})`, (it) => {
    const test: Test = (title, body) =>
      it.effect(title, () =>
        Effect.gen(function* () {
          const { afterEach } = yield* Harness
          yield* Effect.scoped(Effect.flatMap(makeKit, body)).pipe(
            // What a failed test leaves is not the next one's fault.
            Effect.onError(() => Effect.exit(afterEach))
          )
          yield* afterEach
        }).pipe(Effect.provide(TestClock.layer()))
      )
    scheduling(test)
    replacing(test)
    cancelling(test)
    running(test)
    needs(test)
    leases(test)
    limits(test)
    admission(test)
    strikes(test)
    wakeups(test)
    operating(test)
    model(it, programs)
    limitsModel(it, programs)
  })
