/**
 * What only Redis itself can tell an operator about the place where a docket is kept: its version and settings, its
 * clock, and what the user may do there.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as SecureRandom from "effect/crypto/SecureRandom"
import type { InvalidRequest, StoreError } from "../../DocketError.ts"
import { isReadOnly, presentable } from "./connection/Client.ts"
import * as Connection from "./connection/Connection.ts"
import * as Keys from "./scripts/keys.ts"
import * as Redis from "./connection/Redis.ts"

/** Answers about one docket's Redis; each may be refused to the user. */
export interface Inspection {
  readonly ping: Effect.Effect<void, StoreError>
  /** What the server calls itself, as in `Redis 7.0.15`; it tells anyone. */
  readonly server: Effect.Effect<string, StoreError>
  /** How many replicas have to have each write, as the URL says. */
  readonly replicas: number
  /** Makes a write, and fails when too few replicas have it. Leaves nothing behind. */
  readonly write: Effect.Effect<void, StoreError>
  /** The user's name. */
  readonly user: Effect.Effect<string, StoreError>
  /** The fields of `INFO`. */
  readonly info: Effect.Effect<ReadonlyMap<string, string>, StoreError>
  /** A setting of the server. */
  readonly setting: (name: string) => Effect.Effect<string | undefined, StoreError>
  /** Its clock, epoch milliseconds. */
  readonly time: Effect.Effect<number, StoreError>
  /** The docket's slot, on a cluster. */
  readonly slot: Effect.Effect<number, StoreError>
  /** How many executions are listed as failed. */
  readonly failed: Effect.Effect<number, StoreError>
  /**
   * Some of the keys of the executions whose records are there, live or settled, and where to go on; from and to `"0"`.
   * Redis goes through all its keys for that, so many a call, and may give a key twice.
   */
  readonly executions: (options: {
    readonly cursor: string
    /** What the executions' keys begin with. */
    readonly prefix: string
  }) => Effect.Effect<{ readonly cursor: string; readonly keys: ReadonlyArray<string> }, StoreError>
  /** What a docket does there and the user may not do, or what fails for another reason. Leaves nothing behind. */
  readonly denied: Effect.Effect<ReadonlyArray<Denied>, StoreError>
}

/** Something that does not work. */
export interface Denied {
  /** The command, and the keys or channels that it was tried with. */
  readonly command: string
  readonly on: string | undefined
  readonly error: string
}

