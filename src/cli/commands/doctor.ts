/**
 * `docket doctor`: looks for what is wrong, or might go wrong, and says what to do about it.
 */
import * as Clock from "effect/Clock"
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { Docket } from "../../Docket.ts"
import type { StoreError } from "../../DocketError.ts"
import { knowsTask } from "../../internal/docket/operations.ts"
import type { Snapshot } from "../../Snapshot.ts"
import { adviceOn } from "../../store/redis/connection/advice.ts"
import { redact } from "../../store/redis/connection/Connection.ts"
import * as Inspection from "../../store/redis/Inspection.ts"
import { CommandFailed } from "../exits.ts"
import * as Flags from "../flags.ts"
import * as Moments from "../moments.ts"
import * as Output from "../output.ts"
import * as Store from "../store.ts"
import * as Text from "../text.ts"

/** Examines the docket, and the Redis or the file that it is kept in. */
export const doctor = Command.make(
  "doctor",
  { json: Flags.json },
  Effect.fnUntraced(function* ({ json }) {
    yield* Store.refuseMemory
    const findings = yield* Effect.scoped(examine)
    if (json) yield* Output.json(findings)
    else yield* print(findings)
    const problems = findings.filter(({ verdict }) => verdict === "problem").length
    if (problems > 0) return yield* new CommandFailed({ message: `${Text.count(problems, "problem")} found` })
  }, Effect.provide(Store.layer))
).pipe(
  Command.withDescription(
    "Examine a docket and the Redis or the file that it is kept in: whether it can be reached, its version, persistence, memory and " +
      "replication, what the user may do, the clocks, the workers, tasks that no worker knows, and what waits or failed. " +
      "Each finding says what to do. Exits with 1 if there is a problem; warnings are none."
  ),
  Command.withShortDescription("Find out what is wrong"),
  Command.withExamples([
    { command: "docket doctor --docket shop --url rediss://redis.example.com" },
    { command: `docket doctor --json | jq -c 'select(.verdict != "ok")'`, description: "Only what needs attention" }
  ])
)

interface Finding {
  readonly verdict: "ok" | "warning" | "problem"
  /** What was looked at. */
  readonly check: string
  /** What was found. */
  readonly found: string
  /** What to do about it. */
  readonly advice?: string
}

const ok = (check: string, found: string): Finding => ({ verdict: "ok", check, found })
const warning = (check: string, found: string, advice: string): Finding => ({
  verdict: "warning",
  check,
  found,
  advice
})
const problem = (check: string, found: string, advice: string): Finding => ({
  verdict: "problem",
  check,
  found,
  advice
})

const print = Effect.fnUntraced(function* (findings: ReadonlyArray<Finding>) {
  const { columns = Infinity, word } = yield* Output.look
  const widest = Math.max(...findings.map(({ check }) => check.length))
  const indent = "problem".length + 2 + widest + 2
  yield* Output.lines(
    findings.flatMap(({ advice, check, found, verdict }) => {
      const lines = [
        ...Text.wrap(Text.safe(found), columns - indent),
        ...(advice === undefined ? [] : Text.wrap(`→ ${Text.safe(advice)}`, columns - indent))
      ]
      const first = `${word(verdict, Text.pad(verdict, 7))}  ${Text.pad(check, widest)}  `
      return lines.map((line, i) => (i === 0 ? first : " ".repeat(indent)) + line)
    })
  )
})

const examine = Effect.gen(function* () {
  const url = yield* Flags.StoreUrl
  const docket = yield* Docket
  if (Store.isFile(url)) return yield* examineFile(docket)
  const redis = yield* Effect.mapError(
    Inspection.make({ url, name: docket.name }),
    ({ problem }) => new CommandFailed({ message: problem })
  )
  const reached = yield* connection(redis, redact(url))
  if (reached.verdict === "problem") return [reached]
  return [
    reached,
    ...(yield* server(redis)),
    ...(yield* rights(redis)),
    ...(yield* clock(redis)),
    ...(yield* contents(docket, redis))
  ]
})

