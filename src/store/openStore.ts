/**
 * Opens the store that a URL names.
 */
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { InvalidRequest } from "../DocketError.ts"
import type { DocketStore, StoreOptions } from "../DocketStore.ts"
import * as MemoryStore from "./memory/MemoryStore.ts"
import * as RedisStore from "./redis/RedisStore.ts"

/** Opens the store of a docket, for as long as the scope is open. The scheme of the URL picks the kind. */
export const openStore = (
  url: string,
  options: StoreOptions
): Effect.Effect<DocketStore["Service"], InvalidRequest, Scope.Scope> =>
  url.startsWith("memory:") ? MemoryStore.makeShared(url, options) : RedisStore.makeUrl(url, options)
