/** Random programs, checked step by step against a model that is simple enough to be right. */
import { assert, type Vitest } from "@effect/vitest"
import { Effect, Option, Schema } from "effect"
import { TestClock } from "effect/testing"
import type { Delivery, Due, Outcome, State } from "../../../src/DocketStore.ts"
import { after, beginning, freshLease, Harness, type Kit, makeKit, request, settlement } from "./kit.ts"

const leaseMillis = 4_000
const keys = ["a", "b", "c", "d"] as const
const Key = Schema.Literals(keys)
const Worker = Schema.Literals([0, 1])
const Delay = Schema.Literals([0, 0, 1_000, 5_000])

const Command = Schema.Union([
  Schema.TaggedStruct("Schedule", { key: Key, replace: Schema.Boolean, delay: Delay }),
  Schema.TaggedStruct("Batch", { first: Key, second: Key, third: Key, replace: Schema.Boolean, delay: Delay }),
  Schema.TaggedStruct("Cancel", { key: Key }),
  Schema.TaggedStruct("Take", { worker: Worker, count: Schema.Literals([1, 2, 4]) }),
  Schema.TaggedStruct("TakeAgain", { worker: Worker, count: Schema.Literals([1, 4]) }),
  Schema.TaggedStruct("Settle", {
    worker: Worker,
    which: Schema.Literals([0, 1, 2, 3]),
    outcome: Schema.Literals([
      "Completed",
      "Failed",
      "Cancelled",
      "Retry",
      "Postponed",
      "Released",
      "Next",
      "FailedNext"
    ]),
    delay: Delay,
    twice: Schema.Boolean
  }),
  Schema.TaggedStruct("Renew", { worker: Worker }),
  Schema.TaggedStruct("Pass", { millis: Schema.Literals([1, 900, 1_000, 3_000, 5_000]), worker: Worker })
])
type Command = typeof Command.Type

/** What the model knows of a key. */
interface Execution {
  readonly payload: string
  readonly state: "waiting" | "running" | "completed" | "failed" | "cancelled"
  readonly generation: number
  readonly attempt: number
  readonly deliveries: number
  readonly due: number
  readonly lease: string
  readonly expires: number
  readonly cancelled: boolean
}

const outcomeOf = (command: Extract<Command, { readonly _tag: "Settle" }>, payload: string): Outcome => {
  const next = { due: after(command.delay), payload }
  switch (command.outcome) {
    case "Completed":
      return { _tag: "Completed", result: payload }
    case "Next":
      return { _tag: "Completed", result: payload, next }
    case "Failed":
      return { _tag: "Failed", error: "Error: x", failure: undefined }
    case "FailedNext":
      return { _tag: "Failed", error: "Error: x", failure: undefined, next }
    case "Retry":
      return { _tag: "Retry", error: "Error: y", due: after(command.delay) }
    case "Postponed":
      return { _tag: "Postponed", due: after(command.delay) }
    default:
      return { _tag: command.outcome }
  }
}

