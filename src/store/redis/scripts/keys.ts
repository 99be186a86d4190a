/**
 * The keys and channels of a docket in Redis. This is the only place that spells them.
 *
 * **Details**
 *
 * All begin with the docket's prefix, `{name}:`: one slot on a cluster, one pattern for keys and one for channels in an
 * ACL. Times are epoch milliseconds on the server's clock.
 *
 * | key | type | holds | ends |
 * | --- | --- | --- | --- |
 * | `stream` | stream | what is due, in order: entries with one field, `key` | fixed; a claim, a cancel or a replace deletes the entry |
 * | `turns` | sorted set | what is due and had its turn before: it waited at a limit, was held, asked about, set aside or given back: keys by class and place | goes with its last member: claimed, cancelled or replaced |
 * | `queue` | sorted set | what is due later: keys by due time | goes with its last member: moved, cancelled or replaced |
 * | `runs:KEY` | hash | the record of an execution | none while live; the execution TTL once settled, that of failures once failed |
 * | `payload:KEY` | string | the encoded payload, if it is longer than 256 bytes: a shorter one is in the record | with the record |
 * | `result:KEY` | string | `c` and the encoded result, or `f` and the encoded failure, of the last run that had one | the same TTL from then on; deleted by the next schedule |
 * | `progress:KEY` | hash | `current`, `total`, `message`, `updated` | deleted when the run ends; a day after the last report |
 * | `attempts:KEY` | list | failed attempts, five values each: attempt, worker, started, ended, error | with the record |
 * | `leases` | sorted set | what runs: keys by the time at which the lease expires | goes with its last member: settled, reclaimed or replaced |
 * | `failed` | sorted set | what failed for good: keys by that time | the TTL of failures, from the last one on |
 * | `runs-of:KEY` | list | the last runs of a key that recurs, five values each: generation, worker, started, ended, and `c`, or `f` and the error | as long as failures are kept, from the time at which the next run is due |
 * | `failed-chains` | sorted set | keys that recur and whose last run failed, by that time | goes with its last member: a run that succeeded, cancelled, replaced or ended for good |
 * | `wake` | list | at most one token, on which idle workers block | taken by the next idle worker |
 * | `wake:WORKER` | list | the same for one worker, when something was set aside whose task it knows | taken by the worker, deleted when it looks for work; 60 s |
 * | `parked` | set | tasks, or versions of their payloads, for which executions were set aside, since no worker that met them knew these | goes with its last member |
 * | `parked:TASK` | sorted set | those executions: keys by the time at which they were set aside | goes with its last member: taken up, cancelled or replaced |
 * | `strikes` | hash | the strikes in force, as JSON by their ids, and `version`, which changes with them | goes with the last strike |
 * | `held` | sorted set | what strikes hold: keys in order | goes with its last member: let go, cancelled or replaced |
 * | `release` | string | the last place in `held` that is to be let go, since a strike was restored | deleted once all of these are |
 * | `asked` | sorted set | what was lent to workers that are to tell something about it: keys by the time at which the loan expires | goes with its last member: told, taken back, cancelled or replaced |
 * | `waiting` | sorted set | what waits in lines: keys by class and place | goes with its last member: started, cancelled or replaced |
 * | `line:LINE` | sorted set | the same for one line: executions that differ in nothing that decides whether they may start | the same |
 * | `lines` | hash | the gate at which each line waits; empty for a line that is in `gates` itself | goes with the last line |
 * | `at:GATE` | sorted set | the lines that wait at a gate, by the first of each | goes with its last member |
 * | `gates` | sorted set | what has a turn: `g` and a gate that is open and where lines wait, or `l` and a line that is to be looked at anew, by the first of those that wait | goes with its last member: taken, or closed |
 * | `opens` | sorted set | gates where lines wait and that time opens: by that time | goes with its last member: open, or nothing waits there |
 * | `slots:CONTROL` | hash | who has the slots of a concurrency limit: `GENERATION:KEY` | goes with its last holder |
 * | `overtaken` | hash | the slots of runs whose keys were scheduled anew: `GENERATION:KEY`, with the time at which the lease expires, the lease and the limit | goes with the last of these runs: settled, or its lease expired |
 * | `starts:CONTROL` | sorted set | the starts that a rate limit counts: `LEASE:KEY` by time | two windows after the last start |
 * | `limits` | hash | what the worker that came last says of each limit: `LIMIT WINDOW` by a letter and the scope | a day after the last heartbeat |
 * | `contracts` | hash | by which contract the terms of each task are found: fingerprints | the same |
 * | `contract:DIGEST` | hash | what workers say of their tasks: controls as JSON, or nothing, by task | a day after the last heartbeat of such a worker |
 * | `before:KEY` | any | what the last run of a key left, `KEY` being that of its record, payload, result or attempts: of a key that was scheduled again, until that begins | as it would have ended; deleted when the new run begins |
 * | `cooldown:CONTROL` | string | when the window ends, and the key of the execution that opened it | a second after the end of the window |
 * | `debounce:CONTROL` | hash | a round: `first`, the key of the submission that will run, `due` and `deadline` | deleted when that one runs, or is cancelled; ten settle times after the last submission |
 * | `watchers` | string | is there while anyone follows an execution; without it no event is published. Its value is the same until it is gone: so those who follow see that it was | 30 s after the last follower |
 * | `workers` | sorted set | workers by the time until which they are listed | a worker that leaves, or any heartbeat once that time has passed |
 * | `worker:WORKER` | hash | `seen`, its last sign of life, and `tasks`, with a NUL around each, or `*` for any | an hour after the presence, from the last heartbeat on; with the worker that leaves |
 * | `facts` | hash | what the worker that started last said of a task, as JSON by its name (see `TaskFacts`) | a week after the last heartbeat of any worker |
 * | `suspect:WORKER` | string | until when the worker runs no other execution whose workers died again and again, and the lease and the key of the one that it has | a second after that time, at which the first lease of that run ends |
 * | `notices` | list | what was found that others did to the docket's data, as sentences for a log: at most 100 | deleted by the next heartbeat, which says it; a day |
 * | `misplaced:REST` | any | what others put where the docket keeps something of another type, `{name}:REST` | a day |
 *
 * `CONTROL` is the scope of a control (`task:TASK:rate0`, or `scope:NAME`), and `=` and the value if it has one. `GATE` is a
 * letter (`s` for slots, `r` for a rate limit, `d` for a debounce) and a `CONTROL`. `LINE` is a digest of what its members
 * have in common.
 *
 * Fields of a record: `task`, `state`, `due`, `gen` (generation), `id` (of its entry in the stream, of use while queued),
 * `p1` to `p4` (a payload of up to 256 bytes, in parts: see `fragments.partsOf`), `attempt` (from 2), `deliveries` (from
 * 1), `worker`, `lease` (of the present run, or the last), `started`, `completed`, `error`, `trace` (unless empty), `last`
 * (how the run ended that named this one its successor: `c` or `f`, its generation, and the error after a space), `origin`
 * (the generation with which it began, unless that is 1), `chain` (by which recurrence and payload an automatic task was scheduled), `was`
 * (the lease whose settlement was last applied and led to another schedule: the same one sent again is known by it),
 * `aside` (where it is, when that is not the usual place of its state: `n` in `turns`, `w` in a line, `t` set aside because
 * its task is unknown, `a` asked about, `h` held by a strike), `place` (when it became due among all others, once it has had
 * its turn: see `fragments.enqueue`), `needs` (what a worker has to know to run it, when that is not the task alone:
 * the task, U+0001 and a version of its payload), `gens` (how many schedules its key had, when the last ones never ran), and flags: `cancel` (a running one was
 * asked to stop), `ran` (there is a `before:KEY`), `progress` and `failures` (there is a `progress:KEY`, an
 * `attempts:KEY`). All but the errors are short, so that the hash keeps its compact encoding (64 bytes a value).
 *
 * Fields for strikes and controls: `judged` (the version of the strikes by which the payload was judged, and not matched),
 * `terms` (JSON, the fingerprint of the contract and the values of its controls; without it there is none of the following),
 * `line`, `slot` (the limit of which its run has a slot), `round` (the debounce whose round it opened), `quiet` (that let it
 * pass), `starts` and `windows` (JSON, the rate limits that count its present run, or the one that was given back, and the
 * cooldowns that this run opened), `counted` (the lease by which those rate limits know it), `passed` (it began once in this
 * schedule), `skip` and `dropped` (a letter, and the control that will not let it start, or has dropped it).
 *
 * | channel | carries |
 * | --- | --- |
 * | `state:KEY` | changes of the execution's state, as JSON |
 * | `progress:KEY` | what a running execution reports, as JSON |
 * | `events` | both, of all executions |
 * | `cancel:WORKER` | requests to stop an execution that the worker runs, as JSON |
 * | `strikes` | the version of the strikes, when they change |
 */