const examineFile = Effect.fnUntraced(function* (docket: Docket["Service"]) {
  const opened = yield* Effect.result(
    Effect.flatMap(Store.inspectFile, (file) => Effect.all({ file: Effect.succeed(file), facts: file.facts }))
  )
  if (Result.isFailure(opened)) {
    const { failure } = opened
    return [
      failure._tag === "StoreError"
        ? problem("file", Store.whyOf(failure), failure.advice ?? "Look at the file and its folder")
        : problem("file", failure.problem, "Give the path of a file, as in sqlite:./docket.db")
    ]
  }
  const { facts, file } = opened.success
  const size = `${mebibytes(facts.bytes)}, SQLite ${facts.sqlite}`
  const written = yield* Effect.result(file.write)
  const findings = [
    Result.isSuccess(written)
      ? ok("file", `${file.path}, ${size}`)
      : problem("file", Store.whyOf(written.failure), written.failure.advice ?? "Look at the file and its folder"),
    facts.remote === undefined
      ? ok("place", "a disk of this machine")
      : problem(
          "place",
          `on ${facts.remote}, where the locks of SQLite cannot be relied upon`,
          "Keep the file on a disk of this machine, or the docket in a Redis"
        ),
    file.durability === "full"
      ? ok("durability", "what was confirmed survives a power cut")
      : warning(
          "durability",
          "a power cut may take what was confirmed last",
          "Leave ?durability=normal out of the URL where that must not be"
        ),
    facts.logBytes < largestLog
      ? ok("log", `${mebibytes(facts.logBytes)} not moved to the file yet`)
      : warning(
          "log",
          `${mebibytes(facts.logBytes)} not moved to the file yet: something has read it for long`,
          "Look for a program that keeps a transaction on the file open, and end it"
        )
  ]
  if (facts.bytes <= largestChecked) {
    const damage = yield* Effect.result(file.damage)
    const found = Result.isSuccess(damage) ? damage.success : Store.whyOf(damage.failure)
    findings.push(
      found === undefined
        ? ok("contents", "sound")
        : problem(
            "contents",
            found,
            "Bring back a backup, or save what can still be read with sqlite3 and its command .recover"
          )
    )
  }
  return [...findings, ...(yield* contents(docket, file))]
})

/** How much of the log is left as it is, in bytes: SQLite moves it to the file at some 4 MB, as soon as nobody reads. */
const largestLog = 64 * 1024 * 1024

/** Larger files are not read whole. */
const largestChecked = 256 * 1024 * 1024

/** How long an answer may take. */
const patience = "1800 millis"

const connection = Effect.fnUntraced(function* (redis: Inspection.Inspection, url: string) {
  const check = "connection"
  const begun = yield* Clock.currentTimeMillis
  const reached = yield* Effect.result(Effect.timeoutOption(redis.ping, patience))
  const took = (yield* Clock.currentTimeMillis) - begun
  if (Result.isFailure(reached) && !Store.isSilence(reached.failure)) {
    return problem(
      check,
      `${url} cannot be used: ${Store.whyOf(reached.failure)}`,
      reached.failure.advice ??
        "Start Redis, or give the address where it is with --url or DOCKET_URL; look for firewalls and TLS (rediss://)"
    )
  }
  if (Result.isFailure(reached) || reached.success._tag === "None") {
    return problem(check, `${url} does not answer`, "Look whether the server is overloaded, or stopped by its machine")
  }
  const user = yield* Effect.result(redis.user)
  return ok(check, `${url}${Result.isSuccess(user) ? ` as user ${Text.quote(user.success)}` : ""}, in ${took} ms`)
})

