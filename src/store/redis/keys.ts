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
 * | `queue` | sorted set | what is due later: keys by due time | goes with its last member: moved, cancelled or replaced |
 * | `runs:KEY` | hash | the record of an execution | none while live; the execution TTL once settled, that of failures once failed |
 * | `payload:KEY` | string | the encoded payload | with the record |
 * | `result:KEY` | string | `c` and the encoded result, or `f` and the encoded failure, of the last run that had one | the same TTL from then on; deleted by the next schedule |
 * | `progress:KEY` | hash | `current`, `total`, `message`, `updated` | deleted when the run ends; a day after the last report |
 * | `attempts:KEY` | list | failed attempts, five values each: attempt, worker, started, ended, error | with the record |
 * | `leases` | sorted set | what runs: keys by the time at which the lease expires | goes with its last member: settled, reclaimed or replaced |
 * | `failed` | sorted set | what failed for good: keys by that time | the TTL of failures, from the last one on |
 * | `wake` | list | at most one token, on which idle workers block | taken by the next idle worker |
 * | `wake:WORKER` | list | the same for one worker, when something was set aside whose task it knows | taken by the worker, deleted when it looks for work; 60 s |
 * | `parked` | set | tasks for which executions were set aside, since no worker that met them knew the task | goes with its last member |
 * | `parked:TASK` | sorted set | those executions: keys by the time at which they were set aside | goes with its last member: taken up, cancelled or replaced |
 * | `watchers` | string | is there while anyone follows an execution; without it no event is published | 30 s after the last follower |
 * | `workers` | sorted set | workers by the time until which they are listed | a worker that leaves, or any heartbeat once that time has passed |
 * | `worker:WORKER` | hash | `seen`, its last sign of life, and `tasks`, with a NUL around each, or `*` for any | the presence, from the last heartbeat on |
 *
 * Fields of a record: `task`, `state`, `due`, `gen` (generation), `entry` (id in the stream, of use while queued),
 * `attempt` (from 2), `deliveries` (from 1), `worker`, `lease` (of the present run, or the last), `started`,
 * `completed`, `error`, `trace` (unless empty), `was` (the lease whose settlement was last applied and led to another
 * schedule: the same one sent again is known by it), and flags: `cancel` (a running one was asked to stop), `parked` (it
 * is set aside), `progress` and `failures` (there is a `progress:KEY`, an `attempts:KEY`). All but the error are short,
 * so that the hash keeps its compact encoding (64 bytes a value).
 *
 * | channel | carries |
 * | --- | --- |
 * | `state:KEY` | changes of the execution's state, as JSON |
 * | `progress:KEY` | what a running execution reports, as JSON |
 * | `events` | both, of all executions |
 * | `cancel:WORKER` | requests to stop an execution that the worker runs, as JSON |
 */

/** The parts of keys and channels that scripts put before the key of an execution, a task or a worker. */
export const segments = {
  record: "runs:",
  payload: "payload:",
  result: "result:",
  progress: "progress:",
  attempts: "attempts:",
  parked: "parked:",
  worker: "worker:",
  wake: "wake:",
  state: "state:",
  cancel: "cancel:",
  events: "events",
  /** A key that is never there. */
  none: "none"
} as const

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
    events: prefix + segments.events,
    eventsOf: (key) => [prefix + segments.state + key, prefix + segments.progress + key],
    wakeOf: (worker) => prefix + segments.wake + worker,
    cancel: (worker) => prefix + segments.cancel + worker
  }
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
  keys.workers
]

/** How many `fixed` gives. */
export const numberOfFixed = 8
