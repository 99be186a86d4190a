/**
 * Opens the store that a URL names.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { InvalidRequest } from "../DocketError.ts"
import type { DocketStore, StoreOptions } from "../DocketStore.ts"
import * as MemoryStore from "./memory/MemoryStore.ts"

/** Opens the store of a docket, for as long as the scope is open. The scheme of the URL picks the kind. */
export const openStore = (
  url: string,
  options: StoreOptions
): Effect.Effect<DocketStore["Service"], InvalidRequest, Scope.Scope> =>
  url.startsWith("memory:")
    ? MemoryStore.makeShared(url, options)
    : url.startsWith("sqlite:")
      ? // Loaded only where there is a file to keep it in: Node may be told to have no SQLite.
        Effect.flatMap(
          Effect.promise(() => import("./sqlite/SqliteStore.ts")),
          (SqliteStore) => SqliteStore.makeUrl(url, options)
        )
      : // Loaded only where there is a Redis to talk to.
        Effect.flatMap(
          Effect.promise(() => import("./redis/RedisStore.ts")),
          (RedisStore) => RedisStore.makeUrl(url, options)
        )