/** Inspects the Redis at a URL, where the docket with this name is kept. */
export const make: (options: {
  readonly url: string
  readonly name: string
  /** For an answer; after that it is said why there is none, as far as that is known. Default: what the URL says, or 1000. */
  readonly timeoutMillis?: number
}) => Effect.Effect<Inspection, InvalidRequest, Scope.Scope> = Effect.fnUntraced(function* ({
  name,
  timeoutMillis,
  url
}) {
  const parsed = yield* Connection.parse(url)
  const commandTimeout = timeoutMillis ?? parsed.options.commandTimeout ?? 1000
  const connection = { ...parsed, options: { ...parsed.options, commandTimeout } }
  const keys = Keys.make(name)
  const redis = yield* Redis.make({ connection, connectionName: `docket:${name}:doctor`, key: keys.prefix })
  const operation = "Inspection"
  const send = (command: string, ...args: ReadonlyArray<string | number>) => redis.command(operation, command, ...args)
  const tryInScript = redis.eval(probe)
  const tryToWrite = redis.eval(confirmed)

  const outside = (command: string, on: string, attempt: Effect.Effect<unknown, StoreError, Scope.Scope>) =>
    Effect.match(Effect.scoped(attempt), {
      onSuccess: (): ReadonlyArray<Denied> => [],
      onFailure: ({ cause }) => [{ command, on, error: cause instanceof Error ? cause.message : String(cause) }]
    })

  return {
    // It is refused like a write when the server cannot write to its disk; that is an answer too.
    ping: Effect.asVoid(
      Effect.catchIf(
        send("PING"),
        ({ cause }) => isReadOnly(cause),
        () => Effect.void
      )
    ),
    server: Effect.map(send("HELLO"), (reply) => {
      const name = settingOf(reply, "server") ?? "unknown"
      const version = settingOf(reply, "version") ?? "?"
      return `${name.charAt(0).toUpperCase()}${name.slice(1)} ${version}`
    }),
    replicas: connection.options.replicas ?? 0,
    write: Effect.suspend(() => Effect.asVoid(tryToWrite(keys.prefix + Keys.segments.none))),
    user: Effect.map(send("ACL", "WHOAMI"), String),
    info: Effect.map(send("INFO"), (text) => parseInfo(String(text))),
    setting: (name) => Effect.map(send("CONFIG", "GET", name), (reply) => settingOf(reply, name)),
    time: Effect.map(send("TIME"), (reply) => {
      const [seconds, micros] = Array.isArray(reply) ? reply.map(Number) : []
      return (seconds ?? 0) * 1000 + Math.floor((micros ?? 0) / 1000)
    }),
    slot: Effect.map(send("CLUSTER", "KEYSLOT", keys.prefix), Number),
    failed: Effect.map(send("ZCARD", keys.failed), Number),
    executions: Effect.fnUntraced(function* ({ cursor, prefix }) {
      const records = keys.prefix + Keys.segments.record
      const pattern = `${(records + prefix).replace(/[*?[\]\\]/g, "\\$&")}*`
      const reply = yield* send("SCAN", cursor, "MATCH", pattern, "COUNT", keysPerScan)
      const [next, found]: ReadonlyArray<unknown> = Array.isArray(reply) ? reply : []
      return {
        cursor: String(next ?? "0"),
        keys: Array.isArray(found) ? found.map((key) => String(key).slice(records.length)) : []
      }
    }),
    denied: Effect.suspend(() => {
      // Not the key of any execution or worker.
      const id = `doctor-${SecureRandom.uuidV4Unsafe()}`
      const channels = keys.eventsOf(id)
      const wake = keys.wakeOf(id)
      const probes = probesOf(keys, id)
      return Effect.map(
        Effect.all([
          Effect.map(
            tryInScript(
              keys,
              probes.map((probe) => JSON.stringify(probe))
            ),
            (errors) =>
              errors.flatMap((error, i): ReadonlyArray<Denied> => {
                const [command = "", key] = probes[i]!
                return error === ""
                  ? []
                  : [
                      {
                        command,
                        on: key?.startsWith(keys.prefix) === true ? key : undefined,
                        error: presentable(new Error(error)).message
                      }
                    ]
              })
          ),
          outside(
            "SUBSCRIBE",
            channels.join(", "),
            redis.subscribe(channels, { onMessage: () => {}, onGap: () => {} })
          ),
          outside(
            "BLPOP",
            wake,
            Effect.flatMap(redis.blocking, (block) => block(operation, "BLPOP", wake, "0.01"))
          )
        ]),
        (all) => all.flat().map((denied) => ({ ...denied, on: denied.on?.replaceAll(id, "…") }))
      )
    })
  }
})

/** How many keys, of whatever kind, Redis looks at in one call of `executions`. */
export const keysPerScan = 1000

const parseInfo = (text: string): ReadonlyMap<string, string> =>
  new Map(
    text.split(/\r?\n/).flatMap((line) => {
      const colon = line.indexOf(":")
      return colon < 0 || line.startsWith("#") ? [] : [[line.slice(0, colon), line.slice(colon + 1)] as const]
    })
  )

/** A list of names and values, or with RESP3 an object of them. */
const settingOf = (reply: unknown, name: string): string | undefined => {
  const pairs: ReadonlyArray<unknown> = Array.isArray(reply)
    ? reply.flat()
    : typeof reply === "object" && reply !== null
      ? Object.entries(reply).flat()
      : []
  const at = pairs.indexOf(name)
  return at < 0 ? undefined : String(pairs[at + 1])
}

/**
 * A use of every command that the scripts of a docket call, on keys of every kind. On keys that a docket has they change
 * nothing, by their arguments; on others they may, and `probe` deletes those.
 */