/** Runs the commands against a store and the model beside each other. */
const play = Effect.fnUntraced(function* (kit: Kit, commands: ReadonlyArray<Command>) {
  const { store } = kit
  const model = new Map<string, Execution>()
  const workers = [
    yield* kit.worker({ leaseMillis, maxDeliveries: 1_000 }),
    yield* kit.worker({ leaseMillis, maxDeliveries: 1_000 })
  ]
  /** What each worker was handed and has not settled, lost leases included. */
  const held: ReadonlyArray<Array<Delivery>> = [[], []]
  const lastCall: Array<string> = ["", ""]
  /** Runs whose keys were scheduled anew, by generation and key. */
  const overtaken = new Map<string, { readonly lease: string; readonly cancelled: boolean; expires: number }>()
  /** Every claim, and how many returns of its scheduling (expiry, release) entitle to another. */
  const claims = new Map<string, number>()
  let now = beginning
  let payloads = 0

  const isLive = (execution: Execution | undefined): execution is Execution =>
    execution !== undefined &&
    (execution.state === "waiting" || (execution.state === "running" && !execution.cancelled))

  const scheduleInModel = (key: string, payload: string, replace: boolean, delay: number) => {
    const present = model.get(key)
    if (isLive(present) && !replace) return "already-scheduled"
    if (present?.state === "running") {
      const { cancelled, expires, generation, lease } = present
      overtaken.set(`${generation} ${key}`, { lease, cancelled, expires })
    }
    model.set(key, {
      payload,
      state: "waiting",
      generation: (present?.generation ?? 0) + 1,
      attempt: 1,
      deliveries: 0,
      due: now + delay,
      lease: "",
      expires: 0,
      cancelled: false
    })
    return isLive(present) ? "replaced" : "scheduled"
  }

  const claimable = () =>
    keys.filter((key) => {
      const execution = model.get(key)
      return execution?.state === "waiting" && execution.due <= now
    })

  const claimInModel = (worker: number, delivery: Delivery) => {
    const execution = model.get(delivery.key)
    assert(execution?.state === "waiting" && execution.due <= now, `${delivery.key} was handed out, and was not due`)
    assert.deepStrictEqual(
      [delivery.payload, delivery.generation, delivery.attempt, delivery.deliveries, delivery.started],
      [execution.payload, execution.generation, execution.attempt, execution.deliveries + 1, now]
    )
    const scheduling = `${delivery.key} ${delivery.generation}`
    assert.strictEqual(claims.get(scheduling) ?? 0, 0, `${scheduling} was handed out twice`)
    claims.set(scheduling, 1)
    model.set(delivery.key, {
      ...execution,
      state: "running",
      deliveries: execution.deliveries + 1,
      lease: delivery.lease,
      expires: now + leaseMillis
    })
    const mine = held[worker]!
    // A call that is sent again may grant anew what its lease was lost for: then both are the same to the store.
    const same = mine.findIndex(({ key, lease }) => key === delivery.key && lease === delivery.lease)
    if (same >= 0) mine.splice(same, 1)
    mine.push(delivery)
  }

  const settleInModel = (delivery: Delivery, outcome: Outcome) => {
    const execution = model.get(delivery.key)
    assert(execution !== undefined)
    if (execution.generation !== delivery.generation) {
      const run = `${delivery.generation} ${delivery.key}`
      if (overtaken.get(run)?.lease === delivery.lease) overtaken.delete(run)
      return "superseded"
    }
    if (execution.state !== "running" || execution.lease !== delivery.lease) return "lost"
    const again = { ...execution, state: "waiting", generation: execution.generation + 1 } as const
    const dueAt = (due: Due) => (due._tag === "After" ? now + due.millis : due.epochMillis)
    switch (outcome._tag) {
      case "Completed":
      case "Failed": {
        const state = outcome._tag === "Completed" ? "completed" : "failed"
        const { next } = outcome
        model.set(
          delivery.key,
          next === undefined || execution.cancelled
            ? { ...execution, state, cancelled: false }
            : { ...again, attempt: 1, deliveries: 0, due: dueAt(next.due), payload: next.payload ?? execution.payload }
        )
        break
      }
      case "Cancelled":
        model.set(delivery.key, { ...execution, state: "cancelled", cancelled: false })
        break
      default: {
        if (execution.cancelled) model.set(delivery.key, { ...execution, state: "cancelled", cancelled: false })
        else if (outcome._tag === "Retry") {
          model.set(delivery.key, { ...again, attempt: execution.attempt + 1, deliveries: 0, due: dueAt(outcome.due) })
        } else {
          const due = outcome._tag === "Postponed" ? dueAt(outcome.due) : execution.due
          model.set(delivery.key, { ...again, deliveries: execution.deliveries - 1, due })
        }
      }
    }
    return "applied"
  }

  /** Compares what the store keeps with the model. */
  const compare = Effect.gen(function* () {
    const records = yield* store.read(keys)
    for (const [index, key] of keys.entries()) {
      const execution = model.get(key)
      const record = Option.getOrUndefined(records[index]!)
      assert.strictEqual(record?.generation, execution?.generation, key)
      if (record === undefined || execution === undefined) continue
      const states: ReadonlyArray<State> =
        execution.state !== "waiting"
          ? [execution.state]
          : execution.due > now
            ? ["scheduled"]
            : ["scheduled", "queued"]
      assert.include(states, record.state, key)
      assert.deepStrictEqual(
        [record.payload, record.attempt, record.deliveries, record.due],
        [execution.payload, execution.attempt, execution.deliveries, execution.due],
        key
      )
    }
    const depth = yield* store.depth
    const count = (state: Execution["state"]) =>
      [...model.values()].filter((execution) => execution.state === state).length
    assert.strictEqual(depth.running, count("running"))
    assert.strictEqual(depth.queued + depth.scheduled, count("waiting"))
  })

  const take = Effect.fnUntraced(function* (worker: number, count: number) {
    const expected = Math.min(count, claimable().length)
    const lease = freshLease()
    lastCall[worker] = lease
    const { deliveries, nextDueMillis } = yield* workers[worker]!.exchange({ lease, take: count })
    for (const delivery of deliveries) claimInModel(worker, delivery)
    assert.strictEqual(deliveries.length, expected)
    const expiries = [...overtaken.values(), ...[...model.values()].filter(({ state }) => state === "running")]
    const later = [
      ...[...model.values()].flatMap(({ due, state }) => (state === "waiting" && due > now ? [due - now] : [])),
      ...(workers[0]!.session.needsHeartbeat ? [] : expiries.map(({ expires }) => expires - now))
    ]
    if (claimable().length === 0) assert.strictEqual(nextDueMillis, later.length === 0 ? undefined : Math.min(...later))
  })

  const run = Effect.fnUntraced(function* (command: Command) {
    switch (command._tag) {
      case "Schedule": {
        const payload = `[${++payloads}]`
        const expected = scheduleInModel(command.key, payload, command.replace, command.delay)
        const actual = yield* store.schedule([
          request(command.key, { payload, replace: command.replace, due: after(command.delay) })
        ])
        return assert.deepStrictEqual(actual, [expected])
      }
      case "Batch": {
        const requests = [command.first, command.second, command.third].map((key, index) =>
          request(key, { payload: `[${++payloads}]`, replace: command.replace && index > 0, due: after(command.delay) })
        )
        const expected = requests.map(({ key, payload, replace }) =>
          scheduleInModel(key, payload, replace, command.delay)
        )
        return assert.deepStrictEqual(yield* store.schedule(requests), expected as never)
      }
      case "Cancel": {
        const execution = model.get(command.key)
        if (execution?.state === "waiting") model.set(command.key, { ...execution, state: "cancelled" })
        else if (execution?.state === "running") model.set(command.key, { ...execution, cancelled: true })
        return yield* store.cancel([command.key])
      }
      case "Take":
        return yield* take(command.worker, command.count)
      case "TakeAgain": {
        // The reply of this worker's last call was lost, it believes.
        const lease = lastCall[command.worker]!
        if (lease === "") return
        for (const [run, { lease: theirs }] of overtaken) if (theirs === lease) overtaken.delete(run)
        const still = keys.filter((key) => {
          const execution = model.get(key)
          if (execution?.state !== "running" || execution.lease !== lease) return false
          if (execution.cancelled) model.set(key, { ...execution, state: "cancelled", cancelled: false })
          return !execution.cancelled
        })
        const expected = still.length + Math.min(Math.max(0, command.count - still.length), claimable().length)
        const { deliveries } = yield* workers[command.worker]!.exchange({
          lease,
          resent: true,
          take: Math.max(command.count, still.length)
        })
        assert.strictEqual(deliveries.length, expected)
        for (const delivery of deliveries) {
          const execution = model.get(delivery.key)!
          if (!still.some((key) => key === delivery.key)) {
            claimInModel(command.worker, delivery)
            continue
          }
          assert.deepStrictEqual(
            [delivery.generation, delivery.attempt, delivery.deliveries, delivery.lease],
            [execution.generation, execution.attempt, execution.deliveries, lease]
          )
          // Whether that renews the lease is up to the store: from here on it does.
          model.set(delivery.key, { ...execution, expires: now + leaseMillis })
          yield* workers[command.worker]!.renew(delivery)
        }
        return
      }
      case "Settle": {
        const mine = held[command.worker]!
        const delivery = mine[command.which % Math.max(1, mine.length)]
        if (delivery === undefined) return
        mine.splice(mine.indexOf(delivery), 1)
        // It has got the reply to that call, then, and will not send it again.
        if (delivery.lease === lastCall[command.worker]) lastCall[command.worker] = ""
        const outcome = outcomeOf(command, `[${++payloads}]`)
        const expected = settleInModel(delivery, outcome)
        const { exchange, settle } = workers[command.worker]!
        assert.strictEqual(yield* settle(delivery, outcome), expected)
        if (!command.twice) return
        // Said again, because the reply was lost.
        const { settled } = yield* exchange({ finished: [settlement(delivery, outcome)] })
        return assert.deepStrictEqual(settled, [expected === "applied" ? "lost" : expected])
      }
      case "Renew": {
        const mine = held[command.worker]!
        const expected = mine.map((delivery) => {
          const execution = model.get(delivery.key)!
          if (execution.generation !== delivery.generation) {
            const run = overtaken.get(`${delivery.generation} ${delivery.key}`)
            if (run?.lease !== delivery.lease) return "lost"
            run.expires = now + leaseMillis
            return run.cancelled ? "cancelled" : "overtaken"
          }
          if (execution.state !== "running" || execution.lease !== delivery.lease) return "lost"
          model.set(delivery.key, { ...execution, expires: now + leaseMillis })
          return execution.cancelled ? "cancelled" : "held"
        })
        return assert.deepStrictEqual(yield* workers[command.worker]!.renew(...mine), expected as never)
      }
      case "Pass": {
        yield* kit.pass(command.millis)
        now += command.millis
        for (const [run, { expires }] of overtaken) if (expires <= now) overtaken.delete(run)
        let expected = 0
        for (const [key, execution] of model) {
          if (execution.state !== "running" || execution.expires > now) continue
          if (!execution.cancelled) {
            expected++
            claims.delete(`${key} ${execution.generation}`)
          }
          model.set(key, {
            ...execution,
            state: execution.cancelled ? "cancelled" : "waiting",
            lease: "",
            cancelled: false
          })
        }
        return assert.strictEqual((yield* workers[command.worker]!.session.heartbeat).reclaimed, expected)
      }
    }
  })

  for (const command of commands) {
    yield* run(command)
    yield* compare
  }
  // In the end, every live execution can be claimed, and nothing else.
  yield* run({ _tag: "Pass", millis: 5_000, worker: 0 })
  yield* compare
  const live = keys.filter((key) => model.get(key)?.state === "waiting")
  yield* take(0, 100)
  yield* compare
  assert.deepStrictEqual(
    keys.filter((key) => model.get(key)?.state === "running"),
    live
  )
  assert.deepStrictEqual(yield* store.depth, { queued: 0, scheduled: 0, running: live.length })
})

/** How many commands were played, by kind: a property that exercises nothing would hold as well. */
export const model = (it: Vitest.MethodsNonLive<Harness>, programs: number) => {
  it.effect.prop(
    "no interleaving of adds, replaces, cancels, claims, ends and expiries runs one scheduling twice, or loses one",
    { commands: Schema.Array(Command).check(Schema.isMinLength(10), Schema.isMaxLength(60)) },
    ({ commands }) =>
      Effect.gen(function* () {
        const harness = yield* Harness
        yield* Effect.scoped(Effect.flatMap(makeKit, (kit) => play(kit, commands))).pipe(
          Effect.onError(() => Effect.exit(harness.afterEach))
        )
        yield* harness.afterEach
      }).pipe(Effect.provide(TestClock.layer())),
    { timeout: 120_000, arbitrary: { runs: programs, size: 60 } }
  )
}
