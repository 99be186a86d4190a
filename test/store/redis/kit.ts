/** What the tests of the store on Redis share, besides what all tests of a store do. */
import type { DocketStore, StoreOptions } from "../../../src/DocketStore.ts"
import { request, withoutStrikes } from "../conformance/kit.ts"

export const options: StoreOptions = {
  name: "orders",
  executionTtlMillis: 900_000,
  failedTtlMillis: 0,
  failedMaximum: 100
}

/** Adds an execution that is due. */
export const add = (store: DocketStore["Service"], key: string) => withoutStrikes(store).schedule([request(key)])