const server = Effect.fnUntraced(function* (redis: Inspection.Inspection) {
  const name = yield* Effect.orElseSucceed(redis.server, () => "a server that does not say what it is")
  const asked = yield* Effect.result(redis.info)
  const confirmation = yield* confirmed(redis)
  if (Result.isFailure(asked)) {
    return [
      warning(
        "server",
        `${name}; INFO cannot be asked: ${Store.whyOf(asked.failure)}`,
        "Allow the user +info to have version, persistence, memory and replication examined; a docket works without"
      ),
      ...confirmation
    ]
  }
  const info = asked.success
  const saves = Result.getOrElse(yield* Effect.result(redis.setting("save")), () => undefined)
  const findings = [version(info, name), replication(info), ...confirmation, ...persistence(info, saves), memory(info)]
  if (info.get("cluster_enabled") === "1") {
    const slot = yield* Effect.result(redis.slot)
    findings.push(
      Result.isSuccess(slot)
        ? ok("cluster", `all keys of this docket are in slot ${slot.success}`)
        : warning(
            "cluster",
            `the slot cannot be asked: ${Store.whyOf(slot.failure)}`,
            "Allow the user +cluster|keyslot"
          )
    )
  }
  return findings
})

type Info = ReadonlyMap<string, string>

const version = (info: Info, name: string): Finding => {
  const [major = 0, minor = 0] = (info.get("redis_version") ?? "").split(".").map(Number)
  // That is the version of Redis with which another server is compatible.
  const found = `${name}, ${info.get("redis_mode") ?? "standalone"}`
  return major > 6 || (major === 6 && minor >= 2)
    ? ok("server", found)
    : problem("server", found, "A docket needs Redis 6.2 or later, or Valkey: upgrade the server")
}

/** Whether as many replicas have a write as the URL asks for. */
const confirmed = Effect.fnUntraced(function* (redis: Inspection.Inspection) {
  if (redis.replicas === 0) return []
  const check = "replicas"
  const written = yield* Effect.result(redis.write)
  if (Result.isSuccess(written)) return [ok(check, `${redis.replicas} or more have what is written`)]
  const { advice = "Look at what the server says, and at its log" } = written.failure
  return [problem(check, `nothing that is written counts: ${Store.whyOf(written.failure)}`, advice)]
})

const replication = (info: Info): Finding => {
  if (info.get("role") === "slave") {
    return problem(
      "replication",
      "this server is a replica, which refuses to be written to",
      `Give the address of the primary${info.has("master_host") ? `, ${info.get("master_host")}:${info.get("master_port")}` : ""}`
    )
  }
  const replicas = Number(info.get("connected_slaves") ?? 0)
  return ok(
    "replication",
    replicas === 0 ? "primary, without replicas" : `primary, with ${Text.count(replicas, "replica")}`
  )
}

const persistence = (info: Info, saves: string | undefined): ReadonlyArray<Finding> => {
  const check = "persistence"
  const failures = [
    ...(info.get("aof_enabled") === "1" && info.get("aof_last_write_status") === "err"
      ? ["the last write to the AOF failed"]
      : []),
    ...(info.get("rdb_last_bgsave_status") === "err" ? ["the last snapshot to disk failed"] : [])
  ]
  if (failures.length > 0) {
    return [problem(check, failures.join(", and "), "Look at the server's log, and at the room and rights on its disk")]
  }
  if (info.get("aof_enabled") === "1") return [ok(check, "every write goes to the append-only file")]
  const turnOn = "For tasks that must not be lost, set appendonly yes (CONFIG SET appendonly yes, then CONFIG REWRITE)"
  return saves === ""
    ? [warning(check, "nothing is kept on disk: when the server ends, all tasks are lost", turnOn)]
    : [warning(check, "snapshots only: a crash loses what was scheduled since the last one", turnOn)]
}

const mebibytes = (bytes: number) => `${Math.ceil(bytes / 1024 / 1024)} MiB`