/** The parts of keys and channels that scripts put before the key of an execution, a task or a worker. */
export const segments = {
  record: "runs:",
  payload: "payload:",
  result: "result:",
  progress: "progress:",
  attempts: "attempts:",
  runs: "runs-of:",
  parked: "parked:",
  slots: "slots:",
  line: "line:",
  gate: "at:",
  starts: "starts:",
  contract: "contract:",
  before: "before:",
  cooldown: "cooldown:",
  debounce: "debounce:",
  worker: "worker:",
  wake: "wake:",
  suspect: "suspect:",
  state: "state:",
  cancel: "cancel:",
  events: "events",
  misplaced: "misplaced:",
  notices: "notices",
  facts: "facts",
  failedChains: "failed-chains",
  lines: "lines",
  limits: "limits",
  contracts: "contracts",
  /** What was due before all else, in version 0.1.0. */
  front: "front",
  /** A key that is never there. */
  none: "none"
} as const

/** How long what others put in the place of a key is kept. */
export const misplacedMillis = 86_400_000

/** How long what workers said of tasks is kept. */
export const factsMillis = 7 * 86_400_000

/** How long a token lives that is for one worker. */
export const ownWakeMillis = 60_000

/** The keys and channels of one docket. */
export interface Keys {
  /** What every key and channel begins with. */
  readonly prefix: string
  readonly stream: string
  readonly queue: string
  readonly leases: string
  readonly failed: string
  readonly wake: string
  readonly parked: string
  readonly watchers: string
  readonly workers: string
  /** Also the channel on which changes of the strikes are told. */
  readonly strikes: string
  readonly held: string
  readonly release: string
  readonly asked: string
  readonly waiting: string
  readonly overtaken: string
  readonly turns: string
  readonly gates: string
  readonly opens: string
  /** The channel of all events. */
  readonly events: string
  /** The channels of an execution's events. */
  readonly eventsOf: (key: string) => ReadonlyArray<string>
  /** Where a worker waits for what others do not know. */
  readonly wakeOf: (worker: string) => string
  /** The channel of a worker's cancellations. */
  readonly cancel: (worker: string) => string
}