export const probesOf = (keys: Keys.Keys, id: string): ReadonlyArray<ReadonlyArray<string>> => {
  const of = (segment: keyof typeof Keys.segments) => keys.prefix + Keys.segments[segment] + id
  const [record, payload, result] = [of("record"), of("payload"), of("result")]
  const sets = (["parked", "line", "gate", "starts"] as const).map(of)
  const hashes = (["progress", "slots", "debounce", "worker", "contract"] as const).map(of)
  // These are the docket's own: they are only read.
  const hashesRead = (["lines", "limits", "contracts", "facts"] as const).map(
    (segment) => keys.prefix + Keys.segments[segment]
  )
  const strings = [result, of("cooldown"), of("suspect")]
  const lists = [of("attempts"), of("runs"), keys.wakeOf(id)]
  return [
    ["TIME"],
    ["XADD", keys.prefix + id, "NOMKSTREAM", "*", "key", id],
    ["XLEN", keys.stream],
    ["XRANGE", keys.stream, "-", "+", "COUNT", "1"],
    ["XDEL", keys.stream, "0-1"],
    ["XTRIM", keys.stream, "MINID", "0"],
    ...[
      keys.queue,
      keys.leases,
      keys.failed,
      keys.workers,
      keys.held,
      keys.asked,
      keys.waiting,
      keys.turns,
      keys.gates,
      keys.opens
    ].flatMap((key) => [
      ["ZADD", key, "XX", "0", id],
      ["ZREM", key, id],
      ["ZCARD", key],
      ["ZRANGE", key, "0", "0"],
      ["ZREVRANGE", key, "0", "0"],
      ["ZRANGEBYSCORE", key, "1", "0"],
      ["ZREMRANGEBYSCORE", key, "1", "0"],
      ["ZRANK", key, id],
      ["ZSCORE", key, id]
    ]),
    ...sets.flatMap((key) => [
      ["ZADD", key, "0", id],
      ["ZCOUNT", key, "1", "0"]
    ]),
    ["SADD", keys.prefix + id, id],
    ["SREM", keys.parked, id],
    ["SMEMBERS", keys.parked],
    ["EXISTS", keys.watchers],
    ["SET", keys.watchers, "1", "NX", "PX", "1"],
    ["HSET", record, "task", id],
    ["HGET", record, "task"],
    ["HMGET", record, "task", "state"],
    ["HGETALL", record],
    ["HSCAN", record, "0"],
    ["HINCRBY", record, "gen", "1"],
    ["HSETNX", record, "task", id],
    ["HDEL", record, "task"],
    ...[keys.strikes, keys.overtaken].flatMap((key) => [
      ["HKEYS", key],
      ["HVALS", key],
      ["HLEN", key],
      ["HEXISTS", key, id],
      ["HDEL", key, id]
    ]),
    ...hashes.map((key) => ["HSET", key, id, "0"]),
    ...hashesRead.map((key) => ["HGET", key, id]),
    ["XRANGE", keys.prefix + Keys.segments.front, "-", "+", "COUNT", "1"],
    ["EXISTS", of("before")],
    ["ZCARD", keys.prefix + Keys.segments.failedChains],
    ["LRANGE", keys.prefix + Keys.segments.notices, "0", "0"],
    ["GET", keys.release],
    ["HGET", keys.prefix + Keys.segments.none, id],
    ["SET", payload, "{}", "PX", "1000"],
    ["GET", result],
    ["MGET", payload],
    ["PERSIST", payload],
    ["PEXPIRE", payload, "1000"],
    ...strings.map((key) => ["SET", key, "c", "PX", "1000"]),
    ...lists.flatMap((key) => [
      ["RPUSH", key, id],
      ["LRANGE", key, "0", "0"]
    ]),
    ["LTRIM", keys.wake, "0", "-1"],
    ["EXISTS", keys.wake],
    ...[keys.events, keys.strikes, ...keys.eventsOf(id), keys.cancel(id)].map((channel) => ["PUBLISH", channel, "{}"]),
    ["PUBSUB", "NUMSUB", keys.events],
    ["SCAN", "0", "COUNT", "1"],
    ["TYPE", keys.stream],
    ["COPY", keys.prefix + id, of("misplaced"), "REPLACE"],
    ["RENAME", keys.prefix + id, of("misplaced")],
    ["DEL", keys.prefix + Keys.segments.none],
    ["DEL", of("misplaced"), record, payload, ...sets, ...hashes, ...strings, ...lists, keys.prefix + id]
  ]
}

/**
 * Tries commands, one after the other.
 *
 * KEYS      as `Keys.fixed` lists them
 * ARGV[1…]  a command each, as a JSON array: its name and arguments
 * Reply     for each its error; empty if it worked
 * Cost      that of the commands
 */
const probe = Redis.script((keys: Keys.Keys, commands: ReadonlyArray<string>) => [...Keys.fixed(keys), ...commands], {
  operation: "Inspection.denied",
  unconfirmed: true,
  numberOfKeys: Keys.numberOfFixed,
  lua: /* lua */ `
local errors = {}
for i = 1, #ARGV do
  local reply = redis.pcall(unpack(cjson.decode(ARGV[i])))
  errors[i] = type(reply) == 'table' and reply.err or ''
end
return errors
`
}).withReplyType<ReadonlyArray<string>>()

/**
 * Writes something that is gone at once.
 *
 * KEYS[1]  a key that is never there
 * Reply    nothing
 * Cost     O(1)
 */
const confirmed = Redis.script((key: string) => [key], {
  operation: "Inspection.write",
  numberOfKeys: 1,
  lua: /* lua */ `
redis.call('SET', KEYS[1], '', 'PX', 1)
redis.call('DEL', KEYS[1])
`
}).withReplyType<null>()