const memory = (info: Info): Finding => {
  const check = "memory"
  const policy = info.get("maxmemory_policy") ?? "noeviction"
  const maximum = Number(info.get("maxmemory") ?? 0)
  const used = Number(info.get("used_memory") ?? 0)
  const found = `${mebibytes(used)} used of ${maximum === 0 ? "no limit" : mebibytes(maximum)}, maxmemory-policy ${policy}`
  const advice = "Set maxmemory-policy to noeviction: any other lets Redis delete tasks when memory runs short"
  if (policy !== "noeviction") return maximum > 0 ? problem(check, found, advice) : warning(check, found, advice)
  return maximum > 0 && used > maximum * 0.9
    ? warning(check, found, "Raise maxmemory, or find out what fills it: once it is full, nothing can be scheduled")
    : ok(check, found)
}

const rights = Effect.fnUntraced(function* (redis: Inspection.Inspection) {
  const check = "rights"
  const asked = yield* Effect.result(redis.denied)
  const pattern = `{${(yield* Docket).name}}:*`
  const advice = `Allow the user what a docket needs: ~${pattern} &${pattern} +@all -@admin -@dangerous +info +role (docs/redis.md lists all commands)`
  const adviceFor = (error: string, known: string | undefined) =>
    isDenial(error) ? advice : (known ?? "Look at what the server says, and at its log")
  if (Result.isFailure(asked)) {
    const why = Store.whyOf(asked.failure)
    return [problem(check, `no script can be run: ${why}`, adviceFor(why, asked.failure.advice))]
  }
  const places = new Map<string, { readonly found: Finding; readonly on: Array<string> }>()
  for (const { command, error, on } of asked.success) {
    const known = isDenial(error) ? undefined : adviceOn(error)
    // What it says of its state it says to all that writes.
    const found =
      known === undefined
        ? problem(check, `${command} is refused: ${error}`, adviceFor(error, known))
        : problem("writes", `the server refuses them: ${error}`, known)
    const place = places.get(found.found) ?? { found, on: [] }
    places.set(found.found, place)
    if (on !== undefined && known === undefined) place.on.push(on)
  }
  const findings = Array.from(places.values(), ({ found, on }) =>
    on.length === 0 ? found : { ...found, found: `${found.found} (on ${on.join(", ")})` }
  )
  return findings.some((finding) => finding.check === check)
    ? findings
    : [...findings, ok(check, "every command, key and channel that a docket uses")]
})

const isDenial = (error: string): boolean => /NOPERM|ACL|permission|can't (?:run|access|publish)/i.test(error)

const clock = Effect.fnUntraced(function* (redis: Inspection.Inspection) {
  const check = "clock"
  const before = yield* Clock.currentTimeMillis
  const asked = yield* Effect.result(redis.time)
  if (Result.isFailure(asked)) return []
  const after = yield* Clock.currentTimeMillis
  // What the round trip took may have passed before or after the server looked at its clock.
  const offset = asked.success < before ? asked.success - before : asked.success > after ? asked.success - after : 0
  if (Math.abs(offset) < 1000) return [ok(check, `${Math.abs(offset)} ms from this machine's`)]
  return [
    warning(
      check,
      `${Math.abs(offset)} ms ${offset > 0 ? "ahead of" : "behind"} this machine's`,
      "Synchronize the clocks (NTP): tasks keep time with the server, but what is scheduled for a moment is meant by yours"
    )
  ]
})

/** How long something may be due before its wait is remarkable. */
const lateMillis = 60_000

const contents = Effect.fnUntraced(function* (
  docket: Docket["Service"],
  place: { readonly failed: Effect.Effect<number, StoreError> }
) {
  const asked = yield* Effect.result(docket.snapshot())
  if (Result.isFailure(asked)) {
    const { reason } = asked.failure
    return [problem("docket", reason.message, "Mend what was found above first")]
  }
  const snapshot = asked.success
  return [
    ...workers(snapshot),
    ...(yield* silentWorkers(docket, snapshot.taken.epochMilliseconds)),
    ...backlog(snapshot),
    ...(yield* strikes(docket)),
    ...(yield* failures(place)),
    ...(yield* recurring(docket))
  ]
})

