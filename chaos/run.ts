/** Runs one scenario, and has its history checked. */
import { Effect, Option } from "effect"
import { existsSync } from "node:fs"
import { isSettled } from "../src/DocketStore.ts"
import { assertNothingLeaks } from "../test/support/leaks.ts"
import { check, type Verdict } from "./checker.ts"
import { areAwake, supervise } from "./faults.ts"
import { now, readLedgers } from "./ledger.ts"
import { tickMillis } from "./programs/tasks.ts"
import { makeRandom } from "./random.ts"
import type { Scenario } from "./scenarios.ts"
import { makeWorld, sleep, type World, waitFor } from "./world.ts"

export interface Outcome extends Verdict {
  readonly scenario: Scenario
  readonly seconds: number
  /** How often each kind of fault happened. */
  readonly faultCounts: Readonly<Record<string, number>>
  /** The warnings of the workers, and how often each came. */
  readonly warnings: Readonly<Record<string, number>>
}

/** What gives processes clocks of their own, where Debian has it; or nothing. */
export const libfaketime = ["x86_64", "aarch64"]
  .map((machine) => `/usr/lib/${machine}-linux-gnu/faketime/libfaketime.so.1`)
  .find((path) => existsSync(path))

/** Of tasks that take down their process: as by default, or fewer to be done sooner. */
const maxDeliveries: readonly [long: number, quick: number] = [10, 5]
/** Those of tasks that do not take down their process: as many as the faults of a run. */
const manyDeliveries = 1000
const quietMillis = 4000
/** After the last task, before all has to be well. */
const healMillis = 1000
/** For how long tasks are added after the last fault, when there is a number of them. */
const lookMillis = 6000

export const runScenario = (
  scenario: Scenario,
  { isQuick, scale, seed }: { readonly isQuick: boolean; readonly scale: number; readonly seed: number }
): Promise<Outcome> =>
  Effect.gen(function* () {
    const random = makeRandom(seed)
    const deliveries = scenario.poison === undefined ? manyDeliveries : maxDeliveries[isQuick ? 1 : 0]
    const world = yield* makeWorld({
      topology: scenario.topology,
      random,
      query: scenario.query ?? "",
      concurrency: scenario.concurrency,
      leaseMillis: scenario.leaseMillis,
      maxDeliveries: deliveries,
      fakeTime: scenario.fakeTime === true ? libfaketime : undefined
    })
    return yield* Effect.promise(() => torment(world, scenario, { isQuick, scale, seed, deliveries }))
  }).pipe(Effect.scoped, Effect.runPromise)

