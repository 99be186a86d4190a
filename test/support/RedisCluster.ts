/** A Redis cluster of a test's own: three masters, each with as many replicas as the test wants. */
import { Context, Effect, Layer, type Scope } from "effect"
import type { Certificates } from "./certificates.ts"
import * as RedisServer from "./RedisServer.ts"
import { waitUntil } from "./waitUntil.ts"

export type Node = RedisServer.RedisServer["Service"]

export interface Options {
  /** Of each master. Default: none. */
  readonly replicas?: number
  readonly tls?: Certificates
  /** After how long without an answer a node counts as failed. Default: 1 second. */
  readonly nodeTimeoutMillis?: number
}

export class RedisCluster extends Context.Service<
  RedisCluster,
  {
    /** `redis+cluster://` and all nodes. */
    readonly url: string
    readonly nodes: ReadonlyArray<Node>
    /** The node that serves a key now, as the other nodes have it. */
    readonly ownerOf: (key: string) => Effect.Effect<Node, RedisServer.RedisServerError>
    /** Completes once all nodes are there and agree on who serves what. */
    readonly untilWhole: Effect.Effect<void, RedisServer.RedisServerError>
    /** A replica of a node. */
    readonly replicaOf: (node: Node) => Effect.Effect<Node, RedisServer.RedisServerError>
    /** Moves a slot and its keys to another master: all at once, or one after the other with a pause before each. */
    readonly migrate: (
      slot: number,
      to: Node,
      beforeEachKey?: Effect.Effect<void>
    ) => Effect.Effect<void, RedisServer.RedisServerError>
  }
>()("effect-docket/test/RedisCluster") {
  static readonly layer = (options?: Options): Layer.Layer<RedisCluster, RedisServer.RedisServerError> =>
    Layer.effect(RedisCluster, make(options))
}

const masters = 3
const slots = 16_384

