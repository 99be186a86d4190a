/**
 * The docket that a command works on.
 */
import * as Clock from "effect/Clock"
import type * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { Docket, DocketLive } from "../Docket.ts"
import type { DocketError, InvalidRequest, StoreError } from "../DocketError.ts"
import type { Inspection as FileInspection } from "../store/sqlite/Inspection.ts"
import { redact } from "../store/redis/connection/Connection.ts"
import { CommandFailed, UsageError } from "./exits.ts"
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

/** The time on the store's clock, epoch milliseconds: what the times in a docket are measured with. */
export class StoreTime extends Context.Service<StoreTime, Effect.Effect<number>>()("effect-docket/cli/StoreTime") {}

/** Refuses a docket that lives in one process, to which this one has no access. */
export const refuseMemory: Effect.Effect<void, UsageError, Effect.Services<typeof Flags.StoreUrl>> = Effect.gen(
  function* () {
    const url = yield* Flags.StoreUrl
    if (!url.startsWith("memory:")) return
    return yield* new UsageError({
      message:
        `A docket at ${redact(url)} lives in the process that opens it, so this command could only see one of its own, ` +
        "and that is empty: give the URL of a Redis, or of a file as in sqlite:./docket.db, with --url or DOCKET_URL"
    })
  }
)

/** Whether the docket is kept in a file. */
export const isFile = (url: string): boolean => url.startsWith("sqlite:")

/** How long a command waits for the store's first answer, unless the URL sets `connectTimeout`. */
const patienceMillis = 1000

/**
 * The docket for commands that look at what other processes keep there. Fails with a sentence when it is in memory, or
 * when its store cannot be reached soon.
 */
export const layerShared: Layer.Layer<
  Docket | StoreTime,
  DocketError | Config.ConfigError | UsageError | CommandFailed,
  StoreFlags
> = Layer.effectContext(
  Effect.gen(function* () {
    yield* refuseMemory
    const docket = yield* Docket
    const url = yield* Flags.StoreUrl
    const asked = /[?&]connectTimeout=(\d{1,9})(?!\d)/.exec(url)?.[1]
    const patience = Duration.millis(Number(asked ?? patienceMillis))
    const reason = yield* Effect.forkChild(whyNoAnswer(url, docket.name, patience))
    const { taken } = yield* docket.store.snapshot(0).pipe(
      Effect.mapError((error) => unreachable(url, explained(error))),
      Effect.timeoutOrElse({
        duration: patience,
        orElse: () =>
          Effect.flatMap(Fiber.join(reason), (why) => {
            const hint = asked === undefined ? " (?connectTimeout=5000 in its URL waits for longer)" : ""
            return Effect.fail(unreachable(url, why ?? `it did not answer within ${Duration.format(patience)}${hint}`))
          })
      }),
      Effect.ensuring(Fiber.interrupt(reason))
    )
    const offset = taken - (yield* Clock.currentTimeMillis)
    return Context.make(Docket, docket).pipe(
      Context.add(
        StoreTime,
        Effect.map(Clock.currentTimeMillis, (now) => now + offset)
      )
    )
  })
).pipe(Layer.provide(layer))

/**
 * What a server says that does not take a call yet, which a client then makes again; or Sentinels and the nodes of a cluster
 * that lead to no server. They are asked when the first answer is late, and asking takes most of a second.
 */
const whyNoAnswer = Effect.fnUntraced(
  function* (url: string, name: string, patience: Duration.Duration) {
    if (isFile(url)) return undefined
    yield* Effect.sleep(Duration.times(patience, 0.3))
    const { make } = yield* Effect.promise(() => import("../store/redis/Inspection.ts"))
    const redis = yield* make({ url, name, timeoutMillis: 100 })
    return yield* Effect.match(redis.ping, {
      onFailure: (error) => (isSilence(error) ? undefined : explained(error)),
      onSuccess: () => undefined
    })
  },
  Effect.scoped,
  Effect.orElseSucceed(() => undefined)
)

/** The file that the docket is kept in, to be looked at. */
export const inspectFile: Effect.Effect<
  FileInspection,
  InvalidRequest | StoreError,
  Effect.Services<typeof Flags.StoreUrl> | Effect.Services<typeof Flags.DocketName> | Scope.Scope
> = Effect.gen(function* () {
  const { make } = yield* Effect.promise(() => import("../store/sqlite/Inspection.ts"))
  return yield* make({ url: yield* Flags.StoreUrl, name: yield* Flags.DocketName })
})

const unreachable = (url: string, why: string) =>
  new CommandFailed({ message: `The docket's store at ${redact(url)} cannot be reached: ${why}` })

/** Whether all that the store's client had to report is that there was no answer. */
export const isSilence = (error: StoreError): boolean => /timed out|in time/.test(whyOf(error))

/** What the store's client reported, and what to do about it. */
export const explained = (error: StoreError): string =>
  error.advice === undefined ? whyOf(error) : `${whyOf(error).replace(/\.$/, "")}. ${error.advice}`

/** What the store's client reported. */
export const whyOf = ({ cause }: StoreError): string => {
  const message = cause instanceof Error ? cause.message : String(cause)
  return message.startsWith("Unknown RESP type") ? "what answers there is no Redis" : message
}