const workers = ({ queued, runningTotal, scheduled, upcoming, workers }: Snapshot): ReadonlyArray<Finding> => {
  const check = "workers"
  if (workers.length === 0) {
    return queued + runningTotal + scheduled === 0
      ? [ok(check, "none, and nothing to do")]
      : [problem(check, "none can take work", "Start one: docket worker --tasks ./handlers.ts")]
  }
  const waiting = new Map<string, number>()
  for (const { task } of upcoming) {
    if (!workers.some((worker) => knowsTask(worker, task))) waiting.set(task, (waiting.get(task) ?? 0) + 1)
  }
  return [
    ok(check, `${Text.count(workers.length, "worker")}: ${workers.map(({ name }) => name).join(", ")}`),
    ...Array.from(waiting, ([task, count]) =>
      problem(
        "tasks",
        `${Text.count(count, "execution")} of ${Text.quote(task)} wait, and no live worker knows it`,
        "Start a worker with the task's module, or look for a misspelt name; docket cancel removes what is not wanted"
      )
    )
  ]
}

const backlog = ({ queued, runningTotal, scheduled, taken, upcoming, workers }: Snapshot): ReadonlyArray<Finding> => {
  const found = `${queued} due, ${scheduled} for later, ${runningTotal} running`
  const due = upcoming.filter(({ state }) => state === "queued").map(({ due }) => due.epochMilliseconds)
  const late = due.length === 0 ? 0 : taken.epochMilliseconds - Math.min(...due)
  if (late < lateMillis) return [ok("backlog", found)]
  return [
    warning(
      "backlog",
      `${found}; the oldest has been due for ${Moments.formatLength(late)}`,
      workers.length === 0
        ? "Start a worker"
        : "Start more workers or raise their --concurrency; docket snapshot --stats shows which tasks wait"
    )
  ]
}

const strikes = Effect.fnUntraced(function* (docket: Docket["Service"]) {
  const check = "strikes"
  const asked = yield* Effect.result(docket.strikes)
  const found = Result.getOrElse(asked, () => [])
  if (found.length === 0) return [ok(check, "none")]
  return found.map((strike) =>
    warning(
      check,
      `${strike} ${strike.hold ? "waits" : "is not run"}`,
      strike.hold && strike.field === undefined
        ? `docket resume${strike.task === undefined ? "" : ` ${strike.task}`} lets it go on`
        : "docket restore, with the same task, field, operator and value, takes the strike back"
    )
  )
})

const silentWorkers = Effect.fnUntraced(function* (docket: Docket["Service"], now: number) {
  const found = Result.getOrElse(yield* Effect.result(docket.silentWorkers), () => [])
  return found.map(({ held, lastSeen, name, until }) =>
    warning(
      "workers",
      `${name} holds ${Text.count(held, "execution")}, and nothing was heard of it ` +
        (lastSeen === undefined ? "any more" : `since ${Moments.format(lastSeen, now)}`),
      `Others take over by ${Moments.format(until, now)}; docket workers forget ${name} gives them back at once`
    )
  )
})

const recurring = Effect.fnUntraced(function* (docket: Docket["Service"]) {
  const found = Result.getOrElse(yield* Effect.result(docket.failed.recurring()), () => [])
  if (found.length === 0) return []
  const keys =
    found
      .slice(0, 5)
      .map(({ key }) => Text.name(key))
      .join(", ") + (found.length > 5 ? ", …" : "")
  return [
    warning(
      "recurring",
      `the last run of ${Text.count(found.length, "recurring task")} failed: ${keys}`,
      "docket show, with the key, tells how the last runs went"
    )
  ]
})

const failures = Effect.fnUntraced(function* (place: { readonly failed: Effect.Effect<number, StoreError> }) {
  const asked = yield* Effect.result(place.failed)
  const count = Result.getOrElse(asked, () => 0)
  if (count === 0) return [ok("failed", "nothing")]
  return [
    warning(
      "failed",
      `${Text.count(count, "execution")} failed for good`,
      "docket failed ls shows why; once that is mended, docket failed retry runs them again"
    )
  ]
})
