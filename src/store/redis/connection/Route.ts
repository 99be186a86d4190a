/**
 * Where the docket's server is, when that can change: asked of Sentinels, or of the nodes of a cluster.
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import type { Address, Cluster, Sentinel } from "./Connection.ts"
import { inRealTime } from "../../../internal/realTime.ts"

type Command = readonly [string, ...ReadonlyArray<string>]

/** Sends commands to a server, on a connection for these only. The last one may be refused, if it is `optional`. */
export type Ask = (
  server: Address,
  commands: ReadonlyArray<Command>,
  optional?: Command
) => Effect.Effect<ReadonlyArray<unknown>, NoRoute>

/** Nobody who was asked knows where the server is. */
export class NoRoute extends Data.TaggedError("NoRoute")<{ readonly message: string }> {}

/**
 * Finds the server. `suspect` is the one that no longer serves: it is asked last. `inDoubt`, several are asked where they
 * may differ.
 */
export type Locate = (suspect: Address | undefined, inDoubt: boolean) => Effect.Effect<Address, NoRoute>

/** Whether two addresses are one. */
export const isSame = (one: Address | undefined, other: Address | undefined): boolean =>
  one?.host === other?.host && one?.port === other?.port

/**
 * The master of a service, as the first Sentinel to answer has it that is not behind the others: one that has not heard
 * of a failover, since it is slow or cut off, names the old master, which may still take itself for one. Whoever knows of no
 * failover yet, or has reason to believe that there is one, asks all of them, and believes the one that has heard of the
 * latest.
 */
export const bySentinels = ({ sentinels, service }: Sentinel, ask: Ask): Locate => {
  const inTurn = makeTurns()
  /** Of the answers so far: each failover has a higher one. */
  let newestEpoch: number | undefined
  const askOne = Effect.fnUntraced(function* (sentinel: Address) {
    const [reply, details] = yield* ask(
      sentinel,
      [["SENTINEL", "GET-MASTER-ADDR-BY-NAME", service]],
      ["SENTINEL", "MASTER", service]
    )
    const name = `The Sentinel at ${sentinel.host}:${sentinel.port}`
    if (!Array.isArray(reply)) return yield* new NoRoute({ message: `${name} knows no service "${service}"` })
    const epoch = epochOf(details) ?? newestEpoch ?? 0
    if (epoch < (newestEpoch ?? 0)) {
      return yield* new NoRoute({ message: `${name} has not heard of the last failover of "${service}"` })
    }
    newestEpoch = epoch
    return { host: String(reply[0]), port: Number(reply[1]), epoch }
  })
  return (_, inDoubt) =>
    Effect.suspend(() =>
      inDoubt || newestEpoch === undefined ? newestOf(sentinels, askOne) : firstOf(inTurn(sentinels), askOne)
    ).pipe(
      Effect.tapError(() =>
        Effect.sync(() => {
          // Sentinels that were set up anew count from 0; and one that is behind is better than none.
          newestEpoch = undefined
        })
      )
    )
}

/** The number of the failover that made a master what it is, as `SENTINEL MASTER` tells it: names and values in turns. */
const epochOf = (details: unknown): number | undefined => {
  const fields: ReadonlyArray<unknown> = Array.isArray(details) ? details : []
  const epoch = Number(fields[fields.indexOf("config-epoch") + 1])
  return Number.isInteger(epoch) ? epoch : undefined
}

/** The owner of the slot of a key, as the first node to answer has it. Nodes that it tells of can be asked the next time. */
export const byNodes = ({ nodes }: Cluster, key: string, ask: Ask): Locate => {
  const inTurn = makeTurns()
  let known: ReadonlyArray<Address> = nodes
  return (suspect) =>
    firstOf(
      inTurn(known).toSorted((one, other) => Number(isSame(one, suspect)) - Number(isSame(other, suspect))),
      Effect.fnUntraced(function* (node) {
        const [slot, ranges] = yield* ask(node, [
          ["CLUSTER", "KEYSLOT", key],
          ["CLUSTER", "SLOTS"]
        ])
        const { members, owner } = readSlots(node, Number(slot), ranges)
        if (owner === undefined) return yield* new NoRoute({ message: `No node of the cluster serves slot ${slot}` })
        known = uniqueBy([...members, ...nodes])
        return owner
      })
    )
}

