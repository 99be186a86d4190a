/** A master with a replica of a test's own, and three Sentinels that watch over them. */
import { Context, Effect, Layer, type Scope } from "effect"
import type { Certificates } from "./certificates.ts"
import * as RedisServer from "./RedisServer.ts"
import { waitUntil } from "./waitUntil.ts"

export type Server = RedisServer.RedisServer["Service"]

export interface Options {
  /** After how long without an answer the master counts as down. Default: 500 ms. */
  readonly downAfterMillis?: number
  /** Passwords of the data nodes and of the Sentinels. Default: none. */
  readonly passwords?: { readonly data: string; readonly sentinel: string }
  readonly tls?: Certificates
}

export class RedisSentinel extends Context.Service<
  RedisSentinel,
  {
    /** `redis+sentinel://`, all Sentinels, and the service. */
    readonly url: string
    readonly servers: ReadonlyArray<Server>
    readonly sentinels: ReadonlyArray<Server>
    /** The master, as the Sentinels have it. */
    readonly master: Effect.Effect<Server, RedisServer.RedisServerError>
    /** Completes once another server than this one is master, and says so. */
    readonly untilPromoted: (other: Server) => Effect.Effect<Server, RedisServer.RedisServerError>
    /** Lets the Sentinels put the replica in the master's place, as an operator does. */
    readonly failover: Effect.Effect<void, RedisServer.RedisServerError>
    /** Completes once every server but the master follows it, and every Sentinel knows. */
    readonly untilWhole: Effect.Effect<void, RedisServer.RedisServerError>
  }
>()("effect-docket/test/RedisSentinel") {
  static readonly layer = (options?: Options): Layer.Layer<RedisSentinel, RedisServer.RedisServerError> =>
    Layer.effect(RedisSentinel, make(options))
}

const service = "orders"

export const make: (
  options?: Options
) => Effect.Effect<RedisSentinel["Service"], RedisServer.RedisServerError, Scope.Scope> = Effect.fnUntraced(function* ({
  downAfterMillis = 500,
  passwords,
  tls
}: Options = {}) {
  const secure = tls === undefined ? {} : { tls }
  const config = ["--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1"]
  if (passwords !== undefined) config.push("--requirepass", passwords.data, "--masterauth", passwords.data)
  if (tls !== undefined) config.push("--tls-replication", "yes")
  const first = yield* RedisServer.make({ config, appendonly: true, ...secure })
  const second = yield* RedisServer.make({
    config: [...config, "--replicaof", `127.0.0.1 ${first.port}`],
    appendonly: true,
    ...secure
  })
  const servers = [first, second]
  const data = withPassword(passwords?.data)
  yield* waitUntil(
    "the replica follows",
    Effect.map(data(second)("INFO", "replication"), (info) => info.includes("master_link_status:up"))
  )
  const file = [
    `sentinel monitor ${service} 127.0.0.1 ${first.port} 2`,
    `sentinel down-after-milliseconds ${service} ${downAfterMillis}`,
    `sentinel failover-timeout ${service} ${2 * downAfterMillis}`
  ]
  const sentinelConfig = ["--sentinel"]
  if (passwords !== undefined) {
    file.push(`sentinel auth-pass ${service} ${passwords.data}`)
    file.push(`requirepass ${passwords.sentinel}`, `sentinel sentinel-pass ${passwords.sentinel}`)
  }
  if (tls !== undefined) sentinelConfig.push("--tls-replication", "yes")
  const sentinels = yield* Effect.all(
    [1, 2, 3].map(() => RedisServer.make({ file, config: sentinelConfig, ...secure })),
    { concurrency: 3 }
  )
  const ask = withPassword(passwords?.sentinel)
  // They look at the servers every ten seconds, unless they are told otherwise, which Redis knows from version 7 on.
  for (const sentinel of sentinels) {
    yield* Effect.ignore(ask(sentinel)("SENTINEL", "DEBUG", "INFO-PERIOD", "200", "PUBLISH-PERIOD", "200"))
  }

  const isWhole = Effect.gen(function* () {
    for (const sentinel of sentinels) {
      const info = yield* ask(sentinel)("SENTINEL", "MASTER", service)
      const fields = info.split("\n")
      const field = (name: string) => fields[fields.indexOf(name) + 1]
      if (field("flags") !== "master" || field("num-other-sentinels") !== "2" || field("num-slaves") !== "1")
        return false
      const replicas = yield* ask(sentinel)("SENTINEL", "REPLICAS", service)
      if (!/\nflags\nslave\n/.test(replicas) || !/\nmaster-link-status\nok\n/.test(replicas)) return false
    }
    return true
  })
  const untilWhole = waitUntil("the Sentinels know each other, the master and its replica", isWhole)
  yield* untilWhole

  const byPort = (port: string) => servers.find((server) => String(server.port) === port)!
  const master = Effect.map(ask(sentinels[0]!)("SENTINEL", "GET-MASTER-ADDR-BY-NAME", service), (address) =>
    byPort(address.split("\n")[1] ?? "")
  )

  const query = new URLSearchParams()
  if (passwords !== undefined) query.set("sentinel_password", passwords.sentinel)
  if (tls !== undefined) query.set("ca", tls.ca)
  const scheme = tls === undefined ? "redis+sentinel" : "rediss+sentinel"
  const userInfo = passwords === undefined ? "" : `:${encodeURIComponent(passwords.data)}@`
  const hosts = sentinels.map(({ port }) => `127.0.0.1:${port}`).join(",")
  return RedisSentinel.of({
    url: `${scheme}://${userInfo}${hosts}/${service}${query.size > 0 ? `?${query}` : ""}`,
    servers,
    sentinels,
    master,
    untilPromoted: Effect.fnUntraced(function* (other) {
      const promoted = servers.find((server) => server !== other)!
      yield* waitUntil(
        "the replica is promoted",
        // A promotion closes connections, that of this question among them.
        Effect.map(
          Effect.orElseSucceed(data(promoted)("INFO", "replication"), () => ""),
          (info) => info.includes("role:master")
        )
      )
      return promoted
    }),
    failover: Effect.asVoid(ask(sentinels[0]!)("SENTINEL", "FAILOVER", service)),
    untilWhole
  })
})

const withPassword =
  (password: string | undefined) =>
  ({ cli }: Server) =>
  (...args: ReadonlyArray<string>) =>
    password === undefined ? cli(...args) : cli("--no-auth-warning", "-a", password, ...args)