export const make: (
  options?: Options
) => Effect.Effect<RedisCluster["Service"], RedisServer.RedisServerError, Scope.Scope> = Effect.fnUntraced(function* ({
  nodeTimeoutMillis = 1000,
  replicas = 0,
  tls
}: Options = {}) {
  const config = ["--cluster-enabled", "yes", "--cluster-node-timeout", String(nodeTimeoutMillis)]
  config.push("--repl-diskless-sync-delay", "0", "--cluster-allow-replica-migration", "no")
  if (tls !== undefined) config.push("--tls-cluster", "yes", "--tls-replication", "yes")
  const nodes = yield* Effect.all(
    Array.from({ length: masters * (1 + replicas) }, () =>
      RedisServer.make({ config, appendonly: true, ...(tls === undefined ? {} : { tls }) })
    ),
    { concurrency: 3 }
  )
  const ids = yield* Effect.forEach(nodes, (node) => node.cli("CLUSTER", "MYID"))
  const bounds = (i: number) => Math.floor((i * slots) / masters)
  for (const [i, node] of nodes.entries()) {
    yield* node.cli("CLUSTER", "SET-CONFIG-EPOCH", String(i + 1))
    if (i < masters) {
      const own = Array.from({ length: bounds(i + 1) - bounds(i) }, (_, n) => String(bounds(i) + n))
      yield* node.cli("CLUSTER", "ADDSLOTS", ...own)
    }
    if (i > 0) yield* node.cli("CLUSTER", "MEET", "127.0.0.1", String(nodes[0]!.port))
  }
  const all = (why: string, isSo: (node: Node, i: number) => Effect.Effect<boolean, RedisServer.RedisServerError>) =>
    Effect.forEach(nodes.entries(), ([i, node]) => waitUntil(why, isSo(node, i)), { discard: true })
  yield* all("the nodes know each other", (node) =>
    Effect.map(
      node.cli("CLUSTER", "NODES"),
      (list) => list.split("\n").length === nodes.length && !list.includes("handshake")
    )
  )
  for (const [i, node] of nodes.entries()) {
    if (i >= masters) yield* node.cli("CLUSTER", "REPLICATE", ids[i % masters]!)
  }
  yield* all("the cluster is whole", (node) =>
    Effect.map(node.cli("CLUSTER", "INFO"), (info) => info.includes("cluster_state:ok"))
  )
  yield* all("the replicas follow", (node, i) =>
    i < masters
      ? Effect.succeed(true)
      : Effect.map(node.cli("INFO", "replication"), (info) => info.includes("master_link_status:up"))
  )

  const idOf = (node: Node) => ids[nodes.indexOf(node)]!
  const byPort = (port: string | undefined) => nodes.find((node) => String(node.port) === port)!

  /** The lines of `CLUSTER NODES`, by whichever node answers. */
  const list = Effect.map(
    Effect.firstSuccessOf(
      nodes.map((node) => Effect.timeoutOrElse(node.cli("CLUSTER", "NODES"), { duration: 500, orElse: () => noAnswer }))
    ),
    (lines) => lines.split("\n").map((line) => line.split(" "))
  )

  const views = Effect.forEach(nodes, (node) =>
    Effect.map(node.cli("CLUSTER", "NODES"), (lines) =>
      lines
        .split("\n")
        .map((line) => line.replace("myself,", "").split(" "))
        .map(([id, , flags, master, , , , link, ...ranges]) => [id, flags, master, link, ...ranges].join(" "))
        .toSorted()
        .join("\n")
    )
  )
  const untilWhole = waitUntil(
    "the nodes agree",
    Effect.map(
      Effect.orElseSucceed(views, () => ["fail"]),
      ([first = "", ...others]) => !/fail|disconnected/.test(first) && others.every((view) => view === first)
    )
  )

  const ownerOf = Effect.fnUntraced(function* (key: string) {
    const slot = Number(yield* nodes[0]!.cli("CLUSTER", "KEYSLOT", key))
    const lines = yield* list
    const line = lines.find(([, , flags, , , , , , ...ranges]) =>
      ranges.some((range) => {
        const [from, to = from] = range.split("-").map(Number)
        return flags?.includes("master") === true && from! <= slot && slot <= to!
      })
    )
    return byPort(line?.[1]?.split(/[:@]/)[1])
  })

  const replicaOf = Effect.fnUntraced(function* (node: Node) {
    const line = (yield* list).find(([, , flags, master]) => master === idOf(node) && flags?.includes("slave") === true)
    return byPort(line?.[1]?.split(/[:@]/)[1])
  })

  const migrate = Effect.fnUntraced(function* (slot: number, to: Node, beforeEachKey?: Effect.Effect<void>) {
    const lines = yield* list
    const from = byPort(
      lines
        .find(([, , flags, , , , , , ...ranges]) =>
          ranges.some((range) => {
            const [first, last = first] = range.split("-").map(Number)
            return flags?.includes("master") === true && first! <= slot && slot <= last!
          })
        )?.[1]
        ?.split(/[:@]/)[1]
    )
    const text = String(slot)
    yield* to.cli("CLUSTER", "SETSLOT", text, "IMPORTING", idOf(from))
    yield* from.cli("CLUSTER", "SETSLOT", text, "MIGRATING", idOf(to))
    for (;;) {
      const keys = yield* from.cli("CLUSTER", "GETKEYSINSLOT", text, beforeEachKey === undefined ? "100" : "1")
      if (keys === "") break
      if (beforeEachKey !== undefined) yield* beforeEachKey
      yield* from.cli("MIGRATE", "127.0.0.1", String(to.port), "", "0", "5000", "KEYS", ...keys.split("\n"))
    }
    for (const node of [to, from]) yield* node.cli("CLUSTER", "SETSLOT", text, "NODE", idOf(to))
  })

  const scheme = tls === undefined ? "redis+cluster" : "rediss+cluster"
  const hosts = nodes.map(({ port }) => `127.0.0.1:${port}`).join(",")
  return RedisCluster.of({
    url: `${scheme}://${hosts}${tls === undefined ? "" : `?ca=${encodeURIComponent(tls.ca)}`}`,
    nodes,
    untilWhole,
    ownerOf,
    replicaOf,
    migrate
  })
})

const noAnswer = Effect.fail(new RedisServer.RedisServerError({ message: "no answer" }))
