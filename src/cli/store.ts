/**
 * The docket that a command works on.
 */
import type * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { type Docket, DocketLive } from "../Docket.ts"
import type { DocketError } from "../DocketError.ts"
import * as Flags from "./flags.ts"

type StoreFlags = Effect.Services<typeof Flags.DocketName> | Effect.Services<typeof Flags.StoreUrl>

/** The docket of the environment, but with the name and the URL that the flags give. */
export const layer: Layer.Layer<Docket, DocketError | Config.ConfigError, StoreFlags> = Layer.unwrap(
  Effect.gen(function* () {
    const flags = ConfigProvider.fromUnknown(
      { DOCKET_NAME: yield* Flags.DocketName, DOCKET_URL: yield* Flags.StoreUrl },
      { preserveEmptyStrings: true }
    )
    return Layer.provide(DocketLive, ConfigProvider.layerAdd(flags, { asPrimary: true }))
  })
)