/** The servers that `CLUSTER SLOTS` tells of, and the master of a slot. */
const readSlots = (asked: Address, slot: number, ranges: unknown) => {
  const members: Array<Address> = []
  let owner: Address | undefined
  for (const range of Array.isArray(ranges) ? ranges : []) {
    const [from, to, ...servers] = Array.isArray(range) ? range : []
    const addresses = servers.map(
      // Without a name it is the one that was asked; `?` is one whose name it does not know.
      ([host, port]): Address => ({
        host: host === null || host === "" ? asked.host : String(host),
        port: Number(port)
      })
    )
    if (Number(from) <= slot && slot <= Number(to)) owner = addresses[0]
    members.push(...addresses.filter(({ host }) => host !== "?"))
  }
  return { members, owner: owner?.host === "?" ? undefined : owner }
}

const uniqueBy = (addresses: ReadonlyArray<Address>): ReadonlyArray<Address> =>
  addresses.filter((address, i) => addresses.findIndex((other) => isSame(address, other)) === i)

/** Begins with another one each time: the first may be the one that is cut off from the others. */
const makeTurns = () => {
  let turn = -1
  return <A>(all: ReadonlyArray<A>): ReadonlyArray<A> => {
    turn = (turn + 1) % Math.max(1, all.length)
    return [...all.slice(turn), ...all.slice(0, turn)]
  }
}

/** How long one server has for its answer before the next one is asked too. */
const headStartMillis = 300

/** The answer with the highest epoch, of those that come within the head start of the first one. */
const newestOf = <A extends { readonly epoch: number }>(
  servers: ReadonlyArray<Address>,
  f: (server: Address) => Effect.Effect<A, NoRoute>
): Effect.Effect<A, NoRoute> =>
  Effect.suspend(() => {
    const problems = new Set<string>()
    let newest: A | undefined
    const isThereOne = Latch.makeUnsafe(false)
    const all = Effect.forEach(
      servers,
      (server) =>
        Effect.match(f(server), {
          onFailure: ({ message }) => void problems.add(message),
          onSuccess: (answer) => {
            if (newest === undefined || answer.epoch > newest.epoch) newest = answer
            isThereOne.openUnsafe()
          }
        }),
      { concurrency: "unbounded", discard: true }
    )
    return Effect.raceFirst(all, Effect.andThen(isThereOne.await, Effect.sleep(headStartMillis))).pipe(
      Effect.flatMap(() =>
        newest === undefined
          ? Effect.fail(new NoRoute({ message: Array.from(problems).join("; ") }))
          : Effect.succeed(newest)
      )
    )
  }).pipe(inRealTime)

/** The first success; the next is asked as soon as the one before has failed, or had its head start. */
const firstOf = <A>(
  servers: ReadonlyArray<Address>,
  f: (server: Address) => Effect.Effect<A, NoRoute>
): Effect.Effect<A, NoRoute> =>
  Effect.suspend(() => {
    const problems = new Set<string>()
    const gates = servers.map((_, i) => Latch.makeUnsafe(i === 0))
    const next = (i: number) => Effect.sync(() => gates[i + 1]?.openUnsafe())
    const runners = servers.map((server, i) => {
      const attempt = Effect.tapError(f(server), ({ message }) => {
        problems.add(message)
        return next(i)
      })
      const headStart = Effect.andThen(Effect.delay(next(i), headStartMillis), new NoRoute({ message: "" }))
      return gates[i]!.whenOpen(Effect.raceAll([attempt, headStart]))
    })
    return Effect.mapError(Effect.raceAll(runners), () => new NoRoute({ message: Array.from(problems).join("; ") }))
  }).pipe(inRealTime)