const torment = async (
  world: World,
  scenario: Scenario,
  options: { readonly isQuick: boolean; readonly scale: number; readonly seed: number; readonly deliveries: number }
): Promise<Outcome> => {
  const { docket, random } = world
  const began = now()
  const of = (pair: readonly [long: number, quick: number]) => pair[options.isQuick ? 1 : 0]
  const scaled = (pair: readonly [number, number]) => Math.round(of(pair) * options.scale)
  const ticks = scenario.ticks ?? true
  const startWorker = (i: number) =>
    world.startWorker({
      CLOCK_SKEW: String(scenario.skews?.[i % scenario.skews.length] ?? 0),
      TICKS: ticks ? "yes" : "no"
    })
  for (let i = 0; i < scenario.workers; i++) await startWorker(i)
  const listed = () => Effect.runPromise(Effect.map(docket.workers, (workers) => workers.length))
  await waitFor(async () => (await listed()) >= scenario.workers, 30_000)
  const clientsBefore = scenario.script === undefined ? await steadyClients(world) : undefined

  const times = scenario.times === undefined ? undefined : Math.max(1, scaled(scenario.times))
  if (scenario.script === undefined) await nemesis()
  else await scenario.script(world, scaled(scenario.tasks))

  /** Lets a producer add tasks, and harm be done meanwhile. */
  async function nemesis() {
    const progress = { isProducing: true }
    const producer = world.produce({
      COUNT: String(scaled(scenario.tasks)),
      NARROW: String(scenario.narrow ?? 0),
      POISON: String(of(scenario.poison ?? [0, 0])),
      SECONDS: String(scaled(scenario.seconds)),
      MILLIS: String(scenario.millis),
      SEED: String(options.seed)
    })
    const producing = producer.done.finally(() => {
      progress.isProducing = false
    })
    // It is waited for below, unless something else fails before.
    producing.catch(() => {})
    // In the scenario's order at first, so that each kind of fault is met, then in any.
    for (let i = 0; times === undefined ? progress.isProducing : i < times; i++) {
      await sleep(random.between(...scenario.pauseMillis))
      if (times === undefined && !progress.isProducing) break
      await (scenario.faults[i] ?? random.pick(scenario.faults))(world)
    }
    if (times !== undefined) {
      await sleep(lookMillis)
      producer.stop()
    }
    await producing
  }

  const asked = readLedgers(world.directory).flatMap((line) => (line.kind === "asked" ? [line] : []))
  const keys = asked.map(({ key }) => key)
  const isOver = async () => {
    if (scenario.poison !== undefined) await supervise(scenario.workers)(world)
    while (world.workers().length < scenario.workers) await startWorker(0)
    if (!areAwake(world)) return false
    const { queued, running, scheduled } = await Effect.runPromise(docket.store.depth)
    // The recurring task is always one of them.
    if (queued + running + scheduled > (ticks ? 1 : 0)) return false
    // What the store's lists have lost is still in its records.
    const records = await Effect.runPromise(docket.store.read(keys))
    return records.every((record) => Option.isNone(record) || isSettled(record.value.state))
  }
  await waitFor(isOver, 120_000 + Math.min(scenario.leaseMillis, 15_000) * 4)
  await sleep(healMillis)
  const quietFrom = now()
  await sleep(quietMillis)
  const quietUntil = now()
  const clientsAfter = await steadyClients(world)

  const records = await Effect.runPromise(docket.store.read(keys))
  await world.stopWorkers()
  await Effect.runPromise(docket.cancel("tick"))
  const leaks = await leaksOf(world)
  const history = readLedgers(world.directory)
  const verdict = check(
    history,
    {
      records: new Map(
        records.flatMap((record, i) =>
          Option.match(record, {
            onNone: () => [],
            onSome: ({ error, result, state }) => {
              const lease = result === undefined ? undefined : JSON.parse(result).lease
              return [
                [
                  keys[i]!,
                  { state, ...(error === undefined ? {} : { error }), ...(lease === undefined ? {} : { lease }) }
                ] as const
              ]
            }
          })
        )
      ),
      depth: await Effect.runPromise(docket.store.depth),
      leaks,
      clients:
        clientsBefore === undefined || clientsAfter === undefined
          ? undefined
          : { before: clientsBefore, after: clientsAfter }
    },
    {
      leaseMillis: scenario.leaseMillis,
      quiet: { from: quietFrom, until: quietUntil },
      tickMillis: ticks ? tickMillis : undefined,
      limit: 2,
      maxDeliveries: options.deliveries,
      mayCrash: scenario.poison !== undefined,
      bounds: options.isQuick ? {} : { ...scenario.bounds, ...(times === undefined ? {} : { faults: times }) }
    }
  )
  return {
    ...verdict,
    scenario,
    seconds: Math.round((now() - began) / 1000),
    faultCounts: count(
      history.flatMap((line) =>
        line.kind === "fault" ? [line.name] : line.kind === "crashed" ? [`a worker ended with ${line.how}`] : []
      )
    ),
    warnings: count(history.flatMap((line) => (line.kind === "warning" ? [line.text.replaceAll(/\d+/g, "#")] : [])))
  }
}

/** How many connections workers have, once that stays the same for a while; on one server only. */
const steadyClients = async (world: World): Promise<number | undefined> => {
  if (world.topology._tag !== "Single") return undefined
  const now = async () =>
    (await world.cli("CLIENT", "LIST")).split("\n").filter((client) => client.includes(" name=docket")).length
  let before = await now()
  for (let rounds = 0; rounds < 20; rounds++) {
    await sleep(500)
    const after = await now()
    if (after === before) break
    before = after
  }
  return before
}

const leaksOf = async (world: World): Promise<ReadonlyArray<string>> => {
  if (world.topology._tag !== "Single") return []
  const { server } = world.topology
  return Effect.runPromise(
    Effect.matchCause(assertNothingLeaks(server), {
      onSuccess: () => [],
      onFailure: (cause) => cause.reasons.map((reason) => JSON.stringify(reason))
    })
  )
}

const count = (names: ReadonlyArray<string>): Readonly<Record<string, number>> => {
  const counts: Record<string, number> = {}
  for (const name of names) counts[name] = (counts[name] ?? 0) + 1
  return counts
}
