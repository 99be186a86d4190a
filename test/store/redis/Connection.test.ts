import { assert, describe, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import * as Connection from "../../../src/store/redis/connection/Connection.ts"

const parsed = Effect.fnUntraced(function* (url: string) {
  const { password, ...connection } = yield* Connection.parse(url)
  const plain = (secret: Redacted.Redacted | undefined) => (secret === undefined ? undefined : Redacted.value(secret))
  const rest = connection._tag === "Sentinel" ? { sentinelPassword: plain(connection.sentinelPassword) } : {}
  return { server: undefined, ...connection, ...rest, password: plain(password) }
})

const single = {
  _tag: "Single",
  server: { host: "localhost", port: 6379 },
  tls: undefined,
  username: undefined,
  password: undefined,
  database: 0,
  options: {}
} as const

describe("Connection", () => {
  for (const [url, connection] of Object.entries({
    "redis://localhost:6379/0": single,
    "redis://": single,
    "redis:///3": { ...single, database: 3 },
    "valkey://cache.example:7000/2/": {
      ...single,
      server: { host: "cache.example", port: 7000 },
      database: 2
    },
    "redis://[::1]:6380": { ...single, server: { host: "::1", port: 6380 } },
    "redis://ada:p%40ss%2Fw%25rd%C3%A9@h/1": {
      ...single,
      server: { host: "h", port: 6379 },
      username: "ada",
      password: "p@ss/w%rdé",
      database: 1
    },
    "redis://:secret@h": { ...single, server: { host: "h", port: 6379 }, password: "secret" },
    "rediss://h": { ...single, server: { host: "h", port: 6379 }, tls: {} },
    "valkeys://h?rejectUnauthorized=false&servername=other": {
      ...single,
      server: { host: "h", port: 6379 },
      tls: { rejectUnauthorized: false, servername: "other" }
    },
    "redis://h?connectTimeout=250&commandTimeout=900&keepAlive=1000&family=6&protocol=2&noDelay=false&connectionName=x":
      {
        ...single,
        server: { host: "h", port: 6379 },
        options: {
          connectTimeout: 250,
          commandTimeout: 900,
          keepAlive: 1000,
          family: 6,
          protocol: 2,
          noDelay: false,
          connectionName: "x"
        }
      },
    "unix:///var/run/redis.sock": { ...single, server: { path: "/var/run/redis.sock" } },
    "unix:/var/run/redis.sock": { ...single, server: { path: "/var/run/redis.sock" } },
    "unix://ada:secret@/tmp/a%20b.sock?db=4": {
      ...single,
      server: { path: "/tmp/a b.sock" },
      username: "ada",
      password: "secret",
      database: 4
    },
    "redis+sentinel://ada:p%40ss@a,,b:1,[::1]:2,/orders/3?sentinel_username=eve&sentinel_password=s%26t": {
      ...single,
      _tag: "Sentinel",
      server: undefined,
      sentinels: [
        { host: "a", port: 26379 },
        { host: "b", port: 1 },
        { host: "::1", port: 2 }
      ],
      service: "orders",
      sentinelUsername: "eve",
      sentinelPassword: "s&t",
      username: "ada",
      password: "p@ss",
      database: 3
    },
    "valkeys+sentinel://h/my%2Dservice?family=4": {
      ...single,
      _tag: "Sentinel",
      server: undefined,
      sentinels: [{ host: "h", port: 26379 }],
      service: "my-service",
      sentinelUsername: undefined,
      sentinelPassword: undefined,
      tls: {},
      options: { family: 4 }
    },
    "rediss+cluster://:secret@a:7000,[::1]/0?connectTimeout=5": {
      ...single,
      _tag: "Cluster",
      server: undefined,
      nodes: [
        { host: "a", port: 7000 },
        { host: "::1", port: 6379 }
      ],
      tls: {},
      password: "secret",
      options: { connectTimeout: 5 }
    },
    "redis://h/5?db=5": { ...single, server: { host: "h", port: 6379 }, database: 5 }
  })) {
    it.effect(`URL-01 URL-02 ${url} is understood`, () =>
      Effect.gen(function* () {
        assert.deepStrictEqual<unknown>(yield* parsed(url), connection)
      })
    )
  }

  for (const [url, problem] of Object.entries({
    "http://u:hunter2@h": 'the scheme "http" is not one of redis, rediss, valkey, valkeys, unix, memory',
    "redis+ring://u:hunter2@h": 'the scheme "redis+ring" is not one of',
    "unix+cluster://u:hunter2@h": 'the scheme "unix+cluster" is not one of',
    "redis+sentinel://u:hunter2@h": "it names no service",
    "redis+sentinel://u:hunter2@,/service": "it names no host",
    "redis+sentinel://u:hunter2@h/service/first": "redis+sentinel://localhost/service/0",
    "redis+sentinel://u:hunter2@h/service?db=2": "the database comes from its path",
    "redis+sentinel://h/service/x?sentinel_password=hunter2": "the number of a database",
    "redis+cluster://u:hunter2@h/1": "a cluster has no database but 0",
    "redis+cluster://u:hunter2@h:1,h:two": 'the port "two" of its host "h" is not a number from 1 to 65535',
    "redis://h?sentinel_password=hunter2": 'the option "sentinel_password" is for Sentinels',
    "redis://a:1,b:2": "several hosts are for redis+sentinel and redis+cluster",
    "redis://u:hunter2@a,b": "several hosts are for redis+sentinel and redis+cluster",
    "redis://u:hunter2@h?ca=/etc/ca.pem": 'the option "ca" needs TLS',
    "rediss://u:hunter2@h?cert=/etc/cert.pem": 'the options "cert" and "key" need each other',
    "rediss://u:hunter2@h?ca=/no/such/file": 'the option "ca" names a file that cannot be read',
    "localhost:6379": "it is not a URL",
    "not a url hunter2@": "it is not a URL",
    "redis://u:hunter2@h:port": 'the port "port" of its host "h" is not a number from 1 to 65535',
    "redis://u:hunter2@h:0": 'the port "0" of its host "h" is not a number from 1 to 65535',
    "redis://u:hunter2@h:65536": 'the port "65536" of its host "h" is not a number from 1 to 65535',
    "redis://u:hunter2@h:-1": 'the port "-1" of its host "h" is not a number from 1 to 65535',
    "redis://u:hunter2@h:": 'the port "" of its host "h" is not a number from 1 to 65535',
    "redis+sentinel://a:1,b:0x1/s": 'the port "0x1" of its host "b" is not a number from 1 to 65535',
    "redis://u:hunter2@a b": 'its host "a b" is not a name or an address',
    "redis://u:hunter2@999.1.1.1": 'its host "999.1.1.1" is not a name or an address',
    "redis://u:hunter2@[::g]:1": 'its host "[::g]" is not a name or an address',
    "redis://u:hunter2@::1": "write an IPv6 address in brackets",
    "redis+cluster://a,b%2F/0": 'its host "b/" is not a name or an address',
    "redis+sentinel://h/my%20service": 'its service "my service" is not the name of one',
    "redis+sentinel://h/a%0Ab/0": 'its service "a\\nb" is not the name of one',
    "redis://:hun/ter2@h": "it is not a URL",
    "redis://:hun?ter2@h": "it is not a URL",
    "redis://u:%zzhunter2@h": "a percent sign",
    "redis://u:hunter2@h/first": "its path has to end with the number of a database",
    "redis://u:hunter2@h/1?db=2": 'its path and its option "db" name different databases',
    "redis://u:hunter2@h?connectTimeout=soon": 'the option "connectTimeout" has to be a whole number of milliseconds',
    "redis://u:hunter2@h?connectTimeout=0":
      'the option "connectTimeout" has to be a whole number of milliseconds, 1 or more',
    "redis://u:hunter2@h?commandTimeout=0":
      'the option "commandTimeout" has to be a whole number of milliseconds, 1 or more',
    "redis://h?password=hunter2": "user and password come before the host",
    "redis://h?auth=hunter2": "user and password come before the host",
    "redis://h?username=ada&PASS%57ORD=hunter2": "user and password come before the host",
    "redis://h?nonsense=hunter2": 'the option "nonsense" is not one of db, connectTimeout',
    "redis://h?hunter2": "is not one of db, connectTimeout",
    "redis://h?connectTimeout=hunter2": 'the option "connectTimeout" has to be',
    "redis://h/0#hunter2": "it is not a URL",
    "redis+sentinel://h/s?sentinel_password=a&hunter2=b": "is not one of db, connectTimeout",
    "rediss://h?cert=/etc/cert.pem&key=hunter2": 'the option "cert" names a file that cannot be read',
    "rediss://h?cert=/dev/null&key=hunter2": 'the option "key" names a file that cannot be read',
    "redis://u:hunter2@h?family=5": 'the option "family" has to be 0, 4 or 6',
    "redis://u:hunter2@h?noDelay=perhaps": 'the option "noDelay" has to be true or false',
    "redis://u:hunter2@h?nonsense=1": 'the option "nonsense" is not one of db, connectTimeout',
    "redis://u:hunter2@h?toString=1": 'the option "toString" is not one of db, connectTimeout',
    "redis://u:hunter2@h?rejectUnauthorized=false": 'the option "rejectUnauthorized" needs TLS',
    "unix://u:hunter2@": "it names no socket",
    "unix://tmp/redis.sock": "it names no socket"
  })) {
    it.effect(`URL-01 URL-06 ${url} is refused, and its password is not shown`, () =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(Connection.parse(url))
        assert.include(error.message, problem)
        assert.notInclude(error.message, "hunter2")
        assert.notInclude(error.message, "ter2")
      })
    )
  }

  it("URL-02 a URL can be shown without its password", () => {
    const shown = {
      "redis://localhost:6379/0": "redis://localhost:6379/0",
      "redis://ada:secret@h:1/0?family=4": "redis://ada:***@h:1/0?family=4",
      "redis://:secret@h": "redis://:***@h",
      "redis://token@h": "redis://***@h",
      "redis://ada:p@ss/w?rd@h/0": "redis://***",
      "redis://ada:p@ss/wrd@h/0": "redis://ada:***@h/0",
      "redis://h?password=se@cret": "redis://***",
      "redis://h?db=secret": "redis://h?db=***",
      "unix:///tmp/redis.sock": "unix:///tmp/redis.sock",
      "redis:secret@h": "redis:***@h",
      "redis+sentinel://ada:secret@a,b/s?sentinel_password=secret&family=4":
        "redis+sentinel://ada:***@a,b/s?sentinel_password=***&family=4",
      "redis://h?password=secret&db=1": "redis://h?password=***&db=1",
      "redis://h/0?auth=secret#secret": "redis://h/0?auth=***#***",
      "redis://h?db=1&token=secret;family=4": "redis://h?db=1&token=***",
      "redis://h?sentinel_passwor%64=secret&db=2": "redis://h?***&db=2",
      "redis://h?secret": "redis://h?***",
      "redis+sentinel://h/s?sentinel_password=se&cret=1": "redis+sentinel://h/s?sentinel_password=***&***",
      "rediss://h?ca=/ca.pem&cert=/c.pem&key=-----BEGIN": "rediss://h?ca=/ca.pem&cert=/c.pem&key=***"
    }
    for (const [url, expected] of Object.entries(shown)) assert.strictEqual(Connection.redact(url), expected)
  })
})