/** The keys of the docket with this name, which holds no braces: they would end the hash tag. */
export const make = (name: string): Keys => {
  const prefix = `{${name}}:`
  return {
    prefix,
    stream: `${prefix}stream`,
    queue: `${prefix}queue`,
    leases: `${prefix}leases`,
    failed: `${prefix}failed`,
    wake: `${prefix}wake`,
    parked: `${prefix}parked`,
    watchers: `${prefix}watchers`,
    workers: `${prefix}workers`,
    strikes: `${prefix}strikes`,
    held: `${prefix}held`,
    release: `${prefix}release`,
    asked: `${prefix}asked`,
    waiting: `${prefix}waiting`,
    overtaken: `${prefix}overtaken`,
    turns: `${prefix}turns`,
    gates: `${prefix}gates`,
    opens: `${prefix}opens`,
    events: prefix + segments.events,
    eventsOf: (key) => [prefix + segments.state + key, prefix + segments.progress + key],
    wakeOf: (worker) => prefix + segments.wake + worker,
    cancel: (worker) => prefix + segments.cancel + worker
  }
}

/** The type of each key after the prefix: of the fixed ones, and of those that begin with a segment. */
export const types: Readonly<Record<string, string>> = {
  stream: "stream",
  queue: "zset",
  leases: "zset",
  failed: "zset",
  workers: "zset",
  held: "zset",
  asked: "zset",
  waiting: "zset",
  turns: "zset",
  gates: "zset",
  opens: "zset",
  [segments.lines]: "hash",
  [segments.limits]: "hash",
  [segments.contracts]: "hash",
  wake: "list",
  parked: "set",
  strikes: "hash",
  overtaken: "hash",
  watchers: "string",
  release: "string",
  [segments.notices]: "list",
  [segments.facts]: "hash",
  [segments.record]: "hash",
  [segments.progress]: "hash",
  [segments.slots]: "hash",
  [segments.debounce]: "hash",
  [segments.worker]: "hash",
  [segments.payload]: "string",
  [segments.result]: "string",
  [segments.cooldown]: "string",
  [segments.suspect]: "string",
  [segments.attempts]: "list",
  [segments.runs]: "list",
  [segments.failedChains]: "zset",
  [segments.wake]: "list",
  [segments.parked]: "zset",
  [segments.line]: "zset",
  [segments.gate]: "zset",
  [segments.starts]: "zset",
  [segments.contract]: "hash"
}

/** A key that is never there, in the slot of one of a docket's keys. */
export const absentBeside = (key: string): string => key.slice(0, key.indexOf("}:") + 2) + segments.none

/** The fixed keys, as scripts are given them: `fragments.prologue` names them in this order. */
export const fixed = (keys: Keys): ReadonlyArray<string> => [
  keys.stream,
  keys.queue,
  keys.leases,
  keys.failed,
  keys.wake,
  keys.parked,
  keys.watchers,
  keys.workers,
  keys.strikes,
  keys.held,
  keys.release,
  keys.asked,
  keys.waiting,
  keys.overtaken,
  keys.turns,
  keys.gates,
  keys.opens
]

/** How many `fixed` gives. */
export const numberOfFixed = 17
